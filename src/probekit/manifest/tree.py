"""YAML as plain values with their positions; what is ambiguous, unbounded or of another language is refused.

Of YAML 1.1 (https://yaml.org/type/) these implicit forms are read as text, since each turns a value silently into another
one: base-60 numbers (``1:30``), octal numbers by a leading zero (``010``), and dates. Fractions are exact decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import yaml
import yaml.reader

from probekit.manifest.problems import Mark, Path, Problems

MAX_VALUES: Final = 100_000
"""Values a manifest may hold once its aliases are written out: a few bytes of nested aliases can name billions."""

_MAX_DEPTH: Final = 32
_MAX_NUMBER: Final = 100

_TAG: Final = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL, _MERGE = (_TAG + name for name in ("str", "int", "float", "bool", "null", "merge"))
_WHOLE: Final = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FRACTION: Final = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_TRUTH: Final = re.compile(r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)\Z")
_NOTHING: Final = re.compile(r"(?:~|null|Null|NULL|)\Z")

_Entries = dict[str, tuple[yaml.Node, yaml.Node]]


class Broken:
    """Stands where a value could not be read; its fault is told already."""


BROKEN: Final = Broken()


@dataclass(slots=True)
class Tree:
    """A plain value (text, whole number, ``Decimal``, bool, ``None``, list, mapping, :data:`BROKEN`) and where its parts
    stand.

    ``marks`` places everything by path, a mapping's entry at its key. ``texts`` holds, for an unquoted scalar that is not
    read as text, the characters as they are written.
    """

    value: Any
    marks: dict[Path, Mark] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)

    def mark(self, path: Path) -> Mark | None:
        """The position of ``path``, or of the nearest thing around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path)

    def graft(self, path: Path, other: Tree) -> None:
        """Let ``other``, which was parsed at ``path``, say where everything at and under it stands."""
        for places in (self.marks, self.texts):
            for below in [one for one in places if one[: len(path)] == path]:
                del places[below]
        self.marks.update(other.marks)
        self.texts.update(other.texts)


def parse(text: str, problems: Problems, *, at: Path = (), flag: str | None = None) -> Tree:
    """Parse YAML as the value at ``at``; ``flag`` names the command-line option it came from.

    Faults go to ``problems``, and what can be read is still read; where nothing can, the value is :data:`BROKEN`. An empty
    text is ``None``.
    """
    reader = _Reader(problems, flag)
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Tree(None, {at: Mark(1, 1, flag)})
        return Tree(reader.plain(node, at, depth=0), reader.marks, reader.texts)
    except _TooMuch as error:
        problems.add(reader.mark(error.problem_mark), at, str(error.problem))
    except yaml.MarkedYAMLError as error:
        problems.add(reader.mark(error.problem_mark or error.context_mark), at, f"not YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"), flag)
        problems.add(mark, at, f"not YAML: the character U+{ord(text[error.position]):04X} is not allowed")
    except (ValueError, OverflowError) as error:
        # PyYAML's scanner lets these through for an escape beyond Unicode and for an endless version number.
        problems.add(reader.mark(loader.get_mark() if loader is not None else None), at, f"not YAML: {error}")
    finally:
        if loader is not None:
            loader.dispose()
    return Tree(BROKEN, {at: Mark(1, 1, flag)})


class _TooMuch(yaml.MarkedYAMLError):
    """More than a manifest may hold."""


class _Loader(yaml.SafeLoader):
    """PyYAML's composer, bounded in depth and number while it reads, with the implicit types of this module."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way: filled below

    def __init__(self, stream: str) -> None:
        self._depth = self._count = 0
        super().__init__(stream)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._count += 1
        if self._depth > _MAX_DEPTH + 1:
            raise _TooMuch(problem=f"nested deeper than {_MAX_DEPTH} levels", problem_mark=self.get_mark())
        if self._count > MAX_VALUES:
            raise _TooMuch(problem=f"more than {MAX_VALUES} values", problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _pattern, _first in (
    (_BOOL, _TRUTH, "yYnNtTfFoO"),
    (_INT, _WHOLE, "-+0123456789"),
    (_FLOAT, _FRACTION, "-+.0123456789"),
    (_FLOAT, _NOT_FINITE, "-+."),
    (_NULL, _NOTHING, ["~", "n", "N", ""]),
    (_MERGE, re.compile(r"<<\Z"), "<"),
):
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))


class _Reader:
    """Nodes to plain values. Bounded: every node is counted each time an alias or a merge brings it in."""

    def __init__(self, problems: Problems, flag: str | None) -> None:
        self.marks: dict[Path, Mark] = {}
        self.texts: dict[Path, str] = {}
        self._problems = problems
        self._flag = flag
        self._spent = 0
        self._open: set[int] = set()
        self._told: set[int] = set()

    def mark(self, mark: yaml.Mark | None) -> Mark | None:
        if mark is not None:
            return Mark(mark.line + 1, mark.column + 1, self._flag)
        return None if self._flag is None else Mark(1, 1, self._flag)

    def plain(self, node: yaml.Node, path: Path, *, depth: int) -> Any:
        self._spend(node)
        mark = self.mark(node.start_mark)
        if mark is not None:
            self.marks.setdefault(path, mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            return self._broken(node, path, "contains itself")
        if depth >= _MAX_DEPTH:
            return self._broken(node, path, f"nested deeper than {_MAX_DEPTH} levels")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path, depth)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.plain(item, (*path, number), depth=depth + 1) for number, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        return self._broken(node, path, f"not YAML as it is used here: the tag {_tag_text(node)}")

    def _spend(self, node: yaml.Node) -> None:
        self._spent += 1
        if self._spent > MAX_VALUES:
            raise _TooMuch(
                problem=f"more than {MAX_VALUES} values once its aliases are written out", problem_mark=node.start_mark
            )

    def _broken(self, node: yaml.Node, path: Path, sentence: str) -> Broken:
        self._problems.add(self.mark(node.start_mark), path, sentence)
        return BROKEN

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        # No sentence here shows the value: it may be a secret that someone wrote down, and only its option's type knows.
        text: str = node.value
        if node.tag == _STR:
            return text if _is_unicode(text) else self._broken(node, path, "text that holds half a character")
        if node.style is None:
            self.texts[path] = text
        if node.tag == _NULL and _NOTHING.match(text):
            return None
        if node.tag == _BOOL and _TRUTH.match(text):
            return text.lower() in ("yes", "true", "on")
        if node.tag in (_INT, _FLOAT) and len(text) > _MAX_NUMBER:
            return self._broken(node, path, f"a number of {len(text)} characters; if it is text, quote it")
        if node.tag == _FLOAT and _NOT_FINITE.match(text):
            return self._broken(node, path, "not a finite number; if it is text, quote it")
        digits = text.replace("_", "")
        try:
            if node.tag in (_INT, _FLOAT) and _WHOLE.match(text):
                whole = int(digits, 0)
                return whole if node.tag == _INT else Decimal(whole)
            if node.tag == _FLOAT and _FRACTION.match(text):
                return Decimal(digits)
        except (ValueError, ArithmeticError):
            # 0x_ alone, or an exponent beyond what a Decimal holds.
            return self._broken(node, path, "not a number that can be read; if it is text, quote it")
        if node.tag in (_NULL, _BOOL, _INT, _FLOAT):
            return self._broken(node, path, f"the value does not fit its tag {_tag_text(node)}")
        return self._broken(node, path, f"not YAML as it is used here: the tag {_tag_text(node)}")

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        entries, merges = self._own(node, path)
        for value in merges:
            self._merge(value, (*path, "<<"), entries, [id(node)])
        made: dict[str, Any] = {}
        for name, (key, value) in entries.items():
            mark = self.mark(key.start_mark)
            if mark is not None:
                self.marks[(*path, name)] = mark
            made[name] = self.plain(value, (*path, name), depth=depth + 1)
        return made

    def _own(self, node: yaml.MappingNode, path: Path) -> tuple[_Entries, list[yaml.Node]]:
        """What a mapping says itself, and the values of its ``<<``."""
        entries: _Entries = {}
        merges: list[yaml.Node] = []
        for key, value in node.value:
            self._spend(key)
            if key.tag == _MERGE:
                merges.append(value)
                if len(merges) == 2:
                    self._bad_key(key, (*path, "<<"), "given twice; write <<: [*one, *other]")
            elif not isinstance(key, yaml.ScalarNode):
                self._bad_key(key, path, f"a {key.id} cannot be a key")
            elif key.tag != _STR:
                hint = "; quote it" if key.style is None else ""
                self._bad_key(key, path, f"the key {key.value[:80]} is not text{hint}")
            elif not _is_unicode(key.value):
                self._bad_key(key, path, f"the key {key.value[:80]!r} holds half a character")
            elif key.value in entries:
                self._bad_key(key, (*path, key.value), "given twice")
            else:
                entries[key.value] = (key, value)
        return entries, merges

    def _bad_key(self, key: yaml.Node, path: Path, sentence: str) -> None:
        """Told once, where the mapping itself stands, not again wherever it is merged into another."""
        if id(key) not in self._told:
            self._told.add(id(key))
            self._broken(key, path, sentence)

    def _merge(self, node: yaml.Node, path: Path, entries: _Entries, inside: list[int]) -> None:
        """Add what ``<<: node`` brings: never over a key that is there, the first of several bases winning."""
        for base in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            self._spend(base)
            if not isinstance(base, yaml.MappingNode):
                self._broken(base, path, "<< takes a mapping, or a list of mappings")
            elif id(base) in inside:
                self._broken(base, path, "merges itself")
            elif len(inside) > _MAX_DEPTH:
                self._broken(base, path, f"nested deeper than {_MAX_DEPTH} levels")
            else:
                own, merges = self._own(base, path)
                for name, entry in own.items():
                    entries.setdefault(name, entry)
                for value in merges:
                    self._merge(value, path, entries, [*inside, id(base)])


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def _tag_text(node: yaml.Node) -> str:
    tag = str(node.tag)
    return "!!" + tag.removeprefix(_TAG)[:60] if tag.startswith(_TAG) else repr(tag[:60])
