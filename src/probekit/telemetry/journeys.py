"""Journeys into slots and spans: durations of their stages as histograms, each journey as a trace of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace import Status as SpanStatus

from probekit.model import ProbeRun
from probekit.model.journey import Journey, Stage
from probekit.telemetry import names
from probekit.telemetry.histograms import Histogram
from probekit.telemetry.identity import span_id, trace_id
from probekit.telemetry.slots import Counter, Key, Slots
from probekit.units import NS_PER_S

_FLAGS: Final = TraceFlags(TraceFlags.SAMPLED)


class JourneyMeter:
    """Keeps what is bound of stages; :meth:`record` is called on the event loop. Bounded by targets, stages and chains."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._durations: dict[Key, Histogram] = {}
        self._missing: dict[Key, Counter] = {}

    def forget(self, gone: Callable[[Key], bool]) -> None:
        """Expire the series of targets that are gone."""
        self._slots.histogram(names.JOURNEY_STAGE_DURATION).remove_where(gone)
        self._slots.counter(names.JOURNEY_MISSING).remove_where(gone)
        self._durations.clear()
        self._missing.clear()

    def record(self, run: ProbeRun, sampled: Callable[[str], bool] | None) -> None:
        """Take the stages of a run's journeys; those whose trace is kept give exemplars."""
        region = run.vantage.region
        for journey in run.journeys:
            exemplary = sampled is not None and sampled(journey.id)
            for number, stage in enumerate(journey.stages, 1):
                key: Key = (run.probe, journey.feed_id, stage.name, stage.chain, region)
                if stage.at is None or stage.failed:
                    self._gap((*key, stage.reason)).add()
                if stage.elapsed_ns is None or stage.failed:
                    continue
                slot = self._duration(key)
                elapsed_s = stage.elapsed_ns / NS_PER_S
                slot.record(elapsed_s)
                if exemplary:
                    slot.exemplify((elapsed_s, journey.told_at.ns, journey.id, number))

    def _duration(self, key: Key) -> Histogram:
        slot = self._durations.get(key)
        if slot is None:
            if len(self._durations) >= 2 * self._slots.limit:
                self._durations.clear()
            slot = self._durations[key] = self._slots.histogram(names.JOURNEY_STAGE_DURATION).bind(key)
        return slot

    def _gap(self, key: Key) -> Counter:
        slot = self._missing.get(key)
        if slot is None:
            if len(self._missing) >= 2 * self._slots.limit:
                self._missing.clear()
            slot = self._missing[key] = self._slots.counter(names.JOURNEY_MISSING).bind(key)
        return slot


def journey_spans(
    run: ProbeRun,
    journey: Journey,
    resource: Resource,
    scope: InstrumentationScope,
    shown: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[ReadableSpan]:
    """A journey as one trace: a root span, and a span per stage. Linked to the root of the run in which it ended."""

    def context(number: int) -> SpanContext:
        return SpanContext(trace_id(journey.id), span_id(journey.id, number), is_remote=False, trace_flags=_FLAGS)

    def span(
        name: str, number: int, began_ns: int, ended_ns: int, attributes: dict[str, Any], why: str = "", **rest: Any
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context(number),
            resource=resource,
            attributes=shown({**common, **attributes}),
            kind=SpanKind.INTERNAL,
            status=SpanStatus(StatusCode.ERROR, why) if why else SpanStatus(StatusCode.UNSET),
            start_time=began_ns,
            end_time=ended_ns,
            instrumentation_scope=scope,
            **rest,
        )

    common = {"probe": run.probe, "target": journey.feed_id, "vantage.region": run.vantage.region}
    times = [stage.at.ns for stage in journey.stages if stage.at is not None] or [journey.told_at.ns]
    labels = {result.target.id: result.target.label for result in run.results}
    run_root = SpanContext(trace_id(run.run_id), span_id(run.run_id, 0), is_remote=False, trace_flags=_FLAGS)
    attributes = {
        "probekit.target.label": labels.get(journey.feed_id),
        "probekit.journey.publish_time": None if journey.publish_time is None else journey.publish_time.ns // NS_PER_S,
        "probekit.journey.slot": journey.slot,
        "probekit.journey.root": None if journey.root is None else str(journey.root),
        "probekit.journey.overdue": journey.overdue,
    }
    made = [span(f"probekit.journey {run.probe}", 0, min(times), max(times), attributes, links=(Link(run_root),))]
    reached_ns = min(times)
    for number, stage in enumerate(journey.stages, 1):
        if stage.at is None:
            began_ns = ended_ns = reached_ns
        else:
            before_ns = stage.at.ns - (stage.elapsed_ns or 0)
            began_ns, ended_ns = min(before_ns, stage.at.ns), max(before_ns, stage.at.ns)
            if stage.name not in ("arrived", "landed"):
                reached_ns = stage.at.ns
        why = stage.reason if stage.failed else ""
        made.append(span(stage.name, number, began_ns, ended_ns, _attributes(stage), why, parent=context(0)))
    return made


def _attributes(stage: Stage) -> dict[str, Any]:
    return {
        "probekit.journey.stage": stage.name,
        "probekit.chain": stage.chain,
        "probekit.journey.clock": stage.clock,
        "probekit.journey.error": _seconds(stage.error_ns),
        "probekit.journey.since": stage.since,
        "probekit.journey.elapsed": _seconds(stage.elapsed_ns),
        "probekit.journey.elapsed.error": _seconds(stage.elapsed_error_ns),
        "probekit.journey.backwards": True if stage.backwards else None,
        "probekit.journey.explained": stage.explained if stage.backwards else None,
        "probekit.journey.reason": stage.reason,
        "probekit.journey.slot": stage.slot,
        "probekit.journey.sequence": stage.sequence,
        "probekit.journey.block": stage.block,
        "probekit.journey.block_hash": stage.block_hash,
        "probekit.journey.transaction": stage.transaction,
        "probekit.journey.log_index": stage.log_index,
        "probekit.journey.gas_used": stage.gas_used,
        "probekit.journey.gas_price": None if stage.gas_price is None else str(stage.gas_price),
        "probekit.journey.paid": None if stage.paid is None else str(stage.paid),
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / NS_PER_S
