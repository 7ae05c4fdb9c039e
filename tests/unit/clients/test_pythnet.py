"""A whole oracle network behind a table of accounts: products, prices, quotes, and what is broken among them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from probekit import errors
from probekit.clients.pythnet import DEPLOYMENTS, PythnetClient, PythnetState
from probekit.codecs.pythnet import encode_mapping, encode_permissions, encode_price, encode_product
from probekit.codecs.solana.pda import find_program_address
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import (
    MappingAccount,
    PermissionsAccount,
    PriceAccount,
    PriceColumns,
    PriceHead,
    PriceInfo,
    ProductAccount,
    Quote,
)
from probekit.model.solana import Account
from tests.unit.clients.cluster import OWNER, Cluster

DEPLOYMENT = DEPLOYMENTS["pythnet"]
PUBLISHERS = [bytes([200 + number]) * 32 for number in range(3)]


def key(kind: int, number: int) -> Pubkey:
    return Pubkey(bytes([kind]) + number.to_bytes(2, "big") + bytes(29))


class Network:
    """``size`` products with a price each, listed on two pages."""

    def __init__(self, size: int) -> None:
        self.cluster = Cluster()
        self.client = PythnetClient(self.cluster.client)
        self.products = [key(1, number) for number in range(size)]
        self.prices = [key(2, number) for number in range(size)]
        second = key(3, 0)
        half = size // 2
        self.put(DEPLOYMENT.mapping, encode_mapping(MappingAccount(tuple(self.products[:half]), second)))
        self.put(second, encode_mapping(MappingAccount(tuple(self.products[half:]))))
        for number in range(size):
            product = ProductAccount({"symbol": f"Crypto.C{number}/USD", "asset_type": "Crypto"}, self.prices[number])
            self.put(self.products[number], encode_product(product))
            self.price(number, 1000 + number)

    def put(self, address: Pubkey, data: bytes, owner: Pubkey = DEPLOYMENT.program) -> None:
        self.cluster.add(Account(address, owner, 1, data, False, 100))

    def price(self, number: int, value: int, **changes: object) -> None:
        quotes = tuple(Quote.of(publisher, PriceInfo(value, 2, 1, 0, 99)) for publisher in PUBLISHERS[: 1 + number % 3])
        fields: dict[str, object] = {
            "size": 3312,
            "sums": b"",
            "expo": -2,
            "num_components": len(quotes),
            "product_key": bytes(self.products[number]),
            "agg_price": value,
            "agg_status_code": 1,
            "agg_pub_slot": 99,
            "quotes": quotes,
        }
        account = PriceAccount(**(fields | changes))  # type: ignore[arg-type]
        self.put(self.prices[number], encode_price(account, length=3312))

    def feed(self, number: int) -> FeedId:
        return FeedId(bytes(self.prices[number]))


async def test_a_whole_network_in_a_few_requests() -> None:
    network = Network(620)
    state = await network.client.refresh()
    assert len(state.products) == len(state.feeds) == 620
    assert not state.errors
    feed = state.by_symbol("Crypto.C5/USD")
    assert (feed.feed_id, feed.slot, str(feed.price.price)) == (network.feed(5), 100, "10.05")
    assert [quote.price for quote in feed.price.quotes] == [1005] * 3
    # Identity, two pages of the list, then 500 accounts to a request.
    assert len(network.cluster.requests) == 1 + 2 + 2 + 2
    publishers = state.publishers()
    assert [len(publishers[Pubkey(publisher)]) for publisher in PUBLISHERS] == [620, 413, 206]
    with pytest.raises(errors.NotFound):
        state.by_symbol("Crypto.NONE/USD")


async def test_columns_and_heads_say_the_same() -> None:
    network = Network(4)
    full, columns, heads = (
        await network.client.refresh(),
        await network.client.refresh_columns(),
        await network.client.refresh_heads(),
    )
    feed_id = network.feed(2)
    assert isinstance(columns.feeds[feed_id].price, PriceColumns)
    assert columns.feeds[feed_id].price.prices == (1002, 1002, 1002)
    assert columns.publishers() == full.publishers()
    assert type(heads.feeds[feed_id].price) is PriceHead
    assert heads.feeds[feed_id].price.agg_price == 1002
    with pytest.raises(TypeError, match="no quotes"):
        heads.publishers()


async def test_what_is_broken_loses_no_neighbour() -> None:
    network = Network(8)
    network.put(network.products[0], b"\x00" * 512)
    network.put(network.prices[1], b"\x00" * 3312)
    network.put(network.prices[2], b"", owner=OWNER)
    del network.cluster.accounts[str(network.prices[3])]
    network.price(4, 7, product_key=bytes(network.products[5]))
    network.put(network.products[6], encode_product(ProductAccount({"symbol": "Soon"})))
    state = await network.client.refresh()
    assert set(state.feeds) == {network.feed(5), network.feed(7)}
    assert {address: type(error) for address, error in state.errors.items()} == {
        network.products[0]: errors.DecodeError,
        network.prices[1]: errors.DecodeError,
        network.prices[2]: errors.DecodeError,
        network.prices[3]: errors.Missing,
        network.prices[4]: errors.DecodeError,
    }
    assert state.unlisted == (network.products[6],)


async def test_the_prices_alone_again() -> None:
    network = Network(5)
    state = await network.client.refresh()
    asked = len(network.cluster.requests)
    network.price(1, 4242)
    network.put(network.prices[2], b"broken")
    again = await network.client.refresh_prices(state)
    assert len(network.cluster.requests) == asked + 1
    assert again.feeds[network.feed(1)].price.agg_price == 4242
    assert again.feeds[network.feed(2)] == state.feeds[network.feed(2)]
    assert list(again.errors) == [network.prices[2]]
    network.price(2, 5)
    mended = await network.client.refresh_prices(again, [network.feed(2)])
    assert (mended.feeds[network.feed(2)].price.agg_price, mended.errors) == (5, {})
    with pytest.raises(errors.NotFound):
        await network.client.refresh_prices(state, ["ff" * 32])


async def test_what_changed_since() -> None:
    network, grown = Network(6), Network(8)
    state = await network.client.refresh()
    # Two more products, one of them unlisted so far; the third is gone from the list.
    soon = grown.products[7]
    network.cluster.accounts |= grown.cluster.accounts
    network.put(soon, encode_product(ProductAccount({"symbol": "Soon"})))
    network.put(key(3, 0), encode_mapping(MappingAccount((*grown.products[3:8],))))
    network.put(DEPLOYMENT.mapping, encode_mapping(MappingAccount(tuple(network.products[:2]), key(3, 0))))
    network.price(0, 4242)
    network.put(network.prices[1], b"broken")
    asked = len(network.cluster.requests)
    now = await network.client.refresh_since(state)
    assert [feed.symbol for feed in now.feeds.values()] == [f"Crypto.C{number}/USD" for number in (0, 3, 4, 5, 6, 1)]
    assert now.feeds[network.feed(0)].price.agg_price == 4242
    assert now.feeds[network.feed(1)] == state.feeds[network.feed(1)]
    assert (list(now.errors), now.unlisted) == ([network.prices[1]], (soon,))
    # Two pages of the list, the two new products, the prices.
    assert len(network.cluster.requests) == asked + 4
    network.put(soon, encode_product(ProductAccount({"symbol": "Soon"}, grown.prices[7])))
    assert (await network.client.refresh_since(now)).by_symbol("Soon").feed_id == FeedId(bytes(grown.prices[7]))
    network.put(key(3, 0), b"broken")
    kept = await network.client.refresh_since(now)
    assert set(kept.feeds) >= set(now.feeds), "a page that does not read unlists nothing"
    assert key(3, 0) in kept.errors
    with pytest.raises(ValueError, match="without feeds"):
        await network.client.refresh_since(PythnetState({}, {}, {}))


async def test_an_endpoint_that_is_behind_takes_nothing_back() -> None:
    network = Network(2)
    state = await network.client.refresh()
    network.price(0, 7)
    network.cluster.contextual = lambda value: {"context": {"slot": 99}, "value": value}  # type: ignore[method-assign]
    for again in (await network.client.refresh_prices(state), await network.client.refresh_since(state)):
        assert (again.feeds, again.errors) == (state.feeds, {})
    network.cluster.contextual = lambda value: {"context": {"slot": 100}, "value": value}  # type: ignore[method-assign]
    for again in (await network.client.refresh_prices(state), await network.client.refresh_since(state)):
        assert again.feeds[network.feed(0)].price.agg_price == 7


async def test_a_chain_of_prices_without_an_end_is_cut_and_told() -> None:
    network = Network(2)
    chain = [key(4, number) for number in range(12)]
    network.price(0, 10, next_key=bytes(chain[0]))
    for at, follows in pairwise(chain):
        one = PriceAccount(size=3312, sums=b"", product_key=bytes(network.products[0]), next_key=bytes(follows), agg_price=11)
        network.put(at, encode_price(one, length=3312))
    state = await network.client.refresh()
    assert len(state.feeds) == 1 + 8
    assert list(state.errors) == [chain[7]]


async def test_a_chain_of_prices_is_followed_and_a_loop_ends() -> None:
    network = Network(2)
    second = key(4, 0)
    network.price(0, 10, next_key=bytes(second))
    chained = PriceAccount(
        size=3312, sums=b"", product_key=bytes(network.products[0]), next_key=bytes(network.prices[0]), agg_price=11
    )
    network.put(second, encode_price(chained, length=3312))
    state = await network.client.refresh()
    assert set(state.feeds) == {network.feed(0), network.feed(1), FeedId(bytes(second))}


async def test_a_list_that_loops_ends_and_one_that_breaks_keeps_what_it_had() -> None:
    network = Network(4)
    second = key(3, 0)
    network.put(second, encode_mapping(MappingAccount(tuple(network.products[2:]), DEPLOYMENT.mapping)))
    looped = await network.client.refresh()
    assert len(looped.feeds) == 4
    assert "leads back" in looped.errors[DEPLOYMENT.mapping].message
    network.put(second, b"broken")
    state = await network.client.refresh()
    assert len(state.feeds) == 2
    assert list(state.errors) == [second]
    network.put(DEPLOYMENT.mapping, b"broken")
    with pytest.raises(errors.DecodeError):
        await network.client.refresh()
    del network.cluster.accounts[str(DEPLOYMENT.mapping)]
    with pytest.raises(errors.NotFound, match="mapping"):
        await network.client.refresh()


async def test_one_price() -> None:
    network = Network(2)
    price, slot = await network.client.price(network.feed(1))
    assert (price.agg_price, slot) == (1001, 100)
    with pytest.raises(errors.NotFound):
        await network.client.price("ff" * 32)
    network.put(network.prices[0], b"broken")
    with pytest.raises(errors.DecodeError):
        await network.client.price(network.feed(0))


async def test_permissions() -> None:
    network = Network(0)
    with pytest.raises(errors.NotFound):
        await network.client.permissions()
    address, _ = find_program_address((b"permissions",), DEPLOYMENT.program)
    permissions = PermissionsAccount(OWNER, OWNER, OWNER, 7)
    network.put(address, encode_permissions(permissions))
    assert await network.client.permissions() == permissions
    network.put(address, encode_permissions(permissions), owner=OWNER)
    with pytest.raises(errors.DecodeError, match="owned by"):
        await network.client.permissions()
