"""Methods about transactions: blockhashes and fees, sending and simulating, and what became of them.

Functions as in :mod:`~probekit.dev.svm.reads`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.transaction import VersionedTransaction

from probekit.dev.svm import params, transactions
from probekit.dev.svm.chain import Block, Commitment
from probekit.dev.svm.encoding import ENCODINGS, ui_account
from probekit.dev.svm.execution import Landed, Outcome
from probekit.dev.svm.node import Node
from probekit.dev.svm.params import Config
from probekit.dev.svm.reads import with_context
from probekit.dev.svm.words import (
    INTERNAL_ERROR,
    PREFLIGHT_FAILURE,
    SIGNATURE_VERIFICATION_FAILURE,
    Refusal,
    invalid_params,
    transaction_error_text,
)

MAX_STATUSES: Final = 256
MAX_SIGNATURES: Final = 1000
MAX_FEE_ACCOUNTS: Final = 128
_STATUS_SLOTS: Final = 300
"""Slots for which a node knows statuses without searching its transaction history."""
_FEE_BLOCKS: Final = 150


# -- blockhashes and fees


def get_latest_blockhash(node: Node, config: Any) -> Any:
    block = node.view(Config(config, "RpcContextConfig"))
    return with_context(block, _blockhash(node, block))


def _blockhash(node: Node, block: Block) -> dict[str, Any]:
    height = node.ledger.last_valid_height(block.blockhash, block)
    assert height is not None
    return {"blockhash": str(block.blockhash), "lastValidBlockHeight": height}


def is_blockhash_valid(node: Node, blockhash: Any, config: Any) -> Any:
    wanted = params.blockhash(blockhash)
    block = node.view(Config(config, "RpcContextConfig"))
    return with_context(block, node.ledger.last_valid_height(wanted, block) is not None)


def get_fee_for_message(node: Node, encoded: Any, config: Any) -> Any:
    transaction = transactions.decode_message(encoded)
    block = node.view(Config(config, "RpcContextConfig"))
    if node.ledger.last_valid_height(_recent_blockhash(transaction), block) is None:
        return with_context(block, None)
    # The runtime prices what it simulates, whatever comes of it.
    outcome = node.ledger.simulate(transaction, block=block)
    if isinstance(outcome.err, str) and outcome.err in transactions.UNSANITARY:
        raise invalid_params(f"invalid transaction message: {transaction_error_text(outcome.err)}")
    return with_context(block, outcome.fee)


def get_recent_prioritization_fees(node: Node, keys: Any) -> Any:
    named = [] if keys is None else params.texts(keys)
    if len(named) > MAX_FEE_ACCOUNTS:
        raise invalid_params(f"Too many inputs provided; max {MAX_FEE_ACCOUNTS}")
    wanted = [params.pubkey(one) for one in named]
    newest = node.block("confirmed")
    per_slot: dict[int, list[Landed]] = {}
    oldest = max(newest.slot - _FEE_BLOCKS + 1, node.ledger.oldest_block.slot)
    for landed in node.ledger.recent():
        if landed.slot < oldest:
            break
        per_slot.setdefault(landed.slot, []).append(landed)
    fees = []
    for slot in range(oldest, newest.slot + 1):
        if node.ledger.block(slot) is None:
            continue
        inside = per_slot.get(slot, [])
        # The least that got into the block; where an account was written to, the least that got to write to it.
        fee = min((one.unit_price for one in inside), default=0)
        for key in wanted:
            fee = max(fee, min((one.unit_price for one in inside if one.writes(key)), default=0))
        fees.append({"slot": slot, "prioritizationFee": fee})
    return fees


# -- sending


def _recent_blockhash(transaction: VersionedTransaction) -> Hash:
    message = transaction.message
    assert isinstance(message, Message | MessageV0)
    return message.recent_blockhash


def _verify(transaction: VersionedTransaction) -> None:
    if not all(transaction.verify_with_results()):
        raise Refusal(SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")


def send_transaction(node: Node, encoded: Any, config: Any) -> Any:
    options = Config(config, "RpcSendTransactionConfig")
    transaction = transactions.decode_transaction(encoded, options.get("encoding"))
    skip = options.flag("skipPreflight")
    options.number("maxRetries", "usize")
    commitment = options.commitment("preflightCommitment")
    block = node.view(Config({"commitment": "processed" if skip else commitment, **_min_slot(options)}, "RpcContextConfig"))
    outcome = node.ledger.simulate(transaction, block=block)
    transactions.require_sanitary(outcome)
    if not skip:
        _verify(transaction)
        node.check_health()
        if outcome.err is not None:
            message = f"Transaction simulation failed: {transaction_error_text(outcome.err)}"
            raise Refusal(PREFLIGHT_FAILURE, message, transactions.simulation(outcome))
    # Whatever comes of it now: a node has passed it on and knows no more.
    node.ledger.send(transaction)
    return str(transaction.signatures[0])


def _min_slot(options: Config) -> dict[str, Any]:
    return {"minContextSlot": options.get("minContextSlot")}


def request_airdrop(node: Node, key: Any, lamports: Any, config: Any) -> Any:
    wanted, amount = params.pubkey(key), params.unsigned(lamports)
    options = Config(config, "RpcRequestAirdropConfig")
    given = options.get("recentBlockhash")
    blockhash = node.block(options.commitment()).blockhash if given is None else params.blockhash(given)
    faucet = node.ledger.account(node.ledger.faucet.pubkey())
    if faucet is None or amount >= faucet.lamports:
        raise Refusal(INTERNAL_ERROR, "Internal error")
    signature, _ = node.ledger.airdrop(wanted, amount, blockhash=blockhash)
    return str(signature)


def simulate_transaction(node: Node, encoded: Any, config: Any) -> Any:
    options = Config(config, "RpcSimulateTransactionConfig")
    transaction = transactions.decode_transaction(encoded, options.get("encoding"))
    verify, renew = options.flag("sigVerify"), options.flag("replaceRecentBlockhash")
    calls = options.flag("innerInstructions")
    block = node.view(options)
    more: dict[str, Any] = {}
    if renew:
        if verify:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        more["replacementBlockhash"] = _blockhash(node, block)
        message = transaction.message
        assert isinstance(message, Message | MessageV0)
        transaction = transactions.unsigned(message)
    if verify:
        _verify(transaction)
    # With another blockhash the signature is another; the runtime itself looks at the blockhash for nothing else.
    outcome = node.ledger.simulate(transaction, block=block, any_blockhash=renew)
    transactions.require_sanitary(outcome)
    keys = node.ledger.keys_of(transaction)
    if options.get("accounts") is not None:
        wanted = Config(options.get("accounts"), "RpcSimulateTransactionAccountsConfig")
        more["accounts"] = _post_accounts(node, block, wanted, len(keys), outcome)
    if calls:
        more["innerInstructions"] = transactions.inner_instructions(outcome.inner, [str(key) for key in keys])
    return with_context(block, transactions.simulation(outcome, **more))


def _post_accounts(node: Node, block: Block, options: Config, most: int, outcome: Outcome) -> list[Any]:
    encoding = options.one_of("encoding", ENCODINGS, "base64")
    if encoding in ("binary", "base58"):
        raise invalid_params("base58 encoding not supported")
    addresses = params.texts(options.get("addresses"))
    if len(addresses) > most:
        raise invalid_params(f"Too many accounts provided; max {most}")
    if outcome.err is not None:
        return [None] * len(addresses)
    changed = dict(outcome.accounts)
    shown = []
    for address in addresses:
        key = params.pubkey(address)
        account = changed[key] if key in changed else node.account(key, block)
        shown.append(None if account is None else ui_account(account, encoding, None, lambda one: node.account(one, block)))
    return shown


# -- what became of them


def _confirmation(node: Node, slot: int) -> Commitment | None:
    for level in ("finalized", "confirmed", "processed"):
        if slot <= node.block(level).slot:
            return level
    return None


def get_signature_statuses(node: Node, signatures: Any, config: Any) -> Any:
    named = params.texts(signatures)
    if len(named) > MAX_STATUSES:
        raise invalid_params(f"Too many inputs provided; max {MAX_STATUSES}")
    wanted = [params.signature(one) for one in named]
    search = Config(config, "RpcSignatureStatusConfig").flag("searchTransactionHistory")
    block = node.block("processed")
    statuses: list[dict[str, Any] | None] = []
    for one in wanted:
        landed = node.ledger.landed(one)
        level = None if landed is None else _confirmation(node, landed.slot)
        if landed is None or level is None or (landed.slot < block.slot - _STATUS_SLOTS and not search):
            statuses.append(None)
            continue
        statuses.append(
            {
                "slot": landed.slot,
                # Simulated: one confirmation for each block on top.
                "confirmations": None if level == "finalized" else block.slot - landed.slot,
                "status": transactions.status(landed.outcome),
                "err": landed.outcome.err,
                "confirmationStatus": level,
            }
        )
    return with_context(block, statuses)


def get_signatures_for_address(node: Node, key: Any, config: Any) -> Any:
    wanted = params.pubkey(key)
    options = Config(config, "RpcSignaturesForAddressConfig")
    before, until = options.get("before"), options.get("until")
    first = None if before is None else params.signature(before)
    last = None if until is None else params.signature(until)
    limit = options.number("limit", "usize")
    limit = MAX_SIGNATURES if limit is None else limit
    if not 1 <= limit <= MAX_SIGNATURES:
        raise invalid_params(f"Invalid limit; max {MAX_SIGNATURES}")
    _at_least_confirmed(options.commitment())
    newest = node.view(options).slot
    found: list[dict[str, Any]] = []
    for landed in _older_than(node.ledger.landed_with(wanted), None if first is None else node.ledger.landed(first)):
        if landed.signature == last or len(found) == limit:
            break
        if landed.slot <= newest:
            found.append(
                {
                    "signature": str(landed.signature),
                    "slot": landed.slot,
                    "err": landed.outcome.err,
                    "memo": None,
                    "blockTime": landed.unix_timestamp,
                    "confirmationStatus": _confirmation(node, landed.slot),
                }
            )
    return found


def _older_than(newest_first: Iterator[Landed], bound: Landed | None) -> Iterator[Landed]:
    passed = bound is None
    for landed in newest_first:
        if passed:
            yield landed
        elif landed is bound:
            passed = True
        elif bound is not None and landed.slot < bound.slot:
            # ``before`` need not name the address: then its slot tells where to start.
            passed = True
            yield landed


def get_transaction(node: Node, signature: Any, config: Any) -> Any:
    wanted = params.signature(signature)
    # The second argument may be the encoding alone, as it once was.
    options = Config({"encoding": config} if isinstance(config, str) else config, "RpcTransactionConfig")
    encoding = options.one_of("encoding", transactions.ENCODINGS, "json")
    version = options.number("maxSupportedTransactionVersion", "u8")
    commitment = options.commitment()
    _at_least_confirmed(commitment)
    landed = node.ledger.landed(wanted)
    if landed is None or landed.slot > node.block(commitment).slot:
        return None
    return transactions.encode_landed(landed, encoding, version)


def _at_least_confirmed(commitment: Commitment) -> None:
    if commitment == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")
