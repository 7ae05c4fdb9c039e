"""A thousand contract reads at one block, to typed values: calls that a provider bills, and the client's CPU for each.

The node is a process of its own that answers from memory, and counts the calls. The peer reads the same thousand prices through
AsyncWeb3 and its own provider: in one JSON-RPC batch, as cheaply as it can, and call by call, as contracts are mostly read.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from benchmarks import json_node
from benchmarks.row import Row
from probekit.clients.evm import EvmClient
from probekit.codecs.evm import multicall, pyth
from probekit.model import FeedId
from probekit.model.evm import Address
from probekit.model.pyth_evm import OnChainPrice

READS = 1_000
ONE_BY_ONE = 50
CONTRACT = Address("0x4305FB66699C3B2702D4d05CF36551390A4c69C6")
FEEDS = [FeedId(number.to_bytes(32, "big")) for number in range(1, READS + 1)]
STORED = OnChainPrice(6_500_000_000_000, 3_000_000_000, -8, 1_700_000_000)
ABI: list[Any] = [
    {
        "type": "function",
        "name": "getPriceUnsafe",
        "stateMutability": "view",
        "inputs": [{"name": "id", "type": "bytes32"}],
        "outputs": [
            {
                "name": "price",
                "type": "tuple",
                "components": [
                    {"name": "price", "type": "int64"},
                    {"name": "conf", "type": "uint64"},
                    {"name": "expo", "type": "int32"},
                    {"name": "publishTime", "type": "uint256"},
                ],
            }
        ],
    }
]


@lru_cache(maxsize=1)
def node() -> str:
    """URL of the node. ``calls`` answers how many calls there were since it was asked last."""
    price = pyth.GET_PRICE_UNSAFE.answer(pyth.raw_price(STORED))
    alone = "0x" + price.hex()
    together = "0x" + multicall.AGGREGATE3.answer([(True, price)] * multicall.MAX_CALLS).hex()
    number = "0x" + "ab" * 32
    block = {"number": "0x64", "hash": number, "parentHash": number, "timestamp": "0x1", "gasLimit": "0x1", "gasUsed": "0x0"}
    seen = [0]

    def answer(item: dict[str, Any]) -> str:
        method = item["method"]
        seen[0] += 1
        result: Any
        if method == "eth_call":
            result = together if item["params"][0]["to"] == multicall.ADDRESS else alone
        elif method == "calls":
            result, seen[0] = seen[0] - 1, 0
        else:
            result = {"eth_chainId": "0x1", "eth_getBlockByNumber": block}[method]
        return json.dumps({"jsonrpc": "2.0", "id": item["id"], "result": result})

    return json_node.start(answer)


def calls() -> int:
    """Calls that the node got since the last look."""
    asked = urllib.request.Request(node(), data=b'{"id":1,"method":"calls"}', method="POST")
    with urllib.request.urlopen(asked, timeout=10) as response:
        return int(json.load(response)["result"])


async def _measured(work: Callable[[], Awaitable[None]], reads: int) -> tuple[float, int]:
    """CPU microseconds of this process for each read, and the calls that it took; once before, to warm up."""
    await work()
    calls()
    began = time.process_time()
    await work()
    return (time.process_time() - began) / reads * 1e6, calls()


def ours() -> tuple[float, int]:
    """A thousand prices at one block."""

    async def run() -> tuple[float, int]:
        async with EvmClient(node(), chain_id=1) as client:
            rows = [(str(CONTRACT), pyth.get_price_unsafe(feed)) for feed in FEEDS]

            async def once() -> None:
                reads = await client.multicall(rows)
                assert reads.route == "multicall3"
                assert reads.values() == (STORED,) * READS

            return await _measured(once, READS)

    spent, made = asyncio.run(run())
    assert made <= 3, f"{made} calls for {READS} reads"
    return spent, made


def by_web3(*, batch: bool) -> tuple[float, int]:
    """The same prices; one by one a part of them."""
    from web3 import AsyncHTTPProvider, AsyncWeb3

    async def run() -> tuple[float, int]:
        w3 = AsyncWeb3(AsyncHTTPProvider(node()))
        contract = w3.eth.contract(address=w3.to_checksum_address(CONTRACT), abi=ABI)
        read = contract.functions.getPriceUnsafe

        async def together() -> None:
            async with w3.batch_requests() as requests:
                for feed in FEEDS:
                    requests.add(read(bytes(feed)))
                found: list[Any] = await requests.async_execute()
            assert [tuple(one) for one in found] == [pyth.raw_price(STORED)] * READS

        async def alone() -> None:
            for feed in FEEDS[:ONE_BY_ONE]:
                assert tuple(await read(bytes(feed)).call()) == pyth.raw_price(STORED)

        try:
            return await (_measured(together, READS) if batch else _measured(alone, ONE_BY_ONE))
        finally:
            await w3.provider.disconnect()

    return asyncio.run(run())


def rows() -> list[Row]:
    """Calls and CPU of a thousand reads."""
    return [
        {
            "name": "calls for 1,000 contract reads, multicall",
            "ours": lambda: ours()[1],
            "peer": lambda: by_web3(batch=True)[1],
            "peer_name": "AsyncWeb3 batch_requests",
            "target": READS / 3,
            "unit": "calls",
            "measured": True,
            "runs": 1,
        },
        {
            "name": "contract read by multicall, 1,000 at a time",
            "ours": lambda: ours()[0],
            "peer": lambda: by_web3(batch=True)[0],
            "peer_name": "AsyncWeb3 batch_requests",
            "target": 10,
            "unit": "us CPU",
            "measured": True,
            "runs": 5,
        },
        {
            "name": "contract read by multicall, 1,000 at a time",
            "ours": lambda: ours()[0],
            "peer": lambda: by_web3(batch=False)[0],
            "peer_name": "AsyncWeb3 contract.call()",
            "target": 50,
            "unit": "us CPU",
            "measured": True,
            "runs": 5,
        },
    ]
