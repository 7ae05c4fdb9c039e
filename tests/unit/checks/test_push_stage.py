"""Where a push stands still, and how far a chain is behind: each conclusion, at its edge, and twice the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import CrossChainLag, PushMemory, PushStage
from probekit.model import Feed, Observation, Price, Status, Verdict
from probekit.model.chain_feed import ChainHead, PublishedPrice, PushedFeed, PusherState
from probekit.units import Bps, Instant
from tests.unit.checks.builders import ID, NOW, feed

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)
NYSE = "America/New_York;0930-1600,0930-1600,0930-1600,0930-1600,0930-1600,C,C;"
OPENING = Instant.parse("2026-09-14T13:30:00Z")
STAGE = PushStage(
    heartbeat=100 * S,
    max_deviation=Bps.parse("50bps"),
    lands_within=20 * S,
    max_source_age=30 * S,
    max_head_age=40 * S,
    min_balance=1_000,
    open_grace=60 * S,
)


def published(ago: timedelta, value: int, now: Instant) -> PublishedPrice:
    return PublishedPrice(Price(value, -2), Price(5, -2), now.plus(-ago).seconds)


def pushed(
    gap: timedelta | None = 0 * S,
    *,
    source_age: timedelta | None = 0 * S,
    head_age: timedelta = 0 * S,
    value: int = 100_000,
    source: int = 100_000,
    now: Instant = NOW,
    **pusher: Any,
) -> PushedFeed:
    """A feed stored ``gap`` before the source's newest, whose pusher is as ``pusher`` says; none without it."""
    age = source_age or 0 * S
    problem = pusher.pop("problem", "")
    fields = {"balance": 10**18, "sent": 0, "waiting": 0, "landed": 0, "landed_here": 0, "others": 0, **pusher}
    return PushedFeed(
        head=ChainHead(500, now.plus(-head_age)),
        stored=None if gap is None else published(age + gap, value, now),
        source=None if source_age is None else published(age, source, now),
        source_problem="it hangs" if source_age is None else "",
        pusher=PusherState("0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB", first_block=401, **fields) if pusher else None,
        pusher_problem=problem,
    )


def judge(
    value: PushedFeed,
    *,
    of: Feed | None = None,
    now: Instant = NOW,
    error_ns: int | None = 0,
    state: PushMemory | None = None,
    check: PushStage = STAGE,
) -> Verdict:
    observation = Observation(value, "test", now, ID, 0, error_ns, of)
    made = check.step(state or check.init(), observation, now=now)
    assert made == check.step(state or check.init(), observation, now=now)
    return made[1]


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


OVERDUE = 121 * S


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pushed(), (OK, "keeping_up")),
        (pushed(99 * S), (OK, "keeping_up")),
        (pushed(100 * S), (OK, "landing")),
        (pushed(120 * S), (OK, "landing")),
        (pushed(OVERDUE), (CRITICAL, "pusher_behind")),
        (pushed(-20 * S), (OK, "keeping_up")),
        (pushed(-21 * S), (UNKNOWN, "source_behind")),
        (pushed(source_age=None), (UNKNOWN, "no_source")),
        (pushed(source_age=30 * S), (OK, "keeping_up")),
        (pushed(source_age=31 * S), (CRITICAL, "source_idle")),
        # What is wrong first on the way is told, whatever else is.
        (pushed(OVERDUE, source_age=31 * S, head_age=41 * S, balance=0), (CRITICAL, "source_idle")),
        (pushed(OVERDUE, head_age=41 * S, balance=0), (UNKNOWN, "rpc_lagging")),
        (pushed(OVERDUE, head_age=40 * S, balance=999), (CRITICAL, "wallet_empty")),
        (pushed(OVERDUE, balance=999, sent=3, unlanded=3, failed=True), (CRITICAL, "wallet_empty")),
        (pushed(OVERDUE, balance=1_000, sent=3, unlanded=3, failed=True), (CRITICAL, "transaction_failing")),
        (pushed(OVERDUE, sent=4, landed=3, landed_here=3, unlanded=1, failed=True), (CRITICAL, "transaction_failing")),
        (pushed(OVERDUE, waiting=2), (CRITICAL, "transaction_failing")),
        (pushed(OVERDUE, sent=3, unlanded=3), (CRITICAL, "pusher_behind")),
        (pushed(OVERDUE, sent=3, landed=3), (CRITICAL, "pusher_behind")),
        (pushed(OVERDUE, sent=0), (CRITICAL, "pusher_behind")),
        (pushed(None), (CRITICAL, "never_pushed")),
        (pushed(None, balance=0), (CRITICAL, "wallet_empty")),
        # Benign, while nothing is overdue.
        (pushed(head_age=999 * S, balance=0, sent=3, unlanded=3, failed=True), (OK, "keeping_up")),
        (pushed(others=2, sent=1, unlanded=1, failed=True), (OK, "pushed_by_others")),
        (pushed(others=2, sent=1, landed=1, landed_here=1), (OK, "keeping_up")),
        (pushed(OVERDUE, others=2), (CRITICAL, "pusher_behind")),
    ],
)
def test_the_stage_at_fault(value: PushedFeed, expected: tuple[Status, str]) -> None:
    assert told(judge(value)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pushed(OVERDUE), "no pusher was named"),
        (pushed(OVERDUE, problem="it is pruned"), "could not be looked at: it is pruned"),
        (pushed(OVERDUE, sent=1, landed=1), "updates other feeds"),
        (pushed(OVERDUE, sent=1, landed=1, landed_here=1), "nothing since it last updated this feed"),
        (pushed(OVERDUE, sent=1, unlanded=1, last="0x12 succeeded, elsewhere"), "0x12 succeeded, elsewhere"),
        (pushed(OVERDUE, sent=0), "sends nothing"),
    ],
)
def test_how_a_pusher_is_behind(value: PushedFeed, words: str) -> None:
    assert words in judge(value).message


def test_every_conclusion_has_its_sums() -> None:
    verdict = judge(pushed(OVERDUE, source_age=3 * S, head_age=2 * S, balance=5, value=100_010, sent=2, landed=1, others=4))
    assert verdict.message == (
        "the pusher cannot pay. source 3.0s old, limit 30.0s; stored 2m01s behind it, heartbeat 1m40s and 20.0s to land; "
        "1.00bps off, pushed at 50bps; head 500 2.0s old, limit 40.0s; "
        "wallet 0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB has 5 wei, needs 1000; "
        "since block 401 it sent 2, of which 1 stored prices and 0 this one, 0 since then stored nothing; 0 wait; "
        "others stored this one 4 times"
    )
    assert (verdict.value, verdict.limit, verdict.unit) == (121 * 10**9, 120 * 10**9, "ns")
    assert [one.name for one in verdict.measures] == ["feed.source_lag"]


def test_a_deviation_is_due_at_once_and_overdue_once_a_push_would_have_landed() -> None:
    state, verdict = PushMemory(), Verdict("", OK, "", "")
    for seconds, expected in ((0, (OK, "landing")), (20, (OK, "landing")), (21, (CRITICAL, "pusher_behind"))):
        now = NOW.plus(seconds * S)
        value = pushed(5 * S, value=100_500, now=now)
        state, verdict = STAGE.step(state, Observation(value, "test", now, ID), now=now)
        assert told(verdict) == expected
    # Not seeing the source neither ends it nor starts it anew; a price that is near again ends it.
    now = NOW.plus(22 * S)
    blind = STAGE.step(state, Observation(pushed(source_age=None), "test", now, ID), now=now)[0]
    assert blind == PushMemory(state.off_since, now)
    assert STAGE.step(state, None, now=now)[0] == state
    assert STAGE.step(state, Observation(pushed(5 * S, value=100_499, now=now), "test", now, ID), now=now)[0] == PushMemory()


def test_time_in_which_nobody_could_judge_is_none_that_a_push_was_due() -> None:
    """Of an hour without an answer, or at an old head, it is not known that the price was off all along."""

    def seen(after: timedelta, state: PushMemory, **more: Any) -> tuple[PushMemory, Verdict]:
        now = NOW.plus(after)
        return STAGE.step(state, Observation(pushed(5 * S, value=99_000, now=now, **more), "test", now, ID, 0, 0), now=now)

    off, _ = seen(0 * S, STAGE.init())
    old, verdict = seen(60 * S, off, head_age=50 * S)
    assert (verdict.status, verdict.reason) == (UNKNOWN, "rpc_lagging")
    for blind in (STAGE.unseen(off, now=NOW.plus(S)), seen(S, off, source_age=None)[0], old):
        again, verdict = seen(3_600 * S, STAGE.unseen(blind, now=NOW.plus(3_590 * S)))
        assert (verdict.status, verdict.reason, again) == (OK, "landing", PushMemory(NOW.plus(3_600 * S)))
    # A tick or two that failed change nothing.
    assert seen(21 * S, STAGE.unseen(off, now=NOW.plus(10 * S)))[1].reason == "pusher_behind"
    assert STAGE.unseen(STAGE.init(), now=NOW).off_since is None


@pytest.mark.parametrize(("stored", "source"), [(-100_500, -100_000), (100_000, -100_000), (0, 100_000)])
def test_a_deviation_of_any_sign_counts(stored: int, source: int) -> None:
    since = PushMemory(NOW.plus(-21 * S))
    assert told(judge(pushed(5 * S, value=stored, source=source), state=since)) == (CRITICAL, "pusher_behind")


def test_a_source_at_zero_is_judged_by_time_alone() -> None:
    assert told(judge(pushed(5 * S, source=0))) == (OK, "keeping_up")
    assert told(judge(pushed(OVERDUE, source=0))) == (CRITICAL, "pusher_behind")


@pytest.mark.parametrize(
    ("after_opening", "expected"),
    [(-S, (SKIPPED, "market_closed")), (60 * S, (SKIPPED, "market_opening")), (61 * S, (CRITICAL, "source_idle"))],
)
def test_market_hours(after_opening: timedelta, expected: tuple[Status, str]) -> None:
    now = OPENING.plus(after_opening)
    idle = pushed(source_age=9_999 * S, now=now)
    assert told(judge(idle, of=feed(NYSE), now=now)) == expected
    assert told(judge(pushed(now=OPENING), of=feed(NYSE), now=OPENING)) == (OK, "keeping_up")


def test_what_cannot_be_judged_is_unknown() -> None:
    assert told(judge(pushed(), error_ns=None)) == (UNKNOWN, "clock")
    assert told(judge(pushed(), error_ns=10 * 10**9)) == (OK, "keeping_up")
    assert told(judge(pushed(), error_ns=11 * 10**9)) == (UNKNOWN, "clock")
    assert told(judge(pushed(), of=feed(error="no such zone"))) == (UNKNOWN, "schedule_unreadable")
    assert told(judge(pushed(source_age=31 * S), of=feed(described=False))) == (UNKNOWN, "schedule_unknown")
    assert told(judge(pushed(OVERDUE), of=feed(described=False))) == (CRITICAL, "pusher_behind")


SECONDS = st.integers(0, 300).map(lambda seconds: seconds * S)


@given(SECONDS, SECONDS, SECONDS, st.integers(0, 2_000), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_money_and_transactions_matter_only_once_something_is_overdue(
    gap: timedelta, source_age: timedelta, head_age: timedelta, balance: int, unlanded: int, waiting: int, failed: bool
) -> None:
    pusher: dict[str, Any] = {
        "balance": balance,
        "sent": unlanded,
        "unlanded": unlanded,
        "waiting": waiting,
        "failed": failed,
    }
    verdict = judge(pushed(gap, source_age=source_age, head_age=head_age, **pusher))
    alone = judge(pushed(gap, source_age=source_age, head_age=head_age))
    if alone.reason != "pusher_behind":
        assert told(verdict) == told(alone)
    else:
        assert verdict.status is CRITICAL
        assert (verdict.reason == "wallet_empty") is (balance < 1_000)


# -- how far behind ------------------------------------------------------------------------------------------------------------

LAG = CrossChainLag(max_lag=60 * S, open_grace=60 * S)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pushed(60 * S), (OK, "level")),
        (pushed(61 * S), (CRITICAL, "lagging")),
        (pushed(-99 * S), (OK, "level")),
        (pushed(None), (CRITICAL, "never_pushed")),
        (pushed(source_age=None), (UNKNOWN, "no_source")),
        # No clock is asked: a source that stands still shows no lag.
        (pushed(0 * S, source_age=9_999 * S), (OK, "level")),
    ],
)
def test_how_far_a_chain_is_behind(value: PushedFeed, expected: tuple[Status, str]) -> None:
    assert told(LAG(Observation(value, "test", NOW, ID, 0, None), now=NOW)) == expected


@pytest.mark.parametrize(
    ("after_opening", "expected"),
    [(-S, (SKIPPED, "market_closed")), (60 * S, (SKIPPED, "market_opening")), (61 * S, (CRITICAL, "lagging"))],
)
def test_a_lag_knows_market_hours(after_opening: timedelta, expected: tuple[Status, str]) -> None:
    now = OPENING.plus(after_opening)
    observation: Observation[Any] = Observation(pushed(99 * S, now=now), "test", now, ID, 0, 0, feed(NYSE))
    assert told(LAG(observation, now=now)) == expected


LAG_OF_A_CHAIN = CrossChainLag(max_lag=120 * S, open_grace=60 * S, max_head_age=40 * S)


@pytest.mark.parametrize(
    ("value", "error_ns", "expected"),
    [
        (pushed(121 * S, head_age=40 * S), 0, (CRITICAL, "lagging")),
        (pushed(121 * S, head_age=41 * S), 0, (UNKNOWN, "rpc_lagging")),
        (pushed(None, head_age=40 * S), 0, (CRITICAL, "never_pushed")),
        (pushed(None, head_age=41 * S), 0, (UNKNOWN, "rpc_lagging")),
        # What is level at an old head is level.
        (pushed(120 * S, head_age=41 * S), 0, (OK, "level")),
        # A clock that cannot tell.
        (pushed(121 * S), None, (UNKNOWN, "clock")),
        (pushed(121 * S), 13_333_333_333, (CRITICAL, "lagging")),
        (pushed(121 * S), 13_333_333_334, (UNKNOWN, "clock")),
        (pushed(120 * S), None, (OK, "level")),
    ],
)
def test_an_endpoint_that_lags_is_no_chain_that_lags(
    value: PushedFeed, error_ns: int | None, expected: tuple[Status, str]
) -> None:
    assert told(LAG_OF_A_CHAIN(Observation(value, "test", NOW, ID, 0, error_ns), now=NOW)) == expected


@given(SECONDS, SECONDS, SECONDS, st.sampled_from([0, 10**9, 11 * 10**9, None]))
def test_the_lag_blames_nobody_whom_the_stage_does_not(
    gap: timedelta, source_age: timedelta, head_age: timedelta, error_ns: int | None
) -> None:
    value = pushed(gap, source_age=source_age, head_age=head_age)
    lag = LAG_OF_A_CHAIN(Observation(value, "test", NOW, ID, 0, error_ns), now=NOW)
    stage = judge(value, error_ns=error_ns)
    if lag.status is CRITICAL and stage.status is not CRITICAL:
        # The stage has the source's age to tell as well, which takes a better clock.
        assert stage.reason == "clock"
    if stage.reason == "rpc_lagging":
        assert lag.reason == "rpc_lagging"


def test_hours_that_do_not_parse_say_nothing_of_a_lag() -> None:
    observation: Observation[Any] = Observation(pushed(61 * S), "test", NOW, ID, 0, 0, feed(error="a week has 7 days"))
    assert told(LAG(observation, now=NOW)) == (UNKNOWN, "schedule_unreadable")


@pytest.mark.parametrize(
    "make",
    [
        lambda: CrossChainLag(S, max_head_age=0 * S),
        lambda: PushStage(0 * S),
        lambda: PushStage(S, max_source_age=0 * S),
        lambda: PushStage(S, lands_within=-S),
        lambda: PushStage(S, min_balance=-1),
        lambda: PushStage(S, Bps.parse("0bps")),
        lambda: CrossChainLag(0 * S),
        lambda: CrossChainLag(S, -S),
    ],
)
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        make()
