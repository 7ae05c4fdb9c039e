"""A pool through any sequence of faults: what holds whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit import errors
from probekit.testing import reply
from probekit.transports.rpc import Call, EndpointState, PoolPolicy
from probekit.transports.rpc.family import result_of
from tests.unit.rpc.nodes import Net, Node, error, refused

TIMEOUT_S = 3.0
METHODS = ("eth_gasPrice", "eth_getLogs", "eth_sendRawTransaction", "eth_chainId", "eth_blockNumber")
NAMES = ("a", "b", "c")


def well(node: Node) -> None:
    node.fault, node.hangs, node.errors = None, False, {}


def status(code: int, after: str | None = None) -> Callable[[Node], None]:
    def set_on(node: Node) -> None:
        headers = {} if after is None else {"retry-after": after}
        node.fault = lambda _: reply(code, b"", headers, clock=node.clock)

    return set_on


def body(content: bytes) -> Callable[[Node], None]:
    def set_on(node: Node) -> None:
        node.fault = lambda _: reply(200, content, clock=node.clock)

    return set_on


def hangs(node: Node) -> None:
    node.hangs = True


def down(node: Node) -> None:
    node.fault = refused


def says(code: int, message: str) -> Callable[[Node], None]:
    def set_on(node: Node) -> None:
        node.errors = {method: error(code, message) for method in METHODS}

    return set_on


FAULTS: dict[str, Callable[[Node], None]] = {
    "well": well,
    "hangs": hangs,
    "down": down,
    "502": status(502),
    "403": status(403),
    "429": status(429),
    "429 for 1 s": status(429, "1"),
    "429 for an hour": status(429, "3600"),
    "html": body(b"<html>"),
    "empty": body(b""),
    "no items": body(b"[]"),
    "limit in the body": says(-32005, "rate limit exceeded"),
    "internal": says(-32603, "internal error"),
    "behind": says(-32000, "header not found"),
}

faults = st.sampled_from(sorted(FAULTS))
step = st.fixed_dictionaries(
    {
        "faults": st.tuples(faults, faults, faults),
        "well": st.sampled_from((None, *NAMES)),
        "way": st.sampled_from(("call", "logs", "batch", "quorum", "send", "broadcast", "many")),
        "pause_s": st.sampled_from((0, 0, 1, 7, 70)),
    }
)


# Its many simulated minutes take seconds of CPU, which a busy machine stretches.
@pytest.mark.timeout(240)
@settings(max_examples=60)
@given(st.lists(step, min_size=1, max_size=8), st.booleans())
async def test_whatever_happens(steps: list[dict[str, Any]], hedge: bool) -> None:
    net = Net(*NAMES, policy=PoolPolicy(timeout=timedelta(seconds=TIMEOUT_S), hedge=hedge, hedge_samples=2))
    for node in net.nodes.values():
        node.results |= {"eth_getLogs": [], "eth_sendRawTransaction": "0xhash"}
    for one in steps:
        for name, fault in zip(NAMES, one["faults"], strict=True):
            well(net[name])
            FAULTS["well" if name == one["well"] else fault](net[name])
        await net.clock.advance(timedelta(seconds=one["pause_s"]))
        sent = sum(node.seen.count("eth_sendRawTransaction") for node in net.nodes.values())
        net.calls.clear()
        outcomes = await net.run(asked(net, one["way"]))

        # In time, with one record for each call, and nothing but our errors.
        assert net.took_s <= TIMEOUT_S + 0.1
        assert len(net.calls) == (5 if one["way"] == "many" else 1)
        for outcome in outcomes:
            assert not isinstance(outcome, BaseException) or isinstance(outcome, errors.ProbekitError), outcome
        # A send leaves once, a broadcast once to each, a read never.
        now = sum(node.seen.count("eth_sendRawTransaction") for node in net.nodes.values())
        assert now - sent <= {"send": 1, "broadcast": 3}.get(one["way"], 0)
        # Where somebody answers, reads are answered, whatever was thought of him before.
        if one["well"] is not None and one["way"] in ("call", "logs", "batch", "many"):
            values = {str(result_of(outcome)) for outcome in outcomes}
            assert values == {"[]" if one["way"] == "logs" else "0x7"}
        for state in (standing.state for standing in net.pool.standings().values()):
            assert state is not EndpointState.WRONG_CHAIN
    await net.pool.aclose()
    await net.clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def asked(net: Net, way: str) -> list[Any]:
    """What a way of asking gives, as a list of outcomes."""
    pool, gas = net.pool, Call("eth_gasPrice")
    works: dict[str, Callable[[], list[Any]]] = {
        "call": lambda: [pool.call("eth_gasPrice")],
        "logs": lambda: [pool.call("eth_getLogs", [{}])],
        "quorum": lambda: [pool.quorum(gas)],
        "send": lambda: [pool.send("eth_sendRawTransaction", ["0x02"])],
        "broadcast": lambda: [pool.broadcast("eth_sendRawTransaction", ["0x02"])],
        "batch": lambda: [pool.batch([gas] * 5)],
        "many": lambda: [pool.call("eth_gasPrice") for _ in range(5)],
    }
    outcomes = await asyncio.gather(*works[way](), return_exceptions=True)
    return list(outcomes[0]) if way == "batch" and not isinstance(outcomes[0], BaseException) else outcomes
