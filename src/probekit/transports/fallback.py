"""Several endpoints of one service: the next is asked when one fails in a way that another need not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from probekit.clock import Clock
from probekit.errors import DecodeError, ProbekitError, TransportError
from probekit.transports.base import Request, Response, Transport
from probekit.units import to_ns

T = TypeVar("T")


class Fallback:
    """Middleware: rewrites a request's origin to each endpoint in turn while the error says ``retry_other``.

    A POST that may have an effect goes to the first of them only. An endpoint that failed so is asked last for ``cool_down``.
    The request's URL is made for the first endpoint; each try has an equal part of the time left, so that one that hangs leaves
    time for the others. The error raised is the last one's; its ``attempts`` say what the others did.
    """

    def __init__(
        self,
        inner: Transport,
        endpoints: Sequence[str],
        *,
        clock: Clock,
        cool_down: timedelta = timedelta(seconds=30),
    ) -> None:
        if not endpoints:
            raise ValueError("at least one endpoint is needed")
        self._inner = inner
        self._endpoints = tuple(endpoint.rstrip("/") for endpoint in endpoints)
        self._clock = clock
        self._cool_ns = to_ns(cool_down)
        self._failed_at: dict[str, int] = {}

    async def send(self, request: Request) -> Response:
        return await self.ask(request, _whole)

    async def ask(self, request: Request, read: Callable[[Response], T]) -> T:
        """What ``read`` makes of the answer. An answer that it raises ``DecodeError`` for is no answer: the next endpoint is
        asked, as after a failure.
        """
        order = self._order()
        if not request.may_repeat:
            # It may have taken effect where it failed: nobody else is asked without the caller's word.
            order = order[:1]
        tried: list[str] = []
        for position, endpoint in enumerate(order):
            last = position == len(order) - 1
            try:
                found = _read(read, await self._inner.send(self._aimed(request, endpoint, len(order) - position)))
            except (TransportError, DecodeError) as error:
                if tried:
                    error.attempts = tuple(tried)
                tried.append(error.message)
                if error.retry_other:
                    self._failed_at[endpoint] = self._clock.monotonic_ns()
                if last or not error.retry_other or self._late(request):
                    raise
            else:
                self._failed_at.pop(endpoint, None)
                return found
        raise AssertionError("the last endpoint returns or raises")

    def _order(self) -> list[str]:
        now_ns = self._clock.monotonic_ns()

        def cooling(endpoint: str) -> bool:
            failed_ns = self._failed_at.get(endpoint)
            return failed_ns is not None and now_ns - failed_ns < self._cool_ns

        return sorted(self._endpoints, key=cooling)

    def _aimed(self, request: Request, endpoint: str, left: int) -> Request:
        first = self._endpoints[0]
        aimed = request
        if endpoint != first and request.url.startswith(first):
            aimed = replace(request, url=endpoint + request.url.removeprefix(first))
        if request.deadline_ns is not None and left > 1:
            now_ns = self._clock.monotonic_ns()
            aimed = replace(aimed, deadline_ns=now_ns + max(request.deadline_ns - now_ns, 0) // left)
        return aimed

    def _late(self, request: Request) -> bool:
        return request.deadline_ns is not None and self._clock.monotonic_ns() >= request.deadline_ns

    async def aclose(self) -> None:
        await self._inner.aclose()


async def ask(transport: Transport, request: Request, read: Callable[[Response], T]) -> T:
    """What ``read`` makes of the answer to ``request``; over several endpoints, of the first answer that it can read.

    A 200 that is no answer (a gateway's page, JSON cut off) says as little as a 502: the error of ``read`` decides by its
    ``retry_other``, as those of the transport do.
    """
    if isinstance(transport, Fallback):
        return await transport.ask(request, read)
    return _read(read, await transport.send(request))


def _read(read: Callable[[Response], T], response: Response) -> T:
    try:
        return read(response)
    except ProbekitError as error:
        error.took(response.elapsed_ns)
        raise


def _whole(response: Response) -> Response:
    return response


def origin(url: str) -> str:
    """``scheme://host:port`` of a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
