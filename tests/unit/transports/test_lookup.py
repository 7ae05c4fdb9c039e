"""Look-ups: one of a name at a time, a stated number of names, and nobody waits for one that hangs."""

from __future__ import annotations

import _thread
import asyncio
import socket
import threading
from typing import Any

import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.errors import DeadlineExceeded, ResolveError, TransportError
from probekit.transports.dial import Call, SocketDialer
from probekit.transports.lookup import GivenUp, Lookups
from tests.contract.transports.attempts import until


class Resolver:
    """In place of the system's: names that begin with "hangs" are answered when :attr:`answer` is set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.answer, self.asked = threading.Event(), list[str]()
        self._real = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, family: int = 0, *args: Any, **more: Any) -> Any:
        if "." not in str(host) or str(host)[0].isdigit():
            return self._real(host, port, family, *args, **more)
        self.asked.append(host)
        if host.startswith("hangs"):
            self.answer.wait(30)
        if host.startswith("nobody"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host.startswith("both"):
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            ]
        return self._real("127.0.0.1", port, family, *args, **more)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Resolver(monkeypatch)
    yield made
    made.answer.set()


async def test_a_place_has_the_port_that_was_asked_for(resolver: Resolver) -> None:
    found = await Lookups().found("both.example", 443)
    assert found == [(socket.AF_INET6, ("::1", 443, 0, 0)), (socket.AF_INET, ("127.0.0.1", 443))]
    assert await Lookups().found("::1", 443) == [(socket.AF_INET6, ("::1", 443, 0, 0))]


async def test_ports_share_a_look_up_and_families_do_not(resolver: Resolver) -> None:
    lookups = Lookups()
    waiting = [
        asyncio.ensure_future(lookups.addresses("hangs.example", port, family))
        for port in (80, 443)
        for family in ("ipv4", None)
    ]
    await until(lambda: len(resolver.asked) == 2)
    resolver.answer.set()
    assert [looked.places[0][1] for looked in await asyncio.gather(*waiting)] == [
        ("127.0.0.1", 80), ("127.0.0.1", 80), ("127.0.0.1", 443), ("127.0.0.1", 443),
    ]  # fmt: skip
    assert len(resolver.asked) == 2


async def test_each_waiter_has_an_error_of_its_own(resolver: Resolver) -> None:
    lookups = Lookups()
    errors = await asyncio.gather(*(lookups.addresses("nobody.example", 80, None) for _ in range(2)), return_exceptions=True)
    assert [type(one) for one in errors] == [ResolveError] * 2
    assert errors[0] is not errors[1]
    assert resolver.asked == ["nobody.example"]


async def test_as_many_names_as_there_are_places_may_hang(resolver: Resolver) -> None:
    lookups = Lookups(most=3)
    began: list[str] = []

    def ask(host: str) -> asyncio.Future[Any]:
        return asyncio.ensure_future(lookups.addresses(host, 80, None, lambda: began.append(host)))

    hanging = [ask(f"hangs{number}.example") for number in range(2) for _ in range(5)]
    await until(lambda: len(resolver.asked) == 2)
    assert await ask("healthy.example"), "ten that ask take two places"
    hanging += [ask("hangs2.example")]
    await until(lambda: len(resolver.asked) == 4)
    before = len(began)
    waiting = [ask("healthy.example") for _ in range(2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(began) == before, "there was no place, and its time is no time of the resolver's"
    resolver.answer.set()
    await asyncio.gather(*hanging, *waiting)
    assert began[-2:] == ["healthy.example"] * 2
    await lookups.addresses("healthy.example", 80, None)


async def test_waiting_for_a_place_is_the_queue(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    dialer = SocketDialer()
    dialer._lookups = Lookups(most=1)
    hanging = asyncio.ensure_future(dialer.dial(Call("hangs.example", 9)))
    await until(lambda: len(resolver.asked) == 1)
    due_ns = SYSTEM_CLOCK.monotonic_ns() + 50_000_000
    with pytest.raises(DeadlineExceeded) as caught:
        await dialer.dial(Call("other.example", 9, deadline_ns=due_ns))
    assert caught.value.phase == "queue"
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_one_that_is_given_up_is_asked_anew(resolver: Resolver) -> None:
    lookups = Lookups()
    waiting = asyncio.ensure_future(lookups.addresses("hangs.example", 80, None))
    await until(lambda: len(resolver.asked) == 1)
    lookups.give_up()
    with pytest.raises(GivenUp):
        await waiting
    again = asyncio.ensure_future(lookups.addresses("hangs.example", 80, None))
    await until(lambda: len(resolver.asked) == 2)
    resolver.answer.set()
    assert (await again).places[0][1] == ("127.0.0.1", 80)


def test_what_a_loop_left_behind_is_asked_anew(resolver: Resolver) -> None:
    lookups = Lookups()

    async def leave() -> None:
        waiting = asyncio.ensure_future(lookups.addresses("hangs.example", 80, None))
        await until(lambda: len(resolver.asked) == 1)
        waiting.cancel()

    async def again() -> list[Any]:
        resolver.answer.set()
        return await lookups.found("hangs.example", 80)

    asyncio.run(leave())
    assert asyncio.run(again())[0][1] == ("127.0.0.1", 80)
    assert len(resolver.asked) == 2


async def test_no_thread_is_this_machines_fault(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups(most=1)
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", none)
        with pytest.raises(TransportError, match="cannot be looked up: can't start new thread") as caught:
            await lookups.addresses("some.example", 80, None)
    assert type(caught.value) is TransportError
    assert await lookups.addresses("some.example", 80, None), "it took no place"
