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
# Unpacked by who installed this release: nothing is written, not even by the executable's own start.
ready=$here/{unpacked}/{executable}/bin/probekit
if [ -x "$ready" ]; then
  exec "$ready" run {probe} "$@"
fi
# Else unpacked now: into what systemd gives as CacheDirectory=, or beside this file, and never below $HOME.
cache=${{CACHE_DIRECTORY:-}}
cache=${{cache%%:*}}
cache=${{cache:-$here/{unpacked}}}
if [ ! -w "$cache" ] && ! mkdir -p -- "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
  echo "{probe}: cannot unpack into $cache; unpack the release as its owner, or set CACHE_DIRECTORY" >&2
  exit 3
fi
PEX_ROOT=$cache exec "$here/{executable}" run {probe} "$@"
"""


def launcher(probe: str, executable: str) -> str:
    """The script's text. Both names are words of a file name: nothing in them is quoted or expanded."""
    return _TEMPLATE.format(probe=probe, executable=executable, unpacked=UNPACKED)
