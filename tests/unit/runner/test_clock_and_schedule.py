"""The clock's bounds from Date headers, the vantage's self-check, and the schedule."""

from __future__ import annotations

from datetime import UTC, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.model import Phases, RequestRecord
from probekit.runner.clockbounds import ClockBounds, KernelClock, bracket_of, combined_error_ns, kernel_clock
from probekit.runner.schedule import next_due_ns, phase_ns, skipped
from probekit.runner.vantage import SelfCheck
from probekit.testing import FakeClock
from probekit.units import NS_PER_MS, NS_PER_S, Instant

NOW = Instant.parse("2026-09-12T10:00:00.250Z")
S = timedelta(seconds=1)


def answer(
    started_at: Instant, offset_ns: int = 0, elapsed_ns: int = 40 * NS_PER_MS, host: str = "one", **extra: str
) -> RequestRecord:
    """An answer whose server read its clock half way; ours is ``offset_ns`` ahead of it."""
    true_ns = started_at.ns - offset_ns + elapsed_ns // 2
    date = format_datetime(Instant(true_ns).to_datetime().astimezone(UTC), usegmt=True)
    headers = (("date", date), *extra.items())
    return RequestRecord(
        method="GET",
        url=f"https://{host}/x",
        engine="test",
        started_at=started_at,
        elapsed_ns=elapsed_ns,
        phases=Phases(),
        status=200,
        headers=headers,
    )


@given(st.integers(-5_000, 5_000), st.integers(0, 999), st.integers(1, 900))
def test_the_bracket_holds_the_truth(offset_ms: int, within_ms: int, elapsed_ms: int) -> None:
    started = Instant(NOW.ns // NS_PER_S * NS_PER_S + within_ms * NS_PER_MS)
    found = bracket_of(answer(started, offset_ms * NS_PER_MS, elapsed_ms * NS_PER_MS))
    assert found is not None
    _, bracket = found
    assert bracket.low_ns <= offset_ms * NS_PER_MS <= bracket.high_ns
    assert bracket.high_ns - bracket.low_ns <= NS_PER_S + elapsed_ms * NS_PER_MS


def test_answers_near_the_edges_of_a_second_narrow_the_bound() -> None:
    bounds = ClockBounds()
    assert bounds.error_ns(NOW) is None
    errors = []
    for tenth in range(10):
        bounds.add(answer(Instant(NOW.ns + tenth * 1_100 * NS_PER_MS), elapsed_ns=10 * NS_PER_MS))
        errors.append(bounds.error_ns(NOW) or 0)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] <= 150 * NS_PER_MS


def test_a_clock_that_is_off_shows() -> None:
    bounds = ClockBounds()
    for tenth in range(10):
        bounds.add(answer(Instant(NOW.ns + tenth * 1_100 * NS_PER_MS), offset_ns=5 * NS_PER_S))
    error_ns = bounds.error_ns(NOW)
    assert error_ns is not None
    assert 5 * NS_PER_S <= error_ns <= 6 * NS_PER_S


def test_hosts_that_contradict_each_other_widen_it() -> None:
    bounds = ClockBounds()
    bounds.add(answer(NOW))
    bounds.add(answer(NOW, offset_ns=8 * NS_PER_S, host="two"))
    error_ns = bounds.error_ns(NOW)
    assert error_ns is not None
    assert error_ns >= 8 * NS_PER_S


def test_a_step_of_the_clock_forgets_what_was_before() -> None:
    bounds = ClockBounds()
    bounds.add(answer(NOW))
    stepped = answer(NOW.plus(S), offset_ns=60 * NS_PER_S)
    bounds.add(stepped)
    error_ns = bounds.error_ns(NOW)
    assert error_ns is not None
    assert error_ns >= 59 * NS_PER_S


def test_old_cached_and_broken_dates_say_nothing() -> None:
    bounds = ClockBounds()
    bounds.add(answer(NOW, age="12"))
    record = answer(NOW)
    for value in ("yesterday", "", "Sat, 99 Foo 2026 10:00:00 GMT"):
        bounds.add(RequestRecord(method="GET", url="https://one/", engine="t", started_at=NOW, elapsed_ns=0, phases=Phases(),
                                 headers=(("date", value),)))  # fmt: skip
    assert bounds.error_ns(NOW) is None
    bounds.add(record)
    assert bounds.error_ns(NOW.plus(timedelta(minutes=31))) is None


def test_a_bracket_loosens_as_an_unattended_clock_may_drift() -> None:
    bounds = ClockBounds()
    bounds.add(answer(NOW))
    fresh, old = bounds.error_ns(NOW), bounds.error_ns(NOW.plus(timedelta(minutes=20)))
    assert fresh is not None
    assert old is not None
    assert 100 * NS_PER_MS <= old - fresh <= 130 * NS_PER_MS


def test_a_clock_that_drifts_within_its_specification_was_not_stepped() -> None:
    bounds = ClockBounds()
    # Ten answers pin the clock to a few hundredths of a second; twenty minutes later it has lost 90 ms.
    for tenth in range(10):
        bounds.add(answer(Instant(NOW.ns + tenth * 1_100 * NS_PER_MS), elapsed_ns=NS_PER_MS))
    later = NOW.plus(timedelta(minutes=20))
    bounds.add(answer(later, offset_ns=-90 * NS_PER_MS, elapsed_ns=NS_PER_MS))
    error = bounds.error_ns(later)
    assert error is not None
    assert 90 * NS_PER_MS <= error < 500 * NS_PER_MS


def test_a_quiet_stream_keeps_its_bound_from_one_symbol_table_to_the_next_even_when_one_fails() -> None:
    from probekit.clients import hermes

    bounds = ClockBounds()
    bounds.add(answer(NOW))
    two_refreshes = NOW.plus(2 * hermes._SYMBOLS_FOR + timedelta(minutes=1))
    assert bounds.error_ns(two_refreshes) is not None


@pytest.mark.parametrize(
    ("kernel", "bracketed", "expected"),
    [
        (None, None, None),
        (None, 5, 5),
        (KernelClock(synchronised=False, max_error_ns=1), 5, 5),
        (KernelClock(synchronised=True, max_error_ns=NS_PER_MS), None, NS_PER_MS),
        (KernelClock(synchronised=True, max_error_ns=NS_PER_MS), NS_PER_S, NS_PER_MS),
        # The kernel believes itself, several servers do not.
        (KernelClock(synchronised=True, max_error_ns=NS_PER_MS), 9 * NS_PER_S, 9 * NS_PER_S),
    ],
)
def test_the_kernel_is_believed_until_servers_prove_it_wrong(
    kernel: KernelClock | None, bracketed: int | None, expected: int | None
) -> None:
    assert combined_error_ns(kernel, bracketed) == expected


def test_the_kernel_can_be_asked() -> None:
    found = kernel_clock()
    assert found is None or found.max_error_ns >= 0


def test_asking_the_kernel_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked at every event of a stream; looking for the C library runs a program."""
    import ctypes.util

    kernel_clock()

    def search(name: str) -> str:
        raise AssertionError("searched again")

    monkeypatch.setattr(ctypes.util, "find_library", search)
    for _ in range(3):
        kernel_clock()


def test_a_system_without_the_call_has_no_kernel_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from probekit.runner import clockbounds

    monkeypatch.setattr(clockbounds, "_adjtimex", lambda: None)
    assert kernel_clock() is None
    monkeypatch.setattr(clockbounds, "_adjtimex", lambda: lambda buffer: -1)
    assert kernel_clock() is None


async def test_a_late_loop_and_no_network_are_problems_of_the_vantage() -> None:
    clock = FakeClock()

    async def refuse(host: str, port: int) -> None:
        raise OSError("unreachable")

    check = SelfCheck(clock, connectivity=("10.0.0.1:53", "[::1]:53"), connect=refuse, kernel=lambda: None)
    assert check.health().problem is None
    check.saw_wakeup(clock.monotonic_ns() - 2 * NS_PER_S)
    health = check.health()
    assert health.loop_lag_ns == 2 * NS_PER_S
    assert health.problem is not None
    assert "late" in health.problem
    check.saw_wakeup(clock.monotonic_ns())
    await check.check_connectivity()
    health = check.health()
    assert health.connected is False
    assert health.problem is not None
    assert "no network" in health.problem


async def test_one_address_that_answers_is_enough() -> None:
    async def connect(host: str, port: int) -> None:
        if host != "good":
            raise OSError

    check = SelfCheck(FakeClock(), connectivity=("bad:1", "good:2"), connect=connect, kernel=lambda: None)
    await check.check_connectivity()
    assert check.health().connected is True


async def test_without_addresses_connectivity_stays_unknown() -> None:
    check = SelfCheck(FakeClock(), kernel=lambda: None)
    await check.check_connectivity()
    assert check.health().connected is None


async def test_a_real_connection_is_made() -> None:
    import asyncio

    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    check = SelfCheck(FakeClock(), connectivity=(f"127.0.0.1:{port}",), kernel=lambda: None)
    await check.check_connectivity()
    server.close()
    await server.wait_closed()
    assert check.health().connected is True


@given(st.text(max_size=40), st.integers(1, 10**12))
def test_the_phase_is_stable_and_within_the_interval(identity: str, interval_ns: int) -> None:
    phase = phase_ns(identity, interval_ns)
    assert 0 <= phase < interval_ns
    assert phase == phase_ns(identity, interval_ns)


@given(st.integers(0, 10**15), st.integers(1, 10**12), st.data())
def test_the_next_tick_is_in_phase_and_in_the_future(now_ns: int, interval_ns: int, data: st.DataObject) -> None:
    phase = data.draw(st.integers(0, interval_ns - 1))
    due_ns = next_due_ns(now_ns, interval_ns, phase)
    assert now_ns < due_ns <= now_ns + interval_ns
    assert (due_ns - phase) % interval_ns == 0


def test_swallowed_ticks_are_counted() -> None:
    assert skipped(0, 10, 10) == 0
    assert skipped(0, 30, 10) == 2
    assert skipped(0, 3, 10) == 0
