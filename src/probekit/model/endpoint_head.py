"""What one endpoint shows of its chain, beside the best that any of them shows: what probes of RPC nodes observe."""

from __future__ import annotations

import msgspec

from probekit.model.chain_feed import ChainHead, ChainState
from probekit.units import Instant


class FinalPoint(msgspec.Struct, frozen=True, gc=False):
    """How far the chain is settled: ``level`` as the family calls it (``safe``, ``finalized``; ``confirmed`` on Solana).

    ``number`` is ``None`` where the endpoint does not say, and ``problem`` has its words. ``time`` is the block's own; ``None``
    where the family tells none.
    """

    level: str
    number: int | None = None
    time: Instant | None = None
    problem: str = ""


class EndpointHead(ChainState, frozen=True, kw_only=True):
    """One endpoint's head in one tick.

    ``best`` is the newest head that any endpoint of the chain showed in that tick, this one included, and ``best_label`` whose
    it is; ``None`` where no other endpoint answered. ``height`` counts blocks where slots may be skipped. ``sync`` is what the
    node says of itself: empty when it follows, ``None`` where it does not say.
    """

    best: ChainHead | None = None
    best_label: str = ""
    height: int | None = None
    soft: FinalPoint | None = None
    """Settled for most purposes: safe, or confirmed."""
    final: FinalPoint | None = None
    sync: str | None = None

    @property
    def counted(self) -> str:
        """What heads are counted in: blocks, or slots where some of them bring none."""
        return "blocks" if self.height is None else "slots"


def best_head(heads: dict[str, ChainHead], *, now: Instant, ahead_ns: int) -> str | None:
    """Whose head is the newest of those that are not from the future by more than ``ahead_ns``: its label, or ``None``."""
    credible = {label: head for label, head in heads.items() if -now.since(head.time) <= ahead_ns}
    return max(credible, key=lambda label: (credible[label].number, credible[label].time.ns), default=None)
