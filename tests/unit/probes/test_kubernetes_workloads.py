"""kubernetes_workloads on a fake clock, over an API server that lists what a test says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, TlsError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.model.kubernetes import KINDS
from probekit.runner import RunSettings, run_once, watch
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request
from tests.support.kubernetes import DAY, HOUR, MINUTE, SECRET, ApiServer, Objects, kubeconfig
from tests.support.pki import issue
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("kubernetes_workloads")
MODULE = module_of(PROBE)
JUNK = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


@pytest.fixture
def config(tmp_path: Path) -> str:
    return kubeconfig(tmp_path)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Objects:
    return Objects(clock.now())


async def once(server: ApiServer, config: str, **options: Any) -> ProbeRun:
    task = asyncio.ensure_future(
        run_once(
            PROBE,
            PROBE.options(kubeconfig=config, cluster="prod", **options),
            clock=server.clock,
            engines=lambda _: ReplyTransport(server),
        )
    )
    for _ in range(400):
        if task.done():
            break
        await server.clock.advance(S / 4)
    assert task.done(), "the run took longer than its deadline"
    return task.result()


def part(run: ProbeRun, kind: str, name: str) -> tuple[Status, str, str]:
    """Of the worst part of that scope: status, reason, sentence."""
    parts = [one for whole in result(run, f"prod/{kind}").verdicts for one in whole.parts if one.scope == name]
    worst = max(parts, key=lambda one: one.status.severity)
    return worst.status, worst.reason, worst.message


@pytest.mark.shows("kubernetes_workloads", "OK")
async def test_a_healthy_cluster_is_ok_kind_by_kind(make: Objects, clock: FakeClock, config: str) -> None:
    server = ApiServer(make.healthy(), clock)
    run = await once(server, config)
    assert run.status is OK, [one.verdicts for one in run.results if one.verdicts]
    assert [one.target.id for one in run.results] == [
        "prod", *(f"prod/{kind}" for kind in KINDS if kind != "tls_secrets")
    ]  # fmt: skip
    # One list for each kind, whatever is in it, and nothing else.
    assert sorted(server.asked) == sorted(kind for kind in KINDS if kind != "tls_secrets")
    assert SECRET not in repr(run)


@pytest.mark.shows("kubernetes_workloads", "CRITICAL job_failed", "CRITICAL claim_lost", "CRITICAL certificate_expired")
async def test_each_state_of_a_cluster_at_once(make: Objects, clock: FakeClock, config: str) -> None:
    objects = make.healthy()
    stalled = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out progressing",
    }
    objects["deployments"].append(make.deployment("oracle/stuck", readyReplicas=2, conditions=[stalled]))
    objects["jobs"].append(make.job("oracle/load", "Failed", reason="BackoffLimitExceeded", message="it failed 6 times"))
    objects["cronjobs"].append(make.cronjob("oracle/late", "*/5 * * * *", 3 * HOUR))
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no memory"}
    pull = make.container(waiting="ImagePullBackOff", message="Back-off pulling image nowhere/x")
    loop = make.container(restarts=9, waiting="CrashLoopBackOff", ended="OOMKilled", code=137)
    objects["pods"] += [
        make.pod("oracle/waits", "Pending", ready=False, age=HOUR, conditions=[unschedulable]),
        make.pod("oracle/pulls", "Pending", ready=False, age=HOUR, containers=[pull]),
        make.pod("oracle/loops", ready=False, since=HOUR, containers=[loop]),
    ]
    objects["persistentvolumeclaims"] += [make.claim("oracle/lost", "Lost"), make.claim("oracle/idle", "Pending")]
    objects["certificates"].append(make.certificate("oracle/old", -DAY, ready=False))
    run = await once(ApiServer(objects, clock), config)
    assert run.status is CRITICAL
    assert part(run, "deployments", "oracle/stuck") == (
        CRITICAL, "progress_deadline_exceeded",
        "oracle/stuck: timed out progressing (3 desired, 2 ready, 3 available, 3 updated)",
    )  # fmt: skip
    assert part(run, "jobs", "oracle/load")[:2] == (CRITICAL, "job_failed")
    assert part(run, "cronjobs", "oracle/late")[:2] == (CRITICAL, "missed_schedule")
    waits = part(run, "pods", "oracle/waits")
    assert waits[:2] == (CRITICAL, "unschedulable")
    assert "0/3 nodes: no memory, for 1h00m" in waits[2]
    assert part(run, "pods", "oracle/pulls")[:2] == (CRITICAL, "image_pull")
    assert "Back-off pulling image nowhere/x" in part(run, "pods", "oracle/pulls")[2]
    assert part(run, "pods", "oracle/loops")[:2] == (CRITICAL, "crash_loop")
    assert part(run, "pods", "oracle/loops/main")[1] == "oom_killed"
    assert part(run, "persistentvolumeclaims", "oracle/lost")[:2] == (CRITICAL, "claim_lost")
    # Pods are listed, and none asks for it: nothing is wrong with a claim that waits for its first.
    assert [one.scope for one in result(run, "prod/persistentvolumeclaims").verdicts[1].parts] == ["oracle/lost"]
    assert part(run, "certificates", "oracle/old")[:2] == (CRITICAL, "certificate_expired")
    assert others_ok(run, *(f"prod/{kind}" for kind in objects if kind not in ("statefulsets", "daemonsets")))
    assert SECRET not in repr(run)


@pytest.mark.shows("kubernetes_workloads", "OK", "WARNING rolling_out", "CRITICAL rolling_out")
async def test_a_rollout_within_its_grace_warns_and_beyond_it_is_critical(make: Objects, clock: FakeClock, config: str) -> None:
    server = ApiServer(make.healthy(), clock)
    objects = server.objects["deployments"]
    options = PROBE.options(kubeconfig=config, kinds=("deployments",), grace=10 * MINUTE)
    runs: list[ProbeRun] = []

    async def follow() -> None:
        settings = RunSettings(interval=MINUTE)
        async for run in watch(PROBE, options, settings=settings, clock=clock, engines=lambda _: ReplyTransport(server)):
            runs.append(run)

    task = asyncio.ensure_future(follow())

    async def minutes(number: int) -> tuple[Status, str]:
        for _ in range(number):
            await clock.advance(MINUTE)
        return verdict(runs[-1], "cluster/deployments")

    try:
        await clock.advance(S)
        assert await minutes(1) == (OK, "listed")
        objects[0] = make.deployment("oracle/pusher", generation=2, updatedReplicas=0)
        assert await minutes(1) == (WARNING, "not_observed")
        objects[0] = make.deployment("oracle/pusher", generation=2, observedGeneration=2, replicas=4, updatedReplicas=1)
        assert await minutes(8) == (WARNING, "rolling_out")
        # One more pod is updated: that is progress, and counts the grace from now.
        objects[0] = make.deployment("oracle/pusher", generation=2, observedGeneration=2, replicas=4, updatedReplicas=2)
        assert await minutes(8) == (WARNING, "rolling_out")
        assert await minutes(4) == (CRITICAL, "rolling_out")
        objects[0] = make.deployment("oracle/pusher", generation=2, observedGeneration=2)
        assert await minutes(1) == (OK, "listed")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_kind_that_cannot_be_listed_hides_no_other(status: int, make: Objects, clock: FakeClock, config: str) -> None:
    words = 'pods is forbidden: User "probe" cannot list resource "pods"'
    server = ApiServer(make.healthy(), clock, refused={"pods": (status, words)})
    run = await once(server, config)
    wanted = {403: (UNKNOWN, "not_entitled"), 404: (UNKNOWN, "not_served"), 500: (CRITICAL, "server_error")}
    assert verdict(run, "prod/pods") == wanted[status]
    assert others_ok(run, "prod/pods")
    if status == 403:
        assert words in result(run, "prod/pods").verdicts[0].message
    # Its evidence is the exchange that was about it, and of a list that was given nothing is kept.
    evidence = result(run, "prod/pods").evidence
    assert evidence is not None
    assert (evidence.request, evidence.status) == ("GET http://127.0.0.1:8001/api/v1/pods?limit=500", status)
    assert {one.excerpt for one in run.requests if one.status == 200} == {""}


async def test_no_cert_manager_is_a_skip_and_no_more(make: Objects, clock: FakeClock, config: str) -> None:
    objects = make.healthy()
    del objects["certificates"]
    run = await once(ApiServer(objects, clock), config)
    assert verdict(run, "prod/certificates") == (SKIPPED, "not_served")
    assert run.status is OK


async def test_one_namespace_that_may_not_be_listed_leaves_the_others(make: Objects, clock: FakeClock, config: str) -> None:
    objects = make.healthy()
    objects["deployments"].append(make.deployment("other/app"))
    server = ApiServer(objects, clock, refused={"other/deployments": (403, "forbidden")})
    run = await once(server, config, kinds=("deployments",), namespaces=("oracle", "other"))
    assert sorted(server.asked) == ["oracle/deployments", "other/deployments"]
    assert part(run, "deployments", "other")[:2] == (UNKNOWN, "not_entitled")
    replicas = next(one for one in result(run, "prod/deployments").verdicts if one.check == "workload_replicas")
    assert replicas.status is OK
    assert replicas.tally is not None
    assert replicas.tally.ok == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectError("refused", elapsed_ns=1), "connect"),
        (TlsError("unknown authority", elapsed_ns=1), "tls"),
        (DeadlineExceeded("late", phase="first_byte", elapsed_ns=1), "deadline_first_byte"),
    ],
)
async def test_an_api_server_that_cannot_be_reached_is_unknown_and_told_once(
    error: Exception, reason: str, make: Objects, clock: FakeClock, config: str
) -> None:
    run = await once(ApiServer(make.healthy(), clock, hook=lambda _: error), config)
    assert verdict(run, "prod") == (UNKNOWN, reason)
    assert {verdict(run, one.target.id) for one in run.results[1:]} == {(UNKNOWN, "behind_endpoint")}
    assert run.status is UNKNOWN


async def test_an_api_server_that_fails_is_critical_and_one_that_refuses_us_unknown(
    make: Objects, clock: FakeClock, config: str
) -> None:
    failing: dict[str, tuple[int, str]] = dict.fromkeys(KINDS, (503, "etcd is down"))
    assert verdict(await once(ApiServer(make.healthy(), clock, refused=failing), config), "prod") == (CRITICAL, "server_error")
    for status in (401, 403):
        refusing: dict[str, tuple[int, str]] = dict.fromkeys(KINDS, (status, "no"))
        run = await once(ApiServer(make.healthy(), clock, refused=refusing), config)
        assert verdict(run, "prod") == (UNKNOWN, "not_authorized")
        assert {verdict(run, one.target.id) for one in run.results[1:]} == {(UNKNOWN, "behind_endpoint")}


async def test_an_object_that_does_not_read_loses_only_itself(make: Objects, clock: FakeClock, config: str) -> None:
    objects = make.healthy()
    broken = make.deployment("oracle/broken")
    broken["status"]["readyReplicas"] = SECRET
    objects["deployments"].insert(0, broken)
    run = await once(ApiServer(objects, clock), config)
    assert part(run, "deployments", "oracle/broken")[:2] == (CRITICAL, "unreadable")
    replicas = next(one for one in result(run, "prod/deployments").verdicts if one.check == "workload_replicas")
    assert (replicas.status, replicas.tally and replicas.tally.ok) == (OK, 2)
    assert others_ok(run, "prod/deployments")
    assert SECRET not in repr(run)


async def test_required_and_ignored_objects(make: Objects, clock: FakeClock, config: str) -> None:
    objects = make.healthy()
    objects["pods"].append(make.pod("oracle/debug-1", "Failed", ready=False, since=MINUTE))
    server = ApiServer(objects, clock)
    options = {"kinds": ("deployments", "pods"), "required": ("deployments:oracle/pusher", "deployments:oracle/gone")}
    run = await once(server, config, **options, ignore=("pods:*/debug-*",))
    assert part(run, "deployments", "oracle/gone")[:2] == (CRITICAL, "missing_object")
    pods = result(run, "prod/pods").verdicts
    assert {one.status for one in pods} == {OK}
    assert [one.tally.skipped for one in pods if one.check == "pod_health" and one.tally] == [1]
    assert verdict(await once(server, config, **options), "prod/pods") == (WARNING, "pod_failed")
    # What could not be listed may be there.
    server.refused["deployments"] = (403, "no")
    run = await once(server, config, **options)
    assert part(run, "deployments", "oracle/gone")[:2] == (UNKNOWN, "not_seen")


async def test_a_namespace_that_is_not_answered_takes_nothing_from_the_other(
    make: Objects, clock: FakeClock, config: str
) -> None:
    objects = make.healthy()
    objects["statefulsets"] = [make.statefulset("oracle/db", readyReplicas=0, availableReplicas=0)]
    server = ApiServer(objects, clock)
    silent: list[str] = ["dark"]

    async def answer(request: Request) -> Any:
        if any(f"/namespaces/{one}/" in request.url for one in silent):
            await asyncio.Event().wait()
        return server(request)

    options = PROBE.options(kubeconfig=config, cluster="prod", namespaces=("dark", "oracle"))

    async def run() -> ProbeRun:
        task = asyncio.ensure_future(run_once(PROBE, options, clock=clock, engines=lambda _: ReplyTransport(answer)))
        for _ in range(400):
            if task.done():
                break
            await clock.advance(S / 4)
        return task.result()

    found = await run()
    for kind in options.kinds:
        assert part(found, kind, "dark")[:2] == (UNKNOWN, "list_failed"), kind
        assert f"did not list {kind} in time" in part(found, kind, "dark")[2]
    assert part(found, "statefulsets", "oracle/db")[:2] == (WARNING, "not_ready")
    assert found.elapsed_ns <= 31 * 10**9
    others = {one.target.id: {v.check: v for v in one.verdicts} for one in found.results}
    assert others["prod/deployments"]["workload_replicas"].status is OK
    silent.append("oracle")
    found = await run()
    assert verdict(found, "prod") == (UNKNOWN, "deadline")
    assert {one.verdicts[0].status for one in found.results} == {UNKNOWN}
    assert found.elapsed_ns <= 31 * 10**9


async def test_a_claim_that_was_made_for_a_pod_is_judged_with_it(make: Objects, clock: FakeClock, config: str) -> None:
    objects: dict[str, list[Any]] = {
        "pods": [
            make.pod("oracle/job-1", "Pending", ready=False, age=HOUR, ephemeral=("scratch",)),
            make.pod("oracle/job-2", "Failed", ready=False, age=HOUR, ephemeral=("scratch",)),
            make.pod("oracle/job-3", "Pending", ready=False, age=MINUTE, ephemeral=("scratch",)),
            make.pod("test/job-4", "Pending", ready=False, age=HOUR, ephemeral=("scratch",)),
        ],
        "persistentvolumeclaims": [
            make.claim("oracle/job-1-scratch", "Pending", HOUR, pod="job-1"),
            make.claim("oracle/job-2-scratch", "Pending", HOUR, pod="job-2"),
            make.claim("oracle/job-3-scratch", "Pending", MINUTE, pod="job-3"),
            make.claim("test/job-4-scratch", "Pending", HOUR, pod="job-4"),
            make.claim("oracle/idle", "Pending", HOUR),
        ],
    }

    async def claims(**more: Any) -> dict[str | None, str]:
        run = await once(ApiServer(objects, clock), config, ignore=("pods:test/job-*",), **more)
        [bound] = [one for one in result(run, "prod/persistentvolumeclaims").verdicts if one.check == "claim_bound"]
        assert bound.tally is not None
        return {one.scope: one.reason for one in bound.parts} | {"skipped": str(bound.tally.skipped)}

    kinds = ("pods", "persistentvolumeclaims")
    # Of the others one's pod has ended, one is within its grace, one is ignored with its pod, one is nobody's.
    assert await claims(kinds=kinds) == {"oracle/job-1-scratch": "claim_pending", "skipped": "4"}
    # Not all pods are known: whom it was made for asks for it all the same; of the rest nothing is known.
    unknown = dict.fromkeys(("oracle/job-1-scratch", "oracle/job-2-scratch", "oracle/idle"), "claim_pending")
    assert await claims(kinds=kinds, labels="app=job") == {**unknown, "skipped": "2"}


async def test_secrets_are_read_only_where_that_is_asked_for(make: Objects, clock: FakeClock, config: str) -> None:
    import base64

    import trustme

    ends = clock.now().plus(5 * DAY).to_datetime()
    issued = trustme.CA().issue_cert("a.example", not_before=ends - 30 * DAY, not_after=ends)
    chain = base64.b64encode(b"".join(one.bytes() for one in issued.cert_chain_pems)).decode()
    secret = {"metadata": make.meta("oracle/tls"), "type": "kubernetes.io/tls", "data": {"tls.crt": chain, "tls.key": SECRET}}
    damaged = {"metadata": make.meta("oracle/bad"), "data": {"tls.crt": base64.b64encode(SECRET.encode()).decode()}}
    server = ApiServer({"tls_secrets": [secret, damaged]}, clock)
    run = await once(server, config, kinds=("tls_secrets",))
    assert part(run, "tls_secrets", "oracle/tls")[:2] == (CRITICAL, "certificate_expiring")
    assert part(run, "tls_secrets", "oracle/bad")[:2] == (CRITICAL, "unreadable")
    assert SECRET not in repr(run)
    assert base64.b64encode(SECRET.encode()).decode() not in repr(run)
    # A list that is cut in the middle: the error keeps none of it.
    cut = ApiServer({}, clock, hook=lambda _: reply(200, b'{"items": [{"data": {"tls.key": "' + SECRET.encode(), clock=clock))
    run = await once(cut, config, kinds=("tls_secrets",))
    assert verdict(run, "prod") == (CRITICAL, "decode")
    assert SECRET not in repr(run)


async def test_of_a_secret_the_chain_that_lives_longest_counts(
    make: Objects, clock: FakeClock, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(subject: str, days: float, by: Any = None, **more: Any) -> Any:
        # Days of the clock that the test turns.
        end, start = clock.now().plus(days * DAY).to_datetime(), clock.now().plus(-400 * DAY).to_datetime()
        return issue(subject, by, start=start, days=(end - datetime.now(UTC)) / DAY, **more)

    def served(by: Any, days: float = 90, **more: Any) -> Any:
        return ends("server", days, by, ca=False, names=("a.example",), **more)

    known, old, stranger = ends("known", 3_650), ends("old", 2_000), ends("stranger", 3_650)
    (tmp_path / "ca.pem").write_bytes(known.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    # The same authority by its new root, and cross-signed by an old one until long ago.
    new = ends("between", 300, known, key_number=1)
    stale = ends("between", -30, old, key_number=1)
    root = ends("upper", 3_650, key_number=2)
    crossed = ends("upper", -30, old, key_number=2)
    lower = ends("lower", 300, root)
    soon = ends("soon", 3, stranger)
    client_only = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]
    server = ApiServer(
        {
            "tls_secrets": [
                make.tls_secret("oracle/stale", served(new).pem, new.pem, stale.pem),
                make.tls_secret("oracle/crossed", served(lower).pem, lower.pem, crossed.pem, authorities=root.pem),
                make.tls_secret("oracle/whole", served(lower).pem, lower.pem, crossed.pem, root.pem),
                make.tls_secret("oracle/junk", served(new).pem, new.pem, authorities=JUNK),
                make.tls_secret("oracle/above", served(soon).pem, soon.pem),
                make.tls_secret("oracle/only", served(new, 3).pem, new.pem),
                make.tls_secret("oracle/gone", served(stale).pem, stale.pem),
                make.tls_secret("oracle/self", ends("self", 90, ca=False, names=("a.example",)).pem),
                make.tls_secret("oracle/client", served(soon, extensions=client_only).pem, soon.pem),
                make.tls_secret("oracle/damaged", served(new).pem, JUNK),
            ]
        },
        clock,
    )  # fmt: skip
    run = await once(server, config, kinds=("tls_secrets",))
    parts = {one.scope: one for whole in result(run, "prod/tls_secrets").verdicts for one in whole.parts}
    assert {name: (one.status, one.reason) for name, one in parts.items()} == {
        "oracle/above": (CRITICAL, "certificate_expiring"),
        "oracle/only": (CRITICAL, "certificate_expiring"),
        "oracle/gone": (CRITICAL, "certificate_expired"),
        "oracle/client": (CRITICAL, "certificate_expiring"),
        "oracle/damaged": (CRITICAL, "unreadable"),
    }
    assert "(that of CN=soon above it)" in parts["oracle/above"].message
    assert "above it" not in parts["oracle/only"].message
    assert SECRET not in repr(run)


@pytest.mark.shows("kubernetes_workloads", "OK", "WARNING restarting", "CRITICAL restarting")
async def test_restarts_are_counted_within_the_window(make: Objects, clock: FakeClock, config: str) -> None:
    server = ApiServer({"pods": [make.pod("oracle/a", containers=[make.container(restarts=40)])]}, clock)
    options = PROBE.options(kubeconfig=config, kinds=("pods",), max_restarts=2, warn_restarts=1, restart_window=10 * MINUTE)
    runs: list[ProbeRun] = []

    async def follow() -> None:
        settings = RunSettings(interval=MINUTE)
        async for run in watch(PROBE, options, settings=settings, clock=clock, engines=lambda _: ReplyTransport(server)):
            runs.append(run)

    task = asyncio.ensure_future(follow())
    seen = []
    try:
        await clock.advance(S)
        for restarts in (40, 41, 42, 43, *[43] * 12):
            server.objects["pods"] = [make.pod("oracle/a", containers=[make.container(restarts=restarts)])]
            await clock.advance(MINUTE)
            seen.append(verdict(runs[-1], "cluster/pods")[0])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # Forty of long ago count for nothing; three within ten minutes are over two, and are forgotten one by one.
    assert seen[:4] == [OK, OK, WARNING, CRITICAL]
    assert (seen[9], seen[-1]) == (CRITICAL, OK)


async def test_no_kubeconfig_is_a_verdict_in_words(clock: FakeClock, tmp_path: Path) -> None:
    run = await once(ApiServer({}, clock), str(tmp_path / "nothing"))
    assert verdict(run, "prod") == (UNKNOWN, "config")
    assert "not found" in result(run, "prod").verdicts[0].message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cluster": "a/b"}, "must have no slash"),
        ({"kinds": []}, "kinds must not be empty"),
        ({"kinds": ["deployment"]}, "deployment"),
        ({"namespaces": ["No/pe"]}, "is no name of a namespace"),
        ({"graces": {"tls_secrets": "1m"}}, "tls_secrets is not among the kinds"),
        ({"ignore": ["pods"]}, "is no NAMESPACE/NAME"),
        ({"ignore": ["pod:a/b"]}, "pod is not among the kinds"),
        ({"required": ["oracle/pusher"]}, "is no KIND:NAMESPACE/NAME"),
        ({"required": ["deployments:pusher"]}, "is no namespace/name"),
        ({"required": ["deployments:a/b"], "namespaces": ["c"]}, "is in none of the namespaces"),
        ({"required": ["deployments:a/b"], "ignore": ["a/*"]}, "deployments:a/b is ignored"),
        ({"warn_restarts": 9}, "warn_restarts and max_restarts"),
        ({"critical_before": "30d"}, "critical_before"),
        ({"max_job_time": "0s"}, "max_running must be positive"),
        ({"timeout": "0s"}, "timeout must be positive"),
        ({"namespace": ["a"]}, "did you mean 'namespaces'"),
    ],
)
def test_options_that_cannot_be_meant_are_told_in_their_place(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    import json

    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: kubernetes_workloads\noptions: {json.dumps(wrong)}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert words in " ".join(caught.value.problems)


def test_all_that_is_wrong_with_the_options_is_told_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        PROBE.options(namespaces=("A",), ignore=("x",), required=("y",), warn_restarts=9)
    assert str(caught.value).count(";") >= 3
