"""Transactions as they travel: decoding what a client sends, and encoding what getTransaction shows.

Source: Agave's ``rpc`` (limits and refusals) and ``transaction-status`` (``EncodedTransactionWithStatusMeta``).
"""

from __future__ import annotations

import base64
from typing import Any, Final

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

from probekit.dev.svm import params
from probekit.dev.svm.execution import Inner, Landed, Outcome
from probekit.dev.svm.params import BadEncoding, decode58, decode64
from probekit.dev.svm.words import invalid_params, transaction_error_text, unsupported_version
from probekit.model.pubkey import base58

ENCODINGS: Final = ("binary", "base64", "base58", "json", "jsonParsed")
PACKET_BYTES: Final = 1232
_MAX_BASE58: Final = 1683
_MAX_BASE64: Final = 1644
_TRANSACTION: Final = "solana_transaction::versioned::VersionedTransaction"
_MESSAGE: Final = "solana_message::versions::VersionedMessage"

UNSANITARY: Final = frozenset(
    {
        "SanitizeFailure",
        "AddressLookupTableNotFound",
        "InvalidAddressLookupTableOwner",
        "InvalidAddressLookupTableData",
        "InvalidAddressLookupTableIndex",
    }
)
"""Errors that a node finds while it reads a transaction, and so answers with -32602 and not with a simulation."""


def wire_bytes(encoded: Any, encoding: str, what: str) -> bytes:
    """The bytes of a base58 or base64 argument, within a packet's size."""
    given = params.text(encoded)
    limit = _MAX_BASE64 if encoding == "base64" else _MAX_BASE58
    if len(given) > limit:
        sizes = f"{len(given)} bytes (max: encoded/raw {limit}/{PACKET_BYTES})"
        raise invalid_params(f"{encoding} encoded {what} too large: {sizes}")
    try:
        raw = decode64(given) if encoding == "base64" else decode58(given)
    except BadEncoding as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None
    if len(raw) > PACKET_BYTES:
        raise invalid_params(f"decoded {what} too large: {len(raw)} bytes (max: {PACKET_BYTES} bytes)")
    return raw


def decode_transaction(encoded: Any, encoding: Any) -> VersionedTransaction:
    """A transaction that is sound in itself: indices in range, as many signatures as it needs."""
    kind = "base58" if encoding is None else params.variant(encoding, ENCODINGS)
    if kind not in ("base58", "base64", "binary"):
        raise invalid_params(f"unsupported encoding: {kind}. Supported encodings: base58, base64")
    raw = wire_bytes(encoded, "base64" if kind == "base64" else "base58", _TRANSACTION)
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize {_TRANSACTION}: {error}") from None
    try:
        transaction.sanitize()
    except SanitizeError:
        raise invalid_params(f"invalid transaction: {transaction_error_text('SanitizeFailure')}") from None
    if not isinstance(transaction.message, Message | MessageV0):
        raise invalid_params(f"invalid transaction: {transaction_error_text('UnsupportedVersion')}")
    return transaction


def decode_message(encoded: Any) -> VersionedTransaction:
    """A message in base64, with empty signatures around it."""
    raw = wire_bytes(encoded, "base64", _MESSAGE)
    try:
        message = from_bytes_versioned(raw)
    except ValueError as error:
        raise invalid_params(f"failed to deserialize {_MESSAGE}: {error}") from None
    if not isinstance(message, Message | MessageV0):
        raise invalid_params("invalid transaction message: unsupported version")
    empty = unsigned(message)
    try:
        empty.sanitize()
    except SanitizeError as error:
        raise invalid_params(f"invalid transaction message: {error}") from None
    return empty


def unsigned(message: Message | MessageV0) -> VersionedTransaction:
    """The message with signatures of zeros."""
    return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)


def require_sanitary(outcome: Outcome) -> None:
    """Refuse what a node would have refused before simulating."""
    if isinstance(outcome.err, str) and outcome.err in UNSANITARY:
        raise invalid_params(f"invalid transaction: {transaction_error_text(outcome.err)}")


def simulation(outcome: Outcome, **more: Any) -> dict[str, Any]:
    """The RpcSimulateTransactionResult object."""
    return {
        "err": outcome.err,
        "logs": list(outcome.logs),
        "accounts": None,
        "unitsConsumed": outcome.units,
        "returnData": return_data(outcome),
        "innerInstructions": None,
        "replacementBlockhash": None,
        **more,
    }


def return_data(outcome: Outcome) -> dict[str, Any] | None:
    """What the last program returned, or None."""
    if outcome.return_data is None:
        return None
    program, data = outcome.return_data
    return {"programId": str(program), "data": [base64.b64encode(data).decode(), "base64"]}


def inner_instructions(inner: tuple[Inner, ...], keys: list[str] | None = None) -> list[dict[str, Any]]:
    """Cross-program calls by the instruction they came from; with ``keys`` in the partly decoded form."""
    grouped: dict[int, list[dict[str, Any]]] = {}
    for call in inner:
        grouped.setdefault(call.top, []).append(
            _instruction(call.program_index, call.accounts, call.data, call.stack_height, keys)
        )
    return [{"index": top, "instructions": calls} for top, calls in sorted(grouped.items())]


def _instruction(program: int, accounts: bytes, data: bytes, height: int | None, keys: list[str] | None) -> dict[str, Any]:
    if keys is None:
        return {"programIdIndex": program, "accounts": list(accounts), "data": base58(data), "stackHeight": height}
    named = [keys[index] for index in accounts]
    return {"programId": keys[program], "accounts": named, "data": base58(data), "stackHeight": height}


def encode_landed(landed: Landed, encoding: str, max_version: int | None) -> dict[str, Any]:
    """The answer of getTransaction. jsonParsed decodes no program's instructions: each is in the form that a node uses for
    programs it does not know.
    """
    version: str | int = 0 if isinstance(landed.transaction.message, MessageV0) else "legacy"
    if version != "legacy" and max_version is None:
        raise unsupported_version(int(version))
    shown: dict[str, Any] = {
        "slot": landed.slot,
        "transaction": _transaction(landed, encoding),
        "meta": _meta(landed, encoding),
        "blockTime": landed.unix_timestamp,
    }
    if max_version is not None:
        shown["version"] = version
    return shown


def _transaction(landed: Landed, encoding: str) -> Any:
    transaction, keys = landed.transaction, landed.keys
    raw = bytes(transaction)
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [base58(raw), "base58"]
    if encoding == "binary":
        return base58(raw)
    message = transaction.message
    assert isinstance(message, Message | MessageV0)
    names = [str(key) for key in keys.all]
    shown: dict[str, Any] = {}
    parsed = encoding == "jsonParsed"
    if parsed:
        static = len(keys.static)
        shown["accountKeys"] = [
            {
                "pubkey": name,
                "signer": index < keys.signed,
                "writable": keys.writable(index),
                "source": "transaction" if index < static else "lookupTable",
            }
            for index, name in enumerate(names)
        ]
    else:
        shown["header"] = {
            "numRequiredSignatures": keys.signed,
            "numReadonlySignedAccounts": keys.readonly_signed,
            "numReadonlyUnsignedAccounts": keys.readonly_unsigned,
        }
        shown["accountKeys"] = names[: len(keys.static)]
    shown["recentBlockhash"] = str(message.recent_blockhash)
    shown["instructions"] = [
        _instruction(one.program_id_index, bytes(one.accounts), bytes(one.data), 1, names if parsed else None)
        for one in message.instructions
    ]
    if isinstance(message, MessageV0):
        shown["addressTableLookups"] = [
            {
                "accountKey": str(one.account_key),
                "writableIndexes": list(bytes(one.writable_indexes)),
                "readonlyIndexes": list(bytes(one.readonly_indexes)),
            }
            for one in message.address_table_lookups
        ]
    return {"signatures": [str(one) for one in transaction.signatures], "message": shown}


def _meta(landed: Landed, encoding: str) -> dict[str, Any]:
    outcome, keys = landed.outcome, landed.keys
    names = [str(key) for key in keys.all] if encoding == "jsonParsed" else None
    shown: dict[str, Any] = {
        "err": outcome.err,
        "status": status(outcome),
        "fee": outcome.fee,
        "preBalances": [before for before, _ in landed.lamports],
        "postBalances": [after for _, after in landed.lamports],
        "innerInstructions": inner_instructions(outcome.inner, names),
        "logMessages": list(outcome.logs),
        "preTokenBalances": list(landed.tokens[0]),
        "postTokenBalances": list(landed.tokens[1]),
        "rewards": [],
        "computeUnitsConsumed": outcome.units,
    }
    if encoding != "jsonParsed":
        shown["loadedAddresses"] = {
            "writable": [str(key) for key in keys.loaded_writable],
            "readonly": [str(key) for key in keys.loaded_readonly],
        }
    if (returned := return_data(outcome)) is not None:
        shown["returnData"] = returned
    return shown


def status(outcome: Outcome) -> dict[str, Any]:
    """The old ``status`` object, which older clients read."""
    return {"Ok": None} if outcome.err is None else {"Err": outcome.err}
