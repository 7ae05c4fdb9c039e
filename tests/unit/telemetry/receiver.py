"""OTLP receivers in this process, over HTTP and over gRPC: they keep what arrives and answer as they are told."""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, Final

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb

REQUESTS: Final[dict[str, Any]] = {
    "traces": trace_pb.ExportTraceServiceRequest,
    "metrics": metrics_pb.ExportMetricsServiceRequest,
    "logs": logs_pb.ExportLogsServiceRequest,
}
RESPONSES: Final[dict[str, Any]] = {
    "traces": trace_pb.ExportTraceServiceResponse,
    "metrics": metrics_pb.ExportMetricsServiceResponse,
    "logs": logs_pb.ExportLogsServiceResponse,
}
_REJECTED: Final = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}


@dataclass
class Answer:
    """What the receiver says next: accepted unless ``status`` (HTTP) or ``code`` (gRPC) says otherwise."""

    status: int = 200
    code: grpc.StatusCode | None = None
    rejected: int = 0
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    retry_info_s: float | None = None
    body: bytes | None = None
    hold: threading.Event | None = None
    """Wait for this before answering."""
    hang_up: bool = False

    def response(self, signal: str) -> Any:
        response = RESPONSES[signal]()
        if self.rejected or self.message:
            setattr(response.partial_success, _REJECTED[signal], self.rejected)
            response.partial_success.error_message = self.message
        return response


@dataclass
class Received:
    """One request as it arrived."""

    signal: str
    message: Any
    headers: dict[str, str]
    raw: bytes
    accepted: bool


class Receiver:
    """What arrived, and the answers to give, oldest first; when none is left everything is accepted."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, deque[Answer]] = {signal: deque() for signal in REQUESTS}
        self.url = ""
        self.connections = 0
        self._lock = threading.Lock()

    def take(self, signal: str, raw: bytes, headers: dict[str, str]) -> Answer:
        with self._lock:
            queue = self.answers[signal]
            answer = queue.popleft() if queue else Answer()
            accepted = answer.status == 200 and answer.code is None and not answer.hang_up
            self.received.append(Received(signal, REQUESTS[signal].FromString(raw), headers, raw, accepted))
        if answer.hold is not None:
            answer.hold.wait(20)
        return answer

    def of(self, signal: str) -> list[Any]:
        """Accepted requests of one signal."""
        with self._lock:
            return [one.message for one in self.received if one.signal == signal and one.accepted]

    def tries(self, signal: str) -> int:
        with self._lock:
            return sum(one.signal == signal for one in self.received)

    def spans(self) -> list[Any]:
        return [
            span
            for message in self.of("traces")
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def logs(self) -> list[Any]:
        return [
            record
            for message in self.of("logs")
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metrics(self) -> dict[str, Any]:
        """The newest state of each metric."""
        return {
            metric.name: metric
            for message in self.of("metrics")
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@contextmanager
def http_receiver(context: SSLContext | None = None, port: int = 0) -> Iterator[Receiver]:
    """OTLP over HTTP on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                raw = gzip.decompress(raw)
            signal = self.path.rpartition("/")[2]
            answer = receiver.take(signal, raw, {name.lower(): value for name, value in self.headers.items()})
            if answer.hang_up:
                self.close_connection = True
                return
            body = answer.body if answer.body is not None else answer.response(signal).SerializeToString()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return None  # clients that go away in the middle are what these tests are about

    server = Server(("127.0.0.1", port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.url = f"{'http' if context is None else 'https'}://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


_SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}


@contextmanager
def grpc_receiver(credentials: Any = None) -> Iterator[Receiver]:
    """OTLP over gRPC on loopback."""
    receiver = Receiver()

    def handler(signal: str) -> Callable[[bytes, Any], bytes]:
        def export(raw: bytes, context: Any) -> bytes:
            answer = receiver.take(signal, raw, {name: str(value) for name, value in context.invocation_metadata()})
            if answer.code is not None:
                if answer.retry_info_s is not None:
                    context.set_trailing_metadata((("grpc-status-details-bin", _retry_info(answer)),))
                context.abort(answer.code, answer.message)
            return bytes(answer.response(signal).SerializeToString()) if answer.body is None else answer.body

        return export

    server = grpc.server(ThreadPoolExecutor(8))
    for service, signal in _SERVICES.items():
        methods = {"Export": grpc.unary_unary_rpc_method_handler(handler(signal))}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
        receiver.url = f"http://localhost:{port}"
    else:
        port = server.add_secure_port("localhost:0", credentials)
        receiver.url = f"https://localhost:{port}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait(5)


def _retry_info(answer: Answer) -> bytes:
    from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int((answer.retry_info_s or 0) * 1e9))
    status = status_pb2.Status(code=8)
    status.details.add().Pack(info)
    return bytes(status.SerializeToString())


def until(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
    """Poll ``condition`` until it holds; fail naming ``what`` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.005)


def attributes(item: Any) -> dict[str, Any]:
    """The attributes of a span, point, record or resource as plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in item.attributes}


def points(metric: Any) -> list[Any]:
    """The points of a metric of any kind."""
    return list(getattr(metric, metric.WhichOneof("data")).data_points)


def values(metric: Any) -> dict[tuple[Any, ...], float]:
    """Number points by their attribute values, in the order of the names."""
    return {
        tuple(value for _, value in sorted(attributes(point).items())): getattr(point, point.WhichOneof("value"))
        for point in points(metric)
    }
