"""A chain of its own for each test: a node starts in a fraction of a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from probekit.clients.evm import EvmClient
from probekit.dev.anvil import anvil
from probekit.transports.rpc import Endpoint
from tests.system.evm.chain import Chain, counting
from tests.system.evm.installed import require_anvil
from tests.system.evm.solidity import contracts


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No task outlives a test, and so no socket; one that is left open is a warning, which is an error."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


@pytest.fixture
async def chain(nothing_is_left: None) -> AsyncIterator[Chain]:
    require_anvil()
    contracts()
    async with counting() as transport, anvil() as node:
        endpoint = Endpoint(node.url, name="anvil", ws_url=node.ws_url)
        async with EvmClient(endpoint, chain_id=node.chain_id, transport=transport) as client:
            yield Chain(node, client, transport)
