"""Checks of an archive of prices: each verdict by its reason, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import ArchiveLag, BarHolds, ParityMemory, PastParity
from probekit.model import Feed, Observation, Status, TrustRoot, Verdict
from probekit.model.benchmarks import ArchiveReach, Bar, BarSample, PastPair, PastPrice
from probekit.units import Bps, Instant
from tests.unit.checks.builders import ID, NOW, feed, update

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)
SECOND = 10**9
NYSE = "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"


def seen(value: Any, *, of: Feed | None = None, clock_error_ns: int | None = 0) -> Observation[Any]:
    return Observation(value, "test", NOW, ID, 0, clock_error_ns, of)


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


# -- how far it reaches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (ArchiveReach(60 * SECOND, 30 * SECOND, "BTC"), (OK, "available")),
        (ArchiveReach(60 * SECOND + 1, None, "BTC"), (WARNING, "lagging")),
        (ArchiveReach(None, 540 * SECOND, "BTC"), (CRITICAL, "unavailable")),
        (ArchiveReach(None), (SKIPPED, "market_closed")),
        (ArchiveReach(None, 60 * SECOND, "AAPL", whole=False), (SKIPPED, "market_opening")),
        (ArchiveReach(None, 60 * SECOND + 1, "AAPL", whole=False), (WARNING, "lagging")),
        (ArchiveReach(60 * SECOND, 30 * SECOND, "AAPL", whole=False), (OK, "available")),
    ],
)
def test_reach(reach: ArchiveReach, expected: tuple[Status, str]) -> None:
    verdict = ArchiveLag(60 * S)(seen(reach), now=NOW)
    assert told(verdict) == expected
    assert [one.value for one in verdict.measures] == ([reach.found_ns] if reach.found_ns else [])


def test_a_lag_by_a_clock_that_is_not_known_is_none() -> None:
    reach = ArchiveReach(10 * SECOND, None, "BTC")
    assert told(ArchiveLag(60 * S)(seen(reach, clock_error_ns=None), now=NOW)) == (UNKNOWN, "clock")
    assert told(ArchiveLag(60 * S)(seen(reach, clock_error_ns=20 * SECOND), now=NOW)) == (OK, "available")
    assert told(ArchiveLag(60 * S)(seen(reach, clock_error_ns=20 * SECOND + 1), now=NOW)) == (UNKNOWN, "clock")
    with pytest.raises(ValueError, match="max_lag"):
        ArchiveLag(0 * S)


# -- what it says ------------------------------------------------------------------------------------------------------------


def past(slot: int = 7, message: str = "00", root: TrustRoot = TrustRoot.PRO, **fields: Any) -> PastPrice:
    return PastPrice(update(**fields), root, slot, message)


def parity(hermes: PastPrice | None, benchmarks: PastPrice | None, **more: Any) -> Verdict:
    check = PastParity()
    pair = PastPair(NOW.seconds - 60, hermes, benchmarks, "it is down")
    state, verdict = check.step(check.init(), seen(pair, **more), now=NOW)
    assert check.step(check.init(), seen(pair, **more), now=NOW) == (state, verdict)
    return verdict


def test_equal_to_the_byte() -> None:
    assert told(parity(past(), past())) == (OK, "equal")
    verdict = parity(past(price=5, conf=2), past(price=6, conf=3, message="01"))
    assert told(verdict) == (CRITICAL, "different")
    assert "price is 5 at Hermes, 6 at Benchmarks; conf is 2 at Hermes, 3 at Benchmarks" in verdict.message
    verdict = parity(past(), past(message="01"))
    assert told(verdict) == (CRITICAL, "different")
    assert "Hermes 00, Benchmarks 01" in verdict.message
    assert told(parity(past(expo=-2), past(expo=-3))) == (CRITICAL, "parsed_differs")


@given(
    st.sampled_from(["price", "conf", "expo"]),
    st.integers(-(10**12), 10**12),
    st.integers(-(10**12), 10**12),
)
def test_any_field_that_differs_is_named_and_nothing_else(name: str, one: int, other: int) -> None:
    ours: dict[str, Any] = {name: one}
    verdict = parity(past(**ours), past(**(ours | {name: other})))
    assert told(verdict) == ((OK, "equal") if one == other else (CRITICAL, "parsed_differs"))
    assert (f"{name} is {one} at Hermes, {other} at Benchmarks" in verdict.message) == (one != other)


def test_another_update_of_the_second_is_no_conflict() -> None:
    assert told(parity(past(slot=7), past(slot=8, message="ff", price=1))) == (WARNING, "other_slot")
    assert told(parity(past(slot=7), past(slot=7, root=TrustRoot.CORE))) == (WARNING, "other_slot")
    assert told(parity(past(slot=7), past(slot=90, age=9 * S))) == (WARNING, "other_second")


def test_nothing_of_hermes_judges_nobody_and_a_closed_market_neither() -> None:
    assert told(parity(None, past())) == (UNKNOWN, "no_hermes")
    assert "it is down" in parity(None, None).message
    assert told(parity(past(), past(price=1), of=feed(NYSE))) == (SKIPPED, "market_closed")


def test_absence_is_delay_until_it_lasts() -> None:
    check, state = PastParity(timedelta(minutes=2)), ParityMemory()
    reasons = []
    for minute, there in ((0, False), (1, False), (2, False), (3, False), (4, True), (5, False)):
        now = NOW.plus(minute * timedelta(minutes=1))
        pair = PastPair(now.seconds - 60, past(), past() if there else None)
        state, verdict = check.step(state, seen(pair), now=now)
        reasons.append(verdict.reason)
    assert reasons == ["not_yet", "not_yet", "not_yet", "absent", "equal", "not_yet"]
    assert check.step(state, None, now=NOW)[1].reason == "pending"
    with pytest.raises(ValueError, match="max_absence"):
        PastParity(0 * S)


def absences(check: PastParity, *minutes: str) -> list[str]:
    """Reasons, minute by minute: ``a`` absent, ``h`` without Hermes, ``-`` a tick that saw nothing of the feed at all."""
    state, reasons = check.init(), []
    for minute, what in enumerate(minutes):
        now = NOW.plus(minute * timedelta(minutes=1))
        if what == "-":
            state = check.unseen(state, now=now)
            continue
        pair = PastPair(now.seconds - 60, past() if what == "a" else None, None, "down")
        state, verdict = check.step(state, seen(pair), now=now)
        reasons.append(verdict.reason)
    return reasons


@pytest.mark.parametrize("blind", ["h", "-"])
def test_time_that_could_not_be_judged_is_no_absence(blind: str) -> None:
    check = PastParity(timedelta(minutes=2))

    def told_of(minutes: str) -> list[str]:
        return [reason for reason in absences(check, *minutes) if reason != "no_hermes"]

    # Two of these four minutes could be judged, and three of five.
    assert told_of("aa" + blind * 2 + "a") == ["not_yet"] * 3
    assert told_of("aa" + blind * 2 + "aa") == ["not_yet"] * 3 + ["absent"]
    # What comes and goes still adds up.
    assert told_of(("a" + blind) * 2 + "a") == ["not_yet"] * 3
    assert told_of(("a" + blind) * 3 + "a") == ["not_yet"] * 3 + ["absent"]
    # After longer than max_absence it begins anew.
    assert told_of("aaa" + blind * 4 + "aaa") == ["not_yet"] * 6


# -- bars --------------------------------------------------------------------------------------------------------------------

BAR = Bar(NOW.seconds, Decimal(100), Decimal(110), Decimal(90), Decimal(105))


@pytest.mark.parametrize(
    ("price", "bar", "expected"),
    [
        ("110", BAR, (OK, "held")),
        ("90", BAR, (OK, "held")),
        ("110.01", BAR, (OK, "held")),
        ("110.02", BAR, (WARNING, "outside_bar")),
        ("89.9", BAR, (WARNING, "outside_bar")),
        ("0", BAR, (WARNING, "outside_bar")),
        ("-100", BAR, (WARNING, "outside_bar")),
        ("100", msgspec.structs.replace(BAR, close=Decimal(111)), (CRITICAL, "impossible_bar")),
        ("100", msgspec.structs.replace(BAR, low=Decimal(111)), (CRITICAL, "impossible_bar")),
        ("100", None, (WARNING, "no_bar")),
    ],
)
def test_bars(price: str, bar: Bar | None, expected: tuple[Status, str]) -> None:
    assert told(BarHolds()(seen(BarSample(NOW.seconds, Decimal(price), bar, "none")), now=NOW)) == expected


def test_no_charts_and_no_price_yet() -> None:
    assert told(BarHolds()(seen(BarSample(1, Decimal(1), None, "404", served=False)), now=NOW)) == (SKIPPED, "no_charts")
    assert told(BarHolds()(seen(BarSample(0, Decimal(0), None)), now=Instant(0))) == (SKIPPED, "pending")
    with pytest.raises(ValueError, match="tolerance"):
        BarHolds(Bps(Decimal(-1)))
