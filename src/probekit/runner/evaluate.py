"""From observations to verdicts: one state per target, stepping its rules and folds. Synchronous; ``now`` is handed
in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, cast

from msgspec.structs import replace

from probekit.checks import Check, Rule
from probekit.checks.base import is_fold
from probekit.errors import Missing, ProbekitError
from probekit.model import Failure, Measure, Observation, RequestRecord, Status, Target, TargetResult, Verdict, worst
from probekit.probe import AnyObservation, Checks, O
from probekit.runner.evidence import evidence_of
from probekit.runner.failures import behind, exhausted, vantage_verdict, verdict_of
from probekit.runner.recorder import Planned
from probekit.units import Instant

_log = logging.getLogger("probekit.runner")

_MOST_UNTOLD: Final = 4096
"""Measures of one check that wait for a run to close. The oldest go first."""


@dataclass(slots=True)
class TargetState:
    """What the runner keeps of one target: its checks, their fold states, and what was last seen."""

    target: Target
    checks: tuple[Check, ...]
    folds: dict[str, Any] = field(default_factory=dict)
    seen: AnyObservation | None = None
    judged: dict[str, Verdict] = field(default_factory=dict)
    status: Status | None = None
    """Status when last asked; ``None`` before anything was known."""
    since: Instant | None = None
    """When it became a target, where that was said."""
    untold: dict[str, list[Measure]] = field(default_factory=dict)
    """By check that counts or times: what it measured since the last run was closed. Between two runs a watch judges often, and
    each verdict takes the place of the one before; what they counted must not go with them.
    """
    told: set[str] = field(default_factory=set)
    """Those of them that the last results have told."""


class Evaluator(Generic[O]):
    """Owns fold state per (check, target) and turns what a probe yields into results."""

    def __init__(self, checks: Checks[O], options: O) -> None:
        self._make_checks = checks
        self._options = options
        self._states: dict[str, TargetState] = {}
        self.unexpected = 0
        """Observations of targets nobody asked for."""
        self.defects = 0
        """Checks that raised."""
        self.out_of_memory = False

    def set_targets(self, targets: Sequence[Target], now: Instant | None = None) -> bool:
        """Take over a target set at ``now``; known targets keep their state. Returns whether the set of ids changed."""
        before = self._states.keys()
        states: dict[str, TargetState] = {}
        for target in targets:
            old = self._states.get(target.id)
            if old is not None and old.target == target:
                states[target.id] = old
                continue
            checks = tuple(self._make_checks(self._options, target))
            state = TargetState(target, checks, since=now)
            state.untold = {check.name: [] for check in checks if getattr(check, "records", ())}
            if old is not None:
                # Its description changed (a schedule, a label): history of checks that stayed equal goes on.
                kept = set(old.checks)
                state.folds = {check.name: old.folds[check.name] for check in state.checks
                               if check in kept and check.name in old.folds}  # fmt: skip
                state.untold.update({name: old.untold[name] for name in state.untold if name in old.untold})
                state.seen, state.status, state.since = old.seen, old.status, old.since
                if isinstance(old.seen, Failure):
                    state.judged = dict(old.judged)
            states[target.id] = state
        changed = before != states.keys()
        self._states = states
        return changed

    def stand_in(self, target: Target) -> None:
        """Take one target that no check judges, until there are others."""
        self._states = {target.id: TargetState(target, ())}

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(state.target for state in self._states.values())

    @property
    def check_names(self) -> tuple[str, ...]:
        return tuple(sorted({check.name for state in self._states.values() for check in state.checks}))

    @property
    def planned(self) -> tuple[Planned, ...]:
        """Every check of every target, with the counters and histograms it says that it will record."""
        return tuple(
            Planned(state.target.id, check.name, getattr(check, "records", ()))
            for state in self._states.values()
            for check in state.checks
        )

    def all_seen(self) -> bool:
        """Whether every target has been observed, or has failed, at least once."""
        return all(state.seen is not None for state in self._states.values())

    def begin(self) -> None:
        """Start a poll tick: nothing is seen yet. Fold states stay."""
        for state in self._states.values():
            state.seen = None
            state.judged = {}

    def feed(self, seen: AnyObservation, now: Instant) -> bool:
        """Take in one observation or failure. Returns whether its target's status changed."""
        state = self._states.get(seen.target)
        if state is None:
            self.unexpected += 1
            return False
        state.seen = seen
        if isinstance(seen, Failure):
            state.judged = {"observation": verdict_of(seen.error)}
        else:
            state.judged.pop("observation", None)
            self._judge(state, seen, seen, now)
        return self._note_status(state)

    def tick(self, now: Instant) -> bool:
        """Judge every target again at ``now`` with nothing new: ages grow, folds step on silence. Returns whether any
        changed.
        """
        changed = False
        for state in self._states.values():
            if isinstance(state.seen, Observation):
                self._judge(state, state.seen, None, now)
            changed |= self._note_status(state)
        return changed

    def fail_unseen(self, error: BaseException, now: Instant) -> None:
        """Give every target that was not observed this tick the verdict of ``error``.

        Where the set has endpoints among its targets, the error is told on them and the rest is UNKNOWN behind.
        """
        unseen = [state for state in self._states.values() if state.seen is None]
        endpoints = [state for state in unseen if state.target.kind == "endpoint"]
        for state in endpoints or unseen:
            self._fail(state, error, now)
        if endpoints:
            for state in unseen:
                if state.target.kind != "endpoint" and state.target.behind not in self._states:
                    state.judged = {"observation": behind(endpoints[0].target.name, verdict_of(error))}

    def fail_stream(self, error: BaseException, now: Instant) -> bool:
        """A watch's stream ended with ``error``: told on its endpoints where the set has any, else on what was never seen.

        Targets seen before keep their last observation and grow stale by themselves. Returns whether a status changed.
        """
        endpoints = [state for state in self._states.values() if state.target.kind == "endpoint"]
        failed = endpoints or [state for state in self._states.values() if not isinstance(state.seen, Observation)]
        for state in failed:
            self._fail(state, error, now)
        return any(list(map(self._note_status, failed)))

    def fail_missing(self, now: Instant, why: str, *, known_for_ns: int = 0) -> None:
        """Give every target still unseen the verdict CRITICAL ``missing``, unless its endpoint failed, or it has not been a
        target for that long. Folds of what was not observed are told so.
        """
        for state in self._states.values():
            if state.since is not None and now.since(state.since) < known_for_ns:
                continue
            endpoint = self._states.get(state.target.behind)
            if state.seen is None and not state.judged and (endpoint is None or not isinstance(endpoint.seen, Failure)):
                self._fail(state, Missing(f"{state.target.name}: {why}", subject=state.target.id), now)
        for state in self._states.values():
            if not isinstance(state.seen, Observation):
                self._pass_over(state, now)

    def results(self, latest: dict[str, RequestRecord], problem: str | None) -> tuple[TargetResult, ...]:
        """All targets' results, of the run that closes now. ``latest`` gives the newest exchange per source; ``problem`` is
        the vantage's, if it has one.
        """
        made = []
        for state in self._states.values():
            verdicts = self._verdicts(state)
            if state.untold:
                verdicts = tuple(_with_untold(verdict, state) for verdict in verdicts)
            status = worst(verdicts)
            evidence = None
            if status is not Status.OK and status is not Status.SKIPPED:
                source = state.seen.source if state.seen is not None else state.target.behind
                evidence = evidence_of(verdicts, state.seen, latest.get(source) or latest.get(""))
                if problem is not None:
                    verdicts = (vantage_verdict(problem),)
            observed_at = None if state.seen is None else state.seen.observed_at
            made.append(TargetResult(state.target, verdicts, observed_at, evidence))
        return tuple(made)

    def closed(self) -> None:
        """The run has the last :meth:`results`: what they measured is told. What no verdict was there to tell waits for one."""
        for state in self._states.values():
            for name in state.told:
                state.untold[name].clear()
            state.told.clear()

    def _verdicts(self, state: TargetState) -> tuple[Verdict, ...]:
        endpoint = self._states.get(state.target.behind) if state.target.behind else None
        verdicts = tuple(state.judged.values())
        if endpoint is not None and isinstance(endpoint.seen, Failure):
            failure = verdict_of(endpoint.seen.error)
            bad = any(verdict.status in (Status.CRITICAL, Status.UNKNOWN) for verdict in verdicts)
            # An endpoint that will not let us look says nothing of its feeds; one that is down is its own verdict, and
            # a feed's verdict from its last observation stands.
            if state.seen is None or (bad and failure.status is Status.UNKNOWN):
                return (behind(endpoint.target.name, failure),)
        if not verdicts:
            return (Verdict("observation", Status.SKIPPED, "pending", "nothing was seen yet"),)
        return verdicts

    def _judge(self, state: TargetState, last: Observation[Any], new: Observation[Any] | None, now: Instant) -> None:
        for check in state.checks:
            try:
                if is_fold(check):
                    memory = state.folds.get(check.name)
                    if memory is None:
                        memory = check.init()
                    state.folds[check.name], verdict = check.step(memory, new, now=now)
                else:
                    verdict = cast(Rule, check)(last, now=now)
            except Exception as error:
                self.defects += 1
                self.out_of_memory |= exhausted(error)
                _log.exception("the check %s failed on %s", check.name, state.target.id)
                verdict = verdict_of(error)
            untold = state.untold.get(check.name)
            if untold is not None and verdict.measures:
                untold += verdict.measures
                del untold[:-_MOST_UNTOLD]
                verdict = replace(verdict, measures=())
            state.judged[check.name] = verdict

    def _pass_over(self, state: TargetState, now: Instant) -> None:
        for check in state.checks:
            unseen = getattr(check, "unseen", None)
            if unseen is None or check.name not in state.folds:
                continue
            try:
                state.folds[check.name] = unseen(state.folds[check.name], now=now)
            except Exception:
                self.defects += 1
                _log.exception("the check %s failed on %s, which was not seen", check.name, state.target.id)

    def _fail(self, state: TargetState, error: BaseException, now: Instant) -> None:
        # A defect of the probe is seen too: else what is behind this target would be missing, which is wrong there.
        known = error if isinstance(error, ProbekitError) else ProbekitError(f"{type(error).__name__}: {error}")
        state.seen = Failure(known, state.target.behind, now, state.target.id)
        state.judged = {"observation": verdict_of(error)}

    def _note_status(self, state: TargetState) -> bool:
        status = worst(self._verdicts(state))
        before, state.status = state.status, status
        return before is not None and before is not status


def _with_untold(verdict: Verdict, state: TargetState) -> Verdict:
    """``verdict`` with what its check measured since the last run."""
    untold = state.untold.get(verdict.check)
    if not untold:
        return verdict
    state.told.add(verdict.check)
    return replace(verdict, measures=tuple(untold))
