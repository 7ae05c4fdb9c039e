"""One probe from the command line: arguments, output, exit code."""

from probekit.entry.command import main, run_found

__all__ = ["main", "run_found"]
