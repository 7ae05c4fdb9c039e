"""Price accounts: the aggregate, its averages, and the quote of every publisher.

Little-endian. Version 2: a head of 240 bytes, quotes of 96 bytes each (room for 32 in 3,312 bytes, for 128 in 12,576), and in
accounts of 12,576 bytes the cumulative sums at 12,528. Version 1, which is historic: a head of 176 bytes, room for 16 quotes.
Source: pyth-client ``program/rust/src/accounts/price.rs`` and ``program/c/src/oracle/oracle.h``; version 1: pyth-client-py
``pythclient/pythaccounts.py``.
"""

from __future__ import annotations

import struct
from itertools import starmap
from typing import Any, Final

from probekit.codecs.pythnet.header import MAGIC, expect
from probekit.errors import DecodeError
from probekit.model.pythnet import (
    NULL_KEY,
    QUOTE_SIZE,
    AccountType,
    PriceAccount,
    PriceColumns,
    PriceHead,
    PriceInfo,
    Quote,
)

SOLANA_PRICE_SIZE: Final = 3_312
"""Room for 32 quotes; every account outside Pythnet, and Pythnet's own in earlier years."""
PYTHNET_PRICE_SIZE: Final = 12_576
"""Room for 128 quotes, of which the program uses 64, and the cumulative sums."""
HEAD_SIZE: Final = 240
HEAD_SIZE_V1: Final = 176
SUMS_AT: Final = 12_528
MAX_QUOTES: Final = 128

_BEGINNING: Final = struct.pack("<III", MAGIC, 2, AccountType.PRICE)
_HEAD: Final = struct.Struct("<4xI4xI IiIIQQ 6q qBBBBI 32s32s QqQq qQIIQ 0s")
_head: Final = _HEAD.unpack_from
_HEAD_V1: Final = struct.Struct("<4xI4xI IiIIQQ 32s32s32s qQIIQ")
_QUOTE: Final = struct.Struct("<32s32sqQIIQ")
_INFO_SIZE: Final = 32
_ROOM_V1: Final = HEAD_SIZE_V1 + 16 * QUOTE_SIZE
_NO_AVERAGES: Final = (0,) * 12
_NO_PREVIOUS: Final = (0,) * 4


def decode_price(data: bytes) -> PriceAccount:
    """A whole price account with its quotes.

    Raises ``DecodeError``: another account, one cut short, or more quotes claimed than its populated size holds. Null keys
    after the last publisher are padding, whatever the account's count says.
    """
    if len(data) >= PYTHNET_PRICE_SIZE and data.startswith(_BEGINNING):
        # Of thousands of accounts nearly all take this way, here and in `decode_columns`: whole, and the last key not padding.
        fields: Any = _head(data)
        end = HEAD_SIZE + QUOTE_SIZE * fields[4]
        if end <= SUMS_AT and end <= fields[1] <= len(data) and data[end - QUOTE_SIZE]:
            whole = tuple(starmap(Quote, _QUOTE.iter_unpack(data[HEAD_SIZE:end])))
            return PriceAccount(*(fields + (data[SUMS_AT:PYTHNET_PRICE_SIZE], whole)))  # noqa: RUF005 - a fifth faster
    head, start, end = _open(data)
    quotes = tuple(starmap(Quote, _QUOTE.iter_unpack(data[start:end])))
    while quotes and quotes[-1].publisher_key == NULL_KEY:
        quotes = quotes[:-1]
    return PriceAccount(*head, _sums(data, start), quotes)  # type: ignore[call-arg]


def decode_columns(data: bytes) -> PriceColumns:
    """A whole price account with its quotes as columns; raises as :func:`decode_price` does, and holds the same quotes."""
    if len(data) >= PYTHNET_PRICE_SIZE and data.startswith(_BEGINNING):
        fields: Any = _head(data)
        end = HEAD_SIZE + QUOTE_SIZE * fields[4]
        if end <= SUMS_AT and end <= fields[1] <= len(data) and data[end - QUOTE_SIZE]:
            return PriceColumns(*(fields + (data[SUMS_AT:PYTHNET_PRICE_SIZE], data[HEAD_SIZE:end])))  # noqa: RUF005 - as above
    head, start, end = _open(data)
    while end > start and data.startswith(NULL_KEY, end - QUOTE_SIZE):
        end -= QUOTE_SIZE
    return PriceColumns(*head, _sums(data, start), data[start:end])  # type: ignore[call-arg]


def decode_price_head(data: bytes) -> PriceHead:
    """The fixed part of a price account, from the whole account or from its first 240 bytes (176 for version 1).

    A node sends no more than that when asked for a slice, which for 12,576 bytes spares 98 %. So neither the populated size nor
    the count of quotes is held against ``data``, and the cumulative sums are not read. Raises ``DecodeError``.
    """
    version = 1 if data[4:8] == b"\1\0\0\0" else 2
    expect(data, AccountType.PRICE, HEAD_SIZE_V1 if version == 1 else HEAD_SIZE, sliced=True)
    head = _head_v1(data) if version == 1 else _head(data)
    return PriceHead(*head, b"")  # type: ignore[call-arg]


def decode_quote(data: bytes) -> Quote:
    """One publisher's 96 bytes. Raises ``DecodeError`` for another length."""
    if len(data) != QUOTE_SIZE:
        raise DecodeError(f"a quote has {QUOTE_SIZE} bytes, not {len(data)}", raw=data, offset=min(len(data), QUOTE_SIZE))
    return Quote(*_QUOTE.unpack(data))


def decode_price_info(data: bytes) -> PriceInfo:
    """The 32 bytes of an aggregate or of one submission. Raises ``DecodeError`` for another length."""
    if len(data) != _INFO_SIZE:
        raise DecodeError(f"a price info has {_INFO_SIZE} bytes, not {len(data)}", raw=data, offset=min(len(data), _INFO_SIZE))
    return PriceInfo.unpack(data)


def encode_price(account: PriceAccount, *, length: int | None = None) -> bytes:
    """An account of ``length`` bytes; by default of the least of the program's sizes that it fits.

    Raises ``ValueError``: a field does not fit its place, ``num_components`` is less than the quotes, ``length`` or the
    populated size too small for them, or cumulative sums where the length has no place for them (or the reverse).
    """
    head = _encode_head_v1(account) if account.version == 1 else _encode_head(account)
    room = _ROOM_V1 if account.version == 1 else PYTHNET_PRICE_SIZE if account.sums else SOLANA_PRICE_SIZE
    claimed = len(head) + QUOTE_SIZE * account.num_components
    total = max(account.size, room, claimed) if length is None else length
    _check_room(account, claimed, total)
    written = head + b"".join(encode_quote(quote) for quote in account.quotes)
    if account.sums:
        written = written.ljust(SUMS_AT, b"\0") + account.sums
    return written.ljust(total, b"\0")


def encode_quote(quote: Quote) -> bytes:
    """The inverse of :func:`decode_quote`. Raises ``ValueError`` when a field does not fit its place."""
    if len(quote.aggregate_raw) != _INFO_SIZE:
        raise ValueError(f"aggregate_raw has {_INFO_SIZE} bytes, not {len(quote.aggregate_raw)}")
    latest = (quote.price, quote.conf, quote.status_code, quote.corp_act, quote.pub_slot)
    return _pack(_QUOTE, _key(quote.publisher_key), quote.aggregate_raw, *latest)


def encode_price_info(info: PriceInfo) -> bytes:
    """The inverse of :func:`decode_price_info`. Raises ``ValueError`` when a field does not fit its place."""
    return info.pack()


def _open(data: bytes) -> tuple[Any, int, int]:
    """The fields of the head, and where the quotes start and end; everything checked that the account claims."""
    version = 1 if data[4:8] == b"\1\0\0\0" else 2
    start = HEAD_SIZE_V1 if version == 1 else HEAD_SIZE
    header = expect(data, AccountType.PRICE, start)
    head: tuple[Any, ...] = _head_v1(data) if version == 1 else _head(data)
    count = head[4]
    if count > MAX_QUOTES:
        raise DecodeError(f"{count} quotes; no price account has room for more than {MAX_QUOTES}", raw=data, offset=24)
    end = start + QUOTE_SIZE * count
    if end > header.size:
        raise DecodeError(f"{count} quotes do not fit into {header.size} populated bytes", raw=data, offset=24)
    return head, start, end


def _sums(data: bytes, start: int) -> bytes:
    # By the account's length: the program writes them whatever the populated size says.
    return data[SUMS_AT:PYTHNET_PRICE_SIZE] if len(data) >= PYTHNET_PRICE_SIZE and start == HEAD_SIZE else b""


def _head_v1(data: bytes) -> tuple[Any, ...]:
    fields = _HEAD_V1.unpack_from(data)
    product, after, aggregator = fields[8:11]
    return (*fields[:8], *_NO_AVERAGES, product, after, *_NO_PREVIOUS, *fields[11:], aggregator)


def _encode_head(account: PriceHead) -> bytes:
    fields = (
        account.version, account.size, account.price_type, account.expo, account.num_components, account.num_quoters,
        account.last_slot, account.valid_slot,
        account.ema_price_value, account.ema_price_numerator, account.ema_price_denominator,
        account.ema_conf_value, account.ema_conf_numerator, account.ema_conf_denominator,
        account.aggregated_at, account.min_publishers, account.message_sent, account.max_latency, account.flags,
        account.feed_index, _key(account.product_key), _key(account.next_key),
        account.prev_slot, account.prev_price, account.prev_conf, account.prev_timestamp,
        *_aggregate(account), b"",
    )  # fmt: skip
    if account.version != 2:
        raise ValueError(f"version {account.version}; only 1 and 2 exist")
    if account.aggregator_key:
        raise ValueError("only a version 1 account names its aggregator")
    return _with_magic(_pack(_HEAD, *fields))


def _encode_head_v1(account: PriceHead) -> bytes:
    averages = (
        account.ema_price_value, account.ema_price_numerator, account.ema_price_denominator,
        account.ema_conf_value, account.ema_conf_numerator, account.ema_conf_denominator,
        account.aggregated_at, account.min_publishers, account.message_sent, account.max_latency, account.flags,
        account.feed_index,
    )  # fmt: skip
    previous = (account.prev_slot, account.prev_price, account.prev_conf, account.prev_timestamp)
    if averages != _NO_AVERAGES or previous != _NO_PREVIOUS:
        raise ValueError("a version 1 account has neither averages nor a previous price")
    fields = (
        account.version, account.size, account.price_type, account.expo, account.num_components, account.num_quoters,
        account.last_slot, account.valid_slot, _key(account.product_key), _key(account.next_key), _key(account.aggregator_key),
        *_aggregate(account),
    )  # fmt: skip
    return _with_magic(_pack(_HEAD_V1, *fields))


def _check_room(account: PriceAccount, claimed: int, total: int) -> None:
    quotes, count = account.quotes, account.num_components
    if not len(quotes) <= count <= MAX_QUOTES:
        raise ValueError(f"num_components says {count}, with {len(quotes)} quotes and room for {MAX_QUOTES} at most")
    if quotes and quotes[-1].publisher_key == NULL_KEY:
        raise ValueError("the last quote has a null key, which says that there is none")
    if not claimed <= account.size <= total:
        raise ValueError(f"{account.size} populated bytes, {claimed} of them claimed, in an account of {total}")
    place = PYTHNET_PRICE_SIZE - SUMS_AT if account.version == 2 and total >= PYTHNET_PRICE_SIZE else 0
    if len(account.sums) != place:
        message = f"version {account.version}, {total} bytes: cumulative sums have {place} bytes there, not {len(account.sums)}"
        raise ValueError(message)


def _aggregate(account: PriceHead) -> tuple[int, int, int, int, int]:
    return account.agg_price, account.agg_conf, account.agg_status_code, account.agg_corp_act, account.agg_pub_slot


def _with_magic(head: bytes) -> bytes:
    return MAGIC.to_bytes(4, "little") + head[4:8] + int(AccountType.PRICE).to_bytes(4, "little") + head[12:]


def _pack(form: struct.Struct, *fields: Any) -> bytes:
    try:
        return form.pack(*fields)
    except struct.error as error:
        raise ValueError(f"a field does not fit its place: {error}") from None


def _key(key: bytes) -> bytes:
    # struct would pad a short key, silently.
    if len(key) != 32:
        raise ValueError(f"a key has 32 bytes, not {len(key)}")
    return key
