"""One read's way over the endpoints: rank, ask, hedge, ask elsewhere what was not answered, wait, once more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt

from probekit.clock import reap
from probekit.errors import DeadlineExceeded, ErrorType, NotReached, NotServed, ProbekitError, RpcError, WrongChain
from probekit.transports.recording import ended_in
from probekit.transports.rpc.faults import may_ask_another
from probekit.transports.rpc.floor import none_reached
from probekit.transports.rpc.record import NUMBERS, Attempt, CallRecord, Traffic
from probekit.transports.rpc.wire import Call, Outcome
from probekit.units import NS_PER_S, to_ns

if TYPE_CHECKING:
    from probekit.transports.rpc.members import Member, Members

_MAX_ATTEMPTS_SHOWN: Final = 20
_NO_SUCH_METHOD: Final = -32601


class Walk:
    """The state of one call or batch while it is under way."""

    def __init__(
        self, members: Members, calls: Sequence[Call], deadline_ns: int, floor: int | None = None, prefer: int | None = None
    ) -> None:
        self._number = next(NUMBERS)
        self._members = members
        self._calls = calls
        self._floor = floor
        self._height = floor if prefer is None else prefer if floor is None else max(floor, prefer)
        self._reached: dict[int, dict[str, int | None]] = {}
        """Of each call: who is behind its floor, and where."""
        self._clock = members.clock
        self._deadline_ns = deadline_ns
        self._started_at, self._started_ns = self._clock.now(), self._clock.monotonic_ns()
        self._outcomes: list[Outcome | None] = [None] * len(calls)
        self._pending = list(range(len(calls)))
        self._attempts: list[Attempt] = []
        self._told: list[str] = []
        self._rounds = 0
        self._passing = False
        """An error of this round may be another time's answer, also where one that says more has taken its place."""
        self._cut_short: ErrorType | None = "cancelled"
        """What ended it before it was through."""

    async def run(self) -> list[Outcome]:
        """An outcome per call. Cancelling it cancels what is out."""
        try:
            outcomes = await self._run()
        except BaseException as error:
            self._cut_short = ended_in(error)
            raise
        self._cut_short = None
        return outcomes

    async def _run(self) -> list[Outcome]:
        self._members.extras.earn()
        await self._round()
        policy = self._members.policy
        if policy.rounds > 1 and self._again():
            await self._sleep(self._wait_s(1))
            retrying = AsyncRetrying(
                stop=stop_after_attempt(max(policy.rounds, policy.floor_rounds) - 1),
                retry=retry_if_result(lambda _: self._again()),
                wait=lambda state: self._wait_s(state.attempt_number + 1),
                sleep=self._sleep,
                retry_error_callback=lambda _: None,
            )
            await retrying(self._round)
        outcomes: list[Outcome] = []
        for outcome in self._outcomes:
            if outcome is None:
                outcome = DeadlineExceeded("no endpoint was asked before the deadline", phase="queue")
            if isinstance(outcome, NotReached):
                outcome = none_reached(self._members.family, outcome, self._reached[len(outcomes)])
                outcome.took(self._clock.monotonic_ns() - self._started_ns)
            if isinstance(outcome, ProbekitError) and self._told:
                outcome.attempts = tuple(self._told[-_MAX_ATTEMPTS_SHOWN:])
            outcomes.append(outcome)
        self._outcomes = [*outcomes]
        return outcomes

    def record(self, chain: str) -> CallRecord:
        """The record of the call so far; also of one that was cancelled, or ended in a defect."""
        failed = [outcome for outcome in self._outcomes if isinstance(outcome, ProbekitError)]
        error = failed[0] if failed and len(failed) == len(self._calls) else None
        return CallRecord(
            chain=chain,
            method=self._calls[0].method if len(self._calls) == 1 else "batch",
            started_at=self._started_at,
            elapsed_ns=self._clock.monotonic_ns() - self._started_ns,
            attempts=tuple(self._attempts),
            items=len(self._calls),
            failed_items=len(failed),
            sent_bytes=sum(attempt.sent_bytes for attempt in self._attempts),
            received_bytes=sum(attempt.received_bytes for attempt in self._attempts),
            error_type=self._cut_short or (None if error is None else error.error_type),
            rpc_code=error.code if isinstance(error, RpcError) else None,
            number=self._number,
        )

    # -- rounds --------------------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        self._rounds += 1
        self._passing = False
        limited_ns = self._members.limited_until_ns(self._calls)
        if self._clock.monotonic_ns() < limited_ns < self._deadline_ns:
            # Nobody else is left to ask, and the time that they named fits.
            await self._clock.sleep_until_ns(limited_ns)
        members = self._members.ranked(self._calls, self._height)
        if not members:
            error = self._members.wrong_chain_error()
            for index in self._pending:
                self._outcomes[index] = error
            return
        while members and self._pending and self._clock.monotonic_ns() < self._deadline_ns:
            member = members.pop(0)
            if self._told and self._unsupported() and self._members.rests(member, self._calls):
                continue
            await self._step(member, members)

    def _unsupported(self) -> bool:
        """Whether all that is open are methods that a live node does not have: no breaker is tried for those, or a caller who
        asks for one would wait for whoever hangs.
        """
        errors = [self._outcomes[index] for index in self._pending]
        return all(isinstance(error, NotServed) and error.code == _NO_SUCH_METHOD for error in errors)

    def _again(self) -> bool:
        """Whether another round may help: something is open that may be asked again, its wait fits, and so does its load."""
        if not self._passing or self._nulls():
            return False
        policy = self._members.policy
        due_ns = max(self._clock.monotonic_ns() + to_ns(policy.round_wait), self._members.limited_until_ns(self._calls))
        behind = all(isinstance(self._outcomes[index], NotReached) for index in self._pending)
        rounds = max(policy.rounds, policy.floor_rounds) if behind else policy.rounds
        return self._rounds < rounds and due_ns < self._deadline_ns and self._members.extras.take()

    def _wait_s(self, rounds: int) -> float:
        wait_ns = to_ns(self._members.policy.round_wait) << (rounds - 1)
        wait_ns -= int(wait_ns * random.random() / 2)
        return min(wait_ns, max(0, self._deadline_ns - self._clock.monotonic_ns())) / NS_PER_S

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until_ns(self._clock.monotonic_ns() + int(seconds * NS_PER_S))

    # -- one endpoint, or two beside each other --------------------------------------------------------------------------------

    async def _step(self, member: Member, others: list[Member]) -> None:
        asked = list(self._pending)
        part_ns = self._part_ns(len(others) + 1)
        calls = [self._calls[index] for index in asked]
        beside = (
            next((other for other in others if self._members.may_hedge(other, calls, self._height)), None) if others else None
        )
        hedge_ns = self._members.hedge_after_ns(member, calls) if beside is not None else None
        if beside is None or hedge_ns is None:
            self._take(asked, await self._ask(member, calls, part_ns, hedge=False))
            return
        first = asyncio.ensure_future(self._ask(member, calls, part_ns, hedge=False))
        asking: dict[asyncio.Future[list[Outcome]], Member] = {first: member}
        timer = self._timer(hedge_ns)
        try:
            await self._first_of(first, timer)
            if not first.done() and self._members.extras.take():
                others.remove(beside)
                asking[asyncio.ensure_future(self._ask(beside, calls, part_ns, hedge=True))] = beside
            while asking and self._pending:
                if not any(task.done() for task in asking):
                    await self._first_of(*asking, *([timer] if self._nulls() else []))
                done = [task for task in asking if task.done()]
                if not done:
                    break  # The other one has had as long again to say more than "null".
                for task in done:
                    del asking[task]
                    self._take(asked, task.result(), more=bool(asking))
                if timer.done() and self._nulls():
                    timer = self._timer(hedge_ns)
            kind = self._members.family.kind(calls)
            for late in asking.values():
                late.health.track(kind).overtaken(self._clock.monotonic_ns())
            self._take(asked, [])
        finally:
            await reap(timer, *asking)

    async def _first_of(self, *tasks: asyncio.Future[Any]) -> None:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    def _timer(self, wait_ns: int) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._clock.sleep_until_ns(self._clock.monotonic_ns() + wait_ns))

    def _part_ns(self, left: int) -> int:
        """An equal part of the time left, so that one that hangs leaves time for the others."""
        now_ns = self._clock.monotonic_ns()
        return now_ns + max(0, self._deadline_ns - now_ns) // left

    async def _ask(self, member: Member, calls: Sequence[Call], deadline_ns: int, *, hedge: bool) -> list[Outcome]:
        started_ns, traffic = self._clock.monotonic_ns(), Traffic(self._number)
        kind: ErrorType | None = None
        try:
            outcomes = await self._members.asked(member, calls, deadline_ns, traffic, self._floor)
        except ProbekitError as error:
            kind = error.error_type
            self._told.append(f"{member.label}: {error.message}")
            return [error] * len(calls)
        except BaseException as error:
            kind = ended_in(error)
            raise
        else:
            worst = next((item for item in outcomes if isinstance(item, ProbekitError)), None)
            if worst is not None:
                kind = worst.error_type
                self._told.append(f"{member.label}: {worst.message}")
            return outcomes
        finally:
            elapsed_ns = self._clock.monotonic_ns() - started_ns
            self._attempts.append(
                Attempt(
                    member.label,
                    elapsed_ns,
                    hedge=hedge,
                    error_type=kind,
                    requests=traffic.requests,
                    sent_bytes=traffic.sent_bytes,
                    received_bytes=traffic.received_bytes,
                )
            )

    def _take(self, asked: list[int], outcomes: list[Outcome], *, more: bool = False) -> None:
        """Keep what says most of each call. ``more``: another is out that may have what this one answers ``null`` for."""
        for index, outcome in zip(asked, outcomes, strict=bool(outcomes)):
            self._passing |= isinstance(outcome, ProbekitError) and outcome.retry_same
            if isinstance(outcome, NotReached):
                self._reached.setdefault(index, {}).update(outcome.reached)
            if _says_more(outcome, self._outcomes[index]):
                self._outcomes[index] = outcome
        self._pending = [
            index
            for index in self._pending
            if (held := self._outcomes[index]) is None
            or (_is_null(held) and (more or self._may_be_behind(index)))
            or (isinstance(held, ProbekitError) and may_ask_another(held))
        ]

    def _may_be_behind(self, index: int) -> bool:
        """Whether ``null`` may only say that the endpoint has not reached the block asked for: the next one may have it."""
        return self._height is not None and (self._floor is None or self._members.family.guard(self._calls[index]) is None)

    def _nulls(self) -> bool:
        """Whether only nulls are open: there is an answer, and one that says more may come."""
        return all(_is_null(self._outcomes[index]) for index in self._pending)


def _is_null(outcome: Outcome | None) -> bool:
    return isinstance(outcome, msgspec.Raw) and bytes(outcome) == b"null"


def _says_more(outcome: Outcome, held: Outcome | None) -> bool:
    """Whether ``outcome`` takes the place of ``held``: a value over null over an answer that is an error over no answer.

    The later one wins among equals, but a node that answers "not here" says more than a connection that failed, and both say
    more than an endpoint of another chain.
    """
    if held is None:
        return True
    if not isinstance(held, ProbekitError):
        return _is_null(held) and isinstance(outcome, msgspec.Raw)
    if not may_ask_another(held):
        return False  # The other of two beside each other answered it.
    if isinstance(outcome, WrongChain):
        return False
    if isinstance(held, NotReached) and isinstance(outcome, ProbekitError) and may_ask_another(outcome):
        return isinstance(outcome, NotReached)
    return isinstance(outcome, msgspec.Raw | RpcError) or not isinstance(held, NotServed)
