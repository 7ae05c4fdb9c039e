"""Whom the verifiers on chain trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from eth_utils.crypto import keccak

from probekit import errors
from probekit.clients.lazer_chain import LazerVerifierClient, lazer_storage
from probekit.codecs.lazer import envelope, storage, verifier
from probekit.codecs.solana.addresses import LAZER_PROGRAM
from probekit.model.evm import Address
from probekit.model.lazer import FeedProperty, FeedValues, LazerPayload, LazerSigner, LazerStorage, UpdateFormat
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import Absence
from probekit.model.solana import Account
from probekit.trust.lazer import LazerSigners, verify
from probekit.trust.lazer_signing import LazerSigning
from probekit.units import Instant
from tests.unit.clients.cluster import Cluster
from tests.unit.clients.contracts import TIME_S, Contract, EvmNode, Refused, Revert

SELECTORS = {
    verifier.VERIFY_UPDATE: "197e1a5a",
    verifier.VERIFICATION_FEE: "bac12f87",
    verifier.IS_VALID_SIGNER: "d5f50582",
    verifier.GET_TRUSTED_SIGNERS: "1d9c68c3",
    verifier.GET_TRUSTED_SIGNER_EXPIRY: "e656a69d",
    verifier.UPDATE_TRUSTED_SIGNER: "9feb088c",
    verifier.OWNER: "8da5cb5b",
    verifier.VERSION: "54fd4d50",
}
VERIFIER = "0x" + "1a" * 20
OWNER = "0x" + "0e" * 20
SIGNING = LazerSigning.generate(b"a verifier's test")
PAYLOAD = LazerPayload(1_000_000, 1, (FeedValues(1, (FeedProperty.PRICE,), 5),))
UPDATE = envelope.encode(SIGNING.sign(PAYLOAD, UpdateFormat.EVM))
EXPIRES_S = TIME_S + 1_000


def words(text: str) -> Revert:
    """A revert with a text, as ``require`` makes it."""
    data = keccak(text="Error(string)")[:4] + (32).to_bytes(32, "big") + len(text).to_bytes(32, "big")
    return Revert(data + text.encode().ljust(-(-len(text) // 32) * 32, b"\0"))


class Verifier(Contract):
    """The contract as its source has it, with one signer."""

    def __init__(self) -> None:
        super().__init__()
        mine = "0x" + SIGNING.address.hex()
        self.has("verification_fee()", ["uint256"], lambda _: [1])
        self.has("version()", ["string"], lambda _: ["0.2.0"])
        self.has("owner()", ["address"], lambda _: [OWNER])
        self.has("isValidSigner(address)", ["bool"], lambda _, one: [one.lower() == mine])
        self.has("getTrustedSigners()", ["(address,uint256)[]"], lambda _: [[(mine, EXPIRES_S)]])
        self.has("getTrustedSignerExpiry(address)", ["uint256"], lambda _, one: [EXPIRES_S if one.lower() == mine else 0])
        self.has("verifyUpdate(bytes)", ["bytes", "address"], self._verify)

    def _verify(self, tx: dict[str, Any], update: bytes) -> Sequence[Any]:
        if tx["value"] < 1:
            raise words("Insufficient fee provided")
        signed = envelope.decode(update)
        if signed.signature != SIGNING.sign(PAYLOAD, UpdateFormat.EVM).signature:
            raise words("invalid signer")
        return [signed.payload, "0x" + SIGNING.address.hex()]


def client(**options: Any) -> tuple[LazerVerifierClient, Verifier, EvmNode]:
    node, contract = EvmNode(**options), Verifier()
    node.contracts[VERIFIER] = contract
    return LazerVerifierClient(node.client, VERIFIER), contract, node


def test_selectors_as_published() -> None:
    for function, selector in SELECTORS.items():
        assert function.selector.hex() == selector, function.signature


async def test_state_at_one_block() -> None:
    made, _, _ = client()
    state = await made.state()
    signer = LazerSigner(SIGNING.address, Instant.from_seconds(EXPIRES_S))
    assert (state.version, state.owner, state.fee_wei, state.signers) == ("0.2.0", Address(OWNER), 1, (signer,))
    assert state.unanswered == ()
    # What the chain trusts is what verifies here.
    assert verify(UPDATE, LazerSigners(state.signers or ()), at=Instant.from_seconds(TIME_S)).payload == PAYLOAD


async def test_an_older_verifier_lacks_the_getters() -> None:
    made, contract, _ = client()
    for name in ("getTrustedSigners()", "getTrustedSignerExpiry(address)"):
        contract.lacks(name)
    state = await made.state()
    assert (state.version, state.signers) == ("0.2.0", None)
    assert [(one.name, one.absence) for one in state.unanswered] == [("signers", Absence.MISSING)]
    with pytest.raises(errors.Reverted):
        await made.trusted_signers()
    assert await made.is_valid_signer(SIGNING.address)


async def test_single_reads() -> None:
    made, _, _ = client()
    assert await made.fee() == 1
    assert [one.key for one in await made.trusted_signers()] == [SIGNING.address]
    assert await made.signer_expiry(SIGNING.address) == Instant.from_seconds(EXPIRES_S)
    assert await made.signer_expiry(OWNER) is None
    assert not await made.is_valid_signer(OWNER)


async def test_the_contracts_own_word() -> None:
    made, _, node = client()
    found = await made.judge(UPDATE)
    assert (found.signer, found.content()) == (Address(SIGNING.address), PAYLOAD)
    assert len(node.asked("eth_call")) == 2
    with pytest.raises(errors.Reverted, match="invalid signer"):
        await made.judge(UPDATE.replace(SIGNING.sign(PAYLOAD, UpdateFormat.EVM).signature, bytes(64)))
    with pytest.raises(errors.Reverted, match="Insufficient fee"):
        await made.judge(UPDATE, fee_wei=0)
    with pytest.raises(errors.DecodeError):
        verifier.OnChainVerdict(b"short", Address(OWNER)).content()


async def test_who_cannot_pay_is_given_the_means() -> None:
    made, _, node = client()
    node.rich = False
    assert (await made.judge(UPDATE)).content() == PAYLOAD


async def test_where_there_is_no_verifier() -> None:
    node = EvmNode()
    with pytest.raises(errors.NotFound, match="no Lazer verifier"):
        await LazerVerifierClient(node.client, VERIFIER).state()
    made, _, broken = client()

    def refuse(method: str, _: list[Any]) -> None:
        if method == "eth_call":
            raise Refused(-32005, "limit exceeded")

    broken.fault = refuse
    with pytest.raises(errors.RpcRateLimited):
        await made.state()


async def test_known_verifiers() -> None:
    base = EvmNode(chain_id=8453)
    assert LazerVerifierClient.known(base.client).address == "0xACeA761c27A909d4D3895128EBe6370FDE2dF481"
    with pytest.raises(LookupError, match="0 Lazer verifiers"):
        LazerVerifierClient.known(EvmNode(chain_id=1).client)


def test_what_governance_sends() -> None:
    renewed = verifier.update_trusted_signer(Address(SIGNING.address), Instant.from_seconds(7))
    assert verifier.UPDATE_TRUSTED_SIGNER.arguments(renewed.data) == (Address(SIGNING.address), 7)
    removed = verifier.update_trusted_signer(Address(SIGNING.address), None)
    assert verifier.UPDATE_TRUSTED_SIGNER.arguments(removed.data) == (Address(SIGNING.address), 0)


# -- Solana --------------------------------------------------------------------------------------------------------------------

HELD = LazerStorage(
    Pubkey(b"t" * 32),
    Pubkey(b"m" * 32),
    1,
    (LazerSigner(SIGNING.public_key, Instant.from_seconds(EXPIRES_S)),),
    (LazerSigner(SIGNING.address, Instant.from_seconds(EXPIRES_S)),),
)


async def test_the_storage_account() -> None:
    cluster = Cluster()
    address = storage.storage_address()
    with pytest.raises(errors.NotFound, match="no Lazer storage account"):
        await lazer_storage(cluster.client)
    cluster.add(Account(address, LAZER_PROGRAM, 1, storage.encode_storage(HELD), False, 1))
    found = await lazer_storage(cluster.client)
    assert found == HELD
    trusted = LazerSigners.merged(found.signers, found.ecdsa_signers)
    for form in (UpdateFormat.SOLANA, UpdateFormat.LE_ECDSA):
        assert verify(SIGNING.sign(PAYLOAD, form), trusted, at=Instant.from_seconds(TIME_S)).payload == PAYLOAD


async def test_a_storage_account_of_somebody_else() -> None:
    cluster = Cluster()
    cluster.add(Account(storage.storage_address(), Pubkey(bytes(32)), 1, storage.encode_storage(HELD), False, 1))
    with pytest.raises(errors.DecodeError, match="is owned by 1111"):
        await lazer_storage(cluster.client)
    cluster.add(Account(storage.storage_address(), LAZER_PROGRAM, 1, b"short", False, 1))
    with pytest.raises(errors.DecodeError, match="5 bytes"):
        await lazer_storage(cluster.client, str(LAZER_PROGRAM))
