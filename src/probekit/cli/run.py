"""``probekit run NAME|PATH [options of the probe]``."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.entry.command import Parser, complain, run_found
from probekit.errors import ConfigError
from probekit.manifest.discovery import find_probe, search_path


def main(argv: Sequence[str]) -> int:
    """Find the probe; everything after its name is its own command line."""
    parser = Parser(prog="probekit run", description="Run a probe. `probekit run NAME --help` lists its options.")
    parser.add_argument(
        "--probe-path", metavar="DIR", action="append", default=[], help="folder of probes (default: catalogue)"
    )
    parser.add_argument("name", help="a probe's name, or the path of its file")
    split = next(
        (i for i, one in enumerate(argv) if not one.startswith("-") and (i == 0 or argv[i - 1] != "--probe-path")), None
    )
    arguments = parser.parse_args(argv if split is None else argv[: split + 1])
    try:
        found = find_probe(arguments.name, search_path(arguments.probe_path))
    except ConfigError as error:
        return complain(error)
    return run_found(found, [] if split is None else argv[split + 1 :])
