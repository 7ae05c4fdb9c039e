"""Certificates of TLS servers: read as they came, and every chain from them to a trusted authority. Needs the extra ``tls``.

Which certificates sign each other is found by walking; whether such a chain holds (RFC 5280: constraints on authorities,
lengths and names, uses of keys) is judged by the verifier of ``cryptography``, which is handed one chain at a time. That one
alone would stop at the first chain it takes, and the question here is which of several lives longest.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import islice
from typing import Final

from probekit.errors import DecodeError
from probekit.errors.extras import missing_extra
from probekit.model.certificate import Certificate, Chain, Trust
from probekit.units import Instant

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import verification
    from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
except ModuleNotFoundError:
    raise missing_extra("reading certificates needs cryptography", "tls") from None

MAX_SENT: Final = 32
"""Certificates of a server that are looked at; OpenSSL takes 100 kB of them."""
MAX_AUTHORITIES: Final = 512
"""Authorities beside those that are trusted, of one bundle."""
_MAX_DEPTH: Final = 10
_MAX_SIGNATURES: Final = 256
"""Signatures that are checked for one server: what it sends is not trusted to be a chain at all."""
_MAX_STEPS: Final = 512
"""Certificates that are stood on, over all ways up: authorities that sign each other make more ways than there are seconds."""
_MAX_CHAINS: Final = 32
"""Chains that are judged."""
_CUT: Final = 200
_MUST_UNDERSTAND: Final = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.TLS_FEATURE,
    )
)
"""Extensions that may be critical: those that are judged, and those that forbid nothing which is asked here."""


class Anchors:
    """Trusted authorities. Each is one by itself, whoever else signed it. ``beside``: and those of another set."""

    def __init__(self, certificates: Iterable[x509.Certificate], beside: Anchors | None = None) -> None:
        self._by_subject: dict[bytes, list[x509.Certificate]] = {}
        self._prints: set[bytes] = set()
        self._beside = beside
        for one in certificates:
            mark = one.fingerprint(SHA256())
            if mark not in self._prints and (beside is None or one not in beside):
                self._prints.add(mark)
                self._by_subject.setdefault(one.subject.public_bytes(), []).append(one)

    def __len__(self) -> int:
        return len(self._prints) + (0 if self._beside is None else len(self._beside))

    def __contains__(self, one: x509.Certificate) -> bool:
        return one.fingerprint(SHA256()) in self._prints or (self._beside is not None and one in self._beside)

    def named(self, subject: x509.Name) -> Sequence[x509.Certificate]:
        own = self._by_subject.get(subject.public_bytes(), ())
        return own if self._beside is None else (*own, *self._beside.named(subject))


def anchors_of(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a bundle (PEM, anything between them is skipped); those that do not decode are left out, as TLS
    libraries do.
    """
    found = []
    for part in pem.split(b"-----BEGIN CERTIFICATE-----")[1:]:
        body, end, _ = part.partition(b"-----END CERTIFICATE-----")
        try:
            with warnings.catch_warnings():
                # Of old authorities: a serial number of zero, say. They are trusted all the same.
                warnings.simplefilter("ignore")
                found.append(x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + body + end + b"\n"))
                found[-1].subject.public_bytes()
        except ValueError:
            continue
    return found


def trust_of(sent: Sequence[bytes], anchors: Anchors, *, at: Instant) -> Trust:
    """What the certificates that a server sent (DER, its own first) are worth at ``at``.

    Chains are judged at a time when all of their certificates are valid; that the present is no such time is for a check to
    say, from the times in them. Of those that hold, one that is alive counts before one that is not, then the one that expires
    last. Raises ``DecodeError`` where the server's own certificate does not decode; of the others such a one is left out.
    """
    if not sent:
        raise DecodeError("the server sent no certificate", raw=b"")
    leaf = _load(sent[0])
    others: list[x509.Certificate] = []
    for der in sent[1:MAX_SENT]:
        try:
            others.append(_load(der))
        except DecodeError:
            continue
    walk = _Walk(others, anchors)
    chains = _chains(walk, leaf, at)
    good = [chain for chain in chains if not chain.problem]
    shown = tuple(map(_facts, (leaf, *others)))
    if good:
        return Trust(shown, _longest_lived(good, at), len(good))
    if chains:
        return Trust(shown, None, 0, "chain_refused", chains[0].problem)
    if _issued_by(leaf, leaf):
        return Trust(shown, None, 0, "self_signed", f"{shown[0].subject} signed itself, and is no trusted authority")
    top = walk.highest
    if walk.exhausted:
        return Trust(
            shown, None, 0, "chain_refused",
            f"no chain was found within {_MAX_SIGNATURES} signatures and {_MAX_STEPS} steps over what was sent",
        )  # fmt: skip
    if _issued_by(top, top):
        return Trust(
            shown, None, 0, "unknown_authority", f"the chain ends in {_name(top.subject)}, which is no trusted authority"
        )
    return Trust(
        shown, None, 0, "incomplete_chain",
        f"{_name(top.subject)} was issued by {_name(top.issuer)}, which was neither sent nor is it a trusted authority",
    )  # fmt: skip


def first_to_end(certificates: Sequence[bytes], authorities: Sequence[bytes], anchors: Anchors, *, at: Instant) -> Certificate:
    """The certificate that ends first, of the chain that lives longest, of all from the first of ``certificates`` (DER) to an
    authority.

    Authorities are ``anchors``, ``authorities`` (DER; those that do not decode are left out), and whoever of ``certificates``
    signed itself. Where no way leads to one, a chain goes as far as the certificates do; one that a verifier refuses counts
    where it takes none: what is asked is the end, and it may be for something else than servers. Raises ``DecodeError`` for one
    of ``certificates`` that does not decode, or for none.
    """
    if not certificates:
        raise DecodeError("there is no certificate", raw=b"")
    leaf, *others = map(_load, certificates[:MAX_SENT])
    own = [one for one in others if _issued_by(one, one)]
    for der in authorities[:MAX_AUTHORITIES]:
        with suppress(DecodeError):
            own.append(_load(der))
    chains = _chains(_Walk(others, Anchors(own, anchors)), leaf, at)
    if not chains:
        signed = {one.subject for one in others}
        chains = _chains(_Walk(others, Anchors(one for one in others if one.issuer not in signed)), leaf, at)
    if not chains:
        return _facts(leaf)
    return _longest_lived([one for one in chains if not one.problem] or chains, at).first_to_expire


def _chains(walk: _Walk, leaf: x509.Certificate, at: Instant) -> list[Chain]:
    paths = islice(walk.paths([leaf]), _MAX_CHAINS)
    return [Chain(tuple(_facts(one) for one in path), _problem(path, at)) for path in paths]


def _longest_lived(chains: Sequence[Chain], at: Instant) -> Chain:
    """One that is alive counts before one that is not, then the one that expires last."""
    return max(chains, key=lambda one: (one.valid_from <= at <= one.expires_at, one.expires_at, -len(one.certificates)))


def is_for(certificate: Certificate, server_name: str) -> bool:
    """Whether a certificate names a host or an address, by RFC 9525: a ``*`` stands for one whole label, the first of three or
    more; an address is named by an iPAddress entry alone, which has no zone.
    """
    try:
        return str(ip_address(server_name.partition("%")[0])) in certificate.addresses
    except ValueError:
        wanted = server_name.lower().rstrip(".")
    parent = wanted.partition(".")[2]
    return any(one in (wanted, f"*.{parent}" if "." in parent else wanted) for one in map(str.lower, certificate.names))


class _Walk:
    """Every way up from a certificate, over what was sent, to an authority."""

    def __init__(self, sent: Sequence[x509.Certificate], anchors: Anchors) -> None:
        self._sent = list(dict.fromkeys(sent))
        self._anchors = anchors
        self._known: dict[tuple[x509.Certificate, x509.Certificate], bool] = {}
        self._signatures = 0
        self._steps = 0
        self._longest: list[x509.Certificate] = []

    @property
    def exhausted(self) -> bool:
        """Whether there are ways that were not gone."""
        return self._signatures >= _MAX_SIGNATURES or self._steps >= _MAX_STEPS

    @property
    def highest(self) -> x509.Certificate:
        """The end of the longest way that led to no authority."""
        return self._longest[-1]

    def paths(self, path: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
        if self._steps >= _MAX_STEPS:
            return
        self._steps += 1
        if len(path) > len(self._longest):
            self._longest = path
        top = path[-1]
        if top in self._anchors:
            yield path
            return
        if len(path) >= _MAX_DEPTH:
            return
        authorities = self._anchors.named(top.issuer)
        sent = [one for one in self._sent if one.subject == top.issuer and one not in path and one not in authorities]
        for one in (*authorities, *sent):
            if self._issued(top, one):
                yield from self.paths([*path, one])

    def _issued(self, one: x509.Certificate, by: x509.Certificate) -> bool:
        if (one, by) not in self._known:
            if self._signatures >= _MAX_SIGNATURES:
                return False
            self._signatures += 1
            self._known[one, by] = _issued_by(one, by)
        return self._known[one, by]


def _issued_by(one: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


# -- one chain, judged -----------------------------------------------------------------------------------------------------


def _needs_cert_sign(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key may not sign certificates")


def _serves(policy: object, certificate: x509.Certificate, uses: x509.ExtendedKeyUsage | None) -> None:
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if uses is not None and not any(one in uses for one in allowed):
        raise ValueError("a certificate is not for servers")


@lru_cache(maxsize=1)
def _policies() -> tuple[verification.ExtensionPolicy, verification.ExtensionPolicy]:
    """For authorities and for servers: what TLS clients ask of a certificate, not what public authorities promise each other,
    which private ones need not keep.
    """
    optional, everything = verification.Criticality.AGNOSTIC, verification.ExtensionPolicy.permit_all()
    authorities = (
        everything.require_present(x509.BasicConstraints, optional, None)
        .may_be_present(x509.KeyUsage, optional, _needs_cert_sign)
        .may_be_present(x509.ExtendedKeyUsage, optional, _serves)
    )
    servers = everything.require_present(x509.SubjectAlternativeName, optional, None).may_be_present(
        x509.ExtendedKeyUsage, optional, _serves
    )
    return authorities, servers


def _problem(path: Sequence[x509.Certificate], at: Instant) -> str:
    """Why a chain does not hold at the time, nearest to ``at``, when all of it is valid; empty where it does."""
    start = max(one.not_valid_before_utc for one in path)
    end = min(one.not_valid_after_utc for one in path)
    if start > end:
        return "there is no time at which all certificates of the chain are valid"
    if len(path) == 1:
        return ""  # the server's own certificate is trusted by itself
    for one in path:
        try:
            strange = [ext.oid for ext in one.extensions if ext.critical and ext.oid not in _MUST_UNDERSTAND]
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            return f"{_name(one.subject)} has extensions that do not decode: {error}"[:_CUT]
        if strange:
            return f"{_name(one.subject)} has a critical extension that is not known: {strange[0].dotted_string}"
    if not _alternatives(path[0]):
        return f"{_name(path[0].subject)} names no host: it has no subjectAltName"
    authorities, servers = _policies()
    moment = min(max(_moment(at), start), end)
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store([path[-1]]))
        .time(moment.replace(tzinfo=None))
        .max_chain_depth(_MAX_DEPTH)
        .extension_policies(ca_policy=authorities, ee_policy=servers)
    )
    try:
        # A server's verifier wants a name to look for, and takes none that a host must not have: names are told by themselves.
        # What a certificate is for is asked by the policies, whoever holds it.
        builder.build_client_verifier().verify(path[0], list(path[1:-1]))
    except (verification.VerificationError, ValueError) as error:
        return str(error).partition(" (encountered processing")[0].removeprefix("validation failed: ")[:_CUT]
    return ""


def _moment(at: Instant) -> datetime:
    try:
        return at.to_datetime()
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


# -- fields ------------------------------------------------------------------------------------------------------------------


def _load(der: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            # What is read lazily fails lazily: all of it now, or not at all.
            _ = certificate.not_valid_after_utc, certificate.not_valid_before_utc
            certificate.issuer.public_bytes()
            certificate.subject.public_bytes()
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, OverflowError, x509.InvalidVersion) as error:
        raise DecodeError(f"no certificate: {error}"[:_CUT], raw=der) from None
    return certificate


def read_certificate(der: bytes) -> Certificate:
    """One certificate's fields. Raises ``DecodeError``."""
    return _facts(_load(der))


@lru_cache(maxsize=1024)
def _facts(one: x509.Certificate) -> Certificate:
    with warnings.catch_warnings():
        # A serial number below zero is a server's fault and nobody's warning.
        warnings.simplefilter("ignore")
        return _read(one)


def _read(one: x509.Certificate) -> Certificate:
    key = one.public_key()
    try:
        hashed = one.signature_hash_algorithm
    except UnsupportedAlgorithm:
        hashed = None
    return Certificate(
        _name(one.subject),
        _name(one.issuer),
        f"{one.serial_number:x}",
        Instant.from_datetime(one.not_valid_before_utc),
        Instant.from_datetime(one.not_valid_after_utc),
        type(key).__name__.removesuffix("PublicKey"),
        int(getattr(key, "key_size", 256)),
        hashed.name if hashed is not None else one.signature_algorithm_oid._name,
        tuple(name.value for name in _alternatives(one) if isinstance(name, x509.DNSName)),
        one.fingerprint(SHA256()).hex(),
        tuple(str(name.value) for name in _alternatives(one) if isinstance(name, x509.IPAddress)),
    )


def _alternatives(one: x509.Certificate) -> list[x509.DNSName | x509.IPAddress]:
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, UnsupportedAlgorithm):
        return []
    return [name for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]


def _name(name: x509.Name) -> str:
    try:
        text = name.rfc4514_string()
    except ValueError:
        text = "a name that does not decode"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_CUT])
    return shown or "(no name)"
