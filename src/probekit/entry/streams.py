"""Standard output and error of a command, which may be closed, full, or of an encoding that lacks a letter."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO

from probekit.errors import ConfigError


def emit(text: str, out: IO[str] | None = None) -> None:
    """Write to standard output, or to ``out``, at once; what its encoding lacks is escaped.

    Raises ``ConfigError`` when it cannot be written: a reader that has gone must end a loop, not be run for in vain.
    """
    stream = _stream(out)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:
        raise _unwritable(stream, error) from None


def emit_bytes(data: bytes, out: IO[str] | None = None) -> None:
    """Write a document that states its own encoding (JSON, XML: UTF-8), whatever the terminal's is. Raises as :func:`emit`."""
    stream = _stream(out)
    try:
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(data.decode())
        else:
            stream.flush()
            buffer.write(data)
        stream.flush()
    except (OSError, ValueError) as error:
        raise _unwritable(stream, error) from None


def say(text: str) -> None:
    """One message on standard error; without one that can be written there is nobody left to tell."""
    from probekit.manifest.problems import one_line

    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("".join(one_line(line) + "\n" for line in text.splitlines()))
        sys.stderr.flush()


def fill_standard_streams() -> None:
    """Open the null device in place of standard streams that are closed.

    The next socket would get the number of a closed one, and what is printed would go to it. Standard output stays closed for
    :func:`emit`, which refuses.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(open(os.devnull, "wb"), write_through=True)  # noqa: SIM115 - for the process's life


def flush_output() -> None:
    """Write out what a probe printed by itself. Raises as :func:`emit`."""
    if sys.stdout is not None:
        emit("")


def _stream(out: IO[str] | None) -> IO[str]:
    stream = sys.stdout if out is None else out
    if stream is None:
        raise ConfigError("standard output is closed")
    return stream


def _unwritable(stream: IO[str], error: Exception) -> ConfigError:
    # What stays in the buffer would fail once more when the interpreter ends, with its own words and exit code.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ConfigError(f"standard output cannot be written: {reason}")
