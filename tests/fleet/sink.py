"""Where the hosts of a fleet without collectors send telemetry: a receiver at the centre that keeps how often each probe ran.

Run as a process of its own: ``python -m tests.fleet.sink ADDRESS PORT FILE``. It writes ``READY`` and ends when standard input
closes. A line of the file is a point of ``probekit.runs``, as :class:`Sample` has it.
"""

from __future__ import annotations

import gzip
import http.server
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.unit.telemetry.receiver import attributes, points

PORT = 4318


@dataclass(frozen=True)
class Sample:
    """``runs`` of a process that began to count at ``start``, of every status together; times in Unix seconds."""

    instance: str
    region: str
    start: float
    time: float
    runs: int


def samples_of(file: Path) -> dict[str, list[Sample]]:
    """What was received so far, by ``service.instance.id``, oldest first."""
    found: dict[str, list[Sample]] = defaultdict(list)
    # The last line may be half written.
    for line in file.read_text().split("\n")[:-1]:
        sample = Sample(**json.loads(line))
        found[sample.instance].append(sample)
    return found


def _told(body: bytes) -> Iterator[dict[str, object]]:
    for part in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        resource = attributes(part.resource)
        counted = [
            point
            for scope in part.scope_metrics
            for metric in scope.metrics
            if metric.name == "probekit.runs"
            for point in points(metric)
        ]
        if counted:
            yield {
                "instance": resource["service.instance.id"],
                "region": resource["cloud.region"],
                "start": min(point.start_time_unix_nano for point in counted) / 1e9,
                "time": counted[0].time_unix_nano / 1e9,
                "runs": int(sum(getattr(point, point.WhichOneof("value")) for point in counted)),
            }


def main(address: str, port: int, file: Path) -> int:
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/metrics":
                with lock, file.open("a") as lines:
                    lines.writelines(f"{json.dumps(line)}\n" for line in _told(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
