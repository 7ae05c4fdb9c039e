"""Checks of Pyth Pro streams: each verdict by its reason, at its edge, and twice the same; and the race that feeds them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import EndpointLag, LagMemory, PaceMemory, PulseAge, SampledSignatures, StreamLatency
from probekit.clients.lazer_events import LazerTick
from probekit.clients.lazer_race import LazerRace
from probekit.model import Observation, Status, Verdict
from probekit.model.lazer import Channel, FeedValues, Freshness, LazerPayload, LazerUpdate, TradingSession
from probekit.model.lazer_pace import FeedPulse, SignatureSample, StreamPace
from probekit.units import NS_PER_MS, NS_PER_S, NS_PER_US, Instant
from tests.unit.checks.builders import ID, NOW

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
S = timedelta(seconds=1)
MS = timedelta(milliseconds=1)


def seen(value: Any, *, clock_error_ns: int | None = 0) -> Observation[Any]:
    return Observation(value, "test", NOW, ID, 0, clock_error_ns)


def told(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


# -- age on arrival ----------------------------------------------------------------------------------------------------------


def arrived(*ms: int) -> StreamPace:
    return StreamPace(tuple(one * NS_PER_MS for one in ms))


def judged(check: StreamLatency, *ms: int, **more: Any) -> Verdict:
    state, verdict = check.step(check.init(), seen(arrived(*ms), **more), now=NOW)
    assert check.step(check.init(), seen(arrived(*ms), **more), now=NOW) == (state, verdict)
    return verdict


def test_the_percentile_is_held_against_the_budget() -> None:
    check = StreamLatency(100 * MS, 90, 10, 10)
    assert told(judged(check, *[50] * 9)) == (SKIPPED, "pending")
    assert told(judged(check, *[50] * 9, 900)) == (OK, "within_budget")
    verdict = judged(check, *[50] * 8, 101, 900)
    assert told(verdict) == (CRITICAL, "over_budget")
    assert "p90 of 10 is 101.0ms, budget 100.0ms; p50 50.0ms, p99 900.0ms" in verdict.message
    # Only the last ten count.
    assert told(judged(check, *[900] * 50, *[50] * 10)) == (OK, "within_budget")


def test_an_age_by_a_clock_that_is_not_known_is_none() -> None:
    check = StreamLatency(300 * MS, 95, 10, 1)
    assert told(judged(check, 50, clock_error_ns=None)) == (UNKNOWN, "clock")
    assert told(judged(check, 50, clock_error_ns=100 * NS_PER_MS)) == (OK, "within_budget")
    assert told(judged(check, 50, clock_error_ns=100 * NS_PER_MS + 1)) == (UNKNOWN, "clock")
    # Ahead of this clock by more than it may be off: no latency, whoever is wrong.
    assert told(judged(check, -50, clock_error_ns=50 * NS_PER_MS)) == (OK, "within_budget")
    assert told(judged(check, -51, clock_error_ns=50 * NS_PER_MS)) == (UNKNOWN, "clock")


def test_a_tick_without_news_keeps_the_verdict_and_silence_ends_it() -> None:
    check = StreamLatency(300 * MS, 95, 10, 1, 5 * S)
    state, _ = check.step(check.init(), seen(arrived(50), clock_error_ns=None), now=NOW)
    state, verdict = check.step(state, None, now=NOW.plus(5 * S))
    assert told(verdict) == (UNKNOWN, "clock"), "the clock was no better for a silent tick"
    state, verdict = check.step(state, seen(StreamPace()), now=NOW.plus(6 * S))
    assert told(verdict) == (SKIPPED, "quiet")
    state, verdict = check.step(state, None, now=NOW.plus(7 * S))
    assert told(verdict) == (SKIPPED, "quiet")
    assert check.step(PaceMemory(), None, now=NOW)[1].reason == "pending"


def test_every_age_is_measured_once() -> None:
    check = StreamLatency(300 * MS, 95, 10, 1)
    state, verdict = check.step(check.init(), seen(arrived(50, -5)), now=NOW)
    assert [one.value for one in verdict.measures] == [50 * NS_PER_MS, 0]
    assert check.step(state, None, now=NOW)[1].measures == ()


@given(st.lists(st.integers(-(10**12), 10**12), max_size=30))
def test_any_ages_give_a_verdict_and_the_state_stays_bounded(ages: list[int]) -> None:
    check = StreamLatency(100 * MS, 95, 8, 2)
    state, verdict = check.step(check.init(), seen(StreamPace(tuple(ages))), now=NOW)
    assert len(state.samples) <= 8
    assert verdict.reason in {"pending", "clock", "within_budget", "over_budget"}
    assert len(verdict.measures) == len(ages)
    assert all(one.value >= 0 for one in verdict.measures)


# -- behind the first --------------------------------------------------------------------------------------------------------


def test_who_comes_after_the_first_lags() -> None:
    check = EndpointLag(100 * MS, 50, 10, 4)

    def verdict(*ms: int, rivals: int = 1) -> Verdict:
        pace = StreamPace((), tuple(one * NS_PER_MS for one in ms), rivals)
        return check.step(check.init(), seen(pace, clock_error_ns=None), now=NOW)[1]

    assert told(verdict(0, 0, 0)) == (SKIPPED, "pending")
    assert told(verdict(0, 0, 0, 900)) == (OK, "abreast")
    assert told(verdict(0, 100, 100, 900)) == (OK, "abreast")
    late = verdict(0, 101, 101, 900)
    assert told(late) == (WARNING, "lagging")
    assert "first with 25 %, duplicates the rest" in late.message
    assert {one.name: one.value for one in late.measures}["stream.first_share"] == 2_500
    assert told(verdict(900, 900, 900, 900, rivals=0)) == (SKIPPED, "alone")
    state, _ = check.step(LagMemory(), seen(StreamPace((), (0,) * 4, 1)), now=NOW)
    assert check.step(state, None, now=NOW.plus(11 * S))[1].reason == "quiet"


# -- feeds -------------------------------------------------------------------------------------------------------------------


def pulse(age: timedelta | None, state: Freshness = Freshness.NEW, **more: Any) -> FeedPulse:
    at_us = NOW.ns // NS_PER_US
    updated = None if age is None else at_us - int(age / timedelta(microseconds=1))
    return FeedPulse(state, updated, at_us, more.pop("has_price", True), more.pop("session", TradingSession.REGULAR), **more)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pulse(10 * S), (OK, "fresh")),
        (pulse(10 * S + MS), (CRITICAL, "stale")),
        (pulse(60 * S, Freshness.CARRIED), (CRITICAL, "stale")),
        (pulse(None, Freshness.UNTOLD), (UNKNOWN, "untold")),
        (pulse(None, Freshness.NEVER, has_price=False), (CRITICAL, "never")),
        (pulse(S, has_price=False), (CRITICAL, "no_price")),
        (pulse(-3 * S, Freshness.AHEAD), (CRITICAL, "from_the_future")),
        (pulse(-2 * S, Freshness.AHEAD), (OK, "fresh")),
        (pulse(3600 * S, session=TradingSession.CLOSED), (SKIPPED, "market_closed")),
        (pulse(3600 * S, session="halted"), (CRITICAL, "stale")),
        (pulse(S, lacking="not on real_time: y"), (WARNING, "left_out")),
        (pulse(60 * S, lacking="not on real_time: y"), (CRITICAL, "stale")),
    ],
)
def test_a_feed_is_as_old_as_its_own_time_stamp(value: FeedPulse, expected: tuple[Status, str]) -> None:
    assert told(PulseAge(10 * S)(seen(value), now=NOW)) == expected


def test_a_feeds_age_needs_a_clock() -> None:
    assert told(PulseAge(9 * S)(seen(pulse(S), clock_error_ns=None), now=NOW)) == (UNKNOWN, "clock")
    assert told(PulseAge(9 * S)(seen(pulse(S), clock_error_ns=3 * NS_PER_S + 1), now=NOW)) == (UNKNOWN, "clock")
    assert told(PulseAge(9 * S)(seen(pulse(S), clock_error_ns=3 * NS_PER_S), now=NOW)) == (OK, "fresh")


# -- signatures --------------------------------------------------------------------------------------------------------------


def test_one_that_does_not_verify_is_remembered_for_a_while() -> None:
    check, state, reasons = SampledSignatures(60 * S), SampledSignatures().init(), []
    for second, sample in (
        (0, SignatureSample(0)),
        (1, SignatureSample(3)),
        (2, SignatureSample(1, "bad_signature", "a stranger")),
        (62, SignatureSample(5)),
        (63, SignatureSample(5)),
    ):
        state, verdict = check.step(state, seen(sample), now=NOW.plus(second * S))
        reasons.append(verdict.reason)
    assert reasons == ["pending", "verified", "not_verified", "not_verified", "verified"]
    assert "14 sampled updates verified" in verdict.message
    # What held once says nothing of what came since.
    assert told(check.step(state, seen(SignatureSample(0)), now=NOW.plus(123 * S))[1]) == (OK, "verified")
    for value in (seen(SignatureSample(0)), None):
        assert told(check.step(state, value, now=NOW.plus(123 * S + MS))[1]) == (SKIPPED, "quiet")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StreamLatency(0 * S),
        lambda: StreamLatency(S, 0),
        lambda: StreamLatency(S, 95, 10, 11),
        lambda: EndpointLag(0 * S),
        lambda: EndpointLag(S, 101),
        lambda: EndpointLag(S, 95, 0, 0),
        lambda: PulseAge(0 * S),
        lambda: PulseAge(S, -S),
        lambda: SampledSignatures(0 * S),
    ],
)
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match=r"must|percentile"):
        make()


# -- the race ----------------------------------------------------------------------------------------------------------------


def tick(at_ms: int, *feeds: FeedValues, stamp_ms: int | None = None) -> LazerTick:
    stamp_us = (at_ms if stamp_ms is None else stamp_ms) * 1_000
    payload = LazerPayload(stamp_us, Channel.FIXED_50MS.number, feeds)
    return LazerTick(0, "", Instant(at_ms * NS_PER_MS), LazerUpdate(payload, {}), payload, frozenset(payload.by_id))


def feed(number: int, updated_ms: int | None, price: int | None = 5) -> FeedValues:
    return FeedValues(number, price_mantissa=price, feed_update_timestamp_us=None if updated_ms is None else updated_ms * 1_000)


def test_only_new_prices_are_samples_and_the_oldest_of_an_update_counts() -> None:
    race = LazerRace(["a"], [Channel.FIXED_50MS])
    race.take("a", tick(1_000, feed(1, 10), feed(2, 20)), now_ns=0)
    assert race.pace("a", 0, now_ns=0).arrival_ns == (), "how long ago a price was made that was there before we looked"
    race.take("a", tick(1_100, feed(1, 1_050), feed(2, 1_080), feed(3, None)), now_ns=0)
    race.take("a", tick(1_200, feed(1, 1_050), feed(2, 1_080)), now_ns=0)
    race.take("a", tick(1_300, feed(1, 1_050), feed(2, 1_290)), now_ns=0)
    assert race.pace("a", 0, now_ns=0).arrival_ns == (50 * NS_PER_MS, 10 * NS_PER_MS)
    assert race.pace("a", 0, now_ns=0) == StreamPace()


def test_who_began_later_is_not_beaten_with_what_it_could_not_tell() -> None:
    race = LazerRace(["a", "b"], [Channel.FIXED_50MS])
    for stamp in (0, 50, 100):
        race.take("a", tick(stamp), now_ns=stamp)
    race.take("b", tick(100), now_ns=130)
    race.take("a", tick(150), now_ns=150)
    race.take("b", tick(150), now_ns=180)
    race.take("a", tick(200), now_ns=200)
    assert race.pace("b", 0, now_ns=200) == StreamPace((), (30, 30), 1)
    assert race.pace("a", 0, now_ns=200) == StreamPace((), (0, 0), 1)
    race.lost("b")
    race.take("a", tick(250), now_ns=250)
    assert race.pace("a", 0, now_ns=250) == StreamPace()


def test_who_is_farther_behind_than_what_is_remembered_is_not_first_again() -> None:
    race, lag = LazerRace(["a", "b"], [Channel.REAL_TIME]), 5_000
    behind: list[int] = []
    for stamp in range(12_000):
        race.take("a", tick(stamp), now_ns=stamp)
        if stamp >= lag:
            race.take("b", tick(stamp, stamp_ms=stamp - lag), now_ns=stamp)
        if stamp % 500 == 499:
            behind += race.pace("b", 0, now_ns=stamp).behind_ns
            race.pace("a", 0, now_ns=stamp)
    assert len(behind) == 7_000
    # How far, nobody knows any more: at least as far as is remembered.
    assert min(behind) >= 4_000


@pytest.mark.parametrize("first", [True, False])
def test_a_stamp_ahead_of_the_clock_silences_nobody(first: bool) -> None:
    """One endpoint tells a time that comes in an hour: what it and the other tell after it is compared and judged as before."""
    race, hour_ms = LazerRace(["a", "b"], [Channel.FIXED_50MS]), 3_600_000
    if not first:
        for name in ("a", "b"):
            race.take(name, tick(100_000, feed(1, 100_000)), now_ns=0)
    race.take("b", tick(100_000, feed(1, 100_000 + hour_ms), stamp_ms=100_000 + hour_ms), now_ns=0)
    (found,) = race.pulses().values()
    assert (found.updated_us == (100_000 + hour_ms) * 1_000) is first, "it is told while nobody tells anything else"
    for beat in range(1, 20):
        at_ms = 100_000 + beat * 50
        race.take("a", tick(at_ms, feed(1, at_ms)), now_ns=beat * 50)
        race.take("b", tick(at_ms, feed(1, at_ms)), now_ns=beat * 50 + 7)
        (found,) = race.pulses().values()
        assert (found.updated_us, found.endpoint) == (at_ms * 1_000, "a")
    a, b = (race.pace(name, 0, now_ns=1_000) for name in ("a", "b"))
    assert b.behind_ns[-19:] == (7,) * 19
    assert set(a.behind_ns) == {0}
    assert len(a.behind_ns) >= 18
    assert {*a.arrival_ns, *b.arrival_ns} == {0}, "no age is negative, and none is left out"
    assert len(b.arrival_ns) == 19


def test_a_stamp_ahead_of_the_clock_is_told_where_nobody_tells_another() -> None:
    race = LazerRace(["a", "b"], [Channel.FIXED_50MS])
    race.take("a", tick(1_000, feed(1, 1_000)), now_ns=0)
    race.pulses()
    for at_ms in range(1_050, 20_000, 50):
        race.take("b", tick(at_ms, feed(1, at_ms + 5_000), stamp_ms=at_ms + 5_000), now_ns=at_ms * NS_PER_MS)
        if found := race.pulses():
            break
    assert at_ms == 11_000, "ten seconds after the other went silent"
    assert found[1].updated_us == 16_000_000


def test_by_a_clock_that_is_behind_everybody_is_compared_as_ever() -> None:
    race = LazerRace(["a", "b"], [Channel.FIXED_50MS])
    for beat in range(20):
        stamp = 500_000 + beat * 50
        race.take("a", tick(beat * 50, feed(1, stamp), stamp_ms=stamp), now_ns=beat)
        race.take("b", tick(beat * 50, feed(1, stamp), stamp_ms=stamp), now_ns=beat + 3)
    assert race.pace("b", 0, now_ns=30).behind_ns == (3,) * 20
    assert set(race.pace("a", 0, now_ns=30).arrival_ns) == {-500 * NS_PER_S}
    assert race.pulses()[1].updated_us == (500_000 + 19 * 50) * 1_000


def test_the_newest_of_any_endpoint_is_a_feeds_pulse() -> None:
    race = LazerRace(["a", "b"], [Channel.FIXED_50MS])
    race.take("a", tick(1_000, feed(1, 900)), now_ns=0)
    race.take("b", tick(1_000, feed(1, 950)), now_ns=0)
    race.take("a", tick(1_050, feed(1, 900)), now_ns=0)
    (found,) = race.pulses().values()
    assert (found.updated_us, found.endpoint, found.state) == (950_000, "b", Freshness.CARRIED)
    assert race.pulses() == {}
    race.take("a", tick(1_100, feed(1, None)), now_ns=0)
    assert race.pulses() == {}
