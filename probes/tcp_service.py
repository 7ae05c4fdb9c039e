"""Does each TCP service take a connection, and answer what it should, in time?"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

import probekit as pk
from probekit.checks import Check, LatencyBudget, TcpAnswer, TcpDialogue, Turn
from probekit.clock import as_they_come, within
from probekit.errors import DeadlineExceeded, ProbekitError, StreamClosed, TransportError
from probekit.model.pattern import PatternSlow, compiled
from probekit.model.place import host_and_port, is_host, reachable_over
from probekit.secret import redact
from probekit.transports.authorities import authorities
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.transports.dial import Dialer, Wire
    from probekit.transports.tls import TlsOffer

PLACEHOLDER = "{secret}"
SHOWN = 200
"""Characters of what was heard in a sentence."""


class Say(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of a dialogue: something that is sent, then something that is awaited; either may be left out.

    ``{secret}`` in ``send`` stands for ``secret``. ``expect`` is found in a whole line, those before it are passed over;
    ``expect_bytes`` in whatever has come.
    """

    send: str | None = None
    send_hex: str | None = None
    secret: pk.Secret | None = None
    expect: str | None = None
    expect_bytes: str | None = None

    def __post_init__(self) -> None:
        if self.send is not None and self.send_hex is not None:
            raise ValueError("a turn sends send or send_hex, not both")
        if self.expect is not None and self.expect_bytes is not None:
            raise ValueError("a turn waits for expect or expect_bytes, not both")
        if not self.send and not self.send_hex and self.awaits is None:
            raise ValueError("a turn sends something, expects something, or both")
        if (self.secret is not None) != (PLACEHOLDER in (self.send or "")):
            raise ValueError(f"secret stands in send as {PLACEHOLDER}, and goes with it")
        if self.send_hex is not None:
            try:
                bytes.fromhex(self.send_hex)
            except ValueError:
                raise ValueError(f"send_hex {self.send_hex[:40]!r} is not hexadecimal") from None
        for key in ("expect", "expect_bytes"):
            text = getattr(self, key)
            try:
                empty = text is not None and pattern(text).search(b"") is not None
            except ValueError as error:
                raise ValueError(f"{key} {error}") from None
            if empty and key == "expect_bytes":
                raise ValueError(f"expect_bytes {text!r} is found where nothing has come: it would wait for nothing")

    @property
    def awaits(self) -> str | None:
        """The expression of either kind."""
        return self.expect if self.expect_bytes is None else self.expect_bytes

    def data(self) -> bytes:
        """What goes out; of text its UTF-8."""
        if self.send_hex is not None:
            return bytes.fromhex(self.send_hex)
        text = self.send or ""
        return (text if self.secret is None else text.replace(PLACEHOLDER, self.secret.reveal())).encode()


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One port, and the dialogue over it."""

    address: str
    name: str = ""
    family: Literal["ipv4", "ipv6"] | None = None
    tls: bool = False
    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    ca_file: str | None = None
    dialogue: tuple[Say, ...] = ()
    budget: timedelta | None = None

    def __post_init__(self) -> None:
        reachable_over(host_and_port(self.address)[0], self.family)
        if self.server_name is not None and (not self.server_name or not is_host(self.server_name)):
            raise ValueError(f"server_name {self.server_name!r} is no host name and no address")
        if not self.tls and (self.server_name is not None or self.alpn or self.ca_file is not None):
            raise ValueError("server_name, alpn and ca_file go with tls: true")
        if not self.tls and any(one.secret is not None for one in self.dialogue):
            raise ValueError("a secret goes with tls: true, so that nobody else reads it")
        if any(not 0 < len(one.encode()) < 256 for one in self.alpn):
            raise ValueError("alpn takes protocols of 1 to 255 bytes")
        if self.ca_file is not None:
            try:
                authorities(self.ca_file)
            except ProbekitError as error:
                raise ValueError(f"ca_file: {error.message}") from None

    @property
    def over(self) -> Literal["ipv4", "ipv6"]:
        """The one address family it is reached over."""
        return reachable_over(host_and_port(self.address)[0], self.family)

    @property
    def id(self) -> str:
        return f"{self.name or self.address} {self.over}"

    def offer(self) -> TlsOffer | None:
        """What it is greeted with; ``None`` without TLS."""
        if not self.tls:
            return None
        from probekit.transports.tls import TlsOffer

        return TlsOffer(self.server_name or host_and_port(self.address)[0], self.alpn, True, self.ca_file)


class Options(pk.Options, frozen=True, kw_only=True):
    services: Annotated[tuple[Service, ...], pk.doc("host:port of what is asked, all at once, each over one address family")]
    budget: Annotated[timedelta, pk.doc("budget of a connection with its dialogue, from name look-up on")] = timedelta(
        seconds=1
    )
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many connections the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a connection is given up, its dialogue included")] = timedelta(seconds=5)
    max_read: Annotated[pk.ByteSize, pk.doc("how much may come in a turn before what it waits for")] = pk.ByteSize.parse(
        "64KiB"
    )

    def __post_init__(self) -> None:
        self.require("services", "budget", "timeout")
        if not 0 < self.max_read.bytes <= 16 * 1024 * 1024:
            raise ValueError(f"max_read must be positive, and 16MiB at most, not {self.max_read}")
        seen = set[str]()
        for one in self.services:
            LatencyBudget(self.budget if one.budget is None else one.budget, self.percentile, self.samples)
            if one.id in seen:
                raise ValueError(f"services has {one.id} twice: give each a name of its own")
            seen.add(one.id)


def pattern(text: str) -> re.Pattern[bytes]:
    """Of bytes: text in it is UTF-8, and ``\\xff`` is that byte. Raises ``ValueError``."""
    return compiled(text.encode())


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one.id, "service") for one in ctx.options.services]


class Heard(NamedTuple):
    """What came in a turn, when its first byte did, and how much of it is the turn's: the rest belongs to the next."""

    data: bytes
    first_ns: int | None
    end: Literal["matched", "ended", "limit", "late", "slow"]
    taken: int


class Ear:
    """Looks for what a turn waits for in what has come so far. No line is looked at twice. Raises ``PatternSlow``."""

    def __init__(self, ctx: pk.Context[Options], say: Say) -> None:
        self._ctx = ctx
        self.ours_ns = 0
        """What looking took, which is none of the service's time."""
        self._lines = say.expect_bytes is None
        self._pattern = pattern(say.awaits or "").pattern
        self._seen = 0
        """Where the line begins that has not ended."""

    async def taken(self, data: bytes, *, ended: bool) -> int | None:
        """Up to where ``data`` is the turn's, once that has come. ``ended``: nothing follows, which ends the last line."""
        if not self._lines:
            span = await self._span(data)
            return None if span is None else span[1]
        while (end := data.find(b"\n", self._seen)) >= 0 or (ended and self._seen < len(data)):
            begin, self._seen = self._seen, end + 1 if end >= 0 else len(data)
            if await self._found(data[begin : self._seen]):
                return self._seen
        return None

    async def unended(self, data: bytes) -> bool:
        """Whether it is in a line that has not ended."""
        with suppress(PatternSlow):  # that it did not come is told in any case
            return self._lines and self._seen < len(data) and await self._found(data[self._seen :])
        return False

    async def _found(self, line: bytes) -> bool:
        return await self._span(line.removesuffix(b"\n").removesuffix(b"\r")) is not None

    async def _span(self, data: bytes) -> tuple[int, int] | None:
        began_ns = self._ctx.clock.monotonic_ns()
        try:
            return await self._ctx.span(self._pattern, data)
        finally:
            self.ours_ns += self._ctx.clock.monotonic_ns() - began_ns


async def awaited(ctx: pk.Context[Options], wire: Wire, begun: bytes, ear: Ear, due_ns: int) -> Heard:
    """Read on from ``begun`` until what is awaited has come, the peer ends, too much has come or time is up; or until whether
    it has come cannot be told.
    """
    data, first_ns = begun, ctx.clock.monotonic_ns() if begun else None
    while True:
        try:
            taken = await ear.taken(data, ended=False)
        except PatternSlow:
            return Heard(data, first_ns, "slow", len(data))
        if taken is not None:
            return Heard(data, first_ns, "matched", taken)
        if len(data) >= ctx.options.max_read.bytes:
            return Heard(data, first_ns, "limit", len(data))
        try:
            more = await within(ctx.clock, due_ns, wire.receive())
        except TimeoutError:
            return Heard(data, first_ns, "late", len(data))
        except StreamClosed:
            if not data:
                raise
            return Heard(data, first_ns, "ended", len(data))  # its words say more than that it broke
        if not more:
            try:
                taken = await ear.taken(data, ended=True)
            except PatternSlow:
                return Heard(data, first_ns, "slow", len(data))
            return Heard(data, first_ns, "ended" if taken is None else "matched", len(data) if taken is None else taken)
        first_ns = first_ns or ctx.clock.monotonic_ns()
        data += more


async def converse(ctx: pk.Context[Options], service: Service, wire: Wire, due_ns: int) -> tuple[list[Turn], int | None, int]:
    """The turns up to the first that does not end as awaited, when the first byte came, and what looking at them took."""
    turns: list[Turn] = []
    left, first_ns, ours_ns = b"", None, 0
    for say in service.dialogue:
        data = say.data()
        if data:
            try:
                await within(ctx.clock, due_ns, wire.send(data))
            except TimeoutError:
                raise DeadlineExceeded(f"{service.address}: what is sent is not taken", phase="transfer") from None
        if say.awaits is None:
            turns.append(Turn(None, "sent"))
            continue
        ear = Ear(ctx, say)
        heard = await awaited(ctx, wire, left, ear, due_ns)
        first_ns = first_ns or heard.first_ns
        if heard.end == "late" and not heard.data:
            raise DeadlineExceeded(f"{service.address}: no byte came for {say.awaits!r}", phase="first_byte")
        unended = heard.end in ("late", "limit") and await ear.unended(heard.data)
        ours_ns += ear.ours_ns
        turns.append(Turn(say.awaits, heard.end, shown(heard.data[: heard.taken]), heard.taken, unended))
        if heard.end != "matched":
            break
        left = heard.data[heard.taken :]
    return turns, first_ns, ours_ns


def shown(data: bytes) -> str:
    """Fit for a sentence: no secret, one line, short."""
    text = redact(data[: SHOWN + 4_096].decode("utf-8", "replace"))
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return clean if len(clean) <= SHOWN else f"{clean[:SHOWN]}..."


async def ask(ctx: pk.Context[Options], dialer: Dialer, service: Service) -> TcpAnswer:
    from probekit.transports.dial import Call

    host, port = host_and_port(service.address)
    due_ns = ctx.clock.monotonic_ns() + to_ns(ctx.options.timeout)
    wire = await dialer.dial(Call(host, port, service.over, service.offer(), due_ns, service.id))
    open_ns = ctx.clock.monotonic_ns()
    try:
        turns, first_ns, ours_ns = await converse(ctx, service, wire, due_ns)
    except TransportError as error:
        error.elapsed_ns = wire.elapsed_ns + ctx.clock.monotonic_ns() - open_ns
        raise
    finally:
        wire.close()
    agreed = wire.agreed
    secured = None if agreed is None else f"{agreed.protocol} with {agreed.cipher}"
    if agreed is not None and agreed.alpn is not None:
        secured = f"{secured}, ALPN {agreed.alpn}"
    waited = None if first_ns is None else first_ns - open_ns
    phases = msgspec.structs.replace(wire.phases, first_byte_ns=waited)
    elapsed_ns = wire.elapsed_ns + ctx.clock.monotonic_ns() - open_ns - ours_ns
    return TcpAnswer(tuple(turns), wire.peer_address, service.over, phases, elapsed_ns, secured)


async def see(ctx: pk.Context[Options], dialer: Dialer, service: Service) -> pk.Observation[Any] | pk.Failure:
    try:
        found = await ask(ctx, dialer, service)
    except ProbekitError as error:
        return pk.Failure.of(error, service.id, ctx.clock.now())
    return pk.Observation(found, service.id, ctx.clock.now(), service.id, found.elapsed_ns, ctx.clock_error_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    from probekit.transports.dial import SocketDialer
    from probekit.transports.tls import context_of

    dialer = ctx.state("dialer", lambda: SocketDialer(clock=ctx.clock, observer=ctx.observer))
    services = {one.id: one for one in ctx.options.services}
    for one in services.values():
        if (offer := one.offer()) is not None:
            with suppress(ProbekitError):  # told by each that needs it
                context_of(offer)  # before anything is timed: reading a bundle takes longer than a handshake
    async with aclosing(as_they_come(see(ctx, dialer, services[one.id]) for one in watched)) as found:
        async for seen in found:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    service = next(one for one in options.services if one.id == target.id)
    budget = options.budget if service.budget is None else service.budget
    return [TcpDialogue(), LatencyBudget(budget, options.percentile, options.samples)]


probe = pk.Probe.poll(
    name="tcp_service",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("latency",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
