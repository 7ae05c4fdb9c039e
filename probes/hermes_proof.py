"""Does every update Hermes serves carry signatures and Merkle proofs that hold, and say the same as its JSON?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample, ProofResult, ProofValidity
from probekit.errors import DecodeError, VerificationError
from probekit.transports.retry import NO_RETRY
from probekit.trust import SignerSetOption


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[str, ...], pk.doc("feed ids (64 hex digits) or symbols (Crypto.BTC/USD)")]
    network: Annotated[pk.trust.Network, pk.doc("whose signers are trusted")] = "mainnet"
    root: Annotated[Literal["core", "pro"] | None, pk.doc("the one trust root to accept; both where it is left out")] = None
    signer_sets: Annotated[tuple[SignerSetOption, ...], pk.doc("trusted sets in place of the network's own")] = ()
    refused_for: Annotated[timedelta, pk.doc("how long a feed the key may not read is not asked for again")] = timedelta(
        minutes=10
    )
    max_latency: Annotated[timedelta, pk.doc("p95 of the answers' time, above which the endpoint is too slow")] = timedelta(
        seconds=5
    )

    def __post_init__(self) -> None:
        self.require("feeds", "max_latency")
        pk.trust.chosen(self.network, self.signer_sets)


async def hermes(ctx: pk.Context[Options]) -> pk.HermesClient:
    options = ctx.options
    return await ctx.hermes(options.endpoint, api_key=options.api_key, retry=NO_RETRY, refused_for=options.refused_for)


async def book(ctx: pk.Context[Options]) -> pk.FeedBook:
    client = await hermes(ctx)
    return ctx.state("book", lambda: pk.FeedBook(client, ctx.options.feeds, clock=ctx.clock))


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.endpoint)
    return [endpoint, *await (await book(ctx)).targets(behind=endpoint.id)]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    client, endpoint, clock = await hermes(ctx), pk.Target.endpoint(ctx.options.endpoint).id, ctx.clock
    feeds = [target.id for target in watched if target.feed is not None]
    for unknown in (await book(ctx)).refusals(feeds, source=endpoint):
        yield unknown
    trust = ctx.state("trust", lambda: pk.trust.chosen(ctx.options.network, ctx.options.signer_sets))
    began_ns = clock.monotonic_ns()
    batch = await client.latest(feeds)
    elapsed_ns = clock.monotonic_ns() - began_ns
    yield pk.Observation(LatencySample(elapsed_ns), endpoint, batch.received_at, endpoint, elapsed_ns)
    for feed_id in batch:
        refusal = batch.errors.get(feed_id)
        if refusal is not None:
            yield pk.Failure(refusal, endpoint, batch.received_at, feed_id)
            continue
        try:
            result = ProofResult(verified=batch[feed_id].verified(trust, at=batch.received_at).verified_by)
        except (VerificationError, DecodeError) as broken:
            result = ProofResult(error=broken)
        yield pk.Observation(result, endpoint, batch.received_at, feed_id, elapsed_ns)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    return [ProofValidity(None if options.root is None else pk.TrustRoot(options.root))]


probe = pk.Probe.poll(
    name="hermes_proof",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("proof.updates", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
