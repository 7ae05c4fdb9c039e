"""probekit: knowing, within seconds and with proof, that a price oracle is right and alive end to end."""

from __future__ import annotations

from probekit._version import __version__

__all__ = ["__version__"]
