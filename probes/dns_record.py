"""Does each resolver give the records that are wanted, in time, and do all give the same?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

import probekit as pk
from probekit.checks import Check, DnsAgreement, DnsAssertions, LatencyBudget
from probekit.clock import as_they_come
from probekit.errors import ProbekitError
from probekit.model.dns import DnsAnswer, DnsQuestion, DnsWire, RecordType, normal
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.clients.dns import DnsServer

Rcode = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "NOTAUTH"]
MOST = 256
"""Questions at once, each on a socket of its own: none waits for another."""


class Resolver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask: an address, so that no look-up stands before the look-up."""

    address: str
    name: str = ""
    over: DnsWire = "udp"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    tls_name: str | None = None

    def __post_init__(self) -> None:
        try:
            ip_address(self.address)
        except ValueError:
            raise ValueError(f"address must be an IPv4 or IPv6 address, not {self.address!r}") from None
        if self.tls_name is not None and self.over != "tls":
            raise ValueError("tls_name goes with over: tls")
        if self.tls_name == "":
            raise ValueError("tls_name must not be empty")

    def server(self) -> DnsServer:
        from probekit.clients.dns import DnsServer

        return DnsServer(self.address, self.port or (853 if self.over == "tls" else 53), self.over, self.tls_name)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question, and what its answer should be."""

    name: str
    type: RecordType = "A"
    rcode: Rcode = "NOERROR"
    equals: tuple[str, ...] | None = None
    contains: tuple[str, ...] = ()
    matches: str | None = None
    min_count: int | None = None
    max_count: int | None = None
    min_ttl: timedelta | None = None
    max_ttl: timedelta | None = None
    authenticated: bool = False
    agree: Literal["values", "serial", "no"] | None = None
    grace: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.question()
        if self.agree == "serial" and self.type != "SOA":
            raise ValueError(f"agree: serial goes with type SOA, not {self.type}")
        if self.rcode != "NOERROR" and (self.equals or self.contains or self.matches):
            raise ValueError(f"an answer that should be {self.rcode} has no values to want anything of")
        self.assertions()
        DnsAgreement(grace=self.grace)

    def question(self) -> DnsQuestion:
        return DnsQuestion(self.name, self.type)

    def assertions(self) -> DnsAssertions:
        wanted_any = self.rcode == "NOERROR" and self.equals != ()
        return DnsAssertions(
            self.rcode,
            None if self.equals is None else tuple(normal(self.type, one) for one in self.equals),
            tuple(normal(self.type, one) for one in self.contains),
            self.matches,
            int(wanted_any) if self.min_count is None else self.min_count,
            self.max_count,
            self.min_ttl,
            self.max_ttl,
            self.authenticated,
        )

    def agreement(self) -> DnsAgreement | None:
        """How the answers of several resolvers are compared: SOA by serial, others by values, where nothing else is said."""
        by = self.agree or ("serial" if self.type == "SOA" else "values")
        return None if by == "no" else DnsAgreement(by, self.grace)


class Options(pk.Options, frozen=True, kw_only=True):
    records: Annotated[tuple[Record, ...], pk.doc("what is asked for, at every resolver, and what should come")]
    resolvers: Annotated[
        tuple[Resolver, ...], pk.doc("who is asked, all at once; without any, those of this system (three at most)")
    ] = ()
    budget: Annotated[timedelta, pk.doc("budget of an answer, a second try over TCP included")] = timedelta(milliseconds=500)
    percentile: Annotated[int, pk.doc("which percentile the budget holds, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many answers the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a question is given up")] = timedelta(seconds=3)

    def __post_init__(self) -> None:
        self.require("records", "budget", "timeout")
        LatencyBudget(self.budget, self.percentile, self.samples)
        names = [str(one.question()).lower() for one in self.records]
        if twice := next((one for one in names if names.count(one) > 1), None):
            raise ValueError(f"records has {twice} twice")
        labels = [one.name or str(one.server()) for one in self.resolvers]
        if twice := next((one for one in labels if labels.count(one) > 1), None):
            raise ValueError(f"resolvers has {twice} twice: give each a name of its own")
        if (asked := len(names) * max(1, len(labels))) > MOST:
            raise ValueError(f"{len(names)} records at {len(labels)} resolvers are {asked} questions at once, {MOST} at most")


class Asked(NamedTuple):
    """One question to one server."""

    record: Record
    label: str
    server: DnsServer

    @property
    def id(self) -> str:
        return f"{self.record.question()} @{self.label}"


def servers(options: Options) -> dict[str, DnsServer]:
    """Whom to ask, by label."""
    from probekit.clients.dns import system_servers

    if options.resolvers:
        return {one.name or str(one.server()): one.server() for one in options.resolvers}
    return {str(one): one for one in system_servers()}


def compared(options: Options, count: int) -> list[Record]:
    """Records whose answers are held against each other."""
    return [one for one in options.records if count > 1 and one.agreement() is not None]


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    options = ctx.options
    asked = servers(options)
    ids = [Asked(record, *one).id for record in options.records for one in asked.items()]
    return [pk.Target(one, "service") for one in (*ids, *(str(r.question()) for r in compared(options, len(asked))))]


async def see(ctx: pk.Context[Options], one: Asked, due_ns: int) -> pk.Observation[DnsAnswer] | pk.Failure:
    from probekit.clients.dns import ask

    try:
        answer = await ask(
            one.record.question(), one.server, due_ns=due_ns, clock=ctx.clock, observer=ctx.observer, target=one.id
        )
    except ProbekitError as error:
        return pk.Failure.of(error, one.id, ctx.clock.now())
    seen_at = ctx.clock.now()
    searched = await ctx.searched(one.record.assertions().searches(answer))
    return pk.Observation(msgspec.structs.replace(answer, searched=searched), one.id, seen_at, one.id, answer.elapsed_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    from probekit.clients.dns import prepare

    options = ctx.options
    asked = [Asked(record, *one) for record in options.records for one in servers(options).items()]
    for server in {one.server for one in asked}:
        with suppress(ProbekitError):  # told by each that needs it
            prepare(server)
    due_ns = ctx.clock.monotonic_ns() + to_ns(options.timeout)
    wanted = {one.id for one in watched}
    seen: dict[str, pk.Observation[DnsAnswer] | pk.Failure] = {}
    # A resolver that hangs is of the comparison no part.
    async with aclosing(as_they_come(see(ctx, one, due_ns) for one in asked if one.id in wanted)) as answers:
        async for found in answers:
            seen[found.target] = found
            yield found
    for record in compared(options, len({one.label for one in asked})):
        told = {one.label: seen[one.id] for one in asked if one.record == record and one.id in seen}
        yield pk.Observation(
            pk.Comparison(
                {label: one.value for label, one in told.items() if isinstance(one, pk.Observation)},
                {label: one.error for label, one in told.items() if isinstance(one, pk.Failure)},
            ),
            "resolvers",
            ctx.clock.now(),
            str(record.question()),
        )


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    question, _, server = target.id.partition(" @")
    record = next(one for one in options.records if str(one.question()) == question)
    agreement = record.agreement()
    if not server and agreement is not None:
        return [agreement]
    return [record.assertions(), LatencyBudget(options.budget, options.percentile, options.samples)]


probe = pk.Probe.poll(
    name="dns_record",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=30),
    metrics=("latency",),
    needs=("dns",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
