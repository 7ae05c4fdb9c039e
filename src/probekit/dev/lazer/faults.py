"""What can be wrong with a router, switched from Python. A fault is of one router: others over the same network stay well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from probekit.units import Instant


class RouterFaults:
    """The switches; :meth:`during` sets some and puts them back."""

    def __init__(self) -> None:
        self.silent: bool = False
        """Subscriptions are taken and never told anything; pings are answered."""
        self.forged: bool = False
        """Updates are signed by a stranger, over the right payload."""
        self.malformed: bool = False
        """Before every update comes a message that is none."""
        self.repeated: bool = False
        """Every update is sent twice."""
        self.late: timedelta = timedelta()
        """Updates are told so much after their time."""
        self.frozen: Mapping[int, Instant] = MappingProxyType({})
        """Feeds whose price is of that time and sent again and again: a price that is there proves nothing."""
        self.status: int | None = None
        """What every request and every handshake is answered with: 429 and 503 are what gateways send."""
        self.hangs: bool = False
        """Requests are never answered."""

    @contextmanager
    def during(self, **switches: Any) -> Iterator[None]:
        """Some switches are so for the while. Raises ``AttributeError`` for one that is none."""
        before = {name: getattr(self, name) for name in switches}
        for name, value in switches.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)
