"""Governance VAAs: Pyth's, Wormhole's, and those whose content does not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.governance.core import decode_set_upgrade, encode_set_upgrade
from probekit.codecs.governance.envelope import EMITTERS, decode_payload, decode_vaa
from probekit.codecs.governance.message import encode
from probekit.codecs.vaa import Vaa
from probekit.errors import DecodeError
from probekit.model.governance import GovernanceMessage, SetFee
from probekit.model.pyth_evm import DataSource
from probekit.model.wormhole import GuardianSetUpgrade
from probekit.trust.sets import GOVERNANCE
from tests.support.mutation import decodes_or_refuses, mutations
from tests.unit.codecs.governance.actions import messages
from tests.unit.codecs.strategies import exactly, unsigned


def vaa_of(payload: bytes) -> bytes:
    return vaa_codec.encode(Vaa(0, (), 1, 2, 1, b"\x56" * 32, 9, 1, payload))


@given(messages)
def test_a_vaa_and_its_message(message: GovernanceMessage) -> None:
    found = decode_vaa(vaa_of(encode(message)))
    assert found.content == message
    assert decode_vaa(found.vaa) == found
    assert (found.vaa.sequence, found.source) == (9, DataSource(1, b"\x56" * 32))


def test_content_that_does_not_read_keeps_the_vaa() -> None:
    found = decode_vaa(vaa_of(b"PTGM\x01\x03\x00\x02" + bytes(15)))
    assert isinstance(found.content, DecodeError)
    assert found.content.raw == found.vaa.payload
    assert found.vaa.sequence == 9
    with pytest.raises(DecodeError, match="too short"):
        decode_vaa(b"\x01" + bytes(20))


def test_every_mutation_of_a_vaa_decodes_or_is_a_decode_error() -> None:
    data = vaa_of(encode(GovernanceMessage(2, SetFee(1, 2))))
    outcomes = [decodes_or_refuses(decode_vaa, mutated) for mutated in mutations(data)]
    assert {True, False} == set(outcomes)


@given(unsigned(32), st.lists(exactly(20), min_size=1, max_size=30).map(tuple), unsigned(16))
def test_set_upgrades_go_there_and_back(index: int, guardians: tuple[bytes, ...], chain: int) -> None:
    payload = encode_set_upgrade(index, guardians, chain)
    assert decode_set_upgrade(payload) == decode_payload(payload) == GuardianSetUpgrade(chain, index, guardians)


def test_every_mutation_of_a_set_upgrade_decodes_or_is_a_decode_error() -> None:
    payload = encode_set_upgrade(2, (b"a" * 20, b"b" * 20), 7)
    outcomes = [decodes_or_refuses(decode_payload, mutated) for mutated in mutations(payload)]
    assert {True, False} == set(outcomes)


def test_other_actions_of_wormholes_core_are_refused_by_name() -> None:
    with pytest.raises(DecodeError, match="module Core, action 2"):
        decode_payload(b"Core".rjust(32, b"\x00") + b"\x01" + bytes(34))


@pytest.mark.parametrize("upgrade", [(2**32, (bytes(20),), 0), (1, (b"short",), 0), (1, (bytes(20),) * 256, 0), (1, (), 2**16)])
def test_what_does_not_fit_is_not_encoded(upgrade: tuple[int, tuple[bytes, ...], int]) -> None:
    with pytest.raises(ValueError):
        encode_set_upgrade(*upgrade)


def test_who_governs() -> None:
    assert EMITTERS[DataSource(*GOVERNANCE)] == "Wormhole governance"
    assert all(len(source.emitter) == 32 and source.chain_id == 1 for source in EMITTERS)
