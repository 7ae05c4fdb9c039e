"""A server-sent event stream that stays up: reconnect, watchdog, bounded queue, and the routine close told from a fault."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from probekit.clock import Clock, reap
from probekit.codecs.sse import DEFAULT_MAX_EVENT_BYTES, SseEvent, SseSplitter
from probekit.errors import DeadlineExceeded, DecodeError, ProbekitError, ProtocolError, RateLimited, StatusError, StreamClosed
from probekit.transports.base import Request, Response, Transport
from probekit.transports.queue import BoundedQueue
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

PLANNED_CLOSE: Final = b"Connection timeout reached (24h)"
_PLANNED_AGE_NS: Final = 23 * 3600 * NS_PER_S


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
    events wait
    for a slow consumer at most; then the oldest are dropped, counted.
    """

    open_timeout: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=45)
    first_wait: timedelta = timedelta(milliseconds=500)
    max_wait: timedelta = timedelta(seconds=30)
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    queue: int = 1024


class EventStream:
    """Iterate :meth:`items`; it reconnects until closed. ``make_request`` is asked anew for every connection.

    Counters: ``reconnects``, ``planned_closes``, ``unplanned_closes``, and :attr:`dropped`.
    """

    def __init__(
        self,
        transport: Transport,
        make_request: Callable[[], Awaitable[Request]],
        *,
        clock: Clock,
        policy: StreamPolicy | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._make_request = make_request
        self._clock = clock
        self._policy = policy or StreamPolicy()
        self._jitter = jitter
        self._queue: BoundedQueue[StreamItem] = BoundedQueue(self._policy.queue)
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
        keeper = asyncio.create_task(self._keep_open(), name="event stream")
        self._queue.watch(keeper)
        try:
            while True:
                yield await self._queue.get()
        finally:
            await reap(keeper)

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
            failures = 0 if planned or got_data else failures + 1
            wait_ns = 0 if planned else self._wait_ns(error, failures)
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + wait_ns)
            self.reconnects += 1

    def _wait_ns(self, error: ProbekitError, failures: int) -> int:
        policy = self._policy
        wait_ns = min(to_ns(policy.first_wait) << min(failures, 10), to_ns(policy.max_wait))
        if isinstance(error, RateLimited) and error.retry_after_ns is not None:
            return max(wait_ns, error.retry_after_ns)
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
            if not kind.startswith("text/event-stream") or response.chunks is None:
                raise ProtocolError(f"{response.url} answered {kind[:80] or 'no content type'}, not an event stream")
            self._queue.put(Opened(clock.now(), response))
            self._last_byte_ns = clock.monotonic_ns()
            reader = asyncio.create_task(self._read(response), name="event stream reader")
            watchdog = asyncio.create_task(self._watch_silence(response.url), name="event stream watchdog")
            try:
                done, _ = await asyncio.wait({reader, watchdog}, return_when=asyncio.FIRST_COMPLETED)
                return (reader if reader in done else watchdog).result()
            finally:
                reader.cancel()
                watchdog.cancel()
                await asyncio.gather(reader, watchdog, return_exceptions=True)
        finally:
            await response.aclose()

    async def _read(self, response: Response) -> bool:
        assert response.chunks is not None
        splitter = SseSplitter(self._policy.max_event_bytes)
        clock, put = self._clock, self._queue.put
        got_data = False
        try:
            async for chunk in response.chunks:
                self._last_byte_ns = clock.monotonic_ns()
                for event in splitter.feed(chunk):
                    if event.event == "error":
                        raise StreamClosed(
                            f"{response.url} closed the stream: {event.data[:200].decode('utf-8', 'replace')}",
                            planned=event.data.startswith(PLANNED_CLOSE),
                            url=response.url,
                        )
                    got_data = True
                    put(Arrived(event, clock.now()))
        except (ProbekitError, DecodeError) as error:
            raise _Ended(error, got_data) from error
        return got_data

    async def _watch_silence(self, url: str) -> bool:
        silence_ns = to_ns(self._policy.silence)
        while True:
            due_ns = self._last_byte_ns + silence_ns
            if self._clock.monotonic_ns() >= due_ns:
                raise DeadlineExceeded(
                    f"the stream of {url} was silent for {format_ns(silence_ns)}, without even a keep-alive",
                    phase="transfer",
                    url=url,
                )
            await self._clock.sleep_until_ns(due_ns)


async def merged(streams: Sequence[EventStream], queue: int) -> AsyncGenerator[StreamItem, None]:
    """The items of several streams as they come; at most ``queue`` wait. Close the generator to end them all."""
    if len(streams) == 1:
        items = streams[0].items()
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
        return
    waiting: BoundedQueue[StreamItem] = BoundedQueue(queue)

    async def pump(stream: EventStream) -> None:
        async for item in stream.items():
            waiting.put(item)

    pumps = [asyncio.create_task(pump(stream), name="event stream pump") for stream in streams]
    for task in pumps:
        waiting.watch(task)
    try:
        while True:
            yield await waiting.get()
    finally:
        await reap(*pumps)


class _Ended(Exception):
    """Carries an error out of the reader together with whether data had come."""

    def __init__(self, error: ProbekitError, got_data: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.got_data = got_data
