"""Stage events in, journeys out: a fold over one feed's events. Pure, its state frozen, bounded and serialisable."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import msgspec

from probekit.model.journey import Arrival, Blind, Journey, JourneyEvent, Landing, Look, Stage, landed_after, stages_of
from probekit.units import NS_PER_S, Instant, to_ns

_SETTLE_NS: Final = 2 * NS_PER_S
"""How long an update of the same content may come after one that has landed: chains do not tell slots apart."""


class Tracked(msgspec.Struct, frozen=True):
    """An update with what became of it. ``landed`` are chains whose landing was told, picked or not."""

    arrival: Arrival
    picked: bool = False
    told: bool = False
    landed: tuple[str, ...] = ()


class ChainView(msgspec.Struct, frozen=True):
    """A chain as it was looked at; ``landings`` are the newest, in the order of their publish times."""

    chain: str
    landings: tuple[Landing, ...] = ()
    reached: int | None = None
    """The last block looked at."""
    looked_at: Instant | None = None
    gap_at: Instant | None = None
    """When blocks were last passed over."""
    failing: str = ""
    whole: bool = True
    picked_at: Instant | None = None
    given_up_s: int = -1
    """Publish time of the newest landing that was given up for want of room."""


class BookState(msgspec.Struct, frozen=True):
    """At most ``max_updates`` updates, ``max_landings`` landings per chain. ``late`` counts arrivals no newer than what had
    been given up for want of room.
    """

    updates: tuple[Tracked, ...] = ()
    chains: tuple[ChainView, ...] = ()
    picked_at: Instant | None = None
    given_up_s: int = -1
    late: int = 0


class Told(msgspec.Struct, frozen=True):
    """What a step gave: journeys that ended, and landings found of any update, picked or not."""

    journeys: tuple[Journey, ...] = ()
    landed: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class JourneyBook:
    """Fold over one feed's stage events.

    One update in each ``every`` is followed, and the first in each ``every`` that lands on a chain. A journey ends when the
    update has landed on all ``chains``, or ``patience`` after it arrived. An update is never told twice. Events may come in any
    order, and more than once; an ``Arrival`` no newer than what was given up for want of room is counted, no more.

    A landing is an update's when feed, publish time, price and confidence are equal and no other update has all
    of these: chains keep neither slot nor sequence. ``seed`` makes the ids of two vantages differ.
    """

    feed_id: str
    chains: tuple[str, ...] = ()
    every: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(seconds=60)
    seed: str = ""
    max_updates: int = 256
    max_landings: int = 256

    def __post_init__(self) -> None:
        if self.every < timedelta(0) or self.patience <= timedelta(0):
            raise ValueError("patience must be positive, and every not negative")
        if self.max_updates < 1 or self.max_landings < 1:
            raise ValueError("max_updates and max_landings are at least 1")
        if len(set(self.chains)) != len(self.chains):
            raise ValueError("a chain is named twice")

    def init(self) -> BookState:
        return BookState(chains=tuple(ChainView(chain) for chain in self.chains))

    def step(self, state: BookState, event: JourneyEvent | None, *, now: Instant) -> tuple[BookState, Told]:
        """Take an event in, or ``None``: that time passed. Raises ``ValueError`` for another feed or chain."""
        ended: list[Journey] = []
        if isinstance(event, Arrival):
            state = self._arrive(state, event, now, ended)
        elif isinstance(event, Look | Blind):
            if event.chain not in self.chains:
                raise ValueError(f"{event.chain!r} is none of this book's chains: {', '.join(self.chains) or 'it has none'}")
            take = self._look if isinstance(event, Look) else _blind
            chains = tuple(take(view, event) if view.chain == event.chain else view for view in state.chains)  # type: ignore[arg-type]
            state = msgspec.structs.replace(state, chains=chains)
        landed: list[Stage] = []
        if event is not None and not isinstance(event, Blind):
            state = self._match(state, now, landed)
        return self._end(state, now, ended), Told(tuple(ended), tuple(landed))

    # -- events --------------------------------------------------------------------------------------------------------------

    def _arrive(self, state: BookState, event: Arrival, now: Instant, ended: list[Journey]) -> BookState:
        if event.feed_id != self.feed_id:
            raise ValueError(f"an update of {event.feed_id} in the book of {self.feed_id}")
        updates = list(state.updates)
        for place, known in enumerate(updates):
            if known.arrival.key == event.key:
                # The first that came counts; of two that came together, the one that says more.
                first = min(known.arrival, event, key=_precedence)
                updates[place] = msgspec.structs.replace(known, arrival=first)
                return msgspec.structs.replace(state, updates=tuple(updates))
        if event.publish_time_s <= state.given_up_s:
            return msgspec.structs.replace(state, late=state.late + 1)
        due = self._due(state.picked_at, event.received_at)
        updates.append(Tracked(event, picked=due))
        updates.sort(key=lambda one: one.arrival.key)
        given_up_s = state.given_up_s
        while len(updates) > self.max_updates:
            oldest = updates.pop(0)
            given_up_s = max(given_up_s, oldest.arrival.publish_time_s)
            if oldest.picked and not oldest.told:
                ended.append(self._journey(state, oldest.arrival, now, given_up=True))
        return msgspec.structs.replace(
            state,
            updates=tuple(updates),
            given_up_s=given_up_s,
            picked_at=event.received_at if due else state.picked_at,
        )

    def _look(self, view: ChainView, look: Look) -> ChainView:
        kept = [one for one in view.landings if not look.first <= one.block <= look.last]
        found = dict.fromkeys((*kept, *look.landings))
        ordered = sorted(found, key=lambda one: (*one.content, one.block, one.log_index or 0))
        given_up, landings = ordered[: -self.max_landings], ordered[-self.max_landings :]
        passed_over = view.reached is not None and look.whole and look.first > view.reached + 1
        return ChainView(
            view.chain,
            tuple(landings),
            look.last if view.reached is None else max(view.reached, look.last),
            look.at if view.looked_at is None else max(view.looked_at, look.at),
            look.at if passed_over else view.gap_at,
            "",
            look.whole,
            view.picked_at,
            max((view.given_up_s, *(one.publish_time_s for one in given_up))),
        )

    def _due(self, last: Instant | None, at: Instant) -> bool:
        # Either way: a wall clock that was set back must not end the sampling.
        return last is None or abs(at.since(last)) >= to_ns(self.every)

    # -- joining -------------------------------------------------------------------------------------------------------------

    def _match(self, state: BookState, now: Instant, landed: list[Stage]) -> BookState:
        """Note what has landed since; follow the first in each interval that did."""
        updates, chains = list(state.updates), list(state.chains)
        for number, view in enumerate(chains):
            contents = {one.content for one in view.landings}
            for place, known in enumerate(updates):
                if known.arrival.content not in contents:
                    if view.chain in known.landed and known.arrival.publish_time_s > view.given_up_s:
                        # A reorganisation took it back.
                        left = tuple(chain for chain in known.landed if chain != view.chain)
                        updates[place] = msgspec.structs.replace(known, landed=left)
                    continue
                if view.chain in known.landed:
                    continue
                stage = self._landed(state, known.arrival, view, now)
                if stage.at is None:
                    continue
                landed.append(stage)
                known = msgspec.structs.replace(known, landed=(*known.landed, view.chain))
                if not known.picked and self._due(chains[number].picked_at, now):
                    known = msgspec.structs.replace(known, picked=True)
                    chains[number] = msgspec.structs.replace(chains[number], picked_at=now)
                updates[place] = known
        return msgspec.structs.replace(state, updates=tuple(updates), chains=tuple(chains))

    def _landed(self, state: BookState, arrival: Arrival, view: ChainView, now: Instant) -> Stage:
        """Where an update landed on a chain, or why that cannot be said."""
        same = [one for one in view.landings if one.content == arrival.content]
        if len(same) == 1 and sum(one.arrival.content == arrival.content for one in state.updates) <= 1:
            return landed_after(stages_of(arrival), same[0], view.chain)
        return Stage(name="landed", clock="chain_block", chain=view.chain, reason=_absent(arrival, view, ambiguous=bool(same)))

    # -- ends ----------------------------------------------------------------------------------------------------------------

    def _end(self, state: BookState, now: Instant, ended: list[Journey]) -> BookState:
        updates = list(state.updates)
        for place, known in enumerate(updates):
            if not known.picked or known.told:
                continue
            age_ns = now.since(known.arrival.received_at)
            everywhere = set(known.landed) >= set(self.chains)
            if age_ns >= to_ns(self.patience) or (everywhere and (age_ns >= _SETTLE_NS or not self.chains)):
                ended.append(self._journey(state, known.arrival, now))
                updates[place] = msgspec.structs.replace(known, told=True)
        return msgspec.structs.replace(state, updates=tuple(updates))

    def _journey(self, state: BookState, arrival: Arrival, now: Instant, *, given_up: bool = False) -> Journey:
        landed = [self._landed(state, arrival, view, now) for view in state.chains]
        if given_up:
            landed = [stage if stage.at else msgspec.structs.replace(stage, reason="given_up") for stage in landed]
        return Journey(
            id=self._id(arrival),
            feed_id=arrival.feed_id,
            publish_time=Instant.from_seconds(arrival.publish_time_s),
            slot=arrival.slot,
            root=arrival.root,
            stages=(*stages_of(arrival), *landed),
            told_at=now,
            overdue=any(stage.at is None for stage in landed),
        )

    def _id(self, arrival: Arrival) -> str:
        text = f"{self.seed}/{self.feed_id}/{'/'.join(map(str, arrival.key))}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _blind(view: ChainView, blind: Blind) -> ChainView:
    return msgspec.structs.replace(view, failing=blind.reason)


def _precedence(arrival: Arrival) -> tuple[int, bool, bool, str]:
    return (arrival.received_at.ns, arrival.vaa_time is None, arrival.proven_at is None, repr(arrival))


def _absent(arrival: Arrival, view: ChainView, *, ambiguous: bool) -> str:
    if ambiguous:
        return "ambiguous"
    if view.looked_at is None or view.failing or view.looked_at < arrival.received_at:
        return "not_watched"
    if arrival.publish_time_s <= view.given_up_s:
        return "given_up"
    if view.gap_at is not None and view.gap_at.ns + _SETTLE_NS >= arrival.received_at.ns:
        return "not_watched"
    newest = max((one.publish_time_s for one in view.landings), default=-1)
    if newest < arrival.publish_time_s:
        return "not_yet"
    if not view.whole:
        return "not_seen"
    if any(one.publish_time_s == arrival.publish_time_s for one in view.landings):
        return "other_update"
    return "superseded"
