"""The clock of a Solana cluster, as its programs read it: the sysvar account ``Clock``, 40 bytes, little-endian.

Layout: slot u64, epoch start i64, epoch u64, leader schedule epoch u64, Unix time i64 (s). Source: Solana documentation,
"sysvars"; the time is the stake-weighted estimate of the cluster's validators.
"""

from __future__ import annotations

from typing import Final

import msgspec

from probekit.codecs.solana.borsh import Reader, signed, unsigned
from probekit.model.pubkey import Pubkey
from probekit.units import Instant

CLOCK: Final = Pubkey("SysvarC1ock11111111111111111111111111111111")


class ClusterClock(msgspec.Struct, frozen=True, gc=False):
    """The cluster's slot and its time there, in whole Unix seconds."""

    slot: int
    epoch: int
    unix_timestamp: int

    @property
    def time(self) -> Instant:
        return Instant.from_seconds(self.unix_timestamp)


def decode_clock(data: bytes) -> ClusterClock:
    """Decode the account ``Clock``. Raises ``DecodeError``; bytes behind the known ones are ignored."""
    reader = Reader(data, "a Clock sysvar")
    slot = reader.unsigned(8)
    reader.signed(8)
    epoch = reader.unsigned(8)
    reader.unsigned(8)
    return ClusterClock(slot, epoch, reader.signed(8))


def encode_clock(clock: ClusterClock) -> bytes:
    """The 40 bytes of it; epoch start is 0 and the leader schedule's epoch the next. Raises ``ValueError``."""
    parts = (unsigned(clock.slot, 8), signed(0, 8), unsigned(clock.epoch, 8), unsigned(clock.epoch + 1, 8))
    return b"".join((*parts, signed(clock.unix_timestamp, 8)))
