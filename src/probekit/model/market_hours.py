"""Market hours: when a feed's market is open, as the ``schedule`` attribute of a Pyth product says it.

::

    schedule  = timezone ";" week [ ";" holidays ]
    week      = day "," day "," day "," day "," day "," day "," day      Monday first
    day       = "O" | "C" | range *( "&" range )
    range     = HHMM "-" HHMM                                            end may be 2400
    holidays  = [ MMDD "/" day *( "," MMDD "/" day ) ]                   empty items are skipped

Evaluated in the schedule's own zone; start inclusive, end exclusive; a holiday replaces its whole day and recurs every year;
2400 and 0000 of the next day join into one session; a range that ends before it starts never opens. Source: pyth-client-py
``market_schedule.py`` and its tests. One rule is ours: an edge at a time that daylight saving repeats counts the first time
only, so that a change of the clocks never opens a market twice; one at a time that it skips is the jump itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.errors import DecodeError
from probekit.units import NS_PER_S, Instant

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_RANGE: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)-(?:([01]\d|2[0-3])([0-5]\d)|(2400))", re.ASCII)
_HOLIDAY: Final = re.compile(r"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)
_DAY_MINUTES: Final = 24 * 60
_HORIZON_DAYS: Final = 14
"""How far ahead an edge is looked for; the day asked about counts as the first."""

Minutes = tuple[tuple[int, int], ...]


class MarketSession(msgspec.Struct, frozen=True):
    """The market's state at an instant, since when, and until when; ``None`` where no edge lies within 14 days."""

    open: bool
    since: Instant | None
    until: Instant | None


class MarketHours(msgspec.Struct, frozen=True):
    """A parsed schedule. ``week`` holds seven days, Monday first, each as ranges of minutes, sorted by start."""

    timezone: str
    week: tuple[Minutes, ...]
    holidays: tuple[tuple[int, int, Minutes], ...] = ()
    """(month, day, ranges); of two entries of one day the last is kept."""

    @classmethod
    def parse(cls, text: str) -> MarketHours:
        """Parse a schedule. Raises ``DecodeError`` that keeps the text and says which part is wrong."""
        parts = text.split(";")
        if len(parts) not in (2, 3):
            raise DecodeError(f"a schedule has a timezone, a week and holidays between ';', not {len(parts)} parts", raw=text)
        zone = parts[0].strip()
        try:
            _zone(zone)
        # Of an unknown one it says KeyError.
        except (KeyError, ValueError, OSError):
            raise DecodeError(f"{zone[:80]!r} is not a timezone", raw=text) from None
        days = parts[1].split(",")
        if len(days) != 7:
            raise DecodeError(f"a week has 7 days, not {len(days)}", raw=text)
        week = tuple(_parse_day(day, text) for day in days)
        holidays: dict[tuple[int, int], Minutes] = {}
        for item in parts[2].split(",") if len(parts) == 3 else ():
            if not item.strip():
                continue
            when, separator, day = item.strip().partition("/")
            match = _HOLIDAY.fullmatch(when)
            if not separator or match is None:
                raise DecodeError(f"{item[:80]!r} is not a holiday, as 1225/C", raw=text)
            holidays[int(match[1]), int(match[2])] = _parse_day(day, text)
        return cls(zone, week, tuple((month, day, ranges) for (month, day), ranges in holidays.items()))

    def to_text(self) -> str:
        """The schedule in its own grammar."""
        week = ",".join(_day_text(ranges) for ranges in self.week)
        holidays = ",".join(f"{month:02d}{day:02d}/{_day_text(ranges)}" for month, day, ranges in self.holidays)
        return f"{self.timezone};{week};{holidays}"

    def is_open(self, at: Instant) -> bool:
        """Whether the market is open at ``at``."""
        return _position(self, at.seconds) % 2 == 1

    def next_open(self, at: Instant) -> Instant | None:
        """First instant after ``at`` when it turns from closed to open; ``None`` within 14 days, or when always open."""
        edges = _edges(self, _local_date(self, at.seconds))
        return _edge(edges, (bisect_right(edges, at.seconds) + 1) // 2 * 2, at)

    def next_close(self, at: Instant) -> Instant | None:
        """First instant after ``at`` when it turns from open to closed; ``None`` within 14 days, or when never closing."""
        edges = _edges(self, _local_date(self, at.seconds))
        return _edge(edges, bisect_right(edges, at.seconds) // 2 * 2 + 1, at)

    def session(self, at: Instant) -> MarketSession:
        """The state at ``at`` and the edges around it; sessions that join over midnight are one."""
        seconds = at.seconds
        today = _local_date(self, seconds)
        edges = _edges(self, today)
        position = bisect_right(edges, seconds)
        is_open = position % 2 == 1
        until = _edge(edges, position, at)
        since: Instant | None = None
        if position and edges[position - 1] > _day_start(self, today - timedelta(days=1)):
            since = Instant.from_seconds(edges[position - 1])
        else:
            before = _edges(self, today - timedelta(days=_HORIZON_DAYS))
            earlier = bisect_right(before, seconds)
            if earlier and before[earlier - 1] > _day_start(self, today - timedelta(days=_HORIZON_DAYS + 1)):
                since = Instant.from_seconds(before[earlier - 1])
        return MarketSession(is_open, since, until)


def _parse_day(text: str, whole: str) -> Minutes:
    text = text.strip()
    if text == "O":
        return ((0, _DAY_MINUTES),)
    if text == "C":
        return ()
    ranges = []
    for part in text.split("&"):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise DecodeError(f"{part[:80]!r} is not a range of a day, as 0930-1600", raw=whole)
        end = _DAY_MINUTES if match[5] else int(match[3]) * 60 + int(match[4])
        ranges.append((int(match[1]) * 60 + int(match[2]), end))
    return tuple(sorted(ranges))


def _day_text(ranges: Minutes) -> str:
    if ranges == ((0, _DAY_MINUTES),):
        return "O"
    return "&".join(f"{a // 60:02d}{a % 60:02d}-{b // 60:02d}{b % 60:02d}" for a, b in ranges) or "C"


def _ranges_of(hours: MarketHours, day: date) -> Minutes:
    for month, day_of_month, ranges in hours.holidays:
        if (month, day_of_month) == (day.month, day.day):
            return ranges
    return hours.week[day.weekday()]


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    # Imported late: the model comes with every command, and few of them read a schedule.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _local_date(hours: MarketHours, seconds: int) -> date:
    return datetime.fromtimestamp(seconds, _zone(hours.timezone)).date()


def _day_start(hours: MarketHours, day: date) -> int:
    return _at_minute(_zone(hours.timezone), day, 0)


def _at_minute(zone: ZoneInfo, day: date, minute: int) -> int:
    """Unix seconds of the first instant whose local wall time is at or after ``minute`` of ``day``.

    A wall time that daylight saving skips is the instant of the jump; one that it repeats is its first occurrence.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute)
    seconds = int(local.timestamp())
    landed = datetime.fromtimestamp(seconds, zone)
    skipped = landed.replace(tzinfo=None) - local.replace(tzinfo=None)
    if skipped:
        # The offset before the jump was applied, which lands after the jump by the part of the gap already past.
        return _jump_before(zone, seconds, int(skipped.total_seconds()))
    return seconds


def _jump_before(zone: ZoneInfo, seconds: int, gap: int) -> int:
    """The jump that skips ``gap`` seconds and lies less than that before ``seconds``: its first instant, by bisection."""
    low, high = seconds - gap, seconds
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=4096)
def _edges(hours: MarketHours, first: date) -> tuple[int, ...]:
    """Unix seconds at which the market opens and closes in turn, from the day before ``first`` on, beginning with an opening.

    The first opening may be the horizon's own edge rather than a real one: a market open since before has no known opening
    there.
    """
    zone = _zone(hours.timezone)
    spans: list[list[int]] = []
    # Ranges are laid out in local wall time, and joined where one ends as the next begins.
    for offset in range(-1, _HORIZON_DAYS):
        day = first + timedelta(days=offset)
        for start_minute, end_minute in _ranges_of(hours, day):
            start, end = _at_minute(zone, day, start_minute), _at_minute(zone, day, end_minute)
            if start_minute >= end_minute or start >= end:
                continue
            if spans and start <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([start, end])
    edges = [edge for span in spans for edge in span]
    horizon = _at_minute(zone, first + timedelta(days=_HORIZON_DAYS - 1), _DAY_MINUTES)
    if edges and edges[-1] >= horizon:
        edges.pop()
    return tuple(edges)


def _position(hours: MarketHours, seconds: int) -> int:
    return bisect_right(_edges(hours, _local_date(hours, seconds)), seconds)


def _edge(edges: tuple[int, ...], index: int, after: Instant) -> Instant | None:
    if index >= len(edges) or edges[index] * NS_PER_S <= after.ns:
        return None
    return Instant(edges[index] * NS_PER_S)
