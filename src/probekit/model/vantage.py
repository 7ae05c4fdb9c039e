"""Where the observer stands, and how far its own senses can be trusted."""

from __future__ import annotations

import msgspec


class Vantage(msgspec.Struct, frozen=True):
    """An observer: ``region`` and ``provider`` as deployed, ``host`` by name, ``unit`` the process on it."""

    host: str
    region: str = "local"
    provider: str | None = None
    unit: str = "probekit"

    @property
    def instance_id(self) -> str:
        """``service.instance.id``: ``<host>/<unit>``."""
        return f"{self.host}/{self.unit}"


class VantageHealth(msgspec.Struct, frozen=True):
    """The vantage's self-check at one moment.

    ``clock_error_ns`` bounds |local clock - true time|; ``None`` when nothing bounds it. ``loop_lag_ns`` is how late
    the event loop ran its own timer. ``connected`` is ``None`` where no own-connectivity target is configured.
    """

    clock_error_ns: int | None = None
    clock_synchronised: bool | None = None
    loop_lag_ns: int = 0
    connected: bool | None = None
    problem: str | None = None
    """Why this vantage must not judge at all, as a sentence; ``None`` when it may."""
