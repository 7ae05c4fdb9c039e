"""WebSocket connections: what a subscription needs of one, whoever makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from probekit.transports.base import HeaderValue


class Socket(Protocol):
    """An open connection. Raises :class:`~probekit.errors.TransportError` leaves and nothing else."""

    async def send(self, text: str) -> None: ...

    async def receive(self) -> bytes:
        """The next message, text or binary. Raises ``StreamClosed`` when the other side has ended it."""
        ...

    async def aclose(self) -> None:
        """Idempotent; bounded in time."""
        ...


class Connector(Protocol):
    """Opens connections. ``url`` may hold a key; errors show it redacted."""

    async def connect(
        self, url: str, *, headers: Sequence[tuple[str, HeaderValue]] = (), timeout_ns: int, max_message_bytes: int
    ) -> Socket: ...
