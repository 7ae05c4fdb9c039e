"""A 500-feed Hermes answer to what ``HermesClient.latest`` returns, every price, conf, publish_time and slot read once.

Both sides end with the same content: a mapping by id of (price mantissa, price exponent, conf, publish time in ns, slot).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel
from pyth_hermes.models import PriceUpdateResponse

from benchmarks.row import Row
from probekit.clients.batch import Batch
from probekit.codecs.hermes import decode_prices
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.model import FeedId
from probekit.units import NS_PER_S, Instant

FEEDS = 500
Content = dict[str, tuple[int, int, int, int, int | None]]


@lru_cache(maxsize=1)
def answer() -> tuple[bytes, tuple[FeedId, ...]]:
    """The body of a real answer of the sandbox, and its ids."""
    network = SandboxNetwork(feeds=FEEDS)
    ids = tuple(market.feed.id for market in network.markets)
    query = "&".join(f"ids[]={one}" for one in ids)
    return Sandbox(network).handle("GET", f"/v2/updates/price/latest?{query}", {}).body, ids


def ours() -> Content:
    """Decoded into the public value, wrapped as the client does."""
    body, ids = answer()
    batch = Batch(ids, (decode_prices(body),), {}, received_at=Instant(0))
    # Read in the same form as the peers are.
    return {
        one: ((point := update.point).price, point.expo, point.conf, point.publish_time * NS_PER_S, update.slot)
        for one, update in batch.updates.items()
    }


class PydanticPoint(BaseModel):
    price: int
    conf: int
    expo: int
    publish_time: int


class PydanticMetadata(BaseModel):
    slot: int | None = None
    proof_available_time: int | None = None
    prev_publish_time: int | None = None


class PydanticUpdate(BaseModel):
    id: str
    price: PydanticPoint
    ema_price: PydanticPoint
    metadata: PydanticMetadata


class PydanticBinary(BaseModel):
    encoding: str
    data: list[str]


class PydanticAnswer(BaseModel):
    binary: PydanticBinary
    parsed: list[PydanticUpdate]


def pydantic_model() -> Content:
    """A pydantic model of the same JSON."""
    decoded = PydanticAnswer.model_validate_json(answer()[0])
    return {
        one.id: (
            one.price.price,
            one.price.expo,
            one.price.conf,
            one.price.publish_time * NS_PER_S,
            one.metadata.slot,
        )
        for one in decoded.parsed
    }


@dataclass(frozen=True)
class PlainPoint:
    price: int
    conf: int
    expo: int
    publish_time: int


@dataclass(frozen=True)
class PlainMetadata:
    slot: int | None
    proof_available_time: int | None
    prev_publish_time: int | None


@dataclass(frozen=True)
class PlainUpdate:
    id: str
    price: PlainPoint
    ema_price: PlainPoint
    metadata: PlainMetadata


def _plain_point(raw: dict[str, object]) -> PlainPoint:
    return PlainPoint(int(str(raw["price"])), int(str(raw["conf"])), int(str(raw["expo"])), int(str(raw["publish_time"])))


def plain_dataclasses() -> Content:
    """``json`` and frozen dataclasses."""
    decoded = json.loads(answer()[0])
    updates = [
        PlainUpdate(row["id"], _plain_point(row["price"]), _plain_point(row["ema_price"]), PlainMetadata(**row["metadata"]))
        for row in decoded["parsed"]
    ]
    return {
        one.id: (one.price.price, one.price.expo, one.price.conf, one.price.publish_time * NS_PER_S, one.metadata.slot)
        for one in updates
    }


def pyth_hermes() -> object:
    """The client on PyPI: its own model of the answer, each price read once as it gives it."""
    decoded = PriceUpdateResponse.model_validate_json(answer()[0])
    return {one.id: (one.price.price, one.price.conf, one.price.publish_time) for one in decoded.parsed or []}


def rows() -> list[Row]:
    """The rows; what both sides made is compared once."""
    assert ours() == pydantic_model() == plain_dataclasses()
    made: list[Row] = [
        {
            "name": "decode and read 500 feeds",
            "ours": ours,
            "peer": pydantic_model,
            "peer_name": "pydantic model",
            "target": 3.0,
            "unit": "s",
        },
        {
            "name": "decode and read 500 feeds",
            "ours": ours,
            "peer": plain_dataclasses,
            "peer_name": "json + frozen dataclasses",
            "target": 4.0,
            "unit": "s",
        },
        {
            "name": "decode and read 500 feeds",
            "ours": ours,
            "peer": pyth_hermes,
            "peer_name": "pyth-hermes",
            "target": None,
            "unit": "s",
        },
    ]
    return made
