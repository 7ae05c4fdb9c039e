"""Output that cannot be written, and the guard: one line on standard error and a code, never a traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from probekit.entry import guard, streams
from probekit.entry.guard import complain, guarded
from probekit.entry.output import Printer
from probekit.entry.streams import emit, emit_bytes, say
from probekit.errors import ConfigError, ConnectError, DecodeError
from probekit.model import Status
from tests.unit.entry.test_entry import make_run


class Failing(io.StringIO):
    """A stream whose reader has gone, whose disk is full, or that was closed."""

    def __init__(self, error: Exception, *, terminal: bool = False) -> None:
        super().__init__()
        self._error = error
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise self._error


GONE = BrokenPipeError(errno.EPIPE, "Broken pipe")
FULL = OSError(errno.ENOSPC, "No space left on device")
CLOSED = ValueError("I/O operation on closed file")


@pytest.mark.parametrize("error", [GONE, FULL, CLOSED], ids=["gone", "full", "closed"])
@pytest.mark.parametrize("write", [lambda out: emit("x", out), lambda out: emit_bytes(b"x", out)], ids=["text", "bytes"])
def test_what_cannot_be_written_is_one_sentence(error: Exception, write: Callable[[Any], None]) -> None:
    with pytest.raises(ConfigError, match="standard output cannot be written: ") as caught:
        write(Failing(error))
    assert caught.value.message.endswith(str(getattr(error, "strerror", error)))


@pytest.mark.parametrize(("as_json", "terminal"), [(True, False), (False, False), (False, True)])
def test_a_printer_whose_reader_has_gone_raises_and_never_exits_by_itself(as_json: bool, terminal: bool) -> None:
    printer = Printer(as_json=as_json, out=Failing(GONE, terminal=terminal))
    with pytest.raises(ConfigError, match="Broken pipe"):
        printer.show(make_run(Status.OK))


def test_text_beyond_the_streams_encoding_is_escaped_and_documents_stay_utf8() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    emit("é\udcff ", out)
    emit_bytes("é".encode(), out)
    assert raw.getvalue() == b"\\xe9\\udcff " + "é".encode()


def test_a_closed_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match="standard output is closed"):
        emit("x")
    with pytest.raises(ConfigError, match="standard output is closed"):
        emit_bytes(b"x")
    with pytest.raises(ConfigError, match="standard output is closed"):
        Printer().show(make_run(Status.OK))
    streams.flush_output()
    Printer(quiet=True).show(make_run(Status.OK))


def test_standard_error_takes_one_line_each_without_what_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("a\x1b[31m\nb\x85c\x07")
    assert capsys.readouterr().err == "a\\x1b[31m\nb\nc\\x07\n"
    for gone in (Failing(GONE), Failing(CLOSED), None):
        monkeypatch.setattr(sys, "stderr", gone)
        say("to nobody")


def test_closed_standard_streams_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def fstat(number: int) -> None:
        if number != 1:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def opening(path: str, flags: int) -> int:
        assert path == os.devnull
        opened.append(flags)
        return 9

    monkeypatch.setattr(streams, "os", SimpleNamespace(fstat=fstat, open=opening, devnull=os.devnull, O_RDWR=os.O_RDWR))
    monkeypatch.setattr(sys, "stderr", None)
    streams.fill_standard_streams()
    assert opened == [os.O_RDWR, os.O_RDWR]
    # print() to a standard error of None would go to standard output.
    assert sys.stderr is not None
    print("x", file=sys.stderr)
    sys.stderr.close()


# -- the guard ---------------------------------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


OUT_OF_MEMORY = "x: out of memory, by its limit (LimitDATA=) or this host's (error.type=internal)"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("two\nlines"), 3, "x: two lines (error.type=config)"),
        (ConfigError("p.yaml:1:1 a: b", problems=("p.yaml:1:1 a: b",)), 3, "p.yaml:1:1 a: b (error.type=config)"),
        (ConnectError("refused"), 3, "x: refused (error.type=connect)"),
        (DecodeError("torn", raw=b""), 3, "x: torn (error.type=decode)"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 3, "x: /a/b: Permission denied (error.type=config)"),
        (OSError("odd"), 3, "x: odd (error.type=config)"),
        (KeyboardInterrupt(), 130, "x: interrupted"),
        (MemoryError("the probe p ran out of memory"), 3, OUT_OF_MEMORY),
        (RuntimeError("can't start new thread"), 3, OUT_OF_MEMORY),
    ],
)
def test_every_end_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded("x", raising(error)) == code
    assert capsys.readouterr() == ("", line + "\n")


def test_a_defect_is_one_line_with_its_place(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert guarded("x", raising(RuntimeError("two\nlines"))) == 3
    shown = capsys.readouterr().err
    assert shown.startswith(f"x: a defect: RuntimeError: two lines at {__file__}:")
    assert shown.endswith(" (error.type=internal)\n")
    assert shown.count("\n") == 1

    monkeypatch.setattr(guard, "sys", SimpleNamespace(flags=SimpleNamespace(dev_mode=True)))
    assert guarded("x", raising(RuntimeError("again"))) == 3
    assert "Traceback" in capsys.readouterr().err


def test_help_ends_as_it_wants_and_a_code_passes_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guarded("x", raising(SystemExit(0)))
    assert [guarded("x", [0, 1, 2, 3, 130].pop), guarded("x", int)] == [130, 0]
    assert capsys.readouterr() == ("", "")


def test_several_faults_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(ConfigError("a\nb", problems=("a", "b")), "x") == 3
    assert capsys.readouterr().err == "a\nb\nerror.type=config\n"


def test_what_a_probe_printed_itself_is_flushed_or_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(FULL))
    assert guarded("x", lambda: 0) == 3
    assert capsys.readouterr().err == "x: standard output cannot be written: No space left on device (error.type=config)\n"
