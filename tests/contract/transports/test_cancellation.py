"""A send that is cancelled, wherever it stands, leaves no socket, no task, and no place taken."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.errors import DeadlineExceeded, TransportError
from probekit.model import RequestRecord
from probekit.transports.base import Engine, Request
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from probekit.transports.recording import Recording
from tests.contract.transports.attempts import Make, failure, get, read, until
from tests.contract.transports.server import Server


@pytest.fixture(params=["httpx", "curl"])
async def narrow(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """An engine that does one thing at a time: a place that is lost shows at once."""
    if request.param == "curl":
        curl = CurlTransport(max_concurrency=1)
        yield curl
        await curl.aclose()
        return
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1), trust_env=False) as client:
        yield HttpxTransport(client=client)


async def steps(start: Callable[[], asyncio.Task[None]], most: int = 400) -> int:
    """Start the task again and again and cancel it one turn of the loop later each time, until it is through before."""
    for count in range(most):
        task = start()
        for _ in range(count):
            await asyncio.sleep(0)
        if task.done():
            task.result()
            return count
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    raise AssertionError(f"not through after {most} turns of the loop")


@pytest.mark.parametrize("path", ["/ok", "/to?/ok", "/gzip", "/events"])
async def test_at_every_turn_of_the_loop(narrow: Engine, server: Server, path: str) -> None:
    before = asyncio.all_tasks()

    async def whole() -> None:
        response = await narrow.send(get(server.url(path), stream=path == "/events", max_redirects=1))
        try:
            if response.chunks is not None:
                await anext(aiter(response.chunks))
        finally:
            await response.aclose()

    reached = await steps(lambda: asyncio.ensure_future(whole()))
    assert reached > 5
    assert (await narrow.send(get(server.url("/ok"), 2))).status == 200
    # The server's own tasks end a turn or two after its answer.
    await until(lambda: server.open == 0)
    ours = {task for task in asyncio.all_tasks() - before if "serving" not in repr(task)}
    assert ours == set()


async def test_a_cancellation_while_a_deadline_is_tidied_up_after_is_not_lost(narrow: Engine, server: Server) -> None:
    """The one that is late already is cancelled too: whoever cancelled must not find it going on."""
    for turns in range(100):
        clock_ns = time.monotonic_ns()
        task = asyncio.ensure_future(narrow.send(Request("GET", server.url("/silent"), deadline_ns=clock_ns + 20_000_000)))
        while time.monotonic_ns() < clock_ns + 20_000_000:
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            assert isinstance(task.exception(), DeadlineExceeded)
            break
    else:
        raise AssertionError("never through by itself")
    assert (await narrow.send(get(server.url("/ok"), 2))).status == 200


async def test_descriptors_are_given_back(make: Make, server: Server) -> None:
    warm = make()
    await warm.send(get(server.url("/ok")))
    await warm.aclose()
    before = len(os.listdir("/proc/self/fd"))
    engine = make()
    for path in ("/ok", "/silent", "/dripping", "/held"):
        tasks = [asyncio.ensure_future(engine.send(get(server.url(path), 30, stream=path == "/held"))) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        for one in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(one, BaseException):
                await one.aclose()
    await engine.aclose()
    await until(lambda: server.open == 0)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_an_engine_that_is_closed_leaves_nobody_waiting(engine: Engine, server: Server) -> None:
    """Without a deadline of their own they would wait for ever."""
    waiting = [asyncio.ensure_future(engine.send(Request("GET", server.url("/silent")))) for _ in range(3)]
    stream = await engine.send(get(server.url("/held"), stream=True))
    reading = asyncio.ensure_future(read(stream))
    await until(lambda: len(server.requests) == 4)
    await engine.aclose()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*waiting, reading, return_exceptions=True)
    assert all(isinstance(one, TransportError) for one in results), results
    await stream.aclose()
    await until(lambda: server.open == 0)


async def test_what_is_late_already_does_not_go_out(engine: Engine, server: Server) -> None:
    for _ in range(3):
        await engine.send(get(server.url("/ok")))
        error = await failure(engine, Request("POST", server.url("/ok"), body=b"{}", deadline_ns=time.monotonic_ns() - 1))
        assert isinstance(error, DeadlineExceeded)
        assert error.phase is None
    assert [request[:4] for request in server.requests] == [b"GET "] * 3


async def test_waiting_for_a_place_is_the_queue(narrow: Engine, server: Server) -> None:
    first = asyncio.ensure_future(narrow.send(get(server.url("/silent"), 30)))
    await until(lambda: len(server.requests) == 1)
    error = await failure(narrow, get(server.url("/ok"), 0.1))
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "queue"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_handshake_that_hangs_is_given_up_in_its_phase(stream: bool) -> None:
    """libcurl tells that it was connected only of an attempt that it gave up itself."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    engine = CurlTransport()
    try:
        deadline_ns = time.monotonic_ns() + 150_000_000
        with pytest.raises(DeadlineExceeded) as caught:
            await engine.send(Request("GET", f"https://127.0.0.1:{port}/", deadline_ns=deadline_ns, stream=stream))
        assert caught.value.phase == "tls"
    finally:
        await engine.aclose()
        listening.close()
        await listening.wait_closed()


async def test_the_wait_for_a_place_is_no_part_of_an_attempt_that_failed() -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.close()

    listening = await asyncio.start_server(closing, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    records: list[RequestRecord] = []
    engine = CurlTransport(max_concurrency=1)
    recorded = Recording(engine, observer=records.append, clock=SYSTEM_CLOCK)
    try:
        waiting = [asyncio.ensure_future(recorded.send(get(f"http://127.0.0.1:{port}/"))) for _ in range(3)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        await engine.aclose()
        listening.close()
        await listening.wait_closed()
    assert all(isinstance(one, TransportError) for one in outcomes)
    queued = [record.phases.queue_ns or 0 for record in records]
    assert queued[0] < 50_000_000 < queued[1] < queued[2]
    assert all(90_000_000 < record.elapsed_ns < queued[2] for record in records)
