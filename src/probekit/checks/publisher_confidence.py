"""Is every publisher's confidence neither absent nor too wide to count?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from probekit.checks.parts import gathered, nothing_judged, require, scope_of
from probekit.model import Observation, Price, Status, Verdict
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import QuoteSheet, TradingStatus
from probekit.units import Bps, Instant


@dataclass(frozen=True, slots=True)
class PublisherConfidence:
    """Rule over a sheet of quotes: ``conf / |price|`` of each publisher.

    At ``min_ratio`` or below it is WARNING ``narrow_confidence`` (with 0 bps: no confidence at all, and the program does not
    count such a quote), above ``max_ratio`` WARNING ``wide_confidence``. A quote that the program ignores for a confidence
    above a third of its price is WARNING ``ignored_quote``. Judged are quotes within the feed's latency limit of the
    aggregate's slot that trade or are ignored; others are SKIPPED, as is a feed not yet in production. ``per_publisher`` has
    thresholds of their own.

    Raises ``ValueError`` for a negative ``min_ratio`` or a ``max_ratio`` that is not above it.
    """

    min_ratio: Bps = Bps(Decimal(0))
    max_ratio: Bps | None = None
    per_publisher: tuple[tuple[Pubkey, PublisherConfidence], ...] = ()
    name: ClassVar[str] = "publisher_confidence"

    def __post_init__(self) -> None:
        require(
            (self.min_ratio.value >= 0, f"min_ratio must not be negative, not {self.min_ratio}"),
            (
                self.max_ratio is None or self.max_ratio > self.min_ratio,
                f"max_ratio must be above min_ratio, not {self.max_ratio} against {self.min_ratio}",
            ),
        )

    def __call__(self, observation: Observation[QuoteSheet], *, now: Instant) -> Verdict:
        sheet = observation.value
        if not sheet.in_production:
            asks = f"announced: asks for {sheet.price.min_publishers} publishers"
            return nothing_judged(Verdict(self.name, Status.SKIPPED, "not_in_production", asks), len(sheet))
        fresh = sheet.fresh
        ignored = [
            place for place, code in enumerate(sheet.status_codes) if code == TradingStatus.IGNORED and sheet.near(place)
        ]
        own = dict(self.per_publisher)
        if not own and self.max_ratio is None and not self.min_ratio.value:
            confs = sheet.confs
            suspects = [place for place in fresh if not confs[place]]
        else:
            suspects = list(fresh)
        judged = []
        for place in (*suspects, *ignored):
            part = own.get(sheet.publishers[place], self)._part(sheet, place)  # type: ignore[call-overload]
            if part is not None:
                judged.append(part)
        return gathered(
            Verdict(self.name, Status.OK, "confident", f"{len(fresh)} quotes with a confidence that counts"),
            Verdict(self.name, Status.SKIPPED, "not_trading", "no quote trades"),
            judged,
            total=len(sheet),
            skipped=len(sheet) - len(fresh) - len(ignored),
        )

    def _part(self, sheet: QuoteSheet, place: int) -> Verdict | None:
        price, conf, expo = abs(sheet.prices[place]), sheet.confs[place], sheet.price.expo
        shown = f"{sheet.labels[place]} quotes {Price(sheet.prices[place], expo)} +- {Price(conf, expo)}"
        scope, ratio = scope_of(sheet.publishers[place]), Bps.of(conf, price).value if price else None
        if sheet.status_codes[place] == TradingStatus.IGNORED:
            words = f"{shown}: wider than a third of the price, so the program leaves it out"
            return Verdict(self.name, Status.WARNING, "ignored_quote", words, ratio, None, "bps", scope)
        if not _above(conf, price, self.min_ratio):
            words = f"{shown}: at most {self.min_ratio}"
            return Verdict(self.name, Status.WARNING, "narrow_confidence", words, ratio, self.min_ratio.value, "bps", scope)
        if self.max_ratio is not None and _above(conf, price, self.max_ratio):
            words = f"{shown}: more than {self.max_ratio}"
            return Verdict(self.name, Status.WARNING, "wide_confidence", words, ratio, self.max_ratio.value, "bps", scope)
        return None


def _above(conf: int, price: int, limit: Bps) -> bool:
    number, parts = limit.value.as_integer_ratio()
    return conf * 10_000 * parts > number * price
