"""grpc_health on a fake clock, over a call that answers from a function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probekit.checks import GrpcHealth
from probekit.codecs.grpc_health import CHECK, encode_check
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, ResolveError, TlsError
from probekit.manifest import read_manifest
from probekit.model import Observation, ProbeRun, Status
from probekit.model.grpc import HealthAnswer
from probekit.runner import RunSettings, run_once, watch
from probekit.secret import Secret
from probekit.testing import FakeClock
from probekit.transports.grpc import GrpcReply, GrpcServer, Metadata
from probekit.units import Instant
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

OK, CRITICAL, UNKNOWN = Status.OK, Status.CRITICAL, Status.UNKNOWN
PROBE = load("grpc_health")
MODULE = module_of(PROBE)
MS = 1_000_000
SERVING = b"\x08\x01"


class Wire:
    def __init__(self, handler: Callable[[str], Any], clock: FakeClock) -> None:
        self._handler, self.clock = handler, clock
        self.called: list[tuple[GrpcServer, Metadata, str]] = []

    async def unary(
        self, server: GrpcServer, method: str, message: bytes, *, metadata: Metadata, due_ns: int, target: str, **given: Any
    ) -> GrpcReply:
        assert (method, given["clock"]) == (CHECK, self.clock)
        assert due_ns > self.clock.monotonic_ns()
        assert message == encode_check(target if target != "whole" else "")
        self.called.append((server, metadata, target))
        found = self._handler(target)
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, Exception):
            raise found
        code, data = found if isinstance(found, tuple) else ("OK", found)
        return GrpcReply(code, data, "" if code == "OK" else "words", 15 * MS, 40 * MS)


@pytest.fixture
def on_wire(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Wire, FakeClock]]:
    def make(handler: Callable[[str], Any]) -> tuple[Wire, FakeClock]:
        clock = FakeClock()
        wire = Wire(handler, clock)
        monkeypatch.setattr("probekit.clients.grpc_health.unary", wire.unary)
        return wire, clock

    return make


def service(name: str, **more: Any) -> Any:
    return MODULE.Service(**{"address": "health.test:50051", "service": name, "name": name or "whole", **more})


async def once(clock: FakeClock, *services: Any, **options: Any) -> ProbeRun:
    task = asyncio.ensure_future(run_once(PROBE, PROBE.options(services=services, **options), clock=clock))
    for _ in range(60):
        if task.done():
            break
        await clock.advance(S / 4)
    assert task.done(), "the run took longer than its deadline"
    return task.result()


@pytest.mark.shows("grpc_health", "CRITICAL not_serving", "CRITICAL service_unknown", "CRITICAL unimplemented")
async def test_every_outcome_is_told_apart_by_what_it_means_and_whose_it_is(on_wire: Any) -> None:
    said: dict[str, Any] = {
        "whole": SERVING,
        "stopping": b"\x08\x02",
        "enum": b"\x08\x03",
        "odd": b"\x08\x63",
        "none": ("NOT_FOUND", b""),
        "other": ("UNIMPLEMENTED", b""),
        "busy": ("UNAVAILABLE", b""),
        "broken": ("INTERNAL", b""),
        "slow_there": ("DEADLINE_EXCEEDED", b""),
        "key": ("UNAUTHENTICATED", b""),
        "rights": ("PERMISSION_DENIED", b""),
        "limit": ("RESOURCE_EXHAUSTED", b""),
        "damaged": b"\x08",
        "refused": ConnectError("refused", elapsed_ns=1),
        "name": ResolveError("no such name", elapsed_ns=1),
        "tls": TlsError("expired", elapsed_ns=1),
        "unconnected": DeadlineExceeded("late", elapsed_ns=1),
        "silent": DeadlineExceeded("late", phase="first_byte", elapsed_ns=1),
    }
    wire, clock = on_wire(lambda target: said[target])
    run = await once(clock, *(service("" if name == "whole" else name) for name in said))
    assert {name: verdict(run, name) for name in said} == {
        "whole": (OK, "serving"),
        "stopping": (CRITICAL, "not_serving"),
        "enum": (CRITICAL, "service_unknown"),
        "odd": (CRITICAL, "unexpected_status"),
        "none": (CRITICAL, "service_unknown"),
        "other": (CRITICAL, "unimplemented"),
        "busy": (CRITICAL, "unavailable"),
        "broken": (CRITICAL, "grpc_status"),
        "slow_there": (CRITICAL, "grpc_status"),
        "key": (UNKNOWN, "not_authorized"),
        "rights": (UNKNOWN, "not_entitled"),
        "limit": (UNKNOWN, "rate_limited"),
        "damaged": (CRITICAL, "decode"),
        "refused": (CRITICAL, "connect"),
        "name": (CRITICAL, "resolve"),
        "tls": (CRITICAL, "tls"),
        "unconnected": (CRITICAL, "deadline"),
        "silent": (CRITICAL, "deadline_first_byte"),
    }
    assert "a wrong name here, or not registered" in result(run, "none").verdicts[0].message
    assert len(wire.called) == len(said)


@pytest.mark.shows("grpc_health", "OK")
async def test_what_is_asked_of_whom(on_wire: Any) -> None:
    key = Secret("c4nary-probe-97531")
    wire, clock = on_wire(lambda target: SERVING)
    run = await once(
        clock,
        service("a", authority="prices.test", metadata={"x-plain": "one"}, secret_metadata={"authorization": key}),
        service("b", address="[2001:db8::1]:443", tls=False),
    )
    assert run.status is OK
    (first, metadata, _), (second, none, _) = wire.called
    assert first == GrpcServer("health.test", 50051, True, "prices.test")
    assert second == GrpcServer("2001:db8::1", 443, False)
    assert second.target == "[2001:db8::1]:443"
    assert (metadata, none) == ((("x-plain", "one"), ("authorization", key)), ())
    assert "c4nary" not in repr(run)


async def test_one_that_hangs_delays_no_other(on_wire: Any) -> None:
    async def hang() -> bytes:
        await asyncio.Event().wait()
        return b""

    _, clock = on_wire(lambda target: hang() if target == "hangs" else SERVING)
    run = await once(clock, service("hangs"), service("good"), timeout=60 * S)
    assert verdict(run, "hangs") == (CRITICAL, "deadline")
    assert others_ok(run, "hangs")
    assert [one for one in asyncio.all_tasks() if one.get_name() == "hangs"] == []


@pytest.mark.shows("grpc_health", "OK", "CRITICAL not_serving")
async def test_a_service_that_stops_and_comes_back(on_wire: Any) -> None:
    answer = {"prices": SERVING}
    _, clock = on_wire(lambda target: answer[target])
    runs: list[ProbeRun] = []
    options = PROBE.options(services=(service("prices"),), budget=S / 20, samples=1)

    async def follow() -> None:
        async for one in watch(PROBE, options, settings=RunSettings(interval=S), clock=clock):
            runs.append(one)

    task = asyncio.ensure_future(follow())
    try:
        for status, expected in (
            (SERVING, (OK, "serving")),
            (b"\x08\x02", (CRITICAL, "not_serving")),
            (SERVING, (OK, "serving")),
        ):
            answer["prices"] = status
            await clock.advance(S)
            assert verdict(runs[-1], "prices") == expected
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.shows("grpc_health", "CRITICAL over_budget")
async def test_an_answer_that_is_too_slow(on_wire: Any) -> None:
    _, clock = on_wire(lambda target: SERVING)
    run = await once(clock, service("slow", budget=S / 50), service("fine"))
    assert verdict(run, "slow") == (CRITICAL, "over_budget")
    assert verdict(run, "fine") == (OK, "serving")


def test_the_check_alone() -> None:
    now = Instant.from_seconds(1)
    verdict = GrpcHealth()(Observation(HealthAnswer("", "UNKNOWN", details="boom"), "x", now), now=now)
    assert (verdict.status, verdict.reason) == (CRITICAL, "grpc_status")
    assert verdict.message == "the call for the server as a whole ended with UNKNOWN: boom"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"address": "health.test"}, "address must be HOST:PORT"),
        ({"address": "http://health.test:1"}, "address must be HOST:PORT"),
        ({"address": "health.test:99999"}, "address must be HOST:PORT"),
        ({"address": "user@health.test:1"}, "address must be HOST:PORT"),
        ({"address": "health.test:1/path"}, "address must be HOST:PORT"),
        ({"address": "h:1", "authority": ""}, "authority must be a name"),
        ({"address": "h:1", "service": "x" * 300}, "at most 256 characters"),
        ({"address": "h:1", "metadata": {"Bad": "x"}}, "is no metadata key"),
        ({"address": "h:1", "metadata": {"x": "a\nb"}}, "characters that cannot be sent"),
        ({"address": "good:1"}, "twice: give each a name"),
        ({"address": "h:1", "sevice": "x"}, "did you mean 'service'"),
    ],
)
def test_a_service_that_cannot_be_meant_is_told_in_its_place(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: grpc_health\noptions: {json.dumps({'services': [{'address': 'good:1'}, wrong]})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    [problem] = caught.value.problems
    assert words in problem


def test_options_that_cannot_be_meant() -> None:
    for wrong in ({"budget": 0 * S}, {"timeout": 0 * S}, {"percentile": 101}, {"samples": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PROBE.options(services=(service("a"),), **wrong)
    with pytest.raises(ValueError, match="128 at most"):
        PROBE.options(services=tuple(service(f"s{number}") for number in range(129)))
    with pytest.raises(ValueError, match="both have authorization"):
        service("a", metadata={"authorization": "x"}, secret_metadata={"authorization": Secret("c4nary-112233")})
