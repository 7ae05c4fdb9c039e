"""Real market schedules with their openings and closings."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.errors import DecodeError
from probekit.model import MarketHours
from probekit.units import Instant
from tests.support.vectors import KNOWN_KINDS, LATER_KINDS, load, of_kind


@pytest.mark.parametrize("vector", of_kind("market_schedule"))
def test_schedule(vector: dict[str, Any]) -> None:
    text = bytes.fromhex(vector["data"]).decode()
    expected = vector["expected"]
    if not expected["decodes"]:
        with pytest.raises(DecodeError):
            MarketHours.parse(text)
        return
    hours = MarketHours.parse(text)
    assert hours.timezone == expected["timezone"]
    for case in expected["cases"]:
        at = Instant.parse(case["at"])
        edges = [None if case[name] is None else Instant.parse(case[name]) for name in ("next_open", "next_close")]
        assert (hours.is_open(at), hours.next_open(at), hours.next_close(at)) == (case["open"], *edges), case["at"]


def test_every_kind_of_vector_is_accounted_for() -> None:
    kinds = {content["kind"] for _, content in load()}
    assert kinds <= KNOWN_KINDS | LATER_KINDS
