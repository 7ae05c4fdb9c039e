"""Several endpoints of Pyth Pro side by side: the same updates, timed at each, where :mod:`probekit.clients.lazer_stream` tells
each of them once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

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
_AT_ONCE: Final = 1_000
"""Updates of one endpoint and channel between two looks that are timed; what is more is counted among none."""


class LazerRace:
    """Takes every endpoint's ticks; :meth:`pace` and :meth:`pulses` give what came since they were last asked."""

    def __init__(self, endpoints: Sequence[str], channels: Sequence[Channel]) -> None:
        self._endpoints, self._channels = tuple(endpoints), tuple(channels)
        lanes = [(endpoint, number) for endpoint in endpoints for number in range(len(channels))]
        self._first: list[OrderedDict[int, int]] = [OrderedDict() for _ in channels]
        self._told: dict[tuple[str, int], dict[int, int]] = {lane: {} for lane in lanes}
        self._arrival: dict[tuple[str, int], list[int]] = {lane: [] for lane in lanes}
        self._behind: dict[tuple[str, int], list[int]] = {lane: [] for lane in lanes}
        self._active_ns: dict[tuple[str, int], int] = {}
        self._since_us: dict[tuple[str, int], int] = {}
        """The first time stamp that each told since it was opened."""
        self._pulses: dict[int, FeedPulse] = {}
        self._changed: set[int] = set()

    def take(self, endpoint: str, tick: LazerTick, *, now_ns: int) -> None:
        """Account for an update that an endpoint told; ``now_ns`` is monotonic."""
        lane, payload = (endpoint, tick.subscription), tick.payload
        self._active_ns[lane] = now_ns
        since_us = self._since_us.setdefault(lane, payload.timestamp_us)
        first, behind = self._first[tick.subscription], self._behind[lane]
        began_ns = first.setdefault(payload.timestamp_us, now_ns)
        if len(first) > _REMEMBERED:
            first.popitem(last=False)
        # With what another could not have told yet, because it had not begun, nobody is first.
        begun = [self._since_us[other] for other in self._rivals(lane, now_ns)]
        if begun and payload.timestamp_us >= max(since_us, min(begun)) and len(behind) < _AT_ONCE:
            behind.append(now_ns - began_ns)
        told, oldest_us = self._told[lane], None
        for feed_id, feed in payload.by_id.items():
            self._pulse(endpoint, payload, feed, tick.at)
            updated_us = feed.feed_update_timestamp_us
            # A price that is only sent again says nothing of how long anything took.
            if updated_us is None or updated_us <= told.get(feed_id, -1):
                continue
            new = feed_id in told
            told[feed_id] = updated_us
            if new:
                oldest_us = updated_us if oldest_us is None else min(oldest_us, updated_us)
        if oldest_us is not None and len(self._arrival[lane]) < _AT_ONCE:
            self._arrival[lane].append(tick.at.ns - oldest_us * NS_PER_US)

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
        if known is not None and (known.updated_us or 0, known.timestamp_us) >= (updated_us or 0, payload.timestamp_us):
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
