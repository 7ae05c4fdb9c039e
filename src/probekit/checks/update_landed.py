"""Does a price update of our own land on a chain?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.canary import CanaryReport
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class UpdateLanded:
    """Rule over the report of a canary: a price update that was sent to know that one can be landed.

    CRITICAL is what the chain or the contract does to it: ``would_revert`` and ``reverted``, ``not_included`` while it waits,
    ``dropped``, ``not_readable``, ``refused``. UNKNOWN is what is ours, so that nothing was learnt: ``underfunded``,
    ``fee_too_low``, ``over_cap``, ``daily_cap``, ``replaced`` and ``wallet_shared`` (the key is used elsewhere),
    ``node_behind``, ``no_ledger``, ``no_key``, ``not_proven``, ``provider_refused`` (no key, no grant, a rate limit),
    ``not_fetched``, ``source_not_newer`` (Hermes stands still), and ``unresolved`` where it is not known yet what became of it.
    WARNING ``above_cap`` when it landed and took more than ``cap_per_transaction``, as a rollup's data fee may make it,
    ``late`` when it took longer than ``max_inclusion``, or one of an earlier run landed. OK otherwise; ``simulated`` where
    nothing is to be sent.
    """

    max_inclusion: timedelta
    name: ClassVar[str] = "update_landed"

    def __post_init__(self) -> None:
        if self.max_inclusion <= timedelta(0):
            raise ValueError(f"max_inclusion must be positive, not {self.max_inclusion}")

    def __call__(self, observation: Observation[CanaryReport], *, now: Instant) -> Verdict:
        seen = observation.value
        elapsed_ns, limit_ns = seen.elapsed_ns, to_ns(self.max_inclusion)
        measures = _measures(seen)

        def say(status: Status, reason: str) -> Verdict:
            return Verdict(self.name, status, reason, seen.text, measures=measures)

        match seen.outcome:
            case "landed" | "superseded":
                if elapsed_ns is None:
                    return say(Status.OK, "landed")
                took = "in an earlier run, " if seen.followed else ""
                shown = f"{seen.text}; {took}{format_ns(elapsed_ns)} after it was sent, limit {format_ns(limit_ns)}"
                cap = seen.cap_per_transaction
                if seen.paid is not None and cap is not None and seen.paid > cap:
                    more = f"{seen.text}; that is above the cap, {seen.coin.text(cap)}"
                    return Verdict(self.name, Status.WARNING, "above_cap", more, measures=measures)
                if elapsed_ns > limit_ns or seen.followed:
                    return Verdict(self.name, Status.WARNING, "late", shown, elapsed_ns, limit_ns, "ns", measures=measures)
                if seen.outcome == "superseded":
                    return Verdict(self.name, Status.OK, "superseded", shown, elapsed_ns, limit_ns, "ns", measures=measures)
                return Verdict(self.name, Status.OK, "landed", shown, elapsed_ns, limit_ns, "ns", measures=measures)
            case "simulated":
                return say(Status.OK, "simulated")
            case "would_revert":
                return say(Status.CRITICAL, "would_revert")
            case "reverted":
                return say(Status.CRITICAL, "reverted")
            case "not_included":
                return say(Status.CRITICAL, "not_included")
            case "dropped":
                return say(Status.CRITICAL, "dropped")
            case "not_readable":
                return say(Status.CRITICAL, "not_readable")
            case "refused":
                return say(Status.CRITICAL, "refused")
            case "underfunded":
                return say(Status.UNKNOWN, "underfunded")
            case "fee_too_low":
                return say(Status.UNKNOWN, "fee_too_low")
            case "over_cap":
                return say(Status.UNKNOWN, "over_cap")
            case "daily_cap":
                return say(Status.UNKNOWN, "daily_cap")
            case "replaced":
                return say(Status.UNKNOWN, "replaced")
            case "wallet_shared":
                return say(Status.UNKNOWN, "wallet_shared")
            case "node_behind":
                return say(Status.UNKNOWN, "node_behind")
            case "no_ledger":
                return say(Status.UNKNOWN, "no_ledger")
            case "no_key":
                return say(Status.UNKNOWN, "no_key")
            case "not_proven":
                return say(Status.UNKNOWN, "not_proven")
            case "not_fetched":
                return say(Status.UNKNOWN, "not_fetched")
            case "source_not_newer":
                return say(Status.UNKNOWN, "source_not_newer")
            case "provider_refused":
                return say(Status.UNKNOWN, "provider_refused")
            case "unresolved":
                return say(Status.UNKNOWN, "unresolved")
        raise ValueError(f"no update ends {seen.outcome}")


def _measures(seen: CanaryReport) -> tuple[Measure, ...]:
    found: list[Measure] = []
    if seen.paid is not None:
        found.append(Measure("canary.paid", seen.coin.coins(seen.paid), "coins"))
    if seen.spent is not None:
        found.append(Measure("canary.spent", seen.coin.coins(seen.spent), "coins"))
    return tuple(found)
