"""Real Lazer payloads, envelopes, messages, symbols and the storage account."""

from __future__ import annotations

from typing import Any

import pytest
from coincurve import PublicKey

from probekit.codecs.keccak import keccak256
from probekit.codecs.lazer import envelope, messages, payload, storage, symbols, updates
from probekit.codecs.lazer.messages import ServiceError, SubscriptionRefused
from probekit.errors import DecodeError
from probekit.model.lazer import (
    Channel,
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerSigner,
    LazerUpdate,
    TradingSession,
    UpdateFormat,
)
from probekit.model.pubkey import Pubkey
from probekit.trust import lazer as trust
from probekit.trust.lazer import LazerSigners
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations
from tests.support.vectors import of_kind

BY_NAME = {which.wire_name: which for which in FeedProperty}
SIGNED = ("lazer_evm_update", "lazer_le_ecdsa_update", "lazer_solana_update")
NOW = Instant.from_seconds(1_780_000_000)


def as_expected(feed: FeedValues, properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        found = feed.value(BY_NAME[name])
        assert (found.wire_name if isinstance(found, TradingSession) else found) == value, name


def check_payload(found: LazerPayload, expected: dict[str, Any]) -> None:
    assert (found.timestamp_us, found.channel_id) == (expected["timestamp_us"], expected["channel_id"])
    assert found.channel is Channel(expected["channel"])
    assert (len(found.trailing), found.unread) == (expected["trailing_bytes"], b"")
    for feed, wanted in zip(found.feeds, expected["feeds"], strict=True):
        assert isinstance(feed, FeedValues)
        assert (feed.feed_id, list(feed.properties)) == (wanted["feed_id"], wanted["property_ids"])
        as_expected(feed, wanted["properties"])


@pytest.mark.parametrize("vector", of_kind("lazer_payload"))
def test_payload(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    if not expected["decodes"]:
        with pytest.raises(DecodeError):
            payload.decode(data)
        return
    check_payload(payload.decode(data), expected)
    assert payload.encode(payload.decode(data), expected["byte_order"]) == data


@pytest.mark.parametrize("vector", of_kind(*SIGNED))
def test_signed_update(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    signed = envelope.decode(data)
    assert envelope.encode(signed) == data
    assert (str(signed.format), len(signed.payload)) == (expected["format"], expected["payload_length"])
    if not expected["decodes"]:
        assert (signed.public_key or b"").hex() == expected["public_key"]
        assert trust.ed25519_holds(signed.public_key or b"", signed.signature, signed.payload) is expected["signature_valid"]
        with pytest.raises(DecodeError):
            envelope.content(signed)
        return
    assert (signed.signature.hex(), len(signed.trailing)) == (expected["signature"], expected["trailing_bytes"])
    assert payload.order_of(signed.payload) == expected["payload"]["byte_order"]
    if signed.format is UpdateFormat.SOLANA:
        assert signed.public_key == bytes.fromhex(expected["public_key"])
        assert expected["signature_valid"]
        key = signed.public_key
    else:
        assert signed.recovery_id == expected["recovery_id"]
        recovered = PublicKey.from_signature_and_message(
            signed.signature + bytes((signed.recovery_id or 0,)), keccak256(signed.payload), hasher=None
        )
        assert recovered.format().hex() == expected["signer_pubkey_compressed"]
        key = bytes.fromhex(expected["signer"][2:])
    proof = trust.verify(data, LazerSigners((LazerSigner(key),)), at=NOW)
    assert proof.signer.key == key
    assert trust.PRODUCTION.get(key) is not None or vector["network"] == "test"
    check_payload(proof.payload, expected["payload"])


@pytest.mark.parametrize("vector", of_kind("lazer_payload", *SIGNED))
def test_damaged_bytes_decode_or_are_refused(vector: dict[str, Any]) -> None:
    decode = payload.decode if vector["kind"] == "lazer_payload" else envelope.decode
    outcomes = [decodes_or_refuses(decode, one) for one in mutations(bytes.fromhex(vector["data"]))]
    assert any(outcomes) or not vector["expected"]["decodes"]
    assert not all(outcomes)


@pytest.mark.parametrize("vector", of_kind("lazer_json"))
def test_json(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    found = messages.decode(data) if expected["type"] else updates.decode_update(data)
    assert expected["decodes"]
    if expected["type"] == "error":
        assert expected["subscription_id"] is None
        assert found == ServiceError(expected["error_text"])
        return
    if expected["type"] == "subscriptionError":
        assert found == SubscriptionRefused(expected["subscription_id"], expected["error_text"])
        return
    assert isinstance(found, LazerUpdate)
    assert found.subscription_id == expected["subscription_id"]
    parsed = found.parsed
    assert isinstance(parsed, LazerPayload)
    assert parsed.timestamp_us == expected["timestamp_us"]
    for feed, wanted in zip(parsed.feeds, expected["feeds"], strict=True):
        assert isinstance(feed, FeedValues)
        assert feed.feed_id == wanted["feed_id"]
        assert {which.wire_name for which in feed.properties} == set(wanted["properties"])
        as_expected(feed, wanted["properties"])
    assert {str(form) for form in found.binary} == set(expected["binary"])
    for form, part in found.binary.items():
        assert isinstance(part, Envelope)
        wanted = expected["binary"][form]
        raw = envelope.encode(part)
        assert len(raw) == wanted["bytes"]
        assert (wanted["encoding"], raw.hex().encode() in data) == ("hex", True)
        key = bytes.fromhex(wanted["signer"][2:])
        content = trust.verify(part, LazerSigners((LazerSigner(key),)), at=NOW).payload
        assert content.channel is Channel(expected["channel"])
        assert wanted["agrees_with_parsed"]
        trust.check_parsed(parsed, content)
        assert trust.verify_update(found, trust.PRODUCTION, at=NOW).signer.key == key


@pytest.mark.parametrize("vector", of_kind("lazer_symbol_json"))
def test_symbol(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    assert expected["decodes"]
    found = symbols.decode_symbol(data)
    same = ("feed_id", "symbol", "name", "asset_type", "instrument_type", "min_publishers", "min_channel", "state", "hermes_id")
    for name in (*same, "interval", "expiration_time"):
        assert getattr(found, name) == expected[name], name
    assert (found.expo, sorted(found.sessions)) == (expected["exponent"], expected["sessions"])
    assert len(found.corporate_actions) == expected["corporate_actions"]
    assert found.hours is not None
    assert all(session.hours is not None for session in found.sessions.values())
    assert found.extra == {}
    assert symbols.decode_symbols(b"[" + data + b"]") == (found,)


@pytest.mark.parametrize("vector", of_kind("lazer_solana_storage"))
def test_storage(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    found = storage.decode_storage(data)
    assert (found.top_authority.hex(), found.treasury.hex()) == (expected["top_authority"], expected["treasury"])
    assert found.fee_lamports == expected["single_update_fee_in_lamports"]
    for held, wanted in (
        (found.signers, expected["trusted_signers"]),
        (found.ecdsa_signers, expected["trusted_ecdsa_signers"]),
    ):
        assert [(one.key.hex(), one.expires_at.seconds if one.expires_at else None) for one in held] == [
            (one["pubkey"], one["expires_at"]) for one in wanted
        ]
    assert expected["decodes"]
    counts = (expected["num_trusted_signers"], expected["num_trusted_ecdsa_signers"])
    assert (len(found.signers), len(found.ecdsa_signers)) == counts
    assert (len(data), storage.encode_storage(found)) == (expected["length"], data)
    assert storage.storage_address() == Pubkey("3rdJbqfnagQ4yx9HXJViD4zc4xpiSqmFsKpPuSCQVyQL")
    outcomes = [decodes_or_refuses(storage.decode_storage, one) for one in mutations(data)]
    assert any(outcomes)
    assert not all(outcomes)
