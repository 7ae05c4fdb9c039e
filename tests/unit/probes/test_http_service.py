"""http_service on a fake clock, over a transport that answers from a function."""

from __future__ import annotations

import asyncio
from datetime import timedelta
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
    ResolveError,
    TlsError,
)
from probekit.manifest import read_manifest
from probekit.model import Phases, ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Capabilities, Request, Response
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict

OK, CRITICAL, UNKNOWN = Status.OK, Status.CRITICAL, Status.UNKNOWN
PROBE = load("http_service")
MODULE = module_of(PROBE)
MS = 1_000_000


class Engine(ReplyTransport):
    """Speaks 1.1 and 2."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("reply", frozenset(), frozenset(("1.1", "2")), fresh_connections=True, redirects=True)


def service(url: str, **more: Any) -> Any:
    return MODULE.Service(url=url, **more)


def answered(clock: FakeClock, status: int = 200, body: bytes = b"{}", *, ms: int = 20, **headers: str) -> Response:
    """An answer that took so long, after 7 ms in the queue."""
    made = reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()}, clock=clock)
    made.elapsed_ns, made.phases, made.http_version = ms * MS, Phases(queue_ns=7 * MS, resolve_ns=1), "1.1"
    made.peer_address = "192.0.2.7"
    return made


async def once(clock: FakeClock, engine: ReplyTransport, *services: Any, **options: Any) -> ProbeRun:
    task = asyncio.ensure_future(
        run_once(PROBE, PROBE.options(services=services, **options), clock=clock, engines=lambda _: engine)
    )
    for _ in range(60):
        if task.done():
            break
        await clock.advance(S / 4)
    assert task.done(), "the run took longer than its deadline"
    return task.result()


@pytest.mark.shows("http_service", "CRITICAL server_error", "CRITICAL not_json", "CRITICAL tls")
async def test_many_services_are_asked_at_once_and_each_is_judged_by_itself() -> None:
    clock = FakeClock()
    open_at_once = most = 0

    async def serve(request: Request) -> Response | Exception:
        nonlocal open_at_once, most
        open_at_once += 1
        most = max(most, open_at_once)
        await clock.sleep_until_ns(clock.monotonic_ns() + 100 * MS)
        open_at_once -= 1
        place = request.url.rpartition("/")[2]
        outcomes: dict[str, Response | Exception] = {
            "ok": answered(clock, body=b'{"parsed": [{"id": "aa"}]}', content_type="application/json"),
            "down": answered(clock, 503, b"down"),
            "key": answered(clock, 401),
            "limit": answered(clock, 429, retry_after="7"),
            "gone": ConnectError("refused", elapsed_ns=3),
            "name": ResolveError("no such name", elapsed_ns=3),
            "tls": TlsError("expired", elapsed_ns=3),
            "bomb": BodyTooLarge("too large", limit_bytes=1, elapsed_ns=3),
        }
        return outcomes.get(place) or answered(clock, body=b"<html>")

    engine = Engine(serve)
    wants_json = {"expect_json": {"parsed[0].id": MODULE.Expected(equals="aa")}}
    places = ("ok", "down", "key", "limit", "gone", "name", "tls", "bomb", "html")
    run = await once(clock, engine, *(service(f"http://a/{place}", name=place, **wants_json) for place in places))
    assert most == len(places)
    assert {place: verdict(run, f"{place} ipv4") for place in places} == {
        "ok": (OK, "as_expected"),
        "down": (CRITICAL, "server_error"),
        "key": (UNKNOWN, "not_authorized"),
        "limit": (UNKNOWN, "rate_limited"),
        "gone": (CRITICAL, "connect"),
        "name": (CRITICAL, "resolve"),
        "tls": (CRITICAL, "tls"),
        "bomb": (CRITICAL, "body_too_large"),
        "html": (CRITICAL, "not_json"),
    }
    assert run.status is CRITICAL
    # One origin, nine services: each one's evidence is that of its own exchange.
    evidence = {place: result(run, f"{place} ipv4").evidence for place in places if place != "ok"}
    assert {place: one.request for place, one in evidence.items() if one} == {
        place: f"GET http://a/{place}" for place in evidence
    }
    assert {record.target for record in run.requests} == {f"{place} ipv4" for place in places}


async def test_a_service_that_hangs_is_given_up_by_itself_and_counted_with_its_time() -> None:
    clock = FakeClock()

    async def serve(request: Request) -> Response | Exception:
        if not request.url.endswith("/hangs"):
            return answered(clock)
        assert request.deadline_ns is not None
        began_ns = clock.monotonic_ns()
        try:
            await within(clock, request.deadline_ns, asyncio.Event().wait())
        except TimeoutError:
            pass
        return DeadlineExceeded("late", phase="first_byte", elapsed_ns=clock.monotonic_ns() - began_ns)

    meter = RunMeter(Slots(clock_ns=lambda: 0))
    run = await once(clock, Engine(serve), service("http://a/hangs"), service("http://a/ok"), timeout=2 * S)
    assert verdict(run, "http://a/hangs ipv4") == (CRITICAL, "deadline_first_byte")
    assert others_ok(run, "http://a/hangs ipv4")
    late = next(record for record in run.requests if record.error_type)
    assert (late.error_type, late.family) == ("deadline_first_byte", "ipv4")
    assert late.elapsed_ns >= 2_000 * MS
    # One histogram for both outcomes, split by error.type: no failure is 0 s, none is left out.
    meter.record(run)
    series = meter.slots.histogram(names.HTTP_DURATION)
    assert series.bind(("GET", "a", 80, "", "deadline_first_byte", "")).total >= 2
    assert series.bind(("GET", "a", 80, 200, "", "1.1")).total == 0.02


async def test_the_wait_for_the_engine_is_no_part_of_the_time() -> None:
    clock = FakeClock()
    engine = Engine(lambda request: answered(clock, ms=900))
    run = await once(clock, engine, service("http://a/"), budget=S)
    assert run.status is OK
    latency = next(one for one in result(run, "http://a/ ipv4").verdicts if one.check == "latency_budget")
    assert latency.value == 900 * MS
    stuck = Engine(lambda request: DeadlineExceeded("late", phase="queue", elapsed_ns=5))
    assert verdict(await once(clock, stuck, service("http://a/")), "http://a/ ipv4") == (UNKNOWN, "deadline_queue")


@pytest.mark.shows("http_service", "OK", "CRITICAL unexpected_status")
async def test_redirects_only_when_asked_and_each_hop_with_its_own_phases() -> None:
    clock = FakeClock()
    steps = {"http://a/": "/two", "http://a/two": "https://b/three", "http://a/round": "/round"}

    def serve(request: Request) -> Response:
        assert request.max_redirects == 0, "the engine follows none: each hop is a record of its own"
        to = steps.get(request.url)
        made = answered(clock) if to is None else answered(clock, 302, ms=30, location=to)
        made.url = request.url
        return made

    engine = Engine(serve)
    run = await once(clock, engine, service("http://a/"))
    assert verdict(run, "http://a/ ipv4") == (CRITICAL, "unexpected_status")
    assert len(engine.requests) == 1
    run = await once(clock, engine, service("http://a/", max_redirects=2))
    assert run.status is OK
    assert [record.url for record in run.requests] == ["http://a/", "http://a/two", "https://b/three"]
    assert [record.phases.queue_ns for record in run.requests] == [7 * MS] * 3
    budget = next(one for one in run.results[0].verdicts if one.check == "latency_budget")
    assert budget.value == 80 * MS
    run = await once(clock, engine, service("http://a/round", max_redirects=5))
    assert verdict(run, "http://a/round ipv4") == (CRITICAL, "unexpected_status")
    assert "302 after 5 redirects" in result(run, "http://a/round ipv4").verdicts[0].message
    # What is expected is as expected: a redirect is an answer too.
    assert (await once(clock, engine, service("http://a/", expect_status=("301-302",)))).status is OK


async def test_a_secret_header_goes_out_and_nowhere_else() -> None:
    clock = FakeClock()
    key = pk.Secret("c4nary-9876543210")
    engine = Engine(lambda request: answered(clock, 500, f"you sent {key.reveal()}".encode()))
    run = await once(clock, engine, service("http://a/", secret_headers={"x-api-key": key}))
    assert engine.requests[0].headers == (("x-api-key", key),)
    assert "c4nary" not in repr(run)


async def test_a_version_that_the_engine_does_not_speak_is_wrong_here_not_there() -> None:
    clock = FakeClock()
    engine = Engine(lambda request: answered(clock))
    run = await once(clock, engine, service("https://a/", http_version="3"), service("https://b/", http_version="2"))
    assert verdict(run, "https://a/ ipv4") == (UNKNOWN, "config")
    assert verdict(run, "https://b/ ipv4") == (CRITICAL, "unexpected_version")
    assert [request.http_version for request in engine.requests] == ["2"]


async def test_one_family_for_each_service() -> None:
    clock = FakeClock()
    engine = Engine(lambda request: answered(clock))
    run = await once(clock, engine, service("http://a/"), service("http://a/", family="ipv6"), service("http://[::1]/"))
    assert {one.target.id for one in run.results} == {"http://a/ ipv4", "http://a/ ipv6", "http://[::1]/ ipv6"}
    assert {(record.url, record.family) for record in run.requests} == {
        ("http://a/", "ipv4"), ("http://a/", "ipv6"), ("http://[::1]/", "ipv6"),
    }  # fmt: skip


@pytest.mark.shows("http_service", "OK", "CRITICAL over_budget")
async def test_a_slow_service_is_over_its_budget_and_recovers_with_the_percentile() -> None:
    clock = FakeClock()
    slow = True
    engine = Engine(lambda request: answered(clock, ms=1_500 if slow else 20))
    options = PROBE.options(services=(service("http://a/", budget=S / 2),), percentile=50, samples=4)
    runs: list[ProbeRun] = []

    async def follow() -> None:
        settings = RunSettings(interval=timedelta(seconds=1))
        async for run in watch(PROBE, options, settings=settings, clock=clock, engines=lambda _: engine):
            runs.append(run)

    task = asyncio.ensure_future(follow())
    try:
        await clock.advance(S)
        assert verdict(runs[-1], "http://a/ ipv4") == (CRITICAL, "over_budget")
        slow = False
        for _ in range(4):
            await clock.advance(S)
        assert runs[-1].status is OK
        assert not engine.closed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert engine.closed


def test_the_runs_own_deadline_ends_what_still_hangs_and_keeps_what_came() -> None:
    async def scenario() -> None:
        clock = FakeClock()

        async def serve(request: Request) -> Response:
            if request.url.endswith("/hangs"):
                await asyncio.Event().wait()
            return answered(clock)

        run = await once(clock, Engine(serve), service("http://a/hangs"), service("http://a/ok"), timeout=60 * S)
        assert verdict(run, "http://a/hangs ipv4") == (CRITICAL, "deadline")
        assert others_ok(run, "http://a/hangs ipv4")
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("http://a")] == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "ftp://a/"}, "not an http or https URL"),
        ({"url": "http://a b/"}, "is not a URL"),
        ({"url": "http://a/", "headers": {"x": "a\nb"}}, "the header x has characters"),
        ({"url": "http://a/", "http_version": "2"}, "http_version 2 needs an https url"),
        ({"url": "http://a/", "body": "x"}, "body goes with method POST"),
        ({"url": "http://a/", "method": "HEAD", "expect_json": {"a": {}}}, "HEAD brings no body"),
        ({"url": "http://127.0.0.1/", "family": "ipv6"}, "family ipv6 does not reach the ipv4 address"),
        ({"url": "http://a/", "expect_status": ["ok"]}, "is no status"),
        ({"url": "http://a/", "expect_body": [{"matches": "("}]}, "is no regular expression"),
        ({"url": "http://a/", "expect_json": {"a..b": {}}}, "is no path"),
        ({"url": "http://a/", "max_redirects": 21}, "must be <= 20"),
        ({"url": "http://a/", "familly": "ipv4"}, "did you mean 'family'"),
    ],
)
def test_a_service_that_cannot_be_meant_is_told_in_its_place(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    import json

    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: http_service\noptions: {json.dumps({'services': [{'url': 'http://good/'}, wrong]})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    [problem] = caught.value.problems
    assert words in problem
    assert "services[1]" in problem or "services.1" in problem


def test_options_that_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="services must not be empty"):
        PROBE.options(services=())
    with pytest.raises(ValueError, match="services has http://a/ ipv4 twice"):
        PROBE.options(services=(service("http://a/"), service("http://a/")))
    for wrong in ({"budget": 0 * S}, {"timeout": 0 * S}, {"percentile": 101}, {"samples": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PROBE.options(services=(service("http://a/"),), **wrong)
    with pytest.raises(ValueError, match="max_body must be positive"):
        PROBE.options(services=(service("http://a/"),), max_body=pk.ByteSize(0))
