"""The query of a price route, read as Hermes reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from probekit.codecs.hermes import Encoding
from probekit.model import FeedId

_REFUSED: Final = "Failed to deserialize query string: "
_ASSET_TYPES: Final = (
    "crypto",
    "fx",
    "equity",
    "metal",
    "rates",
    "crypto_redemption_rate",
    "commodities",
    "crypto_index",
    "crypto_nav",
    "eco",
    "kalshi",
)


class BadQuery(Exception):
    """The text of a 400."""


@dataclass(frozen=True, slots=True)
class PriceQuery:
    """What a price route was asked for. ``ids`` in order, each once."""

    ids: tuple[FeedId, ...]
    encoding: Encoding
    parsed: bool
    ignore_invalid: bool
    allow_unordered: bool
    benchmarks_only: bool


def pairs(query: str) -> list[tuple[str, str]]:
    """Names and values, percent-decoded; brackets may be encoded or plain."""
    return parse_qsl(query, keep_blank_values=True)


def parse(query: list[tuple[str, str]]) -> PriceQuery:
    """Raises :class:`BadQuery` with the words of the refusal."""
    values = dict(query)
    raw = [value for name, value in query if name == "ids[]"]
    if not raw:
        raise BadQuery(f"{_REFUSED}missing field `ids`")
    try:
        ids = tuple(dict.fromkeys(FeedId(value) for value in raw))
    except ValueError as error:
        raise BadQuery(f"{_REFUSED}{error}") from None
    return PriceQuery(
        ids,
        encoding(values),
        flag(values, "parsed", default=True),
        flag(values, "ignore_invalid_price_ids"),
        flag(values, "allow_unordered"),
        flag(values, "benchmarks_only"),
    )


def encoding(values: Mapping[str, str]) -> Encoding:
    """``hex`` unless asked otherwise. Raises :class:`BadQuery`."""
    match values.get("encoding", "hex"):
        case "hex":
            return "hex"
        case "base64":
            return "base64"
        case other:
            raise BadQuery(f"{_REFUSED}unknown variant `{other[:80]}`, expected `hex` or `base64`")


def flag(values: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """A boolean, spelt ``true`` or ``false`` and nothing else. Raises :class:`BadQuery`."""
    match values.get(name):
        case None:
            return default
        case "true" | "false" as text:
            return text == "true"
        case _:
            raise BadQuery(f"{_REFUSED}provided string was not `true` or `false`")


def asset_type(values: Mapping[str, str]) -> str | None:
    """The asset type to filter by, if any. Raises :class:`BadQuery`."""
    wanted = values.get("asset_type")
    if wanted is not None and wanted.lower() not in _ASSET_TYPES:
        expected = ", ".join(f"`{one}`" for one in _ASSET_TYPES)
        raise BadQuery(f"{_REFUSED}unknown variant `{wanted[:80]}`, expected one of {expected}")
    return None if wanted is None else wanted.lower()
