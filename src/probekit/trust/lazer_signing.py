"""Signing Pyth Pro (Lazer) updates with keys of one's own: for the sandbox and for tests. Never for a real network's keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from probekit.codecs.keccak import keccak256
from probekit.codecs.lazer import envelope as envelope_codec
from probekit.codecs.lazer import payload as payload_codec
from probekit.model.lazer import Envelope, LazerPayload, LazerSigner, UpdateFormat
from probekit.trust.lazer import LazerSigners, require_ed25519
from probekit.units import Instant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class LazerSigning:
    """A router's two keys."""

    ecdsa: PrivateKey
    ed25519: Ed25519PrivateKey

    @classmethod
    def generate(cls, seed: bytes) -> LazerSigning:
        """Keys derived from ``seed``: the same seed always makes the same. Raises ``ConfigError`` without the extra."""
        require_ed25519()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        second = keccak256(seed + b"/ed25519")
        return cls(PrivateKey(keccak256(seed + b"/secp256k1")), Ed25519PrivateKey.from_private_bytes(second))

    @property
    def address(self) -> bytes:
        """Of the secp256k1 key."""
        return keccak256(self.ecdsa.public_key.format(compressed=False)[1:])[12:]

    @property
    def public_key(self) -> bytes:
        """Of the ed25519 key."""
        return self.ed25519.public_key().public_bytes_raw()

    def signers(self, expires_at: Instant | None = None) -> LazerSigners:
        """The trust that verifies what these keys sign."""
        return LazerSigners((LazerSigner(self.address, expires_at), LazerSigner(self.public_key, expires_at)))

    def sign(self, payload: LazerPayload, form: UpdateFormat) -> Envelope:
        """The payload in one form. Raises ``ValueError`` when it cannot be written."""
        raw = payload_codec.encode(payload, envelope_codec.byte_order(form))
        if form is UpdateFormat.LE_UNSIGNED:
            return Envelope(form, raw)
        if form is UpdateFormat.SOLANA:
            return Envelope(form, raw, self.ed25519.sign(raw), public_key=self.public_key)
        signature = self.ecdsa.sign_recoverable(keccak256(raw), hasher=None)
        return Envelope(form, raw, signature[:64], signature[64])
