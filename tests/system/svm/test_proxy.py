"""The misbehaving proxy before the Solana node: gateways and sockets fail in the same ways there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from solders.keypair import Keypair

from probekit import errors
from probekit.clients.solana import SolanaClient
from probekit.clients.solana_stream import Seen, SolanaStreams
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy import server as proxies
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model.pubkey import Pubkey
from probekit.transports.httpx import HttpxTransport
from probekit.transports.rpc import SVM, Endpoint, EndpointPool, EndpointState, PoolPolicy
from probekit.transports.websocket import WebsocketsConnector

pytestmark = [pytest.mark.system, pytest.mark.svm]

SLOT = timedelta(milliseconds=50)


@dataclass
class Rig:
    ledger: Ledger
    bad: RpcProxy
    client: SolanaClient


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Two endpoints over one ledger; the first behind a proxy, and faster."""
    ledger = Ledger(slot_time=SLOT)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(ticking(ledger, every=SLOT))
        node = await stack.enter_async_context(serve(Node(ledger)))
        engine = HttpxTransport()
        stack.push_async_callback(engine.aclose)
        proxy = RpcProxy(node.http, transport=engine, ws_url=node.ws, connector=WebsocketsConnector())
        served = await stack.enter_async_context(proxies.serve(proxy))
        endpoints = [
            Endpoint(served.http, name="bad", ws_url=served.ws),
            Endpoint(node.http, name="good", ws_url=node.ws),
        ]
        async with SolanaClient(endpoints[1]) as any_chain:
            genesis_hash = await any_chain.genesis_hash()
        policy = PoolPolicy(timeout=timedelta(seconds=3), rounds=1, refresh=timedelta(hours=1), hedge=False)
        client = await stack.enter_async_context(SolanaClient(endpoints, genesis_hash=genesis_hash, policy=policy))
        yield Rig(ledger, proxy, client)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (faults.RateLimited(retry_after_s=60), EndpointState.LIMITED),
        (faults.LimitInBody(shape="quicknode_bare"), EndpointState.LIMITED),
        (faults.ServerError(), EndpointState.ALIVE),
        (faults.Hang(), EndpointState.ALIVE),
        (faults.Garbage(), EndpointState.ALIVE),
        (faults.HangUp(), EndpointState.ALIVE),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_read_is_answered_by_the_other_endpoint(rig: Rig, fault: faults.RpcFault, state: EndpointState) -> None:
    rig.bad.inject(fault)
    started = time.monotonic()
    assert await rig.client.slot() > 0
    assert time.monotonic() - started <= 3
    # Which one is asked first is the faster one's: until the bad one was, nothing is known of it.
    async with asyncio.timeout(20):
        while not rig.bad.requests["getSlot"]:
            await rig.client.slot()
    assert rig.client.pool.standings()["bad"].state is state


async def test_a_send_leaves_once(rig: Rig) -> None:
    rig.bad.inject(faults.Unanswered(methods=("sendTransaction",)))
    pool = rig.client.pool
    async with EndpointPool(pool.endpoints[:1], family=SVM, identity=pool.identity) as alone:
        with pytest.raises(errors.ConnectError):
            await alone.send("sendTransaction", ["AA=="])
    assert (rig.bad.requests["sendTransaction"], rig.bad.forwarded["sendTransaction"]) == (1, 1)


@pytest.mark.parametrize("fault", [faults.SilentSocket(), faults.ClosedSocket()], ids=["silent", "closed"])
async def test_an_account_is_followed_over_a_socket_at_fault(rig: Rig, fault: faults.RpcFault) -> None:
    key, owner = Pubkey(bytes(Keypair().pubkey())), Pubkey(bytes(Keypair().pubkey()))
    rig.ledger.set_account(key, b"first", owner=owner)
    rig.ledger.advance_slot(40)
    items = SolanaStreams(rig.client, silence=timedelta(seconds=1)).account(key)
    seen: list[Any] = []

    async def collect() -> None:
        async for item in items:
            if isinstance(item, Seen):
                seen.append(item.value.data)

    async def until(data: bytes) -> None:
        async with asyncio.timeout(20):
            while data not in seen:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(collect())
    try:
        await until(b"first")
        assert rig.bad.sockets == 1
        rig.bad.inject(fault)
        rig.ledger.set_account(key, b"second", owner=owner)
        await until(b"second")
        assert rig.bad.sockets == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()


async def test_an_account_subscription_that_alone_is_silent_is_found_by_looking_again(rig: Rig) -> None:
    key, owner = Pubkey(bytes(Keypair().pubkey())), Pubkey(bytes(Keypair().pubkey()))
    rig.ledger.set_account(key, b"first", owner=owner)
    rig.ledger.advance_slot(40)
    streams = SolanaStreams(rig.client, silence=timedelta(seconds=5), recheck=timedelta(milliseconds=500))
    items = streams.account(key)
    seen: list[Any] = []

    async def collect() -> None:
        async for item in items:
            if isinstance(item, Seen):
                seen.append((item.value.data, item.endpoint))

    async def until(told: tuple[bytes, str]) -> None:
        async with asyncio.timeout(20):
            while told not in seen:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(collect())
    try:
        await until((b"first", "bad"))
        # What the connection itself looks at may have changed before it stood, and says nothing of the subscription.
        await asyncio.sleep(1)
        rig.bad.inject(faults.SilentSocket(methods=("accountNotification",)))
        assert rig.bad.sockets == 1
        rig.ledger.set_account(key, b"second", owner=owner)
        await until((b"second", "bad"))
        await until((b"second", "good"))
        assert (streams.counters.connections, streams.counters.silences) == (2, 1)
        rig.ledger.set_account(key, b"third", owner=owner)
        await until((b"third", "good"))
        # A subscription that lives is kept, however often it is looked at.
        await asyncio.sleep(2)
        assert (streams.counters.connections, streams.counters.silences) == (2, 1)
        assert rig.bad.sockets == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()


async def test_a_logs_subscription_that_alone_is_silent_is_found_and_its_transactions_fetched(rig: Rig) -> None:
    wallet = Keypair()
    rig.ledger.airdrop(wallet.pubkey(), 1_000_000_000)
    rig.ledger.advance_slot(40)
    streams = SolanaStreams(rig.client, silence=timedelta(seconds=5), recheck=timedelta(milliseconds=500))
    items = streams.logs(Pubkey(bytes(wallet.pubkey())))
    seen: dict[str, bool] = {}

    async def collect() -> None:
        async for item in items:
            if isinstance(item, Seen):
                seen[item.value.signature] = item.backfilled

    async def until(signature: str, backfilled: bool) -> None:
        async with asyncio.timeout(20):
            while seen.get(signature) is not backfilled:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(collect())
    try:
        async with asyncio.timeout(20):
            while not rig.bad.sockets:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        told, _ = rig.ledger.airdrop(wallet.pubkey(), 1)
        await until(str(told), False)
        rig.bad.inject(faults.SilentSocket(methods=("logsNotification",)))
        missed, _ = rig.ledger.airdrop(wallet.pubkey(), 2)
        await until(str(missed), True)
        assert (streams.counters.connections, streams.counters.silences) == (2, 1)
        told, _ = rig.ledger.airdrop(wallet.pubkey(), 3)
        await until(str(told), False)
        assert len(seen) == 3
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()
