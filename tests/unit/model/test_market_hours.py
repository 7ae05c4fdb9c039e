"""Market hours against readings that share nothing with the code: real time walked minute by minute."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.model import MarketHours
from probekit.units import Instant

MINUTE = 60

# (zone, a day on which its clocks change): forward and back, at night and at midnight, by an hour, half an hour and a day.
CHANGES = [
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/London", date(2026, 3, 29)),
    ("Europe/London", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("America/Santiago", date(2025, 9, 7)),  # 24:00 of the day before becomes 01:00
    ("America/Santiago", date(2025, 4, 5)),  # 24:00 becomes 23:00
    ("America/Havana", date(2025, 3, 9)),  # 00:00 becomes 01:00
    ("America/Havana", date(2025, 11, 2)),  # 01:00 becomes 00:00
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
]
MINUTES = st.one_of(st.integers(0, 1440), st.integers(0, 24).map(lambda hour: hour * 60), st.integers(0, 180))
RANGES = st.lists(st.tuples(MINUTES.filter(lambda m: m < 1440), MINUTES), max_size=3)


def text_of(ranges: list[tuple[int, int]]) -> str:
    return "&".join(f"{a // 60:02d}{a % 60:02d}-{b // 60:02d}{b % 60:02d}" for a, b in ranges) or "C"


@lru_cache(maxsize=64)
def walls(zone: str, middle: date) -> tuple[list[int], list[datetime]]:
    """Every minute of the three days around ``middle``, as unix seconds and as the clock on the wall shows it."""
    start = int(datetime(middle.year, middle.month, middle.day, tzinfo=UTC).timestamp()) - 2 * 1440 * MINUTE
    seconds = [start + n * MINUTE for n in range(5 * 1440)]
    return seconds, [datetime.fromtimestamp(s, ZoneInfo(zone)).replace(tzinfo=None) for s in seconds]


def first_instant(zone: str, middle: date, day: date, minute: int) -> int:
    """The first minute of real time at which the wall shows ``minute`` of ``day`` or later, by looking at all of them."""
    wanted = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    seconds, shown = walls(zone, middle)
    return next(s for s, wall in zip(seconds, shown, strict=True) if wall >= wanted)


@pytest.mark.parametrize(("zone", "changed"), CHANGES)
@given(days=st.lists(RANGES, min_size=7, max_size=7), minute=st.integers(0, 3 * 1440 - 1))
def test_open_on_the_days_around_a_change_of_clocks(
    zone: str, changed: date, days: list[list[tuple[int, int]]], minute: int
) -> None:
    hours = MarketHours.parse(f"{zone};{','.join(text_of(ranges) for ranges in days)};")
    seconds, shown = walls(zone, changed)
    index = 1440 + minute
    at, wall = seconds[index], shown[index]
    literal = any(a <= wall.hour * 60 + wall.minute < b for a, b in days[wall.weekday()])
    spans = [
        (first_instant(zone, changed, day, a), first_instant(zone, changed, day, b))
        for day in (wall.date() - timedelta(days=1), wall.date())
        for a, b in days[day.weekday()]
        if a < b
    ]
    assert hours.is_open(Instant.from_seconds(at)) == any(start <= at < end for start, end in spans)
    if shown.count(wall) == 1:
        # Where the wall shows a time once, that is the grammar read literally.
        assert hours.is_open(Instant.from_seconds(at)) == literal


@pytest.mark.parametrize(
    ("schedule", "opens", "closes"),
    [
        # 02:30 does not exist on that night: the market opens as the clocks jump to 03:00, and 02:15 to 02:45 never is.
        ("America/New_York;C,C,C,C,C,C,0230-0600;", "2026-03-08T07:00:00Z", "2026-03-08T10:00:00Z"),
        ("America/New_York;C,C,C,C,C,C,0215-0245;", "2026-03-15T06:15:00Z", "2026-03-15T06:45:00Z"),
        ("America/New_York;C,C,C,C,C,C,0100-0230;", "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z"),
        # The half hour that Lord Howe skips.
        ("Australia/Lord_Howe;C,C,C,C,C,C,0210-0900;", "2026-03-07T15:10:00Z", "2026-03-07T22:00:00Z"),
    ],
)
def test_edges_in_a_skipped_hour(schedule: str, opens: str, closes: str) -> None:
    hours, at = MarketHours.parse(schedule), Instant.parse("2026-03-06T00:00:00Z")
    assert (hours.next_open(at), hours.next_close(at)) == (Instant.parse(opens), Instant.parse(closes))


def test_a_day_that_never_was_has_no_hours() -> None:
    hours = MarketHours.parse("Pacific/Apia;C,C,C,C,0800-2000,C,C;")
    assert not hours.is_open(Instant.parse("2011-12-30T20:00:00Z"))
    assert hours.next_open(Instant.parse("2011-12-29T23:00:00Z")) == Instant.parse("2012-01-05T18:00:00Z")


def test_a_repeated_hour_opens_a_market_once() -> None:
    hours = MarketHours.parse("America/New_York;C,C,C,C,C,C,0130-0330;")
    at = Instant.parse("2026-11-01T00:00:00Z")
    assert hours.next_open(at) == Instant.parse("2026-11-01T05:30:00Z")
    assert hours.next_close(at) == Instant.parse("2026-11-01T08:30:00Z")


SCHEDULES = {
    "stocks": "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"
    "1224/0930-1300,1225/C,0101/C,0120/C,0217/C,0418/C,0526/C,0619/C",
    "metals": "America/New_York;0000-1800&2000-2400,0000-1800&2000-2400,0000-1800&2000-2400,0000-1800&2000-2400,0000-1800,C,"
    "1800-2400;1224/0000-1400&2000-2400,1225/C,0101/C,0418/C",
    "fx": "America/New_York;O,O,O,O,0000-1700,C,1700-2400;1224/0000-1700,1225/1700-2400,1231/0000-1700,0101/1700-2400",
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_year_walked(name: str) -> None:
    """Every quarter of an hour of a year: the next edges are the next turns of ``is_open``, and the session lies between."""
    hours = MarketHours.parse(SCHEDULES[name])
    step = 15 * MINUTE
    first = int(datetime(2025, 6, 6, tzinfo=UTC).timestamp())
    times = range(first, first + 366 * 86_400, step)
    states = [hours.is_open(Instant.from_seconds(at)) for at in times]
    turns = {
        to: [
            at for at, before, after in zip(times[1:], states, states[1:], strict=False) if after is not before and after is to
        ]
        for to in (True, False)
    }
    every = sorted(turns[True] + turns[False])
    assert len(every) > 100
    for at, state in zip(times[:: 7 * 4], states[:: 7 * 4], strict=True):
        if at < every[0] or at > every[-3]:
            continue
        moment = Instant.from_seconds(at)
        following = {to: Instant.from_seconds(turns[to][bisect_right(turns[to], at)]) for to in turns}
        assert (hours.next_open(moment), hours.next_close(moment)) == (following[True], following[False])
        session = hours.session(moment)
        assert session.open is state
        assert session.since == Instant.from_seconds(every[bisect_right(every, at) - 1])
        assert session.until == following[not state]


def test_a_long_session_knows_when_it_began_for_fourteen_days() -> None:
    """A market that opens once a year by a holiday: closed for the rest of it."""
    hours = MarketHours.parse("UTC;C,C,C,C,C,C,C;0110/0900-1700")
    closed = Instant.parse("2026-01-10T17:00:00Z")
    assert hours.session(Instant.parse("2026-01-11T12:00:00Z")).since == closed
    assert hours.session(Instant.parse("2026-01-20T12:00:00Z")).since == closed
    assert hours.session(Instant.parse("2026-02-20T12:00:00Z")).since is None
    assert hours.session(Instant.parse("2025-12-20T12:00:00Z")).until is None
    assert hours.session(Instant.parse("2025-12-28T12:00:00Z")).until == Instant.parse("2026-01-10T09:00:00Z")


def test_holidays_and_days_read_as_the_grammar_says() -> None:
    doubled = MarketHours.parse("UTC;C,C,C,C,C,C,C;0110/O,0110/0900-1700, ,0229/O,")
    assert not doubled.is_open(Instant.parse("2026-01-10T08:59:59Z"))
    assert doubled.is_open(Instant.parse("2026-01-10T09:00:00Z"))
    # A holiday of a leap day is none in other years.
    assert doubled.is_open(Instant.parse("2028-02-29T00:00:00Z"))
    assert not doubled.is_open(Instant.parse("2026-03-01T00:00:00Z"))
    # Overlapping ranges are one; one that ends before it starts, or at once, never opens.
    odd = MarketHours.parse("UTC;0900-1200&1100-1300&1000-0900&2000-2000,C,C,C,C,C,C;")
    monday = Instant.parse("2026-09-14T00:00:00Z")
    assert odd.next_open(monday) == Instant.parse("2026-09-14T09:00:00Z")
    assert odd.next_close(monday) == Instant.parse("2026-09-14T13:00:00Z")
    assert not odd.is_open(Instant.parse("2026-09-14T20:00:00Z"))
