"""The node's subscriptions, in process and on sockets of this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from probekit.dev.svm import __main__ as command
from probekit.dev.svm import server
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.rpc import MAX_BODY
from probekit.dev.svm.server import Served, serve, ticking
from probekit.dev.svm.subscriptions import MAX_MESSAGE, Connection
from probekit.errors import ConfigError
from probekit.testing import FakeClock
from probekit.units import Instant

START = Instant.parse("2026-09-12T10:00:00Z")
SOL = 10**9
PROGRAM, KEY, OTHER = Pubkey([5] * 32), Pubkey([6] * 32), Pubkey([7] * 32)


class Bench:
    """A connection without a socket."""

    def __init__(self) -> None:
        self.ledger = Ledger(start=START, finalized_after=4)
        self.node = Node(self.ledger)
        self.lines: list[str] = []
        self.connection = Connection(self.node, self.lines.append)

    def ask(self, method: str, *params: Any) -> Any:
        return json.loads(self.connection.answer(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})))

    def subscribe(self, method: str, *params: Any) -> int:
        number = self.ask(method, *params)["result"]
        assert isinstance(number, int)
        return number

    def told(self, number: int) -> list[Any]:
        found = [json.loads(line) for line in self.lines]
        assert all(one["jsonrpc"] == "2.0" and "id" not in one for one in found)
        return [one["params"]["result"] for one in found if one["params"]["subscription"] == number]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_slots_and_roots(bench: Bench) -> None:
    slots, roots = bench.subscribe("slotSubscribe"), bench.subscribe("rootSubscribe")
    tip = bench.ledger.tip.slot
    bench.ledger.advance_slot(2)
    assert bench.told(slots) == [
        {"slot": tip + 1, "parent": tip, "root": tip - 3},
        {"slot": tip + 2, "parent": tip + 1, "root": tip - 2},
    ]
    assert bench.told(roots) == [tip - 3, tip - 2]
    assert json.loads(bench.lines[0])["method"] == "slotNotification"
    assert bench.ask("slotUnsubscribe", slots)["result"] is True
    assert bench.ask("slotUnsubscribe", slots)["error"] == {"code": -32602, "message": "Invalid subscription id."}
    bench.lines.clear()
    bench.ledger.advance_slot()
    assert (bench.told(slots), bench.told(roots)) == ([], [tip - 1])
    bench.connection.close()
    bench.ledger.advance_slot()
    assert len(bench.lines) == 1


def test_accounts_at_their_level(bench: Bench) -> None:
    numbers = {
        level: bench.subscribe("accountSubscribe", str(KEY), {"commitment": level, "encoding": "base64"})
        for level in ("processed", "confirmed", "finalized")
    }
    slot = bench.ledger.tip.slot
    bench.ledger.set_account(KEY, b"one", owner=PROGRAM)
    bench.ledger.set_account(KEY, b"two", owner=PROGRAM)
    bench.ledger.set_account(OTHER, b"not asked for", owner=PROGRAM)

    def data(level: str) -> list[bytes]:
        return [base64.b64decode(one["value"]["data"][0]) for one in bench.told(numbers[level])]

    assert (data("processed"), data("confirmed"), data("finalized")) == ([b"one", b"two"], [], [])
    bench.ledger.advance_slot()
    bench.ledger.set_account(KEY, lamports=0)
    assert (data("processed"), data("confirmed")) == ([b"one", b"two", b""], [b"two"])
    bench.ledger.advance_slot(3)
    assert (data("confirmed"), data("finalized")) == ([b"two", b""], [b"two"])
    first = bench.told(numbers["finalized"])[0]
    assert first["context"] == {"slot": slot}
    assert (first["value"]["owner"], first["value"]["space"]) == (str(PROGRAM), 3)
    bench.ledger.advance_slot()
    assert bench.told(numbers["finalized"])[1]["value"]["lamports"] == 0, "a closed account is told as an empty one"


def test_programs_with_filters(bench: Bench) -> None:
    filters = [{"memcmp": {"offset": 0, "bytes": [1]}}, {"dataSize": 2}]
    config = {"commitment": "processed", "encoding": "base64", "filters": filters}
    number = bench.subscribe("programSubscribe", str(PROGRAM), config)
    long = bench.subscribe("programSubscribe", str(PROGRAM), {"commitment": "processed"})
    for key, data, owner in (
        (KEY, b"\1a", PROGRAM),
        (OTHER, b"\2a", PROGRAM),
        (OTHER, b"\1b", OTHER),
        (OTHER, b"\1" * 3, PROGRAM),
    ):
        bench.ledger.set_account(key, data, owner=owner)
    assert [one["value"]["pubkey"] for one in bench.told(number)] == [str(KEY)]
    bench.ledger.set_account(KEY, bytes(129), owner=PROGRAM)
    assert bench.told(long)[-1]["value"]["account"]["data"] == "error: data too large for bs58 encoding"
    assert len(bench.told(long)) == 4


def test_logs_and_signatures(bench: Bench) -> None:
    processed = {"commitment": "processed"}
    everything, mine = (
        bench.subscribe("logsSubscribe", "all", processed),
        bench.subscribe("logsSubscribe", {"mentions": [str(KEY)]}),
    )
    bench.ledger.airdrop(OTHER, SOL)
    signature, _ = bench.ledger.airdrop(KEY, SOL)
    slot = bench.ledger.tip.slot
    assert [one["value"]["signature"] for one in bench.told(everything)][1] == str(signature)
    assert len(bench.told(everything)) == 2
    assert bench.told(mine) == []
    late = bench.subscribe(
        "signatureSubscribe", str(signature), {"commitment": "confirmed", "enableReceivedNotification": True}
    )
    bench.ledger.settle()
    (logs,) = bench.told(mine)
    assert logs["context"] == {"slot": slot}
    assert logs["value"]["err"] is None
    assert logs["value"]["logs"][-1] == "Program 11111111111111111111111111111111 success"
    assert bench.told(late) == [{"context": {"slot": slot}, "value": {"err": None}}]
    assert bench.connection.subscribed == 2, "a signature's subscription ends by itself"
    # Long final already: told at the next slot.
    old = bench.subscribe("signatureSubscribe", str(signature))
    bench.ledger.advance_slot()
    assert bench.told(old)[0]["value"] == {"err": None}


def test_received_and_failed_signatures(bench: Bench) -> None:
    ahead, _ = Ledger(start=START, finalized_after=4).airdrop(KEY, SOL)
    number = bench.subscribe("signatureSubscribe", str(ahead), {"commitment": "confirmed", "enableReceivedNotification": True})
    signature, _ = bench.ledger.airdrop(KEY, SOL)
    assert signature == ahead, "ledgers of one seed are alike"
    bench.ledger.advance_slot()
    assert [one["value"] for one in bench.told(number)] == ["receivedSignature", {"err": None}]
    failed, outcome = bench.ledger.airdrop(OTHER, 1)
    assert outcome.err == {"InsufficientFundsForRent": {"account_index": 1}}
    number = bench.subscribe("signatureSubscribe", str(failed), {"commitment": "processed"})
    bench.ledger.advance_slot()
    assert bench.told(number)[0]["value"] == {"err": {"InsufficientFundsForRent": {"account_index": 1}}}


def test_silence(bench: Bench) -> None:
    slots, roots = bench.subscribe("slotSubscribe"), bench.subscribe("rootSubscribe")
    with bench.node.faults.silence("slot"):
        silent = bench.subscribe("slotSubscribe")
        bench.ledger.advance_slot()
    assert (bench.told(slots), bench.told(silent), len(bench.told(roots))) == ([], [], 1)
    with bench.node.faults.silence():
        bench.ledger.advance_slot()
    assert len(bench.told(roots)) == 1
    bench.ledger.advance_slot()
    assert len(bench.told(slots)) == len(bench.told(silent)) == 1


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("accountSubscribe", ["x"], -32602, "Invalid Request: Invalid pubkey provided"),
        ("programSubscribe", ["x"], -32602, "Invalid Request: Invalid pubkey provided"),
        ("programSubscribe", [str(KEY), {"filters": [{"dataSize": 1}] * 5}], -32602, "Too many filters provided; max 4"),
        ("signatureSubscribe", ["x"], -32602, "Invalid Request: Invalid signature provided"),
        ("logsSubscribe", [{"mentions": []}], -32602, "Invalid Request: Only 1 address supported"),
        ("logsSubscribe", [{"mentions": ["x"]}], -32602, "Invalid Request: Invalid mentions provided"),
        (
            "logsSubscribe",
            ["some"],
            -32602,
            "Invalid params: unknown variant `some`, expected one of `all`, `allWithVotes`, `mentions`.",
        ),
        ("logsSubscribe", [5], -32602, "Invalid params: invalid type: integer `5`, expected enum RpcTransactionLogsFilter."),
        ("accountSubscribe", [], -32602, "`params` should have at least 1 argument(s)"),
        ("accountUnsubscribe", [12345678], -32602, "Invalid subscription id."),
        ("blockSubscribe", ["all"], -32601, "Method not found"),
        ("getSlot", [], -32601, "Method not found"),
    ],
)
def test_refused_subscriptions(bench: Bench, method: str, params: list[Any], code: int, message: str) -> None:
    assert bench.ask(method, *params)["error"] == {"code": code, "message": message}
    assert bench.connection.subscribed == 0


# -- on sockets


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Ledger, Node, Served]]:
    ledger = Ledger(start=START, finalized_after=4)
    node = Node(ledger)
    async with serve(node) as served:
        yield ledger, node, served


async def call(client: ClientConnection, method: str, *params: Any) -> Any:
    await client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return json.loads(await client.recv())["result"]


async def test_both_ports_take_both_protocols_and_nothing_is_left() -> None:
    before = asyncio.all_tasks()
    health = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
    async with serving() as (ledger, _, served):
        for port in (served.port, served.port + 1):
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"http://127.0.0.1:{port}", json=health)
                assert answer.json()["result"] == "ok"
                assert answer.text.endswith("\n")
            async with connect(f"ws://127.0.0.1:{port}") as socket_client:
                number = await call(socket_client, "slotSubscribe")
                ledger.advance_slot()
                told = json.loads(await socket_client.recv())
                assert told["params"]["subscription"] == number
                assert served.connections == 1
        stays = await connect(served.ws)
        assert served.ws.endswith(str(served.port + 1))
    assert served.connections == 0
    assert ledger._listeners == []
    with pytest.raises(ConnectionClosed):
        await stays.recv()
    for port in (served.port, served.port + 1):
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() if not task.done()} == before


async def test_http_manners() -> None:
    async with serving() as (_, node, served), httpx.AsyncClient(base_url=served.http) as client:
        json_type = {"content-type": "application/json"}
        assert (await client.get("/health")).text == "ok"
        assert (await client.get("/")).status_code == 405
        assert (await client.post("/", content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
        assert (await client.post("/", content=b" " * (MAX_BODY + 1), headers=json_type)).status_code == 413
        preflight = await client.options("/")
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")
        silent = await client.post("/", content=b'{"jsonrpc":"2.0","method":"getHealth"}', headers=json_type)
        assert (silent.status_code, silent.content) == (200, b"")
        with node.faults.behind_by(3):
            assert (await client.get("/health")).text == "behind"
        with node.faults.unknown_health():
            assert (await client.get("/health")).text == "unknown"
        with node.faults.answering(429):
            limited = await client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "getHealth"})
            assert (limited.status_code, limited.content) == (429, b"")
        assert (await client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "getHealth"})).status_code == 200


async def test_dropped_connections() -> None:
    async with serving() as (ledger, _, served):
        async with connect(served.ws) as client:
            await call(client, "slotSubscribe")
            assert served.drop_connections() == 1
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is None, "no closing handshake"
        async with connect(served.ws) as client:
            await call(client, "slotSubscribe")
            ledger.advance_slot()
            assert json.loads(await client.recv())["method"] == "slotNotification"


async def test_large_messages_end_the_connection() -> None:
    async with serving() as (_, _, served), connect(served.ws) as client:
        await client.send(" " * (MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_binary_frames_and_garbage() -> None:
    async with serving() as (_, _, served), connect(served.ws) as client:
        await client.send(b'{"jsonrpc":"2.0","id":1,"method":"getVersion"}')
        assert "solana-core" in json.loads(await client.recv())["result"]
        await client.send("garbage")
        assert json.loads(await client.recv())["error"]["code"] == -32700
        await client.send('{"jsonrpc":"2.0","method":"slotSubscribe"}')
        await client.send('[{"jsonrpc":"2.0","id":9,"method":"getVersion"}]')
        assert json.loads(await client.recv())[0]["id"] == 9


async def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_QUEUE", 3)
    async with serving() as (ledger, _, served), connect(served.ws) as client:
        await call(client, "slotSubscribe")
        # All at once, so that the writer does not get its turn.
        ledger.advance_slot(10)
        with pytest.raises(ConnectionClosed):
            for _ in range(11):
                await client.recv()


async def test_ticks_follow_the_clock() -> None:
    clock = FakeClock()
    ledger = Ledger(start=clock.now(), finalized_after=4)
    first = ledger.tip
    async with ticking(ledger, every=timedelta(seconds=2), clock=clock):
        await clock.advance(timedelta(seconds=7))
    assert ledger.tip.slot - first.slot == 3
    assert ledger.tip.unix_timestamp - first.unix_timestamp in (6, 7)
    await clock.advance(timedelta(seconds=7))
    assert ledger.tip.slot - first.slot == 3


async def test_taken_port_is_one_sentence() -> None:
    async with serving() as (_, node, served):
        for port in (served.port, served.port - 1, 65535):
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port} and the port after it"):
                async with serve(node, port=port):
                    pass


async def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "websockets" else find(name))
    with pytest.raises(ConfigError, match="needs uvicorn and websockets: pip install .*'uvicorn>=.*'websockets>="):
        async with serve(Node(Ledger(start=START))):
            pass


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--slot-time", "soon"], "not a duration"), (["--port", "65535"], "cannot listen")]
)
def test_command_refusals(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 3
    assert words in capsys.readouterr().err


def test_signatures_are_what_the_library_says() -> None:
    """The oldest trap of base58: a leading 1 is a byte."""
    assert Bench().ask("signatureSubscribe", str(Signature.default()))["result"] > 0
