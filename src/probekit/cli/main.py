"""Dispatch of subcommands, before anything heavy is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "explain": "print a probe's question and its effective configuration",
    "price": "print a feed's newest price, by symbol",
    "probes": "list the probes and what each asks",
    "replay": "judge what a probe recorded again, by other limits",
    "run": "run a probe, by name or path",
    "unpack": "compile every module of this installation, before the first start",
    "verify": "verify a signed price update and say who signed it",
    "version": "print the version",
}


def usage() -> str:
    """The overview of commands."""
    lines = [f"  {name:8} {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: probekit COMMAND [...]", "", *lines, "", "probekit COMMAND --help says more of each."])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code. An unknown one is a usage error: 3, with the nearest."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        from probekit.entry.guard import guarded

        program = f"probekit {arguments[0]}" if arguments and arguments[0] in COMMANDS else "probekit"
        return guarded(program, lambda: _dispatch(arguments))
    except KeyboardInterrupt:
        # While the guard itself was imported, or was saying so.
        return 130


def _dispatch(arguments: Sequence[str]) -> int:
    from probekit.entry.streams import emit
    from probekit.errors import ConfigError

    if not arguments:
        raise ConfigError(f"no command given; commands: {', '.join(COMMANDS)}")
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        emit(usage() + "\n")
        return 0
    if name in ("version", "--version"):
        from probekit._version import __version__

        emit(f"probekit {__version__}\n")
        return 0
    if name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}"
        raise ConfigError(f"{name[:80]!r} is no command; {hint}")
    code: int = importlib.import_module(f"probekit.cli.{name}").main(rest)
    return code
