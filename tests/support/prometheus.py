"""Prometheus on loopback, with everything it writes in one folder."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.debian import environment, program
from tests.support.nginx import free_ports


@contextmanager
def prometheus(folder: Path, config: str, *, web: str = "") -> Iterator[str]:
    """Prometheus with this configuration (``PORT`` in it is its own), until the end: its URL. ``web`` is its web configuration.

    Raises :class:`~tests.support.debian.Unavailable` where there is none.
    """
    path = program("prometheus", "prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    (folder / "prometheus.yml").write_text(config.replace("PORT", str(port)))
    (folder / "web.yml").write_text(web)
    command = [
        str(path),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.config.file={folder / 'web.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment(path))
    try:
        due_s = time.monotonic() + 30
        while not _ready(f"{url}/-/ready"):
            if process.poll() is not None or time.monotonic() > due_s:
                process.kill()
                raise AssertionError(f"Prometheus does not start: {(folder / 'said').read_text()[-2000:]}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        answered = error.code == 401
        error.close()
        return answered
    except OSError:
        return False
