"""When what is so now began, for folds that say so only of what has lasted: time that nobody could judge is no proof of it."""

from __future__ import annotations

from probekit.units import Instant


def began(since: Instant | None, blind: Instant | None, *, now: Instant, forget_ns: int, counts: bool = True) -> Instant:
    """When a spell began that is seen now: it is known ``since``, and could not be judged from ``blind`` on.

    Time that could not be judged for longer than ``forget_ns`` begins it anew. Less of it belongs to the spell, or, where it
    does not count, moves its beginning on.
    """
    away_ns = 0 if blind is None else now.since(blind)
    if since is None or away_ns > forget_ns:
        return now
    return since if counts else Instant(since.ns + away_ns)
