"""What is kept of a target that is not OK."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from probekit.model import Evidence, Failure, Observation, RequestRecord, Status, Verdict
from probekit.model.run import EVIDENCE_LIMIT
from probekit.secret import redact

_FIELD_LIMIT: Final = EVIDENCE_LIMIT // 8
"""Bytes of each of the five texts; headers get twice that: names, quotes and all, it is less than the limit."""
_HEADERS_LIMIT: Final = EVIDENCE_LIMIT // 4


def evidence_of(
    verdicts: tuple[Verdict, ...], seen: Observation[Any] | Failure | None, request: RequestRecord | None
) -> Evidence:
    """The page on-call asks for: the exchange, the decoded value, the sums. Redacted, and bounded field by field."""
    decoded = error = ""
    if isinstance(seen, Observation):
        decoded = _json(seen.value)
    elif seen is not None:
        error = f"{seen.error.error_type}: {seen.error.message}"
    arithmetic = "; ".join(
        f"{verdict.check}: {verdict.value} against {verdict.limit} {verdict.unit}"
        for verdict in verdicts
        if verdict.value is not None and verdict.status is not Status.OK
    )
    return Evidence(
        request=None if request is None else _text(f"{request.method} {request.url}"),
        status=None if request is None else request.status,
        headers=() if request is None else _headers(request.headers),
        excerpt="" if request is None else _text(request.excerpt),
        decoded=_text(decoded),
        arithmetic=_text(arithmetic),
        error=_text(error),
    )


def _json(value: object) -> str:
    # A value that has a short form of its own, where all of it would be a page or a secret.
    short = getattr(value, "shown", None)
    value = short() if callable(short) else value
    try:
        return msgspec.json.encode(value, enc_hook=_encode_other).decode()
    except (TypeError, ValueError, RecursionError):
        # A probe of one's own may observe anything; its run must not end for want of a notation.
        return repr(value)


def _text(text: str) -> str:
    """Redacted, then cut: the other way round, half a secret would be left at the cut. Bounded as JSON in UTF-8."""
    shown = redact(text)[:_FIELD_LIMIT].encode("utf-8", "replace").decode()
    while len(msgspec.json.encode(shown)) > _FIELD_LIMIT:
        shown = shown[: len(shown) * 3 // 4]
    return shown


def _headers(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    kept, size = [], 0
    for name, value in headers:
        size += len(msgspec.json.encode((name, value)))
        if size > _HEADERS_LIMIT:
            break
        kept.append((name, value))
    return tuple(kept)


def _encode_other(value: object) -> str:
    return repr(value)[:200]
