"""Is every TLS server's certificate trusted, for its name and not near its end, and how long does its handshake take?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

import probekit as pk
from probekit.checks import CertificateExpiry, CertificateName, CertificateTrust, Check, LatencyBudget, TlsStrength
from probekit.clock import as_they_come
from probekit.errors import ProbekitError
from probekit.model.certificate import TlsSighting
from probekit.model.place import host_and_port, is_host, reachable_over
from probekit.transports.authorities import authorities
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.transports.dial import Dialer
    from probekit.trust.certificates import Anchors


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One port that speaks TLS from its first byte, whatever it speaks inside."""

    address: str
    name: str = ""
    server_name: str | None = None
    family: Literal["ipv4", "ipv6"] | None = None
    alpn: tuple[str, ...] = ()
    ca_file: str | None = None
    warn_before: timedelta | None = None
    critical_before: timedelta | None = None
    min_version: Literal["1.0", "1.1", "1.2", "1.3"] | None = None

    def __post_init__(self) -> None:
        reachable_over(host_and_port(self.address)[0], self.family)
        if self.server_name is not None and (not self.server_name or not is_host(self.server_name)):
            raise ValueError(f"server_name {self.server_name!r} is no host name and no address")
        if any(not 0 < len(one.encode()) < 256 for one in self.alpn):
            raise ValueError("alpn takes protocols of 1 to 255 bytes")

    @property
    def over(self) -> Literal["ipv4", "ipv6"]:
        """The one address family it is reached over."""
        return reachable_over(host_and_port(self.address)[0], self.family)

    @property
    def expected(self) -> str:
        """The name its certificate should be for."""
        return self.server_name or host_and_port(self.address)[0]

    @property
    def id(self) -> str:
        return f"{self.name or self.address} {self.over}"


class Options(pk.Options, frozen=True, kw_only=True):
    servers: Annotated[tuple[Server, ...], pk.doc("host:port of what is asked, all at once, each over one address family")]
    warn_before: Annotated[timedelta, pk.doc("how long before its end a chain is a warning")] = timedelta(days=21)
    critical_before: Annotated[timedelta, pk.doc("how long before its end it is critical")] = timedelta(days=7)
    min_version: Annotated[
        Literal["1.0", "1.1", "1.2", "1.3"], pk.doc("the TLS version below which a handshake is a warning")
    ] = "1.2"
    min_rsa_bits: Annotated[int, pk.doc("the RSA key below which a certificate is a warning")] = 2048
    min_ec_bits: Annotated[int, pk.doc("the same of elliptic curves")] = 224
    ca_file: Annotated[str | None, pk.doc("bundle (PEM) of the only authorities that are trusted; without it the system's")] = (
        None
    )
    budget: Annotated[timedelta, pk.doc("budget of a connection, from name look-up to the end of the handshake")] = timedelta(
        seconds=1
    )
    percentile: Annotated[int, pk.doc("which percentile the budget holds, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many connections the percentile is over")] = 20
    timeout: Annotated[timedelta, pk.doc("when a connection is given up")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("servers", "budget", "timeout", "min_rsa_bits", "min_ec_bits")
        LatencyBudget(self.budget, self.percentile, self.samples)
        seen = set[str]()
        for one in self.servers:
            if one.id in seen:
                raise ValueError(f"servers has {one.id} twice: give each a name of its own")
            seen.add(one.id)
            expiry(self, one)
        # A bundle that is not there is told when it is read, not as a verdict about servers.
        for file in {self.ca_file, *(one.ca_file for one in self.servers)} - {None}:
            try:
                authorities(file)
            except ProbekitError as error:
                raise ValueError(f"ca_file: {error.message}") from None


def expiry(options: Options, server: Server) -> CertificateExpiry:
    """With the server's own limits where it has them."""
    return CertificateExpiry(
        options.warn_before if server.warn_before is None else server.warn_before,
        options.critical_before if server.critical_before is None else server.critical_before,
    )


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one.id, "service") for one in ctx.options.servers]


def authorities_of(options: Options, server: Server) -> Anchors | ProbekitError:
    """Those that are trusted for a server, or why there are none."""
    from probekit.transports.anchors import anchors

    try:
        return anchors(server.ca_file or options.ca_file)
    except ProbekitError as error:
        return error


async def sight(ctx: pk.Context[Options], dialer: Dialer, server: Server, trusted: Anchors | ProbekitError) -> TlsSighting:
    """One handshake, and what its certificates are worth to the authorities trusted for this server."""
    from probekit.transports.dial import Call
    from probekit.transports.tls import TlsOffer
    from probekit.trust.certificates import is_for, trust_of

    if isinstance(trusted, ProbekitError):
        raise trusted
    host, port = host_and_port(server.address)
    due_ns = ctx.clock.monotonic_ns() + to_ns(ctx.options.timeout)
    offer = TlsOffer(server.expected, server.alpn)
    wire = await dialer.dial(Call(host, port, server.over, offer, due_ns, server.id))
    wire.close()
    agreed = wire.agreed
    assert agreed is not None, "a handshake was asked for"
    trust = trust_of(agreed.certificates, trusted, at=ctx.clock.now())
    return TlsSighting(
        server.expected,
        is_for(trust.sent[0], server.expected),
        trust,
        agreed.protocol,
        agreed.cipher,
        agreed.alpn,
        wire.peer_address,
        server.over,
        wire.phases,
        wire.elapsed_ns,
    )


async def see(
    ctx: pk.Context[Options], dialer: Dialer, server: Server, trusted: Anchors | ProbekitError
) -> pk.Observation[Any] | pk.Failure:
    try:
        seen = await sight(ctx, dialer, server, trusted)
    except ProbekitError as error:
        return pk.Failure.of(error, server.id, ctx.clock.now())
    return pk.Observation(seen, server.id, ctx.clock.now(), server.id, seen.elapsed_ns, ctx.clock_error_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    from probekit.transports.dial import SocketDialer

    dialer = ctx.state("dialer", lambda: SocketDialer(clock=ctx.clock, observer=ctx.observer))
    servers = {one.id: one for one in ctx.options.servers}
    # Before anything is timed: reading a bundle takes longer than a handshake.
    trusted = {one.ca_file: authorities_of(ctx.options, one) for one in servers.values()}
    asked = (servers[one.id] for one in watched)
    async with aclosing(as_they_come(see(ctx, dialer, one, trusted[one.ca_file]) for one in asked)) as found:
        async for seen in found:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    server = next(one for one in options.servers if one.id == target.id)
    return [
        expiry(options, server),
        CertificateTrust(),
        CertificateName(),
        TlsStrength(server.min_version or options.min_version, options.min_rsa_bits, options.min_ec_bits),
        LatencyBudget(options.budget, options.percentile, options.samples),
    ]


probe = pk.Probe.poll(
    name="tls_certificate",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=1),
    metrics=("certificate.expiry.leaf", "certificate.expiry.chain", "latency"),
    needs=("tls",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
