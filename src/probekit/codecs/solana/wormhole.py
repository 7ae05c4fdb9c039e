"""Accounts of the Wormhole program that Pyth's receiver verifies against: guardian sets and the bridge configuration.

Layouts, little-endian:

* ``GuardianSet``: index u32 · count u32 of 20-byte addresses · creation time u32 · expiration time u32 (Unix seconds, zero for
  never). Sets that the present program installed begin with its Anchor discriminator; older ones do not.
* Bridge configuration: set index u32 · 8 bytes once used for fees · time to live u32 (seconds) · fee u64; no discriminator.

Source: pyth-crosschain ``target_chains/solana/programs/core-bridge/src/legacy/state``.
"""

from __future__ import annotations

from typing import Final

from probekit.codecs.solana.borsh import Reader, account_discriminator, exactly, unsigned
from probekit.model.receiver import BridgeConfig, GuardianSetAccount

GUARDIAN_SET_DISCRIMINATOR: Final = account_discriminator("GuardianSet")
_ADDRESS_SIZE: Final = 20
_MAX_GUARDIANS: Final = 255
"""A VAA names its signers by one byte."""


def decode_guardian_set(data: bytes) -> GuardianSetAccount:
    """Decode a guardian set of either form. Raises ``DecodeError``; bytes behind it are ignored."""
    reader = Reader(data, "a GuardianSet account")
    # Read as an index, the discriminator is about 1.6 billion: no set will have it.
    has_discriminator = data.startswith(GUARDIAN_SET_DISCRIMINATOR)
    if has_discriminator:
        reader.discriminator(GUARDIAN_SET_DISCRIMINATOR)
    index = reader.unsigned(4)
    count = reader.count(_ADDRESS_SIZE)
    if count > _MAX_GUARDIANS:
        raise reader.error(f"{count} guardians; a VAA can name {_MAX_GUARDIANS}", back=4)
    guardians = tuple(reader.take(_ADDRESS_SIZE) for _ in range(count))
    return GuardianSetAccount(index, guardians, reader.unsigned(4), reader.unsigned(4), has_discriminator)


def encode_guardian_set(account: GuardianSetAccount) -> bytes:
    """The bytes of a guardian set, in its own form. Raises ``ValueError`` when a field does not fit its place."""
    if len(account.guardians) > _MAX_GUARDIANS:
        raise ValueError(f"{len(account.guardians)} guardians; a VAA can name {_MAX_GUARDIANS}")
    return b"".join(
        (
            GUARDIAN_SET_DISCRIMINATOR if account.has_discriminator else b"",
            unsigned(account.index, 4),
            unsigned(len(account.guardians), 4),
            *(exactly(one, _ADDRESS_SIZE, "a guardian's address") for one in account.guardians),
            unsigned(account.creation_time, 4),
            unsigned(account.expiration_time, 4),
        )
    )


def decode_bridge_config(data: bytes) -> BridgeConfig:
    """Decode the bridge configuration (24 bytes). Raises ``DecodeError``; bytes behind it are ignored."""
    reader = Reader(data, "a bridge configuration account")
    return BridgeConfig(reader.unsigned(4), reader.unsigned(8), reader.unsigned(4), reader.unsigned(8))


def encode_bridge_config(config: BridgeConfig) -> bytes:
    """The 24 bytes of the bridge configuration. Raises ``ValueError`` when a field does not fit its place."""
    return b"".join(
        (
            unsigned(config.guardian_set_index, 4),
            unsigned(config.last_lamports, 8),
            unsigned(config.guardian_set_ttl, 4),
            unsigned(config.fee_lamports, 8),
        )
    )
