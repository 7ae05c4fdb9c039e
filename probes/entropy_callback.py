"""Are random numbers revealed in time and right, and do their callbacks succeed?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import probekit as pk
from probekit.checks import (
    Check,
    EntropyCallbacks,
    EntropyPending,
    EntropyProvider,
    EntropyRevelation,
    LatencyBudget,
    LatencySample,
)
from probekit.clients.chain_options import ChainOption
from probekit.clock import as_they_come
from probekit.codecs.evm import registry
from probekit.errors import ProbekitError
from probekit.model.canary import Coin
from probekit.model.entropy import StuckLimit
from probekit.model.evm import Address
from probekit.transports.retry import NO_RETRY
from probekit.units import Amount

if TYPE_CHECKING:
    from probekit.clients.entropy_watch import EntropyWatcher

Seen = pk.Observation[Any] | pk.Failure
MAX_WINDOW: Final = 1_000
MAX_LOOKBACK: Final = 10_000


class EntropyChain(ChainOption, frozen=True, kw_only=True):
    """A chain with Entropy on it. ``contract`` is by the registry, ``provider`` the contract's default one where left out.

    ``fortuna`` is the base URL of the service that reveals, ``fortuna_chain`` what it calls the chain.
    """

    contract: str | None = None
    provider: str | None = None
    fortuna: str | None = None
    fortuna_chain: str | None = None
    native: str | None = None
    max_fee: Amount | None = None
    stuck_after: timedelta | None = None
    stuck_blocks: int | None = None

    def contract_on(self, name: str) -> Address:
        """Raises ``ValueError``."""
        if self.contract is not None:
            return Address(self.contract)
        found = registry.contracts(self.evm_id(name) or 0, registry.ContractKind.ENTROPY)
        if len(found) != 1:
            raise ValueError(f"{len(found)} Entropy contracts are known there: name the address as contract")
        return found[0].address

    def coin_on(self, name: str) -> Coin:
        known = registry.chain(self.evm_id(name) or 0)
        unit = self.native or (known.native_symbol if known is not None else "ETH")
        return Coin(unit, known.native_decimals if known is not None else 18, {"wei": 18, "gwei": 9})


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, EntropyChain],
        pk.doc(
            "chains by name: endpoints (with `{key}` for `key`), and at will chain_id, contract, provider, fortuna, "
            "fortuna_chain, native, max_fee, stuck_after, stuck_blocks"
        ),
    ]
    stuck_after: Annotated[timedelta, pk.doc("how long a request may wait")] = timedelta(minutes=2)
    stuck_blocks: Annotated[int, pk.doc("how many of the contract's blocks it may wait; beyond either it is stuck")] = 300
    window: Annotated[int, pk.doc("how many of the last requests are looked at; older ones as long as they wait")] = 200
    lookback: Annotated[int, pk.doc("how many requests before those are looked at once, when the probe starts")] = 1_000
    failed_within: Annotated[timedelta, pk.doc("how long a failed callback is counted")] = timedelta(hours=1)
    max_failed: Annotated[int, pk.doc("how many failed callbacks are usual")] = 0
    critical_remaining: Annotated[int, pk.doc("requests left of the hash chain, below which it is as good as used up")] = 1_000
    warn_remaining: Annotated[int, pk.doc("requests left from which to warn")] = 10_000
    keeper_gas: Annotated[int, pk.doc("gas that the keeper gives a reveal, to find out why one is stuck")] = 500_000
    explain_within: Annotated[
        timedelta, pk.doc("how long to find out why requests of a chain wait, and again to wait for the service")
    ] = timedelta(seconds=5)
    max_latency: Annotated[timedelta, pk.doc("p95 of the time to look at a chain, above which it is too slow")] = timedelta(
        seconds=10
    )

    def __post_init__(self) -> None:
        self.require(
            "chains", "stuck_after", "stuck_blocks", "window", "failed_within", "keeper_gas", "explain_within", "max_latency"
        )
        problems = [f"window is at most {MAX_WINDOW}"] if self.window > MAX_WINDOW else []
        if not 0 <= self.lookback <= MAX_LOOKBACK:
            problems.append(f"lookback is from 0 to {MAX_LOOKBACK}")
        if self.max_failed < 0:
            problems.append("max_failed must not be below zero")
        if not 0 < self.critical_remaining < self.warn_remaining:
            problems.append("0 < critical_remaining < warn_remaining must hold")
        for name, chain in self.chains.items():
            problems += [f"chains: {name}: {problem}" for problem in problems_of(name, chain)]
        if problems:
            raise ValueError("; ".join(problems))


def problems_of(name: str, chain: EntropyChain) -> list[str]:
    if chain.evm_id(name) is None:
        return ["it is not known; give it chain_id"]
    problems: list[str] = []
    try:
        chain.contract_on(name)
        if chain.provider is not None:
            Address(chain.provider)
        if chain.max_fee is not None:
            chain.coin_on(name).base_units(chain.max_fee)
    except ValueError as error:
        problems.append(str(error))
    for given in ("stuck_after", "stuck_blocks"):
        value = getattr(chain, given)
        if value is not None and value <= type(value)():
            problems.append(f"{given} must be positive")
    if chain.fortuna_chain is not None and chain.fortuna is None:
        problems.append("fortuna_chain says nothing without fortuna")
    return problems


def provider_id(name: str, chain: EntropyChain) -> str:
    parts = (name, chain.contract_on(name), chain.provider)
    return "/".join(str(part) for part in parts if part is not None)


def service_id(name: str, chain: EntropyChain) -> str:
    return f"{pk.Target.endpoint(chain.fortuna or '').id} on {name}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    found: list[pk.Target] = []
    for name, chain in ctx.options.chains.items():
        found.append(pk.Target(name, "endpoint", f"chain {name}"))
        found.append(pk.Target(provider_id(name, chain), "contract", f"Entropy on {name}", behind=name))
        if chain.fortuna is not None:
            found.append(pk.Target(service_id(name, chain), "service", f"Fortuna on {name}", behind=name))
    return found


async def watcher_of(ctx: pk.Context[Options], name: str, chain: EntropyChain) -> EntropyWatcher:
    # Loaded when first used: --help and explain need none of it.
    from probekit.clients.entropy_watch import EntropyWatcher

    options, chain_id, service = ctx.options, chain.evm_id(name), chain.fortuna
    assert chain_id is not None
    evm = await ctx.evm(name, chain.nodes, chain_id=chain_id)
    fortuna = None
    if service is not None:
        fortuna = await ctx.hold(
            f"fortuna {service}",
            lambda: pk.FortunaClient(service, transport=ctx.engine(), retry=NO_RETRY, observer=ctx.observer, clock=ctx.clock),
        )
    return ctx.state(
        f"watcher {name}",
        lambda: EntropyWatcher(
            pk.EntropyClient(evm, chain.contract_on(name)),
            chain.coin_on(name),
            limit=StuckLimit(chain.stuck_after or options.stuck_after, chain.stuck_blocks or options.stuck_blocks),
            provider=chain.provider,
            window=options.window,
            lookback=options.lookback,
            failed_within=options.failed_within,
            fortuna=fortuna,
            fortuna_chain=chain.fortuna_chain or name,
            gas=options.keeper_gas,
            patience=options.explain_within,
            clock=ctx.clock,
        ),
    )


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    looks = (look(ctx, name, chain) for name, chain in ctx.options.chains.items())
    async with aclosing(as_they_come(looks)) as every:
        async for told in every:
            for one in told:
                yield one


async def look(ctx: pk.Context[Options], name: str, chain: EntropyChain) -> list[Seen]:
    """One chain: its time, its provider, and the service that reveals; or why it could not be read."""
    clock, began_ns = ctx.clock, ctx.clock.monotonic_ns()
    try:
        watcher = await watcher_of(ctx, name, chain)
        seen = await watcher.look()
    except pk.errors.NotFound as error:
        # It is the contract that is not there, and the chain says so.
        elapsed_ns = clock.monotonic_ns() - began_ns
        return [
            pk.Observation(LatencySample(elapsed_ns, "look"), name, clock.now(), name, elapsed_ns),
            *(pk.Failure(error, name, clock.now(), one) for one in behind(name, chain)),
        ]
    except ProbekitError as error:
        return [pk.Failure(error, name, clock.now(), name, clock.monotonic_ns() - began_ns)]
    # What comes now is asked of the service, and takes its time: none of it is the chain's.
    at, elapsed_ns = clock.now(), clock.monotonic_ns() - began_ns
    seen = await watcher.explained()
    told: list[Seen] = [
        pk.Observation(LatencySample(elapsed_ns, "look"), name, at, name, elapsed_ns),
        pk.Observation(seen, name, at, provider_id(name, chain), elapsed_ns),
    ]
    if chain.fortuna is not None:
        service, began_ns = service_id(name, chain), clock.monotonic_ns()
        try:
            said = await watcher.revelation()
        except ProbekitError as error:
            told.append(pk.Failure(error, service, clock.now(), service, clock.monotonic_ns() - began_ns))
        else:
            told.append(pk.Observation(said, service, clock.now(), service, clock.monotonic_ns() - began_ns))
    return told


def behind(name: str, chain: EntropyChain) -> list[str]:
    return [provider_id(name, chain), *([service_id(name, chain)] if chain.fortuna is not None else [])]


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    if target.kind == "service":
        return [EntropyRevelation()]
    chain = options.chains[target.behind]
    coin, fee = chain.coin_on(target.behind), chain.max_fee
    max_fee = None if fee is None else Amount(coin.coins(coin.base_units(fee)), coin.unit)
    return [
        EntropyPending(),
        EntropyCallbacks(options.max_failed),
        EntropyProvider(options.critical_remaining, options.warn_remaining, max_fee),
    ]


probe = pk.Probe.poll(
    name="entropy_callback",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=30),
    deadline=timedelta(seconds=25),
    metrics=("entropy.pending", "entropy.oldest_age", "entropy.failed", "entropy.remaining", "entropy.fee", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
