"""Every run of a probe in these tests is recorded and judged again: the same limits must give the same verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probekit.model import ProbeRun, TargetResult
from probekit.probe import Probe
from probekit.runner import Tape
from probekit.runner.core import Runner
from probekit.runner.replay import replay
from probekit.runner.values import own_module
from probekit.units import Instant

Verdicts = list[tuple[Any, Any]]


@dataclass
class Recording:
    """One run of a probe: its tape, and the targets and verdicts of each closed run."""

    path: Path
    probe: Probe[Any]
    options: Any
    tape: Tape
    closed: list[Verdicts] = field(default_factory=list)


@pytest.fixture(autouse=True)
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Recording]]:
    made: list[Recording] = []

    class Taped(Runner[Any]):
        def __init__(self, probe: Any, options: Any, *given: Any) -> None:
            path = tmp_path / f"recording-{len(made)}.jsonl"
            self.recording = Recording(path, probe, options, Tape(path))
            made.append(self.recording)
            super().__init__(probe, options, *given[:4], self.recording.tape)  # type: ignore[call-arg]

        async def close_run(self, **given: Any) -> ProbeRun:
            run = await super().close_run(**given)
            self.recording.closed.append([(one.target, one.verdicts) for one in run.results])
            return run

    monkeypatch.setattr("probekit.runner.run.Runner", Taped)
    yield made
    for one in made:
        one.tape.close()
        again: list[Verdicts] = []

        def take(results: tuple[TargetResult, ...], _: Instant, into: list[Verdicts] = again) -> None:
            into.append([(each.target, each.verdicts) for each in results])

        with one.path.open("rb") as lines:
            found = replay(lines, one.probe, one.options, module=own_module(one.probe), on_close=take)
        assert found.unreadable == 0, found.why_unreadable
        assert again == one.closed
        assert found.recorded == found.replayed
