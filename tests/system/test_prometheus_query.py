"""prometheus_query in real time: against Prometheus that scrapes itself, a page of old data and a target that is gone."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from probekit.secret import Secret
from tests.support.debian import Unavailable
from tests.support.prometheus import prometheus
from tests.support.sandbox import S, load, module_of, result, verdict

pytestmark = pytest.mark.system

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("prometheus_query")
MODULE = module_of(PROBE)

_CONFIG = """
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
  - {job_name: self, static_configs: [{targets: ["127.0.0.1:PORT"]}]}
  - {job_name: gone, static_configs: [{targets: ["127.0.0.1:1"]}]}
  - {job_name: page, static_configs: [{targets: ["127.0.0.1:PAGE"]}]}
"""
# bcrypt of the password of the tests.
_WEB = 'basic_auth_users: {probe: "$2b$04$o8fosOm1E7ipr5/52CtvCeD0q7mHWQDfPLwzrz7FIeU7pffe5vq2m"}'


class _Page(http.server.BaseHTTPRequestHandler):
    """Metrics with times of their own: one of now, one of two minutes ago."""

    def do_GET(self) -> None:
        now_ms = int(time.time() * 1000)
        lines = [f'feed_price{{feed="{n}"}} {n} {now_ms}' for n in range(5)]
        body = "\n".join([*lines, f"old_price 7 {now_ms - 120_000}", "odd_price NaN", ""]).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@contextlib.contextmanager
def page() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        config = _CONFIG.replace("PAGE", str(stack.enter_context(page())))
        try:
            yield stack.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), config))
        except Unavailable as problem:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(problem))


def query(name: str, promql: str, **more: Any) -> Any:
    return MODULE.Query(name=name, query=promql, **more)


async def ask(url: str, *queries: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(url=url, queries=queries, **{"budget": 5 * S, **options}))


async def scraped(url: str) -> None:
    """Wait for the first scrape of every target."""
    due = time.monotonic() + 30
    wanted = query("all", "count(up) + count(feed_price) + count(odd_price)", critical=("< 9",))
    while (await ask(url, wanted)).status is not OK:
        assert time.monotonic() < due, "Prometheus does not scrape"
        time.sleep(0.1)


@pytest.mark.shows("prometheus_query", "OK", "WARNING beyond_warning", "CRITICAL beyond_critical", "CRITICAL stale_data")
async def test_every_kind_of_result_and_every_state(url: str) -> None:
    await scraped(url)
    run = await ask(
        url,
        query("up", 'up{job="self"}', critical=("!= 1",), data_time='timestamp(up{job="self"})', max_age=30 * S),
        query("all up", "up", critical=("< 1",)),
        query("old", "old_price", data_time="timestamp(old_price)", max_age=60 * S),
        query("high", "feed_price", warning=(">= 4",)),
        query("many", "feed_price", max_series=3),
        query("nan", "odd_price", critical=("> 1",)),
        query("nothing", "no_such_metric"),
        query("nothing is fine", "no_such_metric", on_empty="ok"),
        query("scalar", "scalar(vector(3))", critical=("!= 3",)),
        query("infinite", "1 / vector(0)", critical=("== +Inf",)),
        query("string", '"hello"', matches="^hell"),
        query("range", "up[1m]"),
        query("typo", "up{"),
        query("join", "up + on() feed_price"),
        query("no times", "up", data_time="vector(NaN)", max_age=S),
    )
    assert verdict(run, url) == (OK, "within_budget")
    assert {one.target.id: verdict(run, one.target.id) for one in run.results if one.target.id != url} == {
        "up": (OK, "as_expected"),
        "up data age": (OK, "fresh_data"),
        "all up": (CRITICAL, "beyond_critical"),
        "old": (OK, "as_expected"),
        "old data age": (CRITICAL, "stale_data"),
        "high": (WARNING, "beyond_warning"),
        "many": (UNKNOWN, "too_many_series"),
        "nan": (CRITICAL, "not_a_number"),
        "nothing": (CRITICAL, "empty"),
        "nothing is fine": (OK, "as_expected"),
        "scalar": (OK, "as_expected"),
        "infinite": (CRITICAL, "beyond_critical"),
        "string": (OK, "as_expected"),
        "range": (UNKNOWN, "wrong_type"),
        "typo": (UNKNOWN, "config"),
        "join": (UNKNOWN, "config"),
        "no times": (OK, "as_expected"),
        "no times data age": (UNKNOWN, "not_a_time"),
    }
    [part] = result(run, "all up").verdicts[0].parts
    assert part.scope == 'up{instance="127.0.0.1:1", job="gone"}'
    old = result(run, "old data age").verdicts[0]
    assert isinstance(old.value, int)
    assert 110e9 < old.value < 180e9


@pytest.mark.shows("prometheus_query", "OK")
async def test_a_server_that_wants_a_password(tmp_path: Any) -> None:
    try:
        with prometheus(tmp_path / "locked", "scrape_configs: []\n", web=_WEB) as url:
            wanted = query("one", "vector(1)", critical=("!= 1",))
            run = await ask(url, wanted)
            assert verdict(run, url) == (UNKNOWN, "not_authorized")
            assert verdict(run, "one") == (UNKNOWN, "behind_endpoint")
            run = await ask(url, wanted, username="probe", password=Secret("c4nary-prom-7"))
            assert run.status is OK
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


async def test_a_server_that_is_gone_is_told_once() -> None:
    run = await ask("http://127.0.0.1:1", query("a", "up"), query("b", "up"))
    assert verdict(run, "http://127.0.0.1:1") == (CRITICAL, "connect")
    assert verdict(run, "a") == verdict(run, "b") == (UNKNOWN, "behind_endpoint")
