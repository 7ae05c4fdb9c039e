"""The command line of a probe: modes, output, exit codes; and the probekit command around it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from probekit.cli.main import COMMANDS
from probekit.cli.main import main as cli
from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve_in_thread
from probekit.entry.execute import exit_code
from probekit.entry.output import Printer, junit, plain_table, rich_table
from probekit.manifest import list_probes
from probekit.manifest.discovery import catalogue
from probekit.model import Evidence, ProbeRun, Status, Target, TargetResult, Vantage, Verdict
from probekit.runner.encode import decode_run
from probekit.units import Instant

ROOT = Path(__file__).parents[3]


def make_run(*statuses: Status) -> ProbeRun:
    results = tuple(
        TargetResult(
            Target(f"t{n}", "service", f"target <{n}>"), (Verdict("check", status, "why", f"message & {n}\x01", 5, 3, "ns"),)
        )
        for n, status in enumerate(statuses)
    )
    now = Instant.parse("2026-09-12T10:00:00Z")
    return ProbeRun(
        probe="p",
        run_id="ab" * 16,
        vantage=Vantage("h"),
        scheduled_at=now,
        started_at=now,
        elapsed_ns=1_500_000,
        results=results,
    )


@pytest.mark.parametrize(
    ("statuses", "allow", "code"),
    [
        ([Status.OK], False, 0),
        ([Status.OK, Status.SKIPPED], False, 0),
        ([Status.WARNING, Status.OK], False, 1),
        ([Status.CRITICAL, Status.UNKNOWN], False, 2),
        ([Status.UNKNOWN, Status.WARNING], False, 3),
        ([Status.SKIPPED], False, 3),
        ([Status.SKIPPED], True, 0),
        ([], False, 3),
        ([], True, 3),
    ],
)
def test_exit_codes(statuses: list[Status], allow: bool, code: int) -> None:
    assert exit_code(make_run(*statuses), allow_skipped=allow) == code


def test_no_run_at_all_is_no_pass() -> None:
    assert exit_code(None, allow_skipped=True) == 3


def test_junit_maps_the_five_statuses() -> None:
    suite = ET.fromstring(junit(make_run(*Status)))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("5", "1", "1", "1")
    inner = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert inner == {
        "target <0> check": [],
        "target <1> check": ["system-out"],
        "target <2> check": ["failure"],
        "target <3> check": ["error"],
        "target <4> check": ["skipped"],
    }


HOSTILE = "".join(map(chr, range(0x20))) + "\x7f\x9b<&>\"' \u202e\ufffe\uffff\ud800\U0010ffff"


def test_nothing_that_a_service_says_breaks_a_report_or_moves_the_cursor() -> None:
    """Error messages quote bodies and symbols: a terminal must not obey them, and a report must stay XML."""
    good = make_run(*Status)
    run = msgspec.structs.replace(
        good,
        results=tuple(
            msgspec.structs.replace(
                one,
                target=Target(HOSTILE, "service", HOSTILE),
                verdicts=tuple(msgspec.structs.replace(verdict, message=HOSTILE) for verdict in one.verdicts),
                evidence=Evidence(error=HOSTILE),
            )
            for one in good.results
        ),
    )
    for case in ET.fromstring(junit(run).encode("utf-8", "backslashreplace"))[0].iter("testcase"):
        assert "<&>\"'" in (case.get("name") or "")
    text = plain_table(run)
    assert len(text.splitlines()) == 6
    assert all(letter.isprintable() for line in text.splitlines() for letter in line)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    Printer(out=out).show(run)
    # What is left of escapes are rich's own colours.
    assert not re.search(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x9b\u202e]", out.getvalue())
    assert "\x1b\x1c" not in out.getvalue()


def test_tables_put_the_worst_first() -> None:
    text = plain_table(make_run(Status.OK, Status.CRITICAL))
    assert text.splitlines()[0].startswith("p: CRITICAL - 1 ok, 1 critical (local, h/probekit, 1.5ms")
    assert text.index("CRITICAL target <1>") < text.index("OK       target <0>")
    assert rich_table(make_run(Status.OK)).row_count == 1


def test_the_printer_speaks_json_text_or_not_at_all() -> None:
    run = make_run(Status.OK)
    out = io.StringIO()
    Printer(as_json=True, out=out).show(run)
    assert decode_run(out.getvalue().encode()) == run
    Printer(out=out).show(run)
    assert "p: OK" in out.getvalue()
    size = len(out.getvalue())
    Printer(quiet=True, out=out).show(run)
    assert len(out.getvalue()) == size


def test_a_terminal_gets_a_rich_table() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    Printer(out=out).show(make_run(Status.WARNING))
    assert "WARNING" in out.getvalue()


# -- the real thing, over a socket -------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(SandboxNetwork(feeds=4))


@pytest.fixture
def url(sandbox: Sandbox) -> Iterator[str]:
    with serve_in_thread(sandbox) as base:
        yield base


def run(*arguments: str) -> int:
    return cli(["run", *arguments])


def test_once_in_text_json_junit_and_on_file(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], sandbox: Sandbox
) -> None:
    record, report = tmp_path / "runs.jsonl", tmp_path / "report.xml"
    where = ("--set", f"endpoint={url}")
    assert run("hermes_freshness", "--once", *where, "--json", "--record", str(record), "--junit", str(report)) == 0
    shown = decode_run(capsys.readouterr().out.encode())
    assert shown.status is Status.OK
    lines = record.read_bytes().splitlines()
    assert decode_run(lines[0]).run_id == shown.run_id
    assert ET.parse(report).getroot().tag == "testsuites"
    sandbox.inject(faults.BadProof(sandbox.network.markets[0].feed.id))
    assert run("hermes_proof", *where, "--junit", "-") == 2
    assert "<failure" in capsys.readouterr().out


def test_a_loop_of_some_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--set", f"endpoint={url}", "--set", "timeout=500ms")
    assert run("hermes_latency", "--loop", "--runs", "2", "--interval", "500ms", *options) == 0
    assert capsys.readouterr().out.count("hermes_latency: OK") == 2


def test_an_endpoint_that_is_not_there_is_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("hermes_proof", "--once", "--set", "endpoint=http://127.0.0.1:9") == 2
    assert "CRITICAL http://127.0.0.1:9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "hermes_freshnes"], "nearest: hermes_freshness"),
        (["run", "hermes_freshness", "--set", "max_age=10"], "has no unit"),
        (["run", "hermes_freshness", "--set", "broken"], "KEY=VALUE"),
        (["run", "hermes_freshness", "--config", "/nowhere.yaml"], "cannot be read"),
        (["run", "hermes_freshness", "--interval", "soon"], "--interval"),
        (["run", "hermes_freshness", "--interval", "0s"], "must be positive"),
        (
            ["run", "hermes_latency", "--interval", "500ms"],
            "--interval: the interval 500.0ms is shorter than options.timeout 8.0s",
        ),
        (["run", "hermes_freshness", "--record", "/nowhere/x.jsonl"], "cannot be written"),
        (["frobnicate"], "no command"),
        (["rum"], "did you mean 'run'"),
        (["probes", "--probe-path", "/nowhere"], "the probe folder /nowhere cannot be read"),
        ([], "no command given; commands: explain"),
    ],
)
def test_usage_and_configuration_errors_exit_3(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(arguments) == 3
    shown = capsys.readouterr()
    assert words in shown.err
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("(error.type=config)\n")


def test_authorities_that_are_not_there_stop_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    assert cli(["run", "hermes_freshness"]) == 3
    shown = capsys.readouterr().err
    assert shown.endswith("SSL_CERT_FILE is /nowhere.pem, which is no file that can be read (error.type=config)\n")


@pytest.mark.parametrize("arguments", [["run", "--nope"], ["run"], ["run", "hermes_proof", "--nope"], ["verify"], ["price"]])
def test_argparse_never_exits_with_critical(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli(arguments)
    assert caught.value.code == 3
    assert "error.type=config" in capsys.readouterr().err


def test_listing_explaining_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["probes"]) == 0
    listed = capsys.readouterr().out
    assert any(line.split()[:4] == ["hermes_freshness", "Is", "every", "watched"] for line in listed.splitlines())
    assert cli(["explain", "hermes_freshness", "--set", "max_age=7s"]) == 0
    explained = capsys.readouterr().out
    assert "max_age = 7.0s  (--set)" in explained
    assert "runbook   docs/runbooks/hermes_freshness.md" in explained
    assert cli(["explain", "--help"]) == 0
    assert cli(["version"]) == 0
    assert cli(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    assert run("hermes_proof", "--version") == 0
    assert capsys.readouterr().out.startswith("hermes_proof 0.1.0 ")


def test_price_and_verify(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    assert cli(["price", "Crypto.BTC/USD", "--endpoint", url, "--unverified"]) == 0
    assert "not verified" in capsys.readouterr().out
    # The sandbox's signers are not the main network's.
    assert cli(["price", "Crypto.BTC/USD", "--endpoint", url]) == 2
    assert "error.type=bad_signature" in capsys.readouterr().err
    assert cli(["price", "Crypto.NOPE", "--endpoint", url]) == 2
    assert cli(["price", "x", "--api-key", "literal"]) == 3
    assert cli(["price", "x", "--endpoint", "hermes.pyth.network"]) == 3
    assert "is not an http or https URL" in capsys.readouterr().err
    answer = sandbox.handle("GET", f"/v2/updates/price/latest?ids[]={sandbox.network.markets[0].feed.id}", {})
    body = answer.body
    assert body
    file = tmp_path / "answer.json"
    file.write_bytes(body)
    assert cli(["verify", str(file)]) == 2
    raw = msgspec.json.decode(body)["binary"]["data"][0]
    (tmp_path / "hex").write_text(raw)
    assert cli(["verify", str(tmp_path / "hex"), "--at", "signed", "--root", "core"]) == 2
    assert "wrong_root" in capsys.readouterr().err
    (tmp_path / "junk").write_text("???")
    assert cli(["verify", str(tmp_path / "junk")]) == 2
    assert cli(["verify", str(tmp_path / "none")]) == 3
    assert cli(["verify", str(file), "--at", "yesterday"]) == 3
    assert capsys.readouterr().err.count("error.type=config") == 2


@pytest.mark.skipif("PROBEKIT_VECTORS" not in os.environ, reason="PROBEKIT_VECTORS names no folder")
def test_a_real_update_verifies_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vector = json.loads((Path(os.environ["PROBEKIT_VECTORS"]) / "pnau-pro-01.json").read_text())
    for name, data in (("raw", bytes.fromhex(vector["data"])), ("hex", b"0x" + vector["data"].encode())):
        (tmp_path / name).write_bytes(data)
        assert cli(["verify", str(tmp_path / name), "--at", "signed"]) == 0
        assert "of pro set 1 (quorum 3)" in capsys.readouterr().out


def test_a_probes_file_runs_by_itself_and_ends_on_sigterm(url: str) -> None:
    command = [sys.executable, str(ROOT / "probes" / "hermes_freshness.py"), "--loop", "--json", "--set", f"endpoint={url}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = decode_run(process.stdout.readline().encode())
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(10) == 0
    assert first.probe == "hermes_freshness"


HEAVY = (
    "asyncio",
    "concurrent.futures",
    "logging",
    "ssl",
    "subprocess",
    "email",
    "sqlite3",
    "aiohttp",
    "cryptography",
    "dns",
    "grpc",
    "httpx",
    "lightkube",
    "opentelemetry.sdk",
    "pycurl",
    "pydantic",
    "requests",
    "rich",
    "solana",
    "solders",
    "tenacity",
    "uvloop",
    "web3",
    "websockets",
    "yaml",
    "probekit.clients.evm",
    "probekit.clients.hermes",
    "probekit.clients.kubernetes",
    "probekit.clients.lazer",
    "probekit.clients.solana",
    "probekit.dev",
    "probekit.manifest.read",
    "probekit.runner",
    "probekit.transports.curl",
    "probekit.transports.dial",
    "probekit.transports.httpx",
    "probekit.transports.rpc.pool",
)
"""What runs a probe: loops, engines, pools, clients, and the libraries that they are made of."""
LIGHTEST = ("zoneinfo", "probekit.clients", "probekit.transports")
"""What a probe that needs none of it does not load either."""


def loaded_by(path: Path, run: str, heavy: tuple[str, ...]) -> str:
    """Which of ``heavy`` a process loads that imports a probe's file as ``module`` and does ``run``, which sets ``code``."""
    code = (
        "import sys, importlib.util, contextlib, io\n"
        "import probekit\n"
        "light = set(sys.modules)\n"
        "assert 'msgspec' not in light and 'asyncio' not in light, 'import probekit loads more than itself'\n"
        f"spec = importlib.util.spec_from_file_location('p', {str(path)!r})\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['p'] = module; spec.loader.exec_module(module)\n"
        "code = 0\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:\n"
        f"    {run}\n"
        f"assert code == 0 and {path.stem!r} in said.getvalue()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("asked", [["--help"], ["--version"]])
@pytest.mark.parametrize("command", [False, True], ids=["as a file", "as a command"])
def test_what_help_and_import_must_not_load(asked: list[str], command: bool) -> None:
    run = (
        f"from probekit.cli.main import main; code = main(['run', 'hermes_freshness', *{asked!r}])"
        if command
        else f"code = probekit.main(module.probe, {asked!r})"
    )
    assert loaded_by(ROOT / "probes" / "hermes_freshness.py", run, HEAVY + LIGHTEST) == "[]"


@pytest.mark.parametrize("path", [pytest.param(one.path, id=one.name) for one in list_probes((catalogue(),))])
def test_no_probe_loads_what_runs_it_to_say_what_it_takes(path: Path) -> None:
    """A bound without a clock: each of these takes tens of milliseconds, or leads to what does."""
    assert loaded_by(path, "code = probekit.main(module.probe, ['--help'])", HEAVY) == "[]"
