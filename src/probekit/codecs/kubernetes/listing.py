"""Pages of a list, decoded object by object: one that does not read loses only itself."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from probekit.codecs.kubernetes import wire
from probekit.errors import DecodeError
from probekit.model.kubernetes import (
    Certificate,
    Claim,
    Container,
    CronJob,
    Job,
    KubernetesObject,
    ListProblem,
    ObjectKind,
    Pod,
    TlsSecret,
    Workload,
)
from probekit.units import Instant

__all__ = ["Page", "Place", "decode_page", "place_of"]

_SHOWN: Final = 500
"""Characters kept of a controller's words."""
_MOST_OBJECTS: Final = 10_000
_MOST_CONTAINERS: Final = 64
_MOST_CERTIFICATES: Final = 32
_MOST_AUTHORITIES: Final = 512
"""The whole web has a third of that."""
_BEGIN: Final = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
# No dash in between: each beginning is read once, where one without an end would be read to the end of the text.
_PEM: Final = re.compile(_BEGIN.pattern + rb"([^-]*)-----END (?:X509 )?CERTIFICATE-----")


class Place(NamedTuple):
    """Where objects of a kind are listed: ``group`` is empty for the core API; ``selector`` picks among their fields."""

    group: str
    version: str
    plural: str
    selector: str = ""

    def path(self, namespace: str | None) -> str:
        """The path of the list, of one namespace or of all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/{self.plural}" if namespace is None else f"{root}/namespaces/{namespace}/{self.plural}"


class Page(NamedTuple):
    """Objects, problems of those that do not read, and the token of the next page, empty on the last."""

    objects: tuple[KubernetesObject | TlsSecret, ...]
    problems: tuple[ListProblem, ...]
    token: str


_PLACES: Final[dict[ObjectKind, Place]] = {
    "deployments": Place("apps", "v1", "deployments"),
    "statefulsets": Place("apps", "v1", "statefulsets"),
    "daemonsets": Place("apps", "v1", "daemonsets"),
    "jobs": Place("batch", "v1", "jobs"),
    "cronjobs": Place("batch", "v1", "cronjobs"),
    "pods": Place("", "v1", "pods"),
    "persistentvolumeclaims": Place("", "v1", "persistentvolumeclaims"),
    "certificates": Place("cert-manager.io", "v1", "certificates"),
    "tls_secrets": Place("", "v1", "secrets", "type=kubernetes.io/tls"),
}


def place_of(kind: ObjectKind) -> Place:
    """Where a kind is listed."""
    return _PLACES[kind]


def decode_page(kind: ObjectKind, body: bytes) -> Page:
    """A page of a list. Raises ``DecodeError`` for what is no list; it keeps no byte of what may be a Secret's."""
    try:
        page = msgspec.json.decode(body, type=wire.ListObject)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no list of {kind}: {error}", raw=b"" if kind == "tls_secrets" else body) from None
    items = page.items or []
    if len(items) > _MOST_OBJECTS:
        raise DecodeError(f"a page of {len(items)} {kind}", raw=b"")
    objects: list[KubernetesObject | TlsSecret] = []
    problems: list[ListProblem] = []
    decode = _DECODERS[kind]
    for number, raw in enumerate(items):
        try:
            objects.append(decode(raw))
        except (msgspec.DecodeError, DecodeError, ValueError, OverflowError, RecursionError) as error:
            # Not the object's bytes: an environment may hold a secret.
            problems.append(ListProblem("unreadable", _name_of(raw, number), _cut(str(error))))
    return Page(tuple(objects), tuple(problems), page.metadata.token)


def _name_of(raw: msgspec.Raw, number: int) -> str:
    try:
        meta = msgspec.json.decode(raw, type=wire.Named).metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        meta = {}
    name, namespace = meta.get("name"), meta.get("namespace")
    if not isinstance(name, str):
        return f"object {number}"
    return _cut(f"{namespace}/{name}" if isinstance(namespace, str) else name)


# -- one by one --------------------------------------------------------------------------------------------------------------


def _workload(raw: msgspec.Raw) -> Workload:
    """A Deployment or StatefulSet."""
    found = msgspec.json.decode(raw, type=wire.WorkloadObject)
    spec, status = found.spec, found.status
    desired = 1 if spec.replicas is None else spec.replicas
    wanted = desired
    if spec.update_strategy is not None:
        rolling = spec.update_strategy.rolling_update
        kept = 0 if rolling is None else rolling.partition or 0
        wanted = 0 if spec.update_strategy.type == "OnDelete" else max(0, desired - kept)
    progressing, failing = _condition(status.conditions, "Progressing"), _condition(status.conditions, "ReplicaFailure")
    stalled = progressing is not None and progressing.status == "False" and progressing.reason == "ProgressDeadlineExceeded"
    return Workload(
        name=_name(found.metadata),
        generation=found.metadata.generation,
        observed_generation=status.observed_generation,
        desired=desired,
        total=status.replicas,
        updated=status.updated_replicas,
        wanted_updated=wanted,
        ready=status.ready_replicas,
        # StatefulSets of old servers tell none.
        available=status.ready_replicas if status.available_replicas is None and spec.update_strategy is not None
        else status.available_replicas or 0,
        paused=bool(spec.paused),
        stalled=_words(progressing) if stalled else "",
        refused=_words(failing) if failing is not None and failing.status == "True" else "",
    )  # fmt: skip


def _daemonset(raw: msgspec.Raw) -> Workload:
    found = msgspec.json.decode(raw, type=wire.WorkloadObject)
    status, strategy = found.status, found.spec.update_strategy
    desired = status.desired_number_scheduled
    return Workload(
        name=_name(found.metadata),
        generation=found.metadata.generation,
        observed_generation=status.observed_generation,
        desired=desired,
        total=status.current_number_scheduled,
        updated=status.updated_number_scheduled,
        wanted_updated=0 if strategy is not None and strategy.type == "OnDelete" else desired,
        ready=status.number_ready,
        available=status.number_available,
        misscheduled=status.number_misscheduled,
    )


def _job(raw: msgspec.Raw) -> Job:
    found = msgspec.json.decode(raw, type=wire.JobObject)
    meta, conditions = found.metadata, found.status.conditions
    failed, complete = _true(conditions, "Failed"), _true(conditions, "Complete")
    ended = failed or complete
    made_by = next((one for one in meta.owner_references or () if one.controller and one.kind == "CronJob"), None)
    suspended = bool(found.spec.suspend)
    return Job(
        name=_name(meta),
        created_at=_time(meta.creation_timestamp),
        state="failed" if failed else "complete" if complete else "suspended" if suspended else "active",
        owner="" if made_by is None else f"{meta.namespace}/{made_by.name}",
        reason="" if ended is None else ended.reason,
        message="" if ended is None else _cut(ended.message),
        started_at=_maybe(found.status.start_time),
        ended_at=None if ended is None else _maybe(found.status.completion_time or ended.last_transition_time),
    )


def _cronjob(raw: msgspec.Raw) -> CronJob:
    found = msgspec.json.decode(raw, type=wire.CronJobObject)
    return CronJob(
        name=_name(found.metadata),
        created_at=_time(found.metadata.creation_timestamp),
        schedule=_cut(found.spec.schedule),
        time_zone=found.spec.time_zone or "UTC",
        suspended=bool(found.spec.suspend),
        forbids=found.spec.concurrency_policy == "Forbid",
        active=len(found.status.active or ()),
        last_scheduled=_maybe(found.status.last_schedule_time),
        last_succeeded=_maybe(found.status.last_successful_time),
    )


def _pod(raw: msgspec.Raw) -> Pod:
    found = msgspec.json.decode(raw, type=wire.PodObject)
    meta, status = found.metadata, found.status
    created_at = _time(meta.creation_timestamp)
    scheduled, ready = _condition(status.conditions, "PodScheduled"), _condition(status.conditions, "Ready")
    unschedulable = scheduled is not None and scheduled.status == "False" and scheduled.reason == "Unschedulable"
    statuses = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    if len(statuses) > _MOST_CONTAINERS:
        raise ValueError(f"a pod of {len(statuses)} containers")
    claims = [
        f"{meta.name}-{one.name}" if one.persistent_volume_claim is None else one.persistent_volume_claim.claim_name
        for one in found.spec.volumes or ()
        if one.persistent_volume_claim is not None or one.ephemeral is not None
    ]
    return Pod(
        name=_name(meta),
        uid=meta.uid,
        created_at=created_at,
        phase=status.phase,
        reason=status.reason,
        message=_cut(status.message),
        unschedulable=_words(scheduled) if unschedulable else "",
        unready_since=None
        if ready is not None and ready.status == "True"
        else (_maybe(None if ready is None else ready.last_transition_time) or created_at),
        deleted_at=_maybe(meta.deletion_timestamp),
        containers=tuple(map(_container, statuses)),
        claims=tuple(f"{meta.namespace}/{one}" for one in claims),
    )


def _container(status: wire.ContainerStatus) -> Container:
    state, last = status.state or wire.ContainerState(), status.last_state or wire.ContainerState()
    ended = state.terminated or last.terminated
    return Container(
        name=status.name,
        restarts=status.restart_count,
        waiting="" if state.waiting is None else state.waiting.reason,
        waiting_message="" if state.waiting is None else _cut(state.waiting.message),
        ended="" if ended is None else ended.reason,
        ended_code=None if ended is None else ended.exit_code,
        ended_at=None if ended is None else _maybe(ended.finished_at),
    )


def _claim(raw: msgspec.Raw) -> Claim:
    found = msgspec.json.decode(raw, type=wire.ClaimObject)
    meta = found.metadata
    made_for = next((one for one in meta.owner_references or () if one.controller and one.kind == "Pod"), None)
    return Claim(
        name=_name(meta),
        created_at=_time(meta.creation_timestamp),
        phase=found.status.phase,
        storage_class=found.spec.storage_class_name or "",
        pod="" if made_for is None else f"{meta.namespace}/{made_for.name}",
    )


def _certificate(raw: msgspec.Raw) -> Certificate:
    found = msgspec.json.decode(raw, type=wire.CertificateObject)
    ready = _condition(found.status.conditions, "Ready")
    return Certificate(
        name=_name(found.metadata),
        created_at=_time(found.metadata.creation_timestamp),
        ready=ready is not None and ready.status == "True",
        reason="" if ready is None else ready.reason,
        message="" if ready is None else _cut(ready.message),
        changed_at=None if ready is None else _maybe(ready.last_transition_time),
        expires_at=_maybe(found.status.not_after),
        renew_at=_maybe(found.status.renewal_time),
    )


def _secret(raw: msgspec.Raw) -> TlsSecret:
    """Of a TLS Secret its name and certificates; nothing of its key is looked at."""
    found = msgspec.json.decode(raw, type=wire.SecretObject)
    certificates = _certificates(found.data.certificates)
    if not certificates:
        raise ValueError("tls.crt holds no certificate")
    if len(certificates) > _MOST_CERTIFICATES:
        raise ValueError(f"tls.crt holds {len(certificates)} certificates")
    try:
        authorities = _certificates(found.data.authorities)
    except ValueError:
        # Nobody is served those: a bundle that does not read is one that is not there.
        authorities = ()
    return TlsSecret(
        name=_name(found.metadata),
        created_at=_time(found.metadata.creation_timestamp),
        certificates=certificates,
        authorities=authorities[:_MOST_AUTHORITIES],
    )


def _certificates(text: str) -> tuple[bytes, ...]:
    # What is wrong in its own words may quote what it was given.
    try:
        pem = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("tls.crt is not base64") from None
    found = _PEM.findall(pem)
    try:
        if len(found) != len(_BEGIN.findall(pem)):
            raise binascii.Error
        return tuple(base64.b64decode(b"".join(one.split()), validate=True) for one in found)
    except binascii.Error:
        raise ValueError("tls.crt holds a certificate that is not PEM") from None


_DECODERS: Final[dict[ObjectKind, Callable[[msgspec.Raw], KubernetesObject | TlsSecret]]] = {
    "deployments": _workload,
    "statefulsets": _workload,
    "daemonsets": _daemonset,
    "jobs": _job,
    "cronjobs": _cronjob,
    "pods": _pod,
    "persistentvolumeclaims": _claim,
    "certificates": _certificate,
    "tls_secrets": _secret,
}


# -- parts -------------------------------------------------------------------------------------------------------------------


def _name(meta: wire.Meta) -> str:
    return f"{meta.namespace}/{meta.name}"


def _condition(conditions: Sequence[wire.Condition] | None, kind: str) -> wire.Condition | None:
    return next((one for one in conditions or () if one.type == kind), None)


def _true(conditions: Sequence[wire.Condition] | None, kind: str) -> wire.Condition | None:
    found = _condition(conditions, kind)
    return found if found is not None and found.status == "True" else None


def _words(condition: wire.Condition | None) -> str:
    return "" if condition is None else _cut(condition.message or condition.reason or condition.type)


def _cut(text: str) -> str:
    clean = " ".join(text[: 4 * _SHOWN].split())
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}..."


def _time(text: str) -> Instant:
    return Instant.parse(text)


def _maybe(text: str | None) -> Instant | None:
    return None if text is None else Instant.parse(text)
