"""Runs into slots: the only telemetry work on the event loop. A look-up and a few additions per measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from probekit.model import Measure, ProbeRun, RequestRecord, Status, Tally, TargetResult, Verdict
from probekit.model.verdict import MeasureName
from probekit.runner import Planned, ProbeInfo
from probekit.telemetry import names
from probekit.telemetry.calls import CallMeter, rpc_method
from probekit.telemetry.histograms import Histogram
from probekit.telemetry.journeys import JourneyMeter
from probekit.telemetry.slots import Counter, Gauge, Key, Slots, State
from probekit.units import NS_PER_S

PHASES: Final = ("queue", "resolve", "connect", "tls", "first_byte", "transfer")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_DIGEST: Final = 16
_ORIGINS: Final = 4_096
_STATUSES: Final = tuple(Status)


def error_type_of(record: RequestRecord) -> str | None:
    """``error.type`` of an attempt, the same on span and metric: one word of the closed list; none for a success and for
    our own cancellation.
    """
    status = record.status
    if status is None or status < 400:
        return None if record.error_type == "cancelled" else record.error_type
    if status in (401, 403):
        return "not_authorized"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "status"


def method_of(record: RequestRecord) -> str:
    """``http.request.method``: what the conventions know, else ``_OTHER``."""
    return record.method if record.method in _METHODS else "_OTHER"


def rpc_method_of(record: RequestRecord) -> str | None:
    """``rpc.method``: a name as methods have them, else ``_OTHER``; none for what is no JSON-RPC."""
    return rpc_method(record.rpc_method) if record.rpc_method else None


def origin_of(url: str) -> tuple[str, int]:
    """``server.address`` and ``server.port`` of a URL; the scheme's own port where it names none."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    except ValueError:
        return "", 0


def protocol_of(record: RequestRecord) -> str | None:
    """``network.protocol.name`` of a connection that carries no HTTP request: its URL's scheme; ``None`` of an HTTP request."""
    scheme = record.url[: record.url.find("://")]
    return None if scheme in ("http", "https") or not scheme.isascii() or not scheme.isalnum() else scheme


class _TargetSlots:
    """One target of one probe."""

    __slots__ = ("_key", "_meter", "_parts", "_taken", "_verdicts", "seen", "status")

    def __init__(self, meter: RunMeter, probe: str, target: str, region: str) -> None:
        self._meter = meter
        self._key = (probe, target, region)
        self.status = meter.slots.state(names.TARGET_STATUS).bind(self._key)
        self._verdicts: dict[tuple[str, str | None], State] = {}
        self._taken: dict[tuple[str, str | None], Counter | Gauge | Histogram] = {}
        self._parts: dict[tuple[str, Status], Gauge] = {}
        self.seen: list[State | Gauge] = []

    def record(self, result: TargetResult, exemplar: tuple[int, str] | None) -> None:
        self.status.set(result.status)
        seen: list[State | Gauge] = []
        for verdict in result.verdicts:
            state = self._verdicts.get((verdict.check, verdict.scope))
            if state is None:
                state = self._bind_verdict(verdict.check, verdict.scope)
            state.set(verdict.status)
            seen.append(state)
            if verdict.tally is not None:
                self._count(verdict.check, verdict.tally, seen)
            for measure in verdict.measures:
                self._take(verdict, measure, exemplar, seen)
        # What the run before said and this one does not is over: a failed look-up that is mended, an age nobody could see.
        if seen != self.seen:
            for slot in self.seen:
                if slot not in seen:
                    slot.clear()
            self.seen = seen

    def _count(self, check: str, tally: Tally, seen: list[State | Gauge]) -> None:
        """Parts by status: one series for each that occurred, none for each part."""
        for status, count in tally.by_status():
            gauge = self._parts.get((check, status))
            if gauge is None:
                if not count:
                    continue
                probe, target, region = self._key
                gauge = self._meter.slots.gauge(names.PARTS).bind((probe, target, check, region, status))
                self._parts[check, status] = gauge
            gauge.set(float(count))
            seen.append(gauge)

    def expect(self, planned: Planned) -> None:
        """Make the series that a check of this target will have."""
        self._bind_verdict(planned.check, None)
        for measure, limit_ns in planned.measures:
            self._bind_measure(measure, None, limit_ns)

    def _bind_verdict(self, check: str, scope: str | None) -> State:
        probe, target, region = self._key
        state = self._meter.slots.state(names.VERDICT_STATUS).bind((probe, target, check, scope or "", region))
        self._verdicts[check, scope] = state
        return state

    def _take(self, verdict: Verdict, measure: Measure, exemplar: tuple[int, str] | None, seen: list[State | Gauge]) -> None:
        slot = self._taken.get((measure.name, verdict.scope))
        if slot is None:
            limit = int(verdict.limit) if verdict.limit is not None and verdict.unit == "ns" else None
            slot = self._bind_measure(measure.name, verdict.scope, limit)
        value = float(measure.value)
        if measure.unit == "ns":
            value /= NS_PER_S
        if isinstance(slot, Gauge):
            slot.set(value)
            seen.append(slot)
        elif isinstance(slot, Counter):
            slot.add(value)
        else:
            slot.record(value)
            if exemplar is not None:
                slot.exemplify((value, *exemplar, 0))

    def _bind_measure(self, measure: MeasureName, scope: str | None, limit_ns: int | None) -> Counter | Gauge | Histogram:
        spec, slots = names.MEASURES[measure], self._meter.slots
        probe, target, region = self._key
        key = (probe, target, scope or "", region)
        slot: Counter | Gauge | Histogram
        if spec.kind == "gauge":
            slot = slots.gauge(spec).bind(key)
        elif spec.kind == "counter":
            slot = slots.counter(spec).bind(key)
        else:
            slot = slots.histogram(spec).bind(key, edge=None if limit_ns is None else limit_ns / NS_PER_S)
        self._taken[measure, scope] = slot
        return slot


class _ProbeSlots:
    """One probe at one vantage."""

    def __init__(self, meter: RunMeter, probe: str, region: str, interval_s: float | None) -> None:
        slots = meter.slots
        self._meter = meter
        self._key: Key = (probe, region)
        self._probe, self._region, self._interval_s = probe, region, interval_s
        self.status = slots.state(names.RUN_STATUS).bind(self._key)
        self.runs = {status: slots.counter(names.RUNS).bind((*self._key, status)) for status in _STATUSES}
        self.skipped = slots.counter(names.SKIPPED_TICKS).bind(self._key)
        self.lateness = slots.histogram(names.RUN_LATENESS).bind(self._key)
        self.last = slots.gauge(names.LAST_RUN).bind(self._key)
        self.lag = slots.gauge(names.LOOP_LAG).bind(self._key)
        self.clock = slots.gauge(names.CLOCK_ERROR).bind(self._key)
        self._durations: dict[str | None, Histogram] = {}
        self.duration(None)
        self._verdicts: dict[str, dict[Status, Counter]] = {}
        self.targets: dict[str, _TargetSlots] = {}

    def duration(self, error_type: str | None) -> Histogram:
        slot = self._durations.get(error_type)
        if slot is None:
            slot = self._meter.slots.histogram(names.RUN_DURATION).bind((*self._key, error_type or ""), edge=self._interval_s)
            self._durations[error_type] = slot
        return slot

    def verdicts(self, check: str) -> dict[Status, Counter]:
        slots = self._verdicts.get(check)
        if slots is None:
            counters = self._meter.slots.counter(names.VERDICTS)
            slots = {status: counters.bind((*self._key, check, status)) for status in _STATUSES}
            self._verdicts[check] = slots
        return slots

    def target(self, target: str) -> _TargetSlots:
        slots = self.targets.get(target)
        if slots is None:
            slots = self.targets[target] = _TargetSlots(self._meter, self._probe, target, self._region)
        return slots


class RunMeter:
    """Keeps the slots of every probe of the process; :meth:`record` is called on the event loop."""

    def __init__(self, slots: Slots, *, exemplars: bool = True) -> None:
        self.slots = slots
        self._exemplars = exemplars
        self._probes: dict[tuple[str, str], _ProbeSlots] = {}
        self._origins: dict[str, tuple[str, int]] = {}
        self._http: dict[tuple[object, ...], Histogram] = {}
        self._phases: dict[tuple[str, str], list[Histogram | None]] = {}
        self._calls = CallMeter(slots)
        self._journeys = JourneyMeter(slots)

    def start(self, info: ProbeInfo) -> None:
        """Make every series that can be foreseen, at zero; expire those of targets that are gone."""
        probe, region = info.probe, info.vantage.region
        kept = frozenset(target.id for target in info.targets)
        for spec in (names.TARGET_STATUS, names.VERDICT_STATUS):
            self.slots.state(spec).remove_where(lambda key: key[0] == probe and key[1] not in kept)
        for spec in (names.PARTS, *names.MEASURES.values()):
            instrument = getattr(self.slots, spec.kind)(spec)
            instrument.remove_where(lambda key: key[0] == probe and key[1] not in kept)
        self._journeys.forget(lambda key: key[0] == probe and key[1] not in kept)
        # Bound anew: room that expired targets left goes to those that were folded.
        before = self._probes.get((probe, region))
        known = _ProbeSlots(self, probe, region, info.interval.total_seconds())
        self._probes[probe, region] = known
        for target in info.targets:
            known.target(target.id)
            if before is not None and target.id in before.targets:
                known.target(target.id).seen = before.targets[target.id].seen
        for planned in info.planned:
            known.target(planned.target).expect(planned)
        for check in (*info.checks, "observation"):
            known.verdicts(check)
        digests = (info.probe_version, info.source_digest[:_DIGEST], info.config_digest[:_DIGEST])
        infos = self.slots.gauge(names.INFO)
        infos.remove_where(lambda key: key[:2] == (probe, region) and key[2:] != digests)
        infos.bind((probe, region, *digests)).set(1.0)

    def record(self, run: ProbeRun, *, sampled: bool = True, journey_sampled: Callable[[str], bool] = lambda _: True) -> None:
        """Take a run's measurements; ``sampled`` runs, and journeys by their ids, give exemplars."""
        region = run.vantage.region
        probe = self._probes.get((run.probe, region))
        if probe is None:
            probe = self._probes[run.probe, region] = _ProbeSlots(self, run.probe, region, None)
        ended_ns = run.started_at.ns + run.elapsed_ns
        exemplar = (ended_ns, run.run_id) if self._exemplars and sampled else None
        status, elapsed_s = run.status, run.elapsed_ns / NS_PER_S
        duration = probe.duration(run.error_type)
        duration.record(elapsed_s)
        if exemplar is not None:
            duration.exemplify((elapsed_s, *exemplar, 0))
        probe.lateness.record(run.queue_wait_ns / NS_PER_S)
        probe.runs[status].add()
        probe.status.set(status)
        probe.last.set(ended_ns / NS_PER_S)
        probe.lag.set(run.health.loop_lag_ns / NS_PER_S)
        if run.skipped_ticks:
            probe.skipped.add(run.skipped_ticks)
        if run.health.clock_error_ns is not None:
            probe.clock.set(run.health.clock_error_ns / NS_PER_S)
        else:
            probe.clock.clear()
        for result in run.results:
            probe.target(result.target.id).record(result, exemplar)
            for verdict in result.verdicts:
                counters = probe.verdicts(verdict.check)
                if verdict.tally is None:
                    counters[verdict.status].add()
                    continue
                for status, count in verdict.tally.by_status():
                    counters[status].add(count)
        for number, record in enumerate(run.requests, 1):
            self._request(record, number, exemplar)
        self._calls.record(run, exemplar)
        self._journeys.record(run, journey_sampled if self._exemplars else None)

    def _request(self, record: RequestRecord, number: int, exemplar: tuple[int, str] | None) -> None:
        url = record.url
        place = url[: url.find("/", url.find("://") + 3)] if url.count("/") > 2 else url
        origin = self._origins.get(place)
        if origin is None:
            if len(self._origins) >= _ORIGINS:
                self._origins.clear()
            origin = self._origins[place] = origin_of(place)
        if (protocol := protocol_of(record)) is not None:
            self._connection(record, origin, protocol, number, exemplar)
            return
        key = (method_of(record), *origin, record.status or "", error_type_of(record) or "", record.http_version or "")
        duration = self._http.get(key)
        if duration is None:
            if len(self._http) >= 2 * self.slots.limit:
                self._http.clear()
            duration = self._http[key] = self.slots.histogram(names.HTTP_DURATION).bind(key)
        elapsed_s = record.elapsed_ns / NS_PER_S
        duration.record(elapsed_s)
        if exemplar is not None:
            duration.exemplify((elapsed_s, *exemplar, number))
        slots = self._phases.get((origin[0], record.engine))
        if slots is None:
            if len(self._phases) >= self.slots.limit:
                self._phases.clear()
            slots = self._phases[origin[0], record.engine] = [None] * len(PHASES)
        phases = record.phases
        spent = (
            phases.queue_ns,
            phases.resolve_ns,
            phases.connect_ns,
            phases.tls_ns,
            phases.first_byte_ns,
            phases.transfer_ns,
        )
        for index, ns in enumerate(spent):
            if ns is not None:
                # A phase has a series once it was seen: what an engine cannot know is not zero.
                slot = slots[index]
                if slot is None:
                    which = (PHASES[index], origin[0], record.engine)
                    slot = slots[index] = self.slots.histogram(names.PHASE_DURATION).bind(which)
                slot.record(ns / NS_PER_S)

    def _connection(
        self, record: RequestRecord, origin: tuple[str, int], protocol: str, number: int, exemplar: tuple[int, str] | None
    ) -> None:
        key = (*origin, protocol, error_type_of(record) or "")
        duration = self.slots.histogram(names.CONNECTION_DURATION).bind(key)
        elapsed_s = record.elapsed_ns / NS_PER_S
        duration.record(elapsed_s)
        if exemplar is not None:
            duration.exemplify((elapsed_s, *exemplar, number))
        phases = self.slots.histogram(names.CONNECTION_PHASE_DURATION)
        for phase, ns in _phases_of(record):
            phases.bind((phase, origin[0], protocol)).record(ns / NS_PER_S)


def _phases_of(record: RequestRecord) -> Iterator[tuple[str, int]]:
    """The phases that happened, each with its time in ns."""
    phases = record.phases
    times = (phases.queue_ns, phases.resolve_ns, phases.connect_ns, phases.tls_ns, phases.first_byte_ns, phases.transfer_ns)
    for phase, ns in zip(PHASES, times, strict=True):
        if ns is not None:
            yield phase, ns
