"""The requests of the run that is open: bounded, newest per host at hand for evidence."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from probekit.model import RequestRecord

MAX_REQUESTS: Final = 256


class RequestLog:
    """Collects records until :meth:`take`; keeps the newest per origin across runs."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._dropped = 0
        self.latest: dict[str, RequestRecord] = {}
        """Newest record per origin (``scheme://host:port``); under ``""`` the newest of all."""

    def add(self, record: RequestRecord) -> None:
        parts = urlsplit(record.url)
        self.latest[f"{parts.scheme}://{parts.netloc}"] = record
        self.latest[""] = record
        if len(self._records) < MAX_REQUESTS:
            self._records.append(record)
        else:
            self._dropped += 1

    def take(self) -> tuple[tuple[RequestRecord, ...], int]:
        """The open run's records and how many more there were; starts the next."""
        taken, dropped = tuple(self._records), self._dropped
        self._records, self._dropped = [], 0
        return taken, dropped
