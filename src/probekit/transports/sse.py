"""A server-sent event stream that stays up: reconnect, watchdog, bounded queue, and the routine close told from a fault."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from probekit.clock import Clock, first_of, reap
from probekit.codecs.sse import DEFAULT_MAX_EVENT_BYTES, SseEvent, SseSplitter
from probekit.errors import (
    DeadlineExceeded,
    DecodeError,
    ProbekitError,
    ProtocolError,
    RateLimited,
    ServerError,
    StatusError,
    StreamClosed,
)
from probekit.secret import cut
from probekit.transports.base import Request, Response, Transport
from probekit.transports.queue import BoundedQueue
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

PLANNED_CLOSE: Final = b"Connection timeout reached (24h)"
_PLANNED_AGE_NS: Final = 23 * 3600 * NS_PER_S
_SETTLED_NS: Final = 60 * NS_PER_S
"""A connection that lasted so long may be opened again without waiting: not even a liar is asked more than once a minute."""
_LONGEST_ASKED_NS: Final = 300 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream answered and is open."""

    at: Instant
    response: Response


@dataclass(frozen=True, slots=True)
class Arrived:
    """One event, and when its last byte was here."""

    event: SseEvent
    at: Instant


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream ended. It will be opened again; ``planned`` is the server's routine."""

    at: Instant
    error: ProbekitError
    planned: bool


StreamItem = Opened | Arrived | Closed


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """``silence``: how long not one byte may come (keep-alives count) before the connection is taken for dead. ``queue``
    events and ``queue_bytes`` of data wait for a slow consumer at most; then the oldest are dropped, counted.

    A stream that fails is opened again after ``first_wait``, doubled up to ``max_wait`` while nothing comes; a Retry-After is
    obeyed up to five minutes. One that the server ends as planned is opened again at once, unless it was hardly open.
    """

    open_timeout: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=45)
    first_wait: timedelta = timedelta(milliseconds=500)
    max_wait: timedelta = timedelta(seconds=30)
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    queue: int = 1024
    queue_bytes: int = 32 * 1024 * 1024


class EventStream:
    """Iterate :meth:`items`; it reconnects until closed. ``make_request`` is asked anew for every connection.

    Counters: ``reconnects``, ``planned_closes``, ``unplanned_closes``, and :attr:`dropped`. ``queue`` is one that several
    streams share (:func:`merged`); without it the stream has its own. ``renew_after`` is asked once a connection is open: after
    so many nanoseconds it is closed and opened again, as planned; ``None`` for one that may stay.
    """

    def __init__(
        self,
        transport: Transport,
        make_request: Callable[[], Awaitable[Request]],
        *,
        clock: Clock,
        policy: StreamPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        queue: BoundedQueue[StreamItem] | None = None,
        renew_after: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._make_request = make_request
        self._clock = clock
        self._policy = policy or StreamPolicy()
        self._jitter = jitter
        self._queue = stream_queue(self._policy) if queue is None else queue
        self._renew_after = renew_after
        self._last_byte_ns = 0
        self.reconnects = 0
        self.planned_closes = 0
        self.unplanned_closes = 0

    @property
    def dropped(self) -> int:
        """Items a slow consumer never saw."""
        return self._queue.dropped

    async def items(self) -> AsyncGenerator[StreamItem, None]:
        """Everything that happens on the stream, in order, for ever. Close the generator to end it."""
        async with aclosing(merged((self,))) as items:
            async for item in items:
                yield item

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            opened_ns = self._clock.monotonic_ns()
            got_data = False
            try:
                got_data = await self._connection()
                error: ProbekitError = StreamClosed("the server ended the stream", planned=False)
            except _Ended as ended:
                error, got_data = ended.error, ended.got_data
            except ProbekitError as failed:
                error = failed
            lasted_ns = self._clock.monotonic_ns() - opened_ns
            planned = isinstance(error, StreamClosed) and (error.planned or lasted_ns >= _PLANNED_AGE_NS)
            if planned:
                self.planned_closes += 1
            else:
                self.unplanned_closes += 1
            self._queue.put(Closed(self._clock.now(), error, planned))
            settled = planned and lasted_ns >= _SETTLED_NS
            failures = 0 if settled or got_data else failures + 1
            wait_ns = 0 if settled else self._wait_ns(error, failures)
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + wait_ns)
            self.reconnects += 1

    def _wait_ns(self, error: ProbekitError, failures: int) -> int:
        policy = self._policy
        wait_ns = min(to_ns(policy.first_wait) << min(failures, 10), to_ns(policy.max_wait))
        if isinstance(error, RateLimited | ServerError) and error.retry_after_ns is not None:
            return max(wait_ns, min(error.retry_after_ns, _LONGEST_ASKED_NS))
        if isinstance(error, StatusError) and error.status < 500:
            # A refusal will not change in a second; asking at full speed only earns a rate limit.
            wait_ns = max(wait_ns, 5 * NS_PER_S)
        return wait_ns - int(wait_ns * self._jitter() / 4)

    async def _connection(self) -> bool:
        """One connection from request to end; returns whether any event came. Raises what ended it."""
        clock, policy = self._clock, self._policy
        request = await self._make_request()
        response = await self._transport.send(request.with_deadline(clock.monotonic_ns() + to_ns(policy.open_timeout)))
        try:
            kind = response.header("content-type") or ""
            if not kind.lower().startswith("text/event-stream") or response.chunks is None:
                text = f"{response.url} answered {cut(kind, 80) or 'no content type'}, not an event stream"
                raise ProtocolError(text, url=response.url)
            self._queue.put(Opened(clock.now(), response))
            self._last_byte_ns = clock.monotonic_ns()
            return await first_of(self._read(response.url, response.chunks), self._watch(response.url))
        finally:
            await response.aclose()

    async def _read(self, url: str, chunks: AsyncGenerator[bytes, None]) -> bool:
        splitter = SseSplitter(self._policy.max_event_bytes)
        clock, put = self._clock, self._queue.put
        got_data = False
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    self._last_byte_ns = clock.monotonic_ns()
                    for event in splitter.feed(chunk):
                        if event.event == "error":
                            raise StreamClosed(
                                f"{url} closed the stream: {event.data[:200].decode('utf-8', 'replace')}",
                                planned=event.data.startswith(PLANNED_CLOSE),
                                url=url,
                            )
                        got_data = True
                        put(Arrived(event, clock.now()), len(event.data))
        except (ProbekitError, DecodeError) as error:
            raise _Ended(error, got_data) from error
        return got_data

    async def _watch(self, url: str) -> bool:
        """Raises once the connection was silent for too long, or has been open for long enough."""
        silence_ns, renew_after_ns = to_ns(self._policy.silence), self._renew_after()
        renew_ns = None if renew_after_ns is None else self._clock.monotonic_ns() + renew_after_ns
        while True:
            due_ns, now_ns = self._last_byte_ns + silence_ns, self._clock.monotonic_ns()
            if renew_ns is not None and now_ns >= renew_ns:
                raise StreamClosed(f"the stream of {url} is opened again, to ask anew for all of it", planned=True, url=url)
            if now_ns >= due_ns:
                raise DeadlineExceeded(
                    f"the stream of {url} was silent for {format_ns(silence_ns)}, without even a keep-alive",
                    phase="transfer",
                    url=url,
                )
            await self._clock.sleep_until_ns(due_ns if renew_ns is None else min(due_ns, renew_ns))


def stream_queue(policy: StreamPolicy) -> BoundedQueue[StreamItem]:
    """A queue as ``policy`` wants it, for one stream or several."""
    return BoundedQueue(policy.queue, policy.queue_bytes)


async def merged(streams: Sequence[EventStream]) -> AsyncGenerator[StreamItem, None]:
    """The items of streams that share a queue, as they come. Close the generator to end them all."""
    queue = streams[0]._queue
    if any(stream._queue is not queue for stream in streams):
        raise ValueError("only streams of one queue can be merged")
    keepers = [asyncio.create_task(stream._keep_open(), name="event stream") for stream in streams]
    for keeper in keepers:
        queue.watch(keeper)
    try:
        while True:
            yield await queue.get()
    finally:
        await reap(*keepers)


class _Ended(Exception):
    """Carries an error out of the reader together with whether data had come."""

    def __init__(self, error: ProbekitError, got_data: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.got_data = got_data
