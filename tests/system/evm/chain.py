"""A real chain for a test: the node, a client of it whose requests are counted, and the contracts that stand there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from eth_account import Account as Signer

from probekit.clients.evm import EvmClient
from probekit.clock import SYSTEM_CLOCK
from probekit.codecs.evm import multicall
from probekit.dev.anvil import Account, AnvilNode
from probekit.model.evm import Address
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.httpx import HttpxTransport
from probekit.transports.rpc import Endpoint
from tests.system.evm.solidity import contracts

T = TypeVar("T")

POLL = timedelta(milliseconds=20)
GWEI = 10**9


class CountingTransport:
    """httpx, with the methods of every request in order: a single call's method, a batch's as a tuple.

    ``refuse`` may answer a call in the place of the node, with an error object as a provider would.
    """

    def __init__(self) -> None:
        self._engine = HttpxTransport(clock=SYSTEM_CLOCK)
        self.asked: list[str | tuple[str, ...]] = []
        self.refuse: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    async def send(self, request: Request) -> Response:
        body = msgspec.json.decode(request.body or b"{}")
        self.asked.append(body["method"] if isinstance(body, dict) else tuple(one["method"] for one in body))
        response = await self._engine.send(request)
        calls = [body] if isinstance(body, dict) else body
        refused = {call["id"]: error for call in calls if (error := self.refuse(call)) is not None}
        if refused:
            told = msgspec.json.decode(response.body)
            answers = [
                {"jsonrpc": "2.0", "id": one["id"], "error": refused[one["id"]]} if one["id"] in refused else one
                for one in ([told] if isinstance(told, dict) else told)
            ]
            response.body = msgspec.json.encode(answers if isinstance(body, list) else answers[0])
        return response

    async def aclose(self) -> None:
        await self._engine.aclose()

    def taken(self) -> list[str | tuple[str, ...]]:
        """The requests since the last look."""
        asked, self.asked = self.asked, []
        return asked


@contextlib.asynccontextmanager
async def counting() -> AsyncIterator[CountingTransport]:
    """A transport that counts, closed at the end."""
    transport = CountingTransport()
    try:
        yield transport
    finally:
        await transport.aclose()


class Chain:
    """One node with contracts on it."""

    def __init__(self, node: AnvilNode, client: EvmClient, transport: CountingTransport) -> None:
        self.node = node
        self.client = client
        self.transport = transport

    @property
    def payer(self) -> Account:
        return self.node.accounts[0]

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.node.url, name="anvil", ws_url=self.node.ws_url)

    async def deploy(self, name: str, types: str = "", *arguments: Any) -> Address:
        """Make a contract by name, with the constructor's arguments."""
        return await self.node.deploy(contracts()[name].made_with(types, *arguments))

    async def with_multicall(self) -> None:
        """Put ours where Multicall3 stands on every chain."""
        await self.node.set_code(multicall.ADDRESS, contracts()["Multicall"].runtime)

    async def token(self, supply: int = 10**24) -> Address:
        return await self.deploy("Token", "string,string,uint8,uint256", "Test Coin", "TEST", 18, supply)

    def signed(self, nonce: int, *, by: int = 0, **fields: Any) -> bytes:
        """A transaction signed here, by the key of an account of the node: one wei to nobody unless ``fields`` say more."""
        account = self.node.accounts[by]
        transaction = {
            "chainId": self.node.chain_id,
            "nonce": nonce,
            "to": "0x" + "51" * 20,
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 10 * GWEI,
            "maxPriorityFeePerGas": GWEI,
            **fields,
        }
        return bytes(Signer.from_key(account.key.reveal()).sign_transaction(transaction).raw_transaction)


async def until(condition: Callable[[], Awaitable[T | None]], what: str, seconds: float = 20) -> T:
    """The first truthy outcome of ``condition``. Fails once the time has passed."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await condition()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None
    return found
