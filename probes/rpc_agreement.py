"""Do the RPC endpoints of a chain give the same answers, asked for the same block, accounts and calls at the same height?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

import probekit as pk
from probekit.checks import Check, EndpointQuorum, RpcAgreement
from probekit.clients import chain_options
from probekit.clients.each_endpoint import at_once, release_wrong, too_few
from probekit.clients.rpc_answers import BLOCK, EvmQuestions, Questions, SvmQuestions
from probekit.clock import as_they_come
from probekit.codecs.evm_rpc import data as hex_data
from probekit.errors import DecodeError, ProbekitError
from probekit.model.chain_feed import ChainHead, ChainState, EndpointStanding
from probekit.model.evm import Address
from probekit.model.rpc_answer import RpcAnswer

Seen = pk.Observation[Any] | pk.Failure


class CallOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contract call that every endpoint makes."""

    name: Annotated[str, pk.doc("what to call it")]
    to: Annotated[str, pk.doc("the contract")]
    data: Annotated[str, pk.doc("calldata in hex, with 0x")]

    def __post_init__(self) -> None:
        Address(self.to)
        try:
            hex_data(self.data, "data")
        except DecodeError as error:
            raise ValueError(error.message) from None


class ChainOption(chain_options.ChainOption, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain's endpoints, and what to ask them beside the block."""

    accounts: Annotated[tuple[str, ...], pk.doc("addresses, or keys on Solana")] = ()
    calls: Annotated[tuple[CallOption, ...], pk.doc("contract calls; not on Solana")] = ()
    max_lag: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None
    agree: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=2)] = None

    def questions(self, name: str) -> Questions:
        """Raises ``ValueError`` for what cannot be asked on that chain."""
        family = self.family(name)
        if family is None:
            raise ValueError(f"{name} is not known; give it chain_id or genesis_hash")
        if family == "svm":
            if self.calls:
                raise ValueError(f"{name} is of Solana's kind: it has no calls")
            return SvmQuestions(tuple(str(pk.Pubkey(one)) for one in self.accounts))
        calls = {one.name: (one.to, hex_data(one.data, "data")) for one in self.calls}
        found = EvmQuestions(tuple(str(Address(one)) for one in self.accounts), calls)
        if len(set(found.names)) != 1 + len(self.accounts) + len(self.calls):
            raise ValueError(f"{name} has an account or a call twice, or one called {BLOCK}")
        return found


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, ChainOption],
        pk.doc("chains by name: endpoints (with `{key}` for `key`), chain_id or genesis_hash for an unknown one, what to ask"),
    ]
    agree: Annotated[int, pk.doc("endpoints that must give the same answer for it to be the chain's"), msgspec.Meta(ge=2)] = 2
    depth: Annotated[int, pk.doc("blocks below the lowest head that are asked for; not on Solana"), msgspec.Meta(ge=0)] = 2
    max_lag: Annotated[int, pk.doc("blocks or slots behind the others from which one is not asked"), msgspec.Meta(ge=1)] = 50
    timeout: Annotated[timedelta, pk.doc("how long the endpoints may take for each of two requests")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))
        self.require("chains", "timeout")

    def _problems(self) -> Iterator[str]:
        for name, chain in self.chains.items():
            try:
                chain.questions(name)
            except ValueError as error:
                yield f"chains: {error}"
            yield from too_few("chains", name, chain, chain.agree or self.agree, "agree")


def target_id(chain: str, question: str) -> str:
    return f"{chain}/{question}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    found = []
    for name, chain in ctx.options.chains.items():
        found.append(pk.Target(name, "endpoint", f"chain {name}"))
        for question in chain.questions(name).names:
            kind: Literal["account", "contract"] = "contract" if question in {one.name for one in chain.calls} else "account"
            found.append(pk.Target(target_id(name, question), kind, f"{question} on {name}", behind=name))
    return found


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    # Each chain tells as soon as it is read: one that hangs holds up no other.
    async with aclosing(as_they_come(read(ctx, name, chain) for name, chain in ctx.options.chains.items())) as chains:
        async for found in chains:
            for seen in found:
                yield seen


async def read(ctx: pk.Context[Options], name: str, chain: ChainOption) -> Sequence[Seen]:
    """The heads of all endpoints, then every question to all that are near the best of them, at one height."""
    options, questions, clock = ctx.options, chain.questions(name), ctx.clock
    clients = await clients_of(ctx, name, chain)
    told = await at_once({label: questions.head(one) for label, one in clients.items()}, clock=clock, timeout=options.timeout)
    heads = {label: found for label, (found, _) in told.items() if isinstance(found, int)}
    lost = {label: found for label, (found, _) in told.items() if isinstance(found, ProbekitError)}
    await release_wrong(ctx.release, clients, lost.items())
    if not heads:
        return [pk.Failure.of(next(iter(lost.values())), name, clock.now())]
    # Not the highest of all: one that claims too much would leave nobody to compare it with.
    agree = chain.agree or options.agree
    top = sorted(heads.values(), reverse=True)[:agree][-1]
    near = {label: head for label, head in heads.items() if top - head <= (chain.max_lag or options.max_lag)}
    height = max(min(near.values()) - (options.depth if isinstance(questions, EvmQuestions) else 0), 0)
    answers = await at_once(
        {label: questions.ask(clients[label], height) for label in near}, clock=clock, timeout=options.timeout
    )
    now = clock.now()
    standings = [standing(label, heads.get(label), lost.get(label), top, near) for label in clients]
    state = ChainState(ChainHead(top, now), tuple(standings))
    seen: list[Seen] = [pk.Observation(state, name, now, name)]
    for question in questions.names:
        values: dict[str, RpcAnswer] = {}
        failures = dict(lost)
        for label, (found, _) in answers.items():
            one = found if isinstance(found, ProbekitError) else found[question]
            if isinstance(one, ProbekitError):
                failures[label] = one
            else:
                values[label] = one
        seen.append(pk.Observation(pk.Comparison(values, failures), name, now, target_id(name, question)))
    return seen


async def clients_of(ctx: pk.Context[Options], name: str, chain: ChainOption) -> Mapping[str, pk.EvmClient | pk.SolanaClient]:
    """A client for each endpoint, with a pool of its own: none may answer for another."""
    found: dict[str, pk.EvmClient | pk.SolanaClient] = {}
    for node in chain.nodes:
        if chain.family(name) == "svm":
            found[node.label] = await ctx.solana(name, [node], genesis_hash=chain.genesis(name), timeout=ctx.options.timeout)
            continue
        chain_id = chain.evm_id(name)
        assert chain_id is not None
        found[node.label] = await ctx.evm(name, [node], chain_id=chain_id, timeout=ctx.options.timeout)
    return found


def standing(label: str, head: int | None, error: ProbekitError | None, top: int, near: Mapping[str, int]) -> EndpointStanding:
    if error is not None:
        return EndpointStanding(label, error.error_type, error.message)
    if label not in near:
        return EndpointStanding(label, "lagging", f"head {head}, the others {top}: it was not asked")
    return EndpointStanding(label, "alive")


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    chain = options.chains[target.id.partition("/")[0]]
    agree = chain.agree or options.agree
    return [EndpointQuorum(agree)] if target.kind == "endpoint" else [RpcAgreement(agree)]


probe = pk.Probe.poll(
    name="rpc_agreement",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=30),
    metrics=("chain.endpoints_alive",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
