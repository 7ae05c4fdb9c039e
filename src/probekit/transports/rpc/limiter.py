"""Limits of our own on the injected clock: a rate for each endpoint, a share for requests beyond the first."""

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

    def wait_ns(self, cost: int = 1) -> int:
        """The ns until ``cost`` tokens will be there; 0 when they are."""
        saved_ns = self._burst_ns - max(0, self._full_at_ns - self._clock.monotonic_ns())
        return max(0, min(cost * self._token_ns, self._burst_ns) - saved_ns)

    def take(self, cost: int = 1) -> int:
        """0 when ``cost`` tokens were taken, else the ns until they will be there; then nothing was taken."""
        missing_ns = self.wait_ns(cost)
        if missing_ns == 0:
            self._full_at_ns = max(self._full_at_ns, self._clock.monotonic_ns()) + cost * self._token_ns
        return missing_ns


class ExtraBudget:
    """Requests beyond the first of each call (hedges, second rounds): at most ``percent`` of the calls, and one every
    ``refill_ns`` beside that for a pool with little traffic. ``burst`` of them are saved up at most, and at first.

    When everything fails at once, asking again must not double the load on what is left.
    """

    def __init__(self, percent: int, burst: int, refill_ns: int, clock: Clock) -> None:
        self._percent, self._refill_ns = percent, refill_ns
        self._most = self._saved = burst * 100
        self._clock = clock
        self._seen_ns = clock.monotonic_ns()

    def earn(self) -> None:
        """A call began."""
        now_ns = self._clock.monotonic_ns()
        times = (now_ns - self._seen_ns) // self._refill_ns
        self._seen_ns += times * self._refill_ns
        self._saved = min(self._most, self._saved + self._percent + 100 * times)

    def take(self) -> bool:
        """Whether one more request may go out; it is counted."""
        if self._saved < 100:
            return False
        self._saved -= 100
        return True
