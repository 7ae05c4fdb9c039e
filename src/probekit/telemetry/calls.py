"""JSON-RPC calls and the states of their endpoints, into slots: a part of :class:`~probekit.telemetry.measure.RunMeter`.

Bounded by names of ours: methods as they look, chains and endpoints as they are configured, error types of the closed list. The
codes that servers answer with are not among the attributes: nothing bounds those. What was cancelled here, as the slower of two
or with its run, is not measured: its time says nothing of the endpoint.
"""

from __future__ import annotations

import re
from typing import Final

from probekit.model import ProbeRun
from probekit.model.rpc import CallRecord, EndpointState, StateChange
from probekit.telemetry import names
from probekit.telemetry.histograms import Histogram
from probekit.telemetry.slots import Counter, Gauge, Slots
from probekit.units import NS_PER_S

SYSTEM: Final = "jsonrpc"
_METHOD: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
_STATES: Final = tuple(EndpointState)

Exemplar = tuple[int, str]


def rpc_method(method: str) -> str:
    """``rpc.method``: a name as methods have them, else ``_OTHER``."""
    return method if _METHOD.fullmatch(method) else "_OTHER"


class CallMeter:
    """Keeps what is bound of calls; :meth:`record` is called on the event loop."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._calls: dict[tuple[str, str, str], Histogram] = {}
        self._attempts: dict[tuple[str, str, str], Histogram] = {}
        self._hedges: dict[tuple[str, str], Counter] = {}
        self._failed_items: dict[str, Counter] = {}
        self._states: dict[tuple[str, str, str, str], dict[EndpointState, Gauge]] = {}

    def record(self, run: ProbeRun, exemplar: Exemplar | None) -> None:
        """Take the calls and changes of a run."""
        place = (run.probe, run.vantage.region)
        for record in run.calls:
            self._call(record, place, exemplar)
        for change in run.endpoint_changes:
            self._change(change, place)

    def _call(self, record: CallRecord, place: tuple[str, str], exemplar: Exemplar | None) -> None:
        chain = record.chain
        for attempt in record.attempts:
            self._known(place, chain, attempt.endpoint)
            if attempt.hedge:
                self._hedge(chain, attempt.endpoint).add()
            if attempt.error_type != "cancelled":
                self._attempt(chain, attempt.endpoint, attempt.error_type or "").record(attempt.elapsed_ns / NS_PER_S)
        if record.failed_items and record.items > 1:
            self._failed(chain).add(record.failed_items)
        if record.error_type == "cancelled":
            return
        elapsed_s = record.elapsed_ns / NS_PER_S
        duration = self._duration(rpc_method(record.method), chain, record.error_type or "")
        duration.record(elapsed_s)
        if exemplar is not None:
            duration.exemplify((elapsed_s, *exemplar, 0))

    def _change(self, change: StateChange, place: tuple[str, str]) -> None:
        gauges = self._known(place, change.chain, change.endpoint)
        for state, gauge in gauges.items():
            gauge.set(float(state is change.after))
        probe, region = place
        key = (probe, change.chain, change.endpoint, change.after, region)
        self._slots.counter(names.RPC_ENDPOINT_CHANGES).bind(key).add()

    # -- bound once ------------------------------------------------------------------------------------------------------------

    def _known(self, place: tuple[str, str], chain: str, endpoint: str) -> dict[EndpointState, Gauge]:
        """The gauges of an endpoint, one for each state. It is alive until a pool says otherwise."""
        probe, region = place
        gauges = self._states.get((probe, region, chain, endpoint))
        if gauges is None:
            instrument = self._slots.gauge(names.RPC_ENDPOINT_STATE)
            gauges = {state: instrument.bind((probe, chain, endpoint, state, region)) for state in _STATES}
            for state, gauge in gauges.items():
                gauge.set(float(state is EndpointState.ALIVE))
            _room(self._states, self._slots.limit)
            self._states[probe, region, chain, endpoint] = gauges
        return gauges

    def _duration(self, method: str, chain: str, error_type: str) -> Histogram:
        slot = self._calls.get((method, chain, error_type))
        if slot is None:
            _room(self._calls, self._slots.limit)
            slot = self._slots.histogram(names.RPC_DURATION).bind((SYSTEM, method, chain, error_type))
            self._calls[method, chain, error_type] = slot
        return slot

    def _attempt(self, chain: str, endpoint: str, error_type: str) -> Histogram:
        slot = self._attempts.get((chain, endpoint, error_type))
        if slot is None:
            _room(self._attempts, self._slots.limit)
            slot = self._slots.histogram(names.RPC_ATTEMPT_DURATION).bind((chain, endpoint, error_type))
            self._attempts[chain, endpoint, error_type] = slot
        return slot

    def _hedge(self, chain: str, endpoint: str) -> Counter:
        slot = self._hedges.get((chain, endpoint))
        if slot is None:
            _room(self._hedges, self._slots.limit)
            slot = self._hedges[chain, endpoint] = self._slots.counter(names.RPC_HEDGES).bind((chain, endpoint))
        return slot

    def _failed(self, chain: str) -> Counter:
        slot = self._failed_items.get(chain)
        if slot is None:
            _room(self._failed_items, self._slots.limit)
            slot = self._failed_items[chain] = self._slots.counter(names.RPC_FAILED_ITEMS).bind((chain,))
        return slot


def _room(bound: dict, limit: int) -> None:  # type: ignore[type-arg]
    """Forget what is bound when it is more than there can be series; it is bound again when it is met."""
    if len(bound) >= 2 * limit:
        bound.clear()
