"""Several endpoints of one chain behind one call.

A read goes to the best endpoint and on to the next while the error says that another may be asked; after the observed p95 a
second endpoint is asked beside it. A send goes to one endpoint, once. An endpoint of another chain is found before its first
answer is used, and never asked again. The last endpoint left is asked whatever its state is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Self

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ErrorType, NoAgreement, ProbekitError, SendRefused
from probekit.transports.base import Engine, Limits, Observer
from probekit.transports.rpc.endpoint import Endpoint, HealthPolicy, Standing
from probekit.transports.rpc.exchange import Exchange
from probekit.transports.rpc.family import ChainFamily, result_of
from probekit.transports.rpc.members import Member, Members, PoolPolicy
from probekit.transports.rpc.quorum import Quorum, settle
from probekit.transports.rpc.record import Attempt, CallObserver, CallRecord, ChangeObserver
from probekit.transports.rpc.walk import Walk
from probekit.transports.rpc.wire import Call, Outcome
from probekit.units import Instant, to_ns

_DUE_NS: ContextVar[int | None] = ContextVar("probekit_rpc_due_ns", default=None)


class EndpointPool:
    """Endpoints of one chain. ``chain`` names it in records; ``identity`` is what its nodes must answer (a decimal chain id, a
    genesis hash). With ``None`` the first answer binds the other endpoints, and nothing can be sent.

    ``transport`` is an engine of the caller's, not closed here. ``observer`` is told of every HTTP attempt, ``on_call`` of
    every call, ``on_change`` of every change of an endpoint's state; none may raise or block.

    Calls raise :class:`~probekit.errors.TransportError` leaves, :class:`~probekit.errors.RpcError` leaves, ``DecodeError``,
    ``WrongChain`` when no endpoint serves the chain; the error of the last attempt, whose ``attempts`` tell the others.
    """

    def __init__(
        self,
        endpoints: str | Endpoint | Sequence[str | Endpoint],
        *,
        family: ChainFamily,
        identity: str | None,
        chain: str = "",
        transport: Engine | None = None,
        policy: PoolPolicy | None = None,
        health: HealthPolicy | None = None,
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer | None = None,
        on_call: CallObserver | None = None,
        on_change: ChangeObserver | None = None,
    ) -> None:
        given = [endpoints] if isinstance(endpoints, str | Endpoint) else list(endpoints)
        self.family, self.chain = family, chain or f"{family.name}:{identity or 'any'}"
        self.policy = policy or PoolPolicy()
        self.clock = clock
        self._owned: Engine | None = None
        if transport is None:
            from probekit.transports.httpx import HttpxTransport

            transport = self._owned = HttpxTransport(clock=clock)
        self._exchange = Exchange(transport, clock=clock, observer=observer, limits=limits or Limits())
        self._on_call = on_call
        self._identity = identity
        self.members = Members(
            [Endpoint(item) if isinstance(item, str) else item for item in given],
            chain=self.chain,
            family=family,
            identity=identity,
            policy=self.policy,
            health=health or HealthPolicy(),
            exchange=self._exchange,
            clock=clock,
            on_change=on_change,
        )

    @property
    def identity(self) -> str | None:
        """The chain that was configured; ``None`` where none was."""
        return self._identity

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what runs in the background and close connections made here."""
        await self.members.aclose()
        if self._owned is not None:
            await self._owned.aclose()

    # -- reads ---------------------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        params: Sequence[Any] | dict[str, Any] = (),
        *,
        timeout: timedelta | None = None,
        floor: int | None = None,
    ) -> msgspec.Raw:
        """The result of one read, as JSON text. ``floor`` prefers endpoints whose head has reached it: read what was written.

        Raises ``ValueError`` for a method with an effect: see :meth:`send`.
        """
        (outcome,) = await self.batch([Call(method, params)], timeout=timeout, floor=floor)
        if isinstance(outcome, ProbekitError):
            raise outcome
        return outcome

    async def batch(
        self, calls: Sequence[Call], *, timeout: timedelta | None = None, floor: int | None = None
    ) -> list[Outcome]:
        """An outcome per call, in order. Batches above an endpoint's limit are split; what one endpoint cannot answer, another
        is asked for, item by item. Never raises for a call: each error stands in its place.
        """
        for call in calls:
            if call.method in self.family.sends:
                raise ValueError(f"{call.method} has an effect: it goes through send(), by itself")
        if not calls:
            return []
        self.members.refresh_if_due()
        walk = Walk(self.members, calls, self._deadline_ns(timeout), self.record)
        try:
            outcomes = await walk.run(floor)
        finally:
            walk.finish()
        return outcomes

    async def quorum(self, call: Call, *, agree: int = 2, timeout: timedelta | None = None) -> Quorum:
        """Ask every endpoint that may be asked, at once; the value on which at least ``agree`` of them agree, with the
        dissenters. Raises ``NoAgreement`` when there is none.
        """
        if call.method in self.family.sends:
            raise ValueError(f"{call.method} has an effect: it is never sent to several endpoints for a comparison")
        deadline_ns = self._deadline_ns(timeout)
        started_at, started_ns = self.clock.now(), self.clock.monotonic_ns()

        async def ask(member: Member) -> Any:
            asked_ns = self.clock.monotonic_ns()
            kind: ErrorType | None = "cancelled"
            try:
                (outcome,) = await self.members.asked(member, [call], deadline_ns)
                kind = outcome.error_type if isinstance(outcome, ProbekitError) else None
                return outcome if isinstance(outcome, ProbekitError) else result_of(outcome)
            except ProbekitError as error:
                kind = error.error_type
                return error
            finally:
                attempts.append(Attempt(member.label, self.clock.monotonic_ns() - asked_ns, error_type=kind))

        attempts: list[Attempt] = []
        grace_ns = to_ns(self.policy.quorum_grace)
        failure: ProbekitError | None = None
        try:
            ballot = await settle(
                {member.label: ask(member) for member in self.members}, agree, grace_ns, self.clock, call.method
            )
            return ballot.value()
        except NoAgreement as error:
            failure = error
            raise
        finally:
            self.record(call.method, started_at, started_ns, tuple(attempts), error=failure)

    # -- sends ---------------------------------------------------------------------------------------------------------------

    async def send(self, method: str, params: Sequence[Any], *, timeout: timedelta | None = None) -> msgspec.Raw:
        """Put one call with an effect on the wire, once: one endpoint, no retry, no hedge, whatever happens.

        The chain is proven before. After an error nobody knows whether it took effect: look before sending again. Raises
        ``SendRefused`` when no endpoint of this chain can be proven.
        """
        if method not in self.family.sends:
            raise ValueError(f"{method} is a read: see call()")
        self._refuse_unproven()
        deadline_ns = self._deadline_ns(timeout)
        member = await self._proven(deadline_ns)
        return await self._sent(member, Call(method, params), deadline_ns)

    async def broadcast(
        self, method: str, params: Sequence[Any], *, timeout: timedelta | None = None
    ) -> list[tuple[str, Outcome]]:
        """The strategy *rebroadcast*: the same signed bytes once to every endpoint whose chain is proven, at the same time.

        Safe only for signed transactions, which chains accept once. Returns each endpoint's outcome; nodes that have it already
        say so with an error.
        """
        if method not in self.family.sends:
            raise ValueError(f"{method} is a read: see call()")
        self._refuse_unproven()
        deadline_ns = self._deadline_ns(timeout)

        async def one(member: Member) -> tuple[str, Outcome]:
            try:
                await self.members.prove(member, deadline_ns)
                return member.label, await self._sent(member, Call(method, params), deadline_ns)
            except ProbekitError as error:
                return member.label, error

        return list(await asyncio.gather(*(one(member) for member in self.members)))

    def _refuse_unproven(self) -> None:
        if self._identity is None:
            raise SendRefused(f"{self.chain}: no chain identity is configured, so none can be proven; nothing was sent")

    async def _proven(self, deadline_ns: int) -> Member:
        problems = []
        for member in self.members.ranked():
            try:
                await self.members.prove(member, deadline_ns)
            except ProbekitError as error:
                problems.append(f"{member.label}: {error.message}")
            else:
                return member
        refused = SendRefused(f"no endpoint proves that it serves {self.chain}; nothing was sent: {'; '.join(problems)}")
        refused.attempts = tuple(problems)
        raise refused

    async def _sent(self, member: Member, call: Call, deadline_ns: int) -> msgspec.Raw:
        started_at, started_ns = self.clock.now(), self.clock.monotonic_ns()
        error: ProbekitError | None = None
        try:
            (outcome,) = await self._exchange.ask(member.health.endpoint, [call], deadline_ns)
            if isinstance(outcome, ProbekitError):
                raise outcome
            self.members.answered(member, self.clock.monotonic_ns() - started_ns)
            return outcome
        except ProbekitError as caught:
            error = caught
            self.members.failed(member, caught)
            raise
        finally:
            kind = error.error_type if error is not None else None
            attempt = Attempt(member.label, self.clock.monotonic_ns() - started_ns, error_type=kind)
            self.record(call.method, started_at, started_ns, (attempt,), error=error)

    @contextmanager
    def one_deadline(self, timeout: timedelta | None = None) -> Iterator[int]:
        """All calls within, also of tasks started there, share one deadline (monotonic ns): ``timeout`` from now, the policy's
        without one, or an enclosing deadline that is earlier.
        """
        due_ns = self._deadline_ns(timeout)
        token = _DUE_NS.set(due_ns)
        try:
            yield due_ns
        finally:
            with suppress(ValueError):  # A coroutine that is thrown away is closed in whatever context that happens in.
                _DUE_NS.reset(token)

    def _deadline_ns(self, timeout: timedelta | None) -> int:
        due_ns = self.clock.monotonic_ns() + to_ns(timeout or self.policy.timeout)
        shared_ns = _DUE_NS.get()
        return due_ns if shared_ns is None else min(due_ns, shared_ns)

    def record(
        self,
        method: str,
        started_at: Instant,
        started_ns: int,
        attempts: tuple[Attempt, ...],
        *,
        items: int = 1,
        failed_items: int = 0,
        error: ProbekitError | None = None,
        cancelled: bool = False,
    ) -> None:
        """Tell ``on_call`` of one call."""
        if self._on_call is None:
            return
        self._on_call(
            CallRecord(
                chain=self.chain,
                method=method,
                started_at=started_at,
                elapsed_ns=self.clock.monotonic_ns() - started_ns,
                attempts=attempts,
                items=items,
                failed_items=failed_items,
                error_type="cancelled" if cancelled else error.error_type if error is not None else None,
                rpc_code=getattr(error, "code", None),
            )
        )

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint, in the order given."""
        return self.members.endpoints

    async def prove(self, endpoint: Endpoint, *, timeout: timedelta | None = None) -> None:
        """Return once ``endpoint`` has said over HTTP that it serves this chain; at once if it has before.

        Raises ``WrongChain``, or what asking it ended in; ``ValueError`` for an endpoint of another pool.
        """
        await self.members.prove(self.members.of(endpoint), self._deadline_ns(timeout))

    def standings(self) -> dict[str, Standing]:
        """Each endpoint's state with its reason, by label, in the order given."""
        return self.members.standings()

    async def refresh(self, *, timeout: timedelta | None = None) -> dict[str, Standing]:
        """Ask every endpoint now for its identity, head and sync state; their states after that."""
        return await self.members.refresh(timeout=timeout)
