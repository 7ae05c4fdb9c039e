"""What lists and describes the feeds, and who may change it: mapping, product and permissions accounts.

Source: pyth-client ``program/rust/src/accounts`` (``mapping.rs``, ``product.rs``, ``permission.rs``).
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.codecs.pythnet.header import HEADER_SIZE, encode_header, expect
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import (
    NULL_KEY,
    AccountHeader,
    AccountType,
    MappingAccount,
    PermissionsAccount,
    ProductAccount,
)

MAPPING_SIZE: Final = 160_056
"""Bytes of a mapping account of today, with room for 5,000 products; those of before have 20,536 and room for 640."""
PRODUCT_SIZE: Final = 512
PERMISSIONS_SIZE: Final = 116
"""With the last feed index; 112 without."""
MAX_TEXT: Final = 255
"""Bytes of an attribute's name or value."""

_MAPPING: Final = struct.Struct("<II32s")
_PRODUCTS_AT: Final = HEADER_SIZE + _MAPPING.size
_ATTRIBUTES_AT: Final = HEADER_SIZE + 32
_AUTHORITIES: Final = struct.Struct("<32s32s32s")
_INDEX_AT: Final = HEADER_SIZE + _AUTHORITIES.size
_INDEX: Final = struct.Struct("<I")


def decode_mapping(data: bytes) -> MappingAccount:
    """A mapping account. Raises ``DecodeError``, also when its count says more than its populated size holds."""
    header = expect(data, AccountType.MAPPING, _PRODUCTS_AT)
    count, _, next_mapping = _MAPPING.unpack_from(data, HEADER_SIZE)
    end = _PRODUCTS_AT + 32 * count
    if end > header.size:
        raise DecodeError(f"{count} products do not fit into {header.size} populated bytes", raw=data, offset=HEADER_SIZE)
    keys = [data[at : at + 32] for at in range(_PRODUCTS_AT, end, 32)]
    products = tuple(Pubkey(key) for key in keys if key != NULL_KEY)
    return MappingAccount(products, _optional(next_mapping), count - len(products), header.version)


def encode_mapping(account: MappingAccount, *, length: int = MAPPING_SIZE) -> bytes:
    """An account of ``length`` bytes; skipped null keys stand at the end. Raises ``ValueError`` when it does not fit."""
    count = account.num_products
    keys = b"".join(_key(product) for product in account.products) + NULL_KEY * account.skipped
    body = _MAPPING.pack(count, 0, _key(account.next_mapping or NULL_KEY)) + keys
    return _account(AccountType.MAPPING, account.version, body, length)


def decode_product(data: bytes) -> ProductAccount:
    """A product account. The attributes end with the populated bytes or at an empty name; of a repeated name the last counts.

    Raises ``DecodeError``, also for an attribute that is cut short or is not UTF-8.
    """
    header = expect(data, AccountType.PRODUCT, _ATTRIBUTES_AT)
    attributes: dict[str, str] = {}
    offset, size = _ATTRIBUTES_AT, header.size
    while offset < size and data[offset]:
        name, offset = _text(data, offset, size)
        attributes[name], offset = _text(data, offset, size)
    return ProductAccount(attributes, _optional(data[HEADER_SIZE:_ATTRIBUTES_AT]), header.version)


def encode_product(account: ProductAccount, *, length: int = PRODUCT_SIZE) -> bytes:
    """An account of ``length`` bytes. Raises ``ValueError``: an empty name, 255 bytes of UTF-8 or the whole exceeded."""
    parts = [_key(account.first_price or NULL_KEY)]
    for name, value in account.attributes.items():
        if not name:
            raise ValueError("an attribute without a name would end the list")
        for text in (name, value):
            raw = text.encode()
            if len(raw) > MAX_TEXT:
                raise ValueError(f"{text[:40]!r}... has {len(raw)} bytes, {MAX_TEXT} at most fit")
            parts += [bytes((len(raw),)), raw]
    return _account(AccountType.PRODUCT, account.version, b"".join(parts), length)


def decode_permissions(data: bytes) -> PermissionsAccount:
    """The permissions account, in both its lengths. Raises ``DecodeError``."""
    header = expect(data, AccountType.PERMISSIONS, _INDEX_AT)
    master, curation, security = _AUTHORITIES.unpack_from(data, HEADER_SIZE)
    # The program goes by the length here: an account that was made longer later may have kept its populated size.
    index = _INDEX.unpack_from(data, _INDEX_AT)[0] if len(data) >= PERMISSIONS_SIZE else None
    return PermissionsAccount(Pubkey(master), Pubkey(curation), Pubkey(security), index, header.version)


def encode_permissions(account: PermissionsAccount) -> bytes:
    """An account of 116 bytes, or of 112 without a feed index. Raises ``ValueError`` when a field does not fit its place."""
    body = _AUTHORITIES.pack(
        _key(account.master_authority), _key(account.data_curation_authority), _key(account.security_authority)
    )
    if account.last_feed_index is not None:
        try:
            body += _INDEX.pack(account.last_feed_index)
        except struct.error as error:
            raise ValueError(f"a feed index is a u32: {error}") from None
    return _account(AccountType.PERMISSIONS, account.version, body, HEADER_SIZE + len(body))


def _account(kind: AccountType, version: int, body: bytes, length: int) -> bytes:
    """Header, body, and zeros up to ``length``."""
    size = HEADER_SIZE + len(body)
    if size > length:
        raise ValueError(f"{size} bytes do not fit into a {kind.name.lower()} account of {length}")
    return (encode_header(AccountHeader(version, kind, size)) + body).ljust(length, b"\0")


def _text(data: bytes, offset: int, size: int) -> tuple[str, int]:
    """A string with its length before it, and the offset after it."""
    if offset >= size:
        raise DecodeError("the last attribute has a name but no value", raw=data, offset=offset)
    end = offset + 1 + data[offset]
    if end > size:
        raise DecodeError(f"an attribute of {data[offset]} bytes goes past {size} populated bytes", raw=data, offset=offset)
    try:
        return data[offset + 1 : end].decode(), end
    except UnicodeDecodeError:
        raise DecodeError("an attribute is not UTF-8", raw=data, offset=offset) from None


def _optional(key: bytes) -> Pubkey | None:
    return None if key == NULL_KEY else Pubkey(key)


def _key(key: bytes) -> bytes:
    # struct would pad a short key, silently.
    if len(key) != 32:
        raise ValueError(f"a key has 32 bytes, not {len(key)}")
    return key
