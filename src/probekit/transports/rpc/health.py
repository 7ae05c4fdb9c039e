"""What is known of one endpoint: facts, and the state that follows from them.

The state is never stored: it is judged from the facts each time, so that it cannot disagree with them.

::

    wrong_chain      the chain's identity is another's            for good
    unreachable      the breaker of plain calls is not closed     until one of them is answered
    limited          it asked to be left alone                    until the time it named
    out_of_sync      the node says so, or its head is beyond belief or stands still while others move
    lagging          its head is more than max_lag behind the best
    alive            none of these
"""

from __future__ import annotations

from dataclasses import dataclass, field

from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    ProbekitError,
    RateLimited,
    ResolveError,
    RpcError,
    RpcInternal,
    RpcRateLimited,
    ServerError,
    TlsError,
    TransportError,
)
from probekit.model.rpc import EndpointState
from probekit.transports.rpc.endpoint import Endpoint, HealthPolicy, Standing
from probekit.transports.rpc.track import Track
from probekit.units import NS_PER_S, to_ns

PLAIN = ""
"""The kind of calls that have no kind of their own."""

_BEFORE_THE_CALL = ("resolve", "connect", "tls")


@dataclass(slots=True)
class Health:
    """The facts about one endpoint, stepped by what happens to its calls. Times are monotonic ns.

    A kind of call that has its own costs (logs, batches) has its own :class:`~probekit.transports.rpc.track.Track`, so that an
    endpoint which fails at it is still asked for the rest.
    """

    endpoint: Endpoint
    policy: HealthPolicy
    identity: str | None = None
    identity_seen_ns: int = 0
    wrong_chain: str = ""
    head: int | None = None
    head_before: int | None = None
    """The head told at the look before the last."""
    head_seen_ns: int = 0
    head_moved_ns: int = 0
    syncing: str = ""
    limited_until_ns: int = 0
    limit: str = ""
    limit_named: bool = False
    """The endpoint said itself how long its limit holds."""
    max_batch: int = field(init=False)
    tracks: dict[str, Track] = field(init=False)

    def __post_init__(self) -> None:
        self.max_batch = self.endpoint.max_batch
        self.tracks = {PLAIN: Track(self.policy)}

    def track(self, kind: str = PLAIN) -> Track:
        """The track of a kind of call."""
        found = self.tracks.get(kind)
        if found is None:
            found = self.tracks[kind] = Track(self.policy)
        return found

    # -- what happens --------------------------------------------------------------------------------------------------------

    def answered(self, elapsed_ns: int | None, now_ns: int, kind: str = PLAIN) -> None:
        """An answer came, of whatever content."""
        self.track(kind).answered(elapsed_ns, now_ns)

    def failed(self, error: ProbekitError, now_ns: int, kind: str = PLAIN, *, elapsed_ns: int | None = None) -> None:
        """A call ended in ``error``, after ``elapsed_ns``. An error that answers the question counts as an answer."""
        if isinstance(error, DeadlineExceeded) and self._too_short(error, kind, elapsed_ns):
            return
        if isinstance(error, RateLimited | RpcRateLimited):
            self._leave_alone(error.retry_after_ns, "rate limited", now_ns)
            return
        if isinstance(error, ServerError) and error.retry_after_ns:
            self._leave_alone(error.retry_after_ns, f"answered {error.status} and asked to wait", now_ns)
        if isinstance(error, RpcError) and not isinstance(error, RpcInternal):
            self.answered(elapsed_ns, now_ns, kind)
            return
        if not isinstance(error, TransportError | RpcInternal) and not error.retry_other:
            return
        # Who cannot be reached cannot be reached for anything.
        early = isinstance(error, ResolveError | ConnectError | TlsError) or (
            isinstance(error, DeadlineExceeded) and error.phase in _BEFORE_THE_CALL
        )
        began_ns = None if elapsed_ns is None else now_ns - elapsed_ns
        self.track(PLAIN if early else kind).failed(f"{error.error_type}: {error.message}", now_ns, began_ns)

    def _too_short(self, error: DeadlineExceeded, kind: str, elapsed_ns: int | None) -> bool:
        """Whether the caller's time was over before an answer could be expected: that says nothing of the endpoint."""
        if error.phase == "queue":
            return True
        usual_ns = self.track(kind).latency_ns(95)
        return elapsed_ns is not None and usual_ns is not None and elapsed_ns < usual_ns

    def _leave_alone(self, asked_ns: int | None, why: str, now_ns: int) -> None:
        if asked_ns is None and self.limit_named and now_ns < self.limited_until_ns:
            return  # The time that it named holds, whatever calls that were under way beside end in.
        wait_ns = to_ns(self.policy.limited_for) if asked_ns is None else asked_ns
        self.limited_until_ns = now_ns + min(wait_ns, to_ns(self.policy.limited_for_max))
        self.limit, self.limit_named = why, asked_ns is not None

    def head_seen(self, head: int, now_ns: int) -> None:
        """The node told its head. A head that goes back is kept as told: a reorganisation, or a balancer in between."""
        if head != self.head:
            self.head_moved_ns = now_ns
        self.head_before, self.head, self.head_seen_ns = self.head, head, now_ns

    def identity_seen(self, found: str, expected: str, now_ns: int) -> None:
        """The node told which chain it serves. Another's is never forgotten."""
        if found == expected:
            self.identity, self.identity_seen_ns = found, now_ns
        elif not self.wrong_chain:
            before = f" (it served {expected} before)" if self.identity is not None else ""
            self.wrong_chain = f"serves chain {found[:80]}, expected {expected}{before}"

    # -- what follows --------------------------------------------------------------------------------------------------------

    def standing(self, heads: Heads, now_ns: int) -> Standing:
        """The state that follows from the facts, in the light of what the other endpoints told."""
        if self.wrong_chain:
            return Standing(EndpointState.WRONG_CHAIN, self.wrong_chain)
        resting = tuple((kind, why) for kind, track in self.tracks.items() if kind != PLAIN and (why := track.why_open(now_ns)))
        if why := self.track().why_open(now_ns):
            return Standing(EndpointState.UNREACHABLE, why, resting)
        if why := self.left_alone(now_ns):
            return Standing(EndpointState.LIMITED, why, resting)
        state, reason = self._by_head(heads)
        return Standing(state, reason, resting)

    def left_alone(self, now_ns: int) -> str:
        """The limit that it told, while it holds; then empty."""
        left_ns = self.limited_until_ns - now_ns
        return f"{self.limit} for another {left_ns / NS_PER_S:.1f} s" if left_ns > 0 else ""

    def _by_head(self, heads: Heads) -> tuple[EndpointState, str]:
        if self.syncing:
            return EndpointState.OUT_OF_SYNC, f"the node says it is not in sync: {self.syncing}"
        if self.head is None:
            return EndpointState.ALIVE, ""
        others = [head for label, head in heads.items() if label != self.endpoint.label]
        # Of two nodes neither can say who is wrong; from three on, one that is alone far ahead is not believed.
        if len(others) >= 2 and self.head - max(others) > self.policy.max_lead:
            return EndpointState.OUT_OF_SYNC, f"head {self.head} is {self.head - max(others)} ahead of every other"
        lag = self.lag(heads)
        still_ns = self.head_seen_ns - self.head_moved_ns
        if lag > 0 and still_ns >= to_ns(self.policy.stall):
            return (
                EndpointState.OUT_OF_SYNC,
                f"head {self.head} has stood still for {still_ns / NS_PER_S:.0f} s, {lag} behind the best",
            )
        if lag > self.policy.max_lag:
            return EndpointState.LAGGING, f"head {self.head} is {lag} behind the best, limit {self.policy.max_lag}"
        return EndpointState.ALIVE, ""

    def lag(self, heads: Heads) -> int:
        """Blocks or slots behind the best believed head; 0 where either is unknown."""
        best = _believed(heads, self.policy.max_lead)
        return max(0, best - self.head) if best is not None and self.head is not None else 0


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
