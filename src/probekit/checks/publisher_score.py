"""How good is every publisher of a feed, by Pyth's published formula?"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from operator import add, sub
from typing import ClassVar, Final

import msgspec

from probekit.checks.parts import gathered, nothing_judged, require
from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Instant, to_ns

STALLED_SLOTS: Final = 100
"""T of the published formula, about 40 s: how long a price has to stay the same to count as stalled."""
_MILLIONTHS: Final = 10**6
_FARTHEST: Final = 10_000
"""Confidence intervals that a distance counts as at most: sums of squares then fit 64 bits for 90,000 samples."""


class Score(msgspec.Struct, frozen=True, gc=False):
    """A publisher's score on one feed. Scores lie in 0 to 1; penalties are raw; ``samples`` are aggregates seen, ``valid``
    those of them to which the publisher had a valid quote. All rounded down to millionths.
    """

    publisher: Pubkey
    final: Decimal
    uptime: Decimal
    deviation: Decimal
    stalled: Decimal
    deviation_penalty: Decimal
    stalled_penalty: Decimal
    samples: int
    valid: int

    def __str__(self) -> str:
        return (
            f"{self.final:.3f} (uptime {self.uptime:.3f}, deviation {self.deviation:.3f} from a penalty of "
            f"{self.deviation_penalty:.3f}, stalled {self.stalled:.3f} from {self.stalled_penalty:.3f}; "
            f"{self.valid} of {self.samples} samples)"
        )


class ScoreMark(msgspec.Struct, frozen=True, gc=False):
    """Sums over the samples from ``at`` (ns) until the next mark, a column each in the order of the memory's publishers."""

    at: int
    samples: int
    valid: tuple[int, ...]
    squares: tuple[int, ...]
    """Of ``((price - aggregate) / conf)^2``, in millionths, each rounded down."""
    still: tuple[int, ...]


class ScoreMemory(msgspec.Struct, frozen=True, gc=False):
    """At most ``PublisherScore.MAX_MARKS`` + 1 marks, their sum, and two columns of integers."""

    publishers: bytes = b""
    total: ScoreMark = ScoreMark(0, 0, (), (), ())
    marks: tuple[ScoreMark, ...] = ()
    last_slot: int = 0
    """Of the newest aggregate that was sampled."""
    prices: bytes = b""
    changed_at: bytes = b""
    """The slot at which each price was first seen as it is now (i64, packed)."""


@dataclass(frozen=True, slots=True)
class PublisherScore:
    """Fold over sheets of quotes: each publisher's score over the last ``window``, live.

    ``final = 0.4 uptime + 0.4 deviation + 0.2 stalled``. *Uptime*: samples with a valid quote, of all samples with an
    aggregate. *Deviation*: ``(N - rank + 1) / N`` by the mean of ``((price - aggregate) / conf)^2`` over valid quotes, conf
    the aggregate's, N the feed's publishers, equal penalties of equal rank; a rank moves because others do, so the raw
    penalty stands beside it. *Stalled*: ``max(1 - 10 penalty, 0)``, the penalty being the share of valid quotes whose price
    had not changed for 100 slots. A distance counts as 10,000 intervals at most. Uptime below a half makes deviation and
    stalled 0. A sample is an observed aggregate that trades, each slot once: what lies between two observations is not seen.

    A publisher below ``min_score`` is WARNING ``low_score``. SKIPPED ``pending`` below ``min_samples``, ``market_closed``,
    ``not_in_production``. The window is made of ``MAX_MARKS`` marks, so it is up to a twelfth longer. Source of the formula:
    Pyth's documentation of publisher ranking, which evaluates it monthly. Raises ``ValueError`` for limits out of range.
    """

    min_score: Decimal = Decimal("0.6")
    window: timedelta = timedelta(hours=1)
    min_samples: int = 30
    per_publisher: tuple[tuple[Pubkey, PublisherScore], ...] = ()
    name: ClassVar[str] = "publisher_score"
    MAX_MARKS: ClassVar[int] = 12

    def __post_init__(self) -> None:
        require(
            (0 <= self.min_score <= 1, f"min_score must lie between 0 and 1, not {self.min_score}"),
            (self.window > timedelta(0), f"window must be positive, not {self.window}"),
            (self.min_samples > 0, f"min_samples must be positive, not {self.min_samples}"),
        )

    def init(self) -> ScoreMemory:
        return ScoreMemory()

    def step(
        self, state: ScoreMemory, observation: Observation[QuoteSheet] | None, *, now: Instant
    ) -> tuple[ScoreMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was observed")
        sheet = observation.value
        count = len(sheet)
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return state, nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), count)
        if sheet.market == "closed":
            return state, nothing_judged(Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed"), count)
        state = self._sampled(_aligned(state, sheet), sheet, now.ns)
        samples = state.total.samples
        if samples < self.min_samples or not count:
            words = f"{samples} of {self.min_samples} samples"
            return state, nothing_judged(Verdict(self.name, Status.SKIPPED, "pending", words), count)
        finals = [final for final, *_ in _ratings(state.total)]
        lowest = min(finals)
        limit = int(self.min_score * _MILLIONTHS)
        own = {key: int(check.min_score * _MILLIONTHS) for key, check in self.per_publisher}
        keys = sheet.publishers
        low = [place for place, final in enumerate(finals) if final < (own.get(keys[place], limit) if own else limit)]  # type: ignore[call-overload]
        judged = []
        if low:
            every = scores(state)
            for place in low:
                score, least = every[place], Decimal(own.get(keys[place], limit)) / _MILLIONTHS  # type: ignore[call-overload]
                words = f"{sheet.labels[place]} scores {score}, limit {least}"
                scope = str(score.publisher)
                judged.append(
                    Verdict(self.name, Status.WARNING, "low_score", words, score.final * 10_000, least * 10_000, "bps", scope)
                )
        return state, gathered(
            Verdict(self.name, Status.OK, "good_score", f"the lowest of {count} scores {Decimal(lowest) / _MILLIONTHS:.3f}"),
            Verdict(self.name, Status.SKIPPED, "pending", "no publishers"),
            judged,
            total=count,
            measures=(Measure("feed.publishers.score", Decimal(lowest) / 100, "bps"),),
        )

    def _sampled(self, state: ScoreMemory, sheet: QuoteSheet, now_ns: int) -> ScoreMemory:
        """The memory with this sheet in it, if its aggregate is a new one that trades, and without what left the window."""
        state = self._expired(state, now_ns)
        aggregate, conf, at_slot = sheet.price.agg_price, sheet.price.agg_conf, sheet.price.agg_pub_slot
        if not sheet.trading or not conf or at_slot <= state.last_slot:
            return state
        unpack, pack = _integers(len(sheet))
        prices, slot, square = sheet.prices, sheet.slot, conf * conf
        changed = [
            slot if price != before else since
            for price, before, since in zip(prices, unpack(state.prices), unpack(state.changed_at), strict=True)
        ]
        valid, squares, still = [0] * len(sheet), [0] * len(sheet), [0] * len(sheet)
        for place in sheet.fresh:
            valid[place] = 1
            distance = min(abs(prices[place] - aggregate), _FARTHEST * conf)
            squares[place] = distance * distance * _MILLIONTHS // square
            if slot - changed[place] >= STALLED_SLOTS:
                still[place] = 1
        sample = ScoreMark(now_ns, 1, tuple(valid), tuple(squares), tuple(still))
        marks = state.marks
        if not marks or (now_ns - marks[-1].at) * self.MAX_MARKS >= to_ns(self.window):
            marks = (*marks, sample)
        else:
            marks = (*marks[:-1], _summed(marks[-1], sample))
        total = _summed(state.total, sample)
        return ScoreMemory(state.publishers, total, marks, at_slot, pack(*prices), pack(*changed))

    def _expired(self, state: ScoreMemory, now_ns: int) -> ScoreMemory:
        marks, total, window_ns = state.marks, state.total, to_ns(self.window)
        # A mark leaves when its newest sample does, which is no later than the next one's begin.
        while len(marks) > 1 and now_ns - marks[1].at > window_ns:
            gone, marks = marks[0], marks[1:]
            total = ScoreMark(
                total.at,
                total.samples - gone.samples,
                tuple(map(sub, total.valid, gone.valid)),
                tuple(map(sub, total.squares, gone.squares)),
                tuple(map(sub, total.still, gone.still)),
            )
        return state if marks is state.marks else msgspec.structs.replace(state, marks=marks, total=total)


def scores(state: ScoreMemory) -> tuple[Score, ...]:
    """Every publisher's score over the window, in the memory's order; of no sample, nothing."""
    total = state.total
    if not total.samples:
        return ()
    made = []
    for place, numbers in enumerate(_ratings(total)):
        final, uptime, deviation, stalled, deviation_penalty, stalled_penalty = (Decimal(one) / _MILLIONTHS for one in numbers)
        key = Pubkey(state.publishers[32 * place : 32 * place + 32])
        valid = total.valid[place]
        made.append(Score(key, final, uptime, deviation, stalled, deviation_penalty, stalled_penalty, total.samples, valid))
    return tuple(made)


def _ratings(total: ScoreMark) -> list[tuple[int, int, int, int, int, int]]:
    """Per publisher, in millionths: final, uptime, deviation, stalled, and the two penalties."""
    samples, count = total.samples, len(total.valid)
    penalties = [square // valid if valid else None for square, valid in zip(total.squares, total.valid, strict=True)]
    # To the full precision of the sums, so that a rank does not hang on rounding.
    precise = [
        square * _MILLIONTHS // valid if valid else None for square, valid in zip(total.squares, total.valid, strict=True)
    ]
    ordered = sorted(one for one in precise if one is not None)
    ranks: dict[int, int] = {}
    for number, one in enumerate(ordered):
        ranks.setdefault(one, number)
    made = []
    for valid, still, penalty, exact in zip(total.valid, total.still, penalties, precise, strict=True):
        uptime = valid * _MILLIONTHS // samples
        stalled_penalty = still * _MILLIONTHS // valid if valid else 0
        deviation = stalled = 0
        if 2 * valid >= samples and exact is not None:
            deviation = (count - ranks[exact]) * _MILLIONTHS // count
            stalled = max(valid - 10 * still, 0) * _MILLIONTHS // valid
        final = (4 * uptime + 4 * deviation + 2 * stalled) // 10
        made.append((final, uptime, deviation, stalled, penalty or 0, stalled_penalty))
    return made


def _summed(first: ScoreMark, second: ScoreMark) -> ScoreMark:
    return ScoreMark(
        first.at,
        first.samples + second.samples,
        tuple(map(add, first.valid, second.valid)),
        tuple(map(add, first.squares, second.squares)),
        tuple(map(add, first.still, second.still)),
    )


def _aligned(state: ScoreMemory, sheet: QuoteSheet) -> ScoreMemory:
    """The memory in the order of the sheet's publishers: who is new has no samples yet, and so no uptime."""
    publishers = b"".join(sheet.publishers)
    if state.publishers == publishers:
        return state
    before = {state.publishers[at : at + 32]: at // 32 for at in range(0, len(state.publishers), 32)}
    places = [before.get(publishers[at : at + 32]) for at in range(0, len(publishers), 32)]

    def row(old: tuple[int, ...], default: int = 0) -> tuple[int, ...]:
        return tuple([default if place is None else old[place] for place in places])

    def moved(mark: ScoreMark) -> ScoreMark:
        return ScoreMark(mark.at, mark.samples, row(mark.valid), row(mark.squares), row(mark.still))

    old_unpack = _integers(len(state.publishers) // 32)[0]
    pack = _integers(len(places))[1]
    return ScoreMemory(
        publishers,
        moved(state.total),
        tuple(map(moved, state.marks)),
        state.last_slot,
        pack(*row(old_unpack(state.prices), -(2**63))),
        pack(*row(old_unpack(state.changed_at))),
    )


@lru_cache(maxsize=256)
def _integers(count: int) -> tuple[Callable[[bytes], tuple[int, ...]], Callable[..., bytes]]:
    """How a column of so many i64 is read and written."""
    made = struct.Struct(f"<{count}q")
    return made.unpack, made.pack
