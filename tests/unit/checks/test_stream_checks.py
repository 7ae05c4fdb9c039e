"""Agreement, proof validity, stream continuity and latency budget; every fold replayed twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.checks import (
    Agreement,
    Fold,
    LatencyBudget,
    LatencySample,
    ProofResult,
    ProofValidity,
    SignedPoint,
    StreamContinuity,
    StreamMessages,
    StreamState,
)
from probekit.model import Comparison, Observation, Status, TrustRoot, Verdict, Verified
from probekit.units import Instant
from tests.unit.checks.builders import NOW

S = timedelta(seconds=1)
T = TypeVar("T")


def replay(fold: Fold[Any], steps: Sequence[tuple[Instant, object | None]]) -> list[Verdict]:
    """The fold's verdicts; run twice from the start, and equal."""
    runs = []
    for _ in range(2):
        state, verdicts = fold.init(), []
        for now, value in steps:
            seen = None if value is None else Observation(value, "test", now)
            state, verdict = fold.step(state, seen, now=now)
            verdicts.append(verdict)
            hash(state)
            assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
        runs.append(verdicts)
    assert runs[0] == runs[1]
    return runs[0]


def point(slot: int | None, message: str = "aa", root: TrustRoot = TrustRoot.PRO) -> SignedPoint:
    return SignedPoint(root, slot, message)


def agree(**sources: tuple[SignedPoint, ...]) -> tuple[Status, str]:
    check = Agreement(max_delay=S)
    observation = Observation(Comparison(sources, {"gone": errors.ConnectError("refused")}), "test", NOW)
    verdict = check(observation, now=NOW)
    assert check(observation, now=NOW) == verdict
    return verdict.status, verdict.reason


def test_agreement() -> None:
    assert agree(a=(point(9),), b=(point(9),)) == (Status.OK, "agreeing")
    assert agree(a=(point(9),), b=(point(9, "bb"),)) == (Status.CRITICAL, "conflicting_data")
    # An older common slot still joins, and still convicts.
    assert agree(a=(point(9), point(8)), b=(point(8),)) == (Status.OK, "agreeing")
    assert agree(a=(point(9), point(8)), b=(point(8, "bb"),)) == (Status.CRITICAL, "conflicting_data")
    assert agree(a=(point(9),), b=(point(8, "bb"),)) == (Status.UNKNOWN, "no_common_slot")
    # 50 ms a slot: 20 are a second, 21 more than that; on the core root 3 are.
    assert agree(a=(point(120), point(100)), b=(point(100),)) == (Status.OK, "agreeing")
    assert agree(a=(point(121),), b=(point(100),)) == (Status.WARNING, "lagging")
    core = TrustRoot.CORE
    assert agree(a=(point(12, "aa", core),), b=(point(9, "aa", core),)) == (Status.WARNING, "lagging")
    assert agree(a=(point(9),), b=(point(9, "aa", core),)) == (Status.WARNING, "different_roots")
    assert agree(a=(point(9),)) == (Status.UNKNOWN, "too_few_sources")
    assert agree(a=(point(9),), b=()) == (Status.UNKNOWN, "too_few_sources")
    assert agree(a=(point(9),), b=(point(None),)) == (Status.UNKNOWN, "no_slot")
    # Older points without a slot join nothing, and convict nobody.
    assert agree(a=(point(9), point(None)), b=(point(9), point(None, "bb"))) == (Status.OK, "agreeing")


PROOF = Verified(TrustRoot.PRO, 1, (0, 1, 2), 3, 20, 20, NOW, b"d", ())


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ProofResult(verified=PROOF), (Status.OK, "proven")),
        (ProofResult(error=errors.WrongRoot("w")), (Status.CRITICAL, "wrong_root")),
        (ProofResult(error=errors.BadProof("w")), (Status.CRITICAL, "bad_proof")),
        (ProofResult(error=errors.ParsedMismatch("w")), (Status.CRITICAL, "parsed_mismatch")),
        (ProofResult(error=errors.DecodeError("w", raw=b"")), (Status.CRITICAL, "decode")),
        (ProofResult(), (Status.UNKNOWN, "no_proof")),
    ],
)
def test_proof_validity(result: ProofResult, expected: tuple[Status, str]) -> None:
    verdict = ProofValidity()(Observation(result, "test", NOW), now=NOW)
    assert (verdict.status, verdict.reason) == expected


def test_a_valid_proof_of_the_other_root_is_wrong_where_one_is_expected() -> None:
    verdict = ProofValidity(TrustRoot.CORE)(Observation(ProofResult(verified=PROOF), "test", NOW), now=NOW)
    assert (verdict.status, verdict.reason) == (Status.CRITICAL, "wrong_root")


def at(seconds: int) -> Instant:
    return NOW.plus(seconds * S)


def stream(last: int | None, *, connected: bool = True, gaps: int = 0) -> StreamState:
    return StreamState(connected, None if last is None else at(last), NOW, gaps=gaps, reason="reset")


def test_silence_is_found_at_the_tick_without_a_message() -> None:
    fold = StreamContinuity(max_silence=5 * S)
    verdicts = replay(fold, [(at(0), None), (at(1), stream(1)), (at(6), None), (at(7), None), (at(8), stream(8))])
    assert [v.reason for v in verdicts] == ["pending", "flowing", "flowing", "silent_stream", "flowing"]


def test_a_broken_stream_says_so() -> None:
    verdicts = replay(StreamContinuity(max_silence=5 * S), [(at(1), stream(0, connected=False)), (at(6), None)])
    assert [v.reason for v in verdicts] == ["flowing", "disconnected"]
    assert "reset" in verdicts[1].message


def test_a_stream_never_opened_counts_from_the_try() -> None:
    verdicts = replay(StreamContinuity(max_silence=5 * S), [(at(6), stream(None, connected=False))])
    assert verdicts[0].reason == "disconnected"


def test_losses_count_within_the_window_only() -> None:
    fold = StreamContinuity(max_silence=600 * S, window=60 * S, max_faults=2)
    steps = [
        (at(0), stream(0)),
        (at(10), stream(10, gaps=3)),
        (at(50), stream(50, gaps=3)),
        (at(120), stream(120, gaps=3)),
    ]
    assert [v.reason for v in replay(fold, steps)] == ["flowing", "lossy", "lossy", "flowing"]


def test_faults_between_two_judgements_count_however_far_apart_these_are() -> None:
    fold = StreamContinuity(max_silence=600 * S, window=60 * S, max_faults=2)
    steps = [(at(0), stream(0)), (at(100), stream(100, gaps=3)), (at(150), stream(150, gaps=3)), (at(161), None)]
    assert [v.reason for v in replay(fold, steps)] == ["flowing", "lossy", "lossy", "flowing"]


def test_faults_before_the_first_judgement_count() -> None:
    fold = StreamContinuity(max_silence=600 * S, window=60 * S, max_faults=2)
    assert [v.reason for v in replay(fold, [(at(0), stream(0, gaps=3))])] == ["lossy"]


def test_a_stream_opened_anew_hides_no_fault() -> None:
    """Its counters begin at zero again: the old ones are neither forgiven nor set off against new ones."""
    fold = StreamContinuity(max_silence=600 * S, window=60 * S, max_faults=5)
    steps = [(at(0), stream(0, gaps=4)), (at(1), stream(1)), (at(2), stream(2, gaps=1)), (at(3), stream(3, gaps=2))]
    verdicts = replay(fold, steps)
    assert [v.reason for v in verdicts] == ["flowing", "flowing", "flowing", "lossy"]
    assert verdicts[-1].value == 6


def test_messages_that_are_none_are_told_for_a_while_and_counted() -> None:
    def rejected(count: int) -> StreamState:
        return StreamState(True, NOW, NOW, rejected=count, rejection=f"decode: number {count}")

    fold = StreamMessages(60 * S)
    steps = [(0, rejected(0)), (1, rejected(2)), (2, rejected(3)), (30, None), (62, rejected(3)), (63, rejected(3))]
    # One that is opened anew counts from zero, and what it then tells is new.
    steps += [(64, rejected(0)), (65, rejected(1))]
    verdicts = replay(fold, [(at(second), value) for second, value in steps])
    assert [one.reason for one in verdicts] == ["readable", *["bad_message"] * 4, "readable", "readable", "bad_message"]
    assert [one.value for one in verdicts] == [None, 2, 3, 3, 3, None, None, 1]
    assert verdicts[3].message == "3 messages lately are no updates, the newest 28.0s ago: decode: number 3"
    assert len(replay(fold, [(at(0), StreamState(True, NOW, NOW, rejected=1, rejection="x" * 9_999))])[0].message) < 500


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=80))
def test_the_windows_count_is_between_its_bounds(steps: list[tuple[int, int]]) -> None:
    """Never less than the faults told within the window, never more than those told within it and one mark's distance."""
    fold = StreamContinuity(max_silence=10**6 * S, window=62 * S, max_faults=0)
    state, now, total = fold.init(), 0, 0
    told: list[tuple[int, int]] = []
    for apart, faults in steps:
        now, total = now + apart, total + faults
        told.append((now, faults))
        state, verdict = fold.step(state, Observation(stream(now, gaps=total), "test", at(now)), now=at(now))
        counted = verdict.value if verdict.reason == "lossy" else 0
        least = sum(n for when, n in told if when > now - 62)
        # A mark is at most a second older than the window, but where nothing was judged: there it is the step before.
        earlier = [when for when, _ in told if when <= now - 62]
        most = sum(n for when, n in told if when > max(earlier, default=-1) - 1)
        assert least <= int(counted or 0) <= most


def test_the_memory_is_bounded() -> None:
    fold = StreamContinuity(window=600 * S)
    state = fold.init()
    for i in range(2000):
        state, _ = fold.step(state, Observation(stream(i), "test", at(i)), now=at(i))
        assert len(state.marks) <= fold.MAX_MARKS


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.integers(1, 100))
def test_the_percentile_is_the_nearest_rank(samples: list[int], percentile: int) -> None:
    fold = LatencyBudget(S, percentile=percentile, samples=50)
    verdict = replay(fold, [(at(i), LatencySample(ns)) for i, ns in enumerate(samples)])[-1]
    kept = sorted(samples[-50:])
    assert verdict.value == next(v for i, v in enumerate(kept, 1) if i * 100 >= percentile * len(kept))


def test_latency_waits_for_enough_samples() -> None:
    fold = LatencyBudget(timedelta(milliseconds=5), min_samples=2)
    slow = LatencySample(6_000_000)
    verdicts = replay(fold, [(at(0), slow), (at(1), None), (at(2), slow)])
    assert [(v.status, v.reason) for v in verdicts] == [
        (Status.SKIPPED, "pending"),
        (Status.SKIPPED, "pending"),
        (Status.CRITICAL, "over_budget"),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Agreement(max_delay=timedelta(0)),
        lambda: StreamContinuity(max_silence=timedelta(0)),
        lambda: StreamMessages(timedelta(0)),
        lambda: StreamContinuity(max_faults=-1),
        lambda: LatencyBudget(timedelta(0)),
        lambda: LatencyBudget(S, percentile=0),
        lambda: LatencyBudget(S, samples=5, min_samples=6),
    ],
)
def test_impossible_limits_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="must"):
        make()
