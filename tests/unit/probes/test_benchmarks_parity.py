"""benchmarks_parity on a fake clock: a sandbox Hermes and a sandbox Benchmarks of one network."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest

from probekit.dev import faults
from probekit.dev.benchmarks import SandboxBenchmarks
from probekit.dev.prices import market as made_market
from probekit.dev.transport import SandboxTransport
from probekit.errors import NotFound
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings
from probekit.units import Instant
from tests.support.sandbox import FIRST, Lab, S, load, module_of, others_ok, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("benchmarks_parity")
PAST = "http://past"
MINUTELY = RunSettings(interval=60 * S, deadline=50 * S)


class Pair(Lab):
    """Hermes and Benchmarks of one network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.past = SandboxBenchmarks(self.network)
        self.transport = SandboxTransport({FIRST: self.first, PAST: self.past}, clock=self.clock)

    async def run(self, **more: Any) -> ProbeRun:
        return await self.once(PROBE, **self.options(**more))

    def options(self, **more: Any) -> dict[str, Any]:
        return {"endpoint": FIRST, "benchmarks": PAST, "feeds": self.ids} | more


@pytest.fixture
def pair() -> Pair:
    return Pair(feeds=3)


def sentence(run: ProbeRun, target: str) -> str:
    return max(result(run, target).verdicts, key=lambda one: one.status.severity).message


@pytest.mark.shows("benchmarks_parity", "OK")
async def test_the_past_is_what_hermes_served(pair: Pair) -> None:
    run = await pair.run()
    assert run.status is OK
    assert {verdict(run, one) for one in pair.ids} == {(OK, "equal")}
    assert verdict(run, PAST) == (OK, "available")


async def test_the_lag_is_bounded_from_both_sides_and_found_with_few_requests(pair: Pair) -> None:
    pair.past.available_after = timedelta(seconds=45)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options()):
        run = await pair.pass_seconds(10)
        assert verdict(run, PAST) == (OK, "available")
        assert sentence(run, PAST) == "the second 60.0s ago is there, the one 30.0s ago is not, limit 60.0s" or (
            "the second 1m00s ago is there, the one 30.0s ago is not" in sentence(run, PAST)
        )
        asked = pair.past.requests
        run = await pair.pass_seconds(60)
        assert verdict(run, PAST) == (OK, "available")
        assert pair.past.requests - asked == 3, "one step nearer, the same, and all feeds"
        pair.past.available_after = timedelta(seconds=100)
        run = await pair.pass_seconds(60)
        assert verdict(run, PAST) == (WARNING, "lagging")
        assert {verdict(run, one) for one in pair.ids} == {(OK, "equal")}
        pair.past.available_after = timedelta(hours=1)
        run = await pair.pass_seconds(60)
        assert verdict(run, PAST) == (CRITICAL, "unavailable")
        assert {verdict(run, one) for one in pair.ids} == {(SKIPPED, "not_yet")}


@pytest.mark.shows("benchmarks_parity", "CRITICAL different")
async def test_other_signed_bytes_for_one_slot(pair: Pair) -> None:
    pair.past.inject(faults.ConflictingData(pair.ids[1]))
    run = await pair.run()
    assert verdict(run, pair.ids[1]) == (CRITICAL, "different")
    assert "price is " in sentence(run, pair.ids[1])
    assert others_ok(run, pair.ids[1])


@pytest.mark.shows("benchmarks_parity", "CRITICAL parsed_differs")
async def test_json_that_contradicts_the_same_bytes(pair: Pair) -> None:
    pair.past.inject(faults.ParsedMismatch(pair.ids[0]))
    run = await pair.run()
    assert verdict(run, pair.ids[0]) == (CRITICAL, "parsed_differs")
    assert others_ok(run, pair.ids[0])


async def test_a_feed_left_out_of_an_answer_and_one_that_the_key_may_not_read(pair: Pair) -> None:
    pair.past.inject(faults.MissingFeed(pair.ids[2]))
    pair.past.inject(faults.Unentitled(pair.ids[1]))
    run = await pair.run()
    assert verdict(run, pair.ids[2]) == (CRITICAL, "missing")
    assert verdict(run, pair.ids[1]) == (UNKNOWN, "not_entitled")
    assert others_ok(run, pair.ids[1], pair.ids[2])


async def test_a_feed_whose_seconds_do_not_come_is_delay_first_and_absent_after_its_limit(pair: Pair) -> None:
    # Its publishers are dead since before the watch: nothing of Hermes, which is not Benchmarks's fault.
    pair.first.inject(faults.StaleFeed(pair.ids[1]))
    for _ in range(90):
        await pair.clock.advance(S)
    run = await pair.run()
    assert verdict(run, pair.ids[1]) == (UNKNOWN, "no_hermes")
    assert others_ok(run, pair.ids[1])


async def test_the_one_feed_that_an_archive_lacks_is_no_word_on_the_archive(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SandboxBenchmarks._pick

    def without(self: SandboxBenchmarks, market: Any, second: int) -> int | None:
        return None if str(market.feed.id) == pair.ids[0] else whole(self, market, second)

    monkeypatch.setattr(SandboxBenchmarks, "_pick", without)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options()):
        run = await pair.pass_seconds(10)
        assert verdict(run, PAST)[0] in (OK, WARNING)
        assert verdict(run, pair.ids[1]) == (OK, "equal")
        asked = pair.past.requests
        for _ in range(2):
            run = await pair.pass_seconds(60)
            assert verdict(run, PAST) == (OK, "available")
        # The next runs begin with a feed that it has; each halves what it asks for around the one that it lacks.
        assert pair.past.requests - asked <= 2 * (2 + 5)


@pytest.mark.shows("benchmarks_parity", "CRITICAL absent")
async def test_a_feed_that_the_archive_alone_lacks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SandboxBenchmarks._pick

    def without(self: SandboxBenchmarks, market: Any, second: int) -> int | None:
        return None if str(market.feed.id) == pair.ids[1] else whole(self, market, second)

    monkeypatch.setattr(SandboxBenchmarks, "_pick", without)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options(max_absence=timedelta(minutes=3))):
        run = await pair.pass_seconds(10)
        assert verdict(run, pair.ids[1]) == (SKIPPED, "not_yet")
        run = await pair.pass_seconds(180)
        assert verdict(run, pair.ids[1]) == (SKIPPED, "not_yet")
        run = await pair.pass_seconds(60)
        assert verdict(run, pair.ids[1]) == (CRITICAL, "absent")
        assert others_ok(run, pair.ids[1])
        monkeypatch.undo()
        assert verdict(await pair.pass_seconds(60), pair.ids[1]) == (OK, "equal")


async def test_an_archive_of_another_network_and_one_of_another_time(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SandboxBenchmarks._pick

    def later(self: SandboxBenchmarks, market: Any, second: int) -> int | None:
        picked = whole(self, market, second)
        return None if picked is None else picked + self.network.every_ns

    monkeypatch.setattr(SandboxBenchmarks, "_pick", later)
    run = await pair.run()
    assert {verdict(run, one) for one in pair.ids} == {(WARNING, "other_slot")}
    monkeypatch.setattr(SandboxBenchmarks, "_pick", lambda self, market, second: whole(self, market, second - 1))
    run = await pair.run()
    assert {verdict(run, one) for one in pair.ids} == {(WARNING, "other_second")}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (faults.Unauthorized(), (UNKNOWN, "not_authorized")),
        (faults.RateLimited(60), (UNKNOWN, "rate_limited")),
        (faults.ServerError(), (CRITICAL, "server_error")),
        (faults.MalformedJson(), (CRITICAL, "decode")),
        (faults.Hang(), (CRITICAL, "deadline_first_byte")),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else None,
)
async def test_an_archive_that_fails_is_told_once(pair: Pair, fault: Any, told: tuple[Status, str]) -> None:
    pair.past.inject(fault)
    run = await pair.run()
    assert verdict(run, PAST) == told
    assert {verdict(run, one) for one in pair.ids} == {(UNKNOWN, "behind_endpoint")}
    assert verdict(run, FIRST) == (OK, "within_budget")
    pair.past.injected[0].clear()
    pair.first.inject(fault)
    run = await pair.run()
    assert verdict(run, FIRST) == told
    assert verdict(run, PAST) == (OK, "available")
    assert {verdict(run, one) for one in pair.ids} == {(UNKNOWN, "no_hermes")}


async def test_a_closed_market_is_asked_for_nothing() -> None:
    pair = Pair(feeds=1)
    closed = made_market("Equity.US.AAPL/USD", "49" * 32, 23_500_000, "Equity", "America/New_York;C,C,C,C,C,C,C;", -5)
    pair.network.markets = (*pair.network.markets, closed)
    pair.network.index["49" * 32] = 1
    run = await pair.run(feeds=(pair.ids[0], "49" * 32))
    assert verdict(run, "49" * 32) == (SKIPPED, "market_closed")
    assert verdict(run, pair.ids[0]) == (OK, "equal")
    run = await pair.run(feeds=("49" * 32,))
    assert verdict(run, PAST) == (SKIPPED, "market_closed")
    # Neither was asked for anything, and neither is well.
    assert verdict(run, FIRST) == (SKIPPED, "pending")
    assert (run.status, result(run, FIRST).verdicts[0].measures) == (SKIPPED, ())


class Opening(Pair):
    """A market that opens at the minute in which the clock begins; no service has seconds of before."""

    SHARE = "49" * 32

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
        super().__init__(feeds=1, **more)
        start = self.clock.now()
        hours = f"UTC;{','.join([f'{start.to_datetime():%H%M}-2200'] * 7)};"
        share = made_market("Equity.US.AAPL/USD", self.SHARE, 23_500_000, "Equity", hours, -5)
        self.network.markets = (*self.network.markets, share)
        self.network.index[self.SHARE] = 1
        whole = SandboxBenchmarks._pick

        def since_then(archive: SandboxBenchmarks, market: Any, second: int) -> int | None:
            of_before = market is share and second < start.seconds
            return None if of_before else whole(archive, market, second)

        monkeypatch.setattr(SandboxBenchmarks, "_pick", since_then)


async def test_a_market_that_has_just_opened_is_not_asked_for_what_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Opening(monkeypatch)
    pair.past.available_after = timedelta(seconds=45)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options(feeds=(Opening.SHARE,))):
        run = await pair.pass_seconds(2)
        # It has been open for none of the seconds.
        assert verdict(run, PAST) == (SKIPPED, "market_closed")
        assert pair.past.requests == 0
        assert verdict(run, FIRST) == (SKIPPED, "pending")
        told = []
        for _ in range(11):
            run = await pair.pass_seconds(60)
            told.append(verdict(run, PAST))
        assert told[0] == (SKIPPED, "market_opening"), "the second of half a minute ago is not there yet, and need not be"
        assert told[1:] == [(OK, "available")] * 10
        assert verdict(run, Opening.SHARE) == (OK, "equal")


@pytest.mark.shows("benchmarks_parity", "WARNING lagging", "CRITICAL unavailable")
async def test_an_archive_that_has_nothing_of_a_market_since_it_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Opening(monkeypatch)
    pair.past.available_after = timedelta(hours=1)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options(feeds=(Opening.SHARE,))):
        told = [verdict(await pair.pass_seconds(60), PAST) for _ in range(12)]
    assert [one for one, _ in groupby(told)] == [
        (SKIPPED, "market_opening"), (WARNING, "lagging"), (CRITICAL, "unavailable"),
    ]  # fmt: skip


async def test_the_feed_whose_market_has_been_open_longest_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Opening(monkeypatch)
    await pair.clock.advance(20 * S)
    run = await pair.run(feeds=(Opening.SHARE, pair.ids[0]))
    assert verdict(run, PAST) == (OK, "available")
    assert verdict(run, pair.ids[0]) == (OK, "equal")
    assert verdict(run, Opening.SHARE) == (SKIPPED, "market_closed")


async def test_time_without_hermes_is_no_absence_in_the_archive(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SandboxBenchmarks._pick

    def without(self: SandboxBenchmarks, market: Any, second: int) -> int | None:
        return None if str(market.feed.id) == pair.ids[1] else whole(self, market, second)

    monkeypatch.setattr(SandboxBenchmarks, "_pick", without)
    async with pair.watching(PROBE, settings=MINUTELY, **pair.options(max_absence=timedelta(minutes=3))):
        await pair.pass_seconds(10)
        for server, told in ((pair.first, (UNKNOWN, "no_hermes")), (pair.past, (UNKNOWN, "behind_endpoint"))):
            server.inject(faults.ServerError())
            assert verdict(await pair.pass_seconds(240), pair.ids[1]) == told
            server.injected[0].clear()
            assert verdict(await pair.pass_seconds(60), pair.ids[1]) == (SKIPPED, "not_yet")
        await pair.pass_seconds(180)
        assert verdict(await pair.pass_seconds(60), pair.ids[1]) == (CRITICAL, "absent")


async def test_feeds_without_an_update_are_found_by_few_requests_and_one_answer_is_timed() -> None:
    """A hundred that are not found are not asked for one by one."""
    pair, module = Pair(feeds=8), module_of(PROBE)
    asked: list[int] = []

    class Refusing:
        async def at(self, at: Instant, ids: Any) -> Any:
            asked.append(len(ids))
            await pair.clock.sleep_until_ns(pair.clock.monotonic_ns() + 10**9)
            raise NotFound("Update data not found", subject="")

    served = module.Served(Refusing(), 1_700_000_000, pair.clock)
    task = asyncio.ensure_future(served.of([f"{number:064x}" for number in range(100)]))
    while not task.done():
        await pair.clock.advance(S)
    assert len(task.result()) == 100
    assert 2 < len(asked) <= module.MOST_ASKED
    assert served.slowest_ns == 10**9
    # One of several is found, and the others are had.
    pair.first.inject(faults.StaleFeed(pair.ids[5]))
    await pair.clock.advance(timedelta(minutes=2))
    run = await pair.run()
    assert verdict(run, pair.ids[5]) == (UNKNOWN, "no_hermes")
    assert others_ok(run, pair.ids[5])


async def test_the_bars_of_a_chart_hold_the_prices_of_their_minutes(pair: Pair) -> None:
    chart = "chart Crypto.BTC/USD"
    options = pair.options(charts=("Crypto.BTC/USD",), feeds=("Crypto.BTC/USD", "Crypto.ETH/USD"), bars_after=60 * S)
    async with pair.watching(PROBE, settings=MINUTELY, **options):
        run = await pair.pass_seconds(10)
        assert verdict(run, chart) == (SKIPPED, "pending")
        run = await pair.pass_seconds(120)
        assert verdict(run, chart) == (OK, "held")
        pair.past.bar_offset = pair.network.markets[0].level // 50
        run = await pair.pass_seconds(60)
        assert verdict(run, chart) == (WARNING, "outside_bar")
        pair.past.charts = False
        run = await pair.pass_seconds(60)
        assert verdict(run, chart) == (SKIPPED, "no_charts")
        assert verdict(run, pair.ids[0]) == (OK, "equal")


def test_options_that_cannot_be_meant() -> None:
    feeds = ("Crypto.BTC/USD",)
    for wrong, words in (
        ({"steps": (timedelta(minutes=11),)}, "Hermes itself asks Benchmarks"),
        ({"steps": (30 * S, 10 * S)}, "steps must rise"),
        ({"max_lag": timedelta(minutes=10)}, "max_lag must not be above"),
        ({"charts": ("Crypto.ETH/USD",)}, "is none of feeds"),
        ({"benchmarks": "https://hermes.pyth.network"}, "two services"),
        ({"feeds": tuple(f"{number:064x}" for number in range(101))}, "at most 100"),
        ({"bars_after": -S}, "bars_after"),
    ):
        with pytest.raises(ValueError, match=words):
            PROBE.options(**({"feeds": feeds} | wrong))


async def test_the_sandbox_has_windows_feeds_and_charts_as_the_client_reads_them(pair: Pair) -> None:
    from probekit.clients.benchmarks import BenchmarksClient

    await pair.clock.advance(timedelta(minutes=3))
    async with BenchmarksClient(PAST, transport=pair.transport, clock=pair.clock, verify=pair.network.trust) as client:
        start = Instant.from_seconds(pair.clock.now().seconds - 60)
        window = await client.window(start, 5 * S, pair.ids)
        assert [one.point.publish_time for one in window.of(pair.ids[0])] == [start.seconds + n for n in range(6)]
        assert window.errors == ()
        assert {one.feed.id for one in await client.feeds() if hasattr(one, "feed")} == set(pair.ids)
        minute = Instant.from_seconds(start.seconds // 60 * 60 - 60)
        (bar,) = (await client.chart_bars("Crypto.BTC/USD", "1", minute, minute)).readable
        assert bar.low <= bar.open <= bar.high
        assert (await client.chart_config()).supported_resolutions == ("1",)
        assert (await client.chart_bars("Crypto.BTC/USD", "1", pair.clock.now(), pair.clock.now())).bars == ()
