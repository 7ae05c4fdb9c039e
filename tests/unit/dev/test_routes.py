"""Every route in good order: statuses, words, parameters, encodings."""

from __future__ import annotations

import binascii
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest

from probekit.codecs import accumulator, messages
from probekit.codecs import hermes as codec
from probekit.dev.faults import NotReady
from probekit.dev.serving import base58
from probekit.model import StakeCapsMessage, TrustRoot
from probekit.secret import Secret
from probekit.trust import verify
from tests.unit.dev.bench import BTC, ETH, SOL, THREE, Bench, json, query

UNKNOWN = "ab" * 32


@pytest.mark.parametrize("root", list(TrustRoot))
def test_latest_is_signed_proven_and_says_what_is_signed(root: TrustRoot) -> None:
    bench = Bench.make(root=root)
    answer = bench.latest(SOL, BTC)
    signed = bench.signed(answer)
    assert answer.parsed is not None
    assert [one.id for one in answer.parsed] == [SOL, BTC]
    for one in answer.parsed:
        message = signed[one.id]
        assert (one.point.price, one.point.conf, one.point.expo, one.point.publish_time) == (
            message.price,
            message.conf,
            message.expo,
            message.publish_time,
        )
        assert (one.ema_point.price, one.ema_point.conf) == (message.ema_price, message.ema_conf)
        assert one.metadata is not None
        assert one.metadata.prev_publish_time == message.prev_publish_time
        assert one.metadata.proof_available_time == bench.clock.now().seconds


def test_wire_types_are_hermes_own() -> None:
    row = json(Bench.make().ask(BTC))["parsed"][0]
    assert list(row) == ["id", "price", "ema_price", "metadata"]
    assert isinstance(row["price"]["price"], str)
    assert isinstance(row["price"]["conf"], str)
    assert row["price"]["expo"] == -8
    assert row["ema_price"]["publish_time"] == row["price"]["publish_time"]
    assert set(row["metadata"]) == {"slot", "proof_available_time", "prev_publish_time"}


def test_ids_in_every_spelling() -> None:
    bench = Bench.make()
    plain = bench.ask(BTC).body
    for spelling in (f"ids[]=0x{BTC}", f"ids[]={BTC.upper()}", f"ids%5B%5D={BTC}", quote(f"ids[]={BTC}", safe="=")):
        assert bench.get(f"/v2/updates/price/latest?{spelling}").body == plain
    assert bench.ask(BTC, BTC).body == plain


def test_encodings_and_parsed() -> None:
    bench = Bench.make()
    as_hex, as_base64 = json(bench.ask(BTC)), json(bench.ask(BTC, more="&encoding=base64"))
    assert as_hex["binary"]["encoding"] == "hex"
    assert as_base64["binary"]["encoding"] == "base64"
    assert bytes.fromhex(as_hex["binary"]["data"][0]) == binascii.a2b_base64(as_base64["binary"]["data"][0])
    assert as_hex["parsed"] == as_base64["parsed"]
    assert "parsed" not in json(bench.ask(BTC, more="&parsed=false"))


@pytest.mark.parametrize(
    "target",
    [
        "latest",
        "latest?ids[]=",
        "latest?ids[]=e62d",
        f"latest?ids={BTC}",
        f"latest?ids[]={BTC}&encoding=hexagonal",
        f"latest?ids[]={BTC}&parsed=yes",
        f"latest?ids[]={BTC}&ignore_invalid_price_ids=1",
        f"stream?ids[]={BTC}&allow_unordered=maybe",
        f"soon?ids[]={BTC}",
        f"12.5?ids[]={BTC}",
    ],
)
def test_bad_queries_are_refused_in_words(target: str) -> None:
    reply = Bench.make().get(f"/v2/updates/price/{target}")
    assert reply.status == 400
    assert reply.content_type.startswith("text/plain")
    assert reply.body


@pytest.mark.parametrize("route", ["latest", "stream", "0"])
def test_unknown_ids_are_named(route: str) -> None:
    reply = Bench.make().ask(BTC, UNKNOWN, "cd" * 32, route=route)
    assert (reply.status, reply.body.decode()) == (404, f"Price ids not found: 0x{UNKNOWN}, 0x{'cd' * 32}")


def test_unknown_ids_can_be_ignored() -> None:
    bench = Bench.make()
    assert bench.ask(BTC, UNKNOWN, more="&ignore_invalid_price_ids=true").body == bench.ask(BTC).body
    assert json(bench.ask(UNKNOWN, more="&ignore_invalid_price_ids=true")) == {
        "binary": {"encoding": "hex", "data": []},
        "parsed": [],
    }


async def test_at_a_time() -> None:
    bench = Bench.make()
    await bench.advance(10_000)
    asked = bench.clock.now().seconds - 5
    answer = codec.decode_prices(bench.ask(*THREE, route=str(asked)).body)
    signed = bench.signed(answer)
    assert answer.parsed is not None
    for one in answer.parsed:
        assert one.point.publish_time == signed[one.id].publish_time == asked
        assert signed[one.id].prev_publish_time < asked
    for outside in (bench.clock.now().seconds + 5, bench.clock.now().seconds - 3600, -1, 10**18):
        reply = bench.ask(BTC, route=str(outside))
        assert (reply.status, reply.body) == (404, b"Update data not found")


@pytest.mark.parametrize("root", list(TrustRoot))
def test_five_hundred_feeds_come_in_entries_of_255(root: TrustRoot) -> None:
    bench = Bench.make(root=root, feeds=500)
    ids = [str(one.feed.id) for one in bench.network.markets]
    answer = bench.latest(*ids)
    counts = [len(accumulator.decode(raw).proven) for raw in answer.binary.decoded()]
    assert counts == [255, 245]
    assert set(bench.signed(answer)) == set(ids)
    assert answer.parsed is not None
    assert [one.id for one in answer.parsed] == ids


def test_price_feeds() -> None:
    bench = Bench.make(feeds=24)
    every = codec.decode_feeds(bench.get("/v2/price_feeds").body)
    assert [one.id for one in every] == [one.feed.id for one in bench.network.markets]
    assert all(one.hours is not None and one.hours_error is None for one in every)
    rows = json(bench.get("/v2/price_feeds?query=btc"))
    assert [row["id"] for row in rows] == [BTC]
    assert list(rows[0]["attributes"]) == sorted(rows[0]["attributes"])
    assert rows[0]["attributes"]["symbol"] == "Crypto.BTC/USD"
    found = codec.decode_feeds(bench.get("/v2/price_feeds?query=usd&asset_type=FX").body)
    assert [one.symbol for one in found] == ["FX.EUR/USD", "FX.GBP/USD", "FX.USD/JPY"]
    assert json(bench.get("/v2/price_feeds?asset_type=rates")) == []
    assert bench.get("/v2/price_feeds?asset_type=tulips").status == 400


@pytest.mark.parametrize("root", list(TrustRoot))
def test_stake_caps_are_signed_like_prices(root: TrustRoot) -> None:
    bench = Bench.make(root=root)
    reply = bench.get("/v2/updates/publisher_stake_caps/latest?encoding=base64")
    answer = codec.decode_stake_caps(reply.body)
    (raw,) = answer.binary.decoded()
    (message,) = verify(raw, bench.sandbox.trust, at=bench.clock.now()).messages
    assert isinstance(message, StakeCapsMessage)
    assert messages.encode(message)[0] == 2
    assert [(one.publisher, one.cap) for one in answer.caps()] == [
        (base58(bytes.fromhex(one.publisher)), one.cap) for one in message.caps
    ]
    assert "parsed" not in json(bench.get("/v2/updates/publisher_stake_caps/latest?parsed=false"))


def test_base58_of_known_keys() -> None:
    assert base58(bytes(32)) == "1" * 32
    assert base58(bytes.fromhex("0000287fb4cd")) == "11233QC4"


def test_twap_is_gone() -> None:
    for target in ("300/latest", f"60/latest?ids[]={BTC}"):
        reply = Bench.make().get(f"/v2/updates/twap/{target}")
        assert (reply.status, reply.body) == (400, b"The TWAP endpoint has been deprecated and is no longer available.")


def test_health() -> None:
    bench = Bench.make()
    assert bench.get("/live").body == bench.get("/ready").body == b"OK"
    injected = bench.sandbox.inject(NotReady())
    reply = bench.get("/ready")
    fields = codec.decode_readiness(reply.body)
    assert reply.status == 503
    assert (fields.has_completed_recently, fields.is_not_behind, fields.is_metadata_loaded) == (False, False, True)
    assert bench.ask(BTC).status == 200
    injected.clear()
    assert bench.get("/ready").status == 200


def test_what_is_not_there() -> None:
    bench = Bench.make()
    for target in ("/", "", "//[", "*", "/v1/prices", "/v2/updates/price/a/b", "/v2/updates/", "/_sandbox/faults"):
        assert bench.get(target).status == 404
    assert bench.sandbox.handle("POST", f"/v2/updates/price/latest?ids[]={BTC}", {}).status == 405


def test_date_header_is_the_clocks() -> None:
    bench = Bench.make()
    headers = dict(bench.ask(BTC).headers)
    assert int(parsedate_to_datetime(headers["date"]).timestamp()) == bench.clock.now().seconds
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("route", ["price/latest", "price/stream", "price/0", "publisher_stake_caps/latest"])
def test_key_is_wanted_on_price_routes(route: str) -> None:
    bench = Bench.make(api_key=Secret("let-me-in-please"))
    target = f"/v2/updates/{route}?{query([BTC])}"
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "let-me-in-please"}, {"authorization": "Basic x"}):
        reply = bench.get(target, **headers)
        assert (reply.status, reply.body) == (401, b"unauthorized")
    admitted = {bench.get(target, authorization="Bearer let-me-in-please").status}
    admitted.add(bench.get(target + "&ACCESS_TOKEN=let-me-in-please").status)
    assert admitted <= {200, 404}
    assert bench.get(target + "&ACCESS_TOKEN=wrong").status == 401


def test_key_is_not_wanted_elsewhere() -> None:
    bench = Bench.make(api_key=Secret("let-me-in-please"))
    assert {bench.get(target).status for target in ("/v2/price_feeds", "/live", "/ready")} == {200}
    assert bench.sandbox.requests == 3
    assert ETH in bench.get("/v2/price_feeds").body.decode()
