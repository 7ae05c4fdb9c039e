"""Pythnet: every product, price account and publisher quote of the oracle program, in a few batched reads.

The list of products is a chain of mapping accounts; each product names its price account, whose key is the feed's id. Accounts
and addresses: pyth-client ``program/rust/src/accounts``; networks: pyth-client-py ``pythclient/utils.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from probekit.codecs.pythnet import (
    decode_columns,
    decode_mapping,
    decode_permissions,
    decode_price,
    decode_price_head,
    decode_product,
)
from probekit.codecs.solana.pda import find_program_address
from probekit.errors import DecodeError, Missing, NotFound, ProbekitError
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import PermissionsAccount, PriceAccount, PriceColumns, PriceHead, ProductAccount
from probekit.model.solana import Account

if TYPE_CHECKING:
    from probekit.clients.solana import SolanaClient

__all__ = ["DEPLOYMENTS", "Deployment", "FeedAccount", "PythnetClient", "PythnetState"]

P = TypeVar("P", PriceAccount, PriceColumns, PriceHead)
D = TypeVar("D")

_AT_ONCE: Final = 500
"""Accounts in one HTTP request: 500 price accounts are 8 MB of base64."""
_CONCURRENT: Final = 2
REFRESH_TIMEOUT: Final = timedelta(seconds=30)
_MAX_PAGES: Final = 64
_MAX_PRICES_OF_A_PRODUCT: Final = 8


class Deployment(msgspec.Struct, frozen=True):
    """One deployment of the oracle program: where its list of products begins."""

    program: Pubkey
    mapping: Pubkey


DEPLOYMENTS: Final[Mapping[str, Deployment]] = {
    "pythnet": Deployment(
        Pubkey("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH"), Pubkey("AHtgzX45WTKfkPG53L6WYhGEXwQkN1BVknET3sVsLL8J")
    ),
    "pythtest-crosschain": Deployment(
        Pubkey("gSbePebfvPy7tRqimPoVecS2UsBvYv46ynrzWocc92s"), Pubkey("BmA9Z6FjioHJPpjT39QazZyhDRUdZy2ezwx4GiDdE2u2")
    ),
    "pythtest-conformance": Deployment(
        Pubkey("8tfDNiaEyrV6Q1U4DEXrEigs9DoDtkugzFbybENEbCDz"), Pubkey("AFmdnt9ng1uVxqCmqwQJDAYC5cKTkw8gJKSM5PnzuF6z")
    ),
}


class FeedAccount(msgspec.Struct, Generic[P], frozen=True):
    """One price account with what it is the price of, as read at ``slot``."""

    feed_id: FeedId
    product_key: Pubkey
    product: ProductAccount
    price: P
    slot: int

    @property
    def symbol(self) -> str:
        return self.product.symbol


class PythnetState(msgspec.Struct, Generic[P], frozen=True):
    """The whole network as one refresh saw it. Accounts of different requests may be of different slots.

    ``errors`` holds, by account, what could not be read or decoded; everything else stands beside it. ``unlisted`` are
    products without a price account, which Hermes does not list either. ``list_error`` is why the list of products ends
    early, at a page that could not be read: what would follow is not known to be gone.
    """

    products: dict[Pubkey, ProductAccount]
    feeds: dict[FeedId, FeedAccount[P]]
    errors: dict[Pubkey, ProbekitError]
    unlisted: tuple[Pubkey, ...] = ()
    list_error: ProbekitError | None = None

    def by_symbol(self, symbol: str) -> FeedAccount[P]:
        """The feed of a symbol. Raises ``NotFound``."""
        for feed in self.feeds.values():
            if feed.symbol == symbol:
                return feed
        raise NotFound(f"no feed {symbol} on this network", subject=symbol)

    def publishers(self) -> dict[Pubkey, tuple[FeedId, ...]]:
        """Who is authorised to quote what: the permissions of every publisher. Needs quotes: not for a state of heads."""
        found: dict[bytes, list[FeedId]] = {}
        for feed in self.feeds.values():
            price = feed.price
            if isinstance(price, PriceAccount):
                keys = tuple(quote.publisher_key for quote in price.quotes)
            elif isinstance(price, PriceColumns):
                keys = price.publishers
            else:
                raise TypeError("a state of heads has no quotes; refresh with quotes")
            for key in keys:
                found.setdefault(key, []).append(feed.feed_id)
        return {Pubkey(key): tuple(feeds) for key, feeds in found.items()}


class PythnetClient:
    """Reads one deployment through ``solana``, a client of its cluster, which stays the caller's to close.

    :meth:`refresh` reads everything. After it :meth:`refresh_since` reads what may have changed, new feeds included, and
    :meth:`refresh_prices` the price accounts alone.
    """

    def __init__(self, solana: SolanaClient, deployment: Deployment = DEPLOYMENTS["pythnet"]) -> None:
        self.solana = solana
        self.deployment = deployment

    async def refresh(self, *, timeout: timedelta = REFRESH_TIMEOUT) -> PythnetState[PriceAccount]:
        """Every product and price account with every quote. What is not read within ``timeout`` has that error.

        Raises what the cluster's client raises, when the list of products cannot be read at all.
        """
        return await self._refresh(decode_price, timeout)

    async def refresh_columns(self, *, timeout: timedelta = REFRESH_TIMEOUT) -> PythnetState[PriceColumns]:
        """The same with quotes in columns: no object for each quote, half the time."""
        return await self._refresh(decode_columns, timeout)

    async def refresh_heads(self, *, timeout: timedelta = REFRESH_TIMEOUT) -> PythnetState[PriceHead]:
        """The same without quotes."""
        return await self._refresh(decode_price_head, timeout)

    async def refresh_since(self, state: PythnetState[P], *, timeout: timedelta = REFRESH_TIMEOUT) -> PythnetState[P]:
        """The network as it is now, out of what is known of it: the list and every price account are read, decoded as they are
        in ``state``, and of products only those that are new or had no price. What is no longer listed is left out.

        A feed that cannot be read keeps its last account and has an error beside it, and so do those of a part of the list
        that cannot be read. Raises ``ValueError`` for a state without feeds.
        """
        some = next(iter(state.feeds.values()), None)
        if some is None:
            raise ValueError("a state without feeds says nothing of how to read them: refresh")
        return await self._refresh(_decoder(some.price), timeout, state)

    async def refresh_prices(
        self, state: PythnetState[P], feed_ids: Iterable[str] | None = None, *, timeout: timedelta = REFRESH_TIMEOUT
    ) -> PythnetState[P]:
        """The price accounts of ``state`` again (of ``feed_ids``, where given), decoded as they are there. Products and the
        list of feeds stay as they are; a feed that cannot be read keeps its last account and has an error beside it. One that
        an endpoint answers for as of an earlier slot keeps its last account.
        """
        wanted = list(state.feeds) if feed_ids is None else [FeedId(feed_id) for feed_id in feed_ids]
        for feed_id in wanted:
            if feed_id not in state.feeds:
                raise NotFound(f"{feed_id} is not in this state", subject=feed_id)
        feeds = dict(state.feeds)
        errors = {key: error for key, error in state.errors.items() if FeedId(bytes(key)) not in feeds}
        keys = [Pubkey(bytes(feed_id)) for feed_id in wanted]
        with self.solana.pool.one_deadline(timeout):
            items = await self._accounts(keys)
        for feed_id, item in zip(wanted, items, strict=True):
            before = feeds[feed_id]
            decode = _decoder(before.price)
            found = self._decoded(item, Pubkey(bytes(feed_id)), decode, errors)
            if found is not None and found[1] >= before.slot:
                price, slot = found
                feeds[feed_id] = FeedAccount(feed_id, before.product_key, before.product, price, slot)
        return PythnetState(state.products, feeds, errors, state.unlisted, state.list_error)

    async def price(self, feed_id: str) -> tuple[PriceAccount, int]:
        """One price account by its feed's id, and the slot it was read at. Raises ``NotFound``, ``DecodeError``."""
        key = Pubkey(bytes(FeedId(feed_id)))
        errors: dict[Pubkey, ProbekitError] = {}
        found = self._decoded(await self.solana.account(key), key, decode_price, errors)
        if found is None:
            error = errors[key]
            raise NotFound(f"no price account {key}", subject=str(feed_id)) if isinstance(error, Missing) else error
        return found

    async def permissions(self) -> PermissionsAccount:
        """Who may administer the program. Raises ``NotFound``, ``DecodeError``."""
        key, _ = find_program_address((b"permissions",), self.deployment.program)
        account = await self.solana.account(key)
        if account is None:
            raise NotFound(f"no permissions account {key} on this cluster", subject=str(key))
        return decode_permissions(self._owned(account).data)

    # -- the walk ------------------------------------------------------------------------------------------------------------

    async def _refresh(
        self, decode: Callable[[bytes], P], timeout: timedelta, before: PythnetState[P] | None = None
    ) -> PythnetState[P]:
        nothing: PythnetState[P] = PythnetState({}, {}, {})
        with self.solana.pool.one_deadline(timeout):
            return await self._walk(decode, before or nothing)

    async def _walk(self, decode: Callable[[bytes], P], before: PythnetState[P]) -> PythnetState[P]:
        errors: dict[Pubkey, ProbekitError] = {}
        listed: list[Pubkey] = await self._product_keys(errors)
        list_error = next(iter(errors.values()), None)
        if errors:
            # A page is missing: what it listed before is listed still, for all that is known.
            listed = list(dict.fromkeys((*listed, *before.products)))
        known = {key: product for key, product in before.products.items() if product.first_price is not None}
        read = [key for key in listed if key not in known]
        for key, item in zip(read, await self._accounts(read), strict=True):
            product = self._decoded(item, key, decode_product, errors)
            if product is not None:
                known[key] = product[0]
        products = {key: known[key] for key in listed if key in known}
        feeds: dict[FeedId, FeedAccount[P]] = {}
        wanted = [(key, product.first_price) for key, product in products.items() if product.first_price is not None]
        # One round reads them all: a product has one price account in practice, and a chain of them is followed.
        for _ in range(_MAX_PRICES_OF_A_PRODUCT):
            wanted = await self._round(wanted, products, decode, feeds, errors)
            if not wanted:
                break
        for _, price_key in wanted:
            text = f"more than {_MAX_PRICES_OF_A_PRODUCT} price accounts of one product"
            errors[price_key] = DecodeError(text, raw=bytes(price_key))
        for feed_id, feed in before.feeds.items():
            if feed_id in feeds:
                if feeds[feed_id].slot < feed.slot:
                    feeds[feed_id] = feed  # The endpoint that answered is behind what was read before.
            elif feed.product_key in products:
                feeds[feed_id] = feed
        unlisted = tuple(key for key, product in products.items() if product.first_price is None)
        return PythnetState(products, feeds, errors, unlisted, list_error)

    async def _round(
        self,
        wanted: Sequence[tuple[Pubkey, Pubkey]],
        products: dict[Pubkey, ProductAccount],
        decode: Callable[[bytes], P],
        feeds: dict[FeedId, FeedAccount[P]],
        errors: dict[Pubkey, ProbekitError],
    ) -> list[tuple[Pubkey, Pubkey]]:
        more: list[tuple[Pubkey, Pubkey]] = []
        items = await self._accounts([price_key for _, price_key in wanted])
        for (product_key, price_key), item in zip(wanted, items, strict=True):
            found = self._decoded(item, price_key, decode, errors)
            if found is None:
                continue
            price, slot = found
            if price.product_key != product_key:
                text = f"price account {price_key} is of product {price.product}, listed under {product_key}"
                errors[price_key] = DecodeError(text, raw=bytes(price.product_key))
                continue
            feed_id = FeedId(bytes(price_key))
            feeds[feed_id] = FeedAccount(feed_id, product_key, products[product_key], price, slot)
            if (next_price := price.next_price) is not None and FeedId(bytes(next_price)) not in feeds:
                more.append((product_key, next_price))
        return more

    async def _product_keys(self, errors: dict[Pubkey, ProbekitError]) -> list[Pubkey]:
        """The list of products, page by page. A page that cannot be read ends it, with its error, unless it is the first."""
        keys: dict[Pubkey, None] = {}
        page: Pubkey | None = self.deployment.mapping
        seen: set[Pubkey] = set()
        while page is not None and page not in seen and len(seen) < _MAX_PAGES:
            seen.add(page)
            try:
                account = await self.solana.account(page)
                if account is None:
                    raise NotFound(f"no mapping account {page} on this cluster", subject=str(page))
                mapping = decode_mapping(self._owned(account).data)
            except ProbekitError as error:
                if not keys:
                    raise
                errors[page] = error
                break
            keys |= dict.fromkeys(mapping.products)
            page = mapping.next_mapping
        else:
            if page is not None:
                text = (
                    f"the list of products leads back to {page}" if page in seen else f"more than {_MAX_PAGES} mapping accounts"
                )
                errors[page] = DecodeError(text, raw=bytes(page))
        return list(keys)

    async def _accounts(self, keys: Sequence[Pubkey]) -> list[Account | ProbekitError | None]:
        import asyncio

        gate = asyncio.Semaphore(_CONCURRENT)

        async def some(part: Sequence[Pubkey]) -> list[Account | ProbekitError | None]:
            async with gate:
                try:
                    return await self.solana.accounts(part)
                except ProbekitError as error:
                    # One request that fails says nothing of the others.
                    return [error] * len(part)

        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(some(keys[start : start + _AT_ONCE])) for start in range(0, len(keys), _AT_ONCE)]
        return [item for part in parts for item in part.result()]

    def _owned(self, account: Account) -> Account:
        if account.owner != self.deployment.program:
            text = f"{account.key} is owned by {account.owner}, not by the oracle program {self.deployment.program}"
            raise DecodeError(text, raw=account.data)
        return account

    def _decoded(
        self,
        item: Account | ProbekitError | None,
        key: Pubkey,
        decode: Callable[[bytes], D],
        errors: dict[Pubkey, ProbekitError],
    ) -> tuple[D, int] | None:
        """The decoded account and its slot; else why not, in ``errors``."""
        if item is None:
            errors[key] = Missing(f"account {key} is named and does not exist", subject=str(key))
            return None
        if isinstance(item, ProbekitError):
            errors[key] = item
            return None
        try:
            return decode(self._owned(item).data), item.slot
        except DecodeError as error:
            errors[key] = error
            return None


def _decoder(price: P) -> Callable[[bytes], P]:
    """How an account of this shape was decoded."""
    decoders: dict[type, Callable[[bytes], object]] = {
        PriceAccount: decode_price,
        PriceColumns: decode_columns,
        PriceHead: decode_price_head,
    }
    return decoders[type(price)]  # type: ignore[return-value]
