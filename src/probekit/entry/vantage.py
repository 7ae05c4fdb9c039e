"""From where a process observes: the command line, then the environment that a deployment sets, then the manifest."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from probekit.errors import ConfigError
from probekit.model import Vantage

VARIABLES: Final = {
    "host": "PROBEKIT_HOST",
    "region": "PROBEKIT_REGION",
    "provider": "PROBEKIT_PROVIDER",
    "unit": "PROBEKIT_UNIT",
}
"""What a manifest says under ``vantage``, and the variable that says it for one host: one manifest serves all of a fleet."""


def vantage_of(name: str, given: Mapping[str, str], environ: Mapping[str, str], *, region: str | None = None) -> Vantage:
    """The vantage of a process. ``name`` is the manifest's and ``given`` its ``vantage``; ``region`` the command line's.

    Raises ``ConfigError`` where a variable is not text of 1 to 255 printable characters; an empty one is one that is not set.
    """
    told = dict(given)
    for key, variable in VARIABLES.items():
        value = environ.get(variable, "")
        if not value:
            continue
        if not value.strip() or not value.isprintable() or len(value) > 255:
            raise ConfigError(f"{variable}: expected text of 1 to 255 printable characters, got {value[:60]!r}")
        told[key] = value
    return Vantage(
        host=told.get("host") or socket.gethostname(),
        region=region or told.get("region", "local"),
        provider=told.get("provider"),
        unit=told.get("unit", name),
    )
