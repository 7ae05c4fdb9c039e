"""One RPC endpoint and what is known of it: its facts, and the state that follows from them.

The state is never stored: it is judged from the facts each time, so that it cannot disagree with them.

::

    wrong_chain      the chain's identity is another's            for good
    unreachable      the breaker is open                          until its time is up; then one trial decides
    limited          a rate limit was told                        until the time it named
    out_of_sync      the node says so, or its head is beyond belief or stands still while others move
    lagging          its head is more than max_lag behind the best
    alive            none of these
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from probekit.errors import ProbekitError, RateLimited, RpcError, RpcInternal, RpcRateLimited, TransportError
from probekit.model.rpc import EndpointState
from probekit.secret import Secret, redact_url
from probekit.transports.base import HeaderValue
from probekit.units import NS_PER_S, to_ns

_KEY: Final = "{key}"


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where a node listens. ``{key}`` in ``url`` or ``ws_url`` stands for ``key``, which is put in on the wire only.

    ``name`` is what logs, metrics and errors call it; without one, the redacted URL. ``requests_per_second`` is the rate that
    its plan allows (``None``: not limited here). ``max_batch`` bounds calls in one HTTP request; 1 for servers without batches.
    """

    url: str
    name: str = ""
    key: Secret | None = None
    headers: tuple[tuple[str, HeaderValue], ...] = ()
    ws_url: str | None = None
    requests_per_second: float | None = None
    burst: int = 10
    max_batch: int = 100

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"an endpoint's URL starts with http:// or https://, not {redact_url(self.url)[:80]!r}")
        if self.ws_url is not None and not self.ws_url.startswith(("ws://", "wss://")):
            raise ValueError(f"ws_url starts with ws:// or wss://, not {redact_url(self.ws_url)[:80]!r}")
        if _KEY in self.url and self.key is None:
            raise ValueError(f"{redact_url(self.url)} has {_KEY} and no key was given")
        if self.max_batch < 1 or self.burst < 1:
            raise ValueError("max_batch and burst are at least 1")
        if self.requests_per_second is not None and self.requests_per_second <= 0:
            raise ValueError("requests_per_second is above zero, or None for no limit")

    @property
    def label(self) -> str:
        """``name``, or the URL without any key."""
        return self.name or redact_url(self.url)

    def reveal_url(self) -> str:
        """The URL with its key, for the wire alone."""
        return self._filled(self.url)

    def reveal_ws_url(self) -> str:
        """The WebSocket's URL with its key; made from ``url`` where none was given."""
        url = self.ws_url
        if url is None:
            url = "ws" + self.url.removeprefix("http")
        return self._filled(url)

    def _filled(self, url: str) -> str:
        return url.replace(_KEY, self.key.reveal()) if self.key is not None else url

    def __repr__(self) -> str:
        return f"Endpoint({self.label!r})"


RANK: Final = {state: place for place, state in enumerate(EndpointState)}


@dataclass(frozen=True, slots=True)
class Standing:
    """A state with its reason: one sentence, empty when alive."""

    state: EndpointState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When an endpoint is taken out and when it is tried again.

    The breaker opens after ``consecutive`` failures in a row, or when at least ``error_percent`` of the last ``window`` calls
    failed (of ``min_samples`` at least); it stays open for ``open_for``, doubled with every trial that fails, up to
    ``open_for_max``. ``max_lag`` and ``max_lead`` are in blocks or slots. A head not moved for ``stall`` while another's moved
    is out of sync. A limit that names no time holds for ``limited_for``.
    """

    max_lag: int = 8
    max_lead: int = 1_000
    stall: timedelta = timedelta(seconds=60)
    consecutive: int = 3
    error_percent: int = 50
    window: int = 20
    min_samples: int = 10
    open_for: timedelta = timedelta(seconds=5)
    open_for_max: timedelta = timedelta(minutes=5)
    limited_for: timedelta = timedelta(seconds=10)
    limited_for_max: timedelta = timedelta(minutes=10)


@dataclass(slots=True)
class Health:
    """The facts about one endpoint, stepped by what happens to its calls. Times are monotonic ns."""

    endpoint: Endpoint
    policy: HealthPolicy
    identity: str | None = None
    wrong_chain: str = ""
    head: int | None = None
    head_seen_ns: int = 0
    head_moved_ns: int = 0
    syncing: str = ""
    limited_until_ns: int = 0
    open_until_ns: int = 0
    last_error: str = ""
    max_batch: int = field(init=False)
    _opened: int = 0
    _row: int = 0
    _recent: deque[bool] = field(init=False)
    _latencies: deque[int] = field(default_factory=lambda: deque(maxlen=128))

    def __post_init__(self) -> None:
        self.max_batch = self.endpoint.max_batch
        self._recent = deque(maxlen=self.policy.window)

    # -- what happens --------------------------------------------------------------------------------------------------------

    def succeeded(self, elapsed_ns: int) -> None:
        """An answer came, of whatever content."""
        self._latencies.append(elapsed_ns)
        self._recent.append(True)
        self._row = self._opened = 0
        self.open_until_ns = 0
        self.last_error = ""

    def failed(self, error: ProbekitError, now_ns: int) -> None:
        """A call failed. An error that answers the question is a success of the endpoint."""
        if isinstance(error, RateLimited | RpcRateLimited):
            asked_ns = error.retry_after_ns
            wait_ns = to_ns(self.policy.limited_for) if asked_ns is None else asked_ns
            self.limited_until_ns = now_ns + min(wait_ns, to_ns(self.policy.limited_for_max))
            return
        if not isinstance(error, TransportError | RpcInternal) and (isinstance(error, RpcError) or not error.retry_other):
            return
        self.last_error = f"{error.error_type}: {error.message}"
        self._recent.append(False)
        self._row += 1
        rate = 100 * self._recent.count(False)
        sampled = len(self._recent) >= min(self.policy.min_samples, self.policy.window)
        if self._row >= self.policy.consecutive or (sampled and rate >= self.policy.error_percent * len(self._recent)):
            hold_ns = min(to_ns(self.policy.open_for) << min(self._opened, 16), to_ns(self.policy.open_for_max))
            self.open_until_ns = now_ns + hold_ns
            self._opened += 1

    def head_seen(self, head: int, now_ns: int) -> None:
        """The node told its head. A head that goes back is kept as told: a reorganisation, or a balancer in between."""
        if head != self.head:
            self.head_moved_ns = now_ns
        self.head, self.head_seen_ns = head, now_ns

    def identity_seen(self, found: str, expected: str) -> None:
        """The node told which chain it serves."""
        if found == expected:
            self.identity = found
        else:
            self.wrong_chain = f"serves chain {found[:80]}, expected {expected}"

    # -- what follows --------------------------------------------------------------------------------------------------------

    def standing(self, heads: Heads, now_ns: int) -> Standing:
        """The state that follows from the facts, in the light of what the other endpoints told."""
        if self.wrong_chain:
            return Standing(EndpointState.WRONG_CHAIN, self.wrong_chain)
        if now_ns < self.open_until_ns:
            left_s = (self.open_until_ns - now_ns) / NS_PER_S
            return Standing(EndpointState.UNREACHABLE, f"{self.last_error}; next trial in {left_s:.1f} s")
        if now_ns < self.limited_until_ns:
            left_s = (self.limited_until_ns - now_ns) / NS_PER_S
            return Standing(EndpointState.LIMITED, f"rate limited for another {left_s:.1f} s")
        if self.syncing:
            return Standing(EndpointState.OUT_OF_SYNC, f"the node says it is not in sync: {self.syncing}")
        if self.head is not None:
            others = [head for label, head in heads.items() if label != self.endpoint.label]
            # Of two nodes neither can say who is wrong; from three on, one that is alone far ahead is not believed.
            if len(others) >= 2 and self.head - max(others) > self.policy.max_lead:
                return Standing(
                    EndpointState.OUT_OF_SYNC, f"head {self.head} is {self.head - max(others)} ahead of every other"
                )
            best = _believed(heads, self.policy.max_lead)
            lag = best - self.head if best is not None else 0
            still_ns = self.head_seen_ns - self.head_moved_ns
            if lag > 0 and still_ns >= to_ns(self.policy.stall):
                reason = f"head {self.head} has stood still for {still_ns / NS_PER_S:.0f} s, {lag} behind the best"
                return Standing(EndpointState.OUT_OF_SYNC, reason)
            if lag > self.policy.max_lag:
                return Standing(
                    EndpointState.LAGGING, f"head {self.head} is {lag} behind the best, limit {self.policy.max_lag}"
                )
        return Standing(EndpointState.ALIVE)

    @property
    def on_trial(self) -> bool:
        """The breaker opened and no call has succeeded since."""
        return self._opened > 0

    @property
    def error_percent(self) -> int:
        """Failed calls of the last ones, in percent."""
        return 100 * self._recent.count(False) // len(self._recent) if self._recent else 0

    def latency_ns(self, percent: int = 50, *, least: int = 1) -> int | None:
        """A percentile of the latest latencies; ``None`` with fewer than ``least`` of them."""
        count = len(self._latencies)
        if count < least:
            return None
        return sorted(self._latencies)[min(count - 1, count * percent // 100)]


Heads = dict[str, int]
"""Endpoint label -> newest head told, of the endpoints on the right chain."""


def _believed(heads: Heads, max_lead: int) -> int | None:
    """The best head, without one that is alone far ahead of at least two others."""
    ordered = sorted(heads.values(), reverse=True)
    if not ordered:
        return None
    if len(ordered) >= 3 and ordered[0] - ordered[1] > max_lead:
        return ordered[1]
    return ordered[0]
