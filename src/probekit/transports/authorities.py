"""Which certificate authorities are trusted: one answer for both engines."""

from __future__ import annotations

import contextlib
import ssl
from functools import lru_cache


@lru_cache(maxsize=1)
def system_ca_file() -> str | None:
    """The CA bundle that Python's ssl module would use (SSL_CERT_FILE included), else the usual places, else certifi's.

    libcurl as it comes in a wheel has no idea of its own where the system keeps them. ``None`` when there is none anywhere.
    """
    paths = ssl.get_default_verify_paths()
    for candidate in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if candidate is not None:
            with contextlib.suppress(OSError), open(candidate, "rb"):
                return candidate
    try:
        import certifi
    except ModuleNotFoundError:
        return None
    return certifi.where()
