"""``--observations`` and ``probekit replay``, over a sandbox: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from probekit.cli.main import main as cli
from probekit.dev import faults
from probekit.runner import Tape, watch
from tests.support.sandbox import FIRST, Lab, load


@pytest.fixture
async def tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some seconds of hermes_freshness on a fake clock: all is well, then one price is too wide, then it is not."""
    path = tmp_path / "tape.jsonl"
    made = Tape(path)
    monkeypatch.setattr("tests.support.sandbox.watch", partial(watch, tape=made))
    lab = Lab()
    async with lab.watching(load("hermes_freshness"), endpoint=FIRST, feeds=("Crypto.BTC/USD", "Crypto.ETH/USD")):
        await lab.pass_seconds(3)
        with lab.first.inject(faults.WideConfidence(str(lab.network.market("Crypto.BTC/USD").feed.id))).during():
            await lab.pass_seconds(4)
        await lab.pass_seconds(3)
    made.close()
    return path


def test_the_same_limits_change_nothing(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["replay", str(tape)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("hermes_freshness: ")
    assert out.endswith("  the limits of the recording\n3 of 3 targets unchanged\n")


def test_other_limits_say_what_would_have_changed(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["replay", str(tape), "--set", "max_conf=100%"]) == 0
    out = capsys.readouterr().out
    assert "  max_conf: 200bps -> 10000bps\n" in out
    assert "Crypto.BTC/USD: turned 2 times -> never turned\n  ok        " in out
    assert re.search(r"\n  critical  \d+ runs, [\d.]+s, first \S+ wide_confidence -> never\n", out)
    assert out.endswith("2 of 3 targets unchanged\n")


def test_a_manifest_gives_the_limits(tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "mine.yaml"
    manifest.write_text("probe: hermes_freshness\noptions:\n  feeds: [Crypto.BTC/USD]\n  max_conf: 0.01%\n")
    assert cli(["replay", str(tape), "--config", str(manifest), "--set", "max_age=1h", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["options"]["max_conf"] == {"recorded": "200bps", "replayed": "1bps"}
    assert found["options"]["max_age"] == {"recorded": "10.0s", "replayed": "1h00m"}
    statuses = [one["replayed"]["statuses"] for one in found["targets"].values()]
    assert sum(one.get("critical", {}).get("first_reason") == "wide_confidence" for one in statuses) == 2
    assert found["runs"] >= 10


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "max_cong=1bps"], "unknown key; did you mean 'max_conf'?"),
        (["--set", "max_age=10"], "10 has no unit"),
        (["--set", "max_age"], "write it as KEY=VALUE"),
        (["--probe", "hermes_proof"], "the recording's options are not those of this hermes_proof"),
        (["--probe", "hermes_prof"], "nearest"),
        (["--config", "/nowhere.yaml"], "cannot be read"),
    ],
)
def test_wrong_arguments(tape: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["replay", str(tape), *arguments]) == 3
    error = capsys.readouterr().err
    assert told in error
    assert "error.type=config" in error


def test_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data, told in (
        ("empty", b"", "this is no recording"),
        ("text", b"hello\n", "line 1 is no step of a recording"),
        ("absent", None, "No such file"),
    ):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        assert cli(["replay", str(path)]) == 3
        assert told in capsys.readouterr().err
    assert cli(["replay", str(tmp_path)]) == 3


def test_a_recording_of_another_release_wants_a_manifest(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = tape.read_text().splitlines(keepends=True)
    tape.write_text("".join([first.replace('"max_conf"', '"widest"'), *rest]))
    assert cli(["replay", str(tape)]) == 3
    assert "give a manifest with --config" in capsys.readouterr().err


def test_what_is_left_out_is_said(tape: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tape.read_text().replace("model.price:PriceUpdate", "model.price:Nothing", 1) + '{"step":"full","at":1}\n'
    tape.write_text(text)
    assert cli(["replay", str(tape)]) == 0
    error = capsys.readouterr().err
    assert "1 observations could not be read and are left out" in error
    assert "ended at its bound" in error


def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["run", "hermes_proof", "--once", "--observations", "/"]) == 3
    assert "/ cannot be written: Is a directory" in capsys.readouterr().err
