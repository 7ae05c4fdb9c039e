"""The measuring engine over HTTP/2, against a server that speaks it. (HTTP/3 has no server among the development tools.)"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from probekit.errors import (
    BodyTooLarge,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    ProtocolError,
    TransportError,
)
from probekit.transports import curl
from probekit.transports.base import Limits
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from tests.contract.transports.attempts import failure, get, read, until
from tests.contract.transports.h2server import serving_h2
from tests.contract.transports.server import Server, serving

pytestmark = pytest.mark.skipif("2" not in curl._spoken(), reason="this libcurl was built without HTTP/2")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
async def h2(authority: trustme.CA) -> AsyncIterator[Server]:
    async with serving_h2(certified(authority)) as server:
        yield server


@pytest.fixture
async def engine(ca_file: str) -> AsyncIterator[CurlTransport]:
    made = CurlTransport(ca_file=ca_file, http_version="2")
    yield made
    await made.aclose()


async def test_an_answer_with_its_phases(engine: CurlTransport, h2: Server) -> None:
    response = await engine.send(get(h2.url("/ok")))
    assert (response.status, response.body, response.header("x-one")) == (200, b"hello", "1")
    assert response.http_version == "2"
    phases = response.phases
    parts = (phases.resolve_ns, phases.connect_ns, phases.tls_ns, phases.first_byte_ns, phases.transfer_ns)
    assert all(part is not None and part >= 0 for part in parts)
    assert phases.tls_ns
    assert sum(part or 0 for part in parts) <= response.elapsed_ns


async def test_each_attempt_has_a_connection_of_its_own(engine: CurlTransport, h2: Server) -> None:
    """Not one shared by streams: the handshake is what is measured."""
    responses = await asyncio.gather(*(engine.send(get(h2.url("/ok"))) for _ in range(8)))
    assert all(response.new_connection and response.phases.tls_ns for response in responses)
    await until(lambda: h2.open == 0)


async def test_bodies_headers_and_trailers(engine: CurlTransport, h2: Server) -> None:
    assert (await engine.send(get(h2.url("/gzip")))).body == b"squeezed"
    assert len((await engine.send(get(h2.url("/large")))).body) == 3_000_000
    trailed = await engine.send(get(h2.url("/trailed")))
    assert (trailed.body, trailed.header("x-late")) == (b"hello", None)
    assert isinstance(await failure(engine, get(h2.url("/large"), limits=Limits(max_body_bytes=1_000))), BodyTooLarge)
    assert isinstance(await failure(engine, get(h2.url("/headers"))), HeadersTooLarge)


async def test_what_breaks(engine: CurlTransport, h2: Server) -> None:
    assert isinstance(await failure(engine, get(h2.url("/reset"))), ProtocolError)
    assert isinstance(await failure(engine, get(h2.url("/goodbye"))), ProtocolError | ConnectError)
    late = await failure(engine, get(h2.url("/silent"), 0.3))
    assert isinstance(late, DeadlineExceeded)
    assert late.phase == "first_byte"
    await until(lambda: h2.open == 0)


async def test_a_stream(engine: CurlTransport, h2: Server) -> None:
    response = await engine.send(get(h2.url("/events"), stream=True))
    assert (response.http_version, response.header("content-type")) == ("2", "text/event-stream")
    assert await read(response) == b"data:0\n\ndata:1\n\ndata:2\n\n"
    await response.aclose()
    await until(lambda: h2.open == 0)


async def test_a_server_that_speaks_the_older_one_only(engine: CurlTransport, authority: trustme.CA) -> None:
    async with serving(certified(authority)) as server:
        assert (await engine.send(get(server.url("/ok")))).http_version == "1.1"


async def test_one_that_was_not_asked_for_it(h2: Server, ca_file: str) -> None:
    """The default is what the typed clients speak; a server that speaks HTTP/2 alone is then an error."""
    plain = CurlTransport(ca_file=ca_file)
    assert isinstance(await failure(plain, get(h2.url("/ok"), 2)), TransportError)
    await plain.aclose()


async def test_a_request_names_its_own_version(h2: Server, ca_file: str) -> None:
    engine = CurlTransport(ca_file=ca_file)
    assert (await engine.send(get(h2.url("/ok"), http_version="2"))).http_version == "2"
    assert isinstance(await failure(engine, get(h2.url("/ok"), 2)), TransportError), "the engine's own choice is as before"
    await engine.aclose()


async def test_a_callers_own_client_may_speak_it(h2: Server, ca_file: str) -> None:
    async with httpx.AsyncClient(http2=True, trust_env=False, verify=ssl.create_default_context(cafile=ca_file)) as client:
        engine = HttpxTransport(client=client)
        response = await engine.send(get(h2.url("/gzip")))
        assert (response.http_version, response.body) == ("2", b"squeezed")
        assert response.phases.first_byte_ns
        assert response.phases.tls_ns
        hanging = [asyncio.ensure_future(engine.send(get(h2.url("/silent"), 30))) for _ in range(3)]
        await until(lambda: len(h2.requests) == 4)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        streams = await asyncio.gather(*(engine.send(get(h2.url("/events"), stream=True)) for _ in range(3)))
        for stream in streams:
            assert await read(stream) == b"data:0\n\ndata:1\n\ndata:2\n\n"
            await stream.aclose()
        assert isinstance(await failure(engine, get(h2.url("/reset"))), ProtocolError)
        late = await failure(engine, get(h2.url("/silent"), 0.2))
        assert isinstance(late, DeadlineExceeded)
    await until(lambda: h2.open == 0)


async def test_http3_finds_nobody_on_udp(h2: Server, ca_file: str) -> None:
    if "3" not in curl._spoken():
        pytest.skip("this libcurl was built without HTTP/3")
    engine = CurlTransport(ca_file=ca_file, http_version="3")
    error = await failure(engine, get(h2.url("/ok"), 2))
    assert isinstance(error, ConnectError | DeadlineExceeded)
    assert h2.requests == [], "HTTP/3 or nothing"
    await engine.aclose()


def test_a_version_that_this_libcurl_does_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curl, "_spoken", lambda: frozenset(("1.1",)))
    with pytest.raises(ConfigError, match=r"speaks HTTP 1\.1, not 2"):
        CurlTransport(http_version="2")
    assert CurlTransport().capabilities.http_versions == {"1.1"}


async def test_a_request_of_a_version_that_this_libcurl_does_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = CurlTransport()
    monkeypatch.setattr(curl, "_spoken", lambda: frozenset(("1.1",)))
    error = await failure(engine, get("https://127.0.0.1:9/", http_version="3"))
    assert isinstance(error, ProtocolError)
    assert "does not speak HTTP 3" in error.message
    await engine.aclose()
