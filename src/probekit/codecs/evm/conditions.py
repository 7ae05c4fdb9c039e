"""Events as people write them, and conditions on their parameters: ``Transfer(address indexed from, address indexed to, uint256
value)`` and ``value > 250000 USDC``.

An event's parameters have names (their place where they have none). A condition is ``PARAMETER OPERATOR VALUE``; parameter
``sources.0.1`` goes into arrays and tuples by place. What a value may be follows from the parameter's type, so that a condition
that never could hold is refused when it is read:

* integers: ``== != > >= < <= in``, a decimal number, exact in base units with a unit behind it (``1.5 ether``, ``2 gwei``);
* addresses, ``bytesN``, ``bytes`` and ``bool``: ``== != in``, hex with ``0x``, ``true``, ``false``;
* ``string``: ``== != in startswith contains``, in double quotes.

``in`` takes a list in brackets. Nothing is evaluated that is not one of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from probekit.codecs.evm import abi
from probekit.codecs.evm.contract import Event
from probekit.model.evm import Address, Log

_EVENT: Final = re.compile(r"\s*(?:event\s+)?([A-Za-z_$][\w$]{0,99})\s*\((.*)\)\s*;?\s*", re.DOTALL)
_PARAMETER: Final = re.compile(r"(.*?)(\s+indexed)?(?:\s+([A-Za-z_$][\w$]{0,99}))?", re.DOTALL)
_CONDITION: Final = re.compile(
    r"\s*([A-Za-z_$\d][\w$]*(?:\.\d{1,3})*)\s*(==|!=|>=|<=|>|<|\b(?:in|startswith|contains)\b)\s*(.+?)\s*"
)
_NUMBER: Final = re.compile(r"(-?\d[\d_]{0,99}(?:\.\d{1,40})?)\s*([A-Za-z]\w{0,20})?")
_HEX: Final = re.compile(r"0x((?:[0-9a-fA-F]{2})*)")
_TEXT: Final = re.compile(r'"([^"\\]*)"')

UNITS: Final[dict[str, int]] = {"wei": 0, "gwei": 9, "ether": 18}
"""Decimal places of the units that need no introduction."""

_ORDERED: Final = (">", ">=", "<", "<=")
_SHOWN: Final = 200
_MOST_PARAMETERS: Final = 17


@dataclass(frozen=True)
class NamedEvent:
    """An event whose parameters have names; ``types`` are canonical."""

    event: Event
    names: tuple[str, ...]
    types: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> NamedEvent:
        """From a declaration, as it stands in Solidity or an explorer. Raises ``ValueError``."""
        found = _EVENT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r} is no event; write Name(type indexed name, type name, ...)")
        names: list[str] = []
        types: list[str] = []
        indexed: list[int] = []
        for at, part in enumerate(_split(found[2])):
            written = _PARAMETER.fullmatch(part.strip())
            assert written is not None
            (one,) = abi.types_of(re.sub(r"\s+", "", written[1])) or (None,)
            if one is None:
                raise ValueError(f"{text[:80]!r}: parameter {at} has no type")
            if written[2]:
                if one.name in ("string", "bytes") or one.name[-1] in ")]":
                    raise ValueError(f"{text[:80]!r}: of the indexed {one.name} only a hash is kept, which says nothing")
                indexed.append(at)
            names.append(written[3] or str(at))
            types.append(one.name)
        if len(set(names)) != len(names) or len(indexed) > 3 or len(names) > _MOST_PARAMETERS:
            raise ValueError(f"{text[:80]!r}: names must differ, and no more than three parameters can be indexed")
        return cls(Event(f"{found[1]}({','.join(types)})", tuple(indexed)), tuple(names), tuple(types))

    def arguments(self, log: Log) -> dict[str, Any]:
        """Name -> value of a log of this event. Raises ``DecodeError``."""
        return dict(zip(self.names, self.event.decode(log.topics, log.data), strict=True))


def _split(text: str) -> list[str]:
    """At the commas outside all brackets."""
    parts: list[str] = []
    depth, begin = 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]] if text.strip() else []


def shown(value: Any) -> str:
    """A decoded value for people: bytes as hex, at most 200 letters."""
    if isinstance(value, bytes):
        text = "0x" + value[:_SHOWN].hex()
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, tuple):
        text = "(" + ", ".join(shown(one) for one in value[:_MOST_PARAMETERS]) + ")"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


@dataclass(frozen=True)
class Condition:
    """``name`` compared with ``value``; ``path`` goes into tuples and arrays. ``text`` is as it was written."""

    text: str
    name: str
    path: tuple[int, ...]
    operator: str
    value: Any

    @classmethod
    def parse(cls, text: str, event: NamedEvent, units: Mapping[str, int] | None = None) -> Condition:
        """A condition on one of the event's parameters. ``units`` are names with their decimal places, beside :data:`UNITS`.
        Raises ``ValueError`` for what no value of that type can be compared with.
        """
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r} is no condition; write PARAMETER OPERATOR VALUE, as value > 250000 USDC")
        name, *steps = found[1].split(".")
        if name not in event.names:
            raise ValueError(f"{text[:80]!r}: {event.event.name} has no {name}; it has {', '.join(event.names)}")
        path = tuple(int(step) for step in steps)
        kind = _at(event.types[event.names.index(name)], path, text)
        operator = found[2]
        if operator not in _operators(kind):
            raise ValueError(f"{text[:80]!r}: {operator} does not go with {kind}; there is {' '.join(_operators(kind))}")
        read = _reader(kind, operator, UNITS | dict(units or {}))
        return cls(text, name, path, operator, _listed(found[3], read) if operator == "in" else read(found[3]))

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether it is so. A place that an array does not have is never so."""
        value = arguments[self.name]
        for step in self.path:
            if step >= len(value):
                return False
            value = value[step]
        return _COMPARE[self.operator](value, self.value)


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    "in": lambda one, others: one in others,
    "startswith": lambda one, other: bool(one.startswith(other)),
    "contains": lambda one, other: other in one,
}


def _at(kind: str, path: tuple[int, ...], text: str) -> str:
    """The type at a place in arrays and tuples. Raises ``ValueError``."""
    for step in path:
        if kind.endswith("[]"):
            kind = kind[:-2]
        elif kind.startswith("("):
            members = _split(kind[1:-1])
            if step >= len(members):
                raise ValueError(f"{text[:80]!r}: {kind} has {len(members)} members, and no {step}")
            kind = members[step]
        else:
            raise ValueError(f"{text[:80]!r}: {kind} has no members")
    return kind


def _operators(kind: str) -> tuple[str, ...]:
    if kind.startswith(("uint", "int")):
        return ("==", "!=", *_ORDERED, "in")
    if kind == "string":
        return ("==", "!=", "in", "startswith", "contains")
    return ("==", "!=", "in") if not kind.endswith((")", "]")) else ()


def _reader(kind: str, operator: str, units: Mapping[str, int]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if kind == "address":
            return Address(text)
        if kind == "bool":
            if text not in ("true", "false"):
                raise ValueError(f"{text[:80]!r} is neither true nor false")
            return text == "true"
        if kind == "string":
            found = _TEXT.fullmatch(text)
            if found is None:
                raise ValueError(f"{text[:80]!r} is no text in double quotes")
            return found[1]
        if kind.startswith("bytes"):
            found = _HEX.fullmatch(text)
            if found is None or (kind != "bytes" and len(found[1]) != 2 * int(kind[5:])):
                raise ValueError(f"{text[:80]!r} is no {kind} in hex with 0x")
            return bytes.fromhex(found[1])
        value = _integer(text, units)
        if operator in ("==", "!=", "in"):
            # One that does not fit is equal to nothing.
            abi.encode(kind, (value,))
        return value

    return read


def _integer(text: str, units: Mapping[str, int]) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no number with a unit, or without")
    places = 0
    if found[2] is not None:
        if found[2] not in units:
            raise ValueError(f"{text[:80]!r}: no unit is called {found[2]}; there are {', '.join(units)}")
        places = units[found[2]]
    sign, digits, exponent = Decimal(found[1].replace("_", "")).as_tuple()
    assert isinstance(exponent, int)
    number, power = int("".join(map(str, digits))), exponent + places
    scale: int = 10 ** abs(power)
    if power < 0 and number % scale:
        raise ValueError(f"{text[:80]!r} is no whole number of base units")
    exact = number * scale if power >= 0 else number // scale
    return -exact if sign else exact


def _listed(text: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"{text[:80]!r} is no list in brackets")
    return tuple(read(one.strip()) for one in text[1:-1].split(","))
