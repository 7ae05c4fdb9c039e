"""Mail servers on loopback: Postfix's own sink, and one that greets in several lines as its postscreen does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.support.debian import environment, program
from tests.support.nginx import free_ports


@contextmanager
def smtp_sink() -> Iterator[int]:
    """The port of Postfix's ``smtp-sink``, which speaks ESMTP and keeps nothing, until the end.

    Raises :class:`~tests.support.debian.Unavailable` where there is no Postfix.
    """
    path = program("smtp-sink", "postfix")
    (port,) = free_ports(1)
    command = [str(path), *(("-u", "nobody") if os.geteuid() == 0 else ()), "-h", "mail.example.org", f"127.0.0.1:{port}", "16"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(path))
    assert process.stderr is not None
    try:
        due_s = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, f"smtp-sink ended: {process.stderr.read()!r}"
            assert time.monotonic() < due_s, "smtp-sink does not accept"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@asynccontextmanager
async def smtp_server(*greeting: bytes, extensions: tuple[bytes, ...] = (b"SIZE 1000", b"HELP")) -> AsyncIterator[int]:
    """The port of a server of RFC 5321's replies: code and ``-`` before each line but the last, code and blank before that.

    The lines of the greeting come in pieces of their own, as those of a server do that makes its clients wait.
    """

    async def reply(writer: asyncio.StreamWriter, code: bytes, *lines: bytes) -> None:
        for number, line in enumerate(lines, 1):
            writer.write(code + (b" " if number == len(lines) else b"-") + line + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reply(writer, b"220", *greeting)
            while line := await reader.readline():
                verb = line.strip().upper().partition(b" ")[0]
                if verb == b"QUIT":
                    await reply(writer, b"221", b"2.0.0 Bye")
                    break
                if verb == b"EHLO":
                    await reply(writer, b"250", b"mail.example.org", *extensions)
                else:
                    await reply(writer, b"502", b"5.5.2 Error: command not recognized")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
