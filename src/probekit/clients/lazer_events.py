"""What happens to a Pyth Pro stream: ticks, and what becomes of connections and subscriptions."""

from __future__ import annotations

import msgspec

from probekit.errors import ProbekitError
from probekit.model.lazer import FeedValues, LazerPayload, LazerUpdate, VerifiedPayload
from probekit.units import Instant


class LazerTick(msgspec.Struct, frozen=True):
    """An update that no endpoint had told before. ``subscription`` counts from 0, in the order of the requests.

    ``payload`` is what was signed where signers are given (``proof`` says by whom), else what was parsed. ``feeds`` are those
    of it that are told here: all, or where another endpoint left some out, those. ``at`` is when it was here.
    """

    subscription: int
    endpoint: str
    at: Instant
    update: LazerUpdate
    payload: LazerPayload
    feeds: frozenset[int]
    proof: VerifiedPayload | None = None

    @property
    def values(self) -> dict[int, FeedValues]:
        """What is told here, by feed."""
        return {feed_id: feed for feed_id, feed in self.payload.by_id.items() if feed_id in self.feeds}


class LazerConnected(msgspec.Struct, frozen=True):
    """A connection is open and its subscriptions are asked for."""

    endpoint: str
    at: Instant


class LazerLost(msgspec.Struct, frozen=True):
    """A connection is gone, or could not be made; it is tried again."""

    endpoint: str
    at: Instant
    error: ProbekitError


class LazerSubscribed(msgspec.Struct, frozen=True):
    """An endpoint has opened a subscription; ``errors`` are of the feeds that it left out."""

    subscription: int
    endpoint: str
    at: Instant
    errors: dict[int | str, ProbekitError] = {}


class LazerRejected(msgspec.Struct, frozen=True):
    """A message that is none or does not verify, or an error that the service told; the connection goes on.

    ``subscription`` is ``None`` where it is about the whole connection.
    """

    endpoint: str
    at: Instant
    error: ProbekitError
    subscription: int | None = None


LazerEvent = LazerTick | LazerConnected | LazerLost | LazerSubscribed | LazerRejected
