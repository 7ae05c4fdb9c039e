"""A refresh of a whole Pythnet, 2,000 price accounts with 30 quotes each, from the wire to typed quotes; the client's CPU.

The node is a process of its own that answers with bytes made beforehand. The peer is pythclient's ``refresh_all_prices`` in the
cheaper of its two ways (``getMultipleAccounts``, a hundred accounts to a request); both have read the list of products before.
"""

from __future__ import annotations

import asyncio
import base64
import time
from functools import lru_cache
from typing import Any

import msgspec

from benchmarks import json_node
from benchmarks.pythnet_decode import _account
from benchmarks.row import Row
from probekit.clients.pythnet import DEPLOYMENTS, PythnetClient, PythnetState
from probekit.clients.solana import SolanaClient
from probekit.codecs.pythnet import encode_mapping, encode_price, encode_product
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import MappingAccount, PriceAccount, PriceColumns, ProductAccount

SIZE = 2_000
DEPLOYMENT = DEPLOYMENTS["pythnet"]
GENESIS = "EkCkB7RWVrgkcpariRpd3pjf7GwiCMZaMHKUpB5Na1Ve"


def _key(kind: int, number: int) -> Pubkey:
    return Pubkey(bytes((kind,)) + number.to_bytes(2, "big") + bytes(29))


def _shown(data: bytes) -> str:
    head = '{"lamports":1,"owner":"%s","executable":false,"rentEpoch":0,"space":%d,"data":["%s","base64"]}'
    return head % (DEPLOYMENT.program, len(data), base64.b64encode(data).decode())


def _accounts() -> dict[str, str]:
    """Every account of the network, as JSON."""
    products = tuple(_key(1, number) for number in range(SIZE))
    made = {str(DEPLOYMENT.mapping): _shown(encode_mapping(MappingAccount(products)))}
    for number, key in enumerate(products):
        price_key = _key(2, number)
        made[str(key)] = _shown(encode_product(ProductAccount({"symbol": f"Crypto.C{number}/USD"}, price_key)))
        price = msgspec.structs.replace(_account(number % 250), product_key=key)
        made[str(price_key)] = _shown(encode_price(price))
    return made


@lru_cache(maxsize=1)
def node() -> str:
    """URL of the node."""
    accounts = _accounts()

    def answer(item: dict[str, Any]) -> str:
        method, params = item["method"], item.get("params") or []
        if method == "getMultipleAccounts":
            value = "[" + ",".join(accounts[key] for key in params[0]) + "]"
        elif method == "getAccountInfo":
            value = accounts[params[0]]
        else:
            return f'{{"jsonrpc":"2.0","id":{item["id"]},"result":"{GENESIS}"}}'
        return f'{{"jsonrpc":"2.0","result":{{"context":{{"slot":197635583}},"value":{value}}},"id":{item["id"]}}}'

    return json_node.start(answer)


_walls: dict[str, float] = {}


def _spent(name: str, cpu_s: float, wall_s: float) -> float:
    _walls[name] = wall_s
    return cpu_s * 1000


def ours(columns: bool) -> float:
    """CPU ms of one refresh of all prices by probekit."""
    from probekit.clock import SYSTEM_CLOCK
    from probekit.transports.httpx import HttpxTransport

    async def run() -> float:
        engine = HttpxTransport(clock=SYSTEM_CLOCK)
        async with SolanaClient(node(), genesis_hash=GENESIS, transport=engine) as solana:
            client = PythnetClient(solana)
            state: PythnetState[PriceAccount] | PythnetState[PriceColumns]
            state = await client.refresh_columns() if columns else await client.refresh()
            assert len(state.feeds) == SIZE
            assert not state.errors
            cpu, wall = time.process_time(), time.monotonic()
            again = await client.refresh_prices(state)  # type: ignore[misc]
            spent = _spent("columns" if columns else "quotes", time.process_time() - cpu, time.monotonic() - wall)
            assert not again.errors
        await engine.aclose()
        return spent

    return asyncio.run(run())


def pythclient() -> float:
    """The same by pythclient."""
    from pythclient.pythclient import PythClient

    async def run() -> float:
        client = PythClient(first_mapping_account_key=str(DEPLOYMENT.mapping), solana_endpoint=node())
        client.solana.ratelimit = False  # type: ignore[assignment]
        await client.refresh_all_prices()
        assert len(client.products) == SIZE
        cpu, wall = time.process_time(), time.monotonic()
        await client.refresh_all_prices()
        spent = _spent("pythclient", time.process_time() - cpu, time.monotonic() - wall)
        await client.close()
        return spent

    return asyncio.run(run())


def rows() -> list[Row]:
    """CPU of a whole-network refresh, and its wall time, which is not compared: the node's part is in it."""
    shared: dict[str, Any] = {"peer_name": "pythclient refresh_all_prices", "unit": "ms CPU", "measured": True, "runs": 3}
    walls: dict[str, Any] = {"peer_name": "pythclient refresh_all_prices", "unit": "s wall", "measured": True, "runs": 1}
    return [
        {
            "name": "refresh of 2,000 price accounts, every quote",
            "ours": lambda: ours(False),
            "peer": pythclient,
            "target": 6,
            **shared,
            # What is promised of it is held against more than three turns: one of them may be disturbed.
            "runs": 5,
        },
        {
            "name": "refresh of 2,000 price accounts, columns",
            "ours": lambda: ours(True),
            "peer": pythclient,
            "target": None,
            **shared,
        },
        {
            "name": "refresh of 2,000 price accounts, wall",
            "ours": lambda: _walls["quotes"],
            "peer": lambda: _walls["pythclient"],
            "target": None,
            **walls,
        },
    ]
