"""Connections that are made up: a dialer that answers from a function, and a wire that says what it was told to say."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from probekit.clock import Clock
from probekit.errors import DeadlineExceeded, TransportError
from probekit.model import Phases, RequestRecord
from probekit.transports.base import Observer
from probekit.transports.dial import Call
from probekit.transports.tls import Agreed

MS = 1_000_000
PHASES = Phases(queue_ns=3 * MS, resolve_ns=2 * MS, connect_ns=5 * MS, tls_ns=13 * MS)


@dataclass
class FakeWire:
    """Says ``says``, one piece after the other, then ends; keeps what it was sent."""

    agreed: Agreed | None = None
    says: list[bytes | TransportError] = field(default_factory=list)
    peer_address: str = "192.0.2.7"
    phases: Phases = PHASES
    elapsed_ns: int = 20 * MS
    sent: list[bytes] = field(default_factory=list)
    closed: bool = False

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> bytes:
        piece = self.says.pop(0) if self.says else b""
        if isinstance(piece, TransportError):
            raise piece
        return piece

    def close(self) -> None:
        self.closed = True


Answer = FakeWire | TransportError
Answers = Callable[[Call], Answer | Awaitable[Answer]]


@dataclass
class FakeDialer:
    """Answers each call from a function, and tells the observer as the real one does."""

    clock: Clock
    answers: Answers
    observer: Observer
    calls: list[Call] = field(default_factory=list)

    async def dial(self, call: Call) -> FakeWire:
        self.calls.append(call)
        began_ns, started_at = self.clock.monotonic_ns(), self.clock.now()
        answer = self.answers(call)
        if inspect.isawaitable(answer):
            answer = await answer
        failed = answer if isinstance(answer, TransportError) else None
        wire = answer if isinstance(answer, FakeWire) else None
        elapsed_ns = self.clock.monotonic_ns() - began_ns if wire is None else wire.elapsed_ns
        self.observer(
            RequestRecord(
                method="CONNECT",
                url=call.url,
                engine="dial",
                started_at=started_at,
                elapsed_ns=elapsed_ns,
                phases=Phases() if wire is None else wire.phases,
                error_type=None if failed is None else failed.error_type,
                error_phase=failed.phase if isinstance(failed, DeadlineExceeded) else None,
                family=call.family,
                target=call.target,
            )
        )
        if failed is not None:
            failed.elapsed_ns = elapsed_ns
            raise failed
        assert wire is not None
        return wire
