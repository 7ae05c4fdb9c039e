"""Tokens of an EVM chain: what accounts hold, at one block, and what a token says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from probekit.clients.evm_multicall import Multicall, Reads
from probekit.clock import both
from probekit.codecs import evm_rpc as codec
from probekit.codecs.evm import erc20
from probekit.codecs.evm.erc20 import Token
from probekit.errors import DecodeError, NotFound, ProbekitError, Reverted
from probekit.model.evm import Address, Block
from probekit.transports.rpc import Call, EndpointPool
from probekit.transports.rpc.family import result_of

if TYPE_CHECKING:
    from probekit.clients.evm import BlockTag, EvmClient


class EvmTokens:
    """What :class:`~probekit.clients.evm.EvmClient` reads of tokens and balances; part of it, and of no use alone."""

    pool: EndpointPool
    _multicall: Multicall

    @property
    def _client(self) -> EvmClient:
        return cast("EvmClient", self)

    async def token_balance(self, token: str, owner: str, at: BlockTag = "latest", *, min_block: int | None = None) -> int:
        """Base units of an ERC-20 token that an account holds. Raises ``NotFound`` where there is no contract."""
        return await self._client.read(token, erc20.balance_of(Address(owner)), at, min_block=min_block)

    async def token_balances(
        self, pairs: Sequence[tuple[str, str]], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> Reads[int]:
        """Base units for many (token, owner) pairs, at one block."""
        calls = [(token, erc20.balance_of(Address(owner))) for token, owner in pairs]
        return await self._client.multicall(calls, at, min_block=min_block)

    async def balances(
        self, holdings: Sequence[tuple[str, str | None]], at: BlockTag | Block = "latest", *, min_block: int | None = None
    ) -> Reads[int]:
        """What many (owner, token) pairs hold at one block: base units of an ERC-20 token, wei where the token is ``None``.

        The block, then one batch of ``eth_getBalance`` beside one :meth:`multicall`: three requests, however many wallets.
        """
        owners = [Address(owner) for owner, token in holdings if token is None]
        rows = [(Address(token), erc20.balance_of(Address(owner))) for owner, token in holdings if token is not None]
        with self.pool.one_deadline():
            block = at if isinstance(at, Block) else await self._client.block(at, min_block=min_block)
            native, reads = await both(
                self._native_balances(owners, block.number), self._multicall.read(rows, block, remember=at == "latest")
            )
        coins, tokens = iter(native), iter(reads.results)
        return Reads(block, tuple(next(coins if token is None else tokens) for _, token in holdings), reads.route, reads.pinned)

    async def _native_balances(self, owners: Sequence[Address], number: int) -> list[int | ProbekitError]:
        calls = [Call("eth_getBalance", [owner, hex(number)]) for owner in owners]
        found: list[int | ProbekitError] = []
        for outcome in await self.pool.batch(calls, prefer=number):
            try:
                if isinstance(outcome, ProbekitError):
                    raise outcome
                found.append(codec.quantity(result_of(outcome)))
            except ProbekitError as error:
                found.append(error)
        return found

    async def token(self, address: str, at: BlockTag | Block = "latest") -> Token:
        """An ERC-20 token's description, without what it does not answer for. Raises the error of the endpoint, ``NotFound``
        where it answers for nothing.
        """
        reads = await self._client.multicall([(address, call) for call in erc20.TOKEN_CALLS.values()], at)
        known: dict[str, Any] = {}
        for name, found in zip(erc20.TOKEN_CALLS, reads.results, strict=True):
            if not isinstance(found, ProbekitError):
                known[name] = found
            elif not isinstance(found, Reverted | DecodeError):
                raise found
        if not known:
            raise NotFound(f"no token at {address} on {self.pool.chain}", subject=address)
        return Token(Address(address), **known)
