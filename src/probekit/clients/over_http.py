"""What the clients of HTTP services have in common: the engine, whose it is, and the time and size that a call may take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from probekit.clock import Clock
from probekit.secret import Secret
from probekit.transports.base import Engine, HeaderValue, Limits
from probekit.units import to_ns

__all__ = ["OverHttp", "bearer", "several"]


class OverHttp:
    """``transport`` is an engine of the caller's, not closed here; without one, httpx's is made, and closed with the client.
    ``timeout`` is what a call may take in all.
    """

    def __init__(self, *, transport: Engine | None, timeout: timedelta, clock: Clock, limits: Limits | None) -> None:
        self._clock = clock
        self._timeout_ns = to_ns(timeout)
        self._limits = limits or Limits()
        self._owned: Engine | None = None
        if transport is None:
            from probekit.transports.httpx import HttpxTransport

            transport = self._owned = HttpxTransport(clock=clock)
        self._engine = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections made by this client; a caller's transport is left open."""
        if self._owned is not None:
            await self._owned.aclose()

    def _due_ns(self) -> int:
        """The deadline of a call that begins now, on the monotonic clock."""
        return self._clock.monotonic_ns() + self._timeout_ns


def several(endpoints: str | Sequence[str]) -> tuple[str, ...]:
    """One endpoint or more, in order. Raises ``ValueError`` for none."""
    found = (endpoints,) if isinstance(endpoints, str) else tuple(endpoints)
    if not found:
        raise ValueError("a client needs at least one endpoint")
    return found


def bearer(api_key: Secret | None) -> tuple[tuple[str, HeaderValue], ...]:
    """The Authorization header of a key; none without one."""
    if api_key is None:
        return ()
    return (("authorization", Secret(f"Bearer {api_key.reveal()}", origin=api_key.origin, made_of=api_key)),)
