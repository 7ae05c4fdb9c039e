"""Is every publisher's price near the aggregate, its own confidence allowed for?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from probekit.checks.parts import gathered, nothing_judged, require, scope_of
from probekit.model import Observation, Price, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Bps, Instant


@dataclass(frozen=True, slots=True)
class PublisherPrice:
    """Rule over a sheet of quotes: ``max(|price - aggregate| - conf, 0)`` in bps of ``|aggregate|``, conf the publisher's own.

    A publisher beyond ``max_distance`` is CRITICAL ``off_price``. Negative and zero prices are prices. An aggregate of zero
    has no bps: a publisher whose own confidence covers it is OK, another UNKNOWN ``zero_aggregate``
    (``publisher_within_confidence`` has the distance in confidence intervals). Judged are quotes that trade, within the
    feed's latency limit of an aggregate that trades; others are SKIPPED, as is a feed not yet in production.
    ``per_publisher`` has thresholds of their own.

    Raises ``ValueError`` for a ``max_distance`` that is not positive.
    """

    max_distance: Bps = Bps(Decimal(500))
    per_publisher: tuple[tuple[Pubkey, PublisherPrice], ...] = ()
    name: ClassVar[str] = "publisher_price"

    def __post_init__(self) -> None:
        require((self.max_distance.value > 0, f"max_distance must be positive, not {self.max_distance}"))

    def __call__(self, observation: Observation[QuoteSheet], *, now: Instant) -> Verdict:
        sheet = observation.value
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), len(sheet))
        comparable, aggregate = sheet.comparable, sheet.price.agg_price
        prices, confs, room = sheet.prices, sheet.confs, self._room(aggregate)
        far = [place for place in comparable if abs(prices[place] - aggregate) - confs[place] > room]
        own = dict(self.per_publisher)
        if own:
            far = [place for place in comparable if place in far or sheet.publishers[place] in own]
        judged = []
        for place in far:
            part = own.get(sheet.publishers[place], self)._part(sheet, place)  # type: ignore[call-overload]
            if part is not None:
                judged.append(part)
        return gathered(
            Verdict(self.name, Status.OK, "near_aggregate", f"{len(comparable)} quotes within {self.max_distance}"),
            Verdict(self.name, Status.SKIPPED, "not_trading", "no quote can be held against the aggregate"),
            judged,
            total=len(sheet),
            skipped=len(sheet) - len(comparable),
        )

    def _room(self, aggregate: int) -> int:
        """The largest distance allowed, as a mantissa: whole numbers above it are exactly those beyond the limit."""
        limit, parts = self.max_distance.value.as_integer_ratio()
        return limit * abs(aggregate) // (10_000 * parts)

    def _part(self, sheet: QuoteSheet, place: int) -> Verdict | None:
        price, aggregate, expo = sheet.prices[place], sheet.price.agg_price, sheet.price.expo
        beyond = abs(price - aggregate) - sheet.confs[place]
        if beyond <= self._room(aggregate):
            return None
        scope, limit = scope_of(sheet.publishers[place]), self.max_distance.value
        shown = f"{sheet.labels[place]} quotes {Price(price, expo)} +- {Price(sheet.confs[place], expo)}"
        if aggregate == 0:
            words = f"{shown} against an aggregate of zero"
            return Verdict(self.name, Status.UNKNOWN, "zero_aggregate", words, None, limit, "bps", scope)
        distance = Bps.of(beyond, aggregate).value
        words = f"{shown} against {Price(aggregate, expo)}: {distance:.2f}bps beyond that, limit {self.max_distance}"
        return Verdict(self.name, Status.CRITICAL, "off_price", words, distance, limit, "bps", scope)
