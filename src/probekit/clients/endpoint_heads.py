"""The heads of a chain's endpoints, each asked by itself and all at once, beside the best of them: for probes of RPC nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from probekit.clients.each_endpoint import at_once, endpoint_target, same_chain
from probekit.clock import Clock
from probekit.codecs import evm_rpc
from probekit.codecs.solana import rpc as svm_rpc
from probekit.codecs.solana.sysvar import CLOCK, decode_clock
from probekit.errors import NotFound, ProbekitError, RpcError
from probekit.model import Failure, Observation
from probekit.model.chain_feed import ChainHead, ChainState, EndpointStanding
from probekit.model.endpoint_head import EndpointHead, FinalPoint, best_head, beyond
from probekit.model.solana import Commitment
from probekit.transports.rpc import EVM, SVM, Call, Outcome
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.wire import raised
from probekit.units import format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient
    from probekit.clients.solana import SolanaClient

__all__ = ["Seen", "evm_head", "heads_of", "svm_head"]

Seen = Observation[Any] | Failure


async def evm_head(client: EvmClient) -> EndpointHead:
    """What the one endpoint of ``client`` shows: newest, safe and finalized block, and its word for itself; one request.

    Raises what reading the newest block does, and ``WrongChain``.
    """
    tags = ("latest", "safe", "finalized")
    calls = [EVM.identity_call, *(Call("eth_getBlockByNumber", [tag, False]) for tag in tags), EVM.sync_call]
    identity, *blocks, syncing = await client.pool.batch(calls)
    same_chain(client.pool.endpoints[0].label, EVM.identity(result_of(raised(identity))), str(client.chain_id))
    found = result_of(raised(blocks[0]))
    if found is None:
        raise NotFound(f"no newest block on {client.pool.chain}", subject="latest")
    latest = evm_rpc.decode_block(found)
    soft, final = (_evm_point(level, outcome) for level, outcome in zip(tags[1:], blocks[1:], strict=True))
    sync = None if isinstance(syncing, ProbekitError) else EVM.sync(syncing)
    return EndpointHead(head=ChainHead(latest.number, latest.time), soft=soft, final=final, sync=sync)


def _evm_point(level: str, outcome: Outcome) -> FinalPoint:
    """A node without such a block answers ``null``, or an error."""
    try:
        found = result_of(raised(outcome))
        if found is None:
            return FinalPoint(level, problem="there is none")
        block = evm_rpc.decode_block(found)
    except ProbekitError as error:
        return FinalPoint(level, problem=error.message)
    return FinalPoint(level, block.number, block.time)


async def svm_head(client: SolanaClient) -> EndpointHead:
    """What the one node of ``client`` shows: cluster, slot by commitment, block height, the cluster's clock at the newest slot
    and its health, in one request. Raises what reading the clock does, and ``WrongChain``.
    """
    newest = {"commitment": str(Commitment.PROCESSED)}
    calls = [
        SVM.identity_call,
        Call("getAccountInfo", [str(CLOCK), newest | {"encoding": "base64"}]),
        Call("getBlockHeight", [newest]),
        *(Call("getSlot", [{"commitment": str(level)}]) for level in (Commitment.CONFIRMED, Commitment.FINALIZED)),
        SVM.sync_call,
    ]
    identity, sysvar, height, confirmed, finalized, health = await client.pool.batch(calls)
    if client.pool.identity is not None:
        same_chain(client.pool.endpoints[0].label, SVM.identity(result_of(raised(identity))), client.pool.identity)
    account = svm_rpc.decode_account(result_of(raised(sysvar)), CLOCK)
    if account is None:
        raise NotFound(f"no clock on {client.pool.chain}", subject=str(CLOCK))
    clock = decode_clock(account.data)
    return EndpointHead(
        head=ChainHead(clock.slot, clock.time),
        height=None if isinstance(height, ProbekitError) else svm_rpc.decode_count(result_of(height)),
        soft=_svm_point("confirmed", confirmed),
        final=_svm_point("finalized", finalized),
        sync=_health(health),
    )


def _svm_point(level: str, outcome: Outcome) -> FinalPoint:
    try:
        return FinalPoint(level, svm_rpc.decode_count(result_of(raised(outcome))))
    except ProbekitError as error:
        return FinalPoint(level, problem=error.message)


def _health(outcome: Outcome) -> str | None:
    try:
        told = (
            svm_rpc.health_of(outcome) if isinstance(outcome, RpcError) else svm_rpc.decode_health(result_of(raised(outcome)))
        )
    except ProbekitError:
        return None
    if told.healthy:
        return ""
    return told.message or f"behind by {told.slots_behind} slots"


async def heads_of(
    chain: str,
    asked: Mapping[str, Awaitable[EndpointHead]],
    *,
    clock: Clock,
    clock_error_ns: Callable[[], int | None],
    timeout: timedelta,
    max_lag: timedelta | None = None,
    max_blocks: int | None = None,
    max_ahead: timedelta = timedelta(seconds=30),
) -> list[Seen]:
    """What every endpoint (by label) shows beside the best, and the chain as all of them show it.

    All are asked at once and have ``timeout`` together. An endpoint that is further than ``max_lag`` or ``max_blocks`` behind
    the best does not count as alive for the chain. Where none answers, the chain's own verdict is the first one's error.
    """

    answers = await at_once(asked, clock=clock, timeout=timeout)
    now, error_ns = clock.now(), clock_error_ns()
    heads = {label: found.head for label, (found, _) in answers.items() if isinstance(found, EndpointHead)}
    best = best_head(heads, now=now, ahead_ns=to_ns(max_ahead) + (error_ns or 0))
    seen: list[Seen] = []
    standings = []
    for label, (found, elapsed_ns) in answers.items():
        target = endpoint_target(chain, label)
        if isinstance(found, ProbekitError):
            seen.append(Failure(found, label, now, target, elapsed_ns))
            standings.append(EndpointStanding(label, found.error_type, found.message))
            continue
        if len(heads) > 1:
            shown_best = {} if best is None else {"best": heads[best], "best_label": best}
            found = msgspec.structs.replace(found, others=len(heads) - 1, **shown_best)
        top = found.head if best is None else heads[best]
        late_ns, blocks = top.time.since(found.head.time), top.number - found.head.number
        late = (max_lag is not None and late_ns > to_ns(max_lag)) or (max_blocks is not None and blocks > max_blocks)
        shown, state, reason = f"head {found.head.number} is", "alive", ""
        if beyond(found.head, top):
            state, reason = "out_of_sync", f"{shown} {-blocks} {found.counted} ahead of {best}, more than any chain makes"
        elif late:
            state, reason = "lagging", f"{shown} {blocks} {found.counted} and {format_ns(late_ns)} behind {best}"
        standings.append(EndpointStanding(label, state, reason))
        seen.append(Observation(found, label, now, target, elapsed_ns, error_ns))
    if not heads:
        first = next(found for found, _ in answers.values() if isinstance(found, ProbekitError))
        return [*seen, Failure(first, chain, now, chain)]
    newest = heads[best] if best is not None else max(heads.values(), key=lambda head: head.number)
    return [*seen, Observation(ChainState(newest, tuple(standings)), chain, now, chain, 0, error_ns)]
