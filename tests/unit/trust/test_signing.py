"""Signing with sets of one's own: each root's conventions, and the same keys from the same seed."""

from __future__ import annotations

import pytest

from probekit.codecs import accumulator
from probekit.codecs import vaa as vaa_codec
from probekit.model import TrustRoot
from probekit.trust import CORE_EMITTER, verify
from probekit.trust.signing import SigningSet, sign_slot, trust_of, with_keys
from tests.unit.trust.builders import AT, CORE_SET, PRO_SET, SLOT, TIME_S, price, slot_of


def test_the_same_seed_makes_the_same_set_and_nothing_else_does() -> None:
    made = {
        SigningSet.generate(root, index, seed).signer_set().signers
        for root in TrustRoot
        for index in (0, 1)
        for seed in (b"a", b"b")
    }
    assert len(made) == 8
    assert SigningSet.generate(TrustRoot.PRO, 1, b"tests").signer_set() == PRO_SET.signer_set()
    assert (len(CORE_SET.keys), len(PRO_SET.keys)) == (19, 5)
    assert len(SigningSet.generate(TrustRoot.PRO, 0, b"a", size=3).keys) == 3
    assert with_keys(PRO_SET, 4).signer_set().signers == PRO_SET.signer_set().signers


def test_conventions_of_the_pro_root() -> None:
    vaa = slot_of(PRO_SET).vaa
    assert (vaa.nonce, vaa.consistency_level, vaa.sequence) == (0, 0, SLOT)
    assert vaa.emitter_address == b"PythnetPythnetPythnetPythnetPyth"
    assert accumulator.decode_payload(vaa.payload).ring_size == 0
    # As seen on the main network: 292 bytes, three signatures.
    assert len(vaa_codec.encode(vaa)) == 0x0124


def test_conventions_of_the_core_root() -> None:
    vaa = sign_slot([price(0)], CORE_SET, slot=7, time_s=TIME_S, sequence=9).vaa
    assert (vaa.nonce, vaa.consistency_level, vaa.sequence) == (0, 1, 9)
    assert vaa.emitter_address == CORE_EMITTER.address
    payload = accumulator.decode_payload(vaa.payload)
    assert (payload.slot, payload.ring_size) == (7, 10_000)
    assert len(vaa_codec.encode(vaa)) == 0x03B8


def test_a_subset_of_any_size() -> None:
    slot = slot_of(PRO_SET, count=300)
    known = trust_of(PRO_SET)
    assert slot.updates([]) == []
    assert [len(verify(part, known, at=AT).messages) for part in slot.updates(range(300))] == [255, 45]
    assert verify(slot.update([299, 0]), known, at=AT).messages == (price(299), price(0))
    with pytest.raises(ValueError):
        slot.update(range(256))
    with pytest.raises(IndexError):
        slot.update([300])
