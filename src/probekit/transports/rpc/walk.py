"""One read's way over the endpoints: rank, ask, hedge, ask elsewhere what was not answered, wait, once more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt

from probekit.clock import reap
from probekit.errors import DeadlineExceeded, ProbekitError, RateLimited, RpcRateLimited, WrongChain
from probekit.transports.rpc.record import Attempt
from probekit.transports.rpc.wire import Call, Outcome
from probekit.units import NS_PER_S, to_ns

if TYPE_CHECKING:
    from probekit.transports.rpc.members import Member, Members

_MAX_ATTEMPTS_SHOWN: Final = 20


class Walk:
    """The state of one call or batch while it is under way."""

    def __init__(self, members: Members, calls: Sequence[Call], deadline_ns: int, record: Callable[..., None]) -> None:
        self._members = members
        self._record = record
        self._calls = calls
        self._clock = members.clock
        self._deadline_ns = deadline_ns
        self._started_at, self._started_ns = self._clock.now(), self._clock.monotonic_ns()
        self._outcomes: list[Outcome | None] = [None] * len(calls)
        self._pending = list(range(len(calls)))
        self._attempts: list[Attempt] = []
        self._told: list[str] = []
        self._finished = False

    async def run(self, floor: int | None) -> list[Outcome]:
        """An outcome per call. Cancelling it cancels what is out."""
        await self._round(floor)
        if self._members.policy.rounds > 1 and self._again():
            await self._sleep(self._wait_s(1))
            retrying = AsyncRetrying(
                stop=stop_after_attempt(self._members.policy.rounds - 1),
                retry=retry_if_result(lambda _: self._again()),
                wait=lambda state: self._wait_s(state.attempt_number + 1),
                sleep=self._sleep,
                retry_error_callback=lambda _: None,
            )
            await retrying(self._round, floor)
        for index in self._pending:
            if isinstance(error := self._outcomes[index], ProbekitError):
                error.attempts = tuple(self._told[-_MAX_ATTEMPTS_SHOWN:])
        self._finished = True
        return [
            outcome if outcome is not None else DeadlineExceeded("no endpoint was asked before the deadline", phase="queue")
            for outcome in self._outcomes
        ]

    def finish(self) -> None:
        """Tell the record of the call; also of one that was cancelled."""
        failed = [outcome for outcome in self._outcomes if isinstance(outcome, ProbekitError)]
        self._record(
            self._calls[0].method if len(self._calls) == 1 else "batch",
            self._started_at,
            self._started_ns,
            tuple(self._attempts),
            items=len(self._calls),
            failed_items=len(failed),
            error=failed[0] if failed and len(self._calls) == 1 else None,
            cancelled=not self._finished,
        )

    # -- rounds --------------------------------------------------------------------------------------------------------------

    async def _round(self, floor: int | None) -> None:
        members = self._members.ranked(floor)
        if not members:
            error = self._members.wrong_chain_error()
            for index in self._pending:
                self._outcomes[index] = error
            return
        while members and self._pending and self._clock.monotonic_ns() < self._deadline_ns:
            member = members.pop(0)
            await self._step(member, members)

    def _again(self) -> bool:
        """Whether another round may help: something is open that may be asked again, and its wait fits."""
        errors = [self._outcomes[index] for index in self._pending]
        if not any(isinstance(error, ProbekitError) and error.retry_same for error in errors):
            return False
        return self._clock.monotonic_ns() + to_ns(self._members.policy.round_wait) < self._deadline_ns

    def _wait_s(self, rounds: int) -> float:
        wait_ns = to_ns(self._members.policy.round_wait) << (rounds - 1)
        asked = [
            error.retry_after_ns
            for index in self._pending
            if isinstance(error := self._outcomes[index], RateLimited | RpcRateLimited) and error.retry_after_ns is not None
        ]
        wait_ns -= int(wait_ns * random.random() / 2)
        if asked and len(self._members.ranked()) == 1:
            wait_ns = max(wait_ns, min(asked))
        return min(wait_ns, max(0, self._deadline_ns - self._clock.monotonic_ns())) / NS_PER_S

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until_ns(self._clock.monotonic_ns() + int(seconds * NS_PER_S))

    # -- one endpoint, or two beside each other --------------------------------------------------------------------------------

    async def _step(self, member: Member, others: list[Member]) -> None:
        asked = list(self._pending)
        part_ns = self._part_ns(len(others) + 1)
        hedge_ns = self._members.hedge_after_ns(member) if others else None
        if hedge_ns is None:
            self._take(asked, await self._ask(member, asked, part_ns, hedge=False))
            return
        first = asyncio.ensure_future(self._ask(member, asked, part_ns, hedge=False))
        timer = asyncio.ensure_future(self._clock.sleep_until_ns(self._clock.monotonic_ns() + hedge_ns))
        tasks: set[asyncio.Future[list[Outcome]]] = {first}
        try:
            await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                second = others.pop(0)
                tasks.add(asyncio.ensure_future(self._ask(second, asked, part_ns, hedge=True)))
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._take(asked, task.result())
                if not self._pending:
                    return
        finally:
            await reap(timer, *tasks)

    def _part_ns(self, left: int) -> int:
        """An equal part of the time left, so that one that hangs leaves time for the others."""
        now_ns = self._clock.monotonic_ns()
        return now_ns + max(0, self._deadline_ns - now_ns) // left

    async def _ask(self, member: Member, asked: list[int], deadline_ns: int, *, hedge: bool) -> list[Outcome]:
        started_ns = self._clock.monotonic_ns()
        kind = None
        try:
            outcomes = await self._members.asked(member, [self._calls[index] for index in asked], deadline_ns)
        except ProbekitError as error:
            kind = error.error_type
            self._told.append(f"{member.label}: {error.message}")
            return [error] * len(asked)
        except asyncio.CancelledError:
            kind = "cancelled"
            raise
        else:
            worst = next((item for item in outcomes if isinstance(item, ProbekitError)), None)
            if worst is not None:
                kind = worst.error_type
                self._told.append(f"{member.label}: {worst.message}")
            return outcomes
        finally:
            elapsed_ns = self._clock.monotonic_ns() - started_ns
            self._attempts.append(Attempt(member.label, elapsed_ns, hedge=hedge, error_type=kind))

    def _take(self, asked: list[int], outcomes: list[Outcome]) -> None:
        for index, outcome in zip(asked, outcomes, strict=True):
            settled = self._outcomes[index]
            if settled is not None and not (isinstance(settled, ProbekitError) and settled.retry_other):
                continue  # The other of two beside each other answered it.
            # "Wrong chain" says less than what an endpoint of the right chain said.
            if settled is None or not isinstance(outcome, WrongChain):
                self._outcomes[index] = outcome
        self._pending = [
            index
            for index in self._pending
            if (held := self._outcomes[index]) is None or (isinstance(held, ProbekitError) and held.retry_other)
        ]
