"""A token bucket on the injected clock."""

from __future__ import annotations

from probekit.clock import Clock
from probekit.units import NS_PER_S


class TokenBucket:
    """``rate`` tokens a second, at most ``burst`` saved up. Integer arithmetic in ns, so that nothing drifts.

    :meth:`take` never waits: it says how long the caller would have to. A call that costs more than ``burst`` passes when the
    bucket is full and leaves it in debt.
    """

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._token_ns = max(1, int(NS_PER_S / rate))
        self._burst_ns = burst * self._token_ns
        self._clock = clock
        self._full_at_ns = clock.monotonic_ns()

    def take(self, cost: int = 1) -> int:
        """0 when ``cost`` tokens were taken, else the ns until they will be there; then nothing was taken."""
        now_ns = self._clock.monotonic_ns()
        need_ns = cost * self._token_ns
        saved_ns = self._burst_ns - max(0, self._full_at_ns - now_ns)
        missing_ns = min(need_ns, self._burst_ns) - saved_ns
        if missing_ns > 0:
            return missing_ns
        self._full_at_ns = max(self._full_at_ns, now_ns) + need_ns
        return 0
