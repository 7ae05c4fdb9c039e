"""An operator's regular expression that would try for ever: UNKNOWN within a bound, and every other target is answered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from probekit.model import Phases, ProbeRun, Status
from probekit.runner import run_once
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Capabilities, Request, Response
from probekit.transports.dns import DnsReply
from probekit.transports.matching import PATIENCE_S
from probekit.transports.websocket import Opened
from tests.support.sandbox import load, module_of, result, verdict
from tests.support.wires import FakeDialer, FakeWire
from tests.support.zones import answer

PATTERN = "(a+)+$"
TEXT = "a" * 30 + "!"
GOOD = "it is aaa"
SLOW = (Status.UNKNOWN, "pattern_slow")
FINE = (Status.OK, "as_expected")


async def once(probe: Any, options: Any, **more: Any) -> ProbeRun:
    """One run, which must end within the bound, while the loop goes on."""
    late_s = 0.0

    async def tick() -> None:
        nonlocal late_s
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            late_s = max(late_s, time.monotonic() - began - 0.005)

    ticking = asyncio.ensure_future(tick())
    began = time.monotonic()
    try:
        run = await run_once(probe, options, **more)
    finally:
        ticking.cancel()
    assert time.monotonic() - began < PATIENCE_S + 3
    # Thirty letters more than double it thirty times over: a loop that waited for it would wait for many seconds.
    assert late_s < 2
    return run


class Engine(ReplyTransport):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("reply", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=True)


async def test_http() -> None:
    probe, clock = load("http_service"), FakeClock()
    module = module_of(probe)

    def serve(request: Request) -> Response:
        text = GOOD if request.url.endswith("good") else TEXT
        return reply(200, json.dumps({"text": text}).encode(), {"x-text": text}, clock=clock)

    want = module.Expected(matches=PATTERN)
    wanted: dict[str, dict[str, Any]] = {
        "json": {"expect_json": {"text": want}},
        "header": {"expect_headers": {"x-text": want}},
        "body": {"expect_body": (module.Expected(lacks="(a+)+!!"),)},
        "good": {"expect_json": {"text": want}, "expect_headers": {"x-text": want}},
        "plain": {"expect_body": (module.Expected(matches="aaa"),)},
    }
    services = tuple(module.Service(url=f"http://a/{name}", name=name, **more) for name, more in wanted.items())
    run = await once(probe, probe.options(services=services), clock=clock, engines=lambda _: Engine(serve))
    assert {name: verdict(run, f"{name} ipv4") for name in wanted} == {
        "json": SLOW, "header": SLOW, "body": SLOW, "good": FINE, "plain": FINE,
    }  # fmt: skip
    assert repr(PATTERN) in result(run, "json ipv4").verdicts[0].message
    assert run.status is Status.UNKNOWN


async def test_what_is_found_elsewhere_is_told_as_what_is_found_here() -> None:
    probe, clock = load("http_service"), FakeClock()
    module = module_of(probe)
    body = b"x" * 20_000 + b" height 7 " + b"x" * 20_000
    wanted: dict[str, dict[str, Any]] = {
        "found": {"matches": r"height\s+\d+"}, "absent": {"matches": r"depth\s+\d+"},
        "lacks": {"lacks": r"depth\s+\d+"}, "has": {"lacks": r"height\s+\d+"},
    }  # fmt: skip
    services = tuple(
        module.Service(url=f"http://a/{name}", name=name, expect_body=(module.Expected(**one),)) for name, one in wanted.items()
    )
    engine = Engine(lambda request: reply(200, body, clock=clock))
    run = await once(probe, probe.options(services=services), clock=clock, engines=lambda _: engine)
    wrong = (Status.CRITICAL, "unexpected_body")
    assert {name: verdict(run, f"{name} ipv4") for name in wanted} == {
        "found": FINE, "absent": wrong, "lacks": FINE, "has": wrong,
    }  # fmt: skip
    assert "has 'height 7', which matches" in result(run, "has ipv4").verdicts[0].message


async def test_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, clock = load("tcp_service"), FakeClock()
    module = module_of(probe)
    wires = {"slow.example": FakeWire(says=[TEXT.encode()]), "good.example": FakeWire(says=[GOOD[:7].encode(), b"aaa"])}

    def make(*, clock: Any, observer: Any) -> FakeDialer:
        return FakeDialer(clock, lambda call: wires[call.host], observer)

    monkeypatch.setattr("probekit.transports.dial.SocketDialer", make)
    services = tuple(
        module.Service(
            address=f"{host}:25", name=host, dialogue=(module.Say(expect="^it is (a+)+$" if "good" in host else PATTERN),)
        )
        for host in wires
    )
    run = await once(probe, probe.options(services=services), clock=clock)
    assert verdict(run, "slow.example ipv4") == SLOW
    assert repr(PATTERN) in result(run, "slow.example ipv4").verdicts[0].message
    assert verdict(run, "good.example ipv4") == FINE


async def test_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, clock = load("websocket_service"), FakeClock()
    module = module_of(probe)

    class Socket:
        ended: tuple[int, str] | None = None

        def __init__(self, text: str) -> None:
            self._says = [b"{}", json.dumps({"text": text}).encode()]

        async def receive(self) -> bytes:
            return self._says.pop(0)

        async def aclose(self, *, drop: bool = False) -> None:
            self.ended = (1000, "")

    class Connector:
        async def open(self, request: Any) -> Opened:
            socket: Any = Socket(GOOD if "good" in request.url else TEXT)
            return Opened(socket, None, "192.0.2.7", Phases(), 1)

    monkeypatch.setattr(module, "connector_of", lambda ctx: Connector())
    wanted: dict[str, dict[str, Any]] = {
        "slow": {"expect": '(a+)+"!'},
        "json": {"expect_json": {"text": PATTERN}},
        "good": {"expect_json": {"text": PATTERN}},
    }
    services = tuple(
        module.Service(url=f"ws://{name}.example/", name=name, ping=False, max_messages=2, **want)
        for name, want in wanted.items()
    )
    run = await once(probe, probe.options(services=services), clock=clock)
    assert {name: verdict(run, f"{name} ipv4") for name in wanted} == {"slow": SLOW, "json": SLOW, "good": FINE}


async def test_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, clock = load("dns_record"), FakeClock()
    module = module_of(probe)

    async def exchange(server: Any, query: bytes, **_: Any) -> DnsReply:
        text = GOOD if b"good" in query else TEXT
        name = "good" if b"good" in query else "slow"
        return DnsReply(answer(query, f'{name}.test. 300 TXT "{text}"'), 1, Phases())

    monkeypatch.setattr("probekit.clients.dns.exchange", exchange)
    records = tuple(module.Record(name=f"{name}.test", type="TXT", matches=PATTERN) for name in ("slow", "good"))
    options = probe.options(records=records, resolvers=(module.Resolver(address="192.0.2.53", name="53"),))
    run = await once(probe, options, clock=clock)
    assert verdict(run, "slow.test TXT @53") == SLOW
    assert verdict(run, "good.test TXT @53") == FINE


async def test_prometheus() -> None:
    probe, clock = load("prometheus_query"), FakeClock()
    module = module_of(probe)

    def serve(request: Request) -> Response:
        text = GOOD if b"good" in (request.body or b"") else TEXT
        said = {"status": "success", "data": {"resultType": "string", "result": [1, text]}}
        return reply(200, json.dumps(said).encode(), clock=clock)

    queries = tuple(module.Query(name=name, query=name, matches=PATTERN) for name in ("slow", "good"))
    options = probe.options(url="http://prom.test", queries=queries)
    run = await once(probe, options, clock=clock, engines=lambda _: ReplyTransport(serve))
    assert verdict(run, "slow") == SLOW
    assert verdict(run, "good") == FINE
