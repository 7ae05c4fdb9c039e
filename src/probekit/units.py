"""Quantities that carry their unit: instants, basis points, durations and sizes as people write them.

Everything is integer or :class:`decimal.Decimal`; no float enters or leaves.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, Self

import msgspec

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(msgspec.Struct, frozen=True, order=True, gc=False):
    """A point of wall-clock time: whole nanoseconds since the Unix epoch, UTC.

    Use it for publish times and time stamps; durations are measured on a monotonic clock (:mod:`probekit.clock`).
    """

    ns: int

    @classmethod
    def now(cls) -> Self:
        """The system's wall clock. The pure core never calls this: ``now`` is handed to it."""
        return cls(time.time_ns())

    @classmethod
    def from_seconds(cls, seconds: int) -> Self:
        """From whole Unix seconds, the resolution of a Pyth ``publish_time``."""
        return cls(seconds * NS_PER_S)

    @classmethod
    def from_datetime(cls, moment: datetime) -> Self:
        """From an aware datetime (microsecond resolution). Raises ``ValueError`` when it is naive."""
        if moment.tzinfo is None:
            raise ValueError("a naive datetime names no instant; give it a timezone")
        delta = moment - _EPOCH
        return cls((delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * NS_PER_US)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ISO 8601 with an offset (``2026-09-12T10:00:00Z``). Raises ``ValueError``."""
        return cls.from_datetime(datetime.fromisoformat(text))

    @property
    def seconds(self) -> int:
        """Whole Unix seconds, rounded down."""
        return self.ns // NS_PER_S

    def to_datetime(self) -> datetime:
        """UTC datetime, cut to microseconds. Raises ``OverflowError`` outside the years 1 to 9999."""
        return _EPOCH + timedelta(microseconds=self.ns // NS_PER_US)

    def since(self, earlier: Instant) -> int:
        """Nanoseconds from ``earlier`` to this instant; negative when ``earlier`` is later."""
        return self.ns - earlier.ns

    def plus(self, delta: timedelta) -> Instant:
        """This instant moved by ``delta``."""
        return Instant(self.ns + to_ns(delta))

    def __str__(self) -> str:
        try:
            return self.to_datetime().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        except OverflowError:
            return f"{self.ns}ns"


class Bps(msgspec.Struct, frozen=True, order=True):
    """Basis points (1e-4) as an exact decimal: the unit of every deviation and confidence ratio."""

    value: Decimal

    @classmethod
    def of(cls, numerator: Decimal | int, denominator: Decimal | int) -> Self:
        """``|numerator / denominator|`` in basis points, to 28 digits. Raises ``ZeroDivisionError``."""
        if denominator == 0:
            raise ZeroDivisionError("a ratio to zero has no basis points")
        return cls(abs(Decimal(numerator) * 10_000 / Decimal(denominator)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """``50bps`` or ``0.5%``. A bare number is refused: its unit would be a guess. Raises ``ValueError``."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(bps|%)\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not a ratio; write it with its unit, as 50bps or 0.5%")
        number = Decimal(match[1])
        return cls(number if match[2] == "bps" else number * 100)

    def __str__(self) -> str:
        return f"{self.value.normalize():f}bps"


# Texts, not compiled: what a manifest may say is read when there is one, and ``re`` keeps what it has compiled.
_DURATION_PARTS: Final = r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)"
_DURATION_NS: Final = {
    "us": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}


def parse_duration(text: str) -> timedelta:
    """``10s``, ``500ms``, ``1m30s``, ``24h`` -> timedelta. A bare number is refused. Raises ``ValueError``."""
    compact = text.strip().replace(" ", "")
    parts = re.findall(_DURATION_PARTS, compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write it with its unit, as 500ms, 10s or 1m30s")
    total_ns = sum((Decimal(number) * _DURATION_NS[unit] for number, unit in parts), Decimal(0))
    try:
        return timedelta(microseconds=int(total_ns // NS_PER_US))
    except (OverflowError, InvalidOperation):
        raise ValueError(f"{text!r} is longer than a duration can be") from None


def to_ns(delta: timedelta) -> int:
    """Whole nanoseconds of a timedelta, exactly."""
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * NS_PER_US


def format_ns(ns: int) -> str:
    """A duration for people: ``850us``, ``12.3ms``, ``4.2s``, ``2m05s``, ``26h00m``. Negative keeps its sign."""
    if ns < 0:
        return "-" + format_ns(-ns)
    if ns < NS_PER_MS:
        return f"{ns // NS_PER_US}us"
    if ns < NS_PER_S:
        return f"{Decimal(ns) / NS_PER_MS:.1f}ms"
    if ns < 60 * NS_PER_S:
        return f"{Decimal(ns) / NS_PER_S:.1f}s"
    minutes, seconds = divmod(ns // NS_PER_S, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def seconds_decimal(ns: int) -> Decimal:
    """Nanoseconds as exact decimal seconds."""
    return Decimal(ns) / NS_PER_S


_AMOUNT: Final = r"\s*(\d+(?:\.\d+)?)\s*([^\W\d_]\S{0,31})\s*"


class Amount(msgspec.Struct, frozen=True):
    """So many coins or tokens, exact, with the name of the unit, written ``0.1 ETH`` or ``250 USDC`` in a manifest."""

    value: Decimal
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """``0.1 ETH``, ``250 USDC``, ``5000000 lamports``. A bare number is refused. Raises ``ValueError``."""
        match = re.fullmatch(_AMOUNT, text)
        if match is None:
            raise ValueError(f"{text!r} is not an amount; write it with its unit, as 0.1 ETH or 250 USDC")
        return cls(Decimal(match[1]), match[2])

    def __str__(self) -> str:
        return f"{format_decimal(self.value)} {self.unit}"


def format_decimal(value: Decimal) -> str:
    """All digits of a decimal, without an exponent and without zeros at the end of a fraction."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_SIZE: Final = r"\s*(\d+)\s*(B|kB|KiB|MB|MiB)\s*"
_SIZE_BYTES: Final = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1_000_000, "MiB": 1024 * 1024}


class ByteSize(msgspec.Struct, frozen=True, order=True):
    """A number of bytes, written ``64kB`` or ``1MiB`` in a manifest."""

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``64kB``, ``512KiB``, ``1MB``. Raises ``ValueError``."""
        match = re.fullmatch(_SIZE, text)
        if match is None:
            raise ValueError(f"{text!r} is not a size; write it with its unit, as 64kB or 1MiB")
        return cls(int(match[1]) * _SIZE_BYTES[match[2]])

    def __str__(self) -> str:
        return f"{self.bytes}B"
