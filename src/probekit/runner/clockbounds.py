"""How wrong the local wall clock may be, bracketed from HTTP Date headers and the kernel's own bookkeeping. Pure
folding.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from typing import Final
from urllib.parse import urlsplit

from probekit.model import RequestRecord
from probekit.units import NS_PER_S, NS_PER_US, Instant

_SAMPLES_PER_HOST: Final = 64
# Three times as long as a Hermes client keeps its symbol table: a probe on a quiet stream, whose only further answers
# are those refreshes, never runs out of brackets between two of them, even when one refresh fails.
_WINDOW_NS: Final = 1_800 * NS_PER_S
# What a free-running crystal may gain or lose: its specification at worst, with temperature and age.
_DRIFT_PPM: Final = 100
_ANY: Final = (-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Bracket:
    """``low_ns <= local clock - true time <= high_ns``, from one answer."""

    low_ns: int
    high_ns: int
    seen_at: Instant

    def aged(self, now: Instant) -> tuple[int, int]:
        """``(low_ns, high_ns)`` as it holds at ``now``, for a clock that has drifted unattended since."""
        drift = abs(now.since(self.seen_at)) * _DRIFT_PPM // 1_000_000
        return self.low_ns - drift, self.high_ns + drift


def bracket_of(record: RequestRecord) -> tuple[str, Bracket] | None:
    """What one answer's Date header says of our clock, and the host that said so; ``None`` where it says nothing.

    The header was written between our start and our end, while the server's clock was within the second it names:
    ``start - (date + 1 s) < local - true <= end - date``. Each answer near a second's edge narrows one side. An answer
    with an ``age`` header came from a cache: its date is old.
    """
    headers = dict(record.headers)
    date = headers.get("date")
    if date is None or "age" in headers:
        return None
    stamped = _date(date)
    if stamped is None:
        return None
    start, end = record.started_at.ns, record.started_at.ns + record.elapsed_ns
    host = urlsplit(record.url).netloc
    return host, Bracket(start - stamped.ns - NS_PER_S, end - stamped.ns, Instant(end))


def _contradict(new: Bracket, old: Bracket) -> bool:
    low, high = old.aged(new.seen_at)
    return new.low_ns > high or new.high_ns < low


@lru_cache(maxsize=256)
def _date(text: str) -> Instant | None:
    """A Date header's instant. Remembered: answers of one second, and of many targets, name the same."""
    try:
        return Instant.from_datetime(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


class ClockBounds:
    """Brackets per host over the last half hour, each widened by 100 ppm of its age, intersected.

    Hosts that contradict each other widen the bound to cover all of them. A host that contradicts its own past had its
    clock, or ours, stepped: only its newest sample counts.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, list[Bracket]] = {}
        self._common: dict[str, tuple[int, int]] = {}
        """The highest low and the lowest high that a host ever gave, not aged: at most as wide as what is kept."""

    def add(self, record: RequestRecord) -> None:
        """Take in one attempt's record; records without a usable Date header change nothing."""
        found = bracket_of(record)
        if found is None:
            return
        host, bracket = found
        kept = self._hosts.setdefault(host, [])
        low, high = self._common.get(host, _ANY)
        # Within what all of them agree on, none is contradicted: of many answers in a second that is nearly every one.
        if not (bracket.low_ns <= high and low <= bracket.high_ns) and any(_contradict(bracket, old) for old in kept):
            kept.clear()
            low, high = _ANY
        self._common[host] = max(low, bracket.low_ns), min(high, bracket.high_ns)
        kept.append(bracket)
        del kept[:-_SAMPLES_PER_HOST]

    def error_ns(self, now: Instant) -> int | None:
        """Largest possible ``|local - true|`` by what the last half hour said; ``None`` when it said nothing."""
        spans: list[tuple[int, int]] = []
        for kept in self._hosts.values():
            recent = [bracket.aged(now) for bracket in kept if now.since(bracket.seen_at) <= _WINDOW_NS]
            if recent:
                spans.append((max(low for low, _ in recent), min(high for _, high in recent)))
        if not spans:
            return None
        low, high = max(low for low, _ in spans), min(high for _, high in spans)
        if low > high:
            low, high = min(low for low, _ in spans), max(high for _, high in spans)
        return max(abs(low), abs(high))


class _Timex(ctypes.Structure):
    # struct timex of <sys/timex.h>, up to what is read here; the tail is padding for the kernel to write to.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


_STA_UNSYNC: Final = 0x0040


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel knows: whether something disciplines its clock, and the error it then claims."""

    synchronised: bool
    max_error_ns: int


@cache
def _adjtimex() -> Callable[[object], int] | None:
    # Once: looking for the library starts a process, and this is asked for every event of a stream.
    try:
        call: Callable[[object], int] = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").adjtimex
    except (OSError, AttributeError):
        return None
    return call


def kernel_clock() -> KernelClock | None:
    """The kernel's flag and error bound (adjtimex(2)); ``None`` where the system call is not to be had."""
    adjtimex = _adjtimex()
    timex = _Timex()
    if adjtimex is None or adjtimex(ctypes.byref(timex)) < 0:
        return None
    return KernelClock(not timex.status & _STA_UNSYNC, int(timex.maxerror) * NS_PER_US)


def combined_error_ns(kernel: KernelClock | None, bracketed_ns: int | None) -> int | None:
    """The bound to work with: the kernel's while it is synchronised, unless Date headers prove a larger one; else
    theirs.

    A Date bracket is half a second wide at best, so it overrules the kernel only where it exceeds it by more than a
    second.
    """
    if kernel is None or not kernel.synchronised:
        return bracketed_ns
    if bracketed_ns is not None and bracketed_ns > kernel.max_error_ns + 2 * NS_PER_S:
        return bracketed_ns
    return kernel.max_error_ns if bracketed_ns is None else min(kernel.max_error_ns, bracketed_ns)
