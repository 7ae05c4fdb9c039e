"""What every engine owes: one attempt, bounded in time and size, its failures in our words, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import trustme

from probekit.clock import SYSTEM_CLOCK
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.errors import (
    BodyTooLarge,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    ProtocolError,
    ResolveError,
    StreamClosed,
    TlsError,
)
from probekit.secret import Secret
from probekit.transports.base import Engine, Limits, Request
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from probekit.transports.sse import Arrived, EventStream
from tests.contract.transports.attempts import Make, S, failure, get, read, until
from tests.contract.transports.server import Server, flood_text, proxying, serving


async def test_an_answer_with_its_phases(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/ok")))
    assert (response.status, response.body, response.header("x-one")) == (200, b"hello", "1")
    assert response.http_version == "1.1"
    assert (response.peer_address, response.peer_port) == ("127.0.0.1", server.port)
    assert response.new_connection is True
    phases = response.phases
    for name in ("queue", "resolve", "connect", "tls", "first_byte", "transfer"):
        value = getattr(phases, f"{name}_ns")
        if name == "tls":
            assert value is None, "there was no TLS, so it has no time"
        elif name in engine.capabilities.phases:
            assert value is not None
            assert value >= 0
        else:
            assert value is None, "what an engine cannot know is not 0"
    assert 0 < response.elapsed_ns < 5 * S
    assert response.started_at < response.received_at


async def test_each_attempt_is_one_request_on_the_wire(engine: Engine, server: Server) -> None:
    error = await failure(engine, get(server.url("/closing")))
    assert isinstance(error, ConnectError)
    assert len(server.requests) == 1


async def test_statuses_pass_through(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/503")))
    assert (response.status, response.header("retry-after")) == (503, "7")


async def test_redirects_only_as_far_as_asked(engine: Engine, server: Server) -> None:
    assert (await engine.send(get(server.url("/redirect")))).status == 302
    assert (await engine.send(get(server.url("/redirect"), max_redirects=1))).body == b"hello"


async def test_bodies_are_decompressed_within_their_limit(engine: Engine, server: Server) -> None:
    assert (await engine.send(get(server.url("/gzip")))).body == b"squeezed"
    limits = Limits(max_body_bytes=1_000_000)
    for path in ("/bomb", "/endless"):
        error = await failure(engine, get(server.url(path), limits=limits))
        assert isinstance(error, BodyTooLarge)
        assert error.limit_bytes == 1_000_000
    assert (await engine.send(get(server.url("/ok"), limits=Limits(max_body_bytes=5)))).body == b"hello"


@pytest.mark.parametrize("path", ["/garbage", "/brotli", "/cutgzip"])
async def test_what_is_not_http_or_not_decodable(engine: Engine, server: Server, path: str) -> None:
    assert isinstance(await failure(engine, get(server.url(path))), ProtocolError)


async def test_a_body_that_breaks_off_is_an_error(engine: Engine, server: Server) -> None:
    assert isinstance(await failure(engine, get(server.url("/short"))), ProtocolError | ConnectError)


async def test_headers_are_limited(engine: Engine, server: Server) -> None:
    assert isinstance(await failure(engine, get(server.url("/headers"))), HeadersTooLarge)


@pytest.mark.parametrize(("path", "phase"), [("/silent", "first_byte"), ("/dripping", "transfer")])
async def test_one_deadline_covers_everything_and_names_its_phase(
    engine: Engine, server: Server, path: str, phase: str
) -> None:
    await engine.send(get(server.url("/ok")))  # reading the authorities, once, is no time of a request's
    error = await failure(engine, get(server.url(path), 0.3))
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == phase
    assert error.elapsed_ns is not None
    assert 0.25 * S < error.elapsed_ns < 2 * S


async def test_nobody_there(engine: Engine) -> None:
    assert isinstance(await failure(engine, get("http://127.0.0.1:9/")), ConnectError)
    assert isinstance(await failure(engine, get("http://no-such-host.invalid/")), ResolveError)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/", "file:///etc/hostname", "gopher://x/", "notaurl", "", "http://", "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/", "http://[::1/", "http://127.0.0.1:9/\u00e9", "http://127.0.0.1:9/ x", "http://127.0.0.1:9/\x00",
    ],
)  # fmt: skip
async def test_http_and_https_only(engine: Engine, url: str) -> None:
    assert isinstance(await failure(engine, get(url)), ProtocolError)


@pytest.mark.parametrize(
    "header",
    [("x", "a\r\ny: b"), ("x", "a\ny"), ("x", "\u00e9"), ("x\r\ny", "b"), ("x y", "b"), ("", "b"), ("x", Secret("k\r\ny: b"))],
)
async def test_a_header_that_http_does_not_carry_is_refused_unseen(engine: Engine, server: Server, header: Any) -> None:
    error = await failure(engine, replace(get(server.url("/ok")), headers=(header,)))
    assert isinstance(error, ProtocolError)
    assert "y: b" not in str(error)
    assert server.requests == []


async def test_requests_that_cannot_be_sent_take_no_place(make: Make, server: Server) -> None:
    """An engine that may do two things at once does a hundred that are refused, and then one that is not."""
    engine = make(max_concurrency=2) if make is not HttpxTransport else make()
    for _ in range(100):
        await failure(engine, replace(get(server.url("/ok")), headers=(("x", "a\nb"),)))
        await failure(engine, get("http://127.0.0.1:99999/"))
    assert (await engine.send(get(server.url("/ok"), 2))).status == 200
    await engine.aclose()


async def test_proxies_of_the_environment_are_ignored(make: Make, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    engine = make()
    assert (await engine.send(get(server.url("/ok")))).status == 200
    await engine.aclose()
    trusting = make(trust_env=True)
    await failure(trusting, get(server.url("/ok")))
    await trusting.aclose()


async def test_secrets_go_on_the_wire_and_nowhere_else(engine: Engine, server: Server) -> None:
    secret = Secret("Bearer c4nary-0123456789")
    request = get(server.url("/closing?ACCESS_TOKEN=t0ken-abcdef"), headers=(("authorization", secret),))
    error = await failure(engine, request)
    assert b"c4nary-0123456789" in server.requests[0]
    for text in (str(error), repr(error), str(vars(error)), repr(request.headers), request.shown_url):
        assert "c4nary" not in text
        assert "t0ken" not in text


async def test_a_cancelled_send_leaves_nothing(engine: Engine, server: Server) -> None:
    await engine.send(get(server.url("/ok")))
    before = len(os.listdir("/proc/self/fd"))
    tasks = [asyncio.ensure_future(engine.send(get(server.url("/silent"), 30))) for _ in range(5)]
    await until(lambda: len(server.requests) == 6)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: server.open == 0)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and "send" in repr(task)] == []


# -- streams -----------------------------------------------------------------------------------------------------------------


async def test_a_stream_comes_as_it_is_sent(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/events"), stream=True))
    assert response.header("content-type") == "text/event-stream"
    assert response.phases.first_byte_ns
    assert response.phases.transfer_ns is None, "it goes on, and is not 0"
    assert await read(response) == b"data:0\n\ndata:1\n\ndata:2\n\n"
    await response.aclose()
    await response.aclose()


async def test_a_reader_that_rests_holds_up_the_server_and_loses_nothing(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/flood"), stream=True))
    assert response.chunks is not None
    found = await anext(response.chunks)
    # Long enough for megabytes to pile up, were they taken.
    await asyncio.sleep(0.2)
    assert found + await read(response) == flood_text()
    await response.aclose()


async def test_a_stream_that_breaks_says_so(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/broken"), stream=True))
    with pytest.raises(StreamClosed):
        await read(response)
    await response.aclose()


async def test_a_stream_left_early_is_closed_at_the_server_too(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/held"), stream=True))
    assert response.chunks is not None
    await anext(response.chunks)
    assert server.open == 1
    await response.aclose()
    await until(lambda: server.open == 0)


async def test_a_streams_headers_have_a_deadline(engine: Engine, server: Server) -> None:
    assert isinstance(await failure(engine, get(server.url("/silent"), 0.2, stream=True)), DeadlineExceeded)


# -- TLS ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_is_verified_and_timed(make: Make, authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with serving(server_context(authority, "127.0.0.1")) as server:
        engine = make(ca_file=str(ca_file))
        response = await engine.send(get(server.url("/ok")))
        assert response.body == b"hello"
        assert response.phases.tls_ns is not None
        assert response.phases.tls_ns > 0
        await engine.aclose()
        strange = make()
        assert isinstance(await failure(strange, get(server.url("/ok"))), TlsError)
        await strange.aclose()
    async with serving(server_context(authority, "other.example")) as server:
        engine = make(ca_file=str(ca_file))
        assert isinstance(await failure(engine, get(server.url("/ok"))), TlsError)
        await engine.aclose()


@pytest.mark.parametrize("group", ["X25519", "prime256v1", "secp384r1", "secp521r1"])
async def test_tls_by_each_usual_key_exchange(make: Make, authority: trustme.CA, tmp_path: Path, group: str) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = server_context(authority, "127.0.0.1")
    context.set_ecdh_curve(group)
    async with serving(context) as server:
        engine = make(ca_file=str(ca_file))
        assert (await engine.send(get(server.url("/ok")))).body == b"hello"
        await engine.aclose()


async def test_tls_with_a_server_that_has_none(engine: Engine, server: Server) -> None:
    error = await failure(engine, get(server.url("/ok").replace("http:", "https:")))
    assert isinstance(error, TlsError | ConnectError | ProtocolError)


# -- what is particular ------------------------------------------------------------------------------------------------------


async def test_httpx_looks_for_no_module_while_it_asks(server: Server) -> None:
    """httpcore asks for one that need not be there, several times for each request: a third of its CPU."""
    looked_for: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            looked_for.append(name)

    engine = HttpxTransport()
    await engine.send(get(server.url("/ok")))
    sys.meta_path.insert(0, cast("Any", Finder))
    try:
        await engine.send(get(server.url("/ok")))
    finally:
        sys.meta_path.remove(cast("Any", Finder))
    await engine.aclose()
    assert looked_for == []


async def test_httpx_keeps_connections_and_says_so() -> None:
    engine = HttpxTransport()
    assert not engine.capabilities.fresh_connections
    with serve_in_thread(Sandbox(SandboxNetwork(feeds=1))) as url:
        answers = [await engine.send(get(f"{url}/live")) for _ in range(3)]
        await engine.aclose()
    assert [answer.new_connection for answer in answers] == [True, False, False]


async def test_a_callers_own_client_is_used_and_left_open(server: Server) -> None:
    async with httpx.AsyncClient(headers={"x-mine": "yes"}) as client:
        engine = HttpxTransport(client=client)
        assert (await engine.send(get(server.url("/ok")))).status == 200
        await engine.aclose()
        assert not client.is_closed
    assert b"x-mine: yes" in server.requests[0].lower()


async def test_curl_takes_a_fresh_connection_each_time(server: Server) -> None:
    engine = CurlTransport()
    assert engine.capabilities.fresh_connections
    for _ in range(3):
        assert (await engine.send(get(server.url("/ok")))).new_connection
    await engine.aclose()


async def test_curl_keeps_queue_time_apart(server: Server) -> None:
    engine = CurlTransport(max_concurrency=1)
    first = asyncio.ensure_future(engine.send(get(server.url("/dripping"), 0.3)))
    await until(lambda: len(server.requests) == 1)
    late = await failure(engine, get(server.url("/ok"), 0.05))
    assert isinstance(late, DeadlineExceeded)
    assert late.phase == "queue"
    response = await engine.send(get(server.url("/ok")))
    assert response.phases.queue_ns is not None
    assert response.phases.queue_ns > 0.1 * S
    assert response.elapsed_ns < 0.1 * S
    await asyncio.gather(first, return_exceptions=True)
    await engine.aclose()


async def test_curl_sends_a_body_and_a_head(server: Server) -> None:
    engine = CurlTransport()
    deadline = time.monotonic_ns() + 5 * S
    await engine.send(Request("POST", server.url("/ok"), body=b"{}", deadline_ns=deadline))
    await engine.send(Request("HEAD", server.url("/ok"), deadline_ns=deadline))
    assert [request.split(b" ")[0] for request in server.requests] == [b"POST", b"HEAD"]
    await engine.aclose()


async def test_curl_without_a_deadline(server: Server) -> None:
    engine = CurlTransport()
    assert (await engine.send(Request("GET", server.url("/ok")))).status == 200
    await engine.aclose()
    await engine.aclose()


async def test_an_error_in_hand_colours_no_other(engine: Engine, server: Server) -> None:
    """Whoever tries again from within an except clause is told what went wrong this time."""
    for earlier in (ssl.SSLError("before"), socket.gaierror("before")):
        for url in ("http://127.0.0.1:9/", server.url("/closing")):
            try:
                raise earlier
            except OSError:
                error = await failure(engine, get(url))
            assert type(error) is ConnectError


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", ".example", "a." * 130 + "example"])
async def test_a_name_that_no_resolver_takes(engine: Engine, host: str) -> None:
    assert isinstance(await failure(engine, get(f"http://{host}/")), ProtocolError)


async def test_a_callers_own_client_has_the_requests_deadline(server: Server) -> None:
    async with httpx.AsyncClient(timeout=0.1, trust_env=False) as client:
        engine = HttpxTransport(client=client)
        stream = await engine.send(get(server.url("/late"), 5, stream=True))
        assert await read(stream) == b"late"
        await stream.aclose()
        assert (await engine.send(get(server.url("/late"), 5))).body == b"late"


async def test_a_tunnel_through_a_proxy_is_no_answer(make: Make, authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with serving(server_context(authority, "127.0.0.1")) as server, proxying() as proxy:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("no_proxy", "NO_PROXY"):
                patch.delenv(name, raising=False)
            for name in ("https_proxy", "HTTPS_PROXY"):
                patch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            engine = make(ca_file=str(ca_file), trust_env=True)
            response = await engine.send(get(server.url("/events"), stream=True))
            assert response.header("x-proxy") is None
            assert response.header("content-type") == "text/event-stream"
            assert await read(response) == b"data:0\n\ndata:1\n\ndata:2\n\n"
            await response.aclose()
            await engine.aclose()
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")


async def test_an_event_stream_over_it_is_left_without_a_trace(engine: Engine, server: Server) -> None:
    """The keeper, reader and watchdog of a stream, and its connection, go with whoever consumed it."""
    before = {task for task in asyncio.all_tasks() if "serving" not in repr(task)}

    async def request() -> Request:
        return Request("GET", server.url("/held"), stream=True)

    stream = EventStream(engine, request, clock=SYSTEM_CLOCK)
    seen: list[bytes] = []
    async with aclosing(stream.items()) as items:
        async for item in items:
            if isinstance(item, Arrived):
                seen.append(item.event.data)
            if len(seen) == 3:
                break
    assert seen == [b"0", b"1", b"2"]
    await until(lambda: server.open == 0)
    assert {task for task in asyncio.all_tasks() if "serving" not in repr(task)} == before


async def test_a_family_of_addresses_and_no_other(server: Server) -> None:
    engine = CurlTransport()
    port = server.port
    response = await engine.send(get(f"http://localhost:{port}/ok", family="ipv4"))
    assert response.peer_address == "127.0.0.1"
    error = await failure(engine, get(f"http://localhost:{port}/ok", family="ipv6"))
    assert isinstance(error, ConnectError | ResolveError)
    assert len(server.requests) == 1
    response = await engine.send(get(server.url("/ok"), family="ipv6"))
    assert response.peer_address == "127.0.0.1", "an address is of its own family"
    await engine.aclose()


@pytest.mark.parametrize("choice", [{"family": "ipv4"}, {"http_version": "2"}])
async def test_an_engine_that_cannot_choose_refuses(server: Server, choice: dict[str, Any]) -> None:
    """Rather than measure something else than what was asked for."""
    engine = HttpxTransport()
    assert isinstance(await failure(engine, get(server.url("/ok"), **choice)), ProtocolError)
    assert server.requests == []
    await engine.aclose()
