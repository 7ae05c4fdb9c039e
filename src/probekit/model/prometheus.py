"""What a Prometheus answered to a query."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from probekit.errors import DecodeError
from probekit.model.pattern import Searched
from probekit.units import Instant

ResultType = Literal["vector", "scalar", "string", "matrix"]
_SHOWN = 300


class Sample(msgspec.Struct, frozen=True):
    """One series' value at the time of the evaluation (never the time of its own sample). ``labels`` are sorted by name, with
    ``__name__`` among them. ``value`` is a float's exact decimal, NaN and infinities included; ``None`` for a native histogram.
    """

    labels: tuple[tuple[str, str], ...]
    value: Decimal | None

    @property
    def scope(self) -> str:
        """The labels as PromQL writes them, cut to 300 characters; empty without any."""
        name = dict(self.labels).get("__name__", "")
        rest = ", ".join(f'{key}="{value}"' for key, value in self.labels if key != "__name__")
        text = f"{name}{{{rest}}}" if rest else name
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class QueryResult(msgspec.Struct, frozen=True):
    """The result of an instant query. A scalar is one sample without labels; a ``string`` is in ``text``.

    ``count`` is how many series there were, of which ``samples`` are the first; one that does not decode is its own error.
    ``at`` is the server's own time of the evaluation, where any series told it.
    """

    type: ResultType
    samples: tuple[Sample | DecodeError, ...] = ()
    count: int = 0
    text: str | None = None
    at: Instant | None = None
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    elapsed_ns: int = 0
    searched: tuple[Searched, ...] = ()
    """What was searched for beforehand, because it may take long."""
