"""Which requests can be put on the wire at all: asked of every request, before an engine spends anything on it.

Libraries disagree about what is not: one percent-encodes, one raises its own exceptions, one would send a line break inside a
header as it is, which makes a second header of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from probekit.errors import DeadlineExceeded, Phase, ProtocolError
from probekit.secret import Secret
from probekit.transports.base import HeaderValue, Request
from probekit.units import format_ns

_URL: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~]*")
# A longer label or name is refused by resolvers, each in its own way (RFC 1035, section 2.3.4).
_LABEL: Final = re.compile(r"[^.]{1,63}")
_NAME_BYTES: Final = 253
_REMEMBERED: Final = 2_048
"""Characters of a URL that is known again: a prober asks the same few at every tick."""


def late_already(request: Request) -> DeadlineExceeded:
    """The error of a request whose deadline passed before it was sent: nothing of it went out."""
    shown = request.shown_url
    return DeadlineExceeded(f"{shown} was not sent: its deadline had passed", url=shown, elapsed_ns=0)


def late_in(shown: str, phase: Phase, elapsed_ns: int) -> DeadlineExceeded:
    """The error of a request that was under way when its deadline passed; ``shown`` is its redacted URL."""
    text = f"{shown} passed its deadline in phase {phase} after {format_ns(elapsed_ns)}"
    return DeadlineExceeded(text, phase=phase, url=shown, elapsed_ns=elapsed_ns)


def refuse_unsendable(request: Request) -> None:
    """Raise ``ProtocolError`` for a URL that is none or not http(s), and for headers that HTTP/1.1 cannot carry.

    Values are not shown: they may be secrets. Grammar: RFC 9110, section 5; RFC 3986.
    """
    # The URL goes into no variable here, like the values below.
    if not (_is_sendable_again if len(request.url) <= _REMEMBERED else _is_sendable)(request.url):
        shown = request.shown_url
        if _URL.fullmatch(request.url) is None:
            raise ProtocolError(f"{shown!a} is not a URL: percent-encode what is not printable ASCII", url=shown)
        raise ProtocolError(f"{shown} is not an http or https URL", url=shown)
    if request.headers:
        refuse_headers(request.headers, request.shown_url)


def refuse_headers(headers: Sequence[tuple[str, HeaderValue]], shown: str) -> None:
    """Raise ``ProtocolError`` for headers that HTTP/1.1 cannot carry; ``shown`` is the redacted URL they are for."""
    for name, value in headers:
        if _NAME.fullmatch(name) is None:
            raise ProtocolError(f"{name[:40]!a} is not the name of a header", url=shown)
        # Revealed into no variable: reporters of errors print those of every frame.
        if _VALUE.fullmatch(value.reveal() if isinstance(value, Secret) else value) is None:
            raise ProtocolError(f"the header {name} has characters that HTTP does not carry", url=shown)


def revealed(headers: Sequence[tuple[str, HeaderValue]]) -> list[tuple[str, str]]:
    """Headers as they go on the wire: secrets in clear, and no blanks around a value (RFC 9110, section 5.5)."""
    return [(name, (value.reveal() if isinstance(value, Secret) else value).strip(" \t")) for name, value in headers]


def _is_sendable(url: str) -> bool:
    return _URL.fullmatch(url) is not None and _is_http(url)


_is_sendable_again = lru_cache(maxsize=1_024)(_is_sendable)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        port, host = parts.port, parts.hostname
    except ValueError:
        # Told by a value: the exception leads to frames that hold the URL with its keys.
        return False
    return parts.scheme in ("http", "https") and bool(host) and _is_name(host or "") and (port is None or port > 0)


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return len(host) <= _NAME_BYTES + 1 and all(_LABEL.fullmatch(label) for label in labels)
