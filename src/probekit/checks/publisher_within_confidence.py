"""Is every publisher's price within a few confidence intervals of the aggregate?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from probekit.checks.parts import gathered, nothing_judged, require, scope_of
from probekit.model import Observation, Price, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class PublisherWithinConfidence:
    """Rule over a sheet of quotes: ``|price - aggregate|`` in confidence intervals of the aggregate.

    A publisher at ``max_confs`` or beyond is WARNING ``outside_confidence``. Judged are quotes with a confidence that trade,
    within the feed's latency limit of an aggregate that trades and has a confidence; others are SKIPPED, as is a feed not yet
    in production. ``per_publisher`` has thresholds of their own. Raises ``ValueError`` for a ``max_confs`` that is not
    positive.
    """

    max_confs: Decimal = Decimal(20)
    per_publisher: tuple[tuple[Pubkey, PublisherWithinConfidence], ...] = ()
    name: ClassVar[str] = "publisher_within_confidence"

    def __post_init__(self) -> None:
        require((self.max_confs.is_finite() and self.max_confs > 0, f"max_confs must be positive, not {self.max_confs}"))

    def __call__(self, observation: Observation[QuoteSheet], *, now: Instant) -> Verdict:
        sheet = observation.value
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), len(sheet))
        aggregate, conf = sheet.price.agg_price, sheet.price.agg_conf
        prices, confs = sheet.prices, sheet.confs
        comparable = [place for place in sheet.comparable if confs[place]] if conf else []
        limit = self._limit(conf)
        far = [place for place in comparable if abs(prices[place] - aggregate) >= limit]
        own = dict(self.per_publisher)
        if own:
            far = [place for place in comparable if place in far or sheet.publishers[place] in own]
        judged = []
        for place in far:
            part = own.get(sheet.publishers[place], self)._part(sheet, place)  # type: ignore[call-overload]
            if part is not None:
                judged.append(part)
        return gathered(
            Verdict(self.name, Status.OK, "within_confidence", f"{len(comparable)} quotes nearer than {self.max_confs} conf"),
            Verdict(self.name, Status.SKIPPED, "not_trading", "no quote can be held against the aggregate"),
            judged,
            total=len(sheet),
            skipped=len(sheet) - len(comparable),
        )

    def _limit(self, conf: int) -> int:
        """The least distance that is too far, as a mantissa."""
        limit, parts = self.max_confs.as_integer_ratio()
        return -(-limit * conf // parts)

    def _part(self, sheet: QuoteSheet, place: int) -> Verdict | None:
        price, aggregate, conf, expo = sheet.prices[place], sheet.price.agg_price, sheet.price.agg_conf, sheet.price.expo
        distance = abs(price - aggregate)
        if distance < self._limit(conf):
            return None
        confs = Decimal(distance) / conf
        words = (
            f"{sheet.labels[place]} quotes {Price(price, expo)}, {confs:.1f} confidence intervals from "
            f"{Price(aggregate, expo)} +- {Price(conf, expo)}, limit {self.max_confs}"
        )
        scope = scope_of(sheet.publishers[place])
        return Verdict(self.name, Status.WARNING, "outside_confidence", words, confs, self.max_confs, "conf", scope)
