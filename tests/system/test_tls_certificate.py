"""tls_certificate in real time: against nginx and ``openssl s_server``, each with certificates that are wrong in one way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.debian import Unavailable
from tests.support.nginx import free_ports, nginx
from tests.support.openssl import s_server
from tests.support.pki import Issued, issue, leaf
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

pytestmark = pytest.mark.system

OK, WARNING, CRITICAL = Status.OK, Status.WARNING, Status.CRITICAL
PROBE = load("tls_certificate")
MODULE = module_of(PROBE)
ROOT_DIR = Path(__file__).resolve().parents[2]

ROOT = issue("root", days=3650)
OLD_ROOT = issue("old root", days=2)
CROSSED = issue("root", OLD_ROOT, key=ROOT.key, days=3000)
BETWEEN = issue("between", ROOT, days=700)
ENDING = issue("ending", ROOT, days=3)
STRANGER = issue("stranger")
HOST = ("localhost", "127.0.0.1", "::1")

SHOWN: dict[str, tuple[Issued, ...]] = {
    "good": (leaf(BETWEEN, *HOST), BETWEEN),
    "crossed": (leaf(BETWEEN, *HOST), BETWEEN, CROSSED),
    "soon": (leaf(BETWEEN, *HOST, days=20), BETWEEN),
    "ending": (leaf(ENDING, *HOST, days=80), ENDING),
    "expired": (leaf(BETWEEN, *HOST, days=-1), BETWEEN),
    "other": (leaf(BETWEEN, "other.example"), BETWEEN),
    "missing": (leaf(BETWEEN, *HOST),),
    "stranger": (leaf(STRANGER, *HOST), STRANGER),
    "self": (issue("self", ca=False, names=HOST),),
    "old": (leaf(BETWEEN, *HOST), BETWEEN),
}
TOLD = {
    "good": (OK, "valid"),
    "crossed": (OK, "valid"),
    "soon": (WARNING, "expiring"),
    "ending": (CRITICAL, "expires_soon"),
    "expired": (CRITICAL, "expired"),
    "other": (CRITICAL, "name_mismatch"),
    "missing": (CRITICAL, "incomplete_chain"),
    "stranger": (CRITICAL, "unknown_authority"),
    "self": (CRITICAL, "self_signed"),
    "old": (WARNING, "weak_protocol"),
}


@dataclass(frozen=True)
class Site:
    """nginx's ports by what they show, one that speaks plain HTTP, and one that tells names apart."""

    ports: dict[str, int]
    plain: int
    named: int
    bundle: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    bundle = folder / "ca.pem"
    bundle.write_bytes(ROOT.pem + OLD_ROOT.pem)
    plain, named, *ports = free_ports(2 + len(SHOWN))
    blocks = [f"server {{ listen 127.0.0.1:{plain}; }}"]
    for port, (name, (own, *others)) in zip(ports, SHOWN.items(), strict=True):
        pem = own.write(folder / f"{name}.pem", *others)
        old, new = "ssl_protocols TLSv1.1; ssl_ciphers DEFAULT:@SECLEVEL=0;", "ssl_protocols TLSv1.2 TLSv1.3;"
        blocks.append(
            f"server {{ listen 127.0.0.1:{port} ssl http2; listen [::1]:{port} ssl http2; "
            f"ssl_certificate {pem}; ssl_certificate_key {pem}; {old if name == 'old' else new} }}"
        )
    for name in ("a.example", "b.example"):
        pem = leaf(ROOT, name).write(folder / f"{name}.pem")
        blocks.append(
            f"server {{ listen 127.0.0.1:{named} ssl; server_name {name}; ssl_certificate {pem}; ssl_certificate_key {pem}; }}"
        )
    try:
        with nginx(folder, "\n".join(blocks), [plain, named, *ports]):
            yield Site(dict(zip(SHOWN, ports, strict=True)), plain, named, bundle)
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


def server(port: int, **more: Any) -> Any:
    return MODULE.Server(address=f"{more.pop('host', 'localhost')}:{port}", **more)


async def ask(site: Site, *servers: Any, **options: Any) -> ProbeRun:
    given = {"ca_file": str(site.bundle), "budget": 3 * S, **options}
    return await run_once(PROBE, PROBE.options(servers=servers, **given))


@pytest.mark.shows("tls_certificate", "CRITICAL expired", "CRITICAL name_mismatch", "CRITICAL unknown_authority")
async def test_each_state_of_a_certificate_at_once(site: Site) -> None:
    run = await ask(site, *(server(port, name=name) for name, port in site.ports.items()))
    assert {name: verdict(run, f"{name} ipv4") for name in TOLD} == TOLD
    for record in run.requests:
        phases = record.phases
        assert phases.tls_ns
        assert phases.connect_ns
        assert (phases.resolve_ns or 0) + phases.connect_ns + phases.tls_ns <= record.elapsed_ns
    assert {record.peer_address for record in run.requests} == {"127.0.0.1"}
    trusted = {one.check: one for one in result(run, "crossed ipv4").verdicts}["certificate_trust"]
    assert trusted.message == "by CN=root; 2 chains hold, this one lives longest"
    by_check = {one.check: one.message for one in result(run, "ending ipv4").verdicts}
    assert "the intermediate CN=ending" in by_check["certificate_expiry"]


async def test_who_has_only_the_old_root_is_told_that_it_ends(site: Site, tmp_path: Path) -> None:
    (tmp_path / "old.pem").write_bytes(OLD_ROOT.pem)
    run = await ask(site, server(site.ports["crossed"], name="crossed"), ca_file=str(tmp_path / "old.pem"))
    assert verdict(run, "crossed ipv4") == (CRITICAL, "expires_soon")
    assert "the authority CN=old root" in result(run, "crossed ipv4").verdicts[0].message


@pytest.mark.shows("tls_certificate", "OK")
async def test_protocol_cipher_and_alpn_are_those_of_the_connection(site: Site) -> None:
    port = site.ports["good"]
    run = await ask(site, server(port, name="h2", alpn=("h2", "http/1.1")), server(port, name="none"),
                    server(port, host="[::1]", name="six"), server(port, host="127.0.0.1", name="four"))  # fmt: skip
    assert run.status is OK
    told = {one.target.id: {v.check: v.message for v in one.verdicts}["tls_strength"] for one in run.results}
    assert told["h2 ipv4"].startswith("TLSv1.3 with TLS_")
    assert told["h2 ipv4"].endswith(", ALPN h2")
    assert "ALPN" not in told["none ipv4"]
    assert {record.target: record.peer_address for record in run.requests}["six ipv6"] == "::1"


async def test_the_name_that_is_asked_for_chooses_the_certificate(site: Site) -> None:
    run = await ask(
        site, *(server(site.named, name=name, server_name=name) for name in ("a.example", "b.example", "c.example"))
    )
    assert verdict(run, "a.example ipv4")[0] is OK
    assert verdict(run, "b.example ipv4")[0] is OK
    assert verdict(run, "c.example ipv4") == (CRITICAL, "name_mismatch")


async def test_what_is_no_tls_server(site: Site) -> None:
    (closed,) = free_ports(1)
    run = await ask(site, server(site.plain, name="plain"), server(closed, name="closed"),
                    MODULE.Server(address="nobody.invalid:443", name="unknown"), timeout=3 * S)  # fmt: skip
    assert verdict(run, "plain ipv4") == (CRITICAL, "tls")
    assert "does not speak TLS" in result(run, "plain ipv4").verdicts[0].message
    assert verdict(run, "closed ipv4") == (CRITICAL, "connect")
    assert verdict(run, "unknown ipv4")[1] in ("resolve", "deadline_resolve")
    assert all(record.elapsed_ns > 0 for record in run.requests)


async def test_servers_that_hang_hold_up_nobody(site: Site) -> None:
    """Twenty that accept and say nothing, beside eighty that answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        hanging = [server(silent.getsockname()[1], name=f"hangs {number}") for number in range(20)]
        quick = [server(site.ports["good"], name=f"quick {number}") for number in range(80)]
        began = time.monotonic()
        run = await ask(site, *hanging, *quick, timeout=3 * S, percentile=100)
    assert time.monotonic() - began < 10
    assert {verdict(run, f"hangs {number} ipv4") for number in range(20)} == {(CRITICAL, "deadline_tls")}
    assert others_ok(run, *(f"hangs {number} ipv4" for number in range(20)))
    late = [one for one in run.results if one.target.id.startswith("hangs")]
    early = [one for one in run.results if one.target.id.startswith("quick")]
    assert max(one.observed_at for one in early if one.observed_at) < min(one.observed_at for one in late if one.observed_at)


# -- openssl s_server: a server that speaks no HTTP ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("-tls1_3",), (OK, "valid")),
        (("-tls1_2",), (OK, "valid")),
        (("-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"), (WARNING, "weak_protocol")),
        # It wants a certificate of ours: in 1.3 its own has been shown by then, in 1.2 the handshake fails.
        (("-tls1_3", "-Verify", "1"), (OK, "valid")),
        (("-tls1_2", "-Verify", "1", "-verify_return_error"), (CRITICAL, "tls")),
    ],
)
async def test_a_server_that_speaks_no_http(site: Site, tmp_path: Path, more: tuple[str, ...], expected: Any) -> None:
    with s_server(tmp_path, SHOWN["good"], *more) as port:
        run = await ask(site, server(port, host="127.0.0.1", name="s_server"))
    assert verdict(run, "s_server ipv4") == expected, result(run, "s_server ipv4").verdicts
    if expected[1] == "tls":
        assert "refused the TLS handshake" in result(run, "s_server ipv4").verdicts[0].message


def test_from_the_command_line(site: Site) -> None:
    servers = ", ".join(f"{{address: 'localhost:{site.ports[name]}', name: {name}}}" for name in ("good", "soon"))
    command = [sys.executable, str(ROOT_DIR / "probes" / "tls_certificate.py"), "--once", "--set", f"servers=[{servers}]",
               "--set", f"ca_file={site.bundle}", "--set", "budget=3s"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "expires in 19d" in done.stdout
    assert done.stderr == ""
