"""The centre of a fleet: a gate that wants a key, the collector behind it, a real Prometheus, and what keeps runs as lines."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fleet.hosts import CENTRE, CENTRE_ADDRESS, ROOT, within
from tests.fleet.namespaces import inside
from tests.fleet.receiver import COLLECTOR, GATE, STORE
from tests.fleet.waiting import until
from tests.support.debian import environment, program
from tests.support.pki import issue, leaf

PROMETHEUS: Final = "http://127.0.0.1:9090"
_FILES: Final = ROOT / "ansible" / "collector"


def ask(namespace: str, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """One exchange from within a namespace. Raises where the answer is no success."""
    parts = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        with inside(namespace):
            connection.connect()
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, dict(headers or {}))
        answer = connection.getresponse()
        told = answer.read()
    if answer.status >= 300:
        raise AssertionError(f"{method} {url}: {answer.status} {told[:500]!r}")
    return told


@dataclass(frozen=True)
class Arrived:
    """A run as its root span tells of it. Times in Unix seconds."""

    run: str
    instance: str
    region: str
    provider: str
    host: str
    probe: str
    status: str
    began: float
    ended: float


@dataclass(frozen=True)
class Sample:
    """``runs`` of a process that began to count at ``start``, of every status together; times in Unix seconds."""

    instance: str
    region: str
    start: float
    time: float
    runs: int


@dataclass(frozen=True)
class Centre:
    """What has arrived, in ``folder``."""

    folder: Path
    authority: bytes
    """The certificate of who issued the gate's."""
    gate: int
    """The process that hosts come to, and that has the store."""
    address: str = f"https://{CENTRE_ADDRESS}:{GATE}"
    """Where hosts send to."""

    @property
    def runs(self) -> list[Arrived]:
        """Everything that came, in order; delivery is at least once."""
        return [Arrived(**line) for line in self._lines("runs.jsonl")]

    @property
    def verdicts(self) -> list[dict[str, str]]:
        """Log records: the ``run`` they belong to, their ``region`` and their attributes."""
        return list(self._lines("verdicts.jsonl"))

    def samples(self, instance: str, since: float = 0.0) -> list[Sample]:
        """Of one ``service.instance.id``, of exports after ``since``, oldest first: a queue that empties sends in any order."""
        told = (Sample(**line) for line in self._lines("samples.jsonl") if line["instance"] == instance)
        return sorted((sample for sample in told if sample.time >= since), key=lambda sample: sample.time)

    def query(self, text: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        told = json.loads(ask(CENTRE, "GET", f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': text})}"))
        assert told["status"] == "success", told
        return list(told["data"]["result"])

    def value(self, text: str) -> float | None:
        """Of a query with one result or none."""
        result = self.query(text)
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None

    def everything(self) -> bytes:
        """What the stores have: traces and logs as they came, and each series with its labels."""
        series = ask(CENTRE, "GET", f"{PROMETHEUS}/api/v1/series?match[]=%7B__name__%3D~%22.%2B%22%7D")
        assert b"probekit_runs_total" in series
        return (self.folder / "bodies").read_bytes() + series

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.folder / name
        # The last may still be on its way.
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        yield from (json.loads(line) for line in lines if line.endswith("\n"))


@contextlib.contextmanager
def _started(log: Path, *command: str, environ: Mapping[str, str] = os.environ, until_ready: bool = False) -> Iterator[int]:
    """A program in the centre's network, by its process id; with ``until_ready``, one that says so and ends with its standard
    input.
    """
    with (
        log.open("wb") as told,
        subprocess.Popen(
            within(CENTRE, *command),
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if until_ready else told,
            stderr=told,
        ) as process,
    ):
        try:
            if until_ready:
                assert process.stdout is not None
                assert process.stdout.readline() == b"READY\n", log.read_text()
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def centre(collector: Path, work: Path, key: str) -> Iterator[Centre]:
    """The centre in its namespace, which a fleet has made; ready once its Prometheus and its collector answer.

    Raises :class:`~tests.support.debian.Unavailable` where there is no Prometheus.
    """
    store = program("prometheus", "prometheus")
    work.mkdir()
    (work / "key").write_text(key)
    authority = issue("the centre's authority")
    leaf(authority, CENTRE_ADDRESS).write(work / "gate.pem")
    prometheus = (
        *(str(store), f"--config.file={_FILES / 'prometheus.yml'}", f"--storage.tsdb.path={work / 'prometheus'}"),
        *("--web.listen-address=127.0.0.1:9090", "--web.enable-remote-write-receiver"),
    )
    listens = {
        "CENTRE_LISTEN": f"127.0.0.1:{COLLECTOR}",
        "CENTRE_PROMETHEUS": PROMETHEUS,
        "CENTRE_STORE": f"http://127.0.0.1:{STORE}",
    }
    receiver = (sys.executable, "-m", "tests.fleet.receiver", CENTRE_ADDRESS, str(work))
    between = (str(collector), "--config", str(_FILES / "centre.yaml"))
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(_started(work / "receiver.log", *receiver, until_ready=True))
        stack.enter_context(_started(work / "prometheus.log", *prometheus, environ=environment(store)))
        stack.enter_context(_started(work / "collector.log", *between, environ={**os.environ, **listens}))
        until(lambda: _answers("GET", f"{PROMETHEUS}/-/ready"), "a Prometheus that is ready", 60)
        until(lambda: _answers("POST", f"http://127.0.0.1:{COLLECTOR}/v1/traces"), "a collector that answers", 60)
        yield Centre(work, authority.pem, gate)


def _answers(method: str, url: str) -> bool:
    try:
        ask(CENTRE, method, url, b"{}" if method == "POST" else None, {"content-type": "application/json"})
    except (OSError, AssertionError):
        return False
    return True
