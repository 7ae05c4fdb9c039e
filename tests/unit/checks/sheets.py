"""Small makers of feeds and sheets of quotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from probekit.codecs.pythnet import encode_quote
from probekit.model import MarketSession, Observation, Status, Verdict
from probekit.model.pythnet import PriceColumns, PriceInfo, Quote, QuoteSheet
from probekit.units import Instant
from tests.unit.checks.builders import ID, NOW

SLOT = 200_000_000


class Said(NamedTuple):
    """One publisher's quote."""

    price: int = 1_000_000
    conf: int = 100
    status: int = 1
    behind: int = 1
    """Slots behind the sheet's; ``-1``: it never quoted."""


def publisher(number: int) -> bytes:
    return bytes([number + 1]) * 32


def sheet(
    *said: Said,
    price: int = 1_000_000,
    conf: int = 100,
    status: int = 1,
    behind: int = 0,
    last_behind: int = 0,
    slot: int = SLOT,
    keys: Sequence[int] | None = None,
    session: MarketSession | None = None,
    hours_error: str | None = None,
    **fields: Any,
) -> QuoteSheet:
    """A sheet; ``behind`` is how far the aggregate is behind ``slot``, ``keys`` who said what."""
    numbers = range(len(said)) if keys is None else keys
    quotes = [
        Quote.of(publisher(number), PriceInfo(one.price, one.conf, one.status, 0, 0 if one.behind < 0 else slot - one.behind))
        for number, one in zip(numbers, said, strict=True)
    ]
    made: dict[str, Any] = {
        "expo": -2,
        "num_components": len(said),
        "num_quoters": len(said),
        "min_publishers": 3,
        "last_slot": slot - last_behind,
        "agg_price": price,
        "agg_conf": conf,
        "agg_status_code": status,
        "agg_pub_slot": slot - behind,
        "table": b"".join(encode_quote(quote) for quote in quotes),
    }
    account = PriceColumns(**made | fields)
    labels = tuple(f"p{number}" for number in numbers)
    return QuoteSheet.of(ID, "Test.FEED/USD", slot, account, labels=labels, session=session, hours_error=hours_error)


def seen(value: QuoteSheet, now: Instant = NOW) -> Observation[QuoteSheet]:
    return Observation(value, "test", now, ID)


def judged(check: Any, value: QuoteSheet, now: Instant = NOW) -> Verdict:
    """A rule's verdict; asked twice, and equal."""
    observation = seen(value, now)
    verdict = check(observation, now=now)
    assert check(observation, now=now) == verdict
    assert isinstance(verdict, Verdict)
    tally = verdict.tally
    if tally is not None:
        assert tally.total == len(value)
        assert not {Status.OK, Status.SKIPPED} & {part.status for part in verdict.parts}
        # Each that is not OK is told, unless all of them are unknown for one reason.
        assert len(verdict.parts) == tally.warning + tally.critical + tally.unknown or tally.unknown == tally.total
    return verdict


def parts(verdict: Verdict) -> dict[str, tuple[Status, str]]:
    """Label -> status and reason of each part that is not OK."""
    return {part.message.split()[0]: (part.status, part.reason) for part in verdict.parts}
