"""Does each HTTP service answer what it should, in time, on a fresh connection?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

import probekit as pk
from probekit.checks import Check, HttpAnswer, HttpAssertions, HttpBody, HttpHop, LatencyBudget, StatusRange, Wanted
from probekit.clock import as_they_come
from probekit.errors import ConfigError, ProbekitError, ProtocolError
from probekit.model import RequestRecord
from probekit.secret import redact_url
from probekit.transports.base import HeaderValue, Limits, Request, Response
from probekit.transports.recording import Recording
from probekit.transports.redirects import follow
from probekit.transports.sendable import refuse_unsendable
from probekit.transports.status import raise_for_status
from probekit.units import to_ns


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A regular expression that is found, one that is not, or an exact value; with none of them, anything at all."""

    matches: str | None = None
    lacks: str | None = None
    equals: str | None = None

    def __post_init__(self) -> None:
        self.at("")

    def at(self, place: str) -> Wanted:
        return Wanted(place, self.matches, self.lacks, self.equals)


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request, and what its answer should be."""

    url: str
    name: str = ""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    headers: Mapping[str, str] = {}
    secret_headers: Mapping[str, pk.Secret] = {}
    body: str | None = None
    http_version: Literal["1.1", "2", "3"] = "1.1"
    family: Literal["ipv4", "ipv6"] | None = None
    max_redirects: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    budget: timedelta | None = None
    expect_status: tuple[str, ...] = ("2xx",)
    expect_headers: Mapping[str, Expected] = {}
    expect_body: tuple[Expected, ...] = ()
    expect_json: Mapping[str, Expected] = {}

    def __post_init__(self) -> None:
        try:
            refuse_unsendable(self.request())
        except ProtocolError as error:
            raise ValueError(f"url or headers: {error.message}") from None
        if self.http_version != "1.1" and not self.url.startswith("https:"):
            raise ValueError(f"http_version {self.http_version} needs an https url")
        if self.body is not None and self.method != "POST":
            raise ValueError(f"body goes with method POST, not {self.method}")
        if self.method == "HEAD" and (self.expect_body or self.expect_json):
            raise ValueError("method HEAD brings no body to expect anything of")
        literal, _ = place(self.url)
        if self.family is not None and literal not in (None, self.family):
            raise ValueError(f"family {self.family} does not reach the {literal} address of the url")
        self.assertions()

    @property
    def over(self) -> Literal["ipv4", "ipv6"]:
        """The one address family it is asked over."""
        return self.family or place(self.url)[0] or "ipv4"

    @property
    def id(self) -> str:
        return f"{self.name or place(self.url)[1]} {self.over}"

    def request(self) -> Request:
        headers: tuple[tuple[str, HeaderValue], ...] = (*self.headers.items(), *self.secret_headers.items())
        body = None if self.body is None else self.body.encode()
        return Request(
            self.method,
            self.url,
            headers,
            body,
            max_redirects=self.max_redirects,
            http_version=self.http_version,
            family=self.over,
        )

    def assertions(self) -> HttpAssertions:
        return HttpAssertions(
            tuple(map(StatusRange.parse, self.expect_status)),
            None if self.http_version == "1.1" else self.http_version,
            tuple(one.at(name.lower()) for name, one in self.expect_headers.items()),
            tuple(one.at("") for one in self.expect_body),
            tuple(one.at(path) for path, one in self.expect_json.items()),
        )


class Options(pk.Options, frozen=True, kw_only=True):
    services: Annotated[
        tuple[Service, ...], pk.doc("what is asked, all at once, each on a fresh connection over one address family")
    ]
    budget: Annotated[timedelta, pk.doc("budget of an answer, from name look-up to its last byte")] = timedelta(seconds=1)
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many answers the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a request is given up, its redirects included")] = timedelta(seconds=5)
    max_body: Annotated[pk.ByteSize, pk.doc("the largest body that is taken, after decompression")] = pk.ByteSize.parse("1MiB")

    def __post_init__(self) -> None:
        self.require("services", "budget", "timeout")
        if self.max_body.bytes <= 0:
            raise ValueError("max_body must be positive")
        seen = set[str]()
        for one in self.services:
            LatencyBudget(self.budget if one.budget is None else one.budget, self.percentile, self.samples)
            if one.id in seen:
                raise ValueError(f"services has {one.id} twice: give each a name of its own")
            seen.add(one.id)


@lru_cache(maxsize=4_096)
def place(url: str) -> tuple[Literal["ipv4", "ipv6"] | None, str]:
    """The family of the address that a URL names, ``None`` for a name; and the URL without keys."""
    try:
        family: Literal["ipv4", "ipv6"] | None = "ipv4" if ip_address(urlsplit(url).hostname or "").version == 4 else "ipv6"
    except ValueError:
        family = None
    return family, redact_url(url)


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one.id, "service") for one in ctx.options.services]


class Asked(NamedTuple):
    """A service made ready once, to be asked at every tick."""

    id: str
    family: Literal["ipv4", "ipv6"]
    request: Request
    assertions: HttpAssertions
    may_be_slow: bool
    """Whether its patterns may take long on some answer."""


def asked(options: Options) -> dict[str, Asked]:
    """Every service by the id of its target."""
    limits = Limits(max_body_bytes=options.max_body.bytes)
    made: dict[str, Asked] = {}
    for one in options.services:
        assertions = one.assertions()
        request = replace(one.request(), limits=limits)
        made[one.id] = Asked(one.id, one.over, request, assertions, assertions.may_be_slow)
    return made


async def answer(ctx: pk.Context[Options], service: Asked) -> HttpAnswer:
    """One attempt, and one more for each redirect asked for; each with its own phases and its own record."""
    engine = ctx.engine("measuring")
    version = service.request.http_version
    if version not in engine.capabilities.http_versions:
        raise ConfigError(f"this libcurl does not speak HTTP {version}, which {service.id} asks for")

    def observer(record: RequestRecord) -> None:
        ctx.observer(msgspec.structs.replace(record, target=service.id))

    recorded = Recording(engine, observer=observer, clock=ctx.clock)
    hops: list[HttpHop] = []

    async def attempt(request: Request) -> Response:
        response = await recorded.send(replace(request, max_redirects=0) if request.max_redirects else request)
        hops.append(HttpHop(response.url, response.status, response.elapsed_ns, response.phases, response.peer_address))
        return response

    due_ns = ctx.clock.monotonic_ns() + to_ns(ctx.options.timeout)
    response = await follow(attempt, service.request.with_deadline(due_ns))
    statuses = service.assertions.statuses
    if response.status >= 400 and statuses and not any(response.status in one for one in statuses):
        # 401 and 429 are about this prober, 503 is about the service: the failure map knows.
        raise_for_status(response)
    found = HttpAnswer(
        response.status,
        response.http_version,
        service.family,
        response.elapsed_ns,
        sum(hop.phases.queue_ns or 0 for hop in hops),
        tuple(hops),
        response.headers,
        HttpBody(response.body),
    )
    if not service.may_be_slow:
        return found
    return msgspec.structs.replace(found, searched=await ctx.searched(service.assertions.searches(found)))


async def see(ctx: pk.Context[Options], service: Asked) -> pk.Observation[Any] | pk.Failure:
    try:
        found = await answer(ctx, service)
    except ProbekitError as error:
        return pk.Failure.of(error, service.id, ctx.clock.now())
    return pk.Observation(found, service.id, ctx.clock.now(), service.id, found.elapsed_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    services = ctx.state("asked", lambda: asked(ctx.options))
    async with aclosing(as_they_come(see(ctx, services[one.id]) for one in watched)) as found:
        async for seen in found:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    service = next(one for one in options.services if one.id == target.id)
    budget = options.budget if service.budget is None else service.budget
    return [service.assertions(), LatencyBudget(budget, options.percentile, options.samples)]


probe = pk.Probe.poll(
    name="http_service",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("latency",),
    needs=("measure",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
