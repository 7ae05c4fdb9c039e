"""The two shapes of a check, and the adapter that makes the runner see one.

A **rule** judges one observation: ``rule(observation, now=...) -> Verdict``. A **fold** carries a state from one to the
next: ``init() -> S`` and ``step(S, observation, now=...) -> (S, Verdict)``, where an ``observation`` of ``None`` means
that a tick passed and brought nothing new. States are frozen values whose bound the fold states. No check has a mutable
field, reads a clock or fetches.

A fold that says since when something is so may have ``unseen(state, *, now) -> S``: what becomes of its state where a tick
observed nothing of its target. Such ticks bring no step, and the time that nobody could judge must not count.

A check that counts or times something may say so in a property ``records``: (measure, limit in ns or ``None``) pairs, whose
series then begin at zero rather than with their first value.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar, runtime_checkable

from probekit.model import Observation, Verdict
from probekit.units import Instant

S = TypeVar("S", bound=Hashable)


@runtime_checkable
class Rule(Protocol):
    """A judgement of one observation. Frozen; equal inputs give equal verdicts."""

    name: ClassVar[str]

    def __call__(self, observation: Observation[Any], *, now: Instant) -> Verdict: ...


@runtime_checkable
class Fold(Protocol[S]):
    """A judgement over a history, carried in a frozen, hashable, serialisable state."""

    name: ClassVar[str]

    def init(self) -> S: ...

    def step(self, state: S, observation: Observation[Any] | None, *, now: Instant) -> tuple[S, Verdict]: ...


Check = Rule | Fold[Any]


def is_fold(check: Check) -> TypeGuard[Fold[Any]]:
    """Which of the two shapes it is. ``isinstance`` says the same, and takes twenty microseconds to look at a protocol."""
    return hasattr(check, "step")
