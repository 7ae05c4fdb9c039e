"""Answers of DNS as a server makes them, for tests."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


def answer(
    query: bytes,
    *records: str,
    rcode: str = "NOERROR",
    authentic: bool = False,
    truncated: bool = False,
    number: int | None = None,
) -> bytes:
    """The answer to ``query``; a record is ``NAME TTL TYPE VALUE``."""
    made = dns.message.make_response(dns.message.from_wire(query))
    made.set_rcode(dns.rcode.from_text(rcode))
    for line in records:
        name, ttl, kind, value = line.split(" ", 3)
        found = next((one for one in made.answer if one.name.to_text() == name and one.rdtype.name == kind), None)
        if found is None:
            made.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, value))
        else:
            for one in dns.rrset.from_text(name, int(ttl), "IN", kind, value):
                found.add(one)
    made.flags |= dns.flags.AD if authentic else dns.flags.Flag(0)
    made.flags |= dns.flags.TC if truncated else dns.flags.Flag(0)
    if number is not None:
        made.id = number
    return bytes(made.to_wire())
