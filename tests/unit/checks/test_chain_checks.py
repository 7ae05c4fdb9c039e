"""Checks of feeds on chains: each verdict by its reason, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import (
    CrossChainDeviation,
    Deadline,
    DeviationMemory,
    EndpointQuorum,
    HeadAge,
    Heartbeat,
    Migration,
    SlotLag,
    VerificationDepth,
)
from probekit.model import Feed, Observation, Price, PriceMessage, Status, Verdict
from probekit.model.chain_feed import ChainFeed, ChainHead, ChainState, EndpointStanding, PublishedPrice, ReceiverFeed
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    FeedMigration,
    PriceUpdateAccount,
    ProgramGeneration,
    PushFeedAccount,
    VerificationLevel,
)
from probekit.units import Bps, Instant
from tests.unit.checks.builders import ID, NOW, feed

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)
NYSE = "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"
OPENING = Instant.parse("2026-09-14T13:30:00Z")


def price(value: int, ago: timedelta, *, now: Instant = NOW, expo: int = -2) -> PublishedPrice:
    return PublishedPrice(Price(value, expo), Price(5, expo), now.plus(-ago).seconds)


def chain_feed(
    age: timedelta | None = S, *, head_age: timedelta = 0 * S, now: Instant = NOW, value: int = 100_000, **more: Any
) -> ChainFeed:
    """A feed stored ``age`` ago on a chain whose newest block is ``head_age`` old."""
    stored = None if age is None else price(value, age, now=now)
    return ChainFeed(head=ChainHead(7, now.plus(-head_age)), stored=stored, **more)


def seen(value: Any, *, of: Feed | None = None, clock_error_ns: int | None = 0, now: Instant = NOW) -> Observation[Any]:
    return Observation(value, "test", now, ID, 0, clock_error_ns, of)


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


# -- heartbeat -----------------------------------------------------------------------------------------------------------------

HEARTBEAT = Heartbeat(heartbeat=100 * S, lands_within=20 * S, open_grace=60 * S, max_ahead=5 * S)


@pytest.mark.parametrize(
    ("age", "head_age", "error_ns", "expected"),
    [
        (None, 0 * S, 0, (CRITICAL, "never_pushed")),
        (100 * S, 0 * S, 0, (OK, "kept")),
        (101 * S, 0 * S, 0, (WARNING, "late")),
        (120 * S, 0 * S, 0, (WARNING, "late")),
        (121 * S, 0 * S, 0, (CRITICAL, "overdue")),
        # The chain stood still 30 s ago: by its own time the price was 91 s old.
        (121 * S, 30 * S, 0, (WARNING, "chain_behind")),
        # Consumers judge by the block's time; a clock of ours without bounds takes nothing from that.
        (121 * S, 0 * S, None, (CRITICAL, "overdue")),
        (121 * S, 30 * S, None, (OK, "kept")),
        (125 * S, 30 * S, 5 * 10**9, (OK, "kept")),
        (126 * S, 30 * S, 5 * 10**9, (WARNING, "chain_behind")),
        (-5 * S, 0 * S, 0, (OK, "kept")),
        (-6 * S, 0 * S, 0, (CRITICAL, "from_the_future")),
        # Ahead of a chain that is behind, not of the clock.
        (1 * S, 50 * S, 0, (OK, "kept")),
    ],
)
def test_a_heartbeat_at_its_edges(
    age: timedelta | None, head_age: timedelta, error_ns: int | None, expected: tuple[Status, str]
) -> None:
    observation = seen(chain_feed(age, head_age=head_age), clock_error_ns=error_ns)
    assert told(HEARTBEAT(observation, now=NOW)) == expected
    assert HEARTBEAT(observation, now=NOW) == HEARTBEAT(observation, now=NOW)


@pytest.mark.parametrize(
    ("after_opening", "expected"),
    [
        (-S, (SKIPPED, "market_closed")),
        (0 * S, (SKIPPED, "market_opening")),
        (60 * S, (SKIPPED, "market_opening")),
        (61 * S, (CRITICAL, "overdue")),
    ],
)
def test_a_heartbeat_knows_market_hours(after_opening: timedelta, expected: tuple[Status, str]) -> None:
    now = OPENING.plus(after_opening)
    assert told(HEARTBEAT(seen(chain_feed(3600 * S, now=now), of=feed(NYSE), now=now), now=now)) == expected
    never = HEARTBEAT(seen(chain_feed(None, now=now), of=feed(NYSE), now=now), now=now)
    assert told(never) == (CRITICAL, "never_pushed")


def test_a_heartbeat_without_hours_to_go_by() -> None:
    assert told(HEARTBEAT(seen(chain_feed(), of=feed(error="no such zone")), now=NOW)) == (UNKNOWN, "schedule_unreadable")
    assert told(HEARTBEAT(seen(chain_feed(500 * S), of=feed(described=False)), now=NOW)) == (UNKNOWN, "schedule_unknown")
    assert told(HEARTBEAT(seen(chain_feed(S), of=feed(described=False)), now=NOW)) == (OK, "kept")


def test_a_heartbeat_shows_both_ages() -> None:
    verdict = HEARTBEAT(seen(chain_feed(90 * S, head_age=30 * S)), now=NOW)
    assert {one.name: one.value for one in verdict.measures} == {"feed.age.chain": 60 * 10**9, "feed.age": 90 * 10**9}
    assert verdict.message.startswith("1m00s old by the chain's time at 7, 1m30s by this clock, within heartbeat 1m40s and")


@given(st.integers(0, 10_000), st.integers(1, 5_000), st.integers(0, 600))
def test_an_older_price_is_never_judged_better(age_s: int, heartbeat_s: int, lands_s: int) -> None:
    check = Heartbeat(heartbeat_s * S, lands_s * S)
    younger, older = (check(seen(chain_feed(one * S)), now=NOW).status.severity for one in (age_s, age_s + 1))
    assert younger <= older


# -- deadline ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "period", "required", "expected"),
    [
        (60 * S, 60, True, (OK, "valid")),
        (61 * S, 60, True, (CRITICAL, "past_valid_period")),
        (61 * S, 60, False, (WARNING, "past_valid_period")),
        (-61 * S, 60, True, (CRITICAL, "past_valid_period")),
        (-60 * S, 60, True, (OK, "valid")),
        (1 * S, None, True, (SKIPPED, "no_valid_period")),
        (None, 60, True, (SKIPPED, "nothing_stored")),
    ],
)
def test_a_deadline_is_the_contracts_own(
    age: timedelta | None, period: int | None, required: bool, expected: tuple[Status, str]
) -> None:
    assert told(Deadline(required)(seen(chain_feed(age, valid_period_s=period)), now=NOW)) == expected


def test_a_deadline_goes_by_the_blocks_time_alone() -> None:
    frozen = chain_feed(100 * S, head_age=50 * S, valid_period_s=60)
    assert told(Deadline()(seen(frozen, clock_error_ns=None), now=NOW)) == (OK, "valid")


@pytest.mark.parametrize(
    ("after_opening", "expected"),
    [
        (-S, (SKIPPED, "market_closed")),
        (60 * S, (SKIPPED, "market_opening")),
        (61 * S, (CRITICAL, "past_valid_period")),
    ],
)
def test_a_deadline_knows_market_hours(after_opening: timedelta, expected: tuple[Status, str]) -> None:
    now = OPENING.plus(after_opening)
    observation = seen(chain_feed(3600 * S, now=now, valid_period_s=60), of=feed(NYSE), now=now)
    assert told(Deadline(open_grace=60 * S)(observation, now=now)) == expected


# -- deviation -----------------------------------------------------------------------------------------------------------------

DEVIATION = CrossChainDeviation(Bps.parse("50bps"), lands_within=30 * S)


def stepped(
    stored: int, source: int | None, *, state: DeviationMemory | None = None, now: Instant = NOW, of: Feed | None = None,
    source_age: timedelta = 0 * S, source_expo: int = -2,
) -> tuple[DeviationMemory, Verdict]:  # fmt: skip
    value = chain_feed(
        S, value=stored, now=now, source=None if source is None else price(source, source_age, now=now, expo=source_expo),
        source_problem="" if source is not None else "it hangs",
    )  # fmt: skip
    before = state or DEVIATION.init()
    made = DEVIATION.step(before, seen(value, of=of, now=now), now=now)
    assert made == DEVIATION.step(before, seen(value, of=of, now=now), now=now)
    return made


@pytest.mark.parametrize(
    ("stored", "source", "expected"),
    [
        (100_500, 100_000, (OK, "near")),
        (100_501, 100_000, (WARNING, "moving")),
        (-100_500, -100_000, (OK, "near")),
        (-99_499, -100_000, (WARNING, "moving")),
        (100_000, -100_000, (WARNING, "moving")),
        (0, 100_000, (WARNING, "moving")),
        (100_000, 0, (UNKNOWN, "zero_source")),
        (100_000, None, (UNKNOWN, "no_source")),
    ],
)
def test_a_deviation_of_any_sign(stored: int, source: int | None, expected: tuple[Status, str]) -> None:
    assert told(stepped(stored, source)[1]) == expected


def test_a_deviation_may_last_as_long_as_a_push_takes() -> None:
    state, verdict = stepped(101_000, 100_000)
    assert told(verdict) == (WARNING, "moving")
    state, verdict = stepped(101_000, 100_000, state=state, now=NOW.plus(30 * S))
    assert told(verdict) == (WARNING, "moving")
    # Not seeing the source, or nothing at all, neither ends it nor starts it anew.
    state, verdict = stepped(101_000, None, state=state, now=NOW.plus(31 * S))
    assert told(verdict) == (UNKNOWN, "no_source")
    state, verdict = DEVIATION.step(state, None, now=NOW.plus(31 * S))
    assert told(verdict) == (SKIPPED, "pending")
    kept, verdict = stepped(101_000, 100_000, state=state, now=NOW.plus(31 * S))
    assert told(verdict) == (CRITICAL, "deviating")
    assert stepped(100_000, 100_000, state=kept)[0] == DeviationMemory()
    assert stepped(101_000, 100_000, state=DeviationMemory(), now=NOW.plus(99 * S))[1].reason == "moving"


def test_a_deviation_from_a_source_that_cannot_judge() -> None:
    assert told(stepped(101_000, 100_000, source_age=32 * S)[1]) == (UNKNOWN, "source_behind")
    assert told(stepped(101_000, 100_000, source_age=31 * S)[1]) == (WARNING, "moving")
    assert told(stepped(101_000, 1, source_expo=127)[1]) == (UNKNOWN, "no_ratio")


@pytest.mark.parametrize(
    ("stored", "head_age", "error_ns", "expected"),
    [
        (100_501, 60 * S, 0, (WARNING, "moving")),
        (100_501, 61 * S, 0, (UNKNOWN, "rpc_lagging")),
        (100_500, 61 * S, 0, (OK, "near")),
        # A clock that cannot tell how old the head is: the price is off all the same.
        (100_501, 61 * S, None, (WARNING, "moving")),
        (100_501, 61 * S, 21 * 10**9, (WARNING, "moving")),
    ],
)
def test_a_deviation_at_an_old_head_is_no_pushers(
    stored: int, head_age: timedelta, error_ns: int | None, expected: tuple[Status, str]
) -> None:
    check = CrossChainDeviation(Bps.parse("50bps"), lands_within=30 * S, max_head_age=60 * S)
    value = chain_feed(S, value=stored, head_age=head_age, source=price(100_000, 0 * S))
    before = DeviationMemory(NOW.plus(-20 * S))
    after, verdict = check.step(before, seen(value, clock_error_ns=error_ns), now=NOW)
    assert told(verdict) == expected
    # Not knowing neither ends it nor begins it.
    blind = DeviationMemory(before.since, NOW)
    assert after == (DeviationMemory() if verdict.status is OK else blind if verdict.status is UNKNOWN else before)


def test_time_in_which_nobody_could_judge_is_none_that_a_price_was_off() -> None:
    """Of an hour without an answer, or at an old head, it is not known that the price was off all along."""
    off, _ = stepped(99_000, 100_000)
    for blind in (DEVIATION.unseen(off, now=NOW.plus(S)), stepped(1, None, state=off, now=NOW.plus(S))[0]):
        long, short = NOW.plus(3_600 * S), NOW.plus(31 * S)
        again, verdict = stepped(99_000, 100_000, state=DEVIATION.unseen(blind, now=long.plus(-S)), now=long)
        assert (told(verdict), again) == ((WARNING, "moving"), DeviationMemory(long))
        # A tick or two that failed change nothing.
        assert told(stepped(99_000, 100_000, state=blind, now=short)[1]) == (CRITICAL, "deviating")
    assert DEVIATION.unseen(DeviationMemory(), now=NOW).since is None


def test_a_deviation_where_there_is_nothing_to_judge() -> None:
    closed = OPENING.plus(-S)
    assert told(stepped(1, 2, of=feed(NYSE), now=closed)[1]) == (SKIPPED, "market_closed")
    assert told(DEVIATION.step(DEVIATION.init(), seen(chain_feed(None)), now=NOW)[1]) == (SKIPPED, "nothing_stored")


# -- chains --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "error_ns", "expected"),
    [
        (60 * S, 0, (OK, "moving")),
        (61 * S, 0, (CRITICAL, "head_stale")),
        (-30 * S, 0, (OK, "moving")),
        (-31 * S, 0, (CRITICAL, "head_ahead")),
        (-31 * S, 10**9, (OK, "moving")),
        (1 * S, None, (UNKNOWN, "clock")),
        (1 * S, 20 * 10**9, (OK, "moving")),
        (1 * S, 21 * 10**9, (UNKNOWN, "clock")),
    ],
)
def test_the_age_of_a_head(age: timedelta, error_ns: int | None, expected: tuple[Status, str]) -> None:
    state = ChainState(ChainHead(7, NOW.plus(-age)), (EndpointStanding("one", "lagging", "12 blocks behind two"),))
    verdict = HeadAge(60 * S, 30 * S)(seen(state, clock_error_ns=error_ns), now=NOW)
    assert told(verdict) == expected
    assert ("12 blocks behind two" in verdict.message) is (verdict.reason == "head_stale")


@pytest.mark.parametrize(("need", "expected"), [(1, (OK, "enough")), (2, (WARNING, "few_endpoints"))])
def test_endpoints_that_are_alive(need: int, expected: tuple[Status, str]) -> None:
    endpoints = (EndpointStanding("one", "alive"), EndpointStanding("two", "unreachable", "refused three times"))
    verdict = EndpointQuorum(need)(seen(ChainState(ChainHead(7, NOW), endpoints)), now=NOW)
    assert told(verdict) == expected
    assert ("refused three times" in verdict.message) is (need == 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Heartbeat(0 * S),
        lambda: Heartbeat(S, -S),
        lambda: Deadline(open_grace=-S),
        lambda: CrossChainDeviation(Bps.parse("0bps")),
        lambda: CrossChainDeviation(Bps.parse("1bps"), -S),
        lambda: CrossChainDeviation(Bps.parse("1bps"), max_head_age=0 * S),
        lambda: HeadAge(0 * S),
        lambda: HeadAge(S, -S),
        lambda: EndpointQuorum(0),
        lambda: SlotLag(0),
        lambda: Migration(-S),
    ],
)
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()


# -- push feeds on Solana ------------------------------------------------------------------------------------------------------

PRO, CORE = ProgramGeneration.PRO, ProgramGeneration.CORE


def account(ago: timedelta, *, now: Instant = NOW, value: int = 7, level: VerificationLevel = FULL) -> PushFeedAccount:
    message = PriceMessage(ID, value, 1, -2, now.plus(-ago).seconds, now.plus(-ago).seconds - 1, value, 1)
    return PushFeedAccount(Pubkey(bytes(32)), PRO, 0, 100, PriceUpdateAccount(Pubkey(bytes(32)), level, message, 90))


def receiver_feed(
    core: PushFeedAccount | None,
    pro: PushFeedAccount | None,
    *,
    reads: ProgramGeneration = PRO,
    now: Instant = NOW,
    slot: int = 100,
) -> ReceiverFeed:
    found = pro if reads is PRO else core
    update = None if found is None else found.update
    return ReceiverFeed(
        head=ChainHead(slot, now),
        stored=None if update is None else PublishedPrice(update.price, update.conf, update.message.publish_time),
        generation=reads,
        migration=FeedMigration.judge(ID, core, pro, at=now, max_age=60 * S),
        level=None if update is None else update.level,
        posted_slot=None if update is None else update.posted_slot,
    )


@pytest.mark.parametrize(
    ("core", "pro", "reads", "expected"),
    [
        (S, S, PRO, (OK, "fit")),
        # Both are fit, and the one that new readers take is not the one that these read.
        (S, S, CORE, (OK, "fit")),
        (None, S, PRO, (OK, "fit")),
        (90 * S, S, PRO, (OK, "fit")),
        (90 * S, S, CORE, (CRITICAL, "read_the_other")),
        (S, None, PRO, (CRITICAL, "read_the_other")),
        (90 * S, 91 * S, PRO, (CRITICAL, "neither_fit")),
        (None, None, PRO, (SKIPPED, "nothing_stored")),
    ],
)
def test_a_migration_says_which_account_to_read(
    core: timedelta | None, pro: timedelta | None, reads: ProgramGeneration, expected: tuple[Status, str]
) -> None:
    accounts = [None if one is None else account(one) for one in (core, pro)]
    assert told(Migration()(seen(receiver_feed(accounts[0], accounts[1], reads=reads)), now=NOW)) == expected


def test_a_migration_whose_halves_contradict() -> None:
    assert told(Migration()(seen(receiver_feed(account(S), account(S, value=8))), now=NOW)) == (CRITICAL, "contradicting")
    assert told(Migration()(seen(receiver_feed(account(S), account(2 * S, value=8))), now=NOW)) == (OK, "fit")


@pytest.mark.parametrize(
    ("after_opening", "expected"),
    [(-S, (SKIPPED, "market_closed")), (60 * S, (SKIPPED, "market_opening")), (61 * S, (CRITICAL, "neither_fit"))],
)
def test_a_migration_knows_market_hours(after_opening: timedelta, expected: tuple[Status, str]) -> None:
    now = OPENING.plus(after_opening)
    old = receiver_feed(None, account(9_000 * S, now=now), now=now)
    assert told(Migration(60 * S)(seen(old, of=feed(NYSE), now=now), now=now)) == expected
    assert told(Migration()(seen(old, of=feed(described=False), now=now), now=now)) == (UNKNOWN, "schedule_unknown")


@pytest.mark.parametrize(
    ("slot", "limit", "expected"),
    [
        (100, 10, (OK, "posted")),
        (101, 10, (CRITICAL, "slots_behind")),
        (80, 10, (OK, "posted")),
        (9_999, None, (OK, "measured")),
    ],
)
def test_slots_behind(slot: int, limit: int | None, expected: tuple[Status, str]) -> None:
    verdict = SlotLag(limit)(seen(receiver_feed(None, account(S), slot=slot)), now=NOW)
    assert told(verdict) == expected
    assert verdict.measures[0].value == max(slot - 90, 0)


def test_slots_where_there_is_nothing_to_count() -> None:
    closed = OPENING.plus(-S)
    late = receiver_feed(None, account(S, now=closed), now=closed, slot=999)
    assert told(SlotLag(10)(seen(late, of=feed(NYSE), now=closed), now=closed)) == (SKIPPED, "market_closed")
    assert told(SlotLag(10)(seen(receiver_feed(None, None)), now=NOW)) == (SKIPPED, "nothing_stored")


@pytest.mark.parametrize(
    ("level", "wanted", "expected"),
    [
        (FULL, FULL, (OK, "verified")),
        (VerificationLevel(12), FULL, (CRITICAL, "under_verified")),
        (VerificationLevel(2), VerificationLevel(3), (CRITICAL, "under_verified")),
        (VerificationLevel(3), VerificationLevel(3), (OK, "verified")),
        (FULL, VerificationLevel(3), (OK, "verified")),
    ],
)
def test_the_depth_of_verification(level: VerificationLevel, wanted: VerificationLevel, expected: tuple[Status, str]) -> None:
    assert told(VerificationDepth(wanted)(seen(receiver_feed(None, account(S, level=level))), now=NOW)) == expected
    assert told(VerificationDepth(wanted)(seen(receiver_feed(None, None)), now=NOW)) == (SKIPPED, "nothing_stored")
