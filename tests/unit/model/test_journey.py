"""Journeys: the stages with their clocks, and the book: any order, twice, with losses; it never guesses and never grows."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.model import FeedId, TrustRoot
from probekit.model.journey import Arrival, Blind, Journey, JourneyEvent, Landing, Look, Stage, stages_of
from probekit.model.journey_book import BookState, JourneyBook
from probekit.units import NS_PER_MS, NS_PER_S, Instant

FEED = FeedId("e6" * 32)
T0 = 1_790_000_000
S = timedelta(seconds=1)


def at(seconds: float) -> Instant:
    return Instant(T0 * NS_PER_S + round(seconds * 1000) * NS_PER_MS)


def arrival(second: int = 0, *, tick: int = 0, price: int = 100, **changes: Any) -> Arrival:
    fields: dict[str, Any] = {
        "feed_id": FEED,
        "publish_time_s": T0 + second,
        "price": price,
        "conf": 5,
        "slot": (T0 + second) * 20 + tick,
        "root": TrustRoot.PRO,
        "sequence": (T0 + second) * 20 + tick,
        "vaa_time": at(second),
        "proven_at": at(second + 1),
        "received_at": at(second + 1.25),
        "clock_error_ns": 3 * NS_PER_MS,
    }
    return Arrival(**{**fields, **changes})


def landing(second: int = 0, *, price: int = 100, block: int = 7, after: float = 4, **changes: Any) -> Landing:
    return Landing(
        publish_time_s=T0 + second, price=price, conf=5, block=block, at=at(second + after), transaction=f"0x{block}", **changes
    )


def look(*landings: Landing, chain: str = "a", first: int = 0, last: int = 1000, seconds: float = 10, **changes: Any) -> Look:
    return Look(chain=chain, first=first, last=last, at=at(seconds), landings=landings, **changes)


def run(book: JourneyBook, *events: JourneyEvent | None, until: float = 500) -> tuple[BookState, list[Journey]]:
    """All events at ten seconds, then the end of every patience."""
    state = book.init()
    told: list[Journey] = []
    for event in events:
        state, step = book.step(state, event, now=at(10))
        told += step.journeys
    state, step = book.step(state, None, now=at(until))
    return state, [*told, *step.journeys]


# -- stages --------------------------------------------------------------------------------------------------------------------


def test_every_stage_has_its_clock_its_error_and_its_duration() -> None:
    _, (journey,) = run(JourneyBook(FEED, ("a",)), arrival(tick=8), look(landing()))
    told = [(one.name, one.clock, one.since, one.elapsed_ns, one.elapsed_error_ns, one.reason) for one in journey.stages]
    assert told == [
        ("published", "publisher", None, None, None, ""),
        ("aggregated", "pro_slot", "published", 400 * NS_PER_MS, 1050 * NS_PER_MS, ""),
        ("attested", "signers", "aggregated", -400 * NS_PER_MS, 1050 * NS_PER_MS, ""),
        ("proven", "hermes", "attested", NS_PER_S, 2 * NS_PER_S, ""),
        ("served", "hermes", None, None, None, "not_stamped"),
        ("arrived", "local", "proven", 250 * NS_PER_MS, 1003 * NS_PER_MS, ""),
        ("landed", "chain_block", "proven", 3 * NS_PER_S, 2 * NS_PER_S, ""),
    ]
    assert not journey.overdue
    assert (journey.stage("landed", "a").transaction, journey.stage("landed", "a").block) == ("0x7", 7)
    assert journey.stage("attested").sequence == arrival(tick=8).sequence
    assert [one.name for one in journey.missing] == ["served"]
    assert len(journey.id) == 32
    with pytest.raises(LookupError, match="no stage landed b"):
        journey.stage("landed", "b")


def test_a_step_back_is_kept_and_said() -> None:
    attested, arrived = (stages_of(arrival(tick=8, received_at=at(-4)))[place] for place in (2, 5))
    assert (attested.backwards, attested.explained) == (True, True)
    assert (arrived.elapsed_ns, arrived.backwards, arrived.explained) == (-5 * NS_PER_S, True, False)
    unbounded = stages_of(arrival(received_at=at(0), clock_error_ns=None))[5]
    assert (unbounded.elapsed_error_ns, unbounded.explained) == (None, False)


def test_what_nothing_tells_is_a_stage_with_its_reason() -> None:
    core = stages_of(arrival(root=TrustRoot.CORE))
    assert [(one.clock, one.reason) for one in core[1:3]] == [("pythnet_slot", "slot_without_time"), ("guardians", "")]
    assert core[2].since == "published"
    bare = stages_of(arrival(root=None, sequence=None, vaa_time=None, unproven="bad_signature", proven_at=None))
    assert [one.reason for one in bare] == ["", "bad_signature", "bad_signature", "not_told", "not_stamped", ""]
    assert bare[-1].since == "published"
    assert stages_of(arrival(slot=None))[1].reason == "no_slot"


# -- joining -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((arrival(),), "not_watched"),
        ((arrival(), look()), "not_yet"),
        ((arrival(), look(landing(-3))), "not_yet"),
        ((arrival(), look(landing(3))), "superseded"),
        ((arrival(), look(landing(price=99))), "other_update"),
        ((arrival(), look(landing(), landing(block=8))), "ambiguous"),
        ((arrival(), arrival(tick=8), look(landing())), "ambiguous"),
        ((arrival(), look(), Blind("a", at(11), "connect")), "not_watched"),
        ((arrival(), Blind("a", at(9), "connect"), look()), "not_yet"),
        ((arrival(), look(last=10), look(first=12, last=20)), "not_watched"),
        ((arrival(), look(last=10), look(first=11, last=20)), "not_yet"),
        ((arrival(), look(landing(3), whole=False)), "not_seen"),
        ((arrival(received_at=at(9)), look(landing(block=7)), look(first=5, last=9)), "not_yet"),
        ((arrival(received_at=at(9)), look(landing(block=7)), look(landing(block=9), first=5, last=9)), ""),
    ],
)
def test_what_is_not_there_is_not_guessed(events: tuple[JourneyEvent, ...], reason: str) -> None:
    _, journeys = run(JourneyBook(FEED, ("a",)), *events)
    found = journeys[0].stage("landed", "a")
    assert found.reason == reason
    assert (found.at is None) == bool(reason)
    assert journeys[0].overdue == bool(reason)


def test_chains_are_apart() -> None:
    _, (journey,) = run(JourneyBook(FEED, ("a", "b")), arrival(), look(landing(), chain="b"))
    assert [(one.chain, one.reason) for one in journey.stages[6:]] == [("a", "not_watched"), ("b", "")]
    with pytest.raises(ValueError, match="none of this book's chains"):
        JourneyBook(FEED).step(BookState(), look(), now=at(0))
    with pytest.raises(ValueError, match="in the book of"):
        run(JourneyBook(FEED), arrival(feed_id=FeedId("ff" * 32)))


def test_one_in_each_interval_and_what_landed() -> None:
    book = JourneyBook(FEED, ("a",), every=10 * S)
    _, journeys = run(book, *(arrival(second) for second in range(25)), look(landing(4), landing(15)))
    # 0, 10 and 20 by the interval; of those that landed the first.
    times = [one.publish_time for one in journeys]
    assert sorted(-1 if at is None else at.ns // NS_PER_S - T0 for at in times) == [0, 4, 10, 20]
    assert sum(not one.overdue for one in journeys) == 1


def test_it_ends_when_it_has_landed_everywhere_and_settled_else_when_its_time_is_up() -> None:
    book = JourneyBook(FEED, ("a",), patience=30 * S)
    state, step = book.step(book.init(), arrival(received_at=at(1)), now=at(1))
    assert step.journeys == ()
    state, step = book.step(state, look(landing(), seconds=2), now=at(2))
    assert (step.journeys, [one.chain for one in step.landed]) == ((), ["a"])
    state, step = book.step(state, None, now=at(3))
    assert [one.overdue for one in step.journeys] == [False]
    waiting, step = book.step(book.init(), arrival(received_at=at(1)), now=at(1))
    waiting, step = book.step(waiting, None, now=at(30.9))
    assert step.journeys == ()
    _, step = book.step(waiting, None, now=at(31))
    assert [one.overdue for one in step.journeys] == [True]
    alone = JourneyBook(FEED)
    assert len(alone.step(alone.init(), arrival(), now=at(1.25))[1].journeys) == 1


def test_what_gives_way_is_told_and_never_begins_again() -> None:
    book = JourneyBook(FEED, ("a",), every=timedelta(0), max_updates=2)
    state, journeys = run(book, arrival(0), arrival(1), arrival(2), arrival(0), arrival(0))
    assert next((one.publish_time, one.stages[-1].reason) for one in journeys) == (at(0), "given_up")
    assert (len(journeys), state.late) == (3, 2)
    few = JourneyBook(FEED, ("a",), every=timedelta(0), max_landings=1)
    _, journeys = run(few, arrival(0), look(landing(1), landing(2, block=8)))
    assert journeys[0].stages[-1].reason == "given_up"


@pytest.mark.parametrize(
    "options", [{"patience": timedelta(0)}, {"every": -S}, {"max_updates": 0}, {"max_landings": 0}, {"chains": ("a", "a")}]
)
def test_a_book_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"patience|at least 1|twice"):
        JourneyBook(FEED, **options)


# -- properties ----------------------------------------------------------------------------------------------------------------

ARRIVALS = st.builds(
    lambda second, tick, price, late: arrival(second, tick=tick, price=price, received_at=at(second + 1 + late)),
    st.integers(0, 6),
    st.sampled_from((0, 8)),
    st.integers(1, 3),
    st.integers(0, 3),
)
LANDINGS = st.builds(
    lambda second, price, chain: (chain, landing(second, price=price, block=100 + 10 * second + price)),
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from(("a", "b")),
)


def looks_of(landings: list[tuple[str, Landing]]) -> list[JourneyEvent]:
    """A look per block: what a block holds is always all of it."""
    blocks: dict[tuple[str, int], dict[Landing, None]] = {}
    for chain, one in landings:
        blocks.setdefault((chain, one.block), {})[one] = None
    return [look(*held, chain=chain, first=block, last=block, seconds=9) for (chain, block), held in sorted(blocks.items())]


def positions(journeys: list[Journey]) -> dict[str, list[Stage]]:
    """What was found of each update: its landings with a time."""
    return {one.id: [stage for stage in one.stages if stage.name != "landed" or stage.at is not None] for one in journeys}


@given(st.lists(ARRIVALS, max_size=12), st.lists(LANDINGS, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_events_and_their_repetition_change_nothing(
    arrivals: list[Arrival], landings: list[tuple[str, Landing]], order: random.Random, twice: bool
) -> None:
    book = JourneyBook(FEED, ("a", "b"), every=timedelta(0), patience=400 * S)
    events: list[JourneyEvent] = [*arrivals, *looks_of(landings)]
    _, expected = run(book, *events)
    shuffled = events * (2 if twice else 1)
    order.shuffle(shuffled)
    # Nothing ends before the last event: what is told is of all of them.
    state = book.init()
    for event in shuffled:
        state, step = book.step(state, event, now=at(-20))
        assert step.journeys == ()
    _, step = book.step(state, None, now=at(500))
    late = list(step.journeys)
    state = book.init()
    for event in events:
        state, _ = book.step(state, event, now=at(-20))
    _, straight = book.step(state, None, now=at(500))
    assert positions(late) == positions(list(straight.journeys))
    assert {one.id for one in late} == {one.id for one in expected}


@given(st.lists(ARRIVALS, max_size=12), st.lists(LANDINGS, max_size=12), st.randoms(use_true_random=False))
def test_a_landing_is_never_given_to_an_update_it_is_not_of(
    arrivals: list[Arrival], landings: list[tuple[str, Landing]], order: random.Random
) -> None:
    """Also where events were lost: a landing has the content of its update, and no other update has it."""
    events: list[JourneyEvent] = [*arrivals, *looks_of(landings)]
    order.shuffle(events)
    kept = [event for event in events if order.random() < 0.7]
    _, journeys = run(JourneyBook(FEED, ("a", "b"), every=timedelta(0)), *kept)
    came = {one.key: one for one in kept if isinstance(one, Arrival)}
    held = {(one.chain, each.content): each for one in kept if isinstance(one, Look) for each in one.landings}
    assert len({one.id for one in journeys}) == len(journeys) == len(came)
    for journey in journeys:
        (mine,) = [one for one in came.values() if one.slot == journey.slot and stages_of(one)[0].at == journey.publish_time
                   and journey.id == JourneyBook(FEED)._id(one)]  # fmt: skip
        for stage in journey.stages:
            assert (stage.at is None) == bool(stage.reason)
            if stage.name == "landed" and stage.at is not None:
                assert held[stage.chain, mine.content].block == stage.block


@given(
    st.lists(st.one_of(ARRIVALS, LANDINGS, st.integers(0, 30)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_it_never_grows_and_never_tells_twice(events: list[Any], updates: int, landings: int) -> None:
    book = JourneyBook(FEED, ("a", "b"), every=S, patience=5 * S, max_updates=updates, max_landings=landings)
    state, told, now = book.init(), [], 0.0
    for event in events:
        now += event if isinstance(event, int) else 0.1
        if isinstance(event, tuple):
            event = look(event[1], chain=event[0], first=event[1].block, last=event[1].block, seconds=now)
        state, step = book.step(state, None if isinstance(event, int) else event, now=at(now))
        told += [one.id for one in step.journeys]
        assert len(state.updates) <= updates
        assert all(len(view.landings) <= landings for view in state.chains)
        assert msgspec.json.decode(msgspec.json.encode(state), type=BookState) == state
        hash(state)
    assert len(set(told)) == len(told)
