"""What a TLS server showed of itself: its certificates, the chains they make, and what was agreed on."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from probekit.model.observation import AddressFamily, Phases
from probekit.units import Instant

Untrusted = Literal["self_signed", "unknown_authority", "incomplete_chain", "chain_refused"]
"""Why no chain of a server is trusted."""


class Certificate(msgspec.Struct, frozen=True):
    """The fields of a certificate that are judged. Names of subjects are RFC 4514 text, cut to 200 characters."""

    subject: str
    issuer: str
    serial: str
    """Hexadecimal."""
    not_before: Instant
    not_after: Instant
    """The last second in which it is valid."""
    key: str
    """``RSA``, ``EC``, ``Ed25519``, ..."""
    key_bits: int
    signature: str
    """The hash that was signed, as ``sha256``; the scheme's name where that has none."""
    names: tuple[str, ...]
    """Hosts of its subjectAltName (dNSName)."""
    sha256: str
    addresses: tuple[str, ...] = ()
    """Addresses of the same (iPAddress): a host that reads like one is none."""

    @property
    def named(self) -> tuple[str, ...]:
        """All that it is for."""
        return self.names + self.addresses


class Chain(msgspec.Struct, frozen=True):
    """Certificates that sign each other, the server's own first, a trusted authority last."""

    certificates: tuple[Certificate, ...]
    problem: str = ""
    """Why a verifier does not take it at a time when all of it is valid; empty where it does."""

    @property
    def valid_from(self) -> Instant:
        return max(one.not_before for one in self.certificates)

    @property
    def expires_at(self) -> Instant:
        return self.first_to_expire.not_after

    @property
    def first_to_expire(self) -> Certificate:
        return min(self.certificates, key=lambda one: one.not_after)


class Trust(msgspec.Struct, frozen=True):
    """What a server's certificates are worth to somebody who trusts certain authorities."""

    sent: tuple[Certificate, ...]
    """As they were sent, the server's own first."""
    chain: Chain | None
    """Of the chains that a verifier takes, the one that lives longest, alive or not; ``None`` where it takes none."""
    chains: int = 0
    """How many it takes."""
    untrusted: Untrusted | None = None
    words: str = ""
    """Why nothing is trusted, in a sentence."""


class TlsSighting(msgspec.Struct, frozen=True):
    """One TLS handshake, whose certificates were read before anything of them was verified.

    ``elapsed_ns`` is from name look-up to the end of the handshake, without the wait for a slot.
    """

    server_name: str
    """What the certificate should be for, and what was asked for in the handshake."""
    named: bool
    """Whether it is."""
    trust: Trust
    protocol: str
    """``TLSv1.3``, as OpenSSL calls it."""
    cipher: str
    alpn: str | None
    peer_address: str
    family: AddressFamily
    phases: Phases
    elapsed_ns: int

    def shown(self) -> dict[str, Any]:
        """As evidence has it: certificates by what is asked of them, in words."""
        trust = self.trust
        return {
            **msgspec.structs.asdict(self),
            "trust": {
                "sent": [_line(one) for one in trust.sent],
                "chain": None if trust.chain is None else [_line(one) for one in trust.chain.certificates],
                "chains": trust.chains,
                "untrusted": trust.untrusted,
                "words": trust.words,
            },
        }


def _line(one: Certificate) -> str:
    names = ", ".join(one.named[:10])
    more = f" and {len(one.named) - 10} more" if len(one.named) > 10 else ""
    of = f" for {names}{more}" if names else ""
    return (
        f"{one.subject} by {one.issuer}{of}, {one.not_before} to {one.not_after}, "
        f"{one.key} {one.key_bits}, {one.signature}, serial {one.serial}, sha256 {one.sha256}"
    )
