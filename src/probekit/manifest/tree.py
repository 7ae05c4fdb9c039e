"""YAML as plain values with their positions; duplicate keys and tags of other languages refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Problems:
    """Every fault found in one pass: ``file:line:column key: sentence``."""

    source: str
    found: list[str] = field(default_factory=list)

    def add(self, mark: Mark | None, path: Path, sentence: str) -> None:
        where = self.source if mark is None else f"{self.source}:{mark.line}:{mark.column}"
        key = show(path)
        self.found.append(f"{where} {key}: {sentence}" if key else f"{where} {sentence}")


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Tree:
    """A plain value and the position of everything in it, by path; a mapping's entry is placed at its key."""

    value: Any
    marks: dict[Path, Mark]

    def mark(self, path: Path) -> Mark | None:
        """The position of ``path``, or of the nearest thing around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path)


def show(path: Path) -> str:
    """``options.feeds[2]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, problems: Problems) -> Tree:
    """Parse YAML. Faults go to ``problems``; what can be read is still read."""
    marks: dict[Path, Mark] = {}
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Tree({}, marks)
        value = _plain(loader, node, (), marks, problems, depth=0)
        return Tree(value, marks)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = None if mark is None else Mark(mark.line + 1, mark.column + 1)
        problems.add(position, (), f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        problems.add(None, (), f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    finally:
        if loader is not None:
            loader.dispose()
    return Tree(None, marks)


_MAX_DEPTH = 32
_PLAIN_TAGS = frozenset(("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"))


def _plain(
    loader: yaml.SafeLoader, node: yaml.Node, path: Path, marks: dict[Path, Mark], problems: Problems, *, depth: int
) -> Any:
    mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
    marks.setdefault(path, mark)
    if depth > _MAX_DEPTH:
        problems.add(mark, path, f"nested deeper than {_MAX_DEPTH} levels")
        return None
    if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
        problems.add(mark, path, f"not YAML as it is used here: the tag {node.tag[:60]!r}")
        return None
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            at = Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key, str):
                problems.add(at, path, f"the key {key!r} is not text")
                continue
            if key in made:
                problems.add(at, (*path, key), "given twice")
                continue
            marks[(*path, key)] = at
            made[key] = _plain(loader, value_node, (*path, key), marks, problems, depth=depth + 1)
        return made
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(loader, item, (*path, number), marks, problems, depth=depth + 1) for number, item in enumerate(node.value)
        ]
    return loader.construct_object(node, deep=True)
