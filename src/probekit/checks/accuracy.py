"""Is a price what the market pays?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from probekit.errors import NoAgreement
from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.reference_price import MarketView, MedianPrice, MedianRule, median
from probekit.model.spell import began
from probekit.units import Bps, Instant, format_ns, to_ns

_WORDS: Final = 120
"""Characters of what an exchange said, in a sentence with several of them."""


class AccuracyMemory(msgspec.Struct, frozen=True):
    """Since when the price has been too far off, and since when it could not be judged; ``None`` while neither is so."""

    since: Instant | None = None
    blind: Instant | None = None


@dataclass(frozen=True, slots=True)
class FeedAccuracy:
    """Fold over a feed among exchanges: ``|price - median| / median`` in bps against ``max_deviation``.

    The median is :func:`~probekit.model.reference_price.median`'s: prices that are too old, in another currency or outliers are
    left out of it and named, which is no alert. Fewer than ``min_sources`` left, for whatever reason, is UNKNOWN ``no_quorum``;
    sources that differ by more than ``max_spread`` (``max_deviation`` unless given) are UNKNOWN ``sources_disagree``: neither
    says anything of the feed. Without a market anywhere it is UNKNOWN ``no_market``, and where this clock's error is unbounded
    or above a third of ``max_source_age``, so that no source's age can be told, UNKNOWN ``clock``.

    Farther off is WARNING ``unconfirmed`` until that has lasted for ``holds_for``, then CRITICAL ``deviating``: an exchange's
    ticker and a price are never of the same moment. What could not be judged, or was not seen, for longer than that begins
    anew. The distance is also told in the feed's own confidence intervals: more than ``max_confs`` of them, where given, is
    WARNING ``outside_confidence``. Outside market hours SKIPPED ``market_closed``; a distance within ``open_grace`` of an
    opening SKIPPED ``market_opening``. Negative and zero prices are as far off as they are. The state is two instants.

    Raises ``ValueError`` for limits that make no sense.
    """

    max_deviation: Bps
    warn_deviation: Bps | None = None
    max_confs: Decimal | None = None
    holds_for: timedelta = timedelta(seconds=30)
    min_sources: int = 3
    max_source_age: timedelta = timedelta(seconds=60)
    max_source_ages: tuple[tuple[str, timedelta], ...] = ()
    max_spread: Bps | None = None
    open_grace: timedelta = timedelta(seconds=60)
    name: ClassVar[str] = "feed_accuracy"

    def __post_init__(self) -> None:
        if self.max_deviation.value <= 0:
            raise ValueError(f"max_deviation must be positive, not {self.max_deviation}")
        if self.warn_deviation is not None and not 0 < self.warn_deviation.value < self.max_deviation.value:
            raise ValueError(f"warn_deviation must lie between 0 and max_deviation, not {self.warn_deviation}")
        if self.max_confs is not None and not (self.max_confs.is_finite() and self.max_confs > 0):
            raise ValueError(f"max_confs must be positive, not {self.max_confs}")
        if self.max_spread is not None and self.max_spread.value <= 0:
            raise ValueError(f"max_spread must be positive, not {self.max_spread}")
        if min(self.holds_for, self.open_grace) < timedelta(0):
            raise ValueError("holds_for and open_grace must not be negative")
        _ = self.rule

    @property
    def rule(self) -> MedianRule:
        """What the median takes."""
        return MedianRule(min_sources=self.min_sources, max_age=self.max_source_age, max_ages=dict(self.max_source_ages))

    def init(self) -> AccuracyMemory:
        return AccuracyMemory()

    def step(
        self, state: AccuracyMemory, observation: Observation[MarketView] | None, *, now: Instant
    ) -> tuple[AccuracyMemory, Verdict]:
        limit, seen_no_more = self.max_deviation.value, self.unseen(state, now=now)

        def unknown(reason: str, message: str, measures: tuple[Measure, ...] = ()) -> Verdict:
            return Verdict(self.name, Status.UNKNOWN, reason, message, None, limit, "bps", measures=measures)

        def skipped(reason: str, message: str) -> Verdict:
            return Verdict(self.name, Status.SKIPPED, reason, message, None, limit, "bps")

        if observation is None:
            return state, skipped("pending", "nothing new was seen")
        view, feed, opened_for_ns = observation.value, observation.feed, None
        if feed is not None and feed.hours_error is not None:
            return seen_no_more, unknown("schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
        if feed is not None and feed.hours is not None:
            session = feed.hours.session(now)
            if not session.open:
                until = f" until {session.until}" if session.until is not None else ""
                return AccuracyMemory(), skipped("market_closed", f"the market is closed{until}")
            opened_for_ns = None if session.since is None else now.since(session.since)
        if not view.references and not view.failures:
            return AccuracyMemory(), unknown("no_market", "none of the exchanges has a market that stands for it")
        error_ns, age_ns = observation.clock_error_ns, to_ns(self.max_source_age)
        if error_ns is None or error_ns * 3 > age_ns:
            off = "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            return seen_no_more, unknown("clock", f"{off}: no telling how old a source is, limit {format_ns(age_ns)}")
        try:
            middle = median(view.references, now=now, rule=self.rule)
        except NoAgreement as few:
            told = "; ".join(f"{source}: {words[:_WORDS]}" for source, words in (*few.answers, *_failures(view)))
            return seen_no_more, unknown(
                "no_quorum", f"{few.message}: {told}", (Measure("feed.reference.sources", 0, "count"),)
            )
        spread_limit = self.max_spread or self.max_deviation
        measures: tuple[Measure, ...] = (
            Measure("feed.reference.sources", middle.count, "count"),
            Measure("feed.reference.spread", middle.spread.value, "bps"),
        )
        if middle.spread > spread_limit:
            prices = ", ".join(f"{one.source} {one.price}" for one in middle.sources)
            words = f"the exchanges are {middle.spread.value:.2f}bps apart, limit {spread_limit}: {prices}"
            return seen_no_more, unknown("sources_disagree", words, measures)

        price, conf = view.update.price, view.update.conf.decimal
        distance = abs(price.decimal - middle.price)
        confs = distance / conf if conf else None
        deviation = Bps.of(distance, middle.price)
        measures += (Measure("feed.deviation", deviation.value, "bps"),)
        if confs is not None:
            measures += (Measure("feed.deviation.conf", confs, "conf"),)
        shown = self._shown(view, middle, deviation, confs, now)

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message, deviation.value, limit, "bps", measures=measures)

        if deviation <= self.max_deviation:
            if self.warn_deviation is not None and deviation > self.warn_deviation:
                return AccuracyMemory(), verdict(Status.WARNING, "drifting", f"{shown}, warning from {self.warn_deviation}")
            if self.max_confs is not None and (confs > self.max_confs if confs is not None else distance > 0):
                words = f"{shown}; warning from {self.max_confs} confidence intervals"
                return AccuracyMemory(), verdict(Status.WARNING, "outside_confidence", words)
            return AccuracyMemory(), verdict(Status.OK, "accurate", f"{shown}, limit {self.max_deviation}")
        if opened_for_ns is not None and opened_for_ns <= to_ns(self.open_grace):
            words = f"{shown}; the market opened {format_ns(opened_for_ns)} ago, grace {format_ns(to_ns(self.open_grace))}"
            return AccuracyMemory(), skipped("market_opening", words)
        held_ns = to_ns(self.holds_for)
        since = began(state.since, state.blind, now=now, forget_ns=held_ns)
        lasted_ns = now.since(since)
        words = f"{shown}, limit {self.max_deviation}, for {format_ns(lasted_ns)} of {format_ns(held_ns)}"
        if lasted_ns >= held_ns:
            return AccuracyMemory(since), verdict(Status.CRITICAL, "deviating", words)
        return AccuracyMemory(since), verdict(Status.WARNING, "unconfirmed", words)

    def unseen(self, state: AccuracyMemory, *, now: Instant) -> AccuracyMemory:
        """The state after a tick that could not be judged."""
        return AccuracyMemory(state.since, state.blind or now)

    @staticmethod
    def _shown(view: MarketView, middle: MedianPrice, deviation: Bps, confs: Decimal | None, now: Instant) -> str:
        in_conf = "" if confs is None else f", {confs:.1f} confidence intervals"
        age_ns = now.since(view.update.publish_time)
        shown = (
            f"{view.update.price}, {format_ns(age_ns)} old, against {middle.price} of {middle.count} exchanges: "
            f"{deviation.value:.2f}bps{in_conf}"
        )
        out = [f"{one.price.source} is left out ({one.rejection}: {one.text[:_WORDS]})" for one in middle.dissenters]
        out += [f"{source} gave none ({words[:_WORDS]})" for source, words in _failures(view)]
        return "; ".join([shown, *out])


def _failures(view: MarketView) -> list[tuple[str, str]]:
    return [(source, error.message) for source, error in sorted(view.failures.items())]
