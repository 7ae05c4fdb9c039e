"""One question to several endpoints, and who agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from probekit.clock import Clock, reap
from probekit.errors import NoAgreement, ProbekitError, Reverted
from probekit.secret import redact


class Quorum(msgspec.Struct, frozen=True):
    """The value that enough endpoints gave. ``dissenters`` gave another, shown as text; ``failed`` gave none;
    ``silent`` had not answered when the value was settled.
    """

    result: Any
    agreeing: tuple[str, ...]
    dissenters: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    silent: tuple[str, ...] = ()


@dataclass(slots=True)
class _Ballot:
    agree: int
    method: str
    votes: dict[bytes, list[str]]
    values: dict[bytes, Any]
    failed: list[tuple[str, str]]
    silent: tuple[str, ...] = ()

    def take(self, label: str, answer: Any) -> None:
        if isinstance(answer, Reverted) and answer.revert_data:
            # The contract's own answer: nodes word it differently, and give it different codes.
            key = b"reverted " + answer.revert_data
            self.votes.setdefault(key, []).append(label)
            self.values.setdefault(key, answer)
            return
        if isinstance(answer, ProbekitError):
            self.failed.append((label, f"{answer.error_type}: {answer.message}"))
            return
        # Key order and white space are the server's own; the value is the same.
        key = msgspec.json.encode(answer, order="sorted")
        self.votes.setdefault(key, []).append(label)
        self.values.setdefault(key, answer)

    @property
    def winner(self) -> bytes | None:
        best = max(self.votes.values(), key=len, default=[])
        if len(best) < self.agree:
            return None
        winners = [key for key, labels in self.votes.items() if len(labels) == len(best)]
        # Two camps of one size are no agreement, however large they are.
        return winners[0] if len(winners) == 1 else None

    def hopeless(self, pending: int) -> bool:
        """Whether ``pending`` more answers cannot make an agreement."""
        return max(map(len, self.votes.values()), default=0) + pending < self.agree

    def value(self) -> Quorum:
        key = self.winner
        shown = tuple(
            (label, _shown(self.values[other])) for other, labels in self.votes.items() if other != key for label in labels
        )
        if key is None:
            counted = ", ".join(f"{label} gave {text}" for label, text in shown)
            errors = ", ".join(f"{label} failed with {text}" for label, text in self.failed)
            told = "; ".join(part for part in (counted, errors) if part)
            raise NoAgreement(f"{self.method}: no {self.agree} endpoints agree: {told or 'none was asked'}", answers=shown)
        if isinstance(agreed := self.values[key], ProbekitError):
            raise agreed
        return Quorum(self.values[key], tuple(self.votes[key]), shown, tuple(self.failed), self.silent)


def _shown(value: Any) -> str:
    if isinstance(value, ProbekitError):
        return value.message[:120]
    text = redact(msgspec.json.encode(value, order="sorted").decode("utf-8", "replace"))
    return text if len(text) <= 120 else f"{text[:117]}..."


async def settle(asks: Mapping[str, Coroutine[Any, Any, Any]], agree: int, grace_ns: int, clock: Clock, method: str) -> _Ballot:
    """Run ``asks`` (by endpoint) together. Once ``agree`` of them agree, or none can any more, the others have ``grace_ns``
    more to say what they have; then they are cancelled.
    """
    ballot = _Ballot(agree, method, {}, {}, [])
    labels: dict[asyncio.Future[Any], str] = {asyncio.ensure_future(ask): label for label, ask in asks.items()}
    timer: asyncio.Future[None] | None = None
    pending = set(labels)
    try:
        while pending:
            done, _ = await asyncio.wait({*pending, timer} if timer else pending, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in labels if task in done and task in pending]:
                ballot.take(labels[task], task.result())
            pending -= done
            if timer is not None and timer in done:
                break
            if timer is None and (ballot.winner is not None or ballot.hopeless(len(pending))):
                timer = asyncio.ensure_future(clock.sleep_until_ns(clock.monotonic_ns() + grace_ns))
    finally:
        await reap(*pending, *([timer] if timer else []))
    ballot.silent = tuple(labels[task] for task in pending)
    return ballot
