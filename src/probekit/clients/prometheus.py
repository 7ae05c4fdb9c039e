"""Instant queries to Prometheus, or to whatever has its HTTP API."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from probekit.clients.over_http import OverHttp
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.prometheus import decode_query, decode_refusal
from probekit.errors import ConfigError, DecodeError, StatusError
from probekit.model.prometheus import QueryResult
from probekit.secret import Secret
from probekit.transports.base import Engine, HeaderValue, Limits, Observer, Request
from probekit.transports.retry import NO_RETRY, RetryPolicy
from probekit.transports.stack import build
from probekit.units import NS_PER_MS

__all__ = ["PrometheusClient", "basic"]

_FORM: Final = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
_OURS: Final = ("bad_data", "execution")
"""Errors of a query that cannot be meant, or cannot be worked out over the data that is there."""


class PrometheusClient(OverHttp):
    """A client of one server at ``url``, with the path before ``/api/v1`` where it has one. ``timeout`` bounds each call,
    and is told to the server. Without ``retry`` a query is asked once.

    ``transport`` is an engine of the caller's, not closed here. Raises :class:`~probekit.errors.TransportError` leaves,
    ``DecodeError``, and ``ConfigError`` for a query that the server refuses.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, HeaderValue]] = (),
        transport: Engine | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy = NO_RETRY,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._headers = (*_FORM, *headers)
        self._transport = build(self._engine, clock=clock, observer=observer, retry=retry)

    async def query(self, promql: str, *, most: int = 1_000) -> QueryResult:
        """The value of ``promql`` now, by the server's clock; of a vector the first ``most`` series, and how many there are."""
        # A second less than we wait, so that the server can say that it was too slow.
        patience_ms = max(self._timeout_ns // NS_PER_MS - 1_000, self._timeout_ns // NS_PER_MS // 2, 1)
        body = urlencode({"query": promql, "timeout": f"{patience_ms}ms"}).encode()
        request = Request(
            "POST",
            self._url,
            headers=self._headers,
            body=body,
            deadline_ns=self._due_ns(),
            limits=self._limits,
            repeatable=True,
        )
        try:
            response = await self._transport.send(request)
        except StatusError as error:
            if error.status not in (400, 422):
                raise
            try:
                kind, words = decode_refusal(error.body.encode())
            except DecodeError:
                raise error from None
            if kind not in _OURS:
                raise
            raise ConfigError(f"the query is refused ({kind}): {words}") from None
        try:
            found = decode_query(response.body, most)
        except DecodeError as error:
            error.took(response.elapsed_ns)
            raise
        return msgspec.structs.replace(found, elapsed_ns=response.elapsed_ns)


def basic(username: str, password: Secret) -> tuple[str, HeaderValue]:
    """The header of basic authentication. Raises ``ValueError`` for a name with a colon."""
    if ":" in username:
        raise ValueError("a user's name has no colon")
    pair = Secret(base64.b64encode(f"{username}:{password.reveal()}".encode()).decode(), made_of=password)
    return ("authorization", Secret(f"Basic {pair.reveal()}", origin=password.origin, made_of=pair))
