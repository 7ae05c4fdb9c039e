"""A loopback server that misbehaves on demand: raw bytes, so that nothing well-meant is in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def plain(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Server:
    """What was asked, and where it listens."""

    port: int = 0
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    open: int = 0

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


async def _forever(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(0.02)


async def ok(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"hello", "200 OK", "x-one: 1"))


async def status_503(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"down", "503 Service Unavailable", "retry-after: 7"))


async def redirect(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"", "302 Found", "location: /ok"))


async def packed(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"squeezed"), "200 OK", "content-encoding: gzip"))


async def bomb(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"\0" * (32 << 20), 9), "200 OK", "content-encoding: gzip"))


async def cut_gzip(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"x" * 10_000)[:-12], "200 OK", "content-encoding: gzip"))


async def brotli(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"zzz", "200 OK", "content-encoding: br"))


async def two_members(request: bytes, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b"first,") + gzip.compress(b"") + gzip.compress(b"second")
    writer.write(plain(body, "200 OK", "content-encoding: gzip"))


async def gzip_and_more(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"first,") + b"what is this", "200 OK", "content-encoding: gzip"))


async def gzip_header_only(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"squeezed")[:10], "200 OK", "content-encoding: gzip"))


async def deflated(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(zlib.compress(b"squeezed"), "200 OK", "content-encoding: Deflate"))


async def deflated_raw(request: bytes, writer: asyncio.StreamWriter) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    writer.write(plain(packer.compress(b"squeezed") + packer.flush(), "200 OK", "content-encoding: deflate"))


async def twice_packed(request: bytes, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(gzip.compress(b"squeezed"))
    writer.write(plain(body, "200 OK", "content-encoding: gzip", "content-encoding: gzip"))


async def packed_by_two_names(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(gzip.compress(b"squeezed"), "200 OK", "content-encoding: identity, x-gzip"))


async def nothing_in_brotli(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"", "200 OK", "content-encoding: br"))


async def empty_members(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    part = gzip.compress(b"") * 3_000
    while not writer.is_closing():
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await writer.drain()


async def bomb_stream(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    data = gzip.compress(b"\0" * (64 << 20), 9)
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")


async def cookie(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"", "200 OK", "set-cookie: crumb=1; Path=/"))


async def trailed(request: bytes, writer: asyncio.StreamWriter) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n"
    writer.write(head + b"5\r\nhello\r\n0\r\nx-late: 1\r\n\r\n")


async def one_long_header(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-long: " + b"y" * 200_000 + b"\r\n\r\n")


async def interim(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + plain(b"hello", "200 OK", "x-one: 1"))


async def posing_as_status(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"hello", "200 OK", "x-one: 1", "HTTP/9 999: no status line"))


async def onward(request: bytes, writer: asyncio.StreamWriter) -> None:
    target = request.split(b" ", 2)[1].partition(b"?")[2].decode()
    writer.write(plain(b"not this", "302 Found", f"location: {target}"))


async def late(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.write(b"late")


def mutations(count: int) -> list[bytes]:
    """Answers with a few bytes flipped, cut or put in: the same every time."""
    chance = random.Random(11)
    squeezed = gzip.compress(b"squeezed" * 20)
    chunked = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (squeezed[:20], squeezed[20:], b""))
    whole = [
        plain(b"hello" * 9, "200 OK", "x-one: 1", "content-type: text/plain; charset=utf-8"),
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunked,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + plain(b"", "302 Found", "location: /ok?a=b"),
    ]
    made = []
    for number in range(count):
        answer = bytearray(whole[number % len(whole)])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(answer))
            match chance.randrange(3):
                case 0:
                    answer[at] ^= chance.randint(1, 255)
                case 1:
                    del answer[at : at + chance.randint(1, 30)]
                case _:
                    answer[at:at] = chance.choice((b"\r\n", b"\0", b"\xff", b":", b" ", b"9" * 30, b"HTTP/1.1 "))
        made.append(bytes(answer))
    return made


async def mutated(request: bytes, writer: asyncio.StreamWriter) -> None:
    number = int(request.split(b" ", 2)[1].partition(b"?")[2])
    writer.write(mutations(number + 1)[number])


async def round_and_round(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(b"", "307 Temporary Redirect", "location: /round"))


async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await writer.drain()


async def dripping(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await asyncio.sleep(0.05)


async def huge_headers(request: bytes, writer: asyncio.StreamWriter) -> None:
    filler = "".join(f"x-{i}: {'y' * 900}\r\n" for i in range(90))
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{filler}\r\n".encode())


async def garbage(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"NOTHTTP at all\r\n\r\n")


async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
    await _forever(writer)


async def closing(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def short(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")


async def events(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number in range(3):
        data = f"data:{number}\n\n".encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)
    if b"/broken" in request:
        writer.write(b"5\r\nda")
        return
    if b"/held" in request:
        await _forever(writer)
    writer.write(b"0\r\n\r\n")


def flood_text() -> bytes:
    """Eight MiB that hardly compress, the same every time."""
    return random.Random(7).randbytes(4 << 20).hex().encode()


async def flood(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
    data = gzip.compress(flood_text(), 1)
    for start in range(0, len(data), 1 << 16):
        part = data[start : start + (1 << 16)]
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")


ROUTES: dict[bytes, Handler] = {
    b"/ok": ok,
    b"/503": status_503,
    b"/redirect": redirect,
    b"/gzip": packed,
    b"/bomb": bomb,
    b"/cutgzip": cut_gzip,
    b"/brotli": brotli,
    b"/endless": endless,
    b"/dripping": dripping,
    b"/headers": huge_headers,
    b"/garbage": garbage,
    b"/silent": silent,
    b"/closing": closing,
    b"/short": short,
    b"/events": events,
    b"/broken": events,
    b"/held": events,
    b"/flood": flood,
    b"/members": two_members,
    b"/gzipmore": gzip_and_more,
    b"/gziphead": gzip_header_only,
    b"/deflate": deflated,
    b"/rawdeflate": deflated_raw,
    b"/twice": twice_packed,
    b"/twonames": packed_by_two_names,
    b"/nobrotli": nothing_in_brotli,
    b"/emptymembers": empty_members,
    b"/bombstream": bomb_stream,
    b"/cookie": cookie,
    b"/trailed": trailed,
    b"/longheader": one_long_header,
    b"/interim": interim,
    b"/posing": posing_as_status,
    b"/to": onward,
    b"/late": late,
    b"/mutated": mutated,
    b"/round": round_and_round,
}


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Listen on loopback; every connection takes one request."""
    server = Server(scheme="https" if context else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.open += 1
        try:
            first = await reader.readexactly(1)
            if first == b"\x16":
                # A TLS handshake where none is spoken.
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            head = first + await reader.readuntil(b"\r\n\r\n")
            server.requests.append(head)
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            answering = asyncio.ensure_future(ROUTES.get(path, closing)(head, writer))
            gone = asyncio.ensure_future(reader.read())
            # A client that hangs up ends its answer: what a test counts as open must really be.
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)
            if not writer.is_closing():
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            server.open -= 1
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context, limit=1 << 20)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


@asynccontextmanager
async def proxying() -> AsyncIterator[Server]:
    """A proxy that opens tunnels, and adds a header to saying so."""
    proxy = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        proxy.requests.append(head)
        host, _, port = head.split(b" ", 2)[1].decode().rpartition(":")
        onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\nx-proxy: here\r\n\r\n")
            await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))
        finally:
            onward_writer.close()
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
