"""One RPC endpoint: where it is, the states it can be in, and what takes it from one to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from probekit.model.rpc import EndpointState
from probekit.secret import Secret, redact_url
from probekit.transports.base import HeaderValue

_KEY: Final = "{key}"


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where a node listens. ``{key}`` in ``url`` or ``ws_url`` stands for ``key``, which is put in on the wire only.

    ``name`` is what logs, metrics and errors call it; without one, the redacted URL. ``requests_per_second`` is the rate that
    its plan allows (``None``: not limited here). ``max_batch`` bounds calls in one HTTP request; 1 for servers without batches.
    """

    url: str
    name: str = ""
    key: Secret | None = None
    headers: tuple[tuple[str, HeaderValue], ...] = ()
    ws_url: str | None = None
    requests_per_second: float | None = None
    burst: int = 10
    max_batch: int = 100
    label: str = field(init=False, compare=False)
    """``name``, or the URL without any key."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"an endpoint's URL starts with http:// or https://, not {redact_url(self.url)[:80]!r}")
        if self.ws_url is not None and not self.ws_url.startswith(("ws://", "wss://")):
            raise ValueError(f"ws_url starts with ws:// or wss://, not {redact_url(self.ws_url)[:80]!r}")
        if _KEY in self.url and self.key is None:
            raise ValueError(f"{redact_url(self.url)} has {_KEY} and no key was given")
        if self.max_batch < 1 or self.burst < 1:
            raise ValueError("max_batch and burst are at least 1")
        if self.requests_per_second is not None and self.requests_per_second <= 0:
            raise ValueError("requests_per_second is above zero, or None for no limit")
        object.__setattr__(self, "label", self.name or redact_url(self.url))

    def reveal_url(self) -> str:
        """The URL with its key, for the wire alone."""
        return self._filled(self.url)

    def reveal_ws_url(self) -> str:
        """The WebSocket's URL with its key; made from ``url`` where none was given."""
        url = self.ws_url
        if url is None:
            url = "ws" + self.url.removeprefix("http")
        return self._filled(url)

    def _filled(self, url: str) -> str:
        return url.replace(_KEY, self.key.reveal()) if self.key is not None else url

    def __repr__(self) -> str:
        return f"Endpoint({self.label!r})"


RANK: Final = {state: place for place, state in enumerate(EndpointState)}


@dataclass(frozen=True, slots=True)
class Standing:
    """A state with its reason: one sentence, empty when alive.

    ``resting`` are the kinds of call (``logs``, ``batch``) that this endpoint fails at and is not asked for now, with why.
    """

    state: EndpointState
    reason: str = ""
    resting: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When an endpoint is taken out and when it is tried again.

    A breaker (each endpoint has one for each kind of call) opens after ``consecutive`` failures in a row, or when at least
    ``error_percent`` of the last ``window`` calls failed (of ``min_samples`` at least); it stays open for ``open_for``, doubled
    with every trial that fails, up to ``open_for_max``. What is longer ago than ``forget`` counts no more, also for the order.
    ``max_lag`` and ``max_lead`` are in blocks or slots. A head not moved
    for ``stall`` while another's moved is out of sync. A limit that names no time holds for ``limited_for``, none for longer
    than ``limited_for_max``.
    """

    max_lag: int = 8
    max_lead: int = 1_000
    stall: timedelta = timedelta(seconds=60)
    consecutive: int = 3
    error_percent: int = 50
    window: int = 20
    min_samples: int = 10
    forget: timedelta = timedelta(minutes=1)
    open_for: timedelta = timedelta(seconds=5)
    open_for_max: timedelta = timedelta(minutes=5)
    limited_for: timedelta = timedelta(seconds=10)
    limited_for_max: timedelta = timedelta(minutes=10)
