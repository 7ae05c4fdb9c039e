"""NSD on loopback: a real authoritative name server, as an ordinary user, with everything it writes in one folder."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.debian import environment, program
from tests.support.nginx import free_ports

_CONFIG: Final = """
server:
  ip-address: 127.0.0.1@{port}
{tls}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  logfile: "{folder}/nsd.log"
  server-count: 1
  verbosity: 1
remote-control:
  control-enable: no
zone:
  name: {zone}
  zonefile: zone
"""


@contextmanager
def nsd(folder: Path, zone: str, records: str, *, certificate: Path | None = None) -> Iterator[tuple[int, int]]:
    """NSD with one zone, until the end: its port of UDP and TCP, and that of TLS where it has a certificate (PEM with key).

    Raises :class:`~tests.support.debian.Unavailable` where there is no NSD.
    """
    path = program("nsd", "nsd", "libevent-2.1-7", "libfstrm0", "libprotobuf-c1")
    folder.mkdir(parents=True, exist_ok=True)
    port, tls_port = free_ports(2)
    tls = ""
    if certificate is not None:
        tls = (
            f"  ip-address: 127.0.0.1@{tls_port}\n  tls-port: {tls_port}\n"
            f'  tls-service-pem: "{certificate}"\n  tls-service-key: "{certificate}"'
        )
    (folder / "zone").write_text(records)
    (folder / "nsd.conf").write_text(_CONFIG.format(port=port, tls=tls, folder=folder, zone=zone))
    command = [str(path), "-d", "-c", str(folder / "nsd.conf")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment(path))
    try:
        due_s = time.monotonic() + 20
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > due_s:
                process.kill()
                log = folder / "nsd.log"
                raise AssertionError(
                    f"NSD does not start: {(folder / 'said').read_text()}{log.read_text() if log.exists() else ''}"
                )
            time.sleep(0.02)
        yield port, tls_port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
