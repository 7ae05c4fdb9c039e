"""The 16 bytes that every account of the oracle program begins with: magic, version, type, populated size, each u32.

Source: pyth-client ``program/c/src/oracle/oracle.h`` (``pc_acc_t``).
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.errors import DecodeError
from probekit.model.pythnet import AccountHeader, AccountType

MAGIC: Final = 0xA1B2C3D4
VERSIONS: Final = (1, 2)
"""Version 2 is in force; accounts of version 1 are historic."""
HEADER_SIZE: Final = 16

_HEADER: Final = struct.Struct("<IIII")


def decode_header(data: bytes) -> AccountHeader:
    """The header of any account. Raises ``DecodeError``: fewer than 16 bytes, a wrong magic, a version or type that does not
    exist, a populated size larger than ``data``.
    """
    return _checked(data, len(data))


def encode_header(header: AccountHeader) -> bytes:
    """The inverse of :func:`decode_header`. Raises ``ValueError`` for a version that does not exist or a size above u32."""
    if header.version not in VERSIONS:
        raise ValueError(f"version {header.version}; only 1 and 2 exist")
    try:
        return _HEADER.pack(MAGIC, header.version, header.type, header.size)
    except struct.error as error:
        raise ValueError(f"a field of the header does not fit its place: {error}") from None


def expect(data: bytes, kind: AccountType, fixed: int, *, sliced: bool = False) -> AccountHeader:
    """The header of an account of one type whose fixed part has ``fixed`` bytes; raises ``DecodeError`` for anything else.

    ``sliced``: ``data`` may be the first bytes only of the account.
    """
    header = _checked(data, None if sliced else len(data))
    name = kind.name.lower()
    if header.type is not kind:
        raise DecodeError(f"a {header.type.name.lower()} account, not a {name} account", raw=data, offset=8)
    if header.size < fixed:
        message = f"a {name} account of version {header.version} has at least {fixed} bytes, its header says {header.size}"
        raise DecodeError(message, raw=data, offset=12)
    if len(data) < fixed:
        raise DecodeError(f"{len(data)} bytes of a {name} account; at least {fixed} are needed", raw=data, offset=len(data))
    return header


def _checked(data: bytes, available: int | None) -> AccountHeader:
    if len(data) < HEADER_SIZE:
        message = f"{len(data)} bytes; an account of the oracle program has a header of {HEADER_SIZE}"
        raise DecodeError(message, raw=data, offset=len(data))
    magic, version, kind, size = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise DecodeError(f"magic {magic:#010x}, not {MAGIC:#010x}: no account of the oracle program", raw=data, offset=0)
    if version not in VERSIONS:
        raise DecodeError(f"account version {version}; only 1 and 2 exist", raw=data, offset=4)
    if not AccountType.MAPPING <= kind <= AccountType.PERMISSIONS:
        raise DecodeError(f"account type {kind} does not exist", raw=data, offset=8)
    if available is not None and size > available:
        raise DecodeError(f"{size} populated bytes in an account of {available}", raw=data, offset=12)
    return AccountHeader(version, AccountType(kind), size)
