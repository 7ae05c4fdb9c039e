"""A watch probe's stream of observations, kept running."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Generic

from probekit.clock import reap
from probekit.errors import ErrorType, ProbekitError
from probekit.probe import O
from probekit.runner.core import Runner
from probekit.runner.failures import exhausted
from probekit.units import NS_PER_S

_log = logging.getLogger("probekit.runner")

_RESTART_MIN_NS: Final = NS_PER_S
_RESTART_MAX_NS: Final = 30 * NS_PER_S


class ObservationStream(Generic[O]):
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
                runner.out_of_memory |= exhausted(defect)
                error = defect
            if runner.evaluator.fail_stream(error, clock.now()):
                runner.changed.set()
            if clock.monotonic_ns() - began_ns > _RESTART_MAX_NS:
                self._backoff_ns = _RESTART_MIN_NS
            await clock.sleep_until_ns(clock.monotonic_ns() + self._backoff_ns)
            self._backoff_ns = min(self._backoff_ns * 2, _RESTART_MAX_NS)
