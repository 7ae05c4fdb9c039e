"""``python -m probekit.dev.artifacts``: what ``make dist`` runs, in a checkout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from probekit.dev.artifacts.build import build
from probekit.dev.artifacts.profiles import PROFILES
from probekit.entry.guard import EXIT_CONFIG
from probekit.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Build into ``dist/`` and print a line per file. Exit 3 where the build cannot be made."""
    names = [profile.name for profile in PROFILES]
    parser = argparse.ArgumentParser(prog="python -m probekit.dev.artifacts", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), metavar="DIR", help="folder to fill, emptied first (default: dist)"
    )
    parser.add_argument(
        "--profile", choices=names, action="append", default=[], help="build this executable only; may be given again"
    )
    arguments = parser.parse_args(argv)
    wanted = [profile for profile in PROFILES if not arguments.profile or profile.name in arguments.profile]
    root = Path.cwd()
    if not (root / "requirements").is_dir() or not (root / "probes").is_dir():
        print("run this at the root of a checkout", file=sys.stderr)
        return EXIT_CONFIG
    try:
        manifest = build(root, arguments.out, wanted, say=lambda what: print(f"building {what}", flush=True))
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return EXIT_CONFIG
    for file in (manifest.wheel, *manifest.profiles.values()):
        print(f"{file.sha256[:16]}  {file.size / 1e6:6.1f} MB  {file.file}")
    print(f"{len(manifest.probes)} launchers, {max((one.size for one in manifest.probes.values()), default=0)} bytes at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
