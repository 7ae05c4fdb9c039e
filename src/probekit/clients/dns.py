"""Questions of DNS to one server at a time: no cache, no search list, no second try, no other server."""

from __future__ import annotations

import secrets

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.dns import decode_answer, encode_query
from probekit.errors import ConfigError, DeadlineExceeded, DecodeError
from probekit.errors.extras import missing_extra
from probekit.model import Phases, RequestRecord
from probekit.model.dns import DnsAnswer, DnsQuestion
from probekit.transports.base import Observer
from probekit.transports.dns import DnsReply, DnsServer, exchange, prepare
from probekit.transports.recording import ended_in

__all__ = ["DnsServer", "ask", "prepare", "system_servers"]

_MOST = 3
"""As many as the system's own resolver reads."""
_SCHEMES = {"udp": "dns", "tcp": "dnstcp", "tls": "dot"}
"""``network.protocol.name`` of an exchange."""


def _nobody(_: RequestRecord) -> None:
    return None


async def ask(
    question: DnsQuestion,
    server: DnsServer,
    *,
    due_ns: int,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer = _nobody,
    target: str = "",
) -> DnsAnswer:
    """The answer of ``server``. One over UDP that is truncated is asked for again over TCP, once, and says so.

    ``due_ns`` is on the clock's monotonic time and bounds both. ``observer`` is told of each exchange. Raises
    ``TransportError`` leaves, ``DecodeError``, and ``ConfigError`` without dnspython.
    """
    prepare(server)
    number = secrets.randbelow(1 << 16)
    query = encode_query(question, number)
    head = number.to_bytes(2, "big")

    def ours(data: bytes) -> bool:
        # The number and the bit of an answer; a forged question is found when it is read.
        return data[:2] == head and len(data) > 2 and bool(data[2] & 0x80)

    async def exchanged(where: DnsServer) -> DnsReply:
        started_at, began_ns = clock.now(), clock.monotonic_ns()
        reply: DnsReply | None = None
        failed: BaseException | None = None
        try:
            reply = await exchange(where, query, due_ns=due_ns, clock=clock, ours=ours)
            return reply
        except BaseException as error:
            failed = error
            raise
        finally:
            observer(
                RequestRecord(
                    method="QUERY",
                    url=url_of(question, where),
                    engine="dns",
                    started_at=started_at,
                    elapsed_ns=clock.monotonic_ns() - began_ns if reply is None else reply.elapsed_ns,
                    phases=Phases() if reply is None else reply.phases,
                    error_type=None if failed is None else ended_in(failed),
                    error_phase=failed.phase if isinstance(failed, DeadlineExceeded) else None,
                    peer_address=where.address,
                    peer_port=where.port,
                    family="ipv6" if ":" in where.address else "ipv4",
                    received_bytes=0 if reply is None else len(reply.data),
                    attempt=int(where is not server),
                    new_connection=True,
                    target=target,
                )
            )

    async def once(where: DnsServer) -> tuple[DnsAnswer, DnsReply]:
        reply = await exchanged(where)
        try:
            answer = decode_answer(reply.data, question, number)
            if answer is None:
                raise DecodeError(f"{where} answered another question than {question}", raw=reply.data)
        except DecodeError as error:
            error.took(reply.elapsed_ns)
            raise
        return answer, reply

    answer, reply = await once(server)
    elapsed_ns, over, cut_short = reply.elapsed_ns, server.over, False
    if answer.truncated and server.over == "udp":
        over, cut_short = "tcp", True
        answer, reply = await once(DnsServer(server.address, server.port, "tcp"))
        elapsed_ns += reply.elapsed_ns
    if answer.truncated:
        raise DecodeError(f"{server} truncated its answer to {question} over {over}", raw=reply.data).took(elapsed_ns)
    return msgspec.structs.replace(answer, over=over, truncated=cut_short, elapsed_ns=elapsed_ns, phases=reply.phases)


def url_of(question: DnsQuestion, server: DnsServer) -> str:
    """As a record has it, after RFC 4501: ``dns://192.0.2.1:53/pyth.network?type=A``."""
    return f"{_SCHEMES[server.over]}://{str(server).partition('://')[2]}/{question.name}?type={question.type}"


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
