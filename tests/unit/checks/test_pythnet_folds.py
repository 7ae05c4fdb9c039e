"""Stalls and scores: every fold replayed twice, its bound held, its history the same whatever order publishers come in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit.checks import Fold, PublisherScore, PublisherStalled, ScoreMemory, StallMemory
from probekit.checks.publisher_score import STALLED_SLOTS, scores
from probekit.model import MarketSession, Observation, Status, Tally, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Bps, Instant
from tests.unit.checks.builders import NOW
from tests.unit.checks.sheets import SLOT, Said, parts, publisher, seen, sheet

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


def at(seconds: float) -> Instant:
    return NOW.plus(seconds * S)


def run(fold: Fold[Any], steps: Sequence[tuple[Instant, QuoteSheet]]) -> tuple[Any, list[Verdict]]:
    """The last state and all verdicts, from two replays that are equal; states survive JSON."""
    ends = []
    for again in range(2):
        state, verdicts = fold.init(), []
        for now, page in steps:
            if again:
                state = msgspec.json.decode(msgspec.json.encode(state), type=type(state))
            state, verdict = fold.step(state, Observation(page, "test", now), now=now)
            verdicts.append(verdict)
            hash(state)
        ends.append((state, verdicts))
    assert ends[0] == ends[1]
    return ends[0]


def moving(step: int) -> int:
    return 1_000_000 + 5_000 * (step % 3)


def steps(count: int, *prices: Any, every: int = 10, **fields: Any) -> list[tuple[Instant, QuoteSheet]]:
    """Sheets ``every`` seconds; a price is a function of the step. The aggregate moves unless told."""
    aggregate = fields.pop("aggregate", moving)
    return [
        (
            at(every * step),
            sheet(*(Said(price(step)) for price in prices), price=aggregate(step), slot=SLOT + 25 * step, **fields),
        )
        for step in range(count)
    ]


# -- stalls ------------------------------------------------------------------------------------------------------------------


def noisy(step: int) -> int:
    return 1_000_000 + step % 2 * 50  # half a basis point


def still(step: int) -> int:
    return 1_000_000


def test_exact_and_noisy_stalls_are_told_when_their_time_has_passed() -> None:
    _, verdicts = run(PublisherStalled(), steps(20, moving, still, noisy))
    told = [parts(verdict) for verdict in verdicts]
    first = next(number for number, one in enumerate(told) if "p1" in one)
    assert first == 13, "unchanged for more than 120 s at the 14th observation, and not at the 13th"
    assert told[-1] == {"p1": (CRITICAL, "stalled"), "p2": (WARNING, "noisy_stalled")}
    first_noisy = next(number for number, one in enumerate(told) if "p2" in one)
    assert 13 <= first_noisy <= 14
    assert verdicts[5].tally == Tally(ok=1, skipped=2)


def test_a_stall_never_gets_too_old() -> None:
    """Four hours, by the minute and by the second minute, as the existing tool would see it."""
    for every in (10, 60):
        _, verdicts = run(PublisherStalled(), steps(4 * 3600 // every, moving, still, noisy, every=every))
        late = [parts(verdict) for verdict in verdicts[20:]]
        assert all(one == {"p1": (CRITICAL, "stalled"), "p2": (WARNING, "noisy_stalled")} for one in late)


def test_a_publisher_is_not_to_blame_while_the_aggregate_rests_too() -> None:
    _, verdicts = run(PublisherStalled(), steps(30, still, noisy, still, aggregate=noisy))
    assert verdicts[-1].tally == Tally(skipped=3)
    assert (verdicts[-1].status, verdicts[-1].reason) == (SKIPPED, "aggregate_still")


def test_who_is_to_blame_stays_so_until_its_own_price_moves() -> None:
    def rests_later(step: int) -> int:
        return moving(step) if step < 20 else 1_000_000

    def wakes(step: int) -> int:
        return 1_000_000 if step < 60 else 1_000_500

    _, verdicts = run(PublisherStalled(), steps(62, moving, wakes, aggregate=rests_later))
    assert parts(verdicts[59]) == {"p1": (CRITICAL, "stalled")}
    assert parts(verdicts[60]) == {}


def test_absence_is_not_movement() -> None:
    pages = steps(40, moving, still)
    for number in (20, 21, 22):
        now, page = pages[number]
        pages[number] = now, sheet(Said(moving(number)), Said(1_000_000, behind=30), price=page.price.agg_price, slot=page.slot)
    _, verdicts = run(PublisherStalled(), pages)
    assert verdicts[21].tally == Tally(ok=1, skipped=1)
    assert parts(verdicts[23]) == {"p1": (CRITICAL, "stalled")}


def test_a_closed_market_begins_a_new_history() -> None:
    closed = MarketSession(False, None, None)
    _, verdicts = run(PublisherStalled(), [*steps(20, still), *[(at(300), sheet(Said(), session=closed))], *[
        (now.plus(400 * S), page) for now, page in steps(13, still)]])  # fmt: skip
    assert parts(verdicts[19]) == {"p0": (CRITICAL, "stalled")}
    assert verdicts[20].reason == "market_closed"
    assert {verdict.reason for verdict in verdicts[21:]} == {"pending"}


def test_negative_and_zero_prices_stall_as_well() -> None:
    _, verdicts = run(
        PublisherStalled(), steps(20, lambda n: -moving(n), lambda n: -noisy(n), lambda n: 0, aggregate=lambda n: -moving(n))
    )
    assert parts(verdicts[-1]) == {"p1": (WARNING, "noisy_stalled"), "p2": (CRITICAL, "stalled")}


def test_publishers_that_join_leave_and_change_places_keep_their_own_history() -> None:
    pages = steps(14, moving, still)
    for number in range(14, 20):
        said = (Said(1_000_000), Said(7_000_000), Said(moving(number)))
        page = sheet(*said, keys=(1, 9, 0), price=moving(number), slot=SLOT + 25 * number)
        pages.append((at(10 * number), page))
    _, verdicts = run(PublisherStalled(), pages)
    assert all(parts(verdict) == {"p1": (CRITICAL, "stalled")} for verdict in verdicts[13:])
    assert verdicts[-1].tally == Tally(ok=1, critical=1, skipped=1), "who has just come is not judged yet"


def test_stall_limits_of_ones_own_shorter_and_longer() -> None:
    own = (
        (Pubkey(publisher(1)), PublisherStalled(stall=30 * S)),
        (Pubkey(publisher(2)), PublisherStalled(stall=300 * S)),
    )
    _, verdicts = run(PublisherStalled(per_publisher=own), steps(40, still, still, still, moving))
    first = {
        name: next(number for number, verdict in enumerate(verdicts) if name in parts(verdict)) for name in ("p0", "p1", "p2")
    }
    assert first == {"p0": 13, "p1": 4, "p2": 31}
    _, verdicts = run(PublisherStalled(per_publisher=own), steps(40, noisy, noisy, noisy, moving))
    first = {
        name: next(number for number, verdict in enumerate(verdicts) if name in parts(verdict)) for name in ("p0", "p1", "p2")
    }
    assert first["p1"] < first["p0"] < first["p2"] <= 33


prices = st.lists(st.sampled_from([1_000_000, 1_000_040, 1_000_500, 990_000, -5]), min_size=1, max_size=60)


@settings(deadline=None)
@given(prices, prices, st.sampled_from([1, 7, 10, 60]))
def test_a_stall_is_what_its_definition_says(mine: list[int], others: list[int], every: int) -> None:
    """Told when the price has not changed for more than 120 s and the aggregate moved in that time; never while it moves."""
    count = min(len(mine), len(others))
    fold = PublisherStalled()
    state, verdicts = run(fold, steps(count, mine.__getitem__, every=every, aggregate=others.__getitem__))
    assert isinstance(state, StallMemory)
    assert len(state.marks) <= fold.MAX_MARKS + 2
    changed = 0
    for step, verdict in enumerate(verdicts):
        if step and mine[step] != mine[step - 1]:
            changed = step
        reasons = {part.reason for part in verdict.parts}
        unchanged_s = every * (step - changed)
        if unchanged_s <= 120:
            assert "stalled" not in reasons
        elif "stalled" not in reasons:
            window = others[max(0, step - 120 // every) : step + 1]
            low, high = min(window), max(window)
            assert (high - low) * 20_000 <= abs(high + low), "the aggregate moved, and the publisher was not told"


# -- scores ------------------------------------------------------------------------------------------------------------------


def scored(fold: PublisherScore, pages: Sequence[tuple[Instant, QuoteSheet]]) -> list[Any]:
    state, _ = run(fold, pages)
    assert isinstance(state, ScoreMemory)
    total = state.total
    assert len(state.marks) <= fold.MAX_MARKS + 1
    assert total.samples == sum(mark.samples for mark in state.marks)
    for column in ("valid", "squares", "still"):
        summed = [sum(row) for row in zip(*[getattr(mark, column) for mark in state.marks], strict=True)]
        assert list(getattr(total, column)) == summed
    return list(scores(state))


def test_the_published_formula_on_a_feed_of_four() -> None:
    def present(step: int) -> int:
        return 1 if step % 4 else 30  # three of four samples

    pages = []
    for step in range(40):
        price = moving(step)
        said = (Said(price), Said(price + 100), Said(price + 200, behind=present(step)), Said(1_000_000))
        pages.append((at(10 * step), sheet(*said, price=price, slot=SLOT + 25 * step)))
    best, second, absent, stuck = scored(PublisherScore(), pages)
    assert (best.uptime, best.deviation, best.stalled, best.final) == (1, 1, 1, 1)
    assert (second.deviation_penalty, second.deviation) == (1, Decimal("0.75"))
    assert (absent.uptime, absent.valid, absent.samples) == (Decimal("0.75"), 30, 40)
    assert (absent.deviation_penalty, absent.deviation) == (4, Decimal("0.5"))
    assert absent.final == Decimal("0.3") + Decimal("0.2") + Decimal("0.2")
    # The first four samples of an unchanged price are not yet 100 slots.
    assert (stuck.stalled_penalty, stuck.stalled) == (Decimal("0.9"), 0)
    assert stuck.deviation == Decimal("0.25")


def test_uptime_below_a_half_makes_the_rest_nothing() -> None:
    pages = [
        (
            at(10 * step),
            sheet(Said(), Said(behind=1 if step % 3 == 0 else 30), slot=SLOT + 25 * step),
        )
        for step in range(30)
    ]
    _, seldom = scored(PublisherScore(), pages)
    assert (seldom.uptime, seldom.deviation, seldom.stalled) == (Decimal("0.333333"), 0, 0)
    assert seldom.final == Decimal("0.133333")


def test_a_low_score_is_told_with_penalties_and_samples() -> None:
    pages = [(at(10 * step), sheet(Said(moving(step)), Said(1_000_000, behind=99), price=moving(step), slot=SLOT + 25 * step))
             for step in range(31)]  # fmt: skip
    _, verdicts = run(PublisherScore(), pages)
    assert (verdicts[28].status, verdicts[28].reason, verdicts[28].tally) == (SKIPPED, "pending", Tally(skipped=2))
    assert parts(verdicts[-1]) == {"p1": (WARNING, "low_score")}
    assert "0 of 31 samples" in verdicts[-1].message
    assert "from a penalty of 0.000, stalled 0.000 from 0.000" in verdicts[-1].message
    assert verdicts[-1].measures[0].value == 0
    lenient = PublisherScore(per_publisher=((Pubkey(publisher(1)), PublisherScore(Decimal(0))),))
    assert parts(run(lenient, pages)[1][-1]) == {}


def test_only_new_aggregates_that_trade_are_samples() -> None:
    fold, state = PublisherScore(), PublisherScore().init()
    for page in (sheet(Said()), sheet(Said()), sheet(Said(), status=0, slot=SLOT + 9), sheet(Said(), conf=0, slot=SLOT + 10)):
        state, _ = fold.step(state, seen(page), now=NOW)
    assert state.total.samples == 1
    state, verdict = fold.step(state, None, now=NOW)
    assert (state.total.samples, verdict.reason) == (1, "pending")


def test_what_leaves_the_window_no_longer_counts() -> None:
    fold = PublisherScore(window=600 * S)
    pages = [(at(10 * step), sheet(Said(behind=30 if step < 100 else 1), Said(), slot=SLOT + 25 * step)) for step in range(170)]
    (changed, _) = scored(fold, pages)
    assert changed.uptime == 1
    assert 60 <= changed.samples <= 66


quoted = st.tuples(st.integers(-2_000, 2_000), st.booleans())


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[quoted] * n), min_size=1, max_size=40)))
def test_scores_are_the_formulas_of_the_reference(history: list[tuple[tuple[int, bool], ...]]) -> None:
    """Against the formulas as published, in fractions."""
    pages = [
        (
            at(10 * step),
            sheet(
                *(Said(1_000_000 + distance, behind=1 if there else 30) for distance, there in row),
                slot=SLOT + 25 * step,
            ),
        )
        for step, row in enumerate(history)
    ]
    made = scored(PublisherScore(), pages)
    publishers, samples = len(history[0]), len(history)
    columns = list(zip(*history, strict=True))
    penalties: list[Fraction | None] = []
    for column in columns:
        squares = [Fraction(distance, 100) ** 2 for distance, there in column if there]
        penalties.append(sum(squares, Fraction(0)) / len(squares) if squares else None)
    for column, penalty, score in zip(columns, penalties, made, strict=True):
        valid = [step for step, (_, there) in enumerate(column) if there]
        uptime = Fraction(len(valid), samples)
        changed = 0
        unchanged = set()
        for step in range(samples):
            if step and column[step][0] != column[step - 1][0]:
                changed = step
            if 25 * (step - changed) >= STALLED_SLOTS:
                unchanged.add(step)
        stalled_penalty = Fraction(len(unchanged.intersection(valid)), len(valid)) if valid else Fraction(0)
        deviation = stalled = Fraction(0)
        if penalty is not None and uptime >= Fraction(1, 2):
            rank = 1 + sum(1 for other in penalties if other is not None and other < penalty)
            deviation = Fraction(publishers - rank + 1, publishers)
            stalled = max(1 - 10 * stalled_penalty, Fraction(0))
        final = Fraction(4, 10) * uptime + Fraction(4, 10) * deviation + Fraction(2, 10) * stalled
        expected = (final, uptime, deviation, stalled, penalty or Fraction(0), stalled_penalty)
        found = (
            score.final, score.uptime, score.deviation, score.stalled, score.deviation_penalty, score.stalled_penalty
        )  # fmt: skip
        for mine, theirs in zip(found, expected, strict=True):
            assert abs(Fraction(mine) - theirs) <= Fraction(3, 10**6)


@settings(deadline=None)
@given(st.permutations(range(4)), st.integers(1, 35))
def test_a_score_does_not_depend_on_the_order_of_publishers(order: list[int], turn: int) -> None:
    """The account's order changes in the middle of the history."""

    def said(number: int, step: int) -> Said:
        return Said(moving(step) + 50 * number, behind=30 if (step + number) % (number + 3) == 0 else 1)

    def page(step: int, keys: Sequence[int]) -> tuple[Instant, QuoteSheet]:
        return at(10 * step), sheet(*(said(k, step) for k in keys), keys=keys, price=moving(step), slot=SLOT + 25 * step)

    straight = scored(PublisherScore(), [page(step, range(4)) for step in range(36)])
    turned = scored(PublisherScore(), [page(step, order if step >= turn else range(4)) for step in range(36)])
    assert sorted(straight, key=lambda one: one.publisher) == sorted(turned, key=lambda one: one.publisher)


@pytest.mark.parametrize(
    "fields",
    [{"min_score": Decimal(2)}, {"window": 0 * S}, {"min_samples": 0}],
)
def test_scores_of_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        PublisherScore(**fields)


@pytest.mark.parametrize("fields", [{"stall": 0 * S}, {"noise": Bps(Decimal(-1))}, {"max_slots": 0}, {"min_samples": 0}])
def test_stalls_of_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        PublisherStalled(**fields)
