"""websocket_service on a fake clock, over WebSockets that are made up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clock import within
from probekit.errors import (
    BodyTooLarge,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    NotEntitled,
    ServerError,
    StreamClosed,
    TlsError,
    TransportError,
    Unauthorized,
)
from probekit.manifest import read_manifest
from probekit.model import Phases, ProbeRun, Status
from probekit.runner import run_once
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock
from probekit.transports.websocket import Opened, SocketRequest
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("websocket_service")
MODULE = module_of(PROBE)
MS = 1_000_000
CLOSED = StreamClosed("closed: 1011 oops", planned=False)


@dataclass
class FakeSocket:
    """Says what it was given, hangs when that is over, and answers a ping after ``pong_ms`` or with it; ``None``: never."""

    clock: FakeClock
    says: list[bytes | TransportError] = field(default_factory=list)
    pong_ms: int | TransportError | None = 3
    floods: bool = False
    dropped: int = 0
    ended: tuple[int, str] | None = None
    sent: list[str] = field(default_factory=list)
    closed: int = 0

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def receive(self) -> bytes:
        if not self.says:
            await asyncio.Event().wait()
        message = self.says.pop(0)
        if isinstance(message, TransportError):
            raise message
        return message

    async def ping(self) -> bool:
        if isinstance(self.pong_ms, TransportError):
            raise self.pong_ms
        if self.pong_ms is None:
            await asyncio.Event().wait()
        await self.clock.sleep_until_ns(self.clock.monotonic_ns() + (self.pong_ms or 0) * MS)
        return not self.floods

    async def aclose(self, *, drop: bool) -> None:
        assert drop
        self.closed += 1
        if not isinstance(self.pong_ms, StreamClosed):
            self.ended = self.ended or (1000, "")


class Lab:
    """Runs the probe over a connector of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.requests: list[SocketRequest] = []
        self.answers: Any = lambda request: self.socket()
        monkeypatch.setattr(MODULE, "connector_of", lambda ctx: self)

    def socket(self, *says: bytes | TransportError, **more: Any) -> FakeSocket:
        return FakeSocket(self.clock, list(says), **more)

    async def open(self, request: SocketRequest) -> Opened:
        self.requests.append(request)
        found = self.answers(request)
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, TransportError):
            raise found
        phases = Phases(queue_ns=9 * MS, resolve_ns=MS, connect_ns=2 * MS, tls_ns=3 * MS, first_byte_ns=4 * MS)
        protocol = request.subprotocols[0] if request.subprotocols else None
        return Opened(found, protocol, "192.0.2.7", phases, 10 * MS)

    async def once(self, *services: Any, **options: Any) -> ProbeRun:
        task = asyncio.ensure_future(run_once(PROBE, PROBE.options(services=services, **options), clock=self.clock))
        for _ in range(60):
            if task.done():
                break
            await self.clock.advance(S / 4)
        assert task.done(), "the run took longer than its deadline"
        return task.result()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(monkeypatch)


def service(name: str, **more: Any) -> Any:
    return MODULE.Service(url=f"wss://{name}.example/", name=name, **more)


@pytest.mark.shows("websocket_service", "CRITICAL unexpected_message", "CRITICAL no_pong", "CRITICAL closed_by_peer")
async def test_each_state_of_a_websocket_is_told_by_itself(lab: Lab) -> None:
    sockets = {
        "open": lab.socket(),
        "hello": lab.socket(b'{"result": 7}'),
        "other": lab.socket(b'{"error": "no"}'),
        "leaves": lab.socket(CLOSED, ended=(1011, "oops")),
        "large": lab.socket(BodyTooLarge("too large", limit_bytes=1)),
        "dumb": lab.socket(b'{"result": 7}', pong_ms=None),
        "slow": lab.socket(b'{"result": 7}', pong_ms=900),
        "floods": lab.socket(b'{"result": 7}', floods=True, dropped=65_536),
    }
    failed: dict[str, TransportError] = {
        "down": ConnectError("refused"),
        "tls": TlsError("expired"),
        "busy": ServerError("503", status=503),
        "key": Unauthorized("401", status=401),
        "not yours": NotEntitled("403", status=403),
    }
    answers: dict[str, Any] = {**sockets, **{name.replace(" ", ""): error for name, error in failed.items()}}
    lab.answers = lambda request: answers[request.url.removeprefix("wss://").removesuffix(".example/")]
    run = await lab.once(
        service("open"), *(service(name, expect_json={"result": "^7$"}) for name in answers if name != "open"), timeout=2 * S
    )
    assert {name: verdict(run, f"{name} ipv4") for name in answers} == {
        "open": (OK, "open"),
        "hello": (OK, "as_expected"),
        "other": (CRITICAL, "unexpected_message"),
        "leaves": (CRITICAL, "closed_by_peer"),
        "large": (CRITICAL, "body_too_large"),
        "dumb": (CRITICAL, "no_pong"),
        "floods": (CRITICAL, "no_pong"),
        "slow": (WARNING, "slow_pong"),
        "down": (CRITICAL, "connect"),
        "tls": (CRITICAL, "tls"),
        "busy": (CRITICAL, "server_error"),
        "key": (UNKNOWN, "not_authorized"),
        "notyours": (UNKNOWN, "not_entitled"),
    }
    assert {name: socket.closed for name, socket in sockets.items()} == dict.fromkeys(sockets, 1)
    assert "1011 oops" in result(run, "leaves ipv4").verdicts[0].message
    assert "closed with 1000" in result(run, "open ipv4").verdicts[0].message
    skipped = {one.check: one.status for one in result(run, "leaves ipv4").verdicts}
    assert skipped["websocket_ping"] is SKIPPED
    meter = RunMeter(Slots(clock_ns=lambda: 0))
    meter.record(run)
    pings = meter.slots.histogram(names.MEASURES["websocket.ping"])
    assert {str(key[1]): slot.total for key, slot in pings.series.items() if slot.total} == {
        "open ipv4": 0.003, "hello ipv4": 0.003, "other ipv4": 0.003, "slow ipv4": 0.9,
    }  # fmt: skip


@pytest.mark.shows("websocket_service", "OK")
async def test_what_is_asked_for_and_said(lab: Lab) -> None:
    key = pk.Secret("c4nary-9876543210")
    socket = lab.socket(b"welcome", b"and you are c4nary-9876543210")
    lab.answers = lambda request: socket
    run = await lab.once(
        service("a", headers={"x-a": "1"}, secret_headers={"x-key": key}, subprotocols=("v2", "v1"), family="ipv6",
                send='{"token": "{secret}"}', secret=key, expect="^and you", max_messages=3, ping=False)
    )  # fmt: skip
    assert run.status is OK, run.results
    [request] = lab.requests
    assert request.headers == (("x-a", "1"), ("x-key", key))
    assert (request.subprotocols, request.family, request.target) == (("v2", "v1"), "ipv6", "a ipv6")
    assert socket.sent == ['{"token": "c4nary-9876543210"}']
    assert "c4nary" not in repr(run)
    assert {one.check for one in run.results[0].verdicts} == {"websocket_message", "latency_budget"}
    assert "speaking v2" in run.results[0].verdicts[0].message


async def test_one_that_hangs_holds_up_no_other(lab: Lab) -> None:
    async def never(request: SocketRequest) -> DeadlineExceeded:
        assert request.deadline_ns is not None
        try:
            await within(lab.clock, request.deadline_ns, asyncio.Event().wait())
        except TimeoutError:
            pass
        return DeadlineExceeded("late", phase="tls")

    def answer(request: SocketRequest) -> Any:
        match request.url.removeprefix("wss://").removesuffix(".example/"):
            case "unopened":
                return never(request)
            case "mute":
                return lab.socket()
            case "chatty":
                return lab.socket(b"other")
            case _:
                return lab.socket(b"hi")

    lab.answers = answer
    hanging = ("unopened", "mute", "chatty")
    run = await lab.once(*(service(name, expect="^hi", max_messages=2) for name in (*hanging, "ok")), timeout=2 * S)
    assert {name: verdict(run, f"{name} ipv4") for name in hanging} == {
        "unopened": (CRITICAL, "deadline_tls"),
        "mute": (CRITICAL, "deadline_first_byte"),
        "chatty": (CRITICAL, "unexpected_message"),
    }
    assert others_ok(run, *(f"{name} ipv4" for name in hanging))
    slow, quick = result(run, "mute ipv4").observed_at, result(run, "ok ipv4").observed_at
    assert slow is not None
    assert quick is not None
    assert slow.since(quick) >= 1_900 * MS


async def test_a_pong_that_could_not_be_waited_for_is_not_missing(lab: Lab) -> None:
    class Late(FakeSocket):
        async def receive(self) -> bytes:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + 1_800 * MS)
            return b"hi"

    large = BodyTooLarge("too large", limit_bytes=1)
    answers = {
        "late": Late(lab.clock, pong_ms=300),
        "latest": lab.socket(b"no"),
        "large": lab.socket(b"hi", pong_ms=large),
        "leaves": lab.socket(b"hi", pong_ms=CLOSED, ended=(1000, "")),
    }
    lab.answers = lambda request: answers[request.url.removeprefix("wss://").removesuffix(".example/")]
    run = await lab.once(*(service(name, expect="hi", max_messages=2) for name in answers), timeout=2 * S, budget=3 * S)
    pings = {one.target.id: {v.check: v for v in one.verdicts}["websocket_ping"] for one in run.results}
    assert {(one.status, one.reason) for one in pings.values()} == {(SKIPPED, "not_pinged")}
    assert "only 200.0ms were left" in pings["late ipv4"].message
    assert "no time was left" in pings["latest ipv4"].message
    assert "a message above the limit" in pings["large ipv4"].message
    assert "closed before" in pings["leaves ipv4"].message


async def test_one_that_is_closed_at_once_did_not_open_in_earnest(lab: Lab) -> None:
    answers = {
        "refuses": lab.socket(pong_ms=CLOSED, ended=(1008, "no such key")),
        "breaks": lab.socket(b"hi", pong_ms=CLOSED),
    }
    lab.answers = lambda request: answers[request.url.removeprefix("wss://").removesuffix(".example/")]
    run = await lab.once(service("refuses"), service("breaks", expect="hi"))
    assert {one.target.id: {v.check: v.reason for v in one.verdicts} for one in run.results} == {
        "refuses ipv4": {"websocket_message": "closed_by_peer", "websocket_ping": "no_pong", "latency_budget": "within_budget"},
        "breaks ipv4": {"websocket_message": "as_expected", "websocket_ping": "no_pong", "latency_budget": "within_budget"},
    }
    assert "1008 no such key" in result(run, "refuses ipv4").verdicts[0].message


@pytest.mark.shows("websocket_service", "CRITICAL over_budget")
async def test_the_time_is_up_to_the_message_and_without_ping_and_queue(lab: Lab) -> None:
    class Slow(FakeSocket):
        async def receive(self) -> bytes:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + 300 * MS)
            return b"hi"

    lab.answers = lambda request: Slow(lab.clock, pong_ms=400)
    run = await lab.once(service("a", expect="hi"), budget=S / 4)
    assert verdict(run, "a ipv4") == (CRITICAL, "over_budget")
    assert next(one.value for one in run.results[0].verdicts if one.check == "latency_budget") == 310 * MS


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "https://a.example/"}, "no ws or wss URL"),
        ({"url": "ws://"}, "no ws or wss URL"),
        ({"url": "ws://a.example:99999/"}, "no ws or wss URL"),
        ({"url": "ws://a.example/a b"}, "no ws or wss URL"),
        ({"url": "ws://me:pw@a.example/"}, "no place for a user"),
        ({"url": "ws://192.0.2.1/", "family": "ipv6"}, "family ipv6 does not reach"),
        ({"url": "ws://a.example/", "headers": {"x": "a\nb"}}, "the header x has characters"),
        ({"url": "wss://a.example/", "send": "{secret}"}, "stands in send as {secret}"),
        ({"url": "ws://a.example/", "send": "{secret}", "secret": "env:PK_TEST_KEY"}, "go with a wss url"),
        ({"url": "wss://a.example/", "ca_file": "/nowhere.pem"}, "ca_file: "),
        ({"url": "ws://a.example/", "subprotocols": ["a b"]}, "names without blanks"),
        ({"url": "ws://a.example/", "expect": "("}, "no regular expression"),
        ({"url": "ws://a.example/", "expect_json": {"a..b": "x"}}, "is no path"),
        ({"url": "ws://a.example/", "max_messages": 0}, "must be >= 1"),
        ({"url": "ws://a.example/", "expectt": "x"}, "did you mean 'expect'"),
    ],
)
def test_a_websocket_that_cannot_be_meant_is_told_in_its_place(
    wrong: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PK_TEST_KEY", "k3y")
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: websocket_service\noptions: {json.dumps({'services': [{'url': 'ws://good.example/'}, wrong]})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    [problem] = caught.value.problems
    assert words in problem
    assert "services[1]" in problem
    assert "pw@" not in problem


def test_options_that_cannot_be_meant() -> None:
    one = MODULE.Service(url="ws://a.example/")
    with pytest.raises(ValueError, match="services must not be empty"):
        PROBE.options(services=())
    with pytest.raises(ValueError, match="services has .* twice"):
        PROBE.options(services=(one, one))
    with pytest.raises(ValueError, match="max_message must be positive"):
        PROBE.options(services=(one,), max_message=pk.ByteSize(0))
    with pytest.raises(ValueError, match="max_ping 0:00:06 is above timeout 0:00:05"):
        PROBE.options(services=(one,), max_ping=6 * S)
    many = MODULE.Service(url="ws://b.example/", expect="x", max_messages=5)
    with pytest.raises(ValueError, match=r"max_messages of ws://b\.example/ ipv4, each of max_message, are above 64MiB"):
        PROBE.options(services=(one, many), max_message=pk.ByteSize.parse("16MiB"))
    for wrong in ({"budget": 0 * S}, {"timeout": 0 * S}, {"max_ping": 0 * S}, {"percentile": 101}, {"samples": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PROBE.options(services=(one,), **wrong)
