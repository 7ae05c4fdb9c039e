"""Several streams as one: duplicates, gaps, contradictions, and who was first."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.clients.lazer_merge import Merge
from probekit.errors import DecodeError
from probekit.model.lazer import Channel, FeedValues, LazerPayload
from probekit.units import Instant

AT = Instant(2**70)
"""Later than any time stamp here."""


def payload(beat: int, price: int = 5, *feeds: int) -> LazerPayload:
    return LazerPayload(beat * 200_000, None, tuple(FeedValues(feed, price_mantissa=price) for feed in feeds or (1,)))


class Bench:
    def __init__(self, channel: Channel = Channel.FIXED_200MS, **options: Any) -> None:
        self.merge = Merge([channel, channel], **{"remember": 100, "compare": 10} | options)
        self.now_ns = 0
        self.at = AT

    def take(self, beat: int, endpoint: str = "a", *, number: int = 0, price: int = 5, feeds: tuple[int, ...] = (1,)) -> bool:
        told = self.merge.take(number, payload(beat, price, *feeds), endpoint, now_ns=self.now_ns, at=self.at)
        return told is not None


def test_each_time_is_told_once_in_each_subscription() -> None:
    bench = Bench()
    assert [bench.take(1), bench.take(1, "b"), bench.take(1, number=1), bench.take(2, "b"), bench.take(2)] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert (bench.merge.duplicates, bench.merge.conflicts, bench.merge.missed) == (2, 0, 0)


def test_how_late_the_others_are() -> None:
    bench = Bench()
    for beat in range(1, 4):
        bench.take(beat)
        bench.now_ns += beat * 1_000
        bench.take(beat, "b")
    first, second = bench.merge.of("a"), bench.merge.of("b")
    assert (first.first, first.late, first.mean_late_ns) == (3, 0, None)
    assert (second.first, second.late, second.late_ns_max, second.mean_late_ns) == (0, 3, 3_000, 2_000)
    bench.take(3, "a")
    assert (first.repeated, first.late) == (1, 0)


def test_gaps_are_counted_and_filled() -> None:
    bench = Bench()
    bench.take(1)
    bench.take(5)
    assert bench.merge.missed == 3
    assert bench.take(3, "b")
    assert (bench.merge.missed, bench.merge.out_of_order) == (2, 1)
    assert not bench.take(3, "a")
    assert (bench.merge.of("a").missed, bench.merge.of("b").missed) == (3, 0)
    bench.take(6, "b")
    assert bench.merge.of("b").missed == 2
    assert bench.merge.missed == 2


def test_a_late_endpoint_has_gaps_of_its_own() -> None:
    bench = Bench()
    for beat in range(1, 8):
        bench.take(beat)
    bench.take(2, "b")
    bench.take(6, "b")
    assert (bench.merge.missed, bench.merge.of("b").missed) == (0, 3)


def test_a_channel_without_a_beat_has_no_gaps() -> None:
    bench = Bench(Channel.REAL_TIME)
    bench.take(1)
    bench.take(1_000_000)
    assert (bench.merge.missed, bench.merge.of("a").missed) == (0, 0)


def test_a_time_far_ahead_costs_no_memory() -> None:
    bench = Bench(remember=5, compare=0)
    bench.take(1)
    bench.take(2**40)
    assert bench.merge.missed == 2**40 - 2
    assert bench.take(2)
    assert bench.merge.missed == 2**40 - 2, "only the nearest missing beats are remembered"


@pytest.mark.parametrize("first", [True, False])
def test_a_time_ahead_of_the_clock_is_not_the_newest_until_it_comes(first: bool) -> None:
    bench, hour = Bench(), 3_600 * 5
    bench.at = Instant(10 * 10**9)
    told = [hour, 50, 51, 53] if first else [50, hour, 51, 53]
    assert [bench.take(beat) for beat in told] == [True] * 4
    stats = bench.merge.of("a")
    assert (bench.merge.missed, stats.missed) == (1, 1), "of what comes after it, gaps are seen"
    assert bench.merge.out_of_order == (0 if first else 1)
    assert stats.newest_us[0] == 53 * 200_000


def test_a_clock_that_is_behind_sees_gaps_all_the_same() -> None:
    bench = Bench()
    bench.at = Instant(0)
    assert [bench.take(beat) for beat in (1_000, 1_001, 1_003)] == [True] * 3
    assert (bench.merge.missed, bench.merge.out_of_order) == (1, 0)


def test_contradictions_are_counted_while_the_content_is_kept() -> None:
    bench = Bench(remember=10, compare=2)
    for beat in range(1, 5):
        bench.take(beat)
    assert not bench.take(4, "b", price=6)
    assert bench.merge.conflicts == 1
    bench.take(3, "b", price=6)
    assert bench.merge.conflicts == 2
    bench.take(1, "b", price=6)
    assert bench.merge.conflicts == 2, "too long ago to be compared"
    bench.take(4, "c", price=5)
    assert bench.merge.conflicts == 2


def test_endpoints_that_read_different_feeds_complete_each_other() -> None:
    bench = Bench()
    told = [
        bench.merge.take(0, payload(1, 5, *feeds), endpoint, now_ns=0, at=AT)
        for endpoint, feeds in (("a", (1, 2)), ("b", (2, 3)), ("c", (1, 2, 3)), ("d", (4,)))
    ]
    assert told == [frozenset((1, 2)), frozenset((3,)), None, frozenset((4,))]
    broken = LazerPayload(400_000, None, (DecodeError("x", raw=b""), FeedValues(1)))
    assert bench.merge.take(0, broken, "a", now_ns=0, at=AT) == frozenset((1,))
    assert bench.merge.take(0, payload(2, 5, 1, 2), "b", now_ns=0, at=AT) == frozenset((2,))


def test_only_so_many_times_are_remembered() -> None:
    bench = Bench(remember=3, compare=3)
    for beat in range(1, 6):
        bench.take(beat)
    assert bench.take(1), "forgotten: it counts as new, and as late"
    assert bench.merge.out_of_order == 1
    assert not bench.take(5)


@pytest.mark.parametrize(("remember", "compare"), [(0, 0), (1, 2), (1, -1)])
def test_bounds_that_are_none(remember: int, compare: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Merge([Channel.REAL_TIME], remember=remember, compare=compare)


@given(st.integers(2, 40), st.integers(1, 3), st.randoms(use_true_random=False), st.floats(0, 0.5))
def test_whatever_comes_in_whatever_order_is_told_once(beats: int, endpoints: int, order: random.Random, lost: float) -> None:
    sent = [(f"e{number}", beat) for number in range(endpoints) for beat in range(beats) if order.random() >= lost]
    order.shuffle(sent)
    bench = Bench()
    told = [beat for endpoint, beat in sent if bench.take(beat, endpoint)]
    assert sorted(told) == sorted({beat for _, beat in sent})
    assert bench.merge.duplicates == len(sent) - len(told)
    if told:
        # What is missing lies after the first beat that came: nobody knows what was before.
        span = set(range(told[0], max(told) + 1))
        assert bench.merge.missed == len(span - set(told))
    assert sum(stats.updates for stats in bench.merge.stats.values()) == len(sent)
