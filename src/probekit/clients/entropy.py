"""Entropy on an EVM chain: providers, fees, requests and what became of them, and why one is stuck or its callback failed.

Contracts before V2 lack some of it; what they answer for is read through the older functions. Nothing is sent from here.
Source: pyth-crosschain ``target_chains/ethereum/contracts/contracts/entropy``; the calls stand in
:mod:`probekit.codecs.evm.entropy`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from probekit.clients.entropy_told import of_kind, told_events
from probekit.clients.entropy_trials import tried_callback, tried_reveal
from probekit.clients.evm import BlockTag, EvmClient
from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm import entropy_events, multicall, registry
from probekit.codecs.evm.contract import ContractCall, PreparedCall
from probekit.codecs.evm.pyth import sorted_out
from probekit.codecs.evm.registry import ContractKind, DeployedContract
from probekit.errors import DecodeError, NotFound, ProbekitError, Reverted
from probekit.model.entropy import (
    CallbackStatus,
    CauseKind,
    Contributions,
    EntropyCause,
    EntropyRequest,
    EntropyState,
    ProviderInfo,
    RequestState,
    RequestStatus,
    StuckLimit,
    state_of,
)
from probekit.model.entropy_events import Counted, EntropyEvent, EntropyRequested, EntropyRevealed
from probekit.model.evm import Address, Block
from probekit.model.pyth_evm import Absence

__all__ = ["EntropyClient"]

T = TypeVar("T")
P = ParamSpec("P")


def _one_deadline(
    method: Callable[Concatenate[EntropyClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[EntropyClient, P], Coroutine[Any, Any, T]]:
    """All requests of a method within the time that the pool has for one."""

    @functools.wraps(method)
    async def bounded(self: EntropyClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.evm.pool.one_deadline():
            return await method(self, *args, **kwargs)

    return bounded


class EntropyClient:
    """The Entropy contract at ``address`` of the chain of ``evm``, which stays the caller's to close.

    A provider is an address; where none is named it is the contract's default one. A method has the time that the pool has for
    one call, whatever number of requests it takes; reading a range of logs takes as long as it takes.

    A call that the contract refuses raises ``Reverted``, typed by :func:`~probekit.codecs.evm.reverts.revert_of`
    (``entropy_error``); otherwise what :class:`~probekit.clients.evm.EvmClient` raises.
    """

    def __init__(self, evm: EvmClient, address: str) -> None:
        self.evm = evm
        self.address = Address(address)

    @classmethod
    def known(cls, evm: EvmClient) -> Self:
        """The contract of this chain, by the registry. Raises ``LookupError`` where it has none or several."""
        found = registry.contracts(evm.chain_id, ContractKind.ENTROPY)
        if len(found) != 1:
            raise LookupError(f"{len(found)} Entropy contracts are known on chain {evm.chain_id}: name the address")
        return cls(evm, found[0].address)

    @property
    def deployed(self) -> DeployedContract | None:
        """What the registry knows of this address on this chain."""
        return registry.contract_at(self.evm.chain_id, self.address)

    # -- configuration -------------------------------------------------------------------------------------------------------

    @_one_deadline
    async def state(self, at: BlockTag | Block = "latest") -> EntropyState:
        """The contract's own configuration at one block. What it lacks is in ``unanswered``. Raises ``NotFound`` where nothing
        is answered, so that it is no Entropy contract, or the error of the endpoint.
        """
        calls = codec.STATE_CALLS
        reads = await self.evm.multicall([(self.address, call) for call in calls.values()], at)
        values, unanswered = sorted_out(dict(zip(calls, reads.results, strict=True)))
        if not values:
            for outcome, one in zip(reads.results, unanswered, strict=True):
                if one.absence is Absence.FAILED and isinstance(outcome, ProbekitError):
                    raise outcome
            raise self._no_entropy()
        return EntropyState(self.address, reads.block, **values, unanswered=unanswered)

    async def default_provider(self, at: BlockTag = "latest") -> Address:
        """The provider of requests that name none."""
        return await self.evm.read(self.address, codec.get_default_provider(), at)

    @_one_deadline
    async def provider(self, provider: str | None = None, at: BlockTag = "latest") -> ProviderInfo:
        """A provider's fee, hash chain and margins; not ``registered`` where the contract does not know it."""
        address = await self._named(provider, at)
        return await self._either(codec.get_provider_info_v2(address), codec.get_provider_info_v1(address), at)

    @_one_deadline
    async def fee(self, *, gas_limit: int = 0, provider: str | None = None, at: BlockTag = "latest") -> int:
        """Wei for a request whose callback has ``gas_limit``, Pyth's part included; 0 is the provider's default. Contracts
        before V2 take no other: ``Reverted``.
        """
        newer = codec.get_fee_v2(gas_limit, None if provider is None else Address(provider))
        try:
            return await self.evm.read(self.address, newer, at)
        except (Reverted, DecodeError) as error:
            if gas_limit or not _is_lacking(error):
                raise
        return await self.evm.read(self.address, codec.get_fee(await self._named(provider, at)), at)

    # -- requests ------------------------------------------------------------------------------------------------------------

    @_one_deadline
    async def request(self, sequence: int, *, provider: str | None = None, at: BlockTag = "latest") -> EntropyRequest | None:
        """A request that the contract holds; ``None`` once it was fulfilled, and where it never was made (:meth:`status` tells
        these apart).
        """
        address = await self._named(provider, at)
        return await self._either(codec.get_request_v2(address, sequence), codec.get_request_v1(address, sequence), at)

    @_one_deadline
    async def status(
        self,
        sequence: int,
        *,
        limit: StuckLimit,
        provider: str | None = None,
        made_in_block: int | None = None,
        at: BlockTag | Block = "latest",
    ) -> RequestStatus:
        """What became of a request, its provider beside it, all at one block.

        Three requests at most: the block, the reads, and the request's block for its time. On Arbitrum contracts count the
        blocks of the parent chain; there ``made_in_block``, the chain's own, gives the age in seconds. Raises ``ValueError``
        when the limit is in time alone and the age in seconds cannot be known.
        """
        known = {} if made_in_block is None else {sequence: made_in_block}
        (found,) = await self.statuses([sequence], limit=limit, provider=provider, made_in_blocks=known, at=at)
        if isinstance(found, ProbekitError):
            raise found
        return found

    @_one_deadline
    async def statuses(
        self,
        sequences: Sequence[int],
        *,
        limit: StuckLimit,
        provider: str | None = None,
        made_in_blocks: Mapping[int, int] | None = None,
        at: BlockTag | Block = "latest",
    ) -> tuple[RequestStatus | ProbekitError, ...]:
        """:meth:`status` of many requests of one provider, in order, all at one block; one that does not read is its own error.

        One request for each 250, and one for all blocks of those that are held. Raises what concerns them all: the endpoint's
        errors, ``NotFound`` where no Entropy contract stands.
        """
        block = at if isinstance(at, Block) else await self.evm.block(at)
        address = await self._named(provider, block.number)
        rows: list[tuple[str, ContractCall[Any]]] = [
            (self.address, codec.get_provider_info_v2(address)),
            (self.address, codec.get_provider_info_v1(address)),
            (multicall.ADDRESS, multicall.GET_BLOCK_NUMBER.one()),
        ]
        for sequence in sequences:
            rows.append((self.address, codec.get_request_v2(address, sequence)))
            rows.append((self.address, codec.get_request_v1(address, sequence)))
        newer_info, older_info, counted, *read = (await self.evm.multicall(rows, block)).results
        info: ProviderInfo = _value(self._newer(newer_info, older_info))
        # Where nothing stands at Multicall3's address the contract's numbers are taken to be the chain's.
        lacks_it = isinstance(counted, ProbekitError) and _is_lacking(counted)
        contract_block = block.number if lacks_it else int(_value(counted))
        held = [self._newer(newer, older) for newer, older in zip(read[::2], read[1::2], strict=True)]

        known = dict(made_in_blocks or {})
        if contract_block == block.number:
            known = {one.sequence: one.block_number for one in held if isinstance(one, EntropyRequest)} | known
        wanted = {known[one.sequence] for one in held if isinstance(one, EntropyRequest) and one.sequence in known}
        times = dict(zip(sorted(wanted), await self.evm.blocks(sorted(wanted)), strict=True)) if wanted else {}

        def judged(sequence: int, request: EntropyRequest | ProbekitError | None) -> RequestStatus | ProbekitError:
            if isinstance(request, ProbekitError):
                return request
            if request is None:
                state = state_of(sequence, None, info, age_blocks=0, age_s=None, limit=limit)
                return RequestStatus(address, sequence, state, block, info)
            made_in = known.get(sequence)
            made = None if made_in is None else times[made_in]
            if isinstance(made, ProbekitError):
                return made
            if made is None and limit.blocks is None and request.callback_status is CallbackStatus.NOT_STARTED:
                raise ValueError(f"{self.evm.pool.chain} counts other blocks than its contracts: say where it was made")
            age_blocks = max(0, contract_block - request.block_number)
            age_s = None if made is None else max(0, block.timestamp - made.timestamp)
            state = state_of(sequence, request, info, age_blocks=age_blocks, age_s=age_s, limit=limit)
            return RequestStatus(address, sequence, state, block, info, request, age_blocks, age_s, made_in)

        return tuple(judged(sequence, request) for sequence, request in zip(sequences, held, strict=True))

    # -- why -----------------------------------------------------------------------------------------------------------------

    @_one_deadline
    async def cause(
        self,
        status: RequestStatus,
        *,
        contributions: Contributions | None = None,
        from_block: int | None = None,
        gas: int | None = None,
    ) -> EntropyCause:
        """Why a request waits or its callback failed, as far as logs and simulations tell, at the block of ``status``.

        A failed callback is told by its event, searched from ``from_block`` (the request's block, where that is known); with
        ``contributions`` it is tried again, with the gas that the request gives it. For a request that waits the reveal is
        tried, with ``gas`` for the transaction: give what the keeper sends, since nodes allow a call far more. Raises
        ``ValueError`` for a request in another state.
        """
        request, number = status.request, status.block.number
        if request is None or status.state not in _EXPLAINED:
            raise ValueError(f"request {status.sequence} is {status.state}: there is nothing to explain")
        if status.state is RequestState.CALLBACK_FAILED:
            begin = status.made_in_block if from_block is None else from_block
            if begin is not None and (told := await self._failure(status, begin)) is not None:
                return told
            if contributions is not None:
                return await self.try_callback(request, contributions, at=number)
            return EntropyCause(CauseKind.UNTOLD, "its event was not found, and no revelation is at hand")
        if contributions is None:
            return EntropyCause(CauseKind.UNTOLD, "no revelation is at hand to try")
        return await self.try_reveal(request, contributions, gas=gas, at=number)

    @_one_deadline
    async def try_reveal(
        self,
        request: EntropyRequest,
        contributions: Contributions,
        *,
        gas: int | None = None,
        at: BlockTag = "latest",
    ) -> EntropyCause:
        """What ``revealWithCallback`` would do now, by ``eth_call``; ``NOT_SENT`` where it would be taken.

        Whether the callback succeeds within it does not show: :meth:`try_callback` tries that.
        """
        return await tried_reveal(self.evm, self.build_reveal(request, contributions), request, contributions, gas=gas, at=at)

    @_one_deadline
    async def try_callback(
        self, request: EntropyRequest, contributions: Contributions, *, at: BlockTag = "latest"
    ) -> EntropyCause:
        """What the requester's callback would do now, called by ``eth_call`` as the contract calls it, with the gas that the
        request gives it; ``CALLBACK_RECOVERED`` where it succeeds.
        """
        return await tried_callback(self.evm, self.address, request, contributions, at=at)

    async def _failure(self, status: RequestStatus, begin: int) -> EntropyCause | None:
        found = await self.revelations(from_block=begin, to_block=status.block.number, provider=status.provider)
        for one in reversed(found):
            if isinstance(one, Counted) and one.event.sequence == status.sequence and one.event.callback_failed:
                event, limit = one.event, status.request.gas_limit if status.request is not None else None
                return codec.callback_cause(event.return_value or b"", gas_used=event.gas_used, gas_limit=limit, log=one.log)
        return None

    # -- requests and revelations, without sending anything ------------------------------------------------------------------

    @_one_deadline
    async def build_request(
        self,
        *,
        gas_limit: int = 0,
        provider: str | None = None,
        user_contribution: bytes | None = None,
        fee_wei: int | None = None,
        at: BlockTag = "latest",
    ) -> PreparedCall[int]:
        """``requestV2`` with its fee, to be simulated, or signed and sent. The contract keeps what is paid above it. Without
        ``fee_wei`` the fee is asked for.
        """
        call = codec.request_v2(gas_limit, None if provider is None else Address(provider), user_contribution)
        due = await self.fee(gas_limit=gas_limit, provider=provider, at=at) if fee_wei is None else fee_wei
        return PreparedCall(self.address, call, due)

    @_one_deadline
    async def simulate_request(
        self,
        *,
        gas_limit: int = 0,
        provider: str | None = None,
        user_contribution: bytes | None = None,
        fee_wei: int | None = None,
        sender: str | None = None,
        at: BlockTag = "latest",
    ) -> int:
        """The sequence number that :meth:`build_request` would get at a block. Raises ``Reverted``: OutOfRandomness,
        LastRevealedTooOld, InsufficientFee and the like.
        """
        prepared = await self.build_request(
            gas_limit=gas_limit, provider=provider, user_contribution=user_contribution, fee_wei=fee_wei, at=at
        )
        return await self.evm.simulate(prepared, sender=sender, at=at)

    def build_reveal(self, request: EntropyRequest, contributions: Contributions) -> PreparedCall[None]:
        """``revealWithCallback``, to be simulated, or signed and sent; anybody may. It repeats a callback that failed."""
        user, revelation = contributions.user, contributions.provider
        return PreparedCall(self.address, codec.reveal_with_callback(request.provider, request.sequence, user, revelation))

    # -- events --------------------------------------------------------------------------------------------------------------

    async def requests(
        self, *, from_block: int, to_block: int, provider: str | None = None
    ) -> list[Counted[EntropyRequested] | DecodeError]:
        """Every request in a range of blocks, both ends included, once, whichever versions of its event there are; of one
        provider, or of all. One that does not read is its own error.
        """
        found = await told_events(self.evm, self.address, entropy_events.REQUESTS, from_block, to_block)
        return of_kind(found, EntropyRequested, provider)

    async def revelations(
        self, *, from_block: int, to_block: int, provider: str | None = None
    ) -> list[Counted[EntropyRevealed] | DecodeError]:
        """Every revelation, failed callbacks among them, as :meth:`requests` gives requests."""
        found = await told_events(self.evm, self.address, entropy_events.REVELATIONS, from_block, to_block)
        return of_kind(found, EntropyRevealed, provider)

    async def events(self, *, from_block: int, to_block: int) -> list[Counted[EntropyEvent] | DecodeError]:
        """Everything that the contract tells in a range of blocks, once: requests, revelations, changes of providers, fees."""
        return await told_events(self.evm, self.address, entropy_events.EVENTS, from_block, to_block)

    # -- two versions --------------------------------------------------------------------------------------------------------

    async def _named(self, provider: str | None, at: BlockTag) -> Address:
        return await self.default_provider(at) if provider is None else Address(provider)

    async def _either(self, newer: ContractCall[T], older: ContractCall[T], at: BlockTag) -> T:
        try:
            return await self.evm.read(self.address, newer, at)
        except (Reverted, DecodeError) as error:
            if not _is_lacking(error):
                raise
        return await self.evm.read(self.address, older, at)

    def _newer(self, newer: Any, older: Any) -> Any:
        """The value of V2, or of V1 where the contract lacks that; or the error that kept it."""
        if not isinstance(newer, ProbekitError) or not _is_lacking(newer):
            return newer
        return self._no_entropy() if isinstance(older, ProbekitError) and _is_lacking(older) else older

    def _no_entropy(self) -> NotFound:
        return NotFound(f"no Entropy contract at {self.address} on {self.evm.pool.chain}", subject=str(self.address))


_EXPLAINED: Final = (RequestState.PENDING, RequestState.STUCK, RequestState.CALLBACK_FAILED)


def _value(outcome: Any) -> Any:
    if isinstance(outcome, ProbekitError):
        raise outcome
    return outcome


def _is_lacking(error: ProbekitError) -> bool:
    """Whether the implementation has no such function: it reverted without a word, or gave an empty answer."""
    if isinstance(error, Reverted):
        return not error.revert_data
    return isinstance(error, DecodeError) and not error.raw
