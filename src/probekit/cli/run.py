"""``probekit run NAME|PATH [options of the probe]``."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.entry.command import Parser, filled, run_found
from probekit.manifest.discovery import find_probe, search_path


def main(argv: Sequence[str], *, program: str = "probekit run") -> int:
    """Find the probe; everything after its name is its own command line. Raises ``ConfigError``."""
    parser = Parser(prog=program, description="Run a probe. `probekit run NAME --help` lists its options.")
    parser.add_argument(
        "--probe-path",
        metavar="DIR",
        type=filled,
        action="append",
        default=[],
        help="folder of probes (default: catalogue)",
    )
    parser.add_argument("name", help="a probe's name, or the path of its file")
    split = next(
        (i for i, one in enumerate(argv) if not one.startswith("-") and (i == 0 or argv[i - 1] != "--probe-path")), None
    )
    arguments = parser.parse_args(argv if split is None else argv[: split + 1])
    found = find_probe(arguments.name, search_path(arguments.probe_path))
    return run_found(found, [] if split is None else argv[split + 1 :], program=program)
