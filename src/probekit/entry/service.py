"""A probe as a service of systemd: ready after its first run, kept alive by each run that closes, one process per identity.

The protocol is systemd's ``sd_notify(3)``: datagrams of ``KEY=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import socket
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from probekit.errors import ConfigError
from probekit.model import ProbeRun
from probekit.runner.recorder import ProbeInfo
from probekit.units import to_ns

_log = logging.getLogger("probekit.service")


class SystemdNotifier:
    """A recorder that tells the service manager of runs.

    ``READY=1`` follows the first closed run: a start has not succeeded before something was judged, whatever the verdict. It
    is said again with the next one where the manager did not take it.
    Each closed run feeds the watchdog and writes the unit's status line: a loop that hangs, or closes no run, is restarted.
    """

    def __init__(self, path: str) -> None:
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._ready = False
        self._broken = False

    def start(self, info: ProbeInfo) -> None:
        """Nothing: to be planned is not to run."""

    def record(self, run: ProbeRun) -> None:
        """Ready with the first run; alive, and the status line, with each."""
        counts = Counter(result.status.value for result in run.results)
        told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "nothing judged"
        lines = ["WATCHDOG=1", f"STATUS={run.probe} {run.status.value}: {told}"]
        if not self._ready:
            lines.insert(0, "READY=1")
        # Once it was heard, and not before: a manager that missed it waits for it.
        self._ready |= self._send("\n".join(lines))

    async def aclose(self) -> None:
        """Tell that the process ends on purpose."""
        self._send("STOPPING=1")
        self.close()

    def close(self) -> None:
        """Give the socket back, and tell nothing."""
        self._socket.close()

    def _send(self, text: str) -> bool:
        """Whether it was taken."""
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            # A manager that does not listen must not stop the probe; it will end a unit that it hears nothing of.
            if not self._broken:
                self._broken = True
                _log.error("the service manager cannot be told: %s", error.strerror)
            return False
        return True


def notifier(environ: Mapping[str, str], *, interval: timedelta) -> SystemdNotifier | None:
    """The notifier of this process, where systemd started it with ``Type=notify``.

    Raises ``ConfigError`` where ``NOTIFY_SOCKET`` is neither a path nor an abstract name, and where the unit's watchdog
    (``WATCHDOG_USEC``) is not longer than two intervals, the most that can lie between the ends of two runs.
    """
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return None
    if path[0] not in "/@" or len(path) < 2:
        raise ConfigError(f"NOTIFY_SOCKET: {path[:100]!r} is no socket's path")
    check_watchdog(environ, interval=interval)
    return SystemdNotifier(path)


def check_watchdog(environ: Mapping[str, str], *, interval: timedelta) -> None:
    """Raises ``ConfigError`` where the unit's watchdog is not longer than two intervals, or is no number."""
    watchdog = environ.get("WATCHDOG_USEC", "")
    if watchdog:
        if not watchdog.isascii() or not watchdog.isdigit():
            raise ConfigError(f"WATCHDOG_USEC: {watchdog[:40]!r} is no number of microseconds")
        if int(watchdog) * 1000 <= 2 * to_ns(interval):
            seconds = interval / timedelta(seconds=1)
            raise ConfigError(
                f"WatchdogSec={int(watchdog) / 1e6:g} is not longer than two intervals of {seconds:g} s: "
                "a probe that is well could be ended between two runs"
            )


class Claim:
    """A name that one process of a host holds; given back when the process ends, however it ends.

    It is a name in the kernel's abstract namespace of sockets: no file, no owner, no stale lock. A process in a network
    namespace of its own does not see it.
    """

    def __init__(self, held: socket.socket | None) -> None:
        self._held = held

    def release(self) -> None:
        """Give it back."""
        if self._held is not None:
            self._held.close()


def claim_instance(instance_id: str) -> Claim:
    """Hold ``service.instance.id`` on this host. Raises ``ConfigError`` when another process does.

    Two processes of one id would write the same series, each taking the other's counters for a restart.
    """
    # A name has at most 107 bytes, an id may have more.
    name = b"\0probekit/" + hashlib.sha256(instance_id.encode()).hexdigest().encode()
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        held.bind(name)
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"another process on this host already reports as {instance_id} (service.instance.id): "
                "stop it, or give this one a unit of its own"
            ) from None
        # No such namespace here (macOS): there is nothing to hold it by.
        return Claim(None)
    return Claim(held)
