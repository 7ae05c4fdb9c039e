"""Accounts of the Pyth receiver (``PriceUpdateV2``, ``TwapUpdate``, ``Config``) and the Wormhole program's ``EncodedVaa``.

Layouts (Borsh, after the 8-byte Anchor discriminator):

* ``PriceUpdateV2``: write authority 32 · level: ``00 nn`` partial with nn signatures, or ``01`` full · feed id 32 · price i64 ·
  conf u64 · exponent i32 · publish time i64 · previous publish time i64 · EMA price i64 · EMA conf u64 · posted slot u64. The
  level's length moves all that follows; 134 bytes are allocated, a full one uses 133, and what stands behind is old data.
* ``TwapUpdate``: write authority 32 · feed id 32 · start i64 · end i64 · price i64 · conf u64 · exponent i32 · down slots u32.
* ``Config``: authority 32 · option of 32 · wormhole 32 · count u32 of (chain u16, emitter 32) · fee u64 · minimum u8; zeros to
  370 bytes.
* ``EncodedVaa``: status u8 · write authority 32 · version u8 · length u32 · VAA.

Source: pyth-crosschain ``target_chains/solana/pyth_solana_receiver_sdk/src`` and ``programs/core-bridge/src/state``.
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.codecs.solana.addresses import CORE, PRO, SYSTEM_PROGRAM
from probekit.codecs.solana.borsh import Reader, account_discriminator, exactly, padded, signed, unsigned
from probekit.errors import DecodeError
from probekit.model import FeedId, PriceMessage
from probekit.model.receiver import (
    FULL,
    DataSource,
    EncodedVaaAccount,
    PriceUpdateAccount,
    PushFeedAccount,
    PushFeedRead,
    ReceiverConfig,
    TwapUpdateAccount,
    VaaStatus,
    VerificationLevel,
)
from probekit.model.solana import Account

PRICE_UPDATE_SIZE: Final = 134
TWAP_UPDATE_SIZE: Final = 112
CONFIG_SIZE: Final = 370

PRICE_UPDATE_DISCRIMINATOR: Final = account_discriminator("PriceUpdateV2")
TWAP_UPDATE_DISCRIMINATOR: Final = account_discriminator("TwapUpdate")
CONFIG_DISCRIMINATOR: Final = account_discriminator("Config")
ENCODED_VAA_DISCRIMINATOR: Final = account_discriminator("EncodedVaa")

_PRICE: Final = struct.Struct("<32sqQiqqqQQ")


def decode_price_update(data: bytes) -> PriceUpdateAccount:
    """Decode a ``PriceUpdateV2``. Raises ``DecodeError``. Bytes behind the posted slot are ignored."""
    reader = Reader(data, "a PriceUpdateV2 account")
    reader.discriminator(PRICE_UPDATE_DISCRIMINATOR)
    authority = reader.key()
    level = FULL if reader.tag(1, 2) else VerificationLevel(reader.unsigned(1))
    feed, price, conf, expo, published, previous, ema_price, ema_conf, slot = _PRICE.unpack(reader.take(_PRICE.size))
    message = PriceMessage(feed.hex(), price, conf, expo, published, previous, ema_price, ema_conf)
    return PriceUpdateAccount(authority, level, message, slot)


def encode_price_update(account: PriceUpdateAccount) -> bytes:
    """The 134 bytes of a ``PriceUpdateV2``. Raises ``ValueError`` when a field does not fit its place."""
    message, signatures = account.message, account.level.num_signatures
    level = b"\x01" if signatures is None else b"\x00" + unsigned(signatures, 1)
    try:
        body = _PRICE.pack(
            exactly(bytes.fromhex(message.feed_id), 32, "a feed id"),
            message.price,
            message.conf,
            message.expo,
            message.publish_time,
            message.prev_publish_time,
            message.ema_price,
            message.ema_conf,
            account.posted_slot,
        )
    except struct.error as error:
        raise ValueError(f"a field of the price update does not fit its place: {error}") from None
    authority = exactly(account.write_authority, 32, "a write authority")
    return padded(PRICE_UPDATE_DISCRIMINATOR + authority + level + body, PRICE_UPDATE_SIZE)


def read_push_feed(account: Account, feed_id: FeedId, *, shard_id: int = 0) -> PushFeedAccount:
    """The price at a push feed's address, under whichever generation of programs the address belongs to.

    Raises ``DecodeError`` when the account is not the feed's in the shard, is owned by another program, holds something else
    or another feed, or may be written by anyone but the push oracle.
    """
    for programs in (CORE, PRO):
        if programs.push_feed(feed_id, shard_id) == account.key:
            break
    else:
        raise DecodeError(f"{account.key} is no push feed address of {feed_id} in shard {shard_id}", raw=account.data)
    if account.owner != programs.receiver:
        raise DecodeError(f"{account.key} is owned by {account.owner}, not by {programs.receiver}", raw=account.data)
    update = decode_price_update(account.data)
    if update.message.feed_id != feed_id:
        raise DecodeError(f"{account.key} holds feed {update.message.feed_id}, not {feed_id}", raw=account.data)
    if update.write_authority != account.key:
        raise DecodeError(f"{account.key} may be written by {update.write_authority}, not by itself alone", raw=account.data)
    return PushFeedAccount(account.key, programs.generation, shard_id, account.slot, update)


def push_feed_read(item: Account | DecodeError | None, feed_id: FeedId, *, shard_id: int = 0) -> PushFeedRead:
    """What one item of an answer says of a push feed's address, for :class:`~probekit.model.receiver.FeedMigration`.

    Nothing there is ``None``, and so is an address that only received lamports: anyone can send some to any address.
    """
    if item is None or isinstance(item, DecodeError):
        return item
    if item.owner == SYSTEM_PROGRAM and not item.data:
        return None
    try:
        return read_push_feed(item, feed_id, shard_id=shard_id)
    except DecodeError as error:
        return error


def decode_twap_update(data: bytes) -> TwapUpdateAccount:
    """Decode a ``TwapUpdate``. Raises ``DecodeError``."""
    reader = Reader(data, "a TwapUpdate account")
    reader.discriminator(TWAP_UPDATE_DISCRIMINATOR)
    return TwapUpdateAccount(
        reader.key(),
        FeedId(reader.take(32)),
        reader.signed(8),
        reader.signed(8),
        reader.signed(8),
        reader.unsigned(8),
        reader.signed(4),
        reader.unsigned(4),
    )


def encode_twap_update(account: TwapUpdateAccount) -> bytes:
    """The 112 bytes of a ``TwapUpdate``. Raises ``ValueError`` when a field does not fit its place."""
    return b"".join(
        (
            TWAP_UPDATE_DISCRIMINATOR,
            exactly(account.write_authority, 32, "a write authority"),
            bytes(account.feed_id),
            signed(account.start_time, 8),
            signed(account.end_time, 8),
            signed(account.mean_price, 8),
            unsigned(account.mean_conf, 8),
            signed(account.expo, 4),
            unsigned(account.down_slots_ppm, 4),
        )
    )


def decode_config(data: bytes) -> ReceiverConfig:
    """Decode the receiver's ``Config``. Raises ``DecodeError``. The unused rest of the account is ignored."""
    reader = Reader(data, "a receiver Config account")
    reader.discriminator(CONFIG_DISCRIMINATOR)
    authority = reader.key()
    target = reader.key() if reader.tag(1, 2) else None
    wormhole = reader.key()
    sources = tuple(DataSource(reader.unsigned(2), reader.key()) for _ in range(reader.count(34)))
    return ReceiverConfig(authority, target, wormhole, sources, reader.unsigned(8), reader.unsigned(1))


def encode_config(config: ReceiverConfig) -> bytes:
    """The 370 bytes of a ``Config``. Raises ``ValueError`` when a field does not fit its place, or the sources the account."""
    target = config.target_governance_authority
    parts = [
        CONFIG_DISCRIMINATOR,
        exactly(config.governance_authority, 32, "an authority"),
        b"\x00" if target is None else b"\x01" + exactly(target, 32, "an authority"),
        exactly(config.wormhole, 32, "a program"),
        unsigned(len(config.data_sources), 4),
        *(unsigned(one.chain, 2) + exactly(one.emitter, 32, "an emitter") for one in config.data_sources),
        unsigned(config.fee_lamports, 8),
        unsigned(config.minimum_signatures, 1),
    ]
    return padded(b"".join(parts), CONFIG_SIZE)


def decode_encoded_vaa(data: bytes) -> EncodedVaaAccount:
    """Decode an ``EncodedVaa``. Raises ``DecodeError``; the VAA itself is not looked into."""
    reader = Reader(data, "an EncodedVaa account")
    reader.discriminator(ENCODED_VAA_DISCRIMINATOR)
    status = VaaStatus(reader.tag(1, len(VaaStatus)))
    return EncodedVaaAccount(status, reader.key(), reader.unsigned(1), reader.take(reader.count(1)))


def encode_encoded_vaa(account: EncodedVaaAccount) -> bytes:
    """The bytes of an ``EncodedVaa``. Raises ``ValueError`` when a field does not fit its place."""
    return b"".join(
        (
            ENCODED_VAA_DISCRIMINATOR,
            unsigned(account.status, 1),
            exactly(account.write_authority, 32, "a write authority"),
            unsigned(account.version, 1),
            unsigned(len(account.vaa), 4),
            account.vaa,
        )
    )
