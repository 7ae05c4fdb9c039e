"""Wormhole's own governance, as far as Pyth's receivers take it: the upgrade of the set of guardians (or of Pro routers).

Layout: module 32 (``Core``, left-padded) · action u8 (2) · chain u16 (0: every chain) · index u32 · count u8 · 20 bytes each.
Source: Wormhole whitepaper 0002.
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.errors import DecodeError
from probekit.model.wormhole import GuardianSetUpgrade

MODULE: Final = b"Core".rjust(32, b"\x00")
_ACTION_UPGRADE: Final = 2
EVERY_CHAIN: Final = 0
_HEAD: Final = struct.Struct(">32sBHIB")


def decode_set_upgrade(payload: bytes) -> GuardianSetUpgrade:
    """Decode the payload that installs a set. Raises ``DecodeError``, also for any other action of the module."""
    if len(payload) < _HEAD.size or payload[:32] != MODULE or payload[32] != _ACTION_UPGRADE:
        raise DecodeError("not a set upgrade (module Core, action 2)", raw=payload, offset=0)
    _, _, chain, index, count = _HEAD.unpack_from(payload)
    if len(payload) != _HEAD.size + 20 * count or not count:
        raise DecodeError(
            f"a set upgrade of {count} signers has {_HEAD.size + 20 * count} bytes, not {len(payload)}", raw=payload, offset=39
        )
    guardians = tuple(payload[at : at + 20] for at in range(_HEAD.size, len(payload), 20))
    return GuardianSetUpgrade(chain, index, guardians)


def encode_set_upgrade(index: int, guardians: tuple[bytes, ...], chain: int = EVERY_CHAIN) -> bytes:
    """The payload that installs a set. Raises ``ValueError`` when a field does not fit its place."""
    if any(len(guardian) != 20 for guardian in guardians):
        raise ValueError("a guardian's address has 20 bytes")
    try:
        return _HEAD.pack(MODULE, _ACTION_UPGRADE, chain, index, len(guardians)) + b"".join(guardians)
    except struct.error as error:
        raise ValueError(f"a field of the set upgrade does not fit its place: {error}") from None
