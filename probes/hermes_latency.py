"""How long does Hermes take, on a fresh connection, to answer a request and to open a stream, phase by phase?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Annotated, Any

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample
from probekit.clock import within
from probekit.codecs.hermes import decode_prices
from probekit.codecs.sse import SseEvent, SseSplitter
from probekit.errors import DeadlineExceeded, ProbekitError, ProtocolError, StreamClosed
from probekit.secret import Secret
from probekit.transports.base import HeaderValue, Request, Transport
from probekit.transports.stack import build
from probekit.units import to_ns


class Options(pk.Options, frozen=True, kw_only=True):
    endpoint: Annotated[str, pk.doc("base URL of the Hermes service")] = "https://hermes.pyth.network"
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[pk.FeedId, ...], pk.doc("feed ids (64 hex digits) to ask for")]
    rest_budget: Annotated[timedelta, pk.doc("budget of a request, from name look-up to the last byte")] = timedelta(seconds=1)
    stream_budget: Annotated[timedelta, pk.doc("budget of a stream, from name look-up to its first event")] = timedelta(
        seconds=2
    )
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many measurements the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a measurement is given up")] = timedelta(seconds=8)

    def __post_init__(self) -> None:
        self.require("feeds", "rest_budget", "stream_budget", "timeout")
        for budget in (self.rest_budget, self.stream_budget):
            LatencyBudget(budget, self.percentile, self.samples)


def rest_id(options: Options) -> str:
    return f"rest {pk.Target.endpoint(options.endpoint).id}"


def stream_id(options: Options) -> str:
    return f"stream {pk.Target.endpoint(options.endpoint).id}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(rest_id(ctx.options), "service"), pk.Target(stream_id(ctx.options), "service")]


def request(ctx: pk.Context[Options], path: str, *, stream: bool) -> Request:
    options = ctx.options
    headers: tuple[tuple[str, HeaderValue], ...] = ()
    if options.api_key is not None:
        headers = (("authorization", Secret(f"Bearer {options.api_key.reveal()}", origin=options.api_key.origin)),)
    query = "".join(f"&ids%5B%5D={feed_id}" for feed_id in options.feeds)
    url = f"{options.endpoint.rstrip('/')}{path}?encoding=hex&parsed=true{query}"
    return Request("GET", url, headers, stream=stream, deadline_ns=ctx.clock.monotonic_ns() + to_ns(options.timeout))


async def time_request(ctx: pk.Context[Options], transport: Transport) -> int:
    response = await transport.send(request(ctx, "/v2/updates/price/latest", stream=False))
    decode_prices(response.body)
    return response.elapsed_ns


async def first_event(chunks: AsyncIterator[bytes]) -> SseEvent | None:
    splitter = SseSplitter()
    async for chunk in chunks:
        for event in splitter.feed(chunk):
            return event
    return None


async def time_stream(ctx: pk.Context[Options], transport: Transport) -> int:
    """From the start of the request to the last byte of the first event.

    The engine's deadline reaches to the end of the headers; what is left of the time-out bounds the wait for the event.
    """
    began_ns = ctx.clock.monotonic_ns()
    deadline_ns = began_ns + to_ns(ctx.options.timeout)
    response = await transport.send(request(ctx, "/v2/updates/price/stream", stream=True))
    try:
        if response.chunks is None:
            raise ProtocolError(f"{response.url} answered with no stream")
        try:
            event = await within(ctx.clock, deadline_ns, first_event(response.chunks))
        except TimeoutError:
            raise DeadlineExceeded(f"{response.url} sent no event in time", phase="transfer", url=response.url) from None
        elapsed_ns = ctx.clock.monotonic_ns() - began_ns
        if event is None:
            raise StreamClosed(f"the stream of {response.url} ended before its first event", planned=False, url=response.url)
        decode_prices(event.data)
        return elapsed_ns
    finally:
        await response.aclose()


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    endpoint = pk.Target.endpoint(ctx.options.endpoint).id
    engine = ctx.engine("measuring")
    transport = ctx.state("transport", lambda: build(engine, clock=ctx.clock, observer=ctx.observer))
    # One after the other: two exchanges at once would time each other.
    for target, stage, timed in (
        (rest_id(ctx.options), "rest", time_request),
        (stream_id(ctx.options), "stream", time_stream),
    ):
        try:
            elapsed_ns = await timed(ctx, transport)
        except ProbekitError as error:
            yield pk.Failure(error, endpoint, ctx.clock.now(), target)
        else:
            yield pk.Observation(LatencySample(elapsed_ns, stage), endpoint, ctx.clock.now(), target, elapsed_ns)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    budget = options.rest_budget if target.id == rest_id(options) else options.stream_budget
    return [LatencyBudget(budget, options.percentile, options.samples)]


probe = pk.Probe.poll(
    name="hermes_latency",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=20),
    metrics=("latency",),
    needs=("measure",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
