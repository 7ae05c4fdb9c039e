"""FeedAccuracy: each verdict by its reason, at its edge, and the traps of comparing a feed with exchanges."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import AccuracyMemory, FeedAccuracy
from probekit.errors import ConnectError, ProbekitError, RateLimited
from probekit.model import Feed, Observation, Status, Verdict
from probekit.model.reference_price import MarketView, ReferencePrice
from probekit.units import Bps, Instant
from tests.unit.checks.builders import ID, NOW, feed, update

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)
NYSE = "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"
OPENING = Instant.parse("2026-09-14T13:30:00Z")


def said(
    source: str, price: str = "1000", *, ago: timedelta | None = S, quote: str = "USD", now: Instant = NOW
) -> ReferencePrice:
    return ReferencePrice(
        source=source,
        symbol="Test.FEED/USD",
        market=source,
        quote=quote,
        price=Decimal(price),
        observed_at=now,
        source_time=None if ago is None else now.plus(-ago),
    )


def view(price: int = 100_000, *said_: ReferencePrice, now: Instant = NOW, conf: int = 50, **failures: Any) -> MarketView:
    references = said_ or tuple(said(one, now=now) for one in ("a", "b", "c"))
    return MarketView(update(price=price, conf=conf, now=now), references, failures)


def seen(value: MarketView, *, of: Feed | None = None, clock_error_ns: int | None = 0, now: Instant = NOW) -> Observation[Any]:
    return Observation(value, "test", now, ID, 0, clock_error_ns, of)


def judge(check: FeedAccuracy, value: MarketView, **more: Any) -> Verdict:
    now = more.get("now", NOW)
    state, verdict = check.step(check.init(), seen(value, **more), now=now)
    assert check.step(check.init(), seen(value, **more), now=now) == (state, verdict)
    return verdict


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


AT_ONCE = FeedAccuracy(Bps.parse("50bps"), holds_for=0 * S)


def test_near_the_median_is_accurate_and_the_arithmetic_is_told() -> None:
    verdict = judge(AT_ONCE, view(100_500))
    assert told(verdict) == (OK, "accurate")
    assert verdict.value == Decimal(50)
    assert "1005.00, 1.0s old, against 1000 of 3 exchanges: 50.00bps, 10.0 confidence intervals, limit 50bps" in verdict.message
    measures = {one.name: one.value for one in verdict.measures}
    assert measures == {
        "feed.reference.sources": 3, "feed.reference.spread": 0, "feed.deviation": 50, "feed.deviation.conf": 10,
    }  # fmt: skip
    assert told(judge(AT_ONCE, view(100_501))) == (CRITICAL, "deviating")


def test_a_limit_in_percent_is_percent() -> None:
    """pyth-observer compares 5 with a fraction: 300 % away passes there."""
    five = FeedAccuracy(Bps.parse("5%"), holds_for=0 * S)
    assert told(judge(five, view(105_000))) == (OK, "accurate")
    assert told(judge(five, view(106_000))) == (CRITICAL, "deviating")
    assert told(judge(five, view(400_000))) == (CRITICAL, "deviating")
    with pytest.raises(ValueError, match="not a ratio"):
        Bps.parse("5")


@pytest.mark.parametrize("price", [0, -100_000])
def test_zero_and_negative_prices_are_as_far_off_as_they_are(price: int) -> None:
    """A division by the signed price passes those, as PublisherPriceCheck does."""
    assert told(judge(AT_ONCE, view(price))) == (CRITICAL, "deviating")
    assert told(judge(AT_ONCE, view(price, conf=0))) == (CRITICAL, "deviating")


def test_one_bad_exchange_is_named_and_no_alert() -> None:
    check = FeedAccuracy(Bps.parse("50bps"), holds_for=0 * S, min_sources=2)
    verdict = judge(check, view(100_000, said("a"), said("b"), said("c"), said("mad", "2000"), down=ConnectError("refused")))
    assert told(verdict) == (OK, "accurate")
    assert "mad is left out (outlier: 2000 is 1000 from the median 1000" in verdict.message
    assert "down gave none (refused)" in verdict.message


def test_a_stale_source_is_left_out_and_without_enough_that_is_not_a_pass() -> None:
    """The check of pyth-observer passes where its reference is old, which is most of the time."""
    fresh = FeedAccuracy(Bps.parse("50bps"), holds_for=0 * S)
    verdict = judge(fresh, view(400_000, said("a"), said("b"), said("coingecko", ago=300 * S)))
    assert told(verdict) == (UNKNOWN, "no_quorum")
    assert "2 of 3 sources are left" in verdict.message
    assert "coingecko: stale: 5m00s old, limit 60s" in verdict.message or "coingecko: stale: 5m00s old" in verdict.message
    coarse = FeedAccuracy(Bps.parse("50bps"), holds_for=0 * S, max_source_ages=(("coingecko", 600 * S),))
    assert told(judge(coarse, view(400_000, said("a"), said("b"), said("coingecko", ago=300 * S)))) == (CRITICAL, "deviating")


def test_all_sources_failing_says_nothing_of_the_feed() -> None:
    failing: dict[str, ProbekitError] = {"a": ConnectError("no route from here"), "b": RateLimited("too many", status=429)}
    verdict = judge(AT_ONCE, MarketView(update(price=1), (), failing))
    assert told(verdict) == (UNKNOWN, "no_quorum")
    assert "a: no route from here; b: too many" in verdict.message
    assert told(judge(AT_ONCE, MarketView(update(), ()))) == (UNKNOWN, "no_market")


def test_dollars_are_not_compared_with_tethers() -> None:
    verdict = judge(AT_ONCE, view(100_000, said("a"), said("b"), said("c", quote="USDT")))
    assert told(verdict) == (UNKNOWN, "no_quorum")
    assert "c: other_quote" in verdict.message


def test_exchanges_that_disagree_judge_nobody() -> None:
    apart = view(103_000, said("a", "1000"), said("b", "1010"), said("c", "1020"))
    assert told(judge(AT_ONCE, apart)) == (UNKNOWN, "sources_disagree")
    wide = FeedAccuracy(Bps.parse("50bps"), holds_for=0 * S, max_spread=Bps.parse("5%"))
    assert told(judge(wide, apart)) == (CRITICAL, "deviating")


def test_a_clock_that_cannot_tell_an_age_judges_nothing() -> None:
    assert told(judge(AT_ONCE, view(), clock_error_ns=None)) == (UNKNOWN, "clock")
    assert told(judge(AT_ONCE, view(), clock_error_ns=20 * 10**9)) == (OK, "accurate")
    assert told(judge(AT_ONCE, view(), clock_error_ns=20 * 10**9 + 1)) == (UNKNOWN, "clock")


def test_market_hours() -> None:
    closed = feed(NYSE)
    night = Instant.parse("2026-09-12T10:00:00Z")
    assert told(judge(AT_ONCE, view(400_000, now=night), of=closed, now=night)) == (SKIPPED, "market_closed")
    at = OPENING.plus(60 * S)
    assert told(judge(AT_ONCE, view(400_000, now=at), of=closed, now=at)) == (SKIPPED, "market_opening")
    assert told(judge(AT_ONCE, view(100_000, now=at), of=closed, now=at)) == (OK, "accurate")
    later = OPENING.plus(61 * S)
    assert told(judge(AT_ONCE, view(400_000, now=later), of=closed, now=later)) == (CRITICAL, "deviating")
    assert told(judge(AT_ONCE, view(), of=feed(error="no"))) == (UNKNOWN, "schedule_unreadable")


def test_warnings_below_the_limit() -> None:
    check = FeedAccuracy(Bps.parse("50bps"), Bps.parse("20bps"), Decimal(3), holds_for=0 * S)
    assert told(judge(check, view(100_201))) == (WARNING, "drifting")
    assert told(judge(check, view(100_200))) == (WARNING, "outside_confidence")
    assert told(judge(check, view(100_150))) == (OK, "accurate")
    assert told(judge(check, view(100_001, conf=0))) == (WARNING, "outside_confidence")


# -- time --------------------------------------------------------------------------------------------------------------------


def story(check: FeedAccuracy, *steps: tuple[int, int | None]) -> list[tuple[Status, str]]:
    """Reasons at (second, price) steps; a price of ``None`` is a tick at which all exchanges failed."""
    state, reasons = check.init(), []
    for second, price in steps:
        now = NOW.plus(second * S)
        value = MarketView(update(now=now), (), {"a": ConnectError("no")}) if price is None else view(price, now=now)
        state, verdict = check.step(state, seen(value, now=now), now=now)
        reasons.append(told(verdict))
    return reasons


def test_noise_of_a_tick_pages_nobody_and_what_lasts_does() -> None:
    check = FeedAccuracy(Bps.parse("50bps"))
    off, fine, wrong = (WARNING, "unconfirmed"), (OK, "accurate"), (CRITICAL, "deviating")
    assert story(check, (0, 102_000), (10, 100_000), (20, 102_000), (30, 100_000)) == [off, fine, off, fine]
    assert story(check, (0, 102_000), (10, 102_000), (20, 98_000), (30, 102_000), (40, 100_000)) == [off, off, off, wrong, fine]
    # An interval longer than the patience: the second tick confirms.
    assert story(check, (0, 102_000), (60, 102_000)) == [off, wrong]


def test_ticks_without_a_quorum_neither_resolve_nor_count_for_ever() -> None:
    check = FeedAccuracy(Bps.parse("50bps"))
    off, wrong, none = (WARNING, "unconfirmed"), (CRITICAL, "deviating"), (UNKNOWN, "no_quorum")
    assert story(check, (0, 102_000), (10, None), (20, None), (30, 102_000)) == [off, none, none, wrong]
    assert story(check, (0, 102_000), (10, None), (3_600, None), (3_610, 102_000)) == [off, none, none, off]


def test_time_in_which_the_feed_was_not_seen_does_not_count() -> None:
    """A tick whose request failed brings no observation, and is no time for which the price was off."""
    check = FeedAccuracy(Bps.parse("50bps"))

    def after(*failed_at: int, then: int) -> tuple[Status, str]:
        state, _ = check.step(check.init(), seen(view(102_000)), now=NOW)
        for second in failed_at:
            state = check.unseen(state, now=NOW.plus(second * S))
        now = NOW.plus(then * S)
        return told(check.step(state, seen(view(102_000, now=now), now=now), now=now)[1])

    assert after(*range(10, 620, 10), then=620) == (WARNING, "unconfirmed")
    assert after(10, 20, then=30) == (CRITICAL, "deviating")
    assert after(then=60) == (CRITICAL, "deviating")


def test_a_tick_that_brings_nothing_changes_nothing() -> None:
    state = AccuracyMemory(NOW)
    assert AT_ONCE.step(state, None, now=NOW)[0] == state


@given(st.lists(st.one_of(st.none(), st.integers(1, 10**9)), min_size=1, max_size=12), st.integers(-(10**12), 10**12))
def test_any_prices_give_one_of_its_verdicts(prices: list[int | None], price: int) -> None:
    references = tuple(said(f"s{n}", str(one)) for n, one in enumerate(prices) if one is not None)
    failures: dict[str, ProbekitError] = {f"s{n}": ConnectError("no") for n, one in enumerate(prices) if one is None}
    verdict = judge(AT_ONCE, MarketView(update(price=price), references, failures))
    assert verdict.reason in {"accurate", "deviating", "no_quorum", "sources_disagree"}
    assert len(verdict.message) < 4_000


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_deviation": Bps(Decimal(0))}, "max_deviation must be positive"),
        ({"warn_deviation": Bps(Decimal(50))}, "warn_deviation"),
        ({"max_confs": Decimal("NaN")}, "max_confs"),
        ({"max_spread": Bps(Decimal(0))}, "max_spread"),
        ({"holds_for": -S}, "holds_for"),
        ({"min_sources": 0}, "at least one source"),
        ({"max_source_age": 0 * S}, "ages above zero"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeedAccuracy(**({"max_deviation": Bps(Decimal(50))} | limits))
