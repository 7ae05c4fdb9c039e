"""The page about Pyth on EVM chains: every example runs as it stands, against a node of ours."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clients import evm
from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm.registry import ContractKind, Deployment, contracts
from tests.unit.clients.contracts import HEAD, RECEIVER, TIME_S, EvmNode, Receiver
from tests.unit.clients.test_pyth_evm import BTC, PRO_SET, UNKNOWN, Chain, price_log

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-pyth-on-evm.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SAID = [
    ["0.00005000", "True"],
    ["True", "PriceFeedNotFound: the feed was never pushed"],
    [
        f"{HEAD} {EvmNode.block_hash(HEAD)} multicall3",
        f"{BTC} 0.00005000 0.00004900 10 s",
        f"{UNKNOWN} queryPriceFeed: PriceFeed",
    ],
    ["1.4.5 ", "pro 1 3 half", "transaction_fee_wei missing"],
    [" 1 wei", "0.00005000"],
    ["1 5 guardians", "True"],
    [f"{HEAD - 3} 0xabab"],
]


@pytest.mark.parametrize(("code", "said"), list(zip(EXAMPLES, SAID, strict=True)))
async def test_an_example(
    code: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (base,) = contracts(8453, ContractKind.PYTH, Deployment.STABLE)
    chain, node = Chain(), EvmNode(chain_id=8453)
    chain.contract.lacks("transactionFeeInWei()")
    assert PRO_SET is not None
    node.contracts |= {base.address.lower(): chain.contract, RECEIVER: Receiver(1, PRO_SET.signers, PRO_SET.quorum)}
    node.logs = [price_log(HEAD - 3, BTC, 5) | {"address": base.address.lower()}]
    monkeypatch.setattr(pk, "EvmClient", lambda url, *, chain_id: node.client if chain_id == node.chain_id else None)
    names: dict[str, Any] = {
        "url": "http://node.test/",
        "feed_id": BTC,
        "feed_ids": [BTC, UNKNOWN],
        "updates": [b"good"],
        "vaa": b"good",
        "since": TIME_S - 60,
        "until": TIME_S,
    }
    work = eval(compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    await work
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed


def test_what_the_page_names_is_there() -> None:
    for name in ("multicall", "token", "token_balance", "token_balances", "send"):
        assert f"`{name}`" in PAGE.read_text() or f"`EvmClient.{name}`" in PAGE.read_text()
        assert callable(getattr(evm.EvmClient, name))
    assert callable(PythEvmClient.events)
