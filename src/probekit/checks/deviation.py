"""Is a price near its reference?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from probekit.model import Comparison, Measure, Observation, PriceUpdate, Status, Verdict
from probekit.units import Bps, Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class Deviation:
    """Rule over a comparison: ``|subject - reference| / |reference|`` in bps against ``max_deviation``.

    ``subject`` and ``reference`` name two sources of the comparison. A zero reference has no deviation: UNKNOWN
    ``no_reference``, like a reference that is missing or was published more than ``max_reference_age`` ago; a missing
    subject is UNKNOWN ``no_subject`` (whoever watches its reachability says more). Outside market hours the verdict is
    SKIPPED. The distance is also measured in the subject's confidence intervals: beyond ``max_confs`` of them, where given,
    WARNING ``outside_confidence``.
    """

    max_deviation: Bps
    subject: str
    reference: str
    warn_deviation: Bps | None = None
    max_reference_age: timedelta | None = None
    max_confs: Decimal | None = None
    name: ClassVar[str] = "deviation"

    def __post_init__(self) -> None:
        if self.max_deviation.value <= 0:
            raise ValueError(f"max_deviation must be positive, not {self.max_deviation}")
        if self.warn_deviation is not None and not 0 < self.warn_deviation.value < self.max_deviation.value:
            raise ValueError(f"warn_deviation must lie between 0 and max_deviation, not {self.warn_deviation}")
        if self.max_reference_age is not None and self.max_reference_age <= timedelta(0):
            raise ValueError(f"max_reference_age must be positive, not {self.max_reference_age}")
        if self.max_confs is not None and not (self.max_confs.is_finite() and self.max_confs > 0):
            raise ValueError(f"max_confs must be positive, not {self.max_confs}")
        if self.subject == self.reference:
            raise ValueError("a price has no deviation from itself: subject and reference are the same source")

    def __call__(self, observation: Observation[Comparison[PriceUpdate]], *, now: Instant) -> Verdict:
        limit = self.max_deviation.value
        values = observation.value.values
        feed = observation.feed
        if feed is not None and feed.hours is not None and not feed.hours.is_open(now):
            return Verdict(self.name, Status.SKIPPED, "market_closed", "the market is closed", None, limit, "bps")
        subject, reference = values.get(self.subject), values.get(self.reference)
        if subject is None or reference is None:
            absent = self.subject if subject is None else self.reference
            reason = "no_subject" if subject is None else "no_reference"
            failure = observation.value.failures.get(absent)
            because = f": {failure.message}" if failure is not None else ""
            return Verdict(self.name, Status.UNKNOWN, reason, f"{absent} gave no price{because}", None, limit, "bps")
        price, against = subject.price, reference.price
        if against.mantissa == 0:
            return Verdict(
                self.name, Status.UNKNOWN, "no_reference", f"the price of {self.reference} is zero", None, limit, "bps"
            )
        age_ns = now.since(reference.publish_time)
        if self.max_reference_age is not None and age_ns > to_ns(self.max_reference_age):
            shown = (
                f"the price of {self.reference} is {format_ns(age_ns)} old, limit {format_ns(to_ns(self.max_reference_age))}"
            )
            return Verdict(self.name, Status.UNKNOWN, "no_reference", shown, None, limit, "bps")
        try:
            deviation = price.deviation(against)
        except ValueError as error:
            # Signed bytes may carry any exponent: no two prices of one thing lie that far apart.
            return Verdict(self.name, Status.CRITICAL, "deviating", str(error), None, limit, "bps")
        distance = abs(price.decimal - against.decimal)
        conf = subject.conf.decimal
        confs = distance / conf if conf else None
        in_conf = "" if confs is None else f", {confs:.1f} confidence intervals"
        shown = f"{price} against {against} of {self.reference}: {deviation.value:.2f}bps{in_conf}"
        measures: tuple[Measure, ...] = (Measure("feed.deviation", deviation.value, "bps"),)
        if confs is not None:
            measures = (*measures, Measure("feed.deviation.conf", confs, "conf"))

        def verdict(status: Status, reason: str, bound: Bps) -> Verdict:
            word = "warning from" if status is Status.WARNING else "limit"
            return Verdict(
                self.name, status, reason, f"{shown}, {word} {bound}", deviation.value, limit, "bps", measures=measures
            )

        if deviation > self.max_deviation:
            return verdict(Status.CRITICAL, "deviating", self.max_deviation)
        if self.warn_deviation is not None and deviation > self.warn_deviation:
            return verdict(Status.WARNING, "drifting", self.warn_deviation)
        if self.max_confs is not None and (confs > self.max_confs if confs is not None else distance > 0):
            words = f"{shown}; warning from {self.max_confs} confidence intervals"
            return Verdict(
                self.name, Status.WARNING, "outside_confidence", words, confs, self.max_confs, "conf", measures=measures
            )
        return verdict(Status.OK, "near", self.max_deviation)
