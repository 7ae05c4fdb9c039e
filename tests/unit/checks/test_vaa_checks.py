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
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


def ago(seconds: float) -> Instant:
    return Instant(NOW.ns - int(seconds * 1e9))


def seen(sequence: int = 7, age: float = 5, came: float = 0, **more: Any) -> SeenVaa:
    """A message of so many seconds ago, that came so many seconds ago."""
    given: dict[str, Any] = {"signatures": 13, "quorum": 13, "set_index": 4, "set_in_force": 4, "measured": True, **more}
    return SeenVaa(sequence, ago(age), ago(came), **given)


def judge(check: Any, view: EmitterView, *, clock_error_ns: int | None = 0) -> Verdict:
    verdict: Verdict = check(Observation(view, "place", NOW, clock_error_ns=clock_error_ns), now=NOW)
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


def test_what_is_there_in_the_place_of_a_message_is_not_it() -> None:
    broken = PendingVaa(8, ago(1), ago(0), "no_quorum", "3 signatures of a set of 19, quorum 13")
    verdict = judge(VaaDelay(30 * S), EmitterView("p", seen(), pending=(PendingVaa(6, ago(99)), broken)), clock_error_ns=None)
    assert (verdict.status, verdict.reason, verdict.error_type) == (CRITICAL, "not_verified", "no_quorum")
    assert verdict.message == "sequence 8 is not what is here: no_quorum: 3 signatures of a set of 19, quorum 13"


@pytest.mark.parametrize(
    ("error_ns", "words"),
    [
        (None, "nothing bounds this clock's error"),
        (10_000_000_001, "may be off by 10.0s, more than a third of the limit 30.0s"),
    ],
)
def test_a_clock_that_cannot_tell_judges_no_delay_and_no_silence(error_ns: int | None, words: str) -> None:
    one = seen(age=90, came=0, absent_at=ago(1))
    late = EmitterView("p", one, (one,), (PendingVaa(8, ago(90), ago(0)),))
    for check in (VaaDelay(30 * S), EmitterLag(S, 30 * S)):
        verdict = judge(check, late, clock_error_ns=error_ns)
        assert (verdict.status, verdict.reason) == (UNKNOWN, "clock")
        assert words in verdict.message
        assert judge(check, EmitterView("p"), clock_error_ns=error_ns).reason == "pending"
        assert judge(check, late, clock_error_ns=10_000_000_000).status is CRITICAL
    # What two messages say of each other needs no clock of ours; nor does an emitter that may be silent.
    behind = EmitterView("p", seen(age=20), announced=AnnouncedVaa(9, ago(1)))
    assert judge(EmitterLag(S, 30 * S), behind, clock_error_ns=error_ns).reason == "emitter_behind"
    assert judge(EmitterLag(S), late, clock_error_ns=error_ns).reason == "newest"


def test_a_message_that_comes_before_its_own_time() -> None:
    one = seen(age=-33, came=0)
    verdict = judge(VaaDelay(60 * S), EmitterView("p", one, (one,)), clock_error_ns=2_000_000_000)
    assert (verdict.status, verdict.reason) == (UNKNOWN, "clock")
    assert "came 33.0s before its own time by this clock, which is off by 2.0s at most" in verdict.message
    near = judge(VaaDelay(60 * S), EmitterView("p", one, (one,)), clock_error_ns=3_000_000_000)
    assert (near.reason, [measure.value for measure in near.measures]) == ("in_time", [0])


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
    assert judge(SignatureMargin(), EmitterView("p")).status is SKIPPED


def test_a_message_of_another_set_than_the_one_in_force() -> None:
    def told(error_ns: int | None = 0, **more: Any) -> tuple[Status, str, str]:
        one = seen(age=100, quorum=None, set_in_force=5, **more)
        verdict = judge(SignatureMargin(), EmitterView("p", one), clock_error_ns=error_ns)
        return verdict.status, verdict.reason, verdict.message

    words = "sequence 7 is signed by set 4, and set 5 is in force"
    assert told(set_since=ago(101)) == (WARNING, "other_set", words)
    # An emitter that is quiet since before that is right with the set of its time.
    assert told(set_since=ago(100))[:2] == told(2_000_000_000, set_since=ago(101))[:2] == (SKIPPED, "older_set")
    assert told(None, set_since=ago(101))[1] == told()[1] == "older_set"
    # One of a set to come is never right.
    assert told(set_since=ago(9), set_index=6)[1] == "other_set"


@pytest.mark.parametrize("check", [VaaDelay(S), EmitterLag(S), SignatureMargin()])
def test_messages_that_are_in_no_index_are_not_judged(check: Any) -> None:
    verdict = judge(check, EmitterView("p", indexed=False))
    assert (verdict.status, verdict.reason) == (SKIPPED, "not_indexed")


ADDRESSES = tuple(bytes([number]) * 20 for number in range(1, 20))


def beat(number: int, age: float = 10, version: str = "v1", height: int | None = 1_000_000) -> Heartbeat:
    networks = () if height is None else (ChainHeartbeat(26, height),)
    return Heartbeat(ADDRESSES[number], f"node {number}", 1, ago(age), ago(999), version, networks)


def report(check: GuardianHeartbeats, *beats: Heartbeat | DecodeError, clock_error_ns: int | None = 0) -> Verdict:
    heard = GuardianReport(GuardianSet(4, ADDRESSES), beats)
    return check(Observation(heard, "place", NOW, clock_error_ns=clock_error_ns), now=NOW)


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


@pytest.mark.parametrize("liars", [1, 6])
def test_wild_heights_make_nobody_else_behind(liars: int) -> None:
    check = GuardianHeartbeats(chain=26)
    beats = [beat(number, height=10**12 if number < liars else 1_000_000 - number) for number in range(19)]
    verdict = report(check, *beats)
    assert (verdict.status, verdict.reason, verdict.value) == (WARNING, "guardians_unwell", 6 - liars)
    assert {one.reason for one in verdict.parts} == {"chain_ahead"}
    assert "blocks ahead of the others on chain 26" in verdict.message
    # Nor does one that is not of the set.
    stranger = Heartbeat(b"\xee" * 20, "x", 1, ago(1), ago(9), "v1", (ChainHeartbeat(26, 10**15),))
    assert report(check, *(beat(number) for number in range(19)), stranger).reason == "guardians_well"


def test_so_many_behind_that_no_quorum_can_sign() -> None:
    """A height that a quorum has reached would make them the measure."""
    beats = [beat(number, height=1_000_000 if number < 12 else 900_000) for number in range(19)]
    verdict = report(GuardianHeartbeats(chain=26), *beats)
    assert (verdict.status, verdict.reason, verdict.value) == (CRITICAL, "too_few_guardians", -1)
    assert {one.reason for one in verdict.parts} == {"chain_behind"}
    few = report(GuardianHeartbeats(chain=26), *(beat(number, height=5) for number in range(3)))
    assert (few.reason, few.value) == ("too_few_guardians", -10)


def test_heartbeats_by_a_clock_that_cannot_tell() -> None:
    late = [beat(number, age=95) for number in range(19)]
    for error_ns in (None, 20_000_000_001):
        verdict = report(GuardianHeartbeats(60 * S), *late, clock_error_ns=error_ns)
        assert (verdict.status, verdict.reason, verdict.parts, verdict.measures) == (UNKNOWN, "clock", (), ())
        # What is wrong by no clock is wrong all the same.
        few = report(GuardianHeartbeats(60 * S), *late[:12], clock_error_ns=error_ns)
        assert few.reason == "too_few_guardians"
    assert report(GuardianHeartbeats(60 * S), *late, clock_error_ns=20_000_000_000).reason == "too_few_guardians"


def test_heartbeats_ahead_of_this_clock() -> None:
    """One of them has no age; more of them than guardians may fail are wrong by this clock alone."""
    early = [beat(number, age=-3_600) for number in range(6)]
    verdict = report(GuardianHeartbeats(60 * S), *early, *(beat(number) for number in range(6, 19)))
    assert (verdict.status, verdict.reason, verdict.value) == (WARNING, "guardians_unwell", 0)
    assert {one.reason for one in verdict.parts} == {"early_heartbeat"}
    all_ = report(GuardianHeartbeats(60 * S), *early, beat(6, age=-90), *(beat(number) for number in range(7, 19)))
    assert (all_.status, all_.reason) == (UNKNOWN, "clock")
    assert "7 heartbeats lie ahead of this clock, which is off by 0us at most" in all_.message


def test_fewer_than_a_quorum() -> None:
    verdict = report(GuardianHeartbeats(), *(beat(number) for number in range(12)))
    assert (verdict.status, verdict.reason, verdict.value) == (CRITICAL, "too_few_guardians", -1)
    assert "and 2 more" in verdict.message


@pytest.mark.parametrize(
    "make",
    [
        lambda: VaaDelay(0 * S), lambda: EmitterLag(0 * S), lambda: EmitterLag(S, 0 * S), lambda: SignatureMargin(-1),
        lambda: GuardianHeartbeats(0 * S), lambda: GuardianHeartbeats(max_blocks=0), lambda: VaaDelay(S, -S),
    ],
)  # fmt: skip
def test_thresholds_that_cannot_be_meant(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
