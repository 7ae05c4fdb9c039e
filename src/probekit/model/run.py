"""A run: one evaluation of one probe from one vantage over its whole target set. The only thing that travels
further.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from probekit.errors import ErrorType
from probekit.model.journey import Journey
from probekit.model.observation import RequestRecord, Target
from probekit.model.rpc import CallRecord, StateChange
from probekit.model.vantage import Vantage, VantageHealth
from probekit.model.verdict import Status, Verdict, worst
from probekit.units import Instant

EVIDENCE_LIMIT = 65_536


class Evidence(msgspec.Struct, frozen=True):
    """What on-call asks for when a target is not OK: redacted, at most 64 kB in all."""

    request: str | None = None
    """Request line of the exchange behind the observation."""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    excerpt: str = ""
    decoded: str = ""
    """The decoded value, as JSON."""
    arithmetic: str = ""
    """The verdict's sum: value, limit, unit."""
    error: str = ""


class TargetResult(msgspec.Struct, frozen=True):
    """One target's part of a run."""

    target: Target
    verdicts: tuple[Verdict, ...]
    observed_at: Instant | None = None
    evidence: Evidence | None = None

    @property
    def status(self) -> Status:
        """The worst of its verdicts; UNKNOWN when it has none."""
        return worst(self.verdicts) or Status.UNKNOWN


class ProbeRun(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen and serialisable. ``elapsed_ns`` is measured on the monotonic clock, also when the run failed."""

    probe: str
    run_id: str
    """32 hex digits; also the trace id."""
    vantage: Vantage
    scheduled_at: Instant
    started_at: Instant
    queue_wait_ns: int = 0
    """From the scheduled to the actual start."""
    elapsed_ns: int
    closed_by: Literal["tick", "change", "end"] = "tick"
    health: VantageHealth = VantageHealth()
    requests: tuple[RequestRecord, ...] = ()
    requests_dropped: int = 0
    """Requests beyond the record's bound: counted, not kept."""
    calls: tuple[CallRecord, ...] = ()
    """JSON-RPC calls to pools of endpoints, each with its attempts."""
    calls_dropped: int = 0
    """Calls beyond the record's bound: counted, not kept."""
    endpoint_changes: tuple[StateChange, ...] = ()
    """Endpoints of pools that went from one state to another."""
    journeys: tuple[Journey, ...] = ()
    """Updates whose way was followed and ended in this run: each a trace of its own."""
    journeys_dropped: int = 0
    """Journeys beyond the record's bound: counted, not kept."""
    results: tuple[TargetResult, ...] = ()
    error_type: ErrorType | None = None
    """Set when the run as a whole failed (its own defect, its vantage), beside the verdicts that say so."""
    skipped_ticks: int = 0
    """Ticks that passed since the run before because that one was still going: visible, never silent."""
    probe_version: str = ""
    source_digest: str = ""
    config_digest: str = ""

    @property
    def status(self) -> Status:
        """The worst of all targets; UNKNOWN when there is none."""
        return max((result.status for result in self.results), key=lambda s: s.severity, default=Status.UNKNOWN)

    def count(self, status: Status) -> int:
        """How many targets have that status."""
        return sum(1 for result in self.results if result.status is status)
