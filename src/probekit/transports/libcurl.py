"""What libcurl wants and says in numbers and lines: options without a name, headers, and errors by what they mean here.

Source: curl's ``include/curl/curl.h``, ``CURLoption`` and ``CURLcode``.
"""

from __future__ import annotations

from typing import Final

from probekit.errors import ConnectError, HeadersTooLarge, ProtocolError, ResolveError, TlsError, TransportError
from probekit.transports.base import Request
from probekit.transports.content import ACCEPTED
from probekit.transports.sendable import revealed

CA_CACHE_TIMEOUT: Final = 321
QUICK_EXIT: Final = 322
SUPPRESS_CONNECT_HEADERS: Final = 265
SSL_EC_CURVES: Final = 10298
HAPPY_EYEBALLS_TIMEOUT_MS: Final = 271
"""Options that pycurl does not name, or not always."""

CLASSICAL_GROUPS: Final = "X25519:P-256:X448:P-521:P-384"
"""The key exchanges that OpenSSL offers before 3.5, in its order."""


def makes_key_shares_to_spare(tls_library: str) -> bool:
    """Whether a libcurl with it (``OpenSSL/3.6.5``) makes a post-quantum key for every handshake, beside the usual one.

    That takes 0.1 ms of this machine before a byte is sent, which is no time of the server's or of the path's.
    """
    name, _, version = tls_library.partition("/")
    numbers = version.split(".")[:2]
    return name == "OpenSSL" and all(number.isdecimal() for number in numbers) and [int(one) for one in numbers] >= [3, 5]


TIMED_OUT: Final = 28
"""CURLE_OPERATION_TIMEDOUT: the engine tells the phase."""

TOO_LARGE: Final = 100
"""CURLE_TOO_LARGE: of an answer, its headers."""

PAUSE: Final = 0x10000001
"""CURL_WRITEFUNC_PAUSE: what was handed over is not taken; it comes again."""

NO_NAME: Final = frozenset((5, 6))
"""CURLE_COULDNT_RESOLVE_PROXY, _HOST: the resolver has answered."""

ERRORS: Final[dict[int, type[TransportError]]] = {
    1: ProtocolError,  # UNSUPPORTED_PROTOCOL
    3: ProtocolError,  # URL_MALFORMAT
    5: ResolveError,  # COULDNT_RESOLVE_PROXY
    6: ResolveError,  # COULDNT_RESOLVE_HOST
    7: ConnectError,  # COULDNT_CONNECT
    8: ProtocolError,  # WEIRD_SERVER_REPLY
    16: ProtocolError,  # HTTP2
    18: ProtocolError,  # PARTIAL_FILE
    35: TlsError,  # SSL_CONNECT_ERROR
    47: ProtocolError,  # TOO_MANY_REDIRECTS
    52: ConnectError,  # GOT_NOTHING
    55: ConnectError,  # SEND_ERROR
    56: ConnectError,  # RECV_ERROR
    58: TlsError,  # SSL_CERTPROBLEM
    59: TlsError,  # SSL_CIPHER
    60: TlsError,  # PEER_FAILED_VERIFICATION
    61: ProtocolError,  # BAD_CONTENT_ENCODING
    66: TlsError,  # SSL_ENGINE_INITFAILED
    77: TlsError,  # SSL_CACERT_BADFILE
    80: TlsError,  # SSL_SHUTDOWN_FAILED
    82: TlsError,  # SSL_CRL_BADFILE
    83: TlsError,  # SSL_ISSUER_ERROR
    90: TlsError,  # SSL_PINNEDPUBKEYNOTMATCH
    91: TlsError,  # SSL_INVALIDCERTSTATUS
    92: ProtocolError,  # HTTP2_STREAM
    95: ProtocolError,  # HTTP3
    96: ConnectError,  # QUIC_CONNECT_ERROR
    97: ConnectError,  # PROXY
    98: TlsError,  # SSL_CLIENTCERT
}
"""Any other is a ``TransportError``: a defect of ours, or of this machine."""


def error_of(number: int, message: str, request: Request, elapsed_ns: int) -> TransportError:
    """libcurl's error as ours; its message names hosts and ports, no URL."""
    shown = request.shown_url
    text = f"{shown}: {message or 'libcurl error'} (libcurl {number})"
    if number == TOO_LARGE:
        return HeadersTooLarge(text, limit_bytes=request.limits.max_header_bytes, url=shown, elapsed_ns=elapsed_ns)
    return ERRORS.get(number, TransportError)(text, url=shown, elapsed_ns=elapsed_ns)


def header_lines(request: Request) -> list[str]:
    """Header lines as libcurl takes them: "name;" for an empty value, "name:" for one that it adds by itself and should not."""
    given = {name.lower() for name, _ in request.headers}
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in revealed(request.headers)]
    lines += [f"Accept-Encoding: {ACCEPTED}"] if "accept-encoding" not in given else []
    lines += ["User-Agent: probekit"] if "user-agent" not in given else []
    return lines + [f"{name}:" for name in ("Expect", "Content-Type") if name.lower() not in given]
