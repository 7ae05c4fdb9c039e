"""Units carry themselves: exact, parsed with their suffix, refused without."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probekit
from probekit.units import Amount, Bps, ByteSize, Instant, format_decimal, format_ns, parse_duration, to_ns

SRC = Path(probekit.__file__).parent


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_instant_round_trips_a_datetime(moment: datetime) -> None:
    assert Instant.from_datetime(moment).to_datetime() == moment


def test_instant_refuses_a_naive_datetime() -> None:
    with pytest.raises(ValueError, match="timezone"):
        Instant.from_datetime(datetime(2026, 1, 1))


def test_instant_prints_utc_and_survives_any_integer() -> None:
    assert str(Instant.parse("2026-09-12T12:00:00+02:00")) == "2026-09-12T10:00:00.000Z"
    assert str(Instant(10**30)).endswith("ns")


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        ("10s", timedelta(seconds=10)),
        ("500ms", timedelta(milliseconds=500)),
        ("1m30s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("250us", timedelta(microseconds=250)),
    ],
)
def test_duration_is_read_with_its_unit(text: str, delta: timedelta) -> None:
    assert parse_duration(text) == delta


@pytest.mark.parametrize("text", ["10", "", "s", "10 parsecs", "-1s", "1s2", "9" * 40 + "d"])
def test_duration_without_a_meaning_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.text(max_size=30))
def test_duration_never_raises_anything_else(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError:
        pass


def test_bps_needs_its_unit_and_converts_percent() -> None:
    assert Bps.parse("50bps") == Bps(Decimal(50)) == Bps.parse("0.5%")
    with pytest.raises(ValueError, match="bps"):
        Bps.parse("0.5")


def test_bps_is_a_magnitude() -> None:
    assert Bps.of(-1, 200) == Bps(Decimal(50))
    with pytest.raises(ZeroDivisionError):
        Bps.of(1, 0)


def test_byte_size() -> None:
    assert ByteSize.parse("64kB").bytes == 64_000
    assert ByteSize.parse("1MiB").bytes == 1 << 20
    with pytest.raises(ValueError, match="size"):
        ByteSize.parse("64")


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (850_000, "850us"),
        (12_300_000, "12.3ms"),
        (4_200_000_000, "4.2s"),
        (125 * 10**9, "2m05s"),
        (93_600 * 10**9, "26h00m"),
        (-4_200_000_000, "-4.2s"),
    ],
)
def test_durations_for_people(ns: int, text: str) -> None:
    assert format_ns(ns) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_to_ns_is_exact(delta: timedelta) -> None:
    assert timedelta(microseconds=to_ns(delta) // 1000) == delta


def test_the_core_never_reads_the_wall_clock() -> None:
    """Instant.now() is for the shell; a core that called it could not be replayed."""
    for folder in ("model", "codecs", "checks", "trust"):
        for path in (SRC / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Instant.now"):
                    pytest.fail(f"{path}:{node.lineno} reads the wall clock")


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.1 ETH", "0.1", "ETH"),
        ("250USDC", "250", "USDC"),
        (" 5000000 lamports ", "5000000", "lamports"),
        ("1 USD₮0", "1", "USD₮0"),
    ],
)
def test_amounts(text: str, value: str, unit: str) -> None:
    assert Amount.parse(text) == Amount(Decimal(value), unit)
    assert Amount.parse(str(Amount.parse(text))) == Amount.parse(text)


@pytest.mark.parametrize("text", ["0.1", "ETH", "", "-1 ETH", "1e3 ETH", "1 2 ETH", "1,5 ETH", ".5 ETH", "1 _"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount; write it with its unit"):
        Amount.parse(text)


def test_decimals_in_full() -> None:
    assert [format_decimal(Decimal(one)) for one in ("1E+3", "0.100", "1E-30", "10", "0", "-0.50")] == [
        "1000", "0.1", "0." + "0" * 29 + "1", "10", "0", "-0.5",
    ]  # fmt: skip
