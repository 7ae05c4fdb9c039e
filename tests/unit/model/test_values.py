"""Prices, feed ids, market hours and the small values."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError
from probekit.model import FeedId, MarketHours, Price, Status, Target, TrustRoot, Vantage, worst
from probekit.units import Bps, Instant

I64 = st.integers(-(2**63), 2**63 - 1)
EXPO = st.integers(-20, 20)


@given(I64, EXPO, st.integers(0, 12))
def test_rescaling_keeps_the_value(mantissa: int, expo: int, by: int) -> None:
    price = Price(mantissa, expo)
    finer = price.rescaled(expo - by)
    assert finer.decimal == price.decimal
    assert finer.rescaled(expo) == price


def test_rescaling_loses_no_digits() -> None:
    with pytest.raises(ValueError, match="losing digits"):
        Price(15, -1).rescaled(0)
    with pytest.raises(ValueError, match="too far apart"):
        Price(15, -1).rescaled(1_559_537_863)


def test_deviation_and_display() -> None:
    assert Price(10_050, -2).deviation(Price(100, 0)) == Bps(Decimal(50))
    assert str(Price(6163260000000, -8)) == "61632.60000000"
    assert str(Price(5, 1_000_000)) == "5E+1000000"
    with pytest.raises(ZeroDivisionError):
        Price(1, 0).deviation(Price(0, 0))


def test_feed_ids_are_strings_that_are_known_to_be_ids() -> None:
    one = FeedId("0x" + "AB" * 32)
    assert one == "ab" * 32
    assert hash(one) == hash("ab" * 32)
    assert FeedId(one) is one
    assert FeedId(bytes(one)) == one
    assert one.short == "abababab..bababab"
    assert pickle.loads(pickle.dumps(one)) == one
    assert "FeedId" in repr(one)
    for wrong in ("", "ab", "zz" * 32, b"short"):
        with pytest.raises(ValueError, match="feed id"):
            FeedId(wrong)


def test_small_values() -> None:
    assert Vantage("h", unit="u").instance_id == "h/u"
    assert Target("id", "feed").name == "id"
    assert Target("id", "feed", "label").name == "label"
    assert worst(()) is None
    assert [TrustRoot.CORE.quorum(19), TrustRoot.PRO.quorum(5), TrustRoot.PRO.quorum(3)] == [13, 3, 2]
    assert sorted(Status, key=lambda one: one.severity)[-1] is Status.CRITICAL


# -- market hours ------------------------------------------------------------------------------------------------------------

RANGES = st.lists(st.tuples(st.integers(0, 1438), st.integers(1, 1440)).filter(lambda r: r[0] < r[1]), min_size=0, max_size=3)


def day_text(ranges: list[tuple[int, int]]) -> str:
    return "&".join(f"{a // 60:02d}{a % 60:02d}-{b // 60:02d}{b % 60:02d}" for a, b in ranges) or "C"


WEEKS = st.lists(RANGES.map(day_text), min_size=7, max_size=7)
ZONES = st.sampled_from(["America/New_York", "Europe/London", "Asia/Tokyo", "UTC", "Australia/Lord_Howe"])
HOLIDAYS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 28), RANGES.map(day_text)), max_size=3)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31))


def open_by_definition(hours: MarketHours, at: Instant) -> bool:
    """The grammar read literally: the local wall time lies in a range of its day."""
    local = at.to_datetime().astimezone(ZoneInfo(hours.timezone))
    ranges = hours.week[local.weekday()]
    for month, day, special in hours.holidays:
        if (month, day) == (local.month, local.day):
            ranges = special
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in ranges)


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
@given(ZONES, WEEKS, HOLIDAYS, MOMENTS)
def test_open_means_what_the_grammar_says(
    zone: str, week: list[str], holidays: list[tuple[int, int, str]], at: datetime
) -> None:
    special = ",".join(f"{month:02d}{day:02d}/{text}" for month, day, text in holidays)
    hours = MarketHours.parse(f"{zone};{','.join(week)};{special}")
    assert MarketHours.parse(hours.to_text()) == hours
    moment = Instant.from_datetime(at.replace(tzinfo=ZoneInfo("UTC"), second=0, microsecond=0))
    local = moment.to_datetime().astimezone(ZoneInfo(zone))
    # The repeated hour of a daylight-saving change reads twice; the definition by wall time has no answer there.
    repeated = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    if not repeated:
        assert hours.is_open(moment) == open_by_definition(hours, moment)
    session = hours.session(moment)
    assert session.open == hours.is_open(moment)
    expected = hours.next_close(moment) if session.open else hours.next_open(moment)
    assert session.until == expected
    if session.since is not None:
        assert session.since <= moment
        before = Instant(session.since.ns - 1)
        assert hours.is_open(before) != session.open
    for edge, opens in ((hours.next_open(moment), True), (hours.next_close(moment), False)):
        if edge is not None:
            assert edge > moment
            assert hours.is_open(edge) is opens
            assert hours.is_open(Instant(edge.ns - 1)) is not opens


@pytest.mark.parametrize(
    "text",
    [
        "America/New_York;O,O,O,O,O,O;",
        "Nowhere/Else;O,O,O,O,O,O,O;",
        "America/New_York",
        "a;b;c;d",
        "America/New_York;1600-2500,O,O,O,O,O,O;",
        "America/New_York;0930-1600-1700,O,O,O,O,O,O;",
        "America/New_York;O,O,O,O,O,O,O;1224/0930-2500",
        "America/New_York;O,O,O,O,O,O,O;1224",
        "America/New_York;O,O,O,O,O,O,O;1324/C",
        "../etc/passwd;O,O,O,O,O,O,O;",
        "",
    ],
)
def test_schedules_that_are_none_are_refused_and_kept(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        MarketHours.parse(text)
    assert caught.value.raw == text


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        assert MarketHours.parse(text).week
    except DecodeError as error:
        assert error.raw == text


def test_a_session_that_joins_over_midnight_is_one() -> None:
    hours = MarketHours.parse("America/New_York;0000-1800&2000-2400,0000-1800&2000-2400,O,O,O,C,1800-2400;")
    at = Instant.parse("2026-09-14T04:30:00Z")
    session = hours.session(at)
    assert session.open
    assert session.since == Instant.parse("2026-09-13T22:00:00Z")
    assert session.until == Instant.parse("2026-09-14T22:00:00Z")


def test_always_open_and_never_open() -> None:
    always = MarketHours.parse("UTC;O,O,O,O,O,O,O;")
    never = MarketHours.parse("UTC;C,C,C,C,C,C,C")
    at = Instant.parse("2026-09-14T04:30:00Z")
    assert (always.is_open(at), always.next_open(at), always.next_close(at)) == (True, None, None)
    assert (never.is_open(at), never.next_open(at), never.next_close(at)) == (False, None, None)
    assert always.session(at).since is None


@pytest.mark.parametrize("days", [0, 1, 2])
def test_the_days_around_daylight_saving(days: int) -> None:
    hours = MarketHours.parse("America/New_York;0130-0330,0130-0330,0130-0330,0130-0330,0130-0330,0130-0330,0130-0330;")
    start = Instant.parse("2026-03-07T05:00:00Z").plus(timedelta(days=days))
    opened = hours.next_open(start)
    closed = hours.next_close(start)
    assert opened is not None
    assert closed is not None
    # On the day of the jump 01:30 to 03:30 lasts one hour.
    assert closed.since(opened) == (3600 if days == 1 else 7200) * 10**9
