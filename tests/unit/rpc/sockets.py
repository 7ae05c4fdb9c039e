"""A node's side of WebSockets, scripted by a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from probekit.errors import ConnectError, ProbekitError


class FakeSocket:
    """A node's side of a socket: answers requests, and tells what a test tells it to."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.inbox: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.sent: list[Any] = []
        self.closed = False

    async def send(self, text: str) -> None:
        request = json.loads(text)
        self.sent.append(request)
        if self.node.mute:
            return
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] == "eth_chainId":
            self.tell(head | {"result": hex(self.node.chain_id)})
        elif self.node.subscriptions_only and not request["method"].endswith("Subscribe"):
            self.tell(head | {"error": {"code": -32601, "message": "Method not found"}})
        elif self.node.refuses:
            self.tell(head | {"error": {"code": -32601, "message": "method eth_subscribe not supported"}})
        else:
            self.tell(head | {"result": f"0xsub{request['id']}"})

    async def receive(self) -> bytes:
        item = await self.inbox.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed = True

    def tell(self, message: Any) -> None:
        self.inbox.put_nowait(message if isinstance(message, bytes | Exception) else json.dumps(message).encode())

    def head(self, number: int, subscription: str = "0xsub1") -> None:
        self.tell({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": subscription, "result": number}})


class FakeNode:
    def __init__(self) -> None:
        self.chain_id = 1
        self.subscriptions_only = False
        self.refuses = self.mute = self.down = False
        self.refusal: ProbekitError | None = None
        self.sockets: list[FakeSocket] = []

    @property
    def socket(self) -> FakeSocket:
        return self.sockets[-1]


class FakeConnector:
    def __init__(self, names: Sequence[str]) -> None:
        self.nodes = {name: FakeNode() for name in names}

    async def connect(self, url: str, *, headers: Any = (), timeout_ns: int, max_message_bytes: int) -> FakeSocket:
        node = self.nodes[url.removeprefix("ws://").partition(".")[0]]
        if node.down:
            raise ConnectError(f"{url} refused")
        if node.refusal is not None:
            raise node.refusal
        node.sockets.append(FakeSocket(node))
        return node.socket
