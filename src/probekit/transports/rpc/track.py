"""What one endpoint is like at one kind of call: a circuit breaker, and how long answers take."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from probekit.transports.rpc.endpoint import HealthPolicy
from probekit.units import NS_PER_S, to_ns

_LATENCIES: Final = 128


@dataclass(slots=True)
class Track:
    """Stepped by the calls of its kind. Times are monotonic ns.

    The breaker is *closed* until it opens, *open* until ``open_until_ns``, then *half open*: one trial at a time decides.
    """

    policy: HealthPolicy
    open_until_ns: int = 0
    last_error: str = ""
    trying: bool = False
    """A trial is out."""
    _opened: int = 0
    _opened_ns: int = 0
    _row: int = 0
    _overtaken: int = 0
    _overtaken_ns: int = 0
    _recent: deque[tuple[int, bool]] = field(init=False)
    """When the latest calls ended, and whether with an answer."""
    _latencies: deque[int] = field(default_factory=deque)
    _ascending: list[int] = field(default_factory=list)
    """The latencies in order of size: percentiles are read at every call."""

    def __post_init__(self) -> None:
        self._recent = deque(maxlen=self.policy.window)

    # -- what happens --------------------------------------------------------------------------------------------------------

    def answered(self, elapsed_ns: int | None, now_ns: int) -> None:
        """An answer came, of whatever content; ``None`` where its time is not known."""
        if elapsed_ns is not None:
            self._timed(elapsed_ns)
        self._recent.append((now_ns, True))
        self._row = self._opened = self._overtaken = 0
        self.open_until_ns = 0
        self.last_error = ""

    def _timed(self, elapsed_ns: int) -> None:
        if len(self._latencies) == _LATENCIES:
            del self._ascending[bisect_left(self._ascending, self._latencies.popleft())]
        self._latencies.append(elapsed_ns)
        insort(self._ascending, elapsed_ns)

    def failed(self, why: str, now_ns: int, began_ns: int | None = None) -> None:
        """No usable answer came, to a call that began at ``began_ns``, where that is known.

        Many that were under way together fail together: those that began before the breaker opened, and those that ask while it
        is open for want of anybody else, are no trials, and do not make it stay open for longer.
        """
        self.last_error = why
        self._recent.append((now_ns, False))
        self._row += 1
        if self.on_trial and (now_ns < self.open_until_ns or (began_ns is not None and began_ns < self._opened_ns)):
            return
        policy = self.policy
        sampled = len(self._recent) >= min(policy.min_samples, policy.window)
        often = sampled and self.error_percent(now_ns) >= policy.error_percent
        if self.on_trial or often or self._row >= policy.consecutive:
            hold_ns = min(to_ns(policy.open_for) << min(self._opened, 16), to_ns(policy.open_for_max))
            self.open_until_ns = now_ns + hold_ns
            self._opened_ns = now_ns
            self._opened += 1

    def overtaken(self, now_ns: int) -> None:
        """Another endpoint, asked later, answered first. How long this one would have taken stays unknown."""
        self._overtaken += 1
        self._overtaken_ns = now_ns

    # -- what follows --------------------------------------------------------------------------------------------------------

    @property
    def on_trial(self) -> bool:
        """The breaker opened and no call has been answered since."""
        return self._opened > 0

    def rests(self, now_ns: int) -> bool:
        """Open, or half open with its trial out."""
        return self.on_trial and (self.trying or now_ns < self.open_until_ns)

    def why_open(self, now_ns: int) -> str:
        """The failure that opened the breaker and when it is tried again; empty while it is closed."""
        if not self.on_trial:
            return ""
        left_ns = self.open_until_ns - now_ns
        trial = f"next trial in {left_ns / NS_PER_S:.1f} s" if left_ns > 0 else "on trial"
        return f"{self.last_error}; {trial}"

    def error_percent(self, now_ns: int) -> int:
        """Failed calls of the last ones, in percent; those longer ago than the policy's ``forget`` are no longer counted."""
        since_ns = now_ns - to_ns(self.policy.forget)
        failed = sum(1 for at_ns, good in self._recent if not good and at_ns >= since_ns)
        return 100 * failed // len(self._recent) if failed else 0

    def slow(self, now_ns: int) -> bool:
        """Overtaken lately, as often in a row as failures open a breaker."""
        lately = now_ns - self._overtaken_ns < to_ns(self.policy.forget)
        return lately and self._overtaken >= self.policy.consecutive

    def latency_ns(self, percent: int = 50, *, least: int = 1) -> int | None:
        """A percentile of the latest latencies; ``None`` with fewer than ``least`` of them."""
        count = len(self._latencies)
        if count < least:
            return None
        return self._ascending[min(count - 1, count * percent // 100)]
