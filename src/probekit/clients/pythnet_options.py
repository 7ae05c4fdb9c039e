"""What probes of Pythnet's accounts ask an operator, and the book that they read by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from probekit.checks import LatencySample
from probekit.clients.pythnet import DEPLOYMENTS, Deployment
from probekit.clock import Clock
from probekit.model import Failure, Observation
from probekit.model.options import Options, doc
from probekit.model.pubkey import Pubkey

if TYPE_CHECKING:
    from probekit.clients.pythnet_book import PythnetBook

__all__ = ["PythnetOptions", "reading"]


class PythnetOptions(Options, frozen=True, kw_only=True):
    """The network, its nodes and which of its feeds. Derive from it for the limits of a probe."""

    endpoints: Annotated[tuple[str, ...], doc("URLs of nodes of the cluster")]
    network: Annotated[Literal["pythnet", "pythtest-crosschain", "pythtest-conformance"], doc("whose accounts")] = "pythnet"
    program: Annotated[Pubkey | None, doc("another deployment: its program")] = None
    mapping: Annotated[Pubkey | None, doc("another deployment: the first page of its list of products")] = None
    genesis_hash: Annotated[str | None, doc("what the nodes must serve; without it the first answer binds the others")] = None
    feeds: Annotated[tuple[str, ...], doc("feed ids or symbols; none: every feed of the network")] = ()
    listing_every: Annotated[timedelta, doc("how often products and the list of feeds are read again")] = timedelta(minutes=10)
    timeout: Annotated[timedelta, doc("how long one reading may take")] = timedelta(seconds=8)
    max_latency: Annotated[timedelta, doc("p95 of the readings' time, above which the nodes are too slow")] = timedelta(
        seconds=5
    )

    @property
    def deployment(self) -> Deployment:
        """The network's own, or the one that is given."""
        if self.program is not None and self.mapping is not None:
            return Deployment(self.program, self.mapping)
        return DEPLOYMENTS[self.network]

    def problems(self, by_asset_class: Mapping[str, msgspec.Struct]) -> list[str]:
        """What cannot be meant of these options and of the names of asset classes."""
        found = []
        if not self.endpoints:
            found.append("endpoints must name at least one node")
        if (self.program is None) != (self.mapping is None):
            found.append("program and mapping go together")
        found += [
            f"by_asset_class.{name}: classes are written in lower case, {name.lower().replace(' ', '_')}"
            for name in by_asset_class
            if name != name.lower().replace(" ", "_")
        ]
        return found


def reading(book: PythnetBook[Any], endpoint: str, *, clock: Clock) -> Iterator[Observation[LatencySample] | Failure]:
    """What the last reading took of the nodes, whose target is ``endpoint``, and why targets could not be read."""
    now = clock.now()
    if book.error is not None:
        # Feeds it kept back are unknown behind it; those that it gave are judged.
        yield Failure(book.error, endpoint, now, endpoint)
    else:
        yield Observation(LatencySample(book.elapsed_ns, "reading"), endpoint, now, endpoint)
    for target_id, error in book.failures.items():
        yield Failure(error, endpoint, now, target_id)
