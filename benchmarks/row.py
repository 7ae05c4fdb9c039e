"""One comparison of the benchmark table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NotRequired, TypedDict


class Row(TypedDict):
    """``ours`` and ``peer`` each do their whole work once per call, in one thread, and are timed by the processor's clock.

    With ``measured`` they return what they measured themselves, in ``unit``, smaller being better (CPU, a percentile, a size).
    ``target`` is the least ``peer / ours`` asked for, or ``None``. ``runs`` overrides how often each is called.
    """

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    peer_name: str
    target: float | None
    unit: str
    measured: NotRequired[bool]
    runs: NotRequired[int]
