"""Every span and event, by name: a part of :mod:`probekit.telemetry.names`, which is where they are taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probekit.telemetry.attribute_names import Stability


@dataclass(frozen=True, slots=True)
class SpanName:
    """One kind of span; ``name`` is a pattern over its attributes."""

    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    description: str
    stability: Stability


RUN_SPAN: Final = SpanName(
    "probekit.run {probe}",
    "INTERNAL",
    "Root of a run's one trace, whose id is the run's; Error when the run is critical or unknown",
    "stable",
)
REQUEST_SPAN: Final = SpanName(
    "{http.request.method}",
    "CLIENT",
    "One attempt on the wire; Error on a transport error or a status of 400 and above, not on our own cancellation",
    "semconv stable",
)
CALL_SPAN: Final = SpanName(
    "{rpc.method}",
    "CLIENT",
    "One JSON-RPC call or batch of a pool, from the asking to the answer, with a request's span beneath for each attempt on "
    "the wire; Error when all its items ended in one, not on our own cancellation",
    "semconv release candidate",
)
CONNECTION_SPAN: Final = SpanName(
    "{network.protocol.name}",
    "CLIENT",
    "One connection that carries no HTTP request (tls, tcp, ws, wss); Error where it was not opened",
    "stable",
)
JOURNEY_SPAN: Final = SpanName(
    "probekit.journey {probe}",
    "INTERNAL",
    "Root of a followed update's or a canary's own trace, from the earliest to the latest time of its stages; linked to "
    "the run it ended in",
    "stable",
)
STAGE_SPAN: Final = SpanName(
    "{probekit.journey.stage}",
    "INTERNAL",
    "One stage, from the time of the one before to its own; where that is backwards, from the lesser to the greater. "
    "Without a time it has no length and probekit.journey.reason; Error where a canary's stage failed",
    "stable",
)
SPANS: Final = (RUN_SPAN, CALL_SPAN, REQUEST_SPAN, CONNECTION_SPAN, JOURNEY_SPAN, STAGE_SPAN)

VERDICT_EVENT: Final = "probekit.verdict"
"""Event name of the log record of a verdict that is not OK."""
EVENTS: Final[dict[str, str]] = {
    VERDICT_EVENT: (
        "A verdict that is not ok, tied to its run's span: ERROR critical, WARN2 unknown, WARN warning, INFO skipped. "
        "A skip is logged when it begins, the others in every run. The body is the sentence for people"
    ),
}
