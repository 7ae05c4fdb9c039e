"""``probekit probes``: what there is to run."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.entry.command import Parser, complain
from probekit.errors import ConfigError
from probekit.manifest.discovery import list_probes, search_path


def main(argv: Sequence[str]) -> int:
    """List names and questions."""
    parser = Parser(prog="probekit probes", description="List the probes and what each asks.")
    parser.add_argument(
        "--probe-path", metavar="DIR", action="append", default=[], help="folder of probes (default: catalogue)"
    )
    parser.add_argument("--markdown", action="store_true", help="print the reference page, options included")
    arguments = parser.parse_args(argv)
    try:
        found = list_probes(search_path(arguments.probe_path))
    except ConfigError as error:
        return complain(error)
    if arguments.markdown:
        from probekit.cli.reference import markdown

        print(markdown(found), end="")
        return 0
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        print(f"{one.name:{width}}  {one.question}")
    return 0 if found else 3
