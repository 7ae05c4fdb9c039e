"""The messages under an accumulator's root: price (0), TWAP (1), publisher stake caps (2).

Big-endian, first byte the type. Unknown trailing bytes are ignored, since fields may be appended; unknown types are kept
whole. The proof covers every byte all the same. Source: pythnet_sdk ``messages.rs``. Type 1 is still met in stored updates
although Hermes's TWAP endpoint has answered 400 since 2026-02.
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.errors import DecodeError
from probekit.model import Message, PriceMessage, StakeCap, StakeCapsMessage, TwapMessage, UnknownMessage

_PRICE: Final = struct.Struct(">32sqQiqqqQ")
_TWAP: Final = struct.Struct(">32s16s16sQiqqQ")
_CAPS: Final = struct.Struct(">qH")
_CAP: Final = struct.Struct(">32sQ")


def decode(data: bytes) -> Message:
    """Decode one message. Raises ``DecodeError`` when it is empty or shorter than its type."""
    if not data:
        raise DecodeError("an empty message has no type", raw=data, offset=0)
    kind = data[0]
    try:
        if kind == 0:
            # Spelt out: of an answer's hundreds of messages nearly all take this way.
            feed, price, conf, expo, published, previous, ema_price, ema_conf = _PRICE.unpack_from(data, 1)
            return PriceMessage(feed.hex(), price, conf, expo, published, previous, ema_price, ema_conf)
        if kind == 1:
            feed, sum_of_prices, sum_of_confs, down, expo, published, previous, slot = _TWAP.unpack_from(data, 1)
            return TwapMessage(
                feed.hex(),
                int.from_bytes(sum_of_prices, "big", signed=True),
                int.from_bytes(sum_of_confs, "big"),
                down,
                expo,
                published,
                previous,
                slot,
            )
        if kind == 2:
            published, count = _CAPS.unpack_from(data, 1)
            end = 1 + _CAPS.size + count * _CAP.size
            if len(data) < end:
                raise DecodeError(f"{count} stake caps do not fit into {len(data)} bytes", raw=data, offset=1 + _CAPS.size)
            caps = tuple(StakeCap(key.hex(), cap) for key, cap in _CAP.iter_unpack(data[1 + _CAPS.size : end]))
            return StakeCapsMessage(published, caps)
    except struct.error:
        raise DecodeError(f"a message of type {kind} and {len(data)} bytes is cut short", raw=data, offset=1) from None
    return UnknownMessage(kind, data)


def encode(message: Message) -> bytes:
    """The bytes of a message; the inverse of :func:`decode` for messages without trailing bytes.

    Raises ``ValueError`` when a field does not fit its place.
    """
    try:
        return _encode(message)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a field of the message does not fit its place: {error}") from None


def _key(text: str) -> bytes:
    # struct would pad a short key, silently.
    key = bytes.fromhex(text)
    if len(key) != 32:
        raise ValueError(f"{text[:80]!r} is not 32 bytes in hex")
    return key


def _encode(message: Message) -> bytes:
    match message:
        case PriceMessage():
            return b"\x00" + _PRICE.pack(
                _key(message.feed_id),
                message.price,
                message.conf,
                message.expo,
                message.publish_time,
                message.prev_publish_time,
                message.ema_price,
                message.ema_conf,
            )
        case TwapMessage():
            return b"\x01" + _TWAP.pack(
                _key(message.feed_id),
                message.cumulative_price.to_bytes(16, "big", signed=True),
                message.cumulative_conf.to_bytes(16, "big"),
                message.num_down_slots,
                message.expo,
                message.publish_time,
                message.prev_publish_time,
                message.publish_slot,
            )
        case StakeCapsMessage():
            caps = b"".join(_CAP.pack(_key(cap.publisher), cap.cap) for cap in message.caps)
            return b"\x02" + _CAPS.pack(message.publish_time, len(message.caps)) + caps
        case UnknownMessage():
            return message.data
