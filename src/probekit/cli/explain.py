"""``probekit explain NAME``: a probe's question, targets, options, measures and checks, as they are configured here."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.cli import run
from probekit.entry.streams import emit

_HELP = """\
usage: probekit explain NAME [--config FILE] [--set KEY=VALUE]

Print what a probe asks and of what, its options with where each value comes from, what it measures, and its checks with their
limits and what each of their reasons means. Nothing is asked of the network.
"""


def main(argv: Sequence[str]) -> int:
    """The probe's own ``--explain``."""
    if argv and argv[0] in ("-h", "--help"):
        emit(_HELP)
        return 0
    return run.main([*argv, "--explain"] if argv else [], program="probekit explain")
