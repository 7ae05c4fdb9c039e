"""``probekit explain NAME``: a probe's question and effective configuration."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.cli import run


def main(argv: Sequence[str]) -> int:
    """The probe's own ``--explain``."""
    if argv and argv[0] in ("-h", "--help"):
        print("usage: probekit explain NAME [--config FILE] [--set KEY=VALUE]")
        print("\nPrint what a probe asks, and its options with where each value comes from.")
        return 0
    return run.main([*argv, "--explain"])
