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
        (sighting(unreadable=1, unreadable_at=NOW.plus(-60 * S)), (UNKNOWN, "unreadable")),
        (sighting(unreadable=1, unreadable_at=NOW.plus(-61 * S)), (OK, "no_match")),
        (sighting(first=9, last=8), (SKIPPED, "watching")),
        (sighting(match(), unreadable=1), (CRITICAL, "matched")),
        (sighting(gap="too many", gap_at=NOW.plus(-60 * S)), (UNKNOWN, "gap")),
        (sighting(gap="too many", gap_at=NOW.plus(-61 * S)), (OK, "no_match")),
    ],
)
def test_what_should_not_happen(seen: EventSighting, expected: tuple[Status, str]) -> None:
    verdict = judged(EventMatched("critical", 60 * S), seen)
    assert (verdict.status, verdict.reason) == expected
    assert [one.value for one in verdict.measures] == [seen.standing, seen.unreadable]


def test_of_more_than_are_told_one_by_one_the_number_is_a_least_one_and_what_did_not_read_is_counted_on() -> None:
    verdict = judged(EventMatched("critical", 60 * S), sighting(*[match()] * 20, standing=57))
    assert verdict.message.startswith("at least 20 seen in the last 1m00s, 57 in blocks 1 to 9: ")
    verdict = judged(EventMatched("critical", 60 * S), sighting(*[match()] * 20))
    assert verdict.message.startswith("20 seen in the last 1m00s, 20 in blocks 1 to 9: ")
    verdict = judged(EventMatched("critical", 60 * S), sighting(match(61 * S), *[match()] * 19, standing=57))
    assert verdict.message.startswith("19 seen in the last 1m00s, 57 in blocks")
    verdict = judged(EventMatched("critical", 60 * S), sighting(standing=2, unreadable=3, unreadable_at=NOW.plus(-61 * S)))
    assert verdict.message == ("nothing in blocks 1 to 9, 2 before the last 1m00s, 3 that did not read before the last 1m00s")
    gone = {"withdrawn": (match(withdrawn=S),) * 20, "withdrawn_count": 21}
    assert judged(EventMatched(), sighting(**gone)).message.startswith("at least 20 left the chain again: ")
    assert "; at least 20 more left the chain again" in judged(EventMatched(), sighting(match(), **gone)).message
    text = "block 7 log 0: too short"
    verdict = judged(EventMatched(), sighting(unreadable=3, unreadable_at=NOW, unreadable_text=text))
    assert verdict.message == f"3 logs or transactions in blocks 1 to 9 do not read, the last: {text}"


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
        (sighting(unreadable=2, unreadable_at=NOW.plus(-60 * S)), (UNKNOWN, "unreadable")),
        (sighting(unreadable=2, unreadable_at=NOW.plus(-61 * S)), (CRITICAL, "absent")),
        (sighting(match(block_ago=61 * S), unreadable=1, unreadable_at=NOW), (UNKNOWN, "unreadable")),
        (sighting(match(block_ago=60 * S), unreadable=1, unreadable_at=NOW), (OK, "present")),
        (sighting(first=9, last=8), (SKIPPED, "watching")),
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


def test_blocks_that_were_left_out_and_none_that_was_looked_at() -> None:
    left_out = ScanState(head=20, due=18, last=18, first=9, gap="slots 3 to 5 were not all read", gap_at=NOW.plus(-60 * S))
    verdict = judged(ScanReach(5, 60 * S), left_out)
    assert (verdict.status, verdict.reason) == (UNKNOWN, "gap")
    assert verdict.message.startswith("slots 3 to 5 were not all read; looked at up to 18 of 18")
    assert judged(ScanReach(5, 60 * S), left_out, NOW.plus(S)).reason == "abreast"
    verdict = judged(ScanReach(5), ScanState(head=20, due=18, last=18, first=19))
    assert (verdict.status, verdict.reason) == (SKIPPED, "watching")
    verdict = judged(ScanReach(0), ScanState(head=20, due=30, last=24, first=25))
    assert (verdict.status, verdict.reason) == (WARNING, "catching_up")


@pytest.mark.parametrize(
    "make",
    [lambda: EventMatched("critical", 0 * S), lambda: EventAbsent(0 * S), lambda: ScanReach(-1), lambda: ScanReach(1, 0 * S)],
)
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
