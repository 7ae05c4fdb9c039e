"""Are the certificates of a server trusted, for its name, strong, and not near their end?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, Literal, get_args

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.certificate import Certificate, TlsSighting
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]

_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_BROKEN_HASHES: Final = frozenset(("md5", "sha1"))


@dataclass(frozen=True, slots=True)
class CertificateExpiry:
    """Rule over a :class:`TlsSighting`: how long its chain lasts, which is as long as the first of its certificates.

    Of several chains it is the one that lives longest; where none is trusted, the server's own certificate alone. CRITICAL
    ``expired`` from the first second after it, ``expires_soon`` within ``critical_before`` of it; WARNING ``expiring`` within
    ``warn_before``; CRITICAL ``not_yet_valid`` before all of it is valid. Raises ``ValueError`` where the two are negative or
    ``critical_before`` is above ``warn_before``.
    """

    warn_before: timedelta = timedelta(days=21)
    critical_before: timedelta = timedelta(days=7)
    name: ClassVar[str] = "certificate_expiry"

    def __post_init__(self) -> None:
        if self.critical_before < timedelta(0):
            raise ValueError(f"critical_before must not be negative, but is {self.critical_before}")
        if self.critical_before > self.warn_before:
            raise ValueError(f"critical_before {self.critical_before} is above warn_before {self.warn_before}")

    def __call__(self, observation: Observation[TlsSighting], *, now: Instant) -> Verdict:
        trust = observation.value.trust
        leaf = trust.sent[0]
        certificates = (leaf,) if trust.chain is None else trust.chain.certificates
        first = min(certificates, key=lambda one: one.not_after)
        latest = max(certificates, key=lambda one: one.not_before)
        measures: tuple[Measure, ...] = (Measure("certificate.expiry.leaf", leaf.not_after.ns, "ns"),)
        if trust.chain is not None:
            measures += (Measure("certificate.expiry.chain", first.not_after.ns, "ns"),)
        left_ns = first.not_after.since(now)
        warn_ns, critical_ns = to_ns(self.warn_before), to_ns(self.critical_before)
        limit_ns = warn_ns
        ends = f"{_which(first, certificates)} at {first.not_after}"
        # A certificate is valid in all of its last second.
        if left_ns <= -NS_PER_S:
            status, reason, message = Status.CRITICAL, "expired", f"expired {_span(-left_ns)} ago: {ends}"
            limit_ns = 0
        elif latest.not_before.since(now) > 0:
            begins = f"{_which(latest, certificates)} at {latest.not_before}"
            status, reason = Status.CRITICAL, "not_yet_valid"
            message = f"valid in {_span(latest.not_before.since(now))}: {begins}"
        elif left_ns <= critical_ns:
            status, reason, message = Status.CRITICAL, "expires_soon", f"expires in {_span(left_ns)}: {ends}"
            limit_ns = critical_ns
        elif left_ns <= warn_ns:
            status, reason, message = Status.WARNING, "expiring", f"expires in {_span(left_ns)}: {ends}"
        else:
            status, reason, message = Status.OK, "valid", f"expires in {_span(left_ns)}: {ends}"
        return Verdict(self.name, status, reason, message, left_ns, limit_ns, "ns", measures=measures)


@dataclass(frozen=True, slots=True)
class CertificateTrust:
    """Rule over a :class:`TlsSighting`: whether any chain leads from what was sent to a trusted authority, whatever the time.

    CRITICAL ``self_signed``: the server's certificate is its own authority. ``unknown_authority``: the chain ends in a root
    that is not trusted. ``incomplete_chain``: an issuer was neither sent nor is it trusted. ``chain_refused``: there is a
    chain, and a verifier does not take it.
    """

    name: ClassVar[str] = "certificate_trust"

    def __call__(self, observation: Observation[TlsSighting], *, now: Instant) -> Verdict:
        trust = observation.value.trust
        if trust.chain is not None:
            root = trust.chain.certificates[-1].subject
            more = f"; {trust.chains} chains hold, this one lives longest" if trust.chains > 1 else ""
            return Verdict(self.name, Status.OK, "trusted", f"by {root}{more}")
        if trust.untrusted == "self_signed":
            return Verdict(self.name, Status.CRITICAL, "self_signed", trust.words)
        if trust.untrusted == "unknown_authority":
            return Verdict(self.name, Status.CRITICAL, "unknown_authority", trust.words)
        if trust.untrusted == "incomplete_chain":
            return Verdict(self.name, Status.CRITICAL, "incomplete_chain", trust.words)
        return Verdict(self.name, Status.CRITICAL, "chain_refused", trust.words)


@dataclass(frozen=True, slots=True)
class CertificateName:
    """Rule over a :class:`TlsSighting`: CRITICAL ``name_mismatch`` where the certificate is for other names than the one asked
    for.
    """

    name: ClassVar[str] = "certificate_name"

    def __call__(self, observation: Observation[TlsSighting], *, now: Instant) -> Verdict:
        seen = observation.value
        if seen.named:
            return Verdict(self.name, Status.OK, "named", f"the certificate is for {seen.server_name}")
        leaf = seen.trust.sent[0]
        if seen.server_name in leaf.names:
            words = (
                f"the certificate has {seen.server_name} as a host (dNSName): an address needs an entry of its own (iPAddress)"
            )
            return Verdict(self.name, Status.CRITICAL, "name_mismatch", words)
        names = leaf.named
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        of = f"for {', '.join(names[:5])}{more}" if names else "for no name at all (it has no subjectAltName)"
        return Verdict(self.name, Status.CRITICAL, "name_mismatch", f"the certificate is {of}, not for {seen.server_name}")


@dataclass(frozen=True, slots=True)
class TlsStrength:
    """Rule over a :class:`TlsSighting`: WARNING ``weak_protocol`` below ``min_version``, ``weak_key`` where a key of the chain
    is below ``min_rsa_bits`` or ``min_ec_bits``, ``weak_signature`` where one was signed by way of SHA-1 or MD5.

    The chain is the one that counts; where none does, what was sent. An authority's signature on itself proves nothing and is
    not looked at. Raises ``ValueError`` for a version that is none.
    """

    min_version: TlsVersion = "1.2"
    min_rsa_bits: int = 2048
    min_ec_bits: int = 224
    name: ClassVar[str] = "tls_strength"

    def __post_init__(self) -> None:
        if self.min_version not in get_args(TlsVersion):
            raise ValueError(f"min_version is one of {', '.join(get_args(TlsVersion))}, not {self.min_version}")

    def __call__(self, observation: Observation[TlsSighting], *, now: Instant) -> Verdict:
        seen = observation.value
        agreed = f"{seen.protocol} with {seen.cipher}" + (f", ALPN {seen.alpn}" if seen.alpn is not None else "")
        lowest = get_args(TlsVersion).index(self.min_version)
        if seen.protocol not in _VERSIONS[lowest:]:
            return Verdict(
                self.name, Status.WARNING, "weak_protocol", f"{agreed}; {self.min_version} is the least that is wanted"
            )
        trust = seen.trust
        for one in trust.sent if trust.chain is None else trust.chain.certificates:
            least = {"RSA": self.min_rsa_bits, "EC": self.min_ec_bits}.get(one.key, 0)
            if one.key_bits < least:
                words = f"the {one.key} key of {one.subject} has {one.key_bits} bits; {least} are wanted"
                return Verdict(self.name, Status.WARNING, "weak_key", words)
            if one.signature in _BROKEN_HASHES and one.subject != one.issuer:
                words = f"{one.subject} is signed with {one.signature}"
                return Verdict(self.name, Status.WARNING, "weak_signature", words)
        return Verdict(self.name, Status.OK, "strong", agreed)


def _span(ns: int) -> str:
    """A time as people plan with certificates: in days, where there are several."""
    hours = ns // (3600 * NS_PER_S)
    return f"{hours // 24}d{hours % 24:02d}h" if hours >= 48 else format_ns(ns)


def _which(one: Certificate, certificates: tuple[Certificate, ...]) -> str:
    """A certificate by its place in the chain."""
    if one is certificates[0]:
        return f"the server's certificate {one.subject}"
    kind = "authority" if one is certificates[-1] else "intermediate"
    return f"the {kind} {one.subject}"
