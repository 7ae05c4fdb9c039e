"""The Wormhole receiver that a Pyth contract verifies with (and, for what they share, Wormhole's own core contract).

Structs: ``GuardianSet`` is (address[] keys, uint32 expirationTime), ``VM`` (uint8 version, uint32 timestamp, uint32 nonce,
uint16 emitterChainId, bytes32 emitterAddress, uint64 sequence, uint8 consistencyLevel, bytes payload, uint32 guardianSetIndex,
(bytes32 r, bytes32 s, uint8 v, uint8 guardianIndex)[] signatures, bytes32 hash). Both are dynamic.

A VAA that fails is answered with ``valid`` false and a reason; two faults revert (see :mod:`~probekit.codecs.evm.reverts`), and
a signature by an index outside the set panics. Source: pyth-crosschain
``target_chains/ethereum/contracts/contracts/wormhole-receiver``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.keccak import keccak256
from probekit.model.evm import Address
from probekit.model.pyth_evm import GuardianSetInfo, OnChainVaa, VaaJudgement

_VM: Final = "(uint8,uint32,uint32,uint16,bytes32,uint64,uint8,bytes,uint32,(bytes32,bytes32,uint8,uint8)[],bytes32)"

GET_CURRENT_GUARDIAN_SET_INDEX: Final = Function("getCurrentGuardianSetIndex()", "uint32")
GET_GUARDIAN_SET: Final = Function("getGuardianSet(uint32)", "(address[],uint32)")
GET_GUARDIAN_SET_EXPIRY: Final = Function("getGuardianSetExpiry()", "uint32")
CHAIN_ID: Final = Function("chainId()", "uint16")
GOVERNANCE_CHAIN_ID: Final = Function("governanceChainId()", "uint16")
GOVERNANCE_CONTRACT: Final = Function("governanceContract()", "bytes32")
GOVERNANCE_ACTION_IS_CONSUMED: Final = Function("governanceActionIsConsumed(bytes32)", "bool")
IS_INITIALIZED: Final = Function("isInitialized(address)", "bool")
PARSE_AND_VERIFY_VM: Final = Function("parseAndVerifyVM(bytes)", f"{_VM},bool,string")
VERIFY_VM: Final = Function(f"verifyVM({_VM})", "bool,string")
SUBMIT_NEW_GUARDIAN_SET: Final = Function("submitNewGuardianSet(bytes)")
MESSAGE_FEE: Final = Function("messageFee()", "uint256")

NO_QUORUM: Final = "no quorum"
BAD_SIGNATURE: Final = "VM signature invalid"
"""Reasons of a VAA that is not valid."""


class VerifyVmAnswer(msgspec.Struct, frozen=True, gc=False):
    """What ``verifyVM`` says; ``reason`` is empty for a valid message."""

    valid: bool
    reason: str


def get_current_guardian_set_index() -> ContractCall[int]:
    """The index of the set in force."""
    return GET_CURRENT_GUARDIAN_SET_INDEX.one()


def get_guardian_set(index: int) -> ContractCall[GuardianSetInfo]:
    """A set by index; one that the contract does not hold has no guardians."""
    return GET_GUARDIAN_SET.one(index).then(lambda row: GuardianSetInfo(index, *row))


RECEIVER_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "set_index": GET_CURRENT_GUARDIAN_SET_INDEX.one(),
    "set_expiry_s": GET_GUARDIAN_SET_EXPIRY.one(),
    "chain_id": CHAIN_ID.one(),
    "governance_chain_id": GOVERNANCE_CHAIN_ID.one(),
    "governance_contract": GOVERNANCE_CONTRACT.one(),
}
"""The configuration as calls, each under its name in :class:`~probekit.model.pyth_evm.ReceiverState`."""


def get_guardian_set_expiry_s() -> ContractCall[int]:
    """Seconds for which a replaced set stays valid. The receiver may answer 0 and use 86,400 all the same."""
    return GET_GUARDIAN_SET_EXPIRY.one()


def chain_id() -> ContractCall[int]:
    """Wormhole's number of this chain, which is not the EVM's."""
    return CHAIN_ID.one()


def governance_chain_id() -> ContractCall[int]:
    """Wormhole's number of the chain that governs guardian sets; 1."""
    return GOVERNANCE_CHAIN_ID.one()


def governance_contract() -> ContractCall[bytes]:
    """The 32-byte emitter that governs guardian sets; 4."""
    return GOVERNANCE_CONTRACT.one()


def governance_action_is_consumed(digest: bytes) -> ContractCall[bool]:
    """Whether the governance VAA of this digest was carried out."""
    return GOVERNANCE_ACTION_IS_CONSUMED.one(digest)


def is_initialized(implementation: Address) -> ContractCall[bool]:
    """Whether an implementation was set up behind this proxy."""
    return IS_INITIALIZED.one(implementation)


def message_fee_wei() -> ContractCall[int]:
    """What Wormhole's core contract asks for a message; the receiver has no such function."""
    return MESSAGE_FEE.one()


def parse_and_verify_vm(vaa: bytes) -> ContractCall[VaaJudgement]:
    """The contract's own judgement of a VAA: free, and final for updates on that chain."""
    return PARSE_AND_VERIFY_VM.call(vaa).then(_judgement)


def verify_vm(set_index: int, guardians: Sequence[int]) -> ContractCall[VerifyVmAnswer]:
    """The contract's judgement of an empty message under zero signatures by these guardians (positions in the set).

    None of it can be valid; the reason tells whether so many signatures would have been enough, since their number is looked at
    before the signatures are: see :func:`quorum_reached`.
    """
    signatures = [(bytes(32), bytes(32), 27, position) for position in guardians]
    # Wormhole's own contract compares the hash with the body first: 51 zeros, all its members in a row.
    digest = keccak256(keccak256(bytes(51)))
    vm = (1, 0, 0, 0, bytes(32), 0, 0, b"", set_index, signatures, digest)
    return VERIFY_VM.call(vm).then(lambda row: VerifyVmAnswer(*row))


def quorum_reached(answer: VerifyVmAnswer) -> bool:
    """Whether the signatures were as many as the contract asks for. Raises ``ValueError`` where its answer does not tell."""
    if answer.reason == NO_QUORUM:
        return False
    if answer.valid or answer.reason == BAD_SIGNATURE:
        return True
    raise ValueError(f"refused for another reason: {answer.reason!r}")


def submit_new_guardian_set(vaa: bytes) -> ContractCall[None]:
    """Install the next set; the VAA must be signed by the set in force. The receiver emits no event."""
    return SUBMIT_NEW_GUARDIAN_SET.nothing(vaa)


def _judgement(row: tuple[Any, ...]) -> VaaJudgement:
    vm, valid, reason = row
    # Everything before the signatures has a field of its own, in the same order.
    members: list[Any] = [*vm[:9], len(vm[9]), vm[10]]
    return VaaJudgement(valid, reason, OnChainVaa(*members))
