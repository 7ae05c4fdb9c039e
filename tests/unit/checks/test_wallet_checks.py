"""Balance floor and age, runway and outflow: every verdict by its reason, at its edge, in exact integers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import BalanceAge, BalanceFloor, Fold, Outflow, OutflowMemory, Runway
from probekit.model import Observation, Status, Verdict
from probekit.model.wallet import MAX_POINTS, MAX_SPENDS, Holding, Spending
from probekit.units import Amount, Instant
from tests.unit.checks.builders import NOW

ETH = 10**18
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


def eth(text: str) -> Amount:
    return Amount(Decimal(text), "ETH")


def held(wei: int, height: int, at: Instant, *, unit: str = "ETH", time: Instant | None = None) -> Observation[Holding]:
    return Observation(Holding(wei, 18, unit, height, time), "chain", at, "wallet")


def judged(check: Fold[Any], seen: Iterable[Observation[Holding] | None], *, every: timedelta = MINUTE) -> list[Verdict]:
    """Each verdict in turn. Judged twice: equal inputs give equal states and verdicts; the state survives being stored."""
    state, verdicts, now = check.init(), list[Verdict](), NOW
    for one in seen:
        now = now.plus(every) if one is None else one.observed_at
        after, verdict = check.step(state, one, now=now)
        assert check.step(state, one, now=now) == (after, verdict)
        assert msgspec.json.decode(msgspec.json.encode(after), type=type(after)) == after
        assert isinstance(hash(after), int)
        state = after
        verdicts.append(verdict)
    return verdicts


def spending(start: int, spent: Iterable[int], *, every: timedelta = MINUTE) -> list[Observation[Holding]]:
    """Reads of a balance from which that much went (or, negative, came) before each."""
    rows, wei, at = [held(start, 1, NOW)], start, NOW
    for height, amount in enumerate(spent, 2):
        wei, at = wei - amount, at.plus(every)
        rows.append(held(wei, height, at))
    return rows


def last(check: Fold[Any], rows: Iterable[Observation[Holding] | None]) -> Verdict:
    return judged(check, rows)[-1]


# -- floor -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wei", "expected"),
    [
        (ETH, (OK, "funded", Decimal("0.01"))),
        (ETH // 10 - 1, (WARNING, "low", Decimal("0.1"))),
        (ETH // 100 - 1, (CRITICAL, "below_floor", Decimal("0.01"))),
    ],
)
def test_the_floor_at_its_edges(wei: int, expected: tuple[Status, str, Decimal]) -> None:
    verdict = last(BalanceFloor(eth("0.01"), eth("0.1")), [held(wei, 1, NOW)])
    assert (verdict.status, verdict.reason, verdict.limit) == expected
    assert (verdict.value, verdict.unit) == (Decimal(wei).scaleb(-18), "coins")


def test_a_floor_in_another_unit_judges_nothing() -> None:
    verdict = last(BalanceFloor(eth("1")), [held(ETH, 1, NOW, unit="WETH")])
    assert (verdict.status, verdict.reason) == (UNKNOWN, "wrong_unit")
    assert last(BalanceFloor(eth("1")), [None]).reason == "pending"


def test_an_older_read_does_not_bring_back_the_past() -> None:
    rows = [held(ETH, 10, NOW), held(0, 9, NOW.plus(MINUTE)), None, held(0, 11, NOW.plus(3 * MINUTE))]
    assert [one.reason for one in judged(BalanceFloor(eth("0.5")), rows)] == ["funded", "funded", "funded", "below_floor"]


@pytest.mark.parametrize(("critical", "warn"), [(eth("1"), eth("1")), (eth("1"), Amount(Decimal(2), "USDC"))])
def test_floors_that_do_not_fit_together(critical: Amount, warn: Amount) -> None:
    with pytest.raises(ValueError, match="warn"):
        BalanceFloor(critical, warn)


# -- age ---------------------------------------------------------------------------------------------------------------


def test_age_by_the_blocks_own_time() -> None:
    check = BalanceAge(5 * MINUTE)
    row = held(1, 7, NOW.plus(5 * MINUTE), time=NOW)
    assert last(check, [row]).reason == "recent"
    late = last(check, [row, held(1, 7, NOW.plus(5 * MINUTE + timedelta(seconds=1)), time=NOW)])
    assert (late.status, late.reason, late.value) == (UNKNOWN, "old_state", 301 * 10**9)


def test_age_of_a_chain_without_times_counts_from_the_first_sight() -> None:
    rows = [held(1, 7, NOW.plus(minute * MINUTE)) for minute in range(7)]
    assert [one.reason for one in judged(BalanceAge(5 * MINUTE), rows)] == ["recent"] * 6 + ["old_state"]
    assert last(BalanceAge(), [*rows, held(1, 8, NOW.plus(7 * MINUTE))]).reason == "recent"
    assert last(BalanceAge(), [None]).status is SKIPPED
    with pytest.raises(ValueError, match="max_age"):
        BalanceAge(timedelta(0))


# -- runway ------------------------------------------------------------------------------------------------------------


def test_runway_is_exact_and_waits_for_history() -> None:
    check = Runway(24 * HOUR, 72 * HOUR, min_history=HOUR)
    verdicts = judged(check, spending(100 * ETH, [ETH // 10] * 60))
    assert {one.reason for one in verdicts[:-1]} == {"pending"}
    # 94 ETH at 6 ETH an hour.
    assert (verdicts[-1].status, verdicts[-1].reason) == (CRITICAL, "short_runway")
    assert verdicts[-1].value == 94 * 60 * 60 * 10**9 // 6
    assert last(check, spending(200 * ETH, [ETH // 10] * 60)).reason == "shortening_runway"
    assert last(check, spending(10**4 * ETH, [ETH // 10] * 60)).reason == "lasting"
    assert last(check, spending(ETH, [0] * 60)).reason == "idle"


def test_runway_of_one_who_spends_now_and_then() -> None:
    """Most steps take nothing, so that their median would be a rate of zero."""
    rows = spending(100 * ETH, [ETH if minute % 10 == 9 else 0 for minute in range(120)])
    assert last(Runway(), rows).value == 88 * 60 * 60 * 10**9 // 6


def test_top_ups_and_outflows_are_not_the_rate() -> None:
    steady = spending(100 * ETH, [ETH // 10] * 100)
    expected = 6 * ETH
    for special in (-500 * ETH, 50 * ETH):
        check = Runway(min_history=HOUR)
        rows = spending(100 * ETH, [*[ETH // 10] * 50, special, *[ETH // 10] * 50])
        verdict = last(check, rows)
        left = rows[-1].value.amount
        hours = Decimal(int(verdict.value or 0)) / (3600 * 10**9)
        assert abs(Decimal(left) / hours - expected) / expected < Decimal("0.05")  # what was spent beside it is left out, too
    assert last(Runway(min_history=HOUR), steady).value == 90 * 3600 * 10**9 // 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"critical": timedelta(0)},
        {"critical": HOUR, "warn": HOUR},
        {"min_history": timedelta(0)},
        {"window": HOUR, "min_history": 2 * HOUR},
        {"outlier_factor": 1},
    ],
)
def test_runways_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Runway(**wrong)


# -- outflow -----------------------------------------------------------------------------------------------------------


def test_an_outflow_far_above_the_usual() -> None:
    check = Outflow(factor=20, min_spends=16, hold=HOUR)
    verdicts = judged(check, spending(100 * ETH, [ETH // 10] * 16))
    assert {one.reason for one in verdicts[:-1]} == {"pending"}
    assert verdicts[-1].reason == "usual"
    rows = spending(100 * ETH, [*[ETH // 10] * 16, 2 * ETH, 2 * ETH + 1, *[0] * 61])
    told = judged(check, rows)
    assert [one.reason for one in told[17:20]] == ["usual", "outflow", "outflow"]
    assert (told[18].value, told[18].limit) == (Decimal("2.000000000000000001"), Decimal(2))
    assert "2.000000000000000001 ETH left in one step, seen at 19" in told[18].message
    assert [one.reason for one in told[-2:]] == ["outflow", "usual"]


def test_a_long_step_may_take_what_its_time_takes() -> None:
    usual = spending(1000 * ETH, [ETH // 10] * 30)
    after = usual[-1].observed_at.plus(6 * HOUR)
    late = held(usual[-1].value.amount - 36 * ETH, 99, after)
    assert last(Outflow(), [*usual, late]).reason == "usual"
    soon = held(usual[-1].value.amount - 36 * ETH, 99, usual[-1].observed_at.plus(MINUTE))
    assert last(Outflow(), [*usual, soon]).reason == "outflow"


def test_a_new_way_of_spending_becomes_the_usual_one() -> None:
    rows = spending(10**4 * ETH, [*[ETH // 100] * 30, *[ETH] * 40])
    told = [one.reason for one in judged(Outflow(hold=timedelta(0)), rows)]
    assert told[31] == "outflow"
    assert told[-1] == "usual"


def test_an_absolute_limit_and_its_unit() -> None:
    check = Outflow(eth("0.5"))
    assert last(check, spending(ETH, [ETH // 2])).reason == "usual"
    assert last(check, spending(ETH, [ETH // 2 + 1])).reason == "outflow"
    assert last(check, [held(1, 1, NOW, unit="BNB")]).reason == "wrong_unit"
    assert last(Outflow(), [None]).reason == "pending"


@pytest.mark.parametrize(
    "wrong", [{"factor": 1}, {"min_spends": 0}, {"min_spends": 99}, {"window": timedelta(0)}, {"hold": -HOUR}]
)
def test_outflows_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Outflow(**wrong)


# -- what an endpoint that lags does -------------------------------------------------------------------------------------


READS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(0, 2**128),
        st.integers(-60, 7200),
    ),
    max_size=60,
)


@given(READS)
def test_only_newer_states_count_and_the_state_is_bounded(reads: list[tuple[int, int, int]]) -> None:
    """Without a top-up or an outflow of its own, a lagging read never makes one; whatever comes, the state stays small."""
    by_height = {height: 10**30 - height for height in range(31)}
    spent, at = Spending(), NOW
    for height, _, seconds in reads:
        at = at.plus(timedelta(seconds=seconds))
        spent, step = spent.after(held(by_height[height], height, at).value, at, 3600 * 10**9, factor=20)
        assert step is None or 0 <= step.spent <= 30
    assert len(spent.points) <= MAX_POINTS
    wild, at = Spending(), NOW
    for height, wei, seconds in reads:
        at = at.plus(timedelta(seconds=seconds))
        wild, _ = wild.after(held(wei, height, at).value, at, 3600 * 10**9, factor=20)
    assert len(wild.points) <= MAX_POINTS
    assert len(wild.spends) <= MAX_SPENDS


def test_two_forks_of_one_height_are_no_spending() -> None:
    state = Spending()
    for minute, wei in enumerate((ETH, 0, ETH, 0)):
        at = NOW.plus(minute * MINUTE)
        state, step = state.after(held(wei, 5, at).value, at, 3600 * 10**9, factor=20)
        assert step is None or step.spent == 0
    assert state.last is not None
    assert state.last.amount == ETH


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
def test_fast_reads_are_added_up() -> None:
    check = Outflow(window=timedelta(hours=1))
    state: OutflowMemory = check.init()
    for second in range(3600):
        at = NOW.plus(timedelta(seconds=second))
        state, _ = check.step(state, held(10**6 - second, second, at), now=at)
    assert len(state.spending.points) <= MAX_POINTS
    burnt, watched_ns = state.spending.burn(20)
    assert burnt * 10**9 == watched_ns
    assert 3580 * 10**9 > watched_ns > 3500 * 10**9


@given(st.integers(-(2**255), 2**255), st.integers(0, 255))
def test_coins_are_exact(amount: int, decimals: int) -> None:
    coins = Holding(amount, decimals, "X", 1).coins
    assert int(coins.as_tuple().exponent) == -decimals
    digits = "".join(map(str, coins.as_tuple().digits))
    assert int(digits) * (-1 if coins.is_signed() else 1) == amount
