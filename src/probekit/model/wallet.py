"""What a wallet holds, and how it has been spending: exact integers of base units."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

import msgspec

from probekit.units import Amount, Instant, format_decimal

_SIX_DIGITS: Final = Context(prec=6)

MAX_POINTS: Final = 256
"""Steps of a window that are kept; reads that come faster are added up."""
MAX_SPENDS: Final = 63
"""Single decreases that are kept, to know what a usual one is."""
LONG_STEP: Final = 3
"""How many times its rate a wallet may spend over a long step: a sum of many decreases varies less than one."""


class Holding(msgspec.Struct, frozen=True, gc=False):
    """``amount`` base units of ``unit`` with ``decimals`` decimal places, as of ``height``: the block or slot that was read.

    ``time`` is the block's own, ``None`` where a chain does not tell it with the balance.
    """

    amount: int
    decimals: int
    unit: str
    height: int
    time: Instant | None = None

    def of(self, amount: int) -> Decimal:
        """So many base units in whole coins, exact."""
        return Decimal((int(amount < 0), tuple(int(digit) for digit in str(abs(amount))), -self.decimals))

    @property
    def coins(self) -> Decimal:
        """The balance in whole coins, exact."""
        return self.of(self.amount)

    def text(self, amount: int) -> str:
        """So many base units, for people."""
        return f"{format_decimal(self.of(amount))} {self.unit}"

    def about(self, amount: int) -> str:
        """So many base units to six digits: for a rate, which is no more exact."""
        return f"{format_decimal(_SIX_DIGITS.plus(self.of(amount)))} {self.unit}"

    def measured_in(self, amount: Amount | None) -> bool:
        """Whether a threshold is in this holding's unit."""
        return amount is None or amount.unit == self.unit


class Step(msgspec.Struct, frozen=True, gc=False):
    """From one read to the next that counts: how long it took, and what was spent meanwhile (0 where the balance grew).

    ``usual`` is the most that this wallet is used to spend in such a step, ``None`` until that is known.
    """

    elapsed_ns: int
    spent: int
    usual: int | None


class SpendPoint(msgspec.Struct, frozen=True, gc=False):
    """What was spent in ``watched_ns`` of time that ended at ``at``."""

    at: Instant
    watched_ns: int
    spent: int


class Spending(msgspec.Struct, frozen=True):
    """How a balance went down over a window: at most ``MAX_POINTS`` points and ``MAX_SPENDS`` single decreases.

    Reads of a state older than the newest, or of the same with another balance (two endpoints on two forks), change nothing: a
    lagging endpoint makes neither a top-up nor an outflow. A step in which the balance grew is left out with its time: what was
    spent beside the top-up cannot be told.
    """

    last: Holding | None = None
    last_at: Instant | None = None
    points: tuple[SpendPoint, ...] = ()
    spends: tuple[int, ...] = ()

    def after(self, holding: Holding, at: Instant, window_ns: int, *, factor: int) -> tuple[Spending, Step | None]:
        """The history with one more read, and the step to it; ``None`` for the first read and for one that does not count.

        ``factor`` is how many times a usual step something unusual has.
        """
        last, last_at = self.last, self.last_at
        if last is None or last_at is None or (holding.unit, holding.decimals) != (last.unit, last.decimals):
            return Spending(holding, at), None
        elapsed_ns = at.since(last_at)
        if holding.height < last.height or elapsed_ns <= 0:
            return self, None
        if holding.height == last.height and holding.amount != last.amount:
            return self, None
        spent = last.amount - holding.amount
        kept = tuple(point for point in self.points if at.since(point.at) <= window_ns)
        if spent < 0:
            return Spending(holding, at, kept, self.spends), Step(elapsed_ns, 0, None)
        step = Step(elapsed_ns, spent, self._usual(elapsed_ns, factor))
        spends = (*self.spends, spent)[-MAX_SPENDS:] if spent else self.spends
        point = SpendPoint(at, elapsed_ns, spent)
        if kept and kept[-1].watched_ns + elapsed_ns <= window_ns // MAX_POINTS:
            point = SpendPoint(at, kept[-1].watched_ns + elapsed_ns, kept[-1].spent + spent)
            kept = kept[:-1]
        return Spending(holding, at, (*kept, point)[-MAX_POINTS:], spends), step

    def _usual(self, elapsed_ns: int, factor: int) -> int | None:
        """``factor`` times a usual decrease; over a step as long as many, ``LONG_STEP`` times what the rate takes, if more."""
        if not self.spends:
            return None
        burnt, watched_ns = self.burn(factor)
        by_rate = burnt * elapsed_ns // watched_ns if watched_ns else 0
        return max(factor * _median(self.spends), LONG_STEP * by_rate)

    @property
    def watched_ns(self) -> int:
        """How much time of the window was watched."""
        return sum(point.watched_ns for point in self.points)

    def burn(self, factor: int) -> tuple[int, int]:
        """(base units spent, ns in which they were): the robust rate, without the points above ``factor`` times the median of
        those that spent at all. Their time counts.
        """
        spending = [point.spent for point in self.points if point.spent]
        most = factor * _median(spending) if spending else 0
        return sum(spent for spent in spending if spent <= most), self.watched_ns


def _median(values: list[int] | tuple[int, ...]) -> int:
    """The lower median, which is one of them."""
    return sorted(values)[(len(values) - 1) // 2]
