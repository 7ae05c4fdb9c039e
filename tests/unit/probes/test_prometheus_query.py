"""prometheus_query on a fake clock, over a transport that answers from a function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from tests.support.sandbox import S, load, module_of, result, verdict

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("prometheus_query")
MODULE = module_of(PROBE)
URL = "http://prom.test/prefix"


def vector(*values: str, at: float = 1_700_000_000.5, **more: Any) -> bytes:
    series = [{"metric": {"__name__": "up", "n": str(n)}, "value": [at, one]} for n, one in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}, **more}).encode()


def engine(answer: Callable[[str], Any], clock: FakeClock, *, ms: int = 20) -> ReplyTransport:
    def serve(request: Request) -> Response | Exception:
        assert request.body is not None
        form = parse_qs(request.body.decode())
        assert request.url == f"{URL}/api/v1/query"
        found = answer(form["query"][0])
        if isinstance(found, Exception):
            return found
        status, body = found if isinstance(found, tuple) else (200, found)
        made = reply(status, body, clock=clock)
        made.elapsed_ns = ms * 1_000_000
        return made

    return ReplyTransport(serve)


def query(name: str, **more: Any) -> Any:
    return MODULE.Query(**{"name": name, "query": name, **more})


async def once(clock: FakeClock, transport: ReplyTransport, *queries: Any, **options: Any) -> ProbeRun:
    made = PROBE.options(url=URL, queries=queries, **options)
    task = asyncio.ensure_future(run_once(PROBE, made, clock=clock, engines=lambda _: transport))
    for _ in range(200):
        if task.done():
            break
        await clock.advance(S / 4)
    assert task.done(), "the run took longer than its deadline"
    return task.result()


@pytest.mark.shows("prometheus_query", "OK")
async def test_every_query_within_its_bounds() -> None:
    clock = FakeClock()
    transport = engine({"up": vector("1", "1"), "errors": vector()}.__getitem__, clock)
    run = await once(clock, transport, query("up", critical=("< 1",)), query("errors", critical=("> 0",), on_empty="ok"))
    assert run.status is OK
    assert {one.target.id: verdict(run, one.target.id)[0] for one in run.results} == {"up": OK, "errors": OK, URL: OK}


@pytest.mark.shows("prometheus_query", "WARNING beyond_warning", "CRITICAL beyond_critical", "CRITICAL empty")
async def test_each_query_has_its_own_verdict() -> None:
    clock = FakeClock()
    said: dict[str, Any] = {
        "good": vector("1", "1"),
        "low": vector("1", "0", warnings=["partial"]),
        "high": vector("6"),
        "none": vector(),
        "none is fine": vector(),
        "nan": vector("NaN"),
        "many": vector(*["1"] * 20),
        "odd": b"<html>",
        "typo": (400, b'{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}'),
        "join": (422, b'{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}'),
        "slow": (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}'),
        "gone": (404, b"not found"),
    }
    transport = engine(said.__getitem__, clock)
    policies: dict[str, dict[str, Any]] = {"none is fine": {"on_empty": "ok"}, "many": {"max_series": 10}}
    queries = [query(name, critical=("< 1",), warning=("> 5",), **policies.get(name, {})) for name in said]
    run = await once(clock, transport, *queries)
    assert {name: verdict(run, name) for name in said} == {
        "good": (OK, "as_expected"),
        "low": (CRITICAL, "beyond_critical"),
        "high": (WARNING, "beyond_warning"),
        "none": (CRITICAL, "empty"),
        "none is fine": (OK, "as_expected"),
        "nan": (CRITICAL, "not_a_number"),
        "many": (UNKNOWN, "too_many_series"),
        "odd": (CRITICAL, "decode"),
        "typo": (UNKNOWN, "config"),
        "join": (UNKNOWN, "config"),
        "slow": (CRITICAL, "server_error"),
        "gone": (CRITICAL, "status"),
    }
    assert verdict(run, URL) == (OK, "within_budget")
    low = result(run, "low").verdicts[0]
    assert [one.scope for one in low.parts] == ['up{n="1"}']
    assert low.message.endswith("the server says: partial")
    # One server, twelve queries: each one's evidence is that of its own exchange.
    assert {record.target for record in run.requests} == set(said)
    evidence = result(run, "gone").evidence
    assert evidence is not None
    assert (evidence.status, evidence.excerpt) == (404, "not found")
    assert "parse error" in result(run, "typo").verdicts[0].message


@pytest.mark.shows("prometheus_query", "CRITICAL stale_data")
async def test_data_that_is_too_old_whatever_its_values() -> None:
    clock = FakeClock()
    said = {"up": vector("1"), "timestamp(up)": vector("1699999990.5"), "old": vector("1"), "t": vector("1699999000.5")}
    aged = {"data_time": "timestamp(up)", "max_age": 60 * S}
    run = await once(clock, engine(said.__getitem__, clock), query("up", **aged), query("old", data_time="t", max_age=60 * S))
    assert verdict(run, "up data age") == (OK, "fresh_data")
    assert verdict(run, "old data age") == (CRITICAL, "stale_data")
    assert verdict(run, "old") == (OK, "as_expected")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ((401, b"who"), (UNKNOWN, "not_authorized")),
        ((429, b"slow down"), (UNKNOWN, "rate_limited")),
        ((500, b"boom"), (CRITICAL, "server_error")),
        (ConnectError("refused"), (CRITICAL, "connect")),
    ],
)
async def test_a_server_that_fails_is_told_once(outcome: Any, expected: tuple[Status, str]) -> None:
    clock = FakeClock()
    run = await once(clock, engine(lambda _: outcome, clock), query("a"), query("b", data_time="t", max_age=S))
    assert verdict(run, URL) == expected
    assert [verdict(run, one) for one in ("a", "b", "b data age")] == [(UNKNOWN, "behind_endpoint")] * 3


async def test_one_attempt_each_and_the_slowest_counts() -> None:
    clock = FakeClock()
    transport = engine(lambda _: vector("1"), clock, ms=3_000)
    run = await once(clock, transport, query("a"), query("b"))
    assert verdict(run, URL) == (CRITICAL, "over_budget")
    assert len(transport.requests) == 2
    failing = engine(lambda _: (503, b""), clock)
    await once(clock, failing, query("a"))
    assert len(failing.requests) == 1
    assert parse_qs((failing.requests[0].body or b"").decode())["timeout"] == ["9000ms"]


async def test_keys_go_out_and_nowhere_else() -> None:
    clock = FakeClock()
    password, token = Secret("c4nary-password-1"), Secret("c4nary-token-22")
    transport = engine(lambda _: (500, b"you are c4nary-password-1 with c4nary-token-22"), clock)
    options = {"username": "probe", "password": password, "headers": {"x-scope-orgid": "7"}}
    run = await once(clock, transport, query("a"), secret_headers={"x-token": token}, **options)
    sent = dict(transport.requests[0].headers)
    authorization = sent["authorization"]
    assert isinstance(authorization, Secret)
    assert authorization.reveal() == "Basic cHJvYmU6YzRuYXJ5LXBhc3N3b3JkLTE="
    assert (sent["x-scope-orgid"], sent["x-token"]) == ("7", token)
    assert "c4nary" not in repr(run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://a"}, "not an http or https URL"),
        ({"queries": []}, "queries must not be empty"),
        ({"queries": [{"name": "a", "query": " "}]}, "query must not be empty"),
        ({"queries": [{"name": "", "query": "up"}]}, "name must be a name"),
        ({"queries": [{"name": "a", "query": "up"}] * 2}, "twice"),
        ({"queries": [{"name": "a", "query": "up", "critical": ["=> 1"]}]}, "is no comparison"),
        ({"queries": [{"name": "a", "query": "up", "max_age": "1m"}]}, "data_time and max_age go together"),
        ({"queries": [{"name": "a", "query": "up", "on_empty": "fine"}]}, "on_empty"),
        ({"queries": [{"name": "a", "query": "up", "max_series": 0}]}, "must be >= 1"),
        ({"queries": [{"name": "a", "query": "up", "matches": "("}]}, "is no regular expression"),
        ({"queries": [{"name": "a", "query": "up", "critcal": ["> 1"]}]}, "did you mean 'critical'"),
        ({"queries": [{"name": f"a{n}", "query": "up"} for n in range(65)]}, "64 at most"),
        ({"username": "x"}, "username and password go together"),
        ({"headers": {"x": "a\nb"}}, "the header x has characters"),
    ],
)
def test_options_that_cannot_be_meant_are_told_in_their_place(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "probekit.yaml"
    given = {"url": URL, "queries": [{"name": "a", "query": "up"}], **options}
    path.write_text(f"probe: prometheus_query\noptions: {json.dumps(given)}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert words in " ".join(caught.value.problems)
