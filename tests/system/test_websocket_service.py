"""websocket_service in real time: through nginx with TLS to a server of WebSockets, and against servers that hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.debian import Unavailable
from tests.support.nginx import free_ports, nginx
from tests.support.pki import issue, leaf
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.support.upgrade import upgraded

pytestmark = pytest.mark.system

OK, CRITICAL, UNKNOWN = Status.OK, Status.CRITICAL, Status.UNKNOWN
PROBE = load("websocket_service")
MODULE = module_of(PROBE)
ROOT = issue("root")
SUBSCRIBE = {"send": '{"id": 1, "method": "slotSubscribe"}', "expect_json": {"result": r"^\d+$"}}

_UPGRADE = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


async def subscriptions(connection: ServerConnection) -> None:
    """Answers a request by what its path says."""
    path = connection.request.path if connection.request is not None else ""
    if path == "/refuses":
        await connection.close(1008, "no such key")
        return
    async for _ in connection:
        if path == "/leaves":
            await connection.close(1013, "try again later")
            return
        if path == "/stream":
            with contextlib.suppress(ConnectionClosed):
                for slot in range(1_000_000):
                    await connection.send(f'{{"slot": {slot}}}')
                    if slot % 500 == 499:
                        await asyncio.sleep(0)
            return
        await connection.send('{"error": "no such method"}' if path == "/other" else '{"id": 1, "result": 7}')


@pytest.fixture(scope="module")
def back_end() -> Iterator[int]:
    """A server of WebSockets on a loop of its own, which no test's timing shares."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(subscriptions, "127.0.0.1", 0) as running:
            ports.append(running.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(20)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@dataclass(frozen=True)
class Site:
    """nginx before the back end: plain, with TLS, with an expired certificate; and the authority."""

    plain: int
    secured: int
    expired: int
    bundle: str


@pytest.fixture(scope="module")
def site(back_end: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "ca.pem").write_bytes(ROOT.pem)
    plain, secured, expired, nobody = free_ports(4)
    places = (
        f"location / {{ proxy_pass http://127.0.0.1:{back_end}; {_UPGRADE} }} "
        f"location = /away {{ proxy_pass http://127.0.0.1:{nobody}; {_UPGRADE} }} "
        "location = /key { return 401; } location = /page { return 200 hello; }"
    )
    blocks = [f"server {{ listen 127.0.0.1:{plain}; {places} }}"]
    for port, days in ((secured, 30), (expired, -1)):
        pem = leaf(ROOT, "localhost", days=days).write(folder / f"{port}.pem")
        blocks.append(f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; {places} }}")
    try:
        with nginx(folder, "\n".join(blocks), [plain, secured, expired]):
            yield Site(plain, secured, expired, str(folder / "ca.pem"))
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


def service(url: str, name: str, **more: Any) -> Any:
    return MODULE.Service(url=url, name=name, **more)


async def ask(*services: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(services=services, **{"budget": 3 * S, "max_ping": 3 * S, **options}))


@pytest.mark.shows("websocket_service", "CRITICAL unexpected_message", "CRITICAL closed_by_peer", "CRITICAL tls")
async def test_each_state_of_a_websocket_at_once(site: Site) -> None:
    plain, secured = f"ws://localhost:{site.plain}", f"wss://localhost:{site.secured}"
    (closed,) = free_ports(1)
    run = await ask(
        service(f"{plain}/", "open"),
        service(f"{plain}/", "plain", **SUBSCRIBE),
        service(f"{secured}/", "secured", ca_file=site.bundle, **SUBSCRIBE),
        service(f"{secured}/", "stranger", **SUBSCRIBE),
        service(f"wss://localhost:{site.expired}/", "expired", ca_file=site.bundle, **SUBSCRIBE),
        service(f"{plain}/other", "other", **SUBSCRIBE),
        service(f"{plain}/leaves", "leaves", **SUBSCRIBE),
        service(f"{plain}/refuses", "refuses"),
        service(f"{plain}/away", "away"),
        service(f"{plain}/key", "key"),
        service(f"{plain}/page", "page"),
        service(f"ws://localhost:{closed}/", "closed"),
    )
    assert {one.target.id.removesuffix(" ipv4"): verdict(run, one.target.id) for one in run.results} == {
        "open": (OK, "open"),
        "plain": (OK, "as_expected"),
        "secured": (OK, "as_expected"),
        "stranger": (CRITICAL, "tls"),
        "expired": (CRITICAL, "tls"),
        "other": (CRITICAL, "unexpected_message"),
        "leaves": (CRITICAL, "closed_by_peer"),
        "refuses": (CRITICAL, "closed_by_peer"),
        "away": (CRITICAL, "server_error"),
        "key": (UNKNOWN, "not_authorized"),
        "page": (CRITICAL, "status"),
        "closed": (CRITICAL, "connect"),
    }
    messages = {one.target.id.removesuffix(" ipv4"): one.verdicts[0].message for one in run.results}
    assert "1013 try again later" in messages["leaves"]
    assert "no such method" in messages["other"]
    phases = {record.target.removesuffix(" ipv4"): record.phases for record in run.requests}
    assert phases["secured"].tls_ns
    assert phases["secured"].first_byte_ns
    assert phases["plain"].tls_ns is None
    pings = {one.target.id: {v.check: v.value for v in one.verdicts}.get("websocket_ping") for one in run.results}
    assert pings["secured ipv4"]


@pytest.mark.shows("websocket_service", "OK")
async def test_all_is_well_with_tls_and_without(site: Site) -> None:
    run = await ask(
        service(f"ws://localhost:{site.plain}/", "plain", **SUBSCRIBE),
        service(f"wss://localhost:{site.secured}/", "secured", ca_file=site.bundle, **SUBSCRIBE),
    )
    assert run.status is OK, [one.verdicts for one in run.results]
    assert {verdict(run, f"{name} ipv4") for name in ("plain", "secured")} == {(OK, "as_expected")}


async def test_those_that_hang_hold_up_nobody(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        quiet = [service(f"ws://127.0.0.1:{port}/", f"silent {number}", **SUBSCRIBE) for number in range(10)]
        mute = service(f"ws://127.0.0.1:{site.plain}/", "mute", expect="anything")
        quick = [service(f"ws://127.0.0.1:{site.plain}/", f"quick {number}", **SUBSCRIBE) for number in range(30)]
        run = await ask(*quiet, mute, *quick, timeout=2 * S, max_ping=2 * S)
    hanging = [f"silent {number} ipv4" for number in range(10)]
    assert {verdict(run, one) for one in hanging} == {(CRITICAL, "deadline_first_byte")}
    assert verdict(run, "mute ipv4") == (CRITICAL, "deadline_first_byte")
    assert "no message came" in result(run, "mute ipv4").verdicts[0].message
    assert others_ok(run, *hanging, "mute ipv4")


@pytest.mark.shows("websocket_service", "CRITICAL no_pong")
async def test_a_peer_that_answers_no_ping(tmp_path: Path) -> None:
    """It speaks the upgrade, and nothing after it."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        run = await ask(service(f"ws://127.0.0.1:{port}/", "dumb"), timeout=S, max_ping=S / 2)
    finally:
        server.close()
    assert verdict(run, "dumb ipv4") == (CRITICAL, "no_pong")


async def test_a_busy_stream_answers_its_ping(site: Site) -> None:
    """More than the library keeps comes within a round trip, through a proxy as well."""
    stream = {"send": '{"id": 1}', "expect_json": {"slot": r"^\d+$"}}
    run = await ask(
        service(f"ws://localhost:{site.plain}/stream", "busy", **stream),
        service(f"wss://localhost:{site.secured}/stream", "secured", ca_file=site.bundle, **stream),
        service(f"ws://localhost:{site.plain}/stream", "unread", send='{"id": 1}'),
    )
    assert run.status is OK, run.results
    pings = {one.target.id: {v.check: v for v in one.verdicts}["websocket_ping"] for one in run.results}
    assert {one.reason for one in pings.values()} == {"pong"}
    # Its close frame is read, too, behind whatever comes before.
    assert "closed with 1000" in result(run, "unread ipv4").verdicts[0].message
