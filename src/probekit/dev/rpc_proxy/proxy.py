"""The proxy as a state machine: requests in, replies out, with the faults that are on. Fronts put it on a wire."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from email.utils import format_datetime
from typing import Any, Final, TypeVar

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.dev import control, hostile
from probekit.dev.faults import Fault, Injected
from probekit.dev.reply import Broken, Reply, text
from probekit.dev.rpc_proxy import faults, views
from probekit.dev.rpc_proxy.faults import LIMITS, RpcFault
from probekit.errors import ProbekitError
from probekit.transports.base import Engine, Request
from probekit.transports.rpc.wire import JSON_HEADERS
from probekit.transports.socket import Connector
from probekit.units import NS_PER_MS, NS_PER_S, Instant

F = TypeVar("F", bound=RpcFault)
Item = dict[str, Any]
"""A request, or an answer, as JSON."""

_UPSTREAM_NS: Final = 30 * NS_PER_S
_GARBAGE: Final[dict[str, bytes]] = {
    "html": hostile.HTML,
    "binary": bytes(range(256)),
    "empty": b"",
    "null": b"null",
    "list": b"[]",
}


class RpcProxy:
    """One endpoint before the node at ``url`` (sockets: ``ws_url``). Several before one node have each their own faults.

    ``transport`` and ``connector`` are the upstream leg; the caller closes what it gave. With ``control``, faults can be set
    over HTTP: POST, GET and DELETE on ``/_sandbox/faults``.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: Engine,
        ws_url: str | None = None,
        connector: Connector | None = None,
        clock: Clock = SYSTEM_CLOCK,
        control: bool = False,
    ) -> None:
        self.clock = clock
        self.ws_url, self.connector = ws_url, connector
        self.requests: Counter[str] = Counter()
        """Calls that came, by method, over HTTP and sockets."""
        self.forwarded: Counter[str] = Counter()
        """Calls that the node was asked, by method."""
        self.http_requests = 0
        self.sockets = 0
        """Sockets that are open."""
        self.changed = asyncio.Event()
        """Replaced by a new one, once set, each time a fault comes or goes."""
        self._url, self._transport = url, transport
        self._control = control
        self._injected: list[Injected] = []
        self._ids = itertools.count(1)
        self._branches: dict[int, views.Branch] = {}

    # -- faults --------------------------------------------------------------------------------------------------------------

    @property
    def injected(self) -> tuple[Injected, ...]:
        """The faults that are on, the latest first."""
        return tuple(reversed(self._injected))

    def inject(self, fault: Fault) -> Injected:
        """Put a fault on; the handle takes it off. Raises ``LookupError`` for a fault of another kind of server."""
        if not isinstance(fault, RpcFault):
            raise LookupError(f"{type(fault).__name__} is no fault of an RPC endpoint")
        made = Injected(next(self._ids), fault, self._cleared)
        self._injected.append(made)
        self._tell()
        return made

    def clear(self) -> None:
        """Take every fault off."""
        for one in self.injected:
            one.clear()

    def _cleared(self, one: Injected) -> None:
        self._injected.remove(one)
        self._branches.pop(one.id, None)
        self._tell()

    def _tell(self) -> None:
        told, self.changed = self.changed, asyncio.Event()
        told.set()

    def on(self, kind: type[F], methods: Sequence[str] = ()) -> F | None:
        """The fault of that kind that is on for these methods."""
        for one in self.injected:
            if isinstance(one.fault, kind) and one.fault.concerns(tuple(methods)):
                return one.fault
        return None

    # -- HTTP ----------------------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Answer one request; ``target`` is the path with its query, header names are lower case."""
        path = target.partition("?")[0]
        if self._control and (path + "/").startswith(control.PREFIX + "/"):
            return control.answer(self, method, path, body, decoder=faults.DECODER)
        self.http_requests += 1
        if method != "POST":
            return text(405, "Method not allowed")
        reply = Reply()
        reply.wait = lambda: self._fill(reply, body)
        return reply

    async def _fill(self, reply: Reply, body: bytes) -> None:
        try:
            asked = msgspec.json.decode(body)
        except msgspec.DecodeError:
            asked = None
        items = [item for item in (asked if isinstance(asked, list) else [asked]) if isinstance(item, dict)]
        methods = [str(item.get("method")) for item in items]
        self.requests.update(methods)
        await self._wait(methods)
        if self._by_gateway(reply, items, methods, batch=isinstance(asked, list)):
            return
        if self._sees_otherwise(methods) and items:
            answers = await self.answers(items)
            content: Any = answers if isinstance(asked, list) else answers[0]
            reply.body = msgspec.json.encode(content)
        else:
            self.forwarded.update(methods)
            await self._pass(reply, body)
        if self.on(faults.Unanswered, methods):
            raise Broken
        if self.on(faults.BatchIncomplete, methods):
            reply.body = _incomplete(reply.body)
        if (cut := self.on(faults.Truncated, methods)) is not None:
            half = reply.body[: len(reply.body) // 2]
            reply.body = half
            if not cut.framed:
                reply.chunks = _broken_after(half)

    async def _wait(self, methods: Sequence[str]) -> None:
        if self.on(faults.Hang, methods):
            while True:
                await self.clock.sleep_until_ns(self.clock.monotonic_ns() + 3600 * NS_PER_S)
        if (slow := self.on(faults.Slow, methods)) is not None:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + slow.delay_ms * NS_PER_MS)

    def _by_gateway(self, reply: Reply, items: list[Item], methods: list[str], *, batch: bool) -> bool:
        """Whether the request ends here, without the node; then ``reply`` is filled."""
        if self.on(faults.HangUp, methods):
            raise Broken
        if (limited := self.on(faults.RateLimited, methods)) is not None:
            reply.status, reply.body = 429, b'{"error":"Too Many Requests"}'
            if limited.retry_after_s is not None:
                until = Instant(self.clock.now().ns + limited.retry_after_s * NS_PER_S).to_datetime()
                after = format_datetime(until, usegmt=True) if limited.as_date else str(limited.retry_after_s)
                reply.headers.append(("retry-after", after))
        elif (down := self.on(faults.ServerError, methods)) is not None:
            reply.status, reply.body, reply.content_type = down.status, hostile.HTML, "text/html"
        elif (garbage := self.on(faults.Garbage, methods)) is not None:
            reply.body = _GARBAGE[garbage.kind]
        elif (drip := self.on(faults.Drip, methods)) is not None:
            reply.chunks = self._drip(drip.every_ms)
        elif (told := self.on(faults.LimitInBody, methods)) is not None:
            reply.body = msgspec.json.encode(_limited(told.shape, items, batch=batch))
        elif batch and (refused := self.on(faults.BatchRefused, methods)) is not None and len(items) > _most(refused):
            words = "Batch requests are disabled" if refused.shape == "error" else "too many RPC calls in batch request"
            code = -32202 if refused.shape == "error" else -32014
            reply.status = 400 if refused.shape == "status" else 200
            reply.body = msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": words}})
            if refused.shape == "status":
                reply.body = b"Bad Request"
        else:
            return False
        return True

    async def _drip(self, every_ms: int) -> AsyncIterator[bytes]:
        yield b'{"jsonrpc":"2.0",'
        while True:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + every_ms * NS_PER_MS)
            yield b" "

    # -- the node ------------------------------------------------------------------------------------------------------------

    async def _pass(self, reply: Reply, body: bytes) -> None:
        try:
            answer = await self._upstream(body)
        except ProbekitError as error:
            reply.status, reply.body, reply.content_type = 502, error.message.encode(), "text/plain"
            return
        reply.status, reply.body = answer.status, answer.body
        reply.content_type = answer.header("content-type") or reply.content_type

    async def _upstream(self, body: bytes) -> Any:
        due_ns = self.clock.monotonic_ns() + _UPSTREAM_NS
        return await self._transport.send(Request("POST", self._url, headers=JSON_HEADERS, body=body, deadline_ns=due_ns))

    async def _ask(self, items: list[Item]) -> dict[Any, Item]:
        """The node's answers, by id."""
        if not items:
            return {}
        answer = await self._upstream(msgspec.json.encode(items))
        return {one.get("id"): one for one in msgspec.json.decode(answer.body) if isinstance(one, dict)}

    async def head(self) -> int:
        """The node's newest block."""
        answers = await self._ask([{"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []}])
        return views.number(answers[0]["result"]) or 0

    async def block(self, number: int) -> Any:
        """A block of the node, as JSON, without its transactions."""
        asked = {"jsonrpc": "2.0", "id": 0, "method": "eth_getBlockByNumber", "params": [hex(number), False]}
        return (await self._ask([asked]))[0]["result"]

    async def branch(self) -> views.Branch | None:
        """The branch that this endpoint is on; it begins when somebody looks first."""
        found = next((one for one in self.injected if isinstance(one.fault, faults.Fork)), None)
        if found is None:
            return None
        if found.id not in self._branches:
            fork = found.fault
            assert isinstance(fork, faults.Fork)
            root = max(0, await self.head() - fork.depth)
            self._branches.setdefault(found.id, views.Branch(root, gone=fork.gone))
        return self._branches[found.id]

    def _sees_otherwise(self, methods: Sequence[str]) -> bool:
        return any(self.on(kind, methods) is not None for kind in (faults.Lag, faults.WrongChain, faults.Fork))

    async def answers(self, items: list[Item]) -> list[Item]:
        """Each request's answer as this endpoint sees the chain, in order."""
        lag = self.on(faults.Lag, [str(item.get("method")) for item in items])
        head = None if lag is None else max(0, await self.head() - lag.blocks)
        branch = await self.branch()
        wrong = self.on(faults.WrongChain)
        mine: dict[int, Item] = {}
        asked: list[Item] = []
        for place, item in enumerate(items):
            method, params = str(item.get("method")), item.get("params", [])
            if wrong is not None and method in ("eth_chainId", "net_version") and wrong.concerns((method,)):
                mine[place] = {"result": hex(wrong.chain_id) if method == "eth_chainId" else str(wrong.chain_id)}
                continue
            if branch is not None:
                params = branch.params(params)
            if head is not None and (params := views.params_at(method, params, head)) is None:
                mine[place] = views.UNKNOWN.get(method, {"error": views.UNKNOWN_BLOCK})
                continue
            asked.append({"jsonrpc": "2.0", "id": place, "method": method, "params": params})
        self.forwarded.update(item["method"] for item in asked)
        told = await self._ask(asked)
        answers = []
        for place, item in enumerate(items):
            answer = mine.get(place) or {key: told[place][key] for key in ("result", "error") if key in told.get(place, {})}
            if "result" in answer and place not in mine:
                seen = answer["result"]
                if head is not None:
                    seen = views.result_at(str(item.get("method")), seen, head)
                answer = {"result": seen if branch is None else branch.result(seen)}
            answers.append({"jsonrpc": "2.0", "id": item.get("id")} | answer)
        return answers

    # -- sockets -------------------------------------------------------------------------------------------------------------

    async def socket_answers(self, items: list[Item]) -> list[Item]:
        """The same for requests that came over a socket, with the faults that a socket can have."""
        methods = [str(item.get("method")) for item in items]
        self.requests.update(methods)
        await self._wait(methods)
        if (told := self.on(faults.LimitInBody, methods)) is not None:
            limited: list[Item] = _limited(told.shape, items, batch=True)
            return limited
        return await self.answers(items)


def _most(refused: faults.BatchRefused) -> int:
    return refused.most if refused.shape == "too_many" else 0


def _limited(shape: faults.LimitShape, items: list[Item], *, batch: bool) -> Any:
    error = LIMITS[shape]
    if shape == "quicknode_bare":
        return error
    answers = [{"jsonrpc": "2.0", "id": item.get("id"), "error": error} for item in items]
    return answers if batch else answers[0]


def _incomplete(body: bytes) -> bytes:
    answers = msgspec.json.decode(body)
    if not isinstance(answers, list) or not answers:
        return body
    stranger = answers[0] | {"id": "of somebody else"}
    return msgspec.json.encode([*reversed([stranger, *answers[1:]]), answers[-1]])


async def _broken_after(part: bytes) -> AsyncIterator[bytes]:
    yield part
    raise Broken
