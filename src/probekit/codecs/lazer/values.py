"""Reading members of JSON that this service writes as numbers here and as text there, without floats.

Numbers that are no integers arrive as ``Decimal``. Every function raises ``ValueError`` with the member's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from probekit.errors import DecodeError

T = TypeVar("T")

_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_INTEGER: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_TEXT: Final = 4_096

I64: Final = range(-(2**63), 2**63)
U64: Final = range(2**64)
U32: Final = range(2**32)
U16: Final = range(2**16)
I16: Final = range(-(2**15), 2**15)


def parsed(text: bytes | str, what: str) -> Any:
    """Any JSON. Raises ``DecodeError``."""
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
        # ArithmeticError: an exponent that no Decimal takes.
        raise DecodeError(f"not {what}: {error}", raw=text) from None


def shown(value: Any) -> str:
    """The value as JSON, for an error about it."""
    return _ENCODER.encode(value).decode()


def each(items: Iterable[Any], read: Callable[[Any], T], what: str) -> tuple[T | DecodeError, ...]:
    """Every item of a list; one that does not read is its own error."""
    found: list[T | DecodeError] = []
    for item in items:
        try:
            found.append(read(item))
        except ValueError as error:
            found.append(DecodeError(f"{what}: {error}", raw=shown(item)))
    return tuple(found)


def integer(value: Any, name: str, within: range) -> int:
    """From a number or from text."""
    if type(value) is int and value in within:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value not in within:
        raise ValueError(f"{name} is {str(value)[:80]!r}, no integer of its range")
    return value


def maybe_integer(row: dict[str, Any], name: str, within: range) -> int | None:
    """``None`` where the member is absent or null."""
    value = row.get(name)
    return None if value is None else integer(value, name, within)


def decimal(value: Any, name: str) -> Decimal:
    """From a number."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError(f"{name} is {str(value)[:80]!r}, no number")


def text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > _TEXT:
        raise ValueError(f"{name} is {str(value)[:80]!r}, no text of up to {_TEXT} letters")
    return value


def maybe_text(row: dict[str, Any], name: str) -> str | None:
    """``None`` where the member is absent or null."""
    value = row.get(name)
    return None if value is None else text(value, name)


def table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {str(value)[:80]!r}, no object")
    return value


def array(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {str(value)[:80]!r}, no list")
    return value


def rest(row: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The members that this release does not know."""
    return {name: value for name, value in row.items() if name not in known}
