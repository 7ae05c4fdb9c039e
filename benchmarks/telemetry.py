"""What a measurement costs on the event loop: our bound slots against the OpenTelemetry SDK's instruments.

Both sides keep a histogram and a counter of the same attributes; the SDK has them pre-built as a dictionary, which is as far as
its interface lets a caller bind. Neither side exports while it is measured.
"""

from __future__ import annotations

import time
from typing import Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from benchmarks.row import Row
from probekit.telemetry import names
from probekit.telemetry.slots import Slots

RECORDS: Final = 2_000
"""Measurements in one call: the clock's own cost disappears."""
_VALUES: Final = tuple(0.001 * (1 + number % 977) for number in range(RECORDS))


def rows() -> list[Row]:
    """The rows of telemetry, each for ``RECORDS`` measurements."""
    edges = names.HTTP_DURATION.edges
    view = View(instrument_name="*", aggregation=ExplicitBucketHistogramAggregation(edges))
    meter = MeterProvider(metric_readers=[InMemoryMetricReader()], views=[view]).get_meter("benchmark")
    counting = MeterProvider(metric_readers=[InMemoryMetricReader()]).get_meter("benchmark")
    sdk_histogram = meter.create_histogram(names.HTTP_DURATION.name, "s")
    sdk_counter = counting.create_counter(names.RUNS.name)
    http: dict[str, str | int] = {
        "http.request.method": "GET",
        "server.address": "hermes.example",
        "server.port": 443,
        "http.response.status_code": 200,
    }
    run = {"probe": "hermes_freshness", "vantage.region": "eu-west-1", "status": "ok"}

    slots = Slots(clock_ns=time.time_ns)
    histogram = slots.histogram(names.HTTP_DURATION).bind(("GET", "hermes.example", 443, 200, "", "1.1"))
    counter = slots.counter(names.RUNS).bind(("hermes_freshness", "eu-west-1", "ok"))

    def our_histogram() -> None:
        record = histogram.record
        for value in _VALUES:
            record(value)

    def their_histogram() -> None:
        record = sdk_histogram.record
        for value in _VALUES:
            record(value, http)

    def our_counter() -> None:
        add = counter.add
        for _ in _VALUES:
            add()

    def their_counter() -> None:
        add = sdk_counter.add
        for _ in _VALUES:
            add(1, run)

    peer = "opentelemetry-sdk instrument"
    return [
        {
            "name": f"{RECORDS} histogram measurements",
            "ours": our_histogram,
            "peer": their_histogram,
            "peer_name": peer,
            "target": None,
            "unit": "s",
        },
        {
            "name": f"{RECORDS} counter measurements",
            "ours": our_counter,
            "peer": their_counter,
            "peer_name": peer,
            "target": None,
            "unit": "s",
        },
    ]
