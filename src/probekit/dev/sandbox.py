"""A sandbox Hermes endpoint: the v2 REST and SSE surface as a state machine, with faults. Fronts put it on a wire.

Routes, texts and statuses follow pyth-crosschain ``apps/hermes/server/src/api``, and for keys the upgraded public service.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import format_datetime
from typing import Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from probekit.codecs import hermes as codec
from probekit.codecs import sse
from probekit.dev import faults
from probekit.dev.faults import AnyFault, Fault
from probekit.dev.network import SandboxNetwork
from probekit.dev.serving import Serving
from probekit.model import FeedId
from probekit.secret import Secret
from probekit.units import NS_PER_MS, NS_PER_S, Instant

F = TypeVar("F", bound=Fault)

_KEEP_ALIVE_NS: Final = 15 * NS_PER_S
_STREAM_LIFE_NS: Final = 24 * 3600 * NS_PER_S
_HISTORY_NS: Final = 600 * NS_PER_S
_FAULT: Final = msgspec.json.Decoder(AnyFault)


class Broken(Exception):
    """Raised out of a reply's chunks: the front must break the connection here."""


@dataclass(slots=True)
class Reply:
    """What the endpoint answers; ``chunks`` instead of ``body`` for streams. ``wait`` is awaited before anything is sent."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: AsyncIterator[bytes] | None = None
    wait: Callable[[], Awaitable[None]] | None = None


def _text(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), "text/plain; charset=utf-8")


class Sandbox:
    """One endpoint of a :class:`~probekit.dev.network.SandboxNetwork`.

    With ``api_key``, price routes and streams want it. With ``control``, faults can be set over HTTP: POST, GET and DELETE on
    ``/_sandbox/faults``.
    """

    def __init__(
        self,
        network: SandboxNetwork,
        *,
        api_key: Secret | None = None,
        control: bool = False,
        stream_life_ns: int = _STREAM_LIFE_NS,
    ) -> None:
        self.network = network
        self.clock = network.clock
        self.faults: list[Fault] = []
        self.requests = 0
        self._api_key = api_key
        self._control = control
        self._stream_life_ns = stream_life_ns
        self._serving = Serving(network)

    # -- faults --------------------------------------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> Callable[[], None]:
        """Put a fault on; returns what takes it off again. Faults of content are on every endpoint of the network."""
        if isinstance(fault, faults.StaleFeed | faults.WideConfidence):
            content = fault
            self.network.inject(content)
            return lambda: self.network.clear(content)
        self.faults.append(fault)
        return lambda: self._remove(fault)

    def _remove(self, fault: Fault) -> None:
        if fault in self.faults:
            self.faults.remove(fault)

    def on(self, kind: type[F]) -> F | None:
        """The fault of that kind, if it is on."""
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    # -- routes --------------------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Answer one request; ``target`` is the path with its query, header names are lower case."""
        self.requests += 1
        parts = urlsplit(target)
        path = parts.path
        reply = self._route(method, path, parse_qsl(unquote(parts.query)), headers, body)
        reply.headers.append(("date", format_datetime(self.clock.now().to_datetime().astimezone(UTC), usegmt=True)))
        return reply

    def _route(self, method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes) -> Reply:
        if self._control and path == "/_sandbox/faults":
            return self._controlled(method, body)
        if method != "GET":
            return _text(405, "Method not allowed")
        if path == "/live":
            return _text(200, "OK")
        if path == "/ready":
            return _text(200, "OK")
        if path == "/v2/price_feeds":
            return self._feeds(dict(query))
        if path.startswith("/v2/updates/twap/"):
            return _text(400, "The TWAP endpoint has been deprecated and is no longer available.")
        if path.startswith("/v2/updates/"):
            return self._guarded(path, query, headers)
        return _text(404, "not found")

    def _controlled(self, method: str, body: bytes) -> Reply:
        if method == "POST":
            try:
                fault = _FAULT.decode(body)
            except msgspec.DecodeError as error:
                return _text(400, f"not a fault: {error}")
            self.inject(fault)
        elif method == "DELETE":
            self.faults.clear()
            for fault in list(self.network.content_faults):
                self.network.clear(fault)
        return Reply(body=msgspec.json.encode([*self.faults, *self.network.content_faults]))

    def _feeds(self, query: dict[str, str]) -> Reply:
        wanted, asset = query.get("query", "").lower(), query.get("asset_type")
        feeds = (market.feed for market in self.network.markets)
        return Reply(
            body=codec.encode_feeds(
                feed for feed in feeds if wanted in feed.symbol.lower() and asset in (None, feed.asset_class)
            )
        )

    def _guarded(self, path: str, query: list[tuple[str, str]], headers: dict[str, str]) -> Reply:
        key = headers.get("authorization", "").removeprefix("Bearer ") or dict(query).get("ACCESS_TOKEN", "")
        if self.on(faults.Unauthorized) or (self._api_key is not None and key != self._api_key.reveal()):
            return _text(401, "unauthorized")
        if (limited := self.on(faults.RateLimited)) is not None:
            reply = _text(429, "Too many requests")
            reply.headers.append(("retry-after", str(limited.retry_after_s)))
            return reply
        if (broken := self.on(faults.ServerError)) is not None:
            return _text(broken.status, "RPC connection error: injected")
        if self.on(faults.Hang):
            return Reply(wait=self._for_ever)
        if path == "/v2/updates/publisher_stake_caps/latest":
            return Reply(body=b'{"binary":{"encoding":"hex","data":[]},"parsed":[{"publisher_stake_caps":[]}]}')
        reply = self._priced(path, query)
        if (slow := self.on(faults.Slow)) is not None:
            delay_ns = slow.delay_ms * NS_PER_MS
            reply.wait = lambda: self.clock.sleep_until_ns(self.clock.monotonic_ns() + delay_ns)
        return reply

    async def _for_ever(self) -> None:
        while True:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + 3600 * NS_PER_S)

    def _priced(self, path: str, query: list[tuple[str, str]]) -> Reply:
        flags = dict(query)
        try:
            ids = list(dict.fromkeys(FeedId(value) for name, value in query if name in ("ids[]", "ids")))
        except ValueError as error:
            return _text(400, f"Failed to deserialize query string: {error}")
        if not ids:
            return _text(400, "Failed to deserialize query string: missing field `ids`")
        unknown = [one for one in ids if one not in self.network.index]
        if unknown and flags.get("ignore_invalid_price_ids") != "true":
            return _text(404, "Price ids not found: " + ", ".join(f"0x{one}" for one in unknown))
        ids = [one for one in ids if one in self.network.index]
        for fault in self.faults:
            if isinstance(fault, faults.Unentitled) and fault.feed in ids:
                grant = "no grant accepts this feed (asset type 'crypto')"
                return _text(403, f"Not entitled: feed {fault.feed} ({grant})")
        encoding = flags.get("encoding", "hex")
        if encoding not in ("hex", "base64"):
            return _text(400, f"Failed to deserialize query string: unknown variant `{encoding}`")
        parsed = flags.get("parsed", "true") == "true"
        as_base64 = encoding == "base64"
        what = path.removeprefix("/v2/updates/price/")
        if what == "stream":
            chunks = self._stream(ids, as_base64=as_base64, parsed=parsed)
            return Reply(content_type="text/event-stream", headers=[("cache-control", "no-cache")], chunks=chunks)
        now = self.clock.now()
        published_ns = self.network.published_ns(self._lagging(now))
        if what != "latest":
            if not what.isdigit() or len(what) > 12:
                return _text(400, "Invalid URL: cannot parse publish_time")
            asked_ns = int(what) * NS_PER_S
            if not now.ns - _HISTORY_NS <= asked_ns <= now.ns:
                return _text(404, "Update data not found")
            published_ns = -(-asked_ns // self.network.every_ns) * self.network.every_ns
        return self._mangled(self._body(ids, published_ns, as_base64=as_base64, parsed=parsed))

    def _lagging(self, now: Instant) -> Instant:
        lag = self.on(faults.Lag)
        return now if lag is None else Instant(now.ns - lag.delay_ms * NS_PER_MS)

    def _body(self, ids: Iterable[FeedId], published_ns: int, *, as_base64: bool, parsed: bool) -> bytes:
        updates, binary = self._serving.answer(list(ids), published_ns, self.faults)
        return codec.encode_prices(updates if parsed else None, binary, "base64" if as_base64 else "hex")

    def _mangled(self, body: bytes) -> Reply:
        """The answer as the endpoint's faults would have it."""
        if self.on(faults.MalformedJson):
            return Reply(body=body[: len(body) * 2 // 3])
        if self.on(faults.WrongContentType):
            return Reply(body=b"<!doctype html><title>Welcome</title><p>It works.", content_type="text/html")
        if self.on(faults.NanNumbers):
            return Reply(body=body.replace(b'"expo":-8', b'"expo":NaN').replace(b'"price":"', b'"price":"9' + b"9" * 60))
        if self.on(faults.DuplicateIds):
            head, separator, rest = body.partition(b'"parsed":[')
            rows = rest.removesuffix(b"]}")
            return Reply(body=head + separator + rows + b"," + rows + b"]}")
        if self.on(faults.HugeHeaders):
            return Reply(body=body, headers=[(f"x-filler-{i}", "y" * 4000) for i in range(40)])
        if self.on(faults.GzipBomb):
            return Reply(body=gzip.compress(b"\0" * (64 << 20), 9), headers=[("content-encoding", "gzip")])
        if self.on(faults.EndlessBody):
            return Reply(chunks=self._endless())
        return Reply(body=body)

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536
            await self.clock.sleep_until_ns(0)

    async def _stream(self, ids: list[FeedId], *, as_base64: bool, parsed: bool) -> AsyncIterator[bytes]:
        network, clock = self.network, self.clock
        opened_ns = last_sent_ns = clock.monotonic_ns()
        published_ns = network.published_ns(clock.now())
        while True:
            silent = self.on(faults.SilentStream)
            if silent is None:
                event = sse.encode(
                    self._body(ids, network.published_ns(self._lagging(clock.now())), as_base64=as_base64, parsed=parsed)
                )
                if self.on(faults.CutStream):
                    yield event[: len(event) // 2]
                    raise Broken
                yield event
                last_sent_ns = clock.monotonic_ns()
            elif silent.keep_alive and clock.monotonic_ns() - last_sent_ns >= _KEEP_ALIVE_NS:
                yield sse.COMMENT
                last_sent_ns = clock.monotonic_ns()
            if clock.monotonic_ns() - opened_ns >= self._stream_life_ns:
                yield sse.encode(b"Connection timeout reached (24h)", event="error")
                return
            published_ns = max(published_ns + network.every_ns, network.published_ns(clock.now()))
            wait_ns = published_ns - clock.now().ns
            await clock.sleep_until_ns(clock.monotonic_ns() + max(wait_ns, NS_PER_MS))
