"""Our checks and pyth-observer's formulas on the same states: where they differ, a defect of theirs explains it.

The formulas stand here as pyth-observer 3.0.2 has them, passes and failures only, its gates first in its order. A difference
that nothing explains fails the test, and so does an explanation that no difference needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probekit.checks import (
    AggregateConfidence,
    AggregateDeviation,
    ConfidenceRatio,
    Deviation,
    FeedOffline,
    PublisherConfidence,
    PublisherOffline,
    PublisherPrice,
    PublisherStalled,
    PublisherWithinConfidence,
)
from probekit.model import MarketSession, Observation, Status, Verdict
from probekit.model.pythnet import QuoteSheet
from probekit.units import Bps
from tests.unit.checks.builders import NOW, update
from tests.unit.checks.sheets import SLOT, Said, judged, sheet

S = timedelta(seconds=1)
DEFECTS = {
    1: "a limit of 5 percent is compared with a fraction: 300 % away passes",
    3: "the publisher's distance is divided by a signed aggregate: of a negative one nothing is ever too far",
    4: "the new price is appended before the detector looks, so a noisy stall has a duration of zero and is never found",
    5: "a stall that lasts becomes abandoned, which passes: the alert resolves itself while the publisher still stalls",
    12: "no grace after an opening: the last slot is of yesterday's close, and everyone is offline for a minute",
}
"""Those of its twelve known defects that a pass or a failure can show, by their numbers; others are of alerts and metrics."""
ABANDONED = "beyond the second limit it passes; here that is a state of its own"
ZERO = "a price of zero passes unseen; here it is a price"
NO_DATA = "an aggregate of zero passes; here a ratio to it is not to be had"
STILL = "a publisher fails although the aggregate did not move either"


def fails(verdict: Verdict) -> bool:
    return verdict.status in (Status.WARNING, Status.CRITICAL)


def holds(ours: Verdict, theirs_passes: bool, explanation: object) -> None:
    """Whether both say the same, or the difference has its explanation; and no explanation without a difference."""
    differ = fails(ours) is theirs_passes
    assert explanation is None or isinstance(explanation, str) or explanation in DEFECTS
    assert differ is (explanation is not None), (ours.status, ours.reason, ours.message, theirs_passes, explanation)


# -- the state, and the formulas ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """One feed with one publisher."""

    said: Said
    price: int
    conf: int
    status: int
    behind: int
    last_behind: int
    session: MarketSession | None
    reference: int | None = None

    @property
    def sheet(self) -> QuoteSheet:
        made = sheet(
            self.said,
            price=self.price,
            conf=self.conf,
            status=self.status,
            behind=self.behind,
            last_behind=self.last_behind,
            session=self.session,
        )
        if self.reference is None:
            return made
        return msgspec.structs.replace(made, reference=update(price=self.reference, conf=0))

    @property
    def closed(self) -> bool:
        return self.session is not None and not self.session.open

    @property
    def just_opened(self) -> bool:
        return self.session is not None and self.session.since is not None and NOW.since(self.session.since) <= 60 * 10**9

    @property
    def trading(self) -> bool:
        # pyth-client-py gives an aggregate of more than 25 slots the status unknown, whatever stands in the account.
        return self.status == 1 and self.behind <= 25

    @property
    def slot(self) -> int:
        return 0 if self.said.behind < 0 else SLOT - self.said.behind

    @property
    def apart(self) -> int:
        return abs(self.slot - (SLOT - self.behind))


def feed_offline_passes(state: State) -> bool:
    if state.closed:
        return True
    return not 120 <= abs(state.last_behind) <= 100_000


def reference_passes(state: State) -> bool:
    if state.reference is None or not state.trading or state.reference == 0:
        return True
    return abs(state.price - state.reference) / Fraction(state.reference) < 5


def confidence_passes(state: State) -> bool:
    return not state.trading or state.conf > 0


def within_confidence_passes(state: State) -> bool:
    if state.said.status != 1 or not state.trading or state.said.conf == 0 or state.apart > 25 or state.conf == 0:
        return True
    return Fraction(abs(state.said.price - state.price), state.conf) < 20


def publisher_confidence_passes(state: State) -> bool:
    return state.said.status != 1 or state.apart > 25 or state.said.conf > 0


def publisher_offline_passes(state: State) -> bool:
    return state.closed or not 25 <= SLOT - state.slot <= 10_000


def publisher_price_passes(state: State) -> bool:
    if not state.trading or state.said.status != 1 or state.apart > 25 or state.said.price == 0:
        return True
    if state.price == 0:
        return True  # it raises; nothing is told
    beyond = max(abs(state.said.price - state.price) - state.said.conf, 0)
    return 100 * beyond / Fraction(state.price) <= 5


# -- rules -------------------------------------------------------------------------------------------------------------------

SESSIONS = (
    None,
    MarketSession(False, None, None),
    MarketSession(True, NOW.plus(-30 * S), None),
    MarketSession(True, NOW.plus(-3_600 * S), None),
)
levels = st.sampled_from([0, -100, 100, 1_000_000, -1_000_000, 1_050_100, 1_050_101, 5_999_999, 6_000_000]) | st.integers(
    -(10**9), 10**9
)
states = st.builds(
    State,
    said=st.builds(
        Said,
        levels,
        st.sampled_from([0, 1, 100, 50_000]),
        st.sampled_from([0, 1, 1, 1, 2]),
        st.sampled_from([-1, 0, 1, 24, 25, 26, 30, 10_000, 10_001]),
    ),
    price=levels,
    conf=st.sampled_from([0, 1, 100, 50_000]),
    status=st.sampled_from([0, 1, 1, 1, 2]),
    behind=st.sampled_from([0, 1, 25, 26]),
    last_behind=st.sampled_from([0, 119, 120, 100_000, 100_001]),
    session=st.sampled_from(SESSIONS),
    reference=st.none() | levels,
)  # fmt: skip
PLAIN = State(Said(), 1_000_000, 100, 1, 0, 0, None, 1_000_000)


def with_(**fields: Any) -> State:
    return State(**{name: getattr(PLAIN, name) for name in PLAIN.__dataclass_fields__} | fields)


@given(states)
@example(with_(last_behind=100_001))
@example(with_(last_behind=120, session=SESSIONS[2]))
def test_feed_offline(state: State) -> None:
    explanation: object = None
    if not state.closed:
        if state.just_opened and 120 <= state.last_behind <= 100_000:
            explanation = 12
        elif not state.just_opened and state.last_behind > 100_000:
            explanation = ABANDONED
    holds(judged(FeedOffline(), state.sheet), feed_offline_passes(state), explanation)


@given(states)
@example(with_(reference=250_000))
@example(with_(reference=-1_000_000))
def test_deviation_from_the_reference(state: State) -> None:
    check = AggregateDeviation(Deviation(Bps.parse("5%"), "pythnet", "reference"))
    explanation: object = None
    if state.trading and state.reference:
        away = abs(Fraction(state.price - state.reference, state.reference))
        # 5 is meant as percent, and compared with a fraction; of a negative reference the fraction is negative as well.
        if away > Fraction(5, 100) and (away < 5 or state.reference < 0):
            explanation = 1
    verdict = judged(check, state.sheet)
    holds(verdict, reference_passes(state), explanation)
    if state.reference is None or state.reference == 0 or not state.trading:
        # What is not judged is a pass there (a reference is too old for it most of the time); here it is told.
        assert verdict.status in (Status.UNKNOWN, Status.SKIPPED)


@given(states)
@example(with_(conf=0))
@example(with_(price=0))
def test_confidence_of_the_aggregate(state: State) -> None:
    anything = Bps(Decimal(10**18))
    explanation = NO_DATA if state.trading and state.price == 0 and state.conf > 0 else None
    verdict = judged(AggregateConfidence(ConfidenceRatio(anything, None, Bps(Decimal(0)))), state.sheet)
    holds(verdict, confidence_passes(state), explanation)


@given(states)
def test_publisher_within_the_aggregates_confidence(state: State) -> None:
    holds(judged(PublisherWithinConfidence(Decimal(20)), state.sheet), within_confidence_passes(state), None)


@given(states)
def test_confidence_of_a_publisher(state: State) -> None:
    holds(judged(PublisherConfidence(), state.sheet), publisher_confidence_passes(state), None)


@given(states)
@example(with_(said=Said(behind=10_001)))
@example(with_(said=Said(behind=25), session=SESSIONS[2]))
def test_publisher_offline(state: State) -> None:
    explanation: object = None
    late = SLOT - state.slot
    if not state.closed:
        if state.just_opened and 25 <= late <= 10_000:
            explanation = 12
        elif not state.just_opened and late > 10_000:
            explanation = ABANDONED
    holds(judged(PublisherOffline(), state.sheet), publisher_offline_passes(state), explanation)


@given(states)
@example(with_(said=Said(-50), price=-100, conf=10))
@example(with_(said=Said(0)))
def test_price_of_a_publisher(state: State) -> None:
    explanation: object = None
    comparable = state.trading and state.said.status == 1 and state.apart <= 25
    beyond = abs(state.said.price - state.price) - state.said.conf
    if comparable and state.price and 100 * beyond > 5 * abs(state.price):
        if state.said.price == 0:
            explanation = ZERO
        elif state.price < 0:
            explanation = 3
    verdict = judged(PublisherPrice(Bps.parse("5%")), state.sheet)
    holds(verdict, publisher_price_passes(state), explanation)
    if comparable and state.price == 0 and beyond > 0:
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "zero_aggregate")


def test_each_defect_that_a_rule_can_show_is_shown() -> None:
    """The examples above, one by one: theirs passes what ours does not, or the reverse."""
    three_hundred_percent = with_(reference=250_000)
    assert reference_passes(three_hundred_percent), "1"
    assert not reference_passes(with_(price=7_000_000))
    assert publisher_price_passes(with_(said=Said(-50), price=-100, conf=10)), "3"
    assert not feed_offline_passes(with_(last_behind=120, session=SESSIONS[2])), "12"
    assert feed_offline_passes(with_(last_behind=100_001)), ABANDONED


# -- stalls ------------------------------------------------------------------------------------------------------------------


@dataclass
class Stalled:
    """PublisherStalledCheck with its detector: a ring of (time, price), to which a price is appended before it looks."""

    stall_s: int = 120
    abandoned_s: int = 300
    ring: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=30))

    def passes(self, now_s: int, said: Said) -> bool:
        if said.behind >= 25:
            return True
        if not self.ring or self.ring[-1][1] != said.price:
            self.ring.append((now_s, said.price))
        since, price = self.ring[-1]
        duration = now_s - since
        if duration > self.abandoned_s or duration <= self.stall_s:
            return True
        if price == said.price:
            return False
        base = median(one for _, one in self.ring)
        return len(self.ring) < 10 or max(abs(one - base) for _, one in self.ring) > abs(base) * 1e-4


quotes = st.lists(
    st.builds(Said, st.sampled_from([1_000_000, 1_000_000, 1_000_040, 1_000_050, 990_000]), st.just(100), st.just(1),
              st.sampled_from([1, 1, 1, 30])),
    min_size=1,
    max_size=40,
)  # fmt: skip


def stalls(said: list[Said], aggregates: list[int], every_s: int) -> Iterator[tuple[Verdict, bool, object]]:
    """Per observation: our verdict, whether theirs passes, and what explains a difference."""
    fold, theirs = PublisherStalled(120 * S, Bps(Decimal(1))), Stalled()
    state, changed_s, last = fold.init(), 0, None
    for step, (one, aggregate) in enumerate(zip(said, aggregates, strict=True)):
        now_s = every_s * step
        page = sheet(one, price=aggregate, slot=SLOT + 25 * step)
        state, verdict = fold.step(state, Observation(page, "test", NOW.plus(now_s * S)), now=NOW.plus(now_s * S))
        present = one.behind < 25
        if present and one.price != last:
            changed_s, last = now_s, one.price
        passes = theirs.passes(now_s, one)
        unchanged_s = now_s - changed_s
        explanation: object = None
        if fails(verdict) is passes:
            reason = next((part.reason for part in verdict.parts), verdict.reason)
            if reason == "stalled" and unchanged_s > 300:
                explanation = 5
            elif reason == "noisy_stalled" and unchanged_s <= 120:
                explanation = 4
            elif reason == "aggregate_still" and 120 < unchanged_s <= 300:
                explanation = STILL
        yield verdict, passes, explanation


@settings(deadline=None)
@given(quotes, st.sampled_from([5, 10, 60]), st.sampled_from([0, 20_000]))
def test_stalls(said: list[Said], every_s: int, swing: int) -> None:
    aggregates = [1_000_000 + swing * (step % 3) for step in range(len(said))]
    for verdict, passes, explanation in stalls(said, aggregates, every_s):
        holds(verdict, passes, explanation)


def test_each_defect_that_a_stall_can_show_is_shown() -> None:
    swinging = [1_000_000 + 20_000 * (step % 3) for step in range(240)]

    def explained(said: list[Said], aggregates: list[int] = swinging) -> set[object]:
        return {explanation for _, _, explanation in stalls(said, aggregates, 60)} - {None}

    assert explained([Said()] * 240) == {5}
    # Four hours of a millionth of noise: never found there.
    noise = [Said(1_000_000 + step % 2) for step in range(240)]
    assert explained(noise) == {4}
    assert all(passes for _, passes, _ in stalls(noise, swinging, 60))
    assert explained([Said()] * 5, [1_000_000] * 5) == {STILL}


def test_its_two_limits_can_be_set_so_that_it_never_fails_and_ours_has_only_one() -> None:
    """5: with its second limit at the first, every observation of 6,000 s passes there."""
    theirs = Stalled(300, 300)
    assert all(theirs.passes(now_s, Said()) for now_s in range(0, 6_000, 60))
    fold = PublisherStalled(300 * S)
    state, told = fold.init(), []
    for step in range(100):
        page = sheet(Said(), price=1_000_000 + 20_000 * (step % 3), slot=SLOT + step)
        state, verdict = fold.step(state, Observation(page, "test", NOW.plus(60 * step * S)), now=NOW.plus(60 * step * S))
        told.append(fails(verdict))
    assert told == [60 * step > 300 for step in range(100)]
