"""The ASGI application: what it sends, when it breaks, and that a client's leaving ends everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from probekit.dev import faults
from probekit.dev.asgi import SandboxApp
from probekit.dev.reply import Broken
from tests.unit.dev.bench import BTC, Bench, query


class Connection:
    """One exchange with the application, without a server."""

    def __init__(self, bench: Bench, app: SandboxApp, method: str, path: str, search: str, *body: bytes) -> None:
        self._bench = bench
        self.sent: list[Any] = []
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for number, part in enumerate(body or (b"",), start=1):
            self._incoming.put_nowait({"type": "http.request", "body": part, "more_body": number < len(body)})
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "query_string": search.encode(),
            "headers": [(b"Accept", b"*/*")],
        }
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def finished(self) -> bool:
        return bool(self.sent) and self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body")


def connect(bench: Bench, route: str = "latest", app: SandboxApp | None = None) -> Connection:
    return Connection(bench, app or SandboxApp(bench.sandbox), "GET", f"/v2/updates/price/{route}", query([BTC]))


async def test_answer_with_its_length() -> None:
    bench = Bench.make()
    connection = connect(bench)
    await connection.task
    start = connection.sent[0]
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-length"] == str(len(connection.body)).encode()
    assert headers[b"content-type"] == b"application/json"
    assert connection.body == bench.ask(BTC).body
    assert connection.finished


async def test_posted_body_in_parts() -> None:
    bench = Bench.make(control=True)
    app = SandboxApp(bench.sandbox)
    connection = Connection(bench, app, "POST", "/_sandbox/faults", "", b'{"fault":', b'"hang"}')
    await connection.task
    assert connection.sent[0]["status"] == 201
    assert bench.sandbox.faults == (faults.Hang(),)


async def test_body_above_a_megabyte_is_not_read_to_its_end() -> None:
    bench = Bench.make(control=True)
    parts = [b" " * (1 << 19)] * 4
    connection = Connection(bench, SandboxApp(bench.sandbox), "POST", "/_sandbox/faults", "", *parts)
    await bench.clock.settle()
    assert connection.sent[0]["status"] == 400
    connection.leave()
    await connection.task


async def test_stream_until_the_client_leaves() -> None:
    bench = Bench.make()
    connection = connect(bench, "stream")
    await bench.advance(1_200)
    assert connection.body.count(b"data:{") == 4
    assert not connection.finished
    connection.leave()
    await connection.task
    assert bench.sandbox.open_streams == bench.clock.sleeping == 0


async def test_head_of_a_silent_stream_comes_at_once() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.SilentStream())
    connection = connect(bench, "stream")
    await bench.clock.settle()
    assert connection.sent[0]["status"] == 200
    assert connection.body == b""
    connection.leave()
    await connection.task


async def test_cut_stream_breaks_the_connection() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.CutStream())
    connection = connect(bench, "stream")
    with pytest.raises(Broken):
        await connection.task
    assert connection.body.startswith(b"data:{")
    assert not connection.finished


async def test_hang_sends_nothing_and_ends_with_the_client() -> None:
    bench = Bench.make()
    bench.sandbox.inject(faults.Hang())
    connection = connect(bench)
    await bench.advance(60_000)
    assert connection.sent == []
    connection.leave()
    await connection.task
    assert bench.clock.sleeping == 0


async def test_ending_breaks_what_is_open_and_what_comes() -> None:
    bench = Bench.make()
    app = SandboxApp(bench.sandbox)
    connection = connect(bench, "stream", app)
    await bench.advance(400)
    app.end_streams()
    with pytest.raises(Broken):
        await connection.task
    with pytest.raises(Broken):
        await connect(bench, app=app).task
    assert bench.sandbox.open_streams == bench.clock.sleeping == 0


async def test_other_protocols_are_not_answered() -> None:
    bench = Bench.make()
    sent: list[Any] = []

    async def nothing(*_: Any) -> Any:
        sent.append(_)

    await SandboxApp(bench.sandbox)({"type": "lifespan"}, nothing, nothing)
    assert sent == []
