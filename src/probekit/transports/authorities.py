"""Which certificate authorities are trusted: one answer for every engine."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from probekit.errors import ConfigError

if TYPE_CHECKING:
    import ssl

_USUAL: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


State = tuple[tuple[int, int, int], ...]
"""Of each path its inode, time and size; zeros where it is not there."""


class Authorities(NamedTuple):
    """A bundle (PEM), folders of certificates named by their hash (as ``openssl rehash`` does), or both; else none at all."""

    file: str | None = None
    folders: str | None = None
    """One or several, separated as in PATH."""

    def state(self) -> State:
        """What tells that they have been replaced: a process that runs for months must see the bundle of its last update. It
        costs a system call for each.
        """
        paths = [self.file] if self.file is not None else []
        return tuple(_stat(path) for path in (*paths, *(self.folders or "").split(os.pathsep)) if path)


def authorities(ca_file: str | None = None) -> Authorities:
    """``ca_file`` alone where it is given; else what ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name, and nothing beside it; else
    the system's bundle, else certifi's.

    libcurl as it comes in a wheel has no idea of its own where the system keeps them. Raises ``ConfigError`` for what is named
    and not there: trusting something else instead would be worse than not starting.
    """
    if ca_file is not None:
        return Authorities(_readable(ca_file, "the CA bundle"))
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folders:
        return Authorities(
            _readable(file, "SSL_CERT_FILE") if file else None, _folders(folders, "SSL_CERT_DIR") if folders else None
        )
    return Authorities(system_ca_file())


def system_ca_file() -> str | None:
    """The bundle that Python's ssl module would use, else one of the usual places, else certifi's; ``None`` without any."""
    import ssl

    for candidate in (ssl.get_default_verify_paths().openssl_cafile, *_USUAL):
        if os.access(candidate, os.R_OK):
            return candidate
    try:
        import certifi
    except ModuleNotFoundError:
        return None
    return certifi.where()


def ssl_context(ca_file: str | None = None) -> ssl.SSLContext:
    """One context per trust setting, and another once its files have been replaced: building one reads every CA certificate,
    15 ms and more of a blocked loop.

    Raises ``ConfigError`` for authorities that cannot be read.
    """
    trusted = authorities(ca_file)
    return _context(trusted, trusted.state())


@lru_cache(maxsize=8)
def _context(trusted: Authorities, state: State) -> ssl.SSLContext:
    return verifying(trusted)


def verifying(trusted: Authorities) -> ssl.SSLContext:
    """A context of one's own that trusts those. Raises ``ConfigError`` for authorities that cannot be read."""
    import ssl

    if trusted == Authorities():
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=trusted.file, capath=trusted.folders)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificate authorities in {trusted.file} cannot be read: {error}") from None


def _stat(path: str) -> tuple[int, int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def _readable(path: str, named: str) -> str:
    if not Path(path).is_file() or not os.access(path, os.R_OK):
        raise ConfigError(f"{named} is {path}, which is no file that can be read")
    return path


def _folders(paths: str, named: str) -> str:
    found = [path for path in paths.split(os.pathsep) if Path(path).is_dir()]
    if not found:
        raise ConfigError(f"{named} is {paths}, which is no folder")
    return os.pathsep.join(found)
