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
        raise DecodeError("an empty message has no type", raw=data)
    kind = data[0]
    try:
        if kind == 0:
            fields = _PRICE.unpack_from(data, 1)
            return PriceMessage(fields[0].hex(), *fields[1:])
        if kind == 1:
            feed_id, price, conf, down, expo, published, previous, slot = _TWAP.unpack_from(data, 1)
            return TwapMessage(
                feed_id.hex(),
                int.from_bytes(price, "big", signed=True),
                int.from_bytes(conf, "big"),
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
                raise DecodeError(f"{count} stake caps do not fit into {len(data)} bytes", raw=data)
            caps = tuple(StakeCap(key.hex(), cap) for key, cap in _CAP.iter_unpack(data[1 + _CAPS.size : end]))
            return StakeCapsMessage(published, caps)
    except struct.error:
        raise DecodeError(f"a message of type {kind} and {len(data)} bytes is cut short", raw=data) from None
    return UnknownMessage(kind, data)


def encode(message: Message) -> bytes:
    """The bytes of a message; the inverse of :func:`decode` for messages without trailing bytes."""
    match message:
        case PriceMessage():
            return b"\x00" + _PRICE.pack(
                bytes.fromhex(message.feed_id),
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
                bytes.fromhex(message.feed_id),
                message.cumulative_price.to_bytes(16, "big", signed=True),
                message.cumulative_conf.to_bytes(16, "big"),
                message.num_down_slots,
                message.expo,
                message.publish_time,
                message.prev_publish_time,
                message.publish_slot,
            )
        case StakeCapsMessage():
            caps = b"".join(_CAP.pack(bytes.fromhex(cap.publisher), cap.cap) for cap in message.caps)
            return b"\x02" + _CAPS.pack(message.publish_time, len(message.caps)) + caps
        case UnknownMessage():
            return message.data
