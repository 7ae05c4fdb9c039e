"""Several streams of the same updates as one: each time stamp once, and an account of who was first, late, or missing."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from probekit.model.lazer import Channel, LazerPayload
from probekit.units import NS_PER_S, NS_PER_US, Instant

_AHEAD_NS: Final = 10 * NS_PER_S
"""How far ahead of this clock a time stamp may lie and be as good as any."""


def newer(known_us: int | None, stamp_us: int, *, at: Instant) -> bool:
    """Whether a time stamp that came ``at`` is the newest now. One that alone lies ahead of the clock is not, and gives way to
    any other: else it would be the newest until its time comes. Where all do, it is the clock that is behind.
    """
    if known_us is None:
        return True
    limit_us = (at.ns + _AHEAD_NS) // NS_PER_US
    if (known_us > limit_us) != (stamp_us > limit_us):
        return known_us > limit_us
    return stamp_us > known_us


@dataclass(slots=True)
class EndpointStats:
    """What one endpoint did since the stream began.

    A *late* update had come from another endpoint before: the normal case for all but one. A *repeated* one had come from this
    endpoint itself. ``missed`` counts beats of fixed-rate channels that this endpoint left out, whoever told them.
    ``rejected`` are messages that do not decode or do not verify; they take no other endpoint's place.
    """

    endpoint: str
    connections: int = 0
    updates: int = 0
    first: int = 0
    late: int = 0
    late_ns_total: int = 0
    late_ns_max: int = 0
    repeated: int = 0
    missed: int = 0
    rejected: int = 0
    unknown: int = 0
    """Messages of a type, or for a subscription, that is not known here."""
    silences: int = 0
    last_at: Instant | None = None
    newest_us: dict[int, int] = field(default_factory=dict)
    """Time stamp of its newest update, by subscription."""

    @property
    def mean_late_ns(self) -> int | None:
        """How far behind the first endpoint its late updates come; ``None`` while none did."""
        return self.late_ns_total // self.late if self.late else None


@dataclass(slots=True)
class _Seen:
    endpoint: str
    at_ns: int
    feeds: frozenset[int]
    payload: LazerPayload | None


class _Subscription:
    __slots__ = ("feeds", "missing", "newest_us", "period_us", "recent", "seen")

    def __init__(self, channel: Channel, remember: int) -> None:
        self.period_us = channel.period_us
        self.newest_us: int | None = None
        self.seen: OrderedDict[int, _Seen] = OrderedDict()
        self.recent: deque[int] = deque()
        self.missing: deque[int] = deque(maxlen=remember)
        self.feeds: frozenset[int] = frozenset()


class Merge:
    """Takes updates as they come. ``remember`` time stamps are kept for each subscription; of the last ``compare`` the content
    too, to see whether two endpoints contradict each other.

    ``missed`` counts beats of fixed-rate channels that no endpoint told (so far), ``conflicts`` updates of one time with other
    values, ``out_of_order`` those that came after a newer one. A channel without a beat has no gaps that could be seen.
    """

    def __init__(self, channels: list[Channel], *, remember: int, compare: int) -> None:
        if remember < 1 or not 0 <= compare <= remember:
            raise ValueError("at least one time stamp is remembered, and no more are compared than that")
        self._subscriptions = [_Subscription(channel, remember) for channel in channels]
        self._remember, self._compare = remember, compare
        self.stats: dict[str, EndpointStats] = {}
        self.duplicates = 0
        self.missed = 0
        self.conflicts = 0
        self.out_of_order = 0

    def of(self, endpoint: str) -> EndpointStats:
        """The account of an endpoint."""
        return self.stats.setdefault(endpoint, EndpointStats(endpoint))

    def take(
        self, subscription: int, payload: LazerPayload, endpoint: str, *, now_ns: int, at: Instant
    ) -> frozenset[int] | None:
        """Account for an update; the feeds that it is the first to tell of its time, ``None`` where all were told.

        ``now_ns`` is monotonic. Endpoints that may read different feeds complete each other.
        """
        mine, stats, timestamp_us = self._subscriptions[subscription], self.of(endpoint), payload.timestamp_us
        stats.updates += 1
        stats.last_at = at
        feeds = frozenset(payload.by_id)
        if feeds == mine.feeds:
            feeds = mine.feeds  # One object for all of them.
        mine.feeds = feeds
        before = mine.seen.get(timestamp_us)
        if before is None or before.endpoint != endpoint:
            self._own_beats(mine, subscription, stats, timestamp_us, at)
        if before is not None:
            return self._again(before, stats, payload, feeds, now_ns)
        stats.first += 1
        self._beats(mine, timestamp_us, at)
        self._keep(mine, timestamp_us, _Seen(endpoint, now_ns, feeds, payload if self._compare else None))
        return feeds

    def _again(
        self, before: _Seen, stats: EndpointStats, payload: LazerPayload, feeds: frozenset[int], now_ns: int
    ) -> frozenset[int] | None:
        self.duplicates += 1
        if before.endpoint == stats.endpoint:
            stats.repeated += 1
        else:
            late_ns = now_ns - before.at_ns
            stats.late += 1
            stats.late_ns_total += late_ns
            stats.late_ns_max = max(stats.late_ns_max, late_ns)
        if before.payload is not None:
            told, other = before.payload.by_id, payload.by_id
            self.conflicts += any(told[feed_id] != other[feed_id] for feed_id in told.keys() & other.keys())
        added = feeds - before.feeds
        if not added:
            return None
        before.feeds |= feeds
        return added

    @staticmethod
    def _own_beats(mine: _Subscription, subscription: int, stats: EndpointStats, timestamp_us: int, at: Instant) -> None:
        newest_us = stats.newest_us.get(subscription)
        if newer(newest_us, timestamp_us, at=at):
            if newest_us is not None and mine.period_us is not None:
                stats.missed += _between(newest_us, timestamp_us, mine.period_us)
            stats.newest_us[subscription] = timestamp_us

    def _beats(self, mine: _Subscription, timestamp_us: int, at: Instant) -> None:
        newest_us = mine.newest_us
        if newer(newest_us, timestamp_us, at=at):
            if newest_us is not None and mine.period_us is not None:
                gone = _between(newest_us, timestamp_us, mine.period_us)
                self.missed += gone
                known = min(gone, self._remember)
                mine.missing.extend(timestamp_us - beat * mine.period_us for beat in range(known, 0, -1))
            mine.newest_us = timestamp_us
            return
        self.out_of_order += 1
        if timestamp_us in mine.missing:
            mine.missing.remove(timestamp_us)
            self.missed -= 1

    def _keep(self, mine: _Subscription, timestamp_us: int, seen: _Seen) -> None:
        mine.seen[timestamp_us] = seen
        if len(mine.seen) > self._remember:
            mine.seen.popitem(last=False)
        if seen.payload is None:
            return
        mine.recent.append(timestamp_us)
        if len(mine.recent) > self._compare:
            old = mine.seen.get(mine.recent.popleft())
            if old is not None:
                old.payload = None


def _between(before_us: int, after_us: int, period_us: int) -> int:
    """Whole beats left out between two time stamps."""
    return max((after_us - before_us + period_us // 2) // period_us - 1, 0)
