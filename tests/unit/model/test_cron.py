"""Schedules of CronJobs: what is due when, across changes of the clocks, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError
from probekit.model.cron import CronSchedule
from probekit.units import Instant

NOW = "2026-11-26T13:05:54Z"  # a Thursday
NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("schedule", "zone", "moment", "due"),
    [
        ("*/15 * * * *", "UTC", NOW, "2026-11-26T13:00:00Z"),
        ("5 13 * * *", "UTC", NOW, "2026-11-26T13:05:00Z"),
        ("6 13 * * *", "UTC", NOW, "2026-11-25T13:06:00Z"),
        ("0 3 * * 1", "UTC", NOW, "2026-11-23T03:00:00Z"),
        ("0 3 * * MON-wed/2", "UTC", NOW, "2026-11-25T03:00:00Z"),
        ("0 0 1 jan,JUL ?", "UTC", NOW, "2026-07-01T00:00:00Z"),
        ("0 0 29 2 *", "UTC", NOW, "2024-02-29T00:00:00Z"),
        ("50/3 * * * *", "UTC", NOW, "2026-11-26T12:59:00Z"),
        ("@hourly", "UTC", NOW, "2026-11-26T13:00:00Z"),
        ("@weekly", "UTC", NOW, "2026-11-22T00:00:00Z"),
        ("@yearly", "Asia/Kolkata", NOW, "2025-12-31T18:30:00Z"),
        # Either day where both are asked for; a star without a step asks for none, as robfig/cron has it.
        ("0 0 1 * 3", "UTC", "2026-03-04T12:00:00Z", "2026-03-04T00:00:00Z"),
        ("0 0 */2 * 1", "UTC", "2026-03-04T12:00:00Z", "2026-03-03T00:00:00Z"),
        ("0 0 * * 1", "UTC", "2026-03-04T12:00:00Z", "2026-03-02T00:00:00Z"),
        # Clocks go back at 06:00 UTC: half past one is there twice. They go forward: half past two is not there.
        ("30 1 * * *", NEW_YORK, "2026-11-01T06:00:00Z", "2026-11-01T05:30:00Z"),
        ("30 1 * * *", NEW_YORK, "2026-11-01T12:00:00Z", "2026-11-01T06:30:00Z"),
        ("30 2 * * *", NEW_YORK, "2026-03-08T12:00:00Z", "2026-03-07T07:30:00Z"),
    ],
)
def test_when_it_was_last_due(schedule: str, zone: str, moment: str, due: str) -> None:
    assert CronSchedule.parse(schedule, zone).due_before(Instant.parse(moment)) == Instant.parse(due)


def test_a_day_that_never_comes() -> None:
    assert CronSchedule.parse("0 0 31 2 *").due_before(Instant.parse(NOW)) is None


FIELDS = st.tuples(
    st.integers(0, 59), st.integers(0, 23), st.sampled_from(["*", "1", "*/3", "13"]), st.sampled_from(["*", "3", "11"]),
    st.sampled_from(["*", "0", "1-5"]),
)  # fmt: skip


@given(fields=FIELDS, minutes=st.integers(0, 200 * 1440), zone=st.sampled_from(["UTC", NEW_YORK, "Australia/Lord_Howe"]))
def test_it_is_what_going_back_minute_by_minute_finds(fields: tuple[int, int, str, str, str], minutes: int, zone: str) -> None:
    schedule = CronSchedule.parse(" ".join(map(str, fields)), zone)
    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes, seconds=30)
    due = schedule.due_before(Instant.from_datetime(moment))

    def asked_for(at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(zone))
        return (local.minute, local.hour) == fields[:2] and schedule._on(local.date())

    back = moment.replace(second=0)
    for _ in range(3 * 1440):
        if asked_for(back):
            assert due == Instant.from_datetime(back)
            return
        back -= timedelta(minutes=1)
    assert due is None or due < Instant.from_datetime(back)


@pytest.mark.parametrize(
    "text",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "*/0 * * * *",
        "5-1 * * * *", "*-5 * * * *", "a * * * *", "1,,2 * * * *", "@every 1h", "@reboot", "TZ=UTC * * * * *", "-1 * * * *",
        "9" * 2_000, "1-2-3 * * * *", "\u0661 * * * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CronSchedule.parse(text)
    assert caught.value.raw_length == len(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "UTC\0"])
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(DecodeError, match="no known time zone"):
        CronSchedule.parse("* * * * *", zone)


@given(st.text(max_size=40), st.sampled_from(["UTC", NEW_YORK]))
def test_anything_else_is_a_schedule_or_refused(text: str, zone: str) -> None:
    try:
        schedule = CronSchedule.parse(text, zone)
    except DecodeError:
        return
    due = schedule.due_before(Instant.parse(NOW))
    assert due is None or due <= Instant.parse(NOW)
