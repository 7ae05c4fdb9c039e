"""Does every chain verify by the signer set that signs, of one root with its data sources, and until when?"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample, SignerSetExpiry, SignerSetMatch
from probekit.clients import chain_options
from probekit.clients.chain_options import shared_failure
from probekit.codecs.evm.registry import ContractKind, contracts
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model.evm import Address
from probekit.model.pyth_evm import PythEvmState
from probekit.model.receiver import ProgramGeneration, SetInForce
from probekit.model.signer_set import KnownSet, SetSighting
from probekit.trust import SignerSetOption, Trust

GUARDIANS: Final = ("https://wormhole-v2-mainnet-api.mcf.rocks", "https://wormhole-v2-mainnet-api.staking.fund")
WITNESSES: Final = 2
"""Places that must hold the same unknown set for it to count as the newest."""


class ChainOption(chain_options.ChainOption, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a chain is read. What the registry knows of the chain's name need not be said."""

    contracts: tuple[str, ...] = ()
    generations: tuple[ProgramGeneration, ...] = tuple(ProgramGeneration)
    root: Literal["core", "pro"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for address in self.contracts:
            Address(address)


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, ChainOption],
        pk.doc(
            "chains by name: endpoints (with `{key}` for `key`); chain_id and contracts, or genesis_hash, for one that is not "
            "known; generations of Solana's programs; root, the one that is expected"
        ),
    ]
    guardians: Annotated[
        tuple[str, ...] | None,
        pk.doc(
            "base URLs of guardians' public API, asked in order; without it, the main network's, if its sets are the known ones"
        ),
    ] = None
    network: Annotated[pk.trust.Network, pk.doc("whose sets are known")] = "mainnet"
    signer_sets: Annotated[tuple[SignerSetOption, ...], pk.doc("known sets in place of the network's own")] = ()
    warn_before: Annotated[timedelta, pk.doc("how long before the expiry of a set to warn")] = timedelta(days=7)
    max_latency: Annotated[timedelta, pk.doc("p95 of the time to read a chain, above which it is too slow")] = timedelta(
        seconds=20
    )

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name, chain in self.chains.items():
            family = chain.family(name)
            if family == "svm":
                if not chain.generations:
                    yield f"chains: {name} has no generations to look at"
            elif family is None:
                yield f"chains: {name} is not known; give it chain_id or genesis_hash"
            elif not addresses(name, chain):
                yield f"chains: no contract of Pyth is known on {name}; give its contracts"
        try:
            trust_of(self)
        except ValueError as error:
            yield str(error)


def addresses(name: str, chain: ChainOption) -> dict[Address, str]:
    """Pyth's contracts on an EVM chain and what to call them: the given ones, else all that the registry has."""
    if chain.contracts:
        return {Address(one): "" for one in chain.contracts}
    return {one.address: one.deployment.value for one in contracts(chain.evm_id(name), ContractKind.PYTH)}


def trust_of(options: Options) -> Trust:
    """The sets that are known. Raises ``ValueError``."""
    return pk.trust.chosen(options.network, options.signer_sets)


def known_sets(options: Options) -> tuple[KnownSet, ...]:
    return tuple(KnownSet(one.root, one.index, one.signers) for one in trust_of(options).sets)


@dataclass(frozen=True)
class Place:
    """Where a set is held: the target it is told on."""

    id: str
    label: str
    chain: str


def places(options: Options, name: str) -> dict[Address | ProgramGeneration, Place]:
    chain = options.chains[name]
    if chain.family(name) == "svm":
        return {one: Place(f"{name}/{one}", f"{name} {one} programs", name) for one in chain.generations}
    found = addresses(name, chain)
    return {address: Place(f"{name}/{address}", f"{name} {kind}".strip(), name) for address, kind in found.items()}


def guardians_of(options: Options) -> tuple[str, ...]:
    """Whom to ask what Wormhole's set is: on another network than the main one, its guardians would say of another."""
    if options.guardians is not None:
        return options.guardians
    return GUARDIANS if options.network == "mainnet" and not options.signer_sets else ()


def guardians_id(options: Options) -> str:
    """The target's id; empty where nobody is asked."""
    return "".join(pk.Target.endpoint(url).id for url in guardians_of(options)[:1])


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    options = ctx.options
    asked = guardians_id(options)
    found = [pk.Target(asked, "endpoint", "the guardians' API")] if asked else []
    for name, chain in options.chains.items():
        found.append(pk.Target(name, "endpoint", f"chain {name}"))
        kind: Literal["account", "contract"] = "account" if chain.family(name) == "svm" else "contract"
        found += [pk.Target(one.id, kind, one.label, behind=name) for one in places(options, name).values()]
    return found


Told = list[tuple[str, SetSighting | LatencySample | ProbekitError]]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    import asyncio

    options = ctx.options
    # All at once: a tick takes as long as the slowest, not as all of them together.
    reads = [read_chain(ctx, name) for name in options.chains]
    if guardians_of(options):
        reads.append(read_guardians(ctx))
    told = [one for part in await asyncio.gather(*reads) for one in part]
    newer = newer_sets(options, told)
    behind = {place.id: place.chain for name in options.chains for place in places(options, name).values()}
    at = ctx.clock.now()
    for target, found in told:
        source = behind.get(target, target)
        if isinstance(found, ProbekitError):
            yield pk.Failure(found, source, at, target)
        else:
            value = msgspec.structs.replace(found, newer=newer) if isinstance(found, SetSighting) else found
            yield pk.Observation(value, source, at, target)


def newer_sets(options: Options, told: Told) -> tuple[KnownSet, ...]:
    """Sets newer than all that are known, of which one may be sure: the guardians say so, or several places hold the same."""
    trust, known = trust_of(options), known_sets(options)
    newest = {root: found.index for root in trust.roots() if (found := trust.newest(root)) is not None}
    witnesses: Counter[KnownSet] = Counter()
    for target, sighting in told:
        if not isinstance(sighting, SetSighting) or sighting.index is None or sighting.signers is None:
            continue
        by_guardians = target == guardians_id(options)
        roots = (pk.TrustRoot.CORE,) if by_guardians else sighting.emitter_roots or ()
        if sighting.known(known) is None and len(roots) == 1 and sighting.index > newest.get(roots[0], -1):
            witnesses[KnownSet(roots[0], sighting.index, sighting.signers)] += WITNESSES if by_guardians else 1
    return tuple(one for one, count in witnesses.items() if count >= WITNESSES)


async def read_guardians(ctx: pk.Context[Options]) -> Told:
    options = ctx.options
    client = await ctx.hold(
        "guardians",
        lambda: pk.WormholeClient(guardians_of(options), transport=ctx.engine(), observer=ctx.observer, clock=ctx.clock),
    )
    try:
        held = await client.guardian_set()
    except ProbekitError as error:
        return [(guardians_id(options), error)]
    return [(guardians_id(options), SetSighting(index=held.index, signers=held.guardians))]


async def read_chain(ctx: pk.Context[Options], name: str) -> Told:
    """Every place of one chain, and the chain's own answer: its time, or why nothing could be read."""
    began_ns = ctx.clock.monotonic_ns()
    read = read_evm if ctx.options.chains[name].family(name) == "evm" else read_solana
    try:
        found = await read(ctx, name)
    except ProbekitError as error:
        return [(name, error)]
    lost = shared_failure([one for _, one in found], own=(NotFound, DecodeError))
    if lost is not None:
        return [(name, lost)]
    return [(name, LatencySample(ctx.clock.monotonic_ns() - began_ns)), *found]


async def read_evm(ctx: pk.Context[Options], name: str) -> Told:
    import asyncio

    option, trust = ctx.options.chains[name], ctx.state("trust", lambda: trust_of(ctx.options))
    chain_id = option.evm_id(name)
    assert chain_id is not None
    evm = await ctx.evm(name, option.nodes, chain_id=chain_id)
    block = await evm.block()

    async def one(address: str, place: Place) -> tuple[str, SetSighting | ProbekitError]:
        try:
            return place.id, sighting_of(await pk.PythEvmClient(evm, address, trust=trust).state(block))
        except ProbekitError as error:
            return place.id, error

    return [*await asyncio.gather(*(one(str(address), place) for address, place in places(ctx.options, name).items()))]


def sighting_of(state: PythEvmState) -> SetSighting:
    """A set in force on an EVM chain has no expiry there, whatever is stored: only one that was replaced ends."""
    receiver, sources = state.receiver, state.contract.data_sources
    unanswered = state.contract.unanswered + (receiver.unanswered if receiver is not None else ())
    held = receiver.guardian_set if receiver is not None else None
    return SetSighting(
        index=receiver.set_index if receiver is not None else None,
        signers=None if held is None else tuple(bytes(one) for one in held.guardians),
        quorum=receiver.quorum if receiver is not None else None,
        emitter_roots=None if sources is None else state.emitter_roots,
        unanswered=tuple(f"{one.name}: {one.reason}" for one in unanswered),
    )


async def read_solana(ctx: pk.Context[Options], name: str) -> Told:
    option, trust = ctx.options.chains[name], ctx.state("trust", lambda: trust_of(ctx.options))
    solana = await ctx.solana(name, option.nodes, genesis_hash=option.genesis(name))
    found = await pk.ReceiverClient(solana, clock=ctx.clock).in_force(option.generations)
    at = places(ctx.options, name)
    return [
        (at[generation].id, one if isinstance(one, ProbekitError) else program_sighting(one, trust))
        for generation, one in found.items()
    ]


def program_sighting(held: SetInForce, trust: Trust) -> SetSighting:
    guardians = held.guardian_set
    roots = [trust.root_of(one.chain, bytes(one.emitter)) for one in held.config.data_sources]
    return SetSighting(
        index=guardians.index,
        signers=guardians.guardians,
        expires_at=pk.Instant.from_seconds(guardians.expiration_time) if guardians.expiration_time else None,
        emitter_roots=tuple(dict.fromkeys(root for root in roots if root is not None)),
        other_emitters=roots.count(None),
    )


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id == guardians_id(options):
        return [SignerSetMatch(known_sets(options), pk.TrustRoot.CORE)]
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    root = options.chains[target.behind].root
    return [
        SignerSetMatch(known_sets(options), None if root is None else pk.TrustRoot(root)),
        SignerSetExpiry(options.warn_before),
    ]


probe = pk.Probe.poll(
    name="guardian_set",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=10),
    deadline=timedelta(minutes=1),
    metrics=("signer_set.index", "signer_set.time_left", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
