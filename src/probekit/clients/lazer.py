"""Pyth Pro (Lazer): prices now and at a time, symbols, candles, access tokens. Typed; each feed answered for itself.

Source: Pyth's developer documentation, "REST API", "History API" and "Frontend Authentication"; for ``reduce_price``, public
clients made from the router's OpenAPI description.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from probekit.clients.lazer_batch import LazerBatch
from probekit.clients.lazer_isolation import Isolation
from probekit.clients.lazer_stream import LazerStream, LazerStreamPolicy
from probekit.clients.over_http import OverHttp, bearer
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.lazer import symbols as symbols_codec
from probekit.codecs.lazer.messages import PriceRequest, request_body
from probekit.codecs.lazer.symbols import AccessToken, Candle
from probekit.codecs.lazer.updates import decode_update, write_update
from probekit.errors import DecodeError, NotEntitled, NotFound, ProbekitError, StatusError, Unauthorized
from probekit.model.lazer import DEFAULT_PROPERTIES, SOCKETS, Channel, FeedProperty, LazerUpdate, UpdateFormat
from probekit.model.lazer_symbols import LazerSymbol
from probekit.secret import Secret
from probekit.transports.base import Engine, HeaderValue, Limits, Observer, Request, Transport
from probekit.transports.fallback import ask
from probekit.transports.retry import RetryPolicy
from probekit.transports.socket import Connector
from probekit.transports.stack import build
from probekit.trust.lazer import LazerSigners, require_ed25519
from probekit.units import NS_PER_US, Instant, to_ns

__all__ = ["HISTORY", "ROUTERS", "SOCKETS", "LazerBatch", "LazerClient"]

ROUTERS: Final = tuple(f"https://pyth-lazer{part}.dourolabs.app" for part in ("", "-0", "-1", "-2"))
HISTORY: Final = ("https://pyth.dourolabs.app",)

_SYMBOLS_FOR: Final = timedelta(minutes=10)

T = TypeVar("T")


class LazerClient(OverHttp):
    """A client of the routers and of the history service beside them.

    ``routers`` and ``history`` are base URLs, asked in order when one fails; reads that are POSTs are asked again as GETs are.
    ``api_key`` is a key or an access token; it goes into the Authorization header. With ``signers`` every price is
    verified as of now, and is what its signed bytes state. ``timeout`` bounds each call with all its retries. ``transport`` is
    an engine of the caller's, not closed here. A feed that the key may not read, or that is unknown, is not asked for again
    within ``refused_for``.

    All methods raise :class:`~probekit.errors.TransportError` leaves, ``Unauthorized`` for a missing or useless key, which says
    nothing of any feed, and ``DecodeError`` for an answer that is none.
    """

    def __init__(
        self,
        routers: str | Sequence[str] = ROUTERS,
        *,
        history: str | Sequence[str] = HISTORY,
        api_key: Secret | None = None,
        transport: Engine | None = None,
        signers: LazerSigners | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
        refused_for: timedelta = timedelta(minutes=10),
    ) -> None:
        self.routers = (routers,) if isinstance(routers, str) else tuple(routers)
        self.history_endpoints = (history,) if isinstance(history, str) else tuple(history)
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._signers = signers
        self._refused_for_ns = to_ns(refused_for)
        self._api_key = api_key
        policy = retry or RetryPolicy()
        self._router = build(self._engine, clock=clock, observer=observer, retry=policy, endpoints=self.routers)
        self._history = build(self._engine, clock=clock, observer=observer, retry=policy, endpoints=self.history_endpoints)
        self._headers: tuple[tuple[str, HeaderValue], ...] = (("accept", "application/json"), *bearer(api_key))
        self._refused: dict[int, tuple[int, ProbekitError]] = {}
        self._table: tuple[int, dict[str, LazerSymbol]] | None = None

    # -- prices --------------------------------------------------------------------------------------------------------------

    async def latest(
        self,
        feeds: Iterable[int | str],
        *,
        properties: Sequence[FeedProperty] = DEFAULT_PROPERTIES,
        formats: Sequence[UpdateFormat] = (),
        channel: Channel = Channel.FIXED_200MS,
        parsed: bool = True,
    ) -> LazerBatch:
        """The newest values of each feed, named by number or by symbol. One that is unknown, not entitled or not served on this
        channel is its own error; the rest is still answered.

        ``formats`` are the binary forms that the answers shall hold. Raises ``NotFound`` for a symbol that is none.
        """
        return await self._prices("/v1/latest_price", feeds, properties, formats, channel, parsed, None)

    async def at(
        self,
        timestamp: Instant,
        feeds: Iterable[int | str],
        *,
        properties: Sequence[FeedProperty] = DEFAULT_PROPERTIES,
        formats: Sequence[UpdateFormat] = (),
        channel: Channel = Channel.FIXED_200MS,
        parsed: bool = True,
    ) -> LazerBatch:
        """The values at a time, to the microsecond; as :meth:`latest` otherwise."""
        timestamp_us = timestamp.ns // NS_PER_US
        return await self._prices("/v1/price", feeds, properties, formats, channel, parsed, timestamp_us)

    async def reduced(self, update: LazerUpdate, feeds: Iterable[int]) -> LazerUpdate:
        """An update with some of its feeds only, in the same forms, signed anew by the router.

        Raises ``ValueError`` for one with broken parts, ``DecodeError`` for an answer in none of its forms.
        """
        body = {"payload": write_update(update), "priceFeedIds": list(dict.fromkeys(feeds))}

        def read(answer: bytes) -> LazerUpdate:
            found = decode_update(answer)
            if not (found.binary.keys() & update.binary.keys() or (found.parsed is not None and update.parsed is not None)):
                raise DecodeError("a reduced update has none of the forms of the one it is of", raw=answer)
            return found

        return await self._post(self._router, self.routers[0], "/v1/reduce_price", body, read)

    def stream(
        self,
        requests: PriceRequest | Sequence[PriceRequest],
        *,
        sockets: str | Sequence[str] = SOCKETS,
        connector: Connector | None = None,
        policy: LazerStreamPolicy | None = None,
    ) -> LazerStream:
        """Subscriptions at several endpoints at once, told once; see :class:`LazerStream`. Needs the extra ``ws``."""
        return LazerStream(
            sockets,
            requests,
            api_key=self._api_key,
            signers=self._signers,
            connector=connector,
            policy=policy,
            clock=self._clock,
        )

    # -- metadata ------------------------------------------------------------------------------------------------------------

    async def symbols(
        self, query: str | None = None, asset_type: str | None = None, *, entitled_only: bool = False
    ) -> tuple[LazerSymbol | DecodeError, ...]:
        """The symbol table, or the part of it that fits; an entry that does not read is its own error."""
        given = {"query": query, "asset_type": asset_type, "entitled_only": "true" if entitled_only else None}
        parameters = urlencode({name: value for name, value in given.items() if value is not None})
        path = f"/v1/symbols?{parameters}" if parameters else "/v1/symbols"
        return await self._about_no_feed(path, symbols_codec.decode_symbols)

    async def feed_id(self, symbol: str) -> int:
        """The number of a feed by its symbol (``Crypto.BTC/USD``); the table is kept for ten minutes, and longer when it cannot
        be had anew. Raises ``NotFound`` with the nearest symbols.
        """
        return await self._feed_id(symbol, self._due_ns())

    async def _feed_id(self, symbol: str, deadline_ns: int, *, for_more: bool = False) -> int:
        table = await self._symbol_table(deadline_ns, for_more=for_more)
        found = table.get(symbol)
        if found is None:
            near = ", ".join(difflib.get_close_matches(symbol, table, n=3)) or "none"
            raise NotFound(f"no feed has the symbol {symbol!r}; nearest: {near}", subject=symbol)
        return found.feed_id

    async def _symbol_table(self, deadline_ns: int, *, for_more: bool) -> dict[str, LazerSymbol]:
        """``for_more``: the deadline is for more than this, so that a table that is to be refreshed takes half of what is left
        at most. The last good one will do.
        """
        cached, now_ns = self._table, self._clock.monotonic_ns()
        if cached is not None and now_ns - cached[0] < to_ns(_SYMBOLS_FOR):
            return cached[1]
        if for_more and cached is not None:
            deadline_ns -= (deadline_ns - now_ns) // 2
        try:
            entries = await self._about_no_feed("/v1/symbols", symbols_codec.decode_symbols, deadline_ns)
        except ProbekitError:
            if cached is None:
                raise
            self._table = (now_ns, cached[1])
            return cached[1]
        table: dict[str, LazerSymbol] = {}
        for one in entries:
            if isinstance(one, LazerSymbol):
                table.setdefault(one.symbol, one)
        self._table = (now_ns, table)
        return table

    async def candles(
        self, symbol: str, *, start: Instant, end: Instant, resolution: str = "1", channel: Channel = Channel.FIXED_200MS
    ) -> tuple[Candle | DecodeError, ...]:
        """Candles between two times, oldest first. ``resolution`` is in minutes, or ``D``, ``W``, ``M``."""
        given = {"symbol": symbol, "from": start.seconds, "to": end.seconds, "resolution": resolution}
        return await self._read(f"/v1/{quote(str(channel))}/history?{urlencode(given)}", symbols_codec.decode_candles)

    async def live(self) -> bool:
        """Whether the history service answers; raises only when it cannot be reached at all."""
        try:
            await self._read("/live", bytes)
        except StatusError:
            return False
        return True

    async def access_token(self, ttl: timedelta | None = None) -> AccessToken:
        """A short-lived token in place of the key; without ``ttl`` it lives as long as the service allows.

        Asked once, never again implicitly. Raises ``NotFound`` where this deployment has no token broker.
        """
        body = {"ttl_seconds": None if ttl is None else ttl // timedelta(seconds=1)}
        try:
            read, base = symbols_codec.decode_access_token, self.history_endpoints[0]
            return await self._post(self._history, base, "/auth/token", body, read, repeatable=False)
        except StatusError as error:
            if error.status == 404:
                raise NotFound(f"{self.history_endpoints[0]} has no token broker", subject="/auth/token") from None
            raise _of_the_key(error) from None

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _prices(
        self,
        path: str,
        feeds: Iterable[int | str],
        properties: Sequence[FeedProperty],
        formats: Sequence[UpdateFormat],
        channel: Channel,
        parsed: bool,
        timestamp_us: int | None,
    ) -> LazerBatch:
        deadline_ns = self._due_ns()
        ids = [feed if isinstance(feed, int) else await self._feed_id(feed, deadline_ns, for_more=True) for feed in feeds]
        wanted = list(dict.fromkeys(ids))
        forms = tuple(formats)
        if self._signers is not None and not any(form.is_signed for form in forms):
            forms += (UpdateFormat.LE_ECDSA,)
        if self._signers is not None and UpdateFormat.SOLANA in forms:
            require_ed25519()
        errors: dict[int, ProbekitError] = {}
        left = [one for one in wanted if not self._known_refused(one, errors)]
        answers: list[tuple[Sequence[int], LazerUpdate]] = []
        if left:

            async def ask(request: PriceRequest) -> LazerUpdate:
                body = request_body(request, timestamp_us=timestamp_us)
                return await self._post(self._router, self.routers[0], path, body, decode_update, deadline_ns=deadline_ns)

            isolation = Isolation(ask)
            refused = await isolation.run(PriceRequest(tuple(left), tuple(properties), forms, channel, parsed))
            errors, answers = errors | refused, isolation.answers
            # A time that has no price is no reason to give a feed up.
            if timestamp_us is None and answers:
                self._remember(refused)
        return LazerBatch(wanted, answers, errors, received_at=self._clock.now(), signers=self._signers)

    def _remember(self, refused: dict[int, ProbekitError]) -> None:
        now_ns = self._clock.monotonic_ns()
        for feed_id, error in refused.items():
            if isinstance(error, NotEntitled | NotFound):
                self._refused[feed_id] = (now_ns, error)

    def _known_refused(self, feed_id: int, errors: dict[int, ProbekitError]) -> bool:
        """Remembered for ``refused_for``: each refused feed costs several requests to find."""
        known = self._refused.get(feed_id)
        if known is None:
            return False
        if self._clock.monotonic_ns() - known[0] > self._refused_for_ns:
            del self._refused[feed_id]
            return False
        errors[feed_id] = known[1]
        return True

    async def _about_no_feed(self, path: str, read: Callable[[bytes], T], deadline_ns: int | None = None) -> T:
        try:
            return await self._read(path, read, deadline_ns)
        except StatusError as error:
            raise _of_the_key(error) from None

    async def _read(self, path: str, read: Callable[[bytes], T], deadline_ns: int | None = None) -> T:
        """An answer of the history service, read: of its next endpoint where one gives none that reads."""
        if deadline_ns is None:
            deadline_ns = self._due_ns()
        url = self.history_endpoints[0].rstrip("/") + path
        request = Request("GET", url, self._headers, deadline_ns=deadline_ns, limits=self._limits)
        return await ask(self._history, request, lambda response: read(response.body))

    async def _post(
        self,
        transport: Transport,
        base: str,
        path: str,
        body: dict[str, Any],
        read: Callable[[bytes], T],
        *,
        deadline_ns: int | None = None,
        repeatable: bool = True,
    ) -> T:
        if deadline_ns is None:
            deadline_ns = self._due_ns()
        request = Request(
            "POST",
            base.rstrip("/") + path,
            (*self._headers, ("content-type", "application/json")),
            msgspec.json.encode(body),
            deadline_ns=deadline_ns,
            limits=self._limits,
            repeatable=repeatable,
        )
        return await ask(transport, request, lambda response: read(response.body))


def _of_the_key(error: StatusError) -> StatusError:
    """A 403 where no feed is named is about the key."""
    if error.status != 403:
        return error
    return Unauthorized(error.message, status=403, body=error.body, url=error.url, elapsed_ns=error.elapsed_ns)
