"""Which market of which exchange a symbol of Pyth's is traded in: data, replaceable by the caller.

``quote`` is what the market's prices are in. A market in USDT is listed as that and never stands for dollars by itself. Names
are those of each exchange's own API; CoinGecko's are coin and currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec


class Market(msgspec.Struct, frozen=True, gc=False):
    """A market: the symbol it is about, the exchange, its name there, and the currency of its prices."""

    symbol: str
    exchange: str
    name: str
    quote: str


_USD: Final = {"coinbase": "{0}-USD", "kraken": "{0}USD", "bitstamp": "{0}/USD"}
_USDT: Final = {"binance": "{0}USDT", "okx": "{0}-USDT"}
_KRAKEN: Final = {
    "BTC": "XXBTZUSD",
    "ETH": "XETHZUSD",
    "XRP": "XXRPZUSD",
    "LTC": "XLTCZUSD",
    "DOGE": "XDGUSD",
    "USDT": "USDTZUSD",
}
"""Pairs that Kraken answers under an older name; all others are base and quote in a row."""

# Base, CoinGecko's id, and the exchanges that list it, in dollars or else in USDT.
_ROWS: Final = (
    ("BTC", "bitcoin", "coinbase kraken bitstamp binance okx"),
    ("ETH", "ethereum", "coinbase kraken bitstamp binance okx"),
    ("SOL", "solana", "coinbase kraken bitstamp binance okx"),
    ("XRP", "ripple", "coinbase kraken bitstamp binance okx"),
    ("DOGE", "dogecoin", "coinbase kraken bitstamp binance okx"),
    ("ADA", "cardano", "coinbase kraken bitstamp binance okx"),
    ("AVAX", "avalanche-2", "coinbase kraken bitstamp binance okx"),
    ("LINK", "chainlink", "coinbase kraken bitstamp binance okx"),
    ("LTC", "litecoin", "coinbase kraken bitstamp binance okx"),
    ("BCH", "bitcoin-cash", "coinbase kraken bitstamp binance okx"),
    ("UNI", "uniswap", "coinbase kraken bitstamp binance okx"),
    ("AAVE", "aave", "coinbase kraken bitstamp binance okx"),
    ("DOT", "polkadot", "coinbase kraken binance okx"),
    ("ATOM", "cosmos", "coinbase kraken binance okx"),
    ("NEAR", "near", "coinbase kraken binance okx"),
    ("SUI", "sui", "coinbase kraken binance okx"),
    ("ARB", "arbitrum", "coinbase kraken binance okx"),
    ("OP", "optimism", "coinbase kraken binance okx"),
    ("APT", "aptos", "coinbase kraken binance okx"),
    ("PYTH", "pyth-network", "coinbase kraken binance okx"),
    ("USDT", "tether", "coinbase kraken bitstamp"),
    ("USDC", "usd-coin", "kraken bitstamp"),
)


def _markets() -> Iterable[Market]:
    for base, coin, listed in _ROWS:
        symbol = f"Crypto.{base}/USD"
        for exchange in listed.split():
            quote, names = ("USD", _USD) if exchange in _USD else ("USDT", _USDT)
            name = names[exchange].format(base)
            if exchange == "kraken":
                name = _KRAKEN.get(base, name)
            yield Market(symbol, exchange, name, quote)
        yield Market(symbol, "coingecko", f"{coin}/usd", "USD")


MARKETS: Final = tuple(_markets())
"""All known markets."""


def choose(markets: Iterable[Market], symbol: str, exchange: str, *, stand_ins: Sequence[str] = ()) -> Market | None:
    """The one market of an exchange to ask for a symbol: in the symbol's own currency, else in the first of ``stand_ins`` that
    it has; ``None`` where it has neither.
    """
    own = symbol.rpartition("/")[2]
    found = {one.quote: one for one in markets if (one.symbol, one.exchange) == (symbol, exchange)}
    return next((found[quote] for quote in (own, *stand_ins) if quote in found), None)
