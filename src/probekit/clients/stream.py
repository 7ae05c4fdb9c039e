"""A stream of Hermes: one or several connections as one, with per-feed accounting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.checks import StreamState
from probekit.clients.batch import Batch
from probekit.clients.continuity import Accounting
from probekit.codecs import hermes as codec
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model import FeedId
from probekit.transports.base import Request
from probekit.transports.sse import Arrived, Closed, EventStream, Opened, StreamPolicy, merged, stream_queue
from probekit.units import Instant

if TYPE_CHECKING:
    from probekit.clients.hermes import HermesClient

_STREAM_PATH: Final = "/v2/updates/price/stream"


class StreamChange(msgspec.Struct, frozen=True):
    """A stream opened (``error`` is ``None``) or closed; ``planned`` closes are the service's routine."""

    connected: bool
    at: Instant
    error: ProbekitError | None = None
    planned: bool = False


class HermesStream:
    """An open-ended stream of price batches.

    ``async for batch in stream`` yields one :class:`Batch` per event, over the ids the event carries. :meth:`events` yields
    :class:`StreamChange` beside them. Ids that the service refuses are set apart before subscribing, in :attr:`errors`; their
    connection is opened again, as planned, each time the client asks anew for what was refused (its ``refused_for``).
    ``accounting`` counts gaps, duplicates and reordering per feed; ``undecodable`` events of which nothing could be read.
    """

    def __init__(self, client: HermesClient, ids: Sequence[FeedId], policy: StreamPolicy | None) -> None:
        if not ids:
            raise ValueError("a stream needs at least one feed")
        self._client = client
        self._ids = tuple(ids)
        self._known = {str(one): one for one in self._ids}
        self.errors: dict[FeedId, ProbekitError] = {}
        self.accounting = Accounting()
        self.undecodable = 0
        self._policy = policy or StreamPolicy()
        self._queue = stream_queue(self._policy)
        # More ids than fit a URL take several connections; what waits for the consumer is bounded for all of them.
        self._streams = [
            EventStream(
                client._transport,
                partial(self._subscribe, part),
                clock=client._clock,
                policy=self._policy,
                queue=self._queue,
                renew_after=partial(self._renew_after, part),
            )
            for part in client._parts(self._ids, _STREAM_PATH)
        ]

    @property
    def reconnects(self) -> int:
        return sum(stream.reconnects for stream in self._streams)

    @property
    def unplanned_closes(self) -> int:
        return sum(stream.unplanned_closes for stream in self._streams)

    @property
    def planned_closes(self) -> int:
        return sum(stream.planned_closes for stream in self._streams)

    @property
    def dropped(self) -> int:
        """Events that a slow consumer never saw."""
        return self._queue.dropped

    def state(self, *, connected: bool, opened_at: Instant, last_event_at: Instant | None, reason: str = "") -> StreamState:
        """The stream's condition with its counters, as :class:`~probekit.checks.StreamContinuity` judges it."""
        counts = self.accounting
        return StreamState(
            connected,
            last_event_at,
            opened_at,
            counts.gaps,
            counts.duplicates,
            counts.out_of_order,
            self.unplanned_closes,
            self.dropped,
            reason,
        )

    async def __aiter__(self) -> AsyncGenerator[Batch, None]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Batch):
                    yield event

    async def events(self) -> AsyncGenerator[Batch | StreamChange, None]:
        """Batches and changes of the connection, in order, for ever; close the generator to end the stream."""
        items = merged(self._streams)
        try:
            async for item in items:
                if isinstance(item, Arrived):
                    batch = self._batch(item)
                    if isinstance(batch, ProbekitError):
                        yield StreamChange(connected=True, at=item.at, error=batch)
                    else:
                        yield batch
                elif isinstance(item, Opened):
                    yield StreamChange(connected=True, at=item.at)
                elif isinstance(item, Closed):
                    yield StreamChange(connected=False, at=item.at, error=item.error, planned=item.planned)
        finally:
            await items.aclose()

    def _batch(self, item: Arrived) -> Batch | DecodeError:
        try:
            answer, malformed = codec.decode_prices_apart(item.event.data)
            known, parsed = self._known, answer.parsed or ()
            # Only what was subscribed to: a server that makes up feeds must not make anything grow here.
            updates = [update for update in parsed if update.id in known]
            ids = [*dict.fromkeys(known[update.id] for update in updates), *(one for one in malformed if one in known)]
            batch = Batch(ids, (answer,), malformed, received_at=item.at)
        except DecodeError as error:
            self.undecodable += 1
            return error
        take = self.accounting.take
        for update in updates:
            take(update)
        trust = self._client._verify
        return batch if trust is None else batch.verified(trust, at=item.at)

    def _renew_after(self, ids: Sequence[FeedId]) -> int | None:
        """What was refused may be granted, or listed, long before the service closes the stream by itself."""
        return self._client._refused_for_ns if any(one in self.errors for one in ids) else None

    async def _subscribe(self, ids: Sequence[FeedId]) -> Request:
        client = self._client
        refused: dict[FeedId, ProbekitError] = {}
        deadline_ns = client._due_ns()
        left = [one for one in ids if not client._known_refused(one, refused)]
        # The service answers a subscription with one bad id by refusing it whole; asking for the latest names the bad ones.
        await client._isolating("/v2/updates/price/latest", left, refused, deadline_ns, asyncio.Semaphore(1))
        for one in ids:
            self.errors.pop(one, None)
        self.errors.update(refused)
        left = [one for one in left if one not in refused]
        if not left:
            raise next(iter(refused.values())) if refused else NotFound("no feed is left to subscribe to")
        return client._request(client._price_query(_STREAM_PATH, left), None, stream=True)
