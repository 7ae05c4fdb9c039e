"""kubernetes_workloads in real time over TLS: nginx with a cluster's own authority, which asks for a client certificate or a
token, before kmock. That is a fake API server: no real one can be had here.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kmock
import pytest
import trustme

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from probekit.units import Instant
from tests.support.debian import Unavailable
from tests.support.kubernetes import HOUR, PATHS, SECRET, Objects, kubeconfig
from tests.support.nginx import free_ports, nginx
from tests.support.sandbox import load, others_ok, verdict

pytestmark = pytest.mark.system

OK, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("kubernetes_workloads")
_TOKEN = "tok-0123456789"


class Cluster:
    """The emulated objects, and how to reach them over TLS."""

    def __init__(self, emulator: kmock.KubernetesEmulator, folder: Path, ports: list[int]) -> None:
        self.emulator, self.folder = emulator, folder
        self.by_certificate, self.by_token = (f"https://127.0.0.1:{port}" for port in ports)
        self.make = Objects(Instant.now())
        self.authority, self.stranger = trustme.CA(), trustme.CA()

    def put(self, kind: str, made: dict[str, Any]) -> None:
        group, _, plural = PATHS[kind].removeprefix("/apis/").removeprefix("/api/").rpartition("/")
        self.emulator.objects[f"{group}/{plural}", made["metadata"]["namespace"], made["metadata"]["name"]] = made

    async def run(self, server: str, user: dict[str, Any], authority: trustme.CA | None = None) -> ProbeRun:
        trusted = base64.b64encode((authority or self.authority).cert_pem.bytes()).decode()
        path = kubeconfig(self.folder, server, user, **{"certificate-authority-data": trusted})
        return await run_once(PROBE, PROBE.options(kubeconfig=path, cluster="prod"))

    def certificate(self, authority: trustme.CA) -> dict[str, str]:
        made = authority.issue_cert("probe")
        chain = b"".join(one.bytes() for one in made.cert_chain_pems)
        key = made.private_key_pem.bytes()
        return {
            "client-certificate-data": base64.b64encode(chain).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    ports = free_ports(2)
    async with kmock.KubernetesEmulator() as emulator, kmock.Server(emulator) as behind:
        made = Cluster(emulator, tmp_path, ports)
        served = made.authority.issue_cert("127.0.0.1")
        served.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        made.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        common = (
            f"listen 127.0.0.1:PORT ssl; ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.pem; "
        )
        onward = f"proxy_pass {str(behind.url).rstrip('/')};"
        refusal = '{"kind": "Status", "message": "Unauthorized", "code": 401}'
        blocks = [
            f"server {{ {common.replace('PORT', str(ports[0]))} ssl_client_certificate {tmp_path}/ca.pem; "
            f"ssl_verify_client on; location / {{ {onward} }} }}",
            f"server {{ {common.replace('PORT', str(ports[1]))} location / {{ "
            f"if ($http_authorization != 'Bearer {_TOKEN}') {{ return 401 '{refusal}'; }} {onward} }} }}",
        ]
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(nginx(tmp_path, "\n".join(blocks), ports))
            except Unavailable as problem:
                if os.environ.get("CI"):
                    raise
                pytest.skip(str(problem))
            for kind, objects in made.make.healthy().items():
                for one in objects:
                    made.put(kind, one)
            yield made


@pytest.mark.shows("kubernetes_workloads", "OK")
async def test_a_healthy_cluster_by_client_certificate_and_by_token(cluster: Cluster) -> None:
    for server, user in (
        (cluster.by_certificate, cluster.certificate(cluster.authority)),
        (cluster.by_token, {"token": _TOKEN}),
    ):
        run = await cluster.run(server, user)
        assert run.status is OK, run.results
        assert len(run.requests) == 8
        assert {one.status for one in run.requests} == {200}
        assert {one.method for one in run.requests} == {"GET"}
        assert _TOKEN not in repr(run)
        assert SECRET not in repr(run)


@pytest.mark.shows("kubernetes_workloads", "CRITICAL claim_lost", "CRITICAL crash_loop", "CRITICAL progress_deadline_exceeded")
async def test_states_of_a_cluster_in_real_time(cluster: Cluster) -> None:
    make, user = cluster.make, {"token": _TOKEN}
    loop = make.container(restarts=9, waiting="CrashLoopBackOff", ended="Error")
    cluster.put("pods", make.pod("oracle/loops", ready=False, since=HOUR, containers=[loop]))
    failed = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    cluster.put("deployments", make.deployment("oracle/stuck", readyReplicas=0, conditions=[failed]))
    cluster.put("persistentvolumeclaims", make.claim("oracle/lost", "Lost"))
    run = await cluster.run(cluster.by_token, user)
    assert verdict(run, "prod/pods") == (CRITICAL, "crash_loop")
    assert verdict(run, "prod/deployments") == (CRITICAL, "progress_deadline_exceeded")
    assert verdict(run, "prod/persistentvolumeclaims") == (CRITICAL, "claim_lost")
    assert others_ok(run, "prod/pods", "prod/deployments", "prod/persistentvolumeclaims")


async def test_kinds_that_are_refused_or_not_served(cluster: Cluster) -> None:
    cluster.emulator["get /api/v1/pods"] << 403 << {"kind": "Status", "message": "pods is forbidden", "code": 403}
    cluster.emulator["get /apis/cert-manager.io/v1/certificates"] << 404
    run = await cluster.run(cluster.by_token, {"token": _TOKEN})
    assert verdict(run, "prod/pods") == (UNKNOWN, "not_entitled")
    assert verdict(run, "prod/certificates") == (SKIPPED, "not_served")
    assert others_ok(run, "prod/pods", "prod/certificates")


async def test_a_server_that_is_not_to_be_trusted_or_not_there_or_refuses_us_is_unknown(cluster: Cluster) -> None:
    [nobody] = free_ports(1)
    for server, user, authority, reason in (
        (cluster.by_token, {"token": "wrong"}, None, "not_authorized"),
        (cluster.by_token, {"token": _TOKEN}, cluster.stranger, "tls"),
        (f"https://127.0.0.1:{nobody}", {"token": _TOKEN}, None, "connect"),
        # nginx says 400 to a certificate of another authority, and to none.
        (cluster.by_certificate, {"token": _TOKEN}, None, "status"),
        (cluster.by_certificate, cluster.certificate(cluster.stranger), None, "status"),
    ):
        run = await cluster.run(server, user, authority)
        assert verdict(run, "prod") == (UNKNOWN, reason)
        assert {verdict(run, one.target.id) for one in run.results[1:]} == {(UNKNOWN, "behind_endpoint")}
