"""DNS messages: a query with one question, and the answer to it. dnspython reads and writes them (extra ``dns``).

Source: RFC 1035 (messages), 6891 (EDNS), 6840 section 5.7 (AD in a query: tell me whether it is authentic).
"""

from __future__ import annotations

from typing import Final

from probekit.errors import DecodeError
from probekit.errors.extras import missing_extra
from probekit.model.dns import DnsAnswer, DnsQuestion, normal

_PAYLOAD: Final = 1232
"""Bytes of an answer that fit one packet everywhere; larger ones are to be cut, and asked for over TCP."""


def encode_query(question: DnsQuestion, number: int) -> bytes:
    """A query numbered ``number`` (16 bits) that wants recursion and the AD flag. Raises ``ConfigError`` without dnspython."""
    return bytes(_query(question, number).to_wire())


def decode_answer(data: bytes, question: DnsQuestion, number: int) -> DnsAnswer | None:
    """The answer to that query; ``None`` for a message that answers another. Raises ``DecodeError`` for what is none.

    Of a truncated one only that it is truncated means anything.
    """
    query = _query(question, number)
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode

    try:
        message = dns.message.from_wire(data)
        if not query.is_response(message):
            return None
        rcode = dns.rcode.to_text(message.rcode())
        truncated = bool(message.flags & dns.flags.TC)
        # An error may come without its question, which leaves nothing to follow.
        found = message.resolve_chaining() if isinstance(message, dns.message.QueryMessage) and message.question else None
        records = [] if found is None or found.answer is None else list(found.answer)
        values = {_text(question.type, one) for one in records}
        chain = () if found is None else tuple(_text("CNAME", one[0]) for one in found.cnames)
        told = found is not None and bool(records or chain or message.authority)
    except (dns.exception.DNSException, ValueError, LookupError, AttributeError) as error:
        raise DecodeError(f"not an answer of DNS: {type(error).__name__}: {error}", raw=data) from None
    return DnsAnswer(
        rcode=rcode,
        values=tuple(sorted(values)),
        chain=chain,
        ttl_s=found.minimum_ttl if found is not None and told else None,
        authentic=bool(message.flags & dns.flags.AD),
        authoritative=bool(message.flags & dns.flags.AA),
        truncated=truncated,
    )


def _query(question: DnsQuestion, number: int):  # type: ignore[no-untyped-def]
    try:
        import dns.flags
        import dns.message
    except ModuleNotFoundError:
        raise missing_extra("questions of DNS need dnspython", "dns") from None
    flags = dns.flags.RD | dns.flags.AD
    return dns.message.make_query(question.name, question.type, use_edns=0, payload=_PAYLOAD, id=number, flags=flags)


def _text(record_type: str, record: object) -> str:
    strings = getattr(record, "strings", None)
    if record_type == "TXT" and strings is not None:
        return b"".join(strings).decode("utf-8", "backslashreplace")
    return normal(record_type, str(record))
