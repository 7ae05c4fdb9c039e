"""``pk.main(probe)``: what ``python probes/x.py`` and ``probekit run x`` do."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from probekit._version import __version__
from probekit.entry.guard import EXIT_CONFIG, guarded
from probekit.entry.streams import emit, say
from probekit.errors import ConfigError
from probekit.probe import Probe

if TYPE_CHECKING:
    from probekit.manifest.discovery import Found


class Parser(argparse.ArgumentParser):
    """argparse whose usage errors are ours: one line with the nearest option, and exit 3, never its own 2, which would read as
    CRITICAL.
    """

    def __init__(self, **how: Any) -> None:
        # A prefix of an option is a typing error, not a wish: --onc must not run what --once would, nor --unver skip a proof.
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        words, near = message.split(), list[str]()
        if message.startswith("unrecognized arguments"):
            import difflib

            # What follows = may be a secret that was to go into another option.
            words = [f"{word.partition('=')[0]}=..." if "=" in word else word for word in words]
            for word in (word.removesuffix("=...") for word in words if word.startswith("-")):
                near += difflib.get_close_matches(word, list(self._option_string_actions), n=1, cutoff=0.7)
        hint = f"; did you mean {near[0]}?" if near else ""
        say(f"{self.prog}: {' '.join(words)}{hint}; --help lists what it takes (error.type=config)")
        raise SystemExit(EXIT_CONFIG)

    def print_help(self, file: Any = None) -> None:
        """Print it, or fail: argparse itself hides that standard output cannot be written."""
        emit(self.format_help(), file)


def filled(text: str) -> str:
    """An argument that says something: ``--config "$UNSET"`` must not mean the default."""
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected text, got {text!r}")
    return text


def positive(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text[:40]!r}")
    return int(text)


def build_parser(probe: Probe[Any], prog: str | None = None) -> Parser:
    """The options every probe takes."""
    parser = Parser(
        prog=prog or f"{probe.name}.py",
        description=first_line(probe.question),
        epilog="Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, only skips, or a wrong configuration; 130 interrupted.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="run once and exit with its status (default)")
    mode.add_argument("--loop", action="store_true", help="run on, until SIGTERM or SIGINT")
    mode.add_argument(
        "--explain", action="store_true", help="print the question and the effective options with their origin, and exit"
    )
    parser.add_argument("--config", metavar="FILE", type=filled, help="manifest (default: the YAML beside the probe)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override an option, as in YAML")
    parser.add_argument("--interval", metavar="DURATION", type=filled, help="override the manifest's interval")
    parser.add_argument("--runs", metavar="N", type=positive, help="with --loop: stop after N runs, with the last one's status")
    parser.add_argument("--region", type=filled, help="where this vantage stands (default: the manifest's, else local)")
    parser.add_argument("--json", action="store_true", help="print each run as one line of JSON")
    parser.add_argument("--junit", metavar="FILE", type=filled, help="write a JUnit report of the last run; - prints it")
    parser.add_argument("--record", metavar="FILE", type=filled, help="append every run to a JSON-lines file")
    parser.add_argument(
        "--observations",
        metavar="FILE",
        type=filled,
        help="append what is observed to a file, for `probekit replay`",
    )
    parser.add_argument("--otlp", action="store_true", help="send telemetry to OTLP even when no OTEL_* variable names a place")
    parser.add_argument("--allow-skipped", action="store_true", help="exit 0 when everything was skipped")
    parser.add_argument("--version", action="store_true", help="print the probe, its version and source digest, and exit")
    return parser


def first_line(text: str) -> str:
    """A question's first line; empty for none."""
    return (text.strip().splitlines() or [""])[0]


def main(probe: Probe[Any], argv: Sequence[str] | None = None) -> int:
    """Run ``probe`` as its own command; returns the exit code. The manifest is the YAML beside the probe's file."""
    program = f"{probe.name}.py" if isinstance(probe, Probe) else "probekit.main"
    return guarded(program, lambda: _main(probe, _file_of(probe), argv, program))


def run_found(found: Found, argv: Sequence[str], *, program: str = "probekit run") -> int:
    """``probekit run``: load the probe's file and run it."""
    from probekit.manifest.discovery import load_probe

    program = f"{program} {found.name}"
    return guarded(program, lambda: _main(load_probe(found), found.path, argv, program))


def _file_of(probe: Probe[Any]) -> Path:
    if not isinstance(probe, Probe):
        raise ConfigError(f"main takes a probe, not {type(probe).__name__}")
    observe = inspect.unwrap(probe.observe)
    function = getattr(observe, "func", observe)
    # A callable object keeps its code in its class.
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if code is not None:
        return Path(code.co_filename)
    # Made of C: the program that runs it is the probe's file.
    return Path(getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0])


def _main(probe: Probe[Any], path: Path, argv: Sequence[str] | None, program: str) -> int:
    parser = build_parser(probe, program)
    arguments = parser.parse_args(argv)
    if arguments.runs is not None and not arguments.loop:
        parser.error("--runs counts the runs of --loop, which is not given")
    if arguments.version:
        from probekit.manifest.discovery import source_digest

        emit(f"{probe.name} {__version__} {source_digest(path)[:16]}\n")
        return 0
    # Only what runs needs the rest, the reader of manifests too: --help answers without it.
    from probekit.entry.execute import execute

    try:
        return execute(probe, path, arguments)
    except SystemExit as end:
        # Its code would read as a status that nothing was judged to have.
        raise ConfigError(f"{path}: the probe ended the program itself, with {end.code!r}") from None
