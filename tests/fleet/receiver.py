"""What stands before and behind the centre's collector: a gate that wants a key, and a store that keeps runs as lines of JSON.

Run as a process of its own in the centre's network: ``python -m tests.fleet.receiver ADDRESS FOLDER``, with the key in
``FOLDER/key`` and the gate's certificate in ``FOLDER/gate.pem``: hosts come to it by TLS. It writes ``READY`` and ends when
standard input closes. In the folder: ``runs.jsonl``, a line for each root span; ``verdicts.jsonl``, one for each log record;
``samples.jsonl``, one for each export of ``probekit.runs`` that came through the gate; ``bodies``, all that came to the store;
``refused``, keys that were not taken.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fleet.posts import Handler, serve
from tests.support.pki import server_context
from tests.unit.telemetry.receiver import attributes, points

GATE: Final = 4318
COLLECTOR: Final = 4319
STORE: Final = 5318


def runs_of(body: bytes) -> Iterator[dict[str, Any]]:
    """The root spans of a request, as :class:`tests.fleet.centre.Arrived` has them."""
    for part in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = attributes(part.resource)
        for span in (span for scope in part.scope_spans for span in scope.spans):
            if span.name.startswith("probekit.run "):
                told = attributes(span)
                yield {
                    "run": span.trace_id.hex(),
                    "instance": resource["service.instance.id"],
                    "region": resource["cloud.region"],
                    "provider": resource["cloud.provider"],
                    "host": resource["host.name"],
                    "probe": told["probe"],
                    "status": told["status"],
                    "began": span.start_time_unix_nano / 1e9,
                    "ended": span.end_time_unix_nano / 1e9,
                }


def verdicts_of(body: bytes) -> Iterator[dict[str, str]]:
    """The log records of a request: the run each belongs to, and its attributes."""
    for part in ExportLogsServiceRequest.FromString(body).resource_logs:
        for record in (record for scope in part.scope_logs for record in scope.log_records):
            told = {key: str(value) for key, value in attributes(record).items()}
            yield {"run": record.trace_id.hex(), "region": attributes(part.resource)["cloud.region"], **told}


def samples_of(body: bytes) -> Iterator[dict[str, Any]]:
    """How often each probe of a request ran, as :class:`tests.fleet.centre.Sample` has it."""
    for part in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        resource = attributes(part.resource)
        metrics = [metric for scope in part.scope_metrics for metric in scope.metrics if metric.name == "probekit.runs"]
        if counted := [point for metric in metrics for point in points(metric)]:
            yield {
                "instance": resource["service.instance.id"],
                "region": resource["cloud.region"],
                "start": min(point.start_time_unix_nano for point in counted) / 1e9,
                "time": counted[0].time_unix_nano / 1e9,
                "runs": int(sum(getattr(point, point.WhichOneof("value")) for point in counted)),
            }


class Files:
    """Appended to by many threads, each record whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def append(self, name: str, data: bytes) -> None:
        with self._lock, (self._folder / name).open("ab") as file:
            file.write(data)

    def lines(self, name: str, told: Iterator[Mapping[str, Any]]) -> None:
        self.append(name, "".join(f"{json.dumps(line)}\n" for line in told).encode())


def store(files: Files) -> type[Handler]:
    """Keeps what it is sent, and answers once it is written."""

    class Store(Handler):
        def do_POST(self) -> None:
            body = self.unpacked(self.read())
            name, read = ("runs.jsonl", runs_of) if self.path == "/v1/traces" else ("verdicts.jsonl", verdicts_of)
            files.lines(name, read(body))
            files.append("bodies", body)
            self.answer(200)

    return Store


def gate(files: Files, key: str) -> type[Handler]:
    """Hands on to the collector what comes with the key; 401 for the rest."""

    class Gate(Handler):
        def do_POST(self) -> None:
            body, given = self.read(), self.headers.get("authorization", "")
            if given != key:
                files.append("refused", f"{given}\n".encode())
                self.answer(401)
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "content-encoding")}
            try:
                told = _passed_on(self.path, body, kept)
            except OSError:
                self.answer(503)
                return
            if self.path == "/v1/metrics" and told[0] == 200:
                files.lines("samples.jsonl", samples_of(self.unpacked(body)))
            self.answer(*told)

    return Gate


def _passed_on(path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", COLLECTOR, timeout=30)) as connection:
        connection.request("POST", path, body, dict(headers))
        told = connection.getresponse()
        return told.status, told.read(), told.headers.get("content-type", "")


def main(address: str, folder: Path) -> int:
    files = Files(folder)
    behind = (("127.0.0.1", STORE), store(files), None)
    before = ((address, GATE), gate(files, (folder / "key").read_text()), server_context(folder / "gate.pem"))
    return serve(behind, before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
