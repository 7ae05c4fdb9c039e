"""Answers of nodes with a byte wrong: what is still JSON decodes, or is a ``DecodeError`` that keeps what it was given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import evm_rpc
from probekit.codecs.solana import rpc, subscriptions
from probekit.codecs.solana.rpc import encode_account
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Account
from tests.support.mutation import mutations, peak_bytes
from tests.unit.codecs.test_evm_rpc import BLOCK, LOG, RECEIPT

KEY = Pubkey(bytes([7]) * 32)
SIGNATURE = base58(bytes([7]) * 64)
ACCOUNT = encode_account(Account(KEY, KEY, 5, b"data", False, 100))
FEES = {"oldestBlock": "0x1", "baseFeePerGas": ["0x1", "0x2"], "gasUsedRatio": [0.5], "reward": [["0x1"]]}
STATUS = {"slot": 5, "confirmations": None, "err": None, "confirmationStatus": "finalized"}


def contextual(value: Any) -> Any:
    return {"context": {"slot": 100}, "value": value}


CASES: dict[str, tuple[Callable[[Any], object], Any]] = {
    "eth_getBlockByNumber": (evm_rpc.decode_block, BLOCK),
    "eth_getLogs": (evm_rpc.decode_logs, [LOG, LOG]),
    "eth_getTransactionReceipt": (evm_rpc.decode_receipt, RECEIPT),
    "eth_feeHistory": (evm_rpc.decode_fee_history, FEES),
    "eth_blockNumber": (evm_rpc.quantity, "0x10"),
    "eth_call": (evm_rpc.data, "0x0102"),
    "getAccountInfo": (lambda value: rpc.decode_account(value, KEY), contextual(ACCOUNT)),
    "getMultipleAccounts": (lambda value: rpc.decode_accounts(value, [KEY, KEY]), contextual([ACCOUNT, None])),
    "getProgramAccounts": (rpc.decode_program_accounts, contextual([{"pubkey": str(KEY), "account": ACCOUNT}])),
    "getTokenAccountsByOwner": (rpc.decode_token_accounts, contextual([{"pubkey": str(KEY), "account": ACCOUNT}])),
    "getSignatureStatuses": (lambda value: rpc.decode_signature_statuses(value, [SIGNATURE]), contextual([STATUS])),
    "getSignaturesForAddress": (rpc.decode_signatures, [{"signature": SIGNATURE, "slot": 5, "err": None, "blockTime": 1}]),
    "simulateTransaction": (
        lambda value: rpc.decode_simulation(value, [KEY]),
        contextual({"err": None, "logs": ["x"], "accounts": [ACCOUNT], "unitsConsumed": 5}),
    ),
    "slotNotification": (subscriptions.decode_slot, {"slot": 5, "parent": 4, "root": 1}),
    "accountNotification": (lambda value: subscriptions.decode_account(value, KEY), contextual(ACCOUNT)),
    "logsNotification": (subscriptions.decode_logs, contextual({"signature": SIGNATURE, "err": None, "logs": ["x"]})),
}


def decodes(decode: Callable[[Any], object], value: Any) -> bool:
    """Whether all of it does; an item that does not is told in its place."""
    try:
        found = decode(value)
        errors = [one for one in found if isinstance(one, DecodeError)] if isinstance(found, tuple) else []
    except DecodeError as error:
        errors = [error]
    assert all(isinstance(error.raw, str) and error.raw for error in errors)
    return not errors


@pytest.mark.parametrize("name", CASES)
def test_a_byte_wrong_decodes_or_refuses(name: str) -> None:
    decode, answer = CASES[name]
    assert decodes(decode, answer)
    refused = read = 0
    for changed in mutations(json.dumps(answer).encode()):
        try:
            value = msgspec.json.decode(changed)
        except (msgspec.DecodeError, ValueError):
            continue
        if decodes(decode, value):
            read += 1
        else:
            refused += 1
    assert refused
    assert read


MEMBERS = st.sampled_from(
    ["number", "hash", "parentHash", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas", "topics", "address", "data", "logs",
     "blockNumber", "blockHash", "transactionHash", "logIndex", "removed", "status", "effectiveGasPrice", "from", "to",
     "oldestBlock", "gasUsedRatio", "reward"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["0x", "0x1", "0x" + "ab" * 32, "0x" + "ab" * 20, ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS, inner, max_size=6),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_of_an_evm_node_decodes_or_refuses(value: Any) -> None:
    for decode in (
        evm_rpc.decode_block, evm_rpc.decode_log, evm_rpc.decode_logs, evm_rpc.decode_receipt, evm_rpc.decode_fee_history,
        evm_rpc.quantity, evm_rpc.data,
    ):  # fmt: skip
        try:
            decode(value)
        except DecodeError as error:
            assert isinstance(error.raw, str)


@given(st.binary(max_size=12))
def test_a_length_that_lies_allocates_nothing(rest: bytes) -> None:
    """A list, or an item of one, that claims to be as long as eight bytes can say."""
    for head in (b"\x02\xff" + b"\xff" * 8, b"\xf8\xff\xbf" + b"\xff" * 8, b"\xff" + b"\x7f" * 8):
        assert peak_bytes(lambda head=head: evm_rpc.decode_signed_transaction(head + rest)) < 20_000  # type: ignore[misc]
