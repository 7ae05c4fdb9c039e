"""Faults over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from probekit.dev import faults
from probekit.dev.reply import Reply
from tests.unit.dev.bench import BTC, ETH, Bench, json


def send(bench: Bench, method: str, path: str = "", **fault: Any) -> Reply:
    return bench.sandbox.handle(method, f"/_sandbox/faults{path}", {}, msgspec.json.encode(fault) if fault else b"")


def test_put_on_list_and_take_off() -> None:
    bench = Bench.make(control=True)
    put = send(bench, "POST", fault="bad_proof", feed="Crypto.BTC/USD")
    assert put.status == 201
    number = json(put)["id"]
    assert json(put)["fault"] == {"fault": "bad_proof", "feed": BTC}
    send(bench, "POST", fault="stale_feed", feed=ETH)
    send(bench, "POST", fault="slow", delay_ms=5, everywhere=True)
    assert list(bench.sandbox.faults) == [faults.BadProof(BTC), faults.Slow(5, everywhere=True), faults.StaleFeed(ETH)]
    assert {row["fault"]["fault"] for row in json(send(bench, "GET"))} == {"bad_proof", "slow", "stale_feed"}
    assert json(send(bench, "GET", f"/{number}")) == [json(put)]
    assert len(json(send(bench, "DELETE", f"/{number}"))) == 2
    assert send(bench, "DELETE", f"/{number}").status == 404
    assert json(send(bench, "DELETE")) == []
    assert not bench.sandbox.faults


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "tulips"},
        {"fault": "stale_feed"},
        {"fault": "stale_feed", "feed": "Crypto.NONE/USD"},
        {"fault": "slow", "delay_ms": "long"},
        {"feed": BTC},
    ],
)
def test_what_is_no_fault_is_refused_in_words(fault: dict[str, Any]) -> None:
    bench = Bench.make(control=True)
    reply = send(bench, "POST", **fault)
    assert reply.status == 400
    assert reply.body.startswith(b"not a fault")
    assert bench.sandbox.faults == ()


def test_other_methods_and_paths() -> None:
    bench = Bench.make(control=True)
    assert send(bench, "PUT").status == 405
    assert send(bench, "GET", "/99").status == 404
    assert send(bench, "GET", "ish").status == 404


def test_without_control_there_is_no_such_route() -> None:
    bench = Bench.make()
    assert send(bench, "GET").status == 404
    assert send(bench, "POST", fault="hang").status == 405
    assert bench.sandbox.faults == ()
