"""Real accounts of the oracle program: every field, and back to the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.codecs import pythnet as codec
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import AccountHeader, AccountType, PriceInfo, Quote, feed_id
from tests.support.vectors import of_kind

ABOUT_THE_ACCOUNT = {"address", "owner", "symbol", "account_length", "account_type", "has_header"}
"""Expected of a vector, but not said by the account's own bytes (or checked on its header)."""


def info(one: PriceInfo) -> dict[str, int]:
    return {
        "price": one.price,
        "conf": one.conf,
        "status": one.status_code,
        "corp_act": one.corp_act,
        "pub_slot": one.pub_slot,
    }


def quoted(one: Quote) -> dict[str, Any]:
    return {"publisher": str(one.publisher), "aggregate": info(one.aggregate), "latest": info(one.latest)}


def key(one: Pubkey | None) -> str | None:
    return None if one is None else str(one)


def with_header(vector: dict[str, Any], kind: AccountType) -> bytes:
    """The account's bytes; some vectors are the body alone."""
    data = bytes.fromhex(vector["data"])
    if vector["expected"]["has_header"]:
        return data
    return codec.encode_header(AccountHeader(2, kind, 16 + len(data))) + data


def check_header(data: bytes, expected: dict[str, Any], kind: AccountType) -> None:
    header = codec.decode_header(data)
    assert header.type is kind
    found = {"version": header.version, "account_type": int(header.type), "size": header.size}
    assert {name: value for name, value in found.items() if name in expected and expected[name] != value} == {}


@pytest.mark.parametrize("vector", of_kind("pythnet_account_header"))
def test_headers(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], bytes.fromhex(vector["data"])
    if not expected["decodes"]:
        with pytest.raises(DecodeError) as caught:
            codec.decode_header(data)
        assert caught.value.raw == data
        assert caught.value.offset is not None
        return
    header = codec.decode_header(data)
    assert (header.version, int(header.type), header.size) == (
        expected["version"],
        expected["account_type"],
        expected["size"],
    )
    assert codec.encode_header(header) == data


@pytest.mark.parametrize("vector", of_kind("pythnet_price_account"))
def test_price_accounts(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], bytes.fromhex(vector["data"])
    check_header(data, expected, AccountType.PRICE)
    assert len(data) == expected["account_length"]
    account = codec.decode_price(data)
    sums = account.cumulative
    found = {
        "version": account.version,
        "size": account.size,
        "price_type": account.price_type,
        "exponent": account.expo,
        "num_components": account.num_components,
        "num_quoters": account.num_quoters,
        "last_slot": account.last_slot,
        "valid_slot": account.valid_slot,
        "ema_price": {
            "value": account.ema_price_value,
            "numerator": account.ema_price_numerator,
            "denominator": account.ema_price_denominator,
        },
        "ema_conf": {
            "value": account.ema_conf_value,
            "numerator": account.ema_conf_numerator,
            "denominator": account.ema_conf_denominator,
        },
        "timestamp": account.aggregated_at,
        "min_publishers": account.min_publishers,
        "message_sent": account.message_sent,
        "max_latency": account.max_latency,
        "flags": account.flags,
        "feed_index": account.feed_index,
        "product": str(account.product),
        "next_price": key(account.next_price),
        "prev_slot": account.prev_slot,
        "prev_price": account.prev_price,
        "prev_conf": account.prev_conf,
        "prev_timestamp": account.prev_timestamp,
        "aggregate": info(account.aggregate),
        "components": [quoted(quote) for quote in account.quotes],
    }
    if sums is not None:
        found["cumulative"] = {"price": sums.price, "conf": sums.conf, "num_down_slots": sums.num_down_slots}
    assert found == {name: value for name, value in expected.items() if name not in ABOUT_THE_ACCOUNT}
    assert codec.encode_price(account) == data

    columns = codec.decode_columns(data)
    components = expected["components"]
    assert [str(Pubkey(one)) for one in columns.publishers] == [one["publisher"] for one in components]
    for column, name in (
        (columns.prices, "price"),
        (columns.confs, "conf"),
        (columns.status_codes, "status"),
        (columns.pub_slots, "pub_slot"),
    ):
        assert list(column) == [one["latest"][name] for one in components]
    for column, name in (
        (columns.agg_prices, "price"),
        (columns.agg_confs, "conf"),
        (columns.agg_status_codes, "status"),
        (columns.agg_pub_slots, "pub_slot"),
    ):
        assert list(column) == [one["aggregate"][name] for one in components]
    assert codec.decode_price_head(data[:240]).aggregate == account.aggregate


@pytest.mark.parametrize("vector", of_kind("pythnet_price_account"))
def test_what_the_program_made_of_them(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], bytes.fromhex(vector["data"])
    account = codec.decode_price(data)
    # In early accounts the words where the times stand now hold something else.
    sane = 1_577_836_800 <= expected["prev_timestamp"] < 4_102_444_800
    assert (account.prev_publish_time is not None) == sane
    made = codec.aggregate(
        [quote.aggregate for quote in account.quotes],
        slot=account.agg_pub_slot,
        max_latency=account.max_latency,
        min_publishers=account.min_publishers,
    )
    if sane:
        # The program of today, over the quotes that it took: the same price to the unit.
        assert made == codec.Aggregate(account.agg_price, account.agg_conf, account.num_quoters)
    else:
        assert made.num_quoters == account.num_quoters
    if "address" in expected:
        address = Pubkey(expected["address"])
        message = codec.price_message(account, address)
        assert (message.feed_id, message.price) == (str(feed_id(address)), account.agg_price)


@pytest.mark.parametrize("vector", of_kind("pythnet_price_component"))
def test_components(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["data"])
    quote = codec.decode_quote(data)
    assert quoted(quote) == vector["expected"]
    assert codec.encode_quote(quote) == data


@pytest.mark.parametrize("vector", of_kind("pythnet_price_info"))
def test_price_infos(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["data"])
    one = codec.decode_price_info(data)
    assert info(one) == vector["expected"]
    assert codec.encode_price_info(one) == data


@pytest.mark.parametrize("vector", of_kind("pythnet_product_account"))
def test_products(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], with_header(vector, AccountType.PRODUCT)
    check_header(data, expected, AccountType.PRODUCT)
    account = codec.decode_product(data)
    assert key(account.first_price) == expected["first_price"]
    assert account.attributes == expected["attributes"]
    assert list(account.attributes) == list(expected["attributes"])
    assert codec.encode_product(account, length=len(data)) == data


@pytest.mark.parametrize("vector", of_kind("pythnet_mapping_account"))
def test_mappings(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], with_header(vector, AccountType.MAPPING)
    check_header(data, expected, AccountType.MAPPING)
    account = codec.decode_mapping(data)
    assert account.num_products == expected["num_products"]
    assert key(account.next_mapping) == expected["next_mapping"]
    assert [str(product) for product in account.products] == expected["products"]
    assert codec.encode_mapping(account, length=len(data)) == data
