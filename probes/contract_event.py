"""Did an event happen on a chain that should not have, or not happen that should, whatever blocks are reorganised away?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

import probekit as pk
from probekit.checks import Check, EventAbsent, EventMatched, ScanReach
from probekit.clients.chain_options import CLUSTERS
from probekit.clients.event_watch import EvmEventWatch, EvmRule
from probekit.clients.program_watch import ProgramEventWatch, ProgramRule
from probekit.clock import as_they_come, within
from probekit.codecs.evm.conditions import Condition, NamedEvent
from probekit.codecs.evm.registry import chain as evm_chain
from probekit.errors import DeadlineExceeded, ProbekitError
from probekit.model.contract_events import ScanState
from probekit.model.evm import Address
from probekit.model.solana import GENESIS, Commitment
from probekit.transports.rpc import PoolPolicy
from probekit.units import format_ns, to_ns


class ChainOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a chain is read, and what counts as landed: ``confirmations`` on EVM chains, ``commitment`` on Solana's kind."""

    endpoints: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    key: pk.Secret | None = None
    chain_id: int | None = None
    genesis_hash: str | None = None
    confirmations: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    commitment: Literal["confirmed", "finalized"] = "confirmed"

    def __post_init__(self) -> None:
        if self.chain_id is not None and self.genesis_hash is not None:
            raise ValueError("chain_id is for EVM chains, genesis_hash for Solana's kind: give one")


class RuleOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for: on EVM chains an ``event`` of some ``addresses`` for which all of ``where`` holds; on Solana's kind
    transactions of a ``program`` with lines that ``logs`` find. With ``max_absence`` it is due, and its absence is the alert.
    """

    name: str
    chain: str
    severity: Literal["warning", "critical"] = "critical"
    hold: timedelta = timedelta(minutes=10)
    max_absence: timedelta | None = None
    event: str = ""
    addresses: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    units: Mapping[str, Annotated[int, msgspec.Meta(ge=0, le=77)]] = {}
    program: str = ""
    logs: tuple[str, ...] = ()
    outcome: Literal["succeeded", "failed", "any"] = "succeeded"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")
        if bool(self.event) == bool(self.program):
            raise ValueError(f"{self.name}: give event, for an EVM chain, or program, for one of Solana's kind")
        if self.event and (self.logs or self.outcome != "succeeded"):
            raise ValueError(f"{self.name}: logs and outcome go with program")
        if self.program and (self.addresses or self.where or self.units):
            raise ValueError(f"{self.name}: addresses, where and units go with event")
        self.check()
        if self.event:
            self.evm_rule()
        else:
            self.program_rule()

    def evm_rule(self) -> EvmRule:
        """Raises ``ValueError``."""
        try:
            event = NamedEvent.parse(self.event)
            conditions = tuple(Condition.parse(one, event, self.units) for one in self.where)
            return EvmRule(self.name, event, tuple(Address(one) for one in self.addresses), conditions)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def program_rule(self) -> ProgramRule:
        """Raises ``ValueError``."""
        try:
            return ProgramRule(self.name, pk.Pubkey(self.program), self.logs, self.outcome)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def check(self) -> Check:
        """Raises ``ValueError``."""
        try:
            if self.max_absence is not None:
                return EventAbsent(self.max_absence, self.severity)
            return EventMatched(self.severity, self.hold)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, ChainOption],
        pk.doc("chains by name: endpoints (with `{key}` for `key`), chain_id or genesis_hash for one that is not known"),
    ]
    rules: Annotated[tuple[RuleOption, ...], pk.doc("what to look for, each a target of its own")]
    from_block: Annotated[int | None, pk.doc("where to begin, a slot on Solana; the next block where left out")] = None
    to_block: Annotated[int | None, pk.doc("where to end for good: to replay a range with --once")] = None
    lookback: Annotated[int, pk.doc("blocks before the newest to begin at, where from_block is left out")] = 0
    max_blocks: Annotated[int, pk.doc("blocks that one request for logs may span; providers allow some thousand")] = 2_000
    max_behind: Annotated[int, pk.doc("blocks still to be looked at from which to warn")] = 1_000
    timeout: Annotated[timedelta, pk.doc("how long one look may take")] = timedelta(seconds=8)

    def __post_init__(self) -> None:
        self.require("chains", "rules", "max_blocks", "timeout")
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name, chain in self.chains.items():
            if family_of(name, chain) is None:
                yield f"chains: {name} is not known; give it chain_id or genesis_hash"
        names = [one.name for one in self.rules]
        yield from (f"rules: {one} is given twice" for one in dict.fromkeys(names) if names.count(one) > 1)
        for rule in self.rules:
            if rule.chain not in self.chains:
                yield f"rules: {rule.name} is on {rule.chain}, which is not under chains"
            elif family_of(rule.chain, self.chains[rule.chain]) != ("evm" if rule.event else "svm"):
                kind = "program" if rule.event else "event"
                yield f"rules: {rule.name}: {rule.chain} is of the other kind; give {kind}"
        if (self.from_block is not None or self.to_block is not None) and len(self.chains) > 1:
            yield "from_block and to_block are of one chain, and there are several"
        for option in ("from_block", "to_block", "lookback", "max_behind"):
            if (getattr(self, option) or 0) < 0:
                yield f"{option} must not be negative"
        if self.to_block is not None and (self.from_block is None or self.to_block < self.from_block):
            yield "to_block goes with a from_block that is not above it"


def family_of(name: str, chain: ChainOption) -> Literal["evm", "svm"] | None:
    if chain.genesis_hash is not None or (name in CLUSTERS and chain.chain_id is None):
        return "svm"
    return "evm" if chain.chain_id is not None or evm_chain(name) is not None else None


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    used = dict.fromkeys(rule.chain for rule in ctx.options.rules)
    chains = [pk.Target(name, "endpoint", f"chain {name}") for name in used]
    return [*chains, *(pk.Target(one.name, "contract", "", None, one.chain) for one in ctx.options.rules)]


Watch = EvmEventWatch | ProgramEventWatch


async def watch_of(ctx: pk.Context[Options], name: str) -> Watch:
    """What a chain is looked at with; it remembers how far."""
    from probekit.clients.evm import EvmClient

    options, chain = ctx.options, ctx.options.chains[name]
    endpoints = [pk.Endpoint(url, key=chain.key if "{key}" in url else None) for url in chain.endpoints]
    given: dict[str, Any] = {
        "chain": name,
        "transport": ctx.engine(),
        "observer": ctx.observer,
        "on_call": ctx.on_call,
        "on_change": ctx.on_change,
        "clock": ctx.clock,
        "policy": PoolPolicy(timeout=options.timeout),
    }
    rules = [rule for rule in options.rules if rule.chain == name]
    if family_of(name, chain) == "evm":
        known = evm_chain(name)
        chain_id = chain.chain_id if chain.chain_id is not None or known is None else known.chain_id
        assert chain_id is not None
        evm = await ctx.hold(f"chain {name}", lambda: EvmClient(endpoints, chain_id=chain_id, **given))
        return ctx.state(
            f"watch {name}",
            lambda: EvmEventWatch(
                evm,
                name,
                [rule.evm_rule() for rule in rules],
                from_block=options.from_block,
                to_block=options.to_block,
                lookback=options.lookback,
                confirmations=chain.confirmations,
                max_blocks=options.max_blocks,
            ),
        )
    genesis = chain.genesis_hash or GENESIS[CLUSTERS[name]]
    commitment = Commitment(chain.commitment)
    solana = await ctx.hold(
        f"chain {name}", lambda: pk.SolanaClient(endpoints, genesis_hash=genesis, commitment=commitment, **given)
    )
    return ctx.state(
        f"watch {name}",
        lambda: ProgramEventWatch(
            solana,
            name,
            [rule.program_rule() for rule in rules],
            from_slot=options.from_block,
            to_slot=options.to_block,
            lookback=options.lookback,
            commitment=commitment,
            span=ctx.span,
        ),
    )


async def look(ctx: pk.Context[Options], name: str) -> list[pk.Observation[Any] | pk.Failure]:
    """One chain: how far it was looked at, and what each of its rules has found so far."""
    clock, began_ns, timeout_ns = ctx.clock, ctx.clock.monotonic_ns(), to_ns(ctx.options.timeout)
    watch = await watch_of(ctx, name)
    state: ScanState | None = None
    try:
        # What is left over from a gap, or of a range, is looked at while there is time; then in the next run.
        while state is None or (state.last < state.due and clock.monotonic_ns() < began_ns + timeout_ns // 2):
            before, state = state, await within(clock, began_ns + timeout_ns, watch.look(clock.now()))
            if before is not None and state.last <= before.last:
                break
    except TimeoutError:
        # What was looked at in time counts; the rest is the next run's.
        if state is None:
            error = DeadlineExceeded(f"{name} was not looked at within {format_ns(timeout_ns)}")
            return [pk.Failure(error, name, clock.now(), name)]
    except ProbekitError as failed:
        return [pk.Failure(failed, name, clock.now(), name)]
    at = clock.now()
    told: list[pk.Observation[Any] | pk.Failure] = [pk.Observation(state, name, at, name)]
    rules = [rule.name for rule in ctx.options.rules if rule.chain == name]
    return [*told, *(pk.Observation(watch.sighting(rule), name, at, rule) for rule in rules)]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    chains = dict.fromkeys(rule.chain for rule in ctx.options.rules)
    async with aclosing(as_they_come(look(ctx, name) for name in chains)) as every:
        async for told in every:
            for one in told:
                yield one


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        # What was left out is told as long as any rule may have matched there.
        hold = max(rule.max_absence or rule.hold for rule in options.rules if rule.chain == target.id)
        # A range is looked at to its end, or it was not replayed.
        return [ScanReach(options.max_behind if options.to_block is None else 0, hold)]
    return [next(rule for rule in options.rules if rule.name == target.id).check()]


probe = pk.Probe.poll(
    name="contract_event",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("event.matches", "event.unreadable", "event.absence", "scan.behind"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
