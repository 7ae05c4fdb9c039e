"""What takes POSTs in the centre's network: one exchange read and answered, and servers that run until their parent is done."""

from __future__ import annotations

import gzip
import http.server
import sys
import threading


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


def serve(*where: tuple[tuple[str, int], type[Handler]]) -> int:
    """Servers at these addresses; writes ``READY`` and returns once standard input closes."""
    for address, handler in where:
        server = http.server.ThreadingHTTPServer(address, handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", flush=True)
    sys.stdin.read()
    return 0
