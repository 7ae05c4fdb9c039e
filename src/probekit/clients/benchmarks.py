"""Pyth Benchmarks: prices of the past with their proofs, the list of feeds, and charts by TradingView's UDF.

Since the cutover of 2026-08 the service wants an API key. Its limits are 10 requests in 10 s for each address, 90 for charts;
above that it refuses for 60 s. Sources: OpenAPI description of benchmarks.pyth.network, version 0.3.6, for the endpoints;
Pyth's developer documentation for the limits.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode

from probekit.clients.batch import Batch, unique
from probekit.clients.over_http import OverHttp, bearer, several
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs import benchmarks as codec
from probekit.codecs.benchmarks import PastUpdate, ShimError
from probekit.codecs.hermes import Encoding, unentitled_id, unknown_ids
from probekit.errors import (
    DecodeError,
    NotEntitled,
    NotFound,
    ProbekitError,
    ServerError,
    StatusError,
    TransportError,
    Unauthorized,
)
from probekit.model import FeedId, PriceUpdate
from probekit.model.benchmarks import BarHistory, ChartConfig, ChartMatch, ChartSymbol, ListedFeed, Resolution
from probekit.secret import Secret
from probekit.transports.base import Engine, HeaderValue, Limits, Observer, Request, Response
from probekit.transports.fallback import ask
from probekit.transports.retry import RetryPolicy
from probekit.transports.stack import build
from probekit.trust import Trust
from probekit.units import Instant

__all__ = ["BENCHMARKS", "BenchmarksClient", "PriceWindow"]

T = TypeVar("T")

_UNAVAILABLE: Final = 503

BENCHMARKS: Final = "https://benchmarks.pyth.network"
LONGEST_WINDOW: Final = timedelta(seconds=60)

_MAX_URL_BYTES: Final = 7_500
"""Below the 8 KiB that proxies in front of a service commonly allow."""
_ID_QUERY_BYTES: Final = len("&ids=") + 64
_ISOLATION_REQUESTS: Final = 8
_UNKNOWN_SYMBOL: Final = re.compile(r"(?i)\b(not found|unknown|no such|invalid symbol|does not exist)\b")
_CHARTS: Final = "/v1/shims/tradingview"


@dataclass(frozen=True)
class PriceWindow:
    """Updates of some feeds over a window of time, both ends included.

    ``batches`` has one batch for each moment that the service answered for, in its order; ``errors`` what does not read and
    names no feed; ``refused`` the ids that were not answered at all.
    """

    ids: tuple[FeedId, ...]
    batches: tuple[Batch, ...]
    errors: tuple[DecodeError, ...] = ()
    refused: tuple[tuple[FeedId, ProbekitError], ...] = ()

    def of(self, feed_id: str) -> tuple[PriceUpdate, ...]:
        """The updates of a feed that hold, each publish time once, oldest first."""
        found = {batch[feed_id].point.publish_time: batch[feed_id] for batch in self.batches if feed_id in batch.updates}
        return tuple(found[time] for time in sorted(found))

    def errors_of(self, feed_id: str) -> tuple[ProbekitError, ...]:
        """Why a feed has no update, for each moment where that is known."""
        own = [error for one, error in self.refused if one == feed_id]
        return (*own, *(error for batch in self.batches for one, error in batch.errors.items() if one == feed_id))

    @property
    def missing(self) -> tuple[FeedId, ...]:
        """Feeds of which the window holds nothing."""
        return tuple(one for one in self.ids if not self.of(one))


class BenchmarksClient(OverHttp):
    """A client of one Benchmarks service at one or several endpoints, asked in order when one fails.

    ``api_key`` goes into the Authorization header. ``verify`` is a trust: every update returned is then replaced by what its
    signed bytes state, and what fails is that id's error. Sets that were superseded since are accepted: that proves who signed,
    not that a contract would take it today. ``timeout`` bounds each call with all its requests and retries. ``transport`` is an
    engine of the caller's, not closed here.

    All methods raise :class:`~probekit.errors.TransportError` leaves, ``DecodeError`` for an answer that is none, and
    ``Unauthorized`` for a missing or useless key, which says nothing about any feed.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = BENCHMARKS,
        *,
        api_key: Secret | None = None,
        transport: Engine | None = None,
        verify: Trust | None = None,
        timeout: timedelta = timedelta(seconds=30),
        retry: RetryPolicy | None = None,
        encoding: Encoding = "hex",
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
    ) -> None:
        self.endpoints = several(endpoints)
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._base = self.endpoints[0].rstrip("/")
        self._verify = verify
        self._encoding: Encoding = encoding
        self._transport = build(
            self._engine, clock=clock, observer=observer, retry=retry or RetryPolicy(), endpoints=self.endpoints
        )
        self._headers: tuple[tuple[str, HeaderValue], ...] = (("accept", "application/json"), *bearer(api_key))

    # -- prices --------------------------------------------------------------------------------------------------------------

    async def at(self, publish_time: Instant, ids: Iterable[str]) -> Batch:
        """Each feed's update of that time (whole seconds), as the service picks it: look at its ``publish_time``. An id for
        which there is nothing is its own ``NotFound``.

        The service refuses a whole request for one such id, without naming it: the ids are then halved until it stands alone,
        for at most 8 requests more, since it takes 10 in 10 s. What fails after something was answered is the error of the ids
        that were left. Raises ``ValueError`` for an id that is none.
        """
        wanted = unique(ids)
        path = f"/v1/updates/price/{publish_time.seconds}"
        past, errors = await self._isolating(path, wanted, codec.decode_update)
        errors |= {one: error for found in past for one, error in found.malformed if one is not None}
        nameless = [error for found in past for one, error in found.malformed if one is None]
        if nameless:
            # Nobody can tell whose they are: whoever is missing is told of the first.
            there = {update.id for found in past for update in found.answer.parsed or ()}
            errors |= {one: nameless[0] for one in wanted if one not in there and one not in errors}
        batch = self._batch(wanted, past, errors)
        return batch if self._verify is None else batch.verified(self._verify, at=self._clock.now())

    async def window(self, start: Instant, length: timedelta, ids: Iterable[str], *, distinct: bool = True) -> PriceWindow:
        """Updates from ``start`` on (whole seconds), up to and with its end ``length`` later: at most 60 s.

        With ``distinct`` the service leaves out what repeats. Raises ``ValueError`` for another length, or an id that is none.
        """
        if not timedelta(0) <= length <= LONGEST_WINDOW or length.microseconds:
            raise ValueError(f"a window of {length}; whole seconds up to {LONGEST_WINDOW.seconds} are served")
        wanted = unique(ids)
        path = f"/v1/updates/price/{start.seconds}/{int(length.total_seconds())}"
        answers, refused = await self._isolating(path, wanted, codec.decode_updates, f"&unique={str(distinct).lower()}")
        found = [one for answer in answers for one in answer]
        batches = [self._moment(one) for one in found if isinstance(one, PastUpdate)]
        if self._verify is not None:
            batches = [batch.verified(self._verify, at=self._clock.now()) for batch in batches]
        undecodable = [one for one in found if isinstance(one, DecodeError)]
        nameless = [error for one in found if isinstance(one, PastUpdate) for whose, error in one.malformed if whose is None]
        return PriceWindow(tuple(wanted), tuple(batches), (*undecodable, *nameless), tuple(refused.items()))

    def _moment(self, past: PastUpdate) -> Batch:
        """Of one moment of a window, where not every feed need have an update: only what is there, readable or not."""
        errors: dict[FeedId, ProbekitError] = {one: error for one, error in past.malformed if one is not None}
        there = [update.feed_id for update in past.answer.parsed or ()]
        return self._batch(list(dict.fromkeys((*there, *errors))), [past], errors)

    def _batch(self, ids: Sequence[FeedId], past: Sequence[PastUpdate], errors: dict[FeedId, ProbekitError]) -> Batch:
        answers = [one.answer for one in past]
        return Batch(ids, answers, errors, received_at=self._clock.now(), of_the_past=True)

    # -- feeds ---------------------------------------------------------------------------------------------------------------

    async def feeds(self, query: str | None = None, asset_type: str | None = None) -> tuple[ListedFeed | DecodeError, ...]:
        """Feeds with their attributes and their market's state; ``query`` is a part of the symbol, in any case."""
        given = {"query": query, "asset_type": asset_type}
        parameters = urlencode({name: value for name, value in given.items() if value is not None})
        return await self._read("/v1/price_feeds/" + (f"?{parameters}" if parameters else ""), codec.decode_feeds)

    async def feed(self, feed_id: str) -> ListedFeed:
        """One feed by its id. Raises ``NotFound``, or ``ValueError`` for an id that is none."""
        one = FeedId(feed_id)
        try:
            return await self._read(f"/v1/price_feeds/{one}", codec.decode_feed)
        except StatusError as error:
            if error.status == 404:
                raise NotFound(error.message, subject=one) from None
            raise

    # -- charts --------------------------------------------------------------------------------------------------------------

    async def chart_config(self) -> ChartConfig:
        """What the chart service offers."""
        return await self._read(f"{_CHARTS}/config", codec.decode_config)

    async def chart_symbol(self, symbol: str) -> ChartSymbol:
        """A symbol (``Crypto.BTC/USD``) as charts draw it. Raises ``NotFound`` where the service knows none such."""
        path = f"{_CHARTS}/symbols?{urlencode({'symbol': symbol})}"
        return await self._ask(path, lambda response: _answered(codec.decode_symbol(response.body), response, symbol))

    async def chart_search(self, query: str, *, limit: int = 15) -> tuple[ChartMatch | DecodeError, ...]:
        """Symbols that a text finds, at most ``limit``."""
        parameters = urlencode({"query": query, "limit": limit})
        return await self._read(f"{_CHARTS}/search?{parameters}", codec.decode_search)

    async def chart_bars(self, symbol: str, resolution: Resolution, start: Instant, end: Instant) -> BarHistory:
        """Bars of a symbol from ``start`` to ``end`` (whole seconds, both included); empty where there were none.

        Bars are made by the service and carry no proof. Raises ``NotFound`` for a symbol that it does not know, ``ServerError``
        when it answers with another error of its own, ``ValueError`` for an end before the start.
        """
        if end < start:
            raise ValueError(f"bars up to {end}, from {start} on")
        parameters = urlencode({"symbol": symbol, "resolution": resolution, "from": start.seconds, "to": end.seconds})
        path = f"{_CHARTS}/history?{parameters}"
        return await self._ask(path, lambda response: _answered(codec.decode_history(response.body), response, symbol))

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _isolating(
        self, path: str, ids: Sequence[FeedId], read: Callable[[bytes], T], extra: str = ""
    ) -> tuple[list[T], dict[FeedId, ProbekitError]]:
        """Ask for ``ids``, in as many requests as it takes to keep one that is refused from the rest: what was answered, and
        the error of each id that was not. Raises where nothing was answered, and not for what is about single ids.
        """
        deadline_ns = self._due_ns()
        left = deque(self._parts(ids, path))
        found: list[T] = []
        errors: dict[FeedId, ProbekitError] = {}
        failure: tuple[ProbekitError, Exception | None] | None = None
        for _ in range(len(left) + _ISOLATION_REQUESTS):
            if not left:
                break
            part = left.popleft()
            query = f"{path}?encoding={self._encoding}&parsed=true{extra}" + "".join(f"&ids={one}" for one in part)
            try:
                found.append(await self._read(query, read, deadline_ns))
            except (TransportError, DecodeError) as error:
                again = _apart(error, part, errors)
                if again is not None:
                    left.extend(again)
                    continue
                told = _about_all(error)
                failure = failure or (told, None if told is error else error)
                failed = list(part)
                if not (isinstance(error, DecodeError) or (isinstance(error, ServerError) and error.status != _UNAVAILABLE)):
                    # The key, a limit, the time, the service itself: the rest would fare no better.
                    failed += (one for rest in left for one in rest)
                    left.clear()
                errors |= {one: copy(told) for one in failed}
        if failure is not None and not found:
            raise failure[0] from failure[1]
        for one in (one for part in left for one in part):
            errors[one] = NotFound(f"{one}: stands among so many that are refused that it was not asked for alone", subject=one)
        return found, errors

    def _parts(self, ids: Sequence[FeedId], path: str) -> Iterator[list[FeedId]]:
        """``ids`` in as many parts as it takes to keep each URL below its limit."""
        per_request = (_MAX_URL_BYTES - len(self._base) - len(path) - 64) // _ID_QUERY_BYTES
        for start in range(0, len(ids), per_request):
            yield list(ids[start : start + per_request])

    async def _read(self, path: str, read: Callable[[bytes], T], deadline_ns: int | None = None) -> T:
        return await self._ask(path, lambda response: read(response.body), deadline_ns)

    async def _ask(self, path: str, read: Callable[[Response], T], deadline_ns: int | None = None) -> T:
        """An answer, read: of the next endpoint where one gives none that reads."""
        if deadline_ns is None:
            deadline_ns = self._due_ns()
        request = Request("GET", self._base + path, self._headers, deadline_ns=deadline_ns, limits=self._limits)
        return await ask(self._transport, request, read)


def _apart(
    error: TransportError | DecodeError, part: list[FeedId], errors: dict[FeedId, ProbekitError]
) -> list[list[FeedId]] | None:
    """What of ``part`` to ask for again, by itself; the ids that ``error`` is about get it. ``None`` where it is about all."""
    if isinstance(error, NotEntitled):
        refused = unentitled_id(error.body)
        if refused is None or refused not in part:
            return None
        errors[refused] = NotEntitled(error.message, subject=refused, body=error.body, url=error.url)
        return _without(part, {refused})
    if not isinstance(error, StatusError) or error.status != 404:
        return None
    named = set(unknown_ids(error.body)).intersection(part) or (set(part) if len(part) == 1 else set())
    errors |= {one: NotFound(error.message, subject=one) for one in named}
    if named:
        return _without(part, named)
    middle = len(part) // 2
    return [part[:middle], part[middle:]]


def _without(part: list[FeedId], ids: set[FeedId]) -> list[list[FeedId]]:
    rest = [one for one in part if one not in ids]
    return [rest] if rest else []


def _about_all(error: TransportError | DecodeError) -> ProbekitError:
    """A 403 that names no id is about the key."""
    if isinstance(error, NotEntitled):
        return Unauthorized(error.message, status=error.status, body=error.body, url=error.url)
    return error


def _answered(found: T | ShimError, response: Response, symbol: str) -> T:
    if not isinstance(found, ShimError):
        return found
    message = f"{response.url} answered with an error: {found.message or 'no word'}"
    if _UNKNOWN_SYMBOL.search(found.message):
        raise NotFound(message, subject=symbol)
    # The status says 200; what is meant is that the service failed.
    raise ServerError(message, status=response.status, body=found.message, url=response.url)
