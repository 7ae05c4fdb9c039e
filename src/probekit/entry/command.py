"""``pk.main(probe)``: what ``python probes/x.py`` and ``probekit run x`` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from probekit._version import __version__
from probekit.errors import ConfigError
from probekit.manifest.discovery import Found, load_probe, source_digest
from probekit.probe import Probe

EXIT_CONFIG = 3
EXIT_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse whose usage errors are ours: exit 3, never its own 2, which would read as CRITICAL."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message} (error.type=config)", file=sys.stderr)
        raise SystemExit(EXIT_CONFIG)


def build_parser(probe: Probe[Any], prog: str | None = None) -> Parser:
    """The options every probe takes."""
    parser = Parser(
        prog=prog or f"{probe.name}.py",
        description=probe.question.strip().splitlines()[0],
        epilog="Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, only skips, or a wrong configuration; 130 interrupted.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="run once and exit with its status (default)")
    mode.add_argument("--loop", action="store_true", help="run on, until SIGTERM or SIGINT")
    mode.add_argument("--explain", action="store_true", help="print the question, targets and effective options, and exit")
    parser.add_argument("--config", metavar="FILE", help="manifest (default: the YAML beside the probe)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override an option, as in YAML")
    parser.add_argument("--interval", metavar="DURATION", help="override the manifest's interval")
    parser.add_argument("--runs", metavar="N", type=int, help="with --loop: stop after N runs, with the last one's status")
    parser.add_argument("--region", help="where this vantage stands (default: the manifest's, else local)")
    parser.add_argument("--json", action="store_true", help="print each run as one line of JSON")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report of the last run; - prints it")
    parser.add_argument("--record", metavar="FILE", help="append every run to a JSON-lines file")
    parser.add_argument("--otlp", action="store_true", help="send telemetry to OTLP even when no OTEL_* variable names a place")
    parser.add_argument("--allow-skipped", action="store_true", help="exit 0 when everything was skipped")
    parser.add_argument("--version", action="store_true", help="print the probe, its version and source digest, and exit")
    return parser


def main(probe: Probe[Any], argv: Sequence[str] | None = None) -> int:
    """Run ``probe`` as its own command; returns the exit code. The manifest is the YAML beside the probe's file."""
    path = Path(probe.observe.__code__.co_filename)
    return _main(probe, path, argv, prog=None)


def run_found(found: Found, argv: Sequence[str]) -> int:
    """``probekit run``: load the probe's file and run it."""
    try:
        probe = load_probe(found)
    except ConfigError as error:
        return complain(error)
    return _main(probe, found.path, argv, prog=f"probekit run {found.name}")


def complain(error: ConfigError) -> int:
    """Print what is wrong with the configuration; the exit code for it."""
    print(f"{error.message}\nerror.type=config", file=sys.stderr)
    return EXIT_CONFIG


def _main(probe: Probe[Any], path: Path, argv: Sequence[str] | None, prog: str | None) -> int:
    arguments = build_parser(probe, prog).parse_args(argv)
    if arguments.version:
        print(f"{probe.name} {__version__} {source_digest(path)[:16]}")
        return 0
    try:
        # Only what runs needs the rest: --help and --version answer without it.
        from probekit.entry.execute import execute

        return execute(probe, path, arguments)
    except ConfigError as error:
        return complain(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
