"""Recorders send runs outward. Each is isolated: one that fails neither stops the probe nor its siblings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from probekit.model import ProbeRun, Target, Vantage
from probekit.model.verdict import MeasureName
from probekit.runner.failures import exhausted

_log = logging.getLogger("probekit.recorder")


@dataclass(frozen=True, slots=True)
class Planned:
    """One check of one target, and what it will count or time: each measure with the limit in ns that it is held to, if any."""

    target: str
    check: str
    measures: tuple[tuple[MeasureName, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeInfo:
    """What is known of a probe before its first run, so that every series exists from the first second."""

    probe: str
    question: str
    mode: Literal["poll", "watch"]
    interval: timedelta
    vantage: Vantage
    targets: tuple[Target, ...]
    checks: tuple[str, ...]
    """Names of all checks that may answer, over all targets."""
    probe_version: str = ""
    source_digest: str = ""
    config_digest: str = ""
    planned: tuple[Planned, ...] = ()
    """Which check will judge which target."""


class Recorder(Protocol):
    """Where runs go: telemetry, a JSON-lines file, a terminal, history."""

    def start(self, info: ProbeInfo) -> None:
        """Before the first run, and again when the target set changes. Cheap; never blocks."""
        ...

    def record(self, run: ProbeRun) -> None:
        """One closed run. Cheap; never blocks on the network: hand over and return."""
        ...

    async def aclose(self) -> None:
        """Flush, bounded in time."""
        ...


class Recorders:
    """Several recorders as one. A failure is logged once per recorder, counted, and goes no further."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)
        self.failures: dict[str, int] = {}
        self.out_of_memory = False

    def start(self, info: ProbeInfo) -> None:
        for recorder in self._recorders:
            try:
                recorder.start(info)
            except Exception as error:
                self._failed(recorder, error)

    def record(self, run: ProbeRun) -> None:
        for recorder in self._recorders:
            try:
                recorder.record(run)
            except Exception as error:
                self._failed(recorder, error)

    async def aclose(self) -> None:
        for recorder in self._recorders:
            try:
                await recorder.aclose()
            except Exception as error:
                self._failed(recorder, error)

    def _failed(self, recorder: Recorder, error: Exception) -> None:
        self.out_of_memory |= exhausted(error)
        name = type(recorder).__name__
        self.failures[name] = self.failures.get(name, 0) + 1
        if self.failures[name] == 1:
            _log.error("the recorder %s failed; further failures are counted only", name, exc_info=error)
