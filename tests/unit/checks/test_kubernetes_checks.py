"""Checks of Kubernetes objects: each state, its limit on both sides, and what holds for any cluster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import (
    ClaimBound,
    ContainerRestarts,
    CronOnTime,
    IssuedCertificates,
    JobOutcome,
    ObjectsListed,
    PodHealth,
    RequiredObjects,
    WorkloadReplicas,
)
from probekit.checks.base import is_fold
from probekit.codecs.kubernetes import decode_page
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Listing, ListProblem, ObjectKind
from probekit.units import Instant
from tests.support.kubernetes import DAY, HOUR, MINUTE, Objects

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
NOW = Instant.parse("2026-11-26T13:05:00Z")
MAKE = Objects(NOW)


def listing(kind: ObjectKind, *objects: Any, problems: tuple[ListProblem, ...] = (), ignored: int = 0) -> Observation[Listing]:
    """As the API writes it, decoded."""
    page = decode_page(kind, msgspec.json.encode({"items": objects}))
    assert not page.problems
    value = Listing(kind=kind, objects=page.objects, problems=problems, ignored=ignored)
    return Observation(value, "cluster", NOW, f"cluster/{kind}")


def judge(check: Any, observation: Observation[Listing], now: Instant = NOW) -> Verdict:
    if is_fold(check):
        verdict: Verdict = check.step(check.init(), observation, now=now)[1]
        return verdict
    judged: Verdict = check(observation, now=now)
    return judged


def brief(verdict: Verdict) -> tuple[Status, str]:
    return verdict.status, verdict.reason


# -- workloads ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "made", "expected"),
    [
        ("deployments", MAKE.deployment("a/b"), (OK, "complete")),
        ("deployments", MAKE.deployment("a/b", 0), (SKIPPED, "nothing_listed")),
        ("deployments", MAKE.deployment("a/b", 0, replicas=1), (WARNING, "rolling_out")),
        ("deployments", MAKE.deployment("a/b", generation=2), (WARNING, "not_observed")),
        ("deployments", MAKE.deployment("a/b", updatedReplicas=1), (WARNING, "rolling_out")),
        ("deployments", MAKE.deployment("a/b", replicas=4), (WARNING, "rolling_out")),
        ("deployments", MAKE.deployment("a/b", readyReplicas=2), (WARNING, "not_ready")),
        ("deployments", MAKE.deployment("a/b", availableReplicas=2), (WARNING, "not_ready")),
        ("deployments", MAKE.deployment("a/b", paused=True), (OK, "complete")),
        ("deployments", MAKE.deployment("a/b", paused=True, updatedReplicas=0), (WARNING, "paused")),
        ("deployments", MAKE.deployment("a/b", paused=True, readyReplicas=0), (WARNING, "not_ready")),
        (
            "deployments",
            MAKE.deployment("a/b", replicas=0, conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota"}]),
            (WARNING, "replica_failure"),
        ),
        ("statefulsets", MAKE.statefulset("a/b"), (OK, "complete")),
        ("statefulsets", MAKE.statefulset("a/b", updatedReplicas=0), (WARNING, "rolling_out")),
        ("statefulsets", MAKE.statefulset("a/b", strategy={"type": "OnDelete"}, updatedReplicas=0), (OK, "complete")),
        (
            "statefulsets",
            MAKE.statefulset("a/b", strategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, updatedReplicas=1),
            (OK, "complete"),
        ),
        ("statefulsets", MAKE.statefulset("a/b", availableReplicas=None), (OK, "complete")),
        ("daemonsets", MAKE.daemonset("a/b"), (OK, "complete")),
        ("daemonsets", MAKE.daemonset("a/b", 0), (SKIPPED, "nothing_listed")),
        ("daemonsets", MAKE.daemonset("a/b", numberReady=3), (WARNING, "not_ready")),
        ("daemonsets", MAKE.daemonset("a/b", updatedNumberScheduled=3), (WARNING, "rolling_out")),
        ("daemonsets", MAKE.daemonset("a/b", numberMisscheduled=1), (WARNING, "misscheduled")),
    ],
)
def test_the_state_of_a_workload(kind: ObjectKind, made: Any, expected: tuple[Status, str]) -> None:
    check = WorkloadReplicas(10 * MINUTE)
    found = listing(kind, made)
    assert brief(judge(check, found)) == expected
    # Of those that warn, what is on its way is critical once the grace is over, and not before.
    state, _ = check.step(check.init(), found, now=NOW)
    _, within = check.step(state, found, now=NOW.plus(10 * MINUTE))
    _, beyond = check.step(state, found, now=NOW.plus(10 * MINUTE + timedelta(seconds=1)))
    assert brief(within) == expected
    late = expected[0] is WARNING and expected[1] not in ("paused", "misscheduled")
    assert brief(beyond) == ((CRITICAL, expected[1]) if late else expected)


def test_the_sentence_has_the_replicas_in_it() -> None:
    made = MAKE.deployment("a/b", 5, readyReplicas=2, availableReplicas=1)
    verdict = judge(WorkloadReplicas(), listing("deployments", MAKE.deployment("a/ok"), made))
    assert "5 desired, 2 ready, 1 available, 5 updated" in verdict.message
    assert verdict.tally is not None
    assert (verdict.tally.ok, verdict.tally.warning, verdict.tally.total) == (1, 1, 2)
    assert [part.scope for part in verdict.parts] == ["a/b"]


def test_pods_that_come_and_go_are_no_progress_and_a_new_generation_gives_no_time() -> None:
    check = WorkloadReplicas(10 * MINUTE)
    state, seen = check.init(), []
    for minute in range(20):
        up = 2 + minute % 2 - (minute % 2 == 0)
        made = MAKE.deployment(
            "a/b", 4, readyReplicas=up, availableReplicas=up, generation=1 + minute // 4, observedGeneration=9
        )
        state, verdict = check.step(state, listing("deployments", made), now=NOW.plus(minute * MINUTE))
        seen.append(verdict.status)
    # From one to three pods: once that is progress.
    assert seen.index(CRITICAL) <= 18
    assert len(state.episodes) == 1


def test_what_cannot_be_listed_meanwhile_is_not_forgotten() -> None:
    check = WorkloadReplicas(10 * MINUTE)
    broken = MAKE.deployment("a/b", readyReplicas=0)
    state, _ = check.step(check.init(), listing("deployments", broken), now=NOW)
    problem = ListProblem("not_entitled", "a", "no")
    state, _ = check.step(state, listing("deployments", problems=(problem,)), now=NOW.plus(9 * MINUTE))
    _, verdict = check.step(state, listing("deployments", broken), now=NOW.plus(11 * MINUTE))
    assert verdict.status is CRITICAL
    gone, _ = check.step(state, listing("deployments"), now=NOW.plus(11 * MINUTE))
    assert gone.episodes == ()


# -- jobs --------------------------------------------------------------------------------------------------------------------


def test_jobs() -> None:
    check = JobOutcome(2 * HOUR)
    assert brief(judge(check, listing("jobs"))) == (SKIPPED, "nothing_listed")
    assert brief(judge(check, listing("jobs", MAKE.job("a/b")))) == (OK, "no_failure")
    failed = MAKE.job("a/b", "Failed", reason="BackoffLimitExceeded", message="too often")
    verdict = judge(check, listing("jobs", MAKE.job("a/c"), failed))
    assert brief(verdict) == (CRITICAL, "job_failed")
    assert "a/b failed 1h00m ago: BackoffLimitExceeded: too often" in verdict.message
    late = MAKE.job("a/b", "Failed", reason="DeadlineExceeded")
    assert brief(judge(check, listing("jobs", late))) == (CRITICAL, "job_deadline_exceeded")
    assert brief(judge(check, listing("jobs", MAKE.job("a/b", "", age=2 * HOUR)))) == (OK, "no_failure")
    assert brief(judge(check, listing("jobs", MAKE.job("a/b", "", age=3 * HOUR)))) == (WARNING, "job_running_long")
    assert brief(judge(JobOutcome(), listing("jobs", MAKE.job("a/b", "", age=30 * DAY)))) == (OK, "no_failure")
    waits = MAKE.job("a/b", "") | {"spec": {"suspend": True}}
    assert brief(judge(check, listing("jobs", waits))) == (SKIPPED, "nothing_listed")
    # Long ago is no excuse, unless its CronJob ran well since.
    old = MAKE.job("a/b-1", "Failed", age=9 * DAY, owner="b")
    earlier, other = MAKE.job("a/b-0", age=10 * DAY, owner="b"), MAKE.job("a/c-9", owner="c")
    assert brief(judge(check, listing("jobs", old, earlier, other))) == (CRITICAL, "job_failed")
    verdict = judge(check, listing("jobs", old, MAKE.job("a/b-2", age=HOUR, owner="b")))
    assert brief(verdict) == (OK, "no_failure")
    assert verdict.tally is not None
    assert verdict.tally.skipped == 1


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (MAKE.cronjob("a/b", "0 * * * *", 5 * MINUTE), (OK, "on_time")),
        (MAKE.cronjob("a/b", "0 * * * *", 65 * MINUTE), (CRITICAL, "missed_schedule")),
        (MAKE.cronjob("a/b", "1 * * * *", 64 * MINUTE), (OK, "on_time")),  # due four minutes ago: within the grace
        (MAKE.cronjob("a/b", "0 * * * *", None), (CRITICAL, "missed_schedule")),
        (MAKE.cronjob("a/b", "0 * * * *", None, age=4 * MINUTE), (OK, "on_time")),
        (MAKE.cronjob("a/b", "0 0 31 2 *", None), (OK, "on_time")),
        (MAKE.cronjob("a/b", "0 * * * *", 65 * MINUTE, concurrencyPolicy="Forbid"), (CRITICAL, "missed_schedule")),
        (MAKE.cronjob("a/b", "0 * * * *", 65 * MINUTE, concurrencyPolicy="Forbid", active=1), (WARNING, "still_running")),
        (MAKE.cronjob("a/b", "0 * * * *", 65 * MINUTE, active=1), (CRITICAL, "missed_schedule")),
        (MAKE.cronjob("a/b", "0 14 * * *", 23 * HOUR, timeZone="Europe/Berlin"), (CRITICAL, "missed_schedule")),
        (MAKE.cronjob("a/b", "0 14 * * *", 5 * MINUTE, timeZone="Europe/Berlin"), (OK, "on_time")),
        (MAKE.cronjob("a/b", "0 * * * *", 9 * DAY, suspend=True), (WARNING, "cron_suspended")),
        (MAKE.cronjob("a/b", "@every 1h", HOUR), (UNKNOWN, "unreadable_schedule")),
        (MAKE.cronjob("a/b", "0 * * * *", HOUR, timeZone="Mars/X"), (UNKNOWN, "unreadable_schedule")),
    ],
)
def test_cron_jobs(made: Any, expected: tuple[Status, str]) -> None:
    assert brief(judge(CronOnTime(timedelta(minutes=4, seconds=59)), listing("cronjobs", made))) == expected


def test_suspended_on_purpose() -> None:
    made = listing("cronjobs", MAKE.cronjob("a/b", "0 * * * *", None, suspend=True))
    assert judge(CronOnTime(suspended_is_meant=True), made).status is SKIPPED


# -- pods --------------------------------------------------------------------------------------------------------------------

NO_NODE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}]


def waiting(reason: str, restarts: int = 0) -> list[Any]:
    return [MAKE.container("other"), MAKE.container(restarts=restarts, waiting=reason, message="words", ended="Error")]


@pytest.mark.parametrize(
    ("made", "before", "after"),
    [
        (MAKE.pod("a/b"), (OK, "running"), (OK, "running")),
        (MAKE.pod("a/b", "Succeeded", ready=False, since=HOUR), (OK, "running"), (OK, "running")),
        (MAKE.pod("a/b", "Pending", ready=False, age=MINUTE), (SKIPPED, "nothing_listed"), (CRITICAL, "pod_pending")),
        (MAKE.pod("a/b", ready=False, since=MINUTE), (SKIPPED, "nothing_listed"), (CRITICAL, "pod_not_ready")),
        (MAKE.pod("a/b", "Unknown", ready=False, since=MINUTE), (SKIPPED, "nothing_listed"), (CRITICAL, "pod_not_ready")),
        (
            MAKE.pod("a/b", "Pending", ready=False, age=MINUTE, conditions=NO_NODE),
            (WARNING, "unschedulable"),
            (CRITICAL, "unschedulable"),
        ),
        *(
            (MAKE.pod("a/b", "Pending", ready=False, age=MINUTE, containers=waiting(why)), (WARNING, told), (CRITICAL, told))
            for why, told in [
                ("ErrImagePull", "image_pull"),
                ("ImagePullBackOff", "image_pull"),
                ("InvalidImageName", "image_pull"),
                ("CreateContainerConfigError", "container_error"),
                ("RunContainerError", "container_error"),
            ]
        ),
        (
            MAKE.pod("a/b", ready=False, since=MINUTE, containers=waiting("ContainerCreating")),
            (SKIPPED, "nothing_listed"),
            (CRITICAL, "pod_not_ready"),
        ),
        # A second container that loops, in a pod that still counts as ready.
        (MAKE.pod("a/b", containers=waiting("CrashLoopBackOff", 1)), (WARNING, "crash_loop"), (WARNING, "crash_loop")),
        (MAKE.pod("a/b", containers=waiting("CrashLoopBackOff", 3)), (CRITICAL, "crash_loop"), (CRITICAL, "crash_loop")),
        (MAKE.pod("a/b", "Failed", ready=False, since=MINUTE), (WARNING, "pod_failed"), (WARNING, "pod_failed")),
        (
            MAKE.pod("a/b", "Failed", ready=False, since=MINUTE, reason="Evicted", message="low on memory"),
            (WARNING, "evicted"),
            (WARNING, "evicted"),
        ),
        (MAKE.pod("a/b", "Failed", ready=False, since=2 * HOUR), (SKIPPED, "nothing_listed"), (SKIPPED, "nothing_listed")),
        (
            MAKE.pod("a/b", ready=False, meta={"deletionTimestamp": MAKE.ago(MINUTE)}),
            (SKIPPED, "nothing_listed"),
            (WARNING, "stuck_terminating"),
        ),
    ],
)
def test_the_state_of_a_pod(made: Any, before: tuple[Status, str], after: tuple[Status, str]) -> None:
    """A minute after it came to be so, and ten."""
    check = PodHealth(grace=5 * MINUTE)
    assert brief(judge(check, listing("pods", made))) == before
    assert brief(judge(check, listing("pods", made), NOW.plus(9 * MINUTE))) == after


def test_the_words_of_the_kubelet_and_the_scheduler_are_shown() -> None:
    made = MAKE.pod("a/b", "Pending", ready=False, age=HOUR, containers=waiting("ImagePullBackOff"))
    assert "a/b main: ImagePullBackOff: words, for 1h00m" in judge(PodHealth(), listing("pods", made)).message
    loops = MAKE.pod("a/b", ready=False, containers=waiting("CrashLoopBackOff", 7))
    assert "words, 7 restarts, last Error (1)" in judge(PodHealth(), listing("pods", loops)).message


def restarted(times: int, ended: str = "", ago: timedelta = MINUTE, age: timedelta = DAY) -> Any:
    return MAKE.pod("a/b", age=age, containers=[MAKE.container(restarts=times, ended=ended, ago=ago, code=137)])


def test_restarts_before_the_first_listing_count_as_far_as_they_can_be_told() -> None:
    check = ContainerRestarts(max_restarts=5, warn_restarts=0, window=HOUR)
    assert brief(judge(check, listing("pods", restarted(9)))) == (OK, "steady")
    assert judge(check, listing("pods", restarted(9, "Error"))).value == 1
    assert judge(check, listing("pods", restarted(9, "Error", 2 * HOUR))).status is OK
    young = judge(check, listing("pods", restarted(6, age=30 * MINUTE)))
    assert (brief(young), young.value) == ((CRITICAL, "restarting"), 6)


def test_a_container_seen_without_a_restart_has_none_to_be_guessed() -> None:
    check = ContainerRestarts(max_restarts=5, warn_restarts=2, window=HOUR)
    state, _ = check.step(check.init(), listing("pods", restarted(0)), now=NOW)
    _, verdict = check.step(state, listing("pods", restarted(4)), now=NOW.plus(MINUTE))
    assert (verdict.status, verdict.value) == (WARNING, 4)


@pytest.mark.parametrize("before", [0, 2])
def test_restarts_of_a_time_that_was_not_listed_are_of_no_window(before: int) -> None:
    """Six within ten hours in which no pods could be listed are not six within the last one."""
    check = ContainerRestarts(max_restarts=5, warn_restarts=2, window=HOUR)
    state, _ = check.step(check.init(), listing("pods", restarted(before)), now=NOW)
    later = NOW.plus(10 * HOUR)
    state, verdict = check.step(state, listing("pods", restarted(before + 6)), now=later)
    assert brief(verdict) == (OK, "steady")
    state, verdict = check.step(state, listing("pods", restarted(before + 9)), now=later.plus(MINUTE))
    assert (verdict.status, verdict.value) == (WARNING, 3)
    # A gap within the window is none.
    _, verdict = check.step(state, listing("pods", restarted(before + 15)), now=later.plus(50 * MINUTE))
    assert (verdict.status, verdict.value) == (CRITICAL, 9)


def test_containers_that_are_gone_are_forgotten_though_no_list_is_whole() -> None:
    """Where one namespace may never be read, whoever restarted once was kept for ever, and who came later was not."""
    check = ContainerRestarts(max_restarts=5, warn_restarts=2, window=HOUR)
    state, problem = check.init(), ListProblem("not_entitled", "other", "pods may not be listed")
    for hour in range(5):
        pod = MAKE.pod(f"a/{hour}", containers=[MAKE.container(restarts=1)])
        state, _ = check.step(state, listing("pods", pod, problems=(problem,)), now=NOW.plus(hour * 2 * HOUR))
    assert len(state.tracks) == 1


def test_a_kill_for_memory_warns_for_the_window() -> None:
    check = ContainerRestarts(window=HOUR)
    found = listing("pods", restarted(1, "OOMKilled"))
    assert brief(judge(check, found)) == (WARNING, "oom_killed")
    assert "killed for its memory" in judge(check, found).message
    assert judge(check, found, NOW.plus(HOUR)).status is OK


@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=60), limit=st.integers(0, 8))
def test_restarts_in_the_window_are_what_counting_by_hand_gives(counts: list[int], limit: int) -> None:
    """One listing a minute, each with so many restarts more; the limit is on those of the last ten minutes."""
    check = ContainerRestarts(max_restarts=limit, warn_restarts=limit, window=10 * MINUTE)
    state, total, history = check.init(), 0, []
    for minute, more in enumerate(counts):
        total += more if minute else 0
        history.append(total)
        state, verdict = check.step(state, listing("pods", restarted(total)), now=NOW.plus(minute * MINUTE))
        inside = total - history[max(0, minute - 10)]
        assert (verdict.status is CRITICAL) == (inside > limit)
        assert all(len(one.points) <= limit + 2 for one in state.tracks)


# -- claims and certificates -------------------------------------------------------------------------------------------------


def test_claims() -> None:
    check = ClaimBound(5 * MINUTE)
    assert brief(judge(check, listing("persistentvolumeclaims", MAKE.claim("a/b")))) == (OK, "bound")
    assert brief(judge(check, listing("persistentvolumeclaims", MAKE.claim("a/b", "Lost")))) == (CRITICAL, "claim_lost")
    young, old = MAKE.claim("a/b", "Pending", 5 * MINUTE), MAKE.claim("a/b", "Pending", 6 * MINUTE)
    assert brief(judge(check, listing("persistentvolumeclaims", young))) == (SKIPPED, "nothing_listed")
    verdict = judge(check, listing("persistentvolumeclaims", old))
    assert brief(verdict) == (CRITICAL, "claim_pending")
    assert "of class fast is Pending for 6m00s" in verdict.message
    seen = listing("persistentvolumeclaims", old)
    for used, expected in ((True, CRITICAL), (False, SKIPPED)):
        claims = tuple(msgspec.structs.replace(one, used=used) for one in seen.value.objects)
        value = msgspec.structs.replace(seen.value, objects=claims)
        assert judge(check, msgspec.structs.replace(seen, value=value)).status is expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (MAKE.certificate("a/b"), (OK, "certificates_valid")),
        (MAKE.certificate("a/b", timedelta(0)), (CRITICAL, "certificate_expired")),
        (MAKE.certificate("a/b", 7 * DAY, renew=-MINUTE), (CRITICAL, "certificate_expiring")),
        (MAKE.certificate("a/b", 8 * DAY, renew=-MINUTE), (WARNING, "certificate_expiring")),
        (MAKE.certificate("a/b", 22 * DAY, renew=-MINUTE), (OK, "certificates_valid")),
        (MAKE.certificate("a/b", 22 * DAY, renew=-DAY), (WARNING, "renewal_due")),
        # Short-lived on purpose: its renewal is still to come.
        (MAKE.certificate("a/b", DAY, renew=HOUR), (OK, "certificates_valid")),
        (MAKE.certificate("a/b", ready=False, reason="DoesNotExist"), (CRITICAL, "certificate_not_ready")),
        (
            MAKE.certificate("a/b", ready=False, lastTransitionTime=MAKE.ago(MINUTE), message="issuing"),
            (WARNING, "certificate_not_ready"),
        ),
        ({"metadata": MAKE.meta("a/b")}, (CRITICAL, "certificate_not_ready")),
    ],
)
def test_certificates(made: Any, expected: tuple[Status, str]) -> None:
    assert brief(judge(IssuedCertificates(), listing("certificates", made))) == expected


# -- listings ----------------------------------------------------------------------------------------------------------------


def test_what_is_not_in_a_listing() -> None:
    def told(kind: Any, check: ObjectsListed | None = None) -> tuple[Status, str]:
        problem = ListProblem(kind, "a", "words")
        return brief(judge(check or ObjectsListed(), listing("pods", MAKE.pod("a/b"), problems=(problem,))))

    assert brief(judge(ObjectsListed(), listing("pods", ignored=3))) == (OK, "listed")
    assert "0 pods were listed, 3 more are ignored" in judge(ObjectsListed(), listing("pods", ignored=3)).message
    assert told("not_entitled") == (UNKNOWN, "not_entitled")
    assert told("not_served") == (UNKNOWN, "not_served")
    assert told("not_served", ObjectsListed(optional=True)) == (SKIPPED, "not_served")
    assert told("list_failed") == (UNKNOWN, "list_failed")
    assert told("unreadable") == (CRITICAL, "unreadable")
    assert told("truncated") == (WARNING, "truncated")


def test_what_must_be_there() -> None:
    check = RequiredObjects(("a/b", "c/d"))
    there = listing("pods", MAKE.pod("a/b"), MAKE.pod("c/d"))
    assert brief(judge(check, there)) == (OK, "all_there")
    verdict = judge(check, listing("pods", MAKE.pod("a/b")))
    assert (brief(verdict), [part.scope for part in verdict.parts]) == ((CRITICAL, "missing_object"), ["c/d"])
    for scope, expected in (("", UNKNOWN), ("c", UNKNOWN), ("c/d", UNKNOWN), ("a", CRITICAL)):
        problem = ListProblem("list_failed", scope, "late")
        assert judge(check, listing("pods", MAKE.pod("a/b"), problems=(problem,))).status is expected
    for wrong in ((), ("a",), ("a/",), ("/b",), ("a/b/c",)):
        with pytest.raises(ValueError):
            RequiredObjects(wrong)


def test_a_cluster_where_all_is_broken_is_told_in_bounds() -> None:
    pods = listing("pods", *(MAKE.pod(f"a/{n}", ready=False, since=HOUR, containers=waiting("X", 9)) for n in range(300)))
    for check in (PodHealth(), ContainerRestarts()):
        verdict = judge(check, pods)
        assert len(verdict.parts) <= 100
        assert len(verdict.message) < 1_500
    assert judge(PodHealth(), pods).tally.critical == 300  # type: ignore[union-attr]
    assert len(msgspec.json.encode(pods.value.shown())) < 1_000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: WorkloadReplicas(-MINUTE), "grace"),
        (lambda: CronOnTime(-MINUTE), "grace"),
        (lambda: ClaimBound(-MINUTE), "grace"),
        (lambda: PodHealth(-MINUTE, 0, -MINUTE), "grace.*remember.*crash_restarts"),
        (lambda: JobOutcome(timedelta(0)), "max_running"),
        (lambda: ContainerRestarts(1, 2), "warn_restarts"),
        (lambda: ContainerRestarts(101, 2), "100"),
        (lambda: ContainerRestarts(window=timedelta(0)), "window"),
        (lambda: IssuedCertificates(9 * DAY, 8 * DAY), "critical_before"),
    ],
)
def test_thresholds_that_cannot_be_meant(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


PHASES = ("Running", "Pending", "Failed")
STATES: dict[str, tuple[Any, Callable[[str, int], Any]]] = {
    "deployments": (WorkloadReplicas(), lambda name, n: MAKE.deployment(name, 3, readyReplicas=n % 4, updatedReplicas=n % 3)),
    "jobs": (JobOutcome(HOUR), lambda name, n: MAKE.job(name, ("Complete", "Failed", "")[n % 3], age=n * MINUTE)),
    "cronjobs": (CronOnTime(), lambda name, n: MAKE.cronjob(name, "*/7 * * * *", n * MINUTE)),
    "pods": (PodHealth(), lambda name, n: MAKE.pod(name, PHASES[n % 3], ready=n % 2 == 0, age=n * MINUTE)),
    "persistentvolumeclaims": (
        ClaimBound(), lambda name, n: MAKE.claim(name, ("Bound", "Pending", "Lost")[n % 3], n * MINUTE)
    ),
    "certificates": (IssuedCertificates(), lambda name, n: MAKE.certificate(name, n * DAY, ready=n % 3 > 0, renew=-n * MINUTE)),
}  # fmt: skip


@pytest.mark.parametrize("kind", STATES)
@given(numbers=st.lists(st.integers(0, 40), max_size=12))
def test_one_object_is_judged_alike_whatever_stands_beside_it(kind: ObjectKind, numbers: list[int]) -> None:
    """And twice the same, and every one is counted once."""
    check, make = STATES[kind]
    objects = [make(f"a/{place}", n) for place, n in enumerate(numbers)]
    whole = judge(check, listing(kind, *objects))
    assert whole == judge(check, listing(kind, *objects))
    assert whole.tally is not None
    assert whole.tally.total == len(objects)
    alone = {part.scope: (part.status, part.reason) for one in objects for part in judge(check, listing(kind, one)).parts}
    assert {part.scope: (part.status, part.reason) for part in whole.parts} == alone
