"""Does a transaction that is paid for land on this Solana cluster, and how soon is it final?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample, TransferLanded
from probekit.clients.chain_options import CLUSTERS, endpoints_of
from probekit.clients.spend_ledger import ledger_at
from probekit.errors import ConfigError, ProbekitError, SendRefused
from probekit.model.canary import CanaryOutcome, CanaryReport, Caps, Coin
from probekit.model.solana import GENESIS
from probekit.units import Amount

if TYPE_CHECKING:
    from probekit.clients.transfer_canary import TransferCanary

Seen = pk.Observation[Any] | pk.Failure

SOL: Final = Coin("SOL", 9, {"lamports": 9})
TESTNETS: Final = frozenset((GENESIS["devnet"], GENESIS["testnet"]))
"""Clusters whose coins have no price. One that nobody knows is none of them."""
TESTNET_CAPS: Final = (Amount.parse("0.0001 SOL"), Amount.parse("0.01 SOL"))
"""By one transaction and by all of a day, where coins have no price."""


class Options(pk.Options, frozen=True, kw_only=True):
    cluster: Annotated[str, pk.doc("solana_devnet, solana_testnet or solana; any name for one with genesis_hash")] = (
        "solana_devnet"
    )
    genesis_hash: Annotated[str | None, pk.doc("what its endpoints must serve, for a cluster that is none of these")] = None
    endpoints: Annotated[tuple[str, ...], pk.doc("its RPC endpoints, with `{key}` for rpc_key")]
    rpc_key: Annotated[pk.Secret | None, pk.doc("reference to the endpoints' API key")] = None
    send: Annotated[bool, pk.doc("whether to sign and send; without it a run ends with the simulation")] = False
    key: Annotated[
        pk.Secret | None, pk.doc("reference to the wallet's keypair (base58, or solana-keygen's file); never the key itself")
    ] = None
    wallet: Annotated[str | None, pk.doc("the wallet's address, where nothing is sent and there is no key")] = None
    ledger: Annotated[str | None, pk.doc("path of the file that keeps what was spent; made by you, empty")] = None
    allow_mainnet: Annotated[bool, pk.doc("whether to spend on a cluster that is not known as a testnet")] = False
    cap_per_transaction: Annotated[
        Amount | None, pk.doc("the most that one transaction may take; on a testnet 0.0001 SOL where it is left out")
    ] = None
    cap_per_day: Annotated[
        Amount | None, pk.doc("the most that those of any 24 hours may take; on a testnet 0.01 SOL where it is left out")
    ] = None
    amount: Annotated[Amount, pk.doc("what is moved from the wallet to itself")] = Amount.parse("1 lamports")
    unit_price: Annotated[
        int | None,
        pk.doc("priority fee in micro-lamports for each compute unit; the median of recent blocks where it is left out"),
    ] = None
    wait: Annotated[timedelta, pk.doc("how long a run waits for finality; the next one follows it up")] = timedelta(minutes=2)
    max_landing: Annotated[timedelta, pk.doc("time from sent to confirmed, above which it is late")] = timedelta(seconds=15)
    poll: Annotated[timedelta, pk.doc("how often to look for the transaction meanwhile")] = timedelta(milliseconds=500)
    max_latency: Annotated[timedelta, pk.doc("p95 of one answer of a node, above which it is too slow")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("endpoints", "wait", "max_landing", "poll", "max_latency")
        problems = self._problems()
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        problems: list[str] = []
        known = GENESIS.get(CLUSTERS.get(self.cluster, ""))
        if known is None and self.genesis_hash is None:
            problems.append(f"cluster: {self.cluster} is not known; give it genesis_hash")
        elif known is not None and self.genesis_hash not in (None, known):
            problems.append(f"genesis_hash: {self.cluster} is {known}, not {self.genesis_hash}")
        for check in (lambda: endpoints_of(self.endpoints, self.rpc_key), lambda: SOL.base_units(self.amount)):
            try:
                check()
            except ValueError as error:
                problems.append(str(error))
        if self.wallet is not None:
            try:
                pk.Pubkey(self.wallet)
            except ValueError as error:
                problems.append(f"wallet: {error}")
        if self.unit_price is not None and not 0 <= self.unit_price < 2**63:
            problems.append("unit_price is not below zero")
        if self.wait < self.poll:
            problems.append("wait must not be shorter than poll")
        if self.send:
            problems += [f"{name}: needed to send" for name in ("key", "ledger") if getattr(self, name) is None]
        elif self.key is None and self.wallet is None:
            problems.append("wallet: needed where there is no key")
        if self.send and not is_testnet(self):
            if not self.allow_mainnet:
                problems.append(f"allow_mainnet: {self.cluster} is not known as a testnet; say true to spend real money there")
            if self.cap_per_transaction is None or self.cap_per_day is None:
                problems.append(
                    f"cap_per_transaction and cap_per_day: needed on {self.cluster}, which is not known as a testnet"
                )
                return problems
        try:
            caps_of(self)
        except ValueError as error:
            problems.append(f"cap_per_transaction, cap_per_day: {error}")
        return problems


def genesis_of(options: Options) -> str:
    return options.genesis_hash or GENESIS[CLUSTERS[options.cluster]]


def is_testnet(options: Options) -> bool:
    """Whether it is known that coins of the cluster have no price."""
    return (options.genesis_hash or GENESIS.get(CLUSTERS.get(options.cluster, ""))) in TESTNETS


def caps_of(options: Options) -> Caps:
    """Raises ``ValueError`` for caps that do not fit, or in another unit."""
    one, day = TESTNET_CAPS
    per_transaction = SOL.base_units(options.cap_per_transaction or one)
    per_day = max(SOL.base_units(day), per_transaction) if options.cap_per_day is None else SOL.base_units(options.cap_per_day)
    return Caps(per_transaction, per_day)


def target_of(options: Options) -> str:
    return f"transfer on {options.cluster}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    cluster = ctx.options.cluster
    return [pk.Target(cluster, "endpoint"), pk.Target(target_of(ctx.options), "account", behind=cluster)]


async def cluster_of(ctx: pk.Context[Options]) -> pk.SolanaClient:
    options = ctx.options
    nodes = endpoints_of(options.endpoints, options.rpc_key)
    return await ctx.solana(options.cluster, nodes, genesis_hash=genesis_of(options))


async def canary_of(ctx: pk.Context[Options]) -> TransferCanary:
    """The canary with its wallet. Raises ``SendRefused`` without a ledger that says what was spent, ``ConfigError`` for a key
    that is none.
    """
    # Loaded when first used: --help and explain need none of it.
    from probekit.clients.solana_signer import SolanaSigner
    from probekit.clients.transfer_canary import TransferCanary

    options, key, path = ctx.options, ctx.options.key, ctx.options.ledger
    signer = None if key is None else ctx.state("signer", lambda: SolanaSigner(key))
    wallet = pk.Pubkey(options.wallet or "") if signer is None else signer.address
    canary = TransferCanary(
        await cluster_of(ctx),
        wallet,
        target_of(options),
        SOL,
        ctx.clock,
        caps_of(options),
        lamports=SOL.base_units(options.amount),
        unit_price=options.unit_price,
        wait=options.wait,
        poll=options.poll,
        clock_error_ns=ctx.clock_error_ns,
        on_journey=ctx.on_journey,
    )
    if options.send:
        assert path is not None
        held = await ctx.hold("ledger", lambda: ledger_at(path, chain=genesis_of(options), wallet=str(wallet)))
        canary.signer, canary.ledger = signer, held
    return canary


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    cluster, clock, began_ns = ctx.options.cluster, ctx.clock, ctx.clock.monotonic_ns()
    try:
        await (await cluster_of(ctx)).slot()
        elapsed_ns = clock.monotonic_ns() - began_ns
        yield pk.Observation(LatencySample(elapsed_ns, "slot"), cluster, clock.now(), cluster, elapsed_ns)
        report = await reported(ctx)
        yield pk.Observation(report, cluster, clock.now(), target_of(ctx.options), clock.monotonic_ns() - began_ns)
    except ProbekitError as error:
        yield pk.Failure(error, cluster, clock.now(), cluster, clock.monotonic_ns() - began_ns)


async def reported(ctx: pk.Context[Options]) -> CanaryReport:
    """How the canary ended; raises what reading the cluster ended in."""

    def nothing(outcome: CanaryOutcome, text: str) -> CanaryReport:
        return CanaryReport(outcome=outcome, text=text, coin=SOL)

    try:
        canary = await canary_of(ctx)
    except (SendRefused, ConfigError) as refused:
        return nothing("no_ledger" if isinstance(refused, SendRefused) else "no_key", refused.message)
    return await canary.run()


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    return [TransferLanded(options.max_landing)]


probe = pk.Probe.poll(
    name="transfer_canary",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=10),
    deadline=timedelta(minutes=5),
    metrics=("canary.paid", "canary.spent", "canary.slots", "latency"),
    needs=("solana",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
