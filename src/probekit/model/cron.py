"""Schedules of five fields, as Kubernetes' CronJobs have them.

::

    schedule = field 5 | "@hourly" | "@daily" | "@midnight" | "@weekly" | "@monthly" | "@yearly" | "@annually"
    field    = item *( "," item )             minute, hour, day of month, month, day of week (0 is Sunday)
    item     = ( "*" | "?" | value [ "-" value ] ) [ "/" step ]       "5/15" is "5 to the end, every 15"

Months and days of the week may be named by three letters. Where both a day of the month and one of the week are asked for,
either will do; a star without a step asks for none. Source: robfig/cron v3's ``ParseStandard``, which Kubernetes'
controller uses. Its ``@every`` counts from the controller's start, so that nobody else can tell when it is due: it is refused.
A time that daylight saving skips is no time, as there; one that it repeats counts twice.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from probekit.errors import DecodeError
from probekit.units import Instant

_BOUNDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: Final[tuple[dict[str, int], ...]] = (
    {},
    {},
    {},
    dict(zip(_MONTHS, range(1, 13), strict=True)),
    dict(zip(_DAYS, range(7), strict=True)),
)
_ITEM: Final = re.compile(r"([*?]|\w+)(?:-(\w+))?(?:/(\d{1,4}))?", re.ASCII)
_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LONGEST: Final = 1_000
_HORIZON_DAYS: Final = 9 * 366
"""Back to a 29 February over a year such as 2100; what lies further back is never."""


class CronSchedule(msgspec.Struct, frozen=True):
    """A parsed schedule in its time zone. Fields hold the values that are asked for, in order."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool
    """Whether a day of the month or one of the week will do; else both must hold."""
    time_zone: str = "UTC"

    @classmethod
    def parse(cls, text: str, time_zone: str = "UTC") -> CronSchedule:
        """Raises ``DecodeError`` that keeps the text and says which part is wrong."""
        if len(text) > _LONGEST:
            raise DecodeError(f"a schedule of {len(text)} characters", raw=text)
        _zone(time_zone)
        fields = _MACROS.get(text.strip(), text).split()
        if len(fields) != len(_BOUNDS):
            raise DecodeError(f"the schedule {text!r} has {len(fields)} fields, not 5", raw=text)
        values, opened = zip(*(_field(part, place, text) for place, part in enumerate(fields)), strict=True)
        minutes, hours, days, months, weekdays = values
        return cls(minutes, hours, days, months, weekdays, not (opened[2] or opened[4]), time_zone)

    def due_before(self, moment: Instant) -> Instant | None:
        """The last time it was due at or before ``moment``; ``None`` for a schedule that is never due."""
        zone = _zone(self.time_zone)
        day = moment.to_datetime().astimezone(zone).date()
        for _ in range(min(_HORIZON_DAYS, day.toordinal() - 1)):
            if self._on(day):
                found = self._last_on(day, zone, moment)
                if found is not None:
                    return found
            day -= timedelta(days=1)
        return None

    def _on(self, day: date) -> bool:
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and ((by_month or by_week) if self.either_day else (by_month and by_week))

    def _last_on(self, day: date, zone: ZoneInfo, moment: Instant) -> Instant | None:
        local = moment.to_datetime().astimezone(zone)
        today = (local.hour, local.minute) if local.date() == day else (24, 0)
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        changes = midnight.utcoffset() != (midnight + timedelta(days=1)).utcoffset()
        newest: Instant | None = None
        for hour in reversed(self.hours):
            for minute in reversed(self.minutes):
                if (hour, minute) > today and not changes:
                    continue
                for fold in (1, 0) if changes else (0,):
                    due = _instant(midnight.replace(hour=hour, minute=minute, fold=fold))
                    if due is not None and due <= moment and (newest is None or due > newest):
                        newest = due
                # Where the clocks change, a time that the clock shows later may have been earlier.
                if newest is not None and not changes:
                    return newest
        return newest


def _instant(local: datetime) -> Instant | None:
    """``None`` for a time that daylight saving skips."""
    at = local.astimezone(UTC)
    skipped = at.astimezone(local.tzinfo).replace(tzinfo=None, fold=0) != local.replace(tzinfo=None, fold=0)
    return None if skipped else Instant.from_datetime(at)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DecodeError(f"{name!r} is no known time zone", raw=name) from None


def _field(part: str, place: int, text: str) -> tuple[tuple[int, ...], bool]:
    """The values of a field, and whether it leaves its unit open: a star without a step stands among its items."""
    named, low, high = _BOUNDS[place]
    found: set[int] = set()
    any_value = False
    for item in part.split(","):
        match = _ITEM.fullmatch(item)
        step = int(match[3] or 1) if match is not None else 0
        if match is None or step == 0:
            raise DecodeError(f"{item!r} is no {named} of the schedule {text!r}", raw=text)
        if match[1] in ("*", "?"):
            first, last = low, high
            any_value = any_value or step == 1
        else:
            first = _value(match[1], place, text)
            last = _value(match[2], place, text) if match[2] else high if match[3] else first
        if last < first or (match[1] in ("*", "?") and match[2]):
            raise DecodeError(f"{item!r} is no range of the schedule {text!r}", raw=text)
        found.update(range(first, last + 1, step))
    return tuple(sorted(found)), any_value


def _value(word: str, place: int, text: str) -> int:
    named, low, high = _BOUNDS[place]
    number = _NAMES[place].get(word.lower())
    if number is None and word.isdigit() and len(word) <= 4:
        number = int(word)
    if number is None or not low <= number <= high:
        raise DecodeError(f"{word!r} is no {named} of the schedule {text!r}: it is {low} to {high}", raw=text)
    return number
