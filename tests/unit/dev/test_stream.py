"""The stream: one event a slot, keep-alives in silence, a planned end, and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import pytest

from probekit.clients.batch import Batch
from probekit.codecs import hermes as codec
from probekit.codecs.hermes import PriceAnswer
from probekit.codecs.sse import SseEvent, SseSplitter
from probekit.dev import faults
from probekit.dev.faults import EndpointFault
from probekit.dev.reply import Broken
from probekit.errors import DecodeError
from probekit.units import Instant
from tests.unit.dev.bench import BTC, ETH, SOL, Bench, query


class Listener:
    """Reads a stream in a task of its own, as a front does."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._splitter = SseSplitter()
        self.events: list[SseEvent] = []
        self.left = b""
        self.broken = False
        self.task = asyncio.ensure_future(self._read(chunks))

    async def _read(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                self.events += self._splitter.feed(chunk)
                self.left = chunk
        except Broken:
            self.broken = True

    @property
    def comments(self) -> int:
        return self._splitter.comments

    @property
    def answers(self) -> list[PriceAnswer]:
        return [codec.decode_prices(event.data) for event in self.events if event.event == "message"]

    def slots(self) -> list[int]:
        return [one.parsed[0].slot or 0 for one in self.answers if one.parsed]

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def listen(bench: Bench, *ids: str, more: str = "") -> Listener:
    reply = bench.ask(*(ids or (BTC, ETH)), more=more, route="stream")
    assert reply.status == 200
    assert reply.content_type == "text/event-stream"
    assert reply.chunks is not None
    return Listener(reply.chunks)


async def test_one_signed_event_per_slot() -> None:
    bench = Bench.make()
    listener = listen(bench)
    await bench.advance(4_000)
    slots = listener.slots()
    assert len(slots) == 11
    assert {second - first for first, second in pairwise(slots)} == {8}
    for one in listener.answers:
        assert set(bench.signed(one)) == {BTC, ETH}
    assert bench.sandbox.open_streams == 1
    await listener.close()
    assert bench.sandbox.open_streams == 0


async def test_parameters_hold_for_every_event() -> None:
    bench = Bench.make()
    listener = listen(bench, more="&parsed=false&encoding=base64")
    await bench.advance(1_000)
    assert {(one.binary.encoding, one.parsed) for one in listener.answers} == {("base64", None)}
    await listener.close()


async def test_only_the_first_price_of_each_second() -> None:
    bench = Bench.make()
    listener = listen(bench, more="&benchmarks_only=true")
    await bench.advance(10_000)
    times = [one.parsed[0].point.publish_time for one in listener.answers if one.parsed]
    assert len(times) == len(set(times)) == 11
    assert listener.comments == 26 - 11
    await listener.close()


async def test_no_id_is_left() -> None:
    bench = Bench.make()
    listener = listen(bench, "ab" * 32, more="&ignore_invalid_price_ids=true")
    await bench.advance(2_000)
    assert (listener.events, listener.comments) == ([], 6)
    await listener.close()


async def test_planned_end_comes_with_an_event() -> None:
    bench = Bench.make(stream_life=timedelta(seconds=30))
    listener = listen(bench)
    await bench.advance(29_900)
    assert not listener.task.done()
    await bench.advance(500)
    assert listener.task.done()
    assert not listener.broken
    assert listener.events[-1] == SseEvent(b"Connection timeout reached (24h)", "error")


@pytest.mark.parametrize(("keep_alive", "comments"), [(True, 3), (False, 0)])
async def test_silence_with_and_without_keep_alives(keep_alive: bool, comments: int) -> None:
    bench = Bench.make()
    listener = listen(bench)
    await bench.advance(2_000)
    injected = bench.sandbox.inject(faults.SilentStream(keep_alive=keep_alive))
    heard = len(listener.events)
    await bench.advance(50_000)
    assert len(listener.events) == heard
    assert listener.comments == comments
    assert not listener.task.done()
    assert bench.ask(BTC).status == 200
    injected.clear()
    await bench.advance(1_000)
    assert len(listener.events) in (heard + 2, heard + 3)
    await listener.close()


async def test_cut_in_the_middle_of_an_event() -> None:
    bench = Bench.make()
    listener = listen(bench)
    await bench.advance(2_000)
    heard = len(listener.events)
    injected = bench.sandbox.inject(faults.CutStream())
    await bench.advance(400)
    assert listener.broken
    assert len(listener.events) == heard
    assert listener.left.startswith(b"data:{")
    injected.clear()
    again = listen(bench)
    await bench.advance(400)
    assert again.answers
    await again.close()


async def test_lag_pauses_a_stream_and_never_runs_backwards() -> None:
    bench = Bench.make()
    listener = listen(bench)
    await bench.advance(2_000)
    injected = bench.sandbox.inject(faults.Lag(delay_ms=2_000))
    await bench.advance(1_900)
    assert len(listener.slots()) == 6
    await bench.advance(2_000)
    slots = listener.slots()
    assert slots == sorted(set(slots))
    assert bench.clock.now().ns // 50_000_000 - slots[-1] in range(40, 48)
    injected.clear()
    await bench.advance(400)
    assert listener.slots()[-1] - slots[-1] > 40
    await listener.close()


async def test_unordered_slots_where_they_are_allowed() -> None:
    bench = Bench.make()
    listener = listen(bench, more="&allow_unordered=true")
    await bench.advance(4_000)
    bench.sandbox.inject(faults.Lag(delay_ms=2_000))
    await bench.advance(400)
    slots = listener.slots()
    assert slots[-1] < slots[-2]
    await listener.close()


async def test_feed_faults_are_on_the_stream_too() -> None:
    bench = Bench.make()
    listener = listen(bench, BTC, ETH, SOL)
    bench.sandbox.inject(faults.BadProof(ETH))
    bench.sandbox.inject(faults.MissingFeed(SOL))
    await bench.advance(400)
    assert bench.faults_of(listener.answers[-1]) == {ETH: "bad_proof"}
    assert [one.id for one in listener.answers[-1].parsed or ()] == [BTC, ETH]
    await listener.close()


@pytest.mark.parametrize("fault", [faults.MalformedJson(), faults.NanNumbers(), faults.DuplicateIds()])
async def test_events_that_do_not_decode(fault: EndpointFault) -> None:
    bench = Bench.make()
    listener = listen(bench)
    await bench.advance(400)
    injected = bench.sandbox.inject(fault)
    await bench.advance(400)
    with pytest.raises(DecodeError):
        Batch((), (codec.decode_prices(listener.events[-1].data),), {}, received_at=Instant(0))
    injected.clear()
    await bench.advance(400)
    codec.decode_prices(listener.events[-1].data)
    await listener.close()


async def test_slow_reader_misses_slots_and_holds_up_nothing() -> None:
    bench = Bench.make()
    reply = bench.get(f"/v2/updates/price/stream?{query([BTC])}")
    assert reply.chunks is not None
    chunks = aiter(reply.chunks)
    await anext(chunks)
    await bench.advance(10_000)
    waiting = asyncio.ensure_future(anext(chunks))
    await bench.advance(400)
    newest = codec.decode_prices(SseSplitter().feed(waiting.result())[0].data).parsed
    assert newest
    assert newest[0].slot == bench.clock.now().ns // 50_000_000 // 8 * 8
