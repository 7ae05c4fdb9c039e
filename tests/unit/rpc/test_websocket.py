"""The WebSocket library under our contract, against its own server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from probekit import errors
from probekit.secret import Secret
from probekit.transports.websocket import WebsocketsConnector
from probekit.units import NS_PER_S

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, **options: Any) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/"


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def open_at(url: str, **options: Any) -> Any:
    return WebsocketsConnector().connect(url, **{"timeout_ns": 2 * NS_PER_S, "max_message_bytes": 1024} | options)


async def test_messages_go_both_ways() -> None:
    async with server(echo) as url:
        socket = await open_at(url)
        await socket.send('{"a":1}')
        assert await socket.receive() == b'{"a":1}'
        await socket.aclose()
        await socket.aclose()
        with pytest.raises(errors.StreamClosed):
            await socket.receive()
        with pytest.raises(errors.StreamClosed):
            await socket.send("x")


async def test_a_header_may_be_a_secret() -> None:
    seen: list[str | None] = []

    async def look(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers.get("authorization"))

    async with server(look) as url:
        socket = await open_at(url, headers=[("authorization", Secret("Bearer canary-8471", origin="test"))])
        with pytest.raises(errors.StreamClosed):
            await socket.receive()
        await socket.aclose()
    assert seen == ["Bearer canary-8471"]


async def test_a_key_is_in_no_log_and_in_no_frame_of_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = [("authorization", Secret("Bearer canary-8471", origin="test"))]
    async with server(echo) as url:
        socket = await open_at(f"{url}v2/canary0123456789abcdef", headers=headers)
        await socket.send("canary-8471")
        await socket.aclose()
    try:
        await open_at("ws://127.0.0.1:9/v2/canary0123456789abcdef", headers=headers)
    except errors.ConnectError as refused:
        assert refused.__cause__ is None
        assert refused.__context__ is None
    else:
        raise AssertionError("nobody listens there")
    ours = [record for record in caplog.records if record.name.startswith(("probekit", "websockets.client"))]
    assert "canary" not in "".join(record.getMessage() for record in ours)


@pytest.mark.parametrize("header", [("x", Secret("a\r\ny: b")), ("x\r\ny", "b")])
async def test_a_header_that_http_does_not_carry_is_refused_unseen(header: Any) -> None:
    async with server(echo) as url:
        with pytest.raises(errors.ProtocolError):
            await open_at(url, headers=[header])


@pytest.mark.parametrize(("code", "planned"), [(1000, True), (1001, True), (1011, False)])
async def test_a_close_frame_tells_routine_from_fault(code: int, planned: bool) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(code, "bye")

    async with server(close) as url:
        socket = await open_at(url)
        with pytest.raises(errors.StreamClosed, match="bye") as caught:
            await socket.receive()
        assert caught.value.planned is planned
        await socket.aclose()


async def test_a_message_above_the_limit() -> None:
    async def large(connection: ServerConnection) -> None:
        await connection.send("x" * 2000)
        await asyncio.sleep(0)

    async with server(large) as url:
        socket = await open_at(url)
        with pytest.raises(errors.BodyTooLarge) as caught:
            await socket.receive()
        assert caught.value.limit_bytes == 1024
        await socket.aclose()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthorized),
        (403, errors.NotEntitled),
        (404, errors.StatusError),
        (429, errors.RateLimited),
        (302, errors.StatusError),
        (503, errors.ServerError),
    ],
)
async def test_a_status_instead_of_a_socket(status: int, kind: type[errors.StatusError]) -> None:
    def refuse(connection: ServerConnection, _: Any) -> Any:
        response = connection.respond(http.HTTPStatus(status), "no")
        response.headers["Retry-After"] = "7"
        response.headers["Location"] = "ws://127.0.0.1:1/"
        return response

    async with server(echo, process_request=refuse) as url:
        with pytest.raises(errors.StatusError) as caught:
            await open_at(f"{url}v2/f81d4fae7dec11d0a76500a0c91e6bf6")
    error = caught.value
    assert type(error) is kind
    assert error.status == status
    assert "f81d4fae" not in str(error)
    if isinstance(error, errors.RateLimited):
        assert error.retry_after_ns == 7 * NS_PER_S


async def test_nobody_listens() -> None:
    async with server(echo) as url:
        pass
    with pytest.raises(errors.ConnectError):
        await open_at(url)


@asynccontextmanager
async def raw_server(answer: bytes | None, asked: asyncio.Event | None = None) -> AsyncIterator[str]:
    """A server that is none: writes ``answer`` after the request, or nothing. Ends when its one connection has."""
    ended = asyncio.Event()
    asked = asked or asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            ended.set()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        await ended.wait()


async def test_a_server_that_never_answers_is_a_deadline() -> None:
    async with raw_server(None) as url:
        with pytest.raises(errors.DeadlineExceeded):
            await open_at(url, timeout_ns=NS_PER_S // 20)


async def test_giving_up_while_it_opens_leaves_nothing() -> None:
    asked = asyncio.Event()
    async with raw_server(None, asked) as url:
        opening = asyncio.ensure_future(open_at(url))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_a_peer_that_does_not_answer_the_close_is_left_in_time() -> None:
    hold = asyncio.Event()

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await hold.wait()

    async with server(deaf, close_timeout=0.1) as url:
        socket = await open_at(url)
        async with asyncio.timeout(5):
            await socket.aclose()
        hold.set()


async def test_an_http_server_is_no_socket() -> None:
    async with raw_server(b"garbage\r\n\r\n") as url:
        with pytest.raises(errors.ProtocolError):
            await open_at(url)


async def test_a_url_that_is_none() -> None:
    with pytest.raises(errors.ProtocolError):
        await open_at("http://127.0.0.1:1/")
