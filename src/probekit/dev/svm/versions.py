"""What keyed values were at recent slots: the memory behind commitment levels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Versions(Generic[K, V]):
    """Values of keys by slot, for keys that changed lately; the rest is asked of whoever holds the newest state.

    Bounded: :meth:`forget` drops what no slot still served can see.
    """

    def __init__(self) -> None:
        self._values: dict[K, list[tuple[int, V]]] = {}
        self._written: deque[tuple[int, K]] = deque()

    def put(self, slot: int, key: K, before: V, after: V) -> None:
        """``key`` became ``after`` in ``slot``, from ``before``. Slots never go back."""
        values = self._values.get(key)
        if values is None:
            # Slot -1: whatever it was since the beginning, or since the versions before were forgotten.
            values = self._values[key] = [(-1, before)]
        if values[-1][0] == slot:
            values[-1] = (slot, after)
            return
        values.append((slot, after))
        self._written.append((slot, key))

    def at(self, key: K, slot: int, newest: V) -> V:
        """What ``key`` was at the end of ``slot``; ``newest`` when it has not changed lately. For a slot older than what is
        kept: the oldest value kept."""
        values = self._values.get(key)
        if values is None:
            return newest
        for written, value in reversed(values):
            if written <= slot:
                return value
        return values[0][1]

    def changed_since(self, key: K, slot: int) -> bool:
        """Whether ``key`` has a version newer than ``slot``."""
        values = self._values.get(key)
        return values is not None and values[-1][0] > slot

    def __iter__(self) -> Iterator[K]:
        """The keys that changed lately."""
        return iter(self._values)

    def discard(self, key: K) -> None:
        """Forget every version of ``key``, as if its newest value had always been."""
        self._values.pop(key, None)

    def forget(self, before: int) -> None:
        """No slot below ``before`` will be asked for again."""
        while self._written and self._written[0][0] <= before:
            _, key = self._written.popleft()
            values = self._values.get(key)
            if values is None:
                continue
            needless = 0
            while needless + 1 < len(values) and values[needless + 1][0] <= before:
                needless += 1
            del values[:needless]
            if len(values) == 1:
                del self._values[key]

    def __len__(self) -> int:
        return len(self._values)
