"""Several endpoints of one chain behind one call.

A read goes to the best endpoint and on to the next while the error says that another may be asked; after the observed p95 a
second endpoint is asked beside it. A send goes to one endpoint, once. An endpoint of another chain is found before its first
answer is used, and never asked again. The last endpoint left is asked whatever its state is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock, together
from probekit.errors import ProbekitError, SendRefused, WrongChain
from probekit.model.rpc import EndpointState
from probekit.transports.base import Engine, Limits, Observer
from probekit.transports.rpc.endpoint import Endpoint, HealthPolicy, Standing
from probekit.transports.rpc.exchange import Exchange
from probekit.transports.rpc.family import ChainFamily, result_of
from probekit.transports.rpc.faults import has_it
from probekit.transports.rpc.members import Member, Members
from probekit.transports.rpc.policy import PoolPolicy
from probekit.transports.rpc.quorum import Quorum, settle
from probekit.transports.rpc.record import CallObserver, ChangeObserver, Traffic
from probekit.transports.rpc.story import Story
from probekit.transports.rpc.walk import Walk
from probekit.transports.rpc.wire import Call, Outcome, raised
from probekit.units import to_ns

T = TypeVar("T")

_DUE_NS: ContextVar[int | None] = ContextVar("probekit_rpc_due_ns", default=None)
_UNFIT: Final = (EndpointState.LAGGING, EndpointState.OUT_OF_SYNC, EndpointState.WRONG_CHAIN)


class _OneDeadline:
    """Of every read of a client: a class, because a generator takes three times as long."""

    __slots__ = ("_due_ns", "_token")

    def __init__(self, due_ns: int) -> None:
        self._due_ns = due_ns

    def __enter__(self) -> int:
        self._token: Token[int | None] = _DUE_NS.set(self._due_ns)
        return self._due_ns

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # A coroutine that is thrown away is closed in whatever context that happens in.
            _DUE_NS.reset(self._token)


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
        self._timeout_ns = to_ns(self.policy.timeout)
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
        prefer: int | None = None,
    ) -> msgspec.Raw:
        """The result of one read, as JSON text. An answer of before ``floor`` (a block or slot) is none: read what was written.
        Those that have reached ``prefer`` are asked first: for calls that name their block themselves.

        Raises ``NotReached`` where nobody is at ``floor``; ``ValueError`` for a method with an effect: see :meth:`send`.
        """
        (outcome,) = await self.batch([Call(method, params)], timeout=timeout, floor=floor, prefer=prefer)
        return raised(outcome)

    async def read(
        self,
        decode: Callable[[Any], T],
        method: str,
        params: Sequence[Any] | dict[str, Any] = (),
        *,
        timeout: timedelta | None = None,
        floor: int | None = None,
        prefer: int | None = None,
    ) -> T:
        """What ``decode`` makes of a read's result, as plain Python values. Raises what :meth:`call` does, and ``decode``; its
        ``DecodeError`` has the time that the call took.
        """
        began_ns = self.clock.monotonic_ns()
        answer = await self.call(method, params, timeout=timeout, floor=floor, prefer=prefer)
        try:
            return decode(result_of(answer))
        except ProbekitError as error:
            error.took(self.clock.monotonic_ns() - began_ns)
            raise

    async def batch(
        self,
        calls: Sequence[Call],
        *,
        timeout: timedelta | None = None,
        floor: int | None = None,
        prefer: int | None = None,
    ) -> list[Outcome]:
        """An outcome per call, in order. Batches above an endpoint's limit are split; what one endpoint cannot answer, another
        is asked for, item by item. Never raises for a call: each error stands in its place. How far an endpoint is that answers
        above ``floor`` is told by its answers, or asked in the same request (:mod:`~probekit.transports.rpc.floor`).
        """
        for call in calls:
            if self.family.has_effect(call.method):
                raise ValueError(f"{call.method} has an effect: it goes through send(), by itself")
        if not calls:
            return []
        self.members.refresh_if_due()
        walk = Walk(self.members, calls, self._deadline_ns(timeout), floor, prefer)
        try:
            return await walk.run()
        finally:
            if self._on_call is not None:
                self._on_call(walk.record(self.chain))

    async def quorum(self, call: Call, *, agree: int = 2, timeout: timedelta | None = None) -> Quorum:
        """Ask every endpoint that is not of another chain, at once; the value on which at least ``agree`` of them agree, with
        the dissenters. One that asked to be left alone is not asked where there are enough without it.

        Raises ``NoAgreement`` when there is none, as soon as there can be none; ``Reverted`` when that is what they agree on.
        """
        if self.family.has_effect(call.method):
            raise ValueError(f"{call.method} has an effect: it is never sent to several endpoints for a comparison")
        if agree < 1:
            raise ValueError("a quorum takes one endpoint at least")
        self.members.refresh_if_due()
        deadline_ns = self._deadline_ns(timeout)
        now_ns = self.clock.monotonic_ns()
        limits = {member.label: member.health.left_alone(now_ns) for member in self.members}
        asked = [member for member in self.members if not limits[member.label]]
        if len(asked) < agree:
            asked = list(self.members)
        left = {label: why for label, why in limits.items() if label not in {member.label for member in asked}}

        async def answer(member: Member) -> Any:
            try:
                with story.attempt(member.label) as traffic:
                    (outcome,) = await self.members.asked(member, [call], deadline_ns, traffic)
                    return result_of(raised(outcome))
            except ProbekitError as error:
                return error

        with self._story(call.method) as story:
            asks = {member.label: answer(member) for member in asked}
            ballot = await settle(asks, agree, to_ns(self.policy.quorum_grace), self.clock, call.method)
            ballot.failed += [(label, f"not asked: {why}") for label, why in left.items()]
            return ballot.value()

    # -- sends ---------------------------------------------------------------------------------------------------------------

    async def send(self, method: str, params: Sequence[Any], *, timeout: timedelta | None = None) -> msgspec.Raw:
        """Put one call with an effect on the wire, once: one endpoint, no retry, no hedge, whatever happens.

        The chain is proven before, not longer ago than the policy's ``refresh``. After an error nobody knows whether it took
        effect: look before sending again. Raises ``SendRefused`` when no endpoint of this chain can be proven, and for a
        deadline that passes before anything is sent.
        """
        self._check_effect(method)
        deadline_ns = self._deadline_ns(timeout)
        with self._story(method) as story:
            self._refuse_unproven()
            call = Call(method, params)
            member = await self._proven(story, call, deadline_ns)
            return await self._sent(story, member, call, deadline_ns)

    async def broadcast(
        self, method: str, params: Sequence[Any], *, timeout: timedelta | None = None
    ) -> list[tuple[str, Outcome]]:
        """The strategy *rebroadcast*: the same signed bytes once to every endpoint whose chain is proven, at the same time.

        Safe only for signed transactions, which chains accept once. Returns each endpoint's outcome, those of another chain
        included: ``WrongChain`` or ``SendRefused`` where nothing went out there. Nodes that have it already say so with an
        error, which stands among the outcomes and is none in the call's record: they have it.
        """
        self._check_effect(method)
        deadline_ns = self._deadline_ns(timeout)
        call = Call(method, params)

        async def one(member: Member) -> tuple[str, Outcome]:
            try:
                await self._prove_for_send(story, member, call, deadline_ns)
            except WrongChain as error:
                return member.label, error
            except ProbekitError as error:
                refused = SendRefused(f"nothing was sent to {member.label}: {error.message}")
                refused.__cause__ = error
                return member.label, refused
            try:
                return member.label, await self._relayed(story, member, call, deadline_ns)
            except ProbekitError as error:
                return member.label, error

        with self._story(method) as story:
            self._refuse_unproven()
            outcomes = await together(one(self.members.of(endpoint)) for endpoint in self.members.endpoints)
            errors = [outcome for _, outcome in outcomes if isinstance(outcome, ProbekitError) and not has_it(outcome)]
            if len(errors) == len(outcomes):
                story.error = errors[0]
            return outcomes

    def _check_effect(self, method: str) -> None:
        if not self.family.has_effect(method):
            raise ValueError(f"{method} is a read: see call()")

    def _refuse_unproven(self) -> None:
        if self._identity is None:
            raise SendRefused(f"{self.chain}: no chain identity is configured, so none can be proven; nothing was sent")

    async def _prove_for_send(self, story: Story, member: Member, call: Call, deadline_ns: int) -> None:
        """Return once nothing but the send itself is left to do."""
        with story.attempt(member.label, kept=False) as traffic:
            await self.members.prove(member, deadline_ns, traffic, newer=self.policy.refresh)
            await self.members.allowed(member, [call], deadline_ns)

    async def _proven(self, story: Story, call: Call, deadline_ns: int) -> Member:
        problems = []
        members = self.members.ranked([call])
        for place, member in enumerate(members):
            # An equal part of the time for each proof and for the send: one that hangs leaves time for the others.
            now_ns = self.clock.monotonic_ns()
            part_ns = now_ns + max(0, deadline_ns - now_ns) // (len(members) - place + 1)
            try:
                await self._prove_for_send(story, member, call, part_ns)
            except ProbekitError as error:
                problems.append(f"{member.label}: {error.message}")
            else:
                return member
        if not problems:
            problems.append(self.members.wrong_chain_error().message)
        refused = SendRefused(f"no endpoint proves that it serves {self.chain}; nothing was sent: {'; '.join(problems)}")
        refused.attempts = tuple(problems)
        raise refused

    async def _sent(self, story: Story, member: Member, call: Call, deadline_ns: int) -> msgspec.Raw:
        with story.attempt(member.label) as traffic:
            return raised(await self.members.sent(member, call, deadline_ns, traffic))

    async def _relayed(self, story: Story, member: Member, call: Call, deadline_ns: int) -> Outcome:
        with story.attempt(member.label) as traffic:
            outcome = await self.members.sent(member, call, deadline_ns, traffic)
            return outcome if has_it(outcome) else raised(outcome)

    def one_deadline(self, timeout: timedelta | None = None) -> AbstractContextManager[int]:
        """All calls within, also of tasks started there, share one deadline (monotonic ns): ``timeout`` from now, the policy's
        without one, or an enclosing deadline that is earlier.
        """
        return _OneDeadline(self._deadline_ns(timeout))

    def _deadline_ns(self, timeout: timedelta | None) -> int:
        due_ns = self.clock.monotonic_ns() + (self._timeout_ns if timeout is None else to_ns(timeout))
        shared_ns = _DUE_NS.get()
        return due_ns if shared_ns is None else min(due_ns, shared_ns)

    def _story(self, method: str) -> Story:
        return Story(self.chain, method, self.clock, self._on_call)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint, in the order given."""
        return self.members.endpoints

    async def prove(self, endpoint: Endpoint, *, timeout: timedelta | None = None) -> None:
        """Return once ``endpoint`` has said over HTTP that it serves this chain; at once if it has lately.

        Raises ``WrongChain``, or what asking it ended in; ``ValueError`` for an endpoint of another pool.
        """
        await self.members.prove(self.members.of(endpoint), self._deadline_ns(timeout), Traffic())

    def unfit(self, endpoint: Endpoint) -> str:
        """Why streams should leave ``endpoint`` for another: it lags, is out of sync or of another chain. Empty when it may be
        listened to; heads are read every ``refresh`` for it.
        """
        self.members.refresh_if_due()
        standing = self.standings()[endpoint.label]
        return standing.reason if standing.state in _UNFIT else ""

    def standings(self) -> dict[str, Standing]:
        """Each endpoint's state with its reason, by label, in the order given."""
        return self.members.standings()

    async def refresh(self, *, timeout: timedelta | None = None) -> dict[str, Standing]:
        """Ask the endpoints now for identity, head and sync state; all their states after that. Those whose breaker is open,
        and those that asked to be left alone, are not asked before their time.
        """
        return await self.members.refresh(timeout=timeout)
