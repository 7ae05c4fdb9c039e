"""Whether a contract would carry out a governance VAA, by what the contract says of itself. Signatures are not looked at: a
receiver's own word on those is ``parseAndVerifyVM``.

Source: pyth-crosschain ``target_chains/ethereum/contracts/contracts/{pyth/PythGovernance,executor/Executor}.sol``.
"""

from __future__ import annotations

from probekit.codecs.evm.executor import ExecutorError, ExecutorState
from probekit.codecs.governance.chains import chain_label
from probekit.codecs.governance.description import caveats
from probekit.codecs.governance.envelope import GovernanceVaa
from probekit.errors import DecodeError
from probekit.model.evm import Address
from probekit.model.governance import EVERY_CHAIN, EvmExecute, GovernanceMessage, SetFee
from probekit.model.pyth_evm import ContractState, DataSource, PythError


def contract_refusals(found: GovernanceVaa, state: ContractState) -> tuple[str, ...]:
    """Why a Pyth contract in this state refuses it, each with the error it reverts with; empty where nothing speaks against it.

    What the state does not tell is said to be not known.
    """
    errors = (PythError.INVALID_GOVERNANCE_DATA_SOURCE, PythError.OLD_GOVERNANCE_MESSAGE)
    told = _sent(found, state.governance_data_source, state.last_executed_governance_sequence, errors)
    message = found.content
    if not isinstance(message, GovernanceMessage):
        return (*told, _no_message(message))
    if message.action.module != SetFee.module:
        told.append(f"{PythError.INVALID_GOVERNANCE_TARGET}: for module {message.action.module}, not {SetFee.module}")
    return (*told, *_for(message, state.chain_id), *caveats(message))


def executor_refusals(found: GovernanceVaa, state: ExecutorState, address: str, chain_id: int) -> tuple[str, ...]:
    """Why the executor at ``address``, in this state, refuses it; ``chain_id`` is Wormhole's number of its chain."""
    errors = (ExecutorError.UNAUTHORIZED_EMITTER, ExecutorError.MESSAGE_OUT_OF_ORDER)
    told = _sent(found, state.owner, state.last_executed_sequence, errors)
    message = found.content
    if not isinstance(message, GovernanceMessage):
        return (*told, f"{ExecutorError.DESERIALIZATION_ERROR}: no message for an executor")
    action = message.action
    if not isinstance(action, EvmExecute):
        told.append(f"{PythError.INVALID_GOVERNANCE_TARGET}: for module {action.module}, not {EvmExecute.module}")
    elif action.executor != Address(address):
        told.append(f"{ExecutorError.DESERIALIZATION_ERROR}: for the executor at {action.executor}")
    return (*told, *_for(message, chain_id))


def _sent(found: GovernanceVaa, governs: DataSource | None, last: int | None, errors: tuple[str, str]) -> list[str]:
    """What speaks against who sent it, and when."""
    stranger, late = errors
    told = []
    if governs is None:
        told.append("not known: who governs the contract")
    elif governs != found.source:
        told.append(f"{stranger}: {found.source.emitter.hex()} on {chain_label(found.source.chain_id)} does not govern it")
    if last is None:
        told.append("not known: which sequence was executed last")
    elif found.vaa.sequence <= last:
        told.append(f"{late}: sequence {found.vaa.sequence}, {last} was executed")
    return told


def _for(message: GovernanceMessage, chain_id: int | None) -> list[str]:
    """What speaks against where it is for."""
    if chain_id is None:
        return ["not known: the contract's own chain number"]
    if message.target_chain in (EVERY_CHAIN, chain_id):
        return []
    return [f"{PythError.INVALID_GOVERNANCE_TARGET}: for {chain_label(message.target_chain)}, not {chain_label(chain_id)}"]


def _no_message(content: object) -> str:
    if isinstance(content, DecodeError):
        return f"{PythError.INVALID_GOVERNANCE_MESSAGE}: {content.message}"
    return f"{PythError.INVALID_GOVERNANCE_MESSAGE}: a set of guardians is for the contract's Wormhole receiver"
