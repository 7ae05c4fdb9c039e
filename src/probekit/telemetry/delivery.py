"""Delivery of encoded OTLP: a thread per signal, a bounded buffer, retries as the protocol asks, everything counted.

The SDK's own exporters give up after about ten seconds and never read the answer, so a partial success passes for a whole one;
here what was exported, rejected and dropped adds up to what was handed over.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from probekit.secret import redact
from probekit.telemetry.environment import Signal, SignalSettings

_log = logging.getLogger("probekit.telemetry")

DropReason = Literal["queue_full", "refused", "gave_up", "closing", "defect"]

GIVE_UP_S: Final = 300.0
"""How long a request is tried."""
MAX_BYTES: Final = 16_000_000
"""Encoded bytes kept per signal while the receiver is away."""
MAX_REQUEST: Final = 3_000_000
"""Encoded bytes put together into one request; receivers commonly refuse more than 4 MiB over gRPC."""


@dataclass(slots=True)
class Counters:
    """What became of one signal's items (spans, log records, metric points): ``handed`` is the sum of ``exported``,
    ``rejected``, ``dropped`` and what is still on its way.
    """

    handed: int = 0
    exported: int = 0
    rejected: int = 0
    """Refused by the receiver in a partial success; never sent again."""
    dropped: int = 0
    """Given up here; ``reasons`` says why."""
    retried: int = 0
    """Requests sent again."""
    reasons: dict[DropReason, int] = field(default_factory=dict)

    def drop(self, items: int, reason: DropReason) -> None:
        """Count ``items`` as given up."""
        if items:
            self.dropped += items
            self.reasons[reason] = self.reasons.get(reason, 0) + items


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one request: delivered (with how many items the receiver rejected), or failed, and whether to try again."""

    delivered: bool
    rejected: int = 0
    message: str = ""
    retryable: bool = False
    wait_s: float | None = None
    """How long the receiver asked to wait."""


class Sender(Protocol):
    """Puts one encoded request on the wire. Never raises for what the network or the receiver does."""

    def send(self, payload: bytes, timeout_s: float) -> Outcome:
        """One attempt, of at most about ``timeout_s``."""
        ...

    def close(self) -> None:
        """Release the connection; may be called while another thread sends."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: doubled from ``first_s`` to ``longest_s``, each shortened or lengthened by up to a fifth."""

    first_s: float = 0.5
    longest_s: float = 10.0
    give_up_s: float = GIVE_UP_S

    def wait_s(self, attempt: int) -> float:
        """Before attempt ``attempt`` + 1."""
        return min(self.first_s * 2.0 ** min(attempt, 30), self.longest_s) * random.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True)
class _Parcel:
    payload: bytes
    items: int


class Delivery:
    """One signal's buffer and its thread. :meth:`put` never blocks; beyond the buffer's bounds the oldest are dropped.

    Encoded requests of one signal are put together by joining their bytes: that is how protobuf merges repeated fields.
    """

    def __init__(
        self, settings: SignalSettings, sender: Sender, *, backoff: Backoff = Backoff(), max_bytes: int = MAX_BYTES
    ) -> None:
        self.signal: Signal = settings.signal
        self._settings = settings
        self._sender = sender
        self._backoff = backoff
        self._max_bytes = max_bytes
        self._counters = Counters()
        self._queue: deque[_Parcel] = deque()
        self._queued_items = self._queued_bytes = 0
        self._in_flight = 0
        self._oldest_s = 0.0
        self._wake = threading.Condition()
        self._closing_s: float | None = None
        self._closed = False
        self._complained = ""
        self._thread = threading.Thread(target=self._work, name=f"otlp {settings.signal}", daemon=True)
        self._thread.start()

    @property
    def counters(self) -> Counters:
        """A consistent copy."""
        with self._wake:
            known = self._counters
            return Counters(known.handed, known.exported, known.rejected, known.dropped, known.retried, dict(known.reasons))

    def put(self, payload: bytes, items: int) -> None:
        """Hand over an encoded request of so many items."""
        with self._wake:
            self._counters.handed += items
            if self._closed:
                self._counters.drop(items, "closing")
                return
            if not self._queue:
                self._oldest_s = time.monotonic()
            self._queue.append(_Parcel(payload, items))
            self._queued_items += items
            self._queued_bytes += len(payload)
            while len(self._queue) > 1 and (self._queued_items > self._settings.queue or self._queued_bytes > self._max_bytes):
                self._counters.drop(self._pop().items, "queue_full")
            self._wake.notify_all()

    def lose(self, items: int, reason: DropReason) -> None:
        """Count items that were lost before they could be handed over."""
        with self._wake:
            self._counters.handed += items
            self._counters.drop(items, reason)

    def begin_close(self, deadline_s: float) -> None:
        """Send what is left, no longer than ``deadline_s`` on the monotonic clock."""
        with self._wake:
            if self._closing_s is None:
                self._closing_s = deadline_s
            self._wake.notify_all()

    def finish_close(self) -> None:
        """Wait for the thread until the deadline; what is then unsent or unanswered is dropped. Idempotent."""
        with self._wake:
            deadline_s = self._closing_s if self._closing_s is not None else time.monotonic()
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._wake:
            if self._closed:
                return
            # From here on the thread, should it still wait for an answer, counts no more.
            self._closed = True
            left = self._in_flight + self._queued_items
            self._counters.drop(left, "closing")
            self._queue.clear()
            self._queued_items = self._queued_bytes = self._in_flight = 0
            self._wake.notify_all()
        self._sender.close()
        if left:
            _log.warning("OTLP %s: %d items were not delivered in time at the end", self.signal, left)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._due():
                    self._wake.wait(self._patience_s())
                if not self._queue or self._late():
                    return
                payload, items = self._take()
                self._in_flight = items
            self._deliver(payload, items)

    def _due(self) -> bool:
        if self._closing_s is not None or self._closed:
            return True
        if not self._queue:
            return False
        waited_s = time.monotonic() - self._oldest_s
        return self._queued_items >= self._settings.batch or waited_s >= self._settings.delay_s

    def _patience_s(self) -> float | None:
        return max(0.0, self._oldest_s + self._settings.delay_s - time.monotonic()) if self._queue else None

    def _late(self) -> bool:
        return self._closed or (self._closing_s is not None and time.monotonic() >= self._closing_s)

    def _pop(self) -> _Parcel:
        parcel = self._queue.popleft()
        self._queued_items -= parcel.items
        self._queued_bytes -= len(parcel.payload)
        return parcel

    def _take(self) -> tuple[bytes, int]:
        parcels, items, size = [self._pop()], 0, 0
        items, size = parcels[0].items, len(parcels[0].payload)
        while self._queue and items < self._settings.batch and size + len(self._queue[0].payload) <= MAX_REQUEST:
            parcels.append(self._pop())
            items += parcels[-1].items
            size += len(parcels[-1].payload)
        self._oldest_s = time.monotonic()
        return b"".join(parcel.payload for parcel in parcels), items

    def _deliver(self, payload: bytes, items: int) -> None:
        began_s = time.monotonic()
        attempt = 0
        while True:
            outcome = self._send(payload)
            with self._wake:
                if self._closed:
                    return
                if outcome.delivered:
                    rejected = min(max(outcome.rejected, 0), items)
                    self._counters.exported += items - rejected
                    self._counters.rejected += rejected
                    self._in_flight = 0
                    words = f"{rejected} of {items} items rejected: {outcome.message}" if rejected else outcome.message
                    self._complain(words)
                    return
                wait_s = self._backoff.wait_s(attempt) if outcome.wait_s is None else outcome.wait_s
                attempt += 1
                if not outcome.retryable:
                    self._abandon(items, "refused", outcome.message)
                    return
                if time.monotonic() + wait_s - began_s > self._backoff.give_up_s:
                    self._abandon(items, "gave_up", outcome.message)
                    return
                self._complain(f"{outcome.message}; trying again")
                if not self._pause(wait_s):
                    self._abandon(items, "closing", outcome.message)
                    return
                self._counters.retried += 1

    def _send(self, payload: bytes) -> Outcome:
        timeout_s = self._settings.timeout_s
        if (closing_s := self._closing_s) is not None:
            timeout_s = min(timeout_s, max(closing_s - time.monotonic(), 0.05))
        try:
            return self._sender.send(payload, timeout_s)
        except Exception as error:  # a defect here must not end the thread, and with it the signal
            return Outcome(delivered=False, message=f"{type(error).__name__}: {error}")

    def _pause(self, wait_s: float) -> bool:
        """Wait before the next attempt; closing cuts it short once, for a last one. False when there is no time for it."""
        until_s = time.monotonic() + wait_s
        was_closing = self._closing_s is not None
        while (left_s := until_s - time.monotonic()) > 0 and not self._late():
            if self._closing_s is not None and not was_closing:
                break
            bound_s = left_s if self._closing_s is None else min(left_s, self._closing_s - time.monotonic())
            self._wake.wait(max(bound_s, 0.0))
        return not self._late()

    def _abandon(self, items: int, reason: DropReason, message: str) -> None:
        if self._closed:
            return  # Counted by who closed, while this thread paused.
        self._in_flight = 0
        self._counters.drop(items, reason)
        self._complain(f"{items} items dropped ({reason}): {message}")

    def _complain(self, message: str) -> None:
        """Log a state once, not every request of it."""
        if message and message != self._complained:
            _log.warning("OTLP %s: %s", self.signal, redact(message))
        self._complained = message
