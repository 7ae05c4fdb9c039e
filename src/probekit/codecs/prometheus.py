"""Answers of Prometheus' HTTP API to instant queries.

``{"status": "success", "data": {"resultType", "result"}, "warnings": [], "infos": []}``; values are ``[Unix seconds, "text of a
float"]``. Source: Prometheus documentation, HTTP API (2.x and 3.x; ``infos`` came with 3).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from probekit.errors import DecodeError
from probekit.model.prometheus import QueryResult, ResultType, Sample
from probekit.secret import redact
from probekit.units import Instant

_MOST: Final = 1_000
_MOST_NOTES: Final = 10
_NOTE: Final = 300
_LARGEST: Final = 400
"""Decimal exponents beyond those of any float: what has one would cost memory to write out."""
_Point = tuple[Decimal, str]


class _Data(msgspec.Struct, rename="camel"):
    result_type: ResultType
    result: msgspec.Raw


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: _Point | None = None
    histogram: msgspec.Raw = msgspec.Raw()


class _Refusal(msgspec.Struct, rename="camel"):
    error_type: str
    error: str


def decode_query(body: bytes, most: int = _MOST) -> QueryResult:
    """The result of a query, its first ``most`` series; each readable or its own ``DecodeError``.

    Raises ``DecodeError`` when the whole is none.
    """
    answer = _decoded(body, _Answer, "an answer of Prometheus")
    if answer.status != "success" or answer.data is None:
        words = f"{answer.error_type}: {answer.error}"[:_NOTE]
        raise DecodeError(f"an answer of status {answer.status[:20]!r} ({words})", raw=body)
    kind, raw = answer.data.result_type, bytes(answer.data.result)
    samples: list[Sample | DecodeError] = []
    count, text, at = 0, None, None
    if kind == "vector":
        items = _decoded(raw, list[msgspec.Raw], "a vector")
        count = len(items)
        for item in items[:most]:
            try:
                sample, moment = _sample(bytes(item))
            except DecodeError as error:
                samples.append(error)
            else:
                samples.append(sample)
                at = at or moment
    elif kind == "scalar":
        moment, number = _decoded(raw, _Point, "a scalar")
        samples.append(Sample((), _number(number, raw)))
        count, at = 1, _time(moment, raw)
    elif kind == "string":
        moment, text = _decoded(raw, _Point, "a string")
        at = _time(moment, raw)
    else:
        count = len(_decoded(raw, list[msgspec.Raw], "a matrix"))
    return QueryResult(kind, tuple(samples), count, text, at, _notes(answer.warnings), _notes(answer.infos))


def decode_refusal(body: bytes) -> tuple[str, str]:
    """The type and the words of an error, as come with a status of 400, 422 or 503. Raises ``DecodeError``."""
    found = _decoded(body, _Refusal, "an error of Prometheus")
    return found.error_type[:40], redact(found.error)[:_NOTE]


def _sample(body: bytes) -> tuple[Sample, Instant | None]:
    one = _decoded(body, _Series, "a series")
    labels = tuple(sorted(one.metric.items()))
    if one.value is not None:
        return Sample(labels, _number(one.value[1], body)), _time(one.value[0], body)
    if not bytes(one.histogram):
        raise DecodeError("a series with neither a value nor a histogram", raw=body)
    return Sample(labels, None), None


def _number(text: str, body: bytes) -> Decimal:
    """A float as Prometheus writes it: ``1.5e-05``, ``NaN``, ``+Inf``."""
    try:
        number = Decimal(text) if len(text) <= 64 and "_" not in text else None
    except InvalidOperation:
        number = None
    if number is None or number.is_snan() or (number.is_finite() and abs(number.adjusted()) > _LARGEST):
        raise DecodeError(f"{text[:80]!r} is not the value of a sample", raw=body)
    return number


def _time(seconds: Decimal, body: bytes) -> Instant:
    # Milliseconds are all that Prometheus has.
    if not seconds.is_finite() or not 0 <= seconds < 2**40:
        raise DecodeError(f"{seconds} is not the time of a sample", raw=body)
    return Instant(int(seconds * 1000) * 1_000_000)


def _notes(texts: list[str]) -> tuple[str, ...]:
    return tuple(redact(one)[:_NOTE] for one in texts[:_MOST_NOTES])


def _decoded(body: bytes, shape: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, ValueError, RecursionError, ArithmeticError) as error:
        raise DecodeError(f"not {what}: {error}", raw=body) from None
