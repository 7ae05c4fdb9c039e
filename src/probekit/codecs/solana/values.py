"""What all readers of Solana's JSON share: exact conversion of plain Python values; what does not fit is a ``DecodeError``."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

import msgspec

from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey, from_base58
from probekit.model.solana import Account

T = TypeVar("T")

U63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
COUNT: Final[type[int]] = U63  # pyright: ignore[reportAssignmentType]
"""The same where a type is wanted, which an annotation is not to every type checker."""
"""Slots, heights and lamports: u64 on the chain, and never anywhere near its upper half."""


class Context(msgspec.Struct, rename="camel"):
    """The slot that an answer holds for, and the node's version where it tells."""

    slot: U63
    api_version: str | None = None


class Contextual(msgspec.Struct):
    """An answer with its context; the value is read by whoever asked."""

    context: Context
    value: Any


class _AccountFields(msgspec.Struct, rename="camel"):
    lamports: U63
    data: Any
    owner: str
    executable: bool = False
    # u64::MAX nearly always; some proxies pass it through a double, which makes it 18446744073709552000 or 1.8e19.
    rent_epoch: int | float | None = None
    space: U63 | None = None


def decode_error(message: str, value: object) -> DecodeError:
    """An error that keeps ``value`` as JSON text."""
    try:
        raw = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        raw = repr(type(value))
    return DecodeError(message, raw=raw)


def convert(value: object, shape: type[T], what: str) -> T:
    """``value`` as ``shape``, without any coercion. Raises ``DecodeError``."""
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise decode_error(f"{what}: {error}", value) from None


def extra_fields(value: object, shape: type[msgspec.Struct]) -> dict[str, object]:
    """The members of ``value`` that ``shape`` does not know."""
    known = {field.encode_name for field in msgspec.structs.fields(shape)}
    return {name: member for name, member in value.items() if name not in known} if isinstance(value, Mapping) else {}


@lru_cache(maxsize=1024)
def _key_of(text: str) -> Pubkey:
    # The owners of thousands of accounts are a handful of programs.
    return Pubkey(text)


def key(text: str, what: str) -> Pubkey:
    """A public key from base58. Raises ``DecodeError``."""
    try:
        return _key_of(text)
    except ValueError as error:
        raise DecodeError(f"{what}: {error}", raw=text) from None


_SIZES: Final = {"signature": 64, "blockhash": 32, "genesis hash": 32}


def base58_text(text: str, what: str) -> str:
    """``text``, known to be base58 of as many bytes as ``what`` has. Raises ``DecodeError``."""
    try:
        size = len(from_base58(text))
    except ValueError as error:
        raise DecodeError(f"{what}: {error}", raw=text) from None
    if size != _SIZES[what]:
        raise DecodeError(f"a {what} has {_SIZES[what]} bytes, not {size}", raw=text)
    return text


def binary(value: object, what: str) -> bytes:
    """Bytes from ``[text, encoding]``. Raises ``DecodeError``, naming the encoding where it is one that is not read."""
    match value:
        case [str(text), "base64"]:
            try:
                # As strict, at a third of the time: an account of Pythnet has 16,768 characters, and there are thousands.
                return msgspec.convert(text, bytes)
            except msgspec.ValidationError:
                pass
            try:
                return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
            except ValueError as error:
                raise DecodeError(f"{what}: not base64: {error}", raw=text) from None
        case [str(text), "base58"]:
            try:
                return from_base58(text)
            except ValueError as error:
                raise DecodeError(f"{what}: {error}", raw=text) from None
        case [str(), "base64+zstd"]:
            raise decode_error(f"{what}: base64+zstd is not read; ask for the encoding base64", value)
        case {"parsed": _}:
            raise decode_error(f"{what}: jsonParsed is not read; ask for the encoding base64", value)
    raise decode_error(f"{what}: not a pair of text and encoding", value)


def account(value: object, address: Pubkey, slot: int) -> Account:
    """One account of an answer whose context is ``slot``. Raises ``DecodeError``."""
    what = f"account {address}"
    fields = convert(value, _AccountFields, what)
    rent_epoch = fields.rent_epoch
    try:
        rounded = None if rent_epoch is None else int(rent_epoch)
    except (ValueError, OverflowError):
        raise decode_error(f"{what}: {rent_epoch} is no epoch", value) from None
    return Account(
        address,
        key(fields.owner, f"{what}: owner"),
        fields.lamports,
        binary(fields.data, what),
        fields.executable,
        slot,
        rounded,
        fields.space,
    )
