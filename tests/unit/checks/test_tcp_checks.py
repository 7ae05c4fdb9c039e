"""Dialogues over TCP: the first turn that did not end as awaited is told, with what came."""

from __future__ import annotations

import pytest

from probekit.checks import TcpAnswer, TcpDialogue, Turn
from probekit.model import Observation, Phases, Status
from tests.unit.checks.builders import NOW

HELLO = Turn("^220 ", "matched", "220 mail ready", 16)
SENT = Turn(None, "sent")


@pytest.mark.parametrize(
    ("turns", "status", "reason", "words"),
    [
        ((), Status.OK, "as_expected", "192.0.2.1 was connected to in TLSv1.3 with X"),
        ((SENT,), Status.OK, "as_expected", "connected"),
        ((HELLO, SENT), Status.OK, "as_expected", "and said '220 mail ready'"),
        ((HELLO, Turn("^250 ", "ended", "", 0)), Status.CRITICAL, "closed_early", "turn 2 waits for '^250 '; the peer ended"),
        ((Turn("^220 ", "ended", "554 no", 6), SENT), Status.CRITICAL, "closed_early", "6 bytes came: '554 no'"),
        ((Turn("^220 ", "late", "SSH-2.0", 9),), Status.CRITICAL, "unexpected_answer", "did not come in time; 9 bytes came"),
        (
            (Turn("login:", "late", "login:", 7, unended=True),),
            Status.CRITICAL,
            "unexpected_answer",
            "which did not come in a line that ended in time",
        ),
        ((Turn("^220 ", "limit", "aaa...", 65_536),), Status.CRITICAL, "unexpected_answer", "within the limit; 65536 bytes"),
    ],
)
def test_each_end_of_a_dialogue(turns: tuple[Turn, ...], status: Status, reason: str, words: str) -> None:
    answer = TcpAnswer(turns, "192.0.2.1", "ipv4", Phases(), 7, "TLSv1.3 with X")
    verdict = TcpDialogue()(Observation(answer, "a", NOW, "a"), now=NOW)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert words in verdict.message
    assert TcpDialogue()(Observation(answer, "a", NOW, "a"), now=NOW) == verdict
