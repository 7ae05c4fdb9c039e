"""Runs as lines of JSON in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from probekit.errors import ConfigError
from probekit.model import ProbeRun
from probekit.runner import ProbeInfo
from probekit.runner.encode import encode_run


class JsonLinesRecorder:
    """Appends each run to ``path`` as one line, written whole.

    ``telemetry`` yields export counters by signal; they become the last line, ``{"telemetry": {...}}``, when this is closed.
    Raises ``ConfigError`` when the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, telemetry: Callable[[], Mapping[Any, Any]] | None = None) -> None:
        try:
            self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - open for the recorder's life
        except OSError as error:
            raise ConfigError(f"{os.fspath(path)} cannot be written: {error}") from None
        self._telemetry = telemetry

    def start(self, info: ProbeInfo) -> None:
        return None

    def record(self, run: ProbeRun) -> None:
        self._file.write(encode_run(run) + b"\n")

    async def aclose(self) -> None:
        if self._file.closed:
            return
        if self._telemetry is not None:
            self._file.write(msgspec.json.encode({"telemetry": dict(self._telemetry())}) + b"\n")
        self._file.close()
