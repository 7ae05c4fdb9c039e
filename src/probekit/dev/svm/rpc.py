"""JSON-RPC 2.0 calls and batches, and the table of a node's HTTP methods.

Calls are told apart and refused as ``jsonrpc-core`` 18 does, which is what Agave answers with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from probekit.dev.svm import reads, sends
from probekit.dev.svm.node import Node
from probekit.dev.svm.words import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Refusal, invalid_params

MAX_BODY: Final = 50 * 1024
"""Bytes of a request that are read: Agave's default."""


class Method(NamedTuple):
    """A method: what answers it, and how many arguments it needs and takes."""

    call: Callable[..., Any]
    required: int
    total: int


def answer(body: bytes, methods: dict[str, Method], context: Any) -> bytes:
    """Answer a call or a batch by a table of methods, each called with ``context`` and its arguments."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _line(_failure(Refusal(PARSE_ERROR, "Parse error"), None))
    if not isinstance(request, list):
        single = _call(request, methods, context)
        return b"" if single is None else _line(single)
    if not request:
        return _line(_failure(Refusal(INVALID_REQUEST, "Invalid request"), None))
    answers = [one for one in (_call(call, methods, context) for call in request) if one is not None]
    return _line(answers) if answers else b""


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _failure(refusal: Refusal, call_id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": refusal.as_json(), "id": call_id}


def _call(call: Any, methods: dict[str, Method], context: Any) -> dict[str, Any] | None:
    call_id = call.get("id") if isinstance(call, dict) else None
    sound_id = call_id is None or (isinstance(call_id, str | int) and not isinstance(call_id, bool))
    arguments = call.get("params") if isinstance(call, dict) else None
    if (
        not isinstance(call, dict)
        or not isinstance(call.get("method"), str)
        or not sound_id
        or not isinstance(arguments, list | dict | None)
    ):
        return _failure(Refusal(INVALID_REQUEST, "Invalid request"), call_id if sound_id else None)
    if "id" not in call:
        # A notification gets no answer, and none of these methods is worth calling without one.
        return None
    if call.get("jsonrpc") != "2.0":
        # Without a version the answer has none either.
        failure = _failure(Refusal(INVALID_REQUEST, "Unsupported JSON-RPC protocol version"), call_id)
        del failure["jsonrpc"]
        return failure
    try:
        return {"jsonrpc": "2.0", "result": _invoke(call["method"], arguments, methods, context), "id": call_id}
    except Refusal as refusal:
        return _failure(refusal, call_id)
    except BaseException as error:
        # A panic inside the runtime arrives as an exception beside Exception.
        if type(error).__name__ != "PanicException":
            raise
        return _failure(Refusal(INTERNAL_ERROR, "Internal error"), call_id)


def _invoke(name: str, arguments: Any, methods: dict[str, Method], context: Any) -> Any:
    method = methods.get(name)
    if method is None:
        raise Refusal(METHOD_NOT_FOUND, "Method not found")
    given = [] if arguments is None else arguments
    if not isinstance(given, list):
        raise invalid_params("`params` should be an array")
    if len(given) < method.required:
        raise invalid_params(f"`params` should have at least {method.required} argument(s)")
    if len(given) > method.total:
        if not method.total:
            raise invalid_params("Invalid parameters: No parameters were expected", msgspec.json.encode(given).decode())
        message = f"Invalid parameters: Expected from {method.required} to {method.total} parameters."
        raise invalid_params(message, f'"Got: {len(given)}"')
    return method.call(context, *given, *[None] * (method.total - len(given)))


METHODS: Final[dict[str, Method]] = {
    "getAccountInfo": Method(reads.get_account_info, 1, 2),
    "getBalance": Method(reads.get_balance, 1, 2),
    "getBlock": Method(reads.get_block, 1, 2),
    "getBlockHeight": Method(reads.get_block_height, 0, 1),
    "getBlockTime": Method(reads.get_block_time, 1, 1),
    "getClusterNodes": Method(reads.get_cluster_nodes, 0, 0),
    "getEpochInfo": Method(reads.get_epoch_info, 0, 1),
    "getEpochSchedule": Method(reads.get_epoch_schedule, 0, 0),
    "getFirstAvailableBlock": Method(reads.get_first_available_block, 0, 0),
    "getGenesisHash": Method(reads.get_genesis_hash, 0, 0),
    "getHealth": Method(reads.get_health, 0, 0),
    "getIdentity": Method(reads.get_identity, 0, 0),
    "getMinimumBalanceForRentExemption": Method(reads.get_minimum_balance_for_rent_exemption, 1, 2),
    "getMultipleAccounts": Method(reads.get_multiple_accounts, 1, 2),
    "getProgramAccounts": Method(reads.get_program_accounts, 1, 2),
    "getSlot": Method(reads.get_slot, 0, 1),
    "getTokenAccountBalance": Method(reads.get_token_account_balance, 1, 2),
    "getTokenAccountsByOwner": Method(reads.get_token_accounts_by_owner, 2, 3),
    "getTransactionCount": Method(reads.get_transaction_count, 0, 1),
    "getVersion": Method(reads.get_version, 0, 0),
    "minimumLedgerSlot": Method(reads.get_first_available_block, 0, 0),
    "getFeeForMessage": Method(sends.get_fee_for_message, 1, 2),
    "getLatestBlockhash": Method(sends.get_latest_blockhash, 0, 1),
    "getRecentPrioritizationFees": Method(sends.get_recent_prioritization_fees, 0, 1),
    "getSignatureStatuses": Method(sends.get_signature_statuses, 1, 2),
    "getSignaturesForAddress": Method(sends.get_signatures_for_address, 1, 2),
    "getTransaction": Method(sends.get_transaction, 1, 2),
    "isBlockhashValid": Method(sends.is_blockhash_valid, 1, 2),
    "requestAirdrop": Method(sends.request_airdrop, 2, 3),
    "sendTransaction": Method(sends.send_transaction, 1, 2),
    "simulateTransaction": Method(sends.simulate_transaction, 1, 2),
}
"""Everything the HTTP side answers. Other methods of a real node are ``Method not found``."""


def respond(node: Node, body: bytes) -> bytes:
    """The answer to the body of an HTTP request: one line, or nothing when only notifications came."""
    return answer(body, METHODS, node)
