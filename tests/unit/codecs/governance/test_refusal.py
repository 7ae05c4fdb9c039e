"""Whether a contract would carry a message out, by what it says of itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.evm.executor import ExecutorState
from probekit.codecs.governance.core import encode_set_upgrade
from probekit.codecs.governance.envelope import GovernanceVaa, decode_vaa
from probekit.codecs.governance.message import encode
from probekit.codecs.governance.refusal import contract_refusals, executor_refusals
from probekit.codecs.vaa import Vaa
from probekit.model.evm import Address
from probekit.model.governance import EvmExecute, GovernanceAction, GovernanceMessage, SetFee, UpgradeContract
from probekit.model.pyth_evm import ContractState, DataSource

EMITTER = b"\x56" * 32
HERE = Address(b"\x66" * 20)
CONTRACT = ContractState(chain_id=30, governance_data_source=DataSource(1, EMITTER), last_executed_governance_sequence=420)
EXECUTOR = ExecutorState(DataSource(1, EMITTER), 420)
CALL = EvmExecute(HERE, Address(b"\x77" * 20), 0, b"")


def sent(action: GovernanceAction, chain: int = 30, *, emitter: bytes = EMITTER, sequence: int = 421) -> GovernanceVaa:
    payload = encode(GovernanceMessage(chain, action))
    return decode_vaa(Vaa(1, (), 0, 0, 1, emitter, sequence, 1, payload))


def test_nothing_speaks_against_it() -> None:
    assert contract_refusals(sent(SetFee(1, 0)), CONTRACT) == ()
    assert contract_refusals(sent(SetFee(1, 0), 0), CONTRACT) == ()
    assert executor_refusals(sent(CALL), EXECUTOR, HERE, 30) == ()
    assert executor_refusals(sent(CALL, 0), EXECUTOR, HERE.lower(), 30) == ()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (sent(SetFee(1, 0), emitter=b"\x01" * 32), "InvalidGovernanceDataSource: 0101"),
        (sent(SetFee(1, 0), sequence=420), "OldGovernanceMessage: sequence 420, 420 was executed"),
        (sent(SetFee(1, 0), 2), "InvalidGovernanceTarget: for ethereum (2), not base (30)"),
        (sent(CALL), "InvalidGovernanceTarget: for module 2, not 1"),
        (sent(SetFee(1, 99)), "overflows"),
        (sent(UpgradeContract(bytes(20)), 0), "for every chain at once"),
    ],
)
def test_why_a_contract_refuses(found: GovernanceVaa, why: str) -> None:
    (told,) = contract_refusals(found, CONTRACT)
    assert why in told


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (sent(CALL, emitter=b"\x01" * 32), "UnauthorizedEmitter: 0101"),
        (sent(CALL, sequence=1), "MessageOutOfOrder: sequence 1, 420 was executed"),
        (sent(CALL, 2), "InvalidGovernanceTarget: for ethereum (2), not base (30)"),
        (sent(SetFee(1, 0)), "InvalidGovernanceTarget: for module 1, not 2"),
        (sent(msgspec.structs.replace(CALL, executor=Address(bytes(20)))), "DeserializationError: for the executor at 0x0000"),
    ],
)
def test_why_an_executor_refuses(found: GovernanceVaa, why: str) -> None:
    (told,) = executor_refusals(found, EXECUTOR, HERE, 30)
    assert why in told


@pytest.mark.parametrize("payload", [b"PTGM\x01\x03\x00\x1e", encode_set_upgrade(8, (bytes(20),))])
def test_what_is_no_message(payload: bytes) -> None:
    found = decode_vaa(vaa_codec.encode(Vaa(1, (), 0, 0, 1, EMITTER, 421, 1, payload)))
    (told,) = contract_refusals(found, CONTRACT)
    assert told.startswith("InvalidGovernanceMessage: ")
    (told,) = executor_refusals(found, EXECUTOR, HERE, 30)
    assert told.startswith("DeserializationError: ")


def test_what_is_not_known_is_said() -> None:
    unknown: tuple[Any, ...] = contract_refusals(sent(SetFee(1, 0)), ContractState())
    assert len(unknown) == 3
    assert all(told.startswith("not known: ") for told in unknown)
    assert len(executor_refusals(sent(CALL), ExecutorState(), HERE, 30)) == 2
