"""What a probe keeps of Pyth Pro streams between two looks: how late updates came, how fresh feeds are, what was verified."""

from __future__ import annotations

import msgspec

from probekit.errors import ErrorType
from probekit.model.lazer import Freshness, TradingSession


class StreamPace(msgspec.Struct, frozen=True):
    """One channel at one endpoint, over a short while.

    ``arrival_ns``: of each update that brought a feed a new price, how old the oldest of its new prices was when it was here,
    by the feed's own time stamp and this host's clock. ``behind_ns``: how long after the first endpoint each of its updates
    came, 0 for those that it was first with; only the monotonic clock of this host is in it. ``rivals`` counts the other
    endpoints that told something meanwhile.
    """

    arrival_ns: tuple[int, ...] = ()
    behind_ns: tuple[int, ...] = ()
    rivals: int = 0


class FeedPulse(msgspec.Struct, frozen=True, gc=False):
    """The newest that any endpoint told of a feed. ``updated_us`` is its own time stamp, ``None`` where there is none.
    ``lacking`` says on which channels that were asked for nobody tells it, and why.
    """

    state: Freshness
    updated_us: int | None
    timestamp_us: int
    has_price: bool
    session: TradingSession | int | str | None = None
    publisher_count: int | None = None
    endpoint: str = ""
    lacking: str = ""


class SignatureSample(msgspec.Struct, frozen=True):
    """How many updates were verified since the last one, and the first that was not: why, in words."""

    held: int
    error_type: ErrorType | None = None
    problem: str = ""
