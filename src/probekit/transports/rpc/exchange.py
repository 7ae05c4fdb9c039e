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
    RpcError,
    StatusError,
)
from probekit.model import RequestRecord
from probekit.transports.base import Engine, Limits, Observer, Request, Response
from probekit.transports.recording import Recording
from probekit.transports.rpc.endpoint import Endpoint, Health
from probekit.transports.rpc.wire import JSON_HEADERS, Call, Outcome, decode, encode
from probekit.transports.status import raise_for_status

_TOO_MANY: Final = frozenset((413, 414))


class Exchange:
    """JSON-RPC over HTTP POST on an engine. Every HTTP attempt is one record for ``observer``."""

    def __init__(self, engine: Engine, *, clock: Clock, observer: Observer | None, limits: Limits) -> None:
        self._observer = observer
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._ids = itertools.count(1)

    async def ask(self, endpoint: Endpoint, calls: Sequence[Call], deadline_ns: int) -> list[Outcome]:
        """All calls in exactly one HTTP request. Raises :class:`~probekit.errors.TransportError` leaves and ``DecodeError``.

        A server that answers an error status with a JSON-RPC error in the body (many do) has answered: the error is its own,
        unless the status says more about the endpoint (401, 403, 429).
        """
        if self._clock.monotonic_ns() >= deadline_ns:
            raise DeadlineExceeded(f"{endpoint.label}: no time left to ask", phase="queue")
        first_id = next(self._ids)
        for _ in calls[1:]:
            next(self._ids)
        request = Request(
            "POST",
            endpoint.reveal_url(),
            headers=(*JSON_HEADERS, *endpoint.headers),
            body=encode(calls, first_id=first_id),
            deadline_ns=deadline_ns,
            limits=self._limits,
        )
        if self._observer is None:
            return _outcomes(await self._engine.send(request), calls, first_id)
        records: list[RequestRecord] = []
        outcomes: list[Outcome] = []
        try:
            response = await Recording(self._engine, observer=records.append, clock=self._clock).send(request)
            outcomes = _outcomes(response, calls, first_id)
        finally:
            for record in records:
                self._observer(_amended(record, endpoint, calls, outcomes))
        return outcomes

    async def ask_many(self, health: Health, calls: Sequence[Call], deadline_ns: int) -> list[Outcome]:
        """The same, split to the endpoint's batch limit; the limit is halved when the endpoint says that a batch is too large.

        Parts are asked one after the other: a provider that limits batches limits requests too. A part that fails after another
        was answered fails for its own calls only.
        """
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            part = calls[len(outcomes) : len(outcomes) + health.max_batch]
            try:
                answered = await self.ask(health.endpoint, part, deadline_ns)
            except ProbekitError as error:
                if len(part) > 1 and _refuses_batch(error):
                    health.max_batch = len(part) // 2
                    continue
                if not outcomes:
                    raise
                outcomes += [error] * len(part)
                continue
            if len(part) > 1 and all(isinstance(item, RangeTooLarge) for item in answered):
                health.max_batch = len(part) // 2
                continue
            outcomes += answered
        return outcomes


def _outcomes(response: Response, calls: Sequence[Call], first_id: int) -> list[Outcome]:
    if not 200 <= response.status < 300:
        if response.status not in (401, 403, 429) and response.body[:1] in (b"{", b"["):
            try:
                return decode(response.body, calls, first_id=first_id)
            except DecodeError:
                pass
        raise_for_status(response)
    return decode(response.body, calls, first_id=first_id)


def _amended(record: RequestRecord, endpoint: Endpoint, calls: Sequence[Call], outcomes: list[Outcome]) -> RequestRecord:
    """The record of an HTTP attempt with what only the caller of it knows: the method, and an error inside a 200."""
    error = next((item for item in outcomes if isinstance(item, ProbekitError)), None)
    return msgspec.structs.replace(
        record,
        endpoint=endpoint.label,
        rpc_method=calls[0].method if len(calls) == 1 else "batch",
        rpc_code=error.code if isinstance(error, RpcError) else None,
        error_type=record.error_type or (error.error_type if error is not None else None),
    )


def _refuses_batch(error: ProbekitError) -> bool:
    return isinstance(error, BodyTooLarge) or (isinstance(error, StatusError) and error.status in _TOO_MANY)
