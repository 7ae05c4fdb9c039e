"""Are enough endpoints of a chain fit to be asked?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import ChainState
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class EndpointQuorum:
    """Rule over a chain: how many of its endpoints its pool calls alive, against ``need``.

    Fewer are WARNING ``few_endpoints``, with the reason of each: the chain was read all the same. An endpoint that lags behind
    the best, is out of sync, limited, unreachable or of another chain is not alive.
    """

    need: int = 1
    name: ClassVar[str] = "endpoint_quorum"

    def __post_init__(self) -> None:
        if self.need < 1:
            raise ValueError(f"need must be at least 1, not {self.need}")

    def __call__(self, observation: Observation[ChainState], *, now: Instant) -> Verdict:
        endpoints = observation.value.endpoints
        alive = sum(one.state == "alive" for one in endpoints)
        shown = f"{alive} of {len(endpoints)} endpoints are alive, {self.need} needed"
        measures = (Measure("chain.endpoints_alive", alive, "count"),)
        if alive < self.need:
            told = "; ".join(f"{one.label}: {one.state}, {one.reason}" for one in endpoints if one.state != "alive")
            status, reason, message = Status.WARNING, "few_endpoints", f"{shown}. {told}"
        else:
            status, reason, message = Status.OK, "enough", shown
        return Verdict(self.name, status, reason, message, alive, self.need, "count", measures=measures)
