"""A small EVM chain that answers in process: what stands behind a proxy in unit tests."""

from __future__ import annotations

import json
from typing import Any

from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from tests.unit.codecs.test_evm_rpc import BLOCK, LOG, RECEIPT

CHAIN_ID = 31337
TRANSACTION = "0x" + "7e" * 32


def block_hash(number: int) -> str:
    return f"0x{number:064x}"


class FakeChain:
    """Blocks 0 to ``head``; a transaction in ``lands_in``. Upstream legs for proxies: ``transport`` and ``connector``."""

    def __init__(self, clock: FakeClock, head: int = 100) -> None:
        self.clock = clock
        self.head = head
        self.lands_in = head
        self.seen: list[str] = []
        self.transport = ReplyTransport(self.answer)
        self.sockets: list[NodeSocket] = []

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.head += 1
            for socket in self.sockets:
                socket.tell_head()

    def block(self, number: int) -> Any:
        parent = block_hash(number - 1) if number else "0x" + "00" * 32
        return BLOCK | {"number": hex(number), "hash": block_hash(number), "parentHash": parent}

    def answer(self, request: Request) -> Response:
        asked = json.loads(request.body or b"")
        items = asked if isinstance(asked, list) else [asked]
        answers = [{"jsonrpc": "2.0", "id": item["id"]} | self.one(item["method"], item.get("params", [])) for item in items]
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def one(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.seen.append(method)
        where = {"blockNumber": hex(self.lands_in), "blockHash": block_hash(self.lands_in)}
        match method:
            case "eth_chainId":
                return {"result": hex(CHAIN_ID)}
            case "eth_blockNumber":
                return {"result": hex(self.head)}
            case "eth_syncing":
                return {"result": False}
            case "eth_getBlockByNumber":
                wanted = self.head if params[0] == "latest" else int(params[0], 16)
                return {"result": self.block(wanted) if wanted <= self.head else None}
            case "eth_getBalance":
                return {"result": hex(self.head if params[1] == "latest" else int(params[1], 16))}
            case "eth_getLogs":
                first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
                return {"result": [LOG | where] if first <= self.lands_in <= last else []}
            case "eth_getTransactionReceipt":
                return {"result": RECEIPT | where | {"transactionHash": TRANSACTION}}
            case "eth_sendRawTransaction":
                return {"result": TRANSACTION}
        return {"error": {"code": -32601, "message": f"the method {method} does not exist"}}

    async def connect(self, url: str, *, headers: Any = (), timeout_ns: int, max_message_bytes: int) -> NodeSocket:
        self.sockets.append(NodeSocket(self))
        return self.sockets[-1]


class NodeSocket:
    """The node's side of a subscription."""

    def __init__(self, chain: FakeChain) -> None:
        import asyncio

        self.chain = chain
        self.out: asyncio.Queue[bytes] = asyncio.Queue()
        self.subscribed = False
        self.closed = False

    async def send(self, text: str) -> None:
        item = json.loads(text)
        self.subscribed = item["method"] == "eth_subscribe"
        self.out.put_nowait(json.dumps({"jsonrpc": "2.0", "id": item["id"], "result": "0xsub"}).encode())

    def tell_head(self) -> None:
        if self.subscribed:
            params = {"subscription": "0xsub", "result": self.chain.block(self.chain.head)}
            self.out.put_nowait(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).encode())

    async def receive(self) -> bytes:
        return await self.out.get()

    async def aclose(self) -> None:
        self.closed = True
        self.subscribed = False
