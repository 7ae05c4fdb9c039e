"""An oracle network of a few feeds and scripted publishers, as accounts in their real layout; time and slots are the test's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from probekit.clients.pythnet import Deployment
from probekit.codecs.pythnet import aggregate, encode_mapping, encode_price, encode_product
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import MappingAccount, PriceAccount, PriceInfo, ProductAccount, Quote, TradingStatus

Behaviour = Literal["honest", "offline", "stalled", "noisy", "off_price", "wide", "ignored", "silent"]

OPEN = "America/New_York;O,O,O,O,O,O,O;"
CLOSED = "America/New_York;C,C,C,C,C,C,C;"


def key(name: str) -> Pubkey:
    return Pubkey(hashlib.sha256(name.encode()).digest())


@dataclass
class Market:
    """One feed: its product, and who quotes it how. ``price`` and ``conf`` are mantissas under ``expo``."""

    symbol: str
    publishers: dict[str, Behaviour]
    attributes: dict[str, str] = field(default_factory=dict)
    price: int = 1_000_000
    conf: int = 500
    expo: int = -4
    min_publishers: int = 3
    moving: bool = True
    frozen_at: int | None = None
    """The slot at which it stopped to aggregate."""
    listed: bool = True
    corrupt: Literal["", "product", "price"] = ""
    quotes: dict[str, PriceInfo] = field(default_factory=dict)
    last: tuple[int, int, int] = (0, 0, 0)
    """Slot, price and conf of the last aggregate."""

    @property
    def product_key(self) -> Pubkey:
        return key(f"product {self.symbol}")

    @property
    def price_key(self) -> Pubkey:
        return key(f"price {self.symbol}")

    @property
    def feed_id(self) -> str:
        return str(FeedId(bytes(self.price_key)))


class OracleNetwork:
    """Feeds that move by about ``30`` bps a step, quoted by publishers as they are scripted."""

    def __init__(self, *markets: Market, slot: int = 200_000_000) -> None:
        self.deployment = Deployment(key("program"), key("mapping"))
        self.markets = {market.symbol: market for market in markets}
        self.slot = slot
        self.steps = 0
        self.page_lost = False
        self.step(0)

    def publisher(self, name: str) -> Pubkey:
        return key(f"publisher {name}")

    def step(self, slots: int = 25) -> None:
        """Let slots pass, the market move, and everyone quote."""
        self.slot += slots
        self.steps += 1
        for market in self.markets.values():
            # A triangle wave: always another price than two steps before, never drifting away.
            swing = (3_000 * ((self.steps % 7) - 3)) if market.moving else 0
            for name, behaviour in market.publishers.items():
                self._quote(market, name, behaviour, market.price + swing)
            made = aggregate(market.quotes.values(), slot=self.slot, min_publishers=market.min_publishers)
            if market.frozen_at is None and made.price is not None and made.conf is not None:
                market.last = self.slot, made.price, made.conf

    def _quote(self, market: Market, name: str, behaviour: Behaviour, price: int) -> None:
        jitter = sum(name.encode()) % 100
        before = market.quotes.get(name)
        conf, status, slot = market.conf, TradingStatus.TRADING, self.slot - 1
        if behaviour == "silent" or (behaviour == "offline" and before is not None):
            return
        if behaviour == "stalled" and before is not None:
            price, jitter = before.price, 0
        elif behaviour == "noisy":
            price, jitter = market.price, self.steps % 3
        elif behaviour == "off_price":
            price = price * 6 // 5
        elif behaviour == "wide":
            conf = market.price // 4
        elif behaviour == "ignored":
            conf, status = market.price // 2, TradingStatus.IGNORED
        market.quotes[name] = PriceInfo(price + jitter, conf, int(status), 0, slot)

    def accounts(self) -> Iterator[tuple[Pubkey, bytes]]:
        """Every account, as it is now."""
        listed = [market.product_key for market in self.markets.values() if market.listed]
        # Two pages, as on the real network, so that one can be lost.
        half, second = (len(listed) + 1) // 2, key("second page")
        yield self.deployment.mapping, encode_mapping(MappingAccount(tuple(listed[:half]), second))
        page = encode_mapping(MappingAccount(tuple(listed[half:])))
        yield second, b"lost" if self.page_lost else page
        for market in self.markets.values():
            attributes = {"symbol": market.symbol, "asset_type": "Crypto", "schedule": OPEN} | market.attributes
            product = encode_product(ProductAccount({k: v for k, v in attributes.items() if v}, market.price_key))
            yield market.product_key, b"\1\2\3\4" + product[4:] if market.corrupt == "product" else product
            price = encode_price(self._account(market), length=12_576)
            yield market.price_key, price[:100] if market.corrupt == "price" else price

    def _account(self, market: Market) -> PriceAccount:
        quotes = tuple(Quote.of(self.publisher(name), market.quotes.get(name, PriceInfo())) for name in market.publishers)
        slot, price, conf = market.last
        counted = sum(
            1 for one in market.quotes.values() if one.status_code == 1 and one.conf > 0 and self.slot - one.pub_slot <= 25
        )
        trading = slot == self.slot
        return PriceAccount(
            expo=market.expo,
            num_components=len(quotes),
            num_quoters=counted,
            last_slot=slot,
            valid_slot=max(slot - 1, 0),
            min_publishers=market.min_publishers,
            flags=1,
            product_key=bytes(market.product_key),
            agg_price=price,
            agg_conf=conf,
            agg_status_code=1 if trading else 0,
            agg_pub_slot=self.slot if market.frozen_at is None else market.frozen_at,
            quotes=tuple(sorted(quotes, key=lambda quote: quote.publisher_key)),
        )
