"""Signing with signer sets of one's own: for the sandbox and for tests. Never for a real network's keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coincurve import PrivateKey

from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import MAX_MESSAGES, AccumulatorUpdate, RootPayload
from probekit.codecs.keccak import keccak256
from probekit.codecs.merkle import MerkleTree
from probekit.codecs.vaa import Signature, Vaa
from probekit.model import Message, TrustRoot
from probekit.trust.registry import CORE_EMITTER, PRO_EMITTER
from probekit.trust.sets import Emitter, SignerSet, Trust

_SIZES = {TrustRoot.CORE: 19, TrustRoot.PRO: 5}


@dataclass(frozen=True)
class SigningSet:
    """A signer set with its private keys."""

    root: TrustRoot
    index: int
    keys: tuple[PrivateKey, ...]

    @classmethod
    def generate(cls, root: TrustRoot, index: int, seed: bytes, *, size: int | None = None) -> SigningSet:
        """Keys derived from ``seed`` (keccak), so that the same seed always makes the same set: 19 signers, or 5 on the pro
        root.
        """
        count = _SIZES[root] if size is None else size
        material = (keccak256(seed + f"/{root}/{index}/{i}".encode()) for i in range(count))
        return cls(root, index, tuple(PrivateKey(secret) for secret in material))

    def signer_set(self) -> SignerSet:
        """Its public side."""
        addresses = (keccak256(key.public_key.format(compressed=False)[1:])[12:] for key in self.keys)
        return SignerSet(self.root, self.index, tuple(addresses))

    @property
    def quorum(self) -> int:
        return self.root.quorum(len(self.keys))

    @property
    def emitter(self) -> Emitter:
        """The real emitter of its root: the root of an update is read from it."""
        return CORE_EMITTER if self.root is TrustRoot.CORE else PRO_EMITTER

    def sign(self, vaa: Vaa, *, signers: Sequence[int] | None = None) -> Vaa:
        """The VAA signed by ``signers`` (default: the first quorum, as Hermes cuts it), under this set's index."""
        unsigned = replace_vaa(vaa, set_index=self.index, signatures=())
        digest = unsigned.digest()
        signed = []
        for index in range(self.quorum) if signers is None else signers:
            signature = self.keys[index].sign_recoverable(digest, hasher=None)
            signed.append(Signature(index, signature[:64], signature[64]))
        return replace_vaa(unsigned, signatures=tuple(signed))


def replace_vaa(vaa: Vaa, **changes: object) -> Vaa:
    """A VAA with some fields changed."""
    fields = {name: getattr(vaa, name) for name in vaa.__struct_fields__}
    return Vaa(**{**fields, **changes})


def trust_of(*sets: SigningSet) -> Trust:
    """The trust that verifies what these sets sign."""
    return Trust(tuple(one.signer_set() for one in sets), (CORE_EMITTER, PRO_EMITTER))


@dataclass(frozen=True)
class SignedSlot:
    """One slot's messages under one signed root: PNAU bytes for any subset of them."""

    vaa: Vaa
    encoded: tuple[bytes, ...]
    tree: MerkleTree

    def update(self, indices: Sequence[int]) -> bytes:
        """The accumulator update of those messages (at most 255)."""
        proven = tuple((self.encoded[i], self.tree.proof(i)) for i in indices)
        return accumulator.encode(AccumulatorUpdate(vaa_codec.encode(self.vaa), proven))

    def updates(self, indices: Sequence[int]) -> list[bytes]:
        """As Hermes serves them: as many updates as it takes, of at most 255 messages each."""
        return [self.update(indices[i : i + MAX_MESSAGES]) for i in range(0, len(indices), MAX_MESSAGES)]


def sign_slot(
    content: Sequence[Message | bytes],
    signing: SigningSet,
    *,
    slot: int,
    time_s: int,
    sequence: int | None = None,
    signers: Sequence[int] | None = None,
    emitter: Emitter | None = None,
) -> SignedSlot:
    """Build the tree over one slot's messages and sign its root.

    Conventions of each root are kept: on the pro root nonce 0, consistency 0, ring size 0 and sequence = slot; on the core
    root consistency 1, ring size 10,000 and a running sequence (default: the slot).
    """
    encoded = tuple(one if isinstance(one, bytes) else messages.encode(one) for one in content)
    tree = MerkleTree(encoded)
    pro = signing.root is TrustRoot.PRO
    payload = accumulator.encode_payload(RootPayload(slot, 0 if pro else 10_000, tree.root))
    origin = emitter or signing.emitter
    vaa = Vaa(
        signing.index,
        (),
        time_s,
        0,
        origin.chain,
        origin.address,
        slot if sequence is None else sequence,
        0 if pro else 1,
        payload,
    )
    return SignedSlot(signing.sign(vaa, signers=signers), encoded, tree)


def with_keys(signing: SigningSet, index: int) -> SigningSet:
    """The same keys under another set index."""
    return replace(signing, index=index)
