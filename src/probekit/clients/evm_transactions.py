"""Transactions of an EVM chain: sent within a cap, once or to every endpoint, and waited for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from probekit.clients import rebroadcast
from probekit.clients.evm_landing import Landing, refuse_other, wait_for
from probekit.clients.rebroadcast import Rebroadcast
from probekit.clock import Clock
from probekit.codecs import evm_rpc as codec
from probekit.errors import DecodeError
from probekit.model.evm import Receipt
from probekit.transports.rpc import EndpointPool
from probekit.transports.rpc.family import result_of

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient

_SEND = "eth_sendRawTransaction"


class EvmTransactions:
    """What :class:`~probekit.clients.evm.EvmClient` does with transactions; part of it, and of no use alone."""

    chain_id: int
    pool: EndpointPool
    _clock: Clock

    async def send(self, raw: bytes, *, cap_wei: int) -> str:
        """Send a signed transaction, once; its hash.

        Refused before anything leaves when it is of another chain (or of every chain), when gas limit times fee plus value is
        above ``cap_wei``, or when no endpoint proves the chain. A rollup's data fee comes beside that. After any other error
        nobody knows whether it was taken: :meth:`wait` finds out. Raises ``SendRefused``, ``DecodeError``, also for an answer
        that is not the hash of these bytes.
        """
        refuse_other(raw, chain_id=self.chain_id, chain=self.pool.chain, cap_wei=cap_wei)
        return codec.decode_sent(result_of(await self.pool.send(_SEND, [f"0x{raw.hex()}"])), raw)

    async def rebroadcast(self, raw: bytes, *, cap_wei: int) -> Rebroadcast:
        """Send a signed transaction to every endpoint of the pool at the same time, once each: what became of it at each,
        when all have answered or the pool's time is over.

        For one that a single node may have lost; a chain takes the same bytes once only. The chain and the cap are proven as in
        :meth:`send`, the chain for each endpoint by itself. An endpoint that has the transaction already counts as one that
        took it; one on which it has landed may say that the nonce is used up: :meth:`wait` finds out. Raises ``SendRefused``
        where nothing went out anywhere, ``DecodeError`` for bytes that are no transaction; else errors stand in the value.
        """
        refuse_other(raw, chain_id=self.chain_id, chain=self.pool.chain, cap_wei=cap_wei)
        outcomes = await self.pool.broadcast(_SEND, [f"0x{raw.hex()}"])
        return rebroadcast.told(
            codec.transaction_hash(raw), outcomes, lambda found: codec.decode_sent(found, raw), chain=self.pool.chain
        )

    async def receipt(self, transaction_hash: str) -> Receipt | None:
        """What became of a transaction; ``None`` while it is in no block that the node knows.

        It takes no block to have been reached: a node that is behind answers ``None`` as one does that has it in no block, and
        only asking until there is one tells them apart (:meth:`wait`). Where another endpoint is asked beside, one that has the
        receipt is waited for. Raises ``DecodeError``, also for the receipt of another transaction.
        """
        found = codec.decode_receipt(result_of(await self.pool.call("eth_getTransactionReceipt", [transaction_hash])))
        if found is not None and found.transaction_hash != transaction_hash.lower():
            raise DecodeError(f"the receipt of {found.transaction_hash} for {transaction_hash}", raw=str(found)[:1000])
        return found

    async def wait(
        self,
        transaction_hash: str,
        *,
        confirmations: int = 1,
        poll: timedelta = timedelta(seconds=1),
        timeout: timedelta = timedelta(minutes=3),
    ) -> Landing:
        """Wait until the transaction is in a block with ``confirmations`` - 1 blocks on top that is still the chain's.

        A block that leaves the chain is noticed by its hash, and the wait goes on; so it does while no endpoint answers, or
        the one that does is behind. Whether the transaction succeeded is in the receipt. Raises ``DeadlineExceeded`` when
        ``timeout`` passes first, and at once what asking again does not mend.
        """
        client = cast("EvmClient", self)
        return await wait_for(
            client, transaction_hash, confirmations=confirmations, poll=poll, timeout=timeout, clock=self._clock
        )
