"""Certificates of any shape, made in memory: authorities, intermediates, cross-signatures, and what is wrong with them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@lru_cache(maxsize=64)
def _key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write(self, path: Path, *chain: Issued) -> Path:
        """Its key, itself and the certificates that are sent with it, as servers read them."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(key + self.pem + b"".join(one.pem for one in chain))
        return path


def server_context(path: Path, **more: Any) -> ssl.SSLContext:
    """A server's side of TLS with what :meth:`Issued.write` wrote."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    for name, value in more.items():
        setattr(context, name, value)
    return context


_SIGNS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def issue(
    subject: str,
    by: Issued | None = None,
    *,
    key: Any = None,
    key_number: int | None = None,
    ca: bool = True,
    names: Sequence[str] = (),
    start: datetime | None = None,
    days: float = 90,
    path_length: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    hashed: hashes.SHA256 | hashes.SHA384 | None = None,
) -> Issued:
    """A certificate for ``subject``, by itself without ``by``; ``names`` make it a server's. ``key_number`` gives a key that is
    the same in every call with that number; ``days`` count from now.
    """
    own = key if key is not None else ec.generate_private_key(ec.SECP256R1()) if key_number is None else _key(key_number)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer = name if by is None else by.certificate.subject
    now = datetime.now(UTC)
    end = now + timedelta(days=days)
    begin = start if start is not None else min(now, end) - 30 * DAY
    builder = x509.CertificateBuilder(issuer, name, own.public_key(), x509.random_serial_number(), begin, end)
    kinds = {type(value) for value, _ in extensions}
    if ca and x509.BasicConstraints not in kinds:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
    # As RFC 5280 asks of what an authority issues, and Python 3.13 of what it trusts.
    if by is not None and x509.AuthorityKeyIdentifier not in kinds:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(authority, critical=False)
    if ca and x509.SubjectKeyIdentifier not in kinds:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    if ca and x509.KeyUsage not in kinds:
        builder = builder.add_extension(_SIGNS, critical=True)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    signer = own if by is None else by.key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashed or hashes.SHA256()
    return Issued(builder.sign(signer, algorithm), own)


def leaf(by: Issued, *names: str, **more: Any) -> Issued:
    """A server's certificate."""
    return issue("server", by, ca=False, names=names or ("a.example",), **more)


def _general(name: str) -> x509.GeneralName:
    """``dns:192.0.2.1`` is a host that reads like an address."""
    if name.startswith("dns:"):
        return x509.DNSName(name.removeprefix("dns:"))
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
