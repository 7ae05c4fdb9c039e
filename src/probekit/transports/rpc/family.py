"""What a pool must know of a chain family: how a node says which chain it serves, where its head is and whether it follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from probekit.errors import DecodeError, NotServed
from probekit.secret import cut
from probekit.transports.rpc.wire import Call, Outcome


@dataclass(frozen=True, slots=True)
class ChainFamily:
    """``identity`` and ``head`` are calls with readers of their results; ``sync`` reads the outcome of ``sync_call``.

    ``guard`` is the call that tells how far an endpoint is whose answer to a call does not tell it, ``None`` where it does;
    ``told`` reads that of an answer: its ``unit``, ``None`` where it tells none.

    ``effects`` matches the methods with an effect: never retried, never hedged, never in a batch. ``costs`` are the methods
    that take more than one token of an endpoint's rate limit. ``kinds`` are the methods, or their prefixes up to ``_``, that
    providers serve from elsewhere or limit by themselves: each kind has a breaker and a p95 of its own.
    """

    name: str
    identity_call: Call
    identity: Callable[[Any], str]
    head_call: Call
    head: Callable[[Any], int]
    sync_call: Call
    sync: Callable[[Outcome], str]
    unit: str
    guard: Callable[[Call], Call | None]
    told: Callable[[Call, msgspec.Raw], int | None]
    effects: re.Pattern[str]
    costs: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def has_effect(self, method: str) -> bool:
        """Whether ``method`` changes something: it goes out through a pool's ``send`` alone."""
        return self.effects.match(method) is not None

    def kind(self, calls: Sequence[Call]) -> str:
        """What these calls are to a provider: a kind of :attr:`kinds`, ``batch``, or nothing special (the empty text)."""
        if self.kinds:
            for call in calls:
                found = self.kinds.get(call.method) or self.kinds.get(call.method.partition("_")[0] + "_")
                if found is not None:
                    return found
        return "batch" if len(calls) > 1 else ""


def result_of(raw: msgspec.Raw) -> Any:
    """A result as plain Python values. Raises ``DecodeError``."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}", raw=bytes(raw)) from None


def quantity(value: Any) -> int:
    """A hex quantity of Ethereum's JSON-RPC. Raises ``DecodeError``."""
    # int alone would read underscores, and digits of any script.
    if isinstance(value, str) and value[:2] in ("0x", "0X") and len(value) <= 66 and value.isascii() and value.isalnum():
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise DecodeError(f"{cut(str(value), 80)!r} is not a hex quantity", raw=str(value))


def _slot(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise DecodeError(f"{cut(str(value), 80)!r} is not a slot", raw=str(value))


def _genesis(value: Any) -> str:
    if isinstance(value, str) and 32 <= len(value) <= 44:
        return value
    raise DecodeError(f"{cut(str(value), 80)!r} is not a genesis hash", raw=str(value))


def _evm_sync(outcome: Outcome) -> str:
    if not isinstance(outcome, msgspec.Raw):
        return ""  # Many providers switch eth_syncing off: that says nothing.
    told = result_of(outcome)
    if not isinstance(told, dict):
        return ""
    return f"eth_syncing: at {told.get('currentBlock', '?')} of {told.get('highestBlock', '?')}"[:120]


def _svm_sync(outcome: Outcome) -> str:
    if isinstance(outcome, NotServed) and outcome.code == -32005:
        return outcome.message[:120]
    return ""


class _OfBlock(msgspec.Struct):
    number: str | None = None


class _Context(msgspec.Struct):
    slot: int | None = None


class _AsOf(msgspec.Struct):
    context: _Context = msgspec.field(default_factory=_Context)


_as_of: Final = msgspec.json.Decoder(_AsOf)
_of_block: Final = msgspec.json.Decoder(_OfBlock)
_CONTEXTUAL: Final = frozenset(
    (
        "getAccountInfo", "getBalance", "getFeeForMessage", "getLatestBlockhash", "getMultipleAccounts", "getSignatureStatuses",
        "getSupply", "getTokenAccountBalance", "getTokenAccountsByDelegate", "getTokenAccountsByOwner",
        "getTokenLargestAccounts", "getTokenSupply", "isBlockhashValid", "simulateTransaction",
    )
)  # fmt: skip
"""Solana's methods whose answers say as of which slot they are."""


def _values(call: Call) -> list[Any]:
    return list(call.params.values() if isinstance(call.params, dict) else call.params)


def _evm_guard(call: Call) -> Call | None:
    if call.method in ("eth_blockNumber", "eth_getBlockByNumber"):
        return None
    tag = next((value for value in _values(call) if value in ("safe", "finalized")), None)
    return _EVM_HEAD if tag is None else Call("eth_getBlockByNumber", [tag, False])


def _evm_told(call: Call, answer: msgspec.Raw) -> int | None:
    try:
        if call.method == "eth_blockNumber":
            return quantity(result_of(answer))
        found = _of_block.decode(answer).number
        return None if found is None else quantity(found)
    except (DecodeError, msgspec.DecodeError, ValueError, RecursionError):
        return None


def _svm_guard(call: Call) -> Call | None:
    config = next((value for value in reversed(_values(call)) if isinstance(value, dict)), {})
    if (
        call.method in _CONTEXTUAL
        or call.method == "getSlot"
        or (call.method == "getProgramAccounts" and "withContext" in config)
    ):
        return None
    commitment = config.get("commitment")
    return _SVM_HEAD if commitment is None else Call("getSlot", [{"commitment": commitment}])


def _svm_told(call: Call, answer: msgspec.Raw) -> int | None:
    try:
        return _slot(result_of(answer)) if call.method == "getSlot" else _as_of.decode(answer).context.slot
    except (DecodeError, msgspec.DecodeError, ValueError, RecursionError):
        return None


_EVM_HEAD: Final = Call("eth_blockNumber")
_SVM_HEAD: Final = Call("getSlot", [{"commitment": "confirmed"}])

EVM: Final = ChainFamily(
    name="evm",
    identity_call=Call("eth_chainId"),
    identity=lambda value: str(quantity(value)),
    head_call=_EVM_HEAD,
    head=quantity,
    sync_call=Call("eth_syncing"),
    sync=_evm_sync,
    unit="block",
    guard=_evm_guard,
    told=_evm_told,
    # Whatever a namespace calls it: eth_sendRawTransaction, eth_sendBundle, mev_sendBundle, eth_submitWork. The last row is of
    # nodes for development, of miners and of administrators.
    effects=re.compile(
        r"(?:[a-z0-9]+_)?(?:send|submit)[A-Z]|(?:anvil|hardhat|evm|tenderly|miner|admin|personal|engine)_|debug_setHead"
    ),
    costs={"eth_getLogs": 5, "eth_feeHistory": 2},
    kinds={"eth_getLogs": "logs", "debug_": "trace", "trace_": "trace"},
)
"""Ethereum and its kin: a chain is its ``eth_chainId``, in decimal."""

SVM: Final = ChainFamily(
    name="svm",
    identity_call=Call("getGenesisHash"),
    identity=_genesis,
    head_call=_SVM_HEAD,
    head=_slot,
    sync_call=Call("getHealth"),
    sync=_svm_sync,
    unit="slot",
    guard=_svm_guard,
    told=_svm_told,
    effects=re.compile(r"send[A-Z]|requestAirdrop"),
    costs={"getProgramAccounts": 10, "getMultipleAccounts": 2},
    kinds={
        "getProgramAccounts": "scan",
        "getTokenAccountsByOwner": "scan",
        "getSignaturesForAddress": "history",
        "getTransaction": "history",
        "getBlock": "history",
        "getBlocks": "history",
    },
)
"""Solana and its kin: a chain is its genesis hash, in base58."""
