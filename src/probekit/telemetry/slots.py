"""Measurements in slots of our own, read at export.

An instrument keeps one slot per attribute set; recording is a dictionary look-up and an addition. The SDK's instruments cost
20 to 50 times that and have no bound on the number of series; ours have one, and what lies beyond it is counted.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from probekit.telemetry.names import OVERFLOW, MetricName

DEFAULT_LIMIT: Final = 2_000
"""Series per instrument: the specification's own default."""
MAX_BUCKETS: Final = 160
_START_SCALE: Final = 6

Key = tuple[str, ...]
OVERFLOWED: Final[Key] = ("\0overflow",)
"""The attribute set of the one series that stands for all beyond the limit."""


class ExplicitHistogram:
    """Counts between fixed edges; an upper edge belongs to its bucket."""

    __slots__ = ("buckets", "count", "edges", "maximum", "minimum", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.buckets = [0] * (len(edges) + 1)
        self.count = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf

    def record(self, value: float) -> None:
        self.buckets[bisect_left(self.edges, value)] += 1
        self.count += 1
        self.total += value
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)


class ExponentialHistogram:
    """Base-2 exponential buckets, at most ``MAX_BUCKETS`` of them: the scale halves when the range outgrows them.

    Bucket ``i`` covers ``(base**i, base**(i+1)]`` with ``base = 2**(2**-scale)``. Source: the OpenTelemetry metrics data
    model.
    """

    __slots__ = ("buckets", "count", "maximum", "minimum", "scale", "total", "zeros")

    def __init__(self) -> None:
        self.scale = _START_SCALE
        self.buckets: dict[int, int] = {}
        self.count = self.zeros = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf

    def record(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        if value <= 0:
            self.zeros += 1
            return
        index = self._index(value)
        self.buckets[index] = self.buckets.get(index, 0) + 1
        while max(self.buckets) - min(self.buckets) >= MAX_BUCKETS:
            self._halve()

    def _index(self, value: float) -> int:
        return math.ceil(math.log2(value) * 2.0**self.scale) - 1

    def _halve(self) -> None:
        self.scale -= 1
        merged: dict[int, int] = {}
        for index, count in self.buckets.items():
            merged[index >> 1] = merged.get(index >> 1, 0) + count
        self.buckets = merged


Slot = float | ExplicitHistogram | ExponentialHistogram


class Instrument:
    """All series of one metric. Attribute values come as a tuple in the order of ``spec.attributes``; an empty one is left
    out.
    """

    __slots__ = ("_exponential", "_lock", "limit", "overflowed", "series", "spec")

    def __init__(self, spec: MetricName, *, limit: int, exponential: bool, lock: threading.Lock) -> None:
        self.spec = spec
        self.limit = limit
        self.series: dict[Key, Slot] = {}
        self.overflowed = 0
        self._exponential = exponential
        self._lock = lock

    def add(self, key: Key, amount: float = 1.0) -> None:
        """Add to a counter."""
        with self._lock:
            key = self._admit(key)
            known = self.series.get(key, 0.0)
            assert isinstance(known, float)
            self.series[key] = known + amount

    def set(self, key: Key, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self.series[self._admit(key)] = float(value)

    def record(self, key: Key, value: float) -> None:
        """Record into a histogram."""
        with self._lock:
            key = self._admit(key)
            slot = self.series.get(key)
            if slot is None:
                slot = ExponentialHistogram() if self._exponential else ExplicitHistogram(self.spec.edges)
                self.series[key] = slot
            assert not isinstance(slot, float)
            slot.record(value)

    def touch(self, key: Key) -> None:
        """Make a counter's series exist, at zero."""
        with self._lock:
            self.series.setdefault(self._admit(key), 0.0)

    def forget(self, attribute: str, kept: frozenset[str]) -> None:
        """Drop the series whose ``attribute`` is not among ``kept``: their source is gone."""
        position = self.spec.attributes.index(attribute)
        with self._lock:
            for key in [one for one in self.series if one is not OVERFLOWED and one[position] not in kept]:
                del self.series[key]

    def _admit(self, key: Key) -> Key:
        if key in self.series or len(self.series) < self.limit:
            return key
        self.overflowed += 1
        return OVERFLOWED


class Slots:
    """All instruments of a process, made when first used."""

    def __init__(self, *, limit: int = DEFAULT_LIMIT, exponential: bool = False) -> None:
        self.limit = limit
        self.exponential = exponential
        self.lock = threading.Lock()
        self._instruments: dict[str, Instrument] = {}

    def __getitem__(self, spec: MetricName) -> Instrument:
        known = self._instruments.get(spec.name)
        if known is None:
            known = Instrument(spec, limit=self.limit, exponential=self.exponential, lock=self.lock)
            self._instruments[spec.name] = known
        return known

    def __iter__(self) -> Iterator[Instrument]:
        """Every instrument that has series; overflow counts first brought up to date."""
        for instrument in tuple(self._instruments.values()):
            if instrument.overflowed:
                self[OVERFLOW].set((instrument.spec.name,), instrument.overflowed)
        return iter(tuple(self._instruments.values()))
