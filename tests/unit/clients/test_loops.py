"""Clients and event loops: made without one, used under one after the other and under two at once, blocking under one."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from probekit import sync
from probekit.clients.evm import EvmClient
from probekit.clients.hermes import HermesClient
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.testing import ReplyTransport
from tests.contract.clients.rows.evm import CHAIN_ID, Node
from tests.unit.clients.contracts import HEAD

NETWORK = SandboxNetwork(feeds=3)
IDS = [market.feed.id for market in NETWORK.markets]


@pytest.fixture
def hermes() -> Iterator[HermesClient]:
    """Made where no loop runs, as at the top of a module."""
    with serve_in_thread(Sandbox(NETWORK)) as url:
        yield HermesClient(url)
        gc.collect()


async def served(client: HermesClient) -> int:
    return len((await client.latest(IDS)).updates)


async def served_and_closed(client: HermesClient) -> int:
    async with client:
        return await served(client)


def test_one_loop_after_the_other(hermes: HermesClient) -> None:
    assert [asyncio.run(served_and_closed(hermes)) for _ in range(3)] == [3, 3, 3]


# What a loop leaves open when it ends is asyncio's to warn of: nothing can close it any more.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ended_with_its_connections_open_does_not_spoil_the_next(hermes: HermesClient) -> None:
    assert [asyncio.run(served(hermes)) for _ in range(3)] == [3, 3, 3]
    asyncio.run(hermes.aclose())
    gc.collect()


def test_connections_of_a_loop_that_has_stopped_are_closed_under_another(hermes: HermesClient) -> None:
    """Else they stay open until the process ends; asyncio's warning of them is an error here."""
    stopped = asyncio.new_event_loop()
    try:
        assert stopped.run_until_complete(served(hermes)) == 3
        asyncio.run(hermes.aclose())
        assert asyncio.all_tasks(stopped) == set()
    finally:
        stopped.close()
    gc.collect()


def test_what_many_waited_for_under_one_loop_is_waited_for_under_the_next(hermes: HermesClient) -> None:
    async def all_at_once() -> int:
        hermes._table = None
        async with hermes:
            tables = await asyncio.gather(*(hermes.symbols() for _ in range(5)))
        return len({id(table) for table in tables})

    assert [asyncio.run(all_at_once()) for _ in range(3)] == [1, 1, 1]


def test_two_loops_at_once_in_two_threads(hermes: HermesClient) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(served_and_closed(HermesClient(hermes.endpoints)))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [3, 3]


async def test_blocking_under_a_loop_that_runs(hermes: HermesClient) -> None:
    with sync.HermesClient(hermes.endpoints) as blocking:
        assert len(blocking.latest(IDS).updates) == 3


def test_a_pool_goes_on_under_the_next_loop() -> None:
    node = Node()
    client = EvmClient(
        ["http://one.test", "http://two.test"], chain_id=CHAIN_ID, transport=ReplyTransport(node.answer), clock=node.clock
    )
    heads = [asyncio.run(client.block_number()) for _ in range(3)]
    asyncio.run(client.aclose())
    assert heads == [HEAD] * 3


def test_importing_makes_no_loop() -> None:
    """In a process of its own, where nobody else has."""
    code = (
        "import asyncio\n"
        "def refuse(*_): raise AssertionError('a loop was made')\n"
        "asyncio.new_event_loop = asyncio.get_event_loop = refuse\n"
        "import probekit as pk\n"
        "for name in pk.__all__: getattr(pk, name)\n"
        "pk.HermesClient('http://127.0.0.1:1'); pk.EvmClient('http://127.0.0.1:1', chain_id=1)\n"
        "pk.SolanaClient('http://127.0.0.1:1'); pk.WormholeClient('http://127.0.0.1:1'); pk.LazerClient()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
