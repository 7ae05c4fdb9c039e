"""What a DNS server answered."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal, get_args

import msgspec

from probekit.model.observation import Phases
from probekit.model.pattern import Searched

RecordType = Literal["A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "CAA", "SOA"]
RECORD_TYPES: tuple[RecordType, ...] = get_args(RecordType)
DnsWire = Literal["udp", "tcp", "tls"]

_OF_NAMES = frozenset(("CNAME", "MX", "NS", "SRV", "SOA"))
"""Types whose values are or end in a name, which has no case and is written absolute."""


class DnsQuestion(msgspec.Struct, frozen=True):
    """Which records of a name. ``name`` is ASCII (an international one as ``xn--``), absolute with or without its last dot."""

    name: str
    type: RecordType

    def __post_init__(self) -> None:
        labels = self.name.removesuffix(".").split(".") if self.name != "." else []
        printable = self.name.isascii() and self.name.isprintable() and " " not in self.name and "\\" not in self.name
        if not self.name or not printable or len(self.name) > 253 or any(not 0 < len(one) < 64 for one in labels):
            raise ValueError(f"{self.name!r} is no domain name: labels of 1 to 63 ASCII characters, 253 in all")

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


class DnsAnswer(msgspec.Struct, frozen=True):
    """What one server said: ``values`` of the type asked for, at the end of its CNAMEs (``chain``), as zone files write them
    (see :func:`normal`), sorted, each once.

    ``ttl_s`` is the lowest along the way, of an answer without values that of its absence; ``None`` where there is neither.
    ``over`` is how the answer came; ``truncated`` says that one over UDP was cut short before. ``elapsed_ns`` has both.
    """

    rcode: str
    values: tuple[str, ...]
    chain: tuple[str, ...] = ()
    ttl_s: int | None = None
    authentic: bool = False
    """The AD flag: a resolver's word that it has verified the signatures of all of it."""
    authoritative: bool = False
    over: DnsWire = "udp"
    truncated: bool = False
    elapsed_ns: int = 0
    phases: Phases = Phases()
    searched: tuple[Searched, ...] = ()
    """What was searched for beforehand, because it may take long."""

    @property
    def serial(self) -> int | None:
        """Of an SOA record, its serial."""
        words = self.values[0].split() if len(self.values) == 1 else []
        return int(words[2]) if len(words) == 7 and words[2].isdigit() else None


def normal(record_type: str, text: str) -> str:
    """A value in the one way that it is compared in: names in lower case and absolute, addresses in their short form, a TXT
    record as its text, its strings joined.
    """
    words = text.split()
    if record_type in ("A", "AAAA"):
        try:
            return str(ip_address(text.strip()))
        except ValueError:
            return text.strip()
    if record_type in _OF_NAMES and words:
        absolute = [f"{one.removesuffix('.')}." if not one.isdigit() else one for one in words]
        return " ".join(absolute).lower()
    return text if record_type == "TXT" else " ".join(words)
