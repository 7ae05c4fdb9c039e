"""grpc_health in real time: against grpcio's own health server, with TLS and without; servers that hang or are gone."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import threading
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
import trustme

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.grpc_server import grpc_server, poller_ends
from tests.support.sandbox import S, load, module_of, verdict

__all__ = ["poller_ends"]

pytestmark = pytest.mark.system

OK, CRITICAL, UNKNOWN = Status.OK, Status.CRITICAL, Status.UNKNOWN
PROBE = load("grpc_health")
MODULE = module_of(PROBE)


def service(name: str, port: int, **more: Any) -> Any:
    return MODULE.Service(**{"address": f"127.0.0.1:{port}", "name": name, "tls": False, **more})


async def ask(*services: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(services=services, **{"budget": 3 * S, **options}))


@pytest.mark.shows("grpc_health", "CRITICAL not_serving", "CRITICAL service_unknown", "CRITICAL tls")
async def test_each_state_at_once_and_the_one_that_hangs_delays_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("prices.test")
    pair = (issued.private_key_pem.bytes(), b"".join(one.bytes() for one in issued.cert_chain_pems))
    with socket.socket() as gone, socket.create_server(("127.0.0.1", 0)) as silent:
        gone.bind(("127.0.0.1", 0))
        async with (
            grpc_server(certificate=pair, statuses={"pyth.Prices": "SERVING", "pyth.Old": "NOT_SERVING"}) as served,
            grpc_server(health_service=False) as bare,
        ):
            plain, tls = served.port, served.tls_port
            began = time.monotonic()
            run = await ask(
                service("whole", plain),
                service("prices", plain, service="pyth.Prices"),
                service("stopping", plain, service="pyth.Old"),
                service("nobody", plain, service="pyth.Nobody"),
                service("over tls", tls, tls=True, authority="prices.test", service="pyth.Prices"),
                service("wrong name", tls, tls=True),
                service("plain", tls),
                service("bare", bare.port),
                service("gone", gone.getsockname()[1]),
                service("silent", silent.getsockname()[1]),
                service("hangs", plain, service="hang"),
                service("busy", plain, service="UNAVAILABLE"),
                service("key", plain, service="UNAUTHENTICATED"),
                service("name", 1, address="no-such-name.invalid:50051"),
                timeout=2 * S,
            )
            assert time.monotonic() - began < 8
    seen = {one.target.id: verdict(run, one.target.id) for one in run.results}
    # Where a resolver does not answer at all, the name is late rather than unknown.
    assert seen.pop("name") in ((CRITICAL, "resolve"), (CRITICAL, "deadline"), (UNKNOWN, "vantage"))
    assert seen == {
        "whole": (OK, "serving"),
        "prices": (OK, "serving"),
        "stopping": (CRITICAL, "not_serving"),
        "nobody": (CRITICAL, "service_unknown"),
        "over tls": (OK, "serving"),
        "wrong name": (CRITICAL, "tls"),
        "plain": (CRITICAL, "connect"),
        "bare": (CRITICAL, "unimplemented"),
        "gone": (CRITICAL, "connect"),
        "silent": (CRITICAL, "deadline"),
        "hangs": (CRITICAL, "deadline_first_byte"),
        "busy": (CRITICAL, "unavailable"),
        "key": (UNKNOWN, "not_authorized"),
    }
    assert {one.target for one in run.requests} == {one.target.id for one in run.results}


async def test_started_as_a_file_on_the_loop_that_it_takes(tmp_path: Path) -> None:
    """Its name is that of the library's package, and its folder comes first on the path."""
    file = Path(__file__).parents[2] / "probes" / "grpc_health.py"
    async with grpc_server(statuses={"pyth.Old": "NOT_SERVING"}) as served:
        address = f"127.0.0.1:{served.port}"
        services = [{"address": address, "tls": False}, {"address": address, "tls": False, "service": "pyth.Old"}]
        for options, code, words in ((services[:1], 0, b"is SERVING"), (services, 2, b"NOT_SERVING")):
            config = tmp_path / "probekit.yaml"
            config.write_text(json.dumps({"probe": "grpc_health", "options": {"services": options}}))
            command = [sys.executable, str(file), "--once", "--config", str(config)]
            process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
            out, err = await asyncio.wait_for(process.communicate(), 50)
            assert (process.returncode, err) == (code, b""), out
            assert words in out


@pytest.mark.shows("grpc_health", "OK")
async def test_a_hundred_runs_leave_no_thread_and_no_descriptor() -> None:
    async with grpc_server() as served:
        for _ in range(3):
            await ask(service("whole", served.port))
        gc.collect()
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(100):
            run = await ask(service("whole", served.port))
            assert run.status is OK
        gc.collect()
        due = time.monotonic() + 5
        while len(os.listdir("/proc/self/fd")) > descriptors and time.monotonic() < due:
            time.sleep(0.02)
        assert threading.active_count() <= threads
        assert len(os.listdir("/proc/self/fd")) <= descriptors
