"""From what an operator writes (ids or symbols) to described feeds, kept current beside the measuring."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from probekit.clock import Clock, within
from probekit.errors import NotFound, ProbekitError
from probekit.model import Failure, Feed, FeedId, Target
from probekit.units import NS_PER_S, to_ns

if TYPE_CHECKING:
    from probekit.clients.hermes import HermesClient

_PATIENCE_NS: Final = 2 * NS_PER_S
"""A symbol table that hangs must not hold up the observation it describes."""
_AGAIN: Final = timedelta(seconds=30)


class FeedBook:
    """Resolves feed references and describes them (symbol, asset class, market hours) from Hermes's symbol table.

    The table is cached, the last good one kept. Until one was read, ids are undescribed feeds (``Feed.described`` false) and
    symbols are unresolved: :attr:`unresolved` says why for each.
    """

    def __init__(self, client: HermesClient, references: Sequence[str], *, clock: Clock) -> None:
        self._client = client
        self._references = tuple(references)
        self._clock = clock
        self._by_symbol: dict[str, Feed] = {}
        self._by_id: dict[str, Feed] = {}
        self._not_there: dict[str, NotFound] = {}
        self._retry_at_ns = 0
        self.error: ProbekitError | None = None
        """Why the last reading of the table failed; ``None`` when it did not."""
        self.unresolved: dict[str, ProbekitError] = {}

    async def targets(self, *, behind: str = "") -> list[Target]:
        """One target per reference, in order; an unresolved symbol's id is the symbol itself."""
        await self._refresh()
        self.unresolved = {}
        targets: dict[str, Target] = {}
        for reference in self._references:
            feed = self._feed(reference)
            if feed is None:
                targets[reference] = Target(reference, "feed", reference, None, behind)
            else:
                targets[feed.id] = Target(str(feed.id), "feed", feed.symbol or feed.id.short, feed, behind)
        return list(targets.values())

    async def feeds(self) -> dict[str, Feed | None]:
        """What is known of each reference, in order; ``None`` for one in :attr:`unresolved`."""
        await self._refresh()
        self.unresolved = {}
        return {reference: self._feed(reference) for reference in self._references}

    def refusals(self, feeds: Collection[str], *, source: str) -> list[Failure]:
        """A failure for each reference that is no feed. Raises why, where there are no ``feeds`` left to ask for."""
        if not feeds:
            raise self.error or NotFound("none of the feeds is known")
        return [Failure(error, source, self._clock.now(), reference) for reference, error in self.unresolved.items()]

    def _feed(self, reference: str) -> Feed | None:
        known = self._by_symbol.get(reference)
        if known is not None:
            return known
        try:
            feed_id = FeedId(reference)
        except ValueError:
            self.unresolved[reference] = self.error or self._not_found(reference)
            return None
        return self._by_id.get(feed_id) or Feed(feed_id, "", described=bool(self._by_id))

    def _not_found(self, reference: str) -> NotFound:
        # Once per table: among thousands of symbols the nearest takes a sixth of a second, and this is asked every tick.
        known = self._not_there.get(reference)
        if known is None:
            near = difflib.get_close_matches(reference, self._by_symbol, n=3)
            sentence = f"no feed has the symbol {reference!r}; nearest: {', '.join(near) or 'none'}"
            known = self._not_there[reference] = NotFound(sentence, subject=reference)
        return known

    async def _refresh(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._retry_at_ns:
            return
        try:
            feeds = await within(self._clock, now_ns + _PATIENCE_NS, self._client._feed_table())
        except (ProbekitError, TimeoutError) as error:
            self.error = (
                error if isinstance(error, ProbekitError) else ProbekitError("the symbol table did not come within 2 s")
            )
            self._retry_at_ns = self._clock.monotonic_ns() + to_ns(_AGAIN)
            return
        self.error = None
        if self._client._symbols is not self._by_symbol:
            self._by_symbol = self._client._symbols
            self._by_id = {feed.id: feed for feed in feeds}
            self._not_there = {}
