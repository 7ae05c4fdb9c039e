"""http_service over HTTP/3: a real QUIC server on loopback, which nothing but UDP reaches."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from probekit.transports.curl import CurlTransport
from tests.support.pki import Issued, issue, leaf
from tests.support.sandbox import S, load, module_of, result, verdict

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        importlib.util.find_spec("aioquic") is None and not os.environ.get("CI"), reason="aioquic is not installed here"
    ),
]

OK, CRITICAL = Status.OK, Status.CRITICAL
PROBE = load("http_service")
MODULE = module_of(PROBE)
ROOT = issue("root")
ANSWERS = {"/prices": (200, b'{"parsed": [{"price": {"expo": -8}}]}'), "/down": (503, b"down"), "/page": (200, b"<html>")}
WANTED = {"expect_json": {"parsed[0].price.expo": MODULE.Expected(equals="-8")}}


async def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Issued, *services: tuple[str, str], **more: Any
) -> ProbeRun:
    """So many (path, version) at a server of HTTP/3 that shows that certificate."""
    from tests.support.h3 import serving

    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    async with serving(server.write(tmp_path / "server.pem"), ANSWERS) as port:
        asked = [
            MODULE.Service(url=f"https://localhost:{port}{path}", name=f"{path} {version}", http_version=version, **more)
            for path, version in services
        ]
        return await run_once(PROBE, PROBE.options(services=asked, budget=3 * S))


def test_the_measuring_engine_speaks_it() -> None:
    """That of pycurl's wheel does; one without it is told in a sentence, which has a test of its own."""
    assert "3" in CurlTransport().capabilities.http_versions


async def test_answers_over_http_3_with_all_their_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await ask(tmp_path, monkeypatch, leaf(ROOT, "localhost"), ("/prices", "3"), ("/down", "3"), ("/page", "3"),
                    ("/prices", "2"), **WANTED)  # fmt: skip
    assert {one.target.id: verdict(run, one.target.id) for one in run.results} == {
        "/prices 3 ipv4": (OK, "as_expected"),
        "/down 3 ipv4": (CRITICAL, "server_error"),
        "/page 3 ipv4": (CRITICAL, "not_json"),
        # Nobody listens on TCP.
        "/prices 2 ipv4": (CRITICAL, "connect"),
    }
    record = next(one for one in run.requests if one.target == "/prices 3 ipv4")
    assert (record.http_version, record.status, record.peer_address) == ("3", 200, "127.0.0.1")
    phases = record.phases
    parts = (phases.resolve_ns, phases.connect_ns, phases.tls_ns, phases.first_byte_ns, phases.transfer_ns)
    assert phases.connect_ns
    assert phases.first_byte_ns
    assert sum(part or 0 for part in parts) <= record.elapsed_ns


async def test_certificates_are_verified_over_quic_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expired = leaf(ROOT, "localhost", days=-1)
    run = await ask(tmp_path, monkeypatch, expired, ("/prices", "3"))
    assert verdict(run, "/prices 3 ipv4") == (CRITICAL, "tls"), result(run, "/prices 3 ipv4").verdicts
