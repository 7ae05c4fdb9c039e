"""What client and pool cost: a contract read through them against the bare call on the same engine, and against web3's own.

The node is a process of its own that answers from memory; what is measured is the client's CPU time per call. What the layers
themselves cost is stated apart, on an engine that answers without a network: "ours" minus "peer" of those rows is it, in us.

A read on httpx, the clients' engine, is at most 1.5 times a bare ``post`` on httpx itself, and most of it is httpx: about
0.8 ms of CPU where pool, client and decoding take 60 us and our engine 100 to 150 us. So no layer of ours can make it five
times cheaper than web3's three requests, each on aiohttp; it is two to three times. On libcurl it is eight. That engine is not
the clients' default all the same, also where pycurl is installed: it is made to measure, with a fresh connection for every
request, which behind TLS is a handshake and two round trips more for each read, and it belongs to one event loop. Where that
does not matter, ``EvmClient(..., transport=CurlTransport())`` has it.

300 calls are a turn: with half as many, one preemption of this process was a third of what a turn measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from benchmarks import json_node
from benchmarks.row import Row
from probekit.clients.evm import EvmClient
from probekit.clock import SYSTEM_CLOCK
from probekit.codecs.evm.contract import ContractCall
from probekit.model import Phases
from probekit.transports.base import Capabilities, Engine, Request, Response
from probekit.transports.rpc import EVM, Call, Endpoint, EndpointPool

CALLS = 300
CONTRACT = "0x4305FB66699C3B2702D4d05CF36551390A4c69C6"
DATA = "0x96834ad3" + "e6" * 32
RESULT = "0x" + "00" * 31 + "07" + "00" * 96
BATCH = 100


def _answer(item: dict[str, Any]) -> str:
    result = {"eth_chainId": "0x1", "eth_blockNumber": "0x64", "eth_syncing": False}.get(item["method"], RESULT)
    return json.dumps({"jsonrpc": "2.0", "id": item["id"], "result": result})


@lru_cache(maxsize=1)
def node() -> str:
    """URL of a node that answers every ``eth_call`` with the same words."""
    return json_node.start(_answer)


def cpu_us(work: Callable[[], Awaitable[Any]], calls: int) -> float:
    """CPU microseconds of this process for each of ``calls`` calls, after a tenth of them to warm up."""

    async def run() -> float:
        for _ in range(calls // 10):
            await work()
        began = time.process_time()
        for _ in range(calls):
            await work()
        return (time.process_time() - began) / calls * 1e6

    return asyncio.run(run())


def engines() -> Iterator[tuple[str, Callable[[], Engine]]]:
    """Both engines, as factories: each is used within one event loop."""
    from probekit.transports.curl import CurlTransport
    from probekit.transports.httpx import HttpxTransport

    yield "httpx", lambda: HttpxTransport(clock=SYSTEM_CLOCK)
    yield "libcurl", lambda: CurlTransport(clock=SYSTEM_CLOCK)


class Memory:
    """An engine without a network: the node's answers, at once."""

    capabilities = Capabilities("memory", frozenset(), frozenset(("1.1",)), fresh_connections=False, redirects=False)

    async def send(self, request: Request) -> Response:
        now = SYSTEM_CLOCK.now()
        asked = json.loads(request.body or b"")
        text = f"[{','.join(map(_answer, asked))}]" if isinstance(asked, list) else _answer(asked)
        headers = (("content-type", "application/json"),)
        return Response(200, headers, text.encode(), Phases(), 0, now, now, "1.1", url=request.shown_url)

    async def aclose(self) -> None:
        return None


def pooled(make: Callable[[], Engine], endpoints: int) -> float:
    """One contract read at a time through a pool."""
    held: list[EndpointPool] = []

    async def one() -> None:
        if not held:
            members = [Endpoint(node(), name=f"node {number}") for number in range(endpoints)]
            held.append(EndpointPool(members, family=EVM, identity="1", transport=make()))
        result = await held[0].call("eth_call", [{"to": CONTRACT, "data": DATA}, "latest"])
        assert bytes(result)[1:3] == b"0x"

    return cpu_us(one, CALLS)


def read(make: Callable[[], Engine]) -> float:
    """One contract read at a time by the client: the pool, the call's data, and its answer as a value."""
    held: list[EvmClient] = []
    call: ContractCall[bytes] = ContractCall("getPriceUnsafe", bytes.fromhex(DATA[2:]), bytes)

    async def one() -> None:
        if not held:
            held.append(EvmClient(Endpoint(node(), name="node"), chain_id=1, transport=make()))
        answer = await held[0].read(CONTRACT, call)
        assert len(answer) == 128

    return cpu_us(one, CALLS)


def bare(make: Callable[[], Engine]) -> float:
    """The same request, encoded and decoded by json, straight on the engine."""
    held: list[Engine] = []
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": CONTRACT, "data": DATA}, "latest"]}

    async def one() -> None:
        if not held:
            held.append(make())
        headers = (("content-type", "application/json"),)
        response = await held[0].send(Request("POST", node(), headers=headers, body=json.dumps(body).encode()))
        assert json.loads(response.body)["result"] == RESULT

    return cpu_us(one, CALLS)


def bare_httpx() -> float:
    """The same request on httpx itself, without our engine."""
    import httpx

    held: list[httpx.AsyncClient] = []
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": CONTRACT, "data": DATA}, "latest"]}

    async def one() -> None:
        if not held:
            held.append(httpx.AsyncClient())
        response = await held[0].post(node(), content=json.dumps(body).encode(), headers={"content-type": "application/json"})
        assert json.loads(response.content)["result"] == RESULT

    return cpu_us(one, CALLS)


def by_web3() -> float:
    """AsyncWeb3's own provider and ``call()``."""
    from web3 import AsyncHTTPProvider, AsyncWeb3

    held: list[Any] = []

    async def one() -> None:
        if not held:
            held.append(AsyncWeb3(AsyncHTTPProvider(node())))
        result = await held[0].eth.call({"to": CONTRACT, "data": DATA})
        assert len(result) == 128

    async def run() -> float:
        for _ in range(10):
            await one()
        began = time.process_time()
        for _ in range(CALLS):
            await one()
        spent = (time.process_time() - began) / CALLS * 1e6
        await held[0].provider.disconnect()
        return spent

    return asyncio.run(run())


def batched() -> float:
    """A hundred reads in one request, per read."""
    held: list[EndpointPool] = []
    calls = [Call("eth_call", [{"to": CONTRACT, "data": DATA}, "latest"])] * BATCH

    async def one() -> None:
        if not held:
            held.append(EndpointPool(Endpoint(node(), name="node"), family=EVM, identity="1"))
        assert len(await held[0].batch(calls)) == BATCH

    return cpu_us(one, 10) / BATCH


def rows() -> list[Row]:
    """CPU per contract read."""
    made = dict(engines())
    found: list[Row] = [
        {
            "name": f"{what}, {name}",
            "ours": partial(ours, make),
            "peer": partial(bare, make),
            "peer_name": "a bare JSON-RPC call on the same engine",
            "target": target,
            "unit": "us CPU",
            "measured": True,
            "runs": 15,
        }
        for name, make in made.items()
        for what, ours, target in (
            ("EvmClient.read", read, 1 / 1.5),
            ("contract read through a pool", partial(pooled, endpoints=1), None),
        )
    ]
    found += [
        {
            "name": name,
            "ours": ours,
            "peer": partial(bare, make),
            "peer_name": "a bare JSON-RPC call on the same engine",
            "target": None,
            "unit": "us CPU",
            "measured": True,
            "runs": runs,
        }
        for name, ours, make, runs in (
            ("contract read through a pool of three, httpx", partial(pooled, made["httpx"], 3), made["httpx"], 5),
            ("EvmClient.read, no network", partial(read, Memory), Memory, 15),
            ("contract read through a pool, no network", partial(pooled, Memory, 1), Memory, 15),
            ("contract read through a pool of three, no network", partial(pooled, Memory, 3), Memory, 15),
        )
    ]
    found.append(
        {
            "name": "EvmClient.read, httpx, engine and all",
            "ours": partial(read, made["httpx"]),
            "peer": bare_httpx,
            "peer_name": "a bare JSON-RPC call on httpx itself",
            "target": 1 / 1.5,
            "unit": "us CPU",
            "measured": True,
            "runs": 15,
        }
    )
    found += [
        {
            "name": name,
            "ours": ours,
            "peer": by_web3,
            "peer_name": "AsyncWeb3.eth.call",
            "target": target,
            "unit": "us CPU",
            "measured": True,
            "runs": 7,
        }
        for name, ours, target in (
            ("EvmClient.read, httpx", lambda: read(made["httpx"]), None),
            ("EvmClient.read, libcurl", lambda: read(made["libcurl"]), 5),
            ("contract read in a batch of 100, httpx", batched, None),
        )
    ]
    return found
