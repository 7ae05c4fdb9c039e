"""What checks share whose targets have parts: one verdict for all publishers of a feed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from probekit.model import Measure, Status, Tally, Verdict
from probekit.model.pubkey import Pubkey

if TYPE_CHECKING:
    from probekit.model.kubernetes import Listing

_NAMED: Final = 5
"""Parts told in the sentence of the whole; all of them are in ``parts``."""
MOST_OBJECTS: Final = 100
"""Objects of a cluster that one verdict keeps as parts: of thousands that fail alike, the first hundred say it."""


def gathered(
    ok: Verdict,
    idle: Verdict,
    judged: Iterable[Verdict],
    *,
    total: int,
    skipped: int = 0,
    measures: tuple[Measure, ...] = (),
    most_parts: int | None = None,
) -> Verdict:
    """One verdict for ``total`` parts, of which ``judged`` need a word of their own and ``skipped`` more could not be judged.

    It is ``ok`` where nothing is wrong, ``idle`` where no part could be judged, else the worst part's status and reason. With
    ``most_parts`` the tally counts all, and that many are kept, the worst first.
    """
    parts = tuple(judged)
    counts = dict.fromkeys(Status, 0)
    for part in parts:
        counts[part.status] += 1
    skipped += counts[Status.SKIPPED]
    told = tuple(part for part in parts if part.status not in (Status.OK, Status.SKIPPED))
    tally = Tally(
        ok=total - skipped - len(told),
        warning=counts[Status.WARNING],
        critical=counts[Status.CRITICAL],
        unknown=counts[Status.UNKNOWN],
        skipped=skipped,
    )
    if not told:
        return msgspec.structs.replace(idle if skipped == total else ok, tally=tally, measures=measures)
    if most_parts is not None:
        told = tuple(sorted(told, key=lambda part: -part.status.severity))
    worst = max(told, key=lambda part: part.status.severity)
    shown = "; ".join(part.message for part in told[:_NAMED])
    more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return msgspec.structs.replace(
        ok,
        status=worst.status,
        reason=worst.reason,
        message=f"{len(told)} of {total}: {shown}{more}",
        value=worst.value,
        limit=worst.limit,
        unit=worst.unit,
        tally=tally,
        parts=told[:most_parts],
        measures=measures,
    )


def of_listing(ok: Verdict, idle: Verdict, judged: Iterable[Verdict], listing: Listing) -> Verdict:
    """:func:`gathered` for the objects of a cluster's listing; what is ignored is skipped."""
    return gathered(ok, idle, judged, total=listing.total, skipped=listing.ignored, most_parts=MOST_OBJECTS)


def nothing_judged(idle: Verdict, total: int) -> Verdict:
    """``idle`` for all parts of a target alike."""
    if idle.status is Status.UNKNOWN:
        return msgspec.structs.replace(idle, tally=Tally(unknown=total))
    return msgspec.structs.replace(idle, tally=Tally(skipped=total))


@lru_cache(maxsize=4096)
def scope_of(publisher: bytes) -> str:
    """The scope of a publisher's verdict: its key in base58."""
    return str(Pubkey(publisher))


def require(*rules: tuple[bool, str]) -> None:
    """Raises ``ValueError`` with the sentence of every rule that does not hold."""
    broken = [sentence for holds, sentence in rules if not holds]
    if broken:
        raise ValueError("; ".join(broken))
