"""Freshness, confidence ratio and deviation: each verdict by its reason, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import ConfidenceRatio, Deviation, Freshness
from probekit.errors import ConnectError
from probekit.model import Comparison, Feed, Observation, PriceUpdate, Status
from probekit.units import Bps, Instant
from tests.unit.checks.builders import NOW, feed, seen, update

S = timedelta(seconds=1)
NYSE = "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"
# 2026-09-14 is a Monday; New York opens at 13:30 UTC.
OPENING = Instant.parse("2026-09-14T13:30:00Z")


def judge(
    age: timedelta,
    *,
    now: Instant = NOW,
    of: Feed | None = None,
    error_ns: int | None = 0,
    check: Freshness = Freshness(max_age=10 * S),  # noqa: B008 - frozen
) -> tuple[Status, str]:
    observation = seen(update(age=age, now=now), of=of, clock_error_ns=error_ns, now=now)
    verdict = check(observation, now=now)
    assert check(observation, now=now) == verdict
    return verdict.status, verdict.reason


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0 * S, (Status.OK, "fresh")),
        (10 * S, (Status.OK, "fresh")),
        (11 * S, (Status.CRITICAL, "stale")),
        (-2 * S, (Status.OK, "fresh")),
        (-3 * S, (Status.CRITICAL, "from_the_future")),
    ],
)
def test_freshness_at_its_edges(age: timedelta, expected: tuple[Status, str]) -> None:
    assert judge(age) == expected


def test_freshness_warns_before_it_fails() -> None:
    check = Freshness(max_age=10 * S, warn_age=5 * S)
    assert judge(6 * S, check=check) == (Status.WARNING, "ageing")
    assert judge(5 * S, check=check) == (Status.OK, "fresh")


@pytest.mark.parametrize("error_ns", [None, 3_400_000_000])
def test_an_uncertain_clock_is_never_ok(error_ns: int | None) -> None:
    assert judge(1 * S, error_ns=error_ns) == (Status.UNKNOWN, "clock")
    assert judge(60 * S, error_ns=error_ns) == (Status.UNKNOWN, "clock")


def test_a_clock_error_of_a_third_still_judges() -> None:
    assert judge(11 * S, error_ns=3_333_333_333) == (Status.CRITICAL, "stale")


def test_a_closed_market_is_skipped_and_a_grace_follows_the_opening() -> None:
    of = feed(NYSE)
    assert judge(100 * S, of=of, now=OPENING.plus(-S)) == (Status.SKIPPED, "market_closed")
    assert judge(100 * S, of=of, now=OPENING) == (Status.SKIPPED, "market_opening")
    assert judge(100 * S, of=of, now=OPENING.plus(60 * S)) == (Status.SKIPPED, "market_opening")
    assert judge(100 * S, of=of, now=OPENING.plus(61 * S)) == (Status.CRITICAL, "stale")
    assert judge(1 * S, of=of, now=OPENING) == (Status.OK, "fresh")


def test_an_unreadable_schedule_is_unknown() -> None:
    assert judge(1 * S, of=feed(error="no such zone")) == (Status.UNKNOWN, "schedule_unreadable")


def test_a_symbol_table_never_read_is_unknown_only_when_it_matters() -> None:
    of = feed(described=False)
    assert judge(1 * S, of=of) == (Status.OK, "fresh")
    assert judge(11 * S, of=of) == (Status.UNKNOWN, "schedule_unknown")


def test_the_age_is_split_into_pipeline_and_delivery() -> None:
    verdict = Freshness()(seen(update(age=4 * S)), now=NOW)
    assert {m.name: m.value for m in verdict.measures} == {
        "feed.age": 4 * 10**9,
        "feed.age.pipeline": 10**9,
        "feed.age.delivery": 3 * 10**9,
    }
    without = Freshness()(seen(update(age=4 * S, proof_after_s=None)), now=NOW)
    assert [m.name for m in without.measures] == ["feed.age"]


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_freshness_is_monotonic_in_age(age_s: int, limit_s: int) -> None:
    check = Freshness(max_age=limit_s * S)
    younger, older = (check(seen(update(age=a * S)), now=NOW).status for a in (age_s, age_s + 1))
    assert not (younger is Status.CRITICAL and age_s > 0 and older is Status.OK)


def test_confidence_ratio_judges_magnitudes() -> None:
    check = ConfidenceRatio(max_ratio=Bps(Decimal(100)), warn_ratio=Bps(Decimal(50)))

    def reason(price: int, conf: int) -> tuple[Status, str]:
        verdict = check(seen(update(price=price, conf=conf)), now=NOW)
        return verdict.status, verdict.reason

    assert reason(10_000, 50) == (Status.OK, "narrow")
    assert reason(-10_000, 50) == (Status.OK, "narrow")
    assert reason(10_000, 51) == (Status.WARNING, "widening_confidence")
    assert reason(10_000, 100) == (Status.WARNING, "widening_confidence")
    assert reason(-10_000, 101) == (Status.CRITICAL, "wide_confidence")
    assert reason(0, 5) == (Status.CRITICAL, "zero_price")
    assert reason(0, 0) == (Status.CRITICAL, "no_price")
    closed = check(seen(update(conf=10**9), of=feed(NYSE)), now=NOW)
    assert (closed.status, closed.reason) == (Status.SKIPPED, "market_closed")


@pytest.mark.parametrize(
    ("of", "reason"), [(feed(error="no such zone"), "schedule_unreadable"), (feed(described=False), "schedule_unknown")]
)
def test_wide_confidence_is_no_fault_where_the_market_may_be_closed(of: Feed, reason: str) -> None:
    check = ConfidenceRatio(max_ratio=Bps(Decimal(100)), warn_ratio=Bps(Decimal(50)))

    def judged(price: int, conf: int) -> tuple[Status, str]:
        verdict = check(seen(update(price=price, conf=conf), of=of), now=NOW)
        return verdict.status, verdict.reason

    for price, conf in ((10_000, 101), (10_000, 51), (0, 0), (0, 5)):
        assert judged(price, conf) == (Status.UNKNOWN, reason)
    assert judged(10_000, 50) == (Status.OK, "narrow")


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.sampled_from([1, 50, 99]))
def test_the_confidence_ratio_is_of_the_magnitude(price: int, conf: int, limit: int) -> None:
    verdict = ConfidenceRatio(max_ratio=Bps(Decimal(limit)))(seen(update(price=price, conf=conf)), now=NOW)
    assert (verdict.status is Status.OK) == (price != 0 and conf * 10_000 <= limit * abs(price))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-128, 128), st.integers(-128, 128))
def test_the_deviation_is_a_part_of_the_references_magnitude(price: int, against: int, expo: int, other: int) -> None:
    subject, reference = update(price=price, expo=expo), update(price=against, expo=other)
    comparison = Comparison({"ours": subject, "theirs": reference})
    verdict = Deviation(Bps(Decimal(50)), "ours", "theirs")(Observation(comparison, "test", NOW), now=NOW)
    if against == 0:
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "no_reference")
        return
    ours, theirs = (Fraction(n) * Fraction(10) ** e for n, e in ((price, expo), (against, other)))
    assert (verdict.status is Status.OK) == (abs(ours - theirs) * 10_000 <= 50 * abs(theirs))


def test_exponents_that_only_signed_bytes_may_carry() -> None:
    """A 32-bit exponent: a verdict, and no number of two thousand million digits."""
    assert compare(update(expo=2**31 - 1), update())[:2] == (Status.CRITICAL, "deviating")
    assert compare(update(), update(expo=-(2**31)))[:2] == (Status.CRITICAL, "deviating")


def test_a_reference_too_old_is_none() -> None:
    check = Deviation(Bps(Decimal(50)), "ours", "theirs", max_reference_age=60 * S)

    def judged(age: timedelta) -> tuple[Status, str]:
        comparison = Comparison({"ours": update(), "theirs": update(age=age, price=1)})
        verdict = check(Observation(comparison, "test", NOW), now=NOW)
        return verdict.status, verdict.reason

    assert judged(60 * S) == (Status.CRITICAL, "deviating")
    assert judged(61 * S) == (Status.UNKNOWN, "no_reference")


def test_no_deviation_is_judged_outside_market_hours() -> None:
    check = Deviation(Bps(Decimal(50)), "ours", "theirs")
    comparison = Comparison({"ours": update(), "theirs": update(price=1)})
    closed = check(Observation(comparison, "test", NOW, feed=feed(NYSE)), now=NOW)
    assert (closed.status, closed.reason) == (Status.SKIPPED, "market_closed")


def compare(subject: PriceUpdate | None, reference: PriceUpdate | None) -> tuple[Status, str, str]:
    values = {name: value for name, value in (("ours", subject), ("theirs", reference)) if value is not None}
    check = Deviation(Bps(Decimal(50)), "ours", "theirs", warn_deviation=Bps(Decimal(20)))
    failures = {} if reference is not None else {"theirs": ConnectError("refused")}
    verdict = check(Observation(Comparison(values, dict(failures)), "test", NOW), now=NOW)
    return verdict.status, verdict.reason, verdict.message


def test_deviation_is_exact_across_exponents() -> None:
    assert compare(update(price=100_500), update(price=100_000))[:2] == (Status.WARNING, "drifting")
    assert compare(update(price=100_501), update(price=100_000))[:2] == (Status.CRITICAL, "deviating")
    assert compare(update(price=1_000, expo=0), update(price=100_000))[:2] == (Status.OK, "near")
    assert compare(update(price=-100_501), update(price=-100_000))[:2] == (Status.CRITICAL, "deviating")


def test_deviation_without_a_reference_is_unknown() -> None:
    assert compare(update(), None) == (Status.UNKNOWN, "no_reference", "theirs gave no price: refused")
    assert compare(None, update())[:2] == (Status.UNKNOWN, "no_subject")
    assert compare(update(), update(price=0))[:2] == (Status.UNKNOWN, "no_reference")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Freshness(max_age=timedelta(0)),
        lambda: Freshness(max_age=5 * S, warn_age=5 * S),
        lambda: Freshness(open_grace=-S),
        lambda: ConfidenceRatio(max_ratio=Bps(Decimal(0))),
        lambda: ConfidenceRatio(warn_ratio=Bps(Decimal(900))),
        lambda: Deviation(Bps(Decimal(0)), "a", "b"),
        lambda: Deviation(Bps(Decimal(5)), "a", "a"),
        lambda: Deviation(Bps(Decimal(5)), "a", "b", warn_deviation=Bps(Decimal(5))),
        lambda: Deviation(Bps(Decimal(5)), "a", "b", max_reference_age=timedelta(0)),
    ],
)
def test_impossible_limits_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="must|deviation"):
        make()
