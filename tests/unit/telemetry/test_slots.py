"""Slots: what is recorded comes out, the number of series is bounded, nothing folded goes uncounted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from probekit.model import Status
from probekit.secret import Secret
from probekit.telemetry import names
from probekit.telemetry.collect import Collector
from probekit.telemetry.histograms import MAX_BUCKETS, ExplicitHistogram, ExponentialHistogram
from probekit.telemetry.slots import Slots
from probekit.telemetry.spans import resource_of
from tests.unit.telemetry.receiver import attributes, points, values

SCOPE = InstrumentationScope("test", "1")


def clock() -> Callable[[], int]:
    counter = itertools.count(1_000, 1_000)
    return lambda: next(counter)


def exported(slots: Slots, collector: Collector | None = None, **changes: Any) -> dict[str, Any]:
    """One export, as protobuf by name."""
    collector = collector or Collector(slots, resource_of({}), SCOPE, clock_ns=clock(), **changes)
    return {
        metric.name: metric
        for data, _ in collector.collect()
        for resource in encode_metrics(data).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_a_counter_a_gauge_and_a_state_come_out_as_recorded() -> None:
    slots = Slots(clock_ns=clock())
    slots.counter(names.SKIPPED_TICKS).bind(("p", "eu")).add(3)
    slots.gauge(names.LOOP_LAG).bind(("p", "eu")).set(0.25)
    slots.gauge(names.CLOCK_ERROR).bind(("p", "eu"))
    state = slots.state(names.RUN_STATUS).bind(("p", "eu"))
    metrics = exported(slots)
    assert values(metrics["probekit.run.skipped_ticks"]) == {("p", "eu"): 3}
    assert metrics["probekit.run.skipped_ticks"].sum.is_monotonic
    assert metrics["probekit.run.skipped_ticks"].unit == "{tick}"
    assert values(metrics["probekit.loop.lag"]) == {("p", "eu"): 0.25}
    assert "probekit.clock.error" not in metrics
    assert set(values(metrics["probekit.run.status"]).values()) == {0}
    state.set(Status.CRITICAL)
    metrics = exported(slots)
    assert not metrics["probekit.run.status"].sum.is_monotonic
    assert {key[1]: value for key, value in values(metrics["probekit.run.status"]).items()} == {
        "ok": 0,
        "warning": 0,
        "critical": 1,
        "unknown": 0,
        "skipped": 0,
    }


def test_an_absent_attribute_is_left_out_and_numbers_stay_numbers() -> None:
    slots = Slots(clock_ns=clock())
    slots.histogram(names.HTTP_DURATION).bind(("GET", "h", 443, 200, "", "1.1")).record(0.1)
    (point,) = points(exported(slots)["http.client.request.duration"])
    assert attributes(point) == {
        "http.request.method": "GET",
        "server.address": "h",
        "server.port": 443,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }


@pytest.mark.parametrize("exponential", [False, True])
def test_beyond_the_limit_measurements_are_folded_marked_and_counted(exponential: bool) -> None:
    slots = Slots(limit=2, exponential=exponential, clock_ns=clock())
    counter, gauge = slots.counter(names.RUNS), slots.gauge(names.LOOP_LAG)
    state, histogram = slots.state(names.RUN_STATUS), slots.histogram(names.RUN_LATENESS)
    for number in range(5):
        counter.bind((f"p{number}", "eu", "ok")).add(number)
        gauge.bind((f"p{number}", "eu")).set(number)
        state.bind((f"p{number}", "eu")).set(Status.WARNING)
        histogram.bind((f"p{number}", "eu")).record(0.2)
    metrics = exported(slots)
    folded = values(metrics["probekit.runs"])
    assert folded == {("p0", "ok", "eu"): 0, ("p1", "ok", "eu"): 1, (True,): 2 + 3 + 4}
    (overflow,) = [one for one in points(metrics["probekit.run.lateness"]) if "otel.metric.overflow" in attributes(one)]
    assert overflow.count == 3
    assert len(points(metrics["probekit.run.status"])) == 3 * 5
    assert values(metrics["probekit.telemetry.overflow"]) == {
        ("probekit.runs",): 3,
        ("probekit.loop.lag",): 3,
        ("probekit.run.status",): 3,
        ("probekit.run.lateness",): 3,
    }


def test_the_series_of_a_metric_at_its_limit_never_grow() -> None:
    slots = Slots(clock_ns=clock())
    for number in range(5_000):
        slots.gauge(names.LOOP_LAG).bind((f"p{number}", "eu")).set(1)
    assert len(points(exported(slots)["probekit.loop.lag"])) == 2_000 + 1


def test_secrets_are_removed_from_attribute_values() -> None:
    canary = Secret("canary-9127-xyz")
    slots = Slots(clock_ns=clock())
    slots.gauge(names.LOOP_LAG).bind((f"p {canary.reveal()}", "eu")).set(1)
    slots.gauge(names.LOOP_LAG).bind((f"p {canary.reveal()}", "eu")).set(2)
    assert values(exported(slots)["probekit.loop.lag"]) == {("p [redacted]", "eu"): 2}


def test_a_threshold_becomes_an_edge_of_its_series() -> None:
    slots = Slots(clock_ns=clock())
    slots.histogram(names.RUN_DURATION).bind(("p", "eu", ""), edge=3.0).record(3.0)
    slots.histogram(names.RUN_DURATION).bind(("q", "eu", ""), edge=2.0).record(3.0)
    first, second = points(exported(slots)["probekit.run.duration"])
    assert list(first.explicit_bounds) == sorted({*names.SHORT_SECONDS, 3.0})
    assert list(second.explicit_bounds) == list(names.SHORT_SECONDS)
    # A value on the threshold is within it.
    assert first.bucket_counts[list(first.explicit_bounds).index(3.0)] == 1


def test_an_empty_histogram_exists_at_zero_without_extremes() -> None:
    for exponential in (False, True):
        slots = Slots(exponential=exponential, clock_ns=clock())
        slots.histogram(names.RUN_LATENESS).bind(("p", "eu"))
        (point,) = points(exported(slots)["probekit.run.lateness"])
        assert (point.count, point.sum) == (0, 0.0)
        assert not point.HasField("min")
        assert not point.HasField("max")


@given(st.lists(st.floats(min_value=0, max_value=1e6, allow_nan=False), max_size=200))
def test_explicit_buckets_are_what_counting_by_hand_gives(numbers: list[float]) -> None:
    histogram = ExplicitHistogram(0, names.SECONDS)
    for number in numbers:
        histogram.record(number)
    taken = histogram.snapshot(fresh_range=False)
    bounds = (-math.inf, *names.SECONDS, math.inf)
    by_hand = [sum(low < number <= high for number in numbers) for low, high in itertools.pairwise(bounds)]
    assert list(taken.counts) == by_hand
    assert taken.count == len(numbers)
    assert taken.total == pytest.approx(sum(numbers))
    assert (taken.minimum, taken.maximum) == ((min(numbers), max(numbers)) if numbers else (None, None))


@given(st.lists(st.floats(min_value=0, max_value=1e9, allow_nan=False, allow_subnormal=False), min_size=1, max_size=300))
def test_exponential_buckets_hold_every_value_in_at_most_160(numbers: list[float]) -> None:
    histogram = ExponentialHistogram(0)
    for number in numbers:
        histogram.record(number)
    taken = histogram.snapshot(fresh_range=False)
    assert taken.count == len(numbers)
    assert taken.zeros == sum(number == 0 for number in numbers)
    assert taken.scale is not None
    if taken.indexed:
        assert taken.indexed[-1][0] - taken.indexed[0][0] < MAX_BUCKETS
    width = 2.0**-taken.scale
    counts = dict(taken.indexed)
    for number in (one for one in numbers if one > 0):
        # A value on a boundary may fall to either side, by the rounding of log2.
        index = math.ceil(math.log2(number) / width) - 1
        assert any(counts.get(near) for near in (index - 1, index, index + 1))


def test_exponential_error_is_below_five_percent_from_1_ms_to_100_s() -> None:
    histogram = ExponentialHistogram(0)
    for step in range(5_001):
        histogram.record(0.001 * 10 ** (step / 1_000))
    scale = histogram.snapshot(fresh_range=False).scale
    assert scale is not None
    assert 2 ** (2.0**-scale) - 1 < 0.12  # a bucket's width; its middle is off by half of that at most
    histogram.record(math.nan)
    histogram.record(math.inf)
    assert histogram.snapshot(fresh_range=False).zeros == 2


@pytest.mark.parametrize("exponential", [False, True])
def test_delta_tells_what_came_since_and_loses_nothing(exponential: bool) -> None:
    slots = Slots(exponential=exponential, clock_ns=clock())
    collector = Collector(slots, resource_of({}), SCOPE, temporality="delta", clock_ns=clock())
    counter = slots.counter(names.SKIPPED_TICKS).bind(("p", "eu"))
    histogram = slots.histogram(names.RUN_LATENESS).bind(("p", "eu"))
    state = slots.state(names.RUN_STATUS).bind(("p", "eu"))
    state.set(Status.OK)
    counts, sums, added, starts, ends = [], [], [], [], []
    for batch in ((0.1, 0.2), (), (50.0, 0.0001)):
        for value in batch:
            histogram.record(value)
            counter.add()
        metrics = exported(slots, collector)
        (point,) = points(metrics["probekit.run.lateness"])
        counts.append(point.count)
        sums.append(round(point.sum, 6))
        added.append(next(iter(values(metrics["probekit.run.skipped_ticks"]).values())))
        starts.append(point.start_time_unix_nano)
        ends.append(point.time_unix_nano)
        assert point.HasField("min") == bool(batch)
        if batch:
            assert (point.min, point.max) == (min(batch), max(batch))
        kind = metrics["probekit.run.lateness"].WhichOneof("data")
        assert getattr(metrics["probekit.run.lateness"], kind).aggregation_temporality == 1
        assert metrics["probekit.run.status"].sum.aggregation_temporality == 2
        assert 1 in values(metrics["probekit.run.status"]).values()
    assert (counts, sums, added) == ([2, 0, 2], [0.3, 0, 50.0001], [2, 0, 2])
    assert starts[1:] == ends[:-1]


def test_a_series_that_expired_and_came_back_starts_anew() -> None:
    now = clock()
    slots = Slots(clock_ns=now)
    collector = Collector(slots, resource_of({}), SCOPE, temporality="delta", clock_ns=now)
    instrument = slots.counter(names.RUNS)
    instrument.bind(("p", "eu", "ok")).add(5)
    first = points(exported(slots, collector)["probekit.runs"])[0]
    instrument.remove_where(lambda key: key[0] == "p")
    instrument.bind(("p", "eu", "ok")).add(2)
    again = points(exported(slots, collector)["probekit.runs"])[0]
    assert again.as_int == 2
    assert again.start_time_unix_nano > first.start_time_unix_nano


def test_exemplars_are_one_per_bucket_and_leave_with_their_export() -> None:
    slots = Slots(clock_ns=clock())
    slot = slots.histogram(names.RUN_LATENESS).bind(("p", "eu"))
    for value, run in ((0.2, "1" * 32), (0.21, "2" * 32), (9.0, "3" * 32)):
        slot.record(value)
        slot.exemplify((value, 7, run, 0))
    (point,) = points(exported(slots)["probekit.run.lateness"])
    assert sorted(one.trace_id.hex() for one in point.exemplars) == ["2" * 32, "3" * 32]
    assert not points(exported(slots)["probekit.run.lateness"])[0].exemplars


def test_a_large_export_is_cut_between_metrics() -> None:
    slots = Slots(limit=10_000, clock_ns=clock())
    for spec in (names.LOOP_LAG, names.CLOCK_ERROR, names.LAST_RUN):
        for number in range(3_000):
            slots.gauge(spec).bind((f"p{number}", "eu")).set(1)
    collector = Collector(slots, resource_of({}), SCOPE, clock_ns=clock())
    assert [count for _, count in collector.collect()] == [3_000, 3_000, 3_000]
