"""Judgements of PromQL results."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from probekit.checks import DataAge, QueryAssertions
from probekit.checks.prometheus import Comparison
from probekit.errors import DecodeError
from probekit.model import Observation, Status, Verdict
from probekit.model.prometheus import QueryResult, Sample
from probekit.units import Instant

S = timedelta(seconds=1)
NOW = Instant.from_seconds(1_700_000_000)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


def of(*values: str | None, **more: Any) -> QueryResult:
    samples = tuple(Sample((("n", str(at)),), None if one is None else Decimal(one)) for at, one in enumerate(values))
    return QueryResult(**{"type": "vector", "samples": samples, "count": len(samples), "at": NOW, **more})


def judge(result: QueryResult, critical: tuple[str, ...] = (), warning: tuple[str, ...] = (), **more: Any) -> Verdict:
    check = QueryAssertions(tuple(map(Comparison.parse, critical)), tuple(map(Comparison.parse, warning)), **more)
    return check(Observation(result, "p", NOW), now=NOW)


@pytest.mark.parametrize(
    ("text", "below", "at", "above"),
    [("< 5", True, False, False), ("<=5", True, True, False), ("> 5.0", False, False, True), (" >= 5 ", False, True, True),
     ("== 5", False, True, False), ("!= 5", True, False, True), ("< +Inf", True, True, True), ("> -inf", True, True, True)],
)  # fmt: skip
def test_comparisons(text: str, below: bool, at: bool, above: bool) -> None:
    made = Comparison.parse(text)
    assert [made.holds(Decimal(one)) for one in ("4.9", "5", "5.1")] == [below, at, above]
    assert not made.holds(Decimal("NaN"))


@pytest.mark.parametrize("text", ["", "5", "=> 5", "> five", "> NaN", "> 1_0", ">", "> 5 6"])
def test_comparisons_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no comparison"):
        Comparison.parse(text)


def test_every_series_for_itself_and_the_worst_is_the_verdict() -> None:
    verdict = judge(of("1", "0", "7", "3"), critical=("< 1",), warning=("> 5",))
    assert (verdict.status, verdict.reason, verdict.value, verdict.limit) == (CRITICAL, "beyond_critical", 0, 1)
    assert verdict.message == '2 of 4 series: {n="1"} is 0, which is < 1; {n="2"} is 7, which is > 5'
    assert [(one.scope, one.status) for one in verdict.parts] == [('{n="1"}', CRITICAL), ('{n="2"}', WARNING)]
    assert verdict.tally is not None
    assert (verdict.tally.ok, verdict.tally.warning, verdict.tally.critical) == (2, 1, 1)
    verdict = judge(of("1", "2"), critical=("< 1",))
    assert (verdict.status, verdict.message) == (OK, '2 series: {n="0"} is 1, {n="1"} is 2')
    assert judge(of("6"), warning=("> 5",)).reason == "beyond_warning"


@pytest.mark.parametrize(("policy", "status"), [("ok", OK), ("warning", WARNING), ("critical", CRITICAL), ("unknown", UNKNOWN)])
def test_policies_of_what_has_nothing_to_compare(policy: Any, status: Status) -> None:
    assert judge(of(), critical=("> 0",), on_empty=policy).status is status
    assert judge(of("NaN"), critical=("> 0",), on_nan=policy).status is status


def test_nothing_passes_because_it_cannot_be_compared() -> None:
    assert judge(of(), critical=("> 0",)).reason == "empty"
    assert judge(of("NaN"), critical=("> 0",)).reason == "not_a_number"
    assert judge(of(None), critical=("> 0",)).reason == "histogram"
    odd = QueryResult("vector", (DecodeError("odd", raw=b""),), 1)
    assert (judge(odd).status, judge(odd).reason) == (CRITICAL, "undecodable")
    assert judge(QueryResult("matrix", count=1)).reason == "wrong_type"
    assert judge(QueryResult("string", text="x"), critical=("> 0",)).reason == "wrong_type"
    assert judge(of("1"), matches="x").reason == "wrong_type"


def test_more_series_than_are_judged() -> None:
    verdict = judge(of("1", "1", count=500), critical=("> 5",), max_series=2)
    assert (verdict.status, verdict.reason) == (UNKNOWN, "too_many_series")
    assert "498 more series were not judged" in verdict.message
    verdict = judge(of("6", "1", count=500), critical=("> 5",), max_series=2)
    assert (verdict.status, verdict.reason) == (CRITICAL, "beyond_critical")
    assert "498 more" in verdict.message
    verdict = judge(of("6", "1", count=500), warning=("> 5",), max_series=2)
    assert (verdict.status, verdict.reason, len(verdict.parts)) == (UNKNOWN, "too_many_series", 1)


def test_many_wrong_series_stay_a_sentence() -> None:
    verdict = judge(of(*["0"] * 1_000), critical=("< 1",), max_series=1_000)
    assert (len(verdict.parts), len(verdict.message) < 300) == (32, True)
    assert verdict.message.endswith("and 997 more")
    assert verdict.tally is not None
    assert verdict.tally.critical == 1_000


def test_strings() -> None:
    text = QueryResult("string", text="v2.42")
    assert judge(text, matches=r"^v2\.").status is OK
    verdict = judge(text, matches=r"^v3\.")
    assert (verdict.status, verdict.message) == (CRITICAL, "'v2.42' does not match '^v3\\\\.'")


def test_what_the_server_says_beside_is_shown() -> None:
    verdict = judge(of("1", warnings=("partial response",), infos=("metric might not be a counter",)))
    assert verdict.message.endswith("; the server says: partial response; the server says: metric might not be a counter")


def age(result: QueryResult, max_age: timedelta = 60 * S) -> Verdict:
    return DataAge(max_age)(Observation(result, "p", NOW), now=Instant(0))


def test_the_oldest_data_by_the_servers_own_clock() -> None:
    verdict = age(of("1699999990", "1699999939.5"))
    assert (verdict.status, verdict.reason, verdict.value) == (CRITICAL, "stale_data", 60_500_000_000)
    assert verdict.message == 'the oldest of 2 series, {n="1"}, is 1m00s old, limit 1m00s'
    assert age(of("1699999990", "1699999940")).status is OK
    assert age(of("1700000061", "1700000000")).reason == "data_from_the_future"
    assert age(of()).reason == "no_data"


@pytest.mark.parametrize(
    "result", [of("NaN"), of("-1"), of("1e12"), of(None), QueryResult("string", text="x", at=NOW), of("1", at=None)]
)
def test_what_is_no_time(result: QueryResult) -> None:
    assert (age(result).status, age(result).reason) == (UNKNOWN, "not_a_time")


def test_of_more_series_than_are_kept_the_oldest_of_those() -> None:
    assert "(of 9 series the first 1)" in age(of("1699999990", count=9)).message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QueryAssertions(max_series=0), "max_series"),
        (lambda: QueryAssertions(matches="("), "is no regular expression"),
        (lambda: QueryAssertions(matches="x", critical=(Comparison.parse("> 1"),)), "matches is for strings"),
        (lambda: DataAge(timedelta(0)), "max_age must be positive"),
    ],
)
def test_thresholds_that_cannot_be_meant(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
