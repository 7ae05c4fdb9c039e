"""Is the result of a PromQL query as it should be, and is its data new enough?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Final, Literal

from msgspec.structs import replace

from probekit.errors import DecodeError
from probekit.model import Observation, Status, Tally, Verdict
from probekit.model.pattern import PatternSlow, compiled, search
from probekit.model.prometheus import QueryResult, Sample
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

Outcome = Literal["ok", "warning", "critical", "unknown"]

_MOST_PARTS: Final = 32
_TOLD: Final = 3
_COMPARISON: Final = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*([+-]?[\w.+-]+)\s*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A bound, as PromQL writes it: ``> 5``, ``<= 0.95``, ``!= 1``, ``== +Inf``. NaN meets none."""

    operator: str
    bound: Decimal

    @classmethod
    def parse(cls, text: str) -> Comparison:
        """Raises ``ValueError``."""
        match = _COMPARISON.fullmatch(text)
        try:
            bound = Decimal(match[2]) if match is not None and "_" not in match[2] else None
        except InvalidOperation:
            bound = None
        if match is None or bound is None or bound.is_nan():
            raise ValueError(f"{text!r} is no comparison: write one of < <= > >= == != and a number, such as '> 0.5'")
        return cls(match[1], bound)

    def holds(self, value: Decimal) -> bool:
        if value.is_nan():
            return False
        return {
            "<": value < self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            ">=": value >= self.bound,
            "==": value == self.bound,
            "!=": value != self.bound,
        }[self.operator]

    def __str__(self) -> str:
        return f"{self.operator} {self.bound}"


@dataclass(frozen=True, slots=True)
class QueryAssertions:
    """Rule over a :class:`~probekit.model.prometheus.QueryResult`: every series by itself, the worst is the verdict.

    ``critical`` and ``warning`` are what must not hold of a value: CRITICAL ``beyond_critical``, WARNING
    ``beyond_warning``. ``matches`` is a regular expression found in a string: CRITICAL ``unexpected_text``. What has
    nothing to compare has a policy: no series at all ``on_empty`` (``empty``), a value that is NaN ``on_nan``
    (``not_a_number``). More than ``max_series`` series are not all judged: UNKNOWN ``too_many_series``, unless something
    is worse. A matrix, or a text where numbers are compared, is UNKNOWN ``wrong_type``; a native histogram UNKNOWN
    ``histogram``, a series that does not decode CRITICAL ``undecodable``; a text of which ``matches`` could not be told in time
    UNKNOWN ``pattern_slow``.
    """

    critical: tuple[Comparison, ...] = ()
    warning: tuple[Comparison, ...] = ()
    matches: str | None = None
    on_empty: Outcome = "critical"
    on_nan: Outcome = "critical"
    max_series: int = 100
    name: ClassVar[str] = "query_assertions"

    def __post_init__(self) -> None:
        if not 1 <= self.max_series <= 1_000:
            raise ValueError(f"max_series must lie between 1 and 1000, not {self.max_series}")
        if self.matches is not None:
            compiled(self.matches)
            if self.critical or self.warning:
                raise ValueError("matches is for strings, critical and warning are for numbers")

    def searches(self, result: QueryResult) -> tuple[tuple[str, str], ...]:
        """The pattern with the text that there is."""
        return () if self.matches is None or result.text is None else ((self.matches, result.text),)

    def __call__(self, observation: Observation[QueryResult], *, now: Instant) -> Verdict:
        result = observation.value
        notes = "".join(f"; the server says: {one}" for one in (*result.warnings, *result.infos)[:_TOLD])

        def verdict(status: Status, reason: str, words: str) -> Verdict:
            return Verdict(self.name, status, reason, f"{words}{notes}")

        if result.type == "string":
            if self.critical or self.warning:
                return verdict(Status.UNKNOWN, "wrong_type", "the result is a string, and numbers are to be compared")
            text = result.text or ""
            try:
                wrong_text = self.matches is not None and search(self.matches, text, result.searched) is None
            except PatternSlow as slow:
                return verdict(Status.UNKNOWN, "pattern_slow", str(slow))
            if wrong_text:
                return verdict(Status.CRITICAL, "unexpected_text", f"{text[:200]!r} does not match {self.matches!r}")
            return verdict(Status.OK, "as_expected", f"{text[:200]!r}")
        if result.type == "matrix" or self.matches is not None:
            return verdict(Status.UNKNOWN, "wrong_type", f"the result is a {result.type}: nothing here to hold it against")
        if not result.count:
            words = "the result is empty: no series"
            if self.on_empty == "ok":
                return verdict(Status.OK, "as_expected", words)
            if self.on_empty == "warning":
                return verdict(Status.WARNING, "empty", words)
            if self.on_empty == "unknown":
                return verdict(Status.UNKNOWN, "empty", words)
            return verdict(Status.CRITICAL, "empty", words)

        judged = [self._one(sample) for sample in result.samples[: self.max_series]]
        wrong = sorted((one for one in judged if one.status is not Status.OK), key=lambda one: -one.status.severity)
        counts = {status: sum(one.status is status for one in judged) for status in Status}
        tally = Tally(counts[Status.OK], counts[Status.WARNING], counts[Status.CRITICAL], counts[Status.UNKNOWN])
        over = result.count - len(judged)
        cut = f"; {over} more series were not judged, max_series is {self.max_series}" if over > 0 else ""
        told = "; ".join(f"{one.scope or 'the value'} {one.message}" for one in wrong[:_TOLD])
        more = f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        parts = tuple(wrong[:_MOST_PARTS])
        if wrong and (wrong[0].status is Status.CRITICAL or not cut):
            words = f"{len(wrong)} of {len(judged)} series: {told}{more}{cut}{notes}"
            return replace(wrong[0], message=words, scope=None, tally=tally, parts=parts)
        if cut:
            words = f"{result.count} series{cut}{notes}"
            return Verdict(self.name, Status.UNKNOWN, "too_many_series", words, tally=tally, parts=parts)
        values = ", ".join(f"{one.scope or 'the value'} {one.message}" for one in judged[:_TOLD])
        return Verdict(self.name, Status.OK, "as_expected", f"{len(judged)} series: {values}{notes}", tally=tally)

    def _one(self, sample: Sample | DecodeError) -> Verdict:
        if isinstance(sample, DecodeError):
            return Verdict(self.name, Status.CRITICAL, "undecodable", f"does not decode: {sample.message}")
        scope, value = sample.scope, sample.value
        if value is None:
            return Verdict(self.name, Status.UNKNOWN, "histogram", "is a native histogram", scope=scope)
        if value.is_nan():
            return self._nan(scope)
        for comparison in self.critical:
            if comparison.holds(value):
                words = f"is {value}, which is {comparison}"
                return Verdict(self.name, Status.CRITICAL, "beyond_critical", words, value, comparison.bound, scope=scope)
        for comparison in self.warning:
            if comparison.holds(value):
                words = f"is {value}, which is {comparison}"
                return Verdict(self.name, Status.WARNING, "beyond_warning", words, value, comparison.bound, scope=scope)
        return Verdict(self.name, Status.OK, "as_expected", f"is {value}", value, scope=scope)

    def _nan(self, scope: str) -> Verdict:
        if self.on_nan == "ok":
            return Verdict(self.name, Status.OK, "as_expected", "is NaN", scope=scope)
        if self.on_nan == "warning":
            return Verdict(self.name, Status.WARNING, "not_a_number", "is NaN", scope=scope)
        if self.on_nan == "unknown":
            return Verdict(self.name, Status.UNKNOWN, "not_a_number", "is NaN", scope=scope)
        return Verdict(self.name, Status.CRITICAL, "not_a_number", "is NaN", scope=scope)


@dataclass(frozen=True, slots=True)
class DataAge:
    """Rule over a :class:`~probekit.model.prometheus.QueryResult` whose values are Unix times in seconds
    (``timestamp(metric)``): the oldest of them against ``max_age``, by the server's own clock at the evaluation.

    CRITICAL ``stale_data`` above it, and ``no_data`` without any series (Prometheus forgets a series five minutes after
    its last sample). A time more than ``max_age`` in the future is CRITICAL ``data_from_the_future``. What holds no times
    is UNKNOWN ``not_a_time``.
    """

    max_age: timedelta
    name: ClassVar[str] = "data_age"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")

    def __call__(self, observation: Observation[QueryResult], *, now: Instant) -> Verdict:
        result = observation.value
        limit_ns = to_ns(self.max_age)
        if result.type == "vector" and not result.count:
            return Verdict(self.name, Status.CRITICAL, "no_data", "no series has a time: there is no data at all", unit="ns")
        times = [one for one in result.samples if isinstance(one, Sample) and one.value is not None]
        if result.at is None or not times or len(times) < len(result.samples) or not all(map(_is_time, times)):
            words = f"a {result.type} that holds other things than Unix times in seconds"
            return Verdict(self.name, Status.UNKNOWN, "not_a_time", words)
        ages = {one: result.at.ns - int((one.value or 0) * NS_PER_S) for one in times}
        oldest, newest = max(times, key=ages.__getitem__), min(times, key=ages.__getitem__)
        shown = f"the oldest of {len(times)} series, {oldest.scope or 'the value'}, is {format_ns(ages[oldest])} old"
        if result.count > len(times):
            shown += f" (of {result.count} series the first {len(times)})"
        if ages[newest] < -limit_ns:
            ahead = f"{newest.scope or 'the value'} is {format_ns(-ages[newest])} ahead of the server's clock"
            return Verdict(self.name, Status.CRITICAL, "data_from_the_future", ahead, ages[newest], -limit_ns, "ns")
        stale = ages[oldest] > limit_ns
        words = f"{shown}, limit {format_ns(limit_ns)}" if stale else shown
        return Verdict(
            self.name,
            Status.CRITICAL if stale else Status.OK,
            "stale_data" if stale else "fresh_data",
            words,
            ages[oldest],
            limit_ns,
            "ns",
        )


def _is_time(sample: Sample) -> bool:
    return sample.value is not None and sample.value.is_finite() and 0 <= sample.value < 2**33
