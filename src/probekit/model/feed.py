"""Feeds: their 32-byte id, and what the service says of them."""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from probekit.errors import DecodeError
from probekit.model.market_hours import MarketHours

_HEX64: Final = re.compile(r"[0-9a-f]{64}")


class FeedId(str):
    """A feed's 32-byte id as 64 lower-case hex digits without ``0x``: a ``str`` that is known to be one.

    Accepts any case and an optional ``0x``. Raises ``ValueError`` otherwise. It equals and hashes like the plain
    string, so a mapping keyed by what Hermes sends is looked up with it at no cost.
    """

    __slots__ = ()

    def __new__(cls, value: str | bytes) -> FeedId:
        if isinstance(value, FeedId):
            return value
        if isinstance(value, bytes):
            if len(value) != 32:
                raise ValueError(f"a feed id has 32 bytes, not {len(value)}")
            return str.__new__(cls, value.hex())
        text = value.strip().lower().removeprefix("0x")
        if _HEX64.fullmatch(text) is None:
            raise ValueError(f"{value[:80]!r} is not a feed id: 64 hex digits, with or without 0x")
        return str.__new__(cls, text)

    def __bytes__(self) -> bytes:
        return bytes.fromhex(self)

    @property
    def short(self) -> str:
        """First and last digits, for narrow columns: ``e62df6c8..a415b43``."""
        return f"{self[:8]}..{self[-7:]}"

    def __repr__(self) -> str:
        return f"FeedId({str.__str__(self)!r})"


class Feed(msgspec.Struct, frozen=True):
    """A feed as the symbol table describes it.

    ``asset_class`` is lower case (``crypto``, ``fx``, ``equity``, ``metal``, ``rates``, ...; empty where the service
    gives none). ``hours`` is ``None`` where the schedule is absent (Pyth: always open) and the schedule's text stands
    in ``schedule``; ``hours_error`` holds why a schedule did not parse. ``attributes`` is the open map as served.
    ``described`` is false while the symbol table has not been read yet, so that market hours are simply not known.
    """

    id: FeedId
    symbol: str
    asset_class: str = ""
    schedule: str | None = None
    hours: MarketHours | None = None
    hours_error: str | None = None
    attributes: dict[str, str] = {}
    described: bool = True

    @classmethod
    def from_row(cls, feed_id: str, attributes: dict[str, str]) -> Self:
        """From a row of a symbol table. Raises ``ValueError`` for an id that is none."""
        schedule = attributes.get("schedule")
        hours, problem = None, None
        if schedule is not None:
            try:
                hours = MarketHours.parse(schedule)
            except DecodeError as error:
                problem = error.message
        asset_class = attributes.get("asset_type", "").strip().lower().replace(" ", "_")
        return cls(FeedId(feed_id), attributes.get("symbol", ""), asset_class, schedule, hours, problem, attributes)
