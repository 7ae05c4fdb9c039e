"""The page that on-call opens, read for what each reason means: the one place where that is written down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SECTION: Final = re.compile(r"^### (\w+)\n+(.*?)(?=\n\n|\n- |\n#|\Z)", re.MULTILINE | re.DOTALL)
_OPENING: Final = re.compile(r"((?:\*\*\w+\*\*(?: or |, | and )?)+)(?:,? ?checks? ([^.]*))?\. ?")
_LINK: Final = re.compile(r"\[([^]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason means, with the statuses it comes with, and the checks that give it (none: any)."""

    reason: str
    statuses: tuple[str, ...]
    checks: tuple[str, ...]
    text: str


def find_runbook(probe: Path) -> Path | None:
    """A probe's runbook: beside its file, in ``runbooks`` there (the wheel), or in the checkout's documentation."""
    folder, name = probe.resolve().parent, f"{probe.stem}.md"
    places = (folder / name, folder / "runbooks" / name, folder.parent / "docs" / "runbooks" / name)
    return next((place for place in places if place.is_file()), None)


def shown_runbook(path: Path | None) -> str:
    """Where a runbook is, as it can be opened; in a checkout from its root."""
    if path is None:
        return "none"
    return f"docs/runbooks/{path.name}" if path.parts[-3:-1] == ("docs", "runbooks") else str(path)


def read_runbook(path: Path | None) -> tuple[Meaning, ...]:
    """Every section ``### reason`` of a page; nothing where there is no page."""
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    found = []
    for name, body in _SECTION.findall(text):
        opening = _OPENING.match(body)
        statuses = tuple(re.findall(r"\*\*(\w+)\*\*", opening[1])) if opening is not None else ()
        checks = tuple(re.findall(r"`(\w+)`", opening[2] or "")) if opening is not None else ()
        meaning = _LINK.sub(r"\1", " ".join(body[opening.end() if opening is not None else 0 :].split()))
        found.append(Meaning(name, statuses, checks, meaning))
    return tuple(found)
