"""Does each PromQL query give what it should, over data that is new enough?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

import probekit as pk
from probekit.checks import Check, DataAge, LatencyBudget, LatencySample, QueryAssertions
from probekit.checks.prometheus import Comparison, Outcome
from probekit.clients.prometheus import PrometheusClient, basic
from probekit.clock import as_they_come
from probekit.errors import ConfigError, ProbekitError, ProtocolError, TransportError
from probekit.model import RequestRecord
from probekit.transports.base import HeaderValue, Limits, Request
from probekit.transports.sendable import refuse_unsendable

MOST = 64
AGE = " data age"


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expression, and what its result must not be."""

    name: str
    query: str
    critical: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    matches: str | None = None
    on_empty: Outcome = "critical"
    on_nan: Outcome = "critical"
    max_series: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    data_time: str | None = None
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 100 or self.name.endswith(AGE):
            raise ValueError(f"name must be a name of at most 100 characters, not {self.name!r}")
        if not self.query.strip():
            raise ValueError("query must not be empty")
        if (self.data_time is None) != (self.max_age is None):
            raise ValueError("data_time and max_age go together: what gives the times, and how old they may be")
        self.assertions()
        if self.max_age is not None:
            DataAge(self.max_age)

    def assertions(self) -> QueryAssertions:
        critical, warning = (tuple(map(Comparison.parse, one)) for one in (self.critical, self.warning))
        return QueryAssertions(critical, warning, self.matches, self.on_empty, self.on_nan, self.max_series)


class Options(pk.Options, frozen=True, kw_only=True):
    url: Annotated[str, pk.doc("the server, with the path before /api/v1 where it has one")]
    queries: Annotated[tuple[Query, ...], pk.doc("what is asked, all at once, and what must not come")]
    username: Annotated[str | None, pk.doc("for basic authentication, with password")] = None
    password: Annotated[pk.Secret | None, pk.doc("reference to the password: env:NAME, file:/path or credential:name")] = None
    headers: Annotated[Mapping[str, str], pk.doc("sent with each query, such as X-Scope-OrgID")] = {}
    secret_headers: Annotated[Mapping[str, pk.Secret], pk.doc("the same for keys, by reference: env:NAME, file:/path")] = {}
    budget: Annotated[timedelta, pk.doc("budget of an answer, the slowest query's counts")] = timedelta(seconds=2)
    percentile: Annotated[int, pk.doc("which percentile the budget holds, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many ticks the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a query is given up; the server is told")] = timedelta(seconds=10)
    max_body: Annotated[pk.ByteSize, pk.doc("the largest answer that is taken, decompressed")] = pk.ByteSize.parse("8MiB")

    def __post_init__(self) -> None:
        self.require("url", "queries", "budget", "timeout")
        if self.max_body.bytes <= 0:
            raise ValueError("max_body must be positive")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        LatencyBudget(self.budget, self.percentile, self.samples)
        try:
            refuse_unsendable(Request("POST", self.url, self.all_headers(), b""))
        except ProtocolError as error:
            raise ValueError(f"url or headers: {error.message}") from None
        names = [one.name for one in self.queries]
        if twice := next((one for one in names if names.count(one) > 1), None):
            raise ValueError(f"queries has {twice!r} twice")
        if len(names) > MOST:
            raise ValueError(f"queries are {len(names)}, {MOST} at most: give the rest a second process")

    def all_headers(self) -> tuple[tuple[str, HeaderValue], ...]:
        user = () if self.username is None or self.password is None else (basic(self.username, self.password),)
        return (*self.headers.items(), *self.secret_headers.items(), *user)


class Asked(NamedTuple):
    """One expression of a query: its own, or that which gives the times."""

    target: str
    promql: str
    most: int
    assertions: QueryAssertions | None = None


def asked(options: Options) -> list[Asked]:
    made = [Asked(one.name, one.query, one.max_series, one.assertions()) for one in options.queries]
    times = [Asked(one.name + AGE, one.data_time, 1_000) for one in options.queries if one.data_time is not None]
    return made + times


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    endpoint = pk.Target.endpoint(ctx.options.url)
    return [endpoint, *(pk.Target(one.target, "service", behind=endpoint.id) for one in asked(ctx.options))]


def client(ctx: pk.Context[Options], target: str) -> PrometheusClient:
    """One for each expression, over the same engine: its exchanges are told as its target's."""

    def observer(record: RequestRecord) -> None:
        ctx.observer(msgspec.structs.replace(record, target=target))

    return PrometheusClient(
        ctx.options.url,
        headers=ctx.options.all_headers(),
        transport=ctx.engine(),
        timeout=ctx.options.timeout,
        observer=observer,
        clock=ctx.clock,
        limits=Limits(max_body_bytes=ctx.options.max_body.bytes),
    )


async def see(ctx: pk.Context[Options], one: Asked) -> pk.Observation[Any] | pk.Failure:
    began_ns = ctx.clock.monotonic_ns()
    made = await ctx.hold(one.target, lambda: client(ctx, one.target))
    try:
        result = await made.query(one.promql, most=one.most)
    except ProbekitError as error:
        if isinstance(error, ConfigError):
            error = ConfigError(f"{one.target}: {error.message}")
        return pk.Failure(error, one.target, ctx.clock.now(), one.target, ctx.clock.monotonic_ns() - began_ns)
    seen_at = ctx.clock.now()
    if one.assertions is not None and (searched := await ctx.searched(one.assertions.searches(result))):
        result = msgspec.structs.replace(result, searched=searched)
    return pk.Observation(result, one.target, seen_at, one.target, result.elapsed_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    endpoint = watched[0].id
    queries = asked(ctx.options)
    failures: list[pk.Failure] = []
    slowest_ns = 0
    async with aclosing(as_they_come(see(ctx, one) for one in queries)) as answers:
        async for found in answers:
            if isinstance(found, pk.Failure) and isinstance(found.error, TransportError):
                failures.append(found)
                continue
            slowest_ns = max(slowest_ns, found.elapsed_ns)
            yield found
    if len(failures) == len(queries):
        # Nothing came through: that is said once, of the server, and its queries are not seen behind it.
        yield pk.Failure(failures[0].error, endpoint, ctx.clock.now(), endpoint, failures[0].elapsed_ns)
        return
    for failure in failures:
        yield failure
    yield pk.Observation(LatencySample(slowest_ns, "query"), endpoint, ctx.clock.now(), endpoint, slowest_ns)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.budget, options.percentile, options.samples)]
    query = next(one for one in options.queries if one.name == target.id.removesuffix(AGE))
    if target.id.endswith(AGE) and query.max_age is not None:
        return [DataAge(query.max_age)]
    return [query.assertions()]


probe = pk.Probe.poll(
    name="prometheus_query",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=30),
    metrics=("latency",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
