"""What is kept of a target that is not OK."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from probekit.model import Evidence, Failure, Observation, RequestRecord, Status, Verdict
from probekit.model.run import EVIDENCE_LIMIT
from probekit.secret import redact

_FIELD_LIMIT: Final = EVIDENCE_LIMIT // 8


def evidence_of(
    verdicts: tuple[Verdict, ...], seen: Observation[Any] | Failure | None, request: RequestRecord | None
) -> Evidence:
    """The page on-call asks for: the exchange, the decoded value, the sums. Redacted, and bounded field by field."""
    decoded = error = ""
    if isinstance(seen, Observation):
        decoded = msgspec.json.encode(seen.value, enc_hook=_encode_other).decode()
    elif seen is not None:
        error = f"{seen.error.error_type}: {seen.error.message}"
    arithmetic = "; ".join(
        f"{verdict.check}: {verdict.value} against {verdict.limit} {verdict.unit}"
        for verdict in verdicts
        if verdict.value is not None and verdict.status is not Status.OK
    )
    return Evidence(
        request=None if request is None else f"{request.method} {request.url}"[:_FIELD_LIMIT],
        status=None if request is None else request.status,
        headers=() if request is None else request.headers,
        excerpt="" if request is None else request.excerpt[:_FIELD_LIMIT],
        decoded=redact(decoded[:_FIELD_LIMIT]),
        arithmetic=arithmetic[:_FIELD_LIMIT],
        error=redact(error[:_FIELD_LIMIT]),
    )


def _encode_other(value: object) -> str:
    return repr(value)[:200]
