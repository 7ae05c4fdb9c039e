"""Judgements of DNS answers, and of several that should be one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.checks import DissentMemory, DnsAgreement, DnsAssertions
from probekit.errors import ConnectError, ProbekitError
from probekit.model import Comparison, Observation, Status, Verdict
from probekit.model.dns import DnsAnswer
from probekit.units import Instant

S = timedelta(seconds=1)
NOW = Instant.from_seconds(1_700_000_000)
GOOD = DnsAnswer("NOERROR", ("192.0.2.1", "192.0.2.2"), ttl_s=300, authentic=True)


def judge(check: DnsAssertions, answer: DnsAnswer = GOOD, **changed: Any) -> Verdict:
    return check(Observation(msgspec.structs.replace(answer, **changed), "r", NOW), now=NOW)


@pytest.mark.parametrize(
    ("wanted", "changed", "reason", "words"),
    [
        ({}, {}, "as_expected", "192.0.2.1, 192.0.2.2 (over udp)"),
        ({}, {"truncated": True, "over": "tcp"}, "as_expected", "(over tcp, after a truncated answer over udp)"),
        ({}, {"chain": ("edge.test.",)}, "as_expected", "by way of edge.test."),
        ({}, {"rcode": "SERVFAIL", "values": ()}, "unexpected_rcode", "is SERVFAIL, not NOERROR"),
        ({"rcode": "NXDOMAIN", "min_count": 0}, {"rcode": "NXDOMAIN", "values": ()}, "as_expected", "NXDOMAIN, no values"),
        ({}, {"values": ()}, "unexpected_count", "0 values (nothing), wanted at least 1"),
        ({"max_count": 1}, {}, "unexpected_count", "2 values (192.0.2.1, 192.0.2.2), wanted at least 1, at most 1"),
        ({"equals": ("192.0.2.2", "192.0.2.1")}, {}, "as_expected", ""),
        ({"equals": ("192.0.2.1",)}, {}, "unexpected_value", "192.0.2.2 is there and should not be"),
        ({"equals": ("192.0.2.1", "192.0.2.2", "192.0.2.3")}, {}, "unexpected_value", "192.0.2.3 is not among 192.0.2.1, "),
        ({"contains": ("192.0.2.9",)}, {}, "unexpected_value", "192.0.2.9 is not among"),
        ({"matches": r"^192\.0\.2\."}, {}, "as_expected", ""),
        ({"matches": "1$"}, {}, "unexpected_value", "192.0.2.2 does not match '1$'"),
        ({"min_ttl": 301 * S}, {}, "unexpected_ttl", "the TTL is 300 s, below 5m01s"),
        ({"max_ttl": 299 * S}, {}, "unexpected_ttl", "the TTL is 300 s, above 4m59s"),
        ({"max_ttl": 299 * S}, {"ttl_s": None}, "unexpected_ttl", "there is no TTL"),
        ({"min_ttl": 300 * S, "max_ttl": 300 * S}, {}, "as_expected", ""),
        ({"authenticated": True}, {}, "as_expected", ""),
        ({"authenticated": True}, {"authentic": False}, "not_authenticated", "no AD flag"),
    ],
)  # fmt: skip
def test_the_first_thing_that_is_not_as_asked_is_told_with_what_came(
    wanted: dict[str, Any], changed: dict[str, Any], reason: str, words: str
) -> None:
    verdict = judge(DnsAssertions(**wanted), **changed)
    assert verdict.reason == reason
    assert verdict.status is (Status.OK if reason == "as_expected" else Status.CRITICAL)
    assert words in verdict.message


def test_many_values_stay_one_line() -> None:
    verdict = judge(DnsAssertions(max_count=9), values=tuple(f"192.0.{n // 256}.{n % 256}" for n in range(4_000)))
    assert verdict.reason == "unexpected_count"
    assert len(verdict.message) < 500


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"matches": "("}, "is no regular expression"),
        ({"min_count": 2, "max_count": 1}, "min_count <= max_count"),
        ({"min_count": -1}, "0 <= min_count"),
        ({"min_ttl": 2 * S, "max_ttl": S}, "min_ttl <= max_ttl"),
    ],
)
def test_thresholds_that_cannot_be_meant(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DnsAssertions(**wrong)
    with pytest.raises(ValueError, match="grace must not be negative"):
        DnsAgreement(grace=-S)


def step(check: DnsAgreement, state: DissentMemory, after: timedelta = 0 * S, **answers: DnsAnswer | None) -> Any:
    values = {name: one for name, one in answers.items() if one is not None}
    failures: dict[str, ProbekitError] = {name: ConnectError("refused") for name, one in answers.items() if one is None}
    at = Instant(NOW.ns + int(after.total_seconds() * 1e9))
    return check.step(state, Observation(Comparison(values, failures), "all", at), now=at)


OTHER = msgspec.structs.replace(GOOD, values=("203.0.113.66",))


def test_the_dissenters_are_named() -> None:
    check = DnsAgreement()
    state, verdict = step(check, check.init(), a=GOOD, b=OTHER, c=msgspec.structs.replace(GOOD, ttl_s=7, over="tls"))
    assert (verdict.status, verdict.reason) == (Status.CRITICAL, "dissent")
    assert verdict.message == "b says NOERROR 203.0.113.66, not NOERROR 192.0.2.1, 192.0.2.2 as a, c"
    assert [(one.scope, one.reason) for one in verdict.parts] == [("b", "dissent")]
    assert (verdict.tally.ok, verdict.tally.critical) == (2, 1)
    state, verdict = step(check, state, a=GOOD, b=GOOD, c=None)
    assert (verdict.status, verdict.reason, state) == (Status.OK, "agreeing", DissentMemory())


def test_an_error_where_others_have_values_is_dissent() -> None:
    check = DnsAgreement()
    _, verdict = step(check, check.init(), a=GOOD, b=GOOD, c=DnsAnswer("NXDOMAIN", ()))
    assert "c says NXDOMAIN nothing" in verdict.message


def test_a_change_may_take_its_time_to_spread() -> None:
    check = DnsAgreement(grace=60 * S)
    state, verdict = step(check, check.init(), a=GOOD, b=OTHER)
    assert (verdict.status, verdict.reason) == (Status.WARNING, "differing")
    state, verdict = step(check, state, 59 * S, a=GOOD, b=OTHER)
    assert (verdict.status, verdict.value) == (Status.WARNING, 59 * 10**9)
    state, verdict = step(check, state, 60 * S, a=GOOD, b=OTHER)
    assert (verdict.status, verdict.value, verdict.limit) == (Status.CRITICAL, 60 * 10**9, 60 * 10**9)
    state, verdict = check.step(state, None, now=NOW)
    assert (verdict.status, verdict.reason) == (Status.SKIPPED, "pending")
    state, _ = step(check, state, 61 * S, a=OTHER, b=OTHER)
    _, verdict = step(check, state, 62 * S, a=GOOD, b=OTHER)
    assert verdict.status is Status.WARNING


def test_time_that_could_not_be_judged_is_no_time_of_dissent() -> None:
    check = DnsAgreement(grace=60 * S)
    state, _ = step(check, check.init(), a=GOOD, b=OTHER)
    state, _ = step(check, state, 30 * S, a=GOOD, b=OTHER)
    for after in (40, 50, 60):
        state, verdict = step(check, state, after * S, a=GOOD, b=None)
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, "too_few_sources")
    state, verdict = step(check, state, 70 * S, a=GOOD, b=OTHER)
    assert (verdict.reason, verdict.value) == ("differing", 40 * 10**9)
    state, verdict = step(check, state, 89 * S, a=GOOD, b=OTHER)
    assert (verdict.reason, verdict.value) == ("differing", 59 * 10**9)
    critical, verdict = step(check, state, 90 * S, a=GOOD, b=OTHER)
    assert (verdict.reason, verdict.value) == ("dissent", 60 * 10**9)
    state, _ = step(check, state, 100 * S, a=None, b=None)
    _, verdict = step(check, state, 161 * S, a=GOOD, b=OTHER)
    assert (verdict.reason, verdict.value) == ("differing", 0), "for longer than it may last nobody knows what there was"
    assert msgspec.json.decode(msgspec.json.encode(critical), type=DissentMemory) == critical
    state, _ = step(check, check.init(), a=GOOD, b=None)
    assert state == check.init()


def test_a_dissent_between_looks_that_are_lost_is_told_in_the_end() -> None:
    check = DnsAgreement(grace=60 * S)
    state, told = check.init(), []
    for minute in range(10):
        state, verdict = step(check, state, 20 * minute * S, a=GOOD, b=None if minute % 2 else OTHER)
        told.append(verdict.reason)
    assert told[::2] == ["differing", "differing", "differing", "dissent", "dissent"]


def soa(serial: int) -> DnsAnswer:
    return DnsAnswer("NOERROR", (f"ns.test. admin.test. {serial} 1 2 3 4",))


def test_serials_by_their_own_arithmetic_the_newest_is_right() -> None:
    check = DnsAgreement("serial")
    _, verdict = step(check, check.init(), a=soa(2**32 - 1), b=soa(3), c=soa(2**32 - 1))
    assert verdict.message.endswith("not serial 3 as b")
    assert [one.scope for one in verdict.parts] == ["a", "c"]
    _, verdict = step(check, check.init(), a=soa(5), b=soa(5))
    assert verdict.message == "2 servers say serial 5"
    _, verdict = step(check, check.init(), a=soa(5), b=DnsAnswer("REFUSED", ()))
    assert [one.message for one in verdict.parts] == ["b says REFUSED nothing"]


def test_equal_inputs_give_equal_verdicts() -> None:
    check = DnsAgreement(grace=S)
    assert step(check, check.init(), a=GOOD, b=OTHER) == step(check, check.init(), b=OTHER, a=GOOD)
