"""A check's answer."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

import msgspec

from probekit.errors import ErrorType


class Status(StrEnum):
    """The five statuses. A skip is never a pass; what is wrong *here* is UNKNOWN, what is wrong *there* is CRITICAL."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"

    @property
    def severity(self) -> int:
        """Order of a run's worst: CRITICAL > UNKNOWN > WARNING > OK > SKIPPED."""
        return _SEVERITY[self]

    @property
    def exit_code(self) -> int:
        """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN and SKIPPED (only ``--allow-skipped`` makes a skip 0)."""
        return _EXIT[self]


_SEVERITY: Final = {
    Status.SKIPPED: 0,
    Status.OK: 1,
    Status.WARNING: 2,
    Status.UNKNOWN: 3,
    Status.CRITICAL: 4,
}
_EXIT: Final = {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2, Status.UNKNOWN: 3, Status.SKIPPED: 3}

MeasureName = Literal[
    "feed.age",
    "feed.age.chain",
    "feed.age.pipeline",
    "feed.age.delivery",
    "feed.confidence_ratio",
    "feed.deviation",
    "feed.deviation.conf",
    "feed.reference.sources",
    "feed.reference.spread",
    "feed.slot_lag",
    "feed.source_lag",
    "feed.valid_margin",
    "chain.endpoints_alive",
    "chain.finality_lag",
    "chain.finality_lag.blocks",
    "chain.head_age",
    "chain.head_lag",
    "chain.head_lag.blocks",
    "chain.soft_lag",
    "chain.soft_lag.blocks",
    "feed.publishers.margin",
    "feed.publishers.score",
    "agreement.slot_delay",
    "agreement.delay",
    "latency",
    "stream.gaps",
    "stream.duplicates",
    "stream.out_of_order",
    "stream.silence",
    "stream.latency",
    "stream.behind",
    "stream.first_share",
    "proof.updates",
    "wallet.balance",
    "wallet.runway",
    "wallet.age",
    "signer_set.index",
    "signer_set.time_left",
    "landing.lag",
    "archive.lag",
    "event.matches",
    "event.unreadable",
    "event.absence",
    "scan.behind",
    "certificate.expiry.leaf",
    "certificate.expiry.chain",
    "websocket.ping",
    "canary.paid",
    "canary.spent",
    "canary.slots",
    "vaa.delay",
    "vaa.age",
    "vaa.sequences_behind",
    "vaa.slots_behind",
    "vaa.signature_margin",
    "guardians.margin",
    "entropy.pending",
    "entropy.oldest_age",
    "entropy.failed",
    "entropy.remaining",
    "entropy.fee",
]
"""What checks measure. ``telemetry.names`` maps each to its instrument; a test holds the two lists together."""

Unit = Literal["ns", "bps", "slots", "count", "coins", "conf"]


class Measure(msgspec.Struct, frozen=True, gc=False):
    """A number a check found on its way to a verdict, in ``unit``."""

    name: MeasureName
    value: int | Decimal
    unit: Unit


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many parts of a target one check judged, by status."""

    ok: int = 0
    warning: int = 0
    critical: int = 0
    unknown: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.warning + self.critical + self.unknown + self.skipped

    def by_status(self) -> tuple[tuple[Status, int], ...]:
        """Every status with its count."""
        return (
            (Status.OK, self.ok),
            (Status.WARNING, self.warning),
            (Status.CRITICAL, self.critical),
            (Status.UNKNOWN, self.unknown),
            (Status.SKIPPED, self.skipped),
        )


class Verdict(msgspec.Struct, frozen=True):
    """One check's answer for one target.

    ``reason`` is a literal token (``stale``, ``market_closed``, ``wrong_root``) that alerts and tests rest on;
    ``message`` is the sentence for people, with the arithmetic in it. ``value`` and ``limit`` share ``unit``. A check of many
    parts (the publishers of a feed) answers with one verdict, its worst: ``tally`` counts the parts, ``parts`` are those that
    are neither OK nor skipped, each with its ``scope``.
    """

    check: str
    status: Status
    reason: str
    message: str
    value: int | Decimal | None = None
    limit: int | Decimal | None = None
    unit: Unit | None = None
    scope: str | None = None
    """A part of the target judged on its own, such as one endpoint of several."""
    error_type: ErrorType | None = None
    measures: tuple[Measure, ...] = ()
    tally: Tally | None = None
    parts: tuple[Verdict, ...] = ()


def worst(verdicts: tuple[Verdict, ...]) -> Status | None:
    """The worst status among verdicts; ``None`` of none."""
    found: Status | None = None
    most = -1
    for verdict in verdicts:
        severity = _SEVERITY[verdict.status]
        if severity > most:
            found, most = verdict.status, severity
    return found
