"""Many reads of contracts at one block, in as few requests as they take.

Through Multicall3 hundreds of reads are one ``eth_call``; where a chain has none, each is a call of its own, in JSON-RPC
batches. The block is pinned by its hash (EIP-1898), so that every part reads the same state whichever endpoint answers it;
nodes that take no hash are asked by number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from probekit.clock import together
from probekit.codecs.evm import multicall as codec
from probekit.codecs.evm.contract import ContractCall
from probekit.codecs.evm.reverts import reverted
from probekit.codecs.evm_rpc import data as hex_data
from probekit.errors import BodyTooLarge, DecodeError, ProbekitError, RangeTooLarge, Reverted, RpcError, StatusError
from probekit.model.evm import Address, Block
from probekit.transports.rpc import Call, EndpointPool
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.wire import Outcome

__all__ = ["Multicall", "Reads"]

T = TypeVar("T")

Row = tuple[Address, ContractCall[Any]]
"""A contract's address and a call of it."""

_INVALID_PARAMS: Final = (-32600, -32602)
_HTTP_TOO_LARGE: Final = 413
_AT_ONCE: Final = 4
"""Requests of one read that are under way together."""


@dataclass(frozen=True)
class Reads(Generic[T]):
    """Values read at ``block``, in the order asked for, each for itself: the value, or why there is none.

    A ``Reverted`` is the contract's word, a ``DecodeError`` an answer that does not read, anything else the endpoint's failure.
    ``route`` says whether Multicall3 did it (what failed there without a word was asked again by itself), or each read was a
    call of its own from the start. ``pinned`` says how the block was named to the node: by number, a reorganisation between two
    requests could go unseen.
    """

    block: Block
    results: tuple[T | ProbekitError, ...]
    route: Literal["multicall3", "batch"]
    pinned: Literal["hash", "number"]

    def values(self) -> tuple[T, ...]:
        """All values. Raises the first error."""
        found: list[T] = []
        for result in self.results:
            if isinstance(result, ProbekitError):
                raise result
            found.append(result)
        return tuple(found)


class Multicall:
    """Reads over ``pool``. ``contract`` is where Multicall3 stands, ``None`` for a chain that is known to have none.

    A chain on which an empty answer came from there is asked without it from then on.
    """

    def __init__(self, pool: EndpointPool, contract: Address | None) -> None:
        self._pool = pool
        self._contract = contract
        self._by_hash = True

    async def read(self, rows: Sequence[Row], block: Block, *, remember: bool) -> Reads[Any]:
        """All of ``rows`` at ``block``. ``remember`` that Multicall3 is missing: not of a past block, which may be older."""
        reading = _Reading(self._pool, rows, block, by_hash=self._by_hash)
        route: Literal["multicall3", "batch"] = "batch"
        if self._contract is not None and rows:
            if await reading.through(self._contract):
                route = "multicall3"
            elif remember:
                self._contract = None
        if route == "batch":
            await reading.one_by_one(range(len(rows)))
        self._by_hash = self._by_hash and not reading.takes_no_hash
        results = tuple(reading.results[index] for index in range(len(rows)))
        return Reads(block, results, route, "hash" if reading.by_hash else "number")


class _Reading:
    """The state of one such read while it is under way."""

    def __init__(self, pool: EndpointPool, rows: Sequence[Row], block: Block, *, by_hash: bool) -> None:
        self._pool = pool
        self._rows = rows
        self._block = block
        self.by_hash = by_hash
        self.takes_no_hash = False
        """The node said so."""
        self.results: dict[int, Any] = {}

    async def through(self, contract: Address) -> bool:
        """Fill the results; false where nothing stands at ``contract``."""
        parts: deque[Sequence[int]] = deque(codec.chunks(self._rows))
        doubtful: list[int] = []
        while parts:
            wave = [parts.popleft() for _ in range(min(len(parts), _AT_ONCE))]
            calls = [codec.aggregate3([self._rows[index] for index in part]) for part in wave]
            # Each by itself: a batch of such calls may be above what a server takes in one request.
            asked = await together(self._ask([(contract, call)]) for call in calls)
            for part, call, (outcome,) in zip(wave, calls, asked, strict=True):
                if isinstance(outcome, ProbekitError):
                    if len(part) > 1 and _too_much(outcome):
                        parts += (part[: len(part) // 2], part[len(part) // 2 :])
                    else:
                        self.results |= dict.fromkeys(part, outcome)
                elif not outcome:
                    return False
                else:
                    doubtful += self._take(part, call, outcome)
        await self.one_by_one(doubtful)
        return True

    def _take(self, part: Sequence[int], call: ContractCall[tuple[codec.CallResult, ...]], answer: bytes) -> Sequence[int]:
        """Keep the outcomes of one call; the reads that are to be asked again by themselves."""
        try:
            found = call.result(answer)
        except DecodeError:
            return part
        silent: list[int] = []
        for index, result in zip(part, found, strict=True):
            self.results[index] = codec.outcome(self._rows[index][1], result)
            if not result.success and not result.data:
                silent.append(index)
        # A read that burns all its gas leaves a 64th of it to those behind, which then fail without a word as well. Only the
        # first to fail so is known to have had its share.
        return silent[1:]

    async def one_by_one(self, indices: Sequence[int]) -> None:
        """Fill the results of these rows with a call for each."""
        rows = [self._rows[index] for index in indices]
        for index, (_, call), outcome in zip(indices, rows, await self._ask(rows), strict=True):
            if isinstance(outcome, Reverted):
                self.results[index] = reverted(call.name, outcome.revert_data, code=outcome.code, node_data=outcome.data)
            elif isinstance(outcome, ProbekitError):
                self.results[index] = outcome
            else:
                self.results[index] = codec.outcome(call, codec.CallResult(True, outcome))

    async def _ask(self, rows: Sequence[Row]) -> list[bytes | ProbekitError]:
        by_hash = self.by_hash
        outcomes = await self._send(rows, by_hash)
        if by_hash and any(type(outcome) is RpcError for outcome in outcomes):
            # Not the contract's word and not a busy node: it may be that it takes no hash, or says in its own words that it
            # does not know the block yet. By number every node understands; what it refuses all the same was not the hash's.
            by_number = await self._send(rows, False)
            cured = [
                refused
                for refused, outcome in zip(outcomes, by_number, strict=True)
                if type(refused) is RpcError and (isinstance(outcome, Reverted) or not isinstance(outcome, ProbekitError))
            ]
            if cured:
                self.by_hash = False
                self.takes_no_hash |= any(refused.code in _INVALID_PARAMS for refused in cured)
                outcomes = by_number
        return [_answer(outcome) for outcome in outcomes]

    async def _send(self, rows: Sequence[Row], by_hash: bool) -> list[Outcome]:
        at = {"blockHash": self._block.hash} if by_hash else hex(self._block.number)
        calls = [Call("eth_call", [{"to": to, "data": "0x" + call.data.hex()}, at]) for to, call in rows]
        return await self._pool.batch(calls, prefer=self._block.number)


def _answer(outcome: Outcome) -> bytes | ProbekitError:
    if isinstance(outcome, ProbekitError):
        return outcome
    try:
        return hex_data(result_of(outcome), "the answer to eth_call")
    except DecodeError as error:
        return error


def _too_much(error: ProbekitError) -> bool:
    """Whether half of it may succeed; a whole call reverts only when it runs out of gas."""
    if isinstance(error, StatusError):
        return error.status == _HTTP_TOO_LARGE
    return isinstance(error, RangeTooLarge | Reverted | BodyTooLarge)
