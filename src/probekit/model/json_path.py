"""A place in a JSON document: names and indices, as in ``parsed[0].price.expo``. No wildcards, filters or expressions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Self

import msgspec

_NAME: Final = r"[^.\[\]\s]+"
_STEP: Final = re.compile(rf'\.(?P<name>{_NAME})|\[(?P<index>-?\d{{1,9}})\]|\["(?P<quoted>[^"\]]*)"\]')

NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What ``msgspec.json.decode`` raises for bytes of somebody else's that are none."""


class JsonPath(msgspec.Struct, frozen=True):
    """Steps from the root: a text names an object's member, a number an array's item (negative: from the end).

    Written ``a.b[0].c``; ``["a.b"]`` for a name with a dot, a bracket or a blank; a leading ``$`` may stand for the root.
    """

    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``ValueError`` for what is no such path."""
        # From the root with its dot, every step begins with what it is.
        rest = text.removeprefix("$") if text.startswith("$") else text if text.startswith("[") else f".{text}"
        steps: list[str | int] = []
        at = 0
        while at < len(rest):
            step = _STEP.match(rest, at)
            if step is None:
                raise ValueError(f"{text!r} is no path: write names and indices, as in parsed[0].price")
            name, index, quoted = step["name"], step["index"], step["quoted"]
            steps.append(int(index) if index is not None else quoted if quoted is not None else name)
            at = step.end()
        return cls(tuple(steps))

    def find(self, document: Any) -> Any:
        """The value there. Raises ``LookupError`` that says which step led nowhere."""
        value = document
        for number, step in enumerate(self.steps):
            try:
                if isinstance(step, int) and isinstance(value, list):
                    value = value[step]
                    continue
                if isinstance(step, str) and isinstance(value, dict):
                    value = value[step]
                    continue
            except LookupError:
                pass
            raise LookupError(f"nothing at {JsonPath(self.steps[: number + 1])}")
        return value

    def __str__(self) -> str:
        text = ""
        for step in self.steps:
            if isinstance(step, int):
                text += f"[{step}]"
            elif re.fullmatch(_NAME, step) and (text or not step.startswith("$")):
                text += f".{step}" if text else step
            else:
                text += f'["{step}"]'
        return text or "$"


def text_at(path: str, document: Any) -> str:
    """The value there as text: one that is none, as JSON writes it. Raises ``LookupError``, and ``ValueError`` for no path."""
    value = _parsed(path).find(document)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_parsed = lru_cache(maxsize=512)(JsonPath.parse)
