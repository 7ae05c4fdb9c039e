"""Every fault of the misbehaving proxy, once, on a clock that the test turns: what the caller sees, and within which time.

Two proxies, *bad* and *good*, stand before one chain; the first is at fault. The system tier has the same over real nodes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.clients.evm_stream import EvmStreams, Head, MissedBlocks
from probekit.clock import Clock
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.faults import AnyRpcFault
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.transport import ProxyConnector, ProxyTransport
from probekit.testing import FakeClock
from probekit.transports.base import Request
from probekit.transports.rpc import Call, Endpoint, EndpointState, PoolPolicy
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.record import CallRecord
from probekit.transports.rpc.subscription import Connected, Lost
from probekit.units import NS_PER_S
from tests.support.rpc_faults import READS, SEEN_ELSEWHERE, SEND, SENDS, Read, Send, name_of
from tests.unit.dev.evm_chain import CHAIN_ID, TRANSACTION, FakeChain, block_hash

OWNER = "0x" + "52" * 20
TIMEOUT_S = 4.0


class Rig:
    """Proxies before one chain, and a client of them."""

    def __init__(self, *names: str, **policy: Any) -> None:
        self.clock = FakeClock()
        self.chain = FakeChain(self.clock)
        self.proxies = {name: self.proxy(self.clock) for name in names or ("bad", "good")}
        self.calls: list[CallRecord] = []
        defaults: dict[str, Any] = {"timeout": timedelta(seconds=TIMEOUT_S), "rounds": 1, "refresh": timedelta(hours=1)}
        self.transport = ProxyTransport({f"http://{name}.test": proxy for name, proxy in self.proxies.items()})
        self.client = EvmClient(
            [Endpoint(f"http://{name}.test", name=name) for name in self.proxies],
            chain_id=CHAIN_ID,
            transport=self.transport,
            clock=self.clock,
            policy=PoolPolicy(**(defaults | policy)),
            on_call=self.calls.append,
        )
        self.pool = self.client.pool
        self.connector = ProxyConnector({f"ws://{name}.test": proxy for name, proxy in self.proxies.items()})

    def proxy(self, clock: Clock) -> RpcProxy:
        return RpcProxy(
            "http://node.test", transport=self.chain.transport, ws_url="ws://node.test", connector=self.chain, clock=clock
        )

    def __getitem__(self, name: str) -> RpcProxy:
        return self.proxies[name]

    async def run(self, work: Any, seconds: float = 60.0) -> Any:
        """What ``work`` gives, turning the clock; ``took_s`` is how long that was on it."""
        task = asyncio.ensure_future(work)
        started_ns = self.clock.monotonic_ns()
        await self.clock.settle()
        while not task.done() and self.clock.monotonic_ns() - started_ns < seconds * NS_PER_S:
            await self.clock.advance(timedelta(milliseconds=50))
        assert task.done(), "it hangs"
        self.took_s = (self.clock.monotonic_ns() - started_ns) / NS_PER_S
        return task.result()

    async def ready(self) -> None:
        """The pool knows its endpoints, and would ask the bad one first."""
        await self.run(self.pool.refresh())

    async def balance(self) -> int:
        return int(await self.run(self.client.balance(OWNER)))


HALF_S = TIMEOUT_S / 2
"""An endpoint that hangs has its part of the time: half of it, where there are two."""
AT_ONCE_S = 0.1


def test_every_fault_is_tested() -> None:
    rows = {type(row.fault) for row in READS} | {type(row.fault) for row in SENDS}
    assert rows | SEEN_ELSEWHERE == set(get_args(AnyRpcFault))
    assert not rows & SEEN_ELSEWHERE
    assert {row.fault.shape for row in READS if isinstance(row.fault, faults.LimitInBody)} == set(faults.LIMITS)


def test_the_page_lists_every_fault() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "break-an-endpoint.md"
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page.read_text(), re.MULTILINE))
    kinds = {msgspec.inspect.type_info(kind).tag: kind for kind in get_args(AnyRpcFault)}  # type: ignore[attr-defined]
    assert set(listed) - {"fault"} == set(kinds)
    for tag, kind in kinds.items():
        for field in set(kind.__struct_fields__) - {"methods"}:
            assert f"`{field}`" in listed[tag], (tag, field)


@pytest.mark.parametrize("row", READS, ids=name_of)
async def test_a_read_is_answered_by_the_other_endpoint(row: Read) -> None:
    rig = Rig()
    await rig.ready()
    with rig["bad"].inject(row.fault).during():
        assert await rig.balance() == rig.chain.head
        assert rig.took_s <= (HALF_S if row.waits else 0) + AT_ONCE_S
    bad, good = rig.calls[-1].attempts
    assert (bad.endpoint, bad.error_type, good.endpoint, good.error_type) == ("bad", row.kind, "good", None)
    standing = rig.pool.standings()["bad"]
    assert (standing.state, standing.reason) == (row.state, row.reason)


@pytest.mark.parametrize("row", READS, ids=name_of)
async def test_when_every_endpoint_is_at_fault_the_caller_sees_it_within_the_deadline(row: Read) -> None:
    rig = Rig()
    await rig.ready()
    with rig["bad"].inject(row.fault).during(), rig["good"].inject(row.fault).during():
        with pytest.raises(row.alone) as caught:
            await rig.balance()
        assert rig.took_s <= (TIMEOUT_S if row.waits else 0) + AT_ONCE_S
    assert caught.value.error_type == row.kind
    assert [line.partition(":")[0] for line in caught.value.attempts] == ["bad", "good"]
    # It passes, and nobody has been thrown out.
    await rig.clock.advance(timedelta(seconds=601))
    assert await rig.balance() == rig.chain.head


async def test_slow_is_only_slow() -> None:
    rig = Rig()
    await rig.ready()
    with rig["bad"].inject(faults.Slow(delay_ms=1_500)).during():
        assert await rig.balance() == rig.chain.head
    assert 1.4 <= rig.took_s <= 1.6
    assert [attempt.endpoint for attempt in rig.calls[-1].attempts] == ["bad"]


# -- another sight of the chain ----------------------------------------------------------------------------------------------


async def test_one_that_lags_is_asked_last() -> None:
    rig = Rig()
    with rig["bad"].inject(faults.Lag(blocks=20)).during():
        await rig.ready()
        standing = rig.pool.standings()["bad"]
        assert (standing.state, standing.reason) == (EndpointState.LAGGING, "head 80 is 20 behind the best, limit 8")
        assert await rig.balance() == 100
        assert await rig.run(rig.client.block_number()) == 100
        with rig["good"].inject(faults.HangUp()).during():
            assert await rig.balance() == 80
    await rig.ready()
    assert rig.pool.standings()["bad"].state is EndpointState.ALIVE


async def test_a_lagging_endpoint_knows_nothing_of_newer_blocks() -> None:
    rig = Rig("bad")
    client = rig.client
    with rig["bad"].inject(faults.Lag(blocks=20)).during():
        assert await rig.run(client.block_number()) == 80
        assert (await rig.run(client.block())).number == 80
        with pytest.raises(errors.NotFound):
            await rig.run(client.block(81))
        with pytest.raises(errors.NotServed, match="header not found"):
            await rig.run(client.balance(OWNER, 81))
        assert await rig.run(client.balance(OWNER, 80)) == 80
        assert await rig.run(client.receipt(TRANSACTION)) is None
        # A node would answer with a shorter list: the client asks it how far it is.
        for first in (70, 90):
            assert result_of(await rig.run(rig.pool.call("eth_getLogs", [{"fromBlock": hex(first), "toBlock": "0x64"}]))) == []
            with pytest.raises(errors.NotReached, match="bad is at 80"):
                await rig.run(client.logs(from_block=first, to_block=100))
        assert await rig.run(client.logs(from_block=70, to_block=80)) == []
        assert result_of(await rig.run(rig.pool.call("eth_getBalance", [OWNER]))) == hex(80)
    assert await rig.run(client.receipt(TRANSACTION)) is not None
    assert len(await rig.run(client.logs(from_block=90, to_block=100))) == 1


async def test_another_chain_is_out_for_good() -> None:
    rig = Rig()
    with rig["bad"].inject(faults.WrongChain(chain_id=5)).during():
        assert await rig.balance() == 100
        assert rig["bad"].forwarded["eth_getBalance"] == 0
        await rig.ready()
    for _ in range(3):
        assert await rig.balance() == 100
    standing = rig.pool.standings()["bad"]
    assert (standing.state, standing.reason) == (EndpointState.WRONG_CHAIN, f"serves chain 5, expected {CHAIN_ID}")
    assert rig["bad"].requests["eth_getBalance"] == 0


async def test_an_endpoint_that_turns_to_another_chain_is_out_too() -> None:
    rig = Rig()
    await rig.ready()
    rig["bad"].inject(faults.WrongChain())
    standings = await rig.run(rig.pool.refresh())
    assert standings["bad"].reason == f"serves chain 666, expected {CHAIN_ID} (it served {CHAIN_ID} before)"
    with rig["good"].inject(faults.WrongChain()).during():
        await rig.run(rig.pool.refresh())
        with pytest.raises(errors.WrongChain, match="no endpoint of .* is left"):
            await rig.balance()
        with pytest.raises(errors.SendRefused, match="nothing was sent"):
            await rig.run(rig.pool.send(SEND, ["0x02"]))
    assert rig.chain.seen.count(SEND) == 0


async def test_a_fork_that_one_endpoint_sees_is_dissent_in_a_quorum() -> None:
    rig = Rig("bad", "good", "third")
    await rig.ready()
    with rig["bad"].inject(faults.Fork(depth=3)).during():
        calls = [Call("eth_getBlockByNumber", [hex(number), False]) for number in (97, 98)]
        same = await rig.run(rig.pool.quorum(calls[0]))
        assert same.dissenters == ()
        quorum = await rig.run(rig.pool.quorum(calls[1]))
        assert quorum.result["hash"] == block_hash(98)
        assert [label for label, _ in quorum.dissenters] == ["bad"]
        with rig["good"].inject(faults.Hang()).during(), pytest.raises(errors.NoAgreement, match="bad gave .* third gave"):
            await rig.run(rig.pool.quorum(calls[1]))
        assert rig.took_s <= TIMEOUT_S + 0.1


async def test_a_fork_is_a_chain_of_its_own() -> None:
    rig = Rig("bad")
    client = rig.client
    with rig["bad"].inject(faults.Fork(depth=3)).during():
        blocks = [await rig.run(client.block(number)) for number in (97, 98, 99, 100)]
        assert blocks[0].hash == block_hash(97)
        assert [block.parent_hash for block in blocks[1:]] == [block.hash for block in blocks[:-1]]
        receipt = await rig.run(client.receipt(TRANSACTION))
        assert receipt.block_hash == blocks[-1].hash != block_hash(100)
        (log,) = await rig.run(client.logs(from_block=100, to_block=100))
        assert log.block_hash == blocks[-1].hash
    with rig["bad"].inject(faults.Fork(depth=3, gone=True)).during():
        assert await rig.run(client.receipt(TRANSACTION)) is None
        assert await rig.run(client.logs(from_block=100, to_block=100)) == []
    assert (await rig.run(client.block(100))).hash == block_hash(100)


# -- batches -----------------------------------------------------------------------------------------------------------------

BATCH = [Call("eth_getBalance", [OWNER, hex(number)]) for number in range(9)]


@pytest.mark.parametrize(
    ("fault", "at_bad", "at_good"),
    [
        (faults.BatchRefused(shape="status"), 1 + 9, 0),
        (faults.BatchRefused(shape="error"), 1 + 9, 0),
        (faults.BatchRefused(shape="too_many", most=3), 1 + 1 + 5, 0),
        (faults.BatchIncomplete(), 1, 1),
        (faults.LimitInBody(), 1, 1),
        (faults.LimitInBody(shape="quicknode_bare"), 1, 1),
    ],
    ids=name_of,
)
async def test_a_batch_is_whole_whatever_becomes_of_it_on_the_way(fault: AnyRpcFault, at_bad: int, at_good: int) -> None:
    rig = Rig()
    await rig.ready()
    before = [proxy.http_requests for proxy in rig.proxies.values()]
    with rig["bad"].inject(fault).during():
        outcomes = await rig.run(rig.pool.batch(BATCH))
    assert [result_of(outcome) for outcome in outcomes] == [hex(number) for number in range(9)]
    made = [proxy.http_requests - count for proxy, count in zip(rig.proxies.values(), before, strict=True)]
    if isinstance(fault, faults.BatchRefused) and fault.shape != "status":
        # Halved until it fits, or asked one by one: how often depends on what the words say.
        assert made[1] == at_good
        assert made[0] <= at_bad + 4
    else:
        assert made == [at_bad, at_good]
    assert rig.took_s <= 0.1


# -- sends -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", SENDS, ids=name_of)
async def test_a_send_leaves_once_whatever_happens(row: Send) -> None:
    rig = Rig(rounds=3)
    await rig.ready()
    for proxy in rig.proxies.values():
        proxy.inject(row.fault)
    with pytest.raises(errors.ProbekitError) as caught:
        await rig.run(rig.pool.send(SEND, ["0x02"]))
    assert caught.value.error_type == row.kind
    assert rig.took_s <= (TIMEOUT_S if row.waits else 0) + AT_ONCE_S
    assert sum(proxy.requests[SEND] for proxy in rig.proxies.values()) == 1
    assert rig.chain.seen.count(SEND) == int(row.reached)
    assert len(rig.calls[-1].attempts) == 1


async def test_a_send_whose_answer_was_lost_is_found_by_its_hash() -> None:
    rig = Rig()
    await rig.ready()
    with rig["bad"].inject(faults.Unanswered(methods=(SEND,))).during(), pytest.raises(errors.ConnectError):
        await rig.run(rig.pool.send(SEND, ["0x02"]))
    landing = await rig.run(rig.client.wait(TRANSACTION, timeout=timedelta(seconds=2)))
    assert landing.receipt.block_number == rig.chain.lands_in


# -- sockets -----------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def heads(rig: Rig) -> AsyncIterator[list[Any]]:
    """What a stream of heads tells."""
    streams = EvmStreams(rig.client, connector=rig.connector, silence=timedelta(seconds=20), clock=rig.clock)
    items, seen = streams.heads(), []

    async def collect() -> None:
        async for item in items:
            seen.append(item)

    task = asyncio.create_task(collect())
    await rig.clock.settle(200)
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()
        await rig.client.aclose()
        await rig.clock.settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(proxy.sockets == 0 for proxy in rig.proxies.values())
        assert all(socket.closed for socket in rig.chain.sockets)


def numbers(seen: list[Any], endpoint: str | None = None) -> list[int]:
    return [item.block.number for item in seen if isinstance(item, Head) and endpoint in (None, item.endpoint)]


async def step(rig: Rig, blocks: int, seconds: float = 0.0) -> None:
    rig.chain.mine(blocks)
    await rig.clock.settle(400)
    await rig.clock.advance(timedelta(seconds=seconds))


async def test_heads_come_through() -> None:
    rig = Rig()
    async with heads(rig) as seen:
        await step(rig, 3)
        assert numbers(seen, "bad") == [101, 102, 103]
        assert rig["bad"].sockets == 1


async def test_a_silent_socket_is_left_within_the_silence_and_nothing_is_missed() -> None:
    rig = Rig()
    async with heads(rig) as seen:
        await step(rig, 1)
        rig["bad"].inject(faults.SilentSocket())
        for _ in range(2):
            await step(rig, 1, 9.9)
        assert rig["bad"].sockets == 1
        await step(rig, 1, 0.4)
        (lost,) = [item for item in seen if isinstance(item, Lost)]
        assert lost.error.error_type == "deadline_transfer"
        await step(rig, 1)
        assert numbers(seen) == [101, 102, 103, 104, 105]
        assert [item.backfilled for item in seen if isinstance(item, Head)] == [False, True, True, True, False]


@pytest.mark.parametrize("fault", [faults.ClosedSocket(), faults.ClosedSocket(code=1001), faults.RefusedSocket()], ids=name_of)
async def test_a_socket_that_is_closed_is_replaced_at_once(fault: AnyRpcFault) -> None:
    rig = Rig()
    async with heads(rig) as seen:
        await step(rig, 1)
        rig["bad"].inject(fault)
        if isinstance(fault, faults.RefusedSocket):
            with rig["bad"].inject(faults.ClosedSocket()).during():
                await step(rig, 0)
        await step(rig, 0, 0.1)
        await step(rig, 2)
        assert numbers(seen) == [101, 102, 103]
        assert [item.endpoint for item in seen if isinstance(item, Connected)] == ["bad", "good"]
        assert not any(isinstance(item, MissedBlocks) for item in seen)


async def test_all_sockets_refused_is_told_and_tried_again_with_waits() -> None:
    rig = Rig()
    for proxy in rig.proxies.values():
        proxy.inject(faults.RefusedSocket())
    async with heads(rig) as seen:
        await rig.clock.advance(timedelta(seconds=60))
        lost = [item for item in seen if isinstance(item, Lost)]
        assert {item.error.error_type for item in lost} == {"not_entitled"}
        assert 6 <= len(lost) <= 20
        for proxy in rig.proxies.values():
            proxy.clear()
        await rig.clock.advance(timedelta(seconds=31))
        await step(rig, 1)
        assert numbers(seen) == [101]


async def test_a_socket_of_another_chain_is_never_used() -> None:
    rig = Rig()
    with rig["bad"].inject(faults.WrongChain()).during():
        async with heads(rig) as seen:
            await step(rig, 0, 1)
            await step(rig, 2)
            assert numbers(seen) == numbers(seen, "good") == [101, 102]
            assert [item.error.error_type for item in seen if isinstance(item, Lost)] == ["wrong_chain"]


async def test_a_socket_that_lags_is_left_for_one_that_does_not() -> None:
    rig = Rig(refresh=timedelta(seconds=10))
    async with heads(rig) as seen:
        await step(rig, 1)
        rig["bad"].inject(faults.Lag(blocks=20))
        for _ in range(4):
            await step(rig, 1, 5)
        (lost,) = [item for item in seen if isinstance(item, Lost)]
        assert lost.error.message == "bad is left for another: head 83 is 20 behind the best, limit 8"
        await step(rig, 1)
        assert numbers(seen) == [101, 102, 103, 104, 105, 106]
        assert numbers(seen, "good")[-1] == 106


async def test_a_lagging_socket_tells_old_heads() -> None:
    rig = Rig("bad")
    with rig["bad"].inject(faults.Lag(blocks=5)).during():
        async with heads(rig) as seen:
            await step(rig, 8)
            assert numbers(seen) == [101, 102, 103]


async def test_a_fork_is_told_as_a_reorganisation() -> None:
    rig = Rig("bad")
    async with heads(rig) as seen:
        await step(rig, 3)
        rig["bad"].inject(faults.Fork(depth=2))
        await step(rig, 0)
        await step(rig, 1)
        told = [(item.block.number, item.reorganised) for item in seen if isinstance(item, Head)]
        assert told == [(101, False), (102, False), (103, False), (102, True), (103, False), (104, False)]


async def test_a_limit_and_a_hang_over_a_socket() -> None:
    rig = Rig()
    for fault in (faults.LimitInBody(methods=("eth_chainId",)), faults.Hang(methods=("eth_chainId",))):
        with rig["bad"].inject(fault).during():
            async with heads(rig) as seen:
                await step(rig, 0, 11)
                await step(rig, 1)
                assert numbers(seen, "good")[-1] == rig.chain.head
                kinds = [item.error.error_type for item in seen if isinstance(item, Lost)]
                assert kinds == ["rate_limited" if isinstance(fault, faults.LimitInBody) else "deadline_first_byte"]


# -- switching ---------------------------------------------------------------------------------------------------------------


async def test_without_a_fault_bytes_pass_as_they_are() -> None:
    rig = Rig()
    for body in (b'{"jsonrpc": "2.0",\n"id": "x", "method": "eth_chainId"}', b"[]", b"garbage", b'[1, {"id": 2}]'):
        sent = Request("POST", "http://bad.test/", body=body, deadline_ns=rig.clock.monotonic_ns() + NS_PER_S)
        try:
            want = rig.chain.answer(sent).body
        except Exception:
            continue
        assert (await rig.transport.send(sent)).body == want


async def test_a_fault_is_of_its_methods_alone() -> None:
    rig = Rig("bad")
    rig["bad"].inject(faults.ServerError(methods=("eth_getLogs",)))
    assert await rig.balance() == 100
    with pytest.raises(errors.ServerError):
        await rig.run(rig.client.logs(from_block=0, to_block=1))


async def test_faults_are_switched_over_http() -> None:
    clock = FakeClock()
    chain = FakeChain(clock)
    proxy = RpcProxy("http://node.test", transport=chain.transport, clock=clock, control=True)
    path = "/_sandbox/faults"
    made = proxy.handle("POST", path, {}, b'{"fault":"lag","blocks":7,"methods":["eth_blockNumber"]}')
    assert (made.status, json.loads(made.body)["id"]) == (201, 1)
    assert [one.fault for one in proxy.injected] == [faults.Lag(blocks=7, methods=("eth_blockNumber",))]
    assert proxy.handle("POST", path, {}, b'{"fault":"stale_feed","feed":"x"}').status == 400
    assert proxy.handle("DELETE", f"{path}/1", {}).status == 200
    assert proxy.injected == ()
    assert proxy.http_requests == 0
    closed = RpcProxy("http://node.test", transport=chain.transport, clock=clock)
    assert closed.handle("POST", path, {}, b'{"fault":"hang"}').status == 200
    assert closed.injected == ()
