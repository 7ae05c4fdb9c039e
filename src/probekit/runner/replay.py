"""A recorded run, judged again: the same steps through the same checks, by other limits. Pure; nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import IO, Any, Final, Generic

import msgspec

from probekit.checks import Check
from probekit.errors import ConfigError, DecodeError
from probekit.model import Failure, Observation, Status, Target, TargetResult
from probekit.probe import O, Probe
from probekit.runner import tape
from probekit.runner.evaluate import Evaluator
from probekit.runner.tape import FORMAT, AnyStep, status_of
from probekit.runner.values import Values
from probekit.units import Instant

_DECODER: Final = msgspec.json.Decoder(AnyStep)

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one line; a step has a thousandth of it."""

OnClose = Callable[[tuple[TargetResult, ...], Instant], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """When a target first had a status, and why."""

    at: Instant
    reason: str


@dataclass(slots=True)
class Course:
    """One target over the recording: how often and how long it had each status. A status lasts until the next run is closed."""

    name: str
    counts: dict[Status, int] = field(default_factory=dict)
    lasted_ns: dict[Status, int] = field(default_factory=dict)
    first: dict[Status, Turn] = field(default_factory=dict)
    turns: int = 0
    """How often its status became another: what an alert would have done."""
    _last: tuple[Status, Instant] | None = None

    def take(self, status: Status, reason: str, at: Instant) -> None:
        """Its status in a run that was closed at ``at``."""
        self.close(at)
        if self._last is not None and self._last[0] is not status:
            self.turns += 1
        self.counts[status] = self.counts.get(status, 0) + 1
        self.first.setdefault(status, Turn(at, reason))
        self._last = status, at

    def close(self, at: Instant) -> None:
        """Count the time up to ``at`` for the status it had; not over a gap between two runs of the probe."""
        if self._last is not None:
            before, since = self._last
            self.lasted_ns[before] = self.lasted_ns.get(before, 0) + max(at.since(since), 0)
            self._last = before, at

    def break_off(self) -> None:
        """The recording was interrupted here."""
        self._last = None


@dataclass(slots=True)
class Replay:
    """What a recording says, and what other limits would have said of it, by target id."""

    probe: str
    recorded: dict[str, Course] = field(default_factory=dict)
    replayed: dict[str, Course] = field(default_factory=dict)
    first_at: Instant | None = None
    last_at: Instant | None = None
    closes: int = 0
    unreadable: int = 0
    """Observations that were not written, or that this release cannot make again."""
    why_unreadable: str = ""
    """Why, of the first of them."""
    unconfigured: set[str] = field(default_factory=set)
    """Targets that the options in use know nothing of: no check judges them."""
    full: bool = False
    """The recording ended at its bound."""


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, none kept longer than it may be. Raises ``DecodeError``."""
    while line := stream.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise DecodeError(f"a line of more than {MAX_LINE} bytes: no recording", raw=line[:200])
        yield line


def read_steps(lines: Iterable[bytes]) -> Iterator[AnyStep]:
    """The steps of a recording. Raises ``DecodeError`` with the number of the line that is none.

    A line that was cut, as by a process that was killed, is left out: the last one, and one before a run began anew.
    """
    broken: DecodeError | None = None
    cut = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            step = _DECODER.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            if broken is not None:
                raise broken from None
            broken = DecodeError(f"line {number} is no step of a recording: {error}", raw=line[:200])
            cut = not line.endswith(b"\n")
            continue
        if broken is not None and not isinstance(step, tape.Began):
            raise broken
        broken = None
        yield step
    if broken is not None and not cut:
        raise broken


def first_step(lines: Iterable[bytes]) -> tape.Began:
    """What a recording says of itself. Raises ``DecodeError`` when it is none, or is of a format of another time."""
    step = next(read_steps(lines), None)
    if not isinstance(step, tape.Began):
        raise DecodeError("this is no recording: it does not begin with how the run began", raw=b"")
    if step.format != FORMAT:
        raise DecodeError(f"a recording of format {step.format}; this release reads format {FORMAT}", raw=b"")
    return step


def replay(
    lines: Iterable[bytes],
    probe: Probe[O],
    options: O,
    *,
    module: ModuleType | None = None,
    on_close: OnClose | None = None,
) -> Replay:
    """Judge a recording by the checks of ``probe`` under ``options``. ``on_close`` is given the results of every run.

    Raises ``DecodeError`` for lines that are none, ``ConfigError`` for a recording of another probe.
    """
    player = _Player(probe, options, Values(module), on_close)
    for step in read_steps(lines):
        player.take(step)
    return player.made


class _Player(Generic[O]):
    def __init__(self, probe: Probe[O], options: O, values: Values, on_close: OnClose | None) -> None:
        self._probe = probe
        self._options = options
        self._values = values
        self._on_close = on_close
        self._evaluator = self._fresh()
        self._statuses: dict[str, tuple[Status, str]] = {}
        self._targets: dict[str, Target] = {}
        self.made = Replay(probe.name)

    def _fresh(self) -> Evaluator[O]:
        return Evaluator(self._checks, self._options)

    def _checks(self, options: O, target: Target) -> Sequence[Check]:
        try:
            return self._probe.checks(options, target)
        except (LookupError, StopIteration, ValueError):
            self.made.unconfigured.add(target.id)
            return ()

    def take(self, step: AnyStep) -> None:
        at, evaluator = Instant(step.at), self._evaluator
        match step:
            case tape.Began():
                self._begin(step)
            case tape.Targets():
                targets = [self._target(one) for one in step.targets]
                self._targets = {one.id: one for one in targets}
                evaluator.set_targets(targets, at)
            case tape.StoodIn():
                target = self._target(step.target)
                self._targets = {target.id: target}
                evaluator.stand_in(target)
            case tape.Begun():
                evaluator.begin()
            case tape.Seen() | tape.NotSeen():
                self._feed(step, at)
            case tape.Unreadable():
                self._unreadable(step.why)
            case tape.Ticked():
                evaluator.tick(at)
            case tape.UnseenFailed():
                evaluator.fail_unseen(self._error(step.error), at)
            case tape.StreamFailed():
                evaluator.fail_stream(self._error(step.error), at)
            case tape.Missed():
                evaluator.fail_missing(at, step.why, known_for_ns=step.known_for_ns)
            case tape.Closed():
                self._close(step, at)
            case tape.Full():
                self.made.full = True

    def _target(self, data: Any) -> Target:
        found = self._values.decode(data)
        if not isinstance(found, Target):
            raise DecodeError("a target that is none", raw=str(data)[:200])
        return found

    def _begin(self, step: tape.Began) -> None:
        if step.probe != self._probe.name:
            raise ConfigError(f"this is a recording of {step.probe}, not of {self._probe.name}")
        self._evaluator = self._fresh()
        self._statuses = {}
        for course in (*self.made.recorded.values(), *self.made.replayed.values()):
            course.break_off()

    def _feed(self, step: tape.Seen | tape.NotSeen, at: Instant) -> None:
        observed_at = Instant(step.observed_at)
        seen: Observation[Any] | Failure
        try:
            if isinstance(step, tape.NotSeen):
                seen = Failure(self._error(step.error), step.source, observed_at, step.target, step.elapsed_ns)
            else:
                target = self._targets.get(step.target)
                feed = target.feed if step.feed_of_target and target is not None else self._values.decode(step.feed)
                value = self._values.decode(step.value)
                seen = Observation(value, step.source, observed_at, step.target, step.elapsed_ns, step.clock_error_ns, feed)
        except DecodeError as error:
            self._unreadable(error.message)
            return
        self._evaluator.feed(seen, at)

    def _unreadable(self, why: str) -> None:
        self.made.unreadable += 1
        self.made.why_unreadable = self.made.why_unreadable or why

    def _error(self, data: Any) -> Any:
        if isinstance(data, dict) and "defect" in data:
            # Its type is anybody's; a verdict is made of its name and its words.
            return type(str(data["defect"]), (Exception,), {})(data.get("message", ""))
        found = self._values.decode(data)
        if not isinstance(found, Exception):
            raise DecodeError("a failure without an error", raw=str(data)[:200])
        return found

    def _close(self, step: tape.Closed, at: Instant) -> None:
        made = self.made
        results = self._evaluator.results({}, step.problem)
        self._evaluator.closed()
        self._statuses |= step.statuses
        made.first_at, made.last_at = made.first_at or at, at
        made.closes += 1
        for result in results:
            target = result.target.id
            status, reason = status_of(result)
            made.replayed.setdefault(target, Course(result.target.name)).take(status, reason, at)
            if target in self._statuses:
                status, reason = self._statuses[target]
                made.recorded.setdefault(target, Course(result.target.name)).take(status, reason, at)
        if self._on_close is not None:
            self._on_close(results, at)
