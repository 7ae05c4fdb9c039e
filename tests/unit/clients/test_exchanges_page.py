"""The page about exchanges: every example runs as it stands, against exchanges of ours."""

from __future__ import annotations

import ast
import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clients import exchanges
from probekit.codecs.exchanges import MARKETS, VENUES
from probekit.units import Instant
from tests.unit.clients.test_exchanges import NAMES, Exchanges
from tests.unit.codecs.exchanges.bodies import TIME_S

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-exchanges.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SAID = [
    [
        "coinbase BTC-USD 64000.5 USD 2026-09-12T10:00:00.250Z",
        "kraken XXBTZUSD 64000.5 USD Kraken's ticker carries no time",
        "bitstamp bitstamp answered 503",
    ],
    ["64000.5 of 3 sources, spread 0bps"],
    ["5 sources at 0.9995 dollars for a USDT"],
    ["64000.5"],
]


@pytest.mark.parametrize(("code", "said"), list(zip(EXAMPLES, SAID, strict=True)))
async def test_an_example(
    code: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Exchanges()
    box.faults["bitstamp"] = box.answer(503)
    monkeypatch.setitem(NAMES, "kraken", NAMES["kraken"] | {"XXBTZEUR": "BTC"})
    stand_in = partial(exchanges.ExchangesClient, transport=box.transport, clock=box.clock)
    monkeypatch.setattr(pk, "ExchangesClient", stand_in)
    monkeypatch.setattr(Instant, "now", classmethod(lambda _: Instant.from_seconds(TIME_S)))
    names: dict[str, Any] = {}
    work = eval(compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    await work
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed


def test_the_page_has_every_exchange_with_its_currency() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\w+)[^|]*\|$", PAGE.read_text(), re.MULTILINE))
    assert rows.keys() == VENUES.keys()
    for name, quote in rows.items():
        assert {market.quote for market in MARKETS if market.exchange == name} == {quote}
