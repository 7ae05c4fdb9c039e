"""When what a subscription tells is read beside it, and whether the subscription lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from probekit.clock import Clock
from probekit.model.solana import Commitment
from probekit.units import to_ns

_BEHIND_SLOTS: Final = {Commitment.PROCESSED: 0, Commitment.CONFIRMED: 2, Commitment.FINALIZED: 32}
"""How many slots it takes, at least, until one that was told is as final as that."""
_AGAIN_SLOTS: Final = 8


class Recheck:
    """Of one subscription, by the slots that its socket tells.

    Reads are as of a slot that was told, once the socket's slots show that it is as final as asked for; one that finds no
    endpoint there is tried again eight slots later. The first belongs to a connection (``as_of_connection``): what it shows may
    have happened while that was made. The others come ``every`` so often, and the subscription must tell what they show: by the
    time that the socket is as far beyond it as finality takes, and eight slots.
    """

    def __init__(self, every: timedelta | None, commitment: Commitment, clock: Clock, *, as_of_connection: bool = True) -> None:
        self._every_ns = None if every is None else to_ns(every)
        self._behind = _BEHIND_SLOTS[commitment]
        self._clock = clock
        self._as_of_connection = as_of_connection
        self._wanted = self._of_connection = False
        self._floor: int | None = None
        self._due_slot = 0
        self._next_ns: int | None = None
        self._untold: int | None = None

    def connected(self) -> None:
        """A new connection stands: nothing that was expected of the one before is."""
        self._wanted = self._of_connection = self._as_of_connection
        self._floor = self._untold = None
        self._wait()

    def told(self) -> None:
        """The subscription told something: it lives."""
        self._untold = None

    def due(self, slot: int) -> int | None:
        """The slot as of which to read now that ``slot`` was told, if it is time to."""
        if not self._wanted:
            if self._next_ns is None or self._untold is not None or self._clock.monotonic_ns() < self._next_ns:
                return None
            self._wanted, self._of_connection, self._floor = True, False, None
        if self._floor is None:
            # Slots are told as they are processed: those that are as final as asked for come later.
            self._floor, self._due_slot = slot, slot + self._behind
        if slot < self._due_slot:
            return None
        self._due_slot = slot + _AGAIN_SLOTS
        return self._floor

    def read(self, changed: int | None) -> None:
        """It was read; ``changed`` is the slot of what it showed and the subscription had not told."""
        if not self._of_connection:
            self._untold = changed
        self._wanted = False
        self._wait()

    def untold(self, slot: int) -> int | None:
        """The slot of what the subscription should have told by ``slot`` and has not: it is dead. Told once."""
        if self._untold is None or slot < self._untold + self._behind + _AGAIN_SLOTS:
            return None
        found, self._untold = self._untold, None
        return found

    def _wait(self) -> None:
        if self._every_ns is not None:
            self._next_ns = self._clock.monotonic_ns() + self._every_ns
