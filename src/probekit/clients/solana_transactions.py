"""Transactions of a Solana cluster: simulated, sent within a cap, once or to every endpoint, waited for, and looked up."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from probekit.clients import rebroadcast
from probekit.clients.rebroadcast import Rebroadcast
from probekit.clients.solana_landing import Confirmation, confirm, refuse_costly
from probekit.clock import Clock
from probekit.codecs.solana import rpc as codec
from probekit.codecs.solana.transaction import decode_sent, decode_signed_transaction
from probekit.errors import DecodeError, ProbekitError
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Blockhash, Commitment, SignatureInfo, SignatureStatus, Simulation, TransactionLogs
from probekit.transports.rpc import Call, EndpointPool
from probekit.transports.rpc.family import result_of

if TYPE_CHECKING:
    from probekit.clients.solana import SolanaClient

T = TypeVar("T")

MAX_STATUSES: Final = 256
_SEND: Final = "sendTransaction"


class SolanaTransactions:
    """What :class:`~probekit.clients.solana.SolanaClient` does with transactions; part of it, and of no use alone."""

    pool: EndpointPool
    commitment: Commitment
    _clock: Clock

    async def blockhash(self, commitment: Commitment | None = None) -> Blockhash:
        """A recent blockhash and the block height up to which it is accepted."""
        return await self._read(codec.decode_blockhash, "getLatestBlockhash", self._at(commitment))

    async def simulate(
        self,
        raw: bytes,
        *,
        accounts: Sequence[Pubkey | str] = (),
        verify: bool = True,
        commitment: Commitment | None = None,
        min_slot: int | None = None,
    ) -> Simulation:
        """What a signed (or, with ``verify=False``, unsigned) transaction would do. ``accounts`` come back as it leaves
        them. ``min_slot`` refuses an answer from before that slot: try on what was written.
        """
        keys = [Pubkey(address) for address in accounts]
        config: dict[str, Any] = {
            "encoding": "base64",
            "commitment": str(commitment or self.commitment),
            "sigVerify": verify,
            "replaceRecentBlockhash": not verify,
        }
        if min_slot is not None:
            config["minContextSlot"] = min_slot
        if keys:
            config["accounts"] = {"encoding": "base64", "addresses": [str(key) for key in keys]}
        params = [base64.b64encode(raw).decode(), config]
        return await self._read(
            lambda result: codec.decode_simulation(result, keys), "simulateTransaction", params, floor=min_slot
        )

    async def send(self, raw: bytes, *, payer: Pubkey | str, cap_lamports: int, preflight: bool = True) -> str:
        """Send a signed transaction, once; its signature in base58.

        Before that it is simulated, and refused when it fails or takes more than ``cap_lamports`` from ``payer`` in all (fees,
        rent and transfers); ``payer`` is who pays its fee. What it takes from other accounts that signed it has no cap. Raises
        ``SendRefused`` where nothing was sent, for whatever reason: also when no endpoint proves the chain, or tells what it
        takes. After any other error nobody knows whether it landed: :meth:`confirm` finds out. Raises ``DecodeError`` for bytes
        that are no transaction, and for an answer that is not its signature.
        """
        sent = decode_signed_transaction(raw)
        with self.pool.one_deadline():
            await refuse_costly(cast("SolanaClient", self), raw, sent, payer=Pubkey(payer), cap_lamports=cap_lamports)
            answer = await self.pool.send(_SEND, self._sending(raw, preflight))
        return decode_sent(result_of(answer), sent)

    async def rebroadcast(self, raw: bytes, *, payer: Pubkey | str, cap_lamports: int, preflight: bool = True) -> Rebroadcast:
        """Send a signed transaction to every endpoint of the pool at the same time, once each: what became of it at each,
        when all have answered or the pool's time is over.

        For one that a single node may have dropped, as often as the caller wants to while its blockhash is valid; the cluster
        takes the same bytes once only. The chain and the cap are proven as in :meth:`send`, the chain for each endpoint by
        itself; one that has been processed, and is confirmed by its status, takes nothing more. An endpoint that has the
        transaction already counts as one that took it. Raises ``SendRefused`` where nothing went out anywhere, ``DecodeError``
        for bytes that are no transaction; else errors stand in the value.
        """
        sent = decode_signed_transaction(raw)
        client = cast("SolanaClient", self)
        with self.pool.one_deadline():
            await refuse_costly(client, raw, sent, payer=Pubkey(payer), cap_lamports=cap_lamports, again=True)
            outcomes = await self.pool.broadcast(_SEND, self._sending(raw, preflight))
        return rebroadcast.told(sent.signature, outcomes, lambda found: decode_sent(found, sent), chain=self.pool.chain)

    def _sending(self, raw: bytes, preflight: bool) -> list[Any]:
        config = {
            "encoding": "base64",
            "skipPreflight": not preflight,
            # A node's own default is finalized, to which a blockhash of a younger block is unknown.
            "preflightCommitment": str(self.commitment),
            "maxRetries": 0,
        }
        return [base64.b64encode(raw).decode(), config]

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

    async def transaction_logs(
        self, signatures: Sequence[str], *, commitment: Commitment | None = None
    ) -> list[TransactionLogs | ProbekitError | None]:
        """What many transactions wrote, in order, in as few requests as the pool makes of a batch; ``None`` for one that the
        node does not know. Nodes know no ``processed`` transactions.
        """
        config = {
            "encoding": "base64",
            "commitment": str(commitment or self.commitment),
            "maxSupportedTransactionVersion": 0,
        }
        calls = [Call("getTransaction", [signature, config]) for signature in signatures]
        found: list[TransactionLogs | ProbekitError | None] = []
        for signature, outcome in zip(signatures, await self.pool.batch(calls), strict=True):
            try:
                if isinstance(outcome, ProbekitError):
                    raise outcome
                found.append(codec.decode_transaction_logs(result_of(outcome), signature))
            except ProbekitError as error:
                found.append(error)
        return found

    async def signatures_for(
        self,
        address: Pubkey | str,
        *,
        limit: int = 1000,
        before: str | None = None,
        until: str | None = None,
        commitment: Commitment | None = None,
        min_slot: int | None = None,
    ) -> tuple[SignatureInfo | DecodeError, ...]:
        """Transactions that mention an address, newest first, at most 1,000: from ``before`` back to ``until``, both left
        out. ``min_slot`` refuses an answer from before that slot.
        """
        config: dict[str, Any] = {"limit": limit, "commitment": str(commitment or self.commitment)}
        if before is not None:
            config["before"] = before
        if until is not None:
            config["until"] = until
        if min_slot is not None:
            config["minContextSlot"] = min_slot
        return await self._read(
            codec.decode_signatures, "getSignaturesForAddress", [str(Pubkey(address)), config], floor=min_slot
        )

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

    async def _read(
        self, decode: Callable[[Any], T], method: str, params: Sequence[Any] = (), *, floor: int | None = None
    ) -> T:
        return await self.pool.read(decode, method, params, floor=floor)

    def _at(self, commitment: Commitment | None, *, min_slot: int | None = None) -> list[dict[str, Any]]:
        config: dict[str, Any] = {"commitment": str(commitment or self.commitment)}
        return [config if min_slot is None else config | {"minContextSlot": min_slot}]
