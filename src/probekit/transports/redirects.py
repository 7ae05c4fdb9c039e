"""Redirects, followed only as far as a request asks: the same hops and the same care for secrets with either engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urljoin, urlsplit

from probekit.errors import ProtocolError, TransportError
from probekit.secret import Secret, redact_url
from probekit.transports.base import Request, Response

_STATUSES: Final = frozenset((301, 302, 303, 307, 308))
_KEYS: Final = frozenset(("authorization", "cookie", "proxy-authorization"))
_PORTS: Final = {"http": 80, "https": 443}


async def follow(attempt: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    """The answer of ``attempt``, and of its redirects up to ``request.max_redirects``; the last one's redirect is the answer.

    All share the request's deadline. ``elapsed_ns`` is that of all, ``phases`` are those of the last hop. Raises what
    ``attempt`` raises, and ``ProtocolError`` for a redirect to anything but http and https.
    """
    response = await attempt(request)
    if not request.max_redirects:
        return response
    started_at, earlier_ns = response.started_at, 0
    while _redirects(request, response):
        earlier_ns += response.elapsed_ns
        await response.aclose()
        request = _onward(request, response)
        try:
            response = await attempt(request)
        except TransportError as error:
            error.elapsed_ns = earlier_ns + (error.elapsed_ns or 0)
            raise
    response.started_at = started_at
    response.elapsed_ns += earlier_ns
    return response


def _redirects(request: Request, response: Response) -> bool:
    return bool(request.max_redirects) and response.status in _STATUSES and response.header("location") is not None


def _onward(request: Request, response: Response) -> Request:
    """What a redirect asks for: RFC 9110, section 15.4. A secret does not go to another origin than it was given for."""
    location = response.header("location") or ""
    url, same = _joined(request.url, location)
    if url is None:
        shown = request.shown_url
        raise ProtocolError(f"{shown} redirects to {redact_url(location)[:200]!a}, which is no URL", url=shown)
    headers, method, body = request.headers, request.method, request.body
    if not same:
        headers = tuple((name, value) for name, value in headers if not isinstance(value, Secret) and name.lower() not in _KEYS)
    if method == "POST" and response.status in (301, 302, 303):
        method, body = "GET", None
        headers = tuple((name, value) for name, value in headers if not name.lower().startswith("content-"))
    return replace(request, url=url, headers=headers, method=method, body=body, max_redirects=request.max_redirects - 1)


def _joined(base: str, location: str) -> tuple[str | None, bool]:
    """The URL that a redirect leads to, ``None`` where it is none; and whether it is of the same origin."""
    try:
        url = urljoin(base, location).partition("#")[0]
        return url, _origin(url) == _origin(base)
    except ValueError:
        return None, False


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
