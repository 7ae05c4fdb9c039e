"""Judgements of signed messages' arrival, and of guardians by their heartbeats."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit.checks import EmitterLag, GuardianHeartbeats, SignatureMargin, VaaDelay
from probekit.errors import DecodeError
from probekit.model import Observation, Status, Verdict
from probekit.model.wormhole import (
    AnnouncedVaa,
    ChainHeartbeat,
    EmitterView,
    GuardianReport,
    GuardianSet,
    Heartbeat,
    PendingVaa,
    SeenVaa,
)
from probekit.units import Instant

S = timedelta(seconds=1)
NOW = Instant.from_seconds(1_700_000_000)
OK, WARNING, CRITICAL, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.SKIPPED


def ago(seconds: float) -> Instant:
    return Instant(NOW.ns - int(seconds * 1e9))


def seen(sequence: int = 7, age: float = 5, came: float = 0, **more: Any) -> SeenVaa:
    """A message of so many seconds ago, that came so many seconds ago."""
    given: dict[str, Any] = {"signatures": 13, "quorum": 13, "set_index": 4, "set_in_force": 4, "measured": True, **more}
    return SeenVaa(sequence, ago(age), ago(came), **given)


def judge(check: Any, view: EmitterView) -> Verdict:
    verdict: Verdict = check(Observation(view, "place", NOW), now=NOW)
    return verdict


def test_a_message_that_came_in_time() -> None:
    one = seen(age=5, came=2)
    verdict = judge(VaaDelay(10 * S), EmitterView("p", one, (one,)))
    assert (verdict.status, verdict.reason, verdict.value) == (OK, "in_time", 3_000_000_000)
    assert [(one.name, one.value) for one in verdict.measures] == [("vaa.delay", 3_000_000_000)]
    assert VaaDelay(10 * S).records == (("vaa.delay", 10_000_000_000),)


def test_late_is_what_was_still_absent_when_it_should_have_been_here() -> None:
    # Between two looks: after 8 s it was not here, after 15 s it was; its own time may be a second later.
    one = seen(age=20, came=5, absent_at=ago(12))
    view = EmitterView("p", one, (one,))
    assert (one.delay_at_least_ns, one.delay_ns) == (7_000_000_000, 15_000_000_000)
    assert judge(VaaDelay(7 * S), view).reason == "in_time"
    verdict = judge(VaaDelay(6 * S), view)
    assert (verdict.status, verdict.reason) == (WARNING, "vaa_late")
    assert verdict.message == "sequence 7 came 7.0s to 15.0s after its time, limit 6.0s"


def test_what_may_have_been_there_for_long_is_no_delay() -> None:
    old = seen(age=9_999, measured=False)
    verdict = judge(VaaDelay(S), EmitterView("p", old, (old,), lost=2))
    assert (verdict.status, verdict.reason, verdict.measures) == (OK, "nothing_new", ())
    assert "2 before were given up" in verdict.message


def test_a_message_that_exists_and_is_not_here() -> None:
    view = EmitterView("p", seen(), pending=(PendingVaa(8, ago(31), ago(0)), PendingVaa(9, ago(40), ago(0))))
    verdict = judge(VaaDelay(30 * S), view)
    assert (verdict.status, verdict.reason, verdict.value) == (CRITICAL, "vaa_missing", 40_000_000_000)
    assert verdict.message == "sequence 9 is not here 40.0s after its time, and 1 more, limit 30.0s"
    assert "waiting for 8" in judge(VaaDelay(50 * S), view).message
    assert judge(VaaDelay(S), EmitterView("p")).status is SKIPPED


def test_how_far_behind_in_numbers_slots_and_time() -> None:
    view = EmitterView("p", seen(90, age=20, slot=900), announced=AnnouncedVaa(100, ago(4), 910))
    verdict = judge(EmitterLag(15 * S), view)
    assert (verdict.status, verdict.reason) == (CRITICAL, "emitter_behind")
    assert verdict.message == "sequence 90 is 10 behind, 10 slots, 16.0s, limit 15.0s"
    assert [(one.name, one.value) for one in verdict.measures] == [
        ("vaa.age", 20_000_000_000), ("vaa.sequences_behind", 10), ("vaa.slots_behind", 10),
    ]  # fmt: skip
    assert judge(EmitterLag(16 * S), view).status is OK
    ahead = EmitterView("p", seen(101, age=3, slot=911), announced=AnnouncedVaa(100, ago(4), 910))
    assert judge(EmitterLag(S), ahead).message == "sequence 101 is 0 behind, 0 slots, 0us"
    no_slots = EmitterView("p", seen(90, age=20), announced=AnnouncedVaa(100, ago(4)))
    assert judge(EmitterLag(15 * S), no_slots).message.startswith("sequence 90 is 10 behind, 16.0s")


def test_an_emitter_that_has_fallen_silent() -> None:
    view = EmitterView("p", seen(age=61))
    assert judge(EmitterLag(S, 60 * S), view).reason == "emitter_silent"
    assert judge(EmitterLag(S), view).reason == "newest"
    # What another source has counts: the emitter speaks, and this place is behind.
    spoken = EmitterView("p", seen(age=61), announced=AnnouncedVaa(9, ago(1)))
    assert judge(EmitterLag(S, 60 * S), spoken).reason == "emitter_behind"
    assert judge(EmitterLag(S, 60 * S), EmitterView("p", announced=AnnouncedVaa(9, ago(99)))).reason == "emitter_silent"
    assert judge(EmitterLag(S), EmitterView("p")).status is SKIPPED
    assert judge(EmitterLag(S), EmitterView("p", announced=AnnouncedVaa(9, ago(1)))).status is SKIPPED


def test_signatures_above_the_quorum() -> None:
    assert judge(SignatureMargin(), EmitterView("p", seen())).reason == "signed"
    verdict = judge(SignatureMargin(2), EmitterView("p", seen(signatures=14)))
    assert (verdict.status, verdict.reason, verdict.value) == (WARNING, "thin_quorum", 1)
    assert judge(SignatureMargin(2), EmitterView("p", seen(signatures=15))).status is OK
    other = judge(SignatureMargin(), EmitterView("p", seen(quorum=None, set_in_force=5)))
    assert (other.reason, other.message) == ("other_set", "sequence 7 is signed by set 4, and set 5 is in force")
    assert judge(SignatureMargin(), EmitterView("p")).status is SKIPPED


@pytest.mark.parametrize("check", [VaaDelay(S), EmitterLag(S), SignatureMargin()])
def test_messages_that_are_in_no_index_are_not_judged(check: Any) -> None:
    verdict = judge(check, EmitterView("p", indexed=False))
    assert (verdict.status, verdict.reason) == (SKIPPED, "not_indexed")


ADDRESSES = tuple(bytes([number]) * 20 for number in range(1, 20))


def beat(number: int, age: float = 10, version: str = "v1", height: int | None = 1_000_000) -> Heartbeat:
    networks = () if height is None else (ChainHeartbeat(26, height),)
    return Heartbeat(ADDRESSES[number], f"node {number}", 1, ago(age), ago(999), version, networks)


def report(check: GuardianHeartbeats, *beats: Heartbeat | DecodeError) -> Verdict:
    return check(Observation(GuardianReport(GuardianSet(4, ADDRESSES), beats), "place", NOW), now=NOW)


def test_guardians_that_are_all_well() -> None:
    verdict = report(GuardianHeartbeats(chain=26), *(beat(number) for number in range(19)))
    assert (verdict.status, verdict.reason, verdict.value) == (OK, "guardians_well", 6)
    assert verdict.message == "19 of 19 guardians are well, quorum 13; versions 19 of v1"


def test_each_guardian_that_is_not_well_is_named() -> None:
    odd = [beat(0, age=61), beat(1, height=None), beat(2, height=998_000), beat(3, version="v2")]
    rest = [beat(number) for number in range(4, 18)]
    verdict = report(GuardianHeartbeats(chain=26, version="v1"), *odd, *rest, DecodeError("odd", raw=b""))
    assert (verdict.status, verdict.reason, verdict.value) == (WARNING, "guardians_unwell", 2)
    assert [(one.scope, one.reason) for one in verdict.parts] == [
        ("node 0 01010101", "late_heartbeat"),
        ("node 1 02020202", "chain_behind"),
        ("node 2 03030303", "chain_behind"),
        ("node 3 04040404", "other_version"),
        (ADDRESSES[18].hex(), "no_heartbeat"),
    ]
    assert "15 of 19 guardians are well" in verdict.message
    assert "versions 17 of v1, 1 of v2; 1 heartbeats do not read" in verdict.message
    assert verdict.tally is not None
    assert (verdict.tally.ok, verdict.tally.warning) == (14, 5)


def test_versions_alone_lose_no_quorum() -> None:
    verdict = report(GuardianHeartbeats(version="v2"), *(beat(number) for number in range(19)))
    assert (verdict.status, verdict.reason, verdict.value) == (WARNING, "guardians_unwell", 6)


def test_fewer_than_a_quorum() -> None:
    verdict = report(GuardianHeartbeats(), *(beat(number) for number in range(12)))
    assert (verdict.status, verdict.reason, verdict.value) == (CRITICAL, "too_few_guardians", -1)
    assert "and 2 more" in verdict.message


@pytest.mark.parametrize(
    "make",
    [
        lambda: VaaDelay(0 * S), lambda: EmitterLag(0 * S), lambda: EmitterLag(S, 0 * S), lambda: SignatureMargin(-1),
        lambda: GuardianHeartbeats(0 * S), lambda: GuardianHeartbeats(max_blocks=0),
    ],
)  # fmt: skip
def test_thresholds_that_cannot_be_meant(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
