"""One transfer of libcurl's, from its handle to an answer or an error: what it is called back with, and what its times mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from probekit.clock import Clock
from probekit.errors import ConnectError, DeadlineExceeded, Phase, StreamClosed, TransportError
from probekit.model import Phases
from probekit.transports.admission import Admitted
from probekit.transports.arrival import Arrival
from probekit.transports.base import Request, Response
from probekit.transports.libcurl import NO_NAME, PAUSE, TIMED_OUT, error_of
from probekit.transports.sendable import late_in
from probekit.units import NS_PER_S, NS_PER_US


class Times(NamedTuple):
    """A transfer's times in whole microseconds since its start; 0 for what has not come."""

    resolved: int
    connected: int
    secured: int
    ready: int
    first: int
    total: int


class Facts(NamedTuple):
    """What a transfer that ended knows beside what it was sent."""

    status: int
    http_version: str | None
    peer_address: str | None
    peer_port: int | None


class Handles(Protocol):
    """The engine, as an attempt needs it; a handle is libcurl's."""

    def handle(
        self,
        request: Request,
        admitted: Admitted,
        remaining_ns: int | None,
        on_header: Callable[[bytes], int],
        on_body: Callable[[bytes], int | None],
    ) -> Any:
        """One with an attempt's options."""
        ...

    def times(self, curl: Any) -> Times: ...

    def facts(self, curl: Any) -> Facts: ...

    def resume(self, curl: Any) -> None:
        """Let it go on that was told to pause."""
        ...

    def look(self) -> None:
        """Let libcurl see to whatever its own timer has not yet been told."""
        ...

    def remove(self, attempt: Attempt) -> None:
        """Take an attempt's handle out and free it; its connection is closed with it."""
        ...


class Attempt:
    """One transfer: hands what comes to an ``Arrival``, and turns libcurl's times into phases."""

    def __init__(self, engine: Handles, request: Request, clock: Clock, admitted: Admitted) -> None:
        self._engine = engine
        self._request = request
        self._clock = clock
        self._admitted = admitted
        self.queue_ns = admitted.queue_ns
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrival = Arrival(request)
        self._paused = False
        self._passed_deadline = False
        self._result: tuple[int, str] | None = None
        # As if it had begun with its look-up, and never waited for a place.
        self._started_ns = clock.monotonic_ns() - admitted.resolve_ns
        self.curl: Any = engine.handle(request, admitted, self._remaining_ns(), self._on_header, self._on_body)

    def _remaining_ns(self) -> int | None:
        return None if self._request.deadline_ns is None else self._request.deadline_ns - self._clock.monotonic_ns()

    async def wait(self) -> None:
        """Until the answer is whole (a stream: until its headers are). Raises what went wrong."""
        remaining_ns = self._remaining_ns()
        if remaining_ns is None:
            await self._done
        else:
            # libcurl's own time limit has whole milliseconds, does not bound a stream's headers, and takes another turn through
            # Python for each attempt. asyncio.wait and asyncio.timeout come to the same as this, for several times the cost.
            timer = asyncio.get_running_loop().call_later(max(remaining_ns, 0) / NS_PER_S, self._pass_deadline)
            try:
                await self._done
            finally:
                timer.cancel()
            # What came in the same turn of a busy loop, after the timer, came.
            if self._passed_deadline and not (self._arrival.ended or (self._request.stream and self._arrival.complete)):
                raise self._late()
        error = self._error()
        if error is not None:
            raise error

    def response(self) -> Response:
        """What came back. Raises ``ProtocolError`` for a body that is cut short."""
        streamed, facts, times = self._request.stream, self._engine.facts(self.curl), self._engine.times(self.curl)
        total_ns = self._admitted.resolve_ns + times.total * NS_PER_US
        if streamed:
            total_ns = self._clock.monotonic_ns() - self._started_ns
        return Response(
            status=facts.status,
            headers=tuple(self._arrival.headers),
            body=b"" if streamed else self._arrival.body(),
            phases=self._phases(times),
            elapsed_ns=total_ns,
            started_at=self._admitted.started_at,
            received_at=self._clock.now(),
            http_version=facts.http_version,
            peer_address=facts.peer_address,
            peer_port=facts.peer_port,
            new_connection=True,
            url=self._request.shown_url,
            chunks=self._chunks() if streamed else None,
            close=self._close if streamed else None,
        )

    def end(self) -> None:
        """Give everything back; idempotent."""
        self._arrival.end()
        self._engine.remove(self)

    def looking_up(self) -> bool:
        """Whether its name is still being looked up."""
        answered = self._result is not None and self._result[0] in NO_NAME
        return not answered and not self._engine.times(self.curl).resolved

    def abandon(self) -> None:
        """The engine is closed: whoever waits for this is told so."""
        shown = self._request.shown_url
        if self._arrival.failure is None:
            self._arrival.failure = ConnectError(f"the engine was closed while {shown} was asked", url=shown)
        self._settle()
        self.end()

    async def _close(self) -> None:
        self.end()

    # -- libcurl's callbacks -------------------------------------------------------------------------------------------------

    def _on_header(self, line: bytes) -> int:
        if not self._arrival.line(line):
            return -1
        if self._request.stream and self._arrival.complete:
            self._settle()
        return len(line)

    def _on_body(self, data: bytes) -> int | None:
        if self._arrival.full():
            # libcurl keeps what is refused, and hands it over once more.
            self._paused = True
            return PAUSE
        return None if self._arrival.data(data) else -1

    def finished(self, failure: tuple[int, str] | None) -> None:
        """libcurl is done with the transfer."""
        self._result = failure
        self._settle()
        self._arrival.end()

    def _pass_deadline(self) -> None:
        if not self._done.done():
            self._passed_deadline = True
            # Whatever libcurl's own timer has not yet been told.
            self._engine.look()
            self._settle()

    def _settle(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _resume(self) -> None:
        if self._paused and not self._arrival.ended:
            self._paused = False
            self._engine.resume(self.curl)

    # -- what it means -------------------------------------------------------------------------------------------------------

    def _error(self) -> TransportError | None:
        elapsed_ns = self._clock.monotonic_ns() - self._started_ns
        failure = self._arrival.failure
        if failure is not None:
            failure.elapsed_ns = elapsed_ns
            return failure
        if self._result is None:
            return None
        number, message = self._result
        return self._late() if number == TIMED_OUT else error_of(number, message, self._request, elapsed_ns)

    def _late(self) -> DeadlineExceeded:
        return late_in(self._request.shown_url, self._phase(), self._clock.monotonic_ns() - self._started_ns)

    def _phase(self) -> Phase:
        """Where the transfer stands: the first phase libcurl has no time for."""
        times = self._engine.times(self.curl)
        if not times.resolved:
            return "resolve"
        if not times.connected:
            return "connect"
        if self._request.url[:5].lower() == "https" and not times.secured:
            return "tls"
        return "transfer" if self._arrival.headers else "first_byte"

    def _phases(self, times: Times) -> Phases:
        resolved, connected, secured, ready, first, total = times
        return Phases(
            queue_ns=self.queue_ns,
            resolve_ns=self._admitted.resolve_ns + resolved * NS_PER_US,
            connect_ns=max(connected - resolved, 0) * NS_PER_US,
            tls_ns=max(secured - connected, 0) * NS_PER_US if secured else None,
            first_byte_ns=max(first - ready, 0) * NS_PER_US,
            transfer_ns=None if self._request.stream else max(total - first, 0) * NS_PER_US,
        )

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._arrival.chunks(self._resume)) as chunks:
            async for chunk in chunks:
                yield chunk
        error = self._error()
        if error is not None:
            shown = self._request.shown_url
            raise StreamClosed(f"the stream of {shown} broke: {error.message}", planned=False, url=shown)
