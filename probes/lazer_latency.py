"""How new are Pyth Pro's prices when they arrive, over each endpoint and channel, and which endpoint lags the others?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any

from msgspec.structs import replace

import probekit as pk
from probekit.checks import (
    Check,
    EndpointLag,
    PulseAge,
    SampledSignatures,
    StreamContinuity,
    StreamLatency,
    StreamMessages,
    StreamState,
)
from probekit.clients.lazer_events import LazerConnected, LazerLost, LazerRejected, LazerSubscribed, LazerTick
from probekit.clients.lazer_race import LazerRace
from probekit.clock import reap
from probekit.codecs.lazer.messages import PriceRequest
from probekit.errors import DeadlineExceeded, DecodeError, ProbekitError, StreamClosed
from probekit.model.lazer import SOCKETS, Channel, UpdateFormat
from probekit.model.lazer_pace import SignatureSample
from probekit.trust.lazer import PRODUCTION, LazerSigners, verify_update
from probekit.units import to_ns

LOOK = timedelta(milliseconds=500)
"""How often what came is judged."""


class Options(pk.Options, frozen=True, kw_only=True):
    endpoints: Annotated[tuple[str, ...], pk.doc("WebSocket URLs of routers, all subscribed alike")] = SOCKETS
    api_key: Annotated[pk.Secret | None, pk.doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    feeds: Annotated[tuple[int, ...], pk.doc("numbers of the feeds")]
    channels: Annotated[tuple[Channel, ...], pk.doc("channels, a subscription each")] = (Channel.FIXED_200MS,)
    budget: Annotated[timedelta, pk.doc("how old a new price may be on arrival")] = timedelta(milliseconds=500)
    budget_by_channel: Annotated[dict[Channel, timedelta], pk.doc("other budgets by channel")] = {}  # noqa: RUF012 - a Struct copies it
    max_lag: Annotated[timedelta, pk.doc("how far an endpoint may be behind the first")] = timedelta(milliseconds=100)
    percentile: Annotated[int, pk.doc("which percentile both hold for, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many updates the percentile is over")] = 500
    min_samples: Annotated[int, pk.doc("below how many nothing is judged")] = 20
    max_age: Annotated[timedelta, pk.doc("how old a feed's newest price may be")] = timedelta(seconds=10)
    max_silence: Annotated[timedelta, pk.doc("how long an endpoint may tell nothing")] = timedelta(seconds=5)
    verify_every: Annotated[int, pk.doc("every so many updates of an endpoint one is verified; 0: none")] = 20
    signers: Annotated[
        tuple[str, ...], pk.doc("who may sign, as hex: addresses and ed25519 keys; the known ones where left out")
    ] = ()

    def __post_init__(self) -> None:
        self.require("endpoints", "feeds", "channels", "budget", "max_lag", "max_age", "max_silence")
        problems = []
        hidden = {pk.Target.endpoint(url).id for url in self.endpoints}
        if len(hidden) != len(self.endpoints):
            problems.append("endpoints: two are the same, or differ in their keys alone")
        problems += [f"endpoints: {one} is no ws:// or wss:// URL" for one in sorted(hidden) if not one.startswith("ws")]
        problems += [
            f"{name} names one twice"
            for name, given in (("feeds", self.feeds), ("channels", self.channels))
            if len(set(given)) != len(given)
        ]
        problems += [f"feeds: {one} is no number of a feed" for one in self.feeds if not 0 < one < 2**32]
        if self.verify_every < 0:
            problems.append("verify_every must not be negative")
        problems += [
            f"budget_by_channel.{one} must be positive" for one, b in self.budget_by_channel.items() if b <= timedelta(0)
        ]
        for make in (lambda: latency(self, self.channels[0]), lambda: lag(self), lambda: signers_of(self)):
            try:
                make()
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(dict.fromkeys(problems)))


def signers_of(options: Options) -> LazerSigners:
    try:
        return LazerSigners.of(*options.signers) if options.signers else PRODUCTION
    except ValueError as error:
        raise ValueError(f"signers: {error}") from None


def latency(options: Options, channel: Channel) -> Check:
    budget = options.budget_by_channel.get(channel, options.budget)
    return StreamLatency(budget, options.percentile, options.samples, options.min_samples, 2 * options.max_silence)


def lag(options: Options) -> Check:
    return EndpointLag(options.max_lag, options.percentile, options.samples, options.min_samples, 2 * options.max_silence)


def lane(endpoint: str, channel: Channel) -> str:
    return f"{channel} {endpoint}"


def signed(endpoint: str) -> str:
    return f"signatures {endpoint}"


def feed_target(number: int) -> str:
    return f"feed {number}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    options = ctx.options
    endpoints = [pk.Target.endpoint(url) for url in options.endpoints]
    lanes = [pk.Target(lane(one.id, c), "service", "", None, one.id) for one in endpoints for c in options.channels]
    if options.verify_every:
        lanes += [pk.Target(signed(one.id), "service", "", None, one.id) for one in endpoints]
    return [*endpoints, *lanes, *(pk.Target(feed_target(number), "feed") for number in options.feeds)]


class Followed:
    """One endpoint's stream, and what is known of it."""

    def __init__(self, ctx: pk.Context[Options], url: str, race: LazerRace) -> None:
        from probekit.clients.lazer_stream import LazerStream, LazerStreamPolicy

        options = ctx.options
        self.ctx, self.endpoint, self.race = ctx, pk.Target.endpoint(url).id, race
        # Signed where something is verified; never all of it, at thousands of updates a second.
        forms = (UpdateFormat.LE_ECDSA,) if options.verify_every else ()
        requests = [PriceRequest(options.feeds, formats=forms, channel=channel) for channel in options.channels]
        policy = LazerStreamPolicy(silence=options.max_silence)
        self.stream = LazerStream(url, requests, api_key=options.api_key, policy=policy, clock=ctx.clock)
        self.opened_at, self.connected, self.reason = ctx.clock.now(), False, ""
        self.error: ProbekitError | None = None
        self.refused: dict[int, ProbekitError] = {}
        self.left_out: dict[int, dict[int, ProbekitError]] = {}
        """By subscription, of those that this connection has opened: feed -> why it is none of them."""
        self.closes = self.taken = self.held = self.rejected = 0
        self.rejection = ""
        self.broken: ProbekitError | None = None

    async def run(self) -> None:
        async with aclosing(self.stream.events()) as events:
            async for event in events:
                self.take(event)

    def take(self, event: Any) -> None:
        match event:
            case LazerTick():
                self.error, self.connected, self.reason = None, True, ""
                self.race.take(self.endpoint, event, now_ns=self.ctx.clock.monotonic_ns())
                self.sample(event)
            case LazerConnected():
                self.connected, self.refused, self.left_out = True, {}, {}
            case LazerSubscribed():
                left_out = {feed: error for feed, error in event.errors.items() if isinstance(feed, int)}
                self.left_out[event.subscription] = left_out
            case LazerRejected() if event.subscription is not None and not isinstance(event.error, DecodeError):
                self.refused[event.subscription] = event.error
                self.left_out[event.subscription] = dict.fromkeys(self.ctx.options.feeds, event.error)
            case LazerRejected():
                self.rejected += 1
                self.rejection = f"{event.error.error_type}: {event.error.message}"
            case LazerLost():
                self.lost(event.error)

    def lost(self, error: ProbekitError) -> None:
        self.connected, self.reason = False, error.message
        self.race.lost(self.endpoint)
        ended = isinstance(error, StreamClosed) or (isinstance(error, DeadlineExceeded) and error.phase == "transfer")
        # One that ended is opened anew; that it cannot be opened is a verdict of its own.
        self.closes += ended
        self.error = None if ended else error

    def sample(self, tick: LazerTick) -> None:
        every = self.ctx.options.verify_every
        self.taken += 1
        if not every or self.taken % every:
            return
        try:
            verify_update(tick.update, self.ctx.state("signers", lambda: signers_of(self.ctx.options)), at=tick.at)
        except ProbekitError as error:
            self.broken = self.broken or error
        else:
            self.held += 1

    def refusal_of(self, feed: int) -> ProbekitError | None:
        """Why a feed is told on none of the subscriptions; ``None`` while it may be on one of them."""
        if len(self.left_out) < len(self.ctx.options.channels):
            return None
        errors = [left_out.get(feed) for left_out in self.left_out.values()]
        return None if None in errors else errors[0]

    # -- what there is to judge ----------------------------------------------------------------------------------------------

    def seen(self) -> list[pk.Observation[Any] | pk.Failure]:
        now, endpoint = self.ctx.clock.now(), self.endpoint
        if self.error is not None:
            return [pk.Failure(self.error, endpoint, now, endpoint)]
        stats = self.stream.stats[endpoint]
        state = StreamState(
            self.connected,
            stats.last_at,
            self.opened_at,
            stats.missed,
            stats.repeated,
            self.stream.merge.out_of_order,
            self.closes,
            self.stream.dropped,
            self.reason,
            self.rejected,
            self.rejection,
        )
        told: list[pk.Observation[Any] | pk.Failure] = [pk.Observation(state, endpoint, now, endpoint)]
        if self.ctx.options.verify_every:
            told.append(pk.Observation(self.signatures(), endpoint, now, signed(endpoint)))
        for number, channel in enumerate(self.ctx.options.channels):
            target = lane(endpoint, channel)
            pace = self.race.pace(endpoint, number, now_ns=self.ctx.clock.monotonic_ns())
            if number in self.refused:
                told.append(pk.Failure(self.refused[number], endpoint, now, target))
            else:
                told.append(pk.Observation(pace, endpoint, now, target, 0, self.ctx.clock_error_ns))
        return told

    def signatures(self) -> SignatureSample:
        held, broken, self.held, self.broken = self.held, self.broken, 0, None
        if broken is None:
            return SignatureSample(held)
        return SignatureSample(held, broken.error_type, broken.message)


def lacking(channels: Sequence[Channel], all_: Sequence[Followed], feed: int) -> Iterator[str]:
    """The channels on which every endpoint that was asked leaves a feed out, and why."""
    for number, channel in enumerate(channels):
        errors = [one.left_out[number].get(feed) for one in all_ if one.error is None and number in one.left_out]
        if errors and errors[0] is not None and None not in errors:
            yield f"not on {channel}: {errors[0].message}"


def feeds_of(ctx: pk.Context[Options], all_: Sequence[Followed], race: LazerRace) -> list[pk.Observation[Any] | pk.Failure]:
    """Feeds that something new was told of, and those that nobody can tell anything of."""
    now = ctx.clock.now()
    told: list[pk.Observation[Any] | pk.Failure] = []
    for number, pulse in race.pulses().items():
        whole = replace(pulse, lacking="; ".join(lacking(ctx.options.channels, all_, number)))
        told.append(pk.Observation(whole, pulse.endpoint, now, feed_target(number), 0, ctx.clock_error_ns))
    for number in ctx.options.feeds:
        # Of those that can be asked; where none can, why not.
        whys = [one.refusal_of(number) for one in all_ if one.error is None] or [one.error for one in all_]
        if whys[0] is not None and None not in whys:
            told.append(pk.Failure(whys[0], all_[0].endpoint, now, feed_target(number)))
    return told


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    import asyncio

    endpoints = [pk.Target.endpoint(url).id for url in ctx.options.endpoints]
    race = LazerRace(endpoints, ctx.options.channels)
    all_ = [Followed(ctx, url, race) for url in ctx.options.endpoints]
    tasks = [asyncio.create_task(one.run(), name=one.endpoint) for one in all_]
    try:
        while True:
            await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + to_ns(LOOK))
            for task in tasks:
                if task.done():
                    task.result()
            for one in all_:
                for seen in one.seen():
                    yield seen
            for seen in feeds_of(ctx, all_, race):
                yield seen
    finally:
        await reap(*tasks)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [StreamContinuity(max_silence=options.max_silence), StreamMessages()]
    if target.kind == "feed":
        return [PulseAge(options.max_age)]
    if target.id == signed(target.behind):
        return [SampledSignatures()]
    channel = next(one for one in options.channels if target.id == lane(target.behind, one))
    return [latency(options, channel), lag(options)]


probe = pk.Probe.watch(
    name="lazer_latency",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=1),
    first_within=lambda options: options.max_age,
    metrics=("stream.latency", "stream.behind", "stream.first_share", "stream.silence", "feed.age"),
    needs=("lazer",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
