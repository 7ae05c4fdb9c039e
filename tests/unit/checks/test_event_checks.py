"""Checks of events: each verdict by its reason, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit.checks import EventAbsent, EventMatched, ScanReach
from probekit.model import Observation, Status, Verdict
from probekit.model.contract_events import EventMatch, EventSighting, ScanState
from probekit.units import Instant
from tests.unit.checks.builders import ID, NOW

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)


def match(
    ago: timedelta = S, *, withdrawn: timedelta | None = None, block_ago: timedelta = S, log: int | None = 0
) -> EventMatch:
    return EventMatch(
        chain="base",
        block=7,
        block_hash="0x01",
        transaction="0x02",
        log_index=log,
        source="0x03",
        event="Paid",
        args={"value": "5"},
        block_time=NOW.plus(-block_ago),
        seen_at=NOW.plus(-ago),
        withdrawn_at=None if withdrawn is None else NOW.plus(-withdrawn),
    )


def sighting(*newest: EventMatch, **more: Any) -> EventSighting:
    given: dict[str, Any] = {
        "standing": len(newest),
        "first": 1,
        "last": 9,
        "first_time": NOW.plus(-3600 * S),
        "last_time": NOW,
    }
    return EventSighting(newest=newest, **(given | more))


def judged(check: Any, value: Any, now: Instant = NOW) -> Verdict:
    observation = Observation(value, "test", now, ID)
    verdict = check(observation, now=now)
    assert isinstance(verdict, Verdict)
    assert check(observation, now=now) == verdict
    return verdict


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (sighting(), (OK, "no_match")),
        (sighting(match(60 * S)), (CRITICAL, "matched")),
        (sighting(match(61 * S)), (OK, "no_match")),
        (sighting(withdrawn=(match(withdrawn=60 * S),)), (WARNING, "withdrawn")),
        (sighting(withdrawn=(match(withdrawn=61 * S),)), (OK, "no_match")),
        (sighting(match(), withdrawn=(match(withdrawn=S),)), (CRITICAL, "matched")),
        (sighting(unreadable=1), (UNKNOWN, "unreadable")),
        (sighting(match(), unreadable=1), (CRITICAL, "matched")),
        (sighting(gap="too many", gap_at=NOW.plus(-60 * S)), (UNKNOWN, "gap")),
        (sighting(gap="too many", gap_at=NOW.plus(-61 * S)), (OK, "no_match")),
    ],
)
def test_what_should_not_happen(seen: EventSighting, expected: tuple[Status, str]) -> None:
    verdict = judged(EventMatched("critical", 60 * S), seen)
    assert (verdict.status, verdict.reason) == expected
    assert verdict.measures[0].value == seen.standing


def test_a_match_says_where_it_is_and_a_warning_is_one() -> None:
    verdict = judged(EventMatched("warning"), sighting(match()))
    assert (verdict.status, verdict.reason) == (WARNING, "matched")
    assert "Paid on base in block 7, 0x02 log 0: value 5" in verdict.message
    assert "in slot 7, 0x02: value" in judged(EventMatched(), sighting(match(log=None))).message
    (part,) = verdict.parts
    assert (part.status, part.reason, part.scope) == (WARNING, "matched", "base 7 0x01 0x02 0")
    assert part.message == "Paid on base in block 7, 0x02 log 0: value 5; of 0x03"
    many = judged(EventMatched(), sighting(*[match()] * 20))
    assert many.message.count("Paid on base") == 3
    assert len(many.parts) == 20
    both = judged(EventMatched(), sighting(match(), withdrawn=(match(withdrawn=S),)))
    assert "1 more left the chain again" in both.message


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (sighting(match(block_ago=60 * S)), (OK, "present")),
        (sighting(match(block_ago=61 * S)), (CRITICAL, "absent")),
        (sighting(), (CRITICAL, "absent")),
        (sighting(first_time=NOW.plus(-60 * S)), (SKIPPED, "watching")),
        (sighting(first_time=NOW.plus(-61 * S)), (CRITICAL, "absent")),
        (sighting(last_time=None), (SKIPPED, "watching")),
        (sighting(unreadable=2), (UNKNOWN, "unreadable")),
        (sighting(gap="too many", gap_at=NOW), (UNKNOWN, "gap")),
    ],
)
def test_what_should_happen(seen: EventSighting, expected: tuple[Status, str]) -> None:
    verdict = judged(EventAbsent(60 * S), seen)
    assert (verdict.status, verdict.reason) == expected


def test_a_chain_that_stands_still_is_no_absence() -> None:
    seen = sighting(match(block_ago=30 * S))
    assert judged(EventAbsent(60 * S), seen, NOW.plus(3600 * S)).reason == "present"
    assert judged(EventAbsent(60 * S, "warning"), sighting()).status is WARNING


def test_how_far_it_was_looked_at() -> None:
    verdict = judged(ScanReach(5), ScanState(head=20, due=18, last=13))
    assert (verdict.status, verdict.reason, verdict.value) == (OK, "abreast", 5)
    verdict = judged(ScanReach(5), ScanState(head=20, due=18, last=12, reorganised=2, depth=3))
    assert (verdict.status, verdict.reason) == (WARNING, "catching_up")
    assert "2 times blocks left the chain, 3 of them last" in verdict.message


@pytest.mark.parametrize("make", [lambda: EventMatched("critical", 0 * S), lambda: EventAbsent(0 * S), lambda: ScanReach(-1)])
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
