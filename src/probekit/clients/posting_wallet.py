"""A pusher's wallet on a Solana cluster: what it holds, sent and landed lately, and why its last transaction failed.

Nodes list the transactions that mention a wallet, those that failed included, and those of others: whose the ones are on which
something rests is read. What of them stored a price is told by slots: the receiver writes into an account the slot that it was
posted in, the last one alone, so that more may have. Nothing waits there: what is in no slot was dropped, or will be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.clock import both
from probekit.codecs.solana.addresses import GENERATIONS
from probekit.errors import DecodeError, ProbekitError
from probekit.model import FeedId
from probekit.model.chain_feed import ChainHead, PusherState, ReceiverFeed
from probekit.model.pubkey import Pubkey
from probekit.model.solana import SignatureInfo, TransactionLogs

if TYPE_CHECKING:
    from probekit.clients.solana import SolanaClient

__all__ = ["PostingWallet"]

MAX_TRANSACTIONS: Final = 1_000
"""The newest of the wallet that are looked at: what a node lists in one answer."""
_READ_AT_ONCE: Final = 32
"""Transactions that are read whole at one look, those apart that were read before."""
_REMEMBERED: Final = 4_096
_EXCERPT: Final = 200
_PROGRAMS: Final = tuple(
    f"Program {program} invoke" for one in GENERATIONS.values() for program in (one.push_oracle, one.receiver, one.wormhole)
)


class PostingWallet:
    """The wallet of a pusher on the cluster of ``solana``, over its newest ``slots``. Keeps what became of which transaction
    from one look to the next, bounded: it has ended as it has.
    """

    def __init__(self, solana: SolanaClient, wallet: Pubkey | str, *, slots: int = 9_000) -> None:
        self._solana = solana
        self.wallet = Pubkey(wallet)
        self._slots = slots
        self._read: OrderedDict[str, str | None] = OrderedDict()
        """By signature: where it called and what its logs say; ``None`` for one that others paid for."""
        self._again: set[str] = set()
        """Those that could not be read, and may be at the next look."""

    async def look(self, head: ChainHead, feeds: Mapping[FeedId, ReceiverFeed]) -> dict[FeedId, PusherState]:
        """The wallet as far as each feed is concerned: two requests, and two more where something new was sent. Raises what its
        reads raise.
        """
        solana, wallet = self._solana, self.wallet
        for signature in self._again:
            self._read.pop(signature, None)
        self._again.clear()
        balance, rows = await both(
            solana.balance(wallet, min_slot=head.number),
            solana.signatures_for(wallet, limit=MAX_TRANSACTIONS, min_slot=head.number),
        )
        first = max(head.number + 1 - self._slots, 0)
        read = [row for row in rows if isinstance(row, SignatureInfo)]
        if len(rows) >= MAX_TRANSACTIONS and read:
            # Of the oldest slot that is listed some may be left out.
            first = max(first, read[-1].slot + 1)
        # What came after the slot at which the accounts were read may have stored what they do not show yet.
        listed = [row for row in read if first <= row.slot <= head.number]
        slots = {
            feed: one.posted_slot for feed, one in feeds.items() if one.posted_slot is not None and one.posted_slot >= first
        }
        posting = [row for row in listed if row.succeeded and row.slot in slots.values()]
        await self._look_up(posting)
        landed = {row.slot for row in posting if self._read.get(row.signature) is not None}
        settled = max(landed, default=-1)
        await self._look_up([row for row in listed if row.slot > settled])
        sent = [row for row in listed if self._read.get(row.signature, "") is not None]
        unlanded = [row for row in sent if row.slot > settled]
        newest = next((row for row in unlanded if row.signature in self._read), None)
        state = PusherState(
            wallet=str(wallet),
            balance=balance.lamports,
            first_block=first,
            sent=len(sent),
            waiting=0,
            landed=len(landed),
            landed_here=0,
            others=0,
            unlanded=len(unlanded),
            failed=newest is not None and not newest.succeeded,
            last="" if newest is None else self._story(newest),
            unreadable=len(rows) - len(read),
            unit="lamports",
        )
        return {
            feed: msgspec.structs.replace(
                state, landed_here=int(slots.get(feed) in landed), others=int(feed in slots and slots[feed] not in landed)
            )
            for feed in feeds
        }

    async def _look_up(self, rows: Sequence[SignatureInfo]) -> None:
        """Read whose they are and what they say, of the newest that are not known yet."""
        unknown = [row.signature for row in rows if row.signature not in self._read][:_READ_AT_ONCE]
        if not unknown:
            return
        for signature, told in zip(unknown, await self._solana.transaction_logs(unknown), strict=True):
            # One that cannot be read counts as the wallet's: that is more often so.
            if told is None or isinstance(told, ProbekitError):
                why = "unknown there" if told is None else told.message
                self._read[signature] = f" (it could not be read: {why})"
                self._again |= set() if isinstance(told, DecodeError) else {signature}
            else:
                self._read[signature] = None if told.fee_payer not in (None, self.wallet) else _said(told)
        while len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)

    def _story(self, newest: SignatureInfo) -> str:
        """What became of a transaction that stored no price."""
        if newest.succeeded:
            return f"{newest.signature} succeeded, elsewhere or with a price that is no newer"
        return f"{newest.signature} failed{self._read[newest.signature]}: {str(newest.error)[:_EXCERPT]}"


def _said(told: TransactionLogs) -> str:
    where = "in a call of Pyth's programs" if any(line.startswith(_PROGRAMS) for line in told.logs) else "elsewhere"
    errors = [line for line in told.logs if "Error" in line or " failed" in line]
    return f" {where}" + (f", {errors[0][:_EXCERPT]}" if errors else "")
