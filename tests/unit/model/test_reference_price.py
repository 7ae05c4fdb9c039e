"""Reference prices and their median: exact, without outliers, stale prices and other currencies, every dissenter named."""

from __future__ import annotations

import statistics
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probekit.errors import NoAgreement
from probekit.model import Price
from probekit.model.reference_price import MedianRule, ReferencePrice, Rejection, fits, median
from probekit.units import Bps, Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")
values = st.decimals(min_value="1e-9", max_value=10**9, allow_nan=False, allow_infinity=False, places=9)
ANY = MedianRule(min_sources=1)


def price(value: str | Decimal, source: str = "kraken", **changes: Any) -> ReferencePrice:
    members: dict[str, Any] = {
        "source": source,
        "symbol": "Crypto.BTC/USD",
        "market": "BTC-USD",
        "quote": "USD",
        "price": Decimal(value),
        "observed_at": NOW,
        "source_time": NOW,
    }
    return ReferencePrice(**(members | changes))


def several(*found: str | Decimal) -> list[ReferencePrice]:
    return [price(value, f"s{at}") for at, value in enumerate(found)]


def ago(**delta: int) -> Instant:
    return NOW.plus(-timedelta(**delta))


# -- one price -----------------------------------------------------------------------------------------------------------------


def test_times_and_ages() -> None:
    timed = price("5", source_time=ago(seconds=3), observed_at=ago(seconds=1))
    assert (timed.time, timed.age_ns(NOW)) == (ago(seconds=3), 3 * 10**9)
    untimed = price("5", source_time=None, observed_at=ago(seconds=1), no_time="it says none")
    assert (untimed.time, untimed.age_ns(NOW)) == (ago(seconds=1), 10**9)


@given(values)
def test_as_pyth_writes_prices(value: Decimal) -> None:
    assert price(value).as_price().decimal == value
    assert price(Decimal("12E+3")).as_price() == Price(12, 3)


@pytest.mark.parametrize("wrong", ["0", "-1", "NaN", "sNaN", "Infinity", "1e61", "1e-61", "1." + "1" * 60])
def test_what_is_no_price(wrong: str) -> None:
    assert not fits(Decimal(wrong))
    with pytest.raises(ValueError, match="is no price of Crypto.BTC/USD"):
        price(wrong)
    with pytest.raises(ValueError, match="is no price"):
        price("1", bid=Decimal(wrong))
    with pytest.raises(ValueError, match="is no rate"):
        price("1").converted(Decimal(wrong), "USD", by="x")


@given(values, values)
def test_conversion_is_exact_and_said(value: Decimal, rate: Decimal) -> None:
    tether = price(value, quote="USDT", bid=value)
    found = tether.converted(rate, "USD", by="USDT/USD of kraken")
    assert Fraction(found.price) == Fraction(value) * Fraction(rate) == Fraction(found.bid or 0)
    assert (found.quote, found.converted_by, found.ask, found.source) == ("USD", "USDT/USD of kraken", None, "kraken")


# -- the median ----------------------------------------------------------------------------------------------------------------


def test_a_median() -> None:
    found = median(several("100.0", "100.1", "99.9"), now=NOW)
    assert (found.price, found.count, found.dissenters, found.symbol, found.quote) == (
        Decimal("100.0"),
        3,
        (),
        "Crypto.BTC/USD",
        "USD",
    )
    assert (found.mad, found.spread, found.untimed) == (Decimal("0.1"), Bps(Decimal(20)), ())
    assert median(several("1", "2", "4", "4"), now=NOW, rule=MedianRule(mads=Decimal(100))).price == 3


def test_an_outlier_is_named() -> None:
    found = median(several("100.0", "100.1", "99.9", "107"), now=NOW)
    # m = 100.05, MAD = 0.1: beyond 5 * 1.4826 * 0.1 = 0.7413.
    assert found.price == Decimal("100.0")
    (dissent,) = found.dissenters
    assert (dissent.price.source, dissent.rejection) == ("s3", Rejection.OUTLIER)
    assert dissent.text == "107 is 6.95 from the median 100.05, limit 0.7413"
    assert found.mad == Decimal("0.1")


def test_the_limit_itself_is_no_outlier() -> None:
    # m = 100, MAD = 1: the limit is 7.413.
    row = ("98", "99", "100", "101", "107.413")
    assert median(several(*row), now=NOW).count == 5
    assert median(several(*row[:-1], "107.4130000001"), now=NOW).count == 4


def test_near_equal_prices_are_no_outliers_of_each_other() -> None:
    row = several("100", "100", "100", "100.1")
    assert median(row, now=NOW).count == 4
    assert median(row, now=NOW, rule=MedianRule(tolerance=Bps(Decimal("9.99")))).count == 3


def test_of_two_that_disagree_both_stay_and_the_spread_shows_it() -> None:
    found = median(several("100", "300"), now=NOW, rule=ANY)
    assert (found.price, found.count, found.spread) == (Decimal(200), 2, Bps(Decimal(10_000)))


def test_stale_and_future_prices() -> None:
    rule = MedianRule(min_sources=1, max_age=timedelta(seconds=60), max_ages={"coingecko": timedelta(minutes=11)})
    row = [
        price("100", "a", source_time=ago(seconds=60)),
        price("100", "b", source_time=ago(seconds=61)),
        price("100", "c", source_time=NOW.plus(timedelta(seconds=61))),
        price("100", "coingecko", source_time=ago(minutes=10)),
        price("100", "d", source_time=None, no_time="x"),
        price("100", "e", source_time=None, no_time="x", observed_at=ago(minutes=2)),
    ]
    found = median(row, now=NOW, rule=rule)
    assert [one.source for one in found.sources] == ["a", "coingecko", "d"]
    assert found.untimed == ("d",)
    assert {one.price.source: one.rejection for one in found.dissenters} == {
        "b": Rejection.STALE,
        "c": Rejection.FUTURE,
        "e": Rejection.STALE,
    }
    assert [one.text for one in found.dissenters][:2] == ["1m01s old, limit 1m00s", "dated 1m01s ahead, limit 1m00s"]


def test_tether_is_not_dollars() -> None:
    row = [*several("100", "100", "100"), price("100", "binance", quote="USDT")]
    found = median(row, now=NOW)
    assert found.count == 3
    assert [(one.rejection, one.text) for one in found.dissenters] == [(Rejection.OTHER_QUOTE, "100 USDT, not USD")]
    both = median([*row[:-1], row[-1].converted(Decimal("0.999"), "USD", by="kraken")], now=NOW)
    assert both.count == 4
    in_tether = median(row, now=NOW, quote="USDT", rule=ANY)
    assert (in_tether.quote, in_tether.count) == ("USDT", 1)


def test_too_few_are_no_median_and_everybody_is_named() -> None:
    row = [*several("100", "101"), price("9", "b", source_time=ago(minutes=9)), price("100", "c", quote="USDT")]
    with pytest.raises(NoAgreement, match="2 of 4 sources are left for Crypto.BTC/USD, 3 are needed") as caught:
        median(row, now=NOW)
    assert dict(caught.value.answers) == {
        "s0": "100",
        "s1": "101",
        "b": "stale: 9m00s old, limit 1m00s",
        "c": "other_quote: 100 USDT, not USD",
    }
    with pytest.raises(NoAgreement, match="0 of 0 sources are left for nothing"):
        median([], now=NOW)


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="several symbols: Crypto.BTC/USD, Crypto.ETH/USD"):
        median([price("1"), price("1", "b", symbol="Crypto.ETH/USD")], now=NOW)
    with pytest.raises(ValueError, match="a source counts once: kraken, kraken"):
        median([price("1"), price("2")], now=NOW)


@pytest.mark.parametrize("wrong", [{"min_sources": 0}, {"max_age": timedelta(0)}, {"max_ages": {"a": timedelta(0)}}])
def test_rules_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one source"):
        MedianRule(**wrong)


@pytest.mark.parametrize("wrong", [{"mads": Decimal("0.9")}, {"mads": Decimal("NaN")}, {"tolerance": Bps(Decimal(-1))}])
def test_limits_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no limit of an outlier"):
        MedianRule(**wrong)


@given(st.lists(values, min_size=1, max_size=9), st.decimals(1, 20, places=2), st.decimals(0, 100, places=2))
def test_it_is_the_formula(found: list[Decimal], mads: Decimal, tolerance: Decimal) -> None:
    rule = MedianRule(min_sources=1, mads=mads, tolerance=Bps(tolerance))
    exact = [Fraction(value) for value in found]
    middle = statistics.median(exact)
    mad = statistics.median([abs(value - middle) for value in exact])
    limit = max(Fraction(mads) * Fraction("1.4826") * mad, middle * Fraction(tolerance) / 10_000)
    kept = [value for value in exact if abs(value - middle) <= limit]
    result = median(several(*found), now=NOW, rule=rule)
    assert [Fraction(one.price) for one in result.sources] == kept
    assert Fraction(result.price) == statistics.median(kept)
    assert Fraction(result.mad) == mad
    assert 2 * len(kept) >= len(found), "at least half of them stay"
    assert {one.price.source for one in result.dissenters} | {one.source for one in result.sources} == {
        f"s{at}" for at in range(len(found))
    }


@given(values, st.lists(st.integers(0, 9), min_size=3, max_size=9), st.data())
def test_fewer_than_half_cannot_move_it_beyond_what_the_others_say(
    base: Decimal, offsets: list[int], data: st.DataObject
) -> None:
    honest = [base * (10_000 + offset) / 10_000 for offset in offsets]
    liars = data.draw(st.lists(values, max_size=(len(honest) - 1) // 2))
    result = median(several(*honest, *liars), now=NOW, rule=ANY)
    assert min(honest) <= result.price <= max(honest)


@given(st.permutations(range(5)), st.lists(values, min_size=5, max_size=5))
def test_order_does_not_matter(order: list[int], found: list[Decimal]) -> None:
    assume(len(set(found)) == 5)
    row = several(*found)
    assert median(row, now=NOW, rule=ANY).price == median([row[at] for at in order], now=NOW, rule=ANY).price
