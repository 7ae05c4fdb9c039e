"""What the demo holds against the probes, and what against the machine under them. The demo itself is run whole by the gate."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from probekit.dev import demo, watcher
from probekit.dev.board import Seen
from probekit.dev.demo import until
from probekit.dev.watcher import Stalls, Watcher
from probekit.model import Status, Verdict


class Clock:
    """Steps that come late by what is listed, then on time."""

    def __init__(self, *late_s: float) -> None:
        self.now_s = 100.0
        self._late_s = list(late_s)

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds + (self._late_s.pop(0) if self._late_s else 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (demo, watcher):
        monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(watcher, "asyncio", SimpleNamespace(sleep=made.sleep))
    return made


def seen(status: Status, reason: str) -> Seen:
    return Seen("target", status, Verdict("check", status, reason, "words"), 0.0)


async def test_a_verdict_must_turn_within_its_bound(clock: Clock) -> None:
    turned = await until(lambda: clock.now_s >= 102, 3, [], Stalls())
    assert turned == pytest.approx(2, abs=0.06)
    assert await until(lambda: False, 3, [], Stalls()) is None
    assert clock.now_s == pytest.approx(105, abs=0.2)


async def test_a_stall_of_the_machine_is_not_the_verdicts_time(clock: Clock) -> None:
    stalls = Stalls()
    clock._late_s += [0.1, 10.0]
    turned = await until(lambda: clock.now_s >= 112, 3, [], stalls)
    # Waiting a little longer for one's turn is no stall; ten seconds are.
    assert stalls.total_s == pytest.approx(10)
    assert turned == pytest.approx(2, abs=0.1)


def test_only_what_was_excused_or_stalled_is_forgiven() -> None:
    watcher = Watcher(Stalls(), excused={("unit", "broken")}, warming=False)
    watcher(("unit", "broken"), seen(Status.CRITICAL, "stale"))
    watcher(("unit", "sound"), seen(Status.OK, "fresh"))
    watcher(("unit", "sound"), seen(Status.UNKNOWN, "vantage"))
    assert watcher.unexpected == []
    watcher(("unit", "sound"), seen(Status.CRITICAL, "stale"))
    assert watcher.unexpected == ["unit target: CRITICAL stale: words"]
    assert watcher.vantage == ["unit target: UNKNOWN vantage: words"]


@pytest.mark.parametrize(("stalled_s", "unexpected"), [(0.0, 1), (2.0, 0)])
def test_gaps_are_the_machines_where_it_stalled(stalled_s: float, unexpected: int) -> None:
    watcher = Watcher(Stalls(stalled_s), warming=False)
    watcher(("unit", "stream"), seen(Status.WARNING, "lossy"))
    watcher.conclude()
    assert (len(watcher.unexpected), len(watcher.vantage)) == (unexpected, 1 - unexpected)
