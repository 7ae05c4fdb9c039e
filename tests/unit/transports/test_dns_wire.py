"""One exchange of DNS on loopback sockets, its deadline on a clock that the test turns."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import trustme

from probekit.clients import dns as client
from probekit.clock import SYSTEM_CLOCK
from probekit.errors import ConnectError, DeadlineExceeded, DecodeError, ProtocolError, TlsError
from probekit.model import Phases, RequestRecord
from probekit.model.dns import DnsQuestion
from probekit.testing import FakeClock
from probekit.transports import dns
from probekit.transports.dns import DnsReply, DnsServer, exchange
from tests.support.shifted import ShiftedClock

S = timedelta(seconds=1)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def due_ns() -> int:
    return SYSTEM_CLOCK.monotonic_ns() + 10 * 10**9


async def ask(server: DnsServer, query: bytes = b"query") -> Any:
    return await exchange(server, query, due_ns=due_ns(), clock=SYSTEM_CLOCK, ours=lambda data: data.startswith(b"ours"))


@asynccontextmanager
async def datagrams(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that sends these to whoever asks."""
    got: list[bytes] = []

    class Server(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            got.append(data)
            for one in answers:
                self.transport.sendto(one, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1], got
    finally:
        transport.close()


@asynccontextmanager
async def streams(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = int.from_bytes(await reader.readexactly(2), "big")
    asked = await reader.readexactly(size)
    whole = b"ours to " + asked
    for one in (len(whole).to_bytes(2, "big") + whole)[:5], whole[3:]:
        writer.write(one)
        await writer.drain()


async def test_over_udp_what_is_not_ours_is_passed_over() -> None:
    async with datagrams(b"forged", b"", b"ours", b"late") as (port, got):
        reply = await ask(DnsServer("127.0.0.1", port, "udp"))
    assert (reply.data, got) == (b"ours", [b"query"])
    assert reply.phases.first_byte_ns is not None
    assert reply.phases.connect_ns is None
    assert 0 < reply.phases.first_byte_ns <= reply.elapsed_ns


async def test_reading_authorities_is_no_time_of_an_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    authority, clock = trustme.CA(), ShiftedClock()
    served, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)

    def slowly() -> ssl.SSLContext:
        clock.shift_ns += 60 * 10**9
        return trusted

    monkeypatch.setattr(dns, "ssl_context", slowly)
    async with streams(in_pieces, served) as port:
        server, due = DnsServer("127.0.0.1", port, "tls"), clock.monotonic_ns() + 120 * 10**9
        reply = await exchange(server, b"query", due_ns=due, clock=clock, ours=lambda data: data.startswith(b"ours"))
    assert clock.shift_ns
    assert reply.elapsed_ns < 60 * 10**9
    assert max(filter(None, (reply.phases.connect_ns, reply.phases.tls_ns))) < 60 * 10**9


async def test_a_flood_of_others_is_given_up() -> None:
    async with datagrams(*[b"forged"] * 200) as (port, _):
        with pytest.raises(ProtocolError, match="64 messages that answer something else"):
            await ask(DnsServer("127.0.0.1", port, "udp"))


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_a_closed_port_is_told_at_once(over: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ConnectError, match=rf"{over}://127\.0\.0\.1:{port} cannot be asked: .*refused"):
        await ask(DnsServer("127.0.0.1", port, over))


async def test_over_tcp_a_message_has_its_length_however_it_comes() -> None:
    async with streams(in_pieces) as port:
        reply = await ask(DnsServer("127.0.0.1", port, "tcp"))
    assert reply.data == b"ours to query"
    phases = reply.phases
    assert None not in (phases.connect_ns, phases.first_byte_ns, phases.transfer_ns)
    assert phases.tls_ns is None


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x09ours"])
async def test_a_connection_that_ends_early(sent: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(7)
        writer.write(sent)

    async with streams(talk) as port:
        with pytest.raises(ConnectError, match="closed the connection"):
            await ask(DnsServer("127.0.0.1", port, "tcp"))


async def test_over_tcp_the_first_message_has_to_be_the_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(7)
        writer.write(b"\x00\x02no")

    async with streams(talk) as port:
        with pytest.raises(ProtocolError, match="something else than the answer: 6e6f"):
            await ask(DnsServer("127.0.0.1", port, "tcp"))


async def test_over_tls_the_certificate_names_the_server(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dns.test").configure_cert(context)
    async with streams(in_pieces, context) as port:
        reply = await ask(DnsServer("127.0.0.1", port, "tls", "dns.test"))
        assert reply.data == b"ours to query"
        assert reply.phases.tls_ns
        for wrong in (None, "other.test"):
            with pytest.raises(TlsError, match="mismatch"):
                await ask(DnsServer("127.0.0.1", port, "tls", wrong))

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x02no TLS here")
        await reader.read()

    async with streams(plain) as port:
        with pytest.raises(TlsError, match="no TLS with"):
            await ask(DnsServer("127.0.0.1", port, "tls", "dns.test"))


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
async def test_a_silent_server_is_given_up_at_the_deadline_with_its_phase(over: Any) -> None:
    clock = FakeClock()
    talking = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.set()
        await reader.read()

    async with datagrams() as (udp_port, got), streams(silent) as tcp_port:
        server = DnsServer("127.0.0.1", udp_port if over == "udp" else tcp_port, over)
        due = clock.monotonic_ns() + 3 * 10**9
        task = asyncio.ensure_future(exchange(server, b"query", due_ns=due, clock=clock, ours=lambda _: True))
        while not (got or talking.is_set()):
            await asyncio.sleep(0)
        await clock.advance(3 * S)
        with pytest.raises(DeadlineExceeded, match="did not answer in time") as caught:
            await task
    assert caught.value.phase in (
        ("tls",) if over == "tls" else ("first_byte", "connect") if over == "tcp" else ("first_byte",)
    )
    assert caught.value.elapsed_ns == 3 * 10**9


async def test_one_that_is_given_up_leaves_no_socket() -> None:
    async with datagrams() as (port, got):
        task = asyncio.ensure_future(ask(DnsServer("127.0.0.1", port, "udp")))
        while not got:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_how_a_server_is_written() -> None:
    assert str(DnsServer("2001:db8::1", 853, "tls")) == "tls://[2001:db8::1]:853"
    assert str(DnsServer("192.0.2.1", 53, "udp")) == "udp://192.0.2.1:53"


async def test_a_defect_of_ours_is_on_the_record_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> DnsReply:
        raise ZeroDivisionError

    monkeypatch.setattr(client, "exchange", broken)
    records: list[RequestRecord] = []
    with pytest.raises(ZeroDivisionError):
        await client.ask(
            DnsQuestion("pyth.network", "A"), DnsServer("192.0.2.1", 53, "udp"), due_ns=due_ns(), observer=records.append
        )
    assert [record.error_type for record in records] == ["internal"]


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff"])
async def test_an_answer_that_does_not_read_has_taken_its_time(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    async def answered(_: DnsServer, query: bytes, **__: object) -> DnsReply:
        return DnsReply(query[:2] + b"\x80" + data, 40, Phases())

    monkeypatch.setattr(client, "exchange", answered)
    with pytest.raises(DecodeError) as caught:
        await client.ask(DnsQuestion("pyth.network", "A"), DnsServer("192.0.2.1", 53, "udp"), due_ns=due_ns())
    assert caught.value.elapsed_ns == 40
