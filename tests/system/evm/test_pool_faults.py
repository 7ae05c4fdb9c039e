"""Real nodes behind proxies that misbehave: what callers of the client, the pool and the streams see, and within which time.

Two nodes of one chain id, each behind its proxy; *bad* is the one at fault, *good* the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, get_args

import pytest

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.clients.evm_stream import EvmStreams, Head
from probekit.dev.anvil import AnvilNode, anvil
from probekit.dev.rpc_proxy import faults
from probekit.dev.rpc_proxy.faults import AnyRpcFault, RpcFault
from probekit.dev.rpc_proxy.proxy import RpcProxy
from probekit.dev.rpc_proxy.server import serve
from probekit.transports.httpx import HttpxTransport
from probekit.transports.rpc import Call, Endpoint, EndpointState, PoolPolicy
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.record import CallRecord
from probekit.transports.rpc.subscription import Connected, Lost
from probekit.transports.websocket import WebsocketsConnector
from tests.support.rpc_faults import READS, SEND, SENDS, Read, Send, name_of
from tests.system.evm.chain import Chain, CountingTransport, until
from tests.system.evm.installed import require_anvil

pytestmark = [pytest.mark.system, pytest.mark.evm]

OWNER = "0x" + "52" * 20
WEI = 77
TIMEOUT_S = 3.0
PART_S = TIMEOUT_S / 2
SLACK_S = 1.3
"""What a busy machine may add; below a part of the time, so that "at once" stays told from "after a part"."""


class Rig:
    """Nodes behind proxies, and a client of the proxies."""

    def __init__(self, nodes: dict[str, AnvilNode], proxies: dict[str, RpcProxy], client: EvmClient, calls: list[CallRecord]):
        self.nodes, self.proxies, self.client, self.calls = nodes, proxies, client, calls
        self.pool = client.pool
        self.took_s = 0.0

    def __getitem__(self, name: str) -> RpcProxy:
        return self.proxies[name]

    async def timed(self, work: Any) -> Any:
        """What ``work`` gives; ``took_s`` is how long that was."""
        started = time.monotonic()
        try:
            return await work
        finally:
            self.took_s = time.monotonic() - started

    async def balance(self) -> int:
        return int(await self.timed(self.client.balance(OWNER)))

    async def mine(self, blocks: int) -> None:
        for node in self.nodes.values():
            await node.mine(blocks)

    def standing(self) -> tuple[EndpointState, str]:
        standing = self.pool.standings()["bad"]
        return standing.state, standing.reason


@asynccontextmanager
async def rig_of(*names: str, **policy: Any) -> AsyncIterator[Rig]:
    require_anvil()
    calls: list[CallRecord] = []
    defaults: dict[str, Any] = {"timeout": timedelta(seconds=TIMEOUT_S), "rounds": 1, "refresh": timedelta(hours=1)}
    async with AsyncExitStack() as stack:
        nodes, proxies, endpoints = {}, {}, []
        engine = HttpxTransport()
        stack.push_async_callback(engine.aclose)
        for name in names:
            node = nodes[name] = await stack.enter_async_context(anvil())
            await node.set_balance(OWNER, WEI)
            await node.mine(30)
            proxy = proxies[name] = RpcProxy(node.url, transport=engine, ws_url=node.ws_url, connector=WebsocketsConnector())
            served = await stack.enter_async_context(serve(proxy))
            endpoints.append(Endpoint(served.http, name=name, ws_url=served.ws))
        client = await stack.enter_async_context(
            EvmClient(
                endpoints,
                chain_id=nodes[names[0]].chain_id,
                policy=PoolPolicy(**(defaults | policy)),
                on_call=calls.append,
            )
        )
        yield Rig(nodes, proxies, client, calls)
    assert all(proxy.sockets == 0 for proxy in proxies.values())


@pytest.fixture
async def rig(nothing_is_left: None) -> AsyncIterator[Rig]:
    """Two endpoints that the pool knows; it would ask the bad one first."""
    async with rig_of("bad", "good") as made:
        await known(made)
        yield made


async def known(rig: Rig) -> None:
    # The order is by latency, and only one of them is slow while it is looked at.
    with rig["good"].inject(faults.Slow(delay_ms=100)).during():
        await rig.pool.refresh()


# -- reads -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", READS, ids=name_of)
async def test_a_read_is_answered_by_the_other_endpoint(rig: Rig, row: Read) -> None:
    with rig["bad"].inject(row.fault).during():
        assert await rig.balance() == WEI
    least_s = PART_S if row.waits else 0.0
    assert least_s <= rig.took_s <= least_s + SLACK_S
    bad, good = rig.calls[-1].attempts
    assert (bad.endpoint, bad.error_type, good.endpoint, good.error_type) == ("bad", row.kind, "good", None)
    state, reason = rig.standing()
    assert state is row.state
    # The time left runs on: the words before it are the same, and it has not run far.
    assert reason.rpartition(" another ")[0] == row.reason.rpartition(" another ")[0]
    if row.reason:
        left_s, named_s = (float(said.rpartition(" another ")[2].removesuffix(" s")) for said in (reason, row.reason))
        assert named_s - SLACK_S - 1 <= left_s <= named_s


@pytest.mark.parametrize("row", READS, ids=name_of)
async def test_when_every_endpoint_is_at_fault_the_caller_sees_it_within_the_deadline(rig: Rig, row: Read) -> None:
    with rig["bad"].inject(row.fault).during(), rig["good"].inject(row.fault).during():
        with pytest.raises(row.alone) as caught:
            await rig.balance()
        least_s = TIMEOUT_S - 0.05 if row.waits else 0.0
        assert least_s <= rig.took_s <= least_s + SLACK_S
    assert caught.value.error_type == row.kind
    assert [line.partition(":")[0] for line in caught.value.attempts] == ["bad", "good"]
    assert all(sent.attempts for sent in rig.calls[-1:])
    if row.state is EndpointState.ALIVE:
        assert await rig.balance() == WEI


async def test_what_is_slow_only_for_once_is_hedged() -> None:
    async with rig_of("bad", "good", hedge_samples=5) as rig:
        await known(rig)
        for _ in range(10):
            assert await rig.balance() == WEI
        with rig["bad"].inject(faults.Slow(delay_ms=3_000)).during():
            assert await rig.balance() == WEI
        assert rig.took_s <= 1.5
        assert {(one.endpoint, one.hedge, one.error_type) for one in rig.calls[-1].attempts} == {
            ("bad", False, "cancelled"),
            ("good", True, None),
        }


# -- another sight of the chain ----------------------------------------------------------------------------------------------


async def test_one_that_lags_is_asked_last_until_it_has_caught_up(rig: Rig) -> None:
    with rig["bad"].inject(faults.Lag(blocks=20)).during():
        await rig.pool.refresh()
        assert rig.standing() == (EndpointState.LAGGING, "head 10 is 20 behind the best, limit 8")
        assert await rig.client.block_number() == 30
        with rig["good"].inject(faults.HangUp()).during():
            assert await rig.client.block_number() == 10
            assert (await rig.client.block()).number == 10
    await rig.pool.refresh()
    assert rig.standing() == (EndpointState.ALIVE, "")


async def test_one_that_lags_without_anybody_knowing_does_not_answer_for_what_was_written(rig: Rig) -> None:
    """It lags since it was last looked at: its own word in each request is what is left to tell."""
    written = (await rig.client.block()).number
    await rig.nodes["good"].set_balance(OWNER, WEI + 1)
    with rig["bad"].inject(faults.Lag(blocks=3)).during():
        for read, expected in (
            (rig.client.balance(OWNER, min_block=written), WEI + 1),
            (rig.client.nonce(OWNER, "pending", min_block=written), 0),
            (rig.client.logs(from_block=written, to_block=written), []),
        ):
            assert await rig.timed(read) == expected
            bad, good = rig.calls[-1].attempts
            assert (bad.endpoint, bad.error_type, good.endpoint, good.error_type) == ("bad", "rpc_not_served", "good", None)
            assert rig.took_s <= SLACK_S
        assert (await rig.client.block(min_block=written)).number == written
        assert (await rig.client.block(written)).number == written
        with pytest.raises(errors.NotReached) as caught:
            await rig.client.balance(OWNER, min_block=written + 1)
    assert dict(caught.value.reached) == {"bad": written - 3, "good": written}
    assert rig.standing()[0] is EndpointState.ALIVE


async def test_another_chain_is_out_for_good_and_its_answers_are_not_used(nothing_is_left: None) -> None:
    async with rig_of("bad", "good") as rig:
        await rig.nodes["bad"].set_balance(OWNER, 666)
        with rig["bad"].inject(faults.WrongChain(chain_id=5)).during():
            assert await rig.balance() == WEI
        for _ in range(3):
            assert await rig.balance() == WEI
        await rig.pool.refresh()
        assert rig.standing() == (EndpointState.WRONG_CHAIN, "serves chain 5, expected 31337")
        assert rig["bad"].requests["eth_getBalance"] == 0


async def test_nodes_that_are_really_of_another_chain_leave_nobody_to_ask(nothing_is_left: None) -> None:
    require_anvil()
    async with anvil(chain_id=10) as one, anvil(chain_id=8453) as two, EvmClient([one.url, two.url], chain_id=1) as client:
        started = time.monotonic()
        with pytest.raises(errors.WrongChain, match="serves chain (10|8453), expected 1"):
            await client.block_number()
        with pytest.raises(errors.SendRefused):
            await client.pool.send(SEND, ["0x02"])
        assert time.monotonic() - started <= SLACK_S


async def test_a_reorganisation_at_one_node_alone_is_dissent(nothing_is_left: None) -> None:
    async with rig_of("bad", "good", "third") as rig:
        await known(rig)
        call = Call("eth_getBalance", [OWNER, "latest"])
        assert (await rig.pool.quorum(call, agree=3)).dissenters == ()
        await rig.nodes["bad"].reorg(3)
        await rig.nodes["bad"].set_balance(OWNER, 666)
        quorum = await rig.timed(rig.pool.quorum(call))
        assert (quorum.result, quorum.dissenters) == (hex(WEI), (("bad", f'"{666:#x}"'),))
        with rig["third"].inject(faults.Hang()).during(), pytest.raises(errors.NoAgreement, match="third failed with deadline"):
            await rig.timed(rig.pool.quorum(call))
        assert rig.took_s <= TIMEOUT_S + SLACK_S


async def test_a_transaction_that_a_fork_takes_is_waited_for(nothing_is_left: None) -> None:
    async with rig_of("bad") as rig:
        node = rig.nodes["bad"]
        chain = Chain(node, rig.client, CountingTransport())
        sent = await rig.client.send(chain.signed(0), cap_wei=10**18)
        with rig["bad"].inject(faults.Fork(depth=1)).during():
            moved = await rig.client.receipt(sent)
        stayed = await rig.client.receipt(sent)
        assert moved is not None
        assert stayed is not None
        assert moved.block_hash != stayed.block_hash
        with rig["bad"].inject(faults.Fork(depth=1, gone=True)).during():
            waiting = asyncio.ensure_future(rig.client.wait(sent, poll=timedelta(milliseconds=20)))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        assert (await asyncio.wait_for(waiting, 20)).receipt.block_hash == stayed.block_hash
        await chain.transport.aclose()


# -- batches -----------------------------------------------------------------------------------------------------------------

BATCH = [Call("eth_getBalance", [OWNER, hex(number)]) for number in range(9)]


@pytest.mark.parametrize(
    "fault",
    [
        faults.BatchRefused(shape="status"),
        faults.BatchRefused(shape="error"),
        faults.BatchRefused(shape="too_many", most=3),
        faults.BatchIncomplete(),
        faults.LimitInBody(),
        faults.Truncated(),
    ],
    ids=name_of,
)
async def test_a_batch_is_whole_whatever_becomes_of_it_on_the_way(rig: Rig, fault: RpcFault) -> None:
    await rig.nodes["bad"].set_balance(OWNER, WEI)
    with rig["bad"].inject(fault).during():
        outcomes = await rig.timed(rig.pool.batch(BATCH))
    values = [result_of(outcome) for outcome in outcomes if not isinstance(outcome, errors.ProbekitError)]
    assert len(values) == len(BATCH)
    assert rig.took_s <= SLACK_S
    asked = rig["good"].requests["eth_getBalance"]
    assert asked == {faults.BatchRefused: 0, faults.BatchIncomplete: 1}.get(type(fault), len(BATCH))


# -- sends -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", SENDS, ids=name_of)
async def test_a_send_leaves_once_whatever_happens(rig: Rig, row: Send) -> None:
    chain = Chain(rig.nodes["bad"], rig.client, CountingTransport())
    raw = chain.signed(0)
    before = [await node.rpc("eth_getTransactionCount", chain.payer.address, "pending") for node in rig.nodes.values()]
    for proxy in rig.proxies.values():
        proxy.inject(row.fault)
    with pytest.raises(errors.ProbekitError) as caught:
        await rig.timed(rig.client.send(raw, cap_wei=10**18))
    assert caught.value.error_type == row.kind
    least_s = TIMEOUT_S - 0.05 if row.waits else 0.0
    assert least_s <= rig.took_s <= least_s + SLACK_S
    assert sum(proxy.requests[SEND] for proxy in rig.proxies.values()) == 1
    assert sum(proxy.forwarded[SEND] for proxy in rig.proxies.values()) == int(row.reached)
    after = [await node.rpc("eth_getTransactionCount", chain.payer.address, "pending") for node in rig.nodes.values()]
    assert [int(one, 16) for one in before] == [0, 0]
    assert sum(int(one, 16) for one in after) == int(row.reached)
    await chain.transport.aclose()


@pytest.mark.parametrize("row", SENDS, ids=name_of)
async def test_a_rebroadcast_asks_each_node_once_and_tells_what_became_of_it_there(rig: Rig, row: Send) -> None:
    chain = Chain(rig.nodes["bad"], rig.client, CountingTransport())
    raw = chain.signed(0)
    with rig["bad"].inject(row.fault).during():
        made = await rig.timed(rig.client.rebroadcast(raw, cap_wei=10**18))
    bad, good = made.endpoints
    assert (bad.endpoint, bad.outcome, good.endpoint, good.outcome) == ("bad", "failed", "good", "accepted")
    assert bad.error is not None
    assert bad.error.error_type == row.kind
    least_s = TIMEOUT_S - 0.05 if row.waits else 0.0
    assert least_s <= rig.took_s <= least_s + SLACK_S
    assert [proxy.requests[SEND] for proxy in rig.proxies.values()] == [1, 1]
    assert [proxy.forwarded[SEND] for proxy in rig.proxies.values()] == [int(row.reached), 1]
    held = [await node.rpc("eth_getTransactionByHash", made.transaction) for node in rig.nodes.values()]
    assert [one is not None for one in held] == [row.reached, True]
    await chain.transport.aclose()


async def test_nodes_that_have_it_already_and_one_of_another_chain(nothing_is_left: None) -> None:
    async with rig_of("bad", "good", "third") as rig:
        chain = Chain(rig.nodes["bad"], rig.client, CountingTransport())
        raw = chain.signed(0)
        for node in rig.nodes.values():
            await node.automine(False)
        with rig["third"].inject(faults.WrongChain(chain_id=5)).during():
            first = await rig.client.rebroadcast(raw, cap_wei=10**18)
            again = await rig.client.rebroadcast(raw, cap_wei=10**18)
        assert [one.outcome for one in first.endpoints] == ["accepted", "accepted", "unsent"]
        assert [one.outcome for one in again.endpoints] == ["known", "known", "unsent"]
        assert again.taken
        assert {name: type(error) for name, error in again.errors.items()} == {"third": errors.WrongChain}
        assert rig["third"].requests[SEND] == 0
        with pytest.raises(errors.SendRefused, match="the cap is"):
            await rig.client.rebroadcast(raw, cap_wei=1)
        await rig.nodes["good"].mine()
        # Of that node alone: the other has not mined it, and the pool may ask whichever it likes.
        async with EvmClient(rig.nodes["good"].url, chain_id=rig.nodes["good"].chain_id) as one:
            assert (await one.wait(first.transaction, timeout=timedelta(seconds=20))).receipt.succeeded
        landed = await rig.client.rebroadcast(raw, cap_wei=10**18)
        assert [one.outcome for one in landed.endpoints] == ["known", "failed", "unsent"]
        assert isinstance(landed["good"].error, errors.RpcError)  # Its nonce is used up, by this one or another.
        assert [proxy.requests[SEND] for proxy in rig.proxies.values()] == [3, 3, 0]
        await chain.transport.aclose()


# -- streams -----------------------------------------------------------------------------------------------------------------

SILENCE_S = 2.0


@asynccontextmanager
async def heads(rig: Rig, silence_s: float = SILENCE_S) -> AsyncIterator[list[Any]]:
    """What a stream of heads tells, once it is connected."""
    streams = EvmStreams(rig.client, silence=timedelta(seconds=silence_s))
    items, seen = streams.heads(), []

    async def collect() -> None:
        async for item in items:
            seen.append(item)

    task = asyncio.create_task(collect())
    try:
        await until(lambda: _held(seen, Connected), "a connection")
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await items.aclose()


async def _held(seen: list[Any], kind: type[Any], endpoint: str = "") -> list[Any]:
    return [item for item in seen if isinstance(item, kind) and endpoint in ("", item.endpoint)]


async def _numbered(seen: list[Any], number: int) -> bool:
    return any(isinstance(item, Head) and item.block.number == number for item in seen)


@pytest.mark.parametrize(
    ("fault", "kind", "within_s"),
    [
        (faults.SilentSocket(), "deadline_transfer", SILENCE_S + SLACK_S),
        (faults.ClosedSocket(), "stream_closed", SLACK_S),
        (faults.ClosedSocket(code=1001), "stream_closed", SLACK_S),
    ],
    ids=["silent", "closed", "going away"],
)
async def test_a_socket_at_fault_is_left_and_nothing_is_missed(rig: Rig, fault: RpcFault, kind: str, within_s: float) -> None:
    async with heads(rig) as seen:
        await rig.mine(1)
        await until(lambda: _numbered(seen, 31), "the first head")
        rig["bad"].inject(fault)
        started = time.monotonic()
        await rig.mine(3)
        (lost, *_) = await until(lambda: _held(seen, Lost), "the loss")
        assert time.monotonic() - started <= within_s
        assert (lost.endpoint, lost.error.error_type) == ("bad", kind)
        await until(lambda: _held(seen, Connected, "good"), "the other endpoint")
        await rig.mine(1)
        await until(lambda: _numbered(seen, 35), "a head after that")
        numbers = [item.block.number for item in seen if isinstance(item, Head)]
        assert sorted(set(numbers)) == [31, 32, 33, 34, 35]


async def test_a_refused_socket_is_another_endpoints(nothing_is_left: None) -> None:
    async with rig_of("bad", "good") as rig:
        rig["bad"].inject(faults.RefusedSocket())
        async with heads(rig) as seen:
            await rig.mine(1)
            await until(lambda: _numbered(seen, 31), "a head")
            assert [item.error.error_type for item in seen if isinstance(item, Lost)] == ["not_entitled"]


async def test_sockets_of_another_chain_are_never_read(nothing_is_left: None) -> None:
    async with rig_of("bad", "good") as rig:
        rig["bad"].inject(faults.WrongChain())
        async with heads(rig) as seen:
            await until(lambda: _held(seen, Connected, "good"), "the other endpoint")
            await rig.mine(1)
            await until(lambda: _numbered(seen, 31), "a head")
            assert [item.error.error_type for item in seen if isinstance(item, Lost)] == ["wrong_chain"]
            assert {item.endpoint for item in seen if isinstance(item, Head)} == {"good"}


async def test_a_socket_that_lags_is_left_for_one_that_does_not(nothing_is_left: None) -> None:
    async with rig_of("bad", "good", refresh=timedelta(seconds=1)) as rig, heads(rig, silence_s=60) as seen:
        rig["bad"].inject(faults.Lag(blocks=20))
        await until(lambda: _mined_and_held(rig, seen), "the other endpoint, within a look and the time between two", 15)
        (lost, *_) = await _held(seen, Lost)
        assert (lost.endpoint, lost.error.error_type) == ("bad", "stream_closed")
        assert "20 behind the best" in lost.error.message
        numbers = [item.block.number for item in seen if isinstance(item, Head)]
        assert set(range(numbers[0], max(numbers) + 1)) == set(numbers)


async def _mined_and_held(rig: Rig, seen: list[Any]) -> bool:
    await rig.mine(1)
    await asyncio.sleep(0.2)
    return any(isinstance(item, Head) and item.endpoint == "good" for item in seen)


async def test_a_lagging_socket_tells_old_heads(nothing_is_left: None) -> None:
    async with rig_of("bad") as rig:
        with rig["bad"].inject(faults.Lag(blocks=5)).during():
            async with heads(rig) as seen:
                await rig.mine(8)
                await until(lambda: _numbered(seen, 33), "a head of five blocks ago")
                assert not await _numbered(seen, 34)


@pytest.mark.parametrize("how", ["the node", "the proxy"])
async def test_a_fork_is_told_as_a_reorganisation(nothing_is_left: None, how: str) -> None:
    async with rig_of("bad") as rig, heads(rig) as seen:
        await rig.mine(3)
        await until(lambda: _numbered(seen, 33), "the heads")
        if how == "the node":
            await rig.nodes["bad"].reorg(2)
        else:
            rig["bad"].inject(faults.Fork(depth=2))
        await rig.mine(1)
        await until(lambda: _numbered(seen, 34), "the head on the new branch")
        assert any(item.reorganised for item in seen if isinstance(item, Head))


# -- everything at once ------------------------------------------------------------------------------------------------------


async def test_the_pool_comes_back_from_every_fault_after_one_another(nothing_is_left: None) -> None:
    """The endpoints change places at every fault; nobody is lost on the way, and every call is answered or told in time."""
    async with rig_of("bad", "good") as rig:
        await known(rig)
        kinds = [kind for kind in get_args(AnyRpcFault) if kind not in (faults.WrongChain, faults.Slow)]
        for number, kind in enumerate(kinds):
            proxy = rig["bad" if number % 2 else "good"]
            with proxy.inject(kind()).during():
                assert await rig.balance() == WEI
                assert rig.took_s <= TIMEOUT_S
        states = {standing.state for standing in rig.pool.standings().values()}
        assert EndpointState.WRONG_CHAIN not in states
