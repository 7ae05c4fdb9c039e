"""Both engines, and a loopback server that misbehaves on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from probekit.transports.base import Engine
from probekit.transports.curl import CurlTransport
from probekit.transports.httpx import HttpxTransport
from tests.contract.transports.attempts import Make
from tests.contract.transports.server import Server, serving

ENGINES: list[Any] = [pytest.param(HttpxTransport, id="httpx"), pytest.param(CurlTransport, id="curl")]


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> Make:
    engine: Make = request.param
    return engine


@pytest.fixture
async def engine(make: Make) -> AsyncIterator[Engine]:
    made = make()
    yield made
    await made.aclose()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as one:
        yield one
