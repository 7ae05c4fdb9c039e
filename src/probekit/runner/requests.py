"""The requests, calls and journeys of the run that is open: bounded, newest request per host at hand for evidence."""

from __future__ import annotations

from collections import deque
from typing import Final
from urllib.parse import urlsplit

from probekit.model import RequestRecord
from probekit.model.journey import Journey
from probekit.model.rpc import CallRecord, StateChange

MAX_REQUESTS: Final = 256
MAX_CALLS: Final = 256
MAX_CHANGES: Final = 256
MAX_JOURNEYS: Final = 256


class RequestLog:
    """Collects records until :meth:`take`; keeps the newest per origin across runs."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._dropped = 0
        self.latest: dict[str, RequestRecord] = {}
        """Newest record per origin (``scheme://host:port``), and per target where the record names one; under ``""`` the newest
        of all."""

    def add(self, record: RequestRecord) -> None:
        parts = urlsplit(record.url)
        self.latest[f"{parts.scheme}://{parts.netloc}"] = record
        self.latest[""] = record
        if record.target:
            self.latest[record.target] = record
        if len(self._records) < MAX_REQUESTS:
            self._records.append(record)
        else:
            self._dropped += 1

    def take(self) -> tuple[tuple[RequestRecord, ...], int]:
        """The open run's records and how many more there were; starts the next."""
        taken, dropped = tuple(self._records), self._dropped
        self._records, self._dropped = [], 0
        return taken, dropped


class CallLog:
    """Collects what pools tell until :meth:`take`. Of changes the newest are kept: they say how things stand."""

    def __init__(self) -> None:
        self._calls: list[CallRecord] = []
        self._dropped = 0
        self._changes: deque[StateChange] = deque(maxlen=MAX_CHANGES)

    def add(self, record: CallRecord) -> None:
        if len(self._calls) < MAX_CALLS:
            self._calls.append(record)
        else:
            self._dropped += 1

    def add_change(self, change: StateChange) -> None:
        self._changes.append(change)

    def take(self) -> tuple[tuple[CallRecord, ...], int, tuple[StateChange, ...]]:
        """The open run's calls, how many more there were, and the changes of endpoints; starts the next."""
        taken, dropped, changes = tuple(self._calls), self._dropped, tuple(self._changes)
        self._calls, self._dropped = [], 0
        self._changes.clear()
        return taken, dropped, changes


class JourneyLog:
    """Collects journeys that ended until :meth:`take`."""

    def __init__(self) -> None:
        self._journeys: list[Journey] = []
        self._dropped = 0

    def add(self, journey: Journey) -> None:
        if len(self._journeys) < MAX_JOURNEYS:
            self._journeys.append(journey)
        else:
            self._dropped += 1

    def take(self) -> tuple[tuple[Journey, ...], int]:
        """The open run's journeys and how many more there were; starts the next."""
        taken, dropped = tuple(self._journeys), self._dropped
        self._journeys, self._dropped = [], 0
        return taken, dropped
