"""nginx on loopback, as an ordinary user, with everything it writes in one folder."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.debian import program

_CONFIG: Final = """
{user}
daemon off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  root {folder}/www;
{servers}
}}
"""


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def nginx(folder: Path, servers: str, ports: list[int]) -> Iterator[None]:
    """nginx with these ``server`` blocks, until the end; returns once every port accepts. They must listen on loopback.

    Raises :class:`~tests.support.debian.Unavailable` where there is no nginx.
    """
    path = program("nginx", "nginx")
    # Started by root, its workers would be somebody who may not read the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, servers=servers, user=user))
    command = [str(path), "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        due_s = time.monotonic() + 20
        while not all(_accepts(port) for port in ports):
            if process.poll() is not None or time.monotonic() > due_s:
                process.kill()
                said = process.stderr.read().decode(errors="replace") if process.stderr else ""
                log = folder / "error.log"
                raise AssertionError(f"nginx does not start: {said}{log.read_text() if log.exists() else ''}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
