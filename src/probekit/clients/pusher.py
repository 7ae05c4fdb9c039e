"""A pusher's wallet on an EVM chain: what it holds, sent and landed lately, and why its last transaction stored nothing.

Standard JSON-RPC lists no transactions of an account. What it sent is the difference of its nonces at both ends of a span of
blocks; what landed are the PriceFeedUpdate events of transactions that it is the sender of; the last one is found by halving
the span until the nonce moves. Old nonces are state: a node without an archive has those of its last 128 blocks or so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from probekit.clock import both, together
from probekit.codecs.evm.reverts import reverted
from probekit.codecs.evm_rpc import data as hex_data
from probekit.codecs.evm_rpc import quantity
from probekit.errors import DecodeError, ProbekitError, Reverted
from probekit.model import FeedId
from probekit.model.chain_feed import ChainHead, PusherState
from probekit.model.evm import Address

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient

__all__ = ["Pusher", "PusherReads"]

_MAX_RECEIPTS: Final = 64
"""Newest transactions whose senders are asked for at one look."""
_REMEMBERED: Final = 4_096


@dataclass(frozen=True)
class PusherReads:
    """One look at a wallet: its state for each (contract, feed), and the events of these blocks that do not decode."""

    states: Mapping[tuple[Address, FeedId], PusherState]
    unreadable: tuple[DecodeError, ...] = ()

    def of(self, contract: Address, feed: FeedId) -> PusherState:
        """The wallet as far as that feed is concerned. Raises ``KeyError``."""
        return self.states[contract, feed]


class Pusher:
    """The wallet of a pusher on the chain of ``evm``. Keeps who sent which transaction from one look to the next, bounded."""

    def __init__(self, evm: EvmClient, wallet: str, *, blocks: int = 100) -> None:
        self._evm = evm
        self.wallet = Address(wallet)
        self._blocks = blocks
        self._senders: OrderedDict[str, Address] = OrderedDict()

    async def look(self, head: ChainHead, contracts: Mapping[Address, Iterable[FeedId]]) -> PusherReads:
        """The wallet over the last blocks up to ``head``. Raises what its reads raise."""
        evm, last = self._evm, head.number
        before = max(last - self._blocks, 0)
        wanted = {contract: tuple(feeds) for contract, feeds in contracts.items()}
        (balance, now, pending, then), logs = await both(
            together(
                (
                    evm.balance(self.wallet, last),
                    evm.nonce(self.wallet, last),
                    evm.nonce(self.wallet, "pending"),
                    evm.nonce(self.wallet, before),
                )
            ),
            together(self._updates(contract, feeds, before + 1, last) for contract, feeds in wanted.items()),
        )
        stored = {contract: updates for contract, (updates, _) in zip(wanted, logs, strict=True)}
        unreadable = {contract: bad for contract, (_, bad) in zip(wanted, logs, strict=True)}
        by_age = sorted((block, one) for updates in stored.values() for one, _, block in updates)
        hashes = dict.fromkeys(one for _, one in by_age)
        senders = await self._senders_of(list(hashes)[-_MAX_RECEIPTS:])
        mine = {one for one, sender in senders.items() if sender == self.wallet}
        blocks = [block for updates in stored.values() for one, _, block in updates if one in mine]
        settled = max(blocks, default=before)
        unlanded = now - (then if not blocks else await evm.nonce(self.wallet, settled))
        failed, told = await self._newest_fate(settled, last, now, frozenset(wanted)) if unlanded > 0 else (False, "")
        states = {}
        for contract, feeds in wanted.items():
            for feed in feeds:
                here = {one for one, stored_feed, _ in stored[contract] if stored_feed == feed and one in senders}
                states[contract, feed] = PusherState(
                    wallet=str.__str__(self.wallet),
                    balance=balance,
                    first_block=before + 1,
                    sent=now - then,
                    waiting=max(pending - now, 0),
                    landed=len(mine),
                    landed_here=len(here & mine),
                    others=len(here - mine),
                    unlanded=max(unlanded, 0),
                    failed=failed,
                    last=told,
                    unreadable=len(unreadable[contract]),
                )
        return PusherReads(states, tuple(error for bad in unreadable.values() for error in bad))

    async def _updates(
        self, contract: Address, feeds: Iterable[FeedId], first: int, last: int
    ) -> tuple[list[tuple[str, FeedId, int]], list[DecodeError]]:
        """(transaction, feed, block) of every price stored in these blocks, and the events that do not decode."""
        from probekit.clients.pyth_evm import PythEvmClient

        found = await PythEvmClient(self._evm, contract).price_updates(from_block=first, to_block=last, feeds=feeds)
        read = [
            (one.log.transaction_hash, one.event.feed_id, one.log.block_number)
            for one in found
            if not isinstance(one, DecodeError)
        ]
        return read, [one for one in found if isinstance(one, DecodeError)]

    async def _senders_of(self, hashes: Iterable[str]) -> dict[str, Address]:
        wanted = list(hashes)
        unknown = [one for one in wanted if one not in self._senders]
        for one, receipt in zip(unknown, await together(map(self._evm.receipt, unknown)), strict=True):
            if receipt is not None:
                self._senders[one] = receipt.sender
        while len(self._senders) > _REMEMBERED:
            self._senders.popitem(last=False)
        return {one: self._senders[one] for one in wanted if one in self._senders}

    async def _newest_fate(self, before: int, last: int, nonce: int, contracts: frozenset[Address]) -> tuple[bool, str]:
        """Whether the wallet's newest transaction failed, and its story; one that cannot be found out counts as failed."""
        from probekit.transports.rpc.family import result_of

        try:
            low, high = before, last
            while high - low > 1:
                middle = (low + high) // 2
                if await self._evm.nonce(self.wallet, middle) >= nonce:
                    high = middle
                else:
                    low = middle
            block = result_of(await self._evm.pool.call("eth_getBlockByNumber", [hex(high), True]))
            transaction = self._newest(block)
            return await self._fate(transaction, high, contracts)
        except ProbekitError as error:
            return True, f"what became of the last one could not be read: {error.message}"

    def _newest(self, block: Any) -> dict[str, Any]:
        """The wallet's last transaction of a block. Raises ``DecodeError``."""
        transactions = block.get("transactions") if isinstance(block, dict) else None
        own = [
            one
            for one in (transactions if isinstance(transactions, list) else [])
            if isinstance(one, dict) and str(one.get("from", "")).lower() == self.wallet.lower()
        ]
        if not own:
            raise DecodeError("the block holds no transaction of the wallet", raw=str(block)[:200])
        newest: dict[str, Any] = max(own, key=lambda one: quantity(one.get("nonce"), "nonce"))
        return newest

    async def _fate(self, transaction: dict[str, Any], block: int, contracts: frozenset[Address]) -> tuple[bool, str]:
        told = str(transaction.get("hash"))
        receipt = await self._evm.receipt(told)
        if receipt is None:
            return True, f"{told} has no receipt"
        if receipt.succeeded:
            return False, f"{told} succeeded, {'with prices that are no newer' if receipt.to in contracts else 'elsewhere'}"
        if receipt.to is None:
            return True, f"{told} failed, and is no call"
        try:
            await self._evm.call(
                receipt.to,
                hex_data(transaction.get("input"), "input"),
                block - 1,
                value=quantity(transaction.get("value"), "value"),
                sender=receipt.sender,
                gas=quantity(transaction.get("gas"), "gas"),
            )
        except Reverted as error:
            why = reverted("the call", error.revert_data, code=error.code, node_data=error.data)
            return True, f"{told} reverted: {why.message}"
        except ProbekitError as error:
            return True, f"{told} failed; tried again: {error.message}"
        return True, f"{told} failed, and passes when tried again: out of gas, or the chain has moved on"
