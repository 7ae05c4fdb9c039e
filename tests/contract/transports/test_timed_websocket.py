"""WebSockets whose opening is timed, over loopback: phases, what was agreed on, and how each failure is told."""

from __future__ import annotations

import asyncio
import contextlib
import http
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from probekit.clock import SYSTEM_CLOCK
from probekit.errors import (
    BodyTooLarge,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    NotEntitled,
    ProtocolError,
    ServerError,
    StreamClosed,
    TlsError,
    TransportError,
    Unauthorized,
)
from probekit.model import RequestRecord
from probekit.secret import Secret
from probekit.transports import websocket
from probekit.transports.websocket import SocketRequest, TimedConnector
from tests.contract.transports.test_dial import saying, serving, silent
from tests.support.pki import issue, leaf, server_context
from tests.support.shifted import ShiftedClock
from tests.support.upgrade import upgraded

ROOT = issue("root")


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def server(handler: Any = echo, **options: Any) -> AsyncIterator[int]:
    async with serve(handler, "127.0.0.1", 0, **options) as running:
        yield running.sockets[0].getsockname()[1]


def wanted(url: str, ms: int = 5_000, **more: Any) -> SocketRequest:
    return SocketRequest(url, deadline_ns=SYSTEM_CLOCK.monotonic_ns() + ms * 1_000_000, target="t", **more)


async def test_it_opens_speaks_pings_and_closes() -> None:
    records: list[RequestRecord] = []
    async with server(subprotocols=[Subprotocol("v2")]) as port:
        request = wanted(f"ws://localhost:{port}/a", subprotocols=("v1", "v2"))
        opened = await TimedConnector(observer=records.append).open(request)
        socket = opened.socket
        await socket.send("hello")
        assert await socket.receive() == b"hello"
        await socket.ping()
        before = socket.ended
        await socket.aclose()
        assert (before, socket.ended) == (None, (1000, ""))
        with pytest.raises(StreamClosed):
            await socket.ping()
    assert (opened.subprotocol, opened.peer_address) == ("v2", "127.0.0.1")
    phases = opened.phases
    assert phases.connect_ns
    assert phases.first_byte_ns
    assert phases.tls_ns is None
    assert (phases.resolve_ns or 0) + phases.connect_ns + phases.first_byte_ns <= opened.elapsed_ns
    [record] = records
    assert (record.url, record.status, record.error_type) == (f"ws://localhost:{port}/a", 101, None)
    assert (record.phases, record.target, record.family) == (phases, "t", "ipv4")


async def test_reading_authorities_is_no_time_of_an_opening(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock, spent_ns = ShiftedClock(), 60 * 10**9
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    def slowly(ca_file: str | None) -> ssl.SSLContext:
        clock.shift_ns += spent_ns
        monkeypatch.setattr(websocket, "ssl_context", lambda ca_file: trusted)  # made once
        return trusted

    monkeypatch.setattr(websocket, "ssl_context", slowly)
    records: list[RequestRecord] = []
    due_ns = clock.monotonic_ns() + 2 * spent_ns
    async with server(ssl=server_context(leaf(ROOT, "localhost").write(tmp_path / "good.pem"))) as port:
        request = SocketRequest(f"wss://localhost:{port}/", deadline_ns=due_ns)
        opened = await TimedConnector(clock=clock, observer=records.append).open(request)
        await opened.socket.aclose()
    assert clock.shift_ns == spent_ns
    assert max(opened.elapsed_ns, records[0].elapsed_ns, opened.phases.tls_ns or 0) < spent_ns


@pytest.mark.parametrize("size", [1, 5_000])
async def test_a_stream_that_is_faster_than_its_reader_hides_no_pong_and_no_close(size: int) -> None:
    """The library stops reading with 64 messages unread: whatever is behind them never came."""

    async def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                for _ in range(200):
                    await connection.send("x" * size)
                await asyncio.sleep(0)

    async with server(flood) as port:
        socket = (await TimedConnector().open(wanted(f"ws://localhost:{port}/"))).socket
        async with asyncio.timeout(20):
            assert await socket.ping()
            assert await socket.ping()
        began_s = asyncio.get_running_loop().time()
        await socket.aclose(drop=True)
        assert (socket.ended, asyncio.get_running_loop().time() - began_s < 1) == ((1000, ""), True)
    assert socket.dropped > 64


async def test_a_stream_without_end_that_answers_no_ping_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_DROPPED", 100)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"\x81\x01x")
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with serving(deaf) as port:
        socket = (await TimedConnector().open(wanted(f"ws://localhost:{port}/"))).socket
        async with asyncio.timeout(20):
            assert not await socket.ping()
        await socket.aclose()
    assert socket.dropped == 100


async def test_tls_is_a_phase_of_its_own_and_verified(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    good = server_context(leaf(ROOT, "localhost").write(tmp_path / "good.pem"))
    expired = server_context(leaf(ROOT, "localhost", days=-1).write(tmp_path / "expired.pem"))
    async with server(ssl=good) as port, server(ssl=expired) as other:
        request = wanted(f"wss://localhost:{port}/", ca_file=str(tmp_path / "ca.pem"))
        opened = await TimedConnector().open(request)
        assert opened.phases.tls_ns
        assert opened.phases.first_byte_ns
        await opened.socket.aclose()
        with pytest.raises(TlsError):
            await TimedConnector().open(wanted(f"wss://localhost:{other}/", ca_file=str(tmp_path / "ca.pem")))
        with pytest.raises(TlsError):
            await TimedConnector().open(wanted(f"wss://127.0.0.1:{port}/", ca_file=str(tmp_path / "ca.pem")))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (http.HTTPStatus.UNAUTHORIZED, Unauthorized),
        (http.HTTPStatus.FORBIDDEN, NotEntitled),
        (http.HTTPStatus.SERVICE_UNAVAILABLE, ServerError),
    ],
)
async def test_an_answer_that_is_no_upgrade(status: http.HTTPStatus, kind: type[TransportError]) -> None:
    records: list[RequestRecord] = []

    def refuse(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(status, "no\n")

    async with server(process_request=refuse) as port:
        with pytest.raises(kind):
            await TimedConnector(observer=records.append).open(wanted(f"ws://127.0.0.1:{port}/"))
    assert (records[0].status, records[0].excerpt.strip()) == (status, "no")
    assert records[0].phases.first_byte_ns


async def test_each_phase_that_fails_or_hangs() -> None:
    records: list[RequestRecord] = []
    connector = TimedConnector(observer=records.append)
    websocket.prepare("wss:", None)  # reading authorities is within the deadline, and no time of the opening
    async with serving(silent) as port:
        for scheme, phase in (("ws", "first_byte"), ("wss", "tls")):
            with pytest.raises(DeadlineExceeded) as caught:
                await connector.open(wanted(f"{scheme}://127.0.0.1:{port}/", ms=100))
            assert caught.value.phase == phase
            assert caught.value.elapsed_ns
            assert 0.08e9 < records[-1].elapsed_ns + (records[-1].phases.queue_ns or 0) < 5e9
    async with serving(saying(b"SSH-2.0-x\r\n\r\n")) as port:
        with pytest.raises(ProtocolError, match="did not become a WebSocket"):
            await connector.open(wanted(f"ws://127.0.0.1:{port}/"))
        with pytest.raises(TlsError):
            await connector.open(wanted(f"wss://127.0.0.1:{port}/"))
    with pytest.raises(ConnectError, match="refused"):
        await connector.open(wanted(f"ws://127.0.0.1:{port}/"))
    assert [one.error_type for one in records] == ["deadline_first_byte", "deadline_tls", "protocol", "tls", "connect"]


async def test_the_peers_code_and_reason_are_known_and_a_message_is_bounded() -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.send("x" * 2_000)
        await connection.close(1013, "try again later")

    async with server(leave) as port:
        opened = await TimedConnector().open(wanted(f"ws://127.0.0.1:{port}/"))
        assert len(await opened.socket.receive()) == 2_000
        with pytest.raises(StreamClosed, match="1013 try again later"):
            await opened.socket.receive()
        assert opened.socket.ended == (1013, "try again later")
        await opened.socket.aclose()
        opened = await TimedConnector().open(wanted(f"ws://127.0.0.1:{port}/", max_message_bytes=1_000))
        with pytest.raises(BodyTooLarge):
            await opened.socket.receive()
        await opened.socket.aclose()


async def test_one_that_is_cancelled_leaves_nothing_and_is_told_of() -> None:
    records: list[RequestRecord] = []
    async with serving(silent) as port:
        task = asyncio.ensure_future(TimedConnector(observer=records.append).open(wanted(f"ws://127.0.0.1:{port}/")))
        for _ in range(200):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [one.error_type for one in records] == ["cancelled"]


async def test_a_defect_and_what_is_not_configured_are_not_told_of_as_cancelled(tmp_path: Path) -> None:
    records: list[RequestRecord] = []
    connector = TimedConnector(observer=records.append)
    with pytest.raises(ValueError, match="[Pp]ort"):
        await connector.open(wanted("ws://127.0.0.1:99999/"))
    with pytest.raises(ConfigError):
        await connector.open(wanted("wss://127.0.0.1:9/", ca_file=str(tmp_path / "none.pem")))
    assert [(one.error_type, one.status) for one in records] == [("internal", None), ("config", None)]


async def test_a_key_is_in_no_record_and_no_error() -> None:
    records: list[RequestRecord] = []
    headers = (("authorization", Secret("Bearer c4nary-8471", origin="test")),)
    with pytest.raises(ConnectError) as caught:
        await TimedConnector(observer=records.append).open(
            wanted("ws://127.0.0.1:9/v2/c4nary0123456789abcdef0123", headers=headers)
        )
    assert "c4nary" not in f"{caught.value}{records}"
    assert caught.value.__cause__ is None
