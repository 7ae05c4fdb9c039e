"""A process that searches texts for regular expressions, and is ended where that takes too long: nothing else stops Python's
engine. What may be slow is known beforehand (:func:`~probekit.model.pattern.may_be_slow`); nothing else comes here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from typing import AnyStr, Final, Self

from probekit.model.pattern import PatternSlow, Searched, checksum

LIMIT_S: Final = 0.1
"""Of the processor's time, whatever else the machine does."""

PATIENCE_S: Final = 3.0
"""From being asked to being given up, the searches before it included."""

_FOUND: Final = 1_024
_ASKED: Final = struct.Struct("!?II")
_TOLD: Final = struct.Struct("!ii")
# The kernel's timer counts the processor's time, and its signal ends a process that does nothing about it.
_PROGRAM: Final = f"""
import re, signal, struct, sys
signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
while head := sys.stdin.buffer.read({_ASKED.size}):
    text, *sizes = struct.unpack("{_ASKED.format}", head)
    pair = [sys.stdin.buffer.read(size) for size in sizes]
    pair = [one.decode("utf-8", "surrogatepass") for one in pair] if text else pair
    signal.setitimer(signal.ITIMER_VIRTUAL, {LIMIT_S})
    found = re.search(*pair)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    sys.stdout.buffer.write(struct.pack("{_TOLD.format}", *((-1, -1) if found is None else found.span())))
    sys.stdout.buffer.flush()
"""


class Matcher:
    """Searches, one at a time, in a process that is started with the first of them. To be closed on the loop it was used on."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def search(self, pattern: str, text: str) -> Searched:
        """What ``pattern`` finds in ``text``; ``slow`` where :meth:`span` raises."""
        crc = checksum(text)
        try:
            span = await self.span(pattern, text)
        except PatternSlow:
            return Searched(pattern, crc, slow=True)
        return Searched(pattern, crc, None if span is None else text[span[0] : min(span[1], span[0] + _FOUND)])

    async def span(self, pattern: AnyStr, text: AnyStr) -> tuple[int, int] | None:
        """Where ``pattern`` is found first, ``None`` where it is not. Raises ``PatternSlow`` where that took too long, or there
        was no process to be had for it.
        """
        try:
            async with asyncio.timeout(PATIENCE_S), self._turn:
                span = await self._asked(isinstance(text, str), [_bytes(pattern), _bytes(text)])
        except (TimeoutError, OSError):
            raise PatternSlow(pattern) from None
        return None if span[0] < 0 else span

    async def _asked(self, text: bool, parts: list[bytes]) -> tuple[int, int]:
        loop, told = asyncio.get_running_loop(), b""
        try:
            ours = self._ours()
            await loop.sock_sendall(ours, b"".join((_ASKED.pack(text, *map(len, parts)), *parts)))
            while len(told) < _TOLD.size:
                more = await loop.sock_recv(ours, _TOLD.size - len(told))
                if not more:
                    raise ConnectionError("it has ended")
                told += more
        except BaseException:
            # What it says next would be taken for the answer to another question.
            self._end()
            raise
        first, last = _TOLD.unpack(told)
        return first, last

    def _ours(self) -> socket.socket:
        """Our end of the line to the process, which is started where there is none."""
        if self._socket is None:
            ours, theirs = socket.socketpair()
            try:
                command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
                with theirs:
                    # Our own interpreter with our own program; what others wrote goes through the socket.
                    self._process = subprocess.Popen(  # noqa: S603
                        command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
                    )
            except BaseException:
                ours.close()
                raise
            ours.setblocking(False)
            self._socket = ours
        return self._socket

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()


def _bytes(one: str | bytes) -> bytes:
    return one.encode("utf-8", "surrogatepass") if isinstance(one, str) else one
