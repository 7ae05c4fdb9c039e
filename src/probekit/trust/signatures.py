"""secp256k1 over VAA digests: recovery, and the rules of order and quorum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from sha3 import keccak_256

from probekit.codecs.vaa import Signature, Vaa
from probekit.errors import BadSignature, NoQuorum, SignatureOrder

_MAX_RECOVERY_ID: Final = 3
_UNCOMPRESSED: Final = 2  # SECP256K1_EC_UNCOMPRESSED
_parse: Final[Any] = lib.secp256k1_ecdsa_recoverable_signature_parse_compact
_recover: Final[Any] = lib.secp256k1_ecdsa_recover
_serialize: Final[Any] = lib.secp256k1_ec_pubkey_serialize


class Recovery:
    """Recovers the signers of one 32-byte digest.

    The library's own calls, with buffers that serve all signatures of a VAA: coincurve's public ones allocate three for each
    and format the key once more, a tenth of the cost of recovering it. An instance belongs to one thread: the calls release
    the interpreter's lock.
    """

    __slots__ = ("_digest", "_key", "_length", "_parsed", "_point", "_serialized")

    def __init__(self, digest: bytes) -> None:
        if len(digest) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
        self._digest = digest
        self._parsed: Any = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        self._key: Any = ffi.new("secp256k1_pubkey *")
        self._serialized: Any = ffi.new("unsigned char[65]")
        self._length: Any = ffi.new("size_t *")
        # An address is of the point's coordinates alone, without the byte that says how they are written.
        self._point = memoryview(ffi.buffer(self._serialized, 65))[1:]

    def address(self, signature: Signature) -> bytes:
        """The 20-byte address that signed: keccak256(public key)[12:]. Raises ``BadSignature`` when there is none."""
        rs, recovery_id = signature.rs, signature.recovery_id
        # The library reads 64 bytes, whatever it is given.
        if len(rs) != 64 or not 0 <= recovery_id <= _MAX_RECOVERY_ID:
            raise BadSignature(
                f"the signature of signer {signature.index} has {len(rs)} bytes and recovery id {recovery_id}; "
                f"it takes 64 and 0 to {_MAX_RECOVERY_ID}"
            )
        context, key = GLOBAL_CONTEXT.ctx, self._key
        if not (_parse(context, self._parsed, rs, recovery_id) and _recover(context, key, self._parsed, self._digest)):
            raise BadSignature(f"the signature of signer {signature.index} recovers to no key")
        self._length[0] = 65
        _serialize(context, self._serialized, self._length, key, _UNCOMPRESSED)
        address: bytes = keccak_256(self._point).digest()[12:]
        return address


def recover(signature: Signature, digest: bytes) -> bytes:
    """The 20-byte address that signed a 32-byte digest. Raises ``BadSignature`` when the signature recovers to no key."""
    return Recovery(digest).address(signature)


def check_signatures(vaa: Vaa, digest: bytes, signers: Sequence[bytes], quorum: int) -> tuple[int, ...]:
    """Check order, quorum and every signature over ``digest`` against ``signers``; returns the indices that signed.

    Raises ``SignatureOrder`` (not strictly ascending, or outside the set), ``NoQuorum``, ``BadSignature``. Order and quorum
    come first: they cost nothing, and no one pays for signatures that cannot suffice. Every signature must hold, also those
    above the quorum, as in the contracts.
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
    recovery = Recovery(digest)
    for signature in vaa.signatures:
        address = recovery.address(signature)
        if address != signers[signature.index]:
            raise BadSignature(
                f"signature {signature.index} recovers to 0x{address.hex()}, the set has 0x{signers[signature.index].hex()}"
            )
    return tuple([signature.index for signature in vaa.signatures])
