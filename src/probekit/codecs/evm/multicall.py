"""Multicall3: many reads of one block in one ``eth_call``.

``aggregate3`` takes (address target, bool allowFailure, bytes callData)[] and answers (bool success, bytes returnData)[]. A
call of an address without code succeeds with an empty answer. Source: mds1/multicall ``src/Multicall3.sol``.

The block's own time is ``getCurrentBlockTimestamp``, so that age is judged by the clock that the contract judges by. On
Arbitrum ``getBlockNumber`` is the parent chain's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.evm.reverts import reverted
from probekit.errors import DecodeError, Reverted
from probekit.model.evm import Address

T = TypeVar("T")

ADDRESS: Final = Address("0xcA11bde05977b3631167028862bE2a173976CA11")
"""Where it stands on nearly every chain."""

MAX_CALLS: Final = 500
"""Reads in one call: 20,000 gas each are 10,000,000 in all, well below what nodes allow a call (geth: 50,000,000)."""
MAX_BYTES: Final = 262_144
"""Calldata of one call; as hex in JSON, half a megabyte."""
_ROW_OVERHEAD: Final = 5 * 32
"""Offset, target, flag, offset and length that go with each call's own bytes."""

AGGREGATE3: Final = Function("aggregate3((address,bool,bytes)[])", "(bool,bytes)[]", payable=True)
TRY_BLOCK_AND_AGGREGATE: Final = Function(
    "tryBlockAndAggregate(bool,(address,bytes)[])", "uint256,bytes32,(bool,bytes)[]", payable=True
)
GET_BLOCK_NUMBER: Final = Function("getBlockNumber()", "uint256")
GET_CURRENT_BLOCK_TIMESTAMP: Final = Function("getCurrentBlockTimestamp()", "uint256")
GET_CHAIN_ID: Final = Function("getChainId()", "uint256")
GET_BASEFEE: Final = Function("getBasefee()", "uint256")
GET_ETH_BALANCE: Final = Function("getEthBalance(address)", "uint256")


class CallResult(msgspec.Struct, frozen=True, gc=False):
    """One call's outcome: its answer, or its revert data."""

    success: bool
    data: bytes


class BlockResults(msgspec.Struct, frozen=True):
    """Outcomes with the number of the block they were taken at."""

    block_number: int
    results: tuple[CallResult, ...]


def chunks(
    calls: Sequence[tuple[str | bytes, ContractCall[Any]]], *, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES
) -> list[range]:
    """Positions of ``calls``, in order, in as few calls of :func:`aggregate3` as both limits allow. One that is above
    ``max_bytes`` by itself goes by itself. Raises ``ValueError`` for a limit below 1.
    """
    if max_calls < 1 or max_bytes < 1:
        raise ValueError("max_calls and max_bytes are at least 1")
    found: list[range] = []
    begin = filled = 0
    for at, (_, call) in enumerate(calls):
        size = _ROW_OVERHEAD + len(call.data) + -len(call.data) % 32
        if at > begin and (at - begin >= max_calls or filled + size > max_bytes):
            found.append(range(begin, at))
            begin, filled = at, 0
        filled += size
    if begin < len(calls):
        found.append(range(begin, len(calls)))
    return found


def aggregate3(calls: Sequence[tuple[str | bytes, ContractCall[Any]]]) -> ContractCall[tuple[CallResult, ...]]:
    """One call for all, each of which may fail by itself: (contract, call) pairs, outcomes in their order."""
    rows = [(Address(target), True, call.data) for target, call in calls]
    return AGGREGATE3.one(rows).then(lambda found: _results(found, len(rows)))


def try_block_and_aggregate(calls: Sequence[tuple[str | bytes, ContractCall[Any]]]) -> ContractCall[BlockResults]:
    """The same with the block's number. The hash that comes beside it is left out: no block knows its own, it is zero."""
    rows = [(Address(target), call.data) for target, call in calls]
    return TRY_BLOCK_AND_AGGREGATE.call(False, rows).then(lambda found: BlockResults(found[0], _results(found[2], len(rows))))


def block_number() -> ContractCall[int]:
    """Number of the block that the calls read."""
    return GET_BLOCK_NUMBER.one()


def block_timestamp_s() -> ContractCall[int]:
    """Time of the block that the calls read, in Unix seconds."""
    return GET_CURRENT_BLOCK_TIMESTAMP.one()


def evm_chain_id() -> ContractCall[int]:
    """The chain's own number, as in transactions."""
    return GET_CHAIN_ID.one()


def base_fee_wei() -> ContractCall[int]:
    """Wei for each gas; most nodes answer 0 in a call that names no gas price."""
    return GET_BASEFEE.one()


def native_balance_wei(account: Address) -> ContractCall[int]:
    """An account's native balance."""
    return GET_ETH_BALANCE.one(account)


def outcome(call: ContractCall[T], result: CallResult) -> T | Reverted | DecodeError:
    """What became of one call: its value, why the contract refused, or why its answer does not read."""
    if not result.success:
        return reverted(call.name, result.data)
    try:
        return call.result(result.data)
    except DecodeError as error:
        return error


def _results(found: tuple[tuple[bool, bytes], ...], asked: int) -> tuple[CallResult, ...]:
    if len(found) != asked:
        raise ValueError(f"{len(found)} outcomes of {asked} calls")
    return tuple(CallResult(success, data) for success, data in found)
