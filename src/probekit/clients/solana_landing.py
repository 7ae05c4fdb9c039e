"""How a transaction lands on Solana: what is refused before it is sent, and waiting for how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from probekit.clock import Clock
from probekit.codecs.solana import rpc as codec
from probekit.codecs.solana.transaction import SentTransaction
from probekit.errors import DeadlineExceeded, DecodeError, Missing, NotServed, ProbekitError, SendRefused
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Commitment, SignatureStatus
from probekit.transports.rpc import Call, EndpointPool
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.wire import raised
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.clients.solana import SolanaClient

__all__ = ["Confirmation", "confirm", "refuse_costly"]

_REMEMBERED_BLOCKS: Final = 100
"""After a transaction's last block, how long every node surely remembers it: of 300 slots, 150 blocks are its own, and some
slots have none. What landed before that is in an archive only, which not every node has.
"""


class Confirmation(msgspec.Struct, frozen=True):
    """How waiting for a transaction ended.

    ``landed``: as final as asked for. ``failed``: landed, and the program refused it. ``expired``: the chain is past its last
    valid block height without it, so that it never can land.
    """

    signature: str
    outcome: Literal["landed", "failed", "expired"]
    status: SignatureStatus | None
    block_height: int | None = None


async def refuse_costly(
    client: SolanaClient, raw: bytes, sent: SentTransaction, *, payer: Pubkey, cap_lamports: int, again: bool = False
) -> None:
    """Return where a simulation of a signed transaction succeeds and takes ``cap_lamports`` at most from ``payer`` in all; for
    one that goes out ``again``, also where it has been processed: its status must say so too, and confirmed.

    Raises ``SendRefused``, whatever kept it from being found out.
    """
    if client.pool.identity is None:
        raise SendRefused("no genesis hash is configured: nothing is sent to a chain that cannot be proven")
    if sent.fee_payer != payer:
        raise SendRefused(f"nothing was sent: {sent.fee_payer} pays the fee, the cap is on {payer}")
    try:
        with client.pool.one_deadline():
            before = await client.balance(payer)
            simulated = await client.simulate(raw, accounts=[payer], min_slot=before.slot)
            # Money that came in between would hide as much that goes out.
            since = await client.balance(payer, min_slot=simulated.slot)
    except ProbekitError as error:
        raise SendRefused(f"nothing was sent: what it takes could not be found out: {error.message}") from error
    if again and simulated.error == "AlreadyProcessed":
        await _refuse_unconfirmed(client, sent.signature, simulated.slot)
        return
    if not simulated.succeeded:
        last = f": {simulated.logs[-1][:200]}" if simulated.logs else ""
        raise SendRefused(f"the simulation fails with {simulated.error}{last}")
    (after,) = simulated.accounts or (None,)
    if isinstance(after, DecodeError):
        raise SendRefused(f"the simulation does not tell what is left to {payer}: {after.message}")
    spent = max(before.lamports, since.lamports) - (after.lamports if after is not None else 0)
    # A simulation leaves out the fee on some nodes; 5,000 lamports for each signature is the least it can be.
    spent = max(spent, 5_000 * sent.signatures)
    if spent > cap_lamports:
        raise SendRefused(f"it takes {spent} lamports from {payer}, the cap is {cap_lamports}")


async def _refuse_unconfirmed(client: SolanaClient, signature: str, slot: int) -> None:
    """Return where a transaction's status bears out the one node that says it has been processed: what it takes cannot be tried
    any more, and a node that is wrong about it, or on a branch of its own, would let any cost through.
    """
    said = "AlreadyProcessed, so that what it takes cannot be found out"
    try:
        for history in (False, True):
            status, _ = await _status(client.pool, signature, slot, history=history)
            if status is not None:
                break
    except ProbekitError as error:
        raise SendRefused(f"nothing was sent: a node says {said}; its status is not to be had: {error.message}") from error
    if status is None or not status.reached(Commitment.CONFIRMED):
        told = "is not known" if status is None else "is not confirmed"
        raise SendRefused(f"nothing was sent: a node says {said}; by its status it {told}")


async def confirm(
    pool: EndpointPool,
    signature: str,
    *,
    last_valid_block_height: int,
    commitment: Commitment,
    poll: timedelta,
    timeout: timedelta,
    clock: Clock,
) -> Confirmation:
    """:meth:`SolanaClient.confirm`."""
    with pool.one_deadline(timeout) as due_ns:
        while True:
            failure = "it is neither final nor expired"
            try:
                found = await _outcome(pool, signature, last_valid_block_height, commitment)
            except ProbekitError as error:
                if not (error.retry_same or isinstance(error, NotServed | Missing)):
                    raise
                found, failure = None, error.message
            if found is not None:
                return found
            wake_ns = clock.monotonic_ns() + to_ns(poll)
            if wake_ns >= due_ns:
                raise DeadlineExceeded(f"{signature}: {failure}")
            await clock.sleep_until_ns(wake_ns)


async def _outcome(pool: EndpointPool, signature: str, last_valid: int, wanted: Commitment) -> Confirmation | None:
    """How it ended, if it has. Height before status: what landed at the last height is seen by the status that follows."""
    at = [{"commitment": str(Commitment.FINALIZED)}]
    told = await pool.batch([Call("getBlockHeight", at), Call("getSlot", at)])
    height, slot = (codec.decode_count(result_of(raised(outcome))) for outcome in told)
    status, known_to = await _status(pool, signature, slot)
    if status is None and height > last_valid + _REMEMBERED_BLOCKS:
        status, known_to = await _status(pool, signature, slot, history=True)
    if status is None:
        # One endpoint's height says nothing of what another has not seen yet.
        return Confirmation(signature, "expired", None, height) if height > last_valid and known_to >= slot else None
    if not status.succeeded and status.reached(Commitment.CONFIRMED):
        return Confirmation(signature, "failed", status, height)
    return Confirmation(signature, "landed", status, height) if status.succeeded and status.reached(wanted) else None


async def _status(
    pool: EndpointPool, signature: str, slot: int, *, history: bool = False
) -> tuple[SignatureStatus | None, int]:
    """Where a transaction stands, and the slot up to which the answering node knows."""
    params = [[signature], {"searchTransactionHistory": history}]
    result = result_of(await pool.call("getSignatureStatuses", params, prefer=slot))
    (status,) = codec.decode_signature_statuses(result, [signature])
    if isinstance(status, DecodeError):
        raise status
    return status, result["context"]["slot"]
