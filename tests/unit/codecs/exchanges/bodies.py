"""Answers as the exchanges give them, for some markets and prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

TIME_S = 1_789_207_200
"""2026-09-12 10:00 UTC."""


def coinbase(prices: Mapping[str, Decimal]) -> bytes:
    (price,) = prices.values()
    fields = {
        "ask": str(price + 1),
        "bid": str(price),
        "volume": "5.1",
        "trade_id": 86_326_522,
        "price": str(price),
        "size": "0.2",
        "time": "2026-09-12T10:00:00.250000Z",
        "rfq_volume": "1.5",
    }
    return json.dumps(fields).encode()


def kraken(prices: Mapping[str, Decimal]) -> bytes:
    def row(price: Decimal) -> dict[str, Any]:
        return {"a": [str(price + 1), "1", "1.000"], "b": [str(price), "1", "1.000"], "c": [str(price), "0.1"], "t": [5, 6]}

    return json.dumps({"error": [], "result": {name: row(price) for name, price in prices.items()}}).encode()


def binance(prices: Mapping[str, Decimal]) -> bytes:
    rows = [
        {
            "symbol": name,
            "lastPrice": str(price),
            "bidPrice": str(price),
            "askPrice": str(price + 1),
            "openTime": (TIME_S - 86_400) * 1_000,
            "closeTime": TIME_S * 1_000 + 250,
        }
        for name, price in prices.items()
    ]
    return json.dumps(rows).encode()


def okx(prices: Mapping[str, Decimal]) -> bytes:
    rows = [
        {
            "instType": "SPOT",
            "instId": name,
            "last": str(price),
            "bidPx": str(price),
            "askPx": str(price + 1),
            "ts": str(TIME_S * 1_000 + 250),
        }
        for name, price in prices.items()
    ]
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


def bitstamp(prices: Mapping[str, Decimal]) -> bytes:
    rows = [
        {"pair": name, "last": str(price), "bid": str(price), "ask": str(price + 1), "timestamp": str(TIME_S), "side": "0"}
        for name, price in prices.items()
    ]
    return json.dumps(rows).encode()


def coingecko(prices: Mapping[str, Decimal]) -> bytes:
    coins: dict[str, list[str]] = {}
    for name, price in prices.items():
        coin, _, currency = name.partition("/")
        # As CoinGecko writes them: numbers, which json.dumps would send through a float.
        coins.setdefault(coin, [f'"last_updated_at":{TIME_S}']).append(f'"{currency}":{price}')
    return ("{" + ",".join(f'"{coin}":{{{",".join(fields)}}}' for coin, fields in coins.items()) + "}").encode()


BODIES = {
    "coinbase": coinbase,
    "kraken": kraken,
    "binance": binance,
    "okx": okx,
    "bitstamp": bitstamp,
    "coingecko": coingecko,
}
NAMES = {
    "coinbase": ("BTC-USD",),
    "kraken": ("XXBTZUSD", "SOLUSD"),
    "binance": ("BTCUSDT", "SOLUSDT"),
    "okx": ("BTC-USDT", "SOL-USDT"),
    "bitstamp": ("BTC/USD", "SOL/USD"),
    "coingecko": ("bitcoin/usd", "solana/usd"),
}
"""Two markets of each, one where a request is for one."""
