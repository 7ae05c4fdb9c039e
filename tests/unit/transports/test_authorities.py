"""Both engines trust the same authorities: those that are named, and nothing beside them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from probekit.errors import ConfigError, ProtocolError, StatusError, TlsError
from probekit.transports.authorities import Authorities, authorities, ssl_context, system_ca_file
from probekit.transports.curl import CurlTransport
from probekit.transports.dial import Call, SocketDialer
from probekit.transports.httpx import HttpxTransport
from probekit.transports.tls import TlsOffer
from probekit.transports.websocket import WebsocketsConnector
from probekit.units import NS_PER_S
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


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["httpx", "curl", "dial", "websocket"])
async def test_a_bundle_that_is_replaced_is_read_anew(
    kind: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a package's update, say, while a probe goes on for months; also where the new one is later replaced by the first."""
    ours, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "bundle.pem"

    def trust(authority: trustme.CA) -> None:
        authority.cert_pem.write_to_path(tmp_path / "new.pem")
        (tmp_path / "new.pem").replace(bundle)

    trust(other)
    if not named:
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    ca_file = str(bundle) if named else None
    async with serving(context) as server:
        ask, close = asking(kind, server.port, ca_file)
        try:
            for _ in range(3):
                with pytest.raises(TlsError):
                    await ask()
                trust(ours)
                await ask()
                # As while it is being replaced.
                if kind in ("httpx", "curl"):
                    bundle.rename(tmp_path / "aside.pem")
                    with contextlib.suppress(TlsError):
                        await ask()
                    (tmp_path / "aside.pem").rename(bundle)
                await ask()
                trust(other)
        finally:
            await close()


def asking(kind: str, port: int, ca_file: str | None) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    """How to make a verified connection with one long-lived engine, and how to close that."""

    async def nothing() -> None:
        pass

    if kind == "dial":
        dialer = SocketDialer()

        async def dial() -> None:
            (await dialer.dial(Call("127.0.0.1", port, tls=TlsOffer("127.0.0.1", (), True, ca_file)))).close()

        return dial, nothing
    if kind == "websocket":
        connector = WebsocketsConnector(ca_file=ca_file)

        async def connect() -> None:
            # The server is none of WebSockets: whether it is trusted is what counts here.
            with contextlib.suppress(StatusError, ProtocolError):
                url = f"wss://127.0.0.1:{port}/ok"
                await (await connector.connect(url, timeout_ns=5 * NS_PER_S, max_message_bytes=1024)).aclose()

        return connect, nothing
    engine = HttpxTransport(ca_file=ca_file) if kind == "httpx" else CurlTransport(ca_file=ca_file)

    async def send() -> None:
        assert (await engine.send(get(f"https://127.0.0.1:{port}/ok"))).status == 200

    return send, engine.aclose
