"""When signed messages arrive at a guardian's API: announced ones, and those that are next by their number."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.clients.vaa_arrivals import VaaArrivals
from probekit.clients.wormhole import WormholeClient
from probekit.dev.guardians import SandboxGuardian
from probekit.dev.network import SandboxNetwork
from probekit.dev.reply import Reply
from probekit.dev.transport import SandboxTransport
from probekit.errors import DecodeError, ServerError, VerificationError
from probekit.model import TrustRoot
from probekit.model.wormhole import AnnouncedVaa, GuardianSet
from probekit.testing import FakeClock
from probekit.transports.retry import NO_RETRY
from probekit.trust import CORE_EMITTER

S = timedelta(seconds=1)
OTHER = bytes(31) + b"\x07"


class Place:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.network = SandboxNetwork(root=TrustRoot.CORE, feeds=1, clock=self.clock)
        self.guardian = SandboxGuardian(self.network)
        self.guardian.appears_after = timedelta(0)
        transport = SandboxTransport(self.guardian)
        self.client = WormholeClient("http://one", transport=transport, retry=NO_RETRY, clock=self.clock)

    def prices(self) -> VaaArrivals:
        return VaaArrivals(self.client, "one", CORE_EMITTER.chain, CORE_EMITTER.address, clock=self.clock)

    def other(self, first: int) -> VaaArrivals:
        return VaaArrivals(self.client, "one", 1, OTHER, clock=self.clock, first=first)

    def newest(self) -> AnnouncedVaa:
        vaa = self.network.slot(self.network.published_ns(self.clock.now())).signed.vaa
        return AnnouncedVaa(vaa.sequence, vaa.time, vaa.sequence)


async def test_what_is_announced_is_asked_for_until_it_is_there() -> None:
    place = Place()
    arrivals, in_force = place.prices(), await place.client.guardian_set()
    there = await arrivals.look(in_force, place.newest())
    assert [one.measured for one in there.arrived] == [True]
    assert there.newest is not None
    assert (there.newest.signatures, there.newest.quorum, there.newest.slot) == (19, 13, there.newest.sequence)
    place.guardian.appears_after = 4 * S
    await place.clock.advance(2 * S)
    announced = place.newest()
    absent = await arrivals.look(in_force, announced)
    assert [one.sequence for one in absent.pending] == [announced.sequence]
    assert absent.newest == there.newest
    await place.clock.advance(5 * S)
    came = await arrivals.look(in_force, announced)
    assert [one.sequence for one in came.arrived] == [announced.sequence]
    [one] = came.arrived
    assert one.absent_at is not None
    assert one.seen_at.since(one.absent_at) == 5_000_000_000
    assert came.pending == ()


async def test_what_never_comes_is_bounded_and_given_up() -> None:
    place = Place()
    place.guardian.appears_after = 9_000 * S
    arrivals, in_force = place.prices(), await place.client.guardian_set()
    for _ in range(20):
        await place.clock.advance(2 * S)
        view = await arrivals.look(in_force, place.newest())
        assert len(view.pending) <= 8
    assert len(view.pending) == 8
    await place.clock.advance(299 * S)
    view = await arrivals.look(in_force, place.newest())
    assert view.lost == 8
    assert len(view.pending) == 1


async def test_a_gap_by_number_stays_until_it_is_filled() -> None:
    place = Place()
    place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    view = await arrivals.look(in_force)
    assert view.newest is not None
    assert (view.newest.sequence, view.newest.measured, view.newest.slot) == (3, False, None)
    gone = place.guardian.publish(1, OTHER)
    place.guardian.withheld.add((1, OTHER, gone))
    place.guardian.publish(1, OTHER)
    for _ in range(3):
        view = await arrivals.look(in_force)
        assert [one.sequence for one in view.pending] == [gone]
        await place.clock.advance(400 * S)
    place.guardian.withheld.clear()
    view = await arrivals.look(in_force)
    assert (view.pending, [one.sequence for one in view.arrived], view.newest and view.newest.sequence) == ((), [4], 5)


async def test_signatures_that_are_none_are_no_arrival() -> None:
    place = Place()
    arrivals, in_force = place.prices(), await place.client.guardian_set()
    place.guardian.signers = range(12)
    for _ in range(2):
        view = await arrivals.look(in_force, place.newest())
        [lacking] = view.pending
        assert (view.arrived, lacking.error_type, lacking.problem) == (
            (), "no_quorum", "12 signatures of a set of 19, quorum 13",
        )  # fmt: skip
    place.guardian.signers = range(13)
    view = await arrivals.look(in_force, place.newest())
    assert [one.signatures for one in view.arrived] == [13]
    assert view.pending == ()


async def test_one_that_does_not_verify_is_told_and_passed_and_its_neighbours_are_read() -> None:
    place = Place()
    for _ in range(10):
        place.guardian.publish(1, OTHER, first=3)
    place.guardian.unproven.add((1, OTHER, 5))
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    view = await arrivals.look(in_force)
    assert [one.sequence for one in view.arrived] == [3, 4, *range(6, 13)]
    assert [(one.sequence, one.error_type) for one in view.pending] == [(5, "no_quorum")]
    # It is asked for until it is what it should be.
    assert [one.sequence for one in (await arrivals.look(in_force)).pending] == [5]
    place.guardian.unproven.clear()
    view = await arrivals.look(in_force)
    assert ([one.sequence for one in view.arrived], view.pending, view.newest and view.newest.sequence) == ([5], (), 12)


async def test_the_newest_that_does_not_verify_is_the_error_of_the_look_until_a_later_one_does() -> None:
    place = Place()
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    place.guardian.publish(1, OTHER, first=3)
    place.guardian.unproven.add((1, OTHER, 3))
    for _ in range(2):
        with pytest.raises(VerificationError):
            await arrivals.look(in_force)
    place.guardian.publish(1, OTHER)
    view = await arrivals.look(in_force)
    assert ([one.sequence for one in view.pending], view.newest and view.newest.sequence) == ([3], 4)


async def test_an_api_that_answers_anything_with_nonsense_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not read proves no message: numbers that were never sent must not be passed."""
    place = Place()
    place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    await arrivals.look(in_force)
    monkeypatch.setattr(place.guardian, "handle", lambda *_: Reply(body=b"<html>"))
    for _ in range(5):
        with pytest.raises(DecodeError):
            await arrivals.look(in_force)
    monkeypatch.undo()
    place.guardian.publish(1, OTHER)
    view = await arrivals.look(in_force)
    assert ([one.sequence for one in view.arrived], view.pending, view.lost) == ([4], (), 0)


async def test_what_a_look_has_read_stays_when_it_fails_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    for _ in range(12):
        place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    answer = place.guardian.handle

    def failing(method: str, target: str, *more: Any) -> Reply:
        place.guardian.down = target.endswith("/9")
        return answer(method, target, *more)

    monkeypatch.setattr(place.guardian, "handle", failing)
    with pytest.raises(ServerError):
        await arrivals.look(in_force)
    monkeypatch.undo()
    place.guardian.down = False
    view = await arrivals.look(in_force)
    # Those from before it failed are told with the first look that can tell anything.
    assert [one.sequence for one in view.arrived] == list(range(3, 15))


async def test_a_slow_place_is_read_a_part_at_a_time() -> None:
    place = Place()
    for _ in range(12):
        place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    place.guardian.takes = 2 * S
    read: list[list[int]] = []
    while not read or read[-1]:
        until_ns = place.clock.monotonic_ns() + 5 * 10**9
        look = asyncio.ensure_future(arrivals.look(in_force, until_ns=until_ns))
        while not look.done():
            await place.clock.advance(S)
        read.append([one.sequence for one in look.result().arrived])
        assert len(read) < 9
    assert [len(one) for one in read] == [3, 3, 3, 3, 0]
    # One that is cancelled, as a run at its deadline does, has read what it has read.
    for _ in range(3):
        place.guardian.publish(1, OTHER)
    cut = asyncio.ensure_future(arrivals.look(in_force))
    for _ in range(3):
        await place.clock.advance(S)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    place.guardian.takes = 0 * S
    assert [one.sequence for one in (await arrivals.look(in_force)).arrived] == [15, 16, 17]


@pytest.mark.parametrize("missing", [1, 2, 3, 5, 8])
async def test_a_gap_of_several_is_not_the_end(missing: int) -> None:
    place = Place()
    place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    await arrivals.look(in_force)
    gone = [place.guardian.publish(1, OTHER) for _ in range(missing)]
    place.guardian.withheld = {(1, OTHER, one) for one in gone}
    later = [place.guardian.publish(1, OTHER) for _ in range(8)]
    await place.clock.advance(2 * S)
    arrived: list[int] = []
    for _ in range(6):
        view = await arrivals.look(in_force)
        arrived += [one.sequence for one in view.arrived]
    assert arrived == later
    assert [one.sequence for one in view.pending] == gone
    assert view.lost == 0
    place.guardian.withheld.clear()
    view = await arrivals.look(in_force)
    assert ([one.sequence for one in view.arrived], view.pending) == (gone, ())


async def test_what_another_place_has_exists() -> None:
    place = Place()
    place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    first = (await arrivals.look(in_force)).newest
    assert first is not None
    elsewhere = msgspec.structs.replace(first, sequence=5, vaa_time=first.vaa_time.plus(9 * S))
    for _ in range(2):
        view = await arrivals.look(in_force, elsewhere=elsewhere)
        assert [(one.sequence, one.since) for one in view.pending] == [(4, elsewhere.vaa_time), (5, elsewhere.vaa_time)]
    for _ in range(3):
        place.guardian.publish(1, OTHER)
    view = await arrivals.look(in_force, elsewhere=elsewhere)
    assert ([one.sequence for one in view.arrived], view.pending) == ([4, 5, 6], ())


async def test_what_comes_behind_a_gap_was_not_asked_for_before() -> None:
    """Absent before is what was asked for: of a number farther than that nobody knows since when it is there."""
    place = Place()
    place.guardian.publish(1, OTHER, first=3)
    arrivals, in_force = place.other(3), await place.client.guardian_set()
    await arrivals.look(in_force)
    gone = [place.guardian.publish(1, OTHER) for _ in range(2)]
    place.guardian.withheld = {(1, OTHER, one) for one in gone}
    for _ in range(3):
        place.guardian.publish(1, OTHER)
    view = await arrivals.look(in_force)
    assert [(one.sequence, one.measured) for one in view.arrived] == [(6, True), (7, False), (8, False)]
    place.guardian.publish(1, OTHER)
    assert [one.measured for one in (await arrivals.look(in_force)).arrived] == [True]


async def test_messages_of_another_set_and_sets_that_are_none() -> None:
    place = Place()
    in_force = await place.client.guardian_set()
    view = await place.prices().look(msgspec.structs.replace(in_force, index=9), place.newest())
    assert view.newest is not None
    assert (view.newest.quorum, view.newest.set_index, view.newest.set_in_force) == (None, 1, 9)
    assert view.newest.set_since == place.clock.now()
    with pytest.raises(DecodeError, match="the guardian set of one"):
        await place.prices().look(GuardianSet(in_force.index, (b"\x01" * 20, b"\x01" * 20)), place.newest())


async def test_a_node_that_refuses_messages_of_pythnet() -> None:
    place = Place()
    place.guardian.serves_prices = False
    arrivals, in_force = place.prices(), await place.client.guardian_set()
    view = await arrivals.look(in_force, place.newest())
    assert (view.indexed, view.pending) == (False, ())
    place.guardian.publish(1, OTHER, first=3)
    assert (await place.other(3).look(in_force)).newest is not None


async def test_a_place_that_fails_says_so_and_forgets_nothing() -> None:
    place = Place()
    arrivals, in_force = place.prices(), await place.client.guardian_set()
    place.guardian.down = True
    announced = place.newest()
    with pytest.raises(ServerError):
        await arrivals.look(in_force, announced)
    place.guardian.down = False
    view = await arrivals.look(in_force, announced)
    assert [one.sequence for one in view.arrived] == [announced.sequence]
