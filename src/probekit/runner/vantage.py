"""The vantage's self-check: its clock, its event loop, its own connectivity."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from probekit.clock import Clock, within
from probekit.errors import TransportError
from probekit.model import RequestRecord, VantageHealth
from probekit.runner.clockbounds import ClockBounds, KernelClock, combined_error_ns, kernel_clock
from probekit.units import NS_PER_S, format_ns, to_ns

Connect = Callable[[str, int], Awaitable[None]]

_CONNECT_NS: Final = 2 * NS_PER_S


def _tcp_connect() -> Connect:
    from probekit.transports.lookup import Lookups
    from probekit.transports.reach import reach

    lookups = Lookups()

    async def connect(host: str, port: int) -> None:
        (await reach(lookups, host, port)).close()

    return connect


class SelfCheck:
    """What this vantage knows of itself; :meth:`health` is the value every run carries."""

    def __init__(
        self,
        clock: Clock,
        *,
        connectivity: Sequence[str] = (),
        max_loop_lag: timedelta = timedelta(seconds=1),
        connect: Connect | None = None,
        kernel: Callable[[], KernelClock | None] = kernel_clock,
    ) -> None:
        self._clock = clock
        self._connectivity = tuple(connectivity)
        self._max_lag_ns = to_ns(max_loop_lag)
        self._connect = connect or _tcp_connect()
        self._kernel = kernel
        self._bounds = ClockBounds()
        self._lag_ns = 0
        self._connected: bool | None = None

    def saw_request(self, record: RequestRecord) -> None:
        """Let an answer's Date header narrow the clock's error."""
        self._bounds.add(record)

    def saw_wakeup(self, due_ns: int) -> None:
        """Record how late the loop came back from a timer due at ``due_ns``."""
        self._lag_ns = max(0, self._clock.monotonic_ns() - due_ns)

    def health(self) -> VantageHealth:
        """The present state; ``problem`` is set when nothing seen from here should be judged."""
        kernel = self._kernel()
        error_ns = combined_error_ns(kernel, self._bounds.error_ns(self._clock.now()))
        problem = None
        if self._connected is False:
            problem = f"this host has no network: none of {', '.join(self._connectivity)} could be reached"
        elif self._lag_ns > self._max_lag_ns:
            problem = f"this process ran {format_ns(self._lag_ns)} late, limit {format_ns(self._max_lag_ns)}"
        return VantageHealth(
            clock_error_ns=error_ns,
            clock_synchronised=None if kernel is None else kernel.synchronised,
            loop_lag_ns=self._lag_ns,
            connected=self._connected,
            problem=problem,
        )

    @property
    def cut_off(self) -> bool:
        """Whether the last try found no network: it has to be tried again, whatever was observed since."""
        return self._connected is False

    async def check_connectivity(self) -> None:
        """Try the configured addresses at once; one that answers is enough. Without any, connectivity stays unknown."""
        if not self._connectivity:
            return
        results = await asyncio.gather(*(self._reaches(address) for address in self._connectivity))
        self._connected = any(results)

    async def _reaches(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        try:
            deadline_ns = self._clock.monotonic_ns() + _CONNECT_NS
            await within(self._clock, deadline_ns, self._connect(host.strip("[]"), int(port)))
        except (OSError, TimeoutError, ValueError, TransportError):
            return False
        return True
