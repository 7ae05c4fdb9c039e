"""``openssl s_server`` on loopback: a TLS server that speaks no HTTP."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.nginx import free_ports
from tests.support.pki import Issued


@contextlib.contextmanager
def s_server(folder: Path, chain: tuple[Issued, ...], *more: str) -> Iterator[int]:
    """The port of a server that shows that chain, its own certificate first, run with ``more`` options."""
    program = shutil.which("openssl")
    assert program is not None, "there is no openssl here; it is a package of every Debian"
    own, *others = chain
    pem = own.write(folder / "s_server.pem")
    (folder / "s_server_chain.pem").write_bytes(b"".join(one.pem for one in others) or own.pem)
    (port,) = free_ports(1)
    command = [program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-key", str(pem),
               "-cert_chain", str(folder / "s_server_chain.pem"), "-quiet", *more]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        due = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, "openssl s_server ended"
            assert time.monotonic() < due, "openssl s_server does not accept"
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
