"""EVM chains: typed reads and sends over a pool of RPC endpoints.

Methods and shapes: ethereum/execution-apis. Amounts are integers in wei or base units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict, TypeVar

import msgspec

from probekit.clients.evm_landing import Landing
from probekit.clients.evm_multicall import Multicall, Reads
from probekit.clients.evm_tokens import EvmTokens
from probekit.clients.evm_transactions import EvmTransactions
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs import evm_rpc as codec
from probekit.codecs.evm import multicall
from probekit.codecs.evm.contract import ContractCall, PreparedCall
from probekit.codecs.evm.erc20 import Token
from probekit.codecs.evm.reverts import reverted
from probekit.errors import (
    BodyTooLarge,
    DecodeError,
    NotFound,
    ProbekitError,
    RangeTooLarge,
    Reverted,
    RpcError,
)
from probekit.model.evm import Address, Block, FeeHistory, Log
from probekit.model.fees import GasFees
from probekit.transports.base import Engine, Observer
from probekit.transports.rpc import EVM, Call, Endpoint, EndpointPool, HealthPolicy, Outcome, PoolPolicy, Standing
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.record import CallObserver, ChangeObserver

if TYPE_CHECKING:
    from web3 import AsyncWeb3

__all__ = ["BlockTag", "EvmClient", "Heads", "Landing", "Reads", "Token"]

T = TypeVar("T")

BlockTag = int | Literal["latest", "safe", "finalized", "pending", "earliest"]

_PAYER = Address("0x" + "70" * 20)
"""Nobody's account: who pays in a simulation for which nobody was named."""
_PLENTY_WEI = 1 << 96
_ROUND: Final = 1_000
"""Where providers end a list of events that gets long: at 1,000, 10,000, 20,000."""


class Heads(msgspec.Struct, frozen=True):
    """Three ends of a chain at one time. A node or chain without the notion has an error there: ``RpcError``, ``NotFound``."""

    latest: Block
    safe: Block | ProbekitError
    finalized: Block | ProbekitError

    @property
    def finality_lag(self) -> int | None:
        """Blocks from the finalised to the newest; ``None`` where none is told."""
        return None if isinstance(self.finalized, ProbekitError) else self.latest.number - self.finalized.number


class EvmClient(EvmTokens, EvmTransactions):
    """A client of one chain. ``chain_id`` is what every endpoint must serve; an endpoint of another chain is never used.

    ``pool`` is one of the caller's, not closed here; without it, one is made of ``endpoints``. ``multicall3`` is where
    Multicall3 stands on this chain, ``None`` where it is known to be missing. :attr:`w3` is AsyncWeb3 on the same pool; a
    transaction sent through it may take ``w3_cap_wei`` at most, and without that none is sent. Raises what
    :class:`~probekit.transports.rpc.EndpointPool` raises, and ``DecodeError`` for answers that are none.
    """

    def __init__(
        self,
        endpoints: str | Endpoint | Sequence[str | Endpoint] = (),
        *,
        chain_id: int,
        pool: EndpointPool | None = None,
        chain: str = "",
        multicall3: str | None = multicall.ADDRESS,
        w3_cap_wei: int | None = None,
        transport: Engine | None = None,
        policy: PoolPolicy | None = None,
        health: HealthPolicy | None = None,
        observer: Observer | None = None,
        on_call: CallObserver | None = None,
        on_change: ChangeObserver | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.chain_id = chain_id
        self._owned = pool is None
        self.pool = pool or EndpointPool(
            endpoints,
            family=EVM,
            identity=str(chain_id),
            chain=chain or f"evm:{chain_id}",
            transport=transport,
            policy=policy,
            health=health,
            clock=clock,
            observer=observer,
            on_call=on_call,
            on_change=on_change,
        )
        if self.pool.identity != str(chain_id):
            raise ValueError(f"the pool is of chain {self.pool.identity}, not {chain_id}")
        self._clock = clock
        self._w3_cap_wei = w3_cap_wei
        self._multicall = Multicall(self.pool, None if multicall3 is None else Address(multicall3))
        self._w3: AsyncWeb3[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool, if it was made here."""
        if self._owned:
            await self.pool.aclose()

    @property
    def w3(self) -> AsyncWeb3[Any]:
        """AsyncWeb3 on the same pool, for contracts and ABIs. Needs the extra ``evm``; importing it takes a second."""
        if self._w3 is None:
            from probekit.clients.web3_pool import web3_over

            self._w3 = web3_over(self.pool, cap_wei=self._w3_cap_wei)
        return self._w3

    # -- the chain -----------------------------------------------------------------------------------------------------------

    async def standings(self) -> dict[str, Standing]:
        """Ask every endpoint for its chain, head and sync state now; each one's state, by label."""
        return await self.pool.refresh()

    async def block_number(self) -> int:
        """Number of the newest block."""
        return await self._read(codec.quantity, "eth_blockNumber")

    async def block(self, at: BlockTag = "latest", *, min_block: int | None = None) -> Block:
        """A block by number or tag, without its transactions. Raises ``NotFound`` where there is none, ``NotReached`` where
        that of every endpoint is before ``min_block``, ``ValueError`` for ``pending``: a block not made yet has no hash.
        """
        if at == "pending":
            raise ValueError("the pending block has no hash yet, so that it is no Block; ask for latest")
        if isinstance(at, int) and min_block is not None and at < min_block:
            raise NotFound(f"block {at} on {self.pool.chain} is before {min_block}", subject=str(min_block))
        answer = await self.pool.call("eth_getBlockByNumber", [_tag(at), False], **_as_of(at, min_block))
        found = self._block_of(at, answer)
        if isinstance(found, ProbekitError):
            raise found
        return found

    async def heads(self) -> Heads:
        """The newest block, and how far the chain is safe and final, in one request. Raises what reading the newest does."""
        tags: tuple[BlockTag, ...] = ("latest", "safe", "finalized")
        outcomes = await self.pool.batch([Call("eth_getBlockByNumber", [tag, False]) for tag in tags])
        latest, safe, finalized = (self._block_of(tag, outcome) for tag, outcome in zip(tags, outcomes, strict=True))
        if isinstance(latest, ProbekitError):
            raise latest
        return Heads(latest, safe, finalized)

    async def blocks(self, numbers: Sequence[int]) -> list[Block | ProbekitError]:
        """Many blocks in one request, without their transactions: each the block, or why there is none."""
        calls = [Call("eth_getBlockByNumber", [_tag(number), False]) for number in numbers]
        outcomes = await self.pool.batch(calls, prefer=max(numbers, default=None))
        return [self._block_of(number, outcome) for number, outcome in zip(numbers, outcomes, strict=True)]

    def _block_of(self, tag: BlockTag, outcome: Outcome) -> Block | ProbekitError:
        try:
            if isinstance(outcome, ProbekitError):
                return outcome
            found = result_of(outcome)
            if found is None:
                return NotFound(f"no block {tag} on {self.pool.chain}", subject=str(tag))
            block = codec.decode_block(found)
            if isinstance(tag, int) and block.number != tag:
                return DecodeError(f"block {block.number} in answer to {tag}", raw=str(found)[:1000])
            return block
        except DecodeError as error:
            return error

    async def fee_history(
        self, blocks: int, *, newest: BlockTag = "latest", percentiles: Sequence[int] = (10, 50, 90)
    ) -> FeeHistory:
        """Base fees, fullness and priority fees of the last blocks."""
        return await self._read(
            codec.decode_fee_history, "eth_feeHistory", [hex(blocks), _tag(newest), list(percentiles)], **_as_of(newest)
        )

    async def gas_fees(
        self, blocks: int = 20, *, newest: BlockTag = "latest", percentiles: Sequence[int] = (10, 50, 90)
    ) -> GasFees:
        """Base and priority fees of the last blocks, at most 1,024, ready for percentiles across them."""
        history = await self.fee_history(blocks, newest=newest, percentiles=percentiles)
        try:
            return GasFees.of(history, percentiles)
        except ValueError as error:
            raise DecodeError(f"a fee history that does not fit together: {error}", raw=str(history)) from None

    # -- accounts and contracts ----------------------------------------------------------------------------------------------

    async def balance(self, address: str, at: BlockTag = "latest", *, min_block: int | None = None) -> int:
        """Wei of an account. ``min_block``, here and below: no answer is taken of an endpoint that has not reached it, by its
        own word in the same request, and ``NotReached`` raised where none has. So what was written is read.
        """
        return await self._read(codec.quantity, "eth_getBalance", [Address(address), _tag(at)], **_as_of(at, min_block))

    async def nonce(self, address: str, at: BlockTag = "pending", *, min_block: int | None = None) -> int:
        """Transactions sent by an account; with ``pending`` those that wait are counted."""
        return await self._read(
            codec.quantity, "eth_getTransactionCount", [Address(address), _tag(at)], **_as_of(at, min_block)
        )

    async def code(self, address: str, at: BlockTag = "latest", *, min_block: int | None = None) -> bytes:
        """A contract's code, empty where there is none."""
        return await self._read(codec.data, "eth_getCode", [Address(address), _tag(at)], **_as_of(at, min_block))

    async def storage(self, address: str, slot: int, at: BlockTag = "latest", *, min_block: int | None = None) -> bytes:
        """The 32 bytes of a storage slot."""
        found = await self._read(
            codec.data, "eth_getStorageAt", [Address(address), hex(slot), _tag(at)], **_as_of(at, min_block)
        )
        return found.rjust(32, b"\0")

    async def call(
        self,
        to: str,
        data: bytes,
        at: BlockTag = "latest",
        *,
        value: int = 0,
        sender: str | None = None,
        balances: Mapping[str, int] | None = None,
        gas: int | None = None,
        min_block: int | None = None,
    ) -> bytes:
        """What a contract answers. ``balances`` (wei) are for this call only, on nodes that take state overrides. Without
        ``gas`` a call has as much as the node allows.

        Raises ``Reverted`` with what it gave back, ``NotFound`` where an empty answer comes from an address without code (a
        call of such an address succeeds on every node).
        """
        transaction: dict[str, Any] = {"to": Address(to), "data": "0x" + data.hex()}
        if value:
            transaction["value"] = hex(value)
        if sender is not None:
            transaction["from"] = Address(sender)
        if gas is not None:
            transaction["gas"] = hex(gas)
        params: list[Any] = [transaction, _tag(at)]
        if balances:
            params.append({str(Address(account)): {"balance": hex(wei)} for account, wei in balances.items()})
        with self.pool.one_deadline():
            found = await self._read(codec.data, "eth_call", params, **_as_of(at, min_block))
            if not found and not await self.code(to, at, min_block=min_block):
                raise NotFound(f"no contract at {to} on {self.pool.chain}", subject=to)
        return found

    async def read(
        self,
        to: str,
        call: ContractCall[T],
        at: BlockTag = "latest",
        *,
        value: int = 0,
        sender: str | None = None,
        balances: Mapping[str, int] | None = None,
        gas: int | None = None,
        min_block: int | None = None,
    ) -> T:
        """What a contract answers, as the call's value. One request, and no other.

        Raises what :meth:`call` does, its ``Reverted`` in words (:func:`~probekit.codecs.evm.reverts.revert_of` has it typed),
        and ``DecodeError`` for an answer that is none of this function.
        """
        try:
            answer = await self.call(
                to, call.data, at, value=value, sender=sender, balances=balances, gas=gas, min_block=min_block
            )
        except Reverted as error:
            told = reverted(f"{call.name} on {to}", error.revert_data, code=error.code, node_data=error.data)
            told.attempts = error.attempts
            raise told from None
        return call.result(answer)

    async def simulate(
        self,
        prepared: PreparedCall[T],
        *,
        sender: str | None = None,
        at: BlockTag = "latest",
        gas: int | None = None,
        min_block: int | None = None,
    ) -> T:
        """What a prepared call would give, by ``eth_call`` with its value. Nothing is sent.

        Without ``sender`` nobody in particular calls. Where that account cannot pay, one is made up that can, on nodes that
        take state overrides. Raises ``Reverted``, ``NotFound``, and the node's own refusal of a sender who cannot pay.
        """
        to, call, value = prepared.to, prepared.call, prepared.value_wei
        with self.pool.one_deadline():
            try:
                return await self.read(to, call, at, value=value, sender=sender, gas=gas, min_block=min_block)
            except RpcError as refusal:
                if sender is not None or not value or type(refusal) is not RpcError:
                    raise
                try:
                    rich: dict[str, int] = {_PAYER: _PLENTY_WEI}
                    return await self.read(
                        to, call, at, value=value, sender=_PAYER, balances=rich, gas=gas, min_block=min_block
                    )
                except RpcError as second:
                    raise refusal if type(second) is RpcError else second from None

    async def multicall(
        self, calls: Sequence[tuple[str, ContractCall[T]]], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> Reads[T]:
        """Many reads at one block, (contract, call) pairs: each its value or its own error, in order.

        Takes one request for the block, none when ``at`` is one that was read before, and one for each 500 reads. Without
        Multicall3 the reads go in JSON-RPC batches; :attr:`Reads.route` says which it was. Raises what reading the block does:
        ``NotReached`` where none has reached ``min_block``.
        """
        rows = [(Address(to), call) for to, call in calls]
        with self.pool.one_deadline():
            block = at if isinstance(at, Block) else await self.block(at, min_block=min_block)
            return await self._multicall.read(rows, block, remember=at == "latest")

    async def logs(
        self,
        *,
        from_block: int,
        to_block: int,
        address: str | Sequence[str] | None = None,
        topics: Sequence[bytes | Sequence[bytes] | None] = (),
        timeout: timedelta = timedelta(minutes=1),
    ) -> list[Log | DecodeError]:
        """The events of a range of blocks, both ends included, in order. A range that a provider finds too large, or whose
        answer is above the pool's limit, is halved as often as it takes, all within ``timeout``. An event that does not decode,
        or is of a block that was not asked for, is its own error. No answer is taken of an endpoint that has not reached
        ``to_block``, and ``NotReached`` raised where none has: many a node answers for a range that it does not have yet with a
        shorter list, and no error.

        Some providers end a list where it gets long, without an error: a round thousand of events is taken for a part, and the
        range halved. Of a single block it is given, with an error of its own beside it.
        """
        query = codec.log_filter(address, topics)
        found: list[Log | DecodeError] = []
        first, size = from_block, to_block - from_block + 1
        with self.pool.one_deadline(timeout):
            while first <= to_block:
                last = min(first + size - 1, to_block)
                try:
                    asked = query | {"fromBlock": hex(first), "toBlock": hex(last)}
                    read = await self._read(codec.decode_logs, "eth_getLogs", [asked], floor=to_block)
                except (RangeTooLarge, BodyTooLarge):
                    if last == first:
                        raise
                    size = (last - first + 1) // 2
                    continue
                if (part := bool(read) and not len(read) % _ROUND) and last > first:
                    size = (last - first + 1) // 2
                    continue
                found += (_within(log, first, last) for log in read)
                if part:
                    found.append(DecodeError(f"exactly {len(read)} events of block {first}: there may be more", raw=str(first)))
                first = last + 1
        return found

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _read(
        self,
        decode: Callable[[Any], T],
        method: str,
        params: Sequence[Any] = (),
        *,
        floor: int | None = None,
        prefer: int | None = None,
    ) -> T:
        return await self.pool.read(decode, method, params, floor=floor, prefer=prefer)


def _within(log: Log | DecodeError, first: int, last: int) -> Log | DecodeError:
    if isinstance(log, DecodeError) or first <= log.block_number <= last:
        return log
    return DecodeError(f"an event of block {log.block_number} in answer to {first} to {last}", raw=str(log)[:1000])


def _tag(at: BlockTag) -> str:
    if isinstance(at, str):
        return at
    if at < 0:
        raise ValueError(f"no block has the number {at}")
    return hex(at)


class _AsOf(TypedDict, total=False):
    floor: int | None
    prefer: int | None


def _as_of(at: BlockTag, min_block: int | None = None) -> _AsOf:
    """What the pool is to hold answers to: a block that has a number is refused by whoever has not reached it, the block behind
    a name is another at each endpoint.
    """
    if isinstance(at, str):
        return {"floor": min_block}
    return {"prefer": at if min_block is None else max(at, min_block)}
