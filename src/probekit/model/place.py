"""Where a connection goes, as an operator writes it: ``host:port``."""

from __future__ import annotations

import string
from ipaddress import ip_address
from typing import Final

from probekit.model.observation import AddressFamily

_HOST: Final = frozenset(string.ascii_letters + string.digits + "-._")


def host_and_port(address: str) -> tuple[str, int]:
    """``host:port``, ``192.0.2.1:443`` or ``[2001:db8::1]:443``, without the brackets. Raises ``ValueError``."""
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    known = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536
    if not colon or not known or not is_host(bare) or (":" in bare) != (bare != host):
        raise ValueError(f"address {address[:80]!r} is no host:port (an IPv6 address stands in brackets)")
    return bare, int(port)


def is_host(text: str) -> bool:
    """Whether it is an address, or a name that can be looked up."""
    if family_of(text) is not None:
        return True
    return 0 < len(text) < 254 and set(text) <= _HOST and text[0] != "." and ".." not in text


def family_of(host: str) -> AddressFamily | None:
    """The family of an address; ``None`` of a name."""
    try:
        return "ipv4" if ip_address(host).version == 4 else "ipv6"
    except ValueError:
        return None


def reachable_over(host: str, family: AddressFamily | None) -> AddressFamily:
    """The one family a host is reached over: the one asked for, else that of an address, else IPv4. Raises ``ValueError`` where
    an address is of another one.
    """
    literal = family_of(host)
    if family is not None and literal not in (None, family):
        raise ValueError(f"family {family} does not reach the {literal} address {host}")
    return family or literal or "ipv4"
