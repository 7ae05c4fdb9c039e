"""A real gRPC server on loopback, with the standard health service or without it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health


@pytest.fixture(autouse=True)
def poller_ends() -> Iterator[None]:
    """The library's poller ends with the last object that uses it; until then it has a thread and two sockets."""
    yield
    gc.collect()


class Served(NamedTuple):
    port: int
    tls_port: int
    servicer: Any
    seen: list[dict[str, str]]
    """The metadata of each call."""

    async def say(self, service: str, status: str) -> None:
        await self.servicer.set(service, getattr(health_pb2.HealthCheckResponse, status))


class _Codes(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers each service with the code of its name, and ``hang`` never."""

    def __init__(self, seen: list[dict[str, str]]) -> None:
        self._seen = seen
        self._inner = health.HealthServicer()

    async def set(self, service: str, status: Any) -> None:
        await self._inner.set(service, status)

    async def Check(self, request: Any, context: Any) -> Any:
        self._seen.append({str(key): str(value) for key, value in context.invocation_metadata()})
        code = getattr(grpc.StatusCode, request.service, None)
        if request.service == "hang":
            await asyncio.Event().wait()
        if request.service == "number":
            return health_pb2.HealthCheckResponse(status=99)
        if code is not None:
            await context.abort(code, f"because of {request.service}")
        return await self._inner.Check(request, context)


@asynccontextmanager
async def grpc_server(
    *, health_service: bool = True, certificate: tuple[bytes, bytes] | None = None, statuses: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """It serves on a port of its own, and with ``certificate`` (key and chain, PEM) on another over TLS."""
    seen: list[dict[str, str]] = []
    server, servicer = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), _Codes(seen)
    if health_service:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    tls_port = 0
    if certificate is not None:
        tls_port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
    served = Served(port, tls_port, servicer, seen)
    for service, status in (statuses or {}).items():
        await served.say(service, status)
    await server.start()
    try:
        yield served
    finally:
        await server.stop(0)
        await server.wait_for_termination(5)
