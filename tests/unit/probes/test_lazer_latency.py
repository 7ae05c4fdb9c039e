"""lazer_latency on a fake clock: three sandbox routers of one network, a fault at one of them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.transport import RouterConnector
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.model.lazer import Channel
from probekit.runner import RunSettings, vantage, watch
from probekit.runner.clockbounds import KernelClock
from probekit.testing import FakeClock, ReplyTransport, reply
from tests.support.sandbox import S, load, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("lazer_latency")
MS = timedelta(milliseconds=1)
NAMES = ("a", "b", "c")
KEY = "canary-2208-key"
FAST, SLOW = Channel.FIXED_200MS, Channel.FIXED_1000MS


class Routers:
    """Three of them, and the probe over all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.network = LazerNetwork(feeds=18)
        self.by_name = {name: Router(self.network, clock=self.clock) for name in NAMES}
        connector = RouterConnector({f"{name}.test": router for name, router in self.by_name.items()})
        self.connector = connector
        monkeypatch.setattr("probekit.transports.websocket.WebsocketsConnector", lambda: connector)
        self.runs: list[ProbeRun] = []

    @staticmethod
    def url(name: str) -> str:
        return f"ws://{name}.test/v1/stream"

    def lane(self, name: str, channel: Channel = FAST) -> str:
        return f"{channel} {self.url(name)}"

    def options(self, **more: Any) -> dict[str, Any]:
        keys = tuple(one.key.hex() for one in self.network.signers.signers)
        given = {"endpoints": tuple(map(self.url, NAMES)), "feeds": (1, 2), "signers": keys, "min_samples": 5, "samples": 50}
        return given | more

    @asynccontextmanager
    async def watching(self, **more: Any) -> AsyncIterator[None]:
        engine = ReplyTransport(lambda _: reply(404))

        async def follow() -> None:
            options = PROBE.options(**self.options(**more))
            runs = watch(PROBE, options, settings=RunSettings(), clock=self.clock, engines=lambda _: engine)
            async for run in runs:
                self.runs.append(run)

        task = asyncio.ensure_future(follow())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def turn(self, seconds: float) -> ProbeRun:
        for _ in range(int(seconds * 20)):
            await self.clock.advance(50 * MS)
        return self.runs[-1]


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch) -> Routers:
    disciplined(monkeypatch, 1_000_000)
    return Routers(monkeypatch)


def disciplined(monkeypatch: pytest.MonkeyPatch, error_ns: int | None) -> None:
    """What this host's kernel says of its clock."""
    kernel = None if error_ns is None else KernelClock(True, error_ns)
    monkeypatch.setitem(vantage.SelfCheck.__init__.__kwdefaults__ or {}, "kernel", lambda: kernel)


def told(run: ProbeRun, target: str, check: str) -> tuple[Status, str]:
    found = next(one for one in result(run, target).verdicts if one.check == check)
    return found.status, found.reason


@pytest.mark.shows("lazer_latency", "OK")
async def test_three_routers_that_tell_the_same_at_the_same_time(routers: Routers) -> None:
    async with routers.watching(channels=(FAST, SLOW)):
        run = await routers.turn(8)
    assert run.status is OK, [(one.target.id, one.verdicts) for one in run.results if one.status is not OK]
    assert len(run.results) == 3 + 3 * 2 + 3 + 2
    assert told(run, routers.lane("b"), "endpoint_lag") == (OK, "abreast")
    assert told(run, f"signatures {routers.url('a')}", "sampled_signatures") == (OK, "verified")
    assert verdict(run, "feed 1") == (OK, "fresh")
    # One look of half a second is still to be judged at most, and the first update of an endpoint is no sample.
    lanes = [result(one, routers.lane("a")) for one in routers.runs]
    measured = [each for lane in lanes for one in lane.verdicts for each in one.measures if each.name == "stream.latency"]
    assert 8 * 5 - 4 <= len(measured) <= 8 * 5


@pytest.mark.parametrize("error_ns", [None, 170_000_000])
async def test_a_clock_that_cannot_tell_judges_no_age_and_who_lags_all_the_same(
    routers: Routers, monkeypatch: pytest.MonkeyPatch, error_ns: int | None
) -> None:
    disciplined(monkeypatch, error_ns)
    routers.by_name["b"].faults.late = 300 * MS
    async with routers.watching(max_age=S / 2):
        run = await routers.turn(8)
    assert {told(run, routers.lane(name), "stream_latency") for name in NAMES} == {(UNKNOWN, "clock")}
    assert verdict(run, "feed 1") == (UNKNOWN, "clock")
    assert told(run, routers.lane("b"), "endpoint_lag") == (WARNING, "lagging")
    assert told(run, routers.lane("a"), "endpoint_lag") == (OK, "abreast")


@pytest.mark.shows("lazer_latency", "OK", "WARNING lagging", "CRITICAL over_budget")
async def test_a_router_that_is_late_is_over_its_budget_and_named_as_the_one_that_lags(routers: Routers) -> None:
    routers.by_name["c"].faults.late = 600 * MS
    async with routers.watching():
        run = await routers.turn(8)
        assert told(run, routers.lane("c"), "stream_latency") == (CRITICAL, "over_budget")
        assert told(run, routers.lane("c"), "endpoint_lag") == (WARNING, "lagging")
        assert told(run, routers.lane("a"), "stream_latency") == (OK, "within_budget")
        assert told(run, routers.lane("a"), "endpoint_lag") == (OK, "abreast")
        assert verdict(run, "feed 1") == (OK, "fresh")
        lag = next(one for one in result(run, routers.lane("c")).verdicts if one.check == "endpoint_lag")
        assert "first with 0 %" in lag.message
        routers.by_name["c"].faults.late = 0 * MS
        run = await routers.turn(20)
        assert told(run, routers.lane("c"), "stream_latency") == (OK, "within_budget")


async def test_all_of_them_late_is_no_lag_and_over_budget_everywhere(routers: Routers) -> None:
    for router in routers.by_name.values():
        router.faults.late = 600 * MS
    async with routers.watching():
        run = await routers.turn(8)
    assert {told(run, routers.lane(name), "stream_latency") for name in NAMES} == {(CRITICAL, "over_budget")}
    assert {told(run, routers.lane(name), "endpoint_lag") for name in NAMES} == {(OK, "abreast")}


@pytest.mark.shows("lazer_latency", "CRITICAL stale")
async def test_a_price_that_is_only_sent_again_is_stale_and_no_sample_of_latency(routers: Routers) -> None:
    frozen = routers.clock.now().plus(-5 * S)
    for router in routers.by_name.values():
        router.faults.frozen = {1: frozen}
    async with routers.watching():
        run = await routers.turn(8)
        assert verdict(run, "feed 1") == (CRITICAL, "stale")
        assert verdict(run, "feed 2") == (OK, "fresh")
        assert told(run, routers.lane("a"), "stream_latency") == (OK, "within_budget")
        routers.by_name["b"].faults.frozen = {}
        run = await routers.turn(2)
        assert verdict(run, "feed 1") == (OK, "fresh"), "one endpoint that has it is enough"


@pytest.mark.shows("lazer_latency", "CRITICAL silent_stream")
async def test_a_router_that_cannot_be_reached_and_one_that_goes_silent(routers: Routers) -> None:
    routers.by_name["a"].faults.status = 503
    async with routers.watching():
        run = await routers.turn(8)
        assert verdict(run, routers.url("a")) == (CRITICAL, "server_error")
        assert verdict(run, routers.lane("a")) == (UNKNOWN, "behind_endpoint")
        assert told(run, routers.lane("b"), "endpoint_lag") == (OK, "abreast")
        assert verdict(run, "feed 1") == (OK, "fresh")
        routers.by_name["b"].faults.silent = True
        run = await routers.turn(7)
        assert verdict(run, routers.url("b"))[0] is CRITICAL
        assert verdict(run, routers.url("b"))[1] in ("disconnected", "silent_stream")
        run = await routers.turn(8)
        assert told(run, routers.lane("b"), "stream_latency") == (SKIPPED, "quiet")
        assert told(run, routers.lane("c"), "endpoint_lag") == (SKIPPED, "alone")
        routers.by_name["b"].faults.silent = False
        run = await routers.turn(30)
        assert verdict(run, routers.url("b")) == (WARNING, "lossy"), "it flows again, and what it left out is told"
        assert told(run, routers.lane("b"), "stream_latency") == (OK, "within_budget")


async def test_a_key_that_is_refused_everywhere_is_wrong_here(routers: Routers) -> None:
    for router in routers.by_name.values():
        router.faults.status = 401
    async with routers.watching():
        run = await routers.turn(12)
    assert {verdict(run, routers.url(name)) for name in NAMES} == {(UNKNOWN, "not_authorized")}
    assert verdict(run, "feed 1") == (UNKNOWN, "not_authorized")
    assert run.status is UNKNOWN


async def test_a_forged_signature_and_a_message_that_is_none(routers: Routers) -> None:
    routers.by_name["a"].faults.forged = True
    routers.by_name["b"].faults.malformed = True
    async with routers.watching(verify_every=5):
        run = await routers.turn(8)
    assert verdict(run, f"signatures {routers.url('a')}") == (CRITICAL, "not_verified")
    assert "bad_signature" in result(run, f"signatures {routers.url('a')}").verdicts[0].message
    assert verdict(run, f"signatures {routers.url('b')}") == (OK, "verified")
    assert verdict(run, routers.url("b")) == (CRITICAL, "bad_message")
    assert verdict(run, f"signatures {routers.url('c')}") == (OK, "verified")
    assert verdict(run, routers.url("c")) == (OK, "flowing")


@pytest.mark.shows("lazer_latency", "CRITICAL bad_message")
async def test_a_message_that_is_none_is_counted_and_told_where_nothing_is_verified(routers: Routers) -> None:
    async with routers.watching(verify_every=0):
        await routers.turn(2)
        routers.by_name["b"].faults.malformed = True
        await routers.turn(2)
        routers.by_name["b"].faults.malformed = False
        run = await routers.turn(2)
        bad = next(one for one in result(run, routers.url("b")).verdicts if one.check == "stream_messages")
        assert (bad.status, bad.reason) == (CRITICAL, "bad_message")
        assert "10 messages lately are no updates" in bad.message
        assert "decode: " in bad.message
        assert verdict(run, routers.url("a")) == (OK, "flowing")
        for _ in range(320):
            await routers.clock.advance(S)
        assert told(routers.runs[-1], routers.url("b"), "stream_messages") == (OK, "readable")


async def test_a_feed_that_was_left_out_once_is_told_when_it_is_served(routers: Routers) -> None:
    for router in routers.by_name.values():
        router.unentitled = frozenset({2})
    async with routers.watching():
        run = await routers.turn(8)
        assert verdict(run, "feed 2") == (UNKNOWN, "not_entitled")
        for router in routers.by_name.values():
            router.unentitled = frozenset()
        for socket in routers.connector.sockets:
            socket.cut()
        run = await routers.turn(8)
        assert verdict(run, "feed 2") == verdict(run, "feed 1") == (OK, "fresh")


@pytest.mark.shows("lazer_latency", "WARNING left_out")
async def test_a_feed_that_is_served_on_one_channel_alone_is_fresh_and_says_so(
    routers: Routers, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = routers.network.sorted_out

    def without(request: Any, refused: Any) -> Any:
        feeds, left = whole(request, refused)
        if request.channel is FAST and 2 in feeds:
            return [one for one in feeds if one != 2], replace(left, unsupported_channels=(2,))
        return feeds, left

    monkeypatch.setattr(routers.network, "sorted_out", without)
    async with routers.watching(channels=(FAST, SLOW)):
        run = await routers.turn(8)
        assert verdict(run, "feed 1") == (OK, "fresh")
        assert verdict(run, "feed 2") == (WARNING, "left_out")
        words = result(run, "feed 2").verdicts[0].message
        assert "but not on fixed_rate@200ms: feed 2 is not served on fixed_rate@200ms" in words
    async with routers.watching(channels=(FAST,)):
        run = await routers.turn(8)
        assert verdict(run, "feed 2") == (CRITICAL, "status")


async def test_a_stamp_ahead_of_the_clock_at_one_router_silences_no_other(routers: Routers) -> None:
    later = routers.clock.now().plus(timedelta(hours=1))
    routers.by_name["b"].faults.frozen = {1: later}
    async with routers.watching():
        run = await routers.turn(8)
        assert verdict(run, "feed 1") == (OK, "fresh"), "others have it"
        for name in ("a", "c"):
            routers.by_name[name].faults.frozen = {1: later}
        run = await routers.turn(14)
        assert verdict(run, "feed 1") == (CRITICAL, "from_the_future")
        routers.by_name["a"].faults.frozen = {}
        run = await routers.turn(2)
        assert verdict(run, "feed 1") == (OK, "fresh")


async def test_a_feed_that_nobody_knows_a_closed_market_and_a_feed_that_one_key_may_not_read(routers: Routers) -> None:
    routers.by_name["a"].unentitled = frozenset({2})
    async with routers.watching(feeds=(1, 2, 17, 99)):  # 17 is EUR/USD, and this is a Saturday
        run = await routers.turn(8)
    assert verdict(run, "feed 99") == (CRITICAL, "no_such_feed")
    assert verdict(run, "feed 17") == (SKIPPED, "market_closed")
    assert verdict(run, "feed 2") == (OK, "fresh"), "others have it"


async def test_without_verification_nothing_signed_is_asked_for(routers: Routers) -> None:
    async with routers.watching(verify_every=0):
        run = await routers.turn(8)
    assert run.status is OK
    assert not [one for one in run.results if one.target.id.startswith("signatures")]


def test_options_that_cannot_be_meant() -> None:
    for wrong, words in (
        ({"endpoints": ("ws://a/?key=1", "ws://a/?key=2")}, "two are the same"),
        ({"endpoints": ("https://a",)}, "no ws://"),
        ({"feeds": (1, 1)}, "feeds names one twice"),
        ({"feeds": (-1,)}, "no number of a feed"),
        ({"channels": (FAST, FAST)}, "channels names one twice"),
        ({"signers": ("zz",)}, "signers: non-hexadecimal"),
        ({"percentile": 0}, "percentile"),
        ({"min_samples": 501}, "min_samples"),
        ({"budget_by_channel": {FAST: 0 * S}}, "budget_by_channel.fixed_rate@200ms must be positive"),
        ({"verify_every": -1}, "verify_every"),
    ):
        with pytest.raises(ValueError, match=words):
            PROBE.options(**({"feeds": (1,)} | wrong))


def test_channels_are_read_from_yaml(tmp_path: Any) -> None:
    path = tmp_path / "latency.yaml"
    path.write_text(
        "probe: lazer_latency\noptions:\n  feeds: [1]\n  channels: [real_time]\n  budget_by_channel: {real_time: 300ms}\n"
    )
    options = read_manifest(PROBE, path).options
    assert options.channels == (Channel.REAL_TIME,)
    assert options.budget_by_channel == {Channel.REAL_TIME: 300 * MS}
