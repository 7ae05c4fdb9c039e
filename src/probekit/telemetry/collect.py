"""Slots as the SDK's metric data, for its OTLP encoder or for any of its ``MetricExporter`` s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from probekit.model import Status
from probekit.telemetry import slots as own
from probekit.telemetry.histograms import ExemplarRef, HistogramSnapshot
from probekit.telemetry.identity import span_id, trace_id
from probekit.telemetry.names import MetricName

Temporality = Literal["cumulative", "delta"]

MAX_POINTS: Final = 4_000
"""Points in one request where several metrics can be told apart: keeps a request below the receivers' usual 4 MiB."""

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_DELTA: Final = AggregationTemporality.DELTA


class Collector:
    """Reads ``slots`` at each :meth:`collect`. With ``delta``, counters and histograms tell what came since the last one;
    states stay cumulative, as the specification has it for what goes up and down.
    """

    def __init__(
        self,
        slots: own.Slots,
        resource: Resource,
        scope: InstrumentationScope,
        *,
        temporality: Temporality = "cumulative",
        clock_ns: Callable[[], int],
    ) -> None:
        self._slots = slots
        self._resource = resource
        self._scope = scope
        self._delta = temporality == "delta"
        self._clock_ns = clock_ns
        self._last_ns = 0
        self._seen: dict[tuple[str, own.Key], tuple[own.Slot, float | HistogramSnapshot]] = {}

    def collect(self) -> Iterator[tuple[MetricsData, int]]:
        """All series as they are now, in parts of about ``MAX_POINTS``, each with its number of points."""
        now_ns = self._clock_ns()
        fresh: dict[tuple[str, own.Key], tuple[own.Slot, float | HistogramSnapshot]] = {}
        part: list[Metric] = []
        count = 0
        for instrument in self._slots:
            metric, points = self._metric(instrument, now_ns, fresh)
            if not points:
                continue
            if part and count + points > MAX_POINTS:
                yield self._data(part), count
                part, count = [], 0
            part.append(metric)
            count += points
        if part:
            yield self._data(part), count
        self._seen, self._last_ns = fresh, now_ns

    def _data(self, metrics: list[Metric]) -> MetricsData:
        return MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(self._scope, metrics, "")], "")])

    def _metric(self, instrument: own.Instrument[Any], now_ns: int, fresh: dict[Any, Any]) -> tuple[Metric, int]:
        spec: MetricName = instrument.spec
        series: dict[own.Key, own.Slot] = instrument.series.copy()
        points: list[Any] = []
        for key, slot in series.items():
            attributes = {name: value for name, value in zip(spec.attributes, key, strict=False) if value != ""}
            points += self._points((spec.name, key), slot, attributes, now_ns, fresh)
        if instrument.overflow is not None:
            folded = {"otel.metric.overflow": True}
            points += self._points((spec.name, ("\0overflow",)), instrument.overflow, folded, now_ns, fresh)
        temporality = _DELTA if self._delta else _CUMULATIVE
        data: Any
        if spec.kind == "counter":
            data = Sum(points, temporality, is_monotonic=True)
        elif spec.kind == "state":
            data = Sum(points, _CUMULATIVE, is_monotonic=False)
        elif spec.kind == "gauge":
            data = Gauge(points)
        elif points and isinstance(points[0], ExponentialHistogramDataPoint):
            data = ExponentialHistogram(points, temporality)
        else:
            data = Histogram(points, temporality)
        return Metric(spec.name, spec.description, spec.unit, data), len(points)

    def _points(
        self, series: tuple[str, own.Key], slot: own.Slot, attributes: dict[str, Any], now_ns: int, fresh: dict[Any, Any]
    ) -> list[Any]:
        if isinstance(slot, own.Gauge):
            value = slot.value
            return [] if value is None else [NumberDataPoint(attributes, slot.start_ns, now_ns, value)]
        if isinstance(slot, own.State):
            present = slot.value
            return [
                NumberDataPoint({**attributes, "status": str(status)}, slot.start_ns, now_ns, int(status is present))
                for status in Status
            ]
        before = self._seen.get(series)
        # A series that expired and came back begins anew, and so does its start time.
        known = before[1] if self._delta and before is not None and before[0] is slot else None
        start_ns = slot.start_ns if known is None else self._last_ns
        if isinstance(slot, own.Counter):
            total = slot.value
            fresh[series] = (slot, total)
            amount = total - known if isinstance(known, float) else total
            return [NumberDataPoint(attributes, start_ns, now_ns, int(amount) if amount.is_integer() else amount)]
        taken = slot.snapshot(fresh_range=self._delta)
        fresh[series] = (slot, taken)
        if isinstance(known, HistogramSnapshot):
            taken = taken.minus(known)
        return [_histogram_point(taken, attributes, start_ns, now_ns)]


def _histogram_point(taken: HistogramSnapshot, attributes: dict[str, Any], start_ns: int, now_ns: int) -> Any:
    exemplars = [_exemplar(one) for one in taken.exemplars]
    # Nothing recorded has no extremes; the encoder leaves None out.
    low: Any = taken.minimum
    high: Any = taken.maximum
    if taken.scale is None:
        # What may be negative has no sum, by the metrics data model: a receiver would take it for a counter.
        total: Any = None if taken.bounds and taken.bounds[0] < 0 else taken.total
        return HistogramDataPoint(
            attributes, start_ns, now_ns, taken.count, total, taken.counts, taken.bounds, low, high, exemplars
        )
    first = taken.indexed[0][0] if taken.indexed else 0
    counts = [0] * (taken.indexed[-1][0] - first + 1) if taken.indexed else []
    for index, number in taken.indexed:
        counts[index - first] = number
    return ExponentialHistogramDataPoint(
        attributes,
        start_ns,
        now_ns,
        taken.count,
        taken.total,
        taken.scale,
        taken.zeros,
        Buckets(first, counts),
        Buckets(0, []),
        0,
        low,
        high,
        exemplars,
    )


def _exemplar(ref: ExemplarRef) -> Exemplar:
    value, time_ns, run_id, number = ref
    return Exemplar({}, value, time_ns, span_id(run_id, number), trace_id(run_id))
