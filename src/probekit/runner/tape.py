"""What a run saw, one line of JSON each: enough to judge it again with other limits, on another day.

Written are the steps of the :class:`~probekit.runner.evaluate.Evaluator` with the time of each, since checks are pure: the same
steps give the same verdicts. Values are written by :mod:`probekit.runner.values`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from probekit.errors import ConfigError, ProbekitError
from probekit.model import Failure, Status, Target, TargetResult
from probekit.probe import AnyObservation, Checks, O
from probekit.runner.evaluate import Evaluator
from probekit.runner.values import Values
from probekit.secret import redact
from probekit.units import Instant

_log = logging.getLogger("probekit.runner")

FORMAT: Final = 1
MAX_BYTES: Final = 256 * 1024 * 1024
"""How large a tape may grow before it ends: a day of a thousand observations a minute, about."""


class Step(msgspec.Struct, frozen=True, tag_field="step", omit_defaults=True):
    """One line. ``at`` is wall-clock time in ns; the rest as the evaluator was given it, in types of JSON."""

    at: int


class Began(Step, frozen=True, tag="began"):
    """A run began, with nothing known yet."""

    format: int
    probe: str
    mode: str
    options: Any
    version: str = ""
    source_digest: str = ""


class Targets(Step, frozen=True, tag="targets"):
    targets: list[Any]


class StoodIn(Step, frozen=True, tag="stood_in"):
    target: Any


class Begun(Step, frozen=True, tag="tick_began"):
    """A poll's tick began."""


class Seen(Step, frozen=True, tag="seen"):
    """An observation. ``feed`` is left out where it is the target's own."""

    target: str
    source: str
    observed_at: int
    value: Any
    elapsed_ns: int = 0
    clock_error_ns: int | None = 0
    feed: Any = None
    feed_of_target: bool = False


class NotSeen(Step, frozen=True, tag="not_seen"):
    """A failure."""

    target: str
    source: str
    observed_at: int
    error: Any
    elapsed_ns: int = 0


class Unreadable(Step, frozen=True, tag="unreadable"):
    """An observation of a kind that cannot be written: ``why`` says which."""

    target: str
    why: str


class Ticked(Step, frozen=True, tag="ticked"):
    """Judged again with nothing new."""


class UnseenFailed(Step, frozen=True, tag="unseen_failed"):
    error: Any


class StreamFailed(Step, frozen=True, tag="stream_failed"):
    error: Any


class Missed(Step, frozen=True, tag="missed"):
    why: str
    known_for_ns: int = 0


class Closed(Step, frozen=True, tag="closed"):
    """A run was closed. ``statuses`` are those that changed since the one before: target id -> status, reason."""

    statuses: dict[str, tuple[Status, str]]
    problem: str | None = None


class Full(Step, frozen=True, tag="full"):
    """The tape is as long as it may be; what came after is not on it."""


AnyStep = (
    Began
    | Targets
    | StoodIn
    | Begun
    | Seen
    | NotSeen
    | Unreadable
    | Ticked
    | UnseenFailed
    | StreamFailed
    | Missed
    | Closed
    | Full
)


class Tape:
    """A file of steps, opened for appending; at most ``max_bytes`` are written to it.

    A disk that fails, or is full, ends the tape with one line in the log, and never the probe. Raises ``ConfigError`` when the
    file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> None:
        try:
            self._stream: Any = Path(path).open("ab", buffering=0)  # noqa: SIM115 - open for the tape's life
            size = self._stream.tell()
            if size and not _ends_whole(path):
                # What was cut when its process was killed stays a line of its own.
                size += self._stream.write(b"\n")
            self._left = max_bytes - size
        except OSError as error:
            raise ConfigError(f"{os.fspath(path)} cannot be written: {error.strerror}") from None
        self._path = os.fspath(path)
        self._encoder = msgspec.json.Encoder()

    def write(self, step: Step) -> None:
        """Append one line, whole."""
        if self._stream is None:
            return
        line = self._encoder.encode(step) + b"\n"
        end = self._encoder.encode(Full(step.at)) + b"\n"
        full = len(line) + len(end) > self._left
        try:
            self._stream.write(end if full else line)
        except OSError as error:
            _log.error("the recording %s ends: %s", self._path, error.strerror)
            self.close()
            return
        self._left -= len(line)
        if full:
            _log.warning("the recording %s is as long as it may be, and ends", self._path)
            self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _ends_whole(path: str | os.PathLike[str]) -> bool:
    with Path(path).open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class TapedEvaluator(Evaluator[O]):
    """An evaluator that writes every step to ``tape`` before it takes it."""

    def __init__(self, checks: Checks[O], options: O, tape: Tape, values: Values) -> None:
        super().__init__(checks, options)
        self._tape = tape
        self._values = values
        self._statuses: dict[str, tuple[Status, str]] = {}

    def set_targets(self, targets: Sequence[Target], now: Instant | None = None) -> bool:
        if tuple(targets) != self.targets:
            written = [self._values.encode(one) for one in targets]
            self._tape.write(Targets(0 if now is None else now.ns, written))
        return super().set_targets(targets, now)

    def stand_in(self, target: Target) -> None:
        self._tape.write(StoodIn(0, self._values.encode(target)))
        super().stand_in(target)

    def begin(self) -> None:
        self._tape.write(Begun(0))
        super().begin()

    def feed(self, seen: AnyObservation, now: Instant) -> bool:
        if seen.target in self._states:
            self._tape.write(self._written(seen, now))
        return super().feed(seen, now)

    def _written(self, seen: AnyObservation, now: Instant) -> Step:
        target, source = str(seen.target), redact(str(seen.source))
        at, encode = seen.observed_at.ns, self._values.encode
        try:
            if isinstance(seen, Failure):
                return NotSeen(now.ns, target, source, at, encode(seen.error), seen.elapsed_ns)
            own = seen.feed is not None and seen.feed == self._states[seen.target].target.feed
            feed = None if own else encode(seen.feed)
            value = encode(seen.value)
        except (TypeError, ValueError, RecursionError) as error:
            return Unreadable(now.ns, target, str(error))
        return Seen(now.ns, target, source, at, value, seen.elapsed_ns, seen.clock_error_ns, feed, own)

    def tick(self, now: Instant) -> bool:
        self._tape.write(Ticked(now.ns))
        return super().tick(now)

    def fail_unseen(self, error: BaseException, now: Instant) -> None:
        self._tape.write(UnseenFailed(now.ns, self._error(error)))
        super().fail_unseen(error, now)

    def fail_stream(self, error: BaseException, now: Instant) -> bool:
        self._tape.write(StreamFailed(now.ns, self._error(error)))
        return super().fail_stream(error, now)

    def fail_missing(self, now: Instant, why: str, *, known_for_ns: int = 0) -> None:
        self._tape.write(Missed(now.ns, why, known_for_ns))
        super().fail_missing(now, why, known_for_ns=known_for_ns)

    def record_closed(self, results: Sequence[TargetResult], now: Instant, problem: str | None) -> None:
        """The results of a run that is closed now, ``problem`` being its vantage's."""
        statuses = {str(one.target.id): status_of(one) for one in results}
        changed = {target: one for target, one in statuses.items() if self._statuses.get(target) != one}
        self._statuses = statuses
        self._tape.write(Closed(now.ns, changed, problem))

    def _error(self, error: BaseException) -> Any:
        """A defect of the probe is written by its words: its type is anybody's."""
        if isinstance(error, ProbekitError):
            return self._values.encode(error)
        return {"defect": type(error).__name__, "message": redact(str(error))}


def status_of(result: TargetResult) -> tuple[Status, str]:
    """(status, reason) of the worst verdict, the first of several."""
    worst = max(result.verdicts, key=lambda one: one.status.severity)
    return worst.status, worst.reason


def taped(checks: Checks[O], options: O, tape: Tape | None, module: ModuleType | None) -> Evaluator[O]:
    """An evaluator, on tape where there is one."""
    return Evaluator(checks, options) if tape is None else TapedEvaluator(checks, options, tape, Values(module))
