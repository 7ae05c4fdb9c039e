"""Are enough of Wormhole's guardians alive, by their heartbeats?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from probekit.errors import DecodeError
from probekit.model import Measure, Observation, Status, Tally, TrustRoot, Verdict
from probekit.model.wormhole import GuardianReport, Heartbeat
from probekit.units import Instant, format_ns, to_ns

_TOLD: Final = 5
_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class GuardianHeartbeats:
    """Rule over a :class:`~probekit.model.wormhole.GuardianReport`: each guardian of the set in force by itself.

    A part is WARNING ``no_heartbeat`` (this node has heard none, or none that reads), ``late_heartbeat`` (older than
    ``max_age``), ``chain_behind`` (of Wormhole's chain number ``chain``: no height, or more than ``max_blocks`` behind the
    best of all), or ``other_version`` (than ``version``, where one is wanted). The whole is CRITICAL ``too_few_guardians``
    when fewer than a quorum are well (of any version), else WARNING ``guardians_unwell`` with any such part. Versions are
    told in any case.
    """

    max_age: timedelta = timedelta(seconds=60)
    version: str | None = None
    chain: int | None = None
    max_blocks: int = 1_000
    name: ClassVar[str] = "guardian_heartbeats"

    def __post_init__(self) -> None:
        if self.max_age <= timedelta(0):
            raise ValueError(f"max_age must be positive, not {self.max_age}")
        if self.max_blocks < 1:
            raise ValueError(f"max_blocks must be positive, not {self.max_blocks}")

    def __call__(self, observation: Observation[GuardianReport], *, now: Instant) -> Verdict:
        report = observation.value
        beats = {one.guardian: one for one in report.heartbeats if isinstance(one, Heartbeat)}
        unreadable = sum(isinstance(one, DecodeError) for one in report.heartbeats)
        heights = [self._height(one) for one in beats.values()]
        best = max((height for height in heights if height is not None), default=0)
        parts = [self._one(address, beats.get(address), best, now) for address in report.set.guardians]
        wrong = [part for part in parts if part.status is not Status.OK]
        unwell = [part for part in wrong if part.reason != "other_version"]
        quorum = TrustRoot.CORE.quorum(len(parts))
        margin = len(parts) - len(unwell) - quorum
        versions = Counter(beats[one].version for one in report.set.guardians if one in beats).most_common(_TOLD)
        told = "; ".join(f"{part.scope} {part.message}" for part in (unwell or wrong)[:_TOLD])
        more = f" and {len(unwell or wrong) - _TOLD} more" if len(unwell or wrong) > _TOLD else ""
        words = f"{len(parts) - len(unwell)} of {len(parts)} guardians are well, quorum {quorum}"
        words += f": {told}{more}" if told else ""
        words += "; versions " + ", ".join(f"{count} of {version or 'none'}" for version, count in versions) if versions else ""
        words += f"; {unreadable} heartbeats do not read" if unreadable else ""
        if margin < 0:
            status, reason = Status.CRITICAL, "too_few_guardians"
        elif wrong:
            status, reason = Status.WARNING, "guardians_unwell"
        else:
            status, reason = Status.OK, "guardians_well"
        return Verdict(
            self.name,
            status,
            reason,
            words,
            margin,
            0,
            "count",
            measures=(Measure("guardians.margin", margin, "count"),),
            tally=Tally(ok=len(parts) - len(wrong), warning=len(wrong)),
            parts=tuple(wrong),
        )

    def _one(self, address: bytes, beat: Heartbeat | None, best: int, now: Instant) -> Verdict:
        if beat is None:
            return Verdict(
                self.name, Status.WARNING, "no_heartbeat", "has sent no heartbeat that was heard here", scope=address.hex()
            )
        scope = f"{beat.node_name[:_NAME]} {address.hex()[:8]}".strip()
        age_ns, limit_ns = now.since(beat.sent_at), to_ns(self.max_age)
        if age_ns > limit_ns:
            words = f"sent its last heartbeat {format_ns(age_ns)} ago, limit {format_ns(limit_ns)}"
            return Verdict(self.name, Status.WARNING, "late_heartbeat", words, age_ns, limit_ns, "ns", scope=scope)
        if self.chain is not None:
            height = self._height(beat)
            if not height or best - height > self.max_blocks:
                lacks = f"sees no chain {self.chain}"
                words = f"is {best - height} blocks behind on chain {self.chain}" if height else lacks
                return Verdict(self.name, Status.WARNING, "chain_behind", words, scope=scope)
        if self.version is not None and beat.version != self.version:
            words = f"runs {beat.version or 'no version'}, not {self.version}"
            return Verdict(self.name, Status.WARNING, "other_version", words, scope=scope)
        return Verdict(self.name, Status.OK, "well", "is well", scope=scope)

    def _height(self, beat: Heartbeat) -> int | None:
        found = None if self.chain is None else beat.network(self.chain)
        return None if found is None else found.height
