"""Which requests can be put on the wire at all: asked of every request, before an engine spends anything on it.

Libraries disagree about what is not: one percent-encodes, one raises its own exceptions, one would send a line break inside a
header as it is, which makes a second header of it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from probekit.errors import ProtocolError
from probekit.secret import Secret
from probekit.transports.base import Request

_URL: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~]*")


def refuse_unsendable(request: Request) -> None:
    """Raise ``ProtocolError`` for a URL that is none or not http(s), and for headers that HTTP/1.1 cannot carry.

    Values are not shown: they may be secrets. Grammar: RFC 9110, section 5; RFC 3986.
    """
    shown = request.shown_url
    if _URL.fullmatch(request.url) is None:
        raise ProtocolError(f"{shown!a} is not a URL: percent-encode what is not printable ASCII", url=shown)
    try:
        parts = urlsplit(request.url)
        # Reading the port checks it.
        named = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise ProtocolError(f"{shown} is not an http or https URL: {error}", url=shown) from None
    if parts.scheme not in ("http", "https") or not named:
        raise ProtocolError(f"{shown} is not an http or https URL", url=shown)
    for name, value in request.headers:
        text = value.reveal() if isinstance(value, Secret) else value
        if _NAME.fullmatch(name) is None:
            raise ProtocolError(f"{name[:40]!a} is not the name of a header", url=shown)
        if _VALUE.fullmatch(text) is None:
            raise ProtocolError(f"the header {name} has characters that HTTP does not carry", url=shown)
