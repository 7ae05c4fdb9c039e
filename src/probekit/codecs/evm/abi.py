"""The contract ABI, for the types that Pyth's contracts use: ``uintN``, ``intN``, ``bool``, ``address``, ``bytesN``, ``bytes``,
``string``, ``T[]`` and tuples.

Layout: each value has a head; the heads of a sequence stand first, in order. The head of a static value is the value itself, in
words of 32 bytes (integers, bool and address padded on the left, ``bytesN`` on the right); that of a dynamic one is the offset
of its tail from the first head. A tail of ``bytes``, ``string`` or ``T[]`` begins with its length or count.

The decoder takes canonical encodings only, those that Solidity and Vyper write: padding as above, tails in order without gaps,
nothing behind them. So every byte is accounted for, no two encodings mean the same, work and memory are bounded by the length
of the data, and whatever decodes encodes to the same bytes. :func:`decode_answer` allows one thing more: return values that a
later implementation appended.

Source: Solidity documentation, "Contract ABI Specification".
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from probekit.errors import DecodeError
from probekit.model.evm import Address

WORD: Final = 32
_ZEROS: Final = bytes(WORD)
_MAX_TEXT: Final = 1_000
_MAX_NESTED: Final = 64
"""More letters, or more tuples and arrays, are no contract's types; it also bounds how deep decoding goes."""


class AbiType(ABC):
    """One type: its canonical ``name``, the size of its head in bytes and whether it has a tail."""

    name: str
    head_size: int = WORD
    dynamic: bool = False

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """The head of a static value, the tail of a dynamic one. Raises ``ValueError`` when it does not fit."""

    @abstractmethod
    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """The value that stands at ``at``, and where it ends. Raises ``DecodeError``."""

    def _word(self, data: bytes, at: int) -> bytes:
        word = data[at : at + WORD]
        if len(word) != WORD:
            raise DecodeError(f"{self.name}: {len(data)} bytes, {at + WORD} needed", raw=data, offset=min(at, len(data)))
        return word

    def _refused(self, value: object, why: str) -> ValueError:
        return ValueError(f"{self.name}: {_shown(value)} {why}")


class _Integer(AbiType):
    def __init__(self, bits: int, signed: bool) -> None:
        if bits % 8 or not 8 <= bits <= 256:
            raise ValueError(f"no integer has {bits} bits")
        self.name = f"{'' if signed else 'u'}int{bits}"
        self._signed = signed
        self._low = -(1 << bits - 1) if signed else 0
        self._high = (1 << (bits - 1 if signed else bits)) - 1

    def encode(self, value: Any) -> bytes:
        # A bool is an int to Python; where a number is due it is a mistake.
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._refused(value, "is not an integer")
        if not self._low <= value <= self._high:
            raise self._refused(value, "does not fit")
        return value.to_bytes(WORD, "big", signed=self._signed)

    def decode(self, data: bytes, at: int) -> tuple[int, int]:
        value = int.from_bytes(self._word(data, at), "big", signed=self._signed)
        if not self._low <= value <= self._high:
            raise DecodeError(f"{self.name}: {value} does not fit", raw=data, offset=at)
        return value, at + WORD


class _Bool(AbiType):
    name = "bool"

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bool):
            raise self._refused(value, "is not a bool")
        return value.to_bytes(WORD, "big")

    def decode(self, data: bytes, at: int) -> tuple[bool, int]:
        value = int.from_bytes(self._word(data, at), "big")
        if value > 1:
            raise DecodeError(f"bool: {value} is neither 0 nor 1", raw=data, offset=at)
        return value == 1, at + WORD


class _AddressType(AbiType):
    name = "address"

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str | bytes):
            raise self._refused(value, "is not an address")
        return bytes(Address(value)).rjust(WORD, b"\0")

    def decode(self, data: bytes, at: int) -> tuple[Address, int]:
        word = self._word(data, at)
        if any(word[:12]):
            raise DecodeError(f"address: {word.hex()} has more than 20 bytes", raw=data, offset=at)
        return Address(word[12:]), at + WORD


class _FixedBytes(AbiType):
    def __init__(self, size: int) -> None:
        if not 1 <= size <= WORD:
            raise ValueError(f"no bytesN has {size} bytes")
        self.name = f"bytes{size}"
        self._size = size
        self._padding = _ZEROS[size:]

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != self._size:
            raise self._refused(value, f"is not {self._size} bytes")
        return bytes(value) + self._padding

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        word = self._word(data, at)
        if word[self._size :] != self._padding:
            raise DecodeError(f"{self.name}: {word.hex()} is not padded with zeros", raw=data, offset=at)
        return word[: self._size], at + WORD


class _Bytes(AbiType):
    name = "bytes"
    dynamic = True

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise self._refused(value, "is not bytes")
        return len(value).to_bytes(WORD, "big") + value + bytes(-len(value) % WORD)

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        size = int.from_bytes(self._word(data, at), "big")
        begin = at + WORD
        end = begin + size
        padded_end = end + -size % WORD
        if padded_end > len(data):
            raise DecodeError(f"{self.name}: a length of {size} in {len(data)} bytes", raw=data, offset=at)
        if any(data[end:padded_end]):
            raise DecodeError(f"{self.name}: {size} bytes are not padded with zeros", raw=data, offset=end)
        return data[begin:end], padded_end


class _String(AbiType):
    name = "string"
    dynamic = True

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise self._refused(value, "is not text")
        return _BYTES.encode(value.encode())

    def decode(self, data: bytes, at: int) -> tuple[str, int]:
        raw, end = _BYTES.decode(data, at)
        try:
            return raw.decode(), end
        except UnicodeDecodeError as error:
            raise DecodeError("string: not UTF-8", raw=data, offset=at + WORD + error.start) from None


class _Array(AbiType):
    dynamic = True

    def __init__(self, item: AbiType) -> None:
        self.name = f"{item.name}[]"
        self._item = item

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self._refused(value, "is not a sequence")
        return len(value).to_bytes(WORD, "big") + _encode_all((self._item,) * len(value), value)

    def decode(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        count = int.from_bytes(self._word(data, at), "big")
        begin = at + WORD
        # Each item takes a head of its own, so a count that was never written is refused before anything is made of it.
        if count * self._item.head_size > len(data) - begin:
            raise DecodeError(f"{self.name}: a count of {count} in {len(data)} bytes", raw=data, offset=at)
        return _decode_all((self._item,) * count, data, begin)


class _Tuple(AbiType):
    # Never without members: the parser takes no "()". Items that take no bytes could be claimed in any number.
    def __init__(self, items: tuple[AbiType, ...]) -> None:
        self.name = f"({','.join(item.name for item in items)})"
        self.dynamic = any(item.dynamic for item in items)
        self.head_size = WORD if self.dynamic else _heads_size(items)
        self.items = items

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self._refused(value, "is not a sequence")
        return _encode_all(self.items, value)

    def decode(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        return _decode_all(self.items, data, at)


_BYTES: Final = _Bytes()


def _encode_all(types: tuple[AbiType, ...], values: Sequence[Any]) -> bytes:
    if len(types) != len(values):
        raise ValueError(f"{len(values)} values for {len(types)} types")
    tail_at = _heads_size(types)
    heads: list[bytes] = []
    tails: list[bytes] = []
    for one, value in zip(types, values, strict=True):
        encoded = one.encode(value)
        if one.dynamic:
            heads.append(tail_at.to_bytes(WORD, "big"))
            tails.append(encoded)
            tail_at += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _heads_size(types: tuple[AbiType, ...]) -> int:
    return sum(one.head_size for one in types)


def _decode_all(types: tuple[AbiType, ...], data: bytes, begin: int, skipped: int = 0) -> tuple[tuple[Any, ...], int]:
    """The values at ``begin`` and where they end; ``skipped`` bytes stand between the heads and the first tail."""
    head_at = begin
    tail_at = begin + _heads_size(types) + skipped
    if tail_at > len(data):
        raise DecodeError(f"{len(data)} bytes, {tail_at} needed", raw=data, offset=min(begin, len(data)))
    values: list[Any] = []
    for one in types:
        if one.dynamic:
            offset = int.from_bytes(data[head_at : head_at + WORD], "big")
            if offset != tail_at - begin:
                raise DecodeError(f"{one.name}: offset {offset}, not {tail_at - begin}", raw=data, offset=head_at)
            value, tail_at = one.decode(data, tail_at)
        else:
            value, _ = one.decode(data, head_at)
        values.append(value)
        head_at += one.head_size
    return tuple(values), tail_at


_SIMPLE: Final[dict[str, AbiType]] = {"bool": _Bool(), "address": _AddressType(), "string": _String()}
_ELEMENTARY: Final = re.compile(r"(uint|int|bytes)([1-9]\d{0,2})?|bool|address|string")


@lru_cache(maxsize=1024)
def types_of(text: str) -> tuple[AbiType, ...]:
    """The types in a list such as ``bytes32,(int64,uint64)[]``; an empty text has none. ``uint`` and ``int`` have 256 bits.

    Raises ``ValueError`` for anything else, names and arrays of fixed size among them.
    """
    if len(text) > _MAX_TEXT or text.count("(") + text.count("[") > _MAX_NESTED:
        raise ValueError(f"a list of types of {len(text)} letters, {text[:40]!r}...: too long, or too nested")
    if not text:
        return ()
    types, end = _parse_list(text, 0)
    if end != len(text):
        raise ValueError(f"{text!r} is no list of ABI types, from {text[end : end + 20]!r} on")
    return types


def _parse_list(text: str, at: int) -> tuple[tuple[AbiType, ...], int]:
    types: list[AbiType] = []
    while True:
        one, at = _parse_one(text, at)
        types.append(one)
        if text[at : at + 1] != ",":
            return tuple(types), at
        at += 1


def _parse_one(text: str, at: int) -> tuple[AbiType, int]:
    one: AbiType
    if text[at : at + 1] == "(":
        members, at = _parse_list(text, at + 1)
        if text[at : at + 1] != ")":
            raise ValueError(f"{text!r}: a tuple is not closed")
        one, at = _Tuple(members), at + 1
    else:
        found = _ELEMENTARY.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is no list of ABI types, from {text[at : at + 20]!r} on")
        one, at = _elementary(found), found.end()
    while text.startswith("[]", at):
        one, at = _Array(one), at + 2
    return one, at


def _elementary(found: re.Match[str]) -> AbiType:
    match found[1]:
        case "uint":
            return _Integer(int(found[2] or 256), signed=False)
        case "int":
            return _Integer(int(found[2] or 256), signed=True)
        case "bytes":
            return _FixedBytes(int(found[2])) if found[2] else _BYTES
        case _:
            return _SIMPLE[found[0]]


def encode(types: str, values: Sequence[Any]) -> bytes:
    """The encoding of ``values`` as ``types``, a list such as ``bytes32,uint256[]``.

    Values are ints, bools, :class:`Address` or what it takes, bytes, text, and sequences for arrays and tuples. Raises
    ``ValueError`` when one does not fit its type; nothing is cut or filled up.
    """
    return _encode_all(types_of(types), values)


def decode(types: str, data: bytes) -> tuple[Any, ...]:
    """The values of a canonical encoding of ``types`` that fills ``data``; arrays and tuples come as tuples.

    Raises ``DecodeError`` with the offset.
    """
    values, end = _decode_all(types_of(types), data, 0)
    if end != len(data):
        raise _surplus(types, data, end)
    return values


def decode_answer(types: str, data: bytes) -> tuple[Any, ...]:
    """The values of a function's answer, which may hold more than ``types``: a later implementation behind a proxy may append
    return values, and those known before must stay readable.

    What was appended is left out. It is recognised by its place: its heads stand behind ours, so the first offset in ours is
    larger by as many words, and its tails stand behind our tails. Anything else raises ``DecodeError`` as :func:`decode` does:
    a part of a word, bytes behind the tails without heads of their own, and any surplus where a struct in the middle might have
    grown, which would shift what is read behind it (a feed is an id and two prices: a longer answer is refused, not guessed).
    """
    parsed = types_of(types)
    heads, skipped = _heads_size(parsed), 0
    at = 0
    for one in parsed:
        if one.dynamic:
            skipped = int.from_bytes(data[at : at + WORD], "big") - heads
            break
        at += one.head_size
    may_be_longer = not _has_struct_before_others(parsed)
    if skipped < 0 or skipped % WORD or not may_be_longer or heads + skipped > len(data):
        skipped = 0
    values, end = _decode_all(parsed, data, 0, skipped)
    tails_are_explained = skipped or not any(one.dynamic for one in parsed)
    if end != len(data) and not (may_be_longer and tails_are_explained and (len(data) - end) % WORD == 0):
        raise _surplus(types, data, end)
    return values


def _has_struct_before_others(types: tuple[AbiType, ...]) -> bool:
    """Whether a static struct, which stands in place, has anything behind it that one more member would shift."""
    for at, one in enumerate(types):
        if isinstance(one, _Tuple) and not one.dynamic and (at < len(types) - 1 or _has_struct_before_others(one.items)):
            return True
    return False


def _surplus(types: str, data: bytes, end: int) -> DecodeError:
    return DecodeError(f"{len(data) - end} bytes more than ({types}) takes", raw=data, offset=end)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
