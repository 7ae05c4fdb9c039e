"""What a look at a provider of random numbers shows: what waits, for how long and why, and how long its hash chain lasts.

Ages are in the contract's own blocks and in whole seconds; fees are integers in wei.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from probekit.model.canary import Coin
from probekit.model.entropy import CauseKind


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits, or whose callback failed; ``cause`` is why, where that was found out."""

    sequence: int
    age_blocks: int
    age_s: int | None = None
    """``None`` where the contract counts other blocks than the chain (Arbitrum)."""
    cause: CauseKind | None = None
    text: str = ""

    @property
    def age(self) -> str:
        """For people."""
        return f"{self.age_blocks} blocks" + ("" if self.age_s is None else f", {self.age_s} s")


class UnreadRequest(msgspec.Struct, frozen=True):
    """A request that did not read: why, and the beginning of what stands in its place, where there is any."""

    sequence: int
    text: str
    raw: str = ""

    def __str__(self) -> str:
        return f"{self.sequence} ({self.text})"


class EntropyLook(msgspec.Struct, frozen=True, kw_only=True):
    """One provider at one block. ``pending`` counts what waits, stuck or not; ``oldest`` is the one that waits longest.

    ``stuck`` and ``failed`` hold some of theirs, the oldest and the newest ones; ``stuck_count`` and ``failed_count`` count
    all.
    """

    provider: str
    block: int
    registered: bool
    sequence: int
    """The next request's number."""
    remaining: int
    """Requests that the hash chain is still good for."""
    hash_margin: int | None
    """Requests until one must be revealed; ``None`` where nothing limits them."""
    fee_wei: int
    coin: Coin
    pending: int = 0
    oldest: Waiting | None = None
    stuck: tuple[Waiting, ...] = ()
    stuck_count: int = 0
    failed: tuple[Waiting, ...] = ()
    failed_count: int = 0
    watched: int = 0
    """Requests that were looked at."""
    unread: int = 0
    """Requests that did not read."""
    unreadable: tuple[UnreadRequest, ...] = ()
    """Some of them, the oldest."""
    since: int | None = None
    """The oldest number that was ever looked at: of requests before it nothing is known."""
    unlooked: int = 0
    """The newest requests, which there was no room to look at: the next look has them."""


RevelationOutcome = Literal[
    "proven", "wrong", "withheld", "needs_confirmations", "nothing_pending", "revealed", "unchecked", "unknown_chain"
]


class RevelationSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the service that reveals said of a pending request: ``proven`` where its number leads to the one on chain."""

    outcome: RevelationOutcome
    chain: str
    sequence: int | None = None
    text: str = ""
