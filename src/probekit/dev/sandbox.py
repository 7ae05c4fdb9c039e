"""A sandbox Hermes endpoint: the v2 REST and SSE surface as a state machine, with faults. Fronts put it on a wire.

Routes, texts and statuses follow pyth-crosschain ``apps/hermes/server/src/api``, and for keys the upgraded public service.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta
from email.utils import format_datetime
from typing import Final, TypeVar

import msgspec

from probekit.codecs import hermes as codec
from probekit.codecs import sse
from probekit.dev import control, faults, hostile
from probekit.dev import query as queries
from probekit.dev.faults import ContentFault, Fault, Injected
from probekit.dev.network import SandboxNetwork
from probekit.dev.query import BadQuery, PriceQuery
from probekit.dev.reply import Broken, Reply, text
from probekit.dev.serving import Serving, base58
from probekit.model import FeedId
from probekit.secret import Secret
from probekit.trust import Trust
from probekit.units import NS_PER_MS, NS_PER_S, Instant, to_ns

F = TypeVar("F", bound=faults.EndpointFault)

_KEEP_ALIVE_NS: Final = 15 * NS_PER_S
_TWAP: Final = "The TWAP endpoint has been deprecated and is no longer available."
_STREAM: Final = "text/event-stream"
_NO_UPDATE: Final = b": No update available\n\n"
_I64: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_NOT_READY: Final = {
    "has_completed_recently": False,
    "is_not_behind": False,
    "is_metadata_loaded": True,
}


class Sandbox:
    """One endpoint of a :class:`~probekit.dev.network.SandboxNetwork`; several of one network serve the same signed bytes.

    With ``api_key``, price routes and streams want it. With ``control``, faults can be set over HTTP: POST, GET and DELETE on
    ``/_sandbox/faults``. ``stream_life`` is when a stream ends by plan.
    """

    def __init__(
        self,
        network: SandboxNetwork,
        *,
        api_key: Secret | None = None,
        control: bool = False,
        stream_life: timedelta = timedelta(hours=24),
    ) -> None:
        self.network = network
        self.clock = network.clock
        self.requests = 0
        """How many requests came, of any kind."""
        self.open_streams = 0
        self._injected: list[Injected] = []
        self._api_key = api_key
        self._control = control
        self._stream_life_ns = to_ns(stream_life)
        self._serving = Serving(network)

    @property
    def trust(self) -> Trust:
        """The trust that verifies what this endpoint serves (:attr:`SandboxNetwork.trust`)."""
        return self.network.trust

    # -- faults --------------------------------------------------------------------------------------------------------------

    @property
    def injected(self) -> tuple[Injected, ...]:
        """The faults that are on here, those of the network included."""
        return (*self._injected, *self.network.injected)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The same without their handles."""
        return tuple(one.fault for one in self.injected)

    def inject(self, fault: Fault) -> Injected:
        """Put a fault on; the handle takes it off. Faults of content are on every endpoint of the network, as is what is
        injected into the network itself. Raises ``LookupError`` for a feed that is not here.
        """
        if isinstance(fault, ContentFault):
            return self.network.inject(fault)
        made = self.network.numbered(self.network.resolved(fault), self._injected.remove)
        self._injected.append(made)
        return made

    def _active(self) -> Iterator[Fault]:
        for one in self.injected:
            yield one.fault

    def _on(self, kind: type[F], *, priced: bool = True) -> F | None:
        """The fault of that kind, if it is on; for routes that are not ``priced``, only if it is meant for them too."""
        found = (fault for fault in self._active() if isinstance(fault, kind))
        return next((fault for fault in found if priced or fault.everywhere), None)

    # -- answers -------------------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Answer one request; ``target`` is the path with its query, header names are lower case."""
        self.requests += 1
        path, _, search = target.partition("?")
        if self._control and (path + "/").startswith(control.PREFIX + "/"):
            reply = control.answer(self, method, path, body)
        elif method != "GET":
            reply = text(405, "Method not allowed")
        else:
            reply = self._answer(path, queries.pairs(search), headers)
        reply.headers.append(("access-control-allow-origin", "*"))
        reply.headers.append(("date", format_datetime(self.clock.now().to_datetime().astimezone(UTC), usegmt=True)))
        return reply

    def _answer(self, path: str, query: list[tuple[str, str]], headers: dict[str, str]) -> Reply:
        priced = self._is_priced(path)
        if self._on(faults.Hang, priced=priced):
            return Reply(wait=self._for_ever)
        reply = self._refusal(dict(query), headers, priced=priced)
        if reply is None:
            try:
                reply = self._route(path, query)
            except BadQuery as error:
                reply = text(400, str(error))
            if reply.status == 200:
                self._make_hostile(reply, priced=priced)
        if (slow := self._on(faults.Slow, priced=priced)) is not None:
            delay_ns = slow.delay_ms * NS_PER_MS
            reply.wait = lambda: self.clock.sleep_until_ns(self.clock.monotonic_ns() + delay_ns)
        return reply

    def _is_priced(self, path: str) -> bool:
        """Whether a route gives prices: it wants the key, and the faults of price routes are on it."""
        return path.startswith("/v2/updates/") and not path.startswith("/v2/updates/twap/")

    async def _for_ever(self) -> None:
        while True:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + 3600 * NS_PER_S)

    def _refusal(self, query: dict[str, str], headers: dict[str, str], *, priced: bool) -> Reply | None:
        if self._on(faults.Unauthorized, priced=priced) or (priced and not self._admits(query, headers)):
            return text(401, "unauthorized")
        if (limited := self._on(faults.RateLimited, priced=priced)) is not None:
            reply = text(429, "Too many requests")
            reply.headers.append(("retry-after", str(limited.retry_after_s)))
            return reply
        if (broken := self._on(faults.ServerError, priced=priced)) is not None:
            return text(broken.status, "RPC connection error: injected")
        return None

    def _admits(self, query: dict[str, str], headers: dict[str, str]) -> bool:
        if self._api_key is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else query.get("ACCESS_TOKEN", "")
        return given == self._api_key.reveal()

    def _route(self, path: str, query: list[tuple[str, str]]) -> Reply:
        if path == "/live":
            return text(200, "OK")
        if path == "/ready":
            return self._ready()
        if path == "/v2/price_feeds":
            return self._feeds(dict(query))
        if path.startswith("/v2/updates/twap/"):
            return text(400, _TWAP)
        if path == "/v2/updates/publisher_stake_caps/latest":
            return self._stake_caps(dict(query))
        what = path.removeprefix("/v2/updates/price/")
        if what == path or "/" in what:
            return text(404, "not found")
        if what == "stream":
            return self._open(queries.parse(query))
        if what == "latest":
            return self._latest(queries.parse(query))
        if _I64.fullmatch(what) is None:
            return text(400, f"Invalid URL: Cannot parse `{what[:40]}` to a `i64`")
        return self._at_time(queries.parse(query), int(what))

    def _ready(self) -> Reply:
        if self._on(faults.NotReady) is None:
            return text(200, "OK")
        slot = self.network.slot_of(self.network.published_ns(self.clock.now()))
        fields = {
            **_NOT_READY,
            "latest_completed_slot": slot - 100,
            "latest_observed_slot": slot,
            "latest_completed_unix_timestamp": self.clock.now().seconds - 60,
            "price_feeds_metadata_len": len(self.network.markets),
        }
        return Reply(503, msgspec.json.encode(fields))

    def _feeds(self, query: dict[str, str]) -> Reply:
        wanted, asset = query.get("query", "").lower(), queries.asset_type(query)
        feeds = (market.feed for market in self.network.markets)
        kept = (feed for feed in feeds if wanted in feed.symbol.lower() and asset in (None, feed.asset_class))
        return Reply(body=codec.encode_feeds(kept))

    def _stake_caps(self, query: dict[str, str]) -> Reply:
        encoding, parsed = queries.encoding(query), queries.flag(query, "parsed", default=True)
        caps, raw = self._serving.stake_caps(self._published_ns())
        # The frame of a price answer without prices is the frame of this one.
        answer = msgspec.json.decode(codec.encode_prices(None, (raw,), encoding))
        if parsed:
            rows = [{"publisher": base58(bytes.fromhex(one.publisher)), "cap": one.cap} for one in caps.caps]
            answer["parsed"] = [{"publisher_stake_caps": rows}]
        return Reply(body=msgspec.json.encode(answer))

    # -- prices --------------------------------------------------------------------------------------------------------------

    def _published_ns(self) -> int:
        """The newest slot this endpoint has."""
        now, lag = self.clock.now(), self._on(faults.Lag)
        return self.network.published_ns(now if lag is None else Instant(now.ns - lag.delay_ms * NS_PER_MS))

    def _known(self, query: PriceQuery) -> tuple[FeedId, ...] | Reply:
        """The ids that may be answered, or why none is."""
        index = self.network.index
        unknown = [one for one in query.ids if one not in index]
        if unknown and not query.ignore_invalid:
            return text(404, "Price ids not found: " + ", ".join(f"0x{one}" for one in unknown))
        ids = tuple(one for one in query.ids if one in index)
        for fault in self._active():
            if isinstance(fault, faults.Unentitled) and fault.feed in ids:
                asset = self.network.market(fault.feed).feed.asset_class
                return text(403, f"Not entitled: feed {fault.feed} (no grant accepts this feed (asset type '{asset}'))")
        return ids

    def _latest(self, query: PriceQuery) -> Reply:
        ids = self._known(query)
        if isinstance(ids, Reply):
            return ids
        published_ns = self._published_ns()
        return Reply(body=self._body([(one, published_ns) for one in ids], query))

    def _at_time(self, query: PriceQuery, seconds: int) -> Reply:
        ids = self._known(query)
        if isinstance(ids, Reply):
            return ids
        picks = []
        for one in ids:
            published_ns = self.network.first_after(self.network.market(one), seconds)
            if published_ns is None or published_ns > self._published_ns():
                return text(404, "Update data not found")
            picks.append((one, published_ns))
        return Reply(body=self._body(picks, query))

    def _body(self, picks: list[tuple[FeedId, int]], query: PriceQuery) -> bytes:
        updates, binary = self._serving.answer(picks, self._active())
        body = codec.encode_prices(updates if query.parsed else None, binary, query.encoding)
        if self._on(faults.MalformedJson):
            return hostile.cut(body)
        if self._on(faults.NanNumbers):
            return hostile.with_nan(body)
        return hostile.doubled(body) if self._on(faults.DuplicateIds) else body

    def _make_hostile(self, reply: Reply, *, priced: bool) -> None:
        """Give the answer the faults of its frame; those of its JSON are in the body already."""
        if self._on(faults.HugeHeaders, priced=priced):
            reply.headers += [(f"x-filler-{number}", "y" * 4_000) for number in range(40)]
        if self._on(faults.WrongContentType, priced=priced):
            reply.body, reply.chunks, reply.content_type = hostile.HTML, None, "text/html; charset=utf-8"
        elif self._on(faults.GzipBomb, priced=priced):
            reply.headers.append(("content-encoding", "gzip"))
            reply.body, reply.chunks = hostile.gzip_bomb(), None
        elif self._on(faults.EndlessBody, priced=priced):
            head = b"data:" if reply.content_type == _STREAM else b""
            reply.body, reply.chunks = b"", hostile.endless(self.clock, head)

    # -- the stream ----------------------------------------------------------------------------------------------------------

    def _open(self, query: PriceQuery) -> Reply:
        ids = self._known(query)
        if isinstance(ids, Reply):
            return ids
        return Reply(content_type=_STREAM, headers=[("cache-control", "no-cache")], chunks=self._stream(ids, query))

    async def _stream(self, ids: tuple[FeedId, ...], query: PriceQuery) -> AsyncIterator[bytes]:
        """One event per slot from the newest on. Slots never run backwards, and those a slow reader missed are left out."""
        clock = self.clock
        opened_ns = sent_ns = clock.monotonic_ns()
        newest_ns = -1
        self.open_streams += 1
        try:
            while True:
                published_ns = self._published_ns()
                silent = self._on(faults.SilentStream)
                if silent is None and self._is_next(published_ns, newest_ns, query):
                    # As in Hermes, the end of its life is noticed when there is something to send.
                    if clock.monotonic_ns() - opened_ns >= self._stream_life_ns:
                        yield sse.encode(b"Connection timeout reached (24h)", event="error")
                        return
                    event = self._event(ids, published_ns, query)
                    newest_ns, sent_ns = published_ns, clock.monotonic_ns()
                    if self._on(faults.CutStream):
                        yield event[: len(event) // 2]
                        raise Broken
                    yield event
                elif clock.monotonic_ns() - sent_ns >= _KEEP_ALIVE_NS and (silent is None or silent.keep_alive):
                    sent_ns = clock.monotonic_ns()
                    yield sse.COMMENT
                now = clock.now()
                next_ns = self.network.published_ns(now) + self.network.every_ns
                await clock.sleep_until_ns(clock.monotonic_ns() + next_ns - now.ns)
        finally:
            self.open_streams -= 1

    def _is_next(self, published_ns: int, newest_ns: int, query: PriceQuery) -> bool:
        return published_ns != newest_ns if query.allow_unordered else published_ns > newest_ns

    def _event(self, ids: tuple[FeedId, ...], published_ns: int, query: PriceQuery) -> bytes:
        if query.benchmarks_only:
            messages, index = self.network.slot(published_ns).messages, self.network.index
            ids = tuple(one for one in ids if messages[index[one]].prev_publish_time != messages[index[one]].publish_time)
        if not ids:
            return _NO_UPDATE
        return sse.encode(self._body([(one, published_ns) for one in ids], query))
