"""The proxy on a socket: what breaks, breaks on the wire, and nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.dev.rpc_proxy import __main__ as command
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.faults import AnyRpcFault
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import Served, serve
from probekit.errors import ConfigError
from probekit.testing import FakeClock
from probekit.transports.base import Engine
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from probekit.transports.rpc import PoolPolicy
from probekit.transports.websocket import WebsocketsConnector
from probekit.units import NS_PER_S
from tests.unit.dev.evm_chain import CHAIN_ID, FakeChain

OWNER = "0x" + "52" * 20


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[RpcProxy, Served, FakeChain]]:
    chain = FakeChain(FakeClock())
    proxy = RpcProxy("http://node.test", transport=chain.transport, ws_url="ws://node.test", connector=chain)
    before = asyncio.all_tasks()
    async with serve(proxy) as served:
        yield proxy, served, chain
    assert asyncio.all_tasks() == before
    assert proxy.sockets == 0


@pytest.mark.parametrize("engine", [HttpxTransport, CurlTransport])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.HangUp(), errors.ConnectError),
        (faults.Unanswered(), errors.ConnectError),
        (faults.Truncated(), errors.ProtocolError),
        (faults.Drip(every_ms=5), errors.DeadlineExceeded),
        (faults.Hang(), errors.DeadlineExceeded),
        (faults.Garbage(kind="empty"), errors.DecodeError),
        (faults.RateLimited(retry_after_s=9), errors.RateLimited),
    ],
    ids=lambda value: type(value).__name__.lower() if isinstance(value, faults.RpcFault) else "",
)
async def test_a_fault_on_the_wire(fault: AnyRpcFault, kind: type[errors.ProbekitError], engine: type[Engine]) -> None:
    transport = engine()
    policy = PoolPolicy(timeout=timedelta(milliseconds=300), rounds=1)
    async with serving() as (proxy, served, _):
        async with EvmClient(served.http, chain_id=CHAIN_ID, transport=transport, policy=policy) as client:
            assert await client.balance(OWNER) == 100
            sent = proxy.http_requests
            with proxy.inject(fault).during(), pytest.raises(kind):
                await client.balance(OWNER)
            assert proxy.http_requests == sent + 1
            assert await client.balance(OWNER) == 100
        await transport.aclose()


async def test_sockets_and_what_is_open_when_it_ends() -> None:
    async with serving() as (proxy, served, chain):
        opened = await WebsocketsConnector().connect(served.ws, timeout_ns=5 * NS_PER_S, max_message_bytes=1 << 20)
        await opened.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}')
        assert b"0xsub" in await opened.receive()
        chain.mine()
        assert b"eth_subscription" in await opened.receive()
        await opened.send("nonsense")
        assert b"parse error" in await opened.receive()
        proxy.inject(faults.ClosedSocket(code=1011))
        with pytest.raises(errors.StreamClosed, match="1011"):
            await opened.receive()
        await opened.aclose()
        proxy.clear()
        proxy.inject(faults.RefusedSocket())
        with pytest.raises(errors.NotEntitled):
            await WebsocketsConnector().connect(served.ws, timeout_ns=5 * NS_PER_S, max_message_bytes=1 << 20)
        proxy.clear()
        left = await WebsocketsConnector().connect(served.ws, timeout_ns=5 * NS_PER_S, max_message_bytes=1 << 20)
    with pytest.raises(errors.StreamClosed):
        await left.receive()
    await left.aclose()


async def test_a_taken_port_and_a_missing_server_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (proxy, served, _):
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{served.port}"):
            async with serve(proxy, port=served.port):
                pass
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match="the proxy server needs uvicorn and websockets"):
        async with serve(proxy):
            pass


def test_the_command_says_why_it_cannot_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["localhost:8545"]) == 3
    assert "starts with http://" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert command.main(["http://127.0.0.1:1", "--port", str(taken.getsockname()[1])]) == 3
    assert "cannot listen" in capsys.readouterr().err
