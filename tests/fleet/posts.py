"""What takes POSTs in the centre's network: one exchange read and answered, and servers that run until their parent is done."""

from __future__ import annotations

import gzip
import http.server
import ssl
import sys
import threading
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """One POST, and its answer."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def unpacked(self, body: bytes) -> bytes:
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def answer(self, status: int, body: bytes = b"", kind: str = "application/x-protobuf") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return None


class Server(http.server.ThreadingHTTPServer):
    """One that speaks TLS where it is given its side of it."""

    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the exchange: one client that says nothing would keep all others waiting for its handshake.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(Handler.timeout)
        with self.tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A host that is cut off in the middle of an exchange is what these servers are for.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def serve(*where: tuple[tuple[str, int], type[Handler], ssl.SSLContext | None]) -> int:
    """Servers at these addresses; writes ``READY`` and returns once standard input closes."""
    for address, handler, tls in where:
        server = Server(address, handler)
        server.tls = tls
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", flush=True)
    sys.stdin.read()
    return 0
