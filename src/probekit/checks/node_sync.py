"""Does a node say of itself that it follows its chain?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.endpoint_head import EndpointHead
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class NodeSync:
    """Rule over an endpoint: its own word (``eth_syncing``, ``getHealth``).

    Not following is WARNING ``not_in_sync``, with its words: how far its head is from others' is measured, not taken from it.
    SKIPPED ``not_told`` where it does not say.
    """

    name: ClassVar[str] = "node_sync"

    def __call__(self, observation: Observation[EndpointHead], *, now: Instant) -> Verdict:
        told = observation.value.sync
        if told is None:
            return Verdict(self.name, Status.SKIPPED, "not_told", "the endpoint does not say whether it follows")
        if told:
            return Verdict(self.name, Status.WARNING, "not_in_sync", f"the node says that it does not follow: {told}")
        return Verdict(self.name, Status.OK, "in_sync", "the node says that it follows")
