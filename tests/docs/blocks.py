"""The fenced blocks of the documentation: what is in them, how each is run, and what it must print.

A block is preceded by ``<!-- run: KIND [WORDS] -->`` or ``<!-- not run: WHY -->``. What it prints may follow as a block of the
language ``output``, where ``...`` stands for anything. Blocks of ``text`` are pictures, and need neither.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

PICTURES: Final = ("text", "output")
_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<how>run|not run): (?P<words>[^\n]*?) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$"
    r"(?:\n```output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``kind`` is the first word of its marker; empty where it is not run, or says nothing of it."""

    page: Path
    line: int
    language: str
    code: str
    output: str | None
    kind: str
    words: tuple[str, ...]
    excused: str

    def __str__(self) -> str:
        inside = self.page.is_relative_to(ROOT)
        return f"{self.page.relative_to(ROOT) if inside else self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        words = (found["words"] or "").split()
        run = found["how"] == "run"
        yield Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["language"],
            found["code"],
            found["output"],
            words[0] if run and words else "",
            tuple(words[1:]) if run else (),
            "" if run else (found["words"] or ""),
        )


BLOCKS: Final = [block for page in PAGES for block in blocks_of(page)]


def of_kind(kind: str) -> list[Block]:
    """Every block that is run in that way."""
    return [block for block in BLOCKS if block.kind == kind]


def printed_as_said(block: Block, printed: str) -> None:
    """Fail unless the block printed what its page says, ``...`` standing for anything."""
    if block.output is None:
        return
    same = doctest.OutputChecker().check_output(block.output, printed.rstrip() + "\n", doctest.ELLIPSIS)
    assert same, f"{block} prints\n{printed}\nand its page says\n{block.output}"
