"""Questions of DNS to one server at a time: no cache, no search list, no second try, no other server."""

from __future__ import annotations

import secrets

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.dns import decode_answer, encode_query
from probekit.errors import ConfigError, DecodeError
from probekit.errors.extras import missing_extra
from probekit.model.dns import DnsAnswer, DnsQuestion
from probekit.transports.dns import DnsReply, DnsServer, exchange

__all__ = ["DnsServer", "ask", "system_servers"]

_MOST = 3
"""As many as the system's own resolver reads."""


async def ask(question: DnsQuestion, server: DnsServer, *, due_ns: int, clock: Clock = SYSTEM_CLOCK) -> DnsAnswer:
    """The answer of ``server``. One over UDP that is truncated is asked for again over TCP, once, and says so.

    ``due_ns`` is on the clock's monotonic time and bounds both. Raises ``TransportError`` leaves, ``DecodeError``, and
    ``ConfigError`` without dnspython.
    """
    number = secrets.randbelow(1 << 16)
    query = encode_query(question, number)
    head = number.to_bytes(2, "big")

    def ours(data: bytes) -> bool:
        # The number and the bit of an answer; a forged question is found when it is read.
        return data[:2] == head and len(data) > 2 and bool(data[2] & 0x80)

    async def once(where: DnsServer) -> tuple[DnsAnswer, DnsReply]:
        reply = await exchange(where, query, due_ns=due_ns, clock=clock, ours=ours)
        answer = decode_answer(reply.data, question, number)
        if answer is None:
            raise DecodeError(f"{where} answered another question than {question}", raw=reply.data)
        return answer, reply

    answer, reply = await once(server)
    elapsed_ns, over, cut_short = reply.elapsed_ns, server.over, False
    if answer.truncated and server.over == "udp":
        over, cut_short = "tcp", True
        answer, reply = await once(DnsServer(server.address, server.port, "tcp"))
        elapsed_ns += reply.elapsed_ns
    if answer.truncated:
        raise DecodeError(f"{server} truncated its answer to {question} over {over}", raw=reply.data)
    return msgspec.structs.replace(answer, over=over, truncated=cut_short, elapsed_ns=elapsed_ns, phases=reply.phases)


def system_servers() -> tuple[DnsServer, ...]:
    """The resolvers of this system, as many as it would ask. Raises ``ConfigError`` where it has none."""
    try:
        import dns.exception
        import dns.resolver
    except ModuleNotFoundError:
        raise missing_extra("the system's resolvers are read by dnspython", "dns") from None
    try:
        found = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise ConfigError(f"this system names no resolver: {error}") from None
    servers = [DnsServer(one, found.port, "udp") for one in found.nameservers if isinstance(one, str) and "/" not in one]
    if not servers:
        raise ConfigError("this system names no resolver")
    return tuple(dict.fromkeys(servers))[:_MOST]
