"""Results of Solana's JSON-RPC, from the plain Python values that a JSON decoder gives; both ways for accounts.

One malformed item of a list is that item's own ``DecodeError``; its neighbours stay. Anything else that does not have the
documented shape raises ``DecodeError``. Unknown members are ignored, or kept as ``extra`` where a model has that. Accounts are
read in base64 (``base64+zstd`` and ``jsonParsed`` are refused by name).

Source: Solana RPC reference; agave ``rpc-client-types/src/response.rs`` and ``account-decoder-client-types/src/lib.rs``.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from probekit.codecs.solana.transaction import decode_signed_transaction
from probekit.codecs.solana.values import (
    COUNT,
    U63,
    Contextual,
    account,
    base58_text,
    binary,
    convert,
    decode_error,
    extra_fields,
    key,
)
from probekit.errors import DecodeError, RpcError
from probekit.model.pubkey import Pubkey
from probekit.model.solana import (
    Account,
    Blockhash,
    Commitment,
    EpochInfo,
    LamportBalance,
    NodeHealth,
    NodeVersion,
    ReturnData,
    SignatureInfo,
    SignatureStatus,
    Simulation,
    TokenAmount,
    TransactionLogs,
)
from probekit.units import Instant

NODE_UNHEALTHY: Final = -32005
"""The code of an unhealthy node's ``getHealth``; other services use it for a rate limit, so its words count too."""

T = TypeVar("T")


class Accounts(msgspec.Struct, frozen=True):
    """The accounts of one answer, all of one slot, in the order asked for (``getProgramAccounts``: as the node gave them).

    An item is ``None`` where the account does not exist, ``DecodeError`` where what came for it is none.
    """

    slot: int
    items: tuple[Account | DecodeError | None, ...]
    api_version: str | None = None


def decode_account(result: object, address: Pubkey) -> Account | None:
    """``getAccountInfo``; ``None`` where the account does not exist. Raises ``DecodeError``."""
    answer = convert(result, Contextual, "getAccountInfo")
    return None if answer.value is None else account(answer.value, address, answer.context.slot)


def decode_accounts(result: object, addresses: Sequence[Pubkey]) -> Accounts:
    """``getMultipleAccounts``. Raises ``DecodeError`` when the answer has not one item for each address."""
    answer = convert(result, Contextual, "getMultipleAccounts")
    values = _listed(answer.value, "getMultipleAccounts", len(addresses))
    slot = answer.context.slot
    items = tuple(_account_item(value, address, slot) for value, address in zip(values, addresses, strict=True))
    return Accounts(slot, items, answer.context.api_version)


def decode_program_accounts(result: object) -> Accounts:
    """``getProgramAccounts`` asked with ``withContext``. Raises ``DecodeError``."""
    if isinstance(result, list):
        raise decode_error("getProgramAccounts: no context; ask with withContext", result)
    return _keyed_accounts(result, "getProgramAccounts")


def decode_token_accounts(result: object) -> Accounts:
    """``getTokenAccountsByOwner``: accounts as they are on the chain, with their keys. Raises ``DecodeError``."""
    return _keyed_accounts(result, "getTokenAccountsByOwner")


def encode_account(one: Account) -> dict[str, object]:
    """An account as a node writes it, in base64; key and slot belong to the answer around it."""
    return {
        "lamports": one.lamports,
        "data": [binascii.b2a_base64(one.data, newline=False).decode(), "base64"],
        "owner": str(one.owner),
        "executable": one.executable,
        "rentEpoch": 2**64 - 1 if one.rent_epoch is None else one.rent_epoch,
        "space": len(one.data) if one.space is None else one.space,
    }


def decode_count(result: object) -> int:
    """``getSlot``, ``getBlockHeight``, ``getFirstAvailableBlock``, ``getMinimumBalanceForRentExemption``. Raises
    ``DecodeError``.
    """
    return convert(result, COUNT, "a count")


def decode_balance(result: object) -> LamportBalance:
    """``getBalance``. Raises ``DecodeError``."""
    answer = convert(result, Contextual, "getBalance")
    return LamportBalance(convert(answer.value, COUNT, "getBalance"), answer.context.slot)


class _TokenAmountFields(msgspec.Struct):
    amount: str
    decimals: int


def decode_token_amount(result: object) -> TokenAmount:
    """``getTokenAccountBalance`` and ``getTokenSupply``. Raises ``DecodeError``. The node's own floats are not looked at."""
    answer = convert(result, Contextual, "a token amount")
    fields = convert(answer.value, _TokenAmountFields, "a token amount")
    # Twenty digits hold any u64; int() of unbounded text is not bounded work.
    if not (fields.amount.isascii() and fields.amount.isdigit() and len(fields.amount) <= 20 and 0 <= fields.decimals <= 255):
        raise decode_error("a token amount: not a u64 in decimal with a u8 of decimals", result)
    return TokenAmount(int(fields.amount), fields.decimals)


class _BlockhashFields(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: U63


def decode_blockhash(result: object) -> Blockhash:
    """``getLatestBlockhash``. Raises ``DecodeError``."""
    answer = convert(result, Contextual, "getLatestBlockhash")
    return _blockhash(answer.value, answer.context.slot)


def decode_signature(result: object) -> str:
    """``sendTransaction`` and ``requestAirdrop``: base58 of 64 bytes. Raises ``DecodeError``."""
    return base58_text(convert(result, str, "a signature"), "signature")


def decode_genesis_hash(result: object) -> str:
    """``getGenesisHash``: what tells mainnet from devnet, as base58 of 32 bytes. Raises ``DecodeError``."""
    return base58_text(convert(result, str, "getGenesisHash"), "genesis hash")


class _StatusFields(msgspec.Struct, rename="camel"):
    slot: U63
    # Null where it succeeded; left out it would look as if it had.
    err: Any
    confirmations: U63 | None = None
    confirmation_status: Commitment | None = None


def decode_signature_statuses(result: object, signatures: Sequence[str]) -> tuple[SignatureStatus | DecodeError | None, ...]:
    """``getSignatureStatuses``, in the order asked for; ``None`` where the node knows nothing of it.

    Raises ``DecodeError`` when the answer has not one item for each signature.
    """
    answer = convert(result, Contextual, "getSignatureStatuses")
    values = _listed(answer.value, "getSignatureStatuses", len(signatures))
    return tuple(
        None if value is None else _own(_status, value, signature) for value, signature in zip(values, signatures, strict=True)
    )


class _SignatureFields(msgspec.Struct, rename="camel"):
    signature: str
    slot: U63
    err: Any
    memo: str | None = None
    block_time: int | None = None
    confirmation_status: Commitment | None = None


def decode_signatures(result: object) -> tuple[SignatureInfo | DecodeError, ...]:
    """``getSignaturesForAddress``, newest first. Raises ``DecodeError`` when it is no list."""
    return tuple(_own(_signature_info, value) for value in _listed(result, "getSignaturesForAddress"))


class _MetaFields(msgspec.Struct, rename="camel"):
    # Null where it succeeded; left out it would look as if it had.
    err: Any
    log_messages: list[str] | None = None


class _TransactionFields(msgspec.Struct, rename="camel"):
    slot: U63
    meta: _MetaFields
    block_time: int | None = None
    transaction: Any = None


def decode_transaction_logs(result: object, signature: str) -> TransactionLogs | None:
    """``getTransaction``, as far as logs go; ``None`` where the node knows none such. Raises ``DecodeError``, also where the
    node keeps no logs: none is not the same as nothing.
    """
    if result is None:
        return None
    fields = convert(result, _TransactionFields, "getTransaction")
    if fields.meta.log_messages is None:
        raise decode_error(f"getTransaction: no logs were kept of {signature}", result)
    at = None if fields.block_time is None else Instant.from_seconds(fields.block_time)
    logs, payer = tuple(fields.meta.log_messages), _fee_payer(fields.transaction)
    return TransactionLogs(signature, fields.slot, logs, fields.meta.err, at, payer)


def _fee_payer(transaction: Any) -> Pubkey | None:
    """Who pays, of a transaction in base64; what else it is does not matter to its logs."""
    try:
        return decode_signed_transaction(binascii.a2b_base64(transaction[0])).fee_payer
    except (DecodeError, ValueError, TypeError, LookupError):
        return None


_BEHIND: Final = re.compile(r"behind by (\d{1,18}) slots")
_UNHEALTHY: Final = re.compile(r"(?i)unhealthy|behind")


def decode_health(result: object) -> NodeHealth:
    """``getHealth`` that answered. Raises ``DecodeError``. Only ``ok`` is healthy."""
    text = convert(result, str, "getHealth")
    return NodeHealth(text == "ok", message="" if text == "ok" else text[:200])


def health_of(error: RpcError) -> NodeHealth:
    """``getHealth`` that answered with an error: -32005, with ``numSlotsBehind`` where the node knows it.

    Raises ``error`` itself where it says something else.
    """
    data = error.data
    behind = data.get("numSlotsBehind") if isinstance(data, dict) else None
    if error.code != NODE_UNHEALTHY or not (
        (isinstance(data, dict) and "numSlotsBehind" in data) or _UNHEALTHY.search(error.message)
    ):
        raise error
    if not isinstance(behind, int) or isinstance(behind, bool) or behind < 0:
        told = _BEHIND.search(error.message)
        behind = int(told[1]) if told else None
    return NodeHealth(False, behind, error.message)


class _VersionFields(msgspec.Struct):
    core: str = msgspec.field(name="solana-core")
    feature_set: U63 | None = msgspec.field(name="feature-set", default=None)


def decode_version(result: object) -> NodeVersion:
    """``getVersion``. Raises ``DecodeError``."""
    fields = convert(result, _VersionFields, "getVersion")
    return NodeVersion(fields.core, fields.feature_set, extra_fields(result, _VersionFields))


class _EpochFields(msgspec.Struct, rename="camel"):
    epoch: U63
    slot_index: U63
    slots_in_epoch: U63
    absolute_slot: U63
    block_height: U63 | None = None
    transaction_count: U63 | None = None


def decode_epoch_info(result: object) -> EpochInfo:
    """``getEpochInfo``. Raises ``DecodeError``."""
    fields = convert(result, _EpochFields, "getEpochInfo")
    return EpochInfo(**msgspec.structs.asdict(fields), extra=extra_fields(result, _EpochFields))


class _ReturnDataFields(msgspec.Struct, rename="camel"):
    program_id: str
    data: Any


class _SimulationFields(msgspec.Struct, rename="camel"):
    err: Any
    logs: tuple[str, ...] | None = None
    accounts: list[Any] | None = None
    units_consumed: U63 | None = None
    return_data: _ReturnDataFields | None = None
    replacement_blockhash: Any = None
    fee: U63 | None = None


def decode_simulation(result: object, addresses: Sequence[Pubkey] = ()) -> Simulation:
    """``simulateTransaction``; ``addresses`` are those whose accounts were asked for. Raises ``DecodeError``."""
    answer = convert(result, Contextual, "simulateTransaction")
    slot = answer.context.slot
    fields = convert(answer.value, _SimulationFields, "simulateTransaction")
    values = [] if fields.accounts is None else _listed(fields.accounts, "simulateTransaction", len(addresses))
    returned = fields.return_data
    return Simulation(
        slot,
        fields.err,
        fields.logs or (),
        fields.units_consumed,
        tuple(_account_item(value, address, slot) for value, address in zip(values, addresses, strict=False)),
        None if returned is None else ReturnData(key(returned.program_id, "return data"), binary(returned.data, "return data")),
        None if fields.replacement_blockhash is None else _blockhash(fields.replacement_blockhash, None),
        fields.fee,
        extra_fields(answer.value, _SimulationFields),
    )


def _listed(value: object, what: str, count: int | None = None) -> list[Any]:
    values: list[Any] = convert(value, list[Any], what)
    if count is not None and len(values) != count:
        raise decode_error(f"{what}: {len(values)} items for {count} asked for", value)
    return values


def _own(read: Callable[..., T], *arguments: Any) -> T | DecodeError:
    """What ``read`` gives, or the item's own error."""
    try:
        return read(*arguments)
    except DecodeError as error:
        return error


def _account_item(value: object, address: Pubkey, slot: int) -> Account | DecodeError | None:
    return None if value is None else _own(account, value, address, slot)


class _KeyedFields(msgspec.Struct):
    pubkey: str
    account: Any


def _keyed_accounts(result: object, what: str) -> Accounts:
    answer = convert(result, Contextual, what)
    slot = answer.context.slot
    items = tuple(_own(_keyed_account, value, slot) for value in _listed(answer.value, what))
    return Accounts(slot, items, answer.context.api_version)


def _keyed_account(value: object, slot: int) -> Account:
    fields = convert(value, _KeyedFields, "a program account")
    return account(fields.account, key(fields.pubkey, "a program account"), slot)


def _blockhash(value: object, slot: int | None) -> Blockhash:
    fields = convert(value, _BlockhashFields, "a blockhash")
    return Blockhash(base58_text(fields.blockhash, "blockhash"), fields.last_valid_block_height, slot)


def _status(value: object, signature: str) -> SignatureStatus:
    fields = convert(value, _StatusFields, f"status of {signature}")
    return SignatureStatus(signature, fields.slot, fields.confirmation_status, fields.confirmations, fields.err)


def _signature_info(value: object) -> SignatureInfo:
    fields = convert(value, _SignatureFields, "a signature of an address")
    return SignatureInfo(
        base58_text(fields.signature, "signature"),
        fields.slot,
        fields.err,
        fields.memo,
        None if fields.block_time is None else Instant.from_seconds(fields.block_time),
        fields.confirmation_status,
    )
