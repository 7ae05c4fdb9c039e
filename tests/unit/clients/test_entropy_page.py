"""The page about Entropy: every example runs as it stands, against a node and a service of ours."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clients import fortuna
from probekit.codecs import fortuna as fortuna_codec
from probekit.codecs.evm import entropy_events as events
from probekit.codecs.evm.registry import ContractKind, contracts
from probekit.model.entropy import CallbackStatus, RequestState
from probekit.testing import ReplyTransport, reply
from probekit.transports.base import Request, Response
from tests.unit.clients.contracts import HEAD
from tests.unit.clients.test_entropy import CONSUMER, NUMBER, PROVIDER, Chain
from tests.unit.clients.test_fortuna import FAILED, ROW
from tests.unit.codecs.evm.test_entropy import SECRET, USER

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-entropy.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
STUCK, BROKEN, DONE = 7, 8, 9
SAID = [
    ["900 requests until OutOfRandomness, 491 until LastRevealedTooOld", "2507 wei for a callback"],
    [
        "7 stuck 40 blocks, 40 s",
        "8 callback_failed 40 blocks, 40 s",
        "out_of_gas - the callback ran out of gas (100000 gas used of 100000)",
        "9 fulfilled None blocks, None s",
    ],
    ["None\n", "insufficient_gas - InsufficientGas: the callback failed"],
    ["8 True 100000 1 logs"],
    ["12 2026-09-12T10:00:00.000Z Reverted: 0x1234"],
]


def answer(request: Request) -> Response:
    if "/revelations/" in request.url:
        return reply(200, fortuna_codec.encode_revelation(SECRET))
    return reply(200, json.dumps({"requests": [ROW | {"state": FAILED}], "total_results": 1}))


@pytest.mark.parametrize(("code", "said"), list(zip(EXAMPLES, SAID, strict=True)))
async def test_an_example(
    code: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (base,) = contracts(8453, ContractKind.ENTROPY)
    chain = Chain(chain_id=8453, address=base.address.lower())
    chain.hold()
    chain.hold(sequence=BROKEN, callback_status=CallbackStatus.FAILED)
    chain.contract.needs_gas = 600_000
    chain.log(events.REQUESTED_V2, (PROVIDER, CONSUMER, STUCK, USER, 100_000, b""), number=HEAD - 40)
    failed = (PROVIDER, CONSUMER, BROKEN, NUMBER, USER, SECRET, True, b"", 100_000, b"")
    chain.log(events.REVEALED_V2, failed, number=HEAD - 30, transaction=2)
    monkeypatch.setattr(pk, "EvmClient", lambda url, *, chain_id: chain.node.client if chain_id == 8453 else None)
    stand_in = partial(fortuna.FortunaClient, transport=ReplyTransport(answer))
    monkeypatch.setattr(pk, "FortunaClient", stand_in)
    names: dict[str, Any] = {
        "url": "http://node.test/",
        "service": "https://fortuna.test",
        "sequences": [STUCK, BROKEN, DONE],
        "stuck": STUCK,
    }
    work = eval(compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    await work
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed


def test_every_state_is_on_the_page() -> None:
    text = PAGE.read_text()
    # At the end of a block the callback is never under way.
    for state in set(RequestState) - {RequestState.CALLBACK_IN_PROGRESS}:
        assert f"`{state}`" in text
