"""A launcher: the file of a few hundred bytes that is one probe, beside the executable that runs it."""

from __future__ import annotations

from typing import Final

UNPACKED: Final = "unpacked"
"""Folder beside the executables where a role unpacks them before a release is switched to."""

_TEMPLATE: Final = """\
#!/bin/sh
# The probe {probe}: runs in {executable}, which stands beside this file.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
cache=${{CACHE_DIRECTORY:-}}
cache=${{cache%%:*}}
# Unpacked beside it by who installed this release, else into what systemd gives as CacheDirectory=, and never below $HOME.
if [ -d "$here/{unpacked}" ] || [ -z "$cache" ]; then
  cache=$here/{unpacked}
fi
if [ ! -d "$cache" ] && ! mkdir -p -- "$cache" 2>/dev/null; then
  echo "{probe}: cannot unpack into $cache; run it once as the owner of that folder, or set CACHE_DIRECTORY" >&2
  exit 3
fi
PEX_ROOT=$cache exec "$here/{executable}" run {probe} "$@"
"""


def launcher(probe: str, executable: str) -> str:
    """The script's text. Both names are words of a file name: nothing in them is quoted or expanded."""
    return _TEMPLATE.format(probe=probe, executable=executable, unpacked=UNPACKED)
