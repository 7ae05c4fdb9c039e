"""StageBudget and LandedWithin: which stage is slow, by more than the clocks may be off; what a chain missed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import LandedWithin, StageBudget, StageMemory
from probekit.model import Observation, Status, Verdict
from probekit.model.journey import JourneyProgress, StageTime
from probekit.units import NS_PER_S, Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")
S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


def seen(*times: tuple[Any, float, float | None], **fields: Any) -> Observation[JourneyProgress]:
    made = tuple(
        StageTime(stage, round(elapsed * NS_PER_S), None if error is None else round(error * NS_PER_S))
        for stage, elapsed, error in times
    )
    return Observation(JourneyProgress(made, **fields), "hermes", NOW)


def judged(check: StageBudget, *observations: Observation[JourneyProgress] | None) -> Verdict:
    state, verdict = check.init(), None
    for observation in observations:
        state, verdict = check.step(state, observation, now=NOW)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("times", "status", "reason"),
    [
        ((), SKIPPED, "pending"),
        ((("proven", 1, 2),), OK, "within_budget"),
        ((("proven", -5, 2),), OK, "within_budget"),
        ((("published", 100, 0),), SKIPPED, "pending"),
        ((("proven", 2.5, 1),), WARNING, "within_error"),
        ((("proven", 4, 1),), CRITICAL, "slow_proven"),
        ((("aggregated", 4, 1),), CRITICAL, "slow_aggregated"),
        ((("attested", 4, 1),), CRITICAL, "slow_attested"),
        ((("arrived", 4, 0),), CRITICAL, "slow_arrived"),
        ((("landed", 4, 0),), CRITICAL, "slow_landed"),
        ((("arrived", 4, None),), UNKNOWN, "clock"),
        ((("arrived", 1, None),), OK, "within_budget"),
        ((("arrived", 40, None), ("proven", 4, 1)), CRITICAL, "slow_proven"),
        ((("attested", 4, 0), ("proven", 9, 0)), CRITICAL, "slow_proven"),
    ],
)
def test_the_slow_stage_is_named(times: tuple[Any, ...], status: Status, reason: str) -> None:
    check = StageBudget(2 * S, 2 * S, 2 * S, 2 * S, 2 * S)
    assert (judged(check, seen(*times)).status, judged(check, seen(*times)).reason) == (status, reason)


def test_the_message_has_every_slow_stage_with_its_sum() -> None:
    verdict = judged(StageBudget(attested=2 * S, proven=2 * S), seen(("attested", 4, 0.5), ("proven", 9, 1)))
    assert verdict.message == ("attested: p95 of 1 is 4.0s ±500.0ms, budget 2.0s; proven: p95 of 1 is 9.0s ±1.0s, budget 2.0s")
    assert (verdict.value, verdict.limit, verdict.unit) == (9 * NS_PER_S, 2 * NS_PER_S, "ns")


def test_one_slow_update_of_many_is_within_the_percentile_and_a_tick_changes_nothing() -> None:
    check = StageBudget(proven=2 * S, samples=20)
    many = [seen(("proven", 1, 0)) for _ in range(19)]
    assert judged(check, *many, seen(("proven", 50, 0)), None).reason == "within_budget"
    assert judged(check, *many, seen(("proven", 50, 0)), seen(("proven", 50, 0))).reason == "slow_proven"


@pytest.mark.parametrize("options", [{}, {"proven": timedelta(0)}, {"proven": S, "percentile": 0}, {"proven": S, "samples": 0}])
def test_budgets_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"budget|percentile|samples"):
        StageBudget(**options)
    with pytest.raises(ValueError, match="heartbeat must be positive"):
        LandedWithin(timedelta(0))


STAGES = st.sampled_from(("aggregated", "attested", "proven", "arrived", "landed", "published"))
TIMES = st.tuples(STAGES, st.integers(-100, 100), st.none() | st.integers(0, 10))


@given(st.lists(st.none() | st.lists(TIMES, max_size=5), max_size=40), st.integers(1, 5), st.integers(1, 100))
def test_it_is_bounded_and_says_the_same_twice(batches: list[Any], samples: int, percentile: int) -> None:
    check = StageBudget(S, S, S, S, S, percentile=percentile, samples=samples)
    first = second = check.init()
    for batch in batches:
        observation = None if batch is None else seen(*batch)
        first, told = check.step(first, observation, now=NOW)
        second, again = check.step(second, observation, now=NOW)
        assert told == again
        assert all(len(window.samples) <= samples for window in first.windows)
        assert (told.status is OK) <= (told.value is not None and told.limit is not None and told.value <= told.limit)
        hash(first)
    assert msgspec.json.decode(msgspec.json.encode(first), type=StageMemory) == first == second


def landing(first: int | None, newest: int | None, landed: int | None) -> Verdict:
    def at(seconds: int | None) -> Instant | None:
        return None if seconds is None else Instant(NOW.ns + seconds * NS_PER_S)

    progress = seen(first_publish_time=at(first), newest_publish_time=at(newest), landed_publish_time=at(landed))
    return LandedWithin(10 * S)(progress, now=NOW)


@pytest.mark.parametrize(
    ("first", "newest", "landed", "status", "reason"),
    [
        (None, None, None, SKIPPED, "pending"),
        (None, None, 5, SKIPPED, "pending"),
        (0, 10, None, SKIPPED, "pending"),
        (0, 11, None, CRITICAL, "not_landed"),
        (0, 11, 1, OK, "landing"),
        (0, 12, 1, CRITICAL, "not_landed"),
        (0, 5, -6, CRITICAL, "not_landed"),
        (0, 5, 9, OK, "landing"),
    ],
)
def test_what_landed_against_what_the_source_brought(
    first: int | None, newest: int | None, landed: int | None, status: Status, reason: str
) -> None:
    verdict = landing(first, newest, landed)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert bool(verdict.measures) == (verdict.reason != "pending")


def test_the_lag_is_measured_and_never_below_zero() -> None:
    assert [(one.name, one.value) for one in landing(0, 7, 3).measures] == [("landing.lag", 4 * NS_PER_S)]
    assert [one.value for one in landing(0, 7, 9).measures] == [0]
