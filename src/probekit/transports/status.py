"""HTTP statuses as errors, and what Retry-After says."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from probekit.errors import NotEntitled, RateLimited, ServerError, StatusError, Unauthorized
from probekit.secret import redact
from probekit.transports.base import Request, Response, Transport
from probekit.units import NS_PER_S, Instant

_EXCERPT = 2_048


def retry_after_ns(value: str | None, now: Instant) -> int | None:
    """A Retry-After header in ns from ``now``: whole seconds or an HTTP date. ``None`` when absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text) * NS_PER_S
    try:
        return max(0, Instant.from_datetime(parsedate_to_datetime(text)).since(now))
    except (ValueError, TypeError, OverflowError):
        return None


def raise_for_status(response: Response) -> None:
    """Raise the :class:`~probekit.errors.StatusError` leaf of a status that is not 2xx; the body's first 2 KiB go with it.

    401 is ``Unauthorized``. 403 is ``NotEntitled``: whether it is about one id or about everything is the caller's to tell.
    """
    status = response.status
    if 200 <= status < 300:
        return
    body = redact(response.body[:_EXCERPT].decode("utf-8", "replace"))
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

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def send(self, request: Request) -> Response:
        response = await self._inner.send(request)
        if not 200 <= response.status < 300:
            if response.chunks is not None:
                # The words of a refused stream are short; whatever it is, no more than the excerpt is read.
                try:
                    async for part in response.chunks:
                        response.body += part
                        if len(response.body) >= _EXCERPT:
                            break
                finally:
                    await response.aclose()
            raise_for_status(response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
