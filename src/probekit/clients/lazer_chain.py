"""Whom the verifiers on chain trust: the contract of EVM chains and the account of the Solana program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from probekit.clients.evm import BlockTag, EvmClient
from probekit.clients.pyth_evm import PythEvmClient
from probekit.clients.solana import SolanaClient
from probekit.codecs.evm import registry
from probekit.codecs.evm.contract import PreparedCall
from probekit.codecs.evm.registry import ContractKind
from probekit.codecs.lazer import storage, verifier
from probekit.codecs.lazer.verifier import LazerVerifierState, OnChainVerdict
from probekit.codecs.solana.addresses import LAZER_PROGRAM
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model.evm import Address, Block
from probekit.model.lazer import LazerSigner, LazerStorage
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import Absence
from probekit.units import Instant

__all__ = ["LazerVerifierClient", "lazer_storage"]


class LazerVerifierClient:
    """The verifier at ``address`` of the chain of ``evm``, which stays the caller's to close.

    A call that the contract refuses raises ``Reverted`` with its words ("invalid signer" and the like); otherwise what
    :class:`~probekit.clients.evm.EvmClient` raises.
    """

    def __init__(self, evm: EvmClient, address: str) -> None:
        self.evm = evm
        self.address = Address(address)

    @classmethod
    def known(cls, evm: EvmClient) -> Self:
        """The verifier of this chain by the registry. Raises ``LookupError`` where it has none or several."""
        found = registry.contracts(evm.chain_id, ContractKind.LAZER)
        if len(found) != 1:
            raise LookupError(f"{len(found)} Lazer verifiers are known on chain {evm.chain_id}: name the address")
        return cls(evm, found[0].address)

    async def trusted_signers(self, at: BlockTag = "latest") -> tuple[LazerSigner, ...]:
        """All signers with their expiry. Older verifiers lack it: there ask :meth:`is_valid_signer` of each known one."""
        return await self.evm.read(self.address, verifier.trusted_signers(), at)

    async def signer_expiry(self, signer: str | bytes, at: BlockTag = "latest") -> Instant | None:
        """When a signer expires; ``None`` for one that the contract does not know. Not in older verifiers."""
        return await self.evm.read(self.address, verifier.trusted_signer_expiry(Address(signer)), at)

    async def is_valid_signer(self, signer: str | bytes, at: BlockTag = "latest") -> bool:
        """Whether a signer's updates are taken."""
        return await self.evm.read(self.address, verifier.is_valid_signer(Address(signer)), at)

    async def fee(self, at: BlockTag = "latest") -> int:
        """Wei for one update."""
        return await self.evm.read(self.address, verifier.verification_fee(), at)

    async def state(self, at: BlockTag | Block = "latest") -> LazerVerifierState:
        """Version, owner, fee and signers at one block; what an older verifier lacks is in ``unanswered``.

        Raises ``NotFound`` where nothing is answered, so that it is no verifier, or the error of the endpoint.
        """
        calls = verifier.STATE_CALLS
        reads = await self.evm.multicall([(str(self.address), call) for call in calls.values()], at)
        state = verifier.verifier_state(dict(zip(calls, reads.results, strict=True)))
        if len(state.unanswered) == len(calls):
            self._refuse(state, reads.results)
        return state

    def _refuse(self, state: LazerVerifierState, outcomes: Sequence[object]) -> None:
        for outcome, unanswered in zip(outcomes, state.unanswered, strict=True):
            if unanswered.absence is Absence.FAILED and isinstance(outcome, ProbekitError):
                raise outcome
        raise NotFound(f"no Lazer verifier at {self.address} on {self.evm.pool.chain}", subject=str(self.address))

    async def judge(
        self, update: bytes, *, fee_wei: int | None = None, sender: str | None = None, at: BlockTag = "latest"
    ) -> OnChainVerdict:
        """The contract's own word on an update in the form ``evm``, without sending anything. Raises ``Reverted``.

        Without ``fee_wei`` the fee is asked for. It looks at neither age nor repetition.
        """
        with self.evm.pool.one_deadline():
            value_wei = await self.fee(at) if fee_wei is None else fee_wei
            prepared = PreparedCall(self.address, verifier.verify_update(update), value_wei)
            # Any contract's: it finds somebody who can pay.
            return await PythEvmClient(self.evm, self.address).simulate(prepared, sender=sender, at=at)


async def lazer_storage(solana: SolanaClient, program: Pubkey | str = LAZER_PROGRAM) -> LazerStorage:
    """The account of the verifier program on the cluster of ``solana``: who may sign there, and the fee.

    Raises ``NotFound`` where it is not deployed, ``DecodeError`` for an account of another owner or layout.
    """
    owner = Pubkey(program)
    address = storage.storage_address(owner)
    found = await solana.account(address)
    if found is None:
        raise NotFound(f"no Lazer storage account at {address} on this cluster", subject=str(address))
    if found.owner != owner:
        raise DecodeError(f"{address} is owned by {found.owner}, not by {owner}", raw=found.data)
    return storage.decode_storage(found.data)
