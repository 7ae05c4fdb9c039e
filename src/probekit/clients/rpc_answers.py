"""The same questions to every endpoint of a chain, each by itself and all at one height: for probes that compare them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from probekit.clients.each_endpoint import same_chain
from probekit.codecs.evm_rpc import data as hex_data
from probekit.codecs.solana import rpc as svm_rpc
from probekit.errors import DecodeError, NotServed, ProbekitError, Reverted
from probekit.model.evm import Address
from probekit.model.pubkey import Pubkey
from probekit.model.rpc_answer import RpcAnswer
from probekit.model.solana import Commitment
from probekit.transports.rpc import EVM, SVM, Call, Outcome
from probekit.transports.rpc.family import quantity, result_of
from probekit.transports.rpc.wire import raised

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient
    from probekit.clients.solana import SolanaClient

__all__ = ["BLOCK", "EvmQuestions", "Questions", "SvmQuestions"]

BLOCK = "block"
"""The question that every chain is asked: which block stands at the height."""

Answers = dict[str, RpcAnswer | ProbekitError]
"""By question: the answer, or why there is none."""

_SKIPPED = frozenset((-32007, -32009))


class Questions(Protocol):
    """What is asked of a client of one endpoint, whatever its family."""

    @property
    def names(self) -> list[str]: ...
    async def head(self, client: Any) -> int: ...
    async def ask(self, client: Any, height: int) -> Answers: ...


@dataclass(frozen=True)
class EvmQuestions:
    """The block, what accounts hold, sent and run, and what contracts answer: ``calls`` by name, as (contract, calldata)."""

    accounts: Sequence[str] = ()
    calls: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Every question, by name."""
        return [BLOCK, *self.accounts, *self.calls]

    async def head(self, client: EvmClient) -> int:
        """Number of the newest block. Raises ``WrongChain``, and what reading it raises."""
        identity, newest = await client.pool.batch([EVM.identity_call, EVM.head_call])
        same_chain(client.pool.endpoints[0].label, EVM.identity(result_of(raised(identity))), str(client.chain_id))
        return EVM.head(result_of(raised(newest)))

    async def ask(self, client: EvmClient, height: int) -> Answers:
        """Every answer at that block, in one request."""
        at = hex(height)
        calls = [Call("eth_getBlockByNumber", [at, False])]
        for account in self.accounts:
            address = Address(account)
            calls += [Call(method, [address, at]) for method in ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")]
        for to, data in self.calls.values():
            calls.append(Call("eth_call", [{"to": Address(to), "data": "0x" + data.hex()}, at]))
        outcomes = iter(await client.pool.batch(calls))
        found: Answers = {BLOCK: _answer(height, _block, next(outcomes))}
        for account in self.accounts:
            found[account] = _answer(height, _account, next(outcomes), next(outcomes), next(outcomes))
        for name in self.calls:
            found[name] = _answer(height, _returned, next(outcomes))
        return found


@dataclass(frozen=True)
class SvmQuestions:
    """The block of a slot, and accounts as of each node's own finalized slot: a node reads none as of another."""

    accounts: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Every question, by name."""
        return [BLOCK, *self.accounts]

    async def head(self, client: SolanaClient) -> int:
        """The newest finalized slot. Raises ``WrongChain``, and what reading it raises."""
        identity, newest = await client.pool.batch(
            [SVM.identity_call, Call("getSlot", [{"commitment": str(Commitment.FINALIZED)}])]
        )
        if client.pool.identity is not None:
            same_chain(client.pool.endpoints[0].label, SVM.identity(result_of(raised(identity))), client.pool.identity)
        return svm_rpc.decode_count(result_of(raised(newest)))

    async def ask(self, client: SolanaClient, height: int) -> Answers:
        """The block at that slot and every account, in one request."""
        config = {
            "commitment": str(Commitment.FINALIZED),
            "transactionDetails": "none",
            "rewards": False,
            "maxSupportedTransactionVersion": 0,
        }
        calls = [Call("getBlock", [height, config])]
        keys = [Pubkey(account) for account in self.accounts]
        if keys:
            shape = {"commitment": str(Commitment.FINALIZED), "encoding": "base64"}
            calls.append(Call("getMultipleAccounts", [[str(key) for key in keys], shape]))
        outcomes = await client.pool.batch(calls)
        found: Answers = {BLOCK: _answer(height, _slot_block, outcomes[0])}
        if not keys:
            return found
        try:
            page = svm_rpc.decode_accounts(result_of(raised(outcomes[1])), keys)
        except ProbekitError as error:
            return found | dict.fromkeys(self.accounts, error)
        for account, item in zip(self.accounts, page.items, strict=True):
            if isinstance(item, ProbekitError):
                found[account] = item
            elif item is None:
                found[account] = RpcAnswer("no account", page.slot)
            else:
                told = f"{item.lamports} lamports of {item.owner}, data {_digest(item.data)}"
                found[account] = RpcAnswer(told, page.slot)
        return found


def _answer(height: int, read: Any, *outcomes: Outcome) -> RpcAnswer | ProbekitError:
    try:
        return RpcAnswer(read(*outcomes), height)
    except ProbekitError as error:
        return error


def _block(outcome: Outcome) -> str:
    found = result_of(raised(outcome))
    told = found.get("hash") if isinstance(found, dict) else None
    if not isinstance(told, str):
        raise DecodeError("no block at that height, or one without a hash", raw=str(found)[:200])
    return told.lower()[:80]


def _account(balance: Outcome, nonce: Outcome, code: Outcome) -> str:
    held, sent = quantity(result_of(raised(balance))), quantity(result_of(raised(nonce)))
    return f"{held} wei, nonce {sent}, code {_digest(hex_data(result_of(raised(code)), 'code'))}"


def _returned(outcome: Outcome) -> str:
    if isinstance(outcome, Reverted) and outcome.revert_data:
        # The contract's own answer: nodes word it differently.
        return f"reverted {_bytes(outcome.revert_data)}"
    return _bytes(hex_data(result_of(raised(outcome)), "the answer"))


def _slot_block(outcome: Outcome) -> str:
    if isinstance(outcome, NotServed) and outcome.code in _SKIPPED:
        return "no block, the slot was skipped"
    found = result_of(raised(outcome))
    told = found.get("blockhash") if isinstance(found, dict) else None
    if not isinstance(told, str):
        raise DecodeError("no block at that slot, or one without a hash", raw=str(found)[:200])
    return told[:80]


def _bytes(data: bytes) -> str:
    """Whole where it is short, else its beginning and its digest."""
    return f"0x{data.hex()}" if len(data) <= 32 else f"0x{data[:8].hex()}... {_digest(data)}"


def _digest(data: bytes) -> str:
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}" if data else "none"
