"""The recorder that sends runs to an OTLP receiver. On the event loop it only adds; encoding and sending are threads."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord

from probekit.model import ProbeRun, Status
from probekit.runner import ProbeInfo
from probekit.telemetry import names
from probekit.telemetry.collect import Collector
from probekit.telemetry.delivery import Backoff, Counters, Delivery, DropReason, Sender
from probekit.telemetry.environment import SIGNALS, Signal, SignalSettings, TelemetrySettings
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.telemetry.spans import SCOPE, VerdictLog, journeys_of, resource_of, spans_of

_log = logging.getLogger("probekit.telemetry")

FLUSH_S: Final = 5.0
"""How long closing may take, over all signals."""
MAX_WAITING: Final = 128
"""Runs waiting to be encoded. They hold their observations' evidence, so they wait encoded, not as they are."""
_LOG_PART: Final = 1_000_000
_REASONS: Final[tuple[DropReason, ...]] = ("queue_full", "refused", "gave_up", "closing", "defect")


class OtelRecorder:
    """A :class:`~probekit.runner.Recorder` to OTLP: a trace per run, log records for what is not OK, metrics at an interval.

    :meth:`start` makes every foreseeable series exist at zero. ``counters`` say per signal what was handed over, exported,
    rejected, dropped and retried; they are metrics too. Export failure never reaches a probe.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        *,
        make_sender: Callable[[SignalSettings], Sender] | None = None,
        backoff: Backoff | None = None,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._resource = resource_of(dict(settings.resource))
        self._sampler = settings.sampler
        self._all_exemplars = settings.exemplars == "always_on"
        self.slots = Slots(limit=settings.cardinality_limit, exponential=settings.exponential, clock_ns=time.time_ns)
        self._meter = RunMeter(self.slots, exemplars=settings.exemplars != "always_off")
        self.collector = Collector(self.slots, self._resource, SCOPE, temporality=settings.temporality, clock_ns=time.time_ns)
        self._verdict_log = VerdictLog(self._resource)
        self._flush_s = flush_s
        senders = {one.signal: (make_sender or sender_of)(one) for one in settings.signals}
        self._deliveries: dict[Signal, Delivery] = {
            one.signal: Delivery(one, senders[one.signal], backoff=backoff or Backoff()) for one in settings.signals
        }
        self._interval_s = next((one.delay_s for one in settings.signals if one.signal == "metrics"), None)
        self._tell_counters()
        self._waiting: deque[ProbeRun] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._defective = False
        self._thread = threading.Thread(target=self._work, name="otlp encoder", daemon=True)
        self._thread.start()

    @property
    def counters(self) -> dict[Signal, Counters]:
        """Per signal, as of now."""
        return {signal: delivery.counters for signal, delivery in self._deliveries.items()}

    # -- Recorder: on the event loop -----------------------------------------------------------------------------------

    def start(self, info: ProbeInfo) -> None:
        """Make the probe's series exist; expire those of targets it no longer has."""
        self._meter.start(info)

    def record(self, run: ProbeRun) -> None:
        """Add the run's measurements and hand it to the encoder."""
        self._meter.record(
            run,
            sampled=self._all_exemplars or self._sampler.samples(run.run_id),
            journey_sampled=(lambda _: True) if self._all_exemplars else self._sampler.samples,
        )
        with self._wake:
            if self._closing:
                return
            lost = self._waiting.popleft() if len(self._waiting) >= MAX_WAITING else None
            self._waiting.append(run)
            self._wake.notify()
        if lost is not None:
            self._lose(lost, "queue_full")

    async def aclose(self) -> None:
        """Send a last export of metrics and all that waits, within ``flush_s``; what is left then is dropped, counted."""
        try:
            await asyncio.to_thread(self.close)
        except RuntimeError:
            # No room for a thread's stack. A process that ends for want of memory still tells why; nothing else of it goes on.
            self.close()

    def close(self) -> None:
        """:meth:`aclose` for where no event loop runs; blocks. Idempotent."""
        deadline_s = time.monotonic() + self._flush_s
        with self._wake:
            first, self._closing = not self._closing, True
            self._wake.notify()
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._wake:
            left = tuple(self._waiting)
            self._waiting.clear()
        for run in left:
            self._lose(run, "closing")
        if first and not self._thread.is_alive():
            self._export_metrics()
        for delivery in self._deliveries.values():
            delivery.begin_close(deadline_s)
        for delivery in self._deliveries.values():
            delivery.finish_close()

    # -- the encoder's thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        next_s = None if self._interval_s is None else time.monotonic() + self._interval_s
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    left_s = None if next_s is None else next_s - time.monotonic()
                    if left_s is not None and left_s <= 0:
                        break
                    self._wake.wait(left_s)
                run = self._waiting.popleft() if self._waiting else None
                if run is None and self._closing:
                    return
            if run is not None:
                self._guarded(lambda run=run: self._encode(run), lambda run=run: self._lose(run, "defect"))  # type: ignore[misc]
            if next_s is not None and self._interval_s is not None and time.monotonic() >= next_s:
                self._export_metrics()
                # A late export does not shift the ones after it, and missed ones are not made up for.
                next_s += self._interval_s * max(1, (time.monotonic() - next_s) // self._interval_s + 1)

    def _guarded(self, work: Callable[[], None], lose: Callable[[], None] | None = None) -> None:
        try:
            work()
        except Exception:
            if not self._defective:
                _log.exception("telemetry could not be encoded; further failures are counted only")
            self._defective = True
            if lose is not None:
                lose()

    def _encode(self, run: ProbeRun) -> None:
        sampled = self._sampler.samples(run.run_id)
        logs: list[tuple[bytes, int]] = []
        if "logs" in self._deliveries:
            logs = list(_log_parts(list(self._verdict_log.records(run, sampled=sampled))))
        if (traces := self._deliveries.get("traces")) is not None:
            spans = spans_of(run, self._resource) if sampled else []
            spans += journeys_of(run, self._resource, self._sampler)
            if spans:
                traces.put(encode_spans(spans).SerializeToString(), len(spans))
        for payload, items in logs:
            self._deliveries["logs"].put(payload, items)

    def _lose(self, run: ProbeRun, reason: DropReason) -> None:
        if "traces" in self._deliveries:
            spans = 1 + len(run.requests) if self._sampler.samples(run.run_id) else 0
            spans += sum(1 + len(one.stages) for one in run.journeys if self._sampler.samples(one.id))
            self._deliveries["traces"].lose(spans, reason)
        if "logs" in self._deliveries:
            untold = (Status.OK, Status.SKIPPED)
            told = [one for result in run.results for one in result.verdicts if one.status not in untold]
            items = sum(1 + len(verdict.parts) for verdict in told)
            self._deliveries["logs"].lose(items, reason)

    def _export_metrics(self) -> None:
        if "metrics" in self._deliveries:
            self._guarded(self._put_metrics)

    def _put_metrics(self) -> None:
        self._tell_counters()
        for data, points in self.collector.collect():
            self._deliveries["metrics"].put(encode_metrics(data).SerializeToString(), points)

    def _tell_counters(self) -> None:
        for signal in SIGNALS:
            delivery = self._deliveries.get(signal)
            counters = Counters() if delivery is None else delivery.counters
            for spec, value in (
                (names.EXPORTED, counters.exported),
                (names.REJECTED, counters.rejected),
                (names.RETRIED, counters.retried),
            ):
                self.slots.counter(spec).bind((signal,)).value = float(value)
            for reason in _REASONS:
                self.slots.counter(names.DROPPED).bind((signal, reason)).value = float(counters.reasons.get(reason, 0))


def _log_parts(records: list[ReadableLogRecord]) -> Iterator[tuple[bytes, int]]:
    """Encoded requests of about a megabyte: evidence may be 64 kB a record."""
    part: list[ReadableLogRecord] = []
    size = 0
    for record in records:
        attributes = record.log_record.attributes or {}
        part.append(record)
        size += 1_000 + len(str(attributes.get("probekit.evidence", "")))
        if size >= _LOG_PART:
            yield encode_logs(part).SerializeToString(), len(part)
            part, size = [], 0
    if part:
        yield encode_logs(part).SerializeToString(), len(part)


def sender_of(settings: SignalSettings) -> Sender:
    """The sender of one signal's protocol. Raises ``ModuleNotFoundError`` when its extra is missing."""
    parse = _parser(settings.signal)
    if settings.protocol == "grpc":
        from probekit.telemetry.otlpgrpc import GrpcSender

        return GrpcSender(settings, parse)
    from probekit.telemetry.otlphttp import HttpSender

    return HttpSender(settings, parse)


def _parser(signal: Signal) -> Callable[[bytes], tuple[int, str]]:
    """Reads the partial success of an answer: rejected items, and the receiver's words."""
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        def spans(body: bytes) -> tuple[int, str]:
            partial = ExportTraceServiceResponse.FromString(body).partial_success
            return partial.rejected_spans, partial.error_message

        return spans
    if signal == "metrics":
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

        def points(body: bytes) -> tuple[int, str]:
            partial = ExportMetricsServiceResponse.FromString(body).partial_success
            return partial.rejected_data_points, partial.error_message

        return points
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    def records(body: bytes) -> tuple[int, str]:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
        return partial.rejected_log_records, partial.error_message

    return records
