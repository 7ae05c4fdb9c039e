"""Events of contracts and programs as probes see them: what matched, what was taken back, and which blocks were looked at."""

from __future__ import annotations

import msgspec

from probekit.units import Instant


class EventMatch(msgspec.Struct, frozen=True, kw_only=True):
    """One match: where it stands on its chain, and what it says. ``log_index`` is ``None`` where a whole transaction matched;
    ``block`` is a slot on Solana, where ``block_hash`` is empty. ``withdrawn_at`` is when its block was seen to have left the
    chain.
    """

    chain: str
    block: int
    block_hash: str
    transaction: str
    log_index: int | None
    source: str
    """The contract, or program, that it is of."""
    event: str
    args: dict[str, str] = {}
    block_time: Instant | None = None
    seen_at: Instant
    withdrawn_at: Instant | None = None

    @property
    def place(self) -> str:
        """Where in which block of which chain: no two matches of a rule have the same."""
        return " ".join(map(str, (self.chain, self.block, self.block_hash, self.transaction, self.log_index))).replace(
            " None", ""
        )

    def __str__(self) -> str:
        place = f"block {self.block}" if self.log_index is not None else f"slot {self.block}"
        index = "" if self.log_index is None else f" log {self.log_index}"
        args = ", ".join(f"{name} {value}" for name, value in self.args.items())
        return f"{self.event} on {self.chain} in {place}, {self.transaction}{index}" + (f": {args}" if args else "")


class EventSighting(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule has found in the blocks from ``first`` to ``last``, whose own times are ``first_time`` and ``last_time``.

    ``standing`` counts matches that still are in the chain; ``newest`` are the last of them that were seen, in the chain's
    order, ``withdrawn`` the last of the ``withdrawn_count`` that are not. ``unreadable`` logs or transactions may have matched
    and did not read: ``unreadable_text`` is why the last of them did not, ``unreadable_at`` when that was. ``gap`` says what
    could not be looked at, and ``gap_at`` when that was.
    """

    standing: int
    newest: tuple[EventMatch, ...] = ()
    withdrawn: tuple[EventMatch, ...] = ()
    withdrawn_count: int = 0
    first: int
    last: int
    first_time: Instant | None = None
    last_time: Instant | None = None
    unreadable: int = 0
    unreadable_at: Instant | None = None
    unreadable_text: str = ""
    gap: str = ""
    gap_at: Instant | None = None

    @property
    def nothing_looked_at(self) -> bool:
        """Whether no block has been looked at yet: it says nothing of any."""
        return self.last < self.first


class ScanState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a chain was looked at: from ``first`` up to ``last``, of ``due`` (the head, less what confirmations hold back, or
    the end of the range, made or not). ``reorganised`` counts the times that blocks looked at before had left the chain;
    ``depth`` is how many they were at most, the last time. ``gap`` says what was left out, and ``gap_at`` when that was.
    """

    head: int
    due: int
    last: int
    reorganised: int = 0
    depth: int = 0
    first: int | None = None
    gap: str = ""
    gap_at: Instant | None = None

    @property
    def nothing_looked_at(self) -> bool:
        return self.first is not None and self.last < self.first
