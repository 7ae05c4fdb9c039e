"""Hermes: Pyth's web service for signed prices. Typed, batched, each id answered for itself.

Endpoints and behaviour: pyth-crosschain ``apps/hermes/server/src/api``. Since the cutover of 2026-08 the public service wants
an API key on price routes and serves updates of the pro root.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from probekit.clients.batch import Batch, unique
from probekit.clients.over_http import OverHttp, bearer, several
from probekit.clients.stream import HermesStream, StreamChange
from probekit.clock import SYSTEM_CLOCK, Clock, together
from probekit.codecs import hermes as codec
from probekit.codecs.hermes import Encoding, PriceAnswer
from probekit.errors import NotEntitled, NotFound, ProbekitError, ServerError, StatusError, Unauthorized
from probekit.model import Feed, FeedId, PriceUpdate, StakeCap
from probekit.secret import Secret
from probekit.transports.base import Engine, HeaderValue, Limits, Observer, Request, Response
from probekit.transports.fallback import ask
from probekit.transports.retry import RetryPolicy
from probekit.transports.sse import StreamPolicy
from probekit.transports.stack import build
from probekit.trust import HERMES_MAINNET, Trust
from probekit.units import NS_PER_S, Instant, to_ns

__all__ = ["HermesClient", "HermesStream", "Readiness", "StreamChange"]

T = TypeVar("T")

_MAX_URL_BYTES: Final = 7_500
"""Below the 8 KiB that proxies in front of a service commonly allow."""
_ID_QUERY_BYTES: Final = len("&ids%5B%5D=") + 64
_FEEDS: Final = "/v2/price_feeds"
_LATEST: Final = "/v2/updates/price/latest"
_ISOLATION_ROUNDS: Final = 32
_CONCURRENT: Final = 4
_SYMBOLS_FOR: Final = timedelta(minutes=10)


class Readiness(msgspec.Struct, frozen=True):
    """Whether Hermes says it can serve, and why not: one sentence per reason."""

    ready: bool
    reasons: tuple[str, ...] = ()
    fields: codec.ReadinessFields | None = None


class HermesClient(OverHttp):
    """A client of one Hermes service at one or several endpoints.

    ``endpoints`` are base URLs, asked in order when one fails. ``api_key`` goes into the Authorization header. ``verify`` is a
    trust: every update returned is then verified as of now and replaced by what its signed bytes state; what fails is that
    id's error. ``timeout`` bounds each call with all its retries. ``transport`` is an engine of the caller's, not closed here.

    An id that the key may not read is not asked for again within ``refused_for``.

    All methods raise :class:`~probekit.errors.TransportError` leaves, ``DecodeError`` for an answer that is none, and
    ``Unauthorized`` for a missing or useless key, which says nothing about any feed.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = HERMES_MAINNET,
        *,
        api_key: Secret | None = None,
        transport: Engine | None = None,
        verify: Trust | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        encoding: Encoding = "hex",
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
        refused_for: timedelta = timedelta(minutes=10),
    ) -> None:
        self.endpoints = several(endpoints)
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._base = self.endpoints[0].rstrip("/")
        self._verify = verify
        self._refused_for_ns = to_ns(refused_for)
        self._encoding: Encoding = encoding
        self._transport = build(
            self._engine, clock=clock, observer=observer, retry=retry or RetryPolicy(), endpoints=self.endpoints
        )
        # For questions that 503 answers: asking again would only wait, and spend what retries there are for prices.
        self._once = build(self._engine, clock=clock, observer=observer, endpoints=self.endpoints)
        self._headers: tuple[tuple[str, HeaderValue], ...] = (("accept", "application/json"), *bearer(api_key))
        self._refused: dict[FeedId, tuple[int, NotEntitled]] = {}
        self._table: tuple[int, tuple[Feed, ...]] | None = None
        self._symbols: dict[str, Feed] = {}
        self._reading: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    # -- prices --------------------------------------------------------------------------------------------------------------

    async def latest(self, ids: Iterable[str]) -> Batch:
        """The newest update of each feed. An id that is unknown or not entitled is its own error; the rest is still answered.

        Hundreds of ids are split over several requests; what one of them ends in is the error of each id that it was for, and
        is raised only where all end in one. Raises ``ValueError`` for an id that is none.
        """
        return await self._prices(_LATEST, ids, self._due_ns())

    async def at(self, publish_time: Instant, ids: Iterable[str]) -> Batch:
        """Each feed's first stored update published at or after ``publish_time`` (in whole seconds, rounded up).

        Raises ``NotFound`` when the service has nothing at that time; several requests are as those of :meth:`latest`. Check
        ``prev_publish_time`` to know that it is the first.
        """
        return await self._prices(f"/v2/updates/price/{-(-publish_time.ns // NS_PER_S)}", ids, self._due_ns())

    async def price(self, symbol: str) -> PriceUpdate:
        """The newest update of a feed by its symbol (``Crypto.BTC/USD``): look-up in the cached symbol table, then latest.

        Both share one ``timeout``. Raises ``NotFound`` with the nearest symbols when there is none, or the feed's own error.
        """
        deadline_ns = self._due_ns()
        await self._feed_table(deadline_ns)
        feed = self._symbols.get(symbol)
        if feed is None:
            near = difflib.get_close_matches(symbol, self._symbols, n=3)
            raise NotFound(f"no feed has the symbol {symbol!r}; nearest: {', '.join(near) or 'none'}", subject=symbol)
        return (await self._prices(_LATEST, [feed.id], deadline_ns))[feed.id]

    async def stake_caps(self) -> tuple[StakeCap, ...]:
        """The latest publisher stake caps; publishers in base58."""
        path = f"/v2/updates/publisher_stake_caps/latest?encoding={self._encoding}"
        return await self._read(path, lambda body: codec.decode_stake_caps(body).caps())

    # -- metadata ------------------------------------------------------------------------------------------------------------

    async def feeds(self, query: str | None = None, asset_type: str | None = None) -> tuple[Feed, ...]:
        """Feeds with their attributes and market hours; ``query`` is a part of the symbol, in any case."""
        given = {"query": query, "asset_type": asset_type}
        parameters = urlencode({name: value for name, value in given.items() if value is not None})
        return await self._read(_FEEDS + (f"?{parameters}" if parameters else ""), codec.decode_feeds)

    async def symbols(self) -> dict[str, Feed]:
        """All feeds by symbol, cached for ten minutes; the last good table is kept when a refresh fails.

        Of two feeds with one symbol the first served wins; feeds without one are left out.
        """
        await self._feed_table()
        return self._symbols

    async def _feed_table(self, deadline_ns: int | None = None) -> tuple[Feed, ...]:
        """All feeds, cached; read once, however many want them at the same time. With a deadline that is for more than this, a
        table that is to be refreshed takes half of what is left: the last good one will do.
        """
        async with self._read_once():
            cached, now_ns = self._table, self._clock.monotonic_ns()
            if cached is not None and now_ns - cached[0] < to_ns(_SYMBOLS_FOR):
                return cached[1]
            if deadline_ns is not None and cached is not None:
                deadline_ns -= (deadline_ns - now_ns) // 2
            try:
                feeds = await self._read(_FEEDS, codec.decode_feeds, deadline_ns)
            except ProbekitError:
                if cached is None:
                    raise
                feeds = cached[1]
            else:
                # The last is set first: of two feeds with one symbol the first stays.
                self._symbols = {feed.symbol: feed for feed in reversed(feeds) if feed.symbol}
            self._table = (now_ns, feeds)
            return feeds

    def _read_once(self) -> asyncio.Lock:
        """A lock that was waited for belongs to its loop: one for each that this is used under."""
        loop = asyncio.get_running_loop()
        if self._reading is None or self._reading[0] is not loop:
            self._reading = (loop, asyncio.Lock())
        return self._reading[1]

    # -- state ---------------------------------------------------------------------------------------------------------------

    async def live(self) -> bool:
        """Whether the process answers; raises only when it cannot be reached at all."""
        try:
            await self._get("/live")
        except StatusError:
            return False
        return True

    async def ready(self) -> Readiness:
        """Whether the service says it can serve. Not ready is a value with reasons, not an error."""
        try:
            await self._get("/ready")
        except ServerError as error:
            if error.status != 503:
                raise
            fields = codec.decode_readiness(error.body.encode())
            reasons = []
            if not fields.has_completed_recently:
                reasons.append("no update was completed in the last 30 s")
            if not fields.is_not_behind:
                reasons.append(f"slot {fields.latest_completed_slot} is behind the observed {fields.latest_observed_slot}")
            if not fields.is_metadata_loaded:
                reasons.append("no feed metadata is loaded")
            return Readiness(ready=False, reasons=tuple(reasons) or ("the service gave no reason",), fields=fields)
        return Readiness(ready=True)

    # -- stream --------------------------------------------------------------------------------------------------------------

    def stream(self, ids: Iterable[str], *, policy: StreamPolicy | None = None) -> HermesStream:
        """A stream of the feeds that reconnects by itself; iterate it. Raises ``ValueError`` for an id that is none."""
        return HermesStream(self, unique(ids), policy)

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _prices(self, path: str, wanted_ids: Iterable[str], deadline_ns: int) -> Batch:
        wanted = unique(wanted_ids)
        errors: dict[FeedId, ProbekitError] = {}
        asked = [one for one in wanted if not self._known_refused(one, errors)]
        parts = self._parts(asked, path)
        gate = asyncio.Semaphore(_CONCURRENT)

        async def part_of(ids: list[FeedId]) -> PriceAnswer | ProbekitError | None:
            try:
                return await self._isolating(path, ids, errors, deadline_ns, gate)
            except ProbekitError as error:
                return error

        answers: list[PriceAnswer] = []
        failures: list[ProbekitError] = []
        for ids, answer in zip(parts, await together(map(part_of, parts)), strict=True):
            if isinstance(answer, ProbekitError):
                # Of a part that failed, what was told apart before it did keeps its own error.
                errors |= {one: copy(answer) for one in ids if one not in errors}
                failures.append(answer)
            elif answer is not None:
                answers.append(answer)
        if failures and len(failures) == len(parts):
            raise failures[0]
        batch = Batch(wanted, answers, errors, received_at=self._clock.now())
        return batch if self._verify is None else batch.verified(self._verify, at=self._clock.now())

    def _parts(self, ids: Sequence[FeedId], path: str) -> list[list[FeedId]]:
        """``ids`` in as many parts as it takes to keep each URL below its limit."""
        per_request = (_MAX_URL_BYTES - len(self._base) - len(path) - 64) // _ID_QUERY_BYTES
        return [list(ids[i : i + per_request]) for i in range(0, len(ids), per_request)]

    async def _isolating(
        self,
        path: str,
        ids: list[FeedId],
        errors: dict[FeedId, ProbekitError],
        deadline_ns: int,
        gate: asyncio.Semaphore,
    ) -> PriceAnswer | None:
        """Ask for ``ids``; whatever the service names as unknown or not entitled is set apart, and the rest asked again."""
        left = list(ids)
        for _ in range(_ISOLATION_ROUNDS):
            if not left:
                return None
            try:
                async with gate:
                    query = self._price_query(path, left)
                    answer, malformed = await self._read(query, codec.decode_prices_apart, deadline_ns)
                errors.update((one, error) for one, error in malformed.items() if one in left)
                return answer
            except StatusError as error:
                refused = self._set_apart(error, left, errors)
                left = [one for one in left if one not in refused]
        for one in left:
            text = (
                f"{one}: not told yet, {_ISOLATION_ROUNDS} others of its request are refused; the next call goes on from there"
            )
            errors[one] = NotEntitled(text, subject=one)
        return None

    def _set_apart(self, error: StatusError, left: list[FeedId], errors: dict[FeedId, ProbekitError]) -> set[FeedId]:
        """Record the ids that ``error`` names; raises it, or what it means for the whole, when it names none of them."""
        if error.status == 404:
            unknown = set(codec.unknown_ids(error.body)).intersection(left)
            for one in unknown:
                errors[one] = NotFound(f"{error.url} knows no feed {one}", subject=one)
            if unknown:
                return unknown
            raise NotFound(error.message) from error
        if isinstance(error, NotEntitled):
            refused = codec.unentitled_id(error.body)
            if refused is not None and refused in left:
                item = NotEntitled(error.message, subject=refused, body=error.body, url=error.url)
                errors[refused] = item
                self._refused[refused] = (self._clock.monotonic_ns(), item)
                return {refused}
            raise Unauthorized(error.message, status=error.status, body=error.body, url=error.url) from error
        raise error

    def _known_refused(self, one: FeedId, errors: dict[FeedId, ProbekitError]) -> bool:
        """Remembered for ``refused_for``: each refused id costs a request of its own to find."""
        known = self._refused.get(one)
        if known is None:
            return False
        if self._clock.monotonic_ns() - known[0] >= self._refused_for_ns:
            del self._refused[one]
            return False
        errors[one] = known[1]
        return True

    def _price_query(self, path: str, ids: Sequence[FeedId]) -> str:
        return f"{path}?encoding={self._encoding}&parsed=true" + "".join(f"&ids%5B%5D={one}" for one in ids)

    def _request(self, path: str, deadline_ns: int | None, *, stream: bool = False) -> Request:
        headers = self._headers if not stream else (("accept", "text/event-stream"), *self._headers[1:])
        return Request("GET", self._base + path, headers, deadline_ns=deadline_ns, stream=stream, limits=self._limits)

    async def _get(self, path: str) -> Response:
        return await self._once.send(self._request(path, self._due_ns()))

    async def _read(self, path: str, decode: Callable[[bytes], T], deadline_ns: int | None = None) -> T:
        """An answer, decoded: of the next endpoint where one gives none that decodes."""
        request = self._request(path, self._due_ns() if deadline_ns is None else deadline_ns)
        return await ask(self._transport, request, lambda response: decode(response.body))
