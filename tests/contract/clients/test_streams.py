"""The same questions to every stream over a WebSocket: what is told of each, within which time, and what is left behind.

A stream never raises for what its endpoints do: it tells, and goes on with the next one. To add one, add a line to ``STREAMS``:
how to make it over the two nodes of a rig, the messages of two items, one that is none, and what they become.

A stream that is no JSON-RPC subscription has another wire and other words (Hermes's events over HTTP, Pyth Pro's routers, all
at once): it is asked the same questions in its own suites, and ``ELSEWHERE`` says where each of them is.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

import probekit.clients
from probekit.clients.evm import EvmClient
from probekit.clients.evm_stream import EvmStreams, Head, UnreadableHead
from probekit.clients.solana import GENESIS, SolanaClient
from probekit.clients.solana_stream import Seen, SolanaStreams, Unreadable
from probekit.codecs.solana.rpc import encode_account
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    NotServed,
    ProbekitError,
    RateLimited,
    ServerError,
    StreamClosed,
    WrongChain,
)
from probekit.model.pubkey import base58
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import Endpoint, PoolPolicy
from probekit.transports.rpc.subscription import Connected, FeedCounters, Lost, SubscriptionPolicy
from tests.contract.clients.rows.evm import CHAIN_ID, Node
from tests.contract.clients.rows.solana import TokenCluster
from tests.contract.clients.table import reads_of
from tests.contract.clients.wire import with_unknown_members
from tests.unit.clients.cluster import KEYS, account
from tests.unit.clients.contracts import HEAD
from tests.unit.rpc.sockets import FakeConnector, FakeSocket

S = timedelta(seconds=1)
OPEN_TIMEOUT, SILENCE = 10 * S, 20 * S
QUEUE = 8
WATCHED = KEYS[0]


class Connector(FakeConnector):
    """Nodes that may also refuse the handshake of a WebSocket."""

    def __init__(self) -> None:
        super().__init__(["a", "b"])
        self.refusals: dict[str, ProbekitError] = {}

    async def connect(self, url: str, *, headers: Any = (), timeout_ns: int, max_message_bytes: int) -> FakeSocket:
        name = url.removeprefix("ws://").partition(".")[0]
        if name in self.refusals:
            raise self.refusals[name]
        return await super().connect(url, headers=headers, timeout_ns=timeout_ns, max_message_bytes=max_message_bytes)

    @property
    def left_open(self) -> list[FakeSocket]:
        return [socket for node in self.nodes.values() for socket in node.sockets if not socket.closed]


class Rig:
    """Two nodes ``a`` and ``b``, and one stream over them."""

    def __init__(self, made: Stream) -> None:
        self.clock = FakeClock()
        self.connector = Connector()
        self.made = made
        self.other_chain = False
        self.seen: list[Any] = []
        self.opened: Any = None
        self.items = made.open(self)

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint(f"http://{name}.test", name=name) for name in "ab"]

    def streams(self, kind: Any, client: Any) -> Any:
        policy = SubscriptionPolicy(open_timeout=OPEN_TIMEOUT, queue=QUEUE)
        self.opened = kind(client, connector=self.connector, policy=policy, silence=SILENCE, clock=self.clock)
        return self.opened

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def collect() -> None:
            async for item in self.items:
                self.seen.append(item)

        task = asyncio.create_task(collect())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.items.aclose()
            await self.clock.settle()
            assert self.connector.left_open == []
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert self.clock.sleeping == 0

    def tell(self, *results: Any, node: str = "a") -> None:
        for result in results:
            params = {"subscription": "0xsub1" if self.made.asks_its_chain else "0xsub0", "result": result}
            message = {"jsonrpc": "2.0", "method": "notification", "params": params}
            self.connector.nodes[node].socket.tell(message)

    def values(self) -> list[Any]:
        return [item for item in self.seen if isinstance(item, Head | Seen) and not item.backfilled]

    def lost(self, node: str) -> list[ProbekitError]:
        return [item.error for item in self.seen if isinstance(item, Lost) and item.endpoint == node]

    def connected(self) -> list[str]:
        return [item.endpoint for item in self.seen if isinstance(item, Connected)]


@dataclass(frozen=True)
class Stream:
    """One stream. ``asks_its_chain``: over the socket; others prove it over HTTP before."""

    name: str
    open: Callable[[Rig], AsyncGenerator[Any, None]]
    good: tuple[Any, Any]
    bad: Any
    read: Callable[[Any], Any]
    asks_its_chain: bool = False


def heads(rig: Rig) -> AsyncGenerator[Any, None]:
    node = Node()
    client = EvmClient(
        rig.endpoints(), chain_id=CHAIN_ID, transport=ReplyTransport(node.answer), clock=rig.clock, policy=PoolPolicy(rounds=1)
    )
    for fake in rig.connector.nodes.values():
        fake.chain_id = CHAIN_ID
    streams: EvmStreams = rig.streams(EvmStreams, client)
    return streams.heads()


def solana(make: Callable[[SolanaStreams], AsyncGenerator[Any, None]]) -> Callable[[Rig], AsyncGenerator[Any, None]]:
    def opened(rig: Rig) -> AsyncGenerator[Any, None]:
        cluster = TokenCluster()

        def answer(request: Request) -> Response:
            if rig.other_chain and request.url.startswith("http://a."):
                found = {"jsonrpc": "2.0", "id": json.loads(request.body or b"")["id"], "result": GENESIS["testnet"]}
                return reply(200, json.dumps(found), clock=rig.clock)
            return cluster.answer(request)

        client = SolanaClient(
            rig.endpoints(),
            genesis_hash=GENESIS["devnet"],
            transport=ReplyTransport(answer),
            clock=rig.clock,
            policy=PoolPolicy(rounds=1, refresh=timedelta(hours=1)),
        )
        for node in rig.connector.nodes.values():
            node.subscriptions_only = True
        return make(rig.streams(SolanaStreams, client))

    return opened


def head(number: int) -> Any:
    return Node().eth_getBlockByNumber(hex(number), False)


def shown(lamports: int, slot: int) -> Any:
    return {"context": {"slot": slot}, "value": encode_account(account(WATCHED, lamports=lamports))}


def logged(number: int) -> Any:
    return {"context": {"slot": 100 + number}, "value": {"signature": base58(bytes([number]) * 64), "err": None, "logs": ["x"]}}


STREAMS = [
    Stream(
        "EvmStreams.heads", heads, (head(HEAD), head(HEAD + 1)), {"number": "?"}, lambda item: item.block.number - HEAD,
        asks_its_chain=True,
    ),
    Stream(
        "SolanaStreams.slots",
        solana(lambda streams: streams.slots()),
        ({"slot": 100, "parent": 99, "root": 68}, {"slot": 101, "parent": 100, "root": 69}),
        {"slot": "?"},
        lambda item: item.value.slot - 100,
    ),
    Stream(
        "SolanaStreams.account",
        solana(lambda streams: streams.account(WATCHED)),
        (shown(0, 200), shown(1, 201)),
        {"context": {}},
        lambda item: item.value.lamports,
    ),
    Stream(
        "SolanaStreams.logs",
        solana(lambda streams: streams.logs(WATCHED)),
        (logged(0), logged(1)),
        {"context": {"slot": 1}, "value": {}},
        lambda item: item.value.slot - 100,
    ),
]  # fmt: skip


NO_JSON_RPC = "its service answers no JSON-RPC"
NO_CHAIN = "a service of no one chain: no endpoint serves a wrong one"
HERMES, SSE = "tests.unit.clients.test_hermes", "tests.unit.transports.test_middleware"
ENGINES, LAZER = "tests.contract.transports.test_engines", "tests.unit.clients.test_lazer_stream"

ELSEWHERE: dict[str, dict[str, str]] = {
    "HermesStream": {
        "test_happy": f"{HERMES}:test_a_stream_of_batches_with_refused_ids_set_apart",
        "test_nothing_told_is_found_out_within_the_silence": (
            f"{SSE}:test_not_one_byte_is_a_dead_connection_and_keep_alives_are_life"
        ),
        "test_members_that_nobody_knows_change_nothing": (
            f"{HERMES}:test_members_of_a_stream_that_nobody_knows_change_nothing"
        ),
        "test_one_malformed_message_loses_no_neighbour": (
            f"{HERMES}:test_a_price_of_a_stream_that_does_not_decode_takes_no_other_with_it"
        ),
        "test_a_json_rpc_error_to_the_subscription_goes_to_the_next_endpoint": NO_JSON_RPC,
        "test_a_handshake_that_is_refused": f"{SSE}:test_a_refusal_is_not_hammered",
        "test_a_node_that_never_opens_the_subscription_keeps_the_deadline": f"{ENGINES}:test_a_streams_headers_have_a_deadline",
        "test_a_socket_that_breaks": f"{SSE}:test_a_stream_reopens_after_a_break_with_back_off",
        "test_ended_at_any_time_it_leaves_no_task_and_no_socket": (
            f"{SSE}:test_a_stream_that_is_left_at_any_turn_leaves_nothing"
        ),
        "test_what_a_slow_reader_never_saw_is_counted_and_stays_counted": (
            f"{HERMES}:test_what_a_slow_consumer_never_sees_is_counted_over_all_connections"
        ),
        "test_an_endpoint_of_another_chain_is_not_used": NO_CHAIN,
    },
    "LazerStream": {
        "test_happy": f"{LAZER}:test_several_endpoints_are_told_as_one",
        "test_nothing_told_is_found_out_within_the_silence": (
            f"{LAZER}:test_a_silent_router_is_lost_within_its_limit_and_tried_again"
        ),
        "test_members_that_nobody_knows_change_nothing": f"{LAZER}:test_members_that_nobody_knows_change_nothing",
        "test_one_malformed_message_loses_no_neighbour": f"{LAZER}:test_junk_is_counted_and_harms_nothing",
        "test_a_json_rpc_error_to_the_subscription_goes_to_the_next_endpoint": NO_JSON_RPC,
        "test_a_handshake_that_is_refused": f"{LAZER}:test_a_router_that_lets_nobody_in",
        # One of the ways in which it lets nobody in is to hang; each wait there has its own deadline.
        "test_a_node_that_never_opens_the_subscription_keeps_the_deadline": f"{LAZER}:test_a_router_that_lets_nobody_in",
        "test_a_socket_that_breaks": f"{LAZER}:test_a_cut_is_mended_and_subscribed_anew",
        # Whose rig looks for tasks and sockets after each of its tests.
        "test_ended_at_any_time_it_leaves_no_task_and_no_socket": (
            f"{LAZER}:test_one_endpoint_may_fail_in_any_way_and_nothing_is_missed"
        ),
        "test_what_a_slow_reader_never_saw_is_counted_and_stays_counted": (
            f"{LAZER}:test_a_slow_consumer_loses_the_oldest_and_it_is_counted"
        ),
        "test_an_endpoint_of_another_chain_is_not_used": NO_CHAIN,
    },
}


def test_every_other_stream_is_asked_each_question_in_a_test_that_is_there() -> None:
    questions = {
        name for name, one in globals().items() if name.startswith("test_") and "rig" in inspect.signature(one).parameters
    }
    found = set()
    for module in pkgutil.iter_modules(probekit.clients.__path__):
        made = importlib.import_module(f"probekit.clients.{module.name}")
        found |= {
            name
            for name, one in vars(made).items()
            if inspect.isclass(one) and one.__module__ == made.__name__ and name.endswith("Stream")
        }
    assert set(ELSEWHERE) == found
    for answers in ELSEWHERE.values():
        assert set(answers) == questions
        for answer in set(answers.values()) - {NO_JSON_RPC, NO_CHAIN}:
            where, _, name = answer.partition(":")
            assert inspect.iscoroutinefunction(getattr(importlib.import_module(where), name)), answer


@pytest.fixture(params=STREAMS, ids=lambda made: made.name)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


def test_every_stream_is_asked() -> None:
    found = set()
    for module in pkgutil.iter_modules(probekit.clients.__path__):
        made = importlib.import_module(f"probekit.clients.{module.name}")
        for name, one in vars(made).items():
            if inspect.isclass(one) and one.__module__ == made.__name__ and name.endswith("Streams"):
                found |= {f"{name}.{method}" for method in reads_of(one)}
    assert found == {made.name for made in STREAMS}


async def test_happy(rig: Rig) -> None:
    async with rig.running():
        rig.tell(*rig.made.good)
        await rig.clock.settle()
        assert [rig.made.read(item) for item in rig.values()] == [0, 1]
        assert rig.connected() == ["a"]


async def test_nothing_told_is_found_out_within_the_silence(rig: Rig) -> None:
    async with rig.running():
        await rig.clock.advance(SILENCE + S)
        (silence,) = rig.lost("a")
        assert isinstance(silence, DeadlineExceeded)
        assert rig.connected() == ["a", "b"]


async def test_members_that_nobody_knows_change_nothing(rig: Rig) -> None:
    async with rig.running():
        rig.tell(*(with_unknown_members(result) for result in rig.made.good))
        await rig.clock.settle()
        assert [rig.made.read(item) for item in rig.values()] == [0, 1]


async def test_one_malformed_message_loses_no_neighbour(rig: Rig) -> None:
    async with rig.running():
        first, second = rig.made.good
        rig.tell(first, rig.made.bad, second)
        await rig.clock.settle()
        assert [rig.made.read(item) for item in rig.values()] == [0, 1]
        assert len([item for item in rig.seen if isinstance(item, Unreadable | UnreadableHead)]) == 1
        rig.connector.nodes["a"].socket.tell(b"\xff{")
        await rig.clock.settle()
        assert rig.lost("a") == []


async def test_a_json_rpc_error_to_the_subscription_goes_to_the_next_endpoint(rig: Rig) -> None:
    node = rig.connector.nodes["a"]
    node.refuses = True
    async with rig.running():
        await rig.clock.advance(S)
        (error,) = rig.lost("a")
        assert isinstance(error, NotServed)
        assert rig.connected() == ["b"]


@pytest.mark.parametrize(
    "refusal",
    [
        RateLimited("the handshake was answered with 429", status=429),
        ServerError("the handshake was answered with 503", status=503),
        ConnectError("refused"),
    ],
    ids=["429", "503", "refused"],
)
async def test_a_handshake_that_is_refused(rig: Rig, refusal: ProbekitError) -> None:
    rig.connector.refusals["a"] = refusal
    async with rig.running():
        await rig.clock.advance(S)
        assert rig.lost("a") == [refusal]
        assert rig.connected() == ["b"]


async def test_a_node_that_never_opens_the_subscription_keeps_the_deadline(rig: Rig) -> None:
    rig.connector.nodes["a"].mute = True
    async with rig.running():
        await rig.clock.advance(OPEN_TIMEOUT - S)
        assert rig.lost("a") == []
        await rig.clock.advance(2 * S)
        (error,) = rig.lost("a")
        assert isinstance(error, DeadlineExceeded)
        assert rig.connected() == ["b"]


async def test_a_socket_that_breaks(rig: Rig) -> None:
    async with rig.running():
        rig.connector.nodes["a"].socket.tell(StreamClosed("gone", planned=False))
        await rig.clock.advance(S)
        assert [type(error) for error in rig.lost("a")] == [StreamClosed]
        rig.tell(*rig.made.good, node="b")
        await rig.clock.settle()
        assert [rig.made.read(item) for item in rig.values()] == [0, 1]


@pytest.mark.parametrize("told", [0, 1])
async def test_ended_at_any_time_it_leaves_no_task_and_no_socket(rig: Rig, told: int) -> None:
    rig.connector.nodes["a"].mute = not told
    async with rig.running():
        assert len(rig.connector.left_open) == 1
        if told:
            rig.tell(rig.made.good[0])
        await rig.clock.settle()
    assert len(rig.connector.nodes["a"].sockets) == 1


async def test_what_a_slow_reader_never_saw_is_counted_and_stays_counted(rig: Rig) -> None:
    assert isinstance(await anext(rig.items), Connected)
    assert rig.opened.counters == FeedCounters(connections=1)
    for _ in range(QUEUE):
        rig.tell(*rig.made.good)
        await rig.clock.settle()
    assert rig.opened.counters == FeedCounters(connections=1, dropped=QUEUE)
    # It goes on with the newest.
    while not isinstance(item := await anext(rig.items), Head | Seen) or item.backfilled:
        pass
    await rig.items.aclose()
    await rig.clock.settle()
    assert rig.opened.counters == FeedCounters(connections=1, dropped=QUEUE)
    assert rig.connector.left_open == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_endpoint_of_another_chain_is_not_used(rig: Rig) -> None:
    rig.other_chain = True
    rig.connector.nodes["a"].chain_id = 99
    async with rig.running():
        await rig.clock.advance(S)
        assert [type(error) for error in rig.lost("a")] == [WrongChain]
        assert rig.connected() == ["b"]
