"""Recordings: what is written, how large it may grow, and how the same steps are judged by other limits."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

import probekit as pk
from probekit.checks import Check, LatencyBudget, LatencySample
from probekit.errors import ConfigError, ConnectError, DecodeError, Unauthorized
from probekit.model import Status
from probekit.runner import Tape, run_once, watch
from probekit.runner.replay import Course, Replay, first_step, lines_of, read_steps, replay
from probekit.runner.tape import Full
from probekit.testing import FakeClock
from probekit.units import Instant

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
HERE = sys.modules[__name__]


class Options(pk.Options, frozen=True, kw_only=True):
    budget: timedelta = timedelta(milliseconds=100)
    key: pk.Secret | None = None


class Odd(msgspec.Struct, frozen=True):
    """A value of the probe's own."""

    thing: object


@dataclass(frozen=True)
class Broken:
    """A check that fails on what it does not know."""

    name: ClassVar[str] = "broken"

    def __call__(self, observation: pk.Observation[Any], *, now: Instant) -> pk.Verdict:
        raise ArithmeticError("two and two")


Script = Callable[[int], Sequence[pk.Observation[Any] | pk.Failure | Exception]]


def poll(script: Script, *, targets: Sequence[pk.Target], checks: Sequence[Check] | None = None) -> pk.Probe[Options]:
    """A probe whose ticks are told by ``script``: what it sees, or what it raises."""
    ticks = iter(range(1000))

    async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[Any]:
        for one in script(next(ticks)):
            if isinstance(one, Exception):
                raise one
            yield one

    async def all_of_them(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
        return targets

    return pk.Probe.poll(
        name="scripted",
        question="Is it?",
        options=Options,
        targets=all_of_them,
        observe=observe,
        checks=lambda options, target: checks if checks is not None else [LatencyBudget(options.budget, 100, 1)],
        interval=S,
    )


def took(ms: int, target: str = "a", *, value: Any = None) -> pk.Observation[Any]:
    return pk.Observation(value or LatencySample(ms * 10**6), "here", Instant(1), target)


def failed(error: pk.errors.ProbekitError, target: str) -> pk.Failure:
    return pk.Failure(error, "here", Instant(1), target)


async def recorded(
    probe: pk.Probe[Options], path: Path, runs: int, *, options: Options | None = None, **tape: Any
) -> list[Any]:
    """So many runs on a fake clock, on tape; their (target, verdicts)."""
    clock, found = FakeClock(), list[Any]()
    made = Tape(path, **tape)

    async def follow() -> None:
        async for run in watch(probe, options or Options(), clock=clock, tape=made):
            found.append([(one.target.id, one.verdicts) for one in run.results])

    task = asyncio.ensure_future(follow())
    try:
        while len(found) < runs:
            await clock.advance(S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        made.close()
    return found[:runs]


def judged(path: Path, probe: pk.Probe[Options], options: Options | None = None) -> tuple[Replay, list[Any]]:
    found: list[Any] = []
    with path.open("rb") as file:
        made = replay(
            lines_of(file),
            probe,
            options or Options(),
            module=HERE,
            on_close=lambda results, _: found.append([(one.target.id, one.verdicts) for one in results]),
        )
    return made, found


ENDPOINT, A, B = (
    pk.Target("e", "endpoint"),
    pk.Target("a", "service", "first", behind="e"),
    pk.Target("b", "service", behind="e"),
)
EVERYTHING: list[Sequence[Any]] = [
    [took(50, "e"), took(50), took(50, "b")],
    [took(50, "e"), took(150), failed(ConnectError("refused", url="http://b/"), "b")],
    [took(50, "e"), took(150)],
    [failed(Unauthorized("no", url="http://e/", status=401), "e")],
    [RuntimeError("a defect")],
    [ConnectError("refused", url="http://x/")],
    [took(50, "e"), took(50), took(50, "nobody"), took(50, "b")],
]


async def test_the_same_limits_give_the_same_verdicts_whatever_happened(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    probe = poll(lambda tick: EVERYTHING[tick % len(EVERYTHING)], targets=[ENDPOINT, A, B])
    verdicts = await recorded(probe, path, len(EVERYTHING))
    made, again = judged(path, probe)
    assert again[: len(verdicts)] == verdicts
    reasons = {one.reason for run in verdicts for _, given in run for one in given}
    assert reasons >= {"within_budget", "over_budget", "connect", "missing", "not_authorized", "behind_endpoint", "probe_error"}
    assert made.recorded == made.replayed
    assert (made.unreadable, made.full, made.unconfigured) == (0, False, set())


async def test_other_limits_turn_a_target_at_another_time(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    probe = poll(lambda tick: [took(50 + 20 * tick)], targets=[pk.Target("a", "service", "first")])
    await recorded(probe, path, 6)
    made, _ = judged(path, probe, Options(budget=timedelta(milliseconds=60)))
    before, after = made.recorded["a"], made.replayed["a"]
    assert (before.name, before.turns, after.turns) == ("first", 1, 1)
    # 50, 70, 90, 110, 130, 150 ms against 100 and 60.
    assert (before.counts[OK], before.counts[CRITICAL]) == (3, made.closes - 3)
    assert (after.counts[OK], after.counts[CRITICAL]) == (1, made.closes - 1)
    assert after.first[CRITICAL].reason == "over_budget"
    assert before.first[CRITICAL].at.since(after.first[CRITICAL].at) == 2 * 10**9
    assert before.lasted_ns[OK] - after.lasted_ns[OK] == 2 * 10**9
    assert sum(before.lasted_ns.values()) == sum(after.lasted_ns.values())


async def test_a_run_that_was_started_anew_starts_anew_and_the_gap_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    for _ in range(2):
        probe = poll(lambda tick: [took(50 if tick == 0 else 500)], targets=[pk.Target("a", "service")], checks=None)
        await recorded(probe, path, 3)
    made, _ = judged(path, probe)
    course = made.replayed["a"]
    assert course.counts[OK] == 2
    assert course == made.recorded["a"]
    assert sum(course.lasted_ns.values()) <= (made.closes - 2) * 10**9


async def test_a_check_that_raises_and_one_run_alone(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    probe = poll(lambda _: [took(1)], targets=[pk.Target("a", "service")], checks=[Broken()])
    tape = Tape(path)
    run = await run_once(probe, Options(), clock=FakeClock(), tape=tape)
    tape.close()
    tape.close()
    made, again = judged(path, probe)
    assert again == [[(one.target.id, one.verdicts) for one in run.results]]
    assert made.replayed["a"].first[UNKNOWN].reason == "probe_error"


# -- what is on a tape ---------------------------------------------------------------------------------------------------------


async def test_a_tape_never_grows_beyond_its_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tape"
    probe = poll(lambda _: [took(50)], targets=[pk.Target("a", "service")])
    verdicts = await recorded(probe, path, 30, max_bytes=4_000)
    assert len(verdicts) == 30
    assert path.stat().st_size <= 4_000
    assert "as long as it may be" in caplog.text
    made, again = judged(path, probe)
    assert made.full
    assert again == verdicts[: len(again)]
    with path.open("rb") as file:
        assert isinstance(list(read_steps(lines_of(file)))[-1], Full)


async def test_a_disk_that_fails_ends_the_tape_and_not_the_probe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Disk:
        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            return None

    tape = Tape(tmp_path / "tape")
    tape._stream.close()
    tape._stream = Disk()
    probe = poll(lambda _: [took(50)], targets=[pk.Target("a", "service")])
    with caplog.at_level(logging.ERROR):
        run = await run_once(probe, Options(), clock=FakeClock(), tape=tape)
    assert run.status is OK
    assert caplog.text.count("No space left on device") == 1
    with pytest.raises(ConfigError, match="cannot be written"):
        Tape(tmp_path)


async def test_what_cannot_be_written_is_counted_and_said(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    seen = [took(50, value=Odd(object())), took(5, "b")]
    probe = poll(lambda _: seen, targets=[pk.Target("a", "service"), pk.Target("b", "service")], checks=[])
    await recorded(probe, path, 2)
    made, _ = judged(path, probe)
    assert made.unreadable >= 2
    assert "builtins.object is no kind of value" in made.why_unreadable


async def test_no_secret_is_on_a_tape(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    key = pk.Secret("correct-horse-battery")
    error = ConnectError("refused", url="http://x/")
    error.args = ("http://x/?key=correct-horse-battery",)
    probe = poll(lambda _: [failed(error, "a")], targets=[pk.Target("a", "service")])
    await recorded(probe, path, 1, options=Options(key=key))
    assert b"correct-horse" not in path.read_bytes()


# -- what is no recording ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tape(tmp_path: Path) -> tuple[Path, pk.Probe[Options]]:
    path = tmp_path / "tape"
    probe = poll(lambda _: [took(50)], targets=[pk.Target("a", "service")])
    await recorded(probe, path, 3)
    return path, probe


def test_a_last_line_that_was_cut_is_left_out_and_a_broken_one_is_named(tape: tuple[Path, pk.Probe[Options]]) -> None:
    path, probe = tape
    whole, _ = judged(path, probe)
    data = path.read_bytes()
    path.write_bytes(data + b'{"step": "clo')
    assert judged(path, probe)[0] == whole
    path.write_bytes(data + b'{"step": "clo\n' + data.partition(b"\n")[2])
    with pytest.raises(DecodeError, match=rf"line {data.count(10) + 1} is no step"):
        judged(path, probe)
    path.write_bytes(b"\n" + data + b"\n\n")
    assert judged(path, probe)[0] == whole
    path.write_bytes(data + b"no\nno\n" + data)
    with pytest.raises(DecodeError, match="is no step"):
        judged(path, probe)


async def test_a_run_after_one_that_was_killed_is_read(tape: tuple[Path, pk.Probe[Options]]) -> None:
    path, probe = tape
    whole, _ = judged(path, probe)
    path.write_bytes(path.read_bytes() + b'{"step":"clo')
    await recorded(probe, path, 3)
    made, _ = judged(path, probe)
    assert made.closes >= whole.closes + 3


def test_other_files_are_refused(tape: tuple[Path, pk.Probe[Options]]) -> None:
    path, probe = tape
    with pytest.raises(DecodeError, match="this is no recording"):
        first_step(iter(()))
    with pytest.raises(DecodeError, match="this is no recording"):
        first_step([b'{"step": "ticked", "at": 1}\n'])
    began = json.loads(path.read_bytes().splitlines()[0])
    with pytest.raises(DecodeError, match="format 2; this release reads format 1"):
        first_step([json.dumps(began | {"format": 2}).encode() + b"\n"])
    with pytest.raises(ConfigError, match="a recording of another, not of scripted"):
        replay([json.dumps(began | {"probe": "another"}).encode() + b"\n"], probe, Options())


@pytest.mark.parametrize(
    "step",
    [
        {"step": "targets", "at": 1, "targets": [7]},
        {"step": "targets", "at": 1, "targets": [{"$": "probekit.units:Instant", "ns": 1}]},
        {"step": "stood_in", "at": 1, "target": {"$": "os:system"}},
        {"step": "unseen_failed", "at": 1, "error": 7},
        {"step": "closed", "at": 1, "statuses": {"a": ["splendid", "x"]}},
        {"step": "closed", "at": 1},
        {"step": "dance", "at": 1},
        {"at": 1},
        [],
    ],
)
def test_steps_that_are_none(step: Any, tape: tuple[Path, pk.Probe[Options]]) -> None:
    path, probe = tape
    path.write_bytes(path.read_bytes() + json.dumps(step).encode() + b"\n")
    with pytest.raises(DecodeError):
        judged(path, probe)


def test_an_observation_that_cannot_be_made_again_loses_no_other(tape: tuple[Path, pk.Probe[Options]]) -> None:
    path, probe = tape
    whole, _ = judged(path, probe)
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b'"seen"' in line)
    lines[place] = lines[place].replace(b"LatencySample", b"Nothing")
    path.write_bytes(b"".join(lines))
    made, _ = judged(path, probe)
    assert (made.unreadable, made.closes) == (1, whole.closes)
    assert "Nothing" in made.why_unreadable


def test_a_line_without_an_end_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["probekit.runner.replay"], "MAX_LINE", 1000)
    path = tmp_path / "tape"
    path.write_bytes(b"x" * 5000)
    with path.open("rb") as file, pytest.raises(DecodeError, match="a line of more than 1000 bytes"):
        list(lines_of(file))


async def test_a_target_that_the_options_do_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    probe = poll(lambda _: [took(50)], targets=[pk.Target("a", "service")])
    await recorded(probe, path, 1)

    def none_of_it(options: Any, target: pk.Target) -> Sequence[Check]:
        raise StopIteration

    made, _ = judged(path, replace(probe, checks=none_of_it))
    assert made.unconfigured == {"a"}


def test_a_course_counts_times_and_turns() -> None:
    course = Course("x")
    for second, status in ((0, OK), (1, OK), (3, CRITICAL), (4, OK)):
        course.take(status, "r", Instant(second * 10**9))
    assert (course.counts, course.turns) == ({OK: 3, CRITICAL: 1}, 2)
    assert course.lasted_ns == {OK: 3 * 10**9, CRITICAL: 10**9}
    assert course.first[OK].at == Instant(0)
