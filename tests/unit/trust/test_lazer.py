"""Who signed a Lazer update, in each of its forms, and whether that counts."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from probekit.clients.lazer_stream import LazerStream
from probekit.codecs.lazer import envelope, payload
from probekit.codecs.lazer.messages import PriceRequest
from probekit.errors import BadSignature, ConfigError, DecodeError, ParsedMismatch, SupersededSet, UnknownSet, VerificationError
from probekit.model.lazer import (
    Envelope,
    FeedProperty,
    FeedValues,
    LazerPayload,
    LazerSigner,
    LazerUpdate,
    TradingSession,
    UpdateFormat,
)
from probekit.trust.lazer import LazerSigners, check_parsed, ed25519_holds, verify, verify_update
from probekit.trust.lazer_signing import LazerSigning
from probekit.units import Instant
from tests.support.mutation import mutations
from tests.unit.codecs.lazer.strategies import payloads

S = timedelta(seconds=1)
NOW = Instant.parse("2026-09-12T10:00:00Z")
SIGNING = LazerSigning.generate(b"a test")
OTHER = LazerSigning.generate(b"another test")
SIGNERS = SIGNING.signers(NOW.plus(S))
FEED = FeedValues(
    1, (FeedProperty.PRICE, FeedProperty.MARKET_SESSION, FeedProperty.FUNDING_RATE), 5, market_session=TradingSession.REGULAR
)
PAYLOAD = LazerPayload(NOW.ns // 1000, 3, (FEED,))
SIGNED = [form for form in UpdateFormat if form.is_signed]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@given(payloads, st.sampled_from(SIGNED))
def test_what_is_signed_verifies(written: LazerPayload, form: UpdateFormat) -> None:
    proof = verify(envelope.encode(SIGNING.sign(written, form)), SIGNERS, at=NOW)
    assert (proof.payload, proof.format) == (written, form)
    assert proof.signer.key == (SIGNING.public_key if form is UpdateFormat.SOLANA else SIGNING.address)


@pytest.mark.parametrize("form", SIGNED)
def test_no_changed_bit_verifies(form: UpdateFormat) -> None:
    whole = envelope.encode(SIGNING.sign(PAYLOAD, form))
    for changed in mutations(whole):
        try:
            proof = verify(changed, SIGNERS, at=NOW)
        except (VerificationError, DecodeError):
            continue
        # What stands behind the payload is signed by nobody, and what overwrites nothing changes nothing.
        assert changed[: len(whole)] == whole
        assert proof.payload == PAYLOAD


@pytest.mark.parametrize("form", SIGNED)
def test_a_signer_counts_until_it_expires(form: UpdateFormat) -> None:
    signed = SIGNING.sign(PAYLOAD, form)
    last = NOW.plus(S)
    assert verify(signed, SIGNERS, at=Instant(last.ns - 1)).signer.expires_at == last
    with pytest.raises(SupersededSet, match="expired at 2026-09-12T10:00:01"):
        verify(signed, SIGNERS, at=last)
    assert verify(signed, SIGNING.signers(), at=NOW.plus(10**6 * S)).signer.expires_at is None


def test_strangers_are_named() -> None:
    for form in (UpdateFormat.EVM, UpdateFormat.LE_ECDSA):
        with pytest.raises(BadSignature, match="recovers to 0x[0-9a-fA-F]{40}, no trusted signer"):
            verify(OTHER.sign(PAYLOAD, form), SIGNERS, at=NOW)
    with pytest.raises(UnknownSet, match="rightly signed by"):
        verify(OTHER.sign(PAYLOAD, UpdateFormat.SOLANA), SIGNERS, at=NOW)
    # Another's signature under a trusted key.
    forged = replace(OTHER.sign(PAYLOAD, UpdateFormat.SOLANA), public_key=SIGNING.public_key)
    with pytest.raises(BadSignature, match="not that of"):
        verify(forged, SIGNERS, at=NOW)


def test_the_higher_form_of_a_signature_is_refused() -> None:
    signed = SIGNING.sign(PAYLOAD, UpdateFormat.EVM)
    s = int.from_bytes(signed.signature[32:], "big")
    twin = replace(
        signed, signature=signed.signature[:32] + (ORDER - s).to_bytes(32, "big"), recovery_id=1 - (signed.recovery_id or 0)
    )
    with pytest.raises(BadSignature, match="higher form"):
        verify(twin, SIGNERS, at=NOW)


@pytest.mark.parametrize(
    "changed", [{"recovery_id": 2}, {"recovery_id": None}, {"signature": b"short"}, {"signature": bytes(64)}]
)
def test_signatures_that_are_none(changed: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        verify(replace(SIGNING.sign(PAYLOAD, UpdateFormat.EVM), **changed), SIGNERS, at=NOW)
    with pytest.raises(BadSignature):
        verify(SIGNING.sign(PAYLOAD, UpdateFormat.LE_UNSIGNED), SIGNERS, at=NOW)
    assert not ed25519_holds(b"short", bytes(64), b"")


def test_a_rightly_signed_payload_that_is_none() -> None:
    raw = payload.encode(PAYLOAD, "big")
    # The big-endian payload under the little-endian form: a signature over anything holds.
    mixed = replace(SIGNING.sign(PAYLOAD, UpdateFormat.EVM), format=UpdateFormat.LE_ECDSA, payload=raw)
    with pytest.raises(DecodeError, match="big-endian payload where a little"):
        verify(mixed, SIGNERS, at=NOW)


def test_signers_are_values() -> None:
    address, key = SIGNERS.signers
    assert SIGNERS.get(SIGNING.address) == address
    assert SIGNERS.get(b"nobody") is None
    assert SIGNERS.at(NOW) == (address, key)
    assert SIGNERS.at(NOW.plus(S)) == ()
    renewed = SIGNERS.with_signer(replace(key, expires_at=None, name="router"))
    assert renewed.at(NOW.plus(S)) == (LazerSigner(key.key, None, "router"),)
    assert str(renewed.signers[-1]).endswith("(router)")
    assert LazerSigners.of("0x" + address.key.hex(), key.key.hex()) == SIGNING.signers()
    with pytest.raises(ValueError, match="named twice"):
        LazerSigners((address, address))
    with pytest.raises(ValueError, match="20 bytes or a key of 32"):
        LazerSigner(b"short")


def test_what_several_verifiers_keep() -> None:
    key = SIGNING.address
    ends = [LazerSigner(key), LazerSigner(key, NOW), LazerSigner(key, NOW.plus(S))]
    assert LazerSigners.merged(ends, reversed(ends)).signers == (ends[2],)
    assert LazerSigners.merged(ends[:1], [LazerSigner(OTHER.address)]).signers == (ends[0], LazerSigner(OTHER.address))


def test_without_the_library_of_ed25519(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = SIGNING.sign(PAYLOAD, UpdateFormat.SOLANA)
    for name in ("cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric.ed25519"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match="needs cryptography: pip install 'cryptography"):
        verify(signed, SIGNERS, at=NOW)
    request = PriceRequest((1,), formats=(UpdateFormat.SOLANA,))
    with pytest.raises(ConfigError, match="needs cryptography: pip install 'cryptography"):
        LazerStream("ws://a.test", request, signers=SIGNERS)
    with pytest.raises(ConfigError, match="needs cryptography: pip install 'cryptography"):
        LazerSigning.generate(b"a test")
    assert verify(SIGNING.sign(PAYLOAD, UpdateFormat.EVM), SIGNERS, at=NOW).payload == PAYLOAD


# -- whole answers -------------------------------------------------------------------------------------------------------------

PARSED = replace(PAYLOAD, channel_id=None, feeds=(replace(FEED, properties=FEED.properties[:2]),))


def answer(**changes: object) -> LazerUpdate:
    binary = {form: SIGNING.sign(PAYLOAD, form) for form in UpdateFormat}
    return replace(LazerUpdate(PARSED, dict(binary)), **changes)


def test_every_form_of_an_answer_is_verified() -> None:
    proof = verify_update(answer(), SIGNERS, at=NOW)
    assert (proof.format, proof.payload) == (UpdateFormat.EVM, PAYLOAD)
    for form in SIGNED:
        forged: dict[UpdateFormat, Envelope | DecodeError] = {**answer().binary, form: OTHER.sign(PAYLOAD, form)}
        with pytest.raises(VerificationError):
            verify_update(answer(binary=forged), SIGNERS, at=NOW)
        broken = {**answer().binary, form: DecodeError("broken", raw=b"")}
        with pytest.raises(DecodeError, match="broken"):
            verify_update(answer(binary=broken), SIGNERS, at=NOW)
    with pytest.raises(BadSignature, match="no part"):
        verify_update(LazerUpdate(PARSED), SIGNERS, at=NOW)
    with pytest.raises(DecodeError, match="torn"):
        verify_update(answer(parsed=DecodeError("torn", raw=b"")), SIGNERS, at=NOW)
    assert verify_update(answer(parsed=None), SIGNERS, at=NOW).payload == PAYLOAD


def test_the_parts_of_an_answer_agree() -> None:
    dearer = replace(PAYLOAD, feeds=(replace(FEED, price_mantissa=6),))
    for form in (UpdateFormat.LE_ECDSA, UpdateFormat.LE_UNSIGNED):
        mixed = {**answer().binary, form: SIGNING.sign(dearer, form)}
        with pytest.raises(ParsedMismatch, match="feed 1: price 6, in the payload 5"):
            verify_update(answer(binary=mixed), SIGNERS, at=NOW)
    with pytest.raises(ParsedMismatch, match="price 6"):
        verify_update(answer(parsed=replace(PARSED, feeds=dearer.feeds)), SIGNERS, at=NOW)


@pytest.mark.parametrize(
    ("told", "match"),
    [
        (replace(PARSED, timestamp_us=1), "time 1, in the payload"),
        (replace(PARSED, feeds=()), "feed 1 is only in the payload"),
        (replace(PARSED, feeds=(*PARSED.feeds, FeedValues(2))), "feed 2 is not in the payload"),
        (replace(PARSED, feeds=(replace(FEED, market_session="regular"),)), "marketSession regular"),
        (replace(PARSED, feeds=tuple(FeedValues(number) for number in range(2, 10))), "and 4 more"),
    ],
)
def test_contradictions_are_named(told: LazerPayload, match: str) -> None:
    with pytest.raises(ParsedMismatch, match=match):
        check_parsed(told, PAYLOAD)


@pytest.mark.parametrize("which", list(FeedProperty))
def test_no_property_escapes_the_comparison(which: FeedProperty) -> None:
    told, held = (LazerPayload(1, None, (replace(FeedValues(1, (which,)), **{which.field: value}),)) for value in (1, 2))
    with pytest.raises(ParsedMismatch, match=which.wire_name):
        check_parsed(told, held)
    check_parsed(told, told)


def test_what_could_not_be_read_contradicts_nothing() -> None:
    check_parsed(PARSED, replace(PAYLOAD, feeds=(), unread=b"later"))
    check_parsed(replace(PARSED, feeds=(DecodeError("x", raw=b""),)), PAYLOAD)
