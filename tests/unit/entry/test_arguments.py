"""A probe's command line, attacked: every wrong argument is one line with the nearest option, and 3."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.entry import command
from probekit.manifest.discovery import Found
from probekit.model.observation import Failure, Observation


class Options(pk.Options, frozen=True, kw_only=True):
    count: int = 1
    api_key: pk.Secret | None = None


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    if ctx.options.count == 99:
        sys.exit(2)
    return []


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Observation[Any] | Failure]:
    for _ in watched:
        yield pk.Failure(pk.errors.Missing("nothing"), "x", ctx.clock.now(), "x")


def make(**changes: Any) -> pk.Probe[Options]:
    kept: dict[str, Any] = {
        "name": "mine",
        "question": "Is it?",
        "options": Options,
        "targets": targets,
        "observe": observe,
        "checks": lambda options, target: [],
        "deadline": timedelta(seconds=4),
    }
    return pk.Probe.poll(**{**kept, **changes})


def end(*argv: str, probe: Any = None) -> int:
    try:
        return pk.main(probe or make(), argv)
    except SystemExit as caught:
        assert isinstance(caught.code, int)
        return caught.code


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--jsn"], "unrecognized arguments: --jsn; did you mean --json?"),
        (["--recrod=x"], "unrecognized arguments: --recrod=...; did you mean --record?"),
        (["--zzzz"], "unrecognized arguments: --zzzz; --help"),
        (["extra"], "unrecognized arguments: extra"),
        (["--once", "--loop"], "not allowed with argument --once"),
        (["--config"], "expected one argument"),
        (["--config", ""], "argument --config: expected text, got ''"),
        (["--interval", " "], "argument --interval: expected text"),
        (["--region", "a\x1bb"], "argument --region: expected text"),
        (["--junit", ""], "argument --junit: expected text"),
        (["--record", ""], "argument --record: expected text"),
        (["--loop", "--runs", "0"], "argument --runs: expected a whole number from 1, got '0'"),
        (["--loop", "--runs=-1"], "expected a whole number from 1, got '-1'"),
        (["--loop", "--runs", "x" * 99], "expected a whole number from 1"),
        (["--loop", "--runs", "٣"], "expected a whole number from 1"),
        (["--runs", "2"], "--runs counts the runs of --loop, which is not given"),
        (["--set"], "expected one argument"),
        (["--set", "count"], "--set ...: write it as KEY=VALUE"),
        (["--set", "=5"], "--set ...: write it as KEY=VALUE"),
        (["--set", "cuont=5"], "--set cuont options.cuont: unknown key; did you mean 'count'?"),
        (["--set", "count=x"], "--set count options.count: expected whole number, got 'x'"),
        (["--set", "count=!!int x"], "--set count options.count: the value does not fit its tag !!int"),
        (["--set", "count=\udcff"], "--set count options.count: not YAML: the character U+DCFF is not allowed"),
        (["--interval", "soon"], "--interval: 'soon' is not a duration"),
        (["--interval", "5"], "--interval: '5' is not a duration"),
        (["--interval", "9" * 5000 + "d"], "--interval: "),
        (["--interval", "0s"], "--interval: must be positive"),
        (["--explain", "--interval", "soon"], "--interval: 'soon' is not a duration"),
        (["--config", "/"], "/: cannot be read: Is a directory"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read: No such file or directory"),
        (["--junit", "/"], "--junit /: Is a directory"),
        (["--junit", "/nowhere/x.xml"], "--junit /nowhere/x.xml: there is no folder /nowhere"),
        (["--record", "/"], "/ cannot be written: Is a directory"),
    ],
)
def test_a_wrong_argument_is_one_line_and_3(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(*argv) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("(error.type=config)\n")


@pytest.mark.parametrize(
    "argv",
    [["--set", "api_key=sk-literal"], ["--set", "sk-literal"], ["--api-key=sk-literal"], ["--set", "api_kye=sk-literal"]],
)
def test_no_error_shows_a_secret(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert end(*argv) == 3
    assert "sk-literal" not in capsys.readouterr().err


def test_an_interval_of_the_command_line_is_explained_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert end("--explain", "--interval", "2s") == 0
    shown = capsys.readouterr().out
    assert "interval  2.0s  (--interval)" in shown
    assert "deadline  2.0s  (--interval)" in shown
    assert end("--explain", "--interval", "20s") == 0
    assert "deadline  4.0s  (default)" in capsys.readouterr().out


def test_a_probe_that_ends_the_program_has_no_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert end("--set", "count=99") == 3
    shown = capsys.readouterr().err
    assert "the probe ended the program itself, with 2 (error.type=config)" in shown
    assert shown.count("\n") == 1


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "runs.jsonl"
    assert end("--record", str(record), "--junit", str(tmp_path / "no" / "x.xml")) == 3
    assert not record.exists()
    assert "there is no folder" in capsys.readouterr().err


def test_main_wants_a_probe(capsys: pytest.CaptureFixture[str]) -> None:
    assert end(probe="mine") == 3
    assert capsys.readouterr().err == "probekit.main: main takes a probe, not str (error.type=config)\n"


def test_the_file_of_a_probe_is_found_behind_wrappers(capsys: pytest.CaptureFixture[str]) -> None:
    class Callable:
        def __call__(self, ctx: Any, watched: Any) -> Any:
            return observe(ctx, watched)

    @functools.wraps(observe)
    def wrapped(ctx: Any, watched: Any) -> Any:
        return observe(ctx, watched)

    for one in (observe, wrapped, functools.partial(observe), Callable()):
        assert command._file_of(make(observe=one)) == Path(__file__)
    assert end("--explain", probe=make(observe=Callable(), question=" ")) == 0
    assert capsys.readouterr().out.startswith("mine: \n")


def test_a_probe_of_no_file_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile("async def observe(ctx, targets):\n    yield\n", "<stdin>", "exec"), names)
    assert end("--version", probe=make(observe=names["observe"])) == 3
    assert "<stdin>: the probe's file cannot be read" in capsys.readouterr().err


def test_run_found_says_whose_fault_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.py"
    path.write_text("1 / 0")
    assert command.run_found(Found("odd", path, ""), []) == 3
    assert capsys.readouterr().err == (
        f"probekit run odd: {path}:1: does not import: ZeroDivisionError: division by zero (error.type=config)\n"
    )


def test_the_entry_module_has_two_names_and_no_more() -> None:
    import probekit.entry

    assert probekit.entry.main is command.main
    assert probekit.entry.run_found is command.run_found
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = probekit.entry.nonsense
