"""Guardian sets with and without discriminator, and the bridge configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from probekit.codecs.solana import wormhole
from probekit.errors import DecodeError
from probekit.model.receiver import BridgeConfig, GuardianSetAccount
from probekit.units import Instant
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.solana.strategies import bridge_configs, guardian_sets

SET = GuardianSetAccount(3, (b"g" * 20, b"h" * 20), 100, 200)
LEGACY = replace(SET, has_discriminator=False)
BRIDGE = BridgeConfig(1, 2, 86_400, 3)


@given(guardian_sets)
def test_guardian_set_round_trip(account: GuardianSetAccount) -> None:
    encoded = wormhole.encode_guardian_set(account)
    assert len(encoded) == 16 + 20 * len(account.guardians) + 8 * account.has_discriminator
    assert wormhole.decode_guardian_set(encoded) == account


@given(bridge_configs)
def test_bridge_config_round_trip(config: BridgeConfig) -> None:
    encoded = wormhole.encode_bridge_config(config)
    assert len(encoded) == 24
    assert wormhole.decode_bridge_config(encoded) == config


def test_layout_is_what_the_program_writes() -> None:
    body = "03000000 02000000" + "67" * 20 + "68" * 20 + "64000000 c8000000"
    assert wormhole.encode_guardian_set(LEGACY) == bytes.fromhex(body)
    assert wormhole.encode_guardian_set(SET) == bytes.fromhex("784d4a622253607d" + body)
    assert wormhole.encode_bridge_config(BRIDGE) == bytes.fromhex("01000000 0200000000000000 80510100 0300000000000000")


def test_sizes_of_the_sets_in_use() -> None:
    routers = GuardianSetAccount(1, tuple(bytes((n,)) * 20 for n in range(5)), 0, 0)
    guardians = GuardianSetAccount(4, tuple(bytes((n,)) * 20 for n in range(19)), 0, 0, False)
    assert (len(wormhole.encode_guardian_set(routers)), len(wormhole.encode_guardian_set(guardians))) == (124, 396)


def test_bytes_behind_are_ignored() -> None:
    assert wormhole.decode_guardian_set(wormhole.encode_guardian_set(SET) + bytes(40)) == SET
    assert wormhole.decode_bridge_config(wormhole.encode_bridge_config(BRIDGE) + b"x") == BRIDGE


def test_every_mutation_decodes_or_is_a_decode_error() -> None:
    for data in (wormhole.encode_guardian_set(SET), wormhole.encode_guardian_set(LEGACY)):
        outcomes = [decodes_or_refuses(wormhole.decode_guardian_set, mutated) for mutated in mutations(data)]
        assert any(outcomes)
        assert not all(outcomes)
    for mutated in mutations(wormhole.encode_bridge_config(BRIDGE)):
        assert decodes_or_refuses(wormhole.decode_bridge_config, mutated) == (len(mutated) >= 24)


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(wormhole.decode_guardian_set, data)
    decodes_or_refuses(wormhole.decode_guardian_set, wormhole.GUARDIAN_SET_DISCRIMINATOR + data)
    decodes_or_refuses(wormhole.decode_bridge_config, data)


def test_a_claimed_count_allocates_nothing() -> None:
    data = bytes(4) + b"\xff" * 4 + bytes(100)
    with pytest.raises(DecodeError, match="4294967295 items") as caught:
        wormhole.decode_guardian_set(data)
    assert caught.value.offset == 4
    assert peak_bytes(lambda: wormhole.decode_guardian_set(data)) < 20_000


def test_more_guardians_than_a_vaa_can_name_are_refused() -> None:
    data = bytes(4) + (256).to_bytes(4, "little") + bytes(256 * 20 + 8)
    with pytest.raises(DecodeError, match="256 guardians"):
        wormhole.decode_guardian_set(data)
    with pytest.raises(ValueError, match="256 guardians"):
        wormhole.encode_guardian_set(replace(SET, guardians=(bytes(20),) * 256))


def test_a_short_address_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="20 bytes, not 19"):
        wormhole.encode_guardian_set(replace(SET, guardians=(bytes(19),)))


@pytest.mark.parametrize(
    ("account", "at", "active"),
    [
        (SET, 200, True),
        (SET, 201, False),
        (replace(SET, expiration_time=0), 2**40, True),
        (GuardianSetAccount(0, (b"g" * 20,), 1_628_099_186, 0), 1, False),
        (GuardianSetAccount(0, (b"g" * 20,), 1_628_099_187, 0), 1, True),
        (GuardianSetAccount(1, (b"g" * 20,), 1_628_099_186, 0), 1, True),
    ],
)
def test_when_the_program_takes_a_set(account: GuardianSetAccount, at: int, active: bool) -> None:
    assert account.is_active(Instant.from_seconds(at)) is active
