"""Rebroadcast: the same signed transaction once to every endpoint of a chain, and what became of it at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from probekit.errors import DecodeError, ProbekitError, SendRefused, WrongChain
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.faults import has_it
from probekit.transports.rpc.wire import Outcome

__all__ = ["Rebroadcast", "Relayed"]


class Relayed(msgspec.Struct, frozen=True):
    """One endpoint's part. ``accepted``: it took the transaction. ``known``: it says that it has it already, which is as good.
    ``failed``: the bytes went out once and ``error`` came back; unless that is the node's own refusal (``RpcError`` itself),
    nobody knows whether they were taken. ``unsent``: nothing went out, because the chain was not proven there in time.
    """

    endpoint: str
    outcome: Literal["accepted", "known", "failed", "unsent"]
    error: ProbekitError | None = None

    @property
    def taken(self) -> bool:
        return self.outcome in ("accepted", "known")


class Rebroadcast(msgspec.Struct, frozen=True):
    """``transaction``: its hash or signature, made from the bytes that were sent. ``endpoints``: every one of the pool, in its
    order. What was taken by nodes has not landed yet.
    """

    transaction: str
    endpoints: tuple[Relayed, ...]

    @property
    def taken(self) -> bool:
        """Whether any endpoint has it now."""
        return any(one.taken for one in self.endpoints)

    @property
    def errors(self) -> dict[str, ProbekitError]:
        """Endpoints that may not have it, with why."""
        return {one.endpoint: one.error for one in self.endpoints if one.error is not None and not one.taken}

    def __getitem__(self, endpoint: str) -> Relayed:
        """One endpoint's part, by its label. Raises ``KeyError``."""
        for one in self.endpoints:
            if one.endpoint == endpoint:
                return one
        raise KeyError(endpoint)


def told(
    transaction: str, outcomes: Sequence[tuple[str, Outcome]], read: Callable[[Any], object], *, chain: str
) -> Rebroadcast:
    """What a pool's ``broadcast`` gave, as a value. ``read`` raises ``DecodeError`` for an answer that is not of this
    transaction. Raises ``SendRefused`` where nothing went out at all.
    """
    made = Rebroadcast(transaction, tuple(_relayed(endpoint, outcome, read) for endpoint, outcome in outcomes))
    if all(one.outcome == "unsent" for one in made.endpoints):
        problems = tuple(f"{endpoint}: {error.message}" for endpoint, error in made.errors.items())
        refused = SendRefused(f"no endpoint proves that it serves {chain}; nothing was sent: {'; '.join(problems)}")
        refused.attempts = problems
        raise refused
    return made


def _relayed(endpoint: str, outcome: Outcome, read: Callable[[Any], object]) -> Relayed:
    if isinstance(outcome, SendRefused | WrongChain):
        return Relayed(endpoint, "unsent", outcome)
    if isinstance(outcome, ProbekitError):
        return Relayed(endpoint, "known" if has_it(outcome) else "failed", outcome)
    try:
        read(result_of(outcome))
    except DecodeError as error:
        return Relayed(endpoint, "failed", error)
    return Relayed(endpoint, "accepted")
