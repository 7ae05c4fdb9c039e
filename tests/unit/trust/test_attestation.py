"""The signed bytes that travel with a price: compared with what was served, verified once for a whole answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import msgspec
import pytest

from probekit import errors
from probekit.model import PricePoint, PriceUpdate, TrustRoot, UpdateMetadata
from probekit.trust import AttestedBytes, attest, check_parsed, signed_update, verify
from probekit.trust.signatures import Recovery
from probekit.trust.signing import sign_slot, trust_of, with_keys
from tests.unit.trust.builders import AT, CORE_SET, PRO_SET, SLOT, TIME_S, price, slot_of

BOTH = trust_of(CORE_SET, PRO_SET)


def served(number: int, attestation: AttestedBytes | None = None) -> PriceUpdate:
    message = price(number)
    return PriceUpdate(
        message.feed_id,
        PricePoint(message.price, message.conf, message.expo, message.publish_time),
        PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time),
        UpdateMetadata(SLOT, TIME_S + 1, message.prev_publish_time),
        attestation,
    )


def answer(count: int = 600, slot_signed_by: Sequence[bytes] | None = None) -> AttestedBytes:
    parts = slot_of(CORE_SET, count=count).updates(range(count)) if slot_signed_by is None else slot_signed_by
    return AttestedBytes(lambda: parts)


def test_an_update_as_its_signed_bytes_state_it() -> None:
    update = served(3, attest(slot_of(PRO_SET).update([3])))
    assert update.verified_by is None
    proven = update.verified(BOTH, at=AT)
    assert proven.verified_by is not None
    assert proven.verified_by.root is TrustRoot.PRO
    assert (proven.point, proven.ema_point, proven.metadata) == (update.point, update.ema_point, update.metadata)
    assert (proven.slot, proven.prev_publish_time) == (SLOT, update.prev_publish_time)


def test_what_was_not_served_comes_from_the_signed_bytes() -> None:
    bare = msgspec.structs.replace(served(0, attest(slot_of(PRO_SET).update([0]))), metadata=None)
    assert bare.slot is None
    proven = bare.verified(BOTH, at=AT)
    assert proven.metadata == UpdateMetadata(SLOT, None, TIME_S - 1)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", lambda u: msgspec.structs.replace(u, id="ff" * 32)),
        ("price", lambda u: _point(u, price=1)),
        ("conf", lambda u: _point(u, conf=1)),
        ("expo", lambda u: _point(u, expo=-7)),
        ("publish_time", lambda u: _point(u, publish_time=TIME_S + 1)),
        ("ema_price", lambda u: _ema(u, price=1)),
        ("ema_conf", lambda u: _ema(u, conf=1)),
        ("ema_expo", lambda u: _ema(u, expo=-7)),
        ("ema_publish_time", lambda u: _ema(u, publish_time=TIME_S + 1)),
        ("prev_publish_time", lambda u: _metadata(u, prev_publish_time=1)),
        ("slot", lambda u: _metadata(u, slot=1)),
    ],
)
def test_every_field_that_contradicts_is_named(field: str, change: Callable[[PriceUpdate], PriceUpdate]) -> None:
    with pytest.raises(errors.ParsedMismatch, match=rf": {field} ") as caught:
        check_parsed(change(served(0)), price(0), SLOT)
    assert str(caught.value).count("signed") == 2


def _point(update: PriceUpdate, **changes: int) -> PriceUpdate:
    return msgspec.structs.replace(update, point=msgspec.structs.replace(update.point, **changes))


def _ema(update: PriceUpdate, **changes: int) -> PriceUpdate:
    return msgspec.structs.replace(update, ema_point=msgspec.structs.replace(update.ema_point, **changes))


def _metadata(update: PriceUpdate, **changes: int) -> PriceUpdate:
    assert update.metadata is not None
    return msgspec.structs.replace(update, metadata=msgspec.structs.replace(update.metadata, **changes))


def test_metadata_that_was_not_served_contradicts_nothing() -> None:
    for metadata in (None, UpdateMetadata(), UpdateMetadata(None, 1, None)):
        check_parsed(msgspec.structs.replace(served(0), metadata=metadata), price(0), SLOT)


def test_a_contradiction_is_found_through_the_update() -> None:
    lying = _point(served(0, attest(slot_of(PRO_SET).update([0]))), price=1)
    with pytest.raises(errors.ParsedMismatch):
        lying.verified(BOTH, at=AT)


def test_a_whole_answer_is_recovered_once_at_whatever_time_each_is_asked() -> None:
    attested = answer()
    with patch.object(Recovery, "address", autospec=True, side_effect=Recovery.address) as recovered:
        for number in range(600):
            at = AT.plus(timedelta(microseconds=number))
            assert served(number, attested).verified(BOTH, at=at).verified_by is not None
    assert recovered.call_count == 13


def test_validity_is_asked_of_each_time_anew() -> None:
    known = BOTH.with_set(replace(CORE_SET.signer_set(), expires_at=AT))
    update = served(0, answer(8))
    assert update.verified(known, at=AT).verified_by is not None
    with pytest.raises(errors.SupersededSet):
        update.verified(known, at=AT.plus(timedelta(seconds=1)))
    assert update.verified(known, at=AT).verified_by is not None


def test_each_trust_gets_its_own_answer() -> None:
    update = served(0, answer(8))
    assert update.verified(BOTH, at=AT).verified_by is not None
    with pytest.raises(errors.WrongRoot):
        update.verified(BOTH.only(TrustRoot.PRO), at=AT)
    with pytest.raises(errors.UnknownSet):
        update.verified(trust_of(with_keys(CORE_SET, 2)), at=AT)


def test_a_proven_update_is_proven_anew_under_another_trust() -> None:
    proven = served(0, answer(8)).verified(BOTH, at=AT)
    again = proven.verified(BOTH, at=AT)
    assert (again.point, again.metadata, again.verified_by) == (proven.point, proven.metadata, proven.verified_by)
    with pytest.raises(errors.WrongRoot):
        proven.verified(BOTH.only(TrustRoot.PRO), at=AT)
    expired = BOTH.with_set(replace(CORE_SET.signer_set(), expires_at=AT))
    with pytest.raises(errors.SupersededSet):
        proven.verified(expired, at=AT.plus(timedelta(days=1)))


def test_without_its_bytes_a_proof_vouches_for_nothing_more() -> None:
    verified = verify(slot_of(PRO_SET).update([0]), BOTH, at=AT)
    update = signed_update(price(0), verified)
    assert update.verified_by is verified
    with pytest.raises(ValueError, match="not kept"):
        update.verified(BOTH, at=AT)


def test_one_failing_update_fails_its_own_feeds_only() -> None:
    good = slot_of(PRO_SET).update([0])
    broken = slot_of(PRO_SET, signers=(0,)).update([1])
    attested = answer(slot_signed_by=(broken, good))
    assert served(0, attested).verified(BOTH, at=AT).verified_by is not None
    for _ in range(2):
        with pytest.raises(errors.NoQuorum) as caught:
            served(1, attested).verified(BOTH, at=AT)
        assert len(caught.traceback) < 8
    with pytest.raises(errors.VerificationError, match="no signed message"):
        served(2, attested).verified(BOTH, at=AT)


def test_bytes_that_do_not_decode_fail_the_feeds_nothing_else_proves() -> None:
    attested = answer(slot_signed_by=(b"PNAU", slot_of(PRO_SET).update([0])))
    assert served(0, attested).verified(BOTH, at=AT).verified_by is not None
    with pytest.raises(errors.DecodeError):
        served(1, attested).verified(BOTH, at=AT)


def test_a_good_update_is_not_undone_by_a_bad_one_about_the_same_feed() -> None:
    good, bad = slot_of(PRO_SET).update([0]), slot_of(PRO_SET, signers=(0,)).update([0])
    for parts in ((good, bad), (bad, good)):
        assert served(0, answer(slot_signed_by=parts)).verified(BOTH, at=AT).verified_by is not None


def test_messages_of_other_types_are_no_prices() -> None:
    slot = sign_slot([price(0), b"\x09other", b"\x00"], PRO_SET, slot=SLOT, time_s=TIME_S)
    attested = answer(slot_signed_by=(slot.update([0, 1]),))
    assert served(0, attested).verified(BOTH, at=AT).verified_by is not None
    # The third does not decode: the update it stands in proves nothing, and says so for the feeds it names.
    with pytest.raises(errors.DecodeError):
        served(0, answer(slot_signed_by=(slot.update([0, 2]),))).verified(BOTH, at=AT)


def test_a_trust_is_a_trust() -> None:
    with pytest.raises(TypeError):
        served(0, answer(8)).verified("pro", at=AT)


def test_nothing_is_decoded_before_it_is_asked() -> None:
    def load() -> Sequence[bytes]:
        raise AssertionError("loaded")

    update = served(0, AttestedBytes(load))
    assert update.verified_by is None
    assert "not verified" in repr(update.attestation)
    proof = signed_update(price(0), verify(slot_of(PRO_SET).update([0]), BOTH, at=AT)).attestation
    assert "pro set 1" in repr(proof)
