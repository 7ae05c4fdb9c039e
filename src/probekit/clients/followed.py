"""A stream of Hermes followed by a probe: its batches, and what of it is told of the endpoint and of feeds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from probekit.checks import StreamState
from probekit.clients.batch import Batch
from probekit.clock import Clock
from probekit.errors import DeadlineExceeded, StreamClosed
from probekit.model import Failure, FeedId, Observation

if TYPE_CHECKING:
    from probekit.clients.hermes import HermesClient

__all__ = ["followed"]


async def followed(
    client: HermesClient, feeds: Iterable[FeedId | str], endpoint: str, *, clock: Clock
) -> AsyncGenerator[Batch | Observation[StreamState] | Failure, None]:
    """Follow the stream without end: each batch, after the state it leaves the stream in and the failures it tells of feeds.

    ``endpoint`` is the target of the service. A stream that was closed, or went quiet, is a state and not a failure: it is
    opened again, and ``StreamContinuity`` judges how long it brought nothing.
    """
    opened_at, last_event_at, reason = clock.now(), None, ""
    stream = client.stream(feeds)

    def state(*, connected: bool) -> Observation[StreamState]:
        told = stream.state(connected=connected, opened_at=opened_at, last_event_at=last_event_at, reason=reason)
        return Observation(told, endpoint, clock.now(), endpoint)

    async with aclosing(stream.events()) as events:
        async for event in events:
            if isinstance(event, Batch):
                last_event_at = event.received_at
                yield state(connected=True)
                for feed_id, error in event.errors.items():
                    yield Failure(error, endpoint, event.received_at, feed_id)
                yield event
                continue
            for feed_id, refusal in stream.errors.items():
                yield Failure(refusal, endpoint, event.at, feed_id)
            if event.error is None or isinstance(event.error, StreamClosed) or event.planned:
                reason = "" if event.error is None else event.error.message
                yield state(connected=event.connected)
            elif isinstance(event.error, DeadlineExceeded) and event.error.phase == "transfer":
                reason = event.error.message
                yield state(connected=False)
            else:
                yield Failure(event.error, endpoint, event.at, endpoint)
