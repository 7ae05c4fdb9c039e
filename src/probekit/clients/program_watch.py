"""Transactions of Solana programs, by rules over their logs, slot after slot: none missed, none counted twice, and what a fork
takes is taken back.

A look reads the signatures that mention a program, newest first, back to a little before where the last look ended, and the
logs of those that it has not seen. A match that is not final yet is asked after once its slot is, in the node's archive too:
what is not in its memory of the last 300 slots is not gone. One that no node knows, when its blockhash has long expired, never
landed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from probekit.clients.event_watch import Found
from probekit.errors import DecodeError, NotServed, ProbekitError, RpcError
from probekit.model.contract_events import EventMatch, EventSighting, ScanState
from probekit.model.pattern import PatternSlow, compiled
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Commitment, SignatureInfo, SignatureStatus, TransactionLogs
from probekit.units import Instant

if TYPE_CHECKING:
    from probekit.clients.solana import SolanaClient

__all__ = ["ProgramEventWatch", "ProgramRule"]

REREAD_SLOTS: Final = 150
EXPIRED_SLOTS: Final = 300
"""After so many a transaction that is in no block never can be: its blockhash is no longer taken."""
SURELY_KEPT_SLOTS: Final = 1_000
"""The newest slots, of which no node is without one; where more are to be looked at it is asked what it has."""
MAX_SIGNATURES: Final = 20_000
"""Transactions of a program between two looks; where there are more, the older ones are a gap, which is told."""
MAX_UNSETTLED: Final = 20_000
"""Matches that are not final yet; of more the oldest are taken for final."""
_SETTLED_AT_ONCE: Final = 1_024
_UNSUPPORTED_VERSION: Final = -32015
"""The code of ``getTransaction`` for a transaction of a version above the one that was asked for."""
_AT_ONCE: Final = 50
_LINE: Final = 200
_TRIES: Final = 3
"""Looks that ask for a transaction that does not read: it may have been the answer, and not the transaction."""


Span = Callable[[str, str], Awaitable[tuple[int, int] | None]]
"""Where a pattern is found in a text. Raises ``PatternSlow`` where that cannot be told in time: anybody may write a log."""


async def _span(pattern: str, text: str) -> tuple[int, int] | None:
    match = compiled(pattern).search(text)
    return None if match is None else match.span()


@dataclass(frozen=True)
class ProgramRule:
    """What matches: transactions that mention ``program`` and ended so, where each of ``patterns`` is found in a line of the
    logs. Raises ``ValueError`` for a pattern that is no regular expression.
    """

    name: str
    program: Pubkey
    patterns: tuple[str, ...] = ()
    outcome: Literal["succeeded", "failed", "any"] = "succeeded"

    def __post_init__(self) -> None:
        for one in self.patterns:
            compiled(one)

    async def lines(self, told: TransactionLogs, span: Span) -> tuple[str, ...] | None:
        """The lines that match, one for each pattern; ``None`` where it does not. Raises what ``span`` does."""
        if not self._ended(told):
            return None
        found: list[str] = []
        for pattern in self.patterns:
            for line in told.logs:
                if await span(pattern, line) is not None:
                    found.append(line)
                    break
            else:
                return None
        return tuple(found)

    def cut_off(self, told: TransactionLogs) -> bool:
        """Of one that does not match: whether it may, by what was cut off its logs."""
        return told.truncated and self._ended(told)

    def _ended(self, told: TransactionLogs) -> bool:
        return self.outcome == "any" or told.succeeded == (self.outcome == "succeeded")


class ProgramEventWatch:
    """Looks at one chain for all rules of it. ``from_slot`` is where it begins (``lookback`` slots before the newest without
    it), ``to_slot`` where it ends for good. ``commitment`` says what counts as landed, ``span`` searches logs: a probe gives
    ``ctx.span``, which is bounded in time.
    """

    def __init__(
        self,
        client: SolanaClient,
        chain: str,
        rules: Sequence[ProgramRule],
        *,
        from_slot: int | None = None,
        to_slot: int | None = None,
        lookback: int = 0,
        commitment: Commitment = Commitment.CONFIRMED,
        span: Span = _span,
    ) -> None:
        self._span = span
        self._client, self._chain, self._rules = client, chain, tuple(rules)
        self._from, self._to, self._lookback, self._commitment = from_slot, to_slot, lookback, commitment
        self._programs = tuple(dict.fromkeys(rule.program for rule in rules))
        self._begin: int | None = None
        self._begin_at: Instant | None = None
        self._next = 0
        self._looked_at: Instant | None = None
        self._seen: dict[str, int] = {}
        self._doubtful: dict[str, tuple[int, int]] = {}
        """Those that did not read, and are asked for again: their slot, and how many looks have asked."""
        self._unsettled: dict[str, int] = {}
        """Matches by signature that are not final yet, with their slot."""
        self._found = {rule.name: Found() for rule in rules}
        self._matched: dict[str, list[str]] = {}
        self._withdrawals = 0
        self._gap = ""
        self._gap_at: Instant | None = None

    async def look(self, at: Instant) -> ScanState:
        """Look on. Raises what the client raises; nothing is lost by it."""
        head = await self._client.slot(self._commitment)
        due, made = (head, head) if self._to is None else (self._to, min(head, self._to))
        if self._begin is None:
            self._begin = max(made + 1 - self._lookback, 0) if self._from is None else self._from
            self._begin_at, self._next = at, self._begin
        await self._settle(head, at)
        floor, agreed = max(self._begin, min(self._next, made + 1) - REREAD_SLOTS), made
        floor = min([floor, *(slot for slot, _ in self._doubtful.values())])
        began_before = self._next == self._begin <= made and (self._from is not None or self._lookback > 0)
        if began_before or made - self._next >= SURELY_KEPT_SLOTS:
            await self._miss(at)
        for program in self._programs:
            agreed = min(agreed, await self._read(program, floor, made, at))
        self._next = max(self._next, agreed + 1) if agreed == made else agreed + 1
        self._looked_at = at
        kept = min([self._next - 2 * REREAD_SLOTS, *(slot for slot, _ in self._doubtful.values())])
        self._seen = {one: slot for one, slot in self._seen.items() if slot >= kept}
        return ScanState(
            head=head,
            due=due,
            last=self._next - 1,
            reorganised=self._withdrawals,
            first=self._begin,
            gap=self._gap,
            gap_at=self._gap_at,
        )

    def sighting(self, rule: str) -> EventSighting:
        """What a rule has found so far. Times are this host's: slots have none."""
        return self._found[rule].sighting(
            first=self._begin or 0,
            last=self._next - 1,
            first_time=self._begin_at,
            last_time=self._looked_at,
            gap=self._gap,
            gap_at=self._gap_at,
        )

    async def _miss(self, at: Instant) -> None:
        """Tell what the node has dropped of the slots that come next."""
        try:
            oldest = await self._client.oldest_slot()
        except NotServed as error:
            # Not every provider answers that, and what is new is looked at all the same.
            self._leave_out(f"whether the node has all slots from {self._next} on is not known: {error.message}", at)
            return
        if oldest > self._next:
            self._leave_out(f"the node has no slot before {oldest}: {self._next} to {oldest - 1} were not looked at", at)

    async def _read(self, program: Pubkey, floor: int, due: int, at: Instant) -> int:
        """Up to which slot all that is known was read."""
        rows, agreed = await self._rows(program, floor, due, at), due
        listed = {self._key(program, row.signature) for row in rows}
        self._doubtful = {key: one for key, one in self._doubtful.items() if key in listed or not key.startswith(f"{program} ")}
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            told = await self._client.transaction_logs([row.signature for row in part], commitment=self._commitment)
            for row, one in zip(part, told, strict=True):
                key = self._key(program, row.signature)
                _, tries = self._doubtful.get(key, (row.slot, 0))
                if isinstance(one, DecodeError) or (isinstance(one, RpcError) and one.code == _UNSUPPORTED_VERSION):
                    # Of this one transaction, and told at once; of a later version it is for ever.
                    if not tries:
                        self._unreadable(program, f"{row.signature}: {one.message}", at)
                    if isinstance(one, DecodeError) and tries + 1 < _TRIES:
                        self._doubtful[key] = row.slot, tries + 1
                        continue
                elif isinstance(one, ProbekitError):
                    raise one
                elif one is None:
                    # The one endpoint has it, the other not yet: it is read again.
                    agreed = min(agreed, row.slot - 1)
                    continue
                else:
                    await self._take(program, one, at)
                self._doubtful.pop(key, None)
                self._seen[key] = row.slot
        return agreed

    async def _rows(self, program: Pubkey, floor: int, due: int, at: Instant) -> list[SignatureInfo]:
        """Signatures not seen yet from ``floor`` to ``due``, oldest first."""
        rows: list[SignatureInfo] = []
        read = 0
        async with aclosing(self._client.signature_pages(program, commitment=self._commitment)) as pages:
            async for page in pages:
                readable = [row for row in page if isinstance(row, SignatureInfo)]
                for broken in (row for row in page if isinstance(row, DecodeError)):
                    key = self._key(program, f"unreadable {str(broken.raw)[:_LINE]}")
                    if key not in self._seen:
                        self._unreadable(program, f"a signature: {broken.message}", at)
                    self._seen[key] = due
                rows += [row for row in readable if floor <= row.slot <= due]
                read += len(page)
                if any(row.slot < floor for row in readable):
                    break
                if read >= MAX_SIGNATURES:
                    left_out = f"slots {floor} to {min((row.slot for row in readable), default=due)}"
                    self._leave_out(f"more than {MAX_SIGNATURES} transactions of {program}: {left_out} were not all read", at)
                    break
        return [row for row in reversed(rows) if self._key(program, row.signature) not in self._seen]

    def _leave_out(self, what: str, at: Instant) -> None:
        self._gap, self._gap_at = what, at

    @staticmethod
    def _key(program: Pubkey, signature: str) -> str:
        return f"{program} {signature}"

    def _unreadable(self, program: Pubkey, why: str, at: Instant) -> None:
        for rule in self._rules:
            if rule.program == program:
                self._found[rule.name].lose(why, at)

    async def _lines(self, rule: ProgramRule, told: TransactionLogs) -> tuple[str, ...] | PatternSlow | None:
        try:
            return await rule.lines(told, self._span)
        except PatternSlow as slow:
            return slow

    async def _take(self, program: Pubkey, told: TransactionLogs, at: Instant) -> None:
        # All is searched before anything is counted: who is cancelled meanwhile has counted nothing, and nothing counts twice.
        searched = [(rule, await self._lines(rule, told)) for rule in self._rules if rule.program == program]
        for rule, lines in searched:
            if isinstance(lines, PatternSlow):
                self._found[rule.name].lose(f"{told.signature} in slot {told.slot}: {lines}", at)
                continue
            if lines is None:
                if rule.cut_off(told):
                    self._found[rule.name].lose(f"{told.signature} in slot {told.slot}: its logs are truncated", at)
                continue
            args = {f"log {number}": line[:_LINE] for number, line in enumerate(lines)}
            if not told.succeeded:
                args["error"] = str(told.error)[:_LINE]
            match = EventMatch(
                chain=self._chain,
                block=told.slot,
                block_hash="",
                transaction=told.signature,
                log_index=None,
                source=str(program),
                event=rule.name,
                args=args,
                block_time=told.block_time,
                seen_at=at,
            )
            self._found[rule.name].add(match)
            if self._commitment is not Commitment.FINALIZED:
                self._matched.setdefault(told.signature, []).append(rule.name)
                self._unsettled[told.signature] = told.slot
        while len(self._unsettled) > MAX_UNSETTLED:
            self._is_final(next(iter(self._unsettled)))

    async def _settle(self, head: int, at: Instant) -> None:
        """Ask after matches whose slots are final: they are it too, or in none of them."""
        if not self._unsettled:
            return
        final = await self._client.slot(Commitment.FINALIZED)
        waiting = [signature for signature, slot in self._unsettled.items() if slot <= final][:_SETTLED_AT_ONCE]
        if not waiting:
            return
        for signature, status in zip(waiting, await self._client.statuses(waiting, history=True), strict=True):
            if status is None and head - self._unsettled[signature] > EXPIRED_SLOTS:
                self._withdraw(signature, at)
            elif isinstance(status, SignatureStatus) and status.reached(Commitment.FINALIZED):
                self._is_final(signature)
            else:
                # It is asked after again, and holds up none that come after it.
                self._unsettled[signature] = self._unsettled.pop(signature)

    def _is_final(self, signature: str) -> None:
        del self._unsettled[signature]
        self._matched.pop(signature, None)

    def _withdraw(self, signature: str, at: Instant) -> None:
        self._withdrawals += 1
        del self._unsettled[signature]
        for rule in self._matched.pop(signature, ()):
            self._found[rule].withdraw(lambda match: match.transaction == signature, 1, at)
