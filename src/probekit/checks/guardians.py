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
    ``max_age``), ``early_heartbeat`` (ahead of this clock by more than its error and ``max_age``: how long ago it was, nobody
    can tell), ``chain_behind`` or ``chain_ahead`` (of Wormhole's chain number ``chain``: no height, or more than ``max_blocks``
    from the height that so many of the set have reached that no quorum is without one of them: what fewer say moves it
    nowhere), or ``other_version`` (than ``version``, where one is wanted). The whole is CRITICAL ``too_few_guardians``
    when fewer than a quorum are well (of any version), else WARNING ``guardians_unwell`` with any such part. Versions are
    told in any case.

    Where nothing bounds this clock's error, or it is above a third of ``max_age``, heartbeats have no age: UNKNOWN ``clock``,
    unless fewer than a quorum are well by the rest. So it is where more heartbeats lie ahead of it than guardians may fail.
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
        report, error_ns, limit_ns = observation.value, observation.clock_error_ns, to_ns(self.max_age)
        beats = {one.guardian: one for one in report.heartbeats if isinstance(one, Heartbeat)}
        unreadable = sum(isinstance(one, DecodeError) for one in report.heartbeats)
        members = report.set.guardians
        quorum = TrustRoot.CORE.quorum(len(members))
        spare = len(members) - quorum
        common = self._common([beats[one] for one in members if one in beats], spare)
        bounded_ns = None if error_ns is None or error_ns * 3 > limit_ns else error_ns
        parts = [self._one(address, beats.get(address), common, now, bounded_ns) for address in members]
        wrong = [part for part in parts if part.status is not Status.OK]
        unwell = [part for part in wrong if part.reason != "other_version"]
        margin = len(parts) - len(unwell) - quorum
        early = sum(part.reason == "early_heartbeat" for part in unwell)
        versions = Counter(beats[one].version for one in members if one in beats).most_common(_TOLD)
        told = "; ".join(f"{part.scope} {part.message}" for part in (unwell or wrong)[:_TOLD])
        more = f" and {len(unwell or wrong) - _TOLD} more" if len(unwell or wrong) > _TOLD else ""
        words = f"{len(parts) - len(unwell)} of {len(parts)} guardians are well, quorum {quorum}"
        words += f": {told}{more}" if told else ""
        words += "; versions " + ", ".join(f"{count} of {version or 'none'}" for version, count in versions) if versions else ""
        words += f"; {unreadable} heartbeats do not read" if unreadable else ""
        if early > spare:
            status, reason = Status.UNKNOWN, "clock"
            words += f"; {early} heartbeats lie ahead of this clock, which is off by {format_ns(error_ns or 0)} at most"
        elif margin < 0:
            status, reason = Status.CRITICAL, "too_few_guardians"
        elif bounded_ns is None:
            status, reason = Status.UNKNOWN, "clock"
            off = "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            words += f"; {off}, and a heartbeat may be {format_ns(limit_ns)} old"
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
            # How many more may fail is not known while nobody can tell who has.
            measures=() if status is Status.UNKNOWN else (Measure("guardians.margin", margin, "count"),),
            tally=Tally(ok=len(parts) - len(wrong), warning=len(wrong)),
            parts=tuple(wrong),
        )

    def _one(self, address: bytes, beat: Heartbeat | None, common: int, now: Instant, error_ns: int | None) -> Verdict:
        """One guardian. ``error_ns`` is ``None`` where this clock cannot tell an age."""
        if beat is None:
            return Verdict(
                self.name, Status.WARNING, "no_heartbeat", "has sent no heartbeat that was heard here", scope=address.hex()
            )
        scope = f"{beat.node_name[:_NAME]} {address.hex()[:8]}".strip()
        age_ns, limit_ns = now.since(beat.sent_at), to_ns(self.max_age)
        if error_ns is not None and age_ns > limit_ns:
            words = f"sent its last heartbeat {format_ns(age_ns)} ago, limit {format_ns(limit_ns)}"
            return Verdict(self.name, Status.WARNING, "late_heartbeat", words, age_ns, limit_ns, "ns", scope=scope)
        if error_ns is not None and age_ns < -(limit_ns + error_ns):
            words = f"sent its last heartbeat {format_ns(-age_ns)} ahead of this clock"
            return Verdict(self.name, Status.WARNING, "early_heartbeat", words, age_ns, limit_ns, "ns", scope=scope)
        if self.chain is not None:
            height = self._height(beat)
            if not height or common - height > self.max_blocks:
                lacks = f"sees no chain {self.chain}"
                words = f"is {common - height} blocks behind on chain {self.chain}" if height else lacks
                return Verdict(self.name, Status.WARNING, "chain_behind", words, scope=scope)
            if height - common > self.max_blocks:
                words = f"is {height - common} blocks ahead of the others on chain {self.chain}"
                return Verdict(self.name, Status.WARNING, "chain_ahead", words, scope=scope)
        if self.version is not None and beat.version != self.version:
            words = f"runs {beat.version or 'no version'}, not {self.version}"
            return Verdict(self.name, Status.WARNING, "other_version", words, scope=scope)
        return Verdict(self.name, Status.OK, "well", "is well", scope=scope)

    def _common(self, beats: list[Heartbeat], spare: int) -> int:
        """The height that more guardians than the ``spare`` ones have reached; the least that any says, where fewer say one."""
        heights = sorted((height for one in beats if (height := self._height(one))), reverse=True)
        return heights[min(spare, len(heights) - 1)] if heights else 0

    def _height(self, beat: Heartbeat) -> int | None:
        found = None if self.chain is None else beat.network(self.chain)
        return None if found is None else found.height
