"""What a pool tells of each call: one record, from which spans and metrics are made."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import msgspec

from probekit.model.rpc import Attempt, CallRecord, StateChange

__all__ = ["Attempt", "CallObserver", "CallRecord", "ChangeObserver", "StateChange", "Traffic"]


NUMBERS: Final = itertools.count(1)
"""Of calls, over all pools of this process."""


class Traffic(msgspec.Struct):
    """Counts of what went over the wire: HTTP requests, and the bytes of their bodies. Headers are not counted, nor the body of
    an answer that broke off. ``call`` is the number of the call that it is for, 0 for none.
    """

    call: int = 0
    requests: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


CallObserver = Callable[[CallRecord], None]
ChangeObserver = Callable[[StateChange], None]
