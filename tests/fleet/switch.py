"""A switch between network namespaces: distance and cuts per host, where the kernel has no netem.

Run as a process of its own: ``python -m tests.fleet.switch NAMESPACE ...``. It makes one TAP named ``eth0`` in each
namespace, writes ``READY``, and then reads lines ``NAME delay_ms``, ``NAME cut`` and ``NAME cut OTHER`` from standard input. It
ends when that closes.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import selectors
import struct
import sys
import time

from tests.fleet.namespaces import inside

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_BROADCAST = b"\xff" * 6


def _tap(namespace: str) -> int:
    """A TAP in a namespace; its file descriptor works from here."""
    with inside(namespace):
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", b"eth0", _IFF_TAP | _IFF_NO_PI))
        return tap


class Switch:
    """Frames between TAPs by the addresses they were seen with. A link has a one-way delay, or is cut."""

    def __init__(self, taps: dict[str, int]) -> None:
        self._taps = taps
        self._delay_s = dict.fromkeys(taps, 0.0)
        self._cut: set[str] = set()
        self._parted: set[frozenset[str]] = set()
        self._port_of: dict[bytes, str] = {}
        self._late: list[tuple[float, int, str, bytes]] = []
        self._count = 0

    def command(self, line: str) -> None:
        """``NAME 40`` sets the delay of a host's link in ms and heals it; ``NAME cut`` cuts it, ``NAME cut OTHER`` from one."""
        name, what, *others = line.split()
        if what == "cut":
            self._parted |= {frozenset((name, other)) for other in others}
            if not others:
                self._cut.add(name)
        else:
            self._cut.discard(name)
            self._parted = {pair for pair in self._parted if name not in pair}
            self._delay_s[name] = float(what) / 1000

    def receive(self, name: str) -> None:
        """Everything that waits at a port."""
        while True:
            try:
                frame = os.read(self._taps[name], 65_536)
            except BlockingIOError:
                return
            self._port_of[frame[6:12]] = name
            if name in self._cut:
                continue
            port = self._port_of.get(frame[:6])
            # Unknown and group addresses go everywhere.
            ports = [port] if port is not None and not frame[0] & 1 else list(self._taps)
            for to in ports:
                if to != name and frozenset((name, to)) not in self._parted:
                    self._count += 1
                    due = time.monotonic() + self._delay_s[name] + self._delay_s[to]
                    heapq.heappush(self._late, (due, self._count, to, frame))

    def send_due(self) -> float | None:
        """Hand over what is due; returns the seconds until the next is."""
        while self._late:
            wait = self._late[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, to, frame = heapq.heappop(self._late)
            if to not in self._cut:
                try:
                    os.write(self._taps[to], frame)
                except OSError:
                    continue  # a full queue or an interface that is down loses frames, as a switch does
        return None


def main(namespaces: list[str]) -> int:
    taps = {name: _tap(name) for name in namespaces}
    switch = Switch(taps)
    selector = selectors.DefaultSelector()
    for name, tap in taps.items():
        selector.register(tap, selectors.EVENT_READ, name)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("READY", flush=True)
    wait: float | None = None
    while True:
        for key, _ in selector.select(wait):
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return 0
                switch.command(line)
                print("DONE", flush=True)
            else:
                switch.receive(key.data)
        wait = switch.send_due()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
