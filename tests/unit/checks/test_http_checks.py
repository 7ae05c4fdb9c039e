"""What an answer should be: each part, in order, with the value shown when it is not so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from probekit.checks import HttpAnswer, HttpAssertions, HttpBody, HttpHop, StatusRange, Wanted
from probekit.model import Observation, Phases, Status, Verdict
from probekit.runner.evidence import evidence_of
from probekit.secret import Secret
from tests.unit.checks.builders import NOW

HOP = HttpHop("http://a/", 200, 5, Phases())
BODY = b'{"ok": true, "count": 3, "name": "Pyth", "parsed": [{"id": "aa"}], "rate": 1.50}'


def answer(**changes: Any) -> HttpAnswer:
    given: dict[str, Any] = {"status": 200, "http_version": "2", "family": "ipv4", "elapsed_ns": 5, "queue_ns": 0,
                             "hops": (HOP,), "headers": (("content-type", "application/json"), ("vary", "a"), ("vary", "b")),
                             "body": HttpBody(BODY)}  # fmt: skip
    return HttpAnswer(**{**given, **changes})


def judge(check: HttpAssertions, **changes: Any) -> Verdict:
    seen = Observation(answer(**changes), "test", NOW)
    verdict = check(seen, now=NOW)
    assert check(seen, now=NOW) == verdict
    return verdict


@pytest.mark.parametrize(
    "check",
    [
        HttpAssertions(),
        HttpAssertions(()),
        HttpAssertions((StatusRange.parse("404"), StatusRange.parse("200-204"))),
        HttpAssertions(http_version="2"),
        HttpAssertions(headers=(Wanted("content-type", matches="^application/json"), Wanted("vary", equals="b"))),
        HttpAssertions(headers=(Wanted("x-debug", lacks="."), Wanted("vary"))),
        HttpAssertions(body=(Wanted(matches="Pyth"), Wanted(lacks="error"))),
        HttpAssertions(json=(Wanted("ok", equals="true"), Wanted("count", equals="3"), Wanted("name", equals="Pyth"))),
        HttpAssertions(json=(Wanted("parsed[0].id", matches="^a+$"), Wanted("parsed[0]"), Wanted("parsed", lacks="bb"))),
    ],
)
def test_as_expected(check: HttpAssertions) -> None:
    verdict = judge(check)
    assert (verdict.status, verdict.reason) == (Status.OK, "as_expected")


@pytest.mark.parametrize(
    ("check", "changes", "reason", "words"),
    [
        (HttpAssertions(), {"status": 302}, "unexpected_status", "the status is 302, not 200-299"),
        (HttpAssertions(), {"status": 302, "hops": (HOP,) * 4}, "unexpected_status", "302 after 3 redirects"),
        (HttpAssertions((StatusRange.parse("204"),)), {}, "unexpected_status", "200, not 204"),
        (HttpAssertions(http_version="3"), {}, "unexpected_version", "came in HTTP 2, not 3"),
        (HttpAssertions(headers=(Wanted("vary", equals="c"),)), {}, "unexpected_header", "the header vary is 'a', not 'c'"),
        (HttpAssertions(headers=(Wanted("vary", lacks="b"),)), {}, "unexpected_header", "has 'b', which matches 'b'"),
        (HttpAssertions(headers=(Wanted("etag", matches="x"),)), {}, "unexpected_header", "there is no header etag"),
        (HttpAssertions(body=(Wanted(matches="^hello"),)), {}, "unexpected_body", "which does not match '^hello'"),
        (HttpAssertions(body=(Wanted(lacks="P.th"),)), {}, "unexpected_body", "the body has 'Pyth', which matches 'P.th'"),
        (HttpAssertions(json=(Wanted("ok"),)), {"body": HttpBody(b"<html>")}, "not_json", "<html>"),
        (HttpAssertions(json=(Wanted("ok"),)), {"body": HttpBody(b"")}, "not_json", "0 bytes"),
        (HttpAssertions(json=(Wanted("ok"),)), {"body": HttpBody(b"[" * 9000)}, "not_json", "9000 bytes"),
        (HttpAssertions(json=(Wanted("count", equals="4"),)), {}, "unexpected_json", "count is '3', not '4'"),
        (HttpAssertions(json=(Wanted("parsed[1].id"),)), {}, "unexpected_json", "nothing at parsed[1]"),
    ],
)
def test_what_is_not_as_asked_is_told_with_its_value(
    check: HttpAssertions, changes: dict[str, Any], reason: str, words: str
) -> None:
    verdict = judge(check, **changes)
    assert (verdict.status, verdict.reason) == (Status.CRITICAL, reason)
    assert words in verdict.message


def test_a_secret_that_a_service_echoes_is_not_shown() -> None:
    secret = Secret("c4nary-0123456789")
    body = HttpBody(b"x" * 150 + secret.reveal().encode() + b"y" * 10_000)
    for check in (HttpAssertions(body=(Wanted(equals="z"),)), HttpAssertions(json=(Wanted("a"),)),
                  HttpAssertions(body=(Wanted(lacks="c4n.*"),))):  # fmt: skip
        verdict = judge(check, body=body)
        assert "c4nary" not in verdict.message
        evidence = evidence_of((verdict,), Observation(answer(body=body), "test", NOW), None)
        assert "c4nary" not in msgspec.json.encode(evidence).decode()
        assert len(evidence.decoded) < 2_000, "the body is told by its first bytes, not whole"
    cookie = (("set-cookie", "session=abcdef"),)
    verdict = judge(HttpAssertions(headers=(Wanted("set-cookie", matches="Secure"),)), headers=cookie)
    assert verdict.reason == "unexpected_header"
    assert "abcdef" not in verdict.message


@pytest.mark.parametrize(("text", "first", "last"), [("200", 200, 200), ("2xx", 200, 299), ("401-403", 401, 403)])
def test_statuses(text: str, first: int, last: int) -> None:
    assert StatusRange.parse(text) == StatusRange(first, last)
    assert StatusRange.parse(str(StatusRange(first, last))) == StatusRange(first, last)


@pytest.mark.parametrize("text", ["", "20", "600", "2xy", "299-200", "200-", "ok", "099"])
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        StatusRange.parse(text)


@pytest.mark.parametrize("pattern", ["(", "*a", "[z-a]", "a{99999999999}"])
def test_what_is_no_regular_expression(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression"):
        Wanted(matches=pattern)
    with pytest.raises(ValueError, match="is no path"):
        HttpAssertions(json=(Wanted("a..b"),))
