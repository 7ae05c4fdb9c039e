"""Prices from outside Pyth, to hold Pyth's against: what an exchange says, and the median of several.

Exact decimals throughout; no float enters. The median is a reduction of values to a value, without a verdict and without
thresholds of right and wrong, so it stands here and not among the checks; a check over it judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from enum import StrEnum
from typing import Final

import msgspec

from probekit.errors import NoAgreement, ProbekitError
from probekit.model.price import Price, PriceUpdate
from probekit.units import Bps, Instant, format_ns, to_ns

MAX_DIGITS: Final = 60
"""Digits of a price, and places before or behind its point, at most."""

# Wide enough for every product and sum below; should anything be lost all the same, it raises.
_EXACT: Final = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_HALF: Final = Decimal("0.5")
_MAD_OF_NORMAL: Final = Decimal("1.4826")
"""Standard deviation of a normal distribution whose median absolute deviation is 1."""


def fits(value: Decimal) -> bool:
    """Whether a number can be a price: finite, above zero, of no more than :data:`MAX_DIGITS` digits and places."""
    _, digits, exponent = value.as_tuple()
    return (
        isinstance(exponent, int)
        and value > 0
        and len(digits) <= MAX_DIGITS
        and -MAX_DIGITS <= exponent <= MAX_DIGITS - len(digits)
    )


class ReferencePrice(msgspec.Struct, frozen=True, kw_only=True):
    """One source's price of one symbol.

    ``symbol`` is Pyth's (``Crypto.BTC/USD``), ``market`` the source's own name. ``quote`` is the currency that ``price``,
    ``bid`` and ``ask`` are in, which is not the symbol's where a stand-in was asked for (USDT is not USD). ``source_time`` is
    the source's own, ``no_time`` says why there is none. ``converted_by`` names the rate that a price went through. Raises
    ``ValueError`` for a price that is none.
    """

    source: str
    symbol: str
    market: str
    quote: str
    price: Decimal
    observed_at: Instant
    source_time: Instant | None = None
    no_time: str = ""
    bid: Decimal | None = None
    ask: Decimal | None = None
    converted_by: str = ""

    def __post_init__(self) -> None:
        for value in (self.price, self.bid, self.ask):
            if value is not None and not fits(value):
                raise ValueError(f"{self.source}: {str(value)[:80]} is no price of {self.symbol}")

    @property
    def time(self) -> Instant:
        """The source's time, or that of the answer where it gives none: the price is not newer than that."""
        return self.observed_at if self.source_time is None else self.source_time

    def age_ns(self, now: Instant) -> int:
        """Nanoseconds since :attr:`time`; negative when the source's clock is ahead."""
        return now.since(self.time)

    def as_price(self) -> Price:
        """The same number as Pyth writes prices, to take a deviation of."""
        return _as_price(self.price)

    def converted(self, rate: Decimal, quote: str, *, by: str) -> ReferencePrice:
        """The same price in another currency: times ``rate``, ``quote`` for one of this one's; ``by`` says whose rate it is.

        Raises ``ValueError`` for a rate that is none, and for digits beyond :data:`MAX_DIGITS`.
        """
        if not fits(rate):
            raise ValueError(f"{rate} is no rate")
        price, bid, ask = (
            None if value is None else _EXACT.multiply(value, rate) for value in (self.price, self.bid, self.ask)
        )
        return msgspec.structs.replace(self, price=price, bid=bid, ask=ask, quote=quote, converted_by=by)


class MarketView(msgspec.Struct, frozen=True):
    """A feed's price, and what exchanges said of its symbol at about the same time; ``failures`` by name of the exchange.

    Both are empty where no exchange has a market for it.
    """

    update: PriceUpdate
    references: tuple[ReferencePrice, ...]
    failures: dict[str, ProbekitError] = {}


class Rejection(StrEnum):
    """Why a price is not in the median."""

    OTHER_QUOTE = "other_quote"
    """In another currency: USDT is not USD."""
    STALE = "stale"
    FUTURE = "future"
    """Dated ahead of now, by more than a price may be old."""
    OUTLIER = "outlier"


class Dissent(msgspec.Struct, frozen=True):
    """A price that is not in the median, and why; ``text`` has the arithmetic."""

    price: ReferencePrice
    rejection: Rejection
    text: str


class MedianRule(msgspec.Struct, frozen=True, kw_only=True):
    """What :func:`median` takes. Raises ``ValueError`` for numbers that make no sense.

    ``max_ages`` are for sources (by name) that are coarser than ``max_age`` allows. ``mads`` (1 or more) and ``tolerance`` are
    the limits of an outlier. ``min_sources`` are to be left in the end.
    """

    min_sources: int = 3
    max_age: timedelta = timedelta(seconds=60)
    max_ages: Mapping[str, timedelta] = {}
    mads: Decimal = Decimal(5)
    tolerance: Bps = Bps(Decimal(10))

    def __post_init__(self) -> None:
        ages = (self.max_age, *self.max_ages.values())
        if self.min_sources < 1 or any(age <= timedelta(0) for age in ages):
            raise ValueError("at least one source, and ages above zero")
        for limit, least in ((self.mads, 1), (self.tolerance.value, 0)):
            if not limit.is_finite() or limit < least or len(limit.as_tuple().digits) > MAX_DIGITS:
                raise ValueError(f"{limit} is no limit of an outlier")

    def age_limit(self, source: str) -> timedelta:
        """How old a source's price may be."""
        return self.max_ages.get(source, self.max_age)


class MedianPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The median of ``sources``, those of ``dissenters`` left out.

    ``mad`` is the median absolute deviation of all that were recent, outliers among them; ``spread`` the distance between the
    highest and the lowest source left, of the median.
    """

    symbol: str
    quote: str
    price: Decimal
    sources: tuple[ReferencePrice, ...]
    dissenters: tuple[Dissent, ...]
    mad: Decimal
    spread: Bps

    @property
    def count(self) -> int:
        """How many sources it is of."""
        return len(self.sources)

    def as_price(self) -> Price:
        """The same number as Pyth writes prices, to take a deviation from."""
        return _as_price(self.price)

    @property
    def untimed(self) -> tuple[str, ...]:
        """Names of the sources that say nothing of their price's time."""
        return tuple(one.source for one in self.sources if one.source_time is None)


def median(
    prices: Iterable[ReferencePrice], *, now: Instant, rule: MedianRule | None = None, quote: str | None = None
) -> MedianPrice:
    """The median price of one symbol, without those that are stale, in another currency, or far from the others.

    With ``m`` the median of the recent prices ``p`` in ``quote`` (the symbol's own, unless given), and
    ``MAD = median(|p - m|)``, a price is an outlier when::

        |p - m|  >  max(mads * 1.4826 * MAD,  m * tolerance / 10,000)

    1.4826 * MAD estimates the standard deviation of normally distributed prices, and half of the sources cannot move it at all.
    The tolerance keeps near-equal prices from being outliers of each other where MAD is close to 0. At least half of the recent
    prices always stay, and of two that disagree both do: ``spread`` shows it. The median is then taken again of those that are
    left; an even number has the mean of the middle two. All of it exact, in one pass.

    A price without a source time is as old as the answer it came in. Raises ``NoAgreement``, which names every source with its
    price and why it is out, when fewer than ``min_sources`` are left; ``ValueError`` for several symbols, or a source given
    twice, since that would count twice.
    """
    given, rule = tuple(prices), rule or MedianRule()
    symbols = {one.symbol for one in given}
    if len(symbols) > 1:
        raise ValueError(f"a median of several symbols: {', '.join(sorted(symbols))}")
    sources = [one.source for one in given]
    if len(set(sources)) < len(sources):
        raise ValueError(f"a source counts once: {', '.join(sources)}")
    symbol = symbols.pop() if symbols else ""
    wanted = symbol.rpartition("/")[2] if quote is None else quote

    dissenters: list[Dissent] = []
    recent: list[ReferencePrice] = []
    for one in given:
        dissent = _unusable(one, wanted, now, rule)
        if dissent is None:
            recent.append(one)
        else:
            dissenters.append(dissent)
    kept: list[ReferencePrice] = []
    mad = Decimal(0)
    if recent:
        middle = _middle([one.price for one in recent])
        mad = _middle([_distance(one.price, middle) for one in recent])
        far = max(_product(rule.mads, _MAD_OF_NORMAL, mad), _product(middle, rule.tolerance.value, Decimal("0.0001")))
        for one in recent:
            distance = _distance(one.price, middle)
            if distance > far:
                text = f"{one.price} is {_shown(distance)} from the median {_shown(middle)}, limit {_shown(far)}"
                dissenters.append(Dissent(one, Rejection.OUTLIER, text))
            else:
                kept.append(one)
    if len(kept) < rule.min_sources:
        answers = [(one.source, str(one.price)) for one in kept]
        answers += [(one.price.source, f"{one.rejection}: {one.text}") for one in dissenters]
        raise NoAgreement(
            f"{len(kept)} of {len(given)} sources are left for {symbol or 'nothing'}, {rule.min_sources} are needed",
            answers=tuple(answers),
        )
    values = [one.price for one in kept]
    result = _middle(values)
    spread = Bps.of(_distance(max(values), min(values)), result)
    return MedianPrice(
        symbol=symbol,
        quote=wanted,
        price=result,
        sources=tuple(kept),
        dissenters=tuple(dissenters),
        mad=mad,
        spread=spread,
    )


def _unusable(one: ReferencePrice, quote: str, now: Instant, rule: MedianRule) -> Dissent | None:
    if one.quote != quote:
        return Dissent(one, Rejection.OTHER_QUOTE, f"{one.price} {one.quote}, not {quote}")
    age_ns, limit_ns = one.age_ns(now), to_ns(rule.age_limit(one.source))
    if age_ns > limit_ns:
        return Dissent(one, Rejection.STALE, f"{format_ns(age_ns)} old, limit {format_ns(limit_ns)}")
    if -age_ns > limit_ns:
        return Dissent(one, Rejection.FUTURE, f"dated {format_ns(-age_ns)} ahead, limit {format_ns(limit_ns)}")
    return None


def _as_price(number: Decimal) -> Price:
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return Price(int("".join(map(str, digits))), exponent)


def _middle(values: Sequence[Decimal]) -> Decimal:
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return _EXACT.multiply(_EXACT.add(ordered[half - 1], ordered[half]), _HALF)


def _distance(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.abs(_EXACT.subtract(one, other))


def _product(first: Decimal, *others: Decimal) -> Decimal:
    for other in others:
        first = _EXACT.multiply(first, other)
    return first


def _shown(value: Decimal) -> str:
    """For people: 12 digits."""
    return f"{Context(prec=12).plus(value).normalize():f}"
