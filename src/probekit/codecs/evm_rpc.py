"""Results of Ethereum's JSON-RPC from plain Python values, and what a signed transaction says of itself.

Quantities are hex without leading zeros by the specification; leading zeros are read too, since some nodes write them. Sources:
ethereum/execution-apis; EIP-155, EIP-2718, EIP-2930, EIP-1559 for transactions; the Yellow Paper, appendix B, for RLP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from probekit.codecs.keccak import keccak256
from probekit.errors import DecodeError
from probekit.model.evm import Address, Block, FeeHistory, Log, Receipt, SignedTransaction

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_QUANTITY: Final = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
_MAX_LOGS: Final = 1_000_000


def quantity(value: Any, what: str = "quantity") -> int:
    """A hex quantity of at most 256 bits. Raises ``DecodeError``."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value) is not None:
        return int(value, 16)
    raise DecodeError(f"{what}: {_shown(value)} is not a hex quantity", raw=str(value))


def data(value: Any, what: str = "data") -> bytes:
    """Hex data of any length. Raises ``DecodeError``."""
    # fromhex alone would read white space between the digits.
    if isinstance(value, str) and value[:2] in ("0x", "0X") and (value[2:].isalnum() or len(value) == 2):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise DecodeError(f"{what}: {_shown(value)} is not hex data", raw=str(value))


def decode_block(value: Any) -> Block:
    """``eth_getBlockByNumber`` without transactions. Raises ``DecodeError``."""
    fields = _object(value, "a block")
    base_fee = fields.get("baseFeePerGas")
    known = {"number", "hash", "parentHash", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas"}
    return Block(
        number=quantity(fields.get("number"), "block number"),
        hash=_hash(fields.get("hash"), "block hash"),
        parent_hash=_hash(fields.get("parentHash"), "parent hash"),
        timestamp=quantity(fields.get("timestamp"), "block timestamp"),
        gas_limit=quantity(fields.get("gasLimit"), "gas limit"),
        gas_used=quantity(fields.get("gasUsed"), "gas used"),
        base_fee_per_gas=None if base_fee is None else quantity(base_fee, "base fee"),
        extra={name: item for name, item in fields.items() if name not in known and name != "transactions"},
    )


def decode_log(value: Any) -> Log:
    """One item of ``eth_getLogs`` or of a receipt. Raises ``DecodeError``."""
    fields = _object(value, "a log")
    topics = fields.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise DecodeError(f"a log's topics: {_shown(topics)}", raw=str(value))
    removed = fields.get("removed", False)
    if not isinstance(removed, bool):
        raise DecodeError(f"a log's removed: {_shown(removed)}", raw=str(value))
    return Log(
        address=_address(fields.get("address"), "a log's address"),
        topics=tuple(bytes.fromhex(_hash(topic, "topic")[2:]) for topic in topics),
        data=data(fields.get("data"), "a log's data"),
        block_number=quantity(fields.get("blockNumber"), "a log's block"),
        block_hash=_hash(fields.get("blockHash"), "a log's block hash"),
        transaction_hash=_hash(fields.get("transactionHash"), "a log's transaction"),
        log_index=quantity(fields.get("logIndex"), "log index"),
        removed=removed,
    )


def decode_logs(value: Any) -> tuple[Log | DecodeError, ...]:
    """``eth_getLogs``: each item readable, or its own error. Raises ``DecodeError`` when it is no list."""
    if not isinstance(value, list) or len(value) > _MAX_LOGS:
        raise DecodeError(f"logs: {_shown(value)} is not a list", raw=str(value))
    found: list[Log | DecodeError] = []
    for item in value:
        try:
            found.append(decode_log(item))
        except DecodeError as error:
            found.append(error)
    return tuple(found)


def log_filter(
    address: str | Sequence[str] | None = None, topics: Sequence[bytes | Sequence[bytes] | None] = ()
) -> dict[str, Any]:
    """The parameter of ``eth_getLogs`` without its range: contracts, and for each topic one, any of several, or any at all.
    Raises ``ValueError`` for an address that is none.
    """
    query: dict[str, Any] = {"topics": [_topic(topic) for topic in topics]}
    if address is not None:
        query["address"] = Address(address) if isinstance(address, str) else [Address(one) for one in address]
    return query


def _topic(topic: bytes | Sequence[bytes] | None) -> Any:
    if topic is None:
        return None
    if isinstance(topic, bytes):
        return "0x" + topic.hex()
    return ["0x" + one.hex() for one in topic]


def decode_receipt(value: Any) -> Receipt | None:
    """``eth_getTransactionReceipt``; ``None`` where there is none yet. Raises ``DecodeError``."""
    if value is None:
        return None
    fields = _object(value, "a receipt")
    logs = fields.get("logs")
    if not isinstance(logs, list):
        raise DecodeError(f"a receipt's logs: {_shown(logs)}", raw=str(value))
    known = {
        "transactionHash", "blockNumber", "blockHash", "status", "gasUsed", "effectiveGasPrice", "from", "to",
        "contractAddress", "logs", "logsBloom",
    }  # fmt: skip
    to, made = fields.get("to"), fields.get("contractAddress")
    return Receipt(
        transaction_hash=_hash(fields.get("transactionHash"), "a receipt's transaction"),
        block_number=quantity(fields.get("blockNumber"), "a receipt's block"),
        block_hash=_hash(fields.get("blockHash"), "a receipt's block hash"),
        succeeded=quantity(fields.get("status"), "a receipt's status") == 1,
        gas_used=quantity(fields.get("gasUsed"), "gas used"),
        effective_gas_price=quantity(fields.get("effectiveGasPrice"), "effective gas price"),
        sender=_address(fields.get("from"), "a receipt's sender"),
        to=None if to is None else _address(to, "a receipt's recipient"),
        contract_address=None if made is None else _address(made, "a receipt's contract"),
        logs=decode_logs(logs),
        extra={name: item for name, item in fields.items() if name not in known},
    )


def decode_fee_history(value: Any) -> FeeHistory:
    """``eth_feeHistory``. Raises ``DecodeError``."""
    fields = _object(value, "a fee history")
    fees, ratios, rewards = fields.get("baseFeePerGas"), fields.get("gasUsedRatio"), fields.get("reward") or []
    if not isinstance(fees, list) or not isinstance(ratios, list) or not isinstance(rewards, list):
        raise DecodeError("a fee history without its lists", raw=str(value))
    if not all(isinstance(row, list) for row in rewards):
        raise DecodeError("a fee history whose rewards are no lists", raw=str(value))
    if not all(isinstance(ratio, int | float) and 0 <= ratio <= 10 for ratio in ratios):
        raise DecodeError("a fee history whose ratios are none", raw=str(value))
    return FeeHistory(
        oldest_block=quantity(fields.get("oldestBlock"), "oldest block"),
        base_fees=tuple(quantity(fee, "base fee") for fee in fees),
        gas_used_ppm=tuple(round(ratio * 1_000_000) for ratio in ratios),
        rewards=tuple(tuple(quantity(reward, "reward") for reward in row) for row in rewards),
    )


def decode_signed_transaction(raw: bytes) -> SignedTransaction:
    """Chain, nonce and greatest cost of a signed transaction: legacy, EIP-2930 or EIP-1559. Raises ``DecodeError``."""
    kind = raw[0] if raw else 0
    if kind >= 0xC0:
        fields = _rlp_list(raw, raw)
        if len(fields) != 9:
            raise DecodeError(f"a legacy transaction has 9 fields, not {len(fields)}", raw=raw)
        nonce, price, gas, to, value, _, v, _, _ = fields
        parity = _integer(v, raw)
        chain_id = (parity - 35) // 2 if parity >= 35 else None
        return _transaction(chain_id, nonce, gas, price, value, to, raw)
    if kind == 1:
        fields = _rlp_list(raw[1:], raw)
        if len(fields) != 11:
            raise DecodeError(f"an EIP-2930 transaction has 11 fields, not {len(fields)}", raw=raw)
        chain, nonce, price, gas, to, value = fields[:6]
        return _transaction(_integer(chain, raw), nonce, gas, price, value, to, raw)
    if kind == 2:
        fields = _rlp_list(raw[1:], raw)
        if len(fields) != 12:
            raise DecodeError(f"an EIP-1559 transaction has 12 fields, not {len(fields)}", raw=raw)
        chain, nonce, _, price, gas, to, value = fields[:7]
        return _transaction(_integer(chain, raw), nonce, gas, price, value, to, raw)
    raise DecodeError(f"a transaction of type {kind}, which this release does not know", raw=raw)


def transaction_hash(raw: bytes) -> str:
    """The hash by which a chain names a signed transaction of these types: of all its bytes."""
    return f"0x{keccak256(raw).hex()}"


def decode_sent(value: Any, raw: bytes) -> str:
    """``eth_sendRawTransaction`` of ``raw``. Raises ``DecodeError``, also where the hash is of something else."""
    found, own = _hash(value, "eth_sendRawTransaction"), transaction_hash(raw)
    if found != own:
        raise DecodeError(f"the transaction {own} was sent, the answer is about {found}", raw=found)
    return own


def _transaction(
    chain_id: int | None, nonce: bytes, gas: bytes, price: bytes, value: bytes, to: bytes, raw: bytes
) -> SignedTransaction:
    if len(to) not in (0, 20):
        raise DecodeError(f"a recipient of {len(to)} bytes", raw=raw)
    return SignedTransaction(
        chain_id=chain_id,
        nonce=_integer(nonce, raw),
        gas_limit=_integer(gas, raw),
        max_fee_per_gas=_integer(price, raw),
        value=_integer(value, raw),
        to=Address(to) if to else None,
    )


def _integer(field: bytes, raw: bytes) -> int:
    if len(field) > 32 or field[:1] == b"\0":
        raise DecodeError("an integer of more than 256 bits, or with leading zeros", raw=raw)
    return int.from_bytes(field, "big")


def _rlp_list(encoded: bytes, raw: bytes) -> list[bytes]:
    """The items of one RLP list that fills ``encoded``; an item that is a list stays as its content."""
    start, end, is_list = _rlp_item(encoded, 0, raw)
    if not is_list or end != len(encoded):
        raise DecodeError("not one RLP list", raw=raw)
    items = []
    while start < end:
        first, last, _ = _rlp_item(encoded, start, raw)
        if last > end:
            raise DecodeError("an RLP item longer than its list", raw=raw)
        items.append(encoded[first:last])
        start = last
    return items


def _rlp_item(encoded: bytes, at: int, raw: bytes) -> tuple[int, int, bool]:
    """Begin and end of the item's content, and whether it is a list."""
    if at >= len(encoded):
        raise DecodeError("RLP ends too early", raw=raw)
    head = encoded[at]
    if head < 0x80:
        return at, at + 1, False
    is_list = head >= 0xC0
    short = head - (0xC0 if is_list else 0x80)
    begin, size = at + 1, short
    if short > 55:
        width = short - 55
        begin, size = at + 1 + width, int.from_bytes(encoded[at + 1 : at + 1 + width], "big")
    if begin + size > len(encoded):
        raise DecodeError("RLP ends too early", raw=raw)
    return begin, begin + size, is_list


def _object(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DecodeError(f"{what}: {_shown(value)} is no object", raw=str(value))


def _hash(value: Any, what: str) -> str:
    if isinstance(value, str) and _HASH.fullmatch(value.lower()) is not None:
        return value.lower()
    raise DecodeError(f"{what}: {_shown(value)} is not a 32-byte hash", raw=str(value))


def _address(value: Any, what: str) -> Address:
    try:
        # Nodes answer in any case; a checksum is not theirs to prove anything with.
        return Address(value.lower() if isinstance(value, str) else "")
    except ValueError:
        raise DecodeError(f"{what}: {_shown(value)} is not an address", raw=str(value)) from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
