"""When signed messages of an emitter arrive at a guardian's API: asked for by number, as that API has no list.

Two ways: messages that another source announces (Hermes has the newest of prices) are asked for until they are there; where
nothing announces them, the next number is, and the one after it, which shows a gap.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.clock import Clock, together
from probekit.codecs import accumulator
from probekit.codecs.vaa import Vaa
from probekit.errors import DecodeError, NotFound, StatusError
from probekit.model import TrustRoot
from probekit.model.wormhole import AnnouncedVaa, EmitterView, GuardianSet, PendingVaa, SeenVaa
from probekit.trust import CORE_EMITTER, SignerSet, Trust, signed_by
from probekit.units import Instant, to_ns

if TYPE_CHECKING:
    from probekit.clients.wormhole import WormholeClient

__all__ = ["VaaArrivals", "price_slot"]

_HTTP_BAD_REQUEST: Final = 400
_REFUSAL: Final = "not supported for pythnet"
"""What a guardian's node answers for chain 26: its store has none of those messages. Indexes of others may."""
_MOST_PENDING: Final = 8
_MOST_STEPS: Final = 16
"""Messages that one look reads, of a list that is longer than what the looks before have seen."""
_GIVE_UP: Final = timedelta(minutes=5)
"""After so long a node has forgotten a message of prices: it will not come any more."""


def price_slot(vaa: Vaa) -> int | None:
    """The slot of a message of prices; ``None`` for any other."""
    try:
        return accumulator.decode_payload(vaa.payload).slot
    except DecodeError:
        return None


class VaaArrivals:
    """The messages of one emitter at ``place``, which ``client`` asks and nobody else. ``first`` is the number to begin with
    where nothing announces them.

    Signatures are checked against the set that the place has in force: who that is, is another question.
    """

    def __init__(
        self, client: WormholeClient, place: str, chain: int, emitter: bytes, *, clock: Clock, first: int | None = None
    ) -> None:
        self._client, self._place, self._clock = client, place, clock
        self._chain, self._emitter = chain, emitter
        self._next = first
        self._absent_at: Instant | None = None
        self._caught_up = False
        self._newest: SeenVaa | None = None
        self._pending: dict[int, PendingVaa] = {}
        self._lost = 0

    async def look(self, in_force: GuardianSet, announced: AnnouncedVaa | None = None) -> EmitterView:
        """What is there now. Raises what the client raises, and ``VerificationError`` for signatures that are none."""
        try:
            return await self._look(in_force, announced)
        except StatusError as error:
            if error.status == _HTTP_BAD_REQUEST and _REFUSAL in error.body.lower():
                return EmitterView(self._place, announced=announced, indexed=False)
            raise

    async def _look(self, in_force: GuardianSet, announced: AnnouncedVaa | None) -> EmitterView:
        now = self._clock.now()
        for sequence, one in list(self._pending.items()):
            if self._next is None and now.since(one.since) > to_ns(_GIVE_UP):
                del self._pending[sequence]
                self._lost += 1
        announced_now = announced is not None and (self._newest is None or announced.sequence > self._newest.sequence)
        if announced is not None and announced_now and len(self._pending) < _MOST_PENDING:
            known = PendingVaa(announced.sequence, announced.vaa_time)
            self._pending.setdefault(announced.sequence, known)
        wanted = list(self._pending)
        arrived: list[SeenVaa] = []
        for sequence, vaa in zip(wanted, await together(self._ask(one) for one in wanted), strict=True):
            known = self._pending[sequence]
            if vaa is None:
                self._pending[sequence] = msgspec.structs.replace(known, absent_at=self._clock.now())
            else:
                arrived.append(self._seen(vaa, in_force, known.absent_at, measured=True))
                del self._pending[sequence]
        if self._next is not None:
            arrived += await self._walk(self._next, in_force)
        for seen in arrived:
            if self._newest is None or seen.sequence > self._newest.sequence:
                self._newest = seen
        pending = tuple(sorted(self._pending.values(), key=lambda one: one.sequence))
        return EmitterView(self._place, self._newest, tuple(arrived), pending, announced, lost=self._lost)

    async def _walk(self, following: int, in_force: GuardianSet) -> list[SeenVaa]:
        found: list[SeenVaa] = []
        for _ in range(_MOST_STEPS):
            vaa = await self._ask(following)
            if vaa is None:
                absent_at = self._clock.now()
                after = await self._ask(following + 1)
                if after is None:
                    self._absent_at, self._caught_up = absent_at, True
                    break
                # The one after it is there: this one exists, and is left out.
                if self._caught_up and len(self._pending) < _MOST_PENDING:
                    self._pending[following] = PendingVaa(following, after.time, absent_at)
                else:
                    # Of what was before we came, nobody knows whether it ever was.
                    self._lost += 1
                vaa, following = after, following + 1
            seen = self._seen(vaa, in_force, self._absent_at, measured=self._absent_at is not None)
            found.append(seen)
            following += 1
        else:
            # There is more: what comes next may have been there for long.
            self._absent_at = None
        self._next = following
        return found

    async def _ask(self, sequence: int) -> Vaa | None:
        try:
            return await self._client.signed_vaa(self._chain, self._emitter, sequence)
        except NotFound:
            return None

    def _seen(self, vaa: Vaa, in_force: GuardianSet, absent_at: Instant | None, *, measured: bool) -> SeenVaa:
        quorum = None
        if vaa.set_index == in_force.index:
            try:
                held = SignerSet(TrustRoot.CORE, in_force.index, in_force.guardians)
            except ValueError as error:
                raise DecodeError(f"the guardian set of {self._place}: {error}", raw=b"".join(in_force.guardians)) from None
            quorum = signed_by(vaa, Trust((held,), (CORE_EMITTER,)), at=vaa.time).quorum
        return SeenVaa(
            sequence=vaa.sequence,
            vaa_time=vaa.time,
            seen_at=self._clock.now(),
            absent_at=absent_at,
            slot=price_slot(vaa),
            signatures=len({one.index for one in vaa.signatures}),
            quorum=quorum,
            set_index=vaa.set_index,
            set_in_force=in_force.index,
            measured=measured,
        )
