"""Real signatures of both roots, real Merkle proofs, real set upgrades.

Updates are verified as of their own VAA time with superseded sets accepted: that proves who signed, not that it is acceptable
today.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from probekit import trust
from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.governance.core import decode_set_upgrade as decode_core_upgrade
from probekit.codecs.merkle import check_proofs
from probekit.codecs.vaa import Vaa
from probekit.errors import BadProof, DecodeError, SupersededSet, VerificationError
from probekit.model import PriceMessage, TrustRoot, TwapMessage
from probekit.trust import Emitter, SignerSet, Trust
from probekit.trust.sets import decode_set_upgrade
from probekit.trust.signatures import recover
from tests.support.vectors import load, of_kind


def trust_for(vector: dict[str, Any], expected: dict[str, Any]) -> Trust:
    if "test" not in vector["network"]:
        return trust.MAINNET
    # A test signer of the contracts' own suites, under the emitter the vector itself names.
    signer = SignerSet.of(TrustRoot.CORE, 0, *(one["address"] for one in expected["signers"]))
    emitter = Emitter(TrustRoot.CORE, expected["emitter_chain"], bytes.fromhex(expected["emitter_address"]))
    return Trust((signer,), (emitter,))


@pytest.mark.parametrize("vector", of_kind("accumulator_update"))
def test_accumulator_update(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    if not expected["decodes"]:
        with pytest.raises(DecodeError):
            _decode_whole(data)
        return
    update = accumulator.decode(data)
    assert accumulator.encode(update) == data
    vaa = vaa_codec.decode(update.vaa)
    payload = accumulator.decode_payload(vaa.payload)
    assert vaa_codec.encode(vaa) == update.vaa
    assert (vaa.set_index, vaa.emitter_chain, vaa.emitter_address.hex(), vaa.sequence, vaa.timestamp, payload.slot) == (
        expected["guardian_set_index"],
        expected["emitter_chain"],
        expected["emitter_address"],
        expected["sequence"],
        expected["vaa_timestamp"],
        expected["slot"],
    )
    assert payload.ring_size == expected.get("ring_size", payload.ring_size)
    assert payload.root.hex() == expected.get("merkle_root", payload.root.hex())
    assert signers_of(vaa) == expected["signers"]
    for (message, proof), wanted in zip(update.proven, expected["updates"], strict=True):
        decoded = messages.decode(message)
        assert {PriceMessage: 0, TwapMessage: 1}.get(type(decoded), message[0]) == wanted["message_type"]
        about = {"message_type": message[0], "message_length": len(message), "proof_nodes": len(proof) // 20}
        found = about | {name: getattr(decoded, name) for name in decoded.__struct_fields__}
        # Of a type that nobody knows the file says null for everything but the type.
        assert {name: found.get(name) for name in wanted if name != "merkle_proof_valid"} == {
            name: value for name, value in wanted.items() if name != "merkle_proof_valid"
        }
        try:
            check_proofs(payload.root, [(message, proof)])
        except BadProof:
            proven = False
        else:
            proven = True
        assert proven == wanted.get("merkle_proof_valid", True)

    known = trust_for(vector, expected)
    if update.major != accumulator.MAJOR:
        # The file pins the decode alone; every contract refuses a major version but 1, and so does verification.
        with pytest.raises(DecodeError, match="major version"):
            trust.verify(data, known, at=vaa.time, accept_superseded=True)
    elif expected["merkle_proofs_valid"]:
        verified = trust.verify(data, known, at=vaa.time, accept_superseded=True)
        assert verified.slot == expected["slot"]
        assert list(verified.signers) == [one["index"] for one in expected["signers"]]
        assert verified.root == expected.get("trust_root", "core")
    else:
        with pytest.raises(BadProof):
            trust.verify(data, known, at=vaa.time, accept_superseded=True)


def signers_of(vaa: Vaa) -> list[dict[str, Any]]:
    """Who signed, by their index, as the vectors have it."""
    digest = vaa.digest()
    return [{"index": one.index, "address": "0x" + recover(one, digest).hex()} for one in vaa.signatures]


def header_of(vaa: Vaa) -> dict[str, Any]:
    """What stands before the payload, by the names that the vectors have."""
    return {
        "emitter_chain": vaa.emitter_chain,
        "emitter_address": vaa.emitter_address.hex(),
        "sequence": vaa.sequence,
        "vaa_timestamp": vaa.timestamp,
    }


def _decode_whole(data: bytes) -> None:
    update = accumulator.decode(data)
    accumulator.decode_payload(vaa_codec.decode(update.vaa).payload)
    for message, _ in update.proven:
        messages.decode(message)


@pytest.mark.parametrize("vector", of_kind("vaa"))
def test_bare_vaa(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    assert expected["decodes"]
    vaa = vaa_codec.decode(data)
    assert vaa_codec.encode(vaa) == data
    assert (data[0], vaa.set_index, vaa.nonce, vaa.consistency_level, vaa.payload.hex()) == (
        expected["version"],
        expected["guardian_set_index"],
        expected["nonce"],
        expected["consistency_level"],
        expected["payload"],
    )
    assert header_of(vaa).items() <= expected.items()
    assert signers_of(vaa) == expected["signers"]
    payload = accumulator.decode_payload(vaa.payload)
    assert (payload.slot, payload.ring_size, payload.root.hex()) == (
        expected["slot"],
        expected["ring_size"],
        expected["merkle_root"],
    )
    assert trust.MAINNET.root_of(vaa.emitter_chain, vaa.emitter_address) == expected["trust_root"]
    signers = trust.MAINNET.get(TrustRoot.PRO, vaa.set_index)
    assert signers is not None
    digest = vaa.digest()
    assert all(recover(one, digest) == signers.signers[one.index] for one in vaa.signatures)


@pytest.mark.parametrize("vector", of_kind("guardian_set_upgrade_vaa"))
def test_set_upgrade(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    root = TrustRoot(expected.get("trust_root", "core"))
    known = trust.PRO_STAGING if "staging" in vector["network"] else trust.MAINNET
    before = known.get(root, expected["signed_by_set"])
    assert before is not None
    vaa = vaa_codec.decode(data)
    assert expected["decodes"]
    assert signers_of(vaa) == expected["signers"]
    if "emitter_chain" in expected:
        assert header_of(vaa).items() <= expected.items()
        assert decode_core_upgrade(vaa.payload).target_chain == expected["target_chain"]
        rule = {"n/2+1": len(before.signers) // 2 + 1}[expected["quorum_rule"]]
        assert before.root.quorum(len(before.signers)) == rule
    upgraded = Trust((before,), known.emitters).upgraded(data, installed_at=vaa.time)
    new = upgraded.get(root, expected["new_set_index"])
    assert new is not None
    assert ["0x" + signer.hex() for signer in new.signers] == expected["guardians"]
    assert upgraded.get(root, before.index) != before
    # The registry holds what the chain of upgrades leads to.
    listed = known.get(root, expected["new_set_index"])
    assert listed is not None
    assert listed.signers == new.signers == decode_set_upgrade(vaa.payload)[1]


@pytest.mark.skipif(not load(), reason="PROBEKIT_VECTORS names no folder")
def test_the_registry_follows_from_the_first_set_of_each_ladder() -> None:
    """One chain of signatures from the genesis guardian to set 7, and one from pro set 0 to set 1.

    The vectors lack the upgrade to core set 6; its signers are the registry's own, and a real update signed by them is among
    the vectors.
    """
    content = dict(load())
    genesis = tuple(one for one in trust.MAINNET.sets if one.index == 0)
    assert {one.root for one in genesis} == set(TrustRoot)
    grown = Trust(genesis, trust.EMITTERS)
    for name in (*(f"guardian-set-{index}" for index in (1, 2, 3, 4, 5)), "guardian-set-pro-1"):
        # Both ladders have a set 0 here: the root is found by who signed.
        vaa = vaa_codec.decode(bytes.fromhex(content[name]["data"]))
        grown = grown.upgraded(vaa, installed_at=vaa.time)
    sixth = trust.MAINNET.get(TrustRoot.CORE, 6)
    assert sixth is not None
    grown = grown.with_set(sixth)
    vaa = vaa_codec.decode(bytes.fromhex(content["guardian-set-7"]["data"]))
    grown = grown.upgraded(vaa, installed_at=vaa.time)
    assert {(one.root, one.index): one.signers for one in grown.sets} == {
        (one.root, one.index): one.signers for one in trust.MAINNET.sets
    }


@pytest.mark.skipif(not load(), reason="PROBEKIT_VECTORS names no folder")
def test_a_known_rotation_lets_a_real_update_of_the_old_set_pass_for_24_hours() -> None:
    content = dict(load())
    upgrade, update = (bytes.fromhex(content[name]["data"]) for name in ("guardian-set-pro-1", "pnau-pro-00"))
    at = trust.claim_of(update, trust.PRO).time
    with pytest.raises(SupersededSet, match="not known"):
        trust.verify(update, trust.PRO, at=at)
    # The rotation's VAA carries time 0: when it took effect is the caller's knowledge.
    timed = trust.PRO.upgraded(upgrade, installed_at=at.plus(-timedelta(hours=24)))
    assert trust.verify(update, timed, at=at).set_index == 0
    with pytest.raises(SupersededSet, match="expired"):
        trust.verify(update, timed, at=at.plus(timedelta(seconds=1)))


@pytest.mark.skipif(not load(), reason="PROBEKIT_VECTORS names no folder")
def test_a_real_update_is_refused_by_the_other_roots_trust() -> None:
    content = dict(load())
    for name, wrong in (("pnau-pro-01", trust.CORE), ("pnau-core-03", trust.PRO)):
        data = bytes.fromhex(content[name]["data"])
        at = trust.claim_of(data, trust.MAINNET).time
        with pytest.raises(VerificationError) as caught:
            trust.verify(data, wrong, at=at)
        assert caught.value.error_type == "wrong_root"
