"""Do a cluster's workloads run: rollouts, pods, jobs, volumes and certificates?"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import msgspec

import probekit as pk
from probekit.checks import (
    Check,
    ClaimBound,
    ContainerRestarts,
    CronOnTime,
    IssuedCertificates,
    JobOutcome,
    LatencyBudget,
    LatencySample,
    ObjectsListed,
    PodHealth,
    RequiredObjects,
    WorkloadReplicas,
)
from probekit.codecs.kubernetes import place_of
from probekit.errors import OutOfReach, ProbekitError, ServerError, TransportError, Unauthorized
from probekit.model import RequestRecord
from probekit.model.kubernetes import Listing, ObjectKind

if TYPE_CHECKING:
    from probekit.clients.kubernetes import KubernetesClient

KINDS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)
USUAL: Final[tuple[ObjectKind, ...]] = tuple(kind for kind in KINDS if kind != "tls_secrets")
OPTIONAL: Final = "certificates"
"""The kind that a cluster has where cert-manager is installed."""
NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Options(pk.Options, frozen=True, kw_only=True):
    cluster: Annotated[str, pk.doc("what the cluster is called in the ids of its targets")] = "cluster"
    kubeconfig: Annotated[
        str | None,
        pk.doc("kubeconfig file; left out: the pod's service account where there is one, else KUBECONFIG or ~/.kube/config"),
    ] = None
    context: Annotated[str | None, pk.doc("its context; left out: the current one")] = None
    kinds: Annotated[tuple[ObjectKind, ...], pk.doc("what is listed; all but tls_secrets, which needs to read Secrets")] = USUAL
    namespaces: Annotated[tuple[str, ...], pk.doc("namespaces to list, one by one; left out: all at once")] = ()
    labels: Annotated[str, pk.doc("label selector, as kubectl has it")] = ""
    ignore: Annotated[
        tuple[str, ...], pk.doc("objects to count and not to judge: patterns of NAMESPACE/NAME, or KIND:NAMESPACE/NAME")
    ] = ()
    required: Annotated[tuple[str, ...], pk.doc("objects that must be there, as KIND:NAMESPACE/NAME")] = ()
    grace: Annotated[timedelta, pk.doc("how long something may be on its way")] = timedelta(minutes=10)
    graces: Annotated[dict[ObjectKind, timedelta], pk.doc("the same by kind")] = {}  # noqa: RUF012 - a frozen value's default is copied
    max_restarts: Annotated[int, pk.doc("restarts of a container within restart_window that are just bearable")] = 5
    warn_restarts: Annotated[int, pk.doc("restarts within restart_window above which to warn")] = 2
    restart_window: Annotated[timedelta, pk.doc("over how long restarts and memory kills count")] = timedelta(hours=1)
    max_job_time: Annotated[timedelta | None, pk.doc("how long a Job may run; left out: any time")] = None
    suspended_is_meant: Annotated[bool, pk.doc("whether a suspended CronJob is no warning")] = False
    critical_before: Annotated[timedelta, pk.doc("how long before its end a certificate is CRITICAL")] = timedelta(days=7)
    warn_before: Annotated[timedelta, pk.doc("how long before its end to warn")] = timedelta(days=21)
    most_objects: Annotated[int, pk.doc("the most objects of one kind that are read")] = 20_000
    timeout: Annotated[timedelta, pk.doc("how long all lists may take, with their pages; each has a share of it")] = timedelta(
        seconds=30
    )
    max_latency: Annotated[timedelta, pk.doc("p95 of the time for all lists, above which it is slow")] = timedelta(seconds=10)

    def __post_init__(self) -> None:
        self.require("cluster", "kinds", "timeout", "max_latency", "most_objects")
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        if "/" in self.cluster:
            yield f"cluster is {self.cluster!r}: it must have no slash"
        for name in self.namespaces:
            if NAMESPACE.fullmatch(name) is None:
                yield f"namespaces: {name!r} is no name of a namespace"
        for one in self.graces:
            if one not in self.kinds:
                yield f"graces: {one} is not among the kinds"
        for pattern in self.ignore:
            kind, _, name = pattern.rpartition(":")
            if kind and kind not in self.kinds:
                yield f"ignore: {kind} is not among the kinds"
            if "/" not in name:
                yield f"ignore: {pattern!r} is no NAMESPACE/NAME"
        for wanted in self.required:
            kind, _, name = wanted.rpartition(":")
            if kind not in self.kinds:
                yield f"required: {wanted!r} is no KIND:NAMESPACE/NAME of the kinds {', '.join(self.kinds)}"
            elif self.namespaces and name.partition("/")[0] not in self.namespaces:
                yield f"required: {wanted} is in none of the namespaces"
            elif ignores(self, kind, name):
                yield f"required: {wanted} is ignored"
        for kind in self.kinds:
            try:
                checks_of(self, kind)
            except ValueError as error:
                yield f"{kind}: {error}"


def ignores(options: Options, kind: str, name: str) -> bool:
    for pattern in options.ignore:
        of_kind, _, of_name = pattern.rpartition(":")
        if (not of_kind or of_kind == kind) and fnmatchcase(name, of_name):
            return True
    return False


def checks_of(options: Options, kind: ObjectKind) -> Sequence[Check]:
    """Raises ``ValueError`` for thresholds that do not fit together."""
    grace = options.graces.get(kind, options.grace)
    made: list[Check] = [ObjectsListed(optional=kind == OPTIONAL)]
    required = tuple(name.partition(":")[2] for name in options.required if name.partition(":")[0] == kind)
    if required:
        made.append(RequiredObjects(required))
    if kind in ("deployments", "statefulsets", "daemonsets"):
        made.append(WorkloadReplicas(grace))
    elif kind == "jobs":
        made.append(JobOutcome(options.max_job_time))
    elif kind == "cronjobs":
        made.append(CronOnTime(grace, options.suspended_is_meant))
    elif kind == "pods":
        made.append(PodHealth(grace))
        made.append(ContainerRestarts(options.max_restarts, options.warn_restarts, options.restart_window))
    elif kind == "persistentvolumeclaims":
        made.append(ClaimBound(grace))
    else:
        made.append(IssuedCertificates(options.critical_before, options.warn_before, grace))
    return made


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    cluster = ctx.options.cluster
    api = pk.Target(cluster, "endpoint", f"the API server of {cluster}")
    return [api, *(pk.Target(f"{cluster}/{kind}", "service", behind=cluster) for kind in ctx.options.kinds)]


async def client(ctx: pk.Context[Options]) -> KubernetesClient:
    from probekit.clients.kubernetes import KubernetesClient
    from probekit.clients.kubernetes_access import load_access

    options = ctx.options
    asked_for = {place_of(kind).plural: f"{options.cluster}/{kind}" for kind in options.kinds}

    def observer(record: RequestRecord) -> None:
        plural = record.url.partition("?")[0].rpartition("/")[2]
        ctx.observer(msgspec.structs.replace(record, target=asked_for.get(plural, "")))

    def make() -> KubernetesClient:
        access = load_access(options.kubeconfig, options.context, clock=ctx.clock)
        return KubernetesClient(
            access,
            # Over TLS the cluster's own authorities are asked for, which the common engine does not know.
            transport=ctx.engine() if access.tls is None else None,
            timeout=options.timeout,
            most_objects=options.most_objects,
            observer=observer,
            clock=ctx.clock,
        )

    return await ctx.hold("kubernetes", make)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    options, clock, began_ns = ctx.options, ctx.clock, ctx.clock.monotonic_ns()
    cluster = options.cluster
    try:
        kubernetes = await client(ctx)
        found = await kubernetes.listings(options.kinds, options.namespaces, options.labels)
    except ProbekitError as error:
        yield pk.Failure(error, cluster, clock.now(), cluster)
        return
    at, elapsed_ns = clock.now(), clock.monotonic_ns() - began_ns
    lost = of_the_server(list(found.values()))
    if lost is not None:
        yield pk.Failure(lost, cluster, at, cluster, elapsed_ns)
        return
    yield pk.Observation(LatencySample(elapsed_ns), cluster, at, cluster, elapsed_ns)
    used = claims_in_use(found.get("pods"))
    for kind, outcome in found.items():
        target = f"{cluster}/{kind}"
        if isinstance(outcome, ProbekitError):
            yield pk.Failure(judged_error(outcome, f"the {kind}"), target, at, target, elapsed_ns)
        else:
            yield pk.Observation(told(options, outcome, used), target, at, target, elapsed_ns)


def of_the_server(found: Sequence[Listing | ProbekitError]) -> ProbekitError | None:
    """What every list failed with is the API server's to tell, and a refusal of them all is one of the account."""
    errors = [one for one in found if isinstance(one, ProbekitError)]
    if found and len(errors) == len(found):
        return judged_error(errors[0], "the API server")
    refused = [one.problems for one in found if isinstance(one, Listing) and not one.objects and one.problems]
    if len(refused) == len(found) and all(problem.kind == "not_entitled" for one in refused for problem in one):
        return Unauthorized(f"the account may list nothing: {refused[0][0].message}", status=403)
    return None


def judged_error(error: ProbekitError, what: str) -> ProbekitError:
    """An API server that cannot be reached, or refuses us, says nothing of what runs; only that it failed is wrong there."""
    if isinstance(error, TransportError) and not isinstance(error, ServerError):
        return OutOfReach(f"{what} could not be seen", cause=error)
    return error


def claims_in_use(pods: Listing | ProbekitError | None) -> frozenset[str] | None:
    """Claims that pods ask for, of those that have not ended; ``None`` where not every pod is known."""
    if not isinstance(pods, Listing) or pods.problems:
        return None
    return frozenset(claim for pod in pods.objects if pod.phase not in ("Succeeded", "Failed") for claim in pod.claims)


def told(options: Options, listing: Listing, used: frozenset[str] | None) -> Listing:
    """The listing without what is to be ignored; claims with whether somebody asks for them.

    A claim that was made for a pod is ignored with it, and asked for by it, though nothing be known of pods.
    """
    kept = [one for one in listing.objects if not ignores(options, listing.kind, one.name)]
    if listing.kind == "persistentvolumeclaims":
        kept = [one for one in kept if not one.pod or not ignores(options, "pods", one.pod)]
        asked_for = None if options.labels else used
        kept = [
            msgspec.structs.replace(one, used=(bool(one.pod) or None) if asked_for is None else one.name in asked_for)
            for one in kept
        ]
    return msgspec.structs.replace(listing, objects=tuple(kept), ignored=len(listing.objects) - len(kept))


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    kind = next(one for one in options.kinds if target.id == f"{options.cluster}/{one}")
    return checks_of(options, kind)


probe = pk.Probe.poll(
    name="kubernetes_workloads",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=1),
    deadline=timedelta(seconds=50),
    metrics=("latency",),
    needs=("kubernetes",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
