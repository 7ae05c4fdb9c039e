"""Attempts to make something verify that no quorum signed.

What is genuine is known from having made it: three slots, each signed once. Whatever is put together of their parts and of a
thief's, verification either refuses it or says exactly what was signed.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import errors
from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate, RootPayload
from probekit.codecs.merkle import ProofChecker, leaf_hash, node_hash
from probekit.codecs.vaa import Signature
from probekit.model import Message, TrustRoot
from probekit.trust import CORE_EMITTER, PRO_EMITTER, verify
from probekit.trust.signing import SignedSlot, SigningSet, replace_vaa, sign_slot, trust_of
from tests.unit.trust.builders import AT, CORE_SET, PRO_SET, SLOT, TIME_S, price

# The order of the curve, of which s and order - s are both signatures.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BOTH = trust_of(CORE_SET, PRO_SET)
THIEF = SigningSet.generate(TrustRoot.PRO, 1, b"thief", size=19)


def slot(signing: SigningSet, first: int, count: int, number: int) -> SignedSlot:
    return sign_slot([price(first + n) for n in range(count)], signing, slot=number, time_s=TIME_S)


CORE = slot(CORE_SET, 0, 5, SLOT)
PRO = slot(PRO_SET, 10, 4, SLOT + 20)
LATER = slot(PRO_SET, 20, 1, SLOT + 40)
GENUINE: dict[bytes, tuple[TrustRoot, int, frozenset[Message]]] = {
    one.vaa.digest(): (root, number, frozenset(messages.decode(raw) for raw in one.encoded))
    for one, root, number in ((CORE, TrustRoot.CORE, SLOT), (PRO, TrustRoot.PRO, SLOT + 20), (LATER, TrustRoot.PRO, SLOT + 40))
}
SLOTS = (CORE, PRO, LATER)
STOLEN = THIEF.sign(PRO.vaa, signers=range(19))
SIGNATURES = [signature for one in SLOTS for signature in one.vaa.signatures] + list(STOLEN.signatures)
LEAVES = [(raw, one.tree.proof(n)) for one in SLOTS for n, raw in enumerate(one.encoded)]
NODES = [LATER.tree.root, PRO.tree.root, *(leaf_hash(raw) for one in SLOTS for raw in one.encoded), bytes(20)]


def other_half(signature: Signature) -> Signature:
    """The twin with the high s: the same signer over the same digest."""
    s = ORDER - int.from_bytes(signature.rs[32:], "big")
    return Signature(signature.index, signature.rs[:32] + s.to_bytes(32, "big"), signature.recovery_id ^ 1)


def reindexed(signature: Signature, index: int) -> Signature:
    return Signature(index, signature.rs, signature.recovery_id)


one_signature = st.one_of(
    st.sampled_from(SIGNATURES),
    st.sampled_from(SIGNATURES).map(other_half),
    st.builds(reindexed, st.sampled_from(SIGNATURES), st.integers(0, 20)),
)
signature_lists = st.one_of(
    st.sampled_from([one.vaa.signatures for one in (*SLOTS,)]),
    st.lists(one_signature, max_size=20).map(tuple),
    st.lists(one_signature, max_size=20).map(lambda found: tuple(sorted(found, key=lambda one: one.index))),
    # Every signer once, in order, each with a signature of its own from whichever slot.
    st.lists(st.sampled_from(SLOTS), min_size=3, max_size=13).map(
        lambda slots: tuple(one.vaa.signatures[n % len(one.vaa.signatures)] for n, one in enumerate(slots))
    ),
)
forged_payloads = st.sampled_from(
    [one.vaa.payload for one in SLOTS]
    + [accumulator.encode_payload(RootPayload(SLOT, 0, root)) for root in NODES]
    + [PRO.vaa.payload + b"\x00", PRO.vaa.payload[:-1] + b"\x00"]
)
proven_lists = st.lists(
    st.one_of(
        st.sampled_from(LEAVES),
        st.tuples(st.sampled_from([raw for raw, _ in LEAVES]), st.lists(st.sampled_from(NODES), max_size=4).map(b"".join)),
        st.tuples(st.sampled_from([b"\x00" * 85, PRO.encoded[0] + b"\x00"]), st.sampled_from([proof for _, proof in LEAVES])),
    ),
    max_size=6,
).map(tuple)


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
@settings(max_examples=400)
@given(
    st.sampled_from(SLOTS),
    signature_lists,
    st.one_of(st.none(), forged_payloads),
    st.one_of(st.none(), st.sampled_from([CORE_EMITTER, PRO_EMITTER])),
    st.sampled_from([0, 1, 1, 1, 2]),
    proven_lists,
)
def test_what_is_put_together_proves_nothing_that_was_not_signed(
    base: SignedSlot,
    signatures: tuple[Signature, ...],
    payload: bytes | None,
    emitter: object,
    set_index: int,
    proven: tuple[tuple[bytes, bytes], ...],
) -> None:
    vaa = replace_vaa(base.vaa, signatures=signatures, set_index=set_index)
    if payload is not None:
        vaa = replace_vaa(vaa, payload=payload)
    if emitter is not None:
        vaa = replace_vaa(vaa, emitter_address=emitter.address)  # type: ignore[attr-defined]
    update = AccumulatorUpdate(vaa_codec.encode(vaa), proven)
    try:
        verified = verify(update, BOTH, at=AT)
    except (errors.VerificationError, errors.DecodeError):
        return
    root, number, signed = GENUINE[verified.digest]
    assert (verified.root, verified.slot, verified.set_index) == (root, number, 1)
    assert set(verified.messages) <= signed
    assert len(set(verified.signers)) >= verified.quorum


def test_the_forger_can_also_be_honest() -> None:
    """Otherwise the property above would hold of a verification that refuses everything."""
    for one in SLOTS:
        update = AccumulatorUpdate(
            vaa_codec.encode(one.vaa), tuple((raw, one.tree.proof(n)) for n, raw in enumerate(one.encoded))
        )
        assert set(verify(update, BOTH, at=AT).messages) == GENUINE[one.vaa.digest()][2]


def test_the_other_half_of_a_signature_is_the_same_signers() -> None:
    """As in the contracts, whose ecrecover takes either: it proves no less, and nothing else."""
    twins = replace_vaa(PRO.vaa, signatures=tuple(other_half(signature) for signature in PRO.vaa.signatures))
    proven = ((PRO.encoded[0], PRO.tree.proof(0)),)
    honest = verify(AccumulatorUpdate(vaa_codec.encode(PRO.vaa), proven), BOTH, at=AT)
    assert verify(AccumulatorUpdate(vaa_codec.encode(twins), proven), BOTH, at=AT) == honest
    # A signature and its twin are one signer, whatever index the second claims.
    first = PRO.vaa.signatures[0]
    for index, error in ((0, errors.SignatureOrder), (1, errors.BadSignature)):
        doubled = (first, reindexed(other_half(first), index), PRO.vaa.signatures[2])
        with pytest.raises(error):
            verify(AccumulatorUpdate(vaa_codec.encode(replace_vaa(PRO.vaa, signatures=doubled)), proven), BOTH, at=AT)


def test_a_proof_of_no_nodes_proves_the_only_message_of_its_tree() -> None:
    encoded = vaa_codec.encode(LATER.vaa)
    assert LATER.tree.proof(0) == b""
    assert verify(AccumulatorUpdate(encoded, ((LATER.encoded[0], b""),)), BOTH, at=AT).messages == (price(20),)
    for proven in ((PRO.encoded[0], b""), (b"", b""), (LATER.encoded[0], bytes(20))):
        with pytest.raises(errors.BadProof):
            verify(AccumulatorUpdate(encoded, (proven,)), BOTH, at=AT)


def test_an_inner_node_is_no_message() -> None:
    """The classic second preimage: the children of a node, served as a message with a shorter path."""
    left, right = leaf_hash(PRO.encoded[0]), leaf_hash(PRO.encoded[1])
    low, high = sorted((left, right))
    assert node_hash(left, right) == PRO.tree._levels[1][0]
    rest = PRO.tree.proof(0)[20:]
    for disguise in (low + high, b"\x01" + low + high, b"\x00" + b"\x01" + low + high):
        with pytest.raises(errors.BadProof):
            ProofChecker(PRO.tree.root).check([(disguise, rest)])


def test_a_path_that_failed_leaves_nothing_behind_to_lean_on() -> None:
    """A checker remembers paths while it walks them: a failed one must not vouch for the next."""
    checker = ProofChecker(PRO.tree.root)
    forged = b"\x00" * 85
    path = leaf_hash(b"sibling") + PRO.tree.proof(0)
    with pytest.raises(errors.BadProof):
        checker.check([(PRO.encoded[0], PRO.tree.proof(0)), (forged, path)])
    for attempt in ((forged, path), (b"sibling", leaf_hash(forged) + PRO.tree.proof(0)), (forged, b"")):
        with pytest.raises(errors.BadProof):
            checker.check([attempt])
    checker.check([(PRO.encoded[0], PRO.tree.proof(0))])


def test_a_message_given_twice_is_proven_twice() -> None:
    proven = ((PRO.encoded[0], PRO.tree.proof(0)),) * 2
    assert verify(AccumulatorUpdate(vaa_codec.encode(PRO.vaa), proven), BOTH, at=AT).messages == (price(10), price(10))


def test_signatures_of_two_sets_make_no_quorum_of_either() -> None:
    """A rotation keeps some keys: what the old and the new set signed does not add up."""
    newer = SigningSet(TrustRoot.PRO, 2, (*PRO_SET.keys[:2], *THIEF.keys[:3]))
    known = trust_of(PRO_SET, newer)
    by_new = newer.sign(PRO.vaa, signers=(0, 1, 2))
    mixed = (*by_new.signatures[:2], PRO.vaa.signatures[2])
    for index in (1, 2):
        vaa = replace_vaa(PRO.vaa, set_index=index, signatures=mixed)
        update = AccumulatorUpdate(vaa_codec.encode(vaa), ((PRO.encoded[0], PRO.tree.proof(0)),))
        if index == 1:
            # Two of these keys are in both sets, and the third is of the old one: these are three signers of set 1.
            with pytest.raises(errors.SupersededSet):
                verify(update, known, at=AT)
            assert verify(update, known, at=AT, accept_superseded=True).signers == (0, 1, 2)
        else:
            with pytest.raises(errors.BadSignature):
                verify(update, known, at=AT.plus(timedelta(days=1)))
