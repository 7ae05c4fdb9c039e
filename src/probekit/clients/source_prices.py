"""The newest prices of a source, for probes that compare others with it: what it gave, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from probekit.clock import Clock, within
from probekit.errors import DeadlineExceeded, ProbekitError
from probekit.model import FeedId
from probekit.model.chain_feed import PublishedPrice
from probekit.units import Instant, format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.hermes import HermesClient

__all__ = ["SourcePrices", "source_prices"]


@dataclass(frozen=True)
class SourcePrices:
    """Prices by feed, and for the others why there is none. ``error`` is that of the source as a whole."""

    prices: Mapping[FeedId, PublishedPrice]
    problems: Mapping[FeedId, str]
    error: ProbekitError | None
    received_at: Instant
    elapsed_ns: int

    def of(self, feed: FeedId) -> tuple[PublishedPrice | None, str]:
        """The feed's price, or ``None`` and why."""
        found = self.prices.get(feed)
        if found is not None:
            return found, ""
        return None, self.problems.get(feed, "it was not asked for")


async def source_prices(client: HermesClient, feeds: Iterable[FeedId], *, clock: Clock, timeout: timedelta) -> SourcePrices:
    """The newest price of each feed. Never raises for the service: what it did wrong is in the result."""
    wanted, began_ns = list(dict.fromkeys(feeds)), clock.monotonic_ns()
    try:
        batch = await within(clock, began_ns + to_ns(timeout), client.latest(wanted))
    except TimeoutError:
        error: ProbekitError = DeadlineExceeded(f"no prices within {format_ns(to_ns(timeout))}")
    except ProbekitError as failed:
        error = failed
    else:
        prices = {feed: PublishedPrice.of(update) for feed, update in batch.updates.items()}
        problems = {FeedId(feed): failed.message for feed, failed in batch.errors.items()}
        return SourcePrices(prices, problems, None, batch.received_at, clock.monotonic_ns() - began_ns)
    problems = dict.fromkeys(wanted, error.message)
    return SourcePrices({}, problems, error, clock.now(), clock.monotonic_ns() - began_ns)
