"""``probekit probes``: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.entry.command import Parser, filled
from probekit.entry.streams import emit
from probekit.errors import ConfigError
from probekit.manifest.discovery import list_probes, search_path


def main(argv: Sequence[str]) -> int:
    """List names and questions. Raises ``ConfigError``, also when there is nothing to list."""
    parser = Parser(prog="probekit probes", description="List the probes and what each asks.")
    parser.add_argument(
        "--probe-path",
        metavar="DIR",
        type=filled,
        action="append",
        default=[],
        help="folder of probes (default: catalogue)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the reference page, options included")
    arguments = parser.parse_args(argv)
    folders = search_path(arguments.probe_path)
    found = list_probes(folders)
    if not found:
        raise ConfigError(f"there is no probe in {', '.join(str(folder) for folder in folders)}")
    if arguments.markdown:
        from probekit.cli.reference import markdown

        emit(markdown(found))
        return 0
    width = max(len(one.name) for one in found)
    emit("".join(f"{one.name:{width}}  {one.question}\n" for one in found))
    return 0
