"""The first address that takes a connection: one after the other, the next also where one says nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from probekit.transports import reach as reach_module
from probekit.transports.lookup import Lookups, Place
from probekit.transports.reach import first, reach

SIX: list[Place] = [(socket.AF_INET6, (f"::{number}", 1, 0, 0)) for number in (1, 2)]
FOUR: list[Place] = [(socket.AF_INET, (f"127.0.0.{number}", 1)) for number in (1, 2)]


class Peer:
    """Addresses that take a connection, refuse it, or say nothing."""

    def __init__(self, *, refuse: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> None:
        self._refuse, self._silent = refuse, silent
        self.asked: list[str] = []
        self.dropped: list[str] = []
        self.answer = asyncio.Event()

    async def connect(self, place: Place) -> str:
        address = str(place[1][0])
        self.asked.append(address)
        if address in self._refuse:
            raise ConnectionRefusedError(address)
        if address in self._silent:
            await self.answer.wait()
        return address


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach_module, "_NEXT_S", 0.01)


async def test_the_first_that_takes_it_and_no_other_is_asked() -> None:
    peer = Peer()
    assert await first([*SIX, *FOUR], peer.connect, peer.dropped.append) == "::1"
    assert peer.asked == ["::1"]


async def test_one_that_refuses_is_followed_at_once_by_another_family() -> None:
    peer = Peer(refuse=("::1", "127.0.0.1"))
    assert await first([*SIX, *FOUR], peer.connect, peer.dropped.append) == "::2"
    assert peer.asked == ["::1", "127.0.0.1", "::2"]


async def test_one_that_says_nothing_does_not_hold_up_the_next() -> None:
    peer = Peer(silent=("::1",))
    tasks = asyncio.all_tasks()
    assert await first([*SIX, *FOUR], peer.connect, peer.dropped.append) == "127.0.0.1"
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks, "the other is given up"


async def test_what_comes_at_the_same_time_is_dropped() -> None:
    peer = Peer(silent=("::1", "127.0.0.1"))
    racing = asyncio.ensure_future(first([SIX[0], FOUR[0]], peer.connect, peer.dropped.append))
    async with asyncio.timeout(5):
        while len(peer.asked) < 2:
            await asyncio.sleep(0.01)
    peer.answer.set()
    won = await racing
    await asyncio.sleep(0)
    assert {won, *peer.dropped} == {"::1", "127.0.0.1"}


async def test_nobody_takes_it() -> None:
    peer = Peer(refuse=("::1", "127.0.0.1"))
    with pytest.raises(ConnectionRefusedError, match="::1"):
        await first([SIX[0], FOUR[0]], peer.connect, peer.dropped.append)
    with pytest.raises(OSError, match="there is no address"):
        await first([], peer.connect, peer.dropped.append)


async def test_a_defect_is_no_refusal() -> None:
    async def broken(place: Place) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await first([*SIX], broken, print)


async def test_given_up_it_leaves_nothing() -> None:
    peer = Peer(silent=("::1", "::2", "127.0.0.1", "127.0.0.2"))
    tasks = asyncio.all_tasks()
    racing = asyncio.ensure_future(first([*SIX, *FOUR], peer.connect, peer.dropped.append))
    await asyncio.sleep(0.01)
    racing.cancel()
    await asyncio.gather(racing, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert peer.dropped == []


async def test_a_socket_that_is_connected() -> None:
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with await reach(Lookups(), "127.0.0.1", port) as plain:
        assert plain.getpeername() == ("127.0.0.1", port)
        assert plain.getblocking() is False
    listening.close()
    await listening.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await reach(Lookups(), "127.0.0.1", port)
