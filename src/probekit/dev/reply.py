"""What a server of ours answers, before a front puts it on a wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from probekit.clock import Clock


class Broken(Exception):
    """Raised out of a reply's chunks, or its wait: the front must break the connection here."""


@dataclass(slots=True)
class Reply:
    """``chunks`` instead of ``body`` for streams. ``wait`` is awaited before anything is sent; it may fill in the rest, and may
    never return.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: AsyncIterator[bytes] | None = None
    wait: Callable[[], Awaitable[None]] | None = None


def text(status: int, words: str) -> Reply:
    """A plain-text answer, as Hermes gives its refusals."""
    return Reply(status, words.encode(), "text/plain; charset=utf-8")


class Handler(Protocol):
    """A server without a wire."""

    @property
    def clock(self) -> Clock: ...

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Answer one request; ``target`` is the path with its query, header names are lower case."""
        ...
