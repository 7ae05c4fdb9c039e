"""Every way an update can fail to prove what it claims, on both roots, each as its own error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import msgspec
import pytest

from probekit import errors, trust
from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.codecs.vaa import Signature, Vaa
from probekit.model import TrustRoot, UnknownMessage
from probekit.trust import EMITTERS, SignerSet, Trust, Verifier, verify
from probekit.trust.signatures import Recovery, recover
from probekit.trust.signing import SignedSlot, SigningSet, replace_vaa, sign_slot, trust_of, with_keys
from probekit.units import Instant
from tests.support.mutation import mutations
from tests.unit.trust.builders import AT, CORE_SET, PRO_SET, SLOT, TIME_S, price, slot_of

BOTH = trust_of(CORE_SET, PRO_SET)
each_root = pytest.mark.parametrize("signing", [CORE_SET, PRO_SET], ids=["core", "pro"])
DAY = timedelta(hours=24)


def rewrap(slot: SignedSlot, change: Callable[[Vaa], Vaa]) -> bytes:
    """The update of message 0 with its VAA changed, signatures as they were."""
    return replace(slot, vaa=change(slot.vaa)).update([0])


@each_root
def test_a_good_update_says_who_signed_what(signing: SigningSet) -> None:
    slot = slot_of(signing)
    verified = verify(slot.update([0, 3, 5]), BOTH, at=AT)
    assert verified.root is signing.root
    assert verified.set_index == 1
    assert verified.quorum == signing.quorum == (13 if signing.root is TrustRoot.CORE else 3)
    assert verified.signers == tuple(range(verified.quorum))
    assert (verified.slot, verified.sequence, verified.vaa_time.seconds) == (SLOT, SLOT, TIME_S)
    assert verified.digest == slot.vaa.digest()
    assert verified.messages == (price(0), price(3), price(5))


@each_root
def test_signatures_above_the_quorum_are_checked_too(signing: SigningSet) -> None:
    everyone = tuple(range(len(signing.keys)))
    slot = slot_of(signing, signers=everyone)
    assert verify(slot.update([0]), BOTH, at=AT).signers == everyone
    last = slot.vaa.signatures[-1]
    broken = rewrap(slot, lambda vaa: replace_vaa(vaa, signatures=(*vaa.signatures[:-1], Signature(last.index, last.rs, 5))))
    with pytest.raises(errors.BadSignature):
        verify(broken, BOTH, at=AT)


@each_root
def test_one_below_the_quorum(signing: SigningSet) -> None:
    slot = slot_of(signing, signers=tuple(range(signing.quorum - 1)))
    with pytest.raises(errors.NoQuorum):
        verify(slot.update([0]), BOTH, at=AT)
    with pytest.raises(errors.NoQuorum):
        verify(rewrap(slot, lambda vaa: replace_vaa(vaa, signatures=())), BOTH, at=AT)


@each_root
def test_order_of_signatures(signing: SigningSet) -> None:
    slot = slot_of(signing)
    first, *rest = slot.vaa.signatures
    for signatures in ([*rest, first], [first, first, *rest]):
        with pytest.raises(errors.SignatureOrder):
            verify(rewrap(slot, lambda vaa, s=tuple(signatures): replace_vaa(vaa, signatures=s)), BOTH, at=AT)  # type: ignore[misc]


@each_root
def test_an_index_outside_the_set(signing: SigningSet) -> None:
    slot = slot_of(signing)
    last = slot.vaa.signatures[-1]
    outside = (*slot.vaa.signatures[:-1], Signature(len(signing.keys), last.rs, last.recovery_id))
    with pytest.raises(errors.SignatureOrder, match="outside"):
        verify(rewrap(slot, lambda vaa: replace_vaa(vaa, signatures=outside)), BOTH, at=AT)


def _flip(signature: Signature, at: int) -> Signature:
    return Signature(signature.index, signature.rs[:at] + bytes((signature.rs[at] ^ 1,)) + signature.rs[at + 1 :], 0)


@each_root
@pytest.mark.parametrize(
    "damage",
    [
        lambda s: _flip(s, 0),
        lambda s: _flip(s, 63),
        lambda s: Signature(s.index, s.rs, s.recovery_id ^ 1),
        lambda s: Signature(s.index, s.rs, s.recovery_id + 2),
        lambda s: Signature(s.index, s.rs, s.recovery_id + 27),
        lambda s: Signature(s.index, s.rs, 255),
        lambda s: Signature(s.index, bytes(64), 0),
        lambda s: Signature(s.index, b"\xff" * 64, 0),
    ],
    ids=["r", "s", "parity", "overflow", "plus 27", "id 255", "zero", "above the order"],
)
def test_a_bad_signature(signing: SigningSet, damage: Callable[[Signature], Signature]) -> None:
    slot = slot_of(signing)
    first, *rest = slot.vaa.signatures
    with pytest.raises(errors.BadSignature):
        verify(rewrap(slot, lambda vaa: replace_vaa(vaa, signatures=(damage(first), *rest))), BOTH, at=AT)


@each_root
@pytest.mark.parametrize("field", ["timestamp", "nonce", "sequence", "consistency_level"])
def test_every_field_of_the_body_is_signed(signing: SigningSet, field: str) -> None:
    with pytest.raises(errors.BadSignature):
        verify(rewrap(slot_of(signing), lambda vaa: replace_vaa(vaa, **{field: getattr(vaa, field) + 1})), BOTH, at=AT)


def test_a_signature_of_the_wrong_size_never_reaches_the_library() -> None:
    for rs in (b"", bytes(63), bytes(65)):
        with pytest.raises(errors.BadSignature):
            recover(Signature(0, rs, 0), bytes(32))
    with pytest.raises(ValueError):
        Recovery(bytes(31))


def test_recovery_agrees_with_the_public_interface() -> None:
    from coincurve import PublicKey

    from probekit.codecs.keccak import keccak256

    vaa = slot_of(CORE_SET).vaa
    recovery = Recovery(vaa.digest())
    for signature in vaa.signatures:
        key = PublicKey.from_signature_and_message(signature.rs + bytes((signature.recovery_id,)), vaa.digest(), hasher=None)
        assert recovery.address(signature) == keccak256(key.format(compressed=False)[1:])[12:]


@each_root
def test_an_emitter_of_no_root(signing: SigningSet) -> None:
    slot = slot_of(signing)
    for change in ({"emitter_chain": 1}, {"emitter_address": bytes(32)}):
        with pytest.raises(errors.WrongEmitter):
            verify(rewrap(slot, lambda vaa, c=change: replace_vaa(vaa, **c)), BOTH, at=AT)  # type: ignore[misc]


@each_root
def test_an_index_no_set_has(signing: SigningSet) -> None:
    later = with_keys(signing, 2)
    with pytest.raises(errors.UnknownSet, match="index 2"):
        verify(slot_of(later).update([0]), BOTH, at=AT)


@each_root
def test_a_root_that_is_not_trusted_here(signing: SigningSet) -> None:
    """The integrator's mistake of the migration: all is well with the update, and it is of the other root."""
    other = TrustRoot.PRO if signing.root is TrustRoot.CORE else TrustRoot.CORE
    with pytest.raises(errors.WrongRoot, match=f"an update of the {signing.root} root; trusted here: {other}"):
        verify(slot_of(signing).update([0]), BOTH.only(other), at=AT)


@each_root
@pytest.mark.parametrize("index", [1, 2], ids=["an index both ladders have", "an index the claimed ladder lacks"])
@pytest.mark.parametrize("narrowed", [False, True], ids=["both trusted", "one trusted"])
def test_right_signatures_of_the_other_root(signing: SigningSet, index: int, narrowed: bool) -> None:
    """Under one root's emitter, a quorum of the other root's set: told apart from a bad signature."""
    other = PRO_SET if signing is CORE_SET else CORE_SET
    signer = with_keys(other, index)
    known = trust_of(signing, signer)
    forged = sign_slot([price(0)], signer, slot=SLOT, time_s=TIME_S, emitter=signing.emitter)
    with pytest.raises(errors.WrongRoot, match=f"claims the {signing.root} root.*of the {other.root} root"):
        verify(forged.update([0]), known.only(signing.root) if narrowed else known, at=AT)


def test_wrong_root_is_told_even_where_the_claimed_set_has_expired() -> None:
    expired = replace(CORE_SET.signer_set(), expires_at=AT.plus(-DAY))
    forged = sign_slot([price(0)], PRO_SET, slot=SLOT, time_s=TIME_S, emitter=CORE_SET.emitter)
    with pytest.raises(errors.WrongRoot):
        verify(forged.update([0]), BOTH.with_set(expired), at=AT)


def test_one_repeated_signature_is_no_quorum_of_another_root() -> None:
    forged = sign_slot([price(0)], PRO_SET, slot=SLOT, time_s=TIME_S, emitter=CORE_SET.emitter)
    repeated = rewrap(forged, lambda vaa: replace_vaa(vaa, signatures=vaa.signatures[:1] * 13))
    with pytest.raises(errors.SignatureOrder):
        verify(repeated, BOTH, at=AT)


@each_root
def test_validity_in_time(signing: SigningSet) -> None:
    update = slot_of(signing).update([0])
    known = BOTH.with_set(replace(signing.signer_set(), valid_from=AT, expires_at=AT.plus(DAY)))
    for good in (AT, AT.plus(DAY)):
        assert verify(update, known, at=good).root is signing.root
    with pytest.raises(errors.UnknownSet, match="not yet"):
        verify(update, known, at=AT.plus(-timedelta(microseconds=1)))
    late = AT.plus(DAY + timedelta(microseconds=1))
    with pytest.raises(errors.SupersededSet, match="expired"):
        verify(update, known, at=late)
    assert verify(update, known, at=late, accept_superseded=True).set_index == 1


@each_root
def test_a_superseded_set_of_unknown_expiry(signing: SigningSet) -> None:
    update = slot_of(signing).update([0])
    newer = with_keys(signing, 2).signer_set()
    known = BOTH.with_set(newer)
    with pytest.raises(errors.SupersededSet, match="superseded by set 2"):
        verify(update, known, at=AT)
    assert verify(update, known, at=AT, accept_superseded=True).set_index == 1
    # One that is known to begin later has superseded nothing yet.
    announced = BOTH.with_set(replace(newer, valid_from=AT.plus(DAY)))
    assert verify(update, announced, at=AT).set_index == 1
    with pytest.raises(errors.SupersededSet):
        verify(update, announced, at=AT.plus(DAY))


def test_an_expired_set_must_have_signed_to_be_called_so() -> None:
    slot = slot_of(PRO_SET)
    expired = BOTH.with_set(replace(PRO_SET.signer_set(), expires_at=AT.plus(-DAY)))
    with pytest.raises(errors.BadSignature):
        verify(rewrap(slot, lambda vaa: replace_vaa(vaa, nonce=1)), expired, at=AT)


@each_root
def test_bad_proofs(signing: SigningSet) -> None:
    slot = slot_of(signing)
    good = accumulator.decode(slot.update([0, 1]))
    (first, first_proof), (second, second_proof) = good.proven
    for proven in (
        ((first, first_proof), (second, first_proof)),
        ((first, first_proof), (second, second_proof[:-20])),
        ((first, first_proof), (second, second_proof + bytes(20))),
        ((first, first_proof), (second, second_proof[:-20] + bytes(20))),
        ((first, first_proof), (second + b"\x00", second_proof)),
        ((first, b""), (second, second_proof)),
    ):
        with pytest.raises(errors.BadProof):
            verify(msgspec.structs.replace(good, proven=proven), BOTH, at=AT)


def test_trailing_bytes_of_a_message_are_proven_and_unknown_types_kept() -> None:
    longer = messages.encode(price(0)) + b"later"
    slot = sign_slot([longer, b"\x09new"], PRO_SET, slot=SLOT, time_s=TIME_S)
    assert verify(slot.update([0, 1]), BOTH, at=AT).messages == (price(0), UnknownMessage(9, b"\x09new"))


def test_what_the_contracts_refuse_is_refused() -> None:
    good = slot_of(PRO_SET).update([0])
    with pytest.raises(errors.DecodeError, match="major version 2"):
        verify(good[:4] + b"\x02" + good[5:], BOTH, at=AT)
    with pytest.raises(errors.DecodeError, match="behind the last message"):
        verify(good + b"\x00", BOTH, at=AT)
    # A quorum that signed something else than a Merkle root.
    other = PRO_SET.sign(replace_vaa(slot_of(PRO_SET).vaa, payload=b"AUWV\x01" + bytes(32)))
    with pytest.raises(errors.DecodeError, match="not a Merkle root"):
        verify(accumulator.encode(AccumulatorUpdate(vaa_codec.encode(other), ())), BOTH, at=AT)
    # A proven message that is none.
    short = sign_slot([b"\x00short"], PRO_SET, slot=SLOT, time_s=TIME_S)
    with pytest.raises(errors.DecodeError):
        verify(short.update([0]), BOTH, at=AT)


def test_every_mutation_is_refused_or_proves_the_same() -> None:
    """No damaged update passes with other content: the version's minor, the header behind it and the counts stay free."""
    slot = slot_of(PRO_SET, count=2)
    good = slot.update([0, 1])
    wanted = verify(good, BOTH, at=AT)
    for mutated in mutations(good):
        try:
            verified = verify(mutated, BOTH, at=AT)
        except (errors.DecodeError, errors.VerificationError):
            continue
        assert verified == wanted


def test_a_shared_vaa_is_recovered_once_and_each_update_proven() -> None:
    slot = slot_of(CORE_SET, count=600)
    parts = slot.updates(range(600))
    assert [len(accumulator.decode(part).proven) for part in parts] == [255, 255, 90]
    verifier = Verifier(BOTH)
    with patch.object(Recovery, "address", autospec=True, side_effect=Recovery.address) as recovered:
        proven = [verifier.verify(part, at=AT) for part in parts]
    assert recovered.call_count == 13
    assert [message for one in proven for message in one.messages] == [price(number) for number in range(600)]

    broken = accumulator.decode(parts[1])
    message, proof = broken.proven[7]
    wrong = (*broken.proven[:7], (message, proof[:-20] + bytes(20)), *broken.proven[8:])
    with pytest.raises(errors.BadProof, match="message 7 "):
        verifier.verify(msgspec.structs.replace(broken, proven=wrong), at=AT)
    assert len(verifier.verify(parts[2], at=AT).messages) == 90
    with pytest.raises(errors.SupersededSet):
        verifier = Verifier(BOTH.with_set(replace(CORE_SET.signer_set(), expires_at=AT.plus(-DAY))))
        verifier.verify(parts[0], at=AT)


def test_a_vaa_that_failed_fails_again() -> None:
    bad = slot_of(PRO_SET, signers=(0,)).update([0])
    verifier = Verifier(BOTH)
    for _ in range(2):
        with pytest.raises(errors.NoQuorum):
            verifier.verify(bad, at=AT)


def test_a_claim_is_read_without_verifying() -> None:
    unsigned = slot_of(PRO_SET, signers=()).update([0])
    assert trust.claim_of(unsigned, BOTH) == trust.Claim(TrustRoot.PRO, 1, Instant.from_seconds(TIME_S), SLOT)
    assert trust.claim_of(unsigned, Trust((), ())).root is None
    with pytest.raises(errors.DecodeError):
        trust.claim_of(unsigned[:200], BOTH)


def test_no_error_quotes_unbounded_input() -> None:
    many = SignerSet(TrustRoot.PRO, 1, tuple(bytes([number + 1]) * 20 for number in range(255)))
    hostile = rewrap(
        slot_of(PRO_SET),
        lambda vaa: replace_vaa(vaa, signatures=tuple(Signature(n, bytes(64), 0) for n in range(255)), payload=bytes(40_000)),
    )
    with pytest.raises(errors.BadSignature) as caught:
        verify(hostile, Trust((many,), EMITTERS), at=AT)
    assert len(str(caught.value)) < 300
