"""32-byte public keys and program addresses of Solana and its kin, and their base58 text."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: digit for digit, letter in enumerate(_ALPHABET)}
_MAX_TEXT: Final = 128
"""A signature of 64 bytes has at most 88 letters: longer text is refused before any arithmetic on it."""


def base58(raw: bytes) -> str:
    """``raw`` in Bitcoin's base58: no checksum, one ``1`` for each leading zero byte."""
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    number = int.from_bytes(raw, "big")
    letters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    return "1" * zeros + "".join(reversed(letters))


def from_base58(text: str) -> bytes:
    """The bytes of base58 ``text``. Raises ``ValueError`` for a letter outside the alphabet or more than 128 letters."""
    if len(text) > _MAX_TEXT:
        raise ValueError(f"base58 text of {len(text)} letters; at most {_MAX_TEXT} are read")
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            raise ValueError(f"{letter!r} is not a base58 letter")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


# The same keys are asked for at every refresh, and forty divisions make a text.
_text: Final = lru_cache(maxsize=16_384)(base58)


class Pubkey(bytes):
    """An account's address: 32 bytes that print as base58.

    Accepts 32 bytes or base58 text. Raises ``ValueError`` otherwise. It equals and hashes like the plain bytes, so a
    mapping keyed by what a decoder slices out of an account is looked up with it at no cost.
    """

    __slots__ = ()

    def __new__(cls, value: bytes | str) -> Pubkey:
        if isinstance(value, Pubkey):
            return value
        raw = from_base58(value.strip()) if isinstance(value, str) else value
        if len(raw) != 32:
            raise ValueError(f"a public key has 32 bytes, not {len(raw)}")
        return bytes.__new__(cls, raw)

    def __str__(self) -> str:
        return _text(self)

    def __repr__(self) -> str:
        return f"Pubkey({_text(self)!r})"

    def __reduce__(self) -> tuple[type[Pubkey], tuple[bytes]]:
        return Pubkey, (bytes(self),)
