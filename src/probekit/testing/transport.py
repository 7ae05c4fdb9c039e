"""A transport that answers from a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.model import Phases
from probekit.transports.base import Capabilities, Request, Response

Handler = Callable[[Request], Response | Exception | Awaitable[Response | Exception]]


def reply(
    status: int = 200,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Response:
    """A response with that content, received now."""
    now = clock.now()
    raw = body.encode() if isinstance(body, str) else body
    return Response(status, tuple((headers or {}).items()), raw, Phases(), 0, now, now)


class ReplyTransport:
    """A :class:`~probekit.transports.base.Transport` whose handler gives a response, or an error to raise.

    ``requests`` keeps what was sent, in order.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[Request] = []
        self.closed = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("reply", frozenset(), frozenset(), fresh_connections=False, redirects=False)

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self._handler(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True
