"""Does every publisher's price move when the market does?"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar, Final

import msgspec

from probekit.checks.parts import gathered, nothing_judged, require, scope_of
from probekit.model import Observation, Price, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Bps, Instant, format_ns, to_ns

_HIGHEST: Final = 2**63 - 1
_LOWEST: Final = -(2**63)
"""Extremes of nothing: any price lies between them."""


class StallMark(msgspec.Struct, frozen=True, gc=False):
    """What was seen from ``at`` (ns) until the next mark: each publisher's lowest and highest price (i64, packed, in the
    order of the memory's publishers), and the aggregate's.
    """

    at: int
    lows: bytes
    highs: bytes
    samples: int = 1
    aggregate_low: int = _HIGHEST
    aggregate_high: int = _LOWEST


class StallMemory(msgspec.Struct, frozen=True, gc=False):
    """At most ``PublisherStalled.MAX_MARKS`` + 2 marks of 16 bytes a publisher, and 17 bytes a publisher beside them."""

    publishers: bytes = b""
    """Keys, 32 bytes each, in the order of all other columns."""
    prices: bytes = b""
    changed_at: bytes = b""
    """When each price was first seen as it is now, ns (i64, packed)."""
    blamed: bytes = b""
    """1 for a publisher that stalled while the aggregate moved, until its own price moves."""
    marks: tuple[StallMark, ...] = ()


@dataclass(frozen=True, slots=True)
class PublisherStalled:
    """Fold over sheets of quotes: whose price stands still while the aggregate moves.

    CRITICAL ``stalled`` when a price has been exactly the same for more than ``stall``; WARNING ``noisy_stalled`` when it
    moved in that time, by no more than ``noise`` of itself (highest minus lowest, over ``min_samples`` observations at
    least). Neither is told of a publisher while the aggregate stayed within ``noise`` as well (SKIPPED ``aggregate_still``);
    once told, it ends when the price moves, and never by getting old, by the aggregate coming to rest or by the publisher's
    absence.

    A publisher ``max_slots`` behind is SKIPPED ``absent`` (``publisher_offline`` has it). ``pending`` until the window is
    full. A closed market and a feed not yet in production are SKIPPED, and the history starts anew after them. The window of
    the noisy kind is made of marks at least a twelfth of ``stall`` apart, which is how much later than ``stall`` it may be
    told, beside the time between two observations. ``per_publisher`` has thresholds of their own; the history is as
    long as the longest ``stall`` among them. Raises ``ValueError`` for a limit that is not positive.
    """

    stall: timedelta = timedelta(seconds=120)
    noise: Bps = Bps(Decimal(1))
    max_slots: int = 25
    min_samples: int = 3
    per_publisher: tuple[tuple[Pubkey, PublisherStalled], ...] = ()
    name: ClassVar[str] = "publisher_stalled"
    MAX_MARKS: ClassVar[int] = 48

    def __post_init__(self) -> None:
        require(
            (self.stall > timedelta(0), f"stall must be positive, not {self.stall}"),
            (self.noise.value >= 0, f"noise must not be negative, not {self.noise}"),
            (self.max_slots > 0, f"max_slots must be positive, not {self.max_slots}"),
            (self.min_samples > 0, f"min_samples must be positive, not {self.min_samples}"),
        )

    def init(self) -> StallMemory:
        return StallMemory()

    def step(
        self, state: StallMemory, observation: Observation[QuoteSheet] | None, *, now: Instant
    ) -> tuple[StallMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was observed")
        sheet = observation.value
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return self.init(), nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), len(sheet))
        if sheet.hours_error is not None:
            words = f"the market schedule does not parse: {sheet.hours_error}"
            return self.init(), nothing_judged(Verdict(self.name, Status.UNKNOWN, "schedule_unreadable", words), len(sheet))
        if sheet.market == "closed":
            closed = Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed")
            return self.init(), nothing_judged(closed, len(sheet))
        count = len(sheet)
        state = self._aligned(state, b"".join(sheet.publishers), now)
        own = dict(self.per_publisher)
        newest = sheet.slot - self.max_slots
        present = [at > newest for at in sheet.pub_slots]
        for place in [place for place, key in enumerate(sheet.publishers) if key in own] if own else ():
            present[place] = sheet.pub_slots[place] > sheet.slot - own[Pubkey(sheet.publishers[place])].max_slots
        state, changed_at = self._remembered(state, sheet, present, now.ns)

        whole = self._window(state.marks, self.stall, now.ns, count)
        blamed = bytearray(state.blamed)
        windows = {self.stall: whole}
        number, parts = self.noise.value.as_integer_ratio()
        scale = 20_000 * parts
        lows, highs = whole.lows, whole.highs
        if own:
            doubtful: list[int] = list(range(count))
        else:
            # Nearly every price has moved: those are settled here.
            doubtful = [
                place
                for place, (low, high) in enumerate(zip(lows, highs, strict=True))
                if (high - low) * scale <= number * abs(low + high) or not present[place]
            ]
            settled = set(range(count)).difference(doubtful)
            for place in settled:
                blamed[place] = 0
        told: list[Verdict] = []
        skipped: list[str] = []
        for place in doubtful:
            check = own.get(sheet.publishers[place], self)  # type: ignore[call-overload]
            window = windows.get(check.stall)
            if window is None:
                window = windows[check.stall] = self._window(state.marks, check.stall, now.ns, count)
            unchanged_ns, was_blamed = now.ns - changed_at[place], bool(blamed[place])
            part, blamed[place] = check._part(sheet, place, window, unchanged_ns, present[place], was_blamed)
            if isinstance(part, Verdict):
                told.append(part)
            elif part is not None:
                skipped.append(part)
        idle = {
            "absent": Verdict(self.name, Status.SKIPPED, "absent", "no publisher is present"),
            "pending": Verdict(self.name, Status.SKIPPED, "pending", "no publisher is followed for long enough yet"),
            "aggregate_still": Verdict(self.name, Status.SKIPPED, "aggregate_still", "no price moved, nor did the aggregate"),
        }
        verdict = gathered(
            Verdict(self.name, Status.OK, "moving", f"prices move by more than {self.noise}"),
            idle[skipped[0] if skipped else "pending"],
            told,
            total=count,
            skipped=len(skipped),
        )
        return msgspec.structs.replace(state, blamed=bytes(blamed)), verdict

    def _part(
        self, sheet: QuoteSheet, place: int, window: _Window, unchanged_ns: int, present: bool, blamed: bool
    ) -> tuple[Verdict | str | None, bool]:
        """One publisher's verdict, why there is none, or ``None`` for a price that moves; and whether it is to blame now."""
        if not present:
            return "absent", blamed
        low, high, limit_ns = window.lows[place], window.highs[place], to_ns(self.stall)
        exact = unchanged_ns > limit_ns
        if not exact and not _within(low, high, self.noise):
            return None, False
        if not exact and (not window.full or window.samples < self.min_samples or window.first[place] == _HIGHEST):
            return "pending", blamed
        if not blamed and not window.aggregate_moved(self.noise):
            return "aggregate_still", False
        label, scope = sheet.labels[place], scope_of(sheet.publishers[place])
        if exact:
            price = Price(sheet.prices[place], sheet.price.expo)
            words = f"{label} has quoted {price} for {format_ns(unchanged_ns)}, limit {format_ns(limit_ns)}"
            return Verdict(self.name, Status.CRITICAL, "stalled", words, unchanged_ns, limit_ns, "ns", scope), True
        moved = Bps.of(2 * (high - low), low + high).value if low + high else Decimal(0)
        words = f"{label} moved by {moved:.4f}bps in more than {format_ns(limit_ns)}, noise is up to {self.noise}"
        return Verdict(self.name, Status.WARNING, "noisy_stalled", words, moved, self.noise.value, "bps", scope), True

    # -- the history ---------------------------------------------------------------------------------------------------------

    def _aligned(self, state: StallMemory, publishers: bytes, now: Instant) -> StallMemory:
        """The memory in the order of ``publishers``: those that are new have none, those that are gone lose theirs."""
        if state.publishers == publishers:
            return state
        before = {state.publishers[at : at + 32]: at // 32 for at in range(0, len(state.publishers), 32)}
        places = [before.get(publishers[at : at + 32]) for at in range(0, len(publishers), 32)]

        def column(raw: bytes, default: int) -> bytes:
            old = _integers(len(raw) // 8)[0](raw)
            return _integers(len(places))[1](*[default if place is None else old[place] for place in places])

        marks = tuple(
            msgspec.structs.replace(mark, lows=column(mark.lows, _HIGHEST), highs=column(mark.highs, _LOWEST))
            for mark in state.marks
        )
        blamed = bytes([0 if place is None else state.blamed[place] for place in places])
        # No price is like the lowest of all: the first one seen is a change.
        return StallMemory(publishers, column(state.prices, _LOWEST), column(state.changed_at, now.ns), blamed, marks)

    def _remembered(
        self, state: StallMemory, sheet: QuoteSheet, present: list[bool], now_ns: int
    ) -> tuple[StallMemory, list[int]]:
        """The memory with this sheet in it, and when each price was first seen as it is."""
        unpack, pack = _integers(len(sheet))
        last, since, prices = unpack(state.prices), unpack(state.changed_at), sheet.prices
        changed_at = [
            now_ns if here and price != before else at
            for here, price, before, at in zip(present, prices, last, since, strict=True)
        ]
        known = tuple([price if here else before for here, price, before in zip(present, prices, last, strict=True)])
        if all(present):
            lows = highs = prices
        else:
            lows = tuple([price if here else _HIGHEST for here, price in zip(present, prices, strict=True)])
            highs = tuple([price if here else _LOWEST for here, price in zip(present, prices, strict=True)])
        aggregate = (sheet.price.agg_price,) * 2 if sheet.trading else (_HIGHEST, _LOWEST)
        stalls = [to_ns(self.stall), *(to_ns(one.stall) for _, one in self.per_publisher)]
        limit_ns, marks = max(stalls), state.marks
        apart_ns = max(min(stalls) // 12, limit_ns // self.MAX_MARKS)
        if not marks or now_ns - marks[-1].at >= apart_ns:
            marks = (*marks, StallMark(now_ns, pack(*lows), pack(*highs), 1, *aggregate))
        else:
            mark = marks[-1]
            marks = (
                *marks[:-1],
                StallMark(
                    mark.at,
                    pack(*map(min, lows, unpack(mark.lows))),
                    pack(*map(max, highs, unpack(mark.highs))),
                    mark.samples + 1,
                    min(mark.aggregate_low, aggregate[0]),
                    max(mark.aggregate_high, aggregate[1]),
                ),
            )
        covering = _covering(marks, now_ns - limit_ns)
        return StallMemory(state.publishers, pack(*known), pack(*changed_at), state.blamed, covering), changed_at

    def _window(self, marks: tuple[StallMark, ...], stall: timedelta, now_ns: int, count: int) -> _Window:
        limit_ns, unpack = to_ns(stall), _integers(count)[0]
        marks = _covering(marks, now_ns - limit_ns)
        began, first = marks[0].at, unpack(marks[0].lows)
        lows, highs = first, unpack(marks[0].highs)
        if len(marks) > 1:
            lows = tuple(map(min, *[unpack(mark.lows) for mark in marks]))
            highs = tuple(map(max, *[unpack(mark.highs) for mark in marks]))
        return _Window(
            lows,
            highs,
            first,
            now_ns - began > limit_ns,
            sum(mark.samples for mark in marks),
            min(mark.aggregate_low for mark in marks),
            max(mark.aggregate_high for mark in marks),
        )


@dataclass(frozen=True, slots=True)
class _Window:
    lows: tuple[int, ...]
    highs: tuple[int, ...]
    first: tuple[int, ...]
    full: bool
    samples: int
    aggregate_low: int
    aggregate_high: int

    def aggregate_moved(self, noise: Bps) -> bool:
        known = self.aggregate_low <= self.aggregate_high
        return known and not _within(self.aggregate_low, self.aggregate_high, noise)


def _covering(marks: tuple[StallMark, ...], since_ns: int) -> tuple[StallMark, ...]:
    """The marks of what was seen after ``since_ns``: from the newest that begins before it, and so covers it, on."""
    first = sum(1 for mark in marks[1:] if mark.at < since_ns)
    return marks[first:]


def _within(low: int, high: int, noise: Bps) -> bool:
    """Whether two extremes are no further apart than ``noise`` of the value between them."""
    number, parts = noise.value.as_integer_ratio()
    return (high - low) * 20_000 * parts <= number * abs(low + high)


@lru_cache(maxsize=256)
def _integers(count: int) -> tuple[Callable[[bytes], tuple[int, ...]], Callable[..., bytes]]:
    """How a column of so many i64 is read and written."""
    made = struct.Struct(f"<{count}q")
    return made.unpack, made.pack
