"""Does a chart's bar hold the prices of its time?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.benchmarks import BarSample
from probekit.units import Bps, Instant


@dataclass(frozen=True, slots=True)
class BarHolds:
    """Rule over a price and its minute's bar: ``low <= price <= high``, give or take ``tolerance`` of the price.

    Farther out is WARNING ``outside_bar``: bars are made by the service, of prices that it does not name, and prove nothing. A
    bar whose low is above its high, or whose open or close lies outside them, is CRITICAL ``impossible_bar``. No bar of a
    minute that has prices is WARNING ``no_bar``; a service without charts SKIPPED ``no_charts``.
    """

    tolerance: Bps = Bps(Decimal(1))
    name: ClassVar[str] = "bar_holds"

    def __post_init__(self) -> None:
        if self.tolerance.value < 0:
            raise ValueError(f"tolerance must not be negative, but is {self.tolerance}")

    def __call__(self, observation: Observation[BarSample], *, now: Instant) -> Verdict:
        sample = observation.value
        if not sample.second:
            return Verdict(self.name, Status.SKIPPED, "pending", "no minute with a price has passed yet")
        if not sample.served:
            return Verdict(self.name, Status.SKIPPED, "no_charts", f"the service has no charts: {sample.problem}")
        if sample.bar is None:
            words = f"no bar of the minute of {Instant.from_seconds(sample.second)}: {sample.problem}"
            return Verdict(self.name, Status.WARNING, "no_bar", words)
        bar, price = sample.bar, sample.price
        shown = f"open {bar.open}, high {bar.high}, low {bar.low}, close {bar.close} from {bar.time} on"
        if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            return Verdict(self.name, Status.CRITICAL, "impossible_bar", f"no prices make this bar: {shown}")
        outside = max(bar.low - price, price - bar.high, Decimal(0))
        distance = Bps.of(outside, price) if price else Bps(Decimal(0) if not outside else self.tolerance.value + 1)
        at = Instant.from_seconds(sample.second)
        words = f"{price} at {at} is {distance.value:.2f}bps outside, limit {self.tolerance}: {shown}"
        if distance > self.tolerance:
            return Verdict(self.name, Status.WARNING, "outside_bar", words, distance.value, self.tolerance.value, "bps")
        return Verdict(self.name, Status.OK, "held", words, distance.value, self.tolerance.value, "bps")
