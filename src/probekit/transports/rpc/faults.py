"""JSON-RPC error objects by what they mean, whatever the provider calls them.

Two questions decide what a caller may do: may the *same* endpoint be asked again, may *another* be? Codes are used in
contradictory ways (``-32005`` is a rate limit at one provider, an unhealthy node on Solana, a range limit at a third), so the
words count where the code alone does not tell. Sources: EIP-1474, the Solana RPC error list
(``rpc-client-api/src/custom_error.rs``), eRPC's and proxyd's tables of normalised codes, providers' error pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from probekit.errors import (
    NotServed,
    ProbekitError,
    RangeTooLarge,
    Reverted,
    RpcError,
    RpcInternal,
    RpcRateLimited,
    StatusError,
)
from probekit.secret import cut
from probekit.units import NS_PER_S

_RATE: Final = re.compile(
    r"(?i)rate.?limit|too many requests?\b|request limit|requests? (?:per|limit)|limit exceeded for|exceeded .{0,40}"
    r"(?:compute units|credits|quota|capacity|rps|limit)|credits? .{0,40}limited|throttl|"
    r"(?:daily|monthly|usage) (?:request )?(?:count|limit)|quota|over capacity|\b429\b"
)
_BATCH: Final = re.compile(r"(?i)\bbatch(?:es|ed|ing)?\b")
_RANGE: Final = re.compile(
    r"(?i)block range|range (?:is )?too|query returned more than|more than \d+ results|response (?:size|(?:is )?too)|"
    r"too (?:large|big|wide|many (?:addresses|topics|results|inputs|accounts|items))|limited to (?:a )?\d+|"
    r"max(?:imum)? (?:block|\d+ (?:requests|calls))"
)
# A contract that halts gives nothing back: geth tells it in sentences, revm's kin (reth, anvil) and Frontier by a name after
# "EVM error", which also tells, by a few names, that their own state could not be read.
_REVERT: Final = re.compile(
    r"(?i)execution reverted|\brevert(?:ed)?\b|vm exception|invalid opcode|out of gas|"
    r"\bevm error:? (?!fatal|database|header|transaction|custom)\w|"
    r"invalid jump|stack (?:under|over)flow|stack limit reached|write protection|return data out of bounds"
)
# A node that is behind refuses a range that ends ahead of it (execution-apis, eth_getLogs; eth_feeHistory), in words that
# name the range: half of it would be refused as well, and another endpoint is not behind.
_AHEAD: Final = re.compile(
    r"(?i)beyond (?:the )?(?:current |latest |chain )?(?:head|block)|exceeds? (?:the )?(?:current |chain )?head|"
    r"invalid block range params|blocks? .{0,80}cannot be found|after last accepted block"
)
_MISSING_DATA: Final = re.compile(
    r"(?i)missing trie node|header not found|block not found|unknown block|state .{0,20}(?:not available|unavailable|pruned)|"
    r"pruned|not yet available|historical state|archive|ancient|cannot find block|unfinalized|minimum context slot|"
    r"behind|(?:un|not )healthy|not synced|syncing|ledger jump|slot .{0,30}(?:skipped|not available|cleaned up)|"
    r"long-term storage|block is out of range|cannot fulfill"
)
_UNSUPPORTED: Final = re.compile(
    r"(?i)method .{0,60}(?:not (?:found|supported|available|allowed|whitelisted|exist)|does not exist|disabled)|"
    r"unsupported method"
)
_FAILED: Final = re.compile(
    r"(?i)time[sd]?.?out|deadline exceeded|temporar(?:y|ily)|service unavailable|overloaded|\bbusy\b|upstream|bad gateway|"
    r"backend|connection (?:refused|reset|closed)|internal (?:server )?error|try again"
)
# A node that has the same signed bytes already: geth, reth, Erigon and anvil; OpenEthereum's kin; Nethermind; Besu; zkSync;
# Substrate's Frontier; CometBFT; agave (AlreadyProcessed). Words about a nonce are none: another transaction may have used it.
_KNOWN: Final = re.compile(
    r"(?i)already[ _]?(?:known|imported|been processed|processed)|"
    r"tx already exists in cache|\bknown transaction|same hash was already imported"
)
# What is in the pool must be this transaction: the message says so or names nothing, and no sender or nonce of another.
_POOLED: Final = re.compile(r"(?i)(?:^|: |\b(?:tx|transaction)\b.{0,120})already in (?:the )?(?:mem)?(?:pool|system)\b")
_OF_ANOTHER: Final = re.compile(r"(?i)\b(?:sender|nonce|account|address|another|different|other)\b")
_RETRY_IN: Final = re.compile(r"(?i)(?:retry|try again|try_again_in|wait)\D{0,20}?((?:\d{1,6}(?:\.\d+)? ?[a-zµ]+\s?)+)")
_DURATION: Final = re.compile(r"(?i)(\d{1,6}(?:\.\d+)?) ?(ms|milliseconds?|s|seconds?|secs?|m|min(?:ute)?s?|h|hours?)(?![a-z])")
_UNIT_NS: Final = {"ms": NS_PER_S // 1000, "mi": 60 * NS_PER_S, "m": 60 * NS_PER_S, "s": NS_PER_S, "h": 3600 * NS_PER_S}

_EXECUTES: Final = frozenset(("eth_call", "eth_estimateGas", "eth_createAccessList"))

# The codes by which providers and proxies name a rate limit whatever the words: 429 in the body, -32029, -32090, -32097.
_RATE_CODES: Final = frozenset((429, -32029, -32090, -32097))
_RANGE_CODES: Final = frozenset((-32000, -32005, -32012, -32014, -32020, -32021, -32600, -32602, -32614, -32701, 35, 413))
"""Codes under which words about size mean size: in a revert's or another error's text they may mean anything."""

# -32004 block not available, -32005 node unhealthy, -32007 and -32009 slot skipped, -32008 no snapshot, -32010 key excluded
# from secondary index, -32014 block status not yet available, -32016 minimum context slot not reached.
_SOLANA_NOT_SERVED: Final = frozenset((-32001, -32004, -32007, -32008, -32009, -32010, -32011, -32014, -32016))
# EIP-1474 resource not found, eRPC's missing data. The others are rate limits and gateways' own where methods have a namespace.
_EVM_NOT_SERVED: Final = frozenset((-32001, -32014))


def error_of(code: int, message: str, data: Any, *, method: str) -> RpcError:
    """The error of a JSON-RPC error object. ``message`` is kept, cut at 300 characters; ``data`` whole.

    ``code`` is 0 where there was none: then a gateway spoke and not a node, and another endpoint may be asked.
    """
    words = cut(" ".join(message.split()), 300) or "no message"
    about: dict[str, Any] = {"code": code, "data": data, "method": method}
    shown = f"{method}: {words} (code {code})"
    # The words that a provider puts into data explain the code as well as the message does.
    said = f"{message} {data}" if isinstance(data, str) and len(data) < 500 else message
    if isinstance(data, dict) and "numSlotsBehind" in data:
        return NotServed(shown, **about)
    if code == 3 or (_REVERT.search(said) and method in _EXECUTES):
        return Reverted(shown, **about, revert_data=_revert_data(data))
    if code in _RATE_CODES or _RATE.search(said):
        return RpcRateLimited(shown, **about, retry_after_ns=_retry_after_ns(said, data))
    if _AHEAD.search(said) and method not in _EXECUTES:
        return NotServed(shown, **about)
    if _BATCH.search(said) or code == -32012 or (code in _RANGE_CODES and _RANGE.search(said)):
        return RangeTooLarge(shown, **about)
    if code in (-32601, -32004) or _UNSUPPORTED.search(said):
        return NotServed(shown, **about)
    if code in (_EVM_NOT_SERVED if "_" in method else _SOLANA_NOT_SERVED) or _MISSING_DATA.search(said):
        return NotServed(shown, **about)
    if code == -32005:
        # EIP-1474's "limit exceeded" without a word about what was limited.
        return RpcRateLimited(shown, **about, retry_after_ns=_retry_after_ns(said, data))
    # A failed preflight (-32002 on Solana) quotes the program's log, which may say anything.
    quotes = "send" in method.lower() or method.startswith("simulate")
    if code in (-32603, -1) or (_FAILED.search(said) and not quotes):
        return RpcInternal(shown, **about)
    if code == 0:
        return NotServed(shown, **about)
    return RpcError(shown, **about)


def refuses_batches(outcomes: Sequence[object]) -> bool:
    """Whether every outcome of a batch is a refusal of the batch itself, in words, by size, or by "invalid request"."""
    return all(
        isinstance(item, RangeTooLarge) or (isinstance(item, RpcError) and item.code in (-32600, -32700)) for item in outcomes
    )


def known_already(error: RpcError) -> bool:
    """Whether a node refuses a signed transaction because it has the very same one.

    What reverts tells of its contract, and that may have processed something already by another transaction.
    """
    said = error.message
    if isinstance(error, Reverted) or "revert" in said.lower() or _REVERT.search(said):
        return False
    told = error.data.get("err") if isinstance(error.data, dict) else None
    if told == "AlreadyProcessed" or _KNOWN.search(said):
        return True
    return _POOLED.search(said) is not None and _OF_ANOTHER.search(said) is None


def has_it(outcome: object) -> bool:
    """Whether the outcome of a send says that the node had the transaction before: as good as if it took it now."""
    return isinstance(outcome, RpcError) and known_already(outcome)


def may_ask_another(error: ProbekitError) -> bool:
    """Whether another endpoint may answer what ended in ``error`` here.

    Any HTTP status does not answer the question: a gateway that forbids, moved or does not know the path is no node.
    """
    return error.retry_other or isinstance(error, StatusError)


def _revert_data(data: Any) -> bytes:
    """What the contract gave back: clients nest it as text or in an object, some with a word before."""
    if isinstance(data, dict):
        for key in ("data", "result", "originalError", "return"):
            if key in data:
                return _revert_data(data[key])
        return b""
    if isinstance(data, str):
        text = data.rpartition(" ")[2].removeprefix("0x")
        try:
            return bytes.fromhex(text)
        except ValueError:
            return b""
    return b""


def _retry_after_ns(said: str, data: Any) -> int | None:
    if isinstance(data, dict):
        for key in ("try_again_in", "retry_after", "backoff_seconds"):
            value = data.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 86_400:
                return int(value * NS_PER_S)
            if isinstance(value, str) and (wait_ns := _duration_ns(value)) is not None:
                return wait_ns
        rate = data.get("rate")
        if isinstance(rate, dict):
            return _retry_after_ns("", rate)
    found = _RETRY_IN.search(said[:500])
    return None if found is None else _duration_ns(found[1])


def _duration_ns(text: str) -> int | None:
    """``1.5s``, ``250 ms``, ``10m0s``; ``None`` for what is none or above a day."""
    parts = _DURATION.findall(text[:40]) or _DURATION.findall(re.sub(r"(?<=[a-z])(?=\d)", " ", text[:40]))
    total_ns = sum(int(float(number) * _UNIT_NS.get(unit[:2].lower(), _UNIT_NS[unit[0].lower()])) for number, unit in parts)
    return total_ns if parts and total_ns < 86_400 * NS_PER_S else None
