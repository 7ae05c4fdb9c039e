"""Python examples that are given what they need run: the sandbox, the local Solana node, a probe of one's own; the README."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from probekit.clients.pythnet import DEPLOYMENTS
from probekit.clients.solana import SolanaClient
from probekit.codecs.pythnet import encode_mapping, encode_price, encode_product
from probekit.codecs.solana.addresses import PRO
from probekit.codecs.solana.receiver import encode_price_update
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve as serve_solana
from probekit.manifest import load_probe
from probekit.manifest.discovery import find_probe
from probekit.model import FeedId, PriceMessage, Status
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import MappingAccount, PriceAccount, PriceInfo, ProductAccount, Quote
from probekit.model.receiver import FULL, PriceUpdateAccount
from probekit.runner import run_once

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARKED = re.compile(r"<!-- run: (\w+) -->\n```python\n(.*?)```", re.DOTALL)


def examples(kind: str) -> list[Any]:
    found = []
    for page in PAGES:
        for number, (marked, code) in enumerate(MARKED.findall(page.read_text())):
            if marked == kind:
                found.append(pytest.param(code, id=f"{page.name}-{number}"))
    return found


@pytest.mark.parametrize("code", examples("sandbox"))
async def test_examples_run_against_the_sandbox(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = SandboxNetwork(feeds=3)
    async with serve(Sandbox(network)) as endpoint:
        names = {"endpoint": endpoint, "feed_id": network.markets[0].feed.id, "trust": network.trust}
        compiled = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(compiled, names)
        if inspect.iscoroutine(result):
            await result
    assert capsys.readouterr().out


@pytest.mark.parametrize("code", examples("solana"))
async def test_examples_run_against_the_local_solana_node(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger()
    product, price_key = Pubkey(bytes([1]) * 32), Pubkey(bytes([2]) * 32)
    feed_id = FeedId(bytes(price_key))
    program, mapping = DEPLOYMENTS["pythnet"].program, DEPLOYMENTS["pythnet"].mapping
    listed = {mapping: encode_mapping(MappingAccount((product,)))}
    listed[product] = encode_product(ProductAccount({"symbol": "Crypto.BTC/USD"}, price_key))
    quote = Quote.of(bytes([3]) * 32, PriceInfo(700, 5, 1, 0, 1))
    price = PriceAccount(expo=-2, num_components=1, product_key=bytes(product), agg_price=700, agg_conf=5, quotes=(quote,))
    listed[price_key] = encode_price(price)
    for key, data in listed.items():
        ledger.set_account(key, data, owner=program, since_genesis=True)
    push_feed = PRO.push_feed(feed_id)
    update = PriceUpdateAccount(push_feed, FULL, PriceMessage(feed_id, 700, 5, -2, 100, 99, 700, 5), 7)
    ledger.set_account(push_feed, encode_price_update(update), owner=PRO.receiver, since_genesis=True)
    wallet = Pubkey(bytes([4]) * 32)
    ledger.set_account(wallet, lamports=1_500_000_000, since_genesis=True)
    async with serve_solana(Node(ledger)) as served, SolanaClient(served.http) as solana:
        names = {
            "url": served.http,
            "genesis_hash": await solana.genesis_hash(),
            "wallet": wallet,
            "nobody": Pubkey(bytes([5]) * 32),
            "feed_id": feed_id,
        }
        await eval(compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert capsys.readouterr().out


@pytest.mark.parametrize("code", examples("probe"))
async def test_example_probes_run(code: str, tmp_path: Path) -> None:
    path = tmp_path / "example_probe.py"
    path.write_text(code)
    probe = load_probe(find_probe(str(path), ()))
    async with serve(Sandbox(SandboxNetwork(feeds=3))) as endpoint:
        run = await run_once(probe, probe.options(endpoint=endpoint, at_least=3))
        assert run.status is Status.OK
        run = await run_once(probe, probe.options(endpoint=endpoint, at_least=4))
        assert run.status is Status.CRITICAL


def test_there_are_examples_of_both_kinds() -> None:
    assert examples("sandbox")
    assert examples("solana")
    assert examples("probe")


def test_every_python_example_compiles() -> None:
    for page in PAGES:
        for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readme_has_two_commands_and_one_screen() -> None:
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^    make (\w+)$", text, re.MULTILINE) == ["demo", "test"]
    assert "```sh" not in text
    assert len(text.splitlines()) <= 40
