"""Connections without HTTP, over loopback: what was agreed on, where the time went, and how each failure is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, ResolveError, StreamClosed, TlsError, TransportError
from probekit.model import RequestRecord
from probekit.transports.dial import Call, SocketDialer
from probekit.transports.tls import TlsOffer
from tests.support.pki import Issued, issue, leaf, server_context

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ROOT = issue("root")
BETWEEN = issue("between", ROOT)
SERVER = leaf(BETWEEN, "localhost", "127.0.0.1", days=-1)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def saying(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)

    return talk


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    inner: socket.socket = writer.get_extra_info("socket")
    inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.asynccontextmanager
async def serving(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SERVER.write(tmp_path_factory.mktemp("pki") / "server.pem", BETWEEN)


def call(
    port: int, *, tls: bool = True, alpn: tuple[str, ...] = (), ms: int = 5_000, host: str = "127.0.0.1", **more: Any
) -> Call:
    deadline_ns = SYSTEM_CLOCK.monotonic_ns() + ms * 1_000_000
    name = more.pop("server_name", "localhost")
    return Call(host, port, tls=TlsOffer(name, alpn) if tls else None, deadline_ns=deadline_ns, target="t", **more)


async def test_certificates_and_what_was_agreed_on_come_from_the_timed_connection(chain: Path) -> None:
    """An expired certificate of an authority that nobody knows: it is read all the same."""
    context = server_context(chain)
    context.set_alpn_protocols(["h2"])
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, of: names.append(name)
    records: list[RequestRecord] = []
    async with serving(silent, context) as port:
        wire = await SocketDialer(observer=records.append).dial(call(port, alpn=("h2", "http/1.1")))
        wire.close()
    assert wire.agreed is not None
    assert wire.agreed.certificates == (SERVER.der, BETWEEN.der)
    assert (wire.agreed.protocol, wire.agreed.alpn) == ("TLSv1.3", "h2")
    assert wire.agreed.cipher.startswith("TLS_")
    assert names == ["localhost"]
    assert wire.peer_address == "127.0.0.1"
    phases = wire.phases
    assert phases.connect_ns
    assert phases.tls_ns
    assert (phases.resolve_ns or 0) + phases.connect_ns + phases.tls_ns <= wire.elapsed_ns
    [record] = records
    assert (record.url, record.error_type, record.target, record.family) == (f"tls://127.0.0.1:{port}", None, "t", "ipv4")
    assert (record.phases, record.peer_port, record.new_connection) == (phases, port, True)


async def test_an_address_is_no_server_name(chain: Path) -> None:
    context = server_context(chain)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, of: names.append(name)
    async with serving(silent, context) as port:
        wire = await SocketDialer().dial(call(port, server_name="127.0.0.1"))
        wire.close()
    assert names == [None]
    assert wire.agreed is not None
    assert wire.agreed.alpn is None


@pytest.mark.parametrize("version", ["TLSv1_1", "TLSv1_2"])
async def test_an_old_version_is_seen_and_not_refused(chain: Path, version: str) -> None:
    context = server_context(chain)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion[version]
    async with serving(silent, context) as port:
        wire = await SocketDialer().dial(call(port))
        wire.close()
    assert wire.agreed is not None
    assert wire.agreed.protocol == version.replace("_", ".")
    assert wire.agreed.certificates == (SERVER.der, BETWEEN.der)


@pytest.mark.parametrize("tls", [False, True])
async def test_what_is_sent_arrives_and_comes_back(chain: Path, tls: bool) -> None:
    blob = bytes(range(256)) * 4_096
    async with serving(echo, server_context(chain) if tls else None) as port:
        wire = await SocketDialer().dial(call(port, tls=tls))
        assert (wire.agreed is not None) is tls
        sending = asyncio.ensure_future(wire.send(blob))
        got = b""
        while len(got) < len(blob):
            got += await wire.receive()
        await sending
        assert got == blob
        wire.close()
        wire.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_the_end_is_empty_and_a_break_is_told(chain: Path, tls: bool) -> None:
    context = server_context(chain) if tls else None
    async with serving(saying(b"bye"), context) as port:
        wire = await SocketDialer().dial(call(port, tls=tls))
        await wire.send(b"x")
        assert await wire.receive() == b"bye"
        assert await wire.receive() == b""
        wire.close()
    async with serving(resets, context) as port:
        wire = await SocketDialer().dial(call(port, tls=tls))
        await wire.send(b"x")
        if not tls:
            with pytest.raises(StreamClosed, match="broke"):
                await wire.receive()
        wire.close()


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (saying(b"\x15\x03\x03\x00\x02\x02\x28"), "the peer refused the TLS handshake: .*handshake failure"),
        (saying(b"\x15\x03\x01\x00\x02\x02\x46"), "the peer refused the TLS handshake: .*protocol version"),
        (saying(b"220 mail.example ESMTP\r\n"), "the peer does not speak TLS"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "the peer does not speak TLS"),
        (saying(b""), "the peer ended the connection within the TLS handshake"),
        (resets, "within the TLS handshake"),
    ],
)
async def test_a_handshake_that_fails_says_who_ended_it(talk: Talk, words: str) -> None:
    records: list[RequestRecord] = []
    async with serving(talk) as port:
        with pytest.raises(TlsError, match=words) as caught:
            await SocketDialer(observer=records.append).dial(call(port))
    assert caught.value.elapsed_ns
    assert caught.value.url == f"tls://127.0.0.1:{port}"
    [record] = records
    assert (record.error_type, bool(record.elapsed_ns), bool(record.phases.tls_ns)) == ("tls", True, True)


async def test_a_server_that_wants_a_certificate_of_ours_has_shown_its_own(chain: Path) -> None:
    context = server_context(chain, verify_mode=ssl.CERT_REQUIRED)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    async with serving(silent, context) as port:
        wire = await SocketDialer().dial(call(port))
        assert wire.agreed is not None
        assert wire.agreed.certificates[0] == SERVER.der
        wire.close()


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1: Connection refused") as caught:
        await SocketDialer().dial(call(port))
    assert caught.value.elapsed_ns
    with pytest.raises(ResolveError):
        await SocketDialer().dial(call(port, host="127.0.0.1", family="ipv6"))


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    records: list[RequestRecord] = []
    with pytest.raises(ResolveError, match=r"nobody\.example: Name or service not known"):
        await SocketDialer(observer=records.append).dial(call(1, host="nobody.example"))
    assert (records[0].error_type, records[0].phases.connect_ns) == ("resolve", None)


async def test_a_handshake_that_hangs_is_given_up_in_its_phase() -> None:
    records: list[RequestRecord] = []
    async with serving(silent) as port:
        with pytest.raises(DeadlineExceeded) as caught:
            await SocketDialer(observer=records.append).dial(call(port, ms=100))
    assert (caught.value.phase, caught.value.error_type) == ("tls", "deadline_tls")
    assert records[0].error_phase == "tls"
    assert 0.08e9 < records[0].elapsed_ns + (records[0].phases.queue_ns or 0) < 5e9


async def test_waiting_for_a_slot_is_no_time_of_the_peers() -> None:
    async with serving(silent) as port:
        dialer = SocketDialer(max_concurrency=1)
        first = asyncio.ensure_future(dialer.dial(call(port)))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded) as caught:
            await dialer.dial(call(port, ms=100))
        assert caught.value.phase == "queue"
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        # Its slot is free again.
        (await dialer.dial(call(port, tls=False))).close()


async def test_a_name_that_hangs_holds_up_nobody_else_and_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    real, answer, asked = socket.getaddrinfo, threading.Event(), list[str]()

    def slow(host: str, *args: Any, **more: Any) -> Any:
        asked.append(host)
        if host == "hangs.example":
            answer.wait(30)
            return real("127.0.0.1", *args, **more)
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with serving(silent) as port:
        dialer = SocketDialer()
        try:
            hanging = [dialer.dial(call(port, tls=False, host="hangs.example", ms=100)) for _ in range(40)]
            *late, wire = await asyncio.gather(
                *hanging, dialer.dial(call(port, tls=False, host="localhost")), return_exceptions=True
            )
            assert {error.error_type for error in late if isinstance(error, TransportError)} == {"deadline_resolve"}
            assert not isinstance(wire, BaseException)
            wire.close()
            assert asked.count("hangs.example") == 1
            waiting = asyncio.ensure_future(dialer.dial(call(port, tls=False, host="hangs.example")))
            await asyncio.sleep(0)
        finally:
            answer.set()
        # The look-up that was under way answers whoever waits by then; the next one asks anew.
        (await waiting).close()
        assert asked.count("hangs.example") == 1
        (await dialer.dial(call(port, tls=False, host="hangs.example"))).close()
        assert asked.count("hangs.example") == 2


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (leaf(BETWEEN, "localhost"), None),
        (leaf(BETWEEN, "127.0.0.1"), "Hostname mismatch"),
        (SERVER, "certificate has expired"),
        (leaf(issue("stranger"), "localhost"), "unable to get local issuer"),
    ],
)
async def test_a_certificate_that_must_hold(server: Issued, words: str | None, tmp_path: Path) -> None:
    """Then nothing is sent to whoever does not show it."""
    pem = server.write(tmp_path / "server.pem", BETWEEN)
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    offer = TlsOffer("localhost", ("h2",), True, str(tmp_path / "ca.pem"))
    context = server_context(pem)
    context.set_alpn_protocols(["h2"])
    async with serving(echo, context) as port:
        asked = Call("127.0.0.1", port, tls=offer, deadline_ns=SYSTEM_CLOCK.monotonic_ns() + 5_000_000_000)
        if words is not None:
            with pytest.raises(TlsError, match=f"the certificate does not hold: .*{words}"):
                await SocketDialer().dial(asked)
            return
        wire = await SocketDialer().dial(asked)
        assert wire.agreed is not None
        assert (wire.agreed.alpn, wire.agreed.certificates[0]) == ("h2", server.der)
        wire.close()


async def test_an_address_is_held_to_the_certificate_too(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    for name, held in (("127.0.0.1", True), ("localhost", False)):
        pem = leaf(BETWEEN, name).write(tmp_path / f"{name}.pem", BETWEEN)
        async with serving(echo, server_context(pem)) as port:
            asked = Call("127.0.0.1", port, tls=TlsOffer("127.0.0.1", (), True, str(tmp_path / "ca.pem")))
            if held:
                (await SocketDialer().dial(asked)).close()
            else:
                with pytest.raises(TlsError, match="does not hold"):
                    await SocketDialer().dial(asked)


async def test_authorities_that_are_not_there_are_wrong_here(tmp_path: Path) -> None:
    asked = Call("127.0.0.1", 1, tls=TlsOffer("localhost", (), True, str(tmp_path / "none.pem")))
    with pytest.raises(ConfigError, match="no file that can be read"):
        await SocketDialer().dial(asked)
