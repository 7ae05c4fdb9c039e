"""Does each gRPC service say that it serves, in time, on a fresh connection?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec

import probekit as pk
from probekit.checks import Check, GrpcHealth, LatencyBudget
from probekit.clock import as_they_come
from probekit.errors import ConfigError, ProbekitError
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.clients.grpc_health import GrpcServer, Metadata

MOST = 128
"""Calls at once, each on a connection of its own: none waits for another."""


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call: which server, and which of its services. The empty name is the server as a whole."""

    address: str
    service: str = ""
    name: str = ""
    tls: bool = True
    authority: str | None = None
    metadata: Mapping[str, str] = {}
    secret_metadata: Mapping[str, pk.Secret] = {}
    budget: timedelta | None = None

    def __post_init__(self) -> None:
        from probekit.clients.grpc_health import refuse_metadata

        self.server()
        name = self.authority
        if name is not None and not (name and name.isascii() and name.isprintable() and " " not in name):
            raise ValueError(f"authority must be a name, not {self.authority!r}")
        if len(self.service) > 256 or len(self.authority or "") > 256:
            raise ValueError("service and authority have at most 256 characters")
        try:
            refuse_metadata((*self.metadata.items(), *self.secret_metadata.items()))
        except ConfigError as error:
            raise ValueError(f"metadata: {error.message}") from None
        if twice := sorted(self.metadata.keys() & self.secret_metadata.keys()):
            raise ValueError(f"metadata and secret_metadata both have {', '.join(twice)}")

    def server(self) -> GrpcServer:
        from probekit.clients.grpc_health import GrpcServer

        try:
            parts = urlsplit(f"//{self.address}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port or parts.netloc != self.address or parts.username is not None or " " in self.address:
            raise ValueError(f"address must be HOST:PORT or [IPV6]:PORT, not {self.address!r}")
        return GrpcServer(host, port, self.tls, self.authority)

    @property
    def id(self) -> str:
        return self.name or (f"{self.address} {self.service}" if self.service else self.address)


class Options(pk.Options, frozen=True, kw_only=True):
    services: Annotated[tuple[Service, ...], pk.doc("what is asked, all at once, each on a fresh connection")]
    budget: Annotated[timedelta, pk.doc("budget of an answer, with name look-up, connection and TLS")] = timedelta(seconds=1)
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many answers the percentile is over")] = 60
    timeout: Annotated[timedelta, pk.doc("when a call is given up; the server is told")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        self.require("services", "budget", "timeout")
        seen = set[str]()
        for one in self.services:
            LatencyBudget(self.budget if one.budget is None else one.budget, self.percentile, self.samples)
            if one.id in seen:
                raise ValueError(f"services has {one.id} twice: give each a name of its own")
            seen.add(one.id)
        if len(seen) > MOST:
            raise ValueError(f"services are {len(seen)}, {MOST} at most: give the rest a second process")


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one.id, "service") for one in ctx.options.services]


async def see(ctx: pk.Context[Options], one: Service, due_ns: int) -> pk.Observation[Any] | pk.Failure:
    from probekit.clients.grpc_health import check

    metadata: Metadata = (*one.metadata.items(), *one.secret_metadata.items())
    try:
        answer = await check(
            one.server(),
            one.service,
            metadata=metadata,
            due_ns=due_ns,
            clock=ctx.clock,
            observer=ctx.observer,
            target=one.id,
        )
    except ProbekitError as error:
        return pk.Failure.of(error, one.id, ctx.clock.now())
    return pk.Observation(answer, one.id, ctx.clock.now(), one.id, answer.elapsed_ns)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    wanted = {one.id for one in watched}
    due_ns = ctx.clock.monotonic_ns() + to_ns(ctx.options.timeout)
    async with aclosing(as_they_come(see(ctx, one, due_ns) for one in ctx.options.services if one.id in wanted)) as found:
        async for seen in found:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    service = next(one for one in options.services if one.id == target.id)
    budget = options.budget if service.budget is None else service.budget
    return [GrpcHealth(), LatencyBudget(budget, options.percentile, options.samples)]


probe = pk.Probe.poll(
    name="grpc_health",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("latency",),
    needs=("grpc",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
