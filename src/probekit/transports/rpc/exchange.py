"""Calls to one endpoint: one HTTP request, or as few as its batch limit allows. No retry, no choice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from probekit.clock import Clock
from probekit.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    DecodeError,
    ProbekitError,
    RangeTooLarge,
    RateLimited,
    RpcError,
    RpcRateLimited,
    StatusError,
)
from probekit.model import RequestRecord
from probekit.transports.base import Engine, Limits, Observer, Request, Response
from probekit.transports.recording import Recording
from probekit.transports.rpc.endpoint import Endpoint
from probekit.transports.rpc.faults import has_it, refuses_batches
from probekit.transports.rpc.health import Health
from probekit.transports.rpc.record import Traffic
from probekit.transports.rpc.wire import JSON_HEADERS, Call, Outcome, decode, encode
from probekit.transports.status import raise_for_status

_TOO_MANY: Final = frozenset((413, 414))
_NO_BATCHES: Final = frozenset((400, 405, 415, 422, 501))
"""Statuses of servers that take no array for a request; of much else too, so one call alone is tried to tell."""


class Exchange:
    """JSON-RPC over HTTP POST on an engine. Every HTTP attempt is one record for ``observer``."""

    def __init__(self, engine: Engine, *, clock: Clock, observer: Observer | None, limits: Limits) -> None:
        self._observer = observer
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._ids = itertools.count(1)

    async def ask(self, endpoint: Endpoint, calls: Sequence[Call], deadline_ns: int, traffic: Traffic) -> list[Outcome]:
        """All calls in exactly one HTTP request, counted in ``traffic``. Raises :class:`~probekit.errors.TransportError` leaves
        and ``DecodeError``.
        """
        if self._clock.monotonic_ns() >= deadline_ns:
            raise DeadlineExceeded(f"{endpoint.label}: no time left to ask", phase="queue")
        first_id = next(self._ids)
        for _ in calls[1:]:
            next(self._ids)
        body = encode(calls, first_id=first_id)
        request = Request(
            "POST",
            endpoint.reveal_url(),
            headers=(*JSON_HEADERS, *endpoint.headers),
            body=body,
            deadline_ns=deadline_ns,
            limits=self._limits,
        )
        traffic.requests += 1
        traffic.sent_bytes += len(body)
        if self._observer is None:
            response = await self._engine.send(request)
            traffic.received_bytes += len(response.body)
            return _timed(response, calls, first_id)
        records: list[RequestRecord] = []
        outcomes: list[Outcome] = []
        try:
            response = await Recording(self._engine, observer=records.append, clock=self._clock).send(request)
            traffic.received_bytes += len(response.body)
            outcomes = _timed(response, calls, first_id)
        finally:
            for record in records:
                self._observer(_amended(record, endpoint, calls, outcomes, traffic.call))
        return outcomes

    async def ask_many(self, health: Health, calls: Sequence[Call], deadline_ns: int, traffic: Traffic) -> list[Outcome]:
        """The same, split to the endpoint's batch limit; the limit is halved when the endpoint says that a batch is too large,
        and is 1 from when a batch is refused whose calls are answered one by one.

        Parts are asked one after the other: a provider that limits batches limits requests too. A part that fails after another
        was answered fails for itself and for those not asked yet.
        """
        outcomes: list[Outcome] = []
        doubted = 0
        while len(outcomes) < len(calls):
            part = calls[len(outcomes) : len(outcomes) + health.max_batch]
            try:
                answered = await self.ask(health.endpoint, part, deadline_ns, traffic)
            except ProbekitError as error:
                if len(part) > 1 and (smaller := _smaller_batch(error, len(part))):
                    doubted = health.max_batch if smaller == 1 else 0
                    health.max_batch = smaller
                    continue
                if doubted:
                    health.max_batch = doubted  # It was not about the batch: a call alone ends the same way.
                if not outcomes:
                    raise
                outcomes += [error] * (len(calls) - len(outcomes))
                continue
            if len(part) > 1 and refuses_batches(answered):
                too_large = all(isinstance(item, RangeTooLarge) for item in answered)
                health.max_batch = len(part) // 2 if too_large else 1
                continue
            outcomes += answered
        return outcomes


def _timed(response: Response, calls: Sequence[Call], first_id: int) -> list[Outcome]:
    """The outcomes, each error with the time that its answer took."""
    try:
        outcomes = _outcomes(response, calls, first_id)
    except ProbekitError as error:
        error.took(response.elapsed_ns)
        raise
    for outcome in outcomes:
        if isinstance(outcome, ProbekitError):
            outcome.took(response.elapsed_ns)
    return outcomes


def _outcomes(response: Response, calls: Sequence[Call], first_id: int) -> list[Outcome]:
    """What the answer says of each call. Raises what the status says of the endpoint.

    Many servers put a JSON-RPC error under an error status: it is the node's own answer, unless the status says more about the
    endpoint (401, 403, 429, and 5xx with words that answer nothing).
    """
    status = response.status
    if 200 <= status < 300:
        return decode(response.body, calls, first_id=first_id)
    told: list[Outcome] = []
    if response.body[:1] in (b"{", b"["):
        try:
            told = decode(response.body, calls, first_id=first_id)
        except DecodeError:
            pass
    if told and status not in (401, 403, 429) and not (status >= 500 and any(map(_explains_nothing, told))):
        return told
    try:
        raise_for_status(response)
    except RateLimited as limited:
        if limited.retry_after_ns is None:
            limited.retry_after_ns = next(
                (item.retry_after_ns for item in told if isinstance(item, RpcRateLimited) and item.retry_after_ns), None
            )
        raise
    raise AssertionError("a status below 200 or above 299 is an error")


def _explains_nothing(outcome: Outcome) -> bool:
    """A plain error, which would settle the call, in words of a gateway: "no backend", "error 1016"."""
    return type(outcome) is RpcError and not -32602 <= outcome.code <= -32600


def _amended(
    record: RequestRecord, endpoint: Endpoint, calls: Sequence[Call], outcomes: list[Outcome], number: int
) -> RequestRecord:
    """The record of an HTTP attempt with what only the caller of it knows: the method, and an error inside a 200."""
    error = next((item for item in outcomes if isinstance(item, ProbekitError)), None)
    failed = error is not None and not ("send" in calls[0].method.lower() and has_it(error))
    return msgspec.structs.replace(
        record,
        endpoint=endpoint.label,
        rpc_method=calls[0].method if len(calls) == 1 else "batch",
        rpc_code=error.code if isinstance(error, RpcError) else None,
        call=number or None,
        error_type=record.error_type or (error.error_type if error is not None and failed else None),
    )


def _smaller_batch(error: ProbekitError, size: int) -> int:
    """The batch to try after one of ``size`` ended in ``error``: half of it, one call, or 0 where that is no help."""
    if isinstance(error, BodyTooLarge):
        return size // 2
    if isinstance(error, StatusError):
        if error.status in _TOO_MANY:
            return size // 2
        if error.status in _NO_BATCHES or "batch" in error.body.lower():
            return 1
    return 0
