"""What happens during one quorum read or send, told once at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from probekit.clock import Clock
from probekit.errors import ErrorType, ProbekitError, RpcError
from probekit.transports.recording import ended_in
from probekit.transports.rpc.record import NUMBERS, Attempt, CallObserver, CallRecord, Traffic


class Story:
    """A context manager: when it is left, however that is, ``on_call`` gets the one record of the call."""

    def __init__(self, chain: str, method: str, clock: Clock, on_call: CallObserver | None) -> None:
        self._number = next(NUMBERS)
        self._chain, self._method, self._clock, self._on_call = chain, method, clock, on_call
        self._started_at, self._started_ns = clock.now(), clock.monotonic_ns()
        self._attempts: list[Attempt] = []
        self._beside = Traffic()
        self.error: ProbekitError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._on_call is None:
            return
        failure = error if isinstance(error, ProbekitError) else self.error
        cause = error or self.error
        ended = None if cause is None else ended_in(cause)
        self._on_call(
            CallRecord(
                chain=self._chain,
                method=self._method,
                started_at=self._started_at,
                elapsed_ns=self._clock.monotonic_ns() - self._started_ns,
                attempts=tuple(self._attempts),
                failed_items=int(ended is not None),
                sent_bytes=self._beside.sent_bytes + sum(attempt.sent_bytes for attempt in self._attempts),
                received_bytes=self._beside.received_bytes + sum(attempt.received_bytes for attempt in self._attempts),
                error_type=ended,
                rpc_code=failure.code if isinstance(failure, RpcError) else None,
                number=self._number,
            )
        )

    @contextlib.contextmanager
    def attempt(self, endpoint: str, *, kept: bool = True) -> Iterator[Traffic]:
        """One endpoint asked once. Not ``kept``: only its bytes count (a look at the chain before a send)."""
        traffic, started_ns = Traffic(self._number), self._clock.monotonic_ns()
        kind: ErrorType | None = None
        try:
            yield traffic
        except BaseException as error:
            kind = ended_in(error)
            raise
        finally:
            if kept:
                elapsed_ns = self._clock.monotonic_ns() - started_ns
                self._attempts.append(
                    Attempt(
                        endpoint,
                        elapsed_ns,
                        error_type=kind,
                        requests=traffic.requests,
                        sent_bytes=traffic.sent_bytes,
                        received_bytes=traffic.received_bytes,
                    )
                )
            else:
                self._beside.sent_bytes += traffic.sent_bytes
                self._beside.received_bytes += traffic.received_bytes
