"""Hosts by name: looked up by us, for either engine, and told of as the engine declares."""

from __future__ import annotations

import _thread
import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.errors import ConnectError, DeadlineExceeded, ResolveError, TransportError
from probekit.model import RequestRecord
from probekit.transports.base import Engine
from probekit.transports.curl import CurlTransport
from probekit.transports.recording import Recording
from tests.contract.transports.attempts import S, failure, get, until
from tests.contract.transports.server import Server

ADDRESSES = {
    "one.example": ["127.0.0.1"],
    "second.example": ["127.0.0.9", "127.0.0.1"],
    "both.example": ["::1", "127.0.0.1"],
    "six.example": ["::1"],
    "slow.example": ["127.0.0.1"],
}
SLOW_S = 0.1


class Names:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()


@pytest.fixture
async def curl_engine() -> AsyncIterator[CurlTransport]:
    made = CurlTransport()
    yield made
    await made.aclose()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """A resolver that knows a few names. What begins with "hangs" is answered at the end of the test, or never."""
    told, real = Names(), socket.getaddrinfo

    def look_up(host: Any, port: Any, family: int = 0, *args: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(".example"):
            return real(host, port, family, *args, **more)
        told.asked.append(name)
        if name.startswith("hangs"):
            told.answer.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if name == "slow.example":
            time.sleep(SLOW_S)
        found = [
            (kind, socket.SOCK_STREAM, 6, "", (address, port or 0) if kind == socket.AF_INET else (address, port or 0, 0, 0))
            for address in ADDRESSES.get(name, ())
            if (kind := socket.AF_INET6 if ":" in address else socket.AF_INET) == family or not family
        ]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield told
    told.answer.set()


def url(server: Server, host: str) -> str:
    return f"http://{host}:{server.port}/ok"


async def test_a_name_is_asked_for_once_and_kept_for_nobody(engine: Engine, server: Server, names: Names) -> None:
    response = await engine.send(get(url(server, "One.example")))
    assert (response.body, response.peer_address) == (b"hello", "127.0.0.1")
    assert f"host: one.example:{server.port}".encode() in server.requests[0].lower()
    assert len(names.asked) == 1
    if engine.capabilities.fresh_connections:
        await engine.send(get(url(server, "one.example")))
        assert len(names.asked) == 2, "each attempt is one whole attempt"


async def test_an_address_is_not_looked_up(engine: Engine, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asked for a name")

    monkeypatch.setattr(_thread, "start_new_thread", never)
    assert (await engine.send(get(server.url("/ok")))).status == 200


@pytest.mark.parametrize("host", ["second.example", "both.example"])
async def test_the_next_address_where_the_first_refuses(engine: Engine, server: Server, names: Names, host: str) -> None:
    response = await engine.send(get(url(server, host)))
    assert response.peer_address == "127.0.0.1"


async def test_a_name_that_nobody_knows(engine: Engine, names: Names) -> None:
    error = await failure(engine, get("http://nobody.example/?api_key=c4nary0123456789"))
    assert isinstance(error, ResolveError)
    assert "Name or service not known" in str(error)
    assert "c4nary" not in str(error)
    assert error.elapsed_ns is not None


async def test_more_names_that_hang_than_there_are_threads_anywhere_else(engine: Engine, server: Server, names: Names) -> None:
    hanging = [asyncio.ensure_future(failure(engine, get(f"http://hangs{number}.example/", 1))) for number in range(70)]
    await until(lambda: len(names.asked) == 70)
    assert (await engine.send(get(url(server, "one.example"), 0.9))).status == 200
    phase = "resolve" if "resolve" in engine.capabilities.phases else "connect"
    for error in await asyncio.gather(*hanging):
        assert isinstance(error, DeadlineExceeded)
        assert error.phase == phase
        assert error.elapsed_ns is not None
        assert 0.5 * S < error.elapsed_ns < 3 * S
    again = asyncio.ensure_future(failure(engine, get("http://hangs1.example/", 0.1)))
    assert isinstance(await again, DeadlineExceeded)
    assert len(names.asked) == 71, "a name that hangs is asked for once, until it is answered"


async def test_the_look_up_is_a_phase_and_part_of_the_time(curl_engine: CurlTransport, server: Server, names: Names) -> None:
    records: list[RequestRecord] = []
    began = SYSTEM_CLOCK.now()
    recorded = Recording(curl_engine, observer=records.append, clock=SYSTEM_CLOCK)
    response = await recorded.send(get(url(server, "slow.example")))
    phases = response.phases
    assert phases.resolve_ns is not None
    assert SLOW_S * S <= phases.resolve_ns < 3 * S
    assert phases.queue_ns is not None
    assert phases.queue_ns < SLOW_S * S / 2
    parts = (phases.resolve_ns, phases.connect_ns, phases.first_byte_ns, phases.transfer_ns)
    assert sum(part or 0 for part in parts) <= response.elapsed_ns < sum(part or 0 for part in parts) + S // 2
    assert response.started_at.since(began) < SLOW_S * S / 2, "it began with the look-up"
    assert records[0].phases == phases
    stream = await curl_engine.send(get(url(server, "slow.example"), stream=True))
    await stream.aclose()
    assert (stream.phases.resolve_ns or 0) >= SLOW_S * S
    assert stream.elapsed_ns >= SLOW_S * S


async def test_a_name_that_hangs_takes_no_place(server: Server, names: Names) -> None:
    engine = CurlTransport(max_concurrency=1)
    hanging = asyncio.ensure_future(engine.send(get("http://hangs.example/", 30)))
    await until(lambda: len(names.asked) == 1)
    assert (await engine.send(get(server.url("/ok"), 2))).status == 200
    assert (await engine.send(get(url(server, "one.example"), 2))).status == 200
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await engine.aclose()


async def test_waiting_after_the_look_up_is_the_queue(server: Server, names: Names) -> None:
    engine = CurlTransport(max_concurrency=1)
    first = asyncio.ensure_future(engine.send(get(server.url("/silent"), 30)))
    await until(lambda: len(server.requests) == 1)
    second = asyncio.ensure_future(engine.send(get(url(server, "one.example"))))
    error = await failure(engine, get(url(server, "slow.example"), 0.2))
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "queue"
    first.cancel()
    response = await second
    assert response.phases.queue_ns is not None
    assert response.phases.queue_ns > 0.1 * S > (response.phases.resolve_ns or 0)
    assert response.elapsed_ns < 0.1 * S, "the wait is no part of it"
    await engine.aclose()


async def test_families_of_one_name_at_once(curl_engine: CurlTransport, server: Server, names: Names) -> None:
    """What libcurl remembers of a name it shares between its handles: the other family's addresses are not for this one."""

    async def over(family: Any) -> str:
        try:
            return (await curl_engine.send(get(url(server, "both.example"), family=family))).peer_address or ""
        except TransportError as error:
            return error.error_type

    families = ["ipv4", "ipv6"] * 10
    assert await asyncio.gather(*map(over, families)) == ["127.0.0.1", "connect"] * 10
    assert sorted(set(names.asked)) == ["both.example"]
    error = await failure(curl_engine, get(url(server, "six.example"), family="ipv4"))
    assert isinstance(error, ResolveError)


async def test_an_engine_that_is_closed_lets_nobody_wait_for_a_name(names: Names) -> None:
    engine = CurlTransport()
    waiting = asyncio.ensure_future(failure(engine, get("http://hangs.example/", 30)))
    await until(lambda: len(names.asked) == 1)
    await engine.aclose()
    error = await waiting
    assert isinstance(error, ConnectError)
    assert "closed" in error.message
