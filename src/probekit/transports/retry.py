"""Retry by tenacity, on the injected clock, honouring Retry-After, within the deadline and a budget."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from probekit.clock import Clock
from probekit.errors import RateLimited, ServerError, TransportError
from probekit.transports.base import Request, Response, Transport
from probekit.units import NS_PER_S, to_ns


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how patiently, and at what rate at most.

    Waits double from ``first_wait`` to ``max_wait``, each shortened by up to half at random; a Retry-After longer than that is
    obeyed, and one longer than ``patience`` is not waited for: its error is raised. ``budget`` tokens refill at
    ``budget_per_second``; without one there is no retry, so a struggling service is not stormed.
    """

    attempts: int = 3
    first_wait: timedelta = timedelta(milliseconds=200)
    max_wait: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(seconds=60)
    budget: int = 10
    budget_per_second: float = 0.5

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.budget < 0 or self.budget_per_second < 0:
            raise ValueError("attempts must be at least 1, budget and its rate not negative")


NO_RETRY = RetryPolicy(attempts=1, budget=0)


@dataclass(slots=True)
class _Budget:
    policy: RetryPolicy
    clock: Clock
    tokens: float = field(init=False)
    at_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.at_ns = float(self.policy.budget), self.clock.monotonic_ns()

    def take(self) -> bool:
        now_ns = self.clock.monotonic_ns()
        earned = (now_ns - self.at_ns) / NS_PER_S * self.policy.budget_per_second
        self.tokens, self.at_ns = min(self.policy.budget, self.tokens + earned), now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Retry:
    """Middleware: tries GET, HEAD and a POST that only asks again while the error says ``retry_same``; anything else goes out
    exactly once.

    Never waits past the request's deadline: the error in hand is raised instead.
    """

    def __init__(
        self,
        inner: Transport,
        *,
        policy: RetryPolicy,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._budget = _Budget(policy, clock)

    async def send(self, request: Request) -> Response:
        if not request.may_repeat or self._policy.attempts == 1:
            return await self._inner.send(request)
        # Imported by what tries again: a policy is named where a probe is defined, and --help of it tries nothing.
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        attempt, wait_ns = 0, 0

        def again(error: BaseException) -> bool:
            nonlocal wait_ns
            if attempt + 1 >= self._policy.attempts or not isinstance(error, TransportError) or not error.retry_same:
                return False
            # Drawn once, so that the wait that fits is the one that is waited.
            wait_ns = self._wait_ns(error, attempt)
            return self._fits(request, wait_ns) and self._budget.take()

        async def sleep(_: float) -> None:
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + wait_ns)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._policy.attempts),
            retry=retry_if_exception(again),
            sleep=sleep,
            reraise=True,
        )
        async for trial in retrying:
            attempt = trial.retry_state.attempt_number - 1
            with trial:
                return await self._inner.send(replace(request, attempt=attempt))
        raise AssertionError("tenacity ends by returning or raising")

    def _wait_ns(self, error: TransportError, attempt: int) -> int:
        wait_ns = min(to_ns(self._policy.first_wait) << attempt, to_ns(self._policy.max_wait))
        wait_ns -= int(wait_ns * self._jitter() / 2)
        if isinstance(error, RateLimited | ServerError) and error.retry_after_ns is not None:
            return max(wait_ns, error.retry_after_ns)
        return wait_ns

    def _fits(self, request: Request, wait_ns: int) -> bool:
        if wait_ns > to_ns(self._policy.patience):
            return False
        return request.deadline_ns is None or self._clock.monotonic_ns() + wait_ns < request.deadline_ns

    async def aclose(self) -> None:
        await self._inner.aclose()
