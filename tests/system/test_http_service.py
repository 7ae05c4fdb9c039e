"""http_service in real time: against nginx with TLS, and against servers that hang at each phase."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.debian import Unavailable
from tests.support.nginx import free_ports, nginx
from tests.support.sandbox import S, load, module_of, result, verdict

pytestmark = pytest.mark.system

OK, CRITICAL = Status.OK, Status.CRITICAL
PROBE = load("http_service")
MODULE = module_of(PROBE)

_PLACES = """
      location = /prices { return 200 '{"parsed": [{"id": "aa", "price": {"expo": -8}}]}'; }
      location = /error { default_type text/html; return 200 '<html>Internal Server Error</html>'; }
      location = /down { return 503; }
      location = /once { return 302 /prices; }
      location = /round { return 302 /round; }
      location = /bomb { alias FOLDER/bomb.gz; default_type text/plain; add_header content-encoding gzip; }
"""


@dataclass(frozen=True)
class Site:
    """Where nginx listens: HTTP, and HTTPS by the state of its certificate."""

    http: str
    https: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    good, stranger = trustme.CA(), trustme.CA()
    now = datetime.now(UTC)
    certificates = {
        "good": good.issue_cert("127.0.0.1", "::1"),
        "expired": good.issue_cert("127.0.0.1", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)),
        "early": good.issue_cert("127.0.0.1", not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)),
        "name": good.issue_cert("other.example"),
        "stranger": stranger.issue_cert("127.0.0.1"),
        "old": good.issue_cert("127.0.0.1"),
    }
    good.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "bomb.gz").write_bytes(gzip.compress(b"\0" * (64 << 20), 9))
    places = _PLACES.replace("FOLDER", str(folder))
    plain, *secured = free_ports(1 + len(certificates))
    blocks = [f"server {{ listen 127.0.0.1:{plain}; {places} }}"]
    for port, (name, issued) in zip(secured, certificates.items(), strict=True):
        pem = folder / f"{name}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(pem)
        protocols = "TLSv1.2" if name == "old" else "TLSv1.2 TLSv1.3"
        blocks.append(
            f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem}; "
            f"ssl_protocols {protocols}; {places} }}"
        )
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        try:
            stack.enter_context(nginx(folder, "\n".join(blocks), [plain, *secured]))
        except Unavailable as problem:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(problem))
        urls = {name: f"https://127.0.0.1:{port}" for name, port in zip(certificates, secured, strict=True)}
        yield Site(f"http://127.0.0.1:{plain}", urls)


def service(url: str, **more: Any) -> Any:
    return MODULE.Service(url=url, **more)


async def ask(*services: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(services=services, **{"budget": 3 * S, **options}))


WANTED = {"expect_json": {"parsed[0].price.expo": MODULE.Expected(equals="-8")}}


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.shows("http_service", "OK")
async def test_an_answer_over_tls_with_all_its_phases(site: Site, version: str) -> None:
    url = f"{site.https['good']}/prices"
    run = await ask(service(url, name="prices", http_version=version, **WANTED))
    assert run.status is OK, result(run, "prices ipv4")
    [record] = run.requests
    assert (record.http_version, record.family, record.peer_address) == (version, "ipv4", "127.0.0.1")
    assert record.new_connection
    phases = record.phases
    parts = (phases.resolve_ns, phases.connect_ns, phases.tls_ns, phases.first_byte_ns, phases.transfer_ns)
    assert phases.tls_ns
    assert sum(part or 0 for part in parts) <= record.elapsed_ns


@pytest.mark.shows("http_service", "CRITICAL not_json", "CRITICAL server_error", "CRITICAL unexpected_status")
async def test_each_state_of_a_service_at_once(site: Site) -> None:
    names = ("prices", "error", "down", "once", "round", "bomb", "nothing")
    services = [service(f"{site.http}/{name}", name=name, **(WANTED if name in ("prices", "error") else {})) for name in names]
    run = await ask(*services, service(f"{site.http}/once", name="followed", max_redirects=1, **WANTED),
                    service(f"{site.http}/round", name="loop", max_redirects=5))  # fmt: skip
    assert {one.target.id.removesuffix(" ipv4"): verdict(run, one.target.id) for one in run.results} == {
        "prices": (OK, "as_expected"),
        "error": (CRITICAL, "not_json"),
        "down": (CRITICAL, "server_error"),
        "once": (CRITICAL, "unexpected_status"),
        "round": (CRITICAL, "unexpected_status"),
        "bomb": (CRITICAL, "body_too_large"),
        "nothing": (CRITICAL, "status"),
        "followed": (OK, "as_expected"),
        "loop": (CRITICAL, "unexpected_status"),
    }
    hops = [record for record in run.requests if record.target == "followed ipv4"]
    assert [(record.status, record.new_connection) for record in hops] == [(302, True), (200, True)]
    assert all(record.phases.connect_ns for record in hops)
    assert len([record for record in run.requests if record.target == "loop ipv4"]) == 6
    evidence = result(run, "error ipv4").evidence
    assert evidence is not None
    assert "Internal Server Error" in evidence.decoded
    assert evidence.request == f"GET {site.http}/error"


async def test_a_bomb_is_not_inflated(site: Site) -> None:
    run = await ask(service(f"{site.http}/bomb", name="bomb"))
    assert verdict(run, "bomb ipv4") == (CRITICAL, "body_too_large")
    [record] = run.requests
    assert (record.error_type, record.received_bytes) == ("body_too_large", 0)
    assert record.elapsed_ns > 0


@pytest.mark.parametrize("name", ["expired", "early", "name", "stranger"])
@pytest.mark.shows("http_service", "CRITICAL tls")
async def test_a_certificate_that_does_not_hold(site: Site, name: str) -> None:
    run = await ask(service(f"{site.https[name]}/prices", name=name))
    assert verdict(run, f"{name} ipv4") == (CRITICAL, "tls")
    assert run.requests[0].elapsed_ns > 0


async def test_tls_1_2_is_still_tls(site: Site) -> None:
    assert (await ask(service(f"{site.https['old']}/prices", **WANTED))).status is OK


async def test_http_3_is_udp_or_nothing(site: Site) -> None:
    """Against a server of TCP alone; against one of UDP: test_http3.py."""
    run = await ask(service(f"{site.https['good']}/prices", name="h3", http_version="3"), timeout=2 * S)
    assert verdict(run, "h3 ipv4")[1] in ("connect", "deadline_connect")


async def test_the_family_that_was_asked_for_and_no_other(site: Site) -> None:
    port = site.http.rpartition(":")[2]
    run = await ask(service(f"http://localhost:{port}/prices", name="local"),
                    service(f"http://localhost:{port}/prices", name="local", family="ipv6"), timeout=2 * S)  # fmt: skip
    assert verdict(run, "local ipv4") == (OK, "as_expected")
    # nginx listens on 127.0.0.1 alone.
    assert verdict(run, "local ipv6")[0] is CRITICAL
    assert verdict(run, "local ipv6")[1] in ("connect", "resolve")


# -- servers that hang -----------------------------------------------------------------------------------------------------

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def speaking(talk: Talk) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A raw server: its port, and the requests it read."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if talk is not silent:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await silent(reader, writer)


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await silent(reader, writer)


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return None


@pytest.mark.parametrize(
    ("scheme", "talk", "reason"),
    [
        ("https", silent, "deadline_tls"),
        ("http", never_answers, "deadline_first_byte"),
        ("http", half, "deadline_transfer"),
    ],
)
async def test_a_service_that_hangs(scheme: str, talk: Talk, reason: str) -> None:
    async with speaking(talk) as (port, _):
        run = await ask(service(f"{scheme}://127.0.0.1:{port}/", name="slow"), timeout=S / 2)
    assert verdict(run, "slow ipv4") == (CRITICAL, reason)
    [record] = run.requests
    assert record.error_type == reason
    assert 0.45e9 < record.elapsed_ns < 5e9


async def test_a_service_whose_queue_is_full() -> None:
    """Nobody accepts, and the kernel answers no more SYNs: a connection that hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        run = await ask(service(f"http://127.0.0.1:{address[1]}/", name="full"), timeout=S / 2)
    assert verdict(run, "full ipv4") == (CRITICAL, "deadline_connect")


async def test_a_server_that_closes_without_a_word_is_asked_once() -> None:
    async with speaking(nothing) as (port, requests):
        run = await ask(service(f"http://127.0.0.1:{port}/", name="rude"), timeout=2 * S)
        assert verdict(run, "rude ipv4") == (CRITICAL, "connect")
        assert len(requests) == 1
    assert len(run.requests) == 1
