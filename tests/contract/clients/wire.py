"""A server that answers rightly, and a wire in front of it that a test breaks."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from probekit.errors import ConnectError, DeadlineExceeded, ProbekitError
from probekit.testing import FakeClock, reply
from probekit.transports.base import Capabilities, Request, Response
from probekit.units import NS_PER_S

Answer = Callable[[Request], Response | Exception | Awaitable[Response | Exception]]
Fault = Callable[[Request], Response | Exception | Awaitable[Response | Exception | None] | None]

FIRST, SPARE = "http://node.test", "http://spare.test"
"""The endpoint of every world, and the one beside it where a world has two. The same server answers at both."""

UNKNOWN = {"newSinceThisRelease": {"deep": [1, None, "x"]}}
_OPEN_MAPS = frozenset(("attributes", "market_session_schedule", "market_sessions", "metric"))
"""Maps by nature, of texts and of sessions: what is added there is one more item, no unknown member."""


class Wire:
    """An engine in front of ``answer``. ``fault`` answers instead of the server where it gives anything; ``edit`` changes what
    the server answered. ``under_way`` counts requests that have begun and not ended.
    """

    def __init__(self, answer: Answer, clock: FakeClock) -> None:
        self.answer = answer
        self.clock = clock
        self.fault: Fault | None = None
        self.edit: Callable[[Request, Response], Response] | None = None
        self.requests: list[Request] = []
        self.under_way = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("wire", frozenset(), frozenset(), fresh_connections=False, redirects=False)

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        self.under_way += 1
        try:
            broken = self.fault(request) if self.fault is not None else None
            if inspect.isawaitable(broken):
                broken = await broken
            if isinstance(broken, Exception):
                raise broken
            if broken is not None:
                return broken
            response = self.answer(request)
            if inspect.isawaitable(response):
                response = await response
            if isinstance(response, Exception):
                raise response
            return response if self.edit is None else self.edit(request, response)
        finally:
            self.under_way -= 1

    async def aclose(self) -> None:
        return None

    # -- what may be wrong -----------------------------------------------------------------------------------------------------

    def answers_with(self, status: int) -> Fault:
        """Every request is answered with ``status`` and a page of HTML, as a proxy in front of a service does."""
        return lambda _: reply(status, "<html>not today</html>", {"content-type": "text/html"}, clock=self.clock)

    def hangs(self, *, first: int = 0) -> Fault:
        """After ``first`` more requests nothing is answered. As an engine must, the wire ends a request at its deadline; one
        without a deadline never ends.
        """
        left = first

        async def hang(request: Request) -> Exception | None:
            nonlocal left
            if left:
                left -= 1
                return None
            if request.deadline_ns is None:
                await asyncio.get_running_loop().create_future()
            else:
                await self.clock.sleep_until_ns(request.deadline_ns)
            return DeadlineExceeded(f"{request.shown_url}: no answer", phase="first_byte")

        return hang

    def crawls(self, seconds: int) -> Fault:
        """Every request is answered rightly after ``seconds``, or ends at its deadline."""

        async def crawl(request: Request) -> Exception | None:
            answered_ns = self.clock.monotonic_ns() + seconds * NS_PER_S
            assert request.deadline_ns is not None
            await self.clock.sleep_until_ns(min(answered_ns, request.deadline_ns))
            if request.deadline_ns < answered_ns:
                return DeadlineExceeded(f"{request.shown_url}: too slow", phase="first_byte")
            return None

        return crawl


def refuses(_: Request) -> Exception:
    """Closed without an answer."""
    return ConnectError("the server closed the connection without an answer")


def with_unknown_members(value: Any) -> Any:
    """``value`` with a member in every object that no client of today knows."""
    if isinstance(value, dict):
        return {name: item if name in _OPEN_MAPS else with_unknown_members(item) for name, item in value.items()} | UNKNOWN
    return [with_unknown_members(item) for item in value] if isinstance(value, list) else value


class World:
    """A server on the other end of a wire, and the client under test. ``chain``: whether its nodes tell their chain."""

    speaks_json_rpc = False

    def __init__(self, answer: Answer, clock: FakeClock, make: Callable[[Wire], Any]) -> None:
        self.clock = clock
        self.wire = Wire(answer, clock)
        self.client = make(self.wire)

    async def prove(self) -> None:
        """Let the client see whose server it is, so that what is broken next is the read itself."""

    async def close(self) -> None:
        """End what the client runs in the background."""

    def break_first(self, broken: Fault) -> None:
        """Only what is sent to the first endpoint is broken."""
        self.wire.fault = lambda request: broken(request) if request.url.startswith(FIRST) else None

    def answer(self, changes: Mapping[str, Any]) -> None:
        """Answer as ``changes`` say: a value, or a function of the right value (and of the parameters, for JSON-RPC)."""
        raise NotImplementedError

    def add_unknown_members(self) -> None:
        raise NotImplementedError

    def asked(self) -> list[str]:
        """What was asked of the server, one word each: a method or a path."""
        raise NotImplementedError


class HttpWorld(World):
    """JSON over HTTP; answers are changed by how their path begins."""

    def answer(self, changes: Mapping[str, Any]) -> None:
        def edit(request: Request, response: Response) -> Response:
            for path, change in changes.items():
                if _path(request).startswith(path):
                    body = change(response.body) if callable(change) else change
                    return reply(200, body if isinstance(body, bytes) else json.dumps(body), clock=self.clock)
            return response

        self.wire.edit = edit

    def add_unknown_members(self) -> None:
        def edit(_: Request, response: Response) -> Response:
            if response.body[:1] not in (b"{", b"["):
                return response
            return reply(response.status, json.dumps(with_unknown_members(json.loads(response.body))), clock=self.clock)

        self.wire.edit = edit

    def asked(self) -> list[str]:
        return [_path(request) for request in self.wire.requests]


class RpcFault(Exception):
    """An error object in place of a result."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.error = {"code": code, "message": message} | ({"data": data} if data is not None else {})


class RpcWorld(World):
    """JSON-RPC over HTTP; answers are changed by method, ``*`` for every one. ``identity`` is the method that tells the chain,
    ``elsewhere`` what it answers on another one.
    """

    speaks_json_rpc = True

    def __init__(
        self, answer: Answer, clock: FakeClock, make: Callable[[Wire], Any], *, pool: Callable[[Any], Any], identity: str,
        elsewhere: str, about_the_node: frozenset[str],
    ) -> None:  # fmt: skip
        super().__init__(answer, clock, make)
        self.pool = pool(self.client)
        self.identity = identity
        self._elsewhere = elsewhere
        self.about_the_node = about_the_node
        """What a pool asks on its own account; everything else is the caller's."""

    async def prove(self) -> None:
        await self.pool.prove(self.pool.endpoints[0])
        self.wire.requests.clear()

    async def close(self) -> None:
        await self.pool.aclose()

    def first_of_other_chain(self) -> None:
        """The first endpoint serves another chain."""
        self.other_chain()
        edit = self.wire.edit
        assert edit is not None
        self.wire.edit = lambda request, right: edit(request, right) if request.url.startswith(FIRST) else right

    def answer(self, changes: Mapping[str, Any]) -> None:
        def edit(item: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
            change = changes.get(item["method"], changes.get("*", ...))
            if change is ... or "result" not in answer:
                return answer
            if callable(change):
                change = change(answer["result"], item["params"])
            if isinstance(change, RpcFault):
                return {"jsonrpc": "2.0", "id": item["id"], "error": change.error}
            return answer | {"result": change}

        self._edit(edit)

    def other_chain(self) -> None:
        """The node serves another chain."""
        self.answer({self.identity: self._elsewhere})

    def add_unknown_members(self) -> None:
        self._edit(lambda _, answer: with_unknown_members(answer))

    def _edit(self, edit: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]) -> None:
        def whole(request: Request, response: Response) -> Response:
            answers = json.loads(response.body)
            items = {item["id"]: item for item in _items(request)}
            if isinstance(answers, list):
                body: Any = [edit(items[answer["id"]], answer) for answer in answers]
            else:
                body = edit(items[answers["id"]], answers)
            return reply(response.status, json.dumps(body), clock=self.clock)

        self.wire.edit = whole

    def asked(self) -> list[str]:
        return [item["method"] for request in self.wire.requests for item in _items(request)]


def methods_of(request: Request) -> set[str]:
    """The JSON-RPC methods of one request."""
    return {item["method"] for item in _items(request)}


def _items(request: Request) -> list[dict[str, Any]]:
    found = json.loads(request.body or b"null")
    return found if isinstance(found, list) else [found]


def _path(request: Request) -> str:
    return "/" + request.url.partition("://")[2].partition("/")[2]


class Told:
    """How a call ended: its value or its error, and after how long on the clock."""

    def __init__(self, value: Any, error: ProbekitError | None, took_s: float) -> None:
        self.value = value
        self.error = error
        self.took_s = took_s


async def run(clock: FakeClock, work: Awaitable[Any], *, limit_s: float = 400.0) -> Told:
    """Run ``work``, turning the clock. Anything that is no ``ProbekitError`` is the test's failure."""
    began_ns = clock.monotonic_ns()

    async def timed() -> Told:
        value, error = None, None
        try:
            value = await work
        except ProbekitError as told:
            error = told
        return Told(value, error, (clock.monotonic_ns() - began_ns) / 1e9)

    task = asyncio.ensure_future(timed())
    await clock.settle(10)
    while not task.done() and (clock.monotonic_ns() - began_ns) / 1e9 < limit_s:
        await clock.advance(timedelta(milliseconds=250))
    assert task.done(), f"no end after {limit_s} s"
    return task.result()
