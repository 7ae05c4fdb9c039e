"""Hermes's JSON: round trips, hostile values, any mutation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.clients.batch import Batch
from probekit.codecs import hermes as codec
from probekit.errors import DecodeError
from probekit.model import Feed, FeedId, PricePoint, PriceUpdate, UpdateMetadata
from probekit.units import Instant

SECONDS = st.integers(0, 253_402_300_799)
POINTS = st.builds(PricePoint, st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.integers(-128, 128), SECONDS)
IDS = st.binary(min_size=32, max_size=32).map(bytes.hex)
METADATA = st.none() | st.builds(UpdateMetadata, st.none() | st.integers(0, 2**63), st.none() | SECONDS, st.none() | SECONDS)
UPDATES = st.lists(st.builds(PriceUpdate, IDS, POINTS, POINTS, METADATA), max_size=5, unique_by=lambda one: one.id)


@given(UPDATES, st.lists(st.binary(max_size=40), max_size=3), st.sampled_from(["hex", "base64"]))
def test_what_is_encoded_comes_back(updates: list[PriceUpdate], binary: list[bytes], encoding: codec.Encoding) -> None:
    answer = codec.decode_prices(codec.encode_prices(updates, binary, encoding))
    assert answer.parsed == tuple(updates)
    assert answer.binary.decoded() == tuple(binary)
    assert codec.decode_prices(codec.encode_prices(None, binary, encoding)).parsed is None


BODY = codec.encode_prices(
    [PriceUpdate("ab" * 32, PricePoint(5, 1, -2, 7), PricePoint(5, 1, -2, 7), UpdateMetadata(1, 2, 3))], [b"\x01\x02"]
)
FEEDS = codec.encode_feeds([Feed(FeedId("ab" * 32), "X", attributes={"symbol": "X", "schedule": "UTC;O,O,O,O,O,O,O;"})])
CAPS = b'{"binary":{"encoding":"hex","data":["00"]},"parsed":[{"publisher_stake_caps":[{"publisher":"5k","cap":12}]}]}'
READY = b'{"has_completed_recently":true,"is_not_behind":false,"is_metadata_loaded":true,"latest_completed_slot":null}'


@pytest.mark.parametrize(
    ("body", "decode"),
    [
        (BODY, codec.decode_prices),
        (FEEDS, codec.decode_feeds),
        (CAPS, codec.decode_stake_caps),
        (READY, codec.decode_readiness),
    ],
    ids=["prices", "feeds", "caps", "ready"],
)
def test_no_flipped_cut_or_added_byte_does_anything_but_decode_or_raise(body: bytes, decode: Any) -> None:
    mutated = [body[:n] for n in range(len(body))] + [body + b"\x00", body + body]
    for position in range(len(body)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            mutated.append(body[:position] + bytes((body[position] ^ flip,)) + body[position + 1 :])
    refused = 0
    for one in mutated:
        try:
            decode(one)
        except DecodeError as error:
            refused += 1
            assert error.raw == one[:65_536]
    assert refused > len(body)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_decode_or_raise(data: bytes) -> None:
    for decode in (codec.decode_prices, codec.decode_feeds, codec.decode_stake_caps, codec.decode_readiness):
        try:
            decode(data)
        except DecodeError as error:
            assert error.raw_length == len(data)


def changed(**changes: Any) -> bytes:
    answer = json.loads(BODY)
    answer["parsed"][0].update(changes)
    return json.dumps(answer).encode()


POINT: dict[str, Any] = {"price": "5", "conf": "1", "expo": -2, "publish_time": 7}


@pytest.mark.parametrize(
    "body",
    [
        changed(price={**POINT, "price": "9" * 30}),
        changed(price={**POINT, "price": float("nan")}),
        changed(price={**POINT, "conf": "-1"}),
        changed(price={**POINT, "expo": 2_000_000_000}),
        changed(price={**POINT, "publish_time": 10**18}),
        changed(price={**POINT, "publish_time": "later"}),
        changed(price={"price": "5"}),
        changed(price=None),
        changed(id="ab"),
        changed(id=5),
        changed(attestation={}),
        b"[" * 100_000,
        b"",
        b"null",
    ],
)
def test_hostile_values_are_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        codec.decode_prices(body)


def test_a_feed_given_twice_is_refused_where_feeds_are_sorted() -> None:
    answer = json.loads(BODY)
    answer["parsed"] *= 2
    with pytest.raises(DecodeError, match="twice"):
        Batch((), (codec.decode_prices(json.dumps(answer).encode()),), {}, received_at=Instant(0))


def test_a_schedule_that_does_not_parse_stays_with_its_reason() -> None:
    rows = [{"id": "ab" * 32, "attributes": {"symbol": "S", "schedule": "Mars/Base;O", "asset_type": "Crypto Index"}}]
    (feed,) = codec.decode_feeds(json.dumps([{**rows[0], "market_hours": {"is_open": True}}]).encode())
    assert feed.hours is None
    assert feed.hours_error is not None
    assert (feed.schedule, feed.asset_class) == ("Mars/Base;O", "crypto_index")
    with pytest.raises(DecodeError):
        codec.decode_feeds(b'[{"id":"zz","attributes":{}}]')


def test_the_words_of_refusals() -> None:
    one, two = "ab" * 32, "CD" * 32
    assert codec.unknown_ids(f"Price ids not found: 0x{one}, 0x{two}") == (one, two.lower())
    assert codec.unknown_ids("Update data not found") == ()
    assert codec.unentitled_id(f"Not entitled: feed {one} (no grant accepts this feed (asset type 'equity'))") == one
    assert codec.unentitled_id("Forbidden") is None


def test_stake_caps_and_readiness() -> None:
    (cap,) = codec.decode_stake_caps(CAPS).caps()
    assert (cap.publisher, cap.cap) == ("5k", 12)
    assert not codec.decode_readiness(READY).is_not_behind
