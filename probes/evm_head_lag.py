"""Does every RPC endpoint of every EVM chain show the chain's head, and does the chain move and settle?"""

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
from probekit.clients.endpoint_heads import Seen, evm_head, heads_of
from probekit.clock import as_they_come
from probekit.model.options import require_positive


class ChainOption(chain_options.ChainOption, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain's endpoints, and its limits in place of the common ones."""

    max_head_age: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_lag: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_blocks: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None
    max_stall: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_finality_lag: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    max_safe_lag: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    finality_tolerance: Annotated[timedelta | None, pk.doc("in place of the common one")] = None
    alive_endpoints: Annotated[int | None, pk.doc("in place of the common one"), msgspec.Meta(ge=1)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.genesis_hash is not None:
            raise ValueError("genesis_hash is for Solana's kind of chain: see the probe solana_slot_lag")
        require_positive(self, *LIMITS)


LIMITS = ("max_head_age", "max_lag", "max_stall", "max_finality_lag", "max_safe_lag", "finality_tolerance")


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, ChainOption],
        pk.doc("chains by name: endpoints (with `{key}` for `key`), chain_id for one that is not known, limits of its own"),
    ]
    max_head_age: Annotated[timedelta, pk.doc("age of the newest block, by this clock, at which it is stale")] = timedelta(
        seconds=60
    )
    max_lag: Annotated[timedelta, pk.doc("how far an endpoint may be behind the best, in the blocks' own time")] = timedelta(
        seconds=30
    )
    max_blocks: Annotated[int | None, pk.doc("the same in blocks; left out: no limit"), msgspec.Meta(ge=1)] = None
    max_stall: Annotated[timedelta, pk.doc("how long a head may not rise")] = timedelta(seconds=60)
    max_finality_lag: Annotated[
        timedelta | None, pk.doc("how far the finalized block may be behind the newest; left out: measured, not judged")
    ] = None
    max_safe_lag: Annotated[timedelta | None, pk.doc("the same of the safe block, to warn")] = None
    finality_tolerance: Annotated[
        timedelta, pk.doc("how far the finalized block may fall back, in the blocks' own time: two nodes behind one address")
    ] = timedelta(minutes=15)
    alive_endpoints: Annotated[int, pk.doc("endpoints of each chain that must follow"), msgspec.Meta(ge=1)] = 1
    timeout: Annotated[timedelta, pk.doc("how long an endpoint may take to answer")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))
        self.require("chains", *LIMITS, "timeout")

    def _problems(self) -> Iterator[str]:
        for name, chain in self.chains.items():
            if chain.evm_id(name) is None:
                yield f"chains: {name} is not known; give it chain_id"
            wanted = chain.alive_endpoints or self.alive_endpoints
            yield from too_few("chains", name, chain, wanted, "alive_endpoints")

    def limit(self, chain: ChainOption, name: str) -> Any:
        """A chain's own limit, or the common one."""
        return own_or_common(self, chain, name)


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return endpoint_targets("chain", ctx.options.chains)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    # Each chain tells as soon as it is read: one that hangs holds up no other.
    async with aclosing(as_they_come(read(ctx, name, chain) for name, chain in ctx.options.chains.items())) as chains:
        async for found in chains:
            for seen in found:
                yield seen


async def read(ctx: pk.Context[Options], name: str, chain: ChainOption) -> Sequence[Seen]:
    """Every endpoint of a chain, through a pool of its own: none may answer for another."""
    chain_id, options = chain.evm_id(name), ctx.options
    assert chain_id is not None
    clients = {node.label: await ctx.evm(name, [node], chain_id=chain_id, timeout=options.timeout) for node in chain.nodes}
    seen = await heads_of(
        name,
        {label: evm_head(client) for label, client in clients.items()},
        clock=ctx.clock,
        clock_error_ns=lambda: ctx.clock_error_ns,
        timeout=options.timeout,
        max_lag=options.limit(chain, "max_lag"),
        max_blocks=options.limit(chain, "max_blocks"),
    )
    await release_wrong(ctx.release, clients, ((one.source, one.error) for one in seen if isinstance(one, pk.Failure)))
    return seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.id in options.chains:
        chain = options.chains[target.id]
        return [HeadAge(options.limit(chain, "max_head_age")), EndpointQuorum(options.limit(chain, "alive_endpoints"))]
    chain = options.chains[target.id.partition("/")[0]]
    return [
        HeadAge(options.limit(chain, "max_head_age")),
        HeadLag(options.limit(chain, "max_lag"), options.limit(chain, "max_blocks")),
        HeadStall(options.limit(chain, "max_stall")),
        FinalityLag(options.limit(chain, "max_finality_lag"), max_soft_lag=options.limit(chain, "max_safe_lag")),
        FinalityHolds(options.limit(chain, "finality_tolerance")),
        NodeSync(),
    ]


probe = pk.Probe.poll(
    name="evm_head_lag",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=15),
    metrics=(
        "chain.head_age",
        "chain.head_lag",
        "chain.head_lag.blocks",
        "chain.finality_lag",
        "chain.finality_lag.blocks",
        "chain.soft_lag",
        "chain.soft_lag.blocks",
        "chain.endpoints_alive",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
