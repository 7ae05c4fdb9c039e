"""Does every node of every Solana cluster show the cluster's slot, and does the cluster make blocks and settle them?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

import msgspec

import probekit as pk
from probekit.checks import Check, EndpointQuorum, FinalityHolds, FinalityLag, HeadAge, HeadLag, HeadStall, NodeSync
from probekit.clients import chain_options
from probekit.clients.each_endpoint import endpoint_targets, own_or_common, release_wrong, too_few
from probekit.clients.endpoint_heads import Seen, heads_of, svm_head
from probekit.clock import as_they_come
from probekit.model.options import require_positive


class ClusterOption(chain_options.ChainOption, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster's nodes, and its limits in place of the common ones."""

    max_head_age: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_slots: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None
    max_stall: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_confirmed_slots: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None
    max_finalized_slots: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None
    finality_tolerance_slots: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=0)] = None
    alive_endpoints: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain_id is not None:
            raise ValueError("chain_id is for EVM chains: see the probe evm_head_lag")
        require_positive(self, "max_head_age", "max_stall")


class Options(pk.Options, frozen=True, kw_only=True):
    clusters: Annotated[
        dict[str, ClusterOption],
        pk.doc(
            "clusters by name (solana, solana_devnet, solana_testnet): endpoints (with `{key}` for `key`), genesis_hash for "
            "another one, limits of its own"
        ),
    ]
    max_head_age: Annotated[timedelta, pk.doc("age of the cluster's clock, by this one, at which it is stale")] = timedelta(
        seconds=30
    )
    max_slots: Annotated[int, pk.doc("slots that a node may be behind the best"), msgspec.Meta(ge=1)] = 50
    max_stall: Annotated[timedelta, pk.doc("how long slot or block height may not rise")] = timedelta(seconds=30)
    max_confirmed_slots: Annotated[
        int | None, pk.doc("slots from the newest to the confirmed one, to warn; none: not judged"), msgspec.Meta(ge=1)
    ] = 16
    max_finalized_slots: Annotated[
        int | None, pk.doc("slots from the newest to the finalized one; none: not judged"), msgspec.Meta(ge=1)
    ] = 96
    finality_tolerance_slots: Annotated[
        int, pk.doc("slots that the finalized one may fall back: two nodes behind one address"), msgspec.Meta(ge=0)
    ] = 150
    alive_endpoints: Annotated[int, pk.doc("nodes of each cluster that must follow"), msgspec.Meta(ge=1)] = 1
    timeout: Annotated[timedelta, pk.doc("how long a node may take to answer")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))
        self.require("clusters", "max_head_age", "max_stall", "timeout")

    def _problems(self) -> Iterator[str]:
        for name, cluster in self.clusters.items():
            if cluster.genesis(name) is None:
                yield f"clusters: {name} is not known; give it genesis_hash"
            wanted = cluster.alive_endpoints or self.alive_endpoints
            yield from too_few("clusters", name, cluster, wanted, "alive_endpoints")

    def limit(self, cluster: ClusterOption, name: str) -> Any:
        """A cluster's own limit, or the common one."""
        return own_or_common(self, cluster, name)


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return endpoint_targets("cluster", ctx.options.clusters)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    # Each cluster tells as soon as it is read: one that hangs holds up no other.
    async with aclosing(as_they_come(read(ctx, name, cluster) for name, cluster in ctx.options.clusters.items())) as clusters:
        async for found in clusters:
            for seen in found:
                yield seen


async def read(ctx: pk.Context[Options], name: str, cluster: ClusterOption) -> Sequence[Seen]:
    """Every node of a cluster, through a pool of its own: none may answer for another."""
    options, genesis = ctx.options, cluster.genesis(name)
    clients = {
        node.label: await ctx.solana(name, [node], genesis_hash=genesis, timeout=options.timeout) for node in cluster.nodes
    }
    seen = await heads_of(
        name,
        {label: svm_head(client) for label, client in clients.items()},
        clock=ctx.clock,
        clock_error_ns=lambda: ctx.clock_error_ns,
        timeout=options.timeout,
        max_blocks=options.limit(cluster, "max_slots"),
    )
    await release_wrong(ctx.release, clients, ((one.source, one.error) for one in seen if isinstance(one, pk.Failure)))
    return seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id in options.clusters:
        cluster = options.clusters[target.id]
        return [HeadAge(options.limit(cluster, "max_head_age")), EndpointQuorum(options.limit(cluster, "alive_endpoints"))]
    cluster = options.clusters[target.id.partition("/")[0]]
    finality = FinalityLag(
        max_blocks=options.limit(cluster, "max_finalized_slots"), max_soft_blocks=options.limit(cluster, "max_confirmed_slots")
    )
    return [
        HeadAge(options.limit(cluster, "max_head_age")),
        # Not by the cluster's clock: it is of whole seconds, and drifts.
        HeadLag(None, options.limit(cluster, "max_slots")),
        HeadStall(options.limit(cluster, "max_stall")),
        finality,
        FinalityHolds(tolerance_slots=options.limit(cluster, "finality_tolerance_slots")),
        NodeSync(),
    ]


probe = pk.Probe.poll(
    name="solana_slot_lag",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=(
        "chain.head_age",
        "chain.head_lag",
        "chain.head_lag.blocks",
        "chain.finality_lag.blocks",
        "chain.soft_lag.blocks",
        "chain.endpoints_alive",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
