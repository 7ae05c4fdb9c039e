"""Runs as lines of JSON, in a file or a stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from probekit.errors import ConfigError
from probekit.model import ProbeRun
from probekit.runner import ProbeInfo
from probekit.runner.encode import encode_run
from probekit.secret import redact, redact_bytes


class JsonLinesRecorder:
    """Appends each run as one line, written whole. A path is opened for appending and closed here; a binary stream is the
    caller's.

    ``telemetry`` yields export counters by signal; they become the last line, ``{"telemetry": {...}}``, when this is closed.
    Raises ``ConfigError`` when the file cannot be opened.
    """

    def __init__(
        self, target: str | os.PathLike[str] | BinaryIO, *, telemetry: Callable[[], Mapping[Any, Any]] | None = None
    ) -> None:
        self._owned = isinstance(target, str | os.PathLike)
        self._telemetry = telemetry
        self._closed = False
        if isinstance(target, str | os.PathLike):
            try:
                self._stream: Any = Path(target).open("ab", buffering=0)  # noqa: SIM115 - open for the recorder's life
            except OSError as error:
                raise ConfigError(f"{os.fspath(target)} cannot be written: {error.strerror}") from None
        else:
            self._stream = target

    def start(self, info: ProbeInfo) -> None:
        """Nothing to prepare."""
        return None

    def record(self, run: ProbeRun) -> None:
        """Write one line."""
        self._write(encode_run(run))

    async def aclose(self) -> None:
        """Write what became of the telemetry, and close the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._telemetry is not None:
            self._write(msgspec.json.encode({"telemetry": dict(self._telemetry())}))
        if self._owned:
            self._stream.close()
        else:
            self._stream.flush()

    def _write(self, line: bytes) -> None:
        # Whatever made the run should have removed secrets; this is the last border, so it looks once more. Removing from
        # the encoded line could hit the digits of a number, so the rare hit is mended in the values.
        if redact_bytes(line) != line:
            line = msgspec.json.encode(_redacted(msgspec.json.decode(line)))
        self._stream.write(line + b"\n")


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, dict):
        return {redact(key): _redacted(item) for key, item in value.items()}
    return value
