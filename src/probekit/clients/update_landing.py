"""What becomes of a price update that was sent: in a block and readable, reverted and why, replaced, dropped, or waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from probekit.clients.canary_stages import Stages, Stopped, settle
from probekit.clients.pyth_evm import PythEvmClient
from probekit.clients.spend_ledger import SpendLedger
from probekit.clock import Clock
from probekit.codecs import evm_rpc as codec
from probekit.codecs.evm.pyth_events import PRICE_FEED_UPDATE, decode_price_update
from probekit.codecs.evm.reverts import decode_revert
from probekit.errors import DeadlineExceeded, DecodeError, NotServed, ProbekitError, Reverted, RpcError
from probekit.model import FeedId
from probekit.model.canary import Coin, Ended, Spend
from probekit.model.evm import Address, Receipt
from probekit.model.journey import StageName
from probekit.model.pyth_evm import OnChainPrice
from probekit.transports.rpc import Call
from probekit.transports.rpc.family import result_of
from probekit.units import Instant

__all__ = ["FOLLOWED", "Landed", "UpdateLanding"]

FOLLOWED: Final[tuple[StageName, ...]] = ("included", "readable")
"""The stages of a transaction that is followed up."""


@dataclass(frozen=True, slots=True)
class Landed:
    """How it ended or stands; from sent to included where it was, and the wei that it took."""

    end: Stopped
    elapsed_ns: int | None
    paid: int | None


@dataclass(frozen=True, slots=True)
class UpdateLanding:
    """Follows the transactions of one wallet. ``wait`` is how long one that was just sent is waited for."""

    contract: PythEvmClient
    feed: FeedId
    wallet: Address
    ledger: SpendLedger
    coin: Coin
    clock: Clock
    wait: timedelta
    poll: timedelta

    async def run(self, stages: Stages, spend: Spend, *, followed: bool = False, doubt: ProbekitError | None = None) -> Landed:
        """Wait for it, or with ``followed`` look once: how it ended, or stands. ``doubt`` says what the sending ended in, where
        the node did not take it for certain. Raises nothing that the chain may cause.
        """
        elapsed_ns: int | None = None
        paid: int | None = None
        try:
            began = Instant(spend.sent_at_ns) if followed else None
            began_ns, now = self.clock.monotonic_ns(), self.clock.now()
            with stages.stage("included", since="sent", began=began) as facts:
                facts["transaction"] = spend.transaction
                receipt = await self._included(spend, timedelta(0) if followed else self.wait, doubt)
                elapsed_ns = max(0, now.since(began)) if began is not None else self.clock.monotonic_ns() - began_ns
                paid = self._paid(receipt, spend)
                facts |= {
                    "block": receipt.block_number, "block_hash": receipt.block_hash, "gas_used": receipt.gas_used,
                    "gas_price": receipt.effective_gas_price, "paid": paid,
                }  # fmt: skip
                await self._closed(spend, receipt, paid)
            with stages.stage("readable") as facts:
                facts["block"] = receipt.block_number
                outcome = await self._readable(receipt, spend)
        except Stopped as stopped:
            outcome = stopped
        except ProbekitError as error:
            what = "sent" if elapsed_ns is None else "included"
            outcome = Stopped("unresolved", f"{spend.transaction} was {what}; then: {error.message}")
        return Landed(outcome, elapsed_ns, paid)

    async def undone(self, spend: Spend, head: int) -> Stopped:
        """What became of one that the ledger has in a block, where the wallet's nonce says at ``head`` that it is in none: a
        reorganisation undid it, or the node is behind. One that waits again is under way again.
        """
        if spend.block is None or head < spend.block or await self._receipt(spend, head) is not None:
            return Stopped("node_behind", f"{spend.transaction} had landed, and the node at block {head} does not count it yet")
        was = f"{spend.transaction} was in block {spend.block}, which did not stay"
        if await self._known(spend):
            settle(self.ledger, spend.transaction, None)
            return Stopped("not_included", f"{was}: it waits again")
        settle(self.ledger, spend.transaction, "dropped")
        return Stopped("dropped", f"{was}, and is known no more")

    async def _included(self, spend: Spend, timeout: timedelta, doubt: ProbekitError | None) -> Receipt:
        evm = self.contract.evm
        try:
            return (await evm.wait(spend.transaction, poll=self.poll, timeout=max(timeout, self.poll))).receipt
        except DeadlineExceeded as late:
            block = await evm.block()
            nonce = await evm.nonce(self.wallet, "latest", min_block=block.number)
            # Of a node that has reached the block by which the nonce was read, or it would look as if another had used it.
            receipt = await self._receipt(spend, block.number)
            if receipt is not None:
                return receipt
            if spend.nonce is not None and nonce > spend.nonce:
                raise await self._replaced(spend, block.number) from None
            known = await self._known(spend)
            if not known:
                settle(self.ledger, spend.transaction, "dropped")
            base = block.base_fee_per_gas
            if base is not None and spend.max_fee is not None and base > spend.max_fee:
                # Nodes forget what they cannot include.
                text = f"{spend.transaction} offers {spend.max_fee} wei per gas, the base fee is {base}"
                raise Stopped("fee_too_low", text) from None
            if not known and isinstance(doubt, RpcError):
                text = f"{spend.transaction} is known nowhere; the node said when it was sent: {doubt.message}"
                raise Stopped("refused", text) from None
            if not known:
                sent = "" if doubt is None else f"; when it was sent there was no answer: {doubt.message}"
                raise Stopped("dropped", f"{spend.transaction} is known no more, and is in no block{sent}") from None
            raise Stopped("not_included", f"{spend.transaction} waits and is in no block: {late.message}") from None

    async def _receipt(self, spend: Spend, floor: int) -> Receipt | None:
        asked = await self.contract.evm.pool.call("eth_getTransactionReceipt", [spend.transaction], floor=floor)
        return codec.decode_receipt(result_of(asked))

    async def _replaced(self, spend: Spend, floor: int) -> Stopped:
        """Whose transaction has the nonce: one of ours that seemed dropped and came back, or nobody's whom the ledger knows.

        Either way what was reserved for this one counts on: a node that is wrong about it frees nothing.
        """
        for other in self.ledger.spends:
            if other.nonce != spend.nonce or other.transaction == spend.transaction:
                continue
            receipt = await self._receipt(other, floor)
            if receipt is not None:
                ended: Ended = "landed" if receipt.succeeded else "failed"
                settle(self.ledger, other.transaction, ended, paid=self._paid(receipt, other), block=receipt.block_number)
                settle(self.ledger, spend.transaction, "replaced")
                text = f"{spend.transaction} can land no more: {other.transaction}, which had seemed dropped, has its nonce"
                return Stopped("dropped", text)
        settle(self.ledger, spend.transaction, "replaced")
        why = f"another transaction of {self.wallet} has its nonce, {spend.nonce}"
        return Stopped("replaced", f"{spend.transaction}: {why}: the key is used elsewhere")

    async def _known(self, spend: Spend) -> bool:
        """Whether the node still has it."""
        found, *counted = await self.contract.evm.pool.batch(
            [
                Call("eth_getTransactionByHash", [spend.transaction]),
                Call("eth_getTransactionCount", [self.wallet, "pending"]),
            ]
        )
        if isinstance(found, ProbekitError):
            raise found
        if result_of(found) is not None:
            return True
        (count,) = counted
        if isinstance(count, ProbekitError):
            raise count
        return spend.nonce is not None and codec.quantity(result_of(count)) > spend.nonce

    def _paid(self, receipt: Receipt, spend: Spend) -> int:
        """Wei that it took: gas, a rollup's data fee, and the value where the contract kept it."""
        data_fee = receipt.extra.get("l1Fee")
        paid = receipt.fee + (codec.quantity(data_fee, "l1Fee") if data_fee is not None else 0)
        return paid + (spend.note[3] if receipt.succeeded and len(spend.note) > 3 else 0)

    async def _closed(self, spend: Spend, receipt: Receipt, paid: int) -> None:
        """Write down what it took. Raises ``Stopped`` for one that reverted."""
        ended: Ended = "landed" if receipt.succeeded else "failed"
        settle(self.ledger, spend.transaction, ended, paid=paid, block=receipt.block_number)
        if not receipt.succeeded:
            raise Stopped("reverted", f"{spend.transaction} reverted: {await self._why(receipt)}")

    async def _why(self, receipt: Receipt) -> str:
        """What the contract says when the transaction is tried again after its block: it changed nothing there itself."""
        evm = self.contract.evm
        try:
            sent = result_of(await evm.pool.call("eth_getTransactionByHash", [receipt.transaction_hash]))
            if not isinstance(sent, dict) or receipt.to is None:
                return "the node does not tell what was sent"
            gas = codec.quantity(sent.get("gas"), "gas")
            data, value = codec.data(sent.get("input"), "input"), codec.quantity(sent.get("value"), "value")
            await evm.call(receipt.to, data, receipt.block_number, value=value, sender=receipt.sender, gas=gas)
        except Reverted as error:
            return str(decode_revert(error.revert_data))
        except ProbekitError as error:
            return f"why is not to be had: {error.message}"
        if receipt.gas_used >= gas:
            return "it used up its gas"
        return "tried again after its block, it would be taken"

    async def _readable(self, receipt: Receipt, spend: Spend) -> Stopped:
        """Whether the contract tells this price now, and by this transaction."""
        publish_time, price, conf = spend.note[:3]
        cost = self.coin.text(self._paid(receipt, spend))
        where = f"{receipt.transaction_hash} in block {receipt.block_number}, for {cost} ({receipt.gas_used} gas)"
        try:
            stored = await self._stored(receipt.block_number)
        except Reverted as error:  # PriceFeedNotFound, where nobody has ever stored one.
            said = decode_revert(error.revert_data)
            raise Stopped("not_readable", f"{where} succeeded, and the contract tells no price: {said}") from None
        found = (stored.publish_time_s, stored.price_mantissa, stored.conf_mantissa)
        told = self._told(receipt)
        if told and found == (publish_time, price, conf):
            return Stopped("landed", f"{where}: the contract tells its price of {publish_time}")
        if stored.publish_time_s > publish_time or (stored.publish_time_s == publish_time and not told):
            return Stopped("superseded", f"{where}: somebody pushed {_shown(stored)} before it, or in the same block")
        raise Stopped(
            "not_readable", f"{where} succeeded, and the contract tells {_shown(stored)}, not {price} ±{conf} of {publish_time}"
        )

    async def _stored(self, block: int) -> OnChainPrice:
        try:
            return await self.contract.price(self.feed, block)
        except NotServed:
            return await self.contract.price(self.feed)

    def _told(self, receipt: Receipt) -> bool:
        """Whether the transaction stored this feed, by its own events."""
        for log in receipt.logs:
            if (
                isinstance(log, DecodeError)
                or log.address != self.contract.address
                or log.topics[:1] != (PRICE_FEED_UPDATE.topic,)
            ):
                continue
            try:
                if decode_price_update(log).feed_id == self.feed:
                    return True
            except DecodeError:
                continue
        return False


def _shown(price: OnChainPrice) -> str:
    return f"{price.price_mantissa} ±{price.conf_mantissa} of {price.publish_time_s}"
