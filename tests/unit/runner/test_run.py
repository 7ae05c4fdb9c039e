"""Runs: once, on and on; deadlines, defects, missing targets, changes, recorders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, ClassVar

import msgspec
import pytest

from probekit.checks import Check, LatencyBudget, LatencySample
from probekit.errors import ConfigError, ConnectError, ServerError, Unauthorized
from probekit.model import Evidence, Failure, Observation, ProbeRun, Status, Target, Vantage, Verdict
from probekit.model.run import EVIDENCE_LIMIT
from probekit.probe import AnyObservation, Context, Options, Probe
from probekit.runner import Planned, ProbeInfo, RunSettings, config_digest, run_once, summary, watch
from probekit.runner.encode import decode_run, encode_run
from probekit.runner.evaluate import Evaluator
from probekit.runner.evidence import evidence_of
from probekit.runner.requests import MAX_REQUESTS, RequestLog
from probekit.secret import Secret
from probekit.testing import FakeClock
from probekit.units import Instant
from tests.unit.runner.test_clock_and_schedule import answer

S = timedelta(seconds=1)
SETTINGS = RunSettings(vantage=Vantage("host", unit="unit"))


class Opts(Options, frozen=True, kw_only=True):
    names: tuple[str, ...] = ("a", "b")
    key: Secret | None = None


async def targets(ctx: Context[Opts]) -> Sequence[Target]:
    return [Target(name, "service") for name in ctx.options.names]


def checks(options: Opts, target: Target) -> Sequence[Check]:
    return [LatencyBudget(S, percentile=100, samples=1)]


def sample(clock: Any, target: str, ms: int = 5) -> Observation[LatencySample]:
    return Observation(LatencySample(ms * 1_000_000), "test", clock.now(), target)


def poll(observe: Any, *, deadline: timedelta | None = None, targets: Any = targets, checks: Any = checks) -> Probe[Opts]:
    return Probe.poll(
        name="p",
        question="q?",
        options=Opts,
        targets=targets,
        observe=observe,
        checks=checks,
        interval=10 * S,
        deadline=deadline,
    )


async def once(probe: Probe[Opts], clock: FakeClock, options: Opts | None = None, **more: Any) -> ProbeRun:
    task = asyncio.ensure_future(run_once(probe, options or Opts(), settings=SETTINGS, clock=clock, **more))
    for _ in range(200):
        if task.done():
            break
        await clock.advance(S / 10)
    return await task


def reasons(run: ProbeRun) -> dict[str, str]:
    return {one.target.id: one.verdicts[0].reason for one in run.results}


async def test_one_observation_per_target_makes_a_run() -> None:
    clock = FakeClock()

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)
        yield sample(ctx.clock, "nobody asked")

    run = await once(poll(observe), clock)
    assert run.status is Status.OK
    assert summary(run)[Status.OK] == 2
    assert run.vantage.instance_id == "host/unit"
    assert decode_run(encode_run(run)) == run


async def test_what_is_left_out_is_missing_and_what_fails_is_mapped() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield Failure(ConnectError("refused"), "test", ctx.clock.now(), "a")

    run = await once(poll(observe), FakeClock())
    assert reasons(run) == {"a": "connect", "b": "missing"}
    assert run.status is Status.CRITICAL
    evidence = run.results[0].evidence
    assert evidence is not None
    assert "connect: refused" in evidence.error


async def test_an_error_of_the_whole_is_every_unseen_targets() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        raise Unauthorized("no key", status=401)

    run = await once(poll(observe), FakeClock())
    assert reasons(run) == {"a": "within_budget", "b": "not_authorized"}
    assert run.status is Status.UNKNOWN
    assert run.error_type is None


async def test_a_defect_is_the_probes_own() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        raise KeyError("oops")

    run = await once(poll(observe), FakeClock())
    assert reasons(run)["b"] == "probe_error"
    assert run.error_type == "probe_error"


async def test_a_check_that_raises_is_counted_and_is_no_pass() -> None:
    class Broken:
        name: ClassVar[str] = "broken"

        def __call__(self, observation: Observation[Any], *, now: Instant) -> Verdict:
            raise RuntimeError("bug")

    evaluator: Evaluator[Opts] = Evaluator(lambda options, target: [Broken()], Opts())
    evaluator.set_targets([Target("a", "service")])
    clock = FakeClock()
    evaluator.feed(sample(clock, "a"), clock.now())
    (result,) = evaluator.results({}, None)
    assert (result.status, result.verdicts[0].reason) == (Status.UNKNOWN, "probe_error")
    assert evaluator.defects == 1

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)

    run = await once(poll(observe, checks=lambda options, target: [Broken()]), FakeClock())
    assert run.error_type == "probe_error"


async def test_the_deadline_ends_a_run_with_its_true_duration() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)
        yield sample(ctx.clock, "b")

    run = await once(poll(observe, deadline=2 * S), FakeClock())
    assert reasons(run) == {"a": "within_budget", "b": "deadline"}
    assert run.elapsed_ns == 2 * 10**9


async def test_no_targets_is_no_pass() -> None:
    async def nothing(ctx: Context[Opts]) -> Sequence[Target]:
        return []

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)

    run = await once(poll(observe, targets=nothing), FakeClock())
    assert run.results == ()
    assert run.status is Status.UNKNOWN


class Keeps:
    """A recorder that keeps what it is given, or fails at it."""

    def __init__(self, *, broken: bool = False) -> None:
        self.infos: list[ProbeInfo] = []
        self.runs: list[ProbeRun] = []
        self.closed = 0
        self._broken = broken

    def start(self, info: ProbeInfo) -> None:
        self.infos.append(info)
        if self._broken:
            raise OSError("disk full")

    def record(self, run: ProbeRun) -> None:
        self.runs.append(run)
        if self._broken:
            raise OSError("disk full")

    async def aclose(self) -> None:
        self.closed += 1
        if self._broken:
            raise OSError("disk full")


async def test_a_recorder_that_fails_stops_neither_the_probe_nor_its_siblings() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)

    broken, sound = Keeps(broken=True), Keeps()
    run = await once(poll(observe), FakeClock(), recorders=(broken, sound))
    assert sound.runs == [run]
    assert [one.id for one in sound.infos[0].targets] == ["a", "b"]
    assert sound.infos[0].checks == ("latency_budget",)
    planned = [Planned(name, "latency_budget", (("latency", 10**9),)) for name in ("a", "b")]
    assert list(sound.infos[0].planned) == planned
    assert (broken.closed, sound.closed) == (1, 1)


async def follow(probe: Probe[Opts], clock: FakeClock, seconds: float, **more: Any) -> list[ProbeRun]:
    runs: list[ProbeRun] = []

    async def consume() -> None:
        async for run in watch(probe, Opts(), settings=more.pop("settings", SETTINGS), clock=clock, **more):
            runs.append(run)

    task = asyncio.ensure_future(consume())
    for _ in range(int(seconds * 10)):
        await clock.advance(S / 10)
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return runs


@pytest.mark.parametrize("where", ["observe", "check", "task", "recorder", "cause", "thread"])
async def test_memory_that_ran_out_ends_a_poll_after_the_run_that_tells_it(where: str) -> None:
    async def out() -> None:
        raise MemoryError

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        if where == "observe":
            raise MemoryError
        if where == "task":
            async with asyncio.TaskGroup() as group:
                group.create_task(out())
        if where == "thread":
            raise RuntimeError("can't start new thread")
        if where == "cause":
            raise ConnectError("no room for its buffer") from MemoryError()
        yield sample(ctx.clock, "b")

    class Full:
        name: ClassVar[str] = "full"

        def __call__(self, observation: AnyObservation, *, now: Instant) -> Verdict:
            raise MemoryError

    class Hungry(Keeps):
        def record(self, run: ProbeRun) -> None:
            raise MemoryError

    kept = Keeps()
    recorders = (kept, Hungry()) if where == "recorder" else (kept,)
    probe = poll(observe, checks=lambda options, target: [Full()]) if where == "check" else poll(observe)
    with pytest.raises(MemoryError, match="the probe p ran out of memory"):
        await follow(probe, FakeClock(), 25, recorders=recorders)
    assert len(kept.runs) == 1
    assert kept.closed == 1
    told = {"cause": Status.CRITICAL, "recorder": Status.OK}
    assert kept.runs[0].status is told.get(where, Status.UNKNOWN)


async def test_memory_that_ran_out_ends_a_watch_too() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        raise MemoryError

    kept = Keeps()
    with pytest.raises(MemoryError):
        await follow(make_watch(observe, interval=5 * S), FakeClock(), 25, recorders=(kept,))
    assert len(kept.runs) == 1
    assert {verdict.reason for result in kept.runs[0].results for verdict in result.verdicts} >= {"probe_error"}


async def test_a_poll_runs_at_once_and_then_in_its_phase() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)

    runs = await follow(poll(observe), FakeClock(), 35)
    gaps = [b.scheduled_at.since(a.scheduled_at) for a, b in pairwise(runs[1:])]
    assert gaps
    assert set(gaps) == {10 * 10**9}
    assert all(run.queue_wait_ns == 0 and run.skipped_ticks == 0 for run in runs)


async def test_swallowed_ticks_show_in_the_next_run() -> None:
    slow = iter([0, 25, 0, 0])

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)

    async def dawdling(ctx: Context[Opts]) -> Sequence[Target]:
        return await targets(ctx)

    class Slow(Keeps):
        def record(self, run: ProbeRun) -> None:
            super().record(run)
            # A stall of the whole process: time passes while nothing runs.
            clock._now_ns += next(slow, 0) * 10**9

    clock = FakeClock()
    runs = await follow(poll(observe, targets=dawdling), clock, 60, recorders=(Slow(),))
    assert [run.skipped_ticks for run in runs[:3]][-1] >= 1


async def test_a_wall_clock_that_is_set_back_within_a_run_changes_no_duration() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)
        clock.step_wall(-3600 * S)
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 2 * 10**9)

    clock = FakeClock()
    began = clock.now()
    run = await once(poll(observe), clock)
    assert run.elapsed_ns == 2 * 10**9
    assert run.started_at == began
    assert clock.now() < began


def make_watch(observe: Any, **more: Any) -> Probe[Opts]:
    return Probe.watch(name="w", question="q?", options=Opts, targets=targets, observe=observe, checks=checks, **more)


async def test_a_watch_closes_a_run_at_each_tick_and_at_a_change() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 7 * 10**9)
        yield sample(ctx.clock, "a", ms=2000)
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    runs = await follow(make_watch(observe, interval=5 * S), FakeClock(), 12)
    assert [run.closed_by for run in runs] == ["tick", "change", "tick"]
    assert [run.status for run in runs] == [Status.OK, Status.CRITICAL, Status.CRITICAL]
    assert runs[1].started_at.since(runs[0].started_at) == 5 * 10**9


async def test_a_target_never_seen_is_pending_and_then_missing() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    runs = await follow(make_watch(observe, first_within=lambda options: 5 * S), FakeClock(), 8)
    assert reasons(runs[1])["b"] == "pending"
    assert runs[1].status is Status.OK
    assert reasons(runs[-1])["b"] == "missing"
    assert runs[-1].status is Status.CRITICAL


async def test_a_stream_that_ends_or_breaks_is_restarted_with_back_off() -> None:
    starts: list[int] = []

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        starts.append(ctx.clock.monotonic_ns() // 10**9)
        if len(starts) == 1:
            raise ConnectError("refused")
        if len(starts) == 2:
            raise KeyError("defect")
        for target in wanted:
            yield sample(ctx.clock, target.id)
        if len(starts) > 3:
            await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    runs = await follow(make_watch(observe), FakeClock(), 12)
    assert [later - starts[0] for later in starts] == [0, 1, 3, 7]
    assert reasons(runs[0])["a"] in ("connect", "probe_error")
    assert any(run.error_type == "probe_error" for run in runs)
    assert runs[-1].status is Status.OK


async def test_a_watch_once_waits_until_every_target_was_seen() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 2 * 10**9)
        yield sample(ctx.clock, "b")
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    run = await once(make_watch(observe), FakeClock())
    assert run.status is Status.OK
    assert 2 * 10**9 <= run.elapsed_ns < 3 * 10**9


async def test_targets_that_cannot_be_had_are_a_verdict_on_those_known() -> None:
    calls = 0

    async def failing(ctx: Context[Opts]) -> Sequence[Target]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectError("no table")
        return await targets(ctx)

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)
        yield sample(ctx.clock, "a")

    probe = Probe.watch(name="w", question="q", options=Opts, targets=failing, observe=observe, checks=checks)
    runs = await follow(probe, FakeClock(), 5)
    assert reasons(runs[-1])["a"] == "connect"


async def test_a_vantage_in_trouble_judges_nothing_bad() -> None:
    clock = FakeClock()

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        yield Failure(ConnectError("refused"), "test", ctx.clock.now(), "b")

    settings = RunSettings(vantage=Vantage("h"), connectivity=("127.0.0.1:1",))
    task = asyncio.ensure_future(run_once(poll(observe), Opts(), settings=settings, clock=clock))
    while not task.done():
        await asyncio.sleep(0.005)
    run = await task
    assert reasons(run) == {"a": "within_budget", "b": "vantage"}
    assert run.error_type == "vantage"
    assert run.health.connected is False


async def test_a_network_that_came_back_is_found_out_before_the_next_fault_is_judged() -> None:
    """The outage must not explain away what goes wrong afterwards."""
    clock = FakeClock()
    listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    ticks = 0

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        nonlocal ticks, listening
        ticks += 1
        if ticks == 1:
            yield Failure(ConnectError("unreachable"), "test", ctx.clock.now(), "a")
            yield Failure(ConnectError("unreachable"), "test", ctx.clock.now(), "b")
            return
        if ticks == 2:
            listening = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
        yield sample(ctx.clock, "a")
        yield sample(ctx.clock, "b", ms=5000)

    settings = RunSettings(vantage=Vantage("h"), connectivity=(f"127.0.0.1:{port}",))
    runs: list[ProbeRun] = []

    async def consume() -> None:
        async for run in watch(poll(observe), Opts(), settings=settings, clock=clock):
            runs.append(run)

    task = asyncio.ensure_future(consume())
    try:
        async with asyncio.timeout(20):
            while len(runs) < 2:
                await clock.advance(S / 10)
                await asyncio.sleep(0.001)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listening.close()
        await listening.wait_closed()
    assert reasons(runs[0]) == {"a": "vantage", "b": "vantage"}
    assert reasons(runs[1]) == {"a": "within_budget", "b": "over_budget"}
    assert (runs[1].health.connected, runs[1].error_type) == (True, None)


async def test_a_target_that_flaps_closes_a_run_once_a_second_at_most() -> None:
    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for number in range(10_000):
            yield sample(ctx.clock, "a", ms=2000 * (number % 2))
            yield sample(ctx.clock, "b")
            await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 10**8)

    runs = await follow(make_watch(observe, interval=30 * S), FakeClock(), 20)
    starts = [run.started_at.ns for run in runs]
    assert len(runs) > 10
    assert {run.closed_by for run in runs} == {"change"}
    assert all(later - earlier >= 10**9 for earlier, later in pairwise(starts))


async def test_a_change_while_a_run_is_being_read_closes_the_next_one_at_once() -> None:
    """Not at the end of a long interval: whoever reads a run must not hide what happens meanwhile."""
    clock = FakeClock()
    slow = asyncio.Event()

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in wanted:
            yield sample(ctx.clock, target.id)
        await slow.wait()
        yield sample(ctx.clock, "a", ms=2000)
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    runs: list[ProbeRun] = []

    async def consume() -> None:
        async for run in watch(make_watch(observe, interval=60 * S), Opts(), settings=SETTINGS, clock=clock):
            runs.append(run)
            if len(runs) == 1:
                slow.set()
                for _ in range(20):
                    await asyncio.sleep(0)

    task = asyncio.ensure_future(consume())
    for _ in range(650):
        await clock.advance(S / 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [(run.closed_by, run.status) for run in runs] == [("tick", Status.OK), ("change", Status.CRITICAL)]


async def test_a_target_that_came_later_gets_its_time_too() -> None:
    """A symbol that was resolved after an hour is not missing in the second after."""
    names: list[str] = ["a"]

    async def growing(ctx: Context[Opts]) -> Sequence[Target]:
        if ctx.clock.monotonic_ns() - began_ns > 20 * 10**9:
            names[:] = ["a", "late"]
        return [Target(name, "service") for name in names]

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        yield sample(ctx.clock, "a")
        await ctx.clock.sleep_until_ns(ctx.clock.monotonic_ns() + 3600 * 10**9)

    clock = FakeClock()
    began_ns = clock.monotonic_ns()
    probe = Probe.watch(
        name="w", question="q?", options=Opts, targets=growing, observe=observe, checks=checks,
        first_within=lambda options: 5 * S,
    )  # fmt: skip
    runs = await follow(probe, clock, 32)
    told = [reasons(run)["late"] for run in runs if "late" in reasons(run)]
    assert told[:4] == ["pending"] * 4
    assert told[-1] == "missing"


def evidence(value: object, *, headers: tuple[tuple[str, str], ...] = (), excerpt: str = "") -> Evidence:
    record = msgspec.structs.replace(answer(Instant(0)), headers=headers, excerpt=excerpt)
    return evidence_of((), Observation(value, "test", Instant(0)), record)


class Told(msgspec.Struct):
    text: str


@pytest.mark.parametrize("letter", ["x", "\0", "\u20ac", '"', "\U0001f4a5"])
def test_evidence_is_bounded_whatever_it_is_of(letter: str) -> None:
    headers = tuple(("via", letter * 200) for _ in range(2_000))
    made = evidence(Told(letter * 200_000), headers=headers, excerpt=letter * 200_000)
    assert 20_000 < len(msgspec.json.encode(made)) <= EVIDENCE_LIMIT


def test_evidence_of_a_value_that_has_no_json() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    assert "\\ud800" in evidence(Told("\ud800")).decoded
    assert evidence([Odd()]).decoded == '["<odd>"]'


def test_no_half_of_a_secret_is_left_where_evidence_is_cut() -> None:
    secret = Secret("a-secret-of-some-length")
    for lead in range(EVIDENCE_LIMIT // 8 - 30, EVIDENCE_LIMIT // 8):
        assert "a-sec" not in evidence(None, excerpt="." * lead + secret.reveal() * 2).excerpt


def test_digests_hide_secrets_and_follow_the_options() -> None:
    one, two = Opts(key=Secret("first-secret")), Opts(key=Secret("second-secret"))
    assert config_digest(one) == config_digest(two)
    assert config_digest(one) != config_digest(Opts(names=("c",)))


def test_requests_of_a_run_are_bounded_and_counted() -> None:
    log = RequestLog()
    now = Instant(0)
    for _ in range(MAX_REQUESTS + 5):
        log.add(answer(now))
    records, dropped = log.take()
    assert (len(records), dropped) == (MAX_REQUESTS, 5)
    assert log.take() == ((), 0)
    assert set(log.latest) == {"https://one", ""}


def test_what_was_counted_between_two_runs_is_told_once() -> None:
    # A watch judges at every message, and closes a run at a tick that brings none.
    evaluator: Evaluator[Opts] = Evaluator(lambda options, target: [LatencyBudget(1 * S)], Opts())
    clock = FakeClock()
    evaluator.set_targets([Target("a", "service"), Target("b", "service")])

    def told() -> dict[str, list[int]]:
        evaluator.results({}, None)  # Asked for twice where the vantage has a problem.
        found = {
            result.target.id: [int(one.value) for verdict in result.verdicts for one in verdict.measures]
            for result in evaluator.results({}, None)
        }
        evaluator.closed()
        return found

    for ns in (10, 20, 30):
        evaluator.feed(Observation(LatencySample(ns), "s", clock.now(), "a"), clock.now())
    evaluator.feed(Observation(LatencySample(7), "s", clock.now(), "b"), clock.now())
    evaluator.tick(clock.now())
    assert told() == {"a": [10, 20, 30], "b": [7]}
    # Another target closes the next run, by its change: nothing of this one is told again.
    assert told() == {"a": [], "b": []}
    evaluator.feed(Observation(LatencySample(40), "s", clock.now(), "a"), clock.now())
    assert told() == {"a": [40], "b": []}
    # A failure has no verdict to tell it by, and another description makes another state: it waits.
    evaluator.feed(Observation(LatencySample(50), "s", clock.now(), "a"), clock.now())
    evaluator.feed(Failure(ConnectError("gone"), "s", clock.now(), "a"), clock.now())
    assert told() == {"a": [], "b": []}
    evaluator.set_targets([Target("a", "service", "a new label"), Target("b", "service")])
    assert [result.verdicts[0].reason for result in evaluator.results({}, None)] == ["connect", "within_budget"]
    evaluator.feed(Observation(LatencySample(60), "s", clock.now(), "a"), clock.now())
    assert told() == {"a": [50, 60], "b": []}


async def test_a_defect_says_nothing_of_what_is_behind_an_endpoint() -> None:
    async def endpoint_and_feed(context: Context[Opts]) -> list[Target]:
        return [Target("e", "endpoint"), Target("f", "feed", behind="e")]

    async def broken(context: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        raise KeyError("a defect")
        yield  # type: ignore[unreachable]

    probe = Probe.poll(name="p", question="", options=Opts, targets=endpoint_and_feed, observe=broken, checks=checks)
    run = await run_once(probe, Opts(), clock=FakeClock())
    assert [(result.status, result.verdicts[0].reason) for result in run.results] == [
        (Status.UNKNOWN, "probe_error"),
        (Status.UNKNOWN, "behind_endpoint"),
    ]


class Since(msgspec.Struct, frozen=True):
    steps: int = 0
    unseen: int = 0


@dataclass(frozen=True)
class Lasting:
    """A fold that says how many ticks it saw, and how many saw nothing."""

    name: ClassVar[str] = "lasting"

    def init(self) -> Since:
        return Since()

    def step(self, state: Since, observation: Observation[Any] | None, *, now: Instant) -> tuple[Since, Verdict]:
        state = Since(state.steps + 1, state.unseen)
        return state, Verdict(self.name, Status.OK, "lasts", f"{state.steps} seen, {state.unseen} not")

    def unseen(self, state: Since, *, now: Instant) -> Since:
        return Since(state.steps, state.unseen + 1)


async def test_a_fold_is_told_of_ticks_that_saw_nothing_of_its_target() -> None:
    """Whatever the reason: the target's own failure, its endpoint's, that of the whole run, or none at all."""
    ticks, failed = iter(("all", "own", "endpoint", "whole", "missing", "all")), ServerError("500", status=500)

    async def behind(ctx: Context[Opts]) -> Sequence[Target]:
        return [Target("ep", "endpoint"), Target("a", "feed", behind="ep"), Target("b", "feed", behind="ep")]

    async def observe(ctx: Context[Opts], wanted: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        tick = next(ticks)
        if tick == "whole":
            raise failed
        if tick == "endpoint":
            yield Failure(failed, "ep", ctx.clock.now(), "ep")
            return
        yield sample(ctx.clock, "ep")
        yield sample(ctx.clock, "b")
        if tick == "own":
            yield Failure(failed, "ep", ctx.clock.now(), "a")
        elif tick == "all":
            yield sample(ctx.clock, "a")

    runs = await follow(poll(observe, targets=behind, checks=lambda options, target: [Lasting()]), FakeClock(), 52)
    assert len(runs) == 6
    assert {one.target.id: one.verdicts[0].message for one in runs[-1].results} == {
        "ep": "4 seen, 2 not", "a": "2 seen, 4 not", "b": "4 seen, 2 not",
    }  # fmt: skip


def test_what_waits_to_be_told_is_bounded() -> None:
    evaluator: Evaluator[Opts] = Evaluator(lambda options, target: [LatencyBudget(1 * S)], Opts())
    clock = FakeClock()
    evaluator.set_targets([Target("a", "service")])
    for ns in range(5000):
        evaluator.feed(Observation(LatencySample(ns), "s", clock.now(), "a"), clock.now())
    (result,) = evaluator.results({}, None)
    measured = [one.value for verdict in result.verdicts for one in verdict.measures]
    assert measured == list(range(5000 - 4096, 5000))


def test_changed_descriptions_keep_history() -> None:
    evaluator: Evaluator[Opts] = Evaluator(checks, Opts())
    clock = FakeClock()
    assert evaluator.set_targets([Target("a", "service")])
    evaluator.feed(sample(clock, "a"), clock.now())
    assert not evaluator.set_targets([Target("a", "service", "a new label")])
    assert evaluator.all_seen()
    assert evaluator.feed(sample(clock, "a", ms=5000), clock.now())
    assert evaluator.set_targets([])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Probe.poll(name="not a name", question="", options=Opts, targets=targets, observe=None, checks=checks),  # type: ignore[arg-type]
        lambda: poll(None, deadline=11 * S),
        lambda: Probe.watch(name="w", question="", options=Opts, targets=targets, observe=None, checks=checks, interval=0 * S),  # type: ignore[arg-type]
    ],
)
def test_impossible_probes_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()


async def test_a_context_holds_and_closes_what_it_made() -> None:
    from contextlib import asynccontextmanager

    events: list[str] = []

    @asynccontextmanager
    async def client() -> AsyncIterator[str]:
        events.append("open")
        yield "client"
        events.append("close")

    context = Context(Opts(), engines=lambda kind: _Engine(events))
    assert await context.hold("x", client) == "client" == await context.hold("x", client)
    assert context.state("n", list) is context.state("n", list)
    assert context.engine() is context.engine()
    assert context.clock_error_ns is None
    await context.aclose()
    assert events == ["open", "engine closed", "close"]


class _Engine:
    def __init__(self, events: list[str]) -> None:
        self._events = events

    @property
    def capabilities(self) -> Any:
        return None

    async def send(self, request: Any) -> Any:
        raise AssertionError

    async def aclose(self) -> None:
        self._events.append("engine closed")


def test_options_refuse_unknown_fields() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"nope": 1}, Opts)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(ConnectError("refused"), Status.CRITICAL, "connect"), (RuntimeError("oops"), Status.UNKNOWN, "probe_error")],
)
async def test_a_probe_that_cannot_learn_its_targets_says_why(error: Exception, status: Status, reason: str) -> None:
    clock, known = FakeClock(), [False]

    async def late(ctx: Context[Opts]) -> Sequence[Target]:
        if not known[0]:
            raise error
        return await targets(ctx)

    async def observe(ctx: Context[Opts], watched: Sequence[Target]) -> AsyncIterator[AnyObservation]:
        for target in watched:
            yield sample(ctx.clock, target.id)

    run = await run_once(poll(observe, targets=late), Opts(), settings=SETTINGS, clock=clock)
    (result,) = run.results
    assert (result.target, result.status, result.verdicts[0].reason) == (Target("p", "probe"), status, reason)

    runs = watch(poll(observe, targets=late), Opts(), settings=SETTINGS, clock=clock)
    first = asyncio.ensure_future(anext(runs))
    await clock.advance(S)
    assert [result.target.id for result in (await first).results] == ["p"]
    known[0] = True
    second = asyncio.ensure_future(anext(runs))
    await clock.advance(20 * S)
    assert {result.target.id: result.status for result in (await second).results} == {"a": Status.OK, "b": Status.OK}
    await runs.aclose()
