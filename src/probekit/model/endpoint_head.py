"""What one endpoint shows of its chain, beside the best that any of them shows: what probes of RPC nodes observe."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from probekit.model.chain_feed import ChainHead, ChainState
from probekit.units import NS_PER_S, Instant


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

    ``best`` is the newest credible head that any endpoint of the chain showed in that tick, this one included, and
    ``best_label`` whose it is; ``None`` where no other endpoint answered, or no head is credible. ``others`` counts the other
    answers. ``height`` counts blocks where slots may be skipped. ``sync`` is what the node says of itself: empty when it
    follows, ``None`` where it does not say.
    """

    best: ChainHead | None = None
    best_label: str = ""
    others: int = 0
    height: int | None = None
    soft: FinalPoint | None = None
    """Settled for most purposes: safe, or confirmed."""
    final: FinalPoint | None = None
    sync: str | None = None

    @property
    def counted(self) -> str:
        """What heads are counted in: blocks, or slots where some of them bring none."""
        return "blocks" if self.height is None else "slots"


_FASTEST_PER_S = 100
"""No chain that is watched makes more blocks (slots) a second; several times Arbitrum's four, or Solana's two and a half."""
_SLACK_S = 3600
"""How far apart two heads' own times may be beside what they say: Solana's clock drifts by minutes, blocks' stamps by less."""


def beyond(head: ChainHead, other: ChainHead) -> bool:
    """Whether no chain makes so many blocks as lie between ``other`` and ``head``, by their own times: one of them is wild."""
    apart_s = max(head.time.since(other.time), 0) // NS_PER_S
    return head.number - other.number > _FASTEST_PER_S * (apart_s + _SLACK_S)


def best_head(heads: Mapping[str, ChainHead], *, now: Instant, ahead_ns: int) -> str | None:
    """Whose head is the newest that can be believed: its label, or ``None``.

    Not one from the future by more than ``ahead_ns``, nor one that is ``beyond`` most of the others, of which there must be two
    at least: of two alone, of which one is ``beyond`` the other, nobody can say which is wild, and neither is believed.
    """
    timely = {label: head for label, head in heads.items() if -now.since(head.time) <= ahead_ns}
    if len(timely) == 2:
        one, two = timely.values()
        if beyond(one, two) or beyond(two, one):
            return None
    credible = {
        label: head
        for label, head in timely.items()
        if len(timely) < 3 or 2 * sum(beyond(head, other) for other in timely.values()) <= len(timely)
    }
    return max(credible, key=lambda label: (credible[label].number, credible[label].time.ns), default=None)
