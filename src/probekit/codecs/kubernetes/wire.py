"""Kubernetes objects as JSON has them: only what is read of them; other fields pass. An empty list may be ``null``.

Source: the API reference of ``v1``, ``apps/v1``, ``batch/v1`` and ``cert-manager.io/v1``. A literal in a container's
environment, an annotation or a Secret's key is no field here, and so never a value of ours.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A replica count; the API's are of 32 bits."""


class _Wire(msgspec.Struct, rename="camel"):
    pass


class Owner(_Wire):
    kind: str
    name: str
    controller: bool | None = None


class Meta(_Wire):
    name: str
    creation_timestamp: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    owner_references: list[Owner] | None = None


class Condition(_Wire):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


# -- workloads ---------------------------------------------------------------------------------------------------------------


class RollingUpdate(_Wire):
    partition: Count | None = None


class Strategy(_Wire):
    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(_Wire):
    replicas: Count | None = None
    paused: bool | None = None
    update_strategy: Strategy | None = None


class WorkloadStatus(_Wire):
    observed_generation: int = 0
    replicas: Count = 0
    updated_replicas: Count = 0
    ready_replicas: Count = 0
    available_replicas: Count | None = None
    desired_number_scheduled: Count = 0
    current_number_scheduled: Count = 0
    updated_number_scheduled: Count = 0
    number_ready: Count = 0
    number_available: Count = 0
    number_misscheduled: Count = 0
    conditions: list[Condition] | None = None


class WorkloadObject(_Wire):
    metadata: Meta
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)
    status: WorkloadStatus = msgspec.field(default_factory=WorkloadStatus)


# -- jobs --------------------------------------------------------------------------------------------------------------------


class JobStatus(_Wire):
    start_time: str | None = None
    completion_time: str | None = None
    conditions: list[Condition] | None = None


class JobSpec(_Wire):
    suspend: bool | None = None


class JobObject(_Wire):
    metadata: Meta
    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class CronJobSpec(_Wire):
    schedule: str
    time_zone: str | None = None
    suspend: bool | None = None
    concurrency_policy: str = ""


class CronJobStatus(_Wire):
    active: list[msgspec.Raw] | None = None
    last_schedule_time: str | None = None
    last_successful_time: str | None = None


class CronJobObject(_Wire):
    metadata: Meta
    spec: CronJobSpec
    status: CronJobStatus = msgspec.field(default_factory=CronJobStatus)


# -- pods --------------------------------------------------------------------------------------------------------------------


class Waiting(_Wire):
    reason: str = ""
    message: str = ""


class Terminated(_Wire):
    reason: str = ""
    exit_code: int | None = None
    finished_at: str | None = None


class ContainerState(_Wire):
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Wire):
    name: str
    restart_count: Count = 0
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodStatus(_Wire):
    phase: str = "Unknown"
    reason: str = ""
    message: str = ""
    conditions: list[Condition] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class ClaimSource(_Wire):
    claim_name: str


class Ephemeral(_Wire):
    """A claim of a pod's own, made from a template; its name is the pod's and the volume's."""


class Volume(_Wire):
    name: str = ""
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: Ephemeral | None = None


class PodSpec(_Wire):
    volumes: list[Volume] | None = None


class PodObject(_Wire):
    metadata: Meta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


# -- claims and certificates -------------------------------------------------------------------------------------------------


class ClaimSpec(_Wire):
    storage_class_name: str | None = None


class ClaimStatus(_Wire):
    phase: str = ""


class ClaimObject(_Wire):
    metadata: Meta
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)


class CertificateStatus(_Wire):
    conditions: list[Condition] | None = None
    not_after: str | None = None
    renewal_time: str | None = None


class CertificateObject(_Wire):
    metadata: Meta
    status: CertificateStatus = msgspec.field(default_factory=CertificateStatus)


class TlsData(msgspec.Struct):
    certificates: str = msgspec.field(name="tls.crt", default="")
    authorities: str = msgspec.field(name="ca.crt", default="")


class SecretObject(_Wire):
    metadata: Meta
    data: TlsData = msgspec.field(default_factory=TlsData)


# -- lists -------------------------------------------------------------------------------------------------------------------


class ListMeta(msgspec.Struct):
    # `continue` is a word of Python's.
    token: str = msgspec.field(name="continue", default="")


class ListObject(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class Named(_Wire):
    """Whatever can be told of an object that does not read."""

    metadata: dict[str, object] = {}
