"""A server of HTTP/3 on loopback, by aioquic: QUIC, TLS and all, and nothing on TCP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated

Answers = Mapping[str, tuple[int, bytes]]
"""Status and body by path."""


@contextlib.asynccontextmanager
async def serving(pem: Path, answers: Answers) -> AsyncIterator[int]:
    """The port of a server with that key and certificate. Any path that has no answer is 404."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(pem, pem)

    def protocol(*given: Any, **named: Any) -> QuicConnectionProtocol:
        made = QuicConnectionProtocol(*given, **named)
        http: list[H3Connection] = []

        def heard(event: Any) -> None:
            if isinstance(event, ProtocolNegotiated):
                http.append(H3Connection(made._quic))
            for one in http[0].handle_event(event) if http else ():
                if isinstance(one, HeadersReceived) and one.stream_ended:
                    path = dict(one.headers)[b":path"].decode()
                    status, body = answers.get(path, (404, b""))
                    http[0].send_headers(one.stream_id, [(b":status", b"%d" % status), (b"content-type", b"application/json")])
                    http[0].send_data(one.stream_id, body, end_stream=True)
                    made.transmit()

        setattr(made, "quic_event_received", heard)  # noqa: B010 - a method by its type
        return made

    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=protocol)
    try:
        transport: Any = server._transport
        yield transport.get_extra_info("sockname")[1]
    finally:
        server.close()
