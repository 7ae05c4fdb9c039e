"""The page about prices of the past: every example runs as it stands, against a service of ours."""

from __future__ import annotations

import ast
import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clients import benchmarks
from tests.unit.clients.archive import NOBODY, URL, Archive

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-benchmarks.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SAID = [
    [" 2026-09-10T08:00:00.000Z", f"{NOBODY} ", "answered 404: Price update for the given ids"],
    ["pro 1 3 signers"],
    ["2026-09-10T08:00:05.000Z ", "() ()"],
    ["Crypto.BTC/USD open", "2023-05-15T05:06:00.000Z 27281.83 27296.75 27279.24580449 27296.35698548"],
]


@pytest.mark.parametrize(("code", "said"), list(zip(EXAMPLES, SAID, strict=True)))
async def test_an_example(
    code: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Archive()
    archive.unknown = {NOBODY}
    ours = partial(benchmarks.BenchmarksClient, URL, transport=archive.transport, clock=archive.clock)
    monkeypatch.setattr(pk, "BenchmarksClient", ours)
    monkeypatch.setattr(pk.trust, "MAINNET", archive.network.trust)
    monkeypatch.setenv("PYTH_API_KEY", "a-key-for-the-stand-in")
    names: dict[str, Any] = {"feed_id": archive.ids[0], "other_id": NOBODY}
    work = eval(compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    await work
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed
    assert all(request.headers[1][0] == "authorization" for request in archive.transport.requests)
