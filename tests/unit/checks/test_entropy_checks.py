"""Checks of a provider of random numbers and of its service, apart from any chain."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from probekit.checks import EntropyCallbacks, EntropyPending, EntropyProvider, EntropyRevelation
from probekit.model import Observation, Status, Verdict
from probekit.model.canary import Coin
from probekit.model.entropy import CauseKind
from probekit.model.entropy_watch import EntropyLook, RevelationOutcome, RevelationSeen, UnreadRequest, Waiting
from probekit.units import Amount, Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")


def judged(check: Any, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "provider": "0x11", "block": 7, "registered": True, "sequence": 100, "remaining": 20_000, "hash_margin": None,
        "fee_wei": 10**15, "coin": Coin("ETH", 18),
    }  # fmt: skip
    found = check(Observation(EntropyLook(**(fields | changes)), "chain", NOW), now=NOW)
    assert isinstance(found, Verdict)
    return found


@pytest.mark.parametrize("kind", list(CauseKind))
def test_only_what_the_requester_causes_is_not_the_providers(kind: CauseKind) -> None:
    ours = {CauseKind.REFUSED, CauseKind.REVERTED, CauseKind.OUT_OF_GAS, CauseKind.SILENT}
    one = Waiting(5, 40, 80, kind, "why")
    found = judged(EntropyPending(), pending=1, oldest=one, stuck=(one,), stuck_count=1)
    expected = (Status.WARNING, "reveal_refused") if kind in ours else (Status.CRITICAL, "stuck")
    assert (found.status, found.reason) == expected
    # One that is not told, or not explained, is the provider's.
    assert judged(EntropyPending(), pending=2, oldest=one, stuck=(one,), stuck_count=2).reason == "stuck"
    assert judged(EntropyPending(), pending=2, oldest=one, stuck=(one, Waiting(6, 1)), stuck_count=2).reason == "stuck"


def test_an_age_that_is_not_known_in_seconds_is_not_measured() -> None:
    one = Waiting(5, 40)
    found = judged(EntropyPending(), pending=1, oldest=one)
    assert [one.name for one in found.measures] == ["entropy.pending"]
    assert found.message.endswith("the oldest 5 for 40 blocks")


def test_what_does_not_read_or_was_not_looked_at_is_no_pass() -> None:
    lost = {"unread": 2, "unreadable": (UnreadRequest(7, "no bool", "0203"), UnreadRequest(9, "refused"))}
    found = judged(EntropyPending(), pending=1, oldest=Waiting(5, 40), watched=3, since=4, **lost)
    assert (found.status, found.reason) == (Status.UNKNOWN, "unreadable")
    assert found.message == (
        "1 of the last 3 requests wait, the oldest 5 for 40 blocks; 2 did not read: 7 (no bool), 9 (refused); "
        "none before 4 was looked at"
    )
    assert judged(EntropyPending(), unread=1, unlooked=1).reason == "unreadable"
    assert judged(EntropyPending(), unlooked=1).reason == "catching_up"
    assert judged(EntropyPending(), stuck=(Waiting(5, 40),), stuck_count=1, **lost).reason == "stuck"
    found = judged(EntropyCallbacks(1), failed_count=1, **lost)
    assert (found.status, found.reason) == (Status.UNKNOWN, "unreadable")
    assert found.message.endswith("2 requests did not read: 7 (no bool), 9 (refused)")
    assert judged(EntropyCallbacks(0), failed_count=1, **lost).reason == "callback_failed"
    assert judged(EntropyCallbacks(), unread=1, unlooked=1).reason == "unreadable"
    found = judged(EntropyCallbacks(1), failed_count=1, unlooked=3)
    assert (found.status, found.reason) == (Status.UNKNOWN, "catching_up")
    assert found.message == "1 callbacks failed, limit 1; the newest 3 requests are not looked at yet"
    assert judged(EntropyCallbacks(), failed_count=1, unlooked=3).reason == "callback_failed"


def test_a_fee_in_another_unit_is_not_judged() -> None:
    check = EntropyProvider(max_fee=Amount.parse("1 SOL"))
    assert (judged(check).status, judged(check).reason) == (Status.UNKNOWN, "wrong_unit")


@pytest.mark.parametrize(("critical", "warn"), [(0, 1), (5, 5), (6, 5), (-1, 5)])
def test_limits_that_do_not_fit(critical: int, warn: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        EntropyProvider(critical, warn)
    with pytest.raises(ValueError, match="not below zero"):
        EntropyCallbacks(-1)


@pytest.mark.parametrize("outcome", get_args(RevelationOutcome))
def test_what_the_service_says(outcome: str) -> None:
    seen: Any = RevelationSeen(outcome=outcome, chain="base", text="words")  # type: ignore[arg-type]
    found = EntropyRevelation()(Observation(seen, "service", NOW), now=NOW)
    there = {"wrong": "wrong_revelation", "withheld": "withheld", "unknown_chain": "unknown_chain"}
    expected = Status.CRITICAL if outcome in there else Status.UNKNOWN if outcome == "unchecked" else Status.OK
    assert (found.status, found.message) == (expected, "words")
    assert found.reason == there.get(outcome, "nothing_pending" if outcome == "revealed" else outcome)
