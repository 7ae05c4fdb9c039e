"""One client's socket: what it subscribes to goes to the node's socket, the rest is answered as over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from probekit.clock import reap
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.proxy import Item, RpcProxy
from probekit.errors import ProbekitError
from probekit.transports.socket import Socket
from probekit.units import NS_PER_S

Receive = Callable[[], Awaitable[str | None]]
"""The client's next message; ``None`` when it is gone."""
Send = Callable[[str], Awaitable[None]]

GOING_AWAY: Final = 1001
_OPEN_NS: Final = 10 * NS_PER_S
_MAX_MESSAGE: Final = 16 * 1024 * 1024
_NODE_LOST: Final = 1014


async def talk(proxy: RpcProxy, receive: Receive, send: Send) -> int:
    """Serve one socket until a side ends it, or a fault does; the code to close it with."""
    if proxy.ws_url is None or proxy.connector is None:
        return 1011
    if (closed := proxy.on(faults.ClosedSocket)) is not None:
        return closed.code
    try:
        upstream = await proxy.connector.connect(proxy.ws_url, timeout_ns=_OPEN_NS, max_message_bytes=_MAX_MESSAGE)
    except ProbekitError:
        return _NODE_LOST
    session = _Session(proxy, upstream, send)
    proxy.sockets += 1
    tasks = [asyncio.ensure_future(work) for work in (session.read(receive), session.tell(), session.follow())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task.result() for task in tasks if task in done)
    finally:
        proxy.sockets -= 1
        await reap(*tasks)
        with contextlib.suppress(ProbekitError, OSError):
            await upstream.aclose()


class _Session:
    def __init__(self, proxy: RpcProxy, upstream: Socket, send: Send) -> None:
        self._proxy, self._upstream, self._send = proxy, upstream, send
        self._asked: dict[Any, str] = {}
        self._topics: dict[str, str] = {}
        self._late: deque[Any] = deque()
        self._told_branch: object = None

    async def read(self, receive: Receive) -> int:
        """What the client asks, until it is gone."""
        while (text := await receive()) is not None:
            try:
                asked = msgspec.json.decode(text)
            except msgspec.DecodeError:
                await self._tell({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}})
                continue
            batch = isinstance(asked, list)
            items: list[Item] = asked if batch else [asked]
            # eth_subscribe, eth_unsubscribe, slotSubscribe, slotUnsubscribe and their kin.
            if not batch and str(items[0].get("method")).endswith("ubscribe"):
                await self._forward(items[0])
                continue
            answers = await self._proxy.socket_answers(items)
            await self._tell(answers if batch else answers[0])
        return GOING_AWAY

    async def _forward(self, item: Item) -> None:
        method, params = str(item["method"]), item.get("params") or [""]
        self._proxy.requests.update([method])
        self._proxy.forwarded.update([method])
        if method == "eth_subscribe":
            self._asked[item.get("id")] = str(params[0])
        await self._upstream.send(msgspec.json.encode(item).decode())

    async def tell(self) -> int:
        """What the node tells, until it is gone."""
        while True:
            try:
                message = msgspec.json.decode(await self._upstream.receive())
            except ProbekitError:
                return _NODE_LOST
            if "method" not in message:
                if (topic := self._asked.pop(message.get("id"), "")) and "result" in message:
                    self._topics[str(message["result"])] = topic
                await self._tell(message)
            elif self._proxy.on(faults.SilentSocket, [str(message["method"])]) is None:
                await self._notify(message)

    async def _notify(self, message: Item) -> None:
        params = message.get("params")
        if not isinstance(params, dict) or "result" not in params:
            await self._tell(message)
            return
        lag = self._proxy.on(faults.Lag)
        if lag is not None and self._topics.get(str(params.get("subscription"))) == "newHeads":
            self._late.append(params["result"])
            if len(self._late) <= lag.blocks:
                return
            params["result"] = self._late.popleft()
        else:
            self._late.clear()
        if (branch := await self._proxy.branch()) is not None:
            params["result"] = branch.result(params["result"])
        if params["result"] is not None:
            await self._tell(message)

    async def follow(self) -> int:
        """Do what a fault wants of a socket that is open when it comes."""
        while True:
            changed = self._proxy.changed
            if (closed := self._proxy.on(faults.ClosedSocket)) is not None:
                return closed.code
            branch = await self._proxy.branch()
            if branch is not None and branch is not self._told_branch:
                for number in range(branch.root + 1, await self._proxy.head() + 1):
                    await self._tell_head(branch.result(await self._proxy.block(number)))
            self._told_branch = branch
            await changed.wait()

    async def _tell_head(self, block: Any) -> None:
        for subscription, topic in self._topics.items():
            if topic == "newHeads":
                params = {"subscription": subscription, "result": block}
                await self._tell({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    async def _tell(self, message: Any) -> None:
        await self._send(msgspec.json.encode(message).decode())
