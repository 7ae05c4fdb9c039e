"""Python examples that are given what they need run: the sandbox, the local Solana node, a probe of one's own; the README."""

from __future__ import annotations

import ast
import inspect
import json
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

import probekit as pk
from probekit.clients import prometheus
from probekit.clients.solana import SolanaClient
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve as serve_solana
from probekit.dev.svm.server import ticking
from probekit.manifest import load_probe
from probekit.manifest.discovery import find_probe
from probekit.model import Status, TrustRoot
from probekit.runner import run_once
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.trust import MAINNET
from tests.docs.blocks import Block, of_kind, printed_as_said
from tests.docs.chains import GUARDIAN_NAMES, NAMES, NOW, put_accounts, serve_guardian
from tests.unit.clients.contracts import RECEIVER, EvmNode, Receiver

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


@pytest.mark.parametrize("block", of_kind("solana"), ids=str)
async def test_examples_run_against_the_local_solana_node(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger()
    put_accounts(ledger)
    signer, other = Keypair(), Keypair()
    ledger.airdrop(signer.pubkey(), 10**9)
    async with (
        ticking(ledger, every=timedelta(milliseconds=50)),
        serve_solana(Node(ledger)) as served,
        SolanaClient(served.http) as solana,
    ):
        names = NAMES | {
            "url": served.http,
            "second_url": served.http + "/",
            "genesis_hash": await solana.genesis_hash(),
            "signer": signer,
            "other": other,
        }
        await eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    printed = capsys.readouterr().out
    assert printed
    printed_as_said(block, printed)


@pytest.mark.parametrize("block", of_kind("guardians"), ids=str)
async def test_examples_run_against_a_guardian(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    async with serve_guardian() as guardian_url:
        names = {"guardian_url": guardian_url, "another_url": "http://127.0.0.1:1", "now": NOW, **GUARDIAN_NAMES}
        await eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    printed_as_said(block, capsys.readouterr().out)


@pytest.mark.parametrize("block", of_kind("prometheus"), ids=str)
async def test_examples_run_against_a_prometheus(
    block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    up = {"metric": {"__name__": "up", "job": "hermes"}, "value": [1_700_000_000.5, "1"]}
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [up]}})
    transport = ReplyTransport(lambda request: reply(200, body, clock=FakeClock()))
    monkeypatch.setattr(prometheus, "PrometheusClient", partial(prometheus.PrometheusClient, transport=transport))
    names = {"url": "http://prometheus.test"}
    await eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert transport.requests
    printed_as_said(block, capsys.readouterr().out)


@pytest.mark.parametrize("block", of_kind("evm_receiver"), ids=str)
async def test_examples_run_against_a_receiver_on_an_evm_node(
    block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = MAINNET.newest(TrustRoot.PRO)
    assert held is not None
    node = EvmNode()
    node.contracts[RECEIVER] = Receiver(held.index, held.signers, held.quorum)
    monkeypatch.setattr(pk, "EvmClient", lambda url, *, chain_id: node.client)
    names = {"url": "http://node.test/", "chain_id": node.chain_id, "address": RECEIVER, "vaa": b"a VAA"}
    await eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    printed_as_said(block, capsys.readouterr().out)


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
