"""Every end of a transfer has a status: CRITICAL what is there, UNKNOWN what is ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from probekit.checks import TransferLanded
from probekit.model import Observation, Status
from probekit.model.canary import CanaryReport, Coin, TransferOutcome
from probekit.units import Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")
CHECK = TransferLanded(timedelta(seconds=15))
THERE = ("expired", "dropped", "failed", "would_fail", "not_landed", "not_finalized", "refused")


def judged(outcome: str, **more: Any) -> Any:
    report: Any = CanaryReport(outcome=outcome, text="words", coin=Coin("SOL", 9), **more)  # type: ignore[arg-type]
    return CHECK(Observation(report, "cluster", NOW), now=NOW)


@pytest.mark.parametrize("outcome", sorted(set(get_args(TransferOutcome)) - {"landed"}))
def test_only_what_is_wrong_there_is_critical(outcome: str) -> None:
    found = judged(outcome)
    status = Status.CRITICAL if outcome in THERE else Status.OK if outcome == "simulated" else Status.UNKNOWN
    assert (found.status, found.reason, found.message) == (status, outcome, "words")


@pytest.mark.parametrize(
    ("elapsed_s", "followed", "status", "reason"),
    [(15, False, Status.OK, "landed"), (16, False, Status.WARNING, "late"), (1, True, Status.WARNING, "late")],
)
def test_late_is_a_warning(elapsed_s: int, followed: bool, status: Status, reason: str) -> None:
    found = judged("landed", elapsed_ns=elapsed_s * 10**9, followed=followed, slots=3)
    assert (found.status, found.reason) == (status, reason)
    assert [(one.name, one.value) for one in found.measures] == [("canary.slots", 3)]


def test_what_is_no_end_of_a_transfer_is_a_defect() -> None:
    with pytest.raises(ValueError, match="no transfer ends replaced"):
        judged("replaced")
    with pytest.raises(ValueError, match="must be positive"):
        TransferLanded(timedelta(0))
