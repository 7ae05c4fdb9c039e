"""The authorities that are trusted, as certificates to build chains to. Needs the extra ``tls``."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from probekit.errors import ConfigError
from probekit.transports.authorities import Authorities, State, authorities
from probekit.trust.certificates import Anchors, anchors_of

MAX_FILES: Final = 4_096
"""Files of a folder that are read."""


def anchors(ca_file: str | None = None) -> Anchors:
    """The certificates of :func:`~probekit.transports.authorities.authorities`. Read once, and again when a file has changed.

    Of a folder every file is read, whatever its name. Raises ``ConfigError`` where there is none at all.
    """
    trusted = authorities(ca_file)
    folders = trusted.folders.split(os.pathsep) if trusted.folders is not None else []
    files = [trusted.file] if trusted.file is not None else []
    for folder in folders:
        files += sorted(one.path for one in os.scandir(folder) if one.is_file())[:MAX_FILES]
    found = _read(tuple((file, Authorities(file).state()) for file in files))
    if not len(found):
        raise ConfigError(f"there is no certificate authority in {trusted.file or trusted.folders or 'this system'}")
    return found


@lru_cache(maxsize=16)
def _read(files: tuple[tuple[str, State], ...]) -> Anchors:
    found = []
    for file, _ in files:
        try:
            found += anchors_of(Path(file).read_bytes())
        except OSError as error:
            raise ConfigError(f"the certificate authorities in {file} cannot be read: {error.strerror}") from None
    return Anchors(found)
