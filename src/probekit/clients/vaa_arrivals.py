"""When signed messages of an emitter arrive at a guardian's API: asked for by number, as that API has no list.

Two ways: messages that another source announces (Hermes has the newest of prices) are asked for until they are there; where
nothing announces them, the next number is, and some after it, which show a gap, as does what another place has.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.clock import Clock, together
from probekit.codecs import accumulator
from probekit.codecs.vaa import Vaa
from probekit.errors import DecodeError, NotFound, StatusError, VerificationError
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
_MOST_UNTOLD: Final = 64
"""Arrivals kept over looks that failed before they could tell them."""
_NEAR: Final = (1, 2)
_FAR: Final = (4, 8, 16, 32, 64)
"""How far after a number that is not there is looked for another that is: all of the near at every look, one of the far in
turn. A longer gap looks like the end.
"""
_GIVE_UP: Final = timedelta(minutes=5)
"""After so long a node has forgotten a message of prices: it will not come any more."""

_NoVaa = DecodeError | VerificationError
"""Why what is there in the place of a message is not it."""


def price_slot(vaa: Vaa) -> int | None:
    """The slot of a message of prices; ``None`` for any other."""
    try:
        return accumulator.decode_payload(vaa.payload).slot
    except DecodeError:
        return None


class VaaArrivals:
    """The messages of one emitter at ``place``, which ``client`` asks and nobody else. ``first`` is the number to begin with
    where nothing announces them.

    Signatures are checked against the set that the place has in force: who that is, is another question. A message that does
    not read or verify is pending like one that is not there, with the reason, and holds up none after it. What a look has
    learned stays when it fails, or is cancelled, in the middle.
    """

    def __init__(
        self, client: WormholeClient, place: str, chain: int, emitter: bytes, *, clock: Clock, first: int | None = None
    ) -> None:
        self._client, self._place, self._clock = client, place, clock
        self._chain, self._emitter = chain, emitter
        self._next = first
        self._exist: tuple[int, Instant] | None = None
        """Below which number all exist, since a later one was seen; and the time of that."""
        self._turn = 0
        self._absent: tuple[int, Instant] | None = None
        """Up to which number nothing was there from the next one on, and when that was."""
        self._over_gap = False
        """Whether a gap was passed since: then nobody knows when those beyond were not there yet."""
        self._caught_up = False
        self._began: Instant | None = None
        self._newest: SeenVaa | None = None
        self._untold: deque[SeenVaa] = deque(maxlen=_MOST_UNTOLD)
        self._pending: dict[int, PendingVaa] = {}
        self._lost = 0
        self._set: tuple[int, Instant] | None = None
        """The set in force here, and since when it is seen to be."""

    async def look(
        self,
        in_force: GuardianSet,
        announced: AnnouncedVaa | None = None,
        *,
        elsewhere: SeenVaa | None = None,
        until_ns: int | None = None,
    ) -> EmitterView:
        """What is there now. Raises what the client raises, and ``VerificationError`` where the newest does not verify. After
        ``until_ns`` (monotonic) no further number is begun with: the next look goes on from there. ``elsewhere`` is the newest
        of other places, of an emitter that is read number by number.
        """
        try:
            held = SignerSet(TrustRoot.CORE, in_force.index, in_force.guardians)
        except ValueError as error:
            raise DecodeError(f"the guardian set of {self._place}: {error}", raw=b"".join(in_force.guardians)) from None
        if self._set is None or self._set[0] != in_force.index:
            self._set = in_force.index, self._clock.now()
        self._began = self._began or self._clock.now()
        if elsewhere is not None:
            self._know(elsewhere.sequence + 1, elsewhere.vaa_time)
        try:
            await self._ask_again(held, announced)
            if self._next is not None:
                await self._walk(self._next, held, until_ns)
        except StatusError as error:
            if error.status == _HTTP_BAD_REQUEST and _REFUSAL in error.body.lower():
                return EmitterView(self._place, announced=announced, indexed=False)
            raise
        arrived = tuple(self._untold)
        self._untold.clear()
        pending = tuple(sorted(self._pending.values(), key=lambda one: one.sequence))
        return EmitterView(self._place, self._newest, arrived, pending, announced, lost=self._lost)

    async def _ask_again(self, held: SignerSet, announced: AnnouncedVaa | None) -> None:
        """For what is known to exist and was not here yet."""
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
        for sequence, vaa in zip(wanted, await together(self._ask(one) for one in wanted), strict=True):
            known = self._pending[sequence]
            found = self._seen(vaa, held, known.absent_at, announced=True)
            if isinstance(found, SeenVaa):
                self._arrived(found)
                del self._pending[sequence]
            else:
                self._pending[sequence] = _lacking(known, found, self._clock.now())

    async def _walk(self, following: int, held: SignerSet, until_ns: int | None) -> None:
        """From the next number on, to the end or as far as one look goes."""
        for step in range(_MOST_STEPS):
            if step and self._is_over(until_ns):
                break
            found = self._seen(await self._ask(following), held, self._absent_at(following))
            now = self._clock.now()
            if not isinstance(found, SeenVaa) and not self._exists(following):
                looked = not step or not self._is_over(until_ns)
                if looked:
                    await self._look_ahead(following, held)
                if not self._exists(following):
                    if found is not None:
                        # Whatever it is, that a message of this number exists is not known.
                        raise found
                    self._absent, self._over_gap = (following + _NEAR[-1] if looked else following, now), False
                    self._caught_up = self._caught_up or looked
                    return
            if isinstance(found, SeenVaa):
                self._arrived(found)
            else:
                self._pass(following, found, now)
            following += 1
            self._next = following
        # There is more: what comes next may have been there for long.
        self._absent = None

    def _absent_at(self, sequence: int) -> Instant | None:
        """When it was not there yet, where that is known."""
        if self._absent is None or (self._over_gap and sequence > self._absent[0]):
            return None
        return self._absent[1]

    def _is_over(self, until_ns: int | None) -> bool:
        return until_ns is not None and self._clock.monotonic_ns() >= until_ns

    def _exists(self, sequence: int) -> bool:
        return self._exist is not None and sequence < self._exist[0]

    def _know(self, below: int, time: Instant) -> None:
        if self._exist is None or below > self._exist[0]:
            self._exist = below, time

    async def _look_ahead(self, sequence: int, held: SignerSet) -> None:
        offsets = (*_NEAR, _FAR[self._turn % len(_FAR)])
        self._turn += 1
        for vaa in await together(self._ask(sequence + one) for one in offsets):
            # What does not verify proves nothing of what lies before it.
            found = self._seen(vaa, held, None)
            if isinstance(found, SeenVaa):
                self._know(found.sequence, found.vaa_time)

    def _pass(self, sequence: int, found: _NoVaa | None, now: Instant) -> None:
        """This one exists, since a later one is there, and is left out, or is not what is there in its place."""
        known = None if self._exist is None else PendingVaa(sequence, self._exist[1])
        # Of what was not there before we came, or was sent before that, nobody knows whether it ever was.
        fresh = known is not None and self._began is not None and known.since.since(self._began) >= 0
        told = found is not None or (self._caught_up and fresh)
        if known is not None and told and len(self._pending) < _MOST_PENDING:
            self._pending[sequence] = _lacking(known, found, now)
        else:
            self._lost += 1
        self._over_gap = self._over_gap or found is None

    def _arrived(self, seen: SeenVaa) -> None:
        self._untold.append(seen)
        if self._newest is None or seen.sequence > self._newest.sequence:
            self._newest = seen

    async def _ask(self, sequence: int) -> Vaa | _NoVaa | None:
        try:
            return await self._client.signed_vaa(self._chain, self._emitter, sequence)
        except NotFound:
            return None
        except (DecodeError, VerificationError) as error:
            return error

    def _seen(
        self, vaa: Vaa | _NoVaa | None, held: SignerSet, absent_at: Instant | None, *, announced: bool = False
    ) -> SeenVaa | _NoVaa | None:
        """What was read, where its signatures hold. ``announced``: known to be new, though it was not asked for before."""
        if not isinstance(vaa, Vaa):
            return vaa
        quorum = None
        if vaa.set_index == held.index:
            try:
                quorum = signed_by(vaa, Trust((held,), (CORE_EMITTER,)), at=vaa.time).quorum
            except VerificationError as error:
                return error
        return SeenVaa(
            sequence=vaa.sequence,
            vaa_time=vaa.time,
            seen_at=self._clock.now(),
            absent_at=absent_at,
            slot=price_slot(vaa),
            signatures=len({one.index for one in vaa.signatures}),
            quorum=quorum,
            set_index=vaa.set_index,
            set_in_force=held.index,
            measured=announced or absent_at is not None,
            set_since=None if self._set is None else self._set[1],
        )


def _lacking(known: PendingVaa, found: _NoVaa | None, now: Instant) -> PendingVaa:
    """``known`` after it was asked for: nothing is there, or something that is not it."""
    if found is None:
        return msgspec.structs.replace(known, absent_at=now, error_type=None, problem="")
    return msgspec.structs.replace(known, absent_at=now, error_type=found.error_type, problem=found.message)
