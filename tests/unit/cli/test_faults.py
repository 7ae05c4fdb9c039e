"""The probekit command, attacked: arguments, probe files, manifests, streams and signals. Never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from probekit.cli import probes, verify
from probekit.cli.main import main as cli
from tests.unit.manifest.test_discovery import GOOD, put

REFUSED = ("--set", "endpoint=http://127.0.0.1:9")
"""The discard port: nothing listens there."""


def end(*argv: str) -> int:
    try:
        return cli(argv)
    except SystemExit as caught:
        assert isinstance(caught.code, int)
        return caught.code


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.endswith("(error.type=config)\n")
    return shown.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no command given; commands: explain, price, probes, replay, run, unpack, verify, version"),
        (["nonsense"], "'nonsense' is no command; commands: explain"),
        (["verfy"], "'verfy' is no command; did you mean 'verify'?"),
        (["../run"], "is no command"),
        (["\x1b[2J"], r"'\x1b[2J' is no command"),
        (["run"], "probekit run: the following arguments are required: name"),
        (["explain"], "probekit explain: the following arguments are required: name"),
        (["run", ""], "no probe is named ''"),
        (["run", "hermes_prof"], "nearest: hermes_proof"),
        (["run", "--probe-pth", "x"], "unrecognized arguments: --probe-pth; did you mean --probe-path?"),
        (["run", "--probe-path"], "expected one argument"),
        (["run", "--probe-path", "", "x"], "argument --probe-path: expected text"),
        (["run", "--probe-path", "/nowhere", "x"], "the probe folder /nowhere cannot be read: No such file or directory"),
        (["explain", "hermes_proof", "--once"], "not allowed with argument"),
        (["run", "hermes_proof", "--onc"], "unrecognized arguments: --onc; did you mean --once?"),
        (["probes", "--probe-p", "x"], "unrecognized arguments: --probe-p x; did you mean --probe-path?"),
        (["price", "Crypto.BTC/USD", "--unver"], "unrecognized arguments: --unver"),
        (["verify", "x", "--netw", "beta"], "unrecognized arguments: --netw beta; did you mean --network?"),
        (["probes", "extra"], "unrecognized arguments: extra"),
        (["probes", "--probe-path", "/dev/null"], "the probe folder /dev/null cannot be read: Not a directory"),
        (["verify"], "the following arguments are required: file"),
        (["verify", "/"], "probekit verify: /: Is a directory"),
        (["verify", "/nowhere"], "probekit verify: /nowhere: No such file or directory"),
        (["verify", "/dev/zero"], "more than 16777216 bytes"),
        (["verify", "x", "--network", "mainet"], "invalid choice: 'mainet' (choose from"),
        (["verify", "x", "--at", "noon"], "--at: "),
        (["price"], "the following arguments are required: symbol"),
        (["price", ""], "argument symbol: expected text"),
        (["price", "x", "--endpoint", "ftp://x"], "'ftp://x' is not an http or https URL"),
        (["price", "x", "--api-key", "env:PK_NOT_SET"], "PK_NOT_SET is not set"),
        (["price", "x", "--api-key", "file:/nowhere"], "No such file or directory"),
    ],
)
def test_wrong_arguments(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(*argv) == 3
    assert words in one_line(capsys)


def test_a_literal_key_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert end("price", "x", "--api-key", "sk-literal") == 3
    assert "sk-literal" not in one_line(capsys)
    assert end("price", "x", "--endpoint", "user:sk-literal@host") == 3
    one_line(capsys)


@pytest.mark.parametrize("command", ["run", "explain"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def (", ":1: does not import: SyntaxError: invalid syntax"),
        ("\n1/0", ":2: does not import: ZeroDivisionError"),
        ("raise SystemExit(2)", ":1: does not import: it ends the program"),
        ("raise ValueError('a\\nb')", ":1: does not import: ValueError: a b"),
        ("x = 1", "defines no probe"),
    ],
)
def test_broken_probe_files(tmp_path: Path, command: str, text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, "broken.py", text)
    assert end(command, str(path)) == 3
    shown = one_line(capsys)
    assert shown.startswith(f"probekit {command} broken: {path}")
    assert words in shown
    assert end(command, "--probe-path", str(tmp_path), "broken") == 3
    assert words in one_line(capsys)


def test_two_probes_of_one_name_are_both_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = put(tmp_path / "a", "same.py", GOOD), put(tmp_path / "b", "same.py", GOOD)
    folders = ("--probe-path", str(one.parent), "--probe-path", str(two.parent))
    for argv in (("run", *folders, "same"), ("probes", *folders)):
        assert end(*argv) == 3
        assert f"two probes are named same: {one} and {two}" in one_line(capsys)


def test_listing_a_folder_of_none_and_the_page_of_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert end("probes", "--probe-path", str(tmp_path)) == 3
    assert f"there is no probe in {tmp_path}" in one_line(capsys)
    put(tmp_path, "broken.py", "def (")
    assert end("probes", "--probe-path", str(tmp_path)) == 0
    assert capsys.readouterr().out == "broken  (does not parse)\n"
    assert end("probes", "--markdown", "--probe-path", str(tmp_path)) == 3
    assert "does not import" in one_line(capsys)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name: \xff", "x.yaml:1:7 not UTF-8: the byte 0xff"),
        (b"options: {count: 1\n", "x.yaml:2:1 not YAML: "),
        (b"options:\n  cuont: 1\n", "x.yaml:2:3 options.cuont: unknown key; did you mean 'count'?"),
        (b"probe: other\n", "x.yaml:1:1 probe: this manifest is for 'other', not for 'good'"),
        (b"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "once its aliases are written out"),
        (None, "x.yaml: cannot be read: Is a directory"),
    ],
)  # fmt: skip
def test_a_manifest_beside_the_probe_that_is_none(
    tmp_path: Path, data: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, "x.py", GOOD.replace("class Options", "# the manifest stands beside\nclass Options"))
    if data is None:
        (tmp_path / "x.yaml").mkdir()
    else:
        (tmp_path / "x.yaml").write_bytes(data)
    # The manifest is found by the probe's name.
    beside = tmp_path / "good.yaml"
    (tmp_path / "x.yaml").rename(beside)
    path.rename(tmp_path / "good.py")
    assert end("run", str(tmp_path / "good.py")) == 3
    assert words.replace("x.yaml", "good.yaml") in one_line(capsys)


def test_files_that_may_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, "good.py", GOOD)
    closed = put(tmp_path, "closed.yaml", "")
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user reads every file, whatever its mode")
    assert end("run", str(path), "--config", str(closed)) == 3
    assert "closed.yaml: cannot be read: Permission denied" in one_line(capsys)
    path.chmod(0)
    assert end("run", str(path)) == 3
    assert "Permission denied" in one_line(capsys)


@pytest.mark.parametrize("module", [probes, verify])
def test_an_interrupt_anywhere_is_130_in_one_line(
    module: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "main", interrupted)
    name = "probes" if module is probes else "verify"
    assert cli([name]) == 130
    assert capsys.readouterr() == ("", f"probekit {name}: interrupted\n")


def test_an_interrupt_while_the_guard_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "probekit.entry.guard", Interrupting())
    assert cli(["version"]) == 130


def test_an_answer_without_an_update_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, "answer.json", '{"binary": {"encoding": "hex", "data": []}, "parsed": []}')
    assert end("verify", str(path)) == 2
    assert capsys.readouterr().err == "there is no update in it (error.type=missing)\n"


# -- the real process --------------------------------------------------------------------------------------------------------

# A test run in the background hands its ignored SIGINT on; the command's own default is what is tested.
CODE = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from probekit.cli.main import main
sys.exit(main())
"""
COMMAND = [sys.executable, "-c", CODE]


def start(*argv: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "argv",
    [
        ("--help",),
        ("version",),
        ("probes",),
        ("probes", "--markdown"),
        ("run", "--help"),
        ("explain", "--help"),
        ("explain", "hermes_proof"),
        ("run", "hermes_proof", "--version"),
        ("run", "hermes_proof", *REFUSED),
        ("run", "hermes_proof", "--json", *REFUSED),
        ("run", "hermes_proof", "--junit", "-", *REFUSED),
    ],
    ids=" ".join,
)
def test_a_reader_that_has_gone_is_one_line_and_3(argv: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with start(*argv, stdout=write) as process:
        os.close(write)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 3
    assert error.count("\n") == 1
    assert "standard output cannot be written: Broken pipe (error.type=config)" in error


def test_a_reader_that_goes_ends_a_loop() -> None:
    with start("run", "hermes_proof", "--loop", "--json", "--interval", "50ms", *REFUSED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert '"hermes_proof"' in process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(30) == 3
    assert error == "probekit run hermes_proof: standard output cannot be written: Broken pipe (error.type=config)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_and_3() -> None:
    with Path("/dev/full").open("w") as full, start("probes", stdout=full.fileno()) as process:
        _, error = process.communicate(timeout=30)
    assert process.returncode == 3
    assert error == "probekit probes: standard output cannot be written: No space left on device (error.type=config)\n"


@pytest.mark.parametrize(
    ("closing", "code", "output", "error"),
    [
        (">&-", 3, "", "probekit run hermes_proof: standard output is closed (error.type=config)\n"),
        # What is closed must not become the number of the next socket: uvloop aborts the process for that.
        ("<&-", 2, "hermes_proof: CRITICAL", ""),
        ("2>&-", 2, "hermes_proof: CRITICAL", ""),
        ("<&- 2>&-", 2, "hermes_proof: CRITICAL", ""),
        ("<&- >&- 2>&-", 3, "", ""),
    ],
)
def test_streams_that_are_closed_from_the_start(closing: str, code: int, output: str, error: str) -> None:
    script = f'exec "$@" {closing}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "run", "hermes_proof", *REFUSED],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, error)
    assert done.stdout.startswith(output)


@pytest.mark.parametrize("probe", ["hermes_proof", "hermes_freshness"])
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGINT, 130, "probekit run {}: interrupted\n"), (signal.SIGTERM, 0, "")],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_loop_ends_by_a_signal_with_its_code(probe: str, number: int, code: int, line: str) -> None:
    with start("run", probe, "--loop", "--interval", "50ms", *REFUSED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(number)
        process.stdout.read()
        error = process.stderr.read()
        assert process.wait(30) == code
    assert error == line.format(probe)


def test_letters_that_the_terminal_lacks_do_not_break_a_run() -> None:
    done = subprocess.run(
        [*COMMAND, "run", "hermes_proof", "--set", "endpoint=http://127.0.0.1:9/é"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, b"")
    assert rb"http://127.0.0.1:9/\xe9" in done.stdout
