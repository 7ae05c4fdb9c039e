"""JSON-RPC error objects by what they mean, whatever the provider calls them.

Two questions decide what a caller may do: may the *same* endpoint be asked again, may *another* be? Codes are used in
contradictory ways (``-32005`` is a rate limit at one provider, an unhealthy node on Solana, a range limit at a third), so the
words count where the code alone does not tell. Sources: EIP-1474, the Solana RPC error list
(``rpc-client-api/src/custom_error.rs``), eRPC's and proxyd's tables of normalised codes, providers' error pages.
"""

from __future__ import annotations

import re
from typing import Any, Final

from probekit.errors import (
    NotServed,
    RangeTooLarge,
    Reverted,
    RpcError,
    RpcInternal,
    RpcRateLimited,
)
from probekit.units import NS_PER_S

_RATE: Final = re.compile(
    r"(?i)rate.?limit|too many requests|request limit|requests? (?:per|limit)|limit exceeded for|exceeded .{0,40}"
    r"(?:compute units|credits|quota|capacity)|throttl|(?:daily|monthly) (?:request )?(?:count|limit)|over capacity|\b429\b"
)
_RANGE: Final = re.compile(
    r"(?i)block range|range (?:is )?too|query returned more than|more than \d+ results|response size|too (?:large|big|wide|"
    r"many (?:addresses|topics|results|inputs|accounts|items))|batch (?:size|limit|of more|too)|limited to (?:a )?\d+|"
    r"max(?:imum)? (?:batch|block|\d+ (?:requests|calls))"
)
# A contract that halts gives nothing back: geth tells it in sentences, revm's kin (reth, anvil) and Frontier by a name after
# "EVM error", which also tells, by a few names, that their own state could not be read.
_REVERT: Final = re.compile(
    r"(?i)execution reverted|\brevert(?:ed)?\b|vm exception|invalid opcode|out of gas|"
    r"\bevm error:? (?!fatal|database|header|transaction|custom)\w|"
    r"invalid jump|stack (?:under|over)flow|stack limit reached|write protection|return data out of bounds"
)
_MISSING_DATA: Final = re.compile(
    r"(?i)missing trie node|header not found|block not found|unknown block|state .{0,20}(?:not available|unavailable|pruned)|"
    r"pruned|not yet available|historical state|archive|ancient|cannot find block|unfinalized|minimum context slot|"
    r"behind|unhealthy|not synced|syncing|ledger jump|slot .{0,30}(?:skipped|not available|cleaned up)|long-term storage"
)
_UNSUPPORTED: Final = re.compile(
    r"(?i)method .{0,60}(?:not (?:found|supported|available|allowed|whitelisted|exist)|does not exist|disabled)|"
    r"unsupported method"
)
_RETRY_IN: Final = re.compile(r"(?i)(?:retry|try again|wait)\D{0,20}(\d{1,4}(?:\.\d+)?) ?(ms|milliseconds?|s\b|sec|seconds?)")

_EXECUTES: Final = frozenset(("eth_call", "eth_estimateGas", "eth_createAccessList"))

# -32004 block not available, -32005 node unhealthy, -32007 and -32009 slot skipped, -32008 no snapshot, -32010 key excluded
# from secondary index, -32014 block status not yet available, -32016 minimum context slot not reached.
_SOLANA_NOT_SERVED: Final = frozenset((-32001, -32004, -32007, -32008, -32009, -32010, -32011, -32014, -32016))


def error_of(code: int, message: str, data: Any, *, method: str) -> RpcError:
    """The error of a JSON-RPC error object. ``message`` is kept, cut at 300 characters; ``data`` as it came."""
    words = " ".join(message.split())[:300] or "no message"
    shown = f"{method}: {words} (code {code})"
    # The words that a provider puts into data explain the code as well as the message does.
    said = f"{message} {data}" if isinstance(data, str) and len(data) < 500 else message
    if isinstance(data, dict) and "numSlotsBehind" in data:
        return NotServed(shown, code=code, data=data, method=method)
    if code == 3 or (_REVERT.search(said) and method in _EXECUTES):
        return Reverted(shown, code=code, data=data, method=method, revert_data=_revert_data(data))
    if code in (429, -32029, -32097) or _RATE.search(said):
        return RpcRateLimited(shown, code=code, data=data, method=method, retry_after_ns=_retry_after_ns(said, data))
    if code == -32012 or (code in (-32005, -32602, -32600, -32000, -32614, -32701, 413) and _RANGE.search(said)):
        return RangeTooLarge(shown, code=code, data=data, method=method)
    if code == -32601 or code == -32004 or _UNSUPPORTED.search(said):
        return NotServed(shown, code=code, data=data, method=method)
    if code in _SOLANA_NOT_SERVED or _MISSING_DATA.search(said):
        return NotServed(shown, code=code, data=data, method=method)
    if code == -32005:
        # EIP-1474's "limit exceeded" without a word about what was limited.
        return RpcRateLimited(shown, code=code, data=data, method=method)
    if code == -32603:
        return RpcInternal(shown, code=code, data=data, method=method)
    return RpcError(shown, code=code, data=data, method=method)


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
        for key, scale in (("try_again_in", NS_PER_S), ("retry_after", NS_PER_S), ("backoff_seconds", NS_PER_S)):
            value = data.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 86_400:
                return int(value * scale)
        rate = data.get("rate")
        if isinstance(rate, dict):
            return _retry_after_ns("", rate)
    if found := _RETRY_IN.search(said):
        scale = NS_PER_S // 1000 if found[2].lower().startswith("m") else NS_PER_S
        return int(float(found[1]) * scale)
    return None
