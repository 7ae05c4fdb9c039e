"""Can a price update be paid for and landed on this chain, now, and read back?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample, UpdateLanded
from probekit.clients.chain_options import endpoints_of
from probekit.clients.spend_ledger import ledger_at
from probekit.codecs.evm import registry
from probekit.errors import ConfigError, ProbekitError, SendRefused
from probekit.model.canary import CanaryOutcome, CanaryReport, Caps, Coin, Fetched, NotFetched
from probekit.model.evm import Address
from probekit.transports.retry import NO_RETRY
from probekit.units import Amount

if TYPE_CHECKING:
    from probekit.clients.update_canary import UpdateCanary

Seen = pk.Observation[Any] | pk.Failure

LOCAL_CHAINS: Final = (31_337, 1_337)
"""Chain ids of nodes for development: what is spent there is nothing."""
TESTNET_CAPS: Final = ("0.01", "0.05")
"""Coins by one transaction and by all of a day, where coins have no price. Where they have one, whoever pays says both."""


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service that the update comes from")] = (
        "https://hermes.pyth.network"
    )
    api_key: Annotated[pk.Secret | None, pk.doc("reference to its API key: env:NAME, file:/path or credential:name")] = None
    feed: Annotated[pk.FeedId, pk.doc("id of the feed to update")]
    chain: Annotated[str, pk.doc("name of the chain; of one that is not in the registry, any, with chain_id")]
    chain_id: Annotated[int | None, pk.doc("what its endpoints must serve, for a chain that is not in the registry")] = None
    endpoints: Annotated[tuple[str, ...], pk.doc("its RPC endpoints, with `{key}` for rpc_key")]
    rpc_key: Annotated[pk.Secret | None, pk.doc("reference to the endpoints' API key")] = None
    contract: Annotated[str | None, pk.doc("address of Pyth's contract; by the registry where it is left out")] = None
    send: Annotated[bool, pk.doc("whether to sign and send; without it a run ends with the simulation")] = False
    key: Annotated[pk.Secret | None, pk.doc("reference to the wallet's private key (64 hex digits); never the key itself")] = (
        None
    )
    ledger: Annotated[str | None, pk.doc("path of the file that keeps what was spent; made by you, empty")] = None
    allow_mainnet: Annotated[bool, pk.doc("whether to spend on a chain that is not known as a testnet")] = False
    cap_per_transaction: Annotated[
        Amount | None,
        pk.doc(
            "the most that gas and fee of one transaction may take; on a testnet 0.01 coins where it is left out. "
            "On rollups of the OP stack the data fee for L1 comes on top"
        ),
    ] = None
    cap_per_day: Annotated[
        Amount | None,
        pk.doc(
            "nothing is sent with which those of any 24 hours might take more; on a testnet 0.05 coins where it is left out. "
            "A data fee counts once it was paid"
        ),
    ] = None
    native: Annotated[str | None, pk.doc("what the chain's coin is called, where the registry does not know")] = None
    wait: Annotated[timedelta, pk.doc("how long a run waits for its transaction; the next one follows it up")] = timedelta(
        minutes=2
    )
    max_inclusion: Annotated[timedelta, pk.doc("time from sent to included, above which it is late")] = timedelta(seconds=30)
    poll: Annotated[timedelta, pk.doc("how often to look for the transaction meanwhile")] = timedelta(seconds=1)
    max_latency: Annotated[timedelta, pk.doc("p95 of one answer of Hermes, or of a node, above which it is too slow")] = (
        timedelta(seconds=5)
    )

    def __post_init__(self) -> None:
        self.require("endpoints", "wait", "max_inclusion", "poll", "max_latency")
        problems = self._problems()
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        if chain_id_of(self) is None:
            return [f"chain: {self.chain} is not known; give it chain_id"]
        problems: list[str] = []
        known = registry.chain(self.chain)
        if known is not None and self.chain_id not in (None, known.chain_id):
            problems.append(f"chain_id: {self.chain} is {known.chain_id}, not {self.chain_id}")
        try:
            contract_of(self)
        except ValueError as error:
            problems.append(f"contract: {error}")
        try:
            endpoints_of(self.endpoints, self.rpc_key)
        except ValueError as error:
            problems.append(str(error))
        if self.wait < self.poll:
            problems.append("wait must not be shorter than poll")
        if not self.send:
            return problems
        problems += [f"{name}: needed to send" for name in ("key", "ledger") if getattr(self, name) is None]
        if not is_testnet(self):
            if not self.allow_mainnet:
                problems.append(f"allow_mainnet: {self.chain} is not known as a testnet; say true to spend real money there")
            if self.cap_per_transaction is None or self.cap_per_day is None:
                problems.append(f"cap_per_transaction and cap_per_day: needed on {self.chain}, which is not known as a testnet")
                return problems
        try:
            caps_of(self)
        except ValueError as error:
            problems.append(f"cap_per_transaction, cap_per_day: {error}")
        return problems


def chain_id_of(options: Options) -> int | None:
    known = registry.chain(options.chain)
    return options.chain_id if known is None else known.chain_id


def is_testnet(options: Options) -> bool:
    """Whether it is known that coins of the chain have no price. A chain nobody knows is not known as a testnet."""
    chain_id = chain_id_of(options)
    known = None if chain_id is None else registry.chain(chain_id)
    return chain_id in LOCAL_CHAINS if known is None else not known.mainnet


def contract_of(options: Options) -> Address:
    """Raises ``ValueError``."""
    if options.contract is not None:
        return Address(options.contract)
    found = registry.contracts(chain_id_of(options), registry.ContractKind.PYTH, registry.Deployment.STABLE)
    if len(found) != 1:
        raise ValueError(f"{len(found)} Pyth contracts are known on {options.chain}: name the address")
    return found[0].address


def coin_of(options: Options) -> Coin:
    known = registry.chain(chain_id_of(options) or 0)
    unit = options.native or (known.native_symbol if known is not None else "ETH")
    return Coin(unit, known.native_decimals if known is not None else 18, {"wei": 18, "gwei": 9})


def caps_of(options: Options) -> Caps:
    """Raises ``ValueError`` for caps that do not fit, or in another unit."""
    coin = coin_of(options)
    one, day = (Amount.parse(f"{coins} {coin.unit}") for coins in TESTNET_CAPS)
    return Caps(
        coin.base_units(options.cap_per_transaction or one),
        coin.base_units(options.cap_per_day or max(day, options.cap_per_transaction or day, key=coin.base_units)),
    )


def target_of(options: Options) -> str:
    return f"{options.chain}/{contract_of(options)}/{options.feed}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    options = ctx.options
    return [
        pk.Target.endpoint(options.endpoint),
        pk.Target(options.chain, "endpoint", f"chain {options.chain}"),
        pk.Target(target_of(options), "contract", f"{options.feed.short} on {options.chain}", behind=options.chain),
    ]


async def chain_of(ctx: pk.Context[Options]) -> pk.EvmClient:
    options, chain_id = ctx.options, chain_id_of(ctx.options)
    assert chain_id is not None
    return await ctx.evm(options.chain, endpoints_of(options.endpoints, options.rpc_key), chain_id=chain_id)


async def canary_of(ctx: pk.Context[Options]) -> UpdateCanary:
    """The canary with its wallet, where it is to send. Raises ``SendRefused`` without a ledger that says what was spent,
    ``ConfigError`` for a key that is none.
    """
    # Loaded when first used: --help and explain need none of it.
    from probekit.clients.pyth_evm import PythEvmClient
    from probekit.clients.update_canary import UpdateCanary

    options, chain_id = ctx.options, chain_id_of(ctx.options)
    canary = UpdateCanary(
        PythEvmClient(await chain_of(ctx), contract_of(options)),
        options.feed,
        target_of(options),
        coin_of(options),
        ctx.clock,
        wait=options.wait,
        poll=options.poll,
        clock_error_ns=ctx.clock_error_ns,
        on_journey=ctx.on_journey,
    )
    if options.send:
        from probekit.clients.evm_signer import EvmSigner

        key, path = options.key, options.ledger
        assert key is not None
        assert path is not None
        signer = ctx.state("signer", lambda: EvmSigner(key))
        held = await ctx.hold("ledger", lambda: ledger_at(path, chain=str(chain_id), wallet=signer.address))
        canary.signer, canary.ledger, canary.caps = signer, held, caps_of(options)
    return canary


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    options, clock = ctx.options, ctx.clock
    hermes, chain = pk.Target.endpoint(options.endpoint).id, options.chain
    # In every run, also in one that follows up an earlier transaction: both are targets of their own.
    fetched = await fetch(ctx)
    at = clock.now()
    if isinstance(fetched, Fetched):
        yield pk.Observation(LatencySample(fetched.elapsed_ns), hermes, at, hermes, fetched.elapsed_ns)
    else:
        yield pk.Failure(fetched.error, hermes, at, hermes, fetched.elapsed_ns)
    began_ns = clock.monotonic_ns()
    try:
        await (await chain_of(ctx)).block()
        elapsed_ns = clock.monotonic_ns() - began_ns
        yield pk.Observation(LatencySample(elapsed_ns, "block"), chain, clock.now(), chain, elapsed_ns)
        report = await reported(ctx, fetched)
        yield pk.Observation(report, chain, clock.now(), target_of(options), clock.monotonic_ns() - began_ns)
    except ProbekitError as error:
        yield pk.Failure(error, chain, clock.now(), chain, clock.monotonic_ns() - began_ns)


async def fetch(ctx: pk.Context[Options]) -> Fetched | NotFetched:
    """The newest update, or why there is none."""
    options, began_ns = ctx.options, ctx.clock.monotonic_ns()
    try:
        client = await ctx.hermes(options.endpoint, api_key=options.api_key, retry=NO_RETRY)
        batch = await client.latest([options.feed])
        return Fetched(batch[options.feed], batch.signed_bytes(), ctx.clock.monotonic_ns() - began_ns)
    except ProbekitError as error:
        return NotFetched(error, ctx.clock.monotonic_ns() - began_ns)


async def reported(ctx: pk.Context[Options], fetched: Fetched | NotFetched) -> CanaryReport:
    """How the canary ended; raises what reading the chain ended in."""

    def nothing(outcome: CanaryOutcome, text: str) -> CanaryReport:
        return CanaryReport(outcome=outcome, text=text, coin=coin_of(ctx.options))

    try:
        canary = await canary_of(ctx)
    except SendRefused as refused:
        return nothing("no_ledger", refused.message)
    except ConfigError as refused:
        return nothing("no_key", refused.message)
    return await canary.run(fetched)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    return [UpdateLanded(options.max_inclusion)]


probe = pk.Probe.poll(
    name="update_canary",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=10),
    deadline=timedelta(minutes=5),
    metrics=("canary.paid", "canary.spent", "latency"),
    needs=("evm",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
