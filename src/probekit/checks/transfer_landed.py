"""Does a transfer of our own land on Solana?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.canary import CanaryReport
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class TransferLanded:
    """Rule over the report of a canary: a transfer to itself that was sent to know that one can be landed.

    CRITICAL is what the cluster does to it: ``expired`` when the chain passed its last valid block height without it,
    ``dropped`` when it was in a block that did not stay, ``failed`` in a block, ``would_fail``, ``not_landed`` and
    ``not_finalized`` while it is neither, ``refused``. UNKNOWN is what is ours, so that nothing was learnt: ``underfunded``,
    ``over_cap``, ``daily_cap``, ``no_ledger``, ``no_key``, ``not_proven``, ``provider_refused`` (no key, no grant, a rate
    limit), and ``unresolved`` where it is not known yet what became of it. WARNING ``late`` when it took longer than
    ``max_landing`` to be confirmed, or one of an earlier run landed. OK otherwise; ``simulated`` where nothing is to be sent.
    """

    max_landing: timedelta
    name: ClassVar[str] = "transfer_landed"

    def __post_init__(self) -> None:
        if self.max_landing <= timedelta(0):
            raise ValueError(f"max_landing must be positive, not {self.max_landing}")

    def __call__(self, observation: Observation[CanaryReport], *, now: Instant) -> Verdict:
        seen = observation.value
        elapsed_ns, limit_ns = seen.elapsed_ns or 0, to_ns(self.max_landing)
        measures = _measures(seen)

        def say(status: Status, reason: str) -> Verdict:
            return Verdict(self.name, status, reason, seen.text, measures=measures)

        match seen.outcome:
            case "landed":
                took = "in an earlier run, " if seen.followed else ""
                shown = f"{seen.text}; {took}{format_ns(elapsed_ns)} after it was sent, limit {format_ns(limit_ns)}"
                late = seen.followed or elapsed_ns > limit_ns
                return Verdict(
                    self.name,
                    Status.WARNING if late else Status.OK,
                    "late" if late else "landed",
                    shown,
                    elapsed_ns,
                    limit_ns,
                    "ns",
                    measures=measures,
                )
            case "simulated":
                return say(Status.OK, "simulated")
            case "expired":
                return say(Status.CRITICAL, "expired")
            case "dropped":
                return say(Status.CRITICAL, "dropped")
            case "failed":
                return say(Status.CRITICAL, "failed")
            case "would_fail":
                return say(Status.CRITICAL, "would_fail")
            case "not_landed":
                return say(Status.CRITICAL, "not_landed")
            case "not_finalized":
                return say(Status.CRITICAL, "not_finalized")
            case "refused":
                return say(Status.CRITICAL, "refused")
            case "underfunded":
                return say(Status.UNKNOWN, "underfunded")
            case "over_cap":
                return say(Status.UNKNOWN, "over_cap")
            case "daily_cap":
                return say(Status.UNKNOWN, "daily_cap")
            case "no_ledger":
                return say(Status.UNKNOWN, "no_ledger")
            case "no_key":
                return say(Status.UNKNOWN, "no_key")
            case "not_proven":
                return say(Status.UNKNOWN, "not_proven")
            case "provider_refused":
                return say(Status.UNKNOWN, "provider_refused")
            case "unresolved":
                return say(Status.UNKNOWN, "unresolved")
        raise ValueError(f"no transfer ends {seen.outcome}")


def _measures(seen: CanaryReport) -> tuple[Measure, ...]:
    found: list[Measure] = []
    if seen.paid is not None:
        found.append(Measure("canary.paid", seen.coin.coins(seen.paid), "coins"))
    if seen.spent is not None:
        found.append(Measure("canary.spent", seen.coin.coins(seen.spent), "coins"))
    if seen.slots is not None:
        found.append(Measure("canary.slots", seen.slots, "slots"))
    return tuple(found)
