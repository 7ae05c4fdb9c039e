"""Arguments of JSON-RPC methods, read with the refusals that Agave's ``serde`` and ``jsonrpc-core`` give."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from probekit.dev.svm.chain import COMMITMENTS, Commitment
from probekit.dev.svm.words import invalid_params

T = TypeVar("T", Pubkey, Signature, Hash)

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: digit for digit, letter in enumerate(_ALPHABET)}


class BadEncoding(ValueError):
    """Text that is not base58 or base64; the message is the Rust decoder's word for it."""


def decode58(text: str) -> bytes:
    """Base58 of any length, for callers that bound it. Raises :class:`BadEncoding`."""
    number = 0
    for index, letter in enumerate(text):
        digit = _DIGITS.get(letter)
        if digit is None:
            raise BadEncoding(f"InvalidCharacter {{ character: {letter!r}, index: {index} }}")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode64(text: str) -> bytes:
    """Padded standard base64. Raises :class:`BadEncoding`."""
    for index, letter in enumerate(text):
        if not (letter.isascii() and (letter.isalnum() or letter in "+/=")):
            raise BadEncoding(f"InvalidByte({index}, {ord(letter)})")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BadEncoding("InvalidPadding") from None


def mistyped(value: Any, expected: str) -> Exception:
    """The refusal of a value of another type."""
    return invalid_params(f"Invalid params: invalid type: {_describe(value)}, expected {expected}.")


def _describe(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
        case _:
            return "map"


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise mistyped(value, "a string")
    return value


def unsigned(value: Any, kind: str = "u64") -> int:
    """A number from 0 to 2^64 - 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise mistyped(value, kind)
    if not 0 <= value < 2**64:
        raise invalid_params(f"Invalid params: invalid value: integer `{value}`, expected {kind}.")
    return value


def texts(value: Any) -> list[str]:
    """A list of strings."""
    if not isinstance(value, list):
        raise mistyped(value, "a sequence")
    return [text(one) for one in value]


def variant(value: Any, known: Sequence[str]) -> str:
    """One of the names an enum has."""
    name = text(value)
    if name not in known:
        names = ", ".join(f"`{one}`" for one in known)
        raise invalid_params(f"Invalid params: unknown variant `{name}`, expected one of {names}.")
    return name


def _parsed(value: Any, kind: type[T], size: int, longest: int) -> T:
    shown = text(value)
    if len(shown) > longest:
        raise ValueError("WrongSize")
    try:
        raw = decode58(shown)
    except BadEncoding:
        raise ValueError("Invalid") from None
    if len(raw) != size:
        raise ValueError("WrongSize")
    return kind.from_bytes(raw)


def pubkey(value: Any) -> Pubkey:
    """A public key in base58."""
    try:
        return _parsed(value, Pubkey, 32, 44)
    except ValueError as error:
        raise invalid_params(f"Invalid param: {error}") from None


def signature(value: Any) -> Signature:
    """A signature in base58."""
    try:
        return _parsed(value, Signature, 64, 88)
    except ValueError as error:
        raise invalid_params(f"Invalid param: {error}") from None


def blockhash(value: Any) -> Hash:
    """A blockhash in base58."""
    try:
        return _parsed(value, Hash, 32, 44)
    except ValueError as error:
        raise invalid_params(f"Invalid param: {error}") from None


class Config:
    """The configuration object that ends most calls. A key absent or null takes its default; unknown keys are ignored."""

    def __init__(self, value: Any, name: str) -> None:
        if value is not None and not isinstance(value, dict):
            raise mistyped(value, f"struct {name}")
        self._values: dict[str, Any] = value or {}

    def get(self, key: str) -> Any:
        """The raw value, or None."""
        return self._values.get(key)

    def commitment(self, key: str = "commitment", default: Commitment = "finalized") -> Commitment:
        """A commitment level; what is not asked for is finalized."""
        value = self.get(key)
        return default if value is None else cast(Commitment, variant(value, COMMITMENTS))

    def flag(self, key: str) -> bool:
        """A boolean, by default false."""
        value = self.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise mistyped(value, "a boolean")
        return value

    def number(self, key: str, kind: str = "u64") -> int | None:
        """An optional number."""
        value = self.get(key)
        return None if value is None else unsigned(value, kind)

    def one_of(self, key: str, known: Sequence[str], default: str) -> str:
        """One of an enum's names."""
        value = self.get(key)
        return default if value is None else variant(value, known)
