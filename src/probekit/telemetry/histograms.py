"""The two kinds of histogram, as plain counts. One thread records; another may read at any time."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 160
MAX_SCALE: Final = 20
"""Both are the OpenTelemetry specification's defaults."""

ExemplarRef = tuple[float, int, str, int]
"""An exemplar before export: value, wall-clock ns, run id, number of the span within the run's trace."""


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """A histogram at one moment. Explicit: ``bounds`` and one count more. Exponential: ``scale`` and counts by index."""

    count: int
    total: float
    minimum: float | None
    maximum: float | None
    exemplars: tuple[ExemplarRef, ...]
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    scale: int | None = None
    zeros: int = 0
    indexed: tuple[tuple[int, int], ...] = ()

    def minus(self, earlier: HistogramSnapshot) -> HistogramSnapshot:
        """What was recorded between the two: counts and sum; minimum and maximum are this one's own."""
        count = self.count - earlier.count
        rest: dict[int, int] = dict(self.indexed)
        if self.scale is not None and earlier.scale is not None:
            for index, number in earlier.indexed:
                coarse = index >> (earlier.scale - self.scale)
                rest[coarse] = rest.get(coarse, 0) - number
        return HistogramSnapshot(
            count=count,
            total=self.total - earlier.total,
            minimum=self.minimum if count else None,
            maximum=self.maximum if count else None,
            exemplars=self.exemplars,
            bounds=self.bounds,
            counts=tuple(new - old for new, old in zip(self.counts, earlier.counts, strict=True)),
            scale=self.scale,
            zeros=self.zeros - earlier.zeros,
            indexed=tuple((index, number) for index, number in sorted(rest.items()) if number),
        )


class ExplicitHistogram:
    """Counts between fixed edges; an upper edge belongs to its bucket."""

    __slots__ = ("buckets", "edges", "exemplars", "folded", "maximum", "minimum", "start_ns", "total")

    def __init__(self, start_ns: int, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.buckets = [0] * (len(edges) + 1)
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.exemplars: dict[int, ExemplarRef] = {}
        self.start_ns = start_ns
        self.folded = 0

    def record(self, value: float) -> None:
        """Count ``value`` in."""
        self.buckets[bisect_left(self.edges, value)] += 1
        self.total += value
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value

    def exemplify(self, exemplar: ExemplarRef) -> None:
        """Keep ``exemplar`` as its bucket's newest: one per bucket."""
        self.exemplars[bisect_left(self.edges, exemplar[0])] = exemplar

    def snapshot(self, *, fresh_range: bool) -> HistogramSnapshot:
        """The present counts; ``fresh_range`` starts minimum and maximum anew, for delta temporality."""
        # The count is the sum of a copied list, so that it always agrees with the buckets whatever is recorded meanwhile.
        counts = tuple(self.buckets)
        count = sum(counts)
        low, high = self.minimum, self.maximum
        kept, self.exemplars = self.exemplars, {}
        if fresh_range:
            self.minimum, self.maximum = math.inf, -math.inf
        return HistogramSnapshot(
            count=count,
            total=self.total,
            minimum=low if math.isfinite(low) else None,
            maximum=high if math.isfinite(high) else None,
            exemplars=tuple(kept.values()),
            bounds=self.edges,
            counts=counts,
        )


class ExponentialHistogram:
    """Base-2 exponential buckets, at most ``MAX_BUCKETS``: the scale falls by one until the range fits.

    Bucket ``i`` covers ``(base**i, base**(i+1)]`` with ``base = 2**(2**-scale)``. Source: the OpenTelemetry metrics data model.
    """

    __slots__ = ("exemplar", "folded", "high", "low", "maximum", "minimum", "scaled", "start_ns", "total", "zeros")

    def __init__(self, start_ns: int, edges: tuple[float, ...] = ()) -> None:
        # Scale and counts by index change together, so they are one value: a reader never sees one without the other.
        self.scaled: tuple[int, dict[int, int]] = (MAX_SCALE, {})
        self.low = self.high = 0
        self.zeros = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.exemplar: ExemplarRef | None = None
        self.start_ns = start_ns
        self.folded = 0

    def record(self, value: float) -> None:
        """Count ``value`` in; what is not above zero counts as zero."""
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        if not 0.0 < value < math.inf:
            self.zeros += 1
            return
        self.total += value
        scale, buckets = self.scaled
        index = math.ceil(math.log2(value) * 2.0**scale) - 1
        if index in buckets:
            buckets[index] += 1
            return
        low, high = (min(self.low, index), max(self.high, index)) if buckets else (index, index)
        shift = 0
        while (high >> shift) - (low >> shift) >= MAX_BUCKETS:
            shift += 1
        self.low, self.high = low >> shift, high >> shift
        if not shift:
            buckets[index] = 1
            return
        merged = {index >> shift: 1}
        for one, number in buckets.items():
            merged[one >> shift] = merged.get(one >> shift, 0) + number
        self.scaled = (scale - shift, merged)

    def exemplify(self, exemplar: ExemplarRef) -> None:
        """Keep ``exemplar`` as the newest."""
        self.exemplar = exemplar

    def snapshot(self, *, fresh_range: bool) -> HistogramSnapshot:
        """The present counts; ``fresh_range`` starts minimum and maximum anew, for delta temporality."""
        scale, buckets = self.scaled
        indexed, zeros = tuple(sorted(buckets.copy().items())), self.zeros
        low, high = self.minimum, self.maximum
        exemplar, self.exemplar = self.exemplar, None
        if fresh_range:
            self.minimum, self.maximum = math.inf, -math.inf
        return HistogramSnapshot(
            count=zeros + sum(number for _, number in indexed),
            total=self.total,
            minimum=low if math.isfinite(low) else None,
            maximum=high if math.isfinite(high) else None,
            exemplars=() if exemplar is None else (exemplar,),
            scale=scale,
            zeros=zeros,
            indexed=indexed,
        )


Histogram = ExplicitHistogram | ExponentialHistogram
