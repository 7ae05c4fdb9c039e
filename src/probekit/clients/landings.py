"""What lands on a chain, as events of journeys: looks at Pyth's logs on an EVM chain, at push feed accounts on Solana.

A landing has the time of its block, so that nothing is lost by asking every few seconds; and what each look shows stands in the
place of all that earlier ones did, so that reorganisations and failed looks mend themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from probekit.codecs.solana.addresses import SPONSORED_SHARD
from probekit.errors import DecodeError, ProbekitError
from probekit.model.journey import Landing, Look
from probekit.model.receiver import ProgramGeneration, PushFeedAccount
from probekit.units import Instant

if TYPE_CHECKING:
    from probekit.clients.pyth_evm import PythEvmClient
    from probekit.clients.receiver import ReceiverClient

__all__ = ["EvmLandings", "SolanaLandings"]

REREAD_BLOCKS: Final = 16
"""Blocks that are looked at again each time: what a reorganisation took from them is taken back."""
MAX_BLOCKS: Final = 1_000
"""Blocks of one look. Where more have passed the oldest are left out, which the look shows by where it begins."""
_KNOWN_TIMES: Final = 512


class EvmLandings:
    """Looks at one contract, each from a little before the end of the last one to the newest block.

    ``unreadable`` is a log of the last look that did not decode: its neighbours are told all the same.
    """

    def __init__(self, contract: PythEvmClient, chain: str) -> None:
        self._contract = contract
        self._chain = chain
        self._reached: int | None = None
        self._times: dict[str, Instant] = {}
        self.unreadable: DecodeError | None = None

    async def look(
        self, feeds: Iterable[str], *, at: Instant, clock_error_ns: int | None = None
    ) -> dict[str, Look | ProbekitError]:
        """Each feed's landings: two requests, and one for each block that is not known. Raises what the client raises, and
        ``DecodeError`` where a block was replaced while it was read; the next look then covers the same blocks.
        """
        evm, wanted = self._contract.evm, list(feeds)
        head = await evm.block()
        self._times[head.hash] = head.time
        reached = head.number if self._reached is None else self._reached
        first = max(reached + 1 - REREAD_BLOCKS, head.number + 1 - MAX_BLOCKS, 0)
        first = min(first, head.number)
        found: dict[str, list[Landing]] = {feed_id: [] for feed_id in wanted}
        unreadable: DecodeError | None = None
        for item in await self._contract.price_updates(from_block=first, to_block=head.number, feeds=wanted):
            if isinstance(item, DecodeError):
                unreadable = item
                continue
            log, event = item.log, item.event
            if event.feed_id not in found:
                continue  # Nobody asked for it: nothing must grow by what a node makes up.
            found[event.feed_id].append(
                Landing(
                    publish_time_s=event.publish_time_s,
                    price=event.price_mantissa,
                    conf=event.conf_mantissa,
                    block=log.block_number,
                    at=await self._time(log.block_number, log.block_hash),
                    block_hash=log.block_hash,
                    transaction=log.transaction_hash,
                    log_index=log.log_index,
                )
            )
        while len(self._times) > _KNOWN_TIMES:
            del self._times[next(iter(self._times))]
        self._reached, self.unreadable = head.number, unreadable
        return {
            feed_id: Look(chain=self._chain, first=first, last=head.number, at=at, landings=tuple(landings))
            for feed_id, landings in found.items()
        }

    async def _time(self, number: int, block_hash: str) -> Instant:
        known = self._times.get(block_hash)
        if known is None:
            block = await self._contract.evm.block(number)
            if block.hash != block_hash:
                raise DecodeError(f"block {number} was replaced while it was read", raw=f"{block_hash} {block.hash}")
            known = self._times[block_hash] = block.time
        return known


class SolanaLandings:
    """Looks at the push feed accounts of one shard. An account tells the slot and no time: a landing is dated by the look that
    first showed it, with the time since the one before as its error (``None`` at the first).

    What an account held between two looks is lost: its looks are not ``whole``.
    """

    def __init__(
        self,
        receiver: ReceiverClient,
        chain: str,
        *,
        generation: ProgramGeneration = ProgramGeneration.PRO,
        shard_id: int = SPONSORED_SHARD,
    ) -> None:
        self._receiver = receiver
        self._chain = chain
        self._generation = generation
        self._shard_id = shard_id
        self._looked_at: dict[str, Instant] = {}
        self._held: dict[str, tuple[int, int, int, int]] = {}
        self.unreadable: DecodeError | None = None

    async def look(self, feeds: Iterable[str], *, at: Instant, clock_error_ns: int | None) -> dict[str, Look | ProbekitError]:
        """What is new in each feed's account, or its own error; one batched request. Raises what the client raises."""
        accounts = await self._receiver.push_feeds(feeds, generation=self._generation, shard_id=self._shard_id)
        return {
            str(feed_id): account
            if isinstance(account, ProbekitError)
            else self._look(str(feed_id), account, at, clock_error_ns)
            for feed_id, account in accounts.items()
        }

    def _look(self, feed_id: str, account: PushFeedAccount | None, at: Instant, clock_error_ns: int | None) -> Look:
        before = self._looked_at.get(feed_id)
        self._looked_at[feed_id] = at
        if account is None:
            return Look(chain=self._chain, first=1, last=0, at=at, whole=False)
        message, slot = account.update.message, account.update.posted_slot
        held = (message.publish_time, message.price, message.conf, slot)
        if self._held.get(feed_id) == held:
            return Look(chain=self._chain, first=slot + 1, last=slot, at=at, whole=False)
        self._held[feed_id] = held
        landing = Landing(
            publish_time_s=message.publish_time,
            price=message.price,
            conf=message.conf,
            block=slot,
            at=at,
            clock="local",
            error_ns=None if before is None or clock_error_ns is None else abs(at.since(before)) + clock_error_ns,
        )
        return Look(chain=self._chain, first=slot, last=slot, at=at, landings=(landing,), whole=False)
