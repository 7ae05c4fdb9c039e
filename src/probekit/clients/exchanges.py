"""Prices of exchanges, from their public tickers: all of them asked at once, under one deadline, each failing for itself.

Which exchange says what, and in which words it refuses, stands in :mod:`probekit.codecs.exchanges`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from probekit.clients.over_http import OverHttp
from probekit.clock import SYSTEM_CLOCK, Clock, together, within
from probekit.codecs.exchanges import MARKETS, VENUES, Market, Query, Refusal, RefusalKind, Tick, Venue, choose
from probekit.errors import (
    DeadlineExceeded,
    DecodeError,
    Missing,
    NotFound,
    ProbekitError,
    RateLimited,
    ServerError,
    StatusError,
    Unauthorized,
)
from probekit.model import Comparison
from probekit.model.reference_price import ReferencePrice
from probekit.secret import Secret, excerpt
from probekit.transports.base import Engine, HeaderValue, Limits, Observer, Request, Response, Transport
from probekit.transports.recording import Recording
from probekit.transports.status import retry_after_ns
from probekit.units import Instant, format_ns

if TYPE_CHECKING:
    import asyncio

__all__ = ["ExchangesClient", "ReferenceReads"]

_EXCERPT: Final = 2_048
_LIMITS: Final = Limits(max_body_bytes=8 * 1024 * 1024)
"""All of an exchange's tickers are some hundred kB."""
_REFUSED_HERE: Final = (401, 403, 451)
"""Not here and not without a key: a firewall, or a country that is not served."""
_BANNED: Final = 418
"""Binance's status for an address that went on after 429."""

T = TypeVar("T")

_Seen = tuple[Tick | DecodeError | None, Instant] | ProbekitError
"""Of one market: what the ticker says (``None``: nothing) and when it was here, or why there is no answer."""


@dataclass(frozen=True)
class ReferenceReads:
    """What the exchanges said: source -> symbol -> price, or why there is none. A symbol that a source has no market for is not
    in its row.
    """

    symbols: tuple[str, ...]
    answers: Mapping[str, Mapping[str, ReferencePrice | ProbekitError]]

    def of(self, symbol: str) -> Comparison[ReferencePrice]:
        """One symbol, by source. ``median(reads.of(symbol).values.values(), ...)`` is its median."""
        row = {source: answer[symbol] for source, answer in self.answers.items() if symbol in answer}
        return Comparison(
            {source: one for source, one in row.items() if not isinstance(one, ProbekitError)},
            {source: one for source, one in row.items() if isinstance(one, ProbekitError)},
        )

    def prices(self, symbol: str) -> tuple[ReferencePrice, ...]:
        """The prices of one symbol."""
        return tuple(self.of(symbol).values.values())

    @cached_property
    def failures(self) -> dict[str, ProbekitError]:
        """Sources that gave no price at all, each with its first error."""
        found: dict[str, ProbekitError] = {}
        for source, answer in self.answers.items():
            errors = [one for one in answer.values() if isinstance(one, ProbekitError)]
            if errors and len(errors) == len(answer):
                found[source] = errors[0]
        return found


class ExchangesClient(OverHttp):
    """A client of several exchanges. ``timeout`` bounds a whole read; an exchange that is late then has that as its error.

    ``markets`` say what stands for which symbol. ``base_urls`` replace an exchange's own by name: a mirror, or CoinGecko's for
    paying customers. ``coingecko_key`` goes into the header that this host expects. ``transport`` is an engine of the caller's,
    not closed here.

    Each request is made once: whoever repeats a request that a limit refused is shut out for longer, and a price that did not
    come is asked for again by whoever still wants it.
    """

    def __init__(
        self,
        exchanges: Iterable[str] = tuple(VENUES),
        *,
        markets: Iterable[Market] = MARKETS,
        transport: Engine | None = None,
        timeout: timedelta = timedelta(seconds=5),
        base_urls: Mapping[str, str] | None = None,
        coingecko_key: Secret | None = None,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits = _LIMITS,
    ) -> None:
        names = tuple(dict.fromkeys(exchanges))
        unknown = [name for name in (*names, *(base_urls or {})) if name not in VENUES]
        if unknown or not names:
            raise ValueError(f"no exchange is named {', '.join(unknown) or 'at all'}; there are {', '.join(VENUES)}")
        self._venues = tuple(VENUES[name] for name in names)
        self._markets = tuple(markets)
        self._base = {one.name: one.base_url for one in self._venues} | {
            name: url.rstrip("/") for name, url in (base_urls or {}).items()
        }
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._key = coingecko_key
        self._transport: Transport = (
            self._engine if observer is None else Recording(self._engine, observer=observer, clock=clock)
        )

    async def prices(self, symbols: Iterable[str], *, stand_ins: Sequence[str] = ()) -> ReferenceReads:
        """Prices of Pyth's symbols (``Crypto.BTC/USD``), each exchange's own.

        Only markets in the symbol's own currency are asked. ``stand_ins`` are currencies to take where an exchange has none of
        that: ``("USDT",)``; the price then says so in ``quote``, and is no price in dollars until it is ``converted``.

        Never raises for what an exchange does. ``ValueError`` for a symbol that none of them has a market for at all.
        """
        wanted = tuple(dict.fromkeys(symbols))
        self._refuse_unknown(wanted)
        deadline_ns = self._due_ns()
        chosen = {venue.name: self._chosen(venue.name, wanted, stand_ins) for venue in self._venues}
        answers = await together([self._ask(venue, chosen[venue.name], deadline_ns) for venue in self._venues])
        return ReferenceReads(wanted, {venue.name: answer for venue, answer in zip(self._venues, answers, strict=True)})

    # -- one exchange --------------------------------------------------------------------------------------------------------

    async def _ask(
        self, venue: Venue, markets: Mapping[str, Market], deadline_ns: int
    ) -> dict[str, ReferencePrice | ProbekitError]:
        """Everything of one exchange: symbol -> price or error, whatever happens."""
        import asyncio

        gate = asyncio.Semaphore(venue.at_once)
        queries = venue.queries(tuple(dict.fromkeys(market.name for market in markets.values())))
        found: dict[str, _Seen] = {}
        for seen in await together([self._query(venue, query, deadline_ns, gate) for query in queries]):
            found |= seen
        return {symbol: _priced(venue, market, found[market.name]) for symbol, market in markets.items()}

    async def _query(self, venue: Venue, query: Query, deadline_ns: int, gate: asyncio.Semaphore) -> dict[str, _Seen]:
        """One request's markets by name. One market that the exchange does not know costs no other its price."""
        try:
            ticks, observed_at = await self._ticks(venue, query, deadline_ns, gate)
        except NotFound as error:
            if len(query.markets) == 1:
                return {query.markets[0]: error}
            return await self._one_by_one(venue, query, deadline_ns, gate)
        except ProbekitError as error:
            return dict.fromkeys(query.markets, error)
        return {name: (ticks.get(name), observed_at) for name in query.markets}

    async def _one_by_one(self, venue: Venue, query: Query, deadline_ns: int, gate: asyncio.Semaphore) -> dict[str, _Seen]:
        """A request of its own for each market, until a limit is met."""
        found: dict[str, _Seen] = {}
        limited: RateLimited | None = None
        for market in query.markets:
            if limited is not None:
                found[market] = limited
                continue
            for alone in venue.queries((market,)):
                found |= await self._query(venue, alone, deadline_ns, gate)
            seen = found[market]
            limited = seen if isinstance(seen, RateLimited) else None
        return found

    async def _ticks(
        self, venue: Venue, query: Query, deadline_ns: int, gate: asyncio.Semaphore
    ) -> tuple[dict[str, Tick | DecodeError], Instant]:
        url = self._base[venue.name] + query.path
        request = Request("GET", url, self._headers(venue), deadline_ns=deadline_ns, limits=self._limits)

        async def send() -> Response:
            async with gate:
                return await self._transport.send(request)

        try:
            response = await within(self._clock, deadline_ns, send())
        except TimeoutError:
            raise DeadlineExceeded(f"{venue.name}: no answer in {format_ns(self._timeout_ns)}", url=request.shown_url) from None
        refusal = venue.refusal(response.status, response.body)
        if refusal is not None or not 200 <= response.status < 300:
            raise _refused(venue, refusal, request, response, query.markets)
        return venue.read(response.body, query.markets), response.received_at

    def _headers(self, venue: Venue) -> tuple[tuple[str, HeaderValue], ...]:
        headers: tuple[tuple[str, HeaderValue], ...] = (("accept", "application/json"),)
        if venue.name == "coingecko" and self._key is not None:
            kind = "pro" if "//pro-api." in self._base[venue.name] else "demo"
            headers += ((f"x-cg-{kind}-api-key", self._key),)
        return headers

    # -- markets -------------------------------------------------------------------------------------------------------------

    def _chosen(self, exchange: str, symbols: Sequence[str], stand_ins: Sequence[str]) -> dict[str, Market]:
        """The exchange's market for each symbol that it has one for."""
        found = {symbol: choose(self._markets, symbol, exchange, stand_ins=stand_ins) for symbol in symbols}
        return {symbol: market for symbol, market in found.items() if market is not None}

    def _refuse_unknown(self, symbols: Sequence[str]) -> None:
        names = {venue.name for venue in self._venues}
        known = {market.symbol for market in self._markets if market.exchange in names}
        for symbol in symbols:
            if symbol not in known:
                near = ", ".join(difflib.get_close_matches(symbol, known, n=3)) or "none"
                raise ValueError(f"no market is known for {symbol!r}; nearest: {near}")


def _priced(venue: Venue, market: Market, seen: _Seen) -> ReferencePrice | ProbekitError:
    if isinstance(seen, ProbekitError):
        return seen
    tick, observed_at = seen
    if tick is None:
        return Missing(f"{venue.name}: the answer leaves out {market.name}", subject=market.name)
    if isinstance(tick, DecodeError):
        return tick
    return ReferencePrice(
        source=venue.name,
        symbol=market.symbol,
        market=market.name,
        quote=market.quote,
        price=tick.price,
        observed_at=observed_at,
        source_time=tick.time,
        no_time="" if tick.time is not None else venue.no_time,
        bid=tick.bid,
        ask=tick.ask,
    )


def _refused(
    venue: Venue, refusal: Refusal | None, request: Request, response: Response, markets: Sequence[str]
) -> ProbekitError:
    """The error of an answer that is none, by what its body says and by its status."""
    status, kind = response.status, None if refusal is None else refusal.kind
    body = excerpt(response.body, _EXCERPT)
    words = refusal.text if refusal is not None else " ".join(body.split())[:200]
    message = f"{venue.name} answered {status}" + (f": {words}" if words else "")
    url, elapsed_ns = request.shown_url, response.elapsed_ns
    wait_ns = retry_after_ns(response.header("retry-after"), response.received_at)
    if kind is RefusalKind.RATE_LIMITED or status in (429, _BANNED):
        return RateLimited(message, status=status, retry_after_ns=wait_ns, body=body, url=url, elapsed_ns=elapsed_ns)
    if kind is RefusalKind.UNKNOWN_MARKET:
        return NotFound(f"{message} ({', '.join(markets)})", subject=markets[0] if len(markets) == 1 else None)
    if kind is RefusalKind.UNAVAILABLE or status >= 500:
        return ServerError(message, status=status, retry_after_ns=wait_ns, body=body, url=url, elapsed_ns=elapsed_ns)
    if status in _REFUSED_HERE:
        return Unauthorized(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
    return StatusError(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
