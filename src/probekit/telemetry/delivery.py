"""Delivery of encoded OTLP: a thread per signal, a bounded queue, retries as the protocol asks, everything counted.

The SDK's own exporters give up after about ten seconds and never read the answer, so a partial success passes for a whole one;
here what was exported, rejected and dropped adds up to what was handed over.
"""

from __future__ import annotations

import gzip
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from probekit.secret import redact
from probekit.telemetry.environment import Signal, SignalSettings

_log = logging.getLogger("probekit.telemetry")

_FIRST_WAIT_S: Final = 0.5
_MAX_WAIT_S: Final = 10.0
_RETRYABLE_HTTP: Final = frozenset((429, 502, 503, 504))
_RETRYABLE_GRPC: Final = frozenset(("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"))


@dataclass(slots=True)
class Counters:
    """What became of one signal's items (spans, log records, metric points). Updated under the delivery's lock."""

    handed: int = 0
    exported: int = 0
    rejected: int = 0
    """Refused by the receiver in a partial success; never sent again."""
    dropped: int = 0
    """Given up here: queue full, not retryable, or still unsent at the end."""
    retried: int = 0
    """Requests sent again."""


@dataclass(slots=True)
class Outcome:
    """Of one request: delivered (with how many items the receiver rejected), or failed, and whether to try again."""

    delivered: bool
    rejected: int = 0
    message: str = ""
    retryable: bool = False
    wait_s: float | None = None


class Sender(Protocol):
    """Puts one encoded request on the wire."""

    def send(self, payload: bytes) -> Outcome: ...

    def close(self) -> None: ...


class HttpSender:
    """OTLP over HTTP with protobuf, by ``requests`` as the SDK's exporter uses it."""

    def __init__(self, settings: SignalSettings, parse: Callable[[bytes], tuple[int, str]]) -> None:
        import requests

        self._settings = settings
        self._parse = parse
        self._errors = requests.RequestException
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"content-type": "application/x-protobuf", "user-agent": "probekit-otlp"})
        self._session.headers.update({name: value.reveal() for name, value in settings.headers})
        if settings.gzip:
            self._session.headers["content-encoding"] = "gzip"

    def send(self, payload: bytes) -> Outcome:
        settings = self._settings
        body = gzip.compress(payload, 1) if settings.gzip else payload
        try:
            answer = self._session.post(
                settings.endpoint,
                data=body,
                timeout=settings.timeout_s,
                verify=settings.ca_file or True,
                allow_redirects=False,
            )
        except self._errors as error:
            return Outcome(delivered=False, message=redact(type(error).__name__), retryable=True)
        if 200 <= answer.status_code < 300:
            try:
                rejected, message = self._parse(answer.content)
            except Exception:
                return Outcome(delivered=True, message="the receiver's answer does not decode")
            return Outcome(delivered=True, rejected=rejected, message=message)
        return Outcome(
            delivered=False,
            message=f"status {answer.status_code}",
            retryable=answer.status_code in _RETRYABLE_HTTP,
            wait_s=_retry_after_s(answer.headers.get("retry-after")),
        )

    def close(self) -> None:
        self._session.close()


class GrpcSender:
    """OTLP over gRPC; needs the ``otel-grpc`` extra."""

    def __init__(self, settings: SignalSettings, stub: Any, request: Any) -> None:
        import grpc

        self._error = grpc.RpcError
        self._timeout_s = settings.timeout_s
        self._request = request
        self._metadata = tuple((name, value.reveal()) for name, value in settings.headers)
        target = settings.endpoint.partition("://")[2].rstrip("/")
        compression = grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression
        if settings.endpoint.startswith("https://"):
            roots = None
            if settings.ca_file is not None:
                with open(settings.ca_file, "rb") as file:
                    roots = file.read()
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(target, credentials, compression=compression)
        else:
            self._channel = grpc.insecure_channel(target, compression=compression)
        self._stub = stub(self._channel)

    def send(self, payload: bytes) -> Outcome:
        try:
            answer = self._stub.Export(
                self._request.FromString(payload), metadata=self._metadata, timeout=self._timeout_s, wait_for_ready=False
            )
        except self._error as error:
            code = error.code().name if hasattr(error, "code") else "UNKNOWN"
            return Outcome(delivered=False, message=code, retryable=code in _RETRYABLE_GRPC)
        rejected, message = rejected_of(answer)
        return Outcome(delivered=True, rejected=rejected, message=message)

    def close(self) -> None:
        self._channel.close()


def rejected_of(answer: Any) -> tuple[int, str]:
    """Rejected items and the receiver's words, of an ``Export...ServiceResponse``."""
    partial = answer.partial_success
    for name in ("rejected_spans", "rejected_data_points", "rejected_log_records"):
        if hasattr(partial, name):
            return int(getattr(partial, name)), redact(partial.error_message)
    return 0, ""


def _retry_after_s(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


@dataclass(slots=True)
class _Parcel:
    payload: bytes
    items: int
    first_tried: float = field(default=0.0)
    tries: int = 0


class Delivery:
    """One signal's queue and its thread. :meth:`put` never blocks; beyond ``settings.queue`` items the oldest parcel is
    dropped.

    A parcel is retried with back-off until ``give_up_s`` after its first try. :meth:`close` sends what it can until its
    deadline; the rest is dropped, counted.
    """

    def __init__(self, settings: SignalSettings, sender: Sender, *, give_up_s: float = 300.0) -> None:
        self.signal: Signal = settings.signal
        self.counters = Counters()
        self._settings = settings
        self._sender = sender
        self._give_up_s = give_up_s
        self._queue: deque[_Parcel] = deque()
        self._queued = 0
        self._wake = threading.Condition()
        self._closing_at: float | None = None
        self._complained = ""
        self._thread = threading.Thread(target=self._work, name=f"otlp {settings.signal}", daemon=True)
        self._thread.start()

    def put(self, payload: bytes, items: int) -> None:
        """Hand over one encoded request of so many items."""
        with self._wake:
            self.counters.handed += items
            self._queue.append(_Parcel(payload, items))
            self._queued += items
            while self._queued > self._settings.queue and len(self._queue) > 1:
                oldest = self._queue.popleft()
                self._queued -= oldest.items
                self.counters.dropped += oldest.items
            self._wake.notify()

    def close(self, timeout_s: float) -> None:
        """Flush within ``timeout_s`` and stop; what is left is dropped. Idempotent."""
        with self._wake:
            if self._closing_at is None:
                self._closing_at = time.monotonic() + timeout_s
            self._wake.notify()
        self._thread.join(timeout_s + self._settings.timeout_s + 1.0)
        with self._wake:
            self.counters.dropped += sum(parcel.items for parcel in self._queue)
            self._queue.clear()
            self._queued = 0
        self._sender.close()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue and self._closing_at is None:
                    self._wake.wait()
                if not self._queue or self._late():
                    return
                parcel = self._queue.popleft()
                self._queued -= parcel.items
            self._deliver(parcel)

    def _late(self) -> bool:
        return self._closing_at is not None and time.monotonic() >= self._closing_at

    def _deliver(self, parcel: _Parcel) -> None:
        parcel.first_tried = time.monotonic()
        while True:
            outcome = self._sender.send(parcel.payload)
            with self._wake:
                if outcome.delivered:
                    rejected = min(max(outcome.rejected, 0), parcel.items)
                    self.counters.exported += parcel.items - rejected
                    self.counters.rejected += rejected
                    self._complain(outcome.message)
                    return
                waited_s = time.monotonic() - parcel.first_tried
                if not outcome.retryable or waited_s > self._give_up_s or self._late():
                    self.counters.dropped += parcel.items
                    self._complain(f"{parcel.items} items dropped: {outcome.message}")
                    return
                self._complain(outcome.message)
                wait_s = outcome.wait_s or min(_FIRST_WAIT_S * 2**parcel.tries, _MAX_WAIT_S) * random.uniform(0.8, 1.2)
                if self._closing_at is not None:
                    wait_s = min(wait_s, max(self._closing_at - time.monotonic(), 0.0))
                parcel.tries += 1
                self.counters.retried += 1
                # Only closing wakes this early; a new parcel has to wait its turn.
                until = time.monotonic() + wait_s
                while self._closing_at is None and (left := until - time.monotonic()) > 0:
                    self._wake.wait(left)

    def _complain(self, message: str) -> None:
        """Log a state once, not every request of it."""
        if message and message != self._complained:
            _log.warning("OTLP %s: %s", self.signal, message)
        self._complained = message
