"""Several endpoints of Pyth Pro side by side: the same updates, timed at each, where :mod:`probekit.clients.lazer_stream` tells
each of them once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from probekit.clients.lazer_merge import newer
from probekit.model.lazer import Channel, FeedValues, LazerPayload
from probekit.model.lazer_pace import FeedPulse, StreamPace
from probekit.units import NS_PER_S, NS_PER_US, Instant

if TYPE_CHECKING:
    from probekit.clients.lazer_events import LazerTick

__all__ = ["LazerRace"]

_REMEMBERED: Final = 4_096
"""Time stamps per channel that an endpoint may be behind with and still be compared."""
_RIVAL_NS: Final = 10 * NS_PER_S
"""How long ago an endpoint may have told something last to be one to compare with."""
_AHEAD_NS: Final = 2 * NS_PER_S
"""How far ahead of this clock a feed's time stamp may lie to be told while another endpoint tells one that does not."""
_AT_ONCE: Final = 1_000
"""Updates of one endpoint and channel between two looks that are timed; what is more is counted among none."""


class _Stamps:
    """The time stamps of one channel: when each was told first, by the monotonic clock."""

    def __init__(self) -> None:
        self._first: OrderedDict[int, int] = OrderedDict()
        self._newest_us: int | None = None
        self._forgotten_us = -1
        """Up to which they are so old that they are not remembered."""

    def first_ns(self, stamp_us: int, *, at: Instant, now_ns: int) -> int | None:
        """When it was told first, now at the latest. Of one that is forgotten, what is sure: not after those that are not.
        ``None`` for one that alone lies ahead of the clock: nobody is behind with that.
        """
        if newer(self._newest_us, stamp_us, at=at):
            self._newest_us = stamp_us
        elif self._newest_us is not None and stamp_us > self._newest_us:
            return None
        known_ns = self._first.get(stamp_us)
        if known_ns is not None:
            return known_ns
        if stamp_us <= self._forgotten_us:
            return next(iter(self._first.values()))
        self._first[stamp_us] = now_ns
        if len(self._first) > _REMEMBERED:
            forgotten_us, _ = self._first.popitem(last=False)
            if self._newest_us is not None and forgotten_us <= self._newest_us:
                self._forgotten_us = max(self._forgotten_us, forgotten_us)
        return now_ns


class LazerRace:
    """Takes every endpoint's ticks; :meth:`pace` and :meth:`pulses` give what came since they were last asked."""

    def __init__(self, endpoints: Sequence[str], channels: Sequence[Channel]) -> None:
        self._endpoints, self._channels = tuple(endpoints), tuple(channels)
        lanes = [(endpoint, number) for endpoint in endpoints for number in range(len(channels))]
        self._stamps = [_Stamps() for _ in channels]
        self._told: dict[tuple[str, int], dict[int, int]] = {lane: {} for lane in lanes}
        self._arrival: dict[tuple[str, int], list[int]] = {lane: [] for lane in lanes}
        self._behind: dict[tuple[str, int], list[int]] = {lane: [] for lane in lanes}
        self._active_ns: dict[tuple[str, int], int] = {}
        self._since_us: dict[tuple[str, int], int] = {}
        """The least time stamp that each told since it was opened."""
        self._pulses: dict[int, FeedPulse] = {}
        self._changed: set[int] = set()

    def take(self, endpoint: str, tick: LazerTick, *, now_ns: int) -> None:
        """Account for an update that an endpoint told; ``now_ns`` is monotonic."""
        lane, payload = (endpoint, tick.subscription), tick.payload
        self._active_ns[lane] = now_ns
        self._place(lane, payload.timestamp_us, tick.at, now_ns)
        told, oldest_us = self._told[lane], None
        for feed_id, feed in payload.by_id.items():
            self._pulse(endpoint, payload, feed, tick.at)
            updated_us = feed.feed_update_timestamp_us
            # A price that is only sent again says nothing of how long anything took.
            if updated_us is None or not newer(told.get(feed_id), updated_us, at=tick.at):
                continue
            new = feed_id in told
            told[feed_id] = updated_us
            if new:
                oldest_us = updated_us if oldest_us is None else min(oldest_us, updated_us)
        if oldest_us is not None and len(self._arrival[lane]) < _AT_ONCE:
            self._arrival[lane].append(tick.at.ns - oldest_us * NS_PER_US)

    def _place(self, lane: tuple[str, int], stamp_us: int, at: Instant, now_ns: int) -> None:
        began_ns = self._stamps[lane[1]].first_ns(stamp_us, at=at, now_ns=now_ns)
        if began_ns is None:
            return
        since_us = self._since_us[lane] = min(self._since_us.get(lane, stamp_us), stamp_us)
        # With what another could not have told yet, because it had not begun, nobody is first.
        begun = [self._since_us[other] for other in self._rivals(lane, now_ns) if other in self._since_us]
        behind = self._behind[lane]
        if begun and stamp_us >= max(since_us, min(begun)) and len(behind) < _AT_ONCE:
            behind.append(now_ns - began_ns)

    def lost(self, endpoint: str) -> None:
        """An endpoint is gone: until it tells something again there is nothing to compare it with."""
        for number in range(len(self._channels)):
            self._active_ns.pop((endpoint, number), None)
            self._since_us.pop((endpoint, number), None)

    def _rivals(self, lane: tuple[str, int], now_ns: int) -> list[tuple[str, int]]:
        """The same channel at other endpoints, where they told something lately."""
        others = [(one, lane[1]) for one in self._endpoints if one != lane[0]]
        return [one for one in others if one in self._active_ns and now_ns - self._active_ns[one] < _RIVAL_NS]

    def _pulse(self, endpoint: str, payload: LazerPayload, feed: FeedValues, at: Instant) -> None:
        known, updated_us = self._pulses.get(feed.feed_id), feed.feed_update_timestamp_us
        if known is not None:
            limit_us = (at.ns + _AHEAD_NS) // NS_PER_US
            ahead = max(updated_us or 0, payload.timestamp_us) > limit_us
            known_ahead = max(known.updated_us or 0, known.timestamp_us) > limit_us
            if ahead and not known_ahead and at.ns - known.timestamp_us * NS_PER_US < _RIVAL_NS:
                # Others tell what can be: one endpoint that has it is enough.
                return
            newest = (known.updated_us or 0, known.timestamp_us) >= (updated_us or 0, payload.timestamp_us)
            if newest and (ahead or not known_ahead):
                return
        freshness = feed.freshness(payload.timestamp_us, at=at)
        self._pulses[feed.feed_id] = FeedPulse(
            freshness.state,
            updated_us,
            payload.timestamp_us,
            freshness.has_price,
            feed.market_session,
            feed.publisher_count,
            endpoint,
        )
        self._changed.add(feed.feed_id)

    def pace(self, endpoint: str, subscription: int, *, now_ns: int) -> StreamPace:
        """What one endpoint did on one channel since this was asked last."""
        lane = (endpoint, subscription)
        arrival, behind = self._arrival[lane], self._behind[lane]
        self._arrival[lane], self._behind[lane] = [], []
        return StreamPace(tuple(arrival), tuple(behind), len(self._rivals(lane, now_ns)))

    def pulses(self) -> dict[int, FeedPulse]:
        """Feeds that something new was told of since this was asked last."""
        found = {feed_id: self._pulses[feed_id] for feed_id in self._changed}
        self._changed = set()
        return found
