"""Bodies and headers, however they are packed: whole, bounded, or an error; never silently less than was sent."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from probekit.errors import BodyTooLarge, HeadersTooLarge, ProtocolError, TransportError
from probekit.transports.base import Engine, Limits, Request
from tests.contract.transports.attempts import failure, get, read, until
from tests.contract.transports.server import Server


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/members", b"first,second"),
        ("/deflate", b"squeezed"),
        ("/rawdeflate", b"squeezed"),
        ("/twonames", b"squeezed"),
        ("/nobrotli", b""),
    ],
)
async def test_every_form_that_http_knows_is_read_whole(engine: Engine, server: Server, path: str, body: bytes) -> None:
    assert (await engine.send(get(server.url(path)))).body == body
    streamed = await engine.send(get(server.url(path), stream=True))
    assert await read(streamed) == body
    await streamed.aclose()


@pytest.mark.parametrize("path", ["/gzipmore", "/gziphead", "/twice", "/cutgzip", "/brotli"])
async def test_what_would_be_read_in_part_is_an_error(engine: Engine, server: Server, path: str) -> None:
    assert isinstance(await failure(engine, get(server.url(path))), ProtocolError)


async def test_a_body_that_never_comes_to_anything_is_bounded(engine: Engine, server: Server) -> None:
    """Compressed members of nothing: not a byte of body, for ever."""
    error = await failure(engine, get(server.url("/emptymembers"), 10, limits=Limits(max_body_bytes=100_000)))
    assert isinstance(error, BodyTooLarge)


async def test_a_bomb_in_a_stream_is_handed_over_in_pieces(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/bombstream"), 20, stream=True))
    assert response.chunks is not None
    tracemalloc.start()
    try:
        largest = total = 0
        async for chunk in response.chunks:
            largest, total = max(largest, len(chunk)), total + len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    await response.aclose()
    assert total == 64 << 20
    assert largest <= 1 << 20
    assert peak < 8 << 20


async def test_the_limit_that_is_named_is_the_one_that_was_asked_for(engine: Engine, server: Server) -> None:
    for path in ("/headers", "/longheader"):
        for limit in (1_000, 64 * 1024):
            error = await failure(engine, get(server.url(path), limits=Limits(max_header_bytes=limit)))
            assert isinstance(error, HeadersTooLarge)
            assert error.limit_bytes == limit
    error = await failure(engine, get(server.url("/longheader"), limits=Limits(max_header_bytes=1 << 20)))
    assert isinstance(error, HeadersTooLarge), "there is an end to what may be allowed"
    assert error.limit_bytes <= 1 << 20


async def test_headers_are_those_of_the_answer_alone(engine: Engine, server: Server) -> None:
    """Neither those of an interim answer nor trailers; and a field that looks like a status line is a field."""
    hinted = await engine.send(get(server.url("/interim")))
    assert (hinted.status, hinted.body, hinted.header("link"), hinted.header("x-one")) == (200, b"hello", None, "1")
    trailed = await engine.send(get(server.url("/trailed")))
    assert (trailed.body, trailed.header("x-late")) == (b"hello", None)
    for stream in (False, True):
        trailed = await engine.send(get(server.url("/interim"), stream=stream))
        assert trailed.header("x-one") == "1"
        await trailed.aclose()


async def test_a_field_that_poses_as_a_status_line_hides_nothing(engine: Engine, server: Server) -> None:
    try:
        response = await engine.send(get(server.url("/posing"), 2))
    except ProtocolError:
        return  # refused, as it may be: a field's name has no slash
    assert (response.status, response.header("x-one"), response.body) == (200, "1", b"hello")


async def test_mutated_answers_are_answers_or_errors_of_ours(engine: Engine, server: Server) -> None:
    answered = refused = 0
    for number in range(150):
        for redirects in (0, 1):
            request = get(server.url(f"/mutated?{number}"), 2, max_redirects=redirects)
            try:
                response = await engine.send(request)
            except TransportError as error:
                assert error.url is not None
                assert error.elapsed_ns is not None
                refused += 1
            else:
                assert 100 <= response.status <= 999
                assert len(response.body) <= 10_000
                answered += 1
    assert answered > 30
    assert refused > 30
    await until(lambda: server.open == 0)


@pytest.mark.parametrize("value", ["", " ", "identity"])
async def test_headers_go_out_as_they_were_given(engine: Engine, server: Server, value: str) -> None:
    request = replace(get(server.url("/ok")), headers=(("x-empty", value), ("Accept-Encoding", "identity")))
    await engine.send(request)
    await engine.send(Request("POST", server.url("/ok"), body=b"{}", deadline_ns=request.deadline_ns))
    lines = [line.strip().lower() for line in server.requests[0].split(b"\r\n")]
    assert f"x-empty: {value}".strip().encode() in lines
    assert [line for line in lines if line.startswith(b"accept-encoding")] == [b"accept-encoding: identity"]
    assert b"content-type" not in server.requests[1].lower()


async def test_an_answer_leaves_nothing_for_the_next(engine: Engine, server: Server) -> None:
    await engine.send(get(server.url("/cookie")))
    await engine.send(get(server.url("/ok")))
    assert b"crumb" not in server.requests[1]
