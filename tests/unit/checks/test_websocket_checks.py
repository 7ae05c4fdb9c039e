"""WebSockets by their messages and pongs: each reason, with what came."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.checks import WebSocketAnswer, WebSocketMessage, WebSocketPing
from probekit.model import Observation, Phases, Status, Verdict
from tests.unit.checks.builders import NOW

OK, WARNING, CRITICAL, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.SKIPPED
MS = 1_000_000


def answer(*messages: bytes, **more: Any) -> WebSocketAnswer:
    made = WebSocketAnswer(messages, "awaited", (1000, ""), 5 * MS, True, None, "192.0.2.1", "ipv4", Phases(), 7 * MS)
    return msgspec.structs.replace(made, **more)


def judge(check: Any, seen: WebSocketAnswer) -> Verdict:
    observation = Observation(seen, "a", NOW, "a")
    verdict: Verdict = check(observation, now=NOW)
    assert check(observation, now=NOW) == verdict
    return verdict


RESULT = WebSocketMessage(json=(("result.slot", r"^\d+$"),))


@pytest.mark.parametrize(
    ("check", "seen", "expected", "words"),
    [
        (WebSocketMessage(), answer(), (OK, "open"), "it opened; closed with 1000"),
        (WebSocketMessage(), answer(subprotocol="v2"), (OK, "open"), "speaking v2"),
        (WebSocketMessage(), answer(left=True, closed=(1008, "key")), (CRITICAL, "closed_by_peer"), "closed with 1008 key"),
        (WebSocketMessage("^hi"), answer(b"hi", left=True, closed=(1011, "")), (OK, "as_expected"), "closed with 1011"),
        (WebSocketMessage("^hi"), answer(b"hi there"), (OK, "as_expected"), "'hi there' came"),
        (WebSocketMessage("^hi"), answer(b"no", b"hi"), (OK, "as_expected"), "'hi' came"),
        (WebSocketMessage("^hi"), answer(b"no", end="limit"), (CRITICAL, "unexpected_message"), "does not match '^hi': 'no'"),
        (WebSocketMessage("^hi"), answer(b"no", end="late"), (CRITICAL, "unexpected_message"), "no time left"),
        (WebSocketMessage("^hi"), answer(end="closed", closed=(1011, "oops")), (CRITICAL, "closed_by_peer"), "with 1011 oops"),
        (
            WebSocketMessage("^hi"),
            answer(b"no", end="closed", closed=None),
            (CRITICAL, "closed_by_peer"),
            "without a close frame",
        ),
        (RESULT, answer(b'{"result": {"slot": 7}}'), (OK, "as_expected"), "slot"),
        (RESULT, answer(b'{"result": {"slot": "x"}}', end="limit"), (CRITICAL, "unexpected_message"), "'x' at result.slot"),
        (RESULT, answer(b'{"error": 1}', end="limit"), (CRITICAL, "unexpected_message"), "lacks something"),
        (RESULT, answer(b"\xff", end="limit"), (CRITICAL, "unexpected_message"), "is no JSON"),
    ],
)
def test_messages(check: WebSocketMessage, seen: WebSocketAnswer, expected: tuple[Status, str], words: str) -> None:
    verdict = judge(check, seen)
    assert (verdict.status, verdict.reason) == expected
    assert words in verdict.message


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (answer(ping_ns=100 * MS), (OK, "pong", "the pong took")),
        (answer(ping_ns=100 * MS + 1), (WARNING, "slow_pong", "limit")),
        (answer(ping_ns=None), (CRITICAL, "no_pong", "was not answered")),
        (answer(ping_ns=None, waited_ns=100 * MS, dropped=7), (CRITICAL, "no_pong", "and 7 messages came meanwhile")),
        (answer(ping_ns=None, waited_ns=99 * MS), (SKIPPED, "not_pinged", "only 99.0ms")),
        (answer(ping_ns=None, too_large=True), (SKIPPED, "not_pinged", "a message above the limit")),
        (answer(ping_ns=None, pinged=False, end="late"), (SKIPPED, "not_pinged", "no time was left")),
        (answer(ping_ns=None, pinged=False), (SKIPPED, "not_pinged", "closed before")),
        (answer(ping_ns=None, pinged=False, left=True, closed=(1005, "")), (SKIPPED, "not_pinged", "closed before")),
        (answer(ping_ns=None, pinged=False, left=True), (SKIPPED, "not_pinged", "closed before")),
        (
            answer(ping_ns=None, pinged=False, left=True, closed=(1011, "oops")),
            (CRITICAL, "no_pong", "with 1011 oops in"),
        ),
        (answer(ping_ns=None, pinged=False, left=True, closed=None), (CRITICAL, "no_pong", "without a close frame in place")),
    ],
)
def test_pings(seen: WebSocketAnswer, expected: tuple[Status, str, str]) -> None:
    verdict = judge(WebSocketPing(timedelta(milliseconds=100)), seen)
    assert (verdict.status, verdict.reason) == expected[:2]
    assert expected[2] in verdict.message
    assert [one.value for one in verdict.measures] == ([] if seen.ping_ns is None else [seen.ping_ns])


def test_what_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        WebSocketMessage("(")
    with pytest.raises(ValueError, match="no regular expression"):
        WebSocketMessage(json=(("a", "("),))
    with pytest.raises(ValueError, match="no path"):
        WebSocketMessage(json=(("a..b", "x"),))
    with pytest.raises(ValueError, match="max_ping"):
        WebSocketPing(timedelta(0))


def test_evidence_is_short() -> None:
    shown = answer(*[b"x" * 60_000] * 64).shown()
    assert len(msgspec.json.encode(shown)) < 20_000
