"""The executor contract: selectors as published, its state, and why it refuses."""

from __future__ import annotations

import pytest

from probekit.codecs.evm import executor
from probekit.codecs.evm.contract import Function, selector
from probekit.codecs.evm.executor import CAUSES, EXECUTOR_CALLS, ExecutorError, decode_executor_revert, executor_state
from probekit.codecs.evm.reverts import encode_revert
from probekit.errors import ConnectError
from probekit.model.pyth_evm import Absence, DataSource, PythError

FUNCTIONS = {
    "getOwnerChainId()": "df15ed7f",
    "getOwnerEmitterAddress()": "9ae6121e",
    "getLastExecutedSequence()": "905e35e7",
    "execute(bytes)": "09c5eabe",
}
ERRORS = {
    "UnauthorizedEmitter": "4c79d142",
    "MessageOutOfOrder": "c75415f9",
    "ExecutionReverted": "f21e646b",
    "DeserializationError": "fbab86cf",
    "InvalidContractTarget": "d30c1cb5",
    "InvalidMagicValue": "4ed848c1",
}
EMITTER = b"\x56" * 32


def test_every_function_and_error_has_its_published_selector() -> None:
    found = {one.signature: one.selector.hex() for one in vars(executor).values() if isinstance(one, Function)}
    assert found == FUNCTIONS
    assert {str(error): selector(f"{error}()").hex() for error in ExecutorError} == ERRORS
    assert set(CAUSES) == set(ExecutorError)


def test_its_state() -> None:
    answers = {
        "owner_chain_id": executor.GET_OWNER_CHAIN_ID.answer(1),
        "owner_emitter": executor.GET_OWNER_EMITTER_ADDRESS.answer(EMITTER),
        "last_executed_sequence": executor.GET_LAST_EXECUTED_SEQUENCE.answer(421),
    }
    state = executor_state({name: call.result(answers[name]) for name, call in EXECUTOR_CALLS.items()})
    assert (state.owner, state.last_executed_sequence, state.unanswered) == (DataSource(1, EMITTER), 421, ())
    partial = executor_state({"owner_chain_id": 1, "owner_emitter": ConnectError("gone"), "last_executed_sequence": 421})
    assert (partial.owner, partial.last_executed_sequence) == (None, 421)
    assert [(one.name, one.absence) for one in partial.unanswered] == [("owner_emitter", Absence.FAILED)]


def test_a_call_carries_the_message() -> None:
    call = executor.execute(b"vaa")
    assert executor.EXECUTE.arguments(call.data) == (b"vaa",)
    assert call.result(executor.EXECUTE.answer(b"answered")) == b"answered"


@pytest.mark.parametrize("error", ExecutorError)
def test_why_it_refused(error: ExecutorError) -> None:
    told = decode_executor_revert(selector(f"{error}()"))
    assert (told.name, told.cause) == (str(error), CAUSES[error])
    assert str(told) == f"{error}: {CAUSES[error]}"
    # With more behind it, it is another contract's error of the same selector.
    assert decode_executor_revert(selector(f"{error}()") + bytes(32)).name == ""


def test_what_the_called_contract_said_comes_through() -> None:
    assert decode_executor_revert(encode_revert("Error", message="no")).message == "no"
    assert decode_executor_revert(encode_revert("InvalidWormholeVaa")).error is PythError.INVALID_WORMHOLE_VAA
    assert decode_executor_revert(b"").cause == "reverted without a reason"
