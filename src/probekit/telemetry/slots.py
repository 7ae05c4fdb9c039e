"""Measurements in slots of our own: bound once to their attributes, then a few additions each; read at export.

The SDK's instruments cost 20 to 50 times as much per measurement and have no bound on the number of series. Ours have one; what
lies beyond it is folded into one series, marked ``otel.metric.overflow``, and counted.

One thread writes (the event loop's), one may read: slots take no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from probekit.model import Status
from probekit.secret import redact
from probekit.telemetry.histograms import ExplicitHistogram, ExponentialHistogram, Histogram
from probekit.telemetry.names import OVERFLOW, SELF_TELEMETRY, MetricName

DEFAULT_LIMIT: Final = 2_000
"""Attribute sets per metric: the OpenTelemetry specification's default. A state's five points count as one set."""

Key = tuple[str | int, ...]
"""Attribute values in the order of ``MetricName.attributes``; an empty text stands for an absent attribute."""


class Counter:
    """A sum that only grows."""

    __slots__ = ("folded", "start_ns", "value")

    def __init__(self, start_ns: int, edges: tuple[float, ...] = ()) -> None:
        self.value: float = 0.0
        self.start_ns = start_ns
        self.folded = 0

    def add(self, amount: float = 1.0) -> None:
        """Add ``amount``, never negative."""
        self.value += amount


class Gauge:
    """The last value; no point is exported while there is none."""

    __slots__ = ("folded", "start_ns", "value")

    def __init__(self, start_ns: int, edges: tuple[float, ...] = ()) -> None:
        self.value: float | None = None
        self.start_ns = start_ns
        self.folded = 0

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value

    def clear(self) -> None:
        """Nothing was measured this time: an old value must not pass for a new one."""
        self.value = None


class State:
    """The present status; all five points are 0 before the first, and while there is none."""

    __slots__ = ("folded", "start_ns", "value")

    def __init__(self, start_ns: int, edges: tuple[float, ...] = ()) -> None:
        self.value: Status | None = None
        self.start_ns = start_ns
        self.folded = 0

    def set(self, status: Status) -> None:
        """Replace the status."""
        self.value = status

    def clear(self) -> None:
        """Nothing was judged this time."""
        self.value = None


# What stands for all sets beyond the limit counts its measurements; the plain slots do not pay for that.


class _FoldedCounter(Counter):
    __slots__ = ()

    def add(self, amount: float = 1.0) -> None:
        self.folded += 1
        self.value += amount


class _FoldedGauge(Gauge):
    __slots__ = ()

    def set(self, value: float) -> None:
        self.folded += 1
        self.value = value


class _FoldedState(State):
    __slots__ = ()

    def set(self, status: Status) -> None:
        self.folded += 1
        self.value = status


class _FoldedExplicit(ExplicitHistogram):
    __slots__ = ()

    def record(self, value: float) -> None:
        self.folded += 1
        super().record(value)


class _FoldedExponential(ExponentialHistogram):
    __slots__ = ()

    def record(self, value: float) -> None:
        self.folded += 1
        super().record(value)


Slot = Counter | Gauge | State | Histogram
S = TypeVar("S", bound=Slot)
Make = Callable[[int, tuple[float, ...]], S]


class Instrument(Generic[S]):
    """All series of one metric. Bind a slot once, outside the hot path, and record into it."""

    __slots__ = ("_clock_ns", "_make", "_make_folded", "limit", "overflow", "series", "spec")

    def __init__(self, spec: MetricName, make: Make[S], make_folded: Make[S], limit: int, clock_ns: Callable[[], int]) -> None:
        self.spec = spec
        self.limit = limit
        self.series: dict[Key, S] = {}
        self.overflow: S | None = None
        """The slot of all sets beyond the limit."""
        self._make = make
        self._make_folded = make_folded
        self._clock_ns = clock_ns

    def bind(self, key: Key, *, edge: float | None = None) -> S:
        """The slot of that attribute set, made when it is new; its series exists from now on.

        ``edge`` is a threshold to have among a new histogram's bounds. Secrets are removed from the values here.
        """
        known = self.series.get(key)
        if known is not None:
            return known
        shown = tuple(redact(value) if isinstance(value, str) else value for value in key)
        known = self.series.get(shown)
        if known is not None:
            return known
        edges = self.spec.edges
        if len(self.series) >= self.limit:
            if self.overflow is None:
                self.overflow = self._make_folded(self._clock_ns(), edges)
            return self.overflow
        if edge is not None and edge > 0 and edge not in edges:
            edges = tuple(sorted((*edges, edge)))
        slot = self._make(self._clock_ns(), edges)
        self.series[shown] = slot
        return slot

    def remove_where(self, gone: Callable[[Key], bool]) -> None:
        """Expire every series whose key is gone."""
        for key in [key for key in self.series if gone(key)]:
            del self.series[key]

    @property
    def folded(self) -> int:
        """Measurements that went into the overflow."""
        return 0 if self.overflow is None else self.overflow.folded


class Slots:
    """All instruments of a process, each made when first asked for."""

    def __init__(self, *, limit: int = DEFAULT_LIMIT, exponential: bool = False, clock_ns: Callable[[], int]) -> None:
        self.limit = limit
        self.exponential = exponential
        self._clock_ns = clock_ns
        self._known: dict[str, Instrument[Counter] | Instrument[Gauge] | Instrument[State] | Instrument[Histogram]] = {}

    def counter(self, spec: MetricName) -> Instrument[Counter]:
        """The instrument of a counter."""
        return self._instrument(spec, "counter", Counter, _FoldedCounter)

    def gauge(self, spec: MetricName) -> Instrument[Gauge]:
        """The instrument of a gauge."""
        return self._instrument(spec, "gauge", Gauge, _FoldedGauge)

    def state(self, spec: MetricName) -> Instrument[State]:
        """The instrument of a state; keys leave out its last attribute, the status itself."""
        return self._instrument(spec, "state", State, _FoldedState)

    def histogram(self, spec: MetricName) -> Instrument[Histogram]:
        """The instrument of a histogram, explicit or exponential as these slots were made."""
        if self.exponential:
            return self._instrument(spec, "histogram", ExponentialHistogram, _FoldedExponential)
        return self._instrument(spec, "histogram", ExplicitHistogram, _FoldedExplicit)

    def _instrument(self, spec: MetricName, kind: str, make: Make[S], folded: Make[S]) -> Instrument[S]:
        known = self._known.get(spec.name)
        if known is None:
            assert spec.kind == kind
            # What counts the folding must not be folded itself; its sets are bounded by this module's own names.
            limit = DEFAULT_LIMIT if spec in SELF_TELEMETRY else self.limit
            made = Instrument(spec, make, folded, limit, self._clock_ns)
            self._known[spec.name] = made  # type: ignore[assignment]
            return made
        return known  # type: ignore[return-value]

    def __iter__(self) -> Iterator[Instrument[Counter] | Instrument[Gauge] | Instrument[State] | Instrument[Histogram]]:
        """Every instrument, the overflow's counts brought up to date first."""
        for instrument in tuple(self._known.values()):
            if instrument.folded:
                self.counter(OVERFLOW).bind((instrument.spec.name,)).value = float(instrument.folded)
        return iter(tuple(self._known.values()))
