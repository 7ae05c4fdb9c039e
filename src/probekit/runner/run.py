"""Running a probe: once, or on and on. Each closed run goes to the recorders and to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, Literal

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock, reap, within
from probekit.errors import DeadlineExceeded, ErrorType, ProbekitError
from probekit.model import ProbeRun, RequestRecord, Status, Vantage
from probekit.probe import Context, EngineFactory, O, Options, Probe
from probekit.runner.evaluate import Evaluator
from probekit.runner.recorder import ProbeInfo, Recorder, Recorders
from probekit.runner.requests import RequestLog
from probekit.runner.schedule import next_due_ns, phase_ns, skipped
from probekit.runner.vantage import SelfCheck
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

_log = logging.getLogger("probekit.runner")

_MIN_CHANGE_GAP_NS: Final = NS_PER_S
"""A change closes a run at once, but never more than once a second."""
_RESTART_MIN_NS: Final = NS_PER_S
_RESTART_MAX_NS: Final = 30 * NS_PER_S


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a probe is run here: by whom, how often, and what its records name. ``None`` takes the probe's own default.

    ``connectivity`` lists ``host:port`` addresses that tell "this host has no network" from "the target is down"; they
    are tried only when a target could not be reached.
    """

    vantage: Vantage = Vantage(host="localhost")
    interval: timedelta | None = None
    deadline: timedelta | None = None
    connectivity: tuple[str, ...] = ()
    max_loop_lag: timedelta = timedelta(seconds=1)
    probe_version: str = ""
    source_digest: str = ""
    config_digest: str = ""


class Runner(Generic[O]):
    """One probe being run: its context, its evaluator, its open run. Use :func:`run_once` or :func:`watch`."""

    def __init__(
        self,
        probe: Probe[O],
        options: O,
        settings: RunSettings,
        recorders: Sequence[Recorder],
        clock: Clock,
        engines: EngineFactory | None,
    ) -> None:
        self.probe = probe
        self.settings = settings
        self.clock = clock
        self.interval_ns = to_ns(settings.interval or probe.interval)
        self.deadline_ns = min(to_ns(settings.deadline or probe.deadline or probe.interval), self.interval_ns)
        self.requests = RequestLog()
        self.self_check = SelfCheck(clock, connectivity=settings.connectivity, max_loop_lag=settings.max_loop_lag)
        self.evaluator: Evaluator[O] = Evaluator(probe.checks, options)
        self.recorders = Recorders(recorders)
        self.context = Context(
            options,
            clock=clock,
            vantage=settings.vantage,
            observer=self._saw_request,
            engines=engines,
            health=self.self_check.health,
        )
        self.changed = asyncio.Event()
        self._announced: tuple[object, ...] = ()

    def _saw_request(self, record: RequestRecord) -> None:
        self.self_check.saw_request(record)
        self.requests.add(record)

    async def refresh_targets(self) -> bool:
        """Ask the probe for its targets and take them over; returns whether the set of ids changed."""
        changed = self.evaluator.set_targets(await self.probe.targets(self.context))
        targets = self.evaluator.targets
        if self._announced != targets:
            self._announced = targets
            settings = self.settings
            self.recorders.start(
                ProbeInfo(
                    self.probe.name,
                    self.probe.question,
                    self.probe.mode,
                    timedelta(microseconds=self.interval_ns // 1000),
                    settings.vantage,
                    targets,
                    self.evaluator.check_names,
                    settings.probe_version,
                    settings.source_digest,
                    settings.config_digest,
                )
            )
        return changed

    async def observe(self) -> None:
        """Drain the probe's observations into the evaluator: one tick of a poll, or the whole stream of a watch."""
        stream = self.probe.observe(self.context, self.evaluator.targets)
        try:
            async for seen in stream:
                if self.evaluator.feed(seen, self.clock.now()):
                    self.changed.set()
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def poll(self) -> ErrorType | None:
        """One tick of a poll, within its deadline. Returns the run's own error type, if it failed as a whole."""
        began_ns = self.clock.monotonic_ns()
        self.evaluator.begin()
        failed: ErrorType | None = None
        try:
            await within(self.clock, began_ns + self.deadline_ns, self._poll_body())
        except TimeoutError:
            spent = format_ns(self.clock.monotonic_ns() - began_ns)
            self._fail(DeadlineExceeded(f"no answer within the run's deadline, {spent}"))
        except ProbekitError as error:
            self._fail(error)
        except Exception as error:
            _log.exception("the probe %s failed", self.probe.name)
            self._fail(error)
            failed = "probe_error"
        self.evaluator.fail_missing(self.clock.now(), "the answer left it out")
        return failed

    async def _poll_body(self) -> None:
        await self.refresh_targets()
        self.evaluator.begin()
        await self.observe()

    def _fail(self, error: Exception) -> None:
        self.evaluator.fail_unseen(error, self.clock.now())

    async def close_run(
        self,
        *,
        scheduled_at: Instant,
        started_at: Instant,
        started_ns: int,
        closed_by: Literal["tick", "change", "end"],
        error_type: ErrorType | None = None,
        skipped_ticks: int = 0,
    ) -> ProbeRun:
        """Freeze what is known into a run and hand it to the recorders."""
        elapsed_ns = self.clock.monotonic_ns() - started_ns
        requests, dropped = self.requests.take()
        results = self.evaluator.results(self.requests.latest, None)
        if any(_points_at_the_network(result.verdicts[0].error_type) for result in results if result.verdicts):
            await self.self_check.check_connectivity()
        health = self.self_check.health()
        if health.problem is not None:
            results = self.evaluator.results(self.requests.latest, health.problem)
            error_type = error_type or "vantage"
        settings = self.settings
        run = ProbeRun(
            probe=self.probe.name,
            run_id=secrets.token_hex(16),
            vantage=settings.vantage,
            scheduled_at=scheduled_at,
            started_at=started_at,
            queue_wait_ns=max(0, started_at.since(scheduled_at)),
            elapsed_ns=elapsed_ns,
            closed_by=closed_by,
            health=health,
            requests=requests,
            requests_dropped=dropped,
            results=results,
            error_type=error_type,
            skipped_ticks=skipped_ticks,
            probe_version=settings.probe_version,
            source_digest=settings.source_digest,
            config_digest=settings.config_digest,
        )
        self.recorders.record(run)
        return run

    async def aclose(self) -> None:
        """Release the probe's clients and flush the recorders, each whatever the other does."""
        try:
            await self.context.aclose()
        finally:
            await self.recorders.aclose()


def _points_at_the_network(error_type: ErrorType | None) -> bool:
    return error_type in ("resolve", "connect", "deadline", "deadline_resolve", "deadline_connect")


class _Stream(Generic[O]):
    """A watch probe's ``observe``, kept running: restarted with back-off when it ends, restarted at once on new
    targets.
    """

    def __init__(self, runner: Runner[O]) -> None:
        self._runner = runner
        self._backoff_ns = _RESTART_MIN_NS
        self._task: asyncio.Task[None] | None = None
        self.defect: ErrorType | None = None

    async def restart(self) -> None:
        """Begin, or begin anew over the present targets."""
        await self.stop()
        self._task = asyncio.create_task(self._keep(), name=f"{self._runner.probe.name} stream")

    async def stop(self) -> None:
        if self._task is not None:
            await reap(self._task)
            self._task = None

    async def _keep(self) -> None:
        runner, clock = self._runner, self._runner.clock
        while True:
            began_ns = clock.monotonic_ns()
            try:
                await runner.observe()
                error: Exception = ProbekitError("the stream of observations ended")
            except ProbekitError as known:
                error = known
            except Exception as defect:
                _log.exception("the probe %s failed", runner.probe.name)
                self.defect = "probe_error"
                error = defect
            if runner.evaluator.fail_stream(error, clock.now()):
                runner.changed.set()
            if clock.monotonic_ns() - began_ns > _RESTART_MAX_NS:
                self._backoff_ns = _RESTART_MIN_NS
            await clock.sleep_until_ns(clock.monotonic_ns() + self._backoff_ns)
            self._backoff_ns = min(self._backoff_ns * 2, _RESTART_MAX_NS)


async def run_once(
    probe: Probe[O],
    options: O,
    *,
    settings: RunSettings = RunSettings(),
    recorders: Sequence[Recorder] = (),
    clock: Clock = SYSTEM_CLOCK,
    engines: EngineFactory | None = None,
) -> ProbeRun:
    """Run a probe once and return its run; recorders have it, and are flushed and closed, when this returns.

    A watch probe is opened and judged as soon as every target was seen, or its ``first_within`` passed.
    Never raises for what it observes: that is a verdict.
    """
    runner = Runner(probe, options, settings, recorders, clock, engines)
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
    stream = _Stream(runner)

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
        runner.evaluator.fail_unseen(error, clock.now())
    except Exception as error:
        _log.exception("the probe %s failed", runner.probe.name)
        runner.evaluator.fail_unseen(error, clock.now())
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
    settings: RunSettings = RunSettings(),
    recorders: Sequence[Recorder] = (),
    clock: Clock = SYSTEM_CLOCK,
    engines: EngineFactory | None = None,
) -> AsyncGenerator[ProbeRun, None]:
    """Run a probe on and on, yielding each run as it closes; ``aclose()`` the generator to stop.

    A poll runs at every interval, the first time at once, then in its own phase of the interval; ticks that a slow run
    swallowed are counted in the next run. A watch closes a run at every interval, and at once when a target's status
    changes.
    """
    runner = Runner(probe, options, settings, recorders, clock, engines)
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
        now_ns = clock.monotonic_ns()
        following_ns = next_due_ns(now_ns, interval_ns, phase)
        missed = skipped(due_ns, following_ns, interval_ns)
        due_ns = following_ns
        due_at = Instant(clock.now().ns + due_ns - now_ns)
        await clock.sleep_until_ns(due_ns)
        runner.self_check.saw_wakeup(due_ns)


async def _watch_loop(runner: Runner[O]) -> AsyncGenerator[ProbeRun, None]:
    clock, interval_ns = runner.clock, runner.interval_ns
    stream = _Stream(runner)
    opened_ns = clock.monotonic_ns()
    first_within_ns = _first_within_ns(runner)
    due_ns, missed = opened_ns + interval_ns, 0
    started_at, started_ns = clock.now(), opened_ns
    keeper = asyncio.create_task(_keep_targets(runner, stream), name=f"{runner.probe.name} targets")
    try:
        while True:
            closed_by = await _next_close(runner, due_ns, started_ns)
            runner.evaluator.tick(clock.now())
            if clock.monotonic_ns() - opened_ns >= first_within_ns:
                runner.evaluator.fail_missing(
                    clock.now(), f"nothing was seen of it within {format_ns(first_within_ns)} of the start"
                )
            yield await runner.close_run(
                scheduled_at=started_at,
                started_at=started_at,
                started_ns=started_ns,
                closed_by=closed_by,
                error_type=stream.defect,
                skipped_ticks=missed,
            )
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


async def _keep_targets(runner: Runner[O], stream: _Stream[O]) -> None:
    """Keep the target set fresh beside the loop: a symbol table that hangs must not delay a tick."""
    clock = runner.clock
    while True:
        try:
            if await runner.refresh_targets():
                await stream.restart()
        except ProbekitError as error:
            runner.evaluator.fail_unseen(error, clock.now())
        except Exception as error:
            _log.exception("the targets of %s failed", runner.probe.name)
            stream.defect = "probe_error"
            runner.evaluator.fail_unseen(error, clock.now())
        await clock.sleep_until_ns(clock.monotonic_ns() + max(runner.interval_ns, NS_PER_S))


async def _next_close(runner: Runner[O], due_ns: int, started_ns: int) -> Literal["tick", "change"]:
    """Wait for the tick at ``due_ns``, or for a change of status, whichever comes first."""
    clock = runner.clock
    runner.changed.clear()
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
