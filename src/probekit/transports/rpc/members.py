"""The endpoints of a pool with what is known of them: who serves the chain, who may be asked, in which order."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from probekit.clock import Clock, reap, together, within
from probekit.errors import ConfigError, DeadlineExceeded, ProbekitError, RpcInternal, RpcRateLimited, SendRefused, WrongChain
from probekit.model.rpc import EndpointState
from probekit.transports.rpc.endpoint import RANK, Endpoint, HealthPolicy, Standing
from probekit.transports.rpc.exchange import Exchange
from probekit.transports.rpc.family import ChainFamily, result_of
from probekit.transports.rpc.faults import has_it, may_ask_another
from probekit.transports.rpc.floor import guards, held
from probekit.transports.rpc.health import PLAIN, Heads, Health
from probekit.transports.rpc.limiter import ExtraBudget, TokenBucket
from probekit.transports.rpc.policy import PoolPolicy
from probekit.transports.rpc.record import ChangeObserver, StateChange, Traffic
from probekit.transports.rpc.wire import Call, Outcome
from probekit.units import NS_PER_S, to_ns

_SAME_LOOK_NS: Final = NS_PER_S


@dataclass(slots=True)
class Member:
    """An endpoint with what is known of it."""

    health: Health
    bucket: TokenBucket | None
    told: EndpointState = EndpointState.ALIVE
    proving: asyncio.Future[ProbekitError | None] | None = None

    @property
    def label(self) -> str:
        return self.health.endpoint.label


def _weight(error: ProbekitError) -> int:
    return 2 if isinstance(error, RpcRateLimited) else int(isinstance(error, RpcInternal))


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
        self.extras = ExtraBudget(policy.extra_percent, policy.extra_burst, to_ns(policy.extra_refill), clock)
        self._max_lag = health.max_lag
        self._proof_ns = to_ns(policy.proof)
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
        refreshing, self._refreshing = self._refreshing, None
        if refreshing is not None and not refreshing.done():
            await reap(refreshing)

    # -- states --------------------------------------------------------------------------------------------------------------

    def standings(self) -> dict[str, Standing]:
        """Each endpoint's state with its reason, by label, in the order given."""
        now_ns = self.clock.monotonic_ns()
        return {member.label: member.health.standing(self._heads(member), now_ns) for member in self._members}

    def tell_changes(self) -> None:
        """Tell ``on_change`` of states that are not what it was told last."""
        for member, standing in zip(self._members, self.standings().values(), strict=True):
            if standing.state is not member.told:
                change = StateChange(member.label, member.told, standing.state, standing.reason, self.clock.now(), self.chain)
                member.told = standing.state
                if self._on_change is not None:
                    self._on_change(change)

    def _heads(self, subject: Member) -> Heads:
        """The heads that ``subject`` is to be compared with: those told at about the time when it told its own.

        On a chain of many blocks a second, one that has not answered the running look yet would lag behind those that have: it
        is compared with what they told before, which is newer than its own once it has missed a look.
        """
        seen_ns = subject.health.head_seen_ns
        heads: Heads = {}
        for member in self:
            health = member.health
            later = health.head_seen_ns > seen_ns + _SAME_LOOK_NS
            head = health.head_before if later and health.head_before is not None else health.head
            if head is not None:
                heads[member.label] = head
        return heads

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

    async def refresh(self, *, timeout: timedelta | None = None) -> dict[str, Standing]:
        """Ask for identity, head and sync state, in one request each: every endpoint but those of another chain, those whose
        breaker is open and those that asked to be left alone.
        """
        now_ns = self.clock.monotonic_ns()
        deadline_ns = now_ns + to_ns(self.policy.timeout if timeout is None else timeout)
        self._refreshed_ns = now_ns
        due = [
            member for member in self if now_ns >= member.health.limited_until_ns and not member.health.track().rests(now_ns)
        ]
        await together(self._look(member, deadline_ns) for member in due)
        self.tell_changes()
        return self.standings()

    async def _look(self, member: Member, deadline_ns: int) -> None:
        family, health = self.family, member.health
        calls = [family.identity_call, family.head_call, family.sync_call]
        started_ns = self.clock.monotonic_ns()
        track = health.track()
        track.trying = track.on_trial
        try:
            await self.allowed(member, calls, deadline_ns)
            started_ns = self.clock.monotonic_ns()
            identity, head, sync = await self.exchange.ask_many(health, calls, deadline_ns, Traffic())
            if isinstance(identity, ProbekitError):
                raise identity
            self._identity_seen(health, family.identity(result_of(identity)))
            if isinstance(head, ProbekitError):
                raise head
            health.head_seen(family.head(result_of(head)), self.clock.monotonic_ns())
            health.syncing = family.sync(sync)
        except ProbekitError as error:
            now_ns = self.clock.monotonic_ns()
            health.failed(error, now_ns, elapsed_ns=now_ns - started_ns)
        else:
            now_ns = self.clock.monotonic_ns()
            health.answered(now_ns - started_ns, now_ns)
        finally:
            track.trying = False

    # -- the chain -----------------------------------------------------------------------------------------------------------

    def _identity_seen(self, health: Health, found: str) -> None:
        if self.identity is None:
            self.identity = found
        health.identity_seen(found, self.identity, self.clock.monotonic_ns())

    async def prove(self, member: Member, deadline_ns: int, traffic: Traffic, *, newer: timedelta | None = None) -> None:
        """Raise unless this endpoint has said that it serves the chain, not longer ago than ``newer`` (the policy's ``proof``).
        One asks, the others wait for its answer.
        """
        health = member.health
        began_ns = self.clock.monotonic_ns()
        believed_ns = self._proof_ns if newer is None else to_ns(newer)
        while not health.wrong_chain and (
            health.identity is None
            or (health.identity_seen_ns < began_ns and began_ns - health.identity_seen_ns >= believed_ns)
        ):
            if member.proving is None:
                await self._ask_identity(member, deadline_ns, traffic)
            elif error := await self._told_by_another(member, member.proving, deadline_ns):
                # Each caller writes its own attempts into its own error.
                raise copy.copy(error)
        if health.wrong_chain:
            self.tell_changes()
            found = health.wrong_chain.removeprefix("serves chain ").partition(",")[0]
            raise WrongChain(f"{member.label} {health.wrong_chain}", expected=self.identity or "", found=found)

    async def _ask_identity(self, member: Member, deadline_ns: int, traffic: Traffic) -> None:
        health, call = member.health, self.family.identity_call
        proving = member.proving = asyncio.get_running_loop().create_future()
        shared: ProbekitError | None = None
        started_ns = self.clock.monotonic_ns()
        try:
            await self.allowed(member, [call], deadline_ns)
            started_ns = self.clock.monotonic_ns()
            (outcome,) = await self.exchange.ask(health.endpoint, [call], deadline_ns, traffic)
            if isinstance(outcome, ProbekitError):
                raise outcome
            self._identity_seen(health, self.family.identity(result_of(outcome)))
        except ProbekitError as error:
            now_ns = self.clock.monotonic_ns()
            health.failed(error, now_ns, elapsed_ns=now_ns - started_ns)
            self.tell_changes()
            # A deadline is this caller's alone.
            shared = None if isinstance(error, DeadlineExceeded) else error
            raise
        finally:
            member.proving = None
            proving.set_result(shared)

    async def _told_by_another(
        self, member: Member, proving: asyncio.Future[ProbekitError | None], deadline_ns: int
    ) -> ProbekitError | None:
        try:
            return await within(self.clock, deadline_ns, asyncio.shield(proving))
        except TimeoutError:
            raise DeadlineExceeded(f"{member.label}: its chain is not proven in time", phase="first_byte") from None

    def wrong_chain_error(self) -> WrongChain:
        """Why no endpoint may be asked at all."""
        reasons = "; ".join(f"{member.label} {member.health.wrong_chain}" for member in self._members)
        found = self._members[0].health.wrong_chain.removeprefix("serves chain ").partition(",")[0]
        return WrongChain(f"no endpoint of {self.chain} is left: {reasons}", expected=self.identity or "", found=found)

    # -- asking --------------------------------------------------------------------------------------------------------------

    async def asked(
        self, member: Member, calls: Sequence[Call], deadline_ns: int, traffic: Traffic, floor: int | None = None
    ) -> list[Outcome]:
        """The outcomes of one endpoint, after its chain was proven and its rate allows; its health steps. ``NotReached`` for
        what is of before ``floor``.
        """
        await self.prove(member, deadline_ns, traffic)
        before = [] if floor is None else guards(self.family, calls)
        sent = [*before, *calls] if before else calls
        if member.bucket is not None:
            await self.allowed(member, sent, deadline_ns)
        health, kind = member.health, self.family.kind(calls)
        track, started_ns = health.track(kind), self.clock.monotonic_ns()
        trial = track.on_trial and not track.trying
        if trial:
            track.trying = True
        try:
            outcomes = await self.exchange.ask_many(health, sent, deadline_ns, traffic)
        except ProbekitError as error:
            now_ns = self.clock.monotonic_ns()
            health.failed(error, now_ns, kind, elapsed_ns=now_ns - started_ns)
            self.tell_changes()
            raise
        finally:
            if trial:
                track.trying = False
        if health.wrong_chain:
            # Found by a look while this answer was under way.
            await self.prove(member, deadline_ns, traffic)
        self._stepped(health, kind, outcomes, self.clock.monotonic_ns() - started_ns)
        return outcomes if floor is None else held(self.family, member.label, floor, before, calls, outcomes)

    async def sent(self, member: Member, call: Call, deadline_ns: int, traffic: Traffic) -> Outcome:
        """The outcome of exactly one request with one call; health steps. Nothing is proven or waited for here."""
        health, started_ns = member.health, self.clock.monotonic_ns()
        if started_ns >= deadline_ns:
            raise SendRefused(f"{member.label}: no time is left to send; nothing was sent")
        try:
            outcomes = await self.exchange.ask(health.endpoint, [call], deadline_ns, traffic)
        except ProbekitError as error:
            now_ns = self.clock.monotonic_ns()
            health.failed(error, now_ns, elapsed_ns=now_ns - started_ns)
            self.tell_changes()
            raise
        # A node that has it already has done nothing wrong, under whatever code it says so.
        told = [] if has_it(outcomes[0]) else outcomes
        self._stepped(health, PLAIN, told, self.clock.monotonic_ns() - started_ns)
        return outcomes[0]

    def _stepped(self, health: Health, kind: str, outcomes: Sequence[Outcome], elapsed_ns: int) -> None:
        failures = [item for item in outcomes if isinstance(item, ProbekitError) and may_ask_another(item)]
        # Of a batch: what says more of the endpoint than of the item.
        worst = max(failures, key=_weight, default=None)
        if worst is None:
            was = health.track(kind).on_trial
            health.answered(elapsed_ns, self.clock.monotonic_ns(), kind)
            if not was:
                return
        else:
            health.failed(worst, self.clock.monotonic_ns(), kind, elapsed_ns=elapsed_ns)
        self.tell_changes()

    async def allowed(self, member: Member, calls: Sequence[Call], deadline_ns: int) -> None:
        """Return once the endpoint's own rate limit lets these calls out; they are counted against it."""
        if member.bucket is None:
            return
        cost = self._cost(calls)
        while (wait_ns := member.bucket.take(cost)) > 0:
            at_ns = self.clock.monotonic_ns() + wait_ns
            if at_ns >= deadline_ns:
                raise DeadlineExceeded(f"{member.label}: its rate limit leaves no room before the deadline", phase="queue")
            await self.clock.sleep_until_ns(at_ns)

    def _cost(self, calls: Sequence[Call]) -> int:
        return sum(self.family.costs.get(call.method, 1) for call in calls)

    # -- order ---------------------------------------------------------------------------------------------------------------

    def ranked(self, calls: Sequence[Call], height: int | None = None) -> list[Member]:
        """Who may be asked, best first: by state, whether it has reached ``height``, errors, slowness, lag, room under the rate
        limit, latency. Never empty unless every one is of another chain.
        """
        members = list(self)
        if len(members) < 2:
            return members
        now_ns = self.clock.monotonic_ns()
        kind, cost = self.family.kind(calls), self._cost(calls)

        def place(member: Member) -> tuple[int, bool, int, bool, int, bool, int]:
            health, heads = member.health, self._heads(member)
            track = health.track(kind)
            state = health.standing(heads, now_ns).state
            below = height is not None and health.head is not None and health.head < height
            return (
                max(RANK[state], RANK[EndpointState.UNREACHABLE] if track.rests(now_ns) else 0),
                below,
                track.error_percent(now_ns) // 10,
                track.slow(now_ns),
                # In quarters of the limit: a head moves while several are asked for theirs.
                4 * health.lag(heads) // (self._max_lag + 1),
                member.bucket is not None and member.bucket.wait_ns(cost) > 0,
                track.latency_ns() or 0,
            )

        return sorted(members, key=place)

    def rests(self, member: Member, calls: Sequence[Call]) -> bool:
        """Whether a breaker says not to ask ``member`` for these calls while another may be asked."""
        now_ns = self.clock.monotonic_ns()
        return member.health.track(self.family.kind(calls)).rests(now_ns) or member.health.track(PLAIN).on_trial

    def hedge_after_ns(self, member: Member, calls: Sequence[Call]) -> int | None:
        """How long to wait for ``member`` before another is asked beside it; ``None`` while too little is known of it."""
        if not self.policy.hedge:
            return None
        track = member.health.track(self.family.kind(calls))
        if track.on_trial:
            return to_ns(self.policy.hedge_least)
        p95_ns = track.latency_ns(95, least=self.policy.hedge_samples)
        return None if p95_ns is None else max(p95_ns, to_ns(self.policy.hedge_least))

    def may_hedge(self, member: Member, calls: Sequence[Call], height: int | None) -> bool:
        """Whether an answer of ``member`` is as good as another's: one that lags would win by an old answer."""
        health, now_ns = member.health, self.clock.monotonic_ns()
        if health.standing(self._heads(member), now_ns).state is not EndpointState.ALIVE:
            return False
        if self.rests(member, calls) or (height is not None and health.head is not None and health.head < height):
            return False
        return member.bucket is None or member.bucket.wait_ns(self._cost(calls)) == 0

    def limited_until_ns(self, calls: Sequence[Call]) -> int:
        """When the first may be asked again, where all that are worth asking said for how long to leave them alone; else a time
        that is past.
        """
        if not any(member.health.limit_named for member in self._members):
            return 0
        worth = [member for member in self if not self.rests(member, calls)] or list(self)
        return min((member.health.limited_until_ns if member.health.limit_named else 0 for member in worth), default=0)
