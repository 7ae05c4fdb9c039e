"""Middleware next to the engine: one record per attempt, also of one that failed."""

from __future__ import annotations

from typing import Final

from probekit.clock import Clock
from probekit.errors import DeadlineExceeded, ErrorType, ProbekitError, TransportError
from probekit.model import Phases, RequestRecord
from probekit.secret import cut, excerpt
from probekit.transports.base import Engine, Observer, Request, Response

_KEPT_HEADERS: Final = frozenset(
    (
        "age",
        "cf-ray",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "retry-after",
        "server",
        "via",
        "x-request-id",
    )
)
_EXCERPT: Final = 1_024


def ended_in(error: BaseException) -> ErrorType:
    """``error_type`` of what an attempt ended in: ``cancelled`` where its caller gave it up, ``internal`` where it is no error
    of the tree: a defect, which says nothing of whoever was asked.
    """
    if isinstance(error, ProbekitError):
        return error.error_type
    return "internal" if isinstance(error, Exception) else "cancelled"


class Recording:
    """Tells ``observer`` of every attempt on ``engine``, once: at its end, or for a stream when its headers are in.

    One that its caller gave up is told of as ``cancelled``, one that ended in a defect of ours as ``internal``.
    """

    def __init__(self, engine: Engine, *, observer: Observer, clock: Clock) -> None:
        self._engine = engine
        self._observer = observer
        self._clock = clock

    async def send(self, request: Request) -> Response:
        started_at, started_ns = self._clock.now(), self._clock.monotonic_ns()
        try:
            response = await self._engine.send(request)
        except BaseException as error:
            # The wait for a place is no part of what an attempt took, whatever became of it.
            queue_ns = error.queue_ns if isinstance(error, TransportError) else None
            self._observer(
                RequestRecord(
                    method=request.method,
                    url=request.shown_url,
                    engine=self._engine.capabilities.engine,
                    started_at=started_at,
                    elapsed_ns=self._clock.monotonic_ns() - started_ns - (queue_ns or 0),
                    phases=Phases(queue_ns=queue_ns),
                    error_type=ended_in(error),
                    error_phase=error.phase if isinstance(error, DeadlineExceeded) else None,
                    attempt=request.attempt,
                    family=request.family,
                )
            )
            raise
        failed = response.status >= 400
        # Redacted already, where no redirect made it another's.
        shown = "" if request.max_redirects else response.url
        self._observer(
            RequestRecord(
                method=request.method,
                url=shown or request.shown_url,
                engine=self._engine.capabilities.engine,
                started_at=response.started_at,
                elapsed_ns=response.elapsed_ns,
                phases=response.phases,
                status=response.status,
                error_type="status" if failed else None,
                http_version=response.http_version,
                peer_address=response.peer_address,
                peer_port=response.peer_port,
                family=request.family,
                received_bytes=len(response.body),
                attempt=request.attempt,
                new_connection=response.new_connection,
                headers=tuple((name, cut(value, 200)) for name, value in response.headers if name in _KEPT_HEADERS),
                excerpt=excerpt(response.body, _EXCERPT) if failed else "",
            )
        )
        return response

    async def aclose(self) -> None:
        await self._engine.aclose()
