"""A small OTLP receiver that writes what it gets as lines of JSON: to look at what was sent."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

from probekit.errors.extras import missing_extra

_KINDS: Final = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}
_MAX_BODY: Final = 64 << 20


class OtlpSink:
    """OTLP over HTTP (protobuf) on loopback, in a thread; each request becomes a line ``{"signal": ..., "request": {...}}``.

    Use it as a context manager; ``url`` is what OTEL_EXPORTER_OTLP_ENDPOINT wants. ``received`` counts requests by signal.
    """

    def __init__(self, path: Path) -> None:
        try:
            from google.protobuf.json_format import MessageToJson
            from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
            from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
        except ModuleNotFoundError as error:
            raise missing_extra(f"the OTLP sink needs {error.name}", "otel") from None
        messages: dict[str, Any] = {
            "traces": ExportTraceServiceRequest,
            "metrics": ExportMetricsServiceRequest,
            "logs": ExportLogsServiceRequest,
        }
        self.received: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        lock = threading.Lock()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                signal = _KINDS.get(self.path)
                size = int(self.headers.get("content-length") or 0)
                if signal is None or size > _MAX_BODY:
                    self.send_error(404)
                    return
                body = self.rfile.read(size)
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = MessageToJson(messages[signal].FromString(body), indent=None)
                with lock:
                    sink.received[signal] += 1
                    sink._file.write(f'{{"signal":"{signal}","request":{request}}}\n')
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return None

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="otlp sink", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OtlpSink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._file.close()
