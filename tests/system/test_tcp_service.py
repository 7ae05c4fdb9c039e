"""tcp_service in real time: against nginx, ``openssl s_server`` and servers that hang."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.debian import Unavailable
from tests.support.nginx import free_ports, nginx
from tests.support.openssl import s_server
from tests.support.pki import issue, leaf
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.support.smtp import smtp_server, smtp_sink

pytestmark = pytest.mark.system

OK, CRITICAL = Status.OK, Status.CRITICAL
PROBE = load("tcp_service")
MODULE = module_of(PROBE)
ROOT_DIR = Path(__file__).resolve().parents[2]
ROOT = issue("root")
HEAD = MODULE.Say(send="HEAD / HTTP/1.0\r\n\r\n", expect=r"^HTTP/1\.1 (404|403|200) ")


def service(port: int, *dialogue: Any, **more: Any) -> Any:
    return MODULE.Service(address=f"{more.pop('host', 'localhost')}:{port}", dialogue=dialogue, **more)


async def ask(*services: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(services=services, **{"budget": 3 * S, **options}))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, int, Path]]:
    """nginx's ports: plain, with TLS, with TLS by an expired certificate; and the authority."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "ca.pem").write_bytes(ROOT.pem)
    plain, *secured = free_ports(3)
    blocks = [f"server {{ listen 127.0.0.1:{plain}; }}"]
    for port, days in zip(secured, (30, -1), strict=True):
        pem = leaf(ROOT, "localhost", days=days).write(folder / f"{port}.pem")
        blocks.append(f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; }}")
    try:
        with nginx(folder, "\n".join(blocks), [plain, *secured]):
            yield plain, secured[0], secured[1], folder / "ca.pem"
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


@pytest.mark.shows("tcp_service", "CRITICAL closed_early", "CRITICAL connect", "CRITICAL tls")
async def test_each_state_of_a_service_at_once(site: tuple[int, int, int, Path]) -> None:
    plain, secured, expired, bundle = site
    (closed,) = free_ports(1)
    wrong = MODULE.Say(send="HEAD / HTTP/1.0\r\n\r\n", expect="^SSH-2.0")
    run = await ask(
        service(plain, name="open"),
        service(plain, HEAD, name="plain"),
        service(plain, wrong, name="wrong"),
        service(secured, HEAD, name="tls", tls=True, ca_file=str(bundle)),
        service(secured, HEAD, name="stranger", tls=True),
        service(expired, HEAD, name="expired", tls=True, ca_file=str(bundle)),
        service(plain, HEAD, name="no tls", tls=True),
        service(closed, name="closed"),
    )
    assert {one.target.id.removesuffix(" ipv4"): verdict(run, one.target.id) for one in run.results} == {
        "open": (OK, "as_expected"),
        "plain": (OK, "as_expected"),
        "wrong": (CRITICAL, "closed_early"),
        "tls": (OK, "as_expected"),
        "stranger": (CRITICAL, "tls"),
        "expired": (CRITICAL, "tls"),
        "no tls": (CRITICAL, "tls"),
        "closed": (CRITICAL, "connect"),
    }
    messages = {one.target.id.removesuffix(" ipv4"): one.verdicts[0].message for one in run.results}
    assert "HTTP/1.1 4" in messages["wrong"]
    assert "in TLSv1.2 with" in messages["tls"]
    assert "certificate has expired" in messages["expired"]
    assert "does not speak TLS" in messages["no tls"]
    phases = {record.target.removesuffix(" ipv4"): record.phases for record in run.requests}
    assert phases["tls"].tls_ns
    assert phases["plain"].tls_ns is None
    assert phases["plain"].connect_ns


@pytest.mark.shows("tcp_service", "OK")
async def test_a_dialogue_within_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    with s_server(tmp_path, (leaf(ROOT, "localhost"), ROOT), "-rev") as port:
        turns = (MODULE.Say(send="abc\n", expect="^cba$"), MODULE.Say(send_hex="64650a", expect_bytes="^ed\n$"))
        run = await ask(service(port, *turns, name="rev", tls=True, ca_file=str(tmp_path / "ca.pem")))
    assert run.status is OK, result(run, "rev ipv4").verdicts


def mail_of(folder: Path, manifest: Path, port: int) -> Any:
    """The mail service of a manifest as people get it, with another address."""
    text = manifest.read_text().replace("127.0.0.1:25", f"127.0.0.1:{port}")
    (folder / "mail.yaml").write_text(text)
    options = read_manifest(PROBE, folder / "mail.yaml").options
    return next(one for one in options.services if one.name == "mail")


async def test_the_example_holds_for_a_real_mail_server(tmp_path: Path) -> None:
    try:
        with smtp_sink() as port:
            mail = mail_of(tmp_path, ROOT_DIR / "probes" / "tcp_service.yaml", port)
            run = await ask(mail)
            hurried = await ask(service(port, MODULE.Say(expect="^220 "), MODULE.Say(send="QUIT\r\n", expect="^250 ")))
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))
    assert run.status is OK, run.results
    message = result(run, "mail ipv4").verdicts[0].message
    assert "said '221" in message
    assert verdict(hurried, f"localhost:{port} ipv4") == (CRITICAL, "closed_early")
    assert "turn 2 waits for '^250 '" in hurried.results[0].verdicts[0].message


@pytest.mark.parametrize("greeting", [(b"mail ESMTP ready",), (b"mail ESMTP", b"220 no advertising", b"ready")])
async def test_the_example_holds_for_greetings_of_any_length(greeting: tuple[bytes, ...], tmp_path: Path) -> None:
    async with smtp_server(*greeting) as port:
        run = await ask(mail_of(tmp_path, ROOT_DIR / "probes" / "tcp_service.yaml", port))
    assert run.status is OK, run.results
    assert "said '221 2.0.0 Bye'" in result(run, "mail ipv4").verdicts[0].message


async def test_a_mail_server_that_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554-mail.example.org\r\n554 5.7.1 you are listed\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        run = await ask(
            mail_of(tmp_path, ROOT_DIR / "probes" / "tcp_service.yaml", server.sockets[0].getsockname()[1]),
        )
    assert verdict(run, "mail ipv4") == (CRITICAL, "closed_early")
    assert "554 5.7.1 you are listed" in result(run, "mail ipv4").verdicts[0].message


@asynccontextmanager
async def dripping() -> AsyncIterator[int]:
    """A server that never comes to the point: a byte at a time, for as long as anybody listens."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.shows("tcp_service", "CRITICAL unexpected_answer")
async def test_services_that_hang_hold_up_nobody(site: tuple[int, int, int, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        async with dripping() as port:
            quiet = [service(silent.getsockname()[1], HEAD, name=f"silent {number}") for number in range(10)]
            quick = [service(site[0], HEAD, name=f"quick {number}") for number in range(40)]
            run = await ask(*quiet, service(port, HEAD, name="drips"), *quick, timeout=2 * S)
    hanging = [f"silent {number} ipv4" for number in range(10)]
    assert {verdict(run, one) for one in hanging} == {(CRITICAL, "deadline_first_byte")}
    assert verdict(run, "drips ipv4") == (CRITICAL, "unexpected_answer")
    assert others_ok(run, *hanging, "drips ipv4")
    late = [result(run, one).observed_at for one in hanging]
    early = [one.observed_at for one in run.results if one.target.id.startswith("quick")]
    assert max(one for one in early if one) < min(one for one in late if one)


def test_from_the_command_line(site: tuple[int, int, int, Path]) -> None:
    command = [sys.executable, str(ROOT_DIR / "probes" / "tcp_service.py"), "--once", "--set", "budget=3s", "--set",
               f"services=[{{address: 'localhost:{site[0]}', name: web}}]"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tcp_service: OK")
