"""When signed messages arrive at a guardian's API: announced ones, and those that are next by their number."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from probekit.clients.vaa_arrivals import VaaArrivals
from probekit.clients.wormhole import WormholeClient
from probekit.dev.guardians import SandboxGuardian
from probekit.dev.network import SandboxNetwork
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
        with pytest.raises(VerificationError):
            await arrivals.look(in_force, place.newest())
    place.guardian.signers = range(13)
    view = await arrivals.look(in_force, place.newest())
    assert [one.signatures for one in view.arrived] == [13]


async def test_messages_of_another_set_and_sets_that_are_none() -> None:
    place = Place()
    in_force = await place.client.guardian_set()
    view = await place.prices().look(msgspec.structs.replace(in_force, index=9), place.newest())
    assert view.newest is not None
    assert (view.newest.quorum, view.newest.set_index, view.newest.set_in_force) == (None, 1, 9)
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
