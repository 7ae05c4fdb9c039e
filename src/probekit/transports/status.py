"""HTTP statuses as errors, and what Retry-After says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from probekit.clock import Clock, within
from probekit.errors import NotEntitled, RateLimited, ServerError, StatusError, TransportError, Unauthorized
from probekit.secret import excerpt
from probekit.transports.base import Request, Response, Transport
from probekit.units import NS_PER_S, Instant

_EXCERPT: Final = 8_192
"""Bytes kept of the words: what names every id of a request, as Hermes's 404 does, has room."""
_PATIENCE_NS: Final = 2 * NS_PER_S


def retry_after_ns(value: str | None, now: Instant) -> int | None:
    """A Retry-After header in ns from ``now``: whole seconds or an HTTP date. ``None`` when absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text) * NS_PER_S
    from email.utils import parsedate_to_datetime

    try:
        return max(0, Instant.from_datetime(parsedate_to_datetime(text)).since(now))
    except (ValueError, TypeError, OverflowError):
        return None


def raise_for_status(response: Response) -> None:
    """Raise the :class:`~probekit.errors.StatusError` leaf of a status that is not 2xx; the body's first 8 KiB go with it.

    401 is ``Unauthorized``. 403 is ``NotEntitled``: whether it is about one id or about everything is the caller's to tell.
    """
    status = response.status
    if 200 <= status < 300:
        return
    body = excerpt(response.body, _EXCERPT)
    words = " ".join(body.split())[:200]
    message = f"{response.url} answered {status}" + (f": {words}" if words else "")
    url, elapsed_ns = response.url, response.elapsed_ns
    if status == 401:
        raise Unauthorized(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
    if status == 403:
        raise NotEntitled(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)
    wait_ns = retry_after_ns(response.header("retry-after"), response.received_at)
    if status == 429:
        raise RateLimited(message, status=status, retry_after_ns=wait_ns, body=body, url=url, elapsed_ns=elapsed_ns)
    if status >= 500:
        raise ServerError(message, status=status, retry_after_ns=wait_ns, body=body, url=url, elapsed_ns=elapsed_ns)
    raise StatusError(message, status=status, body=body, url=url, elapsed_ns=elapsed_ns)


class RaiseForStatus:
    """Middleware: an answer that is not 2xx becomes its error, inside whatever retries."""

    def __init__(self, inner: Transport, *, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    async def send(self, request: Request) -> Response:
        response = await self._inner.send(request)
        if not 200 <= response.status < 300:
            if response.chunks is not None:
                await self._hear_out(request, response, response.chunks)
            raise_for_status(response)
        return response

    async def _hear_out(self, request: Request, response: Response, chunks: AsyncGenerator[bytes, None]) -> None:
        """Read the words of a refused stream into its body: an excerpt, not for long, and the refusal stands without."""
        due_ns = self._clock.monotonic_ns() + _PATIENCE_NS
        if request.deadline_ns is not None:
            due_ns = min(due_ns, request.deadline_ns)

        async def read() -> None:
            async with aclosing(chunks):
                async for part in chunks:
                    response.body += part
                    if len(response.body) >= _EXCERPT:
                        return

        try:
            with contextlib.suppress(TransportError, TimeoutError):
                await within(self._clock, due_ns, read())
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()
