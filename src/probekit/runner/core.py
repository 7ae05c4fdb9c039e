"""One probe being run: its context, its evaluator, its open run."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Literal

from msgspec.structs import replace

from probekit.clock import Clock, within
from probekit.errors import DeadlineExceeded, ErrorType, ProbekitError
from probekit.model import ProbeRun, RequestRecord, Target, Vantage
from probekit.probe import Context, EngineFactory, O, Probe
from probekit.runner.evaluate import Evaluator
from probekit.runner.failures import exhausted
from probekit.runner.recorder import ProbeInfo, Recorder, Recorders
from probekit.runner.requests import CallLog, JourneyLog, RequestLog
from probekit.runner.tape import FORMAT, Began, Tape, TapedEvaluator
from probekit.runner.values import Values, own_module
from probekit.runner.vantage import SelfCheck
from probekit.units import Instant, format_ns, to_ns

_log = logging.getLogger("probekit.runner")


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
        tape: Tape | None = None,
    ) -> None:
        self.probe = probe
        self.settings = settings
        self.clock = clock
        self.interval_ns = to_ns(settings.interval or probe.interval)
        self.deadline_ns = min(to_ns(settings.deadline or probe.deadline or probe.interval), self.interval_ns)
        self.requests = RequestLog()
        self.calls = CallLog()
        self.journeys = JourneyLog()
        self.self_check = SelfCheck(clock, connectivity=settings.connectivity, max_loop_lag=settings.max_loop_lag)
        self.tape = tape
        self.evaluator: Evaluator[O] = self._evaluator(options)
        self.recorders = Recorders(recorders)
        self.context = Context(
            options,
            clock=clock,
            vantage=settings.vantage,
            observer=self._saw_request,
            on_call=self.calls.add,
            on_change=self.calls.add_change,
            on_journey=self.journeys.add,
            engines=engines,
            health=self.self_check.health,
        )
        self.changed = asyncio.Event()
        self.out_of_memory = False
        self._announced: tuple[object, ...] = ()

    def _evaluator(self, options: O) -> Evaluator[O]:
        if self.tape is None:
            return Evaluator(self.probe.checks, options)
        values = Values(own_module(self.probe))
        settings = self.settings
        try:
            written = values.encode(options)
        except TypeError:
            # A replay then wants a manifest.
            written = None
        began = Began(self.clock.now().ns, FORMAT, self.probe.name, self.probe.mode, written)
        self.tape.write(replace(began, version=settings.probe_version, source_digest=settings.source_digest))
        return TapedEvaluator(self.probe.checks, options, self.tape, values)

    def _saw_request(self, record: RequestRecord) -> None:
        self.self_check.saw_request(record)
        self.requests.add(record)

    async def refresh_targets(self) -> bool:
        """Ask the probe for its targets and take them over; returns whether the set of ids changed."""
        changed = self.evaluator.set_targets(await self.probe.targets(self.context), self.clock.now())
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
                    self.evaluator.planned,
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
            self.fail(DeadlineExceeded(f"no answer within the run's deadline, {spent}"))
        except ProbekitError as error:
            self.fail(error)
        except Exception as error:
            _log.exception("the probe %s failed", self.probe.name)
            self.fail(error)
            failed = "probe_error"
        self.evaluator.fail_missing(self.clock.now(), "the answer left it out")
        return failed

    async def _poll_body(self) -> None:
        await self.refresh_targets()
        self.evaluator.begin()
        await self.observe()

    def fail(self, error: Exception) -> None:
        """Give what was not observed the verdict of ``error``; the probe itself, where no target is known yet."""
        self.out_of_memory |= exhausted(error)
        if not self.evaluator.targets:
            self.evaluator.stand_in(Target(self.probe.name, "probe"))
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
        calls, calls_dropped, changes = self.calls.take()
        journeys, journeys_dropped = self.journeys.take()
        results = self.evaluator.results(self.requests.latest, None)
        if self.self_check.cut_off or any(
            _points_at_the_network(verdict.error_type) for result in results for verdict in result.verdicts
        ):
            await self.self_check.check_connectivity()
        health = self.self_check.health()
        if health.problem is not None:
            results = self.evaluator.results(self.requests.latest, health.problem)
            error_type = error_type or "vantage"
        self.evaluator.closed()
        if isinstance(self.evaluator, TapedEvaluator):
            self.evaluator.record_closed(results, self.clock.now(), health.problem)
        if error_type is None and any(verdict.error_type == "probe_error" for result in results for verdict in result.verdicts):
            # A check that raised: counted with the defects of the probe itself, as runs of that error.
            error_type = "probe_error"
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
            calls=calls,
            calls_dropped=calls_dropped,
            endpoint_changes=changes,
            journeys=journeys,
            journeys_dropped=journeys_dropped,
            results=results,
            error_type=error_type,
            skipped_ticks=skipped_ticks,
            probe_version=settings.probe_version,
            source_digest=settings.source_digest,
            config_digest=settings.config_digest,
        )
        self.recorders.record(run)
        return run

    def go_on(self) -> None:
        """After a run was told. Raises ``MemoryError`` where memory ran out in it: a process that keeps what it takes would
        tell the same for ever, and be alive to its watchdog.
        """
        if self.out_of_memory or self.evaluator.out_of_memory or self.recorders.out_of_memory:
            raise MemoryError(f"the probe {self.probe.name} ran out of memory")

    async def aclose(self) -> None:
        """Release the probe's clients and flush the recorders, each whatever the other does."""
        try:
            await self.context.aclose()
        finally:
            await self.recorders.aclose()


def _points_at_the_network(error_type: ErrorType | None) -> bool:
    return error_type in ("resolve", "connect", "deadline", "deadline_resolve", "deadline_connect")
