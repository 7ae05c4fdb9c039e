"""Every block of the documentation runs as it stands, or says why not: commands against a sandbox, programs, manifests."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import probekit as pk
from probekit.codecs import vaa
from probekit.codecs.vaa import Vaa
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.otlp_sink import OtlpSink
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve, serve_in_thread
from probekit.errors import ConfigError
from probekit.manifest import load_probe, read_manifest
from probekit.manifest.discovery import catalogue, find_probe
from probekit.model import Status
from probekit.runner import RunSettings
from probekit.trust.sets import GOVERNANCE, encode_set_upgrade
from probekit.trust.signing import SigningSet
from tests.docs.blocks import BLOCKS, PAGES, PICTURES, ROOT, Block, blocks_of, of_kind, printed_as_said
from tests.docs.payments import payments
from tests.support.sandbox import FIRST, Lab, load, others_ok, verdict

# `evm` runs on a real node, in tests/system/evm/test_pages.py.
KINDS = {
    "sandbox", "solana", "pro", "guardians", "evm", "evm_receiver", "probe", "public", "script", "shell", "server",
    "manifest", "collector", "json", "prometheus", "replay", "fleet",
}  # fmt: skip
SHELL_PAGES = sorted({block.page for block in of_kind("shell")})
BTC = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"


def named(blocks: list[Block]) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in blocks]


# -- nothing is left out ---------------------------------------------------------------------------------------------------


def test_every_block_is_run_or_says_why_not() -> None:
    assert len(BLOCKS) > 25
    silent = [str(one) for one in BLOCKS if one.language not in PICTURES and not one.kind and len(one.excused.split()) < 3]
    assert silent == [], "mark them: <!-- run: KIND --> or <!-- not run: WHY -->"
    assert {one.kind for one in BLOCKS if one.kind} == KINDS


def test_no_code_hides_in_an_indented_block() -> None:
    """Nothing runs those. The README's two commands are pinned by a test of their own."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        hidden = re.findall(r"\n\n {4}(?![-*\d])(\S.*)", text)
        assert [one for one in hidden if one not in ("make demo", "make test")] == [], page


# -- commands --------------------------------------------------------------------------------------------------------------


def as_run(code: str, url: str) -> str:
    """A page's commands for this test: the sandbox's own port, this interpreter's programs, loops that end."""
    code = re.sub(r"(127\.0\.0\.1|localhost):8080", url.removeprefix("http://"), code).replace(".venv/bin/", "")
    return re.sub(r"--loop(?! --runs)", "--loop --runs 2", code)


@pytest.mark.parametrize("page", SHELL_PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_in_order_against_one_sandbox(page: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl or no bash on this machine")
    network = SandboxNetwork(feeds=16)
    first, second = Sandbox(network, control=True), Sandbox(network)
    with serve_in_thread(first) as url, serve_in_thread(second) as other, OtlpSink(tmp_path / "otlp.jsonl") as sink:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PROBEKIT_", "COV"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HERMES": url,
            "HERMES2": other,
            "HERMES_API_KEY": "a-key-for-the-sandbox",
            "FEED": BTC,
            "SIGNERS": json.dumps([signer.hex() for signer in network.signing.signer_set().signers]),
        }
        for block in (one for one in blocks_of(page) if one.kind == "shell"):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", as_run(block.code, url)],
                cwd=tmp_path,
                env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url} if "--otlp" in block.code else environment,
                capture_output=True,
                text=True,
                timeout=50,
            )
            expected = int(block.words[1]) if block.words[:1] == ("exit",) else 0
            assert done.returncode == expected, f"{block} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            printed_as_said(block, done.stdout or done.stderr)


@pytest.mark.parametrize("block", named(of_kind("replay")))
def test_ranges_of_blocks_are_replayed(block: Block, tmp_path: Path) -> None:
    """With the file that the how-to shows last, over a node that has a payment in the range."""
    page = ROOT / "docs" / "how-to" / "watch-contract-events.md"
    manifest = [one for one in blocks_of(page) if one.kind == "manifest"][-1]
    with payments(at_block=20_004_000, head=20_020_000) as url:
        (tmp_path / "base.yaml").write_text(manifest.code.replace("https://mainnet.base.org", url))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PROBEKIT_", "COV"))}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=tmp_path,
            env=environment | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert block.words == ("exit", str(done.returncode)), f"{done.stdout}\n{done.stderr}"
    assert "1 in blocks 20000000 to 20010000" in done.stdout
    if block.output is not None:
        printed_as_said(block, done.stdout)


@pytest.mark.parametrize("page", sorted({block.page for block in of_kind("fleet")}), ids=lambda page: page.stem)
def test_what_a_page_adds_to_the_example_inventory_is_what_hosts_have(page: Path, tmp_path: Path) -> None:
    """In a copy of the collection, where the page changes it."""
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    shutil.copytree(ROOT / "ansible", tmp_path / "ansible")
    (tmp_path / "probes").symlink_to(ROOT / "probes")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PROBEKIT_", "ANSIBLE_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }
    for block in (one for one in blocks_of(page) if one.kind == "fleet"):
        code = re.sub(r"\bansible-(\w+) ", rf"{sys.executable} -m ansible \1 ", block.code)
        command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, f"{block} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        printed_as_said(block, done.stdout)


@pytest.mark.parametrize("block", named(of_kind("server")))
def test_servers_start_and_end(block: Block, tmp_path: Path) -> None:
    """Each prints where it listens; SIGTERM ends it with 0."""
    command = [sys.executable, *re.sub(r"--port \d+", "--port 0", block.code).split()[1:]]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert "http://127.0.0.1:" in server.stdout.readline()
        finally:
            server.terminate()
        assert server.wait(30) == 0


# -- programs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", named(of_kind("script")))
def test_programs_run(block: Block) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.code, str(block), "exec"), {"__name__": "__main__"})
    assert out.getvalue()
    printed_as_said(block, out.getvalue())


@pytest.mark.parametrize("block", named(of_kind("public")))
async def test_what_names_the_public_service_runs_against_the_sandbox(
    block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default endpoint, the trust and the key are the sandbox's; the lines are the page's."""
    network = SandboxNetwork(feeds=3)
    async with serve(Sandbox(network)) as endpoint:
        monkeypatch.setattr(pk, "HermesClient", partial(pk.HermesClient, endpoint))
        monkeypatch.setattr(pk.trust, "PRO", network.trust)
        monkeypatch.setenv("HERMES_API_KEY", "a-key-for-the-sandbox")
        names = {"pk": pk, "upgrade_vaa": upgrade_of(network)}
        result = eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if asyncio.iscoroutine(result):
            await result
    printed = capsys.readouterr().out
    assert printed
    printed_as_said(block, printed)


def upgrade_of(network: SandboxNetwork) -> bytes:
    """The governance message that installs another set after the network's own."""
    signing = network.signing
    following = SigningSet.generate(signing.root, signing.index + 1, b"the next set").signer_set()
    chain, address = GOVERNANCE
    payload = encode_set_upgrade(following.index, following.signers)
    return vaa.encode(signing.sign(Vaa(signing.index, (), 0, 0, chain, address, 1, 0, payload)))


# -- files -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", named(of_kind("manifest")))
def test_manifests_are_read(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand; where an output follows, it is the faults that are told."""
    for name in re.findall(r"\benv:(\w+)", block.code):
        monkeypatch.setenv(name, "a-key-for-the-sandbox")
    monkeypatch.chdir(tmp_path)
    path = Path("probekit.yaml")
    path.write_text(block.code)
    probe = load_probe(find_probe(block.words[0], (catalogue(),)))
    if block.output is None:
        assert read_manifest(probe, path).options
        return
    with pytest.raises(ConfigError) as caught:
        read_manifest(probe, path)
    printed_as_said(block, "\n".join(caught.value.problems) + "\n")


@pytest.mark.parametrize("block", named(of_kind("collector")))
def test_collectors_are_of_components_that_we_build(block: Block) -> None:
    recipe = (ROOT / "ansible" / "collector" / "builder.yaml").read_text()
    written = yaml.safe_load(block.code)
    parts = {"receivers": "receiver", "processors": "processor", "exporters": "exporter", "extensions": ""}
    for section, suffix in parts.items():
        for name in written.get(section, {}):
            module = name.partition("/")[0].replace("_", "") + suffix
            assert re.search(rf"/{module} v", recipe), f"{block}: builder.yaml has no {module}"
    for pipeline in written["service"]["pipelines"].values():
        for section, used in pipeline.items():
            assert set(used) <= set(written[section]), f"{block}: {section}"


@pytest.mark.parametrize("block", named(of_kind("json")))
def test_json_is_json(block: Block) -> None:
    for line in block.code.splitlines():
        assert json.loads(line), block


# -- promises --------------------------------------------------------------------------------------------------------------


async def test_the_tutorials_fault_is_seen_in_eleven_seconds_and_nothing_else_is() -> None:
    lab, probe = Lab(), load("hermes_freshness")
    btc = str(lab.network.market("Crypto.BTC/USD").feed.id)
    feeds = ("Crypto.BTC/USD", "Crypto.ETH/USD", "Crypto.SOL/USD")
    settings = replace(RunSettings(), interval=timedelta(seconds=1))
    async with lab.watching(probe, settings=settings, endpoint=FIRST, feeds=feeds):
        run = await lab.pass_seconds(3)
        assert run.status is Status.OK
        with lab.first.inject(faults.StaleFeed("Crypto.BTC/USD")).during():
            run = await lab.pass_seconds(11)
            assert verdict(run, btc) == (Status.CRITICAL, "stale")
            assert others_ok(run, btc)
        run = await lab.pass_seconds(2)
        assert run.status is Status.OK


def fenced(text: str) -> Iterator[str]:
    return iter(re.findall(r"^```\w*$", text, re.MULTILINE))


def test_the_reader_of_blocks_is_not_blind(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run: shell exit 2 -->\n```sh\nfalse\n```\n```output\na ...\n```\n\n```python\n1\n```\n")
    found = [(one.language, one.kind, one.words, one.code, one.output, one.line) for one in blocks_of(page)]
    assert found == [("sh", "shell", ("exit", "2"), "false\n", "a ...\n", 1), ("python", "", (), "1\n", None, 9)]
    for real in PAGES:
        shown = sum(1 + (block.output is not None) for block in blocks_of(real))
        assert shown * 2 == len(list(fenced(real.read_text()))), real
    with pytest.raises(AssertionError):
        printed_as_said(next(blocks_of(page)), "b\n")
