"""Plain values to a probe's typed options: each field by itself, so that every fault is told in one pass."""

from __future__ import annotations

import difflib
import re
import types
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from probekit.manifest.tree import Path, Problems, Tree
from probekit.model import FeedId
from probekit.secret import Secret, redact
from probekit.units import Bps, ByteSize, format_ns, parse_duration, to_ns

S = TypeVar("S", bound=msgspec.Struct)

_AT: Final = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_REQUIRED: Final = msgspec.NODEFAULT

_TYPE_NAMES: Final[dict[Any, tuple[str, str]]] = {
    timedelta: ("duration", "500ms, 10s, 1m30s"),
    Bps: ("ratio", "50bps, 0.5%"),
    ByteSize: ("size", "64kB, 1MiB"),
    FeedId: ("feed id", "64 hex digits"),
    Secret: ("secret reference", "env:NAME, file:/path, credential:name"),
    str: ("text", ""),
    int: ("whole number", ""),
    bool: ("true or false", ""),
    Decimal: ("decimal", ""),
}

_WITH_UNIT: Final[dict[Any, tuple[Any, str, str]]] = {
    timedelta: (parse_duration, "duration", "500ms, 10s or 1m30s"),
    Bps: (Bps.parse, "ratio", "50bps or 0.5%"),
    ByteSize: (ByteSize.parse, "size", "64kB or 1MiB"),
}


def convert(kind: type[S], tree: Tree, path: Path, problems: Problems) -> S | None:
    """The struct ``kind`` from the mapping at ``path``; ``None`` when something in it is wrong (then ``problems`` says
    what).
    """
    given = _at(tree.value, path)
    before = len(problems.found)
    if not isinstance(given, dict):
        problems.add(tree.mark(path), path, f"expected a mapping of options, got {_shown(given)}")
        return None
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in given:
        if key not in fields:
            problems.add(tree.mark((*path, key)), (*path, key), unknown_key(key, fields))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in given:
            values[name] = _field(given[name], field.type, tree, (*path, name), problems)
        elif field.required:
            problems.add(tree.mark(path), (*path, name), f"missing; expected {type_text(field.type)}")
    if len(problems.found) > before:
        return None
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        problems.add(tree.mark(path), path, str(error))
        return None


def unknown_key(key: str, known: Any) -> str:
    """The sentence for a key that is none, with the nearest that is."""
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known: {', '.join(sorted(known))}"


def _field(value: Any, kind: Any, tree: Tree, path: Path, problems: Problems) -> Any:
    try:
        return msgspec.convert(_prepared(value, kind), kind, dec_hook=_hook)
    except _Refused as refused:
        problems.add(tree.mark((*path, *refused.path)), (*path, *refused.path), str(refused))
    except msgspec.ValidationError as error:
        match = _AT.match(str(error))
        sentence, steps = (match[1], match[2] or "") if match else (str(error), "")
        below = tuple(int(index) if index else name for name, index in _STEP.findall(steps))
        at = (*path, *below)
        problems.add(tree.mark(at), at, f"{_plain_words(sentence)}; got {_shown(_at(value, below), kind)}")
    except (ValueError, LookupError, OSError) as error:
        problems.add(tree.mark(path), path, redact(str(error)))
    return None


class _Refused(Exception):
    def __init__(self, sentence: str, path: Path = ()) -> None:
        super().__init__(sentence)
        self.path = path


def _prepared(value: Any, kind: Any, path: Path = ()) -> Any:
    """Quantities from text: the library would read a bare number as seconds, and a ratio as a mapping."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _prepared(value, get_args(kind)[0], path)
    if origin in (Union, types.UnionType):
        inner = [one for one in get_args(kind) if one is not type(None)]
        return value if value is None else _prepared(value, inner[0], path) if len(inner) == 1 else value
    if kind in _WITH_UNIT:
        parse_text, name, examples = _WITH_UNIT[kind]
        if not isinstance(value, str):
            raise _Refused(f"{value!r} has no unit; write a {name} as {examples}", path)
        try:
            return parse_text(value)
        except ValueError as error:
            raise _Refused(str(error), path) from None
    if origin in (tuple, list) and isinstance(value, list):
        return [_prepared(one, get_args(kind)[0], (*path, number)) for number, one in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _prepared(one, get_args(kind)[1], (*path, key)) for key, one in value.items()}
    return value


def _hook(kind: type, value: Any) -> Any:
    parsers: dict[type, Any] = {FeedId: FeedId, Secret: Secret.parse}
    parse = parsers.get(kind)
    if parse is None:
        raise NotImplementedError(f"options of type {kind.__name__} cannot be read from YAML")
    if not isinstance(value, str):
        name, examples = _TYPE_NAMES[kind]
        raise ValueError(f"{'a literal' if kind is Secret else repr(value)} is not a {name}; write it as {examples}")
    return parse(value)


def _plain_words(sentence: str) -> str:
    return sentence.replace("Expected", "expected").replace("`", "").replace("array", "list").replace("object", "mapping")


def _shown(value: Any, kind: Any = None) -> str:
    if kind is not None and Secret in (kind, *get_args(kind)):
        return "a value that is not shown"
    text = repr(value)
    return redact(text if len(text) <= 60 else text[:57] + "...")


def _at(value: Any, path: Path) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One option, for ``--explain`` and the reference."""

    name: str
    type: str
    default: str
    required: bool
    doc: str


def describe(kind: type[msgspec.Struct]) -> list[OptionInfo]:
    """A probe's options: name, type with how it is written, default, and what it means."""
    described = []
    for field in msgspec.structs.fields(kind):
        default = "" if field.required else value_text(_default(field))
        described.append(OptionInfo(field.name, type_text(field.type), default, field.required, _doc_of(field.type)))
    return described


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
    if origin in (tuple, list):
        return f"list of {type_text(parts[0])}"
    if origin is dict:
        return f"mapping of text to {type_text(parts[1])}"
    if origin is Literal:
        return "one of " + ", ".join(str(one) for one in parts)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(one.value) for one in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in _TYPE_NAMES:
        return "mapping with " + ", ".join(field.name for field in msgspec.structs.fields(kind))
    name, examples = _TYPE_NAMES.get(kind, (str(getattr(kind, "__name__", kind)), ""))
    return f"{name} ({examples})" if examples else name


def value_text(value: Any) -> str:
    """A value as it would be written in YAML; a secret shows only where it comes from."""
    if isinstance(value, timedelta):
        return format_ns(to_ns(value))
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(value_text(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {value_text(one)}" for key, one in value.items()) + "}"
    if value is None:
        return "none"
    return str(value)
