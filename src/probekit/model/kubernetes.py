"""What a Kubernetes cluster says of its objects: the few fields that are judged, flat.

Source: the API reference of ``v1``, ``apps/v1``, ``batch/v1`` and cert-manager's ``cert-manager.io/v1``. Names are
``namespace/name``.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

from probekit.units import Instant

ObjectKind = Literal[
    "deployments",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "pods",
    "persistentvolumeclaims",
    "certificates",
    "tls_secrets",
]
KINDS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment, StatefulSet or DaemonSet, in pods. ``wanted_updated`` is how many must be of the newest revision: all but a
    partition's, and none where an update waits for deletion. ``total`` counts pods of older revisions, too.
    """

    name: str
    generation: int
    observed_generation: int
    desired: int
    total: int
    updated: int
    wanted_updated: int
    ready: int
    available: int
    misscheduled: int = 0
    paused: bool = False
    stalled: str = ""
    """The words of its controller where the rollout passed its progress deadline."""
    refused: str = ""
    """The words of its controller where pods cannot be made: a quota, an admission webhook."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: every pod is of the revision it should be, ready and available."""
        return (
            self.observed_generation >= self.generation
            and self.updated >= self.wanted_updated
            and self.ready >= self.desired
            and self.available >= self.desired
            and self.total <= self.desired
            and not (self.stalled or self.refused)
        )

    @property
    def counts(self) -> str:
        """How many of its pods are what, for a sentence."""
        return f"{self.desired} desired, {self.ready} ready, {self.available} available, {self.updated} updated"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A Job. ``owner`` is the name of the CronJob that made it, empty for one by itself; ``reason`` is that of the condition
    that ended it.
    """

    name: str
    created_at: Instant
    state: Literal["active", "suspended", "complete", "failed"]
    owner: str = ""
    reason: str = ""
    message: str = ""
    started_at: Instant | None = None
    ended_at: Instant | None = None


class CronJob(msgspec.Struct, frozen=True, kw_only=True):
    """A CronJob. ``active`` counts its Jobs that still run; ``forbids`` those beside each other."""

    name: str
    created_at: Instant
    schedule: str
    time_zone: str = "UTC"
    suspended: bool = False
    forbids: bool = False
    active: int = 0
    last_scheduled: Instant | None = None
    last_succeeded: Instant | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a pod, also one that starts before the others. ``waiting`` is why it does not run; ``ended`` why it last
    ended, at ``ended_at``.
    """

    name: str
    restarts: int = 0
    waiting: str = ""
    waiting_message: str = ""
    ended: str = ""
    ended_code: int | None = None
    ended_at: Instant | None = None


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod. ``unready_since`` is when it was last ready, or made; ``None`` while it is ready."""

    name: str
    uid: str
    created_at: Instant
    phase: str
    reason: str = ""
    message: str = ""
    unschedulable: str = ""
    """The scheduler's words, where it found no node."""
    unready_since: Instant | None = None
    deleted_at: Instant | None = None
    """When it should be gone, once its deletion was asked for."""
    containers: tuple[Container, ...] = ()
    claims: tuple[str, ...] = ()
    """Names of the PersistentVolumeClaims it uses."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A PersistentVolumeClaim. ``used`` says whether a pod asks for it, ``None`` where that is not known: many storage classes
    bind no claim before one does. ``pod`` is the name of the pod that it was made for and goes with, empty for one by itself.
    """

    name: str
    created_at: Instant
    phase: str
    storage_class: str = ""
    used: bool | None = None
    pod: str = ""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A Certificate of cert-manager, or the certificates in a TLS Secret: then ``ready`` is ``None``, and ``expires_at`` the
    earliest of the chain that lives longest. ``changed_at`` is when it became ready, or ceased to be.
    """

    name: str
    created_at: Instant
    ready: bool | None = None
    reason: str = ""
    message: str = ""
    changed_at: Instant | None = None
    expires_at: Instant | None = None
    renew_at: Instant | None = None
    authority: str = ""
    """Of the chain's authorities the one whose end ``expires_at`` is; empty where that is the certificate's own."""


class TlsSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a TLS Secret holds beside its key, as DER: the certificate with those above it, and the authorities it came with."""

    name: str
    created_at: Instant
    certificates: tuple[bytes, ...]
    authorities: tuple[bytes, ...] = ()


KubernetesObject = Workload | Job | CronJob | Pod | Claim | Certificate

ProblemKind = Literal["not_entitled", "not_served", "list_failed", "unreadable", "truncated"]


class ListProblem(msgspec.Struct, frozen=True):
    """Why a listing is not whole. ``scope`` is the namespace or the object that is not in it; empty for all."""

    kind: ProblemKind
    scope: str
    message: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of one kind, as far as they could be listed. ``ignored`` ones are counted and left out."""

    kind: ObjectKind
    objects: tuple[Any, ...] = ()
    problems: tuple[ListProblem, ...] = ()
    ignored: int = 0

    @property
    def total(self) -> int:
        return len(self.objects) + self.ignored

    def shown(self) -> dict[str, Any]:
        """As evidence has it: verdicts name what is wrong, and the rest would be pages."""
        return {"kind": self.kind, "objects": len(self.objects), "ignored": self.ignored, "problems": self.problems}
