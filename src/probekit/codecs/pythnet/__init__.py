"""Accounts of Pyth's oracle program on Pythnet (and the frozen ones on Solana), both directions."""

from __future__ import annotations

from probekit.codecs.pythnet.accumulator import (
    accumulator_seeds,
    decode_accumulator_messages,
    encode_accumulator_messages,
)
from probekit.codecs.pythnet.header import decode_header, encode_header
from probekit.codecs.pythnet.listing import (
    decode_mapping,
    decode_permissions,
    decode_product,
    encode_mapping,
    encode_permissions,
    encode_product,
)
from probekit.codecs.pythnet.price import (
    decode_columns,
    decode_price,
    decode_price_head,
    decode_price_info,
    decode_quote,
    encode_price,
    encode_price_info,
    encode_quote,
)
from probekit.codecs.pythnet.program import Aggregate, accumulate, aggregate, counts, price_message, twap_message
from probekit.errors import DecodeError
from probekit.model.pythnet import AccountType, MappingAccount, PermissionsAccount, PriceAccount, ProductAccount

__all__ = [
    "Aggregate",
    "accumulate",
    "accumulator_seeds",
    "aggregate",
    "counts",
    "decode_account",
    "decode_accumulator_messages",
    "decode_columns",
    "decode_header",
    "decode_mapping",
    "decode_permissions",
    "decode_price",
    "decode_price_head",
    "decode_price_info",
    "decode_product",
    "decode_quote",
    "encode_accumulator_messages",
    "encode_header",
    "encode_mapping",
    "encode_permissions",
    "encode_price",
    "encode_price_info",
    "encode_product",
    "encode_quote",
    "price_message",
    "twap_message",
]


def decode_account(data: bytes) -> MappingAccount | ProductAccount | PriceAccount | PermissionsAccount:
    """Any account of the program, by the type in its header. Raises ``DecodeError``, also for test accounts (type 4)."""
    match decode_header(data).type:
        case AccountType.MAPPING:
            return decode_mapping(data)
        case AccountType.PRODUCT:
            return decode_product(data)
        case AccountType.PRICE:
            return decode_price(data)
        case AccountType.PERMISSIONS:
            return decode_permissions(data)
        case AccountType.TEST:
            raise DecodeError("a test account has no layout", raw=data, offset=8)
