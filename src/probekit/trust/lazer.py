"""Verification of Pyth Pro (Lazer) updates in their three signed forms, against trusted signers. Pure: the time is handed in.

``evm`` and ``leEcdsa`` are signed by secp256k1 over keccak256 of the payload, ``solana`` by ed25519 over the payload itself.
One signature is enough, unlike the quorums of accumulator updates. ed25519 needs the extra ``lazer``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import astuple

from probekit.codecs.keccak import keccak256
from probekit.codecs.lazer import envelope as envelope_codec
from probekit.codecs.vaa import Signature
from probekit.errors import BadSignature, DecodeError, ParsedMismatch, SupersededSet, UnknownSet
from probekit.errors.extras import missing_extra
from probekit.model.evm import Address
from probekit.model.lazer import (
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerSigner,
    LazerUpdate,
    UpdateFormat,
    VerifiedPayload,
)
from probekit.model.pubkey import base58
from probekit.trust.signatures import recover
from probekit.units import Instant

_VALUES: Final = slice(2, -1)
"""The properties among the members of a feed: behind its number and what was served, before what is not known."""
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1: of the two forms of a signature the verifiers on EVM chains take the lower one."""


@dataclass(frozen=True)
class LazerSigners:
    """Who may sign. A value; :meth:`with_signer` returns a changed copy. Raises ``ValueError`` when a key is named twice."""

    signers: tuple[LazerSigner, ...]
    _by_key: dict[bytes, LazerSigner] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {one.key: one for one in self.signers}
        if len(by_key) != len(self.signers):
            raise ValueError("a signer is named twice")
        object.__setattr__(self, "_by_key", by_key)

    @classmethod
    def of(cls, *keys: str) -> LazerSigners:
        """From hex, of unknown expiry: 20-byte addresses and 32-byte keys. Raises ``ValueError``."""
        return cls(tuple(LazerSigner(bytes.fromhex(key.removeprefix("0x"))) for key in keys))

    @classmethod
    def merged(cls, *groups: Iterable[LazerSigner]) -> LazerSigners:
        """From what several verifiers keep; of two entries of one key that with the later expiry counts, a known one first."""
        found: dict[bytes, LazerSigner] = {}
        for one in (one for group in groups for one in group):
            known = found.get(one.key)
            if known is None or _expiry_ns(one) > _expiry_ns(known):
                found[one.key] = one
        return cls(tuple(found.values()))

    def get(self, key: bytes) -> LazerSigner | None:
        """The entry of an address or a key, if it is trusted at some time."""
        return self._by_key.get(key)

    def with_signer(self, signer: LazerSigner) -> LazerSigners:
        """With one more, or another in place of the one of its key."""
        return LazerSigners((*(one for one in self.signers if one.key != signer.key), signer))

    def at(self, moment: Instant) -> tuple[LazerSigner, ...]:
        """Those that are trusted at ``moment``."""
        return tuple(one for one in self.signers if one.expires_at is None or moment < one.expires_at)


def _expiry_ns(signer: LazerSigner) -> int:
    return -1 if signer.expires_at is None else signer.expires_at.ns


def verify(update: bytes | Envelope, signers: LazerSigners, *, at: Instant) -> VerifiedPayload:
    """Verify one signed update as of ``at``, which is now in live use.

    It proves who signed what, not that the prices are fresh: ask :meth:`~probekit.model.lazer.LazerPayload.freshness`. A signer
    counts while ``at`` is before its expiry, as in the contracts; one of unknown expiry always counts.

    Raises ``DecodeError``; ``BadSignature`` (none, or one that fits no key; of secp256k1 also one that recovers to a stranger,
    which is how altered bytes look, and the higher of its two forms, which contracts refuse); ``UnknownSet`` (rightly signed,
    by an ed25519 key that is not trusted); ``SupersededSet`` (by a signer that has expired); ``ConfigError`` when ed25519 is
    not installed.
    """
    signed = update if isinstance(update, Envelope) else envelope_codec.decode(update)
    if not signed.format.is_signed:
        raise BadSignature(f"an update in the form {signed.format} has no signature")
    signer = _ed25519_signer(signed, signers) if signed.format is UpdateFormat.SOLANA else _ecdsa_signer(signed, signers)
    if signer.expires_at is not None and at >= signer.expires_at:
        raise SupersededSet(f"signer {signer} expired at {signer.expires_at}, before {at}")
    return VerifiedPayload(envelope_codec.content(signed), signed.format, signer)


def ecdsa_signer(signed: Envelope) -> bytes:
    """The 20-byte address that signed, trusted or not. Raises ``BadSignature``."""
    recovery_id = signed.recovery_id
    if recovery_id not in (0, 1) or len(signed.signature) != 64:
        raise BadSignature(f"a signature of {len(signed.signature)} bytes with recovery id {recovery_id}")
    if int.from_bytes(signed.signature[32:], "big") > _HALF_ORDER:
        raise BadSignature("the higher form of a signature, which verifiers on chain refuse")
    return recover(Signature(0, signed.signature, recovery_id), keccak256(signed.payload))


def _ecdsa_signer(signed: Envelope, signers: LazerSigners) -> LazerSigner:
    address = ecdsa_signer(signed)
    signer = signers.get(address)
    if signer is None:
        raise BadSignature(f"the signature recovers to {Address(address)}, no trusted signer: altered bytes, or another's key")
    return signer


def _ed25519_signer(signed: Envelope, signers: LazerSigners) -> LazerSigner:
    key = signed.public_key or b""
    if not ed25519_holds(key, signed.signature, signed.payload):
        raise BadSignature(f"the signature is not that of {base58(key)} over the payload")
    signer = signers.get(key)
    if signer is None:
        raise UnknownSet(f"rightly signed by {base58(key)}, which is no trusted signer")
    return signer


def require_ed25519() -> None:
    """Raise ``ConfigError`` when the library of ed25519 is not installed: at once, and not at the first update."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ModuleNotFoundError:
        raise missing_extra("updates in the form solana are signed by ed25519, which needs cryptography", "lazer") from None


def ed25519_holds(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is the key's over the message. Raises ``ConfigError`` when the library is not installed."""
    require_ed25519()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_parsed(told: LazerPayload, held: LazerPayload, *, what: str = "the parsed part") -> None:
    """Compare a part of an answer (``what`` it is, in words) with a payload of the same answer. An absent value has no place in
    JSON.

    Raises ``ParsedMismatch`` naming the differences, up to a few.
    """
    wrong: list[str] = []
    if told.timestamp_us != held.timestamp_us:
        wrong.append(f"time {told.timestamp_us}, in the payload {held.timestamp_us}")
    here, there = told.by_id, held.by_id
    # What could not be read, on either side, may well be there.
    if not held.unread:
        wrong += [f"feed {feed_id} is not in the payload" for feed_id in here.keys() - there.keys()]
    if not told.unread and not any(isinstance(feed, DecodeError) for feed in told.feeds):
        wrong += [f"feed {feed_id} is only in the payload" for feed_id in there.keys() - here.keys()]
    for feed_id in here.keys() & there.keys():
        wrong += [f"feed {feed_id}: {difference}" for difference in _differences(here[feed_id], there[feed_id])]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ParsedMismatch(f"{what} contradicts the payload: {'; '.join(sorted(wrong)[:5])}{more}")


def _differences(told: FeedValues, held: FeedValues) -> list[str]:
    # Hundreds of feeds pass here many times a second, and hardly ever differ.
    if astuple(told)[_VALUES] == astuple(held)[_VALUES]:
        return []
    return [
        f"{which.wire_name} {told.value(which)}, in the payload {held.value(which)}"
        for which in FeedProperty
        if told.value(which) != held.value(which)
    ]


def verify_update(update: LazerUpdate, signers: LazerSigners, *, at: Instant) -> VerifiedPayload:
    """Verify every signed form of an answer, and that its parsed part and unsigned form say the same.

    Returns the first form's proof. Raises as :func:`verify` does, ``ParsedMismatch``, a part's own ``DecodeError``, and
    ``BadSignature`` where no part is signed.
    """
    proof: VerifiedPayload | None = None
    for form, part in update.binary.items():
        if isinstance(part, DecodeError):
            raise part
        if form.is_signed:
            verified = verify(part, signers, at=at)
            if proof is not None:
                check_parsed(verified.payload, proof.payload, what=f"the form {form}")
            proof = proof or verified
    if proof is None:
        raise BadSignature("no part of the update is signed")
    unsigned = update.binary.get(UpdateFormat.LE_UNSIGNED)
    if isinstance(unsigned, Envelope):
        check_parsed(envelope_codec.content(unsigned), proof.payload, what="the unsigned form")
    if isinstance(update.parsed, DecodeError):
        raise update.parsed
    if update.parsed is not None:
        check_parsed(update.parsed, proof.payload)
    return proof


PRODUCTION: Final = LazerSigners(
    (
        LazerSigner(bytes.fromhex("26fb61a864c758ae9fba027a96010480658385b9"), name="production"),
        LazerSigner(bytes.fromhex("80efc1f480c5615af3fb673d42287e993da9fbc3506b6e41dfa32950820c2e6c"), name="production"),
    )
)
"""Seen in real updates of 2025-07 to 2026-05 and 2025-09 to 2026-02. Keys rotate, and these say nothing of when: read the
verifiers on chain (:class:`~probekit.clients.lazer_chain.LazerVerifierClient`) in live use."""
