"""A network's feeds as checks judge them, kept current: everything now and then, prices in between, and what went missing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from probekit.clock import Clock
from probekit.errors import Missing, NotFound, ProbekitError, RpcError, TransportError
from probekit.model import Feed, FeedId, MarketSession, Target
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import OracleFeed, PriceColumns, PriceHead, QuoteSheet
from probekit.units import Instant, to_ns

if TYPE_CHECKING:
    from probekit.clients.pythnet import FeedAccount, PythnetClient, PythnetState

__all__ = ["PythnetBook"]

P = TypeVar("P", PriceColumns, PriceHead)


class PythnetBook(Generic[P]):
    """The feeds of ``references`` (ids or symbols; none: all of them) on one network, and the targets to judge them by.

    :meth:`read` reads the whole network when ``listing_every`` has passed, and the watched price accounts alone in between,
    within ``timeout``. ``shape`` says how accounts are decoded: ``PriceColumns`` for every quote, ``PriceHead`` for
    aggregates.

    ``names`` are publishers' names. ``expected`` are symbols that must be on the list, watched or not.

    Whatever is wrong stays where it is: :attr:`error` when the node did not answer for some or all, :attr:`failures` by
    target for a feed that was known and is gone, an account that does not decode, a product nobody can tell the feed of, a
    reference that is no feed.
    """

    def __init__(
        self,
        client: PythnetClient,
        references: Sequence[str],
        shape: type[P],
        *,
        clock: Clock,
        names: Mapping[str, Pubkey] | None = None,
        expected: Iterable[str] = (),
        listing_every: timedelta = timedelta(minutes=10),
        timeout: timedelta = timedelta(seconds=8),
    ) -> None:
        self._client = client
        self._references = tuple(dict.fromkeys(references))
        self._expected = tuple(expected)
        self._columns = shape is PriceColumns
        self._clock = clock
        self._names = {bytes(key): name for name, key in (names or {}).items()}
        self._every_ns, self._timeout = to_ns(listing_every), timeout
        self._listed_ns: int | None = None
        self._state: PythnetState[P] | None = None
        self._known: dict[FeedId, tuple[Target, Pubkey]] = {}
        """Every feed that was ever seen here, with its product."""
        self._watched: tuple[FeedId, ...] = ()
        self._targets: list[Target] = []
        self._unread: set[FeedId] = set()
        """Whom the node kept back the last time: nothing is known of them, and nothing is wrong with them."""
        self._labels: dict[FeedId, tuple[tuple[bytes, ...], tuple[str, ...]]] = {}
        self._sessions: tuple[Instant, dict[str, MarketSession]] = (Instant(0), {})
        self.error: ProbekitError | None = None
        """Why the node did not answer, or not all of it, the last time; ``None`` when it did."""
        self.elapsed_ns = 0
        """How long the last reading took."""
        self.failures: dict[str, ProbekitError] = {}
        """By target, why it could not be observed the last time."""

    async def read(self, *, behind: str = "") -> list[Target]:
        """Read what is due; the targets afterwards. Never raises for what the network does."""
        now_ns = self._clock.monotonic_ns()
        whole = self._state is None or self._listed_ns is None or now_ns - self._listed_ns >= self._every_ns
        try:
            state = await self._refresh(whole)
            self.elapsed_ns = self._clock.monotonic_ns() - now_ns
        except ProbekitError as error:
            self.error, self.failures, self._unread = error, {}, set(self._watched)
            return self._targets
        self.error = next((error for error in state.errors.values() if _of_the_node(error)), None)
        if whole and (state.feeds or self.error is None):
            self._list(state, behind)
            # What the node kept back is asked for again at the next reading.
            self._listed_ns = now_ns if self.error is None else None
        if state.feeds or self.error is None:
            self._state = state
        self._judge(state)
        return self._targets

    @property
    def accounts(self) -> Iterator[tuple[Target, FeedAccount[P]]]:
        """Every watched feed whose account was read the last time."""
        if self._state is not None:
            for feed_id in self._watched:
                account = self._state.feeds.get(feed_id)
                if account is not None and feed_id not in self.failures and feed_id not in self._unread:
                    yield self._known[feed_id][0], account

    def feed(self, target: Target, account: FeedAccount[P], now: Instant) -> OracleFeed:
        """A feed for the checks of aggregates."""
        feed = target.feed
        assert feed is not None
        return OracleFeed(
            feed_id=target.id,
            symbol=feed.symbol,
            slot=account.slot,
            price=account.price,
            session=self._session(feed, now),
            hours_error=feed.hours_error,
        )

    def sheet(self, target: Target, account: FeedAccount[PriceColumns], now: Instant) -> QuoteSheet:
        """A feed with its quotes, for the checks of publishers."""
        feed, price = target.feed, account.price
        assert feed is not None
        publishers = price.publishers
        known = self._labels.get(feed.id)
        if known is None or known[0] != publishers:
            # The keys are kept with the labels: one set of objects for all that is remembered of them.
            known = publishers, tuple([self._names.get(key) or str(Pubkey(key)) for key in publishers])
            self._labels[feed.id] = known
        return QuoteSheet.of(
            target.id,
            feed.symbol,
            account.slot,
            price,
            publishers=known[0],
            labels=known[1],
            session=self._session(feed, now),
            hours_error=feed.hours_error,
        )

    # -- reading -------------------------------------------------------------------------------------------------------------

    async def _refresh(self, whole: bool) -> PythnetState[P]:
        if not whole and self._state is not None:
            listed = self._state.feeds
            watched = [feed_id for feed_id in self._watched if feed_id in listed]
            return await self._client.refresh_prices(self._state, watched, timeout=self._timeout)
        if self._columns:
            return await self._client.refresh_columns(timeout=self._timeout)  # type: ignore[return-value]
        return await self._client.refresh_heads(timeout=self._timeout)  # type: ignore[return-value]

    def _list(self, state: PythnetState[P], behind: str) -> None:
        """Take over a new listing: whom to watch, and by which target."""
        for feed_id, account in state.feeds.items():
            known = self._known.get(feed_id)
            if known is None or known[0].feed is None or known[0].feed.attributes != account.product.attributes:
                feed = Feed.from_row(feed_id, account.product.attributes)
                self._known[feed_id] = (
                    Target(str(feed_id), "feed", feed.symbol or feed_id.short, feed, behind),
                    account.product_key,
                )
        by_symbol = {target.feed.symbol: feed_id for feed_id, (target, _) in self._known.items() if target.feed is not None}
        watched: dict[FeedId, None] = {}
        targets: dict[str, Target] = {}
        for reference in self._references:
            found = by_symbol.get(reference) or _feed_id(reference)
            if found is not None and found in self._known:
                watched[found] = None
                targets[found] = self._known[found][0]
            else:
                targets[reference] = Target(reference, "feed", reference, None, behind)
        if not self._references:
            watched = dict.fromkeys(self._known)
            targets = {str(feed_id): target for feed_id, (target, _) in self._known.items()}
            products = {product for _, product in self._known.values()}
            for key, error in state.errors.items():
                # A feed that was known is told by its own target; what is left has no feed yet, or is a page of the list.
                if FeedId(bytes(key)) not in self._known and key not in products and not _of_the_node(error):
                    targets[str(key)] = Target(str(key), "account", self._name_of(state, key), None, behind)
        for symbol in self._expected:
            if symbol not in by_symbol:
                targets.setdefault(symbol, Target(symbol, "feed", symbol, None, behind))
        self._watched, self._targets = tuple(watched), list(targets.values())

    def _judge(self, state: PythnetState[P]) -> None:
        """Why each target that cannot be observed cannot."""
        failures: dict[str, ProbekitError] = {}
        self._unread = set()
        for feed_id in self._watched:
            target, product = self._known[feed_id]
            error = state.errors.get(Pubkey(bytes(feed_id))) or state.errors.get(product)
            if error is None and feed_id not in state.feeds:
                gone = Missing(f"{target.name} is not on the network's list any more", subject=target.id)
                error = self.error or state.list_error or gone
            if error is not None and _of_the_node(error):
                self._unread.add(feed_id)
            elif error is not None:
                failures[target.id] = error
        symbols = [target.label for target, _ in self._known.values()]
        for target in self._targets:
            if target.feed is not None:
                continue
            if target.kind == "account":
                found = state.errors.get(Pubkey(target.id))
            elif state.list_error is None:
                near = ", ".join(difflib.get_close_matches(target.id, symbols, n=3)) or "none"
                found = NotFound(f"no feed on this network is {target.id!r}; nearest: {near}", subject=target.id)
            else:
                found = state.list_error
            if found is not None and not _of_the_node(found):
                failures[target.id] = found
        self.failures = failures

    @staticmethod
    def _name_of(state: PythnetState[P], key: Pubkey) -> str:
        """A label for an account that belongs to no known feed."""
        for product in state.products.values():
            if product.first_price == key:
                return f"price account of {product.symbol or 'a product without a symbol'}"
        return "product or page of the list"

    def _session(self, feed: Feed, now: Instant) -> MarketSession | None:
        """The market's state; many feeds share a schedule, and each is worked out once for one ``now``."""
        if feed.hours is None or feed.schedule is None:
            return None
        if self._sessions[0] != now:
            self._sessions = now, {}
        known = self._sessions[1].get(feed.schedule)
        if known is None:
            known = self._sessions[1][feed.schedule] = feed.hours.session(now)
        return known


def _of_the_node(error: ProbekitError) -> bool:
    """Whether the node did not answer, rather than what it answered being wrong."""
    return isinstance(error, TransportError | RpcError)


def _feed_id(reference: str) -> FeedId | None:
    try:
        return FeedId(reference)
    except ValueError:
        return None
