"""Faults of a manifest, each with its position; all of them, in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NoReturn

from probekit.errors import ConfigError

Path = tuple[str | int, ...]

_MOST_SHOWN: Final = 50
"""Two thousand wrong feeds are one mistake: the message names the first ones and counts the rest."""

_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, counted from 1; ``flag`` names the command-line option instead, where the value came from one."""

    line: int
    column: int
    flag: str | None = None


@dataclass(slots=True)
class Problems:
    """Every fault found in one pass: ``file:line:column key: sentence``."""

    source: str
    _entries: dict[str, tuple[bool, int, int]] = field(default_factory=dict)

    def add(self, mark: Mark | None, path: Path, sentence: str) -> None:
        """Keep a fault; the same one at the same place counts once."""
        if mark is None:
            where, order = self.source, (True, 0, 0)
        elif mark.flag is not None:
            where, order = mark.flag, (True, mark.line, mark.column)
        else:
            where, order = f"{self.source}:{mark.line}:{mark.column}", (False, mark.line, mark.column)
        key = show(path)
        if not key and mark is None:
            where += ":"
        sentence = sentence if len(sentence) <= _LONGEST else sentence[:_LONGEST] + "..."
        text = f"{where} {key}: {sentence}" if key else f"{where} {sentence}"
        self._entries.setdefault(one_line(text), order)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def found(self) -> list[str]:
        """The faults: those of the file by position, then those that have none."""
        return sorted(self._entries, key=self._entries.__getitem__)

    def refuse(self) -> NoReturn:
        """Raise ``ConfigError`` with all of them."""
        found = self.found
        shown = found[:_MOST_SHOWN]
        if len(found) > len(shown):
            shown.append(f"{self.source}: and {len(found) - len(shown)} more")
        raise ConfigError("\n".join(shown), problems=tuple(found))


def show(path: Path) -> str:
    """``options.feeds[2]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text if len(text) <= 200 else text[:197] + "..."


def one_line(text: str) -> str:
    """``text`` on one line, without anything that a terminal would obey."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
