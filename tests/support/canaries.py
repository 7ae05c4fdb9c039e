"""A chain that takes transactions, in process and on a clock that the test turns: they wait, land, revert, are dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_abi import abi as eth_abi
from eth_account import Account as Signer
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from probekit.codecs import accumulator
from probekit.codecs.messages import decode as decode_message
from probekit.model import PriceMessage
from probekit.testing import FakeClock
from tests.support.pushes import PRICE_FEED_UPDATE, PushedChain
from tests.unit.clients.contracts import PYTH, Pyth, Refused, Revert

KEY = "0x" + "4c" * 32
WALLET = str(Signer.from_key(KEY).address)
GAS_USED, GAS_PRICE, BASE_FEE = 100_000, 3 * 10**9, 2 * 10**9


class Served(Pyth):
    """Pyth's contract that believes what Hermes serves. ``refuses`` is an error that it gives to every update."""

    def __init__(self) -> None:
        super().__init__([])
        self.refuses = ""
        self.deaf = False

    def _fee(self, updates: Sequence[bytes]) -> int:
        return 7 * len(updates)

    def _paid(self, tx: dict[str, Any], updates: Sequence[bytes]) -> Sequence[Any]:
        if self.refuses:
            raise Revert(self.refuses)
        if tx["value"] < self._fee(updates):
            raise Revert("InsufficientFee")
        return []

    def store(self, updates: Sequence[bytes]) -> list[PriceMessage]:
        """Take updates for good; the messages that are newer than what is stored."""
        taken = []
        for update in updates:
            for raw, _ in accumulator.decode(update).proven:
                said = decode_message(raw)
                assert isinstance(said, PriceMessage)
                key = bytes.fromhex(said.feed_id)
                stored = self.feeds.get(key)
                if not self.deaf and (stored is None or stored[0][3] < said.publish_time):
                    point = (said.price, said.conf, said.expo, said.publish_time)
                    self.feeds[key] = (point, point)
                    taken.append(said)
        return taken


@dataclass
class Sent:
    """A transaction that the node was given."""

    hash: str
    sender: str
    fields: dict[str, Any]
    at_s: int
    block: int | None = None
    succeeded: bool = True
    logs: list[dict[str, Any]] = field(default_factory=list)


class PayingChain(PushedChain):
    """``lands_after_s``: how long a transaction waits for its block, ``None`` for ever. ``refuses``: what the node says to
    every one. ``on_send`` is called with each that comes. ``base_fee`` is that of every block.
    """

    def __init__(self, clock: FakeClock, *, chain_id: int = 31_337) -> None:
        super().__init__(clock, chain_id=chain_id)
        self.served = Served()
        self.contracts[PYTH] = self.pyth[PYTH] = self.served
        self.balances[WALLET.lower()] = 10**18
        self.lands_after_s: int | None = 4
        self.refuses = ""
        self.estimate = 80_000
        self.base_fee: int | None = BASE_FEE
        self.tip = 10**9
        self.suggested: int | None = None
        self.late_s = 0
        """How far its clock is behind this host's."""
        self.on_send: Callable[[str], None] = lambda _: None
        self.on_land: Callable[[], None] = lambda: None
        self.sent: list[Sent] = []
        self.foreign = 0
        """Transactions of the wallet that somebody else sent."""

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        self._settle()
        return super()._item(item)

    def _settle(self) -> None:
        now_s = self.clock.now().seconds
        for one in self.sent:
            if one.block is None and self.lands_after_s is not None and now_s - one.at_s >= self.lands_after_s:
                self._include(one)

    def _include(self, one: Sent) -> None:
        self.on_land()
        one.block = self.head
        data = bytes(one.fields["data"])
        try:
            self.served.run(data, {"value": one.fields["value"], "number": one.block})
        except Revert:
            one.succeeded = False
            return
        takes = self.served.functions[data[:4]][0]
        for said in self.served.store(*eth_abi.decode(takes, data[4:])):
            words = (said.publish_time, said.price, said.conf)
            one.logs.append({
                "address": PYTH, "topics": [PRICE_FEED_UPDATE, f"0x{said.feed_id}"],
                "data": "0x" + b"".join(word.to_bytes(32, "big", signed=True) for word in words).hex(),
                "blockNumber": hex(one.block), "blockHash": self.block_hash(one.block), "transactionHash": one.hash,
                "logIndex": "0x0", "removed": False,
            })  # fmt: skip

    def drop(self) -> None:
        """Forget what waits."""
        self.sent = [one for one in self.sent if one.block is not None]

    @property
    def landed(self) -> list[Sent]:
        return [one for one in self.sent if one.block is not None]

    # -- methods ---------------------------------------------------------------------------------------------------------------

    def time_s(self, number: int) -> int:
        return super().time_s(number) - self.late_s

    def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
        fee = {} if self.base_fee is None else {"baseFeePerGas": hex(self.base_fee)}
        return super().eth_getBlockByNumber(at, full) | fee

    def eth_gasPrice(self) -> str:
        return hex(GAS_PRICE)

    def eth_maxPriorityFeePerGas(self) -> str:
        if self.suggested is None:
            raise Refused(-32601, "the method eth_maxPriorityFeePerGas does not exist")
        return hex(self.suggested)

    def eth_feeHistory(self, blocks: str, _: str, percentiles: list[int]) -> Any:
        count = int(blocks, 16)
        return {
            "oldestBlock": hex(self.head - count + 1), "baseFeePerGas": [hex(self.base_fee or 0)] * (count + 1),
            "gasUsedRatio": [0.5] * count, "reward": [[hex(self.tip)] * len(percentiles)] * count,
        }  # fmt: skip

    def eth_estimateGas(self, tx: dict[str, Any]) -> str:
        self.eth_call(tx, "latest")
        return hex(self.estimate)

    def eth_sendRawTransaction(self, raw: str) -> str:
        encoded = HexBytes(raw)
        told = "0x" + keccak(bytes(encoded)).hex()
        self.on_send(told)
        if self.refuses:
            raise Refused(-32000, self.refuses)
        if encoded[0] == 2:
            fields = TypedTransaction.from_bytes(encoded).as_dict()
        else:
            _, _, gas, _, value, data, *_ = rlp.decode(bytes(encoded))
            fields = {"gas": int.from_bytes(gas, "big"), "value": int.from_bytes(value, "big"), "data": data}
        self.sent.append(Sent(told, str(Signer.recover_transaction(encoded)), fields, self.clock.now().seconds))
        return told

    def eth_getTransactionCount(self, address: str, at: Any) -> str:
        mine = [one for one in self.sent if one.sender.lower() == address.lower()]
        counted = mine if at == "pending" else [one for one in mine if one.block is not None]
        return hex(len(counted) + (self.foreign if address.lower() == WALLET.lower() else 0))

    def eth_getTransactionByHash(self, told: str) -> Any:
        for one in self.sent:
            if one.hash == told:
                data, gas, value = one.fields["data"], one.fields["gas"], one.fields["value"]
                return {"hash": told, "input": "0x" + bytes(data).hex(), "gas": hex(gas), "value": hex(value)}
        return None

    def eth_getTransactionReceipt(self, told: str) -> Any:
        for one in self.landed:
            if one.hash == told and one.block is not None:
                return {
                    "transactionHash": told, "blockNumber": hex(one.block), "blockHash": self.block_hash(one.block),
                    "status": hex(one.succeeded), "gasUsed": hex(GAS_USED), "effectiveGasPrice": hex(GAS_PRICE),
                    "from": one.sender, "to": PYTH, "contractAddress": None, "logs": one.logs,
                }  # fmt: skip
        return None
