"""Every end of a canary has a status: CRITICAL what is there, UNKNOWN what is ours."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest

from probekit.checks import UpdateLanded
from probekit.model import Observation, Status
from probekit.model.canary import CanaryReport, Coin, UpdateOutcome
from probekit.units import Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")
COIN = Coin("ETH", 18)
CHECK = UpdateLanded(timedelta(seconds=30))
THERE = {"would_revert", "reverted", "not_included", "dropped", "not_readable", "refused"}
WELL = {"landed", "superseded", "simulated"}


def judged(outcome: str, **more: Any) -> Any:
    report: Any = CanaryReport(outcome=outcome, text="words", coin=COIN, **more)  # type: ignore[arg-type]
    return CHECK(Observation(report, "chain", NOW), now=NOW)


@pytest.mark.parametrize("outcome", get_args(UpdateOutcome))
def test_only_what_is_wrong_there_is_critical(outcome: str) -> None:
    found = judged(outcome)
    expected = Status.CRITICAL if outcome in THERE else Status.OK if outcome in WELL else Status.UNKNOWN
    assert (found.status, found.message) == (expected, "words")
    assert found.reason == ("landed" if outcome == "superseded" else outcome)


@pytest.mark.parametrize(
    ("elapsed_s", "followed", "status", "reason"),
    [(30, False, Status.OK, "landed"), (31, False, Status.WARNING, "late"), (1, True, Status.WARNING, "late")],
)
def test_late_is_a_warning(elapsed_s: int, followed: bool, status: Status, reason: str) -> None:
    found = judged("landed", elapsed_ns=elapsed_s * 10**9, followed=followed)
    assert (found.status, found.reason, found.value, found.limit) == (status, reason, elapsed_s * 10**9, 30 * 10**9)
    assert ("in an earlier run" in found.message) is followed


def test_what_it_cost_is_measured_in_whole_coins() -> None:
    found = judged("landed", elapsed_ns=1, paid=10**15, spent=3 * 10**15)
    assert {one.name: one.value for one in found.measures} == {
        "canary.paid": Decimal("0.001"), "canary.spent": Decimal("0.003"),
    }  # fmt: skip


def test_what_is_no_end_of_an_update_is_a_defect() -> None:
    with pytest.raises(ValueError, match="no update ends expired"):
        judged("expired")
    with pytest.raises(ValueError, match="must be positive"):
        UpdateLanded(timedelta(0))
