"""Running a probe: once, or on and on. Each closed run goes to the recorders and to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Literal

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock, reap, within
from probekit.errors import ErrorType, ProbekitError
from probekit.model import ProbeRun, Status
from probekit.probe import EngineFactory, O, Options, Probe
from probekit.runner.core import Runner, RunSettings
from probekit.runner.recorder import Recorder
from probekit.runner.schedule import next_due_ns, phase_ns, skipped
from probekit.runner.stream import ObservationStream
from probekit.runner.tape import Tape
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

_log = logging.getLogger("probekit.runner")

_DEFAULTS: Final = RunSettings()
_MIN_CHANGE_GAP_NS: Final = NS_PER_S
"""A change closes a run at once, but never more than once a second."""


async def run_once(
    probe: Probe[O],
    options: O,
    *,
    settings: RunSettings = _DEFAULTS,
    recorders: Sequence[Recorder] = (),
    clock: Clock = SYSTEM_CLOCK,
    engines: EngineFactory | None = None,
    tape: Tape | None = None,
) -> ProbeRun:
    """Run a probe once and return its run; recorders have it, and are flushed and closed, when this returns.

    A watch probe is opened and judged as soon as every target was seen, or its ``first_within`` passed.
    Never raises for what it observes: that is a verdict.
    """
    runner = Runner(probe, options, settings, recorders, clock, engines, tape)
    try:
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        if probe.mode == "poll":
            failed = await runner.poll()
        else:
            failed = await _watch_until_seen(runner)
        return await runner.close_run(
            scheduled_at=started_at, started_at=started_at, started_ns=started_ns, closed_by="end", error_type=failed
        )
    finally:
        await runner.aclose()


async def _watch_until_seen(runner: Runner[O]) -> ErrorType | None:
    clock = runner.clock
    limit_ns = _first_within_ns(runner)
    deadline_ns = clock.monotonic_ns() + limit_ns
    stream = ObservationStream(runner)

    async def seen() -> None:
        await runner.refresh_targets()
        await stream.restart()
        while not runner.evaluator.all_seen():
            await clock.sleep_until_ns(clock.monotonic_ns() + 20_000_000)

    failed: ErrorType | None = None
    try:
        await within(clock, deadline_ns, seen())
    except TimeoutError:
        pass
    except ProbekitError as error:
        runner.fail(error)
    except Exception as error:
        _log.exception("the probe %s failed", runner.probe.name)
        runner.fail(error)
        failed = "probe_error"
    finally:
        await stream.stop()
    runner.evaluator.tick(clock.now())
    runner.evaluator.fail_missing(clock.now(), f"nothing was seen of it within {format_ns(limit_ns)}")
    return failed or stream.defect


def _first_within_ns(runner: Runner[O]) -> int:
    probe = runner.probe
    if probe.first_within is None:
        return max(runner.interval_ns, 10 * NS_PER_S)
    return to_ns(probe.first_within(runner.context.options))


async def watch(
    probe: Probe[O],
    options: O,
    *,
    settings: RunSettings = _DEFAULTS,
    recorders: Sequence[Recorder] = (),
    clock: Clock = SYSTEM_CLOCK,
    engines: EngineFactory | None = None,
    tape: Tape | None = None,
) -> AsyncGenerator[ProbeRun, None]:
    """Run a probe on and on, yielding each run as it closes; ``aclose()`` the generator to stop.

    A poll runs at every interval, the first time at once, then in its own phase of the interval; ticks that a slow run
    swallowed are counted in the next run. A watch closes a run at every interval, and at once when a target's status
    changes. After a run in which memory ran out it raises ``MemoryError``.
    """
    runner = Runner(probe, options, settings, recorders, clock, engines, tape)
    loop = _poll_loop(runner) if probe.mode == "poll" else _watch_loop(runner)
    try:
        async with contextlib.aclosing(loop):
            async for run in loop:
                yield run
    finally:
        await runner.aclose()


async def _poll_loop(runner: Runner[O]) -> AsyncGenerator[ProbeRun, None]:
    clock, interval_ns = runner.clock, runner.interval_ns
    phase = phase_ns(f"{runner.probe.name}@{runner.settings.vantage.instance_id}", interval_ns)
    due_ns, missed = clock.monotonic_ns(), 0
    due_at = clock.now()
    while True:
        started_at, started_ns = clock.now(), clock.monotonic_ns()
        failed = await runner.poll()
        yield await runner.close_run(
            scheduled_at=due_at,
            started_at=started_at,
            started_ns=started_ns,
            closed_by="tick",
            error_type=failed,
            skipped_ticks=missed,
        )
        runner.go_on()
        now_ns = clock.monotonic_ns()
        following_ns = next_due_ns(now_ns, interval_ns, phase)
        missed = skipped(due_ns, following_ns, interval_ns)
        due_ns = following_ns
        due_at = Instant(clock.now().ns + due_ns - now_ns)
        await clock.sleep_until_ns(due_ns)
        runner.self_check.saw_wakeup(due_ns)


async def _watch_loop(runner: Runner[O]) -> AsyncGenerator[ProbeRun, None]:
    clock, interval_ns = runner.clock, runner.interval_ns
    stream = ObservationStream(runner)
    opened_ns = clock.monotonic_ns()
    first_within_ns = _first_within_ns(runner)
    due_ns, missed = opened_ns + interval_ns, 0
    started_at, started_ns = clock.now(), opened_ns
    keeper = asyncio.create_task(_keep_targets(runner, stream), name=f"{runner.probe.name} targets")
    try:
        while True:
            closed_by = await _next_close(runner, due_ns, started_ns)
            runner.evaluator.tick(clock.now())
            runner.evaluator.fail_missing(
                clock.now(), f"nothing was seen of it within {format_ns(first_within_ns)}", known_for_ns=first_within_ns
            )
            # What changes from here on, while the run is written and its reader has it, is another run's.
            runner.changed.clear()
            yield await runner.close_run(
                scheduled_at=started_at,
                started_at=started_at,
                started_ns=started_ns,
                closed_by=closed_by,
                error_type=stream.defect,
                skipped_ticks=missed,
            )
            runner.go_on()
            stream.defect = None
            missed = 0
            started_at, started_ns = clock.now(), clock.monotonic_ns()
            if closed_by == "tick":
                following_ns = next_due_ns(started_ns, interval_ns, opened_ns % interval_ns)
                missed = skipped(due_ns, following_ns, interval_ns)
                due_ns = following_ns
    finally:
        await reap(keeper)
        await stream.stop()


async def _keep_targets(runner: Runner[O], stream: ObservationStream[O]) -> None:
    """Keep the target set fresh beside the loop: a symbol table that hangs must not delay a tick."""
    clock = runner.clock
    while True:
        try:
            if await runner.refresh_targets():
                await stream.restart()
        except ProbekitError as error:
            runner.fail(error)
        except Exception as error:
            _log.exception("the targets of %s failed", runner.probe.name)
            stream.defect = "probe_error"
            runner.fail(error)
        await clock.sleep_until_ns(clock.monotonic_ns() + max(runner.interval_ns, NS_PER_S))


async def _next_close(runner: Runner[O], due_ns: int, started_ns: int) -> Literal["tick", "change"]:
    """Wait for the tick at ``due_ns``, or for a change of status, whichever comes first."""
    clock = runner.clock
    try:
        await within(clock, due_ns, runner.changed.wait())
    except TimeoutError:
        runner.self_check.saw_wakeup(due_ns)
        return "tick"
    earliest_ns = started_ns + _MIN_CHANGE_GAP_NS
    if earliest_ns >= due_ns:
        await clock.sleep_until_ns(due_ns)
        runner.self_check.saw_wakeup(due_ns)
        return "tick"
    await clock.sleep_until_ns(earliest_ns)
    return "change"


def config_digest(options: Options) -> str:
    """sha256 over the options' JSON, secrets masked: which configuration a run was made under."""
    encoded = msgspec.json.encode(msgspec.structs.asdict(options), enc_hook=str, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()


def summary(run: ProbeRun) -> dict[Status, int]:
    """Targets by status, every status named."""
    return {status: run.count(status) for status in Status}
