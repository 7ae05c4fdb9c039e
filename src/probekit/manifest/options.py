"""What a probe's options are, for ``--explain``, the reference page and the sentences of faults."""

from __future__ import annotations

import collections.abc
import difflib
import types
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.secret import Secret, redact_url
from probekit.units import Amount, Bps, ByteSize, Instant, format_ns, to_ns

_REQUIRED: Final = msgspec.NODEFAULT

TYPE_NAMES: Final[dict[Any, tuple[str, str]]] = {
    timedelta: ("duration", "500ms, 10s, 1m30s"),
    Bps: ("ratio", "50bps, 0.5%"),
    ByteSize: ("size", "64kB, 1MiB"),
    Amount: ("coin amount", "0.1 ETH, 250 USDC"),
    FeedId: ("feed id", "64 hex digits"),
    Pubkey: ("public key", "base58"),
    Instant: ("time", "2026-09-12T10:00:00Z"),
    Secret: ("secret reference", "env:NAME, file:/path, credential:name"),
    str: ("text", ""),
    int: ("whole number", ""),
    bool: ("true or false", ""),
    Decimal: ("decimal", ""),
    float: ("decimal", ""),
    type(None): ("nothing", ""),
}
"""How an operator calls a type, and how its values are written."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like ``name``, if one is."""
    near = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.5)
    return near[0] if near else None


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that is none, with the nearest that is."""
    near = nearest(key, known)
    return f"unknown key; did you mean {near!r}?" if near else f"unknown key; known: {', '.join(sorted(known)) or 'none'}"


def holds_secret(kind: Any, _seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value given for ``kind`` may be, or hold, a secret: then no fault shows it."""
    if kind is Secret or any(holds_secret(one, _seen) for one in get_args(kind)):
        return True
    if hasattr(kind, "__supertype__"):
        return holds_secret(kind.__supertype__, _seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in TYPE_NAMES and kind not in _seen:
        return any(holds_secret(field.type, _seen | {kind}) for field in msgspec.structs.fields(kind))
    return False


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One option, for ``--explain`` and the reference."""

    name: str
    type: str
    default: str
    required: bool
    doc: str
    parts: tuple[OptionInfo, ...] = ()
    """The fields of a mapping, or of each mapping of a list, named ``chains[].endpoints``."""


def describe(kind: type[msgspec.Struct], *, _nested: bool = True) -> list[OptionInfo]:
    """A probe's options: name, type with how it is written, default, and what it means; of mappings their fields, one level."""
    described = []
    for field in msgspec.structs.fields(kind):
        default = "" if field.required else value_text(_default(field))
        described.append(
            OptionInfo(
                field.name,
                type_text(field.type),
                default,
                field.required,
                _doc_of(field.type),
                _parts(field) if _nested else (),
            )
        )
    return described


def _parts(field: msgspec.structs.FieldInfo) -> tuple[OptionInfo, ...]:
    found = _mapping_in(field.type)
    if found is None:
        return ()
    kind, many = found
    return tuple(replace(one, name=f"{field.name}{'[]' * many}.{one.name}") for one in describe(kind, _nested=False))


def _mapping_in(kind: Any, *, many: int = 0) -> tuple[type[msgspec.Struct], int] | None:
    """The mapping that a type is or holds, and how many lists deep."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in TYPE_NAMES:
        return kind, many
    deeper = many + (get_origin(kind) in (tuple, list, set, frozenset, collections.abc.Sequence))
    inner = [one for part in get_args(kind) if (one := _mapping_in(part, many=deeper)) is not None]
    return inner[0] if inner else None


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default is _REQUIRED and callable(field.default_factory) else field.default


def _doc_of(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        for extra in get_args(kind)[1:]:
            if isinstance(extra, msgspec.Meta) and extra.description:
                return extra.description
    return ""


def type_text(kind: Any) -> str:
    """A type as an operator reads it: ``duration (500ms, 10s, 1m30s)``, ``list of text``."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_text(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(one) for one in parts if one is not type(None))
    if origin in (tuple, list, set, frozenset, collections.abc.Sequence):
        return f"list of {', '.join(type_text(one) for one in parts if one is not Ellipsis)}"
    if origin in (dict, collections.abc.Mapping):
        return f"mapping of text to {type_text(parts[1])}"
    if origin is Literal:
        return "one of " + ", ".join(str(one) for one in parts)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(one.value) for one in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in TYPE_NAMES:
        return "mapping with " + ", ".join(field.name for field in msgspec.structs.fields(kind))
    name, examples = TYPE_NAMES.get(kind, (str(getattr(kind, "__name__", kind)), ""))
    return f"{name} ({examples})" if examples else name


def value_text(value: Any) -> str:
    """A value as it would be written in YAML; a secret shows only where it comes from."""
    if isinstance(value, timedelta):
        return format_ns(to_ns(value))
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, Enum):
        return value_text(value.value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(value_text(one) for one in value) + "]"
    if isinstance(value, msgspec.Struct) and type(value) not in TYPE_NAMES:
        fields = msgspec.structs.fields(value)
        said = {
            one.name: getattr(value, one.name) for one in fields if one.required or getattr(value, one.name) != _default(one)
        }
        return value_text(said)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {value_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, msgspec.Struct) and type(value).__str__ is object.__str__:
        given = [(field.name, getattr(value, field.name), field) for field in msgspec.structs.fields(value)]
        told = [f"{name}: {value_text(one)}" for name, one, field in given if field.required or one != _default(field)]
        return "{" + ", ".join(told) + "}"
    if value is None:
        return "none"
    if isinstance(value, msgspec.Struct) and type(value) not in TYPE_NAMES:
        given = ((one.name, getattr(value, one.name), one) for one in msgspec.structs.fields(value))
        return "{" + ", ".join(f"{name}: {value_text(one)}" for name, one, field in given if one != _default(field)) + "}"
    return redact_url(value) if isinstance(value, str) and "://" in value else str(value)
