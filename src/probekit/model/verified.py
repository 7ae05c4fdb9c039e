"""What verification yields: who signed, under which root and set, for which slot, and the messages proven."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from probekit.units import Instant


class TrustRoot(StrEnum):
    """The two trust roots in force in 2026. Each has its own signer ladder, emitter and quorum formula."""

    CORE = "core"
    """Pythnet validators, attested by the 19 Wormhole guardians."""
    PRO = "pro"
    """The independent Pyth Pro routers."""

    def quorum(self, signers: int) -> int:
        """Signatures needed of a set of ``signers``: floor(2n/3)+1 for core, floor(n/2)+1 for pro."""
        match self:
            case TrustRoot.CORE:
                return signers * 2 // 3 + 1
            case TrustRoot.PRO:
                return signers // 2 + 1
            case _:
                assert_never(self)

    @property
    def slot_ns(self) -> int:
        """Nominal length of a slot: 400 ms on Pythnet, 50 ms ticks on the pro root."""
        return 400_000_000 if self is TrustRoot.CORE else 50_000_000


class PriceMessage(msgspec.Struct, frozen=True, tag="price", tag_field="kind", gc=False):
    """Message type 0 of an accumulator update (85 bytes): ``feed_id`` is 64 hex digits, times are Unix seconds."""

    feed_id: str
    price: int
    conf: int
    expo: int
    publish_time: int
    prev_publish_time: int
    ema_price: int
    ema_conf: int


class TwapMessage(msgspec.Struct, frozen=True, tag="twap", tag_field="kind", gc=False):
    """Message type 1 (101 bytes): cumulative sums from which a time-weighted average is taken."""

    feed_id: str
    cumulative_price: int
    cumulative_conf: int
    num_down_slots: int
    expo: int
    publish_time: int
    prev_publish_time: int
    publish_slot: int


class StakeCap(msgspec.Struct, frozen=True, gc=False):
    """One publisher's cap; ``publisher`` is the 32-byte key in hex."""

    publisher: str
    cap: int


class StakeCapsMessage(msgspec.Struct, frozen=True, tag="stake_caps", tag_field="kind"):
    """Message type 2 (11 + 40n bytes): publisher stake caps, no feed id."""

    publish_time: int
    caps: tuple[StakeCap, ...]


class UnknownMessage(msgspec.Struct, frozen=True, tag="unknown", tag_field="kind", gc=False):
    """A message of a type this release does not know: kept, proven, not interpreted."""

    type: int
    data: bytes


Message = PriceMessage | TwapMessage | StakeCapsMessage | UnknownMessage


class Verified(msgspec.Struct, frozen=True):
    """Proof that a quorum of one trusted set signed the Merkle root that all ``messages`` lead to."""

    root: TrustRoot
    set_index: int
    signers: tuple[int, ...]
    """Indices, in the set, of those whose signatures were checked; ascending."""
    quorum: int
    slot: int
    sequence: int
    vaa_time: Instant
    """The VAA's own time stamp: whole seconds."""
    digest: bytes
    """keccak256(keccak256(body)): what was signed."""
    messages: tuple[Message, ...]
