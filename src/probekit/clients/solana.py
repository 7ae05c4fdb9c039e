"""Solana and its kin (Pythnet, Eclipse, Sonic, ...): typed reads and sends over a pool of RPC endpoints.

Methods and shapes: Solana RPC reference. Accounts come in base64 with the slot they were read at; amounts are integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from probekit.clients.solana_landing import Confirmation
from probekit.clients.solana_transactions import SolanaTransactions
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.solana import fees, token
from probekit.codecs.solana import rpc as codec
from probekit.errors import (
    DecodeError,
    NotFound,
    ProbekitError,
    RpcError,
)
from probekit.model.fees import PriorityFees
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import (
    GENESIS,
    Account,
    Commitment,
    EpochInfo,
    LamportBalance,
    NodeHealth,
    NodeVersion,
    TokenAccount,
    TokenAmount,
    TokenHolding,
)
from probekit.transports.base import Engine, Observer
from probekit.transports.rpc import SVM, Call, Endpoint, EndpointPool, HealthPolicy, PoolPolicy, Standing
from probekit.transports.rpc.family import result_of

if TYPE_CHECKING:
    from probekit.transports.rpc.record import CallObserver, ChangeObserver

__all__ = ["GENESIS", "Confirmation", "SolanaClient"]

T = TypeVar("T")

MAX_ACCOUNTS: Final = 100
"""Addresses in one ``getMultipleAccounts``: the limit of agave's RPC."""


class SolanaClient(SolanaTransactions):
    """A client of one cluster.

    ``genesis_hash`` is what every endpoint must serve (``GENESIS`` has those of the public clusters); without one, the first
    endpoint's answer binds the others and nothing can be sent. ``commitment`` is what reads ask for unless told otherwise.
    ``pool`` is one of the caller's, not closed here; without it, one is made of ``endpoints``.

    Raises what :class:`~probekit.transports.rpc.EndpointPool` raises, and ``DecodeError`` for answers that are none.
    """

    def __init__(
        self,
        endpoints: str | Endpoint | Sequence[str | Endpoint] = (),
        *,
        genesis_hash: str | None = None,
        commitment: Commitment = Commitment.CONFIRMED,
        pool: EndpointPool | None = None,
        chain: str = "",
        transport: Engine | None = None,
        policy: PoolPolicy | None = None,
        health: HealthPolicy | None = None,
        observer: Observer | None = None,
        on_call: CallObserver | None = None,
        on_change: ChangeObserver | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._owned = pool is None
        self.pool = pool or EndpointPool(
            endpoints,
            family=SVM,
            identity=genesis_hash,
            chain=chain or "solana",
            transport=transport,
            policy=policy,
            # A Solana slot takes 400 ms: what is normal between two nodes is more slots than blocks elsewhere.
            health=health or HealthPolicy(max_lag=50, max_lead=10_000),
            clock=clock,
            observer=observer,
            on_call=on_call,
            on_change=on_change,
        )
        self.commitment = commitment
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool, if it was made here."""
        if self._owned:
            await self.pool.aclose()

    # -- the chain -----------------------------------------------------------------------------------------------------------

    async def slot(self, commitment: Commitment | None = None) -> int:
        """The newest slot of that commitment."""
        return await self._read(codec.decode_count, "getSlot", self._at(commitment))

    async def block_height(self, commitment: Commitment | None = None) -> int:
        """Blocks since genesis: slots without those that were skipped."""
        return await self._read(codec.decode_count, "getBlockHeight", self._at(commitment))

    async def oldest_slot(self) -> int:
        """The oldest slot whose block the answering node has, its archive included: it knows no transaction before that."""
        return await self._read(codec.decode_count, "getFirstAvailableBlock")

    async def genesis_hash(self) -> str:
        """What tells one cluster from another, in base58."""
        return await self._read(codec.decode_genesis_hash, "getGenesisHash")

    async def epoch(self, commitment: Commitment | None = None) -> EpochInfo:
        """Epoch, slot in it, block height and transaction count."""
        return await self._read(codec.decode_epoch_info, "getEpochInfo", self._at(commitment))

    async def priority_fees(self, accounts: Iterable[Pubkey | str] = ()) -> PriorityFees:
        """What priority fee it took to get into each of the last blocks, up to 150; with ``accounts``, to lock any of them for
        writing. Raises ``ValueError`` for more than 128 of them.
        """
        keys = [str(Pubkey(account)) for account in accounts]
        if len(keys) > fees.MAX_ACCOUNTS:
            raise ValueError(f"{len(keys)} accounts; a node takes {fees.MAX_ACCOUNTS}")
        params = [keys] if keys else []
        return await self._read(fees.decode_priority_fees, "getRecentPrioritizationFees", params)

    async def version(self) -> NodeVersion:
        """What the answering node runs."""
        return await self._read(codec.decode_version, "getVersion")

    async def health(self) -> NodeHealth:
        """What the best endpoint says of itself, slots behind included. A balancer may answer for a node that does not follow:
        :meth:`standings` compares heads instead.
        """
        try:
            return await self._read(codec.decode_health, "getHealth")
        except RpcError as error:
            return codec.health_of(error)

    async def standings(self) -> dict[str, Standing]:
        """Ask every endpoint for its chain, head and health now; each one's state, by label."""
        return await self.pool.refresh()

    # -- accounts ------------------------------------------------------------------------------------------------------------

    async def account(
        self, address: Pubkey | str, *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> Account | None:
        """One account, ``None`` where there is none. ``min_slot`` refuses an answer from before that slot."""
        key = Pubkey(address)
        params = [str(key), self._config(commitment, min_slot=min_slot)]
        return await self._read(lambda result: codec.decode_account(result, key), "getAccountInfo", params, floor=min_slot)

    async def accounts(
        self, addresses: Iterable[Pubkey | str], *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> list[Account | ProbekitError | None]:
        """Accounts in the order asked for, in as few requests as the limits allow; each with the slot it was read at.

        ``None`` where there is none; an error stands in its own place only. Addresses of different hundreds may be read at
        different slots.
        """
        found = await self.accounts_at(addresses, commitment=commitment, min_slot=min_slot)
        return [item for _, item in found]

    async def accounts_at(
        self, addresses: Iterable[Pubkey | str], *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> list[tuple[int | None, Account | ProbekitError | None]]:
        """The same, each with its slot, also where there is no account; ``None`` where the node did not answer."""
        keys = [Pubkey(address) for address in addresses]
        parts = [keys[start : start + MAX_ACCOUNTS] for start in range(0, len(keys), MAX_ACCOUNTS)]
        config = self._config(commitment, min_slot=min_slot)
        calls = [Call("getMultipleAccounts", [[str(key) for key in part], config]) for part in parts]
        found: list[tuple[int | None, Account | ProbekitError | None]] = []
        for part, outcome in zip(parts, await self.pool.batch(calls, floor=min_slot), strict=True):
            try:
                if isinstance(outcome, ProbekitError):
                    raise outcome
                page = codec.decode_accounts(result_of(outcome), part)
                found += [(page.slot, item) for item in page.items]
            except ProbekitError as error:
                found += [(None, error)] * len(part)
        return found

    async def program_accounts(
        self,
        program: Pubkey | str,
        *,
        data_size: int | None = None,
        memcmp: Sequence[tuple[int, bytes]] = (),
        data_slice: tuple[int, int] | None = None,
        commitment: Commitment | None = None,
        min_slot: int | None = None,
    ) -> codec.Accounts:
        """Every account of a program that passes the filters: whole ``data_size``, bytes at offsets. ``data_slice`` is (offset,
        length) of what comes back. Many public endpoints switch this method off: then ``NotServed``.
        """
        config = self._config(commitment, min_slot=min_slot) | {"withContext": True}
        filters: list[dict[str, Any]] = [{"memcmp": {"offset": at, "bytes": base58(raw)}} for at, raw in memcmp]
        if data_size is not None:
            filters.append({"dataSize": data_size})
        if filters:
            config["filters"] = filters
        if data_slice is not None:
            config["dataSlice"] = {"offset": data_slice[0], "length": data_slice[1]}
        params = [str(Pubkey(program)), config]
        return await self._read(codec.decode_program_accounts, "getProgramAccounts", params, floor=min_slot)

    # -- balances ------------------------------------------------------------------------------------------------------------

    async def balance(
        self, address: Pubkey | str, *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> LamportBalance:
        """Lamports of an account, with the slot; zero for one that does not exist. ``min_slot`` refuses an answer from before
        that slot.
        """
        params = [str(Pubkey(address)), *self._at(commitment, min_slot=min_slot)]
        return await self._read(codec.decode_balance, "getBalance", params, floor=min_slot)

    async def token_account(
        self, address: Pubkey | str, *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> TokenAccount:
        """A token account of SPL Token or Token-2022. Raises ``NotFound`` where there is none, ``DecodeError``, also where no
        token program owns it.
        """
        return token.held_in(await self._there(address, commitment, min_slot))

    async def token_balance(
        self, address: Pubkey | str, *, commitment: Commitment | None = None, min_slot: int | None = None
    ) -> TokenAmount:
        """What a token account holds, with its mint's decimals: the account and its mint are read from the chain, by two calls,
        not from the node's own rendering. Raises ``NotFound``, ``DecodeError``, also for two of different programs.
        """
        with self.pool.one_deadline():
            account = await self._there(address, commitment, min_slot)
            held = token.held_in(account)
            mint = await self.account(held.mint, commitment=commitment)
            if mint is None:  # It may be young, and the endpoint behind the one that was asked before.
                mint = await self.account(held.mint, commitment=commitment, min_slot=account.slot)
        if mint is None:
            raise NotFound(f"{address} names the mint {held.mint}, which does not exist", subject=str(held.mint))
        return TokenAmount(held.amount, token.mint_of(mint, account.owner).decimals)

    async def _there(self, address: Pubkey | str, commitment: Commitment | None, min_slot: int | None) -> Account:
        found = await self.account(address, commitment=commitment, min_slot=min_slot)
        if found is None:
            raise NotFound(f"no account {address}", subject=str(address))
        return found

    async def token_holdings(
        self,
        owner: Pubkey | str,
        *,
        mint: Pubkey | str | None = None,
        commitment: Commitment | None = None,
        min_slot: int | None = None,
    ) -> list[TokenHolding | ProbekitError]:
        """Every token account of a wallet, of SPL Token and of Token-2022, with its mint's decimals; only those of ``mint``,
        where given. Accounts and mints are read from the chain, in two requests, not from the node's own rendering.

        An account that does not decode is its own error; so is one whose mint cannot be read. Raises when a list is not
        answered at all: a part of it would look like the whole.
        """
        key, config = Pubkey(owner), self._config(commitment, min_slot=min_slot)
        wanted = [{"mint": str(Pubkey(mint))}] if mint is not None else [{"programId": str(one)} for one in token.PROGRAMS]
        calls = [Call("getTokenAccountsByOwner", [str(key), one, config]) for one in wanted]
        with self.pool.one_deadline():
            found: list[Account | DecodeError | None] = []
            slot = 0
            for outcome in await self.pool.batch(calls, floor=min_slot):
                if isinstance(outcome, ProbekitError):
                    raise outcome
                page = codec.decode_token_accounts(result_of(outcome))
                found += page.items
                slot = max(slot, page.slot)
            mints = token.mints_of(found)
            answers = dict(zip(mints, await self.accounts(mints, commitment=commitment), strict=True))
            if young := [one for one, answer in answers.items() if answer is None]:
                # The endpoint may be behind the one that was asked before.
                answers |= zip(young, await self.accounts(young, commitment=commitment, min_slot=slot), strict=True)
        return [token.holding_of(item, answers) for item in found]

    # -- the wire ------------------------------------------------------------------------------------------------------------

    def _config(self, commitment: Commitment | None, *, min_slot: int | None = None) -> dict[str, Any]:
        config: dict[str, Any] = {"encoding": "base64", "commitment": str(commitment or self.commitment)}
        return config if min_slot is None else config | {"minContextSlot": min_slot}
