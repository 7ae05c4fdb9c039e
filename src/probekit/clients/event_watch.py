"""Events of contracts on an EVM chain, by rules, block after block: none missed, none counted twice, and what a reorganisation
takes is taken back.

Every look reads on from where the last one ended, and the last blocks again: an endpoint may answer from a fork, or with a
shorter list for blocks that it does not have yet. A match is known by its block's hash and its place there. The hashes of
blocks looked at are compared with the chain's at each look; where one has changed, all above the last that has not are read
again, and matches in blocks that are gone are withdrawn. A look that fails changes nothing: the next begins where it did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from probekit.codecs.evm.conditions import Condition, NamedEvent, shown
from probekit.errors import DecodeError, ProbekitError
from probekit.model.contract_events import EventMatch, EventSighting, ScanState
from probekit.model.evm import Address, Block, Log
from probekit.units import Instant

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient

__all__ = ["EvmEventWatch", "EvmRule", "Found"]

REREAD_BLOCKS: Final = 16
"""Blocks that are read again at each look."""
SETTLED_BLOCKS: Final = 1_024
"""How deep a reorganisation is looked for; matches below are taken for good."""
_FIRST_COMPARED: Final = 2
"""Blocks whose hashes are compared at each look, the newest: where one stands, so does all below it. Else four times more."""
_FRESH_BLOCKS: Final = 64
"""Blocks with a match that are compared at each look as well, below the newest."""
_AT_ONCE: Final = 128
"""Blocks that are asked for in one request at most."""
_REMEMBERED: Final = 1_000
"""Matches of a rule that are kept whole; all are counted."""
_EXCERPT: Final = 200
_TOLD: Final = 20
"""Of those, the newest that a sighting has."""


@dataclass(frozen=True)
class EvmRule:
    """What matches: logs of ``event``, of one of ``addresses`` (of any contract where there are none), for which all conditions
    hold.
    """

    name: str
    event: NamedEvent
    addresses: tuple[Address, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Found:
    """What a rule has found so far: everything is counted, the newest of it kept whole."""

    def __init__(self) -> None:
        self.standing = self.withdrawn_count = 0
        self.unreadable = 0
        self.unreadable_at: Instant | None = None
        self.unreadable_text = ""
        self._matches: deque[EventMatch] = deque(maxlen=_REMEMBERED)
        self._withdrawn: deque[EventMatch] = deque(maxlen=_TOLD)

    def add(self, match: EventMatch) -> None:
        self.standing += 1
        self._matches.append(match)

    def lose(self, why: str, at: Instant) -> None:
        """One that may have matched does not read."""
        self.unreadable += 1
        self.unreadable_at, self.unreadable_text = at, why[:_EXCERPT]

    def withdraw(self, gone: Callable[[EventMatch], bool], count: int, at: Instant) -> None:
        """Take back ``count`` matches, those among the newest told by ``gone``."""
        self.standing -= count
        self.withdrawn_count += count
        taken = [one for one in self._matches if gone(one)]
        if taken:
            self._matches = deque((one for one in self._matches if not gone(one)), maxlen=_REMEMBERED)
        self._withdrawn.extend(msgspec.structs.replace(one, withdrawn_at=at) for one in taken)

    @property
    def newest(self) -> tuple[EventMatch, ...]:
        """The last of those that stand, by when they were seen; in the chain's order."""
        return tuple(sorted([*self._matches][-_TOLD:], key=lambda one: (one.block, one.log_index or 0)))

    @property
    def withdrawn(self) -> tuple[EventMatch, ...]:
        return tuple(self._withdrawn)

    def sighting(self, **where: Any) -> EventSighting:
        """What a rule has found, in the blocks ``where``."""
        return EventSighting(
            standing=self.standing,
            newest=self.newest,
            withdrawn=self.withdrawn,
            withdrawn_count=self.withdrawn_count,
            unreadable=self.unreadable,
            unreadable_at=self.unreadable_at,
            unreadable_text=self.unreadable_text,
            **where,
        )


class EvmEventWatch:
    """Looks at one chain for all rules of it at once. ``from_block`` is where it begins (``lookback`` blocks before the newest
    without it), ``to_block`` where it ends for good. With ``confirmations`` N a block is looked at when N - 1 are on top of it.
    At most ``max_blocks`` are looked at in one look: what is left is the next one's.
    """

    def __init__(
        self,
        client: EvmClient,
        chain: str,
        rules: Sequence[EvmRule],
        *,
        from_block: int | None = None,
        to_block: int | None = None,
        lookback: int = 0,
        confirmations: int = 1,
        max_blocks: int = 2_000,
    ) -> None:
        self._client, self._chain, self._rules = client, chain, tuple(rules)
        self._from, self._to, self._lookback = from_block, to_block, lookback
        self._confirmations, self._max_blocks = confirmations, max_blocks
        self._begin: int | None = None
        self._begin_time: Instant | None = None
        self._next = 0
        self._last: Block | None = None
        self._anchors: dict[int, str] = {}
        self._seen: dict[tuple[str, int, str], tuple[int, bool]] = {}
        """By the hash of its block, its place there and the rule: a log's block, and whether it matched."""
        self._found = {rule.name: Found() for rule in rules}
        self._reorganised = self._depth = 0
        anywhere = any(not rule.addresses for rule in rules)
        self._addresses = None if anywhere else sorted({one for rule in rules for one in rule.addresses})
        self._topics = [sorted({rule.event.event.topic for rule in rules})]

    async def look(self, at: Instant) -> ScanState:
        """Look on. Raises what the client raises; nothing is lost by it."""
        head = await self._client.block()
        due = made = head.number + 1 - self._confirmations
        if self._to is not None:
            # What a range has is due though it is not made yet.
            due, made = self._to, min(made, self._to)
        if self._begin is None:
            begin = max(made + 1 - self._lookback, 0) if self._from is None else self._from
            # What has not been made yet begins now.
            self._begin_time = head.time if begin > head.number else (await self._client.block(begin)).time
            self._begin = self._next = begin
        await self._compare(at)
        first = max(self._begin, min(self._next, made + 1) - REREAD_BLOCKS)
        last = min(made, self._next - 1 + self._max_blocks)
        if last >= first:
            await self._read(first, last, at)
        return ScanState(
            head=head.number,
            due=due,
            last=self._next - 1,
            reorganised=self._reorganised,
            depth=self._depth,
            first=self._begin,
        )

    def sighting(self, rule: str) -> EventSighting:
        """What a rule has found so far."""
        return self._found[rule].sighting(
            first=self._begin or 0,
            last=self._next - 1,
            first_time=self._begin_time,
            last_time=None if self._last is None else self._last.time,
        )

    # -- one look ------------------------------------------------------------------------------------------------------------

    async def _compare(self, at: Instant) -> None:
        """Take back what stands in blocks that are no longer the chain's, and go on above the last that is."""
        if self._begin is None:
            return
        numbers, gone, kept = sorted(self._anchors, reverse=True), set[int](), None
        # Of several endpoints one may have told a match from a fork that the newest block is not on.
        matched = {number for number, counted in self._seen.values() if counted and number >= self._next - _FRESH_BLOCKS}
        first = [*numbers[:_FIRST_COMPARED], *[one for one in numbers[_FIRST_COMPARED:] if one in matched][:_AT_ONCE]]
        numbers, at_once = [one for one in numbers if one not in first], _FIRST_COMPARED
        while numbers or first:
            part, first = first or numbers[:at_once], []
            numbers = [one for one in numbers if one not in part]
            at_once = min(4 * at_once, _AT_ONCE)
            blocks = await self._client.blocks(part)
            # A block that nobody has may be one that this endpoint does not have yet: that says nothing.
            known = {number: one.hash for number, one in zip(part, blocks, strict=True) if isinstance(one, Block)}
            gone |= {number for number, told in known.items() if told != self._anchors[number]}
            kept = max((number for number in known if not gone or number < min(gone)), default=None)
            if kept is not None:
                break  # where one still stands, so does all below it
        if not gone:
            return
        lowest = max(self._begin, self._next - SETTLED_BLOCKS if kept is None else kept + 1)
        self._reorganised += 1
        self._depth = max(self._next - lowest, 0)
        self._next = min(self._next, lowest)
        for number in gone:
            self._withdraw(self._anchors.pop(number), at)

    def _withdraw(self, block_hash: str, at: Instant) -> None:
        """A block has left the chain: whatever matched in it did not happen."""
        places = [key for key in self._seen if key[0] == block_hash]
        for rule, found in self._found.items():
            count = sum(key[2] == rule and self._seen[key][1] for key in places)
            if count:
                found.withdraw(lambda match: match.block_hash == block_hash, count, at)
        for key in places:
            del self._seen[key]

    def _anchor(self, number: int, block_hash: str, at: Instant) -> None:
        before = self._anchors.get(number)
        if before is not None and before != block_hash:
            self._withdraw(before, at)
        self._anchors[number] = block_hash

    async def _read(self, first: int, last: int, at: Instant) -> None:
        before = await self._client.block(last)
        logs = await self._client.logs(from_block=first, to_block=last, address=self._addresses, topics=self._topics)
        after = await self._client.block(last)
        if before.hash != after.hash:
            return  # replaced meanwhile: who knows of which of the two these are
        for broken in (log for log in logs if isinstance(log, DecodeError)):
            self._unreadable((str(broken.raw)[:_EXCERPT], -1), last, self._rules, broken, at)
        fresh = [(rule, log, args) for log in logs if isinstance(log, Log) for rule, args in self._matching(log, at)]
        times = await self._blocks(sorted({log.block_number for _, log, _ in fresh}), last=after)
        agreed = last
        for rule, log, args in fresh:
            block = times.get(log.block_number)
            if block is None or block.hash != log.block_hash:
                # Of a fork, or of a block that nobody gives: it is read again, and counted when they agree.
                agreed = min(agreed, log.block_number - 1)
                continue
            self._anchor(log.block_number, log.block_hash, at)
            self._seen[log.block_hash, log.log_index, rule.name] = (log.block_number, True)
            match = EventMatch(
                chain=self._chain,
                block=log.block_number,
                block_hash=log.block_hash,
                transaction=log.transaction_hash,
                log_index=log.log_index,
                source=str(log.address),
                event=rule.event.event.name,
                args={name: shown(value) for name, value in args.items()},
                block_time=block.time,
                seen_at=at,
            )
            self._found[rule.name].add(match)
        self._next = agreed + 1 if agreed < last else max(self._next, last + 1)
        self._last = after
        self._anchor(last, after.hash, at)
        self._forget()

    def _matching(self, log: Log, at: Instant) -> list[tuple[EvmRule, dict[str, object]]]:
        """Rules that a log matches and that it was not counted for, with what it says."""
        found = []
        for rule in self._rules:
            if not log.topics or log.topics[0] != rule.event.event.topic or log.removed:
                continue
            if (rule.addresses and log.address not in rule.addresses) or (
                (log.block_hash, log.log_index, rule.name) in self._seen
            ):
                continue
            try:
                args = rule.event.arguments(log)
            except DecodeError as error:
                # Of contracts that nobody named, another event may bear the same topic: ERC-721 transfers do.
                if rule.addresses:
                    self._unreadable((log.block_hash, log.log_index), log.block_number, [rule], error, at)
                continue
            if all(condition.holds(args) for condition in rule.conditions):
                found.append((rule, args))
        return found

    def _unreadable(
        self, place: tuple[str, int], number: int, rules: Sequence[EvmRule], error: DecodeError, at: Instant
    ) -> None:
        """A log that says nothing to these rules: counted once."""
        where = f"block {number} log {place[1]}: " if place[1] >= 0 else f"up to block {number}: "
        for rule in rules:
            if (*place, rule.name) not in self._seen:
                self._found[rule.name].lose(where + error.message, at)
            self._seen[*place, rule.name] = (number, False)

    async def _blocks(self, numbers: Sequence[int], *, last: Block) -> dict[int, Block]:
        found: dict[int, Block | ProbekitError] = {last.number: last}
        wanted = [number for number in numbers if number != last.number]
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            found |= dict(zip(part, await self._client.blocks(part), strict=True))
        return {number: one for number, one in found.items() if isinstance(one, Block)}

    def _forget(self) -> None:
        """What no reorganisation reaches any more."""
        settled = self._next - SETTLED_BLOCKS
        self._seen = {key: one for key, one in self._seen.items() if one[0] >= settled}
        newest = max(self._anchors)
        self._anchors = {number: one for number, one in self._anchors.items() if number >= settled or number == newest}
