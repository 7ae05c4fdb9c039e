"""libcurl's error numbers, each with one meaning, against what pycurl calls them."""

from __future__ import annotations

import pycurl
import pytest

from probekit.errors import ConnectError, HeadersTooLarge, ProtocolError, ResolveError, TlsError, TransportError
from probekit.transports.base import Limits, Request
from probekit.transports.libcurl import ERRORS, NO_NAME, TIMED_OUT, TOO_LARGE, error_of, makes_key_shares_to_spare

REQUEST = Request("GET", "http://one/?ACCESS_TOKEN=t0ken", limits=Limits(max_header_bytes=7))

MEANINGS: dict[type[TransportError], tuple[str, ...]] = {
    ResolveError: ("COULDNT_RESOLVE_PROXY", "COULDNT_RESOLVE_HOST"),
    ConnectError: ("COULDNT_CONNECT", "GOT_NOTHING", "SEND_ERROR", "RECV_ERROR", "QUIC_CONNECT_ERROR", "PROXY"),
    TlsError: (
        "SSL_CONNECT_ERROR", "SSL_CERTPROBLEM", "SSL_CIPHER", "PEER_FAILED_VERIFICATION", "SSL_ENGINE_INITFAILED",
        "SSL_CACERT_BADFILE", "SSL_SHUTDOWN_FAILED", "SSL_CRL_BADFILE", "SSL_ISSUER_ERROR", "SSL_PINNEDPUBKEYNOTMATCH",
        "SSL_INVALIDCERTSTATUS", "SSL_CLIENTCERT",
    ),
    ProtocolError: (
        "UNSUPPORTED_PROTOCOL", "URL_MALFORMAT", "WEIRD_SERVER_REPLY", "HTTP2", "PARTIAL_FILE", "TOO_MANY_REDIRECTS",
        "BAD_CONTENT_ENCODING", "HTTP2_STREAM", "HTTP3",
    ),
}  # fmt: skip

# Those that pycurl does not name: include/curl/curl.h counts them.
UNNAMED = {
    "WEIRD_SERVER_REPLY": 8,
    "SSL_PINNEDPUBKEYNOTMATCH": 90,
    "SSL_INVALIDCERTSTATUS": 91,
    "HTTP2_STREAM": 92,
    "HTTP3": 95,
    "QUIC_CONNECT_ERROR": 96,
    "PROXY": 97,
    "SSL_CLIENTCERT": 98,
}


def number_of(name: str) -> int:
    found = getattr(pycurl, f"E_{name}", None)
    assert found is None or found == UNNAMED.get(name, found)
    return int(UNNAMED[name] if found is None else found)


def test_the_table_says_of_each_number_what_its_name_says() -> None:
    assert {number_of(name): kind for kind, names in MEANINGS.items() for name in names} == ERRORS
    assert pycurl.E_OPERATION_TIMEDOUT == TIMED_OUT
    assert {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST} == NO_NAME


@pytest.mark.parametrize(("library", "makes"), [
    ("OpenSSL/3.0.19", False), ("OpenSSL/3.4.9", False), ("OpenSSL/3.5.0", True), ("OpenSSL/3.6.5", True),
    ("OpenSSL/4.0", True), ("OpenSSL/1.1.1w", False), ("GnuTLS/3.8.9", False), ("BoringSSL", False), ("None", False),
    ("OpenSSL/x.y", False),
])  # fmt: skip
def test_which_libraries_make_key_shares_to_spare(library: str, makes: bool) -> None:
    assert makes_key_shares_to_spare(library) is makes


@pytest.mark.parametrize("number", [*ERRORS, TOO_LARGE, 2, 23, 27, 43, 999])
def test_every_number_makes_an_error_of_ours(number: int) -> None:
    error = error_of(number, "what libcurl said", REQUEST, 5)
    expected = HeadersTooLarge if number == TOO_LARGE else ERRORS.get(number, TransportError)
    assert type(error) is expected
    assert (error.elapsed_ns, error.url) == (5, REQUEST.shown_url)
    assert "what libcurl said" in error.message
    assert f"libcurl {number}" in error.message
    assert "t0ken" not in error.message
    if isinstance(error, HeadersTooLarge):
        assert error.limit_bytes == 7
