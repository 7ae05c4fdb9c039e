"""Checks of endpoints' heads: each verdict by its reason, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import FinalityHolds, FinalityLag, HeadAge, HeadLag, HeadStall, NodeSync
from probekit.model import Observation, Status, Verdict
from probekit.model.chain_feed import ChainHead
from probekit.model.endpoint_head import EndpointHead, FinalPoint, best_head
from probekit.units import Instant
from tests.unit.checks.builders import NOW

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)


def head(number: int = 100, ago: timedelta = S, *, now: Instant = NOW) -> ChainHead:
    return ChainHead(number, now.plus(-ago))


def seen(value: EndpointHead, now: Instant = NOW) -> Observation[Any]:
    return Observation(value, "one", now, "chain/one", 0, 0)


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


def measured(verdict: Verdict) -> dict[str, Any]:
    return {one.name: one.value for one in verdict.measures}


@pytest.mark.parametrize(
    ("behind_blocks", "behind_s", "limits", "expected"),
    [
        (0, 0, {}, (OK, "level")),
        (9, 30, {}, (OK, "level")),
        (9, 31, {}, (CRITICAL, "behind")),
        (9, 31, {"max_lag": None}, (OK, "level")),
        (9, 0, {"max_blocks": 9}, (OK, "level")),
        (10, 0, {"max_blocks": 9}, (CRITICAL, "behind")),
        (-4, -8, {"max_blocks": 1, "max_lag": S}, (OK, "level")),
    ],
)
def test_head_lag(behind_blocks: int, behind_s: int, limits: dict[str, Any], expected: tuple[Status, str]) -> None:
    best = ChainHead(100 + behind_blocks, head().time.plus(behind_s * S))
    verdict = HeadLag(**limits)(seen(EndpointHead(head=head(), best=best, best_label="two")), now=NOW)
    assert told(verdict) == expected
    assert "at two" in verdict.message
    assert measured(verdict) == {"chain.head_lag": max(behind_s, 0) * 10**9, "chain.head_lag.blocks": max(behind_blocks, 0)}


def test_nobody_to_compare_with_is_no_pass() -> None:
    assert told(HeadLag()(seen(EndpointHead(head=head())), now=NOW)) == (SKIPPED, "alone")
    verdict = HeadLag()(seen(EndpointHead(head=head(), others=2)), now=NOW)
    assert told(verdict) == (UNKNOWN, "no_measure")
    assert "it and 2 more are of the future, or further apart" in verdict.message


def test_a_wild_head_is_told_at_whoever_shows_it() -> None:
    wild = EndpointHead(head=head(10**9), best=head(100), best_label="two", others=2)
    verdict = HeadLag(None, 50)(seen(wild), now=NOW)
    assert (told(verdict), verdict.value) == ((CRITICAL, "wild_head"), 10**9 - 100)


def point(level: str, number: int | None, ago: timedelta | None, problem: str = "") -> FinalPoint:
    return FinalPoint(level, number, None if ago is None else NOW.plus(-ago), problem)


@pytest.mark.parametrize(
    ("final", "soft", "limits", "expected"),
    [
        (point("finalized", 40, 61 * S), point("safe", 70, 31 * S), {}, (OK, "measured")),
        (point("finalized", 40, 61 * S), point("safe", 70, 31 * S), {"max_lag": 60 * S}, (OK, "settling")),
        (point("finalized", 40, 62 * S), point("safe", 70, 31 * S), {"max_lag": 60 * S}, (CRITICAL, "not_finalizing")),
        (point("finalized", 40, 61 * S), point("safe", 70, 32 * S), {"max_soft_lag": 30 * S}, (WARNING, "not_settling")),
        (point("finalized", 40, 62 * S), None, {"max_lag": 60 * S}, (CRITICAL, "not_finalizing")),
        (point("finalized", None, None, "no beacon"), None, {"max_lag": 60 * S}, (UNKNOWN, "not_told")),
        (point("finalized", 40, 61 * S), None, {"max_soft_lag": 60 * S}, (UNKNOWN, "not_told")),
        (point("finalized", None, None, "no beacon"), None, {}, (SKIPPED, "no_finality")),
        (None, None, {}, (SKIPPED, "no_finality")),
        # Solana tells no times.
        (point("finalized", 68, None), point("confirmed", 98, None), {"max_blocks": 32}, (OK, "settling")),
        (point("finalized", 67, None), point("confirmed", 98, None), {"max_blocks": 32}, (CRITICAL, "not_finalizing")),
        (point("finalized", 68, None), point("confirmed", 96, None), {"max_soft_blocks": 3}, (WARNING, "not_settling")),
        (point("finalized", 68, None), None, {"max_lag": 60 * S}, (UNKNOWN, "not_told")),
    ],
)
def test_finality_lag(
    final: FinalPoint | None, soft: FinalPoint | None, limits: dict[str, Any], expected: tuple[Status, str]
) -> None:
    verdict = FinalityLag(**limits)(seen(EndpointHead(head=head(), final=final, soft=soft)), now=NOW)
    assert told(verdict) == expected
    if final is not None and final.problem:
        assert "no beacon" in verdict.message
    if final is not None and final.number is not None:
        assert measured(verdict)["chain.finality_lag.blocks"] == 100 - final.number


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_lag": 100 * S, "max_soft_lag": 30 * S}, ("not_settling", 31 * 10**9, 30 * 10**9, "ns")),
        ({"max_lag": 100 * S, "max_soft_blocks": 9}, ("not_settling", 30, 9, "count")),
        ({"max_lag": 100 * S, "max_blocks": 59}, ("not_finalizing", 60, 59, "count")),
        ({"max_lag": 60 * S, "max_blocks": 59}, ("not_finalizing", 61 * 10**9, 60 * 10**9, "ns")),
    ],
)
def test_the_value_of_a_lag_is_of_what_is_over_its_limit(limits: dict[str, Any], expected: tuple[Any, ...]) -> None:
    view = EndpointHead(head=head(), final=point("finalized", 40, 62 * S), soft=point("safe", 70, 32 * S))
    verdict = FinalityLag(**limits)(seen(view), now=NOW)
    assert (verdict.reason, verdict.value, verdict.limit, verdict.unit) == expected


def test_a_settled_block_above_the_head_is_no_lag() -> None:
    view = EndpointHead(head=head(), final=point("finalized", 101, 0 * S))
    verdict = FinalityLag(max_lag=S, max_blocks=1)(seen(view), now=NOW)
    assert told(verdict) == (OK, "settling")
    assert set(measured(verdict).values()) == {0}


def stall(*looks: tuple[int, int, int | None], limit: timedelta = 60 * S) -> list[tuple[Status, str]]:
    """Verdicts of (second, head, height) in turn."""
    check, found = HeadStall(limit), []
    state = check.init()
    for second, number, height in looks:
        now = NOW.plus(second * S)
        state, verdict = check.step(state, seen(EndpointHead(head=head(number), height=height), now), now=now)
        found.append(told(verdict))
    return found


def test_a_head_that_stands_still_by_our_own_count_of_time() -> None:
    assert stall((0, 5, None), (60, 5, None), (61, 5, None), (62, 6, None)) == [
        (OK, "rising"), (OK, "rising"), (CRITICAL, "stalled"), (OK, "rising"),
    ]  # fmt: skip


def test_a_head_that_falls_back_has_not_risen() -> None:
    ok, stalled = (OK, "rising"), (CRITICAL, "stalled")
    assert stall((0, 9, None), (40, 5, None), (61, 5, None), (62, 10, None)) == [ok, ok, stalled, ok]
    # Two nodes behind one address, of which the lower moves: it has to come above the higher while that one is still shown.
    assert stall((0, 9, None), (40, 5, None), (50, 9, None), (61, 8, None), (62, 10, None)) == [ok, ok, ok, stalled, ok]


def test_one_wild_head_is_not_held_against_what_follows() -> None:
    looks = [(0, 100, None), (10, 10**9, None), *((second, 100 + second, None) for second in range(20, 400, 10))]
    assert set(stall(*looks)) == {(OK, "rising")}
    wild_height = [(second, 100 + second, 10**9 if second == 10 else second) for second in range(0, 400, 10)]
    assert set(stall(*wild_height)) == {(OK, "rising")}
    # Nor are two, of which the second is below the first.
    wilder = [(second, {10: 10**9, 20: 10**8}.get(second, 100 + second), None) for second in range(0, 400, 10)]
    assert set(stall(*wilder)) == {(OK, "rising")}
    # And what stands still after it is found out, counted from when it was last seen to rise.
    assert stall((0, 100, None), (10, 10**9, None), (20, 102, None), (30, 103, None), (91, 103, None))[-1] == (
        CRITICAL,
        "stalled",
    )


def test_slots_that_bring_no_blocks() -> None:
    assert stall((0, 5, 3), (30, 20, 3), (61, 40, 3), (70, 50, 4)) == [
        (OK, "rising"), (OK, "rising"), (CRITICAL, "no_blocks"), (OK, "rising"),
    ]  # fmt: skip


def test_nothing_seen_changes_nothing() -> None:
    check = HeadStall()
    state, verdict = check.step(check.init(), None, now=NOW)
    assert (state, told(verdict)) == (check.init(), (SKIPPED, "pending"))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=30))
def test_stalled_by_the_plain_definition_over_the_whole_history(looks: list[tuple[int, int]]) -> None:
    """Never at a number above all before it; always when none rose above any earlier one for 60 s."""
    at, history = 0, []
    for pause, number in looks:
        at += pause
        history.append((at, number))
    verdicts = stall(*((at, number, None) for at, number in history))
    for place, (when, number) in enumerate(history):
        past = history[:place]
        if all(number > one for _, one in past):
            assert verdicts[place] == (OK, "rising")
        rises = [
            later for index, (later, one) in enumerate(history[: place + 1]) if any(one > was for _, was in history[:index])
        ]
        if when - max(rises, default=history[0][0]) > 60:
            assert verdicts[place] == (CRITICAL, "stalled")


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3)), min_size=1, max_size=30), st.integers(2, 40))
def test_numbers_that_take_turns_do_not_rise(looks: list[tuple[int, int]], top: int) -> None:
    """One that stands, beside any lower ones, is stalled as soon as it was first seen longer ago than the limit."""
    at, rows = 0, [(0, top)]
    for pause, number in looks:
        at += pause
        rows += [(at, min(number, top)), (at, top)]
    verdicts = stall(*((at, number, None) for at, number in rows))
    assert [one == (CRITICAL, "stalled") for one in verdicts] == [at > 60 for at, _ in rows]


def finals(
    *looks: tuple[int, int | None, int | None], block: timedelta | None = None, **limits: Any
) -> list[tuple[Status, str]]:
    """Verdicts of (second, finalized, safe) in turn; a finalized block tells its time where blocks are ``block`` apart."""
    check, found = FinalityHolds(**limits), []
    state = check.init()
    for second, final, soft in looks:
        now = NOW.plus(second * S)
        ago = None if final is None or block is None else (1_000_000 - final) * block
        view = EndpointHead(head=head(1_000), final=point("finalized", final, ago), soft=point("safe", soft, None))
        state, verdict = check.step(state, seen(view, now), now=now)
        found.append(told(verdict))
    return found


def test_what_was_final_stays_so() -> None:
    held, back = (OK, "holding"), (CRITICAL, "went_back")
    assert finals((0, 500, 510), (1, 500, 510), (2, 350, 510), (3, 349, 510), (4, 501, 510)) == [held, held, held, back, held]
    # Nothing said changes nothing, and the new beginning comes after the hold.
    assert finals((0, 500, None), (1, None, None), (2, 100, None), (602, 101, None), (603, 102, None)) == [
        held, (SKIPPED, "no_finality"), back, back, held,
    ]  # fmt: skip
    assert finals((0, 500, None), (1, 499, None), tolerance_slots=0) == [held, back]
    assert finals((0, 500, 499)) == [(WARNING, "out_of_order")]


def test_how_far_back_is_too_far_goes_by_the_blocks_own_time() -> None:
    """Two nodes behind one address differ by an epoch of Ethereum: 32 of its blocks, 192 or 1,536 of a rollup's."""
    held, back = (OK, "holding"), (CRITICAL, "went_back")
    for block, epoch in ((12 * S, 32), (2 * S, 192), (S / 4, 1_536)):
        looks = ((0, 90_000, None), (1, 90_000 - epoch, None), (2, 90_000, None), (3, 90_000 - 3 * epoch, None))
        assert finals(*looks, block=block) == [held, held, held, back]
    check = FinalityHolds()
    state, _ = check.step(check.init(), seen(EndpointHead(head=head(), final=point("finalized", 90_000, 0 * S))), now=NOW)
    _, verdict = check.step(state, seen(EndpointHead(head=head(), final=point("finalized", 89_000, 900 * S))), now=NOW)
    assert verdict.message == "finalized 89000, 1000 blocks below 90000 that was final before, within tolerance"
    _, verdict = check.step(state, seen(EndpointHead(head=head(), final=point("finalized", 89_000, 901 * S))), now=NOW)
    assert (verdict.value, verdict.limit, verdict.unit) == (901 * 10**9, 900 * 10**9, "ns")
    assert "1000 blocks and 15m01s below 90000" in verdict.message


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_final_numbers_are_held_against_the_highest_before(numbers: list[int]) -> None:
    rows = [(place, number, None) for place, number in enumerate(numbers)]
    expected = [max(numbers[: place + 1]) - number > 150 for place, number in enumerate(numbers)]
    assert [one == (CRITICAL, "went_back") for one in finals(*rows)] == expected


def test_the_nodes_own_word() -> None:
    words = {"": (OK, "in_sync"), None: (SKIPPED, "not_told"), "behind by 9 slots": (WARNING, "not_in_sync")}
    for sync, expected in words.items():
        assert told(NodeSync()(seen(EndpointHead(head=head(), sync=sync)), now=NOW)) == expected


def test_an_endpoints_old_head_is_told_without_a_pool() -> None:
    verdict = HeadAge()(seen(EndpointHead(head=head(ago=61 * S))), now=NOW)
    assert told(verdict) == (CRITICAL, "head_stale")
    assert "this endpoint does" in verdict.message


def test_the_best_is_the_newest_that_is_not_from_the_future() -> None:
    heads = {"a": head(100, 3 * S), "b": head(101, S), "liar": head(10**9, -3600 * S)}
    assert best_head(heads, now=NOW, ahead_ns=30 * 10**9) == "b"
    assert best_head({"liar": heads["liar"]}, now=NOW, ahead_ns=30 * 10**9) is None


def test_a_wild_number_is_no_measure_where_two_others_contradict_it() -> None:
    heads = {"a": head(100, 3 * S), "b": head(101, S), "wild": head(10**9, S)}
    assert best_head(heads, now=NOW, ahead_ns=0) == "b"
    # Of two nobody can say which is wild: neither is the other's measure.
    assert best_head({"a": heads["a"], "wild": heads["wild"]}, now=NOW, ahead_ns=0) is None
    assert best_head({"wild": heads["wild"], "a": heads["a"]}, now=NOW, ahead_ns=0) is None
    # Two nodes that are hours late do not outvote one that is not: their blocks' own times say how late they are.
    late = {"a": head(100, 86_400 * S), "b": head(101, 86_400 * S), "good": head(100 + 4 * 86_400, S)}
    assert best_head(late, now=NOW, ahead_ns=0) == "good"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HeadLag(0 * S), "max_lag must be positive"),
        (lambda: HeadLag(None, 0), "max_blocks must be at least 1"),
        (lambda: HeadStall(0 * S), "max_stall must be positive"),
        (lambda: FinalityLag(max_soft_lag=-S), "max_soft_lag must be positive"),
        (lambda: FinalityHolds(-S), "tolerance must not be negative"),
        (lambda: FinalityHolds(tolerance_slots=-1), "tolerance_slots must not be negative"),
        (lambda: FinalityHolds(hold=0 * S), "hold must be positive"),
        (lambda: FinalityLag(max_soft_blocks=0), "max_soft_blocks must be at least 1"),
    ],
)
def test_limits_that_are_none(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
