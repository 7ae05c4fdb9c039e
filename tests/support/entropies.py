"""A provider of random numbers with its hash chain, and the service that reveals them, in process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from probekit.clock import Clock
from probekit.codecs.keccak import keccak256
from probekit.testing import reply
from probekit.transports.base import Request, Response

LENGTH = 1_000
NOT_PENDING = (
    "The request with the given sequence number has not been made yet, or the random value has already been revealed on chain."
)
UNCONFIRMED = (
    "The request needs additional confirmations before the random value can be retrieved. Try your request again later."
)


def hash_chain(length: int = LENGTH) -> list[bytes]:
    """The numbers of a provider, by sequence: each is the hash of the next."""
    links = [keccak256(b"a provider's secret")]
    while len(links) < length:
        links.append(keccak256(links[-1]))
    return links[::-1]


class Service:
    """Fortuna for one chain. ``says`` is the body of a refusal for some numbers; ``lies`` about all of them."""

    def __init__(self, clock: Clock, links: list[bytes], *, chain: str = "mine") -> None:
        self.clock, self.links, self.chain = clock, links, chain
        self.says: dict[int, str] = {}
        self.lies = False
        self.hangs = False
        self.down: Exception | None = None
        self.asked: list[str] = []

    def answer(self, request: Request) -> Response:
        path = request.shown_url.partition("://")[2].partition("/")[2].partition("?")[0]
        self.asked.append(path)
        status, body = self._answer(path)
        return reply(status, body, clock=self.clock)

    def _answer(self, path: str) -> tuple[int, str]:
        if path == "v1/chains":
            return 200, json.dumps([self.chain])
        _, _, chain, _, number = path.split("/")
        sequence = int(number)
        if chain != self.chain:
            return 400, "The provided chain id is not supported"
        if sequence in self.says:
            return 403, self.says[sequence]
        value = keccak256(b"a lie") if self.lies else self.links[sequence]
        answer: dict[str, Any] = {"value": {"encoding": "hex", "data": value.hex()}}
        return 200, json.dumps(answer)


@asynccontextmanager
async def serve_fortuna(service: Service) -> AsyncIterator[str]:
    """The service on a free port, over plain HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode().partition("?")[0].strip("/")
            service.asked.append(path)
            status, words = service._answer(path)
            body = words.encode()
            head = (
                f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
            )
            writer.write(head.encode() + b"\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
