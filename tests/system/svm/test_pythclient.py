"""The oracle's own Python client reads prices from the node: by getProgramAccounts, by mapping walk, and as they change."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from pythclient.pythaccounts import (  # type: ignore[import-untyped]
    PythPriceAccount,
    PythPriceStatus,
    PythPriceType,
)
from pythclient.pythclient import PythClient  # type: ignore[import-untyped]
from solders.pubkey import Pubkey

from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.server import Served
from tests.system.svm import clients

pytestmark = [pytest.mark.system, pytest.mark.svm, pytest.mark.timeout(120)]

PROGRAM = Pubkey.from_string("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH")
MAPPING = Pubkey.from_string("AHtgzX45WTKfkPG53L6WYhGEXwQkN1BVknET3sVsLL8J")
PUBLISHER = Pubkey([33] * 32)
TRADING = 1


def account(kind: int, body: bytes, size: int) -> bytes:
    """An oracle account: its header, with the bytes that are in use, and its body, padded to the account's size."""
    return (struct.pack("<IIII", 0xA1B2C3D4, 2, kind, 16 + len(body)) + body).ljust(size, b"\0")


def mapping(products: list[Pubkey]) -> bytes:
    return account(1, struct.pack("<II32s", len(products), 0, bytes(32)) + b"".join(map(bytes, products)), 20_536)


def product(price: Pubkey, **attributes: str) -> bytes:
    pairs = b"".join(bytes((len(text),)) + text.encode() for pair in attributes.items() for text in pair)
    return account(2, bytes(price) + pairs, 512)


def price_info(price: int, conf: int, slot: int) -> bytes:
    return struct.pack("<qQIIQ", price, conf, TRADING, 0, slot)


def price(product_key: Pubkey, value: int, conf: int, slot: int, moment: int) -> bytes:
    """A version 2 price account of 3312 bytes with one publisher."""
    head = struct.pack("<IiIIQQ", 1, -8, 1, 1, slot, slot)
    emas = struct.pack("<6q", value, 1, 1, conf, 1, 1)
    flags = struct.pack("<qBBBBI", moment, 1, 0, 0, 0, 0)
    links = bytes(product_key) + bytes(32)
    previous = struct.pack("<QqQq", slot - 1, value - 1, conf, moment - 1)
    component = bytes(PUBLISHER) + 2 * price_info(value, conf, slot)
    body = head + emas + flags + links + previous + price_info(value, conf, slot) + component
    assert len(body) == 240 - 16 + 96
    return account(3, body, 3_312)


@dataclass
class Oracle:
    """A mapping with some products and a price each, on a ledger."""

    ledger: Ledger
    served: Served
    symbols: tuple[str, ...] = ("Crypto.BTC/USD", "Crypto.ETH/USD", "FX.EUR/USD")
    products: list[Pubkey] = field(default_factory=list)
    prices: list[Pubkey] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, symbol in enumerate(self.symbols):
            self.products.append(Pubkey([100 + number] * 32))
            self.prices.append(Pubkey([150 + number] * 32))
            kind = symbol.split(".")[0]
            shown = product(self.prices[number], symbol=symbol, asset_type=kind, quote_currency="USD")
            self.ledger.set_account(self.products[number], shown, owner=PROGRAM, since_genesis=True)
            self.publish(number, 10**9 * (number + 1), since_genesis=True)
        self.ledger.set_account(MAPPING, mapping(self.products), owner=PROGRAM, since_genesis=True)

    def publish(self, number: int, value: int, *, since_genesis: bool = False) -> None:
        tip = self.ledger.tip
        data = price(self.products[number], value, 10**6, tip.slot, tip.unix_timestamp)
        self.ledger.set_account(self.prices[number], data, owner=PROGRAM, since_genesis=since_genesis)

    def client(self, *, by_program: bool) -> PythClient:
        return PythClient(
            first_mapping_account_key=str(MAPPING),
            program_key=str(PROGRAM) if by_program else None,
            solana_endpoint=self.served.http,
            solana_ws_endpoint=self.served.ws,
        )


@pytest.fixture
async def oracle() -> AsyncIterator[Oracle]:
    ledger = Ledger(slot_time=clients.SLOT_TIME)
    async with clients.living(ledger) as (_, served):
        yield Oracle(ledger, served)


def only(one: PythPriceAccount) -> tuple[float | None, float | None, PythPriceStatus | None]:
    return one.aggregate_price, one.aggregate_price_confidence_interval, one.aggregate_price_status


@pytest.mark.parametrize("by_program", [True, False])
async def test_products_and_prices(oracle: Oracle, by_program: bool) -> None:
    async with oracle.client(by_program=by_program) as client:
        await client.refresh_all_prices()
        products = await client.get_products()
        assert [one.symbol for one in products] == list(oracle.symbols)
        assert products[2].attrs == {"symbol": "FX.EUR/USD", "asset_type": "FX", "quote_currency": "USD"}
        for number, one in enumerate(products):
            shown = one.prices[PythPriceType.PRICE]
            assert only(shown) == (10.0 * (number + 1), 0.01, PythPriceStatus.TRADING)
            assert str(shown.key) == str(oracle.prices[number])
            assert [str(component.publisher_key) for component in shown.price_components] == [str(PUBLISHER)]
        assert await client.solana.get_health() == "ok"


async def test_a_watch_session_hears_every_price(oracle: Oracle) -> None:
    async with oracle.client(by_program=True) as client:
        await client.refresh_all_prices()
        (first, *_) = await client.get_products()
        shown = first.prices[PythPriceType.PRICE]
        watch = client.create_watch_session()
        await watch.connect()
        await watch.subscribe(shown)
        for step in range(1, 4):
            oracle.publish(0, 10**9 + step * 10**8)
            slot = oracle.ledger.tip.slot
            heard = await watch.next_update()
            assert heard is shown
            assert (shown.aggregate_price, shown.slot) == (10.0 + step, slot)
        await watch.unsubscribe(shown)
        await watch.disconnect()


async def test_a_watch_session_survives_a_dropped_connection(oracle: Oracle) -> None:
    async with oracle.client(by_program=True) as client:
        await client.refresh_all_prices()
        prices = [one.prices[PythPriceType.PRICE] for one in await client.get_products()]
        watch = client.create_watch_session()
        await watch.connect()
        await watch.program_subscribe(str(PROGRAM), prices)
        oracle.publish(1, 7 * 10**8)
        assert await watch.next_update() is prices[1]
        assert oracle.served.drop_connections() >= 1
        await watch.reconnect()
        oracle.publish(2, 3 * 10**8)
        while await watch.next_update() is not prices[2]:
            pass
        assert [one.aggregate_price for one in prices] == [10.0, 7.0, 3.0]
        await watch.disconnect()
