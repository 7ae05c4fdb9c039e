"""Regular expressions that an operator wrote, over texts that somebody else did.

Python's engine tries every way to match before it says no. Their number can grow with every letter of the text, and nothing
stops it: not its caller, and not another thread. So what could take long is searched for elsewhere, by a process that can be
ended (:mod:`probekit.transports.matching`), before anything is judged; what it found is part of what was observed, and judging
it searches no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import AnyStr, Final
from zlib import crc32

import msgspec

_MOST_STEPS: Final = 1 << 20
"""Of the engine, some ten milliseconds at the worst."""

_CLASS: Final = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_TIMES: Final = re.compile(r"\{(?:\d+|\d*,\d*)\}")
_UNREAD: Final = re.compile(r"\(\?(?:#|P=|[a-zA-Z]*x[a-zA-Z-]*[:)])")


class PatternSlow(Exception):
    """What is sought could not be told in time: what is wrong is wrong here, with the pattern."""

    def __init__(self, pattern: str | bytes) -> None:
        shown = pattern if isinstance(pattern, str) else pattern.decode("utf-8", "replace")
        super().__init__(
            f"whether {shown!r} matches what came could not be told within its bound: an expression that repeats what repeats "
            "itself, as (a+)+ does, may try for ever"
        )


class Searched(msgspec.Struct, frozen=True):
    """What became of one search: what was found, cut to 1 kB, ``None`` where nothing was, and whether it was given up."""

    pattern: str
    text_crc: int
    found: str | None = None
    slow: bool = False


@lru_cache(maxsize=512)
def compiled(pattern: AnyStr) -> re.Pattern[AnyStr]:
    """Raises ``ValueError`` for what is no regular expression."""
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        shown = pattern if isinstance(pattern, str) else pattern.decode("utf-8", "replace")
        raise ValueError(f"{shown!r} is no regular expression: {error}") from None


def search(pattern: str, text: str, searched: Iterable[Searched] = ()) -> str | None:
    """What ``pattern`` finds in ``text``, from ``searched`` where it is there. Raises ``PatternSlow``."""
    if searched:
        key = checksum(text)
        for one in searched:
            if one.pattern == pattern and one.text_crc == key:
                if one.slow:
                    raise PatternSlow(pattern)
                return one.found
    match = compiled(pattern).search(text)
    return None if match is None else match[0]


def checksum(text: str) -> int:
    """By which a search knows its text again."""
    return crc32(text.encode("utf-8", "surrogatepass"))


def may_be_slow(pattern: str | bytes, size: int = _MOST_STEPS) -> bool:
    """Whether a search in a text of that size may take long; without a size, in a large one.

    A bound, and a rough one: every place to begin at, times every length that each repetition can have, times both ways of each
    alternative. Repetitions of groups, backreferences and what is written with blanks have none.
    """
    shape = _shape(pattern if isinstance(pattern, str) else pattern.decode("latin-1"))
    if shape is None:
        return True
    repeats, ways = shape
    return bool(repeats or ways) and (size + 1) ** (1 + repeats) << ways > _MOST_STEPS


@lru_cache(maxsize=512)
def _shape(pattern: str) -> tuple[int, int] | None:
    """How many repetitions of one letter, and how many alternatives; ``None`` for what has no bound."""
    if _UNREAD.search(pattern) is not None:
        return None
    repeats = ways = at = 0
    after = ""
    while at < len(pattern):
        letter = pattern[at]
        end = at + 1
        if letter == "\\":
            end = at + 2
            if pattern[at + 1 : end].isdigit():
                return None
        elif letter == "[":
            end = matched.end() if (matched := _CLASS.match(pattern, at)) is not None else end
        elif letter == "(":
            # What follows a question mark here says what kind of group it is.
            end = at + 2 if pattern[end : end + 1] == "?" else end
        elif letter == "|":
            ways += 1
        elif letter in "*+?" or (letter == "{" and _TIMES.match(pattern, at) is not None):
            if after == ")" and letter != "?":
                return None
            times = _TIMES.match(pattern, at)
            end = times.end() if times is not None else end
            # As few as may be, or all at once.
            end += pattern[end : end + 1] in ("?", "+") and bool(pattern[end : end + 1])
            repeats, ways = (repeats, ways + 1) if letter == "?" else (repeats + 1, ways)
        after = letter
        at = end
    return repeats, ways
