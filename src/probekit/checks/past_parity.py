"""Does an archive say of a second what was served then?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Observation, Status, Verdict
from probekit.model.benchmarks import PastPair, PastPrice
from probekit.model.spell import began
from probekit.units import Instant, format_ns, to_ns


class ParityMemory(msgspec.Struct, frozen=True):
    """Since when every second asked for was absent, without the time that could not be judged; and since when it could not.
    ``None`` while neither is so.
    """

    absent_since: Instant | None = None
    blind: Instant | None = None


@dataclass(frozen=True, slots=True)
class PastParity:
    """Fold over a feed's pair at one second: Benchmarks must say exactly what Hermes says.

    Of the same root and slot the signed message must be the same bytes: CRITICAL ``different``. Where it is, both services'
    JSON must be the same in id, price, conf, expo, publish_time and EMA: CRITICAL ``parsed_differs``; both sentences name the
    fields with both values. Another update of the same second is WARNING ``other_slot``, since nothing of two updates need be
    equal; one of another second WARNING ``other_second``.

    A second that is not there yet is delay: SKIPPED ``not_yet``, until no second asked for was there for longer than
    ``max_absence``: CRITICAL ``absent``. Without Hermes's price UNKNOWN ``no_hermes``; outside market hours SKIPPED
    ``market_closed``. Time without Hermes's price, or without an answer, is no absence; where it lasts longer than
    ``max_absence``, that begins anew. The state is two instants.
    """

    max_absence: timedelta = timedelta(minutes=10)
    name: ClassVar[str] = "past_parity"

    def __post_init__(self) -> None:
        if self.max_absence <= timedelta(0):
            raise ValueError(f"max_absence must be positive, not {self.max_absence}")

    def init(self) -> ParityMemory:
        return ParityMemory()

    def step(
        self, state: ParityMemory, observation: Observation[PastPair] | None, *, now: Instant
    ) -> tuple[ParityMemory, Verdict]:
        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message)

        if observation is None:
            return state, verdict(Status.SKIPPED, "pending", "nothing new was seen")
        pair, feed = observation.value, observation.feed
        at = Instant.from_seconds(pair.second)
        hours = None if feed is None else feed.hours
        if hours is not None and not (hours.is_open(now) and hours.is_open(at)):
            return ParityMemory(), verdict(Status.SKIPPED, "market_closed", "the market is closed, or was then")
        if pair.hermes is None:
            return self.unseen(state, now=now), verdict(
                Status.UNKNOWN, "no_hermes", f"nothing of Hermes at {at}: {pair.problem or 'no word why'}"
            )
        if pair.benchmarks is None:
            limit_ns = to_ns(self.max_absence)
            since = began(state.absent_since, state.blind, now=now, forget_ns=limit_ns, counts=False)
            lasted_ns = now.since(since)
            words = f"{at} is not there, nor was any second asked for in {format_ns(lasted_ns)}, limit {format_ns(limit_ns)}"
            if lasted_ns > limit_ns:
                return ParityMemory(since), verdict(Status.CRITICAL, "absent", words)
            return ParityMemory(since), verdict(Status.SKIPPED, "not_yet", words)
        return ParityMemory(), self._compared(pair.hermes, pair.benchmarks, at)

    def unseen(self, state: ParityMemory, *, now: Instant) -> ParityMemory:
        """The state after a tick that could not be judged."""
        return ParityMemory(state.absent_since, state.blind or now)

    def _compared(self, hermes: PastPrice, benchmarks: PastPrice, at: Instant) -> Verdict:
        def verdict(status: Status, reason: str, message: str) -> Verdict:
            return Verdict(self.name, status, reason, message)

        ours, theirs = hermes.update.point.publish_time, benchmarks.update.point.publish_time
        where = f"slot {hermes.slot} of the {hermes.root} root, published {Instant.from_seconds(ours)}"
        fields = "; ".join(_differences(hermes, benchmarks))
        if (hermes.root, hermes.slot) == (benchmarks.root, benchmarks.slot):
            if hermes.message != benchmarks.message:
                words = fields or f"Hermes {hermes.message[:160]}, Benchmarks {benchmarks.message[:160]}"
                return verdict(Status.CRITICAL, "different", f"signed messages of {where} differ: {words}")
            if fields:
                return verdict(
                    Status.CRITICAL, "parsed_differs", f"of the same signed bytes ({where}) the JSON differs: {fields}"
                )
            return verdict(Status.OK, "equal", f"message and JSON are equal for {where}")
        if ours != theirs:
            words = f"asked for {at}, Hermes gave {Instant.from_seconds(ours)}, Benchmarks {Instant.from_seconds(theirs)}"
            return verdict(Status.WARNING, "other_second", words)
        words = f"of one second Hermes gave {where}, Benchmarks slot {benchmarks.slot} of the {benchmarks.root} root"
        return verdict(Status.WARNING, "other_slot", words)


def _differences(hermes: PastPrice, benchmarks: PastPrice) -> list[str]:
    """The fields of the JSON that differ, with both values."""
    pairs = []
    for name, one, other in (
        ("id", hermes.update.id, benchmarks.update.id),
        ("price", hermes.update.point.price, benchmarks.update.point.price),
        ("conf", hermes.update.point.conf, benchmarks.update.point.conf),
        ("expo", hermes.update.point.expo, benchmarks.update.point.expo),
        ("publish_time", hermes.update.point.publish_time, benchmarks.update.point.publish_time),
        ("ema_price", hermes.update.ema_point.price, benchmarks.update.ema_point.price),
        ("ema_conf", hermes.update.ema_point.conf, benchmarks.update.ema_point.conf),
    ):
        if one != other:
            pairs.append(f"{name} is {one} at Hermes, {other} at Benchmarks")
    return pairs
