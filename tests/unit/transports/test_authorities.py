"""Both engines trust the same authorities: those that are named, and nothing beside them."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path

import pytest
import trustme

from probekit.errors import ConfigError, TlsError
from probekit.transports.authorities import Authorities, authorities, ssl_context, system_ca_file
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from tests.contract.transports.attempts import failure, get
from tests.contract.transports.server import serving


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_word_it_is_the_systems() -> None:
    assert authorities() == Authorities(system_ca_file())
    file = authorities().file
    assert file is None or Path(file).is_file()


def test_what_is_named_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named, folder = tmp_path / "given.pem", tmp_path / "named.pem", tmp_path / "folder"
    given.touch()
    named.touch()
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert authorities() == Authorities(None, str(folder))
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    assert authorities() == Authorities(str(named), str(folder))
    assert authorities(str(given)) == Authorities(str(given))
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'gone'}{os.pathsep}{folder}")
    assert authorities().folders == str(folder)


@pytest.mark.parametrize("make", [HttpxTransport, CurlTransport])
def test_what_is_named_and_not_there_stops_the_start(
    make: type[HttpxTransport | CurlTransport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "gone")
    with pytest.raises(ConfigError, match="gone, which is no file"):
        make(ca_file=gone)
    monkeypatch.setenv("SSL_CERT_DIR", gone)
    with pytest.raises(ConfigError, match="SSL_CERT_DIR is .*gone, which is no folder"):
        make()
    monkeypatch.setenv("SSL_CERT_FILE", gone)
    with pytest.raises(ConfigError, match="SSL_CERT_FILE is .*gone, which is no file"):
        make()


def test_a_bundle_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigError, match="cannot be read"):
        ssl_context(str(tmp_path / "empty.pem"))


def test_a_context_is_built_once_per_setting() -> None:
    assert ssl_context(None) is ssl_context(None)


def hashed_folder(authority: trustme.CA, folder: Path) -> Path:
    """A folder as ``openssl rehash`` makes it: the file's name is a hash of the subject (X509_NAME_hash)."""
    folder.mkdir()
    pem = authority.cert_pem.bytes().decode()
    (folder / f"{_subject_hash(ssl.PEM_cert_to_DER_cert(pem)):08x}.0").write_text(pem)
    return folder


def _subject_hash(certificate: bytes) -> int:
    """SHA-1 over the canonical subject: DER of its RDN sets with strings as UTF8String, lower case, blanks folded."""
    from cryptography import x509
    from cryptography.x509.name import _ASN1Type

    subject = x509.load_der_x509_certificate(certificate).subject
    canonical = b""
    for relative in subject.rdns:
        (one,) = tuple(relative)
        value = " ".join(str(one.value).lower().split())
        name = x509.Name([x509.NameAttribute(one.oid, value, _ASN1Type.UTF8String)])
        canonical += _content(name.public_bytes())
    return int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], "little")


def _content(der: bytes) -> bytes:
    """What an outer SEQUENCE holds."""
    length = der[1]
    return der[2:] if length < 0x80 else der[2 + (length & 0x7F) :]


@pytest.mark.parametrize("make", [HttpxTransport, CurlTransport])
async def test_a_folder_of_certificates_is_trusted_and_another_authority_is_not(
    make: type[HttpxTransport | CurlTransport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = trustme.CA(), trustme.CA(organization_name="Somebody Else")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(context) as server:
        monkeypatch.setenv("SSL_CERT_DIR", str(hashed_folder(ours, tmp_path / "ours")))
        engine: HttpxTransport | CurlTransport = make()
        assert (await engine.send(get(server.url("/ok")))).status == 200
        await engine.aclose()
        monkeypatch.setenv("SSL_CERT_DIR", str(hashed_folder(theirs, tmp_path / "theirs")))
        engine = make()
        assert isinstance(await failure(engine, get(server.url("/ok"))), TlsError)
        await engine.aclose()
        # Both variables: either may vouch for a server.
        ours.cert_pem.write_to_path(tmp_path / "ours.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ours.pem"))
        engine = make()
        assert (await engine.send(get(server.url("/ok")))).status == 200
        await engine.aclose()
