"""Do Wormhole's signed messages arrive in time, with signatures to spare, and are enough guardians alive?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

import probekit as pk
from probekit.checks import Check, EmitterLag, GuardianHeartbeats, SignatureMargin, VaaDelay
from probekit.clients.vaa_arrivals import VaaArrivals, price_slot
from probekit.clock import as_they_come, both
from probekit.codecs import accumulator, vaa
from probekit.errors import DecodeError, ProbekitError, ProtocolError
from probekit.model.wormhole import AnnouncedVaa, EmitterView, GuardianReport, GuardianSet, SeenVaa
from probekit.transports.base import Request
from probekit.transports.retry import NO_RETRY
from probekit.transports.sendable import refuse_unsendable
from probekit.units import to_ns

if TYPE_CHECKING:
    import asyncio

PRICES = "prices"
Seen = pk.Observation[Any] | pk.Failure
T = TypeVar("T")


class Emitter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose messages are followed by their numbers: Wormhole's chain number, the 32-byte address, and the first one wanted."""

    name: str
    chain: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    emitter: str
    from_sequence: Annotated[int, msgspec.Meta(ge=0)]
    max_silence: timedelta | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or " @" in self.name or self.name == PRICES:
            raise ValueError(f"name must be a name other than {PRICES!r}, not {self.name!r}")
        self.address()
        EmitterLag(timedelta(1), self.max_silence)

    def address(self) -> bytes:
        try:
            found = bytes.fromhex(self.emitter.removeprefix("0x"))
        except ValueError:
            found = b""
        if len(found) != 32:
            raise ValueError(f"emitter must be 64 hex digits, not {self.emitter!r}")
        return found


class Options(pk.Options, frozen=True, kw_only=True):
    guardians: Annotated[tuple[str, ...], pk.doc("base URLs of guardians' public APIs, each asked for itself")]
    hermes: Annotated[str | None, pk.doc("base URL of a Hermes, which announces the messages of prices; with feed")] = None
    feed: Annotated[pk.FeedId | None, pk.doc("a feed that it serves: its newest update carries the newest message")] = None
    api_key: Annotated[pk.Secret | None, pk.doc("reference to Hermes's key: env:NAME, file:/path or credential:name")] = None
    emitters: Annotated[tuple[Emitter, ...], pk.doc("other emitters, followed by the numbers of their messages")] = ()
    max_delay: Annotated[timedelta, pk.doc("from a message's own time to its arrival at a place")] = timedelta(seconds=30)
    max_lag: Annotated[timedelta, pk.doc("how far a place may be behind the newest message of prices")] = timedelta(seconds=30)
    max_silence: Annotated[timedelta, pk.doc("how old the newest message of prices may be")] = timedelta(seconds=30)
    min_margin: Annotated[int, pk.doc("signatures wanted above the quorum, at the guardians' APIs")] = 0
    max_heartbeat_age: Annotated[timedelta, pk.doc("age of a guardian's last heartbeat; one is sent every 15 s")] = timedelta(
        seconds=60
    )
    version: Annotated[str | None, pk.doc("the version that every guardian should run")] = None
    chain: Annotated[int | None, pk.doc("Wormhole's number of a chain that every guardian should see (Pythnet: 26)")] = None
    max_blocks: Annotated[int, pk.doc("blocks that a guardian may be away from the others on that chain")] = 1_000
    timeout: Annotated[timedelta, pk.doc("when a request is given up")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("guardians", "max_delay", "max_lag", "max_silence", "max_heartbeat_age", "timeout", "max_blocks")
        if (self.hermes is None) != (self.feed is None):
            raise ValueError("hermes and feed go together")
        places = [*self.guardians, *([self.hermes] if self.hermes else [])]
        for place in places:
            try:
                refuse_unsendable(Request("GET", place))
            except ProtocolError as error:
                raise ValueError(f"guardians or hermes: {error.message}") from None
        if any("@" in urlsplit(place).netloc for place in places):
            raise ValueError("guardians or hermes: the URLs have no place for a user")
        ids = [pk.Target.endpoint(one).id for one in places]
        names = [one.name for one in self.emitters]
        for what in (ids, names, [at(PRICES, one) for one in self.guardians]):
            if twice := next((one for one in what if what.count(one) > 1), None):
                raise ValueError(f"{twice} is there twice")
        if len(ids) * (len(names) + 1) > 64:
            raise ValueError("at most 64 emitters at places: give the rest a second process")
        SignatureMargin(self.min_margin)


def at(name: str, place: str) -> str:
    """Id of the target that is an emitter at a place: its host, port and path, without a key."""
    return f"{name} @{pk.Target.endpoint(place).id.partition('://')[2].rstrip('/')}"


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    options = ctx.options
    made: list[pk.Target] = []
    if options.hermes is not None:
        made.append(pk.Target.endpoint(options.hermes))
    names = [*([PRICES] if options.hermes is not None else []), *(one.name for one in options.emitters)]
    for url in options.guardians:
        endpoint = pk.Target.endpoint(url)
        made.append(endpoint)
        made += [pk.Target(at(name, url), "service", behind=endpoint.id) for name in names]
    return made


class Announced(msgspec.Struct, frozen=True):
    """The newest message of prices by Hermes, and who emitted it."""

    vaa: AnnouncedVaa
    chain: int
    emitter: bytes
    root: pk.TrustRoot


class Places:
    """What each place was last seen to have."""

    def __init__(self) -> None:
        self.arrivals: dict[str, VaaArrivals] = {}
        self.newest: dict[str, tuple[GuardianSet, SeenVaa]] = {}
        """By target, of emitters followed by their numbers: the newest whose signatures were checked, and by which set."""
        self.hermes: SeenVaa | None = None
        self.asked_at: pk.Instant | None = None

    def elsewhere(self, name: str, in_force: GuardianSet) -> SeenVaa | None:
        """The newest of an emitter at any place of the same guardians: those of others can sign whatever number they like."""
        of = [one for target, (held, one) in self.newest.items() if target.startswith(f"{name} @") and held == in_force]
        return max(of, key=lambda one: one.sequence, default=None)


async def hermes_look(ctx: pk.Context[Options], url: str, places: Places) -> tuple[Seen, Announced | None]:
    """Hermes is a place as well: the newest message there, and when it came."""
    options, endpoint = ctx.options, pk.Target.endpoint(url).id
    client = await ctx.hermes(url, api_key=options.api_key, timeout=options.timeout, retry=NO_RETRY)
    try:
        batch = await client.latest([str(options.feed)])
        for error in batch.errors.values():
            raise error
        newest = max(map(signed_message, batch.signed_bytes()), key=lambda one: one.sequence, default=None)
        if newest is None:
            raise DecodeError("an answer of Hermes without signed bytes", raw=b"")
        root = pk.trust.MAINNET.root_of(newest.emitter_chain, newest.emitter_address)
        if root is None:
            raise DecodeError(f"signed under the unknown emitter {newest.emitter_address.hex()}", raw=newest.payload)
    except ProbekitError as error:
        return pk.Failure(error, endpoint, ctx.clock.now(), endpoint), None
    announced = AnnouncedVaa(newest.sequence, newest.time, price_slot(newest))
    before, asked_at = places.hermes, places.asked_at
    arrived: tuple[SeenVaa, ...] = ()
    # By either: a number, or a time, that was once absurd is not the newest for ever.
    if before is None or announced.sequence > before.sequence or announced.vaa_time > before.vaa_time:
        # Older ones than at the look before say nothing of when this one came.
        absent_at = None if asked_at is None or asked_at < announced.vaa_time else asked_at
        places.hermes = SeenVaa(
            announced.sequence, announced.vaa_time, batch.received_at, absent_at, announced.slot, measured=True
        )
        arrived = (places.hermes,)
    places.asked_at = batch.received_at
    view = EmitterView(endpoint, places.hermes, arrived, announced=announced)
    found = pk.Observation(view, endpoint, batch.received_at, endpoint, 0, ctx.clock_error_ns)
    return found, Announced(announced, newest.emitter_chain, newest.emitter_address, root)


def signed_message(raw: bytes) -> vaa.Vaa:
    return vaa.decode(accumulator.decode(raw).vaa)


async def shared(told: asyncio.Future[T]) -> T:
    """What others wait for as well: one that is ended takes it from none of them."""
    import asyncio

    return await asyncio.shield(told)


class Guardian:
    """One guardian's API in one tick: its report, which what is asked of it else waits for."""

    def __init__(
        self, ctx: pk.Context[Options], url: str, places: Places, in_force: asyncio.Future[GuardianSet | None]
    ) -> None:
        self.ctx, self.url, self.places, self.endpoint = ctx, url, places, pk.Target.endpoint(url).id
        self.in_force = in_force
        # What is asked for by then is answered, or given up, within twice the time-out.
        self.until_ns = ctx.clock.monotonic_ns() + to_ns(ctx.options.timeout)

    async def client(self) -> pk.WormholeClient:
        ctx = self.ctx
        return await ctx.hold(
            f"guardian:{self.url}",
            lambda: pk.WormholeClient(
                self.url,
                transport=ctx.engine(),
                timeout=ctx.options.timeout,
                retry=NO_RETRY,
                observer=ctx.observer,
                clock=ctx.clock,
            ),
        )

    async def report(self) -> list[Seen]:
        try:
            client = await self.client()
            report = GuardianReport(*await both(client.guardian_set(), client.heartbeats()))
            self.in_force.set_result(report.set)
        except ProbekitError as error:
            return [pk.Failure(error, self.endpoint, self.ctx.clock.now(), self.endpoint)]
        finally:
            if not self.in_force.done():
                self.in_force.set_result(None)
        return [seen(self.ctx, report, self.endpoint, self.endpoint)]

    async def emitter(self, one: Emitter) -> list[Seen]:
        return await self.look(one.name, one.chain, one.address(), one.from_sequence, None)

    async def prices(self, told: asyncio.Future[Announced | None]) -> list[Seen]:
        newest = await shared(told)
        if newest is None or newest.root is pk.TrustRoot.PRO:
            # Why there is none is said of Hermes; here nobody knows what to ask for.
            view = EmitterView(self.endpoint, indexed=newest is None)
            known = await shared(self.in_force)
            return [] if known is None else [seen(self.ctx, view, self.endpoint, at(PRICES, self.url))]
        return await self.look(PRICES, newest.chain, newest.emitter, None, newest.vaa)

    async def look(self, name: str, chain: int, emitter: bytes, first: int | None, newest: AnnouncedVaa | None) -> list[Seen]:
        in_force = await shared(self.in_force)
        if in_force is None:
            return []  # they stand behind it
        target, clock, places = at(name, self.url), self.ctx.clock, self.places
        arrivals, elsewhere = places.arrivals, places.elsewhere(name, in_force)
        if target not in arrivals:
            arrivals[target] = VaaArrivals(await self.client(), self.endpoint, chain, emitter, clock=clock, first=first)
        try:
            view = await arrivals[target].look(in_force, newest, elsewhere=elsewhere, until_ns=self.until_ns)
        except ProbekitError as error:
            return [pk.Failure(error, self.endpoint, clock.now(), target)]
        if first is not None and view.newest is not None and view.newest.quorum is not None:
            # It stays with the set that it was checked by, whatever set the place has later.
            held, before = places.newest.get(target, (in_force, None))
            places.newest[target] = in_force if before != view.newest else held, view.newest
        return [seen(self.ctx, view, self.endpoint, target)]


def seen(ctx: pk.Context[Options], value: Any, endpoint: str, target: str) -> Seen:
    """Something observed just now."""
    return pk.Observation(value, endpoint, ctx.clock.now(), target, 0, ctx.clock_error_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Seen]:
    import asyncio

    options, places, loop = ctx.options, ctx.state("places", Places), asyncio.get_running_loop()
    announced: asyncio.Future[Announced | None] = loop.create_future()
    looks: list[Coroutine[Any, Any, list[Seen]]] = []
    if options.hermes is not None:
        url = options.hermes

        async def ask_hermes() -> list[Seen]:
            newest: Announced | None = None
            try:
                found, newest = await hermes_look(ctx, url, places)
                return [found]
            finally:
                if not announced.done():
                    announced.set_result(newest)

        looks.append(ask_hermes())
    for one in (Guardian(ctx, url, places, loop.create_future()) for url in options.guardians):
        looks.append(one.report())
        looks += [one.emitter(emitter) for emitter in options.emitters]
        if options.hermes is not None:
            looks.append(one.prices(announced))
    async with aclosing(as_they_come(looks)) as found:
        async for part in found:
            for each in part:
                yield each


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        if options.hermes is not None and target.id == pk.Target.endpoint(options.hermes).id:
            return [VaaDelay(options.max_delay), EmitterLag(options.max_lag, options.max_silence)]
        return [GuardianHeartbeats(options.max_heartbeat_age, options.version, options.chain, options.max_blocks)]
    silences = {one.name: one.max_silence for one in options.emitters}
    silence = silences.get(target.id.partition(" @")[0], options.max_silence)
    return [VaaDelay(options.max_delay), EmitterLag(options.max_lag, silence), SignatureMargin(options.min_margin)]


probe = pk.Probe.poll(
    name="wormhole_latency",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=(
        "vaa.delay",
        "vaa.age",
        "vaa.sequences_behind",
        "vaa.slots_behind",
        "vaa.signature_margin",
        "guardians.margin",
    ),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
