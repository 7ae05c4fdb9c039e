"""Nodes that answer from a table, on a clock that a test turns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from probekit.errors import ConnectError, DeadlineExceeded
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import EVM, Endpoint, EndpointPool
from probekit.units import NS_PER_S

URLS = {name: f"http://{name}.test/" for name in ("a", "b", "c")}


def error(code: int, message: str, data: Any = None) -> dict[str, Any]:
    """A JSON-RPC error object."""
    return {"code": code, "message": message} | ({"data": data} if data is not None else {})


class Node:
    """One EVM node: a table of results, and what is wrong with it just now."""

    def __init__(self, clock: FakeClock, *, chain_id: int = 1, head: int = 100) -> None:
        self.clock = clock
        self.results: dict[str, Any] = {
            "eth_chainId": hex(chain_id),
            "eth_blockNumber": hex(head),
            "eth_syncing": False,
            "eth_gasPrice": "0x7",
        }
        self.errors: dict[str, dict[str, Any]] = {}
        self.seen: list[str] = []
        self.requests = 0
        self.fault: Callable[[Request], Response | Exception] | None = None
        self.hangs = False
        self.delay_ns = 0

    def head(self, number: int) -> None:
        self.results["eth_blockNumber"] = hex(number)

    async def answer(self, request: Request) -> Response | Exception:
        self.requests += 1
        asked = json.loads(request.body or b"null")
        items = asked if isinstance(asked, list) else [asked]
        self.seen += [item["method"] for item in items]
        if self.hangs:
            assert request.deadline_ns is not None
            await self.clock.sleep_until_ns(request.deadline_ns)
            return DeadlineExceeded(f"{request.shown_url}: no answer", phase="first_byte")
        if self.delay_ns:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + self.delay_ns)
        if self.fault is not None:
            return self.fault(request)
        answers = [self._one(item) for item in items]
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def _one(self, item: dict[str, Any]) -> dict[str, Any]:
        method = item["method"]
        head = {"jsonrpc": "2.0", "id": item["id"]}
        if method in self.errors:
            return head | {"error": self.errors[method]}
        if method not in self.results:
            return head | {"error": error(-32601, f"the method {method} does not exist/is not available")}
        return head | {"result": self.results[method]}


def refused(_: Request) -> Exception:
    return ConnectError("refused")


class Net:
    """Some nodes behind one transport, and a pool over them."""

    def __init__(self, *names: str, **options: Any) -> None:
        self.clock = FakeClock()
        self.nodes = {name: Node(self.clock) for name in names}
        self.transport = ReplyTransport(self._route)
        self.calls: list[Any] = []
        self.changes: list[Any] = []
        endpoint = options.pop("endpoint", {})
        self.pool = EndpointPool(
            [Endpoint(URLS[name], name=name, **endpoint) for name in names],
            family=options.pop("family", EVM),
            identity=options.pop("identity", "1"),
            chain="testnet",
            transport=self.transport,
            clock=self.clock,
            on_call=self.calls.append,
            on_change=self.changes.append,
            **options,
        )

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    async def _route(self, request: Request) -> Response | Exception:
        for name, url in URLS.items():
            if request.url.startswith(url):
                return await self.nodes[name].answer(request)
        raise AssertionError(request.url)

    async def run(self, work: Any, seconds: float = 60.0) -> Any:
        """The result of ``work``, turning the clock in steps of 10 ms; and how long it took on it."""
        task = asyncio.ensure_future(work)
        started_ns = self.clock.monotonic_ns()
        await self.clock.settle()
        from datetime import timedelta

        while not task.done() and self.clock.monotonic_ns() - started_ns < seconds * NS_PER_S:
            await self.clock.advance(timedelta(milliseconds=10))
        assert task.done(), "it hangs"
        self.took_s = (self.clock.monotonic_ns() - started_ns) / NS_PER_S
        return task.result()
