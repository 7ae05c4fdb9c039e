"""Plain values to a probe's typed options: every field, item and entry by itself, at any depth, so that all faults are told
in one pass and a unit is asked for everywhere alike.
"""

from __future__ import annotations

import collections.abc
import operator
import re
import types
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from probekit.manifest.options import TYPE_NAMES, holds_secret, nearest, type_text, unknown_key
from probekit.manifest.problems import Path, Problems
from probekit.manifest.tree import BROKEN, Broken, Tree
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.secret import Secret, redact
from probekit.units import Amount, Bps, ByteSize, Instant, parse_duration

S = TypeVar("S", bound=msgspec.Struct)

_WITH_UNIT: Final[dict[Any, Callable[[str], Any]]] = {
    timedelta: parse_duration,
    Amount: Amount.parse,
    Bps: Bps.parse,
    ByteSize: ByteSize.parse,
}
_AS_TEXT: Final[dict[Any, Callable[[str], Any]]] = {
    FeedId: FeedId,
    Pubkey: Pubkey,
    Secret: Secret.parse,
    Instant: Instant.parse,
}
_LISTS: Final[dict[Any, Callable[[Iterable[Any]], Any]]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
}
_MAPPINGS: Final = (dict, collections.abc.Mapping)

_DECIMAL: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_MAX_DIGITS: Final = 100
_MAX_QUANTITY: Final = 100
_MAX_SHOWN: Final = 80

_READ_AS: Final[dict[type, str]] = {int: "a number", Decimal: "a number", bool: "true or false", type(None): "nothing"}


def convert(kind: type[S], tree: Tree, path: Path, problems: Problems) -> S | None:
    """The struct ``kind`` from the mapping at ``path``; ``None`` when something in it is wrong.

    ``problems`` then says what, each fault at its own place.
    """
    value = tree.value
    for part in path:
        value = value[part]
    made = _Converter(tree, problems).value(value, kind, path)
    return made if isinstance(made, kind) else None


def convert_value(kind: Any, value: Any, tree: Tree, path: Path, problems: Problems) -> Any:
    """``value``, which stands at ``path``, as ``kind``; ``BROKEN`` once its faults are in ``problems``."""
    return _Converter(tree, problems).value(value, kind, path)


class _Converter:
    def __init__(self, tree: Tree, problems: Problems) -> None:
        self._tree = tree
        self._problems = problems

    def value(self, value: Any, kind: Any, path: Path) -> Any:
        """``value`` as ``kind``, or ``BROKEN`` once its faults are told."""
        if isinstance(value, Broken):
            return BROKEN
        while hasattr(kind, "__supertype__") or hasattr(kind, "__value__"):
            kind = kind.__supertype__ if hasattr(kind, "__supertype__") else kind.__value__
        origin, parts = get_origin(kind), get_args(kind)
        if origin is Annotated:
            made = self.value(value, parts[0], path)
            return made if isinstance(made, Broken) else self._bounded(made, value, parts, path)
        if origin in (Union, types.UnionType):
            return self._one_of(value, kind, path)
        if kind in (Any, object):
            return value
        if kind is None or kind is type(None):
            return None if value is None else self._expected(value, kind, path)
        if kind in _WITH_UNIT:
            return self._quantity(value, kind, path)
        if kind in _AS_TEXT:
            return self._from_text(value, kind, path)
        if origin is Literal:
            return self._choice(value, {one: one for one in parts}, kind, path)
        if origin in _LISTS or kind in _LISTS:
            return self._items(value, kind, origin or kind, parts, path)
        if origin in _MAPPINGS or kind in _MAPPINGS:
            return self._mapping(value, kind, parts or (str, Any), path)
        if isinstance(kind, type):
            if issubclass(kind, Enum):
                return self._choice(value, {one.value: one for one in kind}, kind, path)
            if issubclass(kind, msgspec.Struct):
                return self._struct(value, kind, path)
        return self._plain(value, kind, path)

    # -- single values -------------------------------------------------------------------------------------------------------

    def _plain(self, value: Any, kind: Any, path: Path) -> Any:
        if kind is Decimal or kind is float:
            return self._decimal(value, kind, path)
        if kind in (str, int, bool):
            # A bool is an int to Python, never to an operator.
            return value if type(value) is kind else self._expected(value, kind, path)
        return self._fault(path, f"options of type {type_text(kind)} cannot be read from YAML: a defect of the probe")

    def _decimal(self, value: Any, kind: Any, path: Path) -> Any:
        if isinstance(value, str) and kind is Decimal:
            if not _DECIMAL.fullmatch(value.strip()):
                return self._expected(value, kind, path)
            try:
                value = Decimal(value.strip())
            except InvalidOperation:
                return self._expected(value, kind, path)
        if type(value) not in (int, Decimal):
            return self._expected(value, kind, path)
        number = Decimal(value)
        if abs(number.adjusted()) > _MAX_DIGITS or len(number.as_tuple().digits) > _MAX_DIGITS:
            return self._fault(path, f"{self._shown(value, kind, path)} has more than {_MAX_DIGITS} digits when written out")
        return number if kind is Decimal else float(number)

    def _quantity(self, value: Any, kind: Any, path: Path) -> Any:
        name, examples = TYPE_NAMES[kind]
        written = examples if ", " not in examples else " or ".join(examples.rsplit(", ", 1))
        if type(value) in (int, Decimal):
            shown = self._shown(value, kind, path)
            return self._fault(path, f"{shown} has no unit; write a {name} as {written}")
        if not isinstance(value, str):
            return self._expected(value, kind, path)
        if len(value) > _MAX_QUANTITY:
            return self._fault(path, f"{len(value)} characters are no {name}; write it as {written}")
        return self._parsed(_WITH_UNIT[kind], value, path)

    def _from_text(self, value: Any, kind: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self._parsed(_AS_TEXT[kind], value, path)
        raw = self._tree.texts.get(path)
        if kind is not Secret and raw is not None:
            try:
                _AS_TEXT[kind](raw)
            except (ValueError, OverflowError):
                return self._expected(value, kind, path)
            return self._unquoted(value, raw, path)
        return self._expected(value, kind, path)

    def _parsed(self, parse: Callable[[str], Any], text: str, path: Path) -> Any:
        try:
            return parse(text)
        except (ValueError, LookupError, OSError, ArithmeticError) as error:
            sentence = error.args[0] if isinstance(error, KeyError) and error.args else error
            return self._fault(path, redact(str(sentence)))

    def _choice(self, value: Any, choices: dict[Any, Any], kind: Any, path: Path) -> Any:
        for known, made in choices.items():
            if type(known) is type(value) and known == value:
                return made
        raw = self._tree.texts.get(path)
        if raw is not None and raw in choices:
            return self._unquoted(value, raw, path)
        near = nearest(value, [one for one in choices if isinstance(one, str)]) if isinstance(value, str) else None
        hint = f"; did you mean {near!r}?" if near else ""
        return self._fault(path, f"expected {type_text(kind)}, got {self._shown(value, kind, path)}{hint}")

    def _bounded(self, made: Any, value: Any, parts: tuple[Any, ...], path: Path) -> Any:
        """``made``, once it keeps the limits that ``msgspec.Meta`` sets."""
        for meta in parts[1:]:
            if not isinstance(meta, msgspec.Meta) or made is None:
                continue
            broken = _broken_limit(made, meta)
            if broken:
                return self._fault(path, f"{broken}, got {self._shown(value, parts[0], path)}")
        return made

    # -- what holds others ---------------------------------------------------------------------------------------------------

    def _one_of(self, value: Any, kind: Any, path: Path) -> Any:
        parts = get_args(kind)
        if value is None and type(None) in parts:
            return None
        inner = [one for one in parts if one is not type(None)]
        if len(inner) == 1:
            return self.value(value, inner[0], path)
        for one in inner:
            trial = Problems("")
            made = _Converter(self._tree, trial).value(value, one, path)
            if not len(trial):
                return made
        return self._expected(value, kind, path)

    def _items(self, value: Any, kind: Any, shape: Any, parts: tuple[Any, ...], path: Path) -> Any:
        if not isinstance(value, list):
            return self._expected(value, kind, path)
        if shape is tuple and parts and parts[-1] is not Ellipsis:
            if len(value) != len(parts):
                return self._fault(path, f"expected {len(parts)} items, got {len(value)}")
            kinds: Iterable[Any] = parts
        else:
            kinds = [parts[0] if parts else Any] * len(value)
        items = [self.value(one, item, (*path, number)) for number, (one, item) in enumerate(zip(value, kinds, strict=True))]
        if any(isinstance(one, Broken) for one in items):
            return BROKEN
        try:
            return _LISTS[shape](items)
        except TypeError:
            return self._fault(path, f"options of type {type_text(kind)} cannot be read from YAML: a defect of the probe")

    def _mapping(self, value: Any, kind: Any, parts: tuple[Any, ...], path: Path) -> Any:
        if not isinstance(value, dict):
            return self._expected(value, kind, path)
        made: dict[Any, Any] = {}
        whole = True
        # What is written at an entry's path is its value; a key is text already.
        keys = _Converter(Tree(None, self._tree.marks), self._problems)
        for name, one in value.items():
            key = keys.value(name, parts[0], (*path, name))
            item = self.value(one, parts[1], (*path, name))
            if isinstance(key, Broken) or isinstance(item, Broken):
                whole = False
            elif key in made:
                # Two spellings of one feed id, say.
                self._fault((*path, name), "given twice, in another spelling")
                whole = False
            else:
                made[key] = item
        return made if whole else BROKEN

    def _struct(self, value: Any, kind: type[msgspec.Struct], path: Path) -> Any:
        if not isinstance(value, dict):
            return self._expected(value, kind, path)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        whole = True
        for name in value:
            if name not in fields:
                self._fault((*path, name), unknown_key(name, fields))
                whole = False
        made: dict[str, Any] = {}
        for name, field in fields.items():
            if name in value:
                made[name] = self.value(value[name], field.type, (*path, name))
                whole = whole and not isinstance(made[name], Broken)
            elif field.required:
                self._fault((*path, name), f"missing; expected {type_text(field.type)}")
                whole = False
        if not whole:
            return BROKEN
        try:
            return kind(**made)
        except (ValueError, TypeError) as error:
            # A rule between fields: placed at the first given field that its sentence names.
            words = re.findall(r"\w+", str(error))
            named = next((word for word in words if word in value), None)
            return self._fault(path if named is None else (*path, named), redact(str(error)))
        except Exception as error:
            return self._fault(path, f"its own rules fail: {type(error).__name__}: {redact(str(error))}")

    # -- faults --------------------------------------------------------------------------------------------------------------

    def _fault(self, path: Path, sentence: str) -> Broken:
        self._problems.add(self._tree.mark(path), path, sentence)
        return BROKEN

    def _expected(self, value: Any, kind: Any, path: Path) -> Broken:
        raw = self._tree.texts.get(path)
        if kind is str and raw:
            return self._unquoted(value, raw, path)
        if kind is Secret:
            name, examples = TYPE_NAMES[Secret]
            return self._fault(path, f"a literal is not a {name}; write it as {examples}")
        return self._fault(path, f"expected {type_text(kind)}, got {self._shown(value, kind, path)}")

    def _unquoted(self, value: Any, raw: str, path: Path) -> Broken:
        read_as = _READ_AS.get(type(value), "something else")
        return self._fault(path, f'YAML reads {raw[:80]} as {read_as}, and this is text; quote it: "{raw[:80]}"')

    def _shown(self, value: Any, kind: Any, path: Path) -> str:
        if holds_secret(kind):
            return "a value that is not shown"
        if value is None:
            return "nothing"
        raw = self._tree.texts.get(path)
        if raw is not None:
            text = raw
        else:
            text = repr(value[:_MAX_SHOWN]) if isinstance(value, str | list) else str(value)
        return redact(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "...")


def _broken_limit(made: Any, meta: msgspec.Meta) -> str:
    if isinstance(made, int | float | Decimal) and not isinstance(made, bool):
        for limit, sign, keeps in (
            (meta.ge, ">=", operator.ge),
            (meta.gt, ">", operator.gt),
            (meta.le, "<=", operator.le),
            (meta.lt, "<", operator.lt),
        ):
            if limit is not None and not keeps(made, limit):
                return f"must be {sign} {limit}"
        if meta.multiple_of is not None and Decimal(str(made)) % Decimal(str(meta.multiple_of)) != 0:
            return f"must be a multiple of {meta.multiple_of}"
    if isinstance(made, str | list | tuple | set | frozenset | dict):
        unit = "characters" if isinstance(made, str) else "entries"
        if meta.min_length is not None and len(made) < meta.min_length:
            return f"must have at least {meta.min_length} {unit}"
        if meta.max_length is not None and len(made) > meta.max_length:
            return f"must have at most {meta.max_length} {unit}"
    if isinstance(made, str) and meta.pattern is not None and re.search(meta.pattern, made) is None:
        return f"must match {meta.pattern}"
    return ""
