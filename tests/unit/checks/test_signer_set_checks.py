"""Signer sets against the known ones: the order in which faults are told, and the edges of an expiry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.checks import SignerSetExpiry, SignerSetMatch
from probekit.model import Observation, Status, TrustRoot
from probekit.model.signer_set import KnownSet, SetSighting
from tests.unit.checks.builders import NOW

CORE, PRO = TrustRoot.CORE, TrustRoot.PRO


def members(first: int, count: int) -> tuple[bytes, ...]:
    return tuple(bytes([number]) * 20 for number in range(first, first + count))


KNOWN = (
    KnownSet(CORE, 0, members(1, 19)),
    KnownSet(PRO, 0, members(50, 5)),
    KnownSet(PRO, 1, members(60, 5)),
)
SEEN = SetSighting(index=1, signers=members(60, 5), quorum=3, emitter_roots=(PRO,))


def match(check: SignerSetMatch = SignerSetMatch(KNOWN), **changed: Any) -> tuple[Status, str, str]:  # noqa: B008 - frozen
    observation = Observation(msgspec.structs.replace(SEEN, **changed), "chain", NOW, "place")
    verdict = check(observation, now=NOW)
    assert check(observation, now=NOW) == verdict
    return verdict.status, verdict.reason, verdict.message


@pytest.mark.parametrize(
    ("changed", "status", "reason", "told"),
    [
        ({}, Status.OK, "current", "set 1 of the pro root"),
        ({"quorum": None, "emitter_roots": None}, Status.OK, "current", "5 signers"),
        ({"index": None}, Status.UNKNOWN, "no_set", "no reason given"),
        ({"signers": None, "unanswered": ("guardian_set: it reverted",)}, Status.UNKNOWN, "no_set", "it reverted"),
        ({"index": 0, "signers": members(50, 5)}, Status.CRITICAL, "set_behind", "the root signs with set 1"),
        ({"index": 0}, Status.CRITICAL, "members_differ", "has the members of set 1"),
        ({"signers": (*members(60, 4), b"x" * 20)}, Status.CRITICAL, "members_differ", f"signer 4 is 0x{b'x'.hex() * 20}, not"),
        ({"signers": members(90, 5)}, Status.CRITICAL, "members_differ", "and 2 more"),
        ({"index": 2, "signers": members(90, 5)}, Status.CRITICAL, "unknown_set", "set 2 with 5 signers"),
        ({"signers": ()}, Status.CRITICAL, "unknown_set", "0 signers"),
        ({"quorum": 4}, Status.CRITICAL, "wrong_quorum", "wants 3"),
        ({"emitter_roots": (CORE,)}, Status.CRITICAL, "wrong_emitter", "the core root"),
        ({"emitter_roots": ()}, Status.CRITICAL, "wrong_emitter", "no known root"),
        ({"newer": (KnownSet(PRO, 2, members(70, 5)),)}, Status.CRITICAL, "set_behind", "set 2"),
        ({"newer": (KnownSet(CORE, 9, members(70, 5)),)}, Status.OK, "current", ""),
    ],
)
def test_each_reason(changed: dict[str, Any], status: Status, reason: str, told: str) -> None:
    found = match(**changed)
    assert found[:2] == (status, reason)
    assert told in found[2]


def test_the_root_that_is_expected() -> None:
    assert match(SignerSetMatch(KNOWN, PRO))[1] == "current"
    assert match(SignerSetMatch(KNOWN, CORE))[1] == "wrong_root"
    assert match(SignerSetMatch(KNOWN, CORE), index=0, signers=members(1, 19), quorum=10)[1] == "wrong_quorum"


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (None, (Status.OK, "no_expiry")),
        (timedelta(days=7, microseconds=1), (Status.OK, "valid")),
        (timedelta(days=7), (Status.WARNING, "expiring")),
        (timedelta(microseconds=1), (Status.WARNING, "expiring")),
        (timedelta(0), (Status.CRITICAL, "expired")),
    ],
)
def test_expiry_at_its_edges(left: timedelta | None, expected: tuple[Status, str]) -> None:
    expires_at = None if left is None else NOW.plus(left)
    observation = Observation(msgspec.structs.replace(SEEN, expires_at=expires_at), "chain", NOW, "place")
    verdict = SignerSetExpiry(timedelta(days=7))(observation, now=NOW)
    assert (verdict.status, verdict.reason) == expected
    with pytest.raises(ValueError, match="negative"):
        SignerSetExpiry(timedelta(-1))
