"""The endpoints of a pool with what is known of them: who serves the chain, who may be asked, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from probekit.clock import Clock, reap
from probekit.errors import ConfigError, DeadlineExceeded, ProbekitError, WrongChain
from probekit.model.rpc import EndpointState
from probekit.transports.rpc.endpoint import RANK, Endpoint, Heads, Health, HealthPolicy, Standing
from probekit.transports.rpc.exchange import Exchange
from probekit.transports.rpc.family import ChainFamily, result_of
from probekit.transports.rpc.limiter import TokenBucket
from probekit.transports.rpc.record import ChangeObserver, StateChange
from probekit.transports.rpc.wire import Call, Outcome
from probekit.units import to_ns


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """How a pool asks.

    ``rounds`` walks over all endpoints, with waits that double from ``round_wait`` between them, all within the call's
    ``timeout``. A second endpoint is asked after the p95 of the first one's last latencies, ``hedge_least`` at least, and not
    before ``hedge_samples`` of them are known; ``hedge=False`` never. Heads and identities are read again every ``refresh``.
    """

    timeout: timedelta = timedelta(seconds=10)
    rounds: int = 2
    round_wait: timedelta = timedelta(milliseconds=250)
    hedge: bool = True
    hedge_least: timedelta = timedelta(milliseconds=100)
    hedge_samples: int = 20
    refresh: timedelta = timedelta(seconds=10)
    quorum_grace: timedelta = timedelta(milliseconds=250)


@dataclass(slots=True)
class Member:
    """An endpoint with what is known of it."""

    health: Health
    bucket: TokenBucket | None
    told: EndpointState = EndpointState.ALIVE
    checking: asyncio.Lock | None = None

    @property
    def label(self) -> str:
        return self.health.endpoint.label


class Members:
    """Every endpoint of one chain. ``on_change`` is told of each change of state, once."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        chain: str,
        family: ChainFamily,
        identity: str | None,
        policy: PoolPolicy,
        health: HealthPolicy,
        exchange: Exchange,
        clock: Clock,
        on_change: ChangeObserver | None,
    ) -> None:
        labels = [endpoint.label for endpoint in endpoints]
        if not labels:
            raise ConfigError(f"no endpoint for {chain}")
        if len(set(labels)) != len(labels):
            raise ConfigError(f"two endpoints of {chain} have one name; give each its own: {', '.join(labels)}")
        self.chain, self.family, self.identity = chain, family, identity
        self.policy = policy
        self.exchange = exchange
        self.clock = clock
        self._on_change = on_change
        self._members = [
            Member(
                Health(endpoint, health),
                TokenBucket(endpoint.requests_per_second, endpoint.burst, clock) if endpoint.requests_per_second else None,
            )
            for endpoint in endpoints
        ]
        self._refreshed_ns: int | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Member]:
        """Those not known to serve another chain, in the order given."""
        return (member for member in self._members if not member.health.wrong_chain)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them, in the order given."""
        return tuple(member.health.endpoint for member in self._members)

    def of(self, endpoint: Endpoint) -> Member:
        """What is known of ``endpoint``. Raises ``ValueError`` for one of another pool."""
        for member in self._members:
            if member.health.endpoint is endpoint:
                return member
        raise ValueError(f"{endpoint.label} is not an endpoint of {self.chain}")

    async def aclose(self) -> None:
        """End the look that runs in the background, if one does."""
        if self._refreshing is not None:
            await reap(self._refreshing)
            self._refreshing = None

    def standings(self) -> dict[str, Standing]:
        """Each endpoint's state with its reason, by label, in the order given."""
        now_ns, heads = self.clock.monotonic_ns(), self._heads()
        return {member.label: member.health.standing(heads, now_ns) for member in self._members}

    async def refresh(self, *, timeout: timedelta | None = None) -> dict[str, Standing]:
        """Ask every endpoint that is not of another chain for its identity, head and sync state, in one request each."""
        deadline_ns = self.clock.monotonic_ns() + to_ns(timeout or self.policy.timeout)
        self._refreshed_ns = self.clock.monotonic_ns()
        due = list(self)
        due = [
            member
            for member in due
            if self.clock.monotonic_ns() >= max(member.health.open_until_ns, member.health.limited_until_ns)
        ]
        await asyncio.gather(*(self._look(member, deadline_ns) for member in due))
        self._tell_changes()
        return self.standings()

    async def _look(self, member: Member, deadline_ns: int) -> None:
        family, health = self.family, member.health
        started_ns = self.clock.monotonic_ns()
        try:
            identity, head, sync = await self.exchange.ask_many(
                health, [family.identity_call, family.head_call, family.sync_call], deadline_ns
            )
            if isinstance(identity, ProbekitError):
                raise identity
            self._identity_seen(health, family.identity(result_of(identity)))
            if isinstance(head, ProbekitError):
                raise head
            health.head_seen(family.head(result_of(head)), self.clock.monotonic_ns())
            health.syncing = family.sync(sync)
        except ProbekitError as error:
            health.failed(error, self.clock.monotonic_ns())
        else:
            health.succeeded(self.clock.monotonic_ns() - started_ns)

    def _identity_seen(self, health: Health, found: str) -> None:
        if self.identity is None:
            self.identity = found
        health.identity_seen(found, self.identity)

    async def prove(self, member: Member, deadline_ns: int) -> None:
        """Raise unless this endpoint has said that it serves the chain. One look at a time for each endpoint."""
        health = member.health
        if health.identity is None and not health.wrong_chain:
            member.checking = member.checking or asyncio.Lock()
            async with member.checking:
                if health.identity is None and not health.wrong_chain:
                    try:
                        (outcome,) = await self.exchange.ask(health.endpoint, [self.family.identity_call], deadline_ns)
                        if isinstance(outcome, ProbekitError):
                            raise outcome
                        self._identity_seen(health, self.family.identity(result_of(outcome)))
                    except ProbekitError as error:
                        self.failed(member, error)
                        raise
        if health.wrong_chain:
            self._tell_changes()
            found = health.wrong_chain.removeprefix("serves chain ").partition(",")[0]
            raise WrongChain(f"{member.label} {health.wrong_chain}", expected=self.identity or "", found=found)

    async def asked(self, member: Member, calls: Sequence[Call], deadline_ns: int) -> list[Outcome]:
        """The outcomes of one endpoint, after its chain was proven and its rate allows; its health steps."""
        await self.prove(member, deadline_ns)
        await self._allowed(member, calls, deadline_ns)
        started_ns = self.clock.monotonic_ns()
        try:
            outcomes = await self.exchange.ask_many(member.health, calls, deadline_ns)
        except ProbekitError as error:
            self.failed(member, error)
            raise
        worst = next((item for item in outcomes if isinstance(item, ProbekitError) and item.retry_other), None)
        if worst is not None:
            self.failed(member, worst)
        else:
            self.answered(member, self.clock.monotonic_ns() - started_ns)
        return outcomes

    def answered(self, member: Member, elapsed_ns: int) -> None:
        """An answer came. One that was not alive may be again: a pool of one endpoint has no other occasion to tell."""
        member.health.succeeded(elapsed_ns)
        if member.told is not EndpointState.ALIVE:
            self._tell_changes()

    def failed(self, member: Member, error: ProbekitError) -> None:
        """No answer came, or one that says something of the endpoint."""
        member.health.failed(error, self.clock.monotonic_ns())
        self._tell_changes()

    async def _allowed(self, member: Member, calls: Sequence[Call], deadline_ns: int) -> None:
        if member.bucket is None:
            return
        cost = sum(self.family.costs.get(call.method, 1) for call in calls)
        while (wait_ns := member.bucket.take(cost)) > 0:
            at_ns = self.clock.monotonic_ns() + wait_ns
            if at_ns >= deadline_ns:
                raise DeadlineExceeded(f"{member.label}: its rate limit leaves no room before the deadline", phase="queue")
            await self.clock.sleep_until_ns(at_ns)

    def ranked(self, floor: int | None = None) -> list[Member]:
        """Who may be asked, best first: state, failures, room under the rate limit, latency. Never empty unless every one is of
        another chain.
        """
        now_ns, heads = self.clock.monotonic_ns(), self._heads()

        def place(member: Member) -> tuple[int, bool, bool, int, int]:
            health = member.health
            below = floor is not None and health.head is not None and health.head < floor
            state = health.standing(heads, now_ns).state
            return RANK[state], health.on_trial, below, health.error_percent // 10, health.latency_ns() or 0

        return sorted(self, key=place)

    def hedge_after_ns(self, member: Member) -> int | None:
        """How long to wait for ``member`` before another is asked beside it; ``None`` while too little is known of it."""
        if not self.policy.hedge:
            return None
        p95_ns = member.health.latency_ns(95, least=self.policy.hedge_samples)
        return None if p95_ns is None else max(p95_ns, to_ns(self.policy.hedge_least))

    def wrong_chain_error(self) -> WrongChain:
        """Why no endpoint may be asked at all."""
        reasons = "; ".join(f"{member.label} {member.health.wrong_chain}" for member in self._members)
        found = self._members[0].health.wrong_chain.removeprefix("serves chain ").partition(",")[0]
        return WrongChain(f"no endpoint of {self.chain} is left: {reasons}", expected=self.identity or "", found=found)

    def _heads(self) -> Heads:
        return {member.label: member.health.head for member in self if member.health.head is not None}

    def _tell_changes(self) -> None:
        for member, standing in zip(self._members, self.standings().values(), strict=True):
            if standing.state is not member.told:
                change = StateChange(member.label, member.told, standing.state, standing.reason, self.clock.now(), self.chain)
                member.told = standing.state
                if self._on_change is not None:
                    self._on_change(change)

    def refresh_if_due(self) -> None:
        """Start a look at all endpoints beside the call, where there is a choice to make."""
        if len(self._members) < 2 or (self._refreshing is not None and not self._refreshing.done()):
            return
        now_ns = self.clock.monotonic_ns()
        if self._refreshed_ns is None or now_ns - self._refreshed_ns >= to_ns(self.policy.refresh):
            self._refreshed_ns = now_ns
            self._refreshing = asyncio.ensure_future(self._refresh())

    async def _refresh(self) -> None:
        await self.refresh()
