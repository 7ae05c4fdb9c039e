"""Kubernetes objects as its API writes them, in the states that matter; and a small API server that lists them.

No real API server was asked: the shapes are those of the API reference.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response
from probekit.units import Instant

SERVER = "http://127.0.0.1:8001"
SECRET = "c4nary-0123456789abcdef"
"""Stands where a secret may stand, and must come out nowhere."""

PATHS = {
    "deployments": "/apis/apps/v1/deployments",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "daemonsets": "/apis/apps/v1/daemonsets",
    "jobs": "/apis/batch/v1/jobs",
    "cronjobs": "/apis/batch/v1/cronjobs",
    "pods": "/api/v1/pods",
    "persistentvolumeclaims": "/api/v1/persistentvolumeclaims",
    "certificates": "/apis/cert-manager.io/v1/certificates",
    "tls_secrets": "/api/v1/secrets",
}
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def stamp(at: Instant) -> str:
    """A time as the API writes it: whole seconds."""
    return at.to_datetime().replace(microsecond=0).isoformat().replace("+00:00", "Z")


def kubeconfig(folder: Path, server: str = SERVER, user: dict[str, Any] | None = None, **cluster: Any) -> str:
    """The path of a kubeconfig of one context; JSON is YAML, too."""
    path = folder / "kubeconfig"
    found = {
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {} if user is None else user}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "one",
    }
    path.write_text(json.dumps(found))
    return str(path)


@dataclass
class Objects:
    """Makes objects that are ``age`` old at ``now``."""

    now: Instant

    def ago(self, age: timedelta) -> str:
        return stamp(self.now.plus(-age))

    def meta(self, name: str, age: timedelta = DAY, **more: Any) -> dict[str, Any]:
        namespace, _, short = name.partition("/")
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": SECRET}
        return {
            "name": short, "namespace": namespace, "uid": f"uid-{name}", "generation": 1,
            "creationTimestamp": self.ago(age), "annotations": annotations, **more,
        }  # fmt: skip

    def deployment(self, name: str, want: int = 3, **status: Any) -> dict[str, Any]:
        """Complete, but for what ``status`` says; ``paused`` and ``generation`` go where they belong."""
        spec = {"replicas": want, "paused": status.pop("paused", False), "strategy": {"type": "RollingUpdate"}}
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), want)
        meta = self.meta(name, generation=status.pop("generation", 1))
        return {"metadata": meta, "spec": spec, "status": {"observedGeneration": 1, **counts, **status}}

    def statefulset(self, name: str, want: int = 3, strategy: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
        found = self.deployment(name, want, **status)
        found["spec"] = {"replicas": want, "updateStrategy": strategy or {"type": "RollingUpdate"}}
        return found

    def daemonset(self, name: str, want: int = 4, **status: Any) -> dict[str, Any]:
        scheduled = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled")
        counts = dict.fromkeys((*scheduled, "numberReady", "numberAvailable"), want)
        spec = {"updateStrategy": {"type": "RollingUpdate"}}
        return {"metadata": self.meta(name), "spec": spec, "status": {"observedGeneration": 1, **counts, **status}}

    def job(self, name: str, ended: str = "Complete", *, age: timedelta = HOUR, owner: str = "", **condition: Any) -> Any:
        """``ended`` is Complete, Failed, or nothing for one that runs."""
        owners = [{"kind": "CronJob", "name": owner, "controller": True}] if owner else []
        at = self.ago(age)
        conditions = [{"type": ended, "status": "True", "lastTransitionTime": at, **condition}] if ended else []
        meta = self.meta(name, age, ownerReferences=owners)
        return {"metadata": meta, "spec": {}, "status": {"startTime": at, "conditions": conditions}}

    def cronjob(self, name: str, schedule: str, last: timedelta | None, age: timedelta = DAY, **spec: Any) -> Any:
        active = [{"name": "one"}] * spec.pop("active", 0)
        status = {"active": active} if last is None else {"active": active, "lastScheduleTime": self.ago(last)}
        return {"metadata": self.meta(name, age), "spec": {"schedule": schedule, **spec}, "status": status}

    def pod(
        self, name: str, phase: str = "Running", *, ready: bool = True, age: timedelta = DAY, since: timedelta | None = None,
        containers: list[Any] | None = None, conditions: list[Any] | None = None, claims: tuple[str, ...] = (), **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """``since`` is how long ago it became ready, or ceased to be."""
        changed = self.ago(age if since is None else since)
        states = [{"type": "Ready", "status": str(ready), "lastTransitionTime": changed}, *(conditions or [])]
        meta = self.meta(name, age, **more.pop("meta", {}))
        environment = [{"name": "main", "env": [{"name": "KEY", "value": SECRET}]}]
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
        volumes += [{"name": one, "ephemeral": {"volumeClaimTemplate": {"spec": {}}}} for one in more.pop("ephemeral", ())]
        return {
            "metadata": meta,
            "spec": {"containers": environment, "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}]},
            "status": {"phase": phase, "conditions": states, "containerStatuses": containers or [self.container()], **more},
        }

    def container(
        self, name: str = "main", restarts: int = 0, waiting: str = "", ended: str = "", ago: timedelta = MINUTE, code: int = 1,
        message: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        state: dict[str, Any] = {"running": {}} if not waiting else {"waiting": {"reason": waiting, "message": message}}
        last = {"terminated": {"reason": ended, "exitCode": code, "finishedAt": self.ago(ago)}} if ended else {}
        return {"name": name, "restartCount": restarts, "ready": not waiting, "state": state, "lastState": last}

    def claim(self, name: str, phase: str = "Bound", age: timedelta = DAY, pod: str = "") -> dict[str, Any]:
        """``pod`` is whom it was made for."""
        owners = {"ownerReferences": [{"kind": "Pod", "name": pod, "controller": True}]} if pod else {}
        return {"metadata": self.meta(name, age, **owners), "spec": {"storageClassName": "fast"}, "status": {"phase": phase}}

    def tls_secret(self, name: str, *chain: bytes, authorities: bytes = b"") -> dict[str, Any]:
        """``chain`` as PEM, one by one."""
        data = {"tls.crt": base64.b64encode(b"".join(chain)).decode(), "tls.key": SECRET}
        if authorities:
            data["ca.crt"] = base64.b64encode(authorities).decode()
        return {"metadata": self.meta(name), "type": "kubernetes.io/tls", "data": data}

    def certificate(
        self, name: str, left: timedelta = 60 * DAY, *, ready: bool = True, renew: timedelta = 30 * DAY, **condition: Any
    ) -> dict[str, Any]:
        """``left`` of its life, and ``renew`` until its renewal."""
        state = {"type": "Ready", "status": str(ready), "lastTransitionTime": self.ago(DAY), **condition}
        status = {"conditions": [state], "notAfter": self.ago(-left), "renewalTime": self.ago(-renew)}
        return {"metadata": self.meta(name), "spec": {}, "status": status}

    def healthy(self) -> dict[str, list[dict[str, Any]]]:
        """A cluster in which all is well."""
        on_the_hour = timedelta(minutes=self.now.to_datetime().minute)
        done, uses = self.pod("oracle/done", "Succeeded"), self.pod("oracle/hermes-1", claims=("data",))
        return {
            "deployments": [self.deployment("oracle/pusher"), self.deployment("oracle/hermes")],
            "statefulsets": [self.statefulset("oracle/db")],
            "daemonsets": [self.daemonset("kube-system/agent")],
            "jobs": [self.job("oracle/migrate")],
            "cronjobs": [self.cronjob("oracle/report", "0 * * * *", on_the_hour)],
            "pods": [self.pod("oracle/pusher-1"), uses, done],
            "persistentvolumeclaims": [self.claim("oracle/data")],
            "certificates": [self.certificate("oracle/web")],
        }


Refusal = tuple[int, str]


@dataclass
class ApiServer:
    """Answers lists in pages. ``refused`` has a status and words by kind, or by namespace/kind; ``expire`` pages are told that
    their state is gone.
    """

    objects: dict[str, list[dict[str, Any]]]
    clock: FakeClock = field(default_factory=FakeClock)
    refused: dict[str, Refusal] = field(default_factory=dict)
    expire: int = 0
    asked: list[str] = field(default_factory=list)
    hook: Callable[[Request], Response | Exception | None] | None = None

    def __call__(self, request: Request) -> Response | Exception:
        if self.hook is not None and (made := self.hook(request)) is not None:
            return made
        status, body = self.answer(request.url)
        return reply(status, body, {"content-type": "application/json"}, clock=self.clock)

    def answer(self, url: str) -> tuple[int, bytes]:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        root, namespaced, rest = parts.path.partition("/namespaces/")
        namespace, _, plural = rest.partition("/")
        path = f"{root}/{plural}" if namespaced else root
        kind = next((kind for kind, known in PATHS.items() if known == path), "")
        self.asked.append(f"{namespace}/{kind}" if namespaced else kind)
        refusal = self.refused.get(f"{namespace}/{kind}") or self.refused.get(kind)
        if refusal is not None:
            return refusal[0], self.status(*refusal)
        if kind not in self.objects:
            return 404, b"404 page not found\n"
        first = int(query.get("continue") or 0)
        if first and self.expire:
            self.expire -= 1
            return 410, self.status(410, "The provided continue parameter is too old")
        found = [one for one in self.objects[kind] if not namespaced or one["metadata"]["namespace"] == namespace]
        limit = int(query.get("limit") or 500)
        page, after = found[first : first + limit], first + limit
        meta = {"resourceVersion": "7", "continue": str(after) if after < len(found) else ""}
        return 200, json.dumps({"kind": "List", "metadata": meta, "items": page}).encode()

    @staticmethod
    def status(code: int, message: str) -> bytes:
        return json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": code}).encode()
