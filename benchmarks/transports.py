"""What the wire costs: ingest of a stream against httpx-sse on httpx, and the measuring engine against a blocking socket.

Servers run in processes of their own, so that their work is not counted.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gzip
import json
import multiprocessing
import shutil
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import trustme
import uvloop

from benchmarks.hermes_decode import answer
from benchmarks.row import Row
from probekit.clock import SYSTEM_CLOCK
from probekit.codecs.hermes import decode_prices
from probekit.codecs.sse import encode
from probekit.transports.authorities import system_ca_file
from probekit.transports.base import Engine, Request
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from probekit.transports.sse import Arrived, EventStream, StreamPolicy

EVENTS = 60
RATE = 200
PROBES = 500


# -- servers -----------------------------------------------------------------------------------------------------------------


def _serve_events(listener: socket.socket, packed: bytes) -> None:
    event = encode(gzip.decompress(packed))
    chunk = f"{len(event):x}\r\n".encode() + event + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), connection:
            connection.recv(65_536)
            connection.sendall(head)
            for _ in range(EVENTS + 5):
                connection.sendall(chunk)
            connection.sendall(b"0\r\n\r\n")


def _serve_small(listener: socket.socket, certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.num_tickets = 0
    body = b'{"jsonrpc":"2.0","id":1,"result":"0x1"}' * 4
    reply = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body

    def answer_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            secured: socket.socket = connection if context is None else context.wrap_socket(connection, server_side=True)
            with secured:
                secured.recv(65_536)
                secured.sendall(reply)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer_one, args=(connection,), daemon=True).start()


@contextlib.contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[int]:
    """A server process on a loopback port."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        worker = multiprocessing.get_context("fork").Process(target=target, args=(listener, *arguments), daemon=True)
        worker.start()
        try:
            yield listener.getsockname()[1]
        finally:
            worker.kill()
            worker.join()


# -- streams -----------------------------------------------------------------------------------------------------------------


async def _ours(url: str, engine: Engine) -> float:
    async def request() -> Request:
        return Request("GET", url, stream=True)

    stream = EventStream(engine, request, clock=SYSTEM_CLOCK, policy=StreamPolicy(queue=10_000))
    seen, began = 0, 0.0
    async with contextlib.aclosing(stream.items()) as items:
        async for item in items:
            if not isinstance(item, Arrived):
                continue
            decode_prices(item.event.data)
            seen += 1
            if seen == 5:
                began = time.process_time()
            if seen == EVENTS:
                break
    spent = time.process_time() - began
    await engine.aclose()
    return spent / (EVENTS - 5) * 1000


async def _theirs(url: str) -> float:
    seen, began = 0, 0.0
    async with httpx.AsyncClient(trust_env=False) as client, httpx_sse.aconnect_sse(client, "GET", url) as source:
        async for event in source.aiter_sse():
            json.loads(event.data)
            seen += 1
            if seen == 5:
                began = time.process_time()
            if seen == EVENTS:
                return (time.process_time() - began) / (EVENTS - 5) * 1000
    raise AssertionError("the stream ended early")


def stream_rows() -> list[Row]:
    """CPU per 500-feed event, decoded."""
    packed = gzip.compress(answer()[0], 1)

    def over(work: Callable[[str], Any]) -> Callable[[], float]:
        def measure() -> float:
            with process(_serve_events, packed) as port:
                return float(asyncio.run(work(f"http://127.0.0.1:{port}/")))

        return measure

    theirs = over(_theirs)
    made: list[Row] = []
    for name, target, engine in (
        ("ingest a 500-feed stream", 3.0, CurlTransport),
        # What HermesClient does unless it is told otherwise; what is asked for is asked of the leaner engine.
        ("ingest a 500-feed stream, on httpx too", None, HttpxTransport),
    ):
        made.append(
            {
                "name": name,
                "ours": over(lambda url, engine=engine: _ours(url, engine())),  # type: ignore[misc]
                "peer": theirs,
                "peer_name": "httpx-sse on httpx",
                "target": target,
                "unit": "ms CPU",
                "measured": True,
                "runs": 5,
            }
        )
    return made


# -- fresh connections -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _certificates() -> tuple[str, str, str]:
    """A server's certificate, its CA alone, and its CA within the whole system bundle."""
    folder = Path(tempfile.mkdtemp(prefix="probekit-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issued = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    system = system_ca_file()
    everything = (Path(system).read_bytes() if system else b"") + b"\n" + authority.cert_pem.bytes()
    (folder / "bundle.pem").write_bytes(everything)
    return str(folder / "server.pem"), str(folder / "ca.pem"), str(folder / "bundle.pem")


def blocking_once(port: int, context: ssl.SSLContext | None) -> float:
    """A blocking socket: connect, handshake, one request, the whole answer; in seconds."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")
        secured.sendall(request)
        while secured.recv(65_536):
            pass
        spent = time.perf_counter() - began
        secured.close()
    return spent


async def excess_ms(port: int, ca_file: str | None) -> float:
    """Median of the engine, by its own report, less the median of the blocking socket.

    Every ``1 / RATE`` seconds each side makes one fresh connection, one after the other and in turn the first, so that whatever
    the machine does happens to both.
    """
    context = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
    engine = CurlTransport(ca_file=ca_file)
    url = f"{'http' if ca_file is None else 'https'}://127.0.0.1:{port}/"
    ours: list[float] = []
    peers: list[float] = []
    due = time.perf_counter()
    for number in range(PROBES + 10):
        due += 1 / RATE
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        for side in (number % 2, 1 - number % 2):
            if side:
                ours.append((await engine.send(Request("GET", url))).elapsed_ns / 1e9)
            else:
                peers.append(blocking_once(port, context))
    await engine.aclose()
    return (statistics.median(ours[10:]) - statistics.median(peers[10:])) * 1000


def connection_rows() -> list[Row]:
    """How far above a blocking socket the engine's median lies, against the 0.2 ms allowed; on uvloop, as probes run."""

    def excess(tls: bool, ca_file: str | None) -> Callable[[], float]:
        def measure() -> float:
            with (
                process(_serve_small, _certificates()[0] if tls else None) as port,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                return max(runner.run(excess_ms(port, ca_file)), 0.001)

        return measure

    def row(name: str, tls: bool, ca_file: str | None) -> Row:
        return {
            "name": name,
            "ours": excess(tls, ca_file),
            "peer": lambda: 0.2,
            "peer_name": "0.2 ms above a blocking socket",
            "target": 1.0,
            "unit": "ms",
            "measured": True,
            "runs": 3,
        }

    _, one_ca, bundle = _certificates()
    return [
        row("fresh connections at 200/s, HTTP", tls=False, ca_file=None),
        row("fresh connections at 200/s, TLS", tls=True, ca_file=one_ca),
        row("fresh connections at 200/s, TLS with every system CA", tls=True, ca_file=bundle),
    ]


def rows() -> list[Row]:
    """All rows of the wire."""
    return [*stream_rows(), *connection_rows()]
