"""The executor contract: owner of Entropy and of Lazer's verifier on a chain, which calls them as governance says.

It takes governance VAAs of module 2 (:class:`~probekit.model.governance.EvmExecute`) for its own address. Source:
pyth-crosschain ``target_chains/ethereum/contracts/contracts/executor/{Executor,ExecutorErrors}.sol``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from probekit.codecs.evm.contract import SELECTOR_SIZE, ContractCall, Function, selector
from probekit.codecs.evm.pyth import sorted_out
from probekit.codecs.evm.reverts import decode_revert
from probekit.model.pyth_evm import DataSource, PythRevert, Unanswered

GET_OWNER_CHAIN_ID: Final = Function("getOwnerChainId()", "uint64")
GET_OWNER_EMITTER_ADDRESS: Final = Function("getOwnerEmitterAddress()", "bytes32")
GET_LAST_EXECUTED_SEQUENCE: Final = Function("getLastExecutedSequence()", "uint64")
EXECUTE: Final = Function("execute(bytes)", "bytes", payable=True)


class ExecutorError(StrEnum):
    """Custom errors of the executor's own; InvalidWormholeVaa and InvalidGovernanceTarget are as the price contract's."""

    UNAUTHORIZED_EMITTER = "UnauthorizedEmitter"
    MESSAGE_OUT_OF_ORDER = "MessageOutOfOrder"
    EXECUTION_REVERTED = "ExecutionReverted"
    DESERIALIZATION_ERROR = "DeserializationError"
    INVALID_CONTRACT_TARGET = "InvalidContractTarget"
    INVALID_MAGIC_VALUE = "InvalidMagicValue"


CAUSES: Final = {
    ExecutorError.UNAUTHORIZED_EMITTER: "an emitter that does not govern this executor",
    ExecutorError.MESSAGE_OUT_OF_ORDER: "a message that is not after the last executed one",
    ExecutorError.EXECUTION_REVERTED: "the called contract reverted without a reason",
    ExecutorError.DESERIALIZATION_ERROR: "no message for an executor, or one for another executor of this chain",
    ExecutorError.INVALID_CONTRACT_TARGET: "the address to call has no code",
    ExecutorError.INVALID_MAGIC_VALUE: "an implementation of another contract",
}
_SELECTORS: Final = {selector(f"{error}()"): error for error in ExecutorError}


class ExecutorState(msgspec.Struct, frozen=True):
    """Who governs an executor, and what it executed last; ``None`` where it did not answer, which is then in ``unanswered``."""

    owner: DataSource | None = None
    last_executed_sequence: int | None = None
    unanswered: tuple[Unanswered, ...] = ()


EXECUTOR_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "owner_chain_id": GET_OWNER_CHAIN_ID.one(),
    "owner_emitter": GET_OWNER_EMITTER_ADDRESS.one(),
    "last_executed_sequence": GET_LAST_EXECUTED_SEQUENCE.one(),
}
"""What it says of itself as calls, by name: one batch reads all."""


def executor_state(outcomes: Mapping[str, object]) -> ExecutorState:
    """The state from the outcomes of :data:`EXECUTOR_CALLS`, by name: values, or the errors of those that failed."""
    values, unanswered = sorted_out({name: outcomes.get(name) for name in EXECUTOR_CALLS})
    chain, emitter = values.get("owner_chain_id"), values.get("owner_emitter")
    owner = None if chain is None or emitter is None else DataSource(chain, emitter)
    return ExecutorState(owner, values.get("last_executed_sequence"), unanswered)


def execute(vaa: bytes) -> ContractCall[bytes]:
    """Carry out a governance VAA; anyone may send it. The answer is that of the contract called."""
    return EXECUTE.one(vaa)


def decode_executor_revert(data: bytes) -> PythRevert:
    """What an executor's revert data says; that of the contract it called comes through unchanged."""
    error = _SELECTORS.get(data[:SELECTOR_SIZE])
    if error is None or len(data) != SELECTOR_SIZE:
        return decode_revert(data)
    return PythRevert(str(error), data, CAUSES[error], data)
