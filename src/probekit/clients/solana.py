"""Solana and its kin (Pythnet, Eclipse, Sonic, ...): typed reads and sends over a pool of RPC endpoints.

Methods and shapes: Solana RPC reference. Accounts come in base64 with the slot they were read at; amounts are integers.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from probekit.clients.solana_landing import Confirmation, confirm, refuse_costly
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
    Account,
    Blockhash,
    Commitment,
    EpochInfo,
    LamportBalance,
    NodeHealth,
    NodeVersion,
    SignatureInfo,
    SignatureStatus,
    Simulation,
    TokenAccount,
    TokenAmount,
    TokenHolding,
)
from probekit.transports.base import Engine, Observer
from probekit.transports.rpc import SVM, Call, Endpoint, EndpointPool, HealthPolicy, PoolPolicy, Standing
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.record import CallObserver, ChangeObserver

__all__ = ["GENESIS", "Confirmation", "SolanaClient"]

T = TypeVar("T")

GENESIS: Final = {
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
"""Genesis hash of each public cluster of Solana (Solana documentation, "clusters")."""

MAX_ACCOUNTS: Final = 100
"""Addresses in one ``getMultipleAccounts``: the limit of agave's RPC."""
MAX_STATUSES: Final = 256


class SolanaClient:
    """A client of one cluster.

    ``genesis_hash`` is what every endpoint must serve (see :data:`GENESIS`); without one, the first endpoint's answer binds the
    others and nothing can be sent. ``commitment`` is what reads ask for unless told otherwise. ``pool`` is one of the caller's,
    not closed here; without it, one is made of ``endpoints``.

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
    ) -> codec.Accounts:
        """Every account of a program that passes the filters: whole ``data_size``, bytes at offsets. ``data_slice`` is (offset,
        length) of what comes back. Many public endpoints switch this method off: then ``NotServed``.
        """
        config = self._config(commitment) | {"withContext": True}
        filters: list[dict[str, Any]] = [{"memcmp": {"offset": at, "bytes": base58(raw)}} for at, raw in memcmp]
        if data_size is not None:
            filters.append({"dataSize": data_size})
        if filters:
            config["filters"] = filters
        if data_slice is not None:
            config["dataSlice"] = {"offset": data_slice[0], "length": data_slice[1]}
        return await self._read(codec.decode_program_accounts, "getProgramAccounts", [str(Pubkey(program)), config])

    # -- balances ------------------------------------------------------------------------------------------------------------

    async def balance(self, address: Pubkey | str, *, commitment: Commitment | None = None) -> LamportBalance:
        """Lamports of an account, with the slot; zero for one that does not exist."""
        params = [str(Pubkey(address)), *self._at(commitment)]
        return await self._read(codec.decode_balance, "getBalance", params)

    async def token_account(self, address: Pubkey | str, *, commitment: Commitment | None = None) -> TokenAccount:
        """A token account of SPL Token or Token-2022. Raises ``NotFound`` where there is none, ``DecodeError``, also where no
        token program owns it.
        """
        return token.held_in(await self._there(address, commitment))

    async def token_balance(self, address: Pubkey | str, *, commitment: Commitment | None = None) -> TokenAmount:
        """What a token account holds, with its mint's decimals: the account and its mint are read from the chain, by two calls,
        not from the node's own rendering. Raises ``NotFound``, ``DecodeError``, also for two of different programs.
        """
        with self.pool.one_deadline():
            account = await self._there(address, commitment)
            held = token.held_in(account)
            mint = await self.account(held.mint, commitment=commitment)
        if mint is None:
            raise NotFound(f"{address} names the mint {held.mint}, which does not exist", subject=str(held.mint))
        return TokenAmount(held.amount, token.mint_of(mint, account.owner).decimals)

    async def _there(self, address: Pubkey | str, commitment: Commitment | None) -> Account:
        found = await self.account(address, commitment=commitment)
        if found is None:
            raise NotFound(f"no account {address}", subject=str(address))
        return found

    async def token_holdings(
        self, owner: Pubkey | str, *, mint: Pubkey | str | None = None, commitment: Commitment | None = None
    ) -> list[TokenHolding | ProbekitError]:
        """Every token account of a wallet, of SPL Token and of Token-2022, with its mint's decimals; only those of ``mint``,
        where given. Accounts and mints are read from the chain, in two requests, not from the node's own rendering.

        An account that does not decode is its own error; so is one whose mint cannot be read. Raises when a list is not
        answered at all: a part of it would look like the whole.
        """
        key, config = Pubkey(owner), self._config(commitment)
        wanted = [{"mint": str(Pubkey(mint))}] if mint is not None else [{"programId": str(one)} for one in token.PROGRAMS]
        calls = [Call("getTokenAccountsByOwner", [str(key), one, config]) for one in wanted]
        with self.pool.one_deadline():
            found: list[Account | DecodeError | None] = []
            for outcome in await self.pool.batch(calls):
                if isinstance(outcome, ProbekitError):
                    raise outcome
                found += codec.decode_token_accounts(result_of(outcome)).items
            mints = token.mints_of(found)
            answers = dict(zip(mints, await self.accounts(mints, commitment=commitment), strict=True))
        return [token.holding_of(item, answers) for item in found]

    # -- transactions --------------------------------------------------------------------------------------------------------

    async def blockhash(self, commitment: Commitment | None = None) -> Blockhash:
        """A recent blockhash and the block height up to which it is accepted."""
        return await self._read(codec.decode_blockhash, "getLatestBlockhash", self._at(commitment))

    async def simulate(
        self, raw: bytes, *, accounts: Sequence[Pubkey | str] = (), verify: bool = True, commitment: Commitment | None = None
    ) -> Simulation:
        """What a signed (or, with ``verify=False``, unsigned) transaction would do. ``accounts`` come back as it leaves
        them.
        """
        keys = [Pubkey(address) for address in accounts]
        config: dict[str, Any] = {
            "encoding": "base64",
            "commitment": str(commitment or self.commitment),
            "sigVerify": verify,
            "replaceRecentBlockhash": not verify,
        }
        if keys:
            config["accounts"] = {"encoding": "base64", "addresses": [str(key) for key in keys]}
        params = [base64.b64encode(raw).decode(), config]
        return await self._read(lambda result: codec.decode_simulation(result, keys), "simulateTransaction", params)

    async def send(self, raw: bytes, *, payer: Pubkey | str, cap_lamports: int, preflight: bool = True) -> str:
        """Send a signed transaction, once; its signature in base58.

        Before that it is simulated, and refused when it fails or takes more than ``cap_lamports`` from ``payer`` in all (fees,
        rent and transfers). Raises ``SendRefused`` where nothing was sent, for whatever reason: also when no endpoint proves
        the chain, or tells what it takes. After any other error nobody knows whether it landed: :meth:`confirm` finds out.
        """
        await refuse_costly(self, raw, payer=Pubkey(payer), cap_lamports=cap_lamports)
        config = {
            "encoding": "base64",
            "skipPreflight": not preflight,
            # A node's own default is finalized, to which a blockhash of a younger block is unknown.
            "preflightCommitment": str(self.commitment),
            "maxRetries": 0,
        }
        outcome = await self.pool.send("sendTransaction", [base64.b64encode(raw).decode(), config])
        return codec.decode_signature(result_of(outcome))

    async def statuses(
        self, signatures: Sequence[str], *, history: bool = False
    ) -> list[SignatureStatus | ProbekitError | None]:
        """Where transactions stand, in order; ``None`` for one that the node does not know. ``history`` also looks into its
        archive.
        """
        parts = [signatures[start : start + MAX_STATUSES] for start in range(0, len(signatures), MAX_STATUSES)]
        calls = [Call("getSignatureStatuses", [list(part), {"searchTransactionHistory": history}]) for part in parts]
        found: list[SignatureStatus | ProbekitError | None] = []
        for part, outcome in zip(parts, await self.pool.batch(calls), strict=True):
            try:
                if isinstance(outcome, ProbekitError):
                    raise outcome
                found += codec.decode_signature_statuses(result_of(outcome), part)
            except ProbekitError as error:
                found += [error] * len(part)
        return found

    async def confirm(
        self,
        signature: str,
        *,
        last_valid_block_height: int,
        commitment: Commitment | None = None,
        poll: timedelta = timedelta(seconds=1),
        timeout: timedelta = timedelta(minutes=3),
    ) -> Confirmation:
        """Wait until a transaction is as final as ``commitment``, has failed, or never can land any more.

        The end is the chain's own: its finalised block height passing ``last_valid_block_height``, not a number of seconds.
        While no endpoint answers, or the one that does is behind, the wait goes on. Raises ``DeadlineExceeded`` when
        ``timeout`` passes before anything is certain (a chain that stands still), and at once what asking again does not mend.
        """
        return await confirm(
            self.pool,
            signature,
            last_valid_block_height=last_valid_block_height,
            commitment=commitment or self.commitment,
            poll=poll,
            timeout=timeout,
            clock=self._clock,
        )

    async def signatures_for(
        self,
        address: Pubkey | str,
        *,
        limit: int = 1000,
        before: str | None = None,
        until: str | None = None,
        commitment: Commitment | None = None,
    ) -> tuple[SignatureInfo | DecodeError, ...]:
        """Transactions that mention an address, newest first, at most 1,000: from ``before`` back to ``until``, both left
        out.
        """
        config: dict[str, Any] = {"limit": limit, "commitment": str(commitment or self.commitment)}
        if before is not None:
            config["before"] = before
        if until is not None:
            config["until"] = until
        return await self._read(codec.decode_signatures, "getSignaturesForAddress", [str(Pubkey(address)), config])

    async def signature_pages(
        self,
        address: Pubkey | str,
        *,
        before: str | None = None,
        until: str | None = None,
        page: int = 1000,
        commitment: Commitment | None = None,
    ) -> AsyncGenerator[tuple[SignatureInfo | DecodeError, ...], None]:
        """The same for as far back as the node knows, page by page, newest first. Each page is a call with a deadline of its
        own; leave the loop to stop. Raises ``DecodeError`` where there is nothing to go on from: a whole page on which no row
        reads, or that came before.
        """
        while rows := await self.signatures_for(address, limit=page, before=before, until=until, commitment=commitment):
            readable = [row for row in rows if not isinstance(row, DecodeError)]
            if before is not None and readable and readable[-1].signature == before:
                raise DecodeError(f"the node goes on answering with the signatures of {address} up to {before}", raw=before)
            yield rows
            if len(rows) < page:
                return
            if not readable:
                raise DecodeError(f"no signature of {address} on a page of {len(rows)} reads", raw=str(rows[-1]))
            before = readable[-1].signature

    # -- the wire ------------------------------------------------------------------------------------------------------------

    async def _read(
        self, decode: Callable[[Any], T], method: str, params: Sequence[Any] = (), *, floor: int | None = None
    ) -> T:
        return decode(result_of(await self.pool.call(method, params, floor=floor)))

    def _at(self, commitment: Commitment | None) -> list[dict[str, Any]]:
        return [{"commitment": str(commitment or self.commitment)}]

    def _config(self, commitment: Commitment | None, *, min_slot: int | None = None) -> dict[str, Any]:
        config: dict[str, Any] = {"encoding": "base64", "commitment": str(commitment or self.commitment)}
        return config if min_slot is None else config | {"minContextSlot": min_slot}
