"""secp256k1 over VAA digests: recovery, and the rules of order and quorum."""

from __future__ import annotations

from collections.abc import Sequence

from coincurve import PublicKey

from probekit.codecs.keccak import keccak256
from probekit.codecs.vaa import Signature, Vaa
from probekit.errors import BadSignature, NoQuorum, SignatureOrder


def recover(signature: Signature, digest: bytes) -> bytes:
    """The 20-byte address that signed. Raises ``BadSignature`` when the signature recovers to no key."""
    recovery_id = signature.recovery_id - 27 if signature.recovery_id >= 27 else signature.recovery_id
    if recovery_id > 3:
        raise BadSignature(f"the signature of signer {signature.index} has recovery id {signature.recovery_id}")
    try:
        key = PublicKey.from_signature_and_message(signature.rs + bytes((recovery_id,)), digest, hasher=None)
    except Exception as error:
        # coincurve raises bare Exception and ValueError alike for points that are none.
        raise BadSignature(f"the signature of signer {signature.index} recovers to no key") from error
    return keccak256(key.format(compressed=False)[1:])[12:]


def check_signatures(vaa: Vaa, signers: Sequence[bytes], quorum: int) -> tuple[int, ...]:
    """Check order, quorum and every signature against ``signers``; returns the indices that signed.

    Raises ``SignatureOrder`` (not strictly ascending, or outside the set), ``NoQuorum``, ``BadSignature``. Order and quorum
    come first: they cost nothing, and no one pays for signatures that cannot suffice.
    """
    previous = -1
    for signature in vaa.signatures:
        if signature.index <= previous:
            raise SignatureOrder(f"signer {signature.index} follows signer {previous}; indices must ascend")
        previous = signature.index
    if previous >= len(signers):
        raise SignatureOrder(f"signer {previous} lies outside a set of {len(signers)}")
    if len(vaa.signatures) < quorum:
        raise NoQuorum(f"{len(vaa.signatures)} signatures of a set of {len(signers)}, quorum {quorum}")
    digest = vaa.digest()
    for signature in vaa.signatures:
        address = recover(signature, digest)
        if address != signers[signature.index]:
            raise BadSignature(
                f"signature {signature.index} recovers to 0x{address.hex()}, the set has 0x{signers[signature.index].hex()}"
            )
    return tuple(signature.index for signature in vaa.signatures)
