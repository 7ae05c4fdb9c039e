"""What has an effect goes out once, whatever comes back; the error is told; nothing ever goes to another chain."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.rebroadcast import Rebroadcast
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    ProbekitError,
    RateLimited,
    RpcInternal,
    RpcRateLimited,
    SendRefused,
    ServerError,
    WrongChain,
)
from probekit.testing import reply
from probekit.transports.base import Request
from tests.contract.clients.rows import TABLES
from tests.contract.clients.rows.evm import TABLE as EVM
from tests.contract.clients.rows.solana import TABLE as SOLANA
from tests.contract.clients.table import Row, Table
from tests.contract.clients.wire import FIRST, SPARE, Fault, RpcFault, RpcWorld, Told, Wire, methods_of, refuses, run

METHODS = {EVM.client: "eth_sendRawTransaction", SOLANA.client: "sendTransaction"}


def rows_of(*names: str) -> list[Any]:
    return [
        pytest.param(table, row, METHODS[table.client], id=f"{table.client.__name__}.{row.method}")
        for table in (EVM, SOLANA)
        for row in table.rows
        if row.method in names
    ]


SENDS = rows_of("send", "rebroadcast")
REBROADCASTS = rows_of("rebroadcast")


def answered(body: str) -> Callable[[Wire], Fault]:
    return lambda wire: lambda _: reply(200, body, clock=wire.clock)


FAULTS: list[tuple[str, Callable[[Wire], Fault], type[ProbekitError]]] = [
    ("closed without an answer", lambda _: refuses, ConnectError),
    ("429", lambda wire: wire.answers_with(429), RateLimited),
    ("500", lambda wire: wire.answers_with(500), ServerError),
    ("503", lambda wire: wire.answers_with(503), ServerError),
    ("hang", lambda wire: wire.hangs(), DeadlineExceeded),
    ("no JSON", answered("<html>"), DecodeError),
    ("cut off", answered('{"jsonrpc":"2.0","id":1,"res'), DecodeError),
    ("empty", answered(""), DecodeError),
]


def world_of(table: Table, *, spare: bool = False) -> RpcWorld:
    world = table.world(spare)
    assert isinstance(world, RpcWorld)
    return world


def error_in(told: Told) -> ProbekitError:
    """What a send to one endpoint raised, or told of it."""
    if told.error is not None:
        return told.error
    assert isinstance(told.value, Rebroadcast)
    (one,) = told.value.endpoints
    assert one.outcome == "failed"
    assert one.error is not None
    return one.error


def break_sends(world: RpcWorld, method: str, broken: Fault) -> None:
    """Everything else is answered: only the request with the effect is not."""

    def fault(request: Request) -> Any:
        return broken(request) if method in methods_of(request) else None

    world.wire.fault = fault


@pytest.mark.parametrize(("table", "row", "method"), SENDS)
@pytest.mark.parametrize(("fault", "kind"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
async def test_a_send_goes_out_once(
    table: Table, row: Row, method: str, fault: Callable[[Wire], Fault], kind: type[ProbekitError]
) -> None:
    world = world_of(table)
    break_sends(world, method, fault(world.wire))
    told = await run(world.clock, row.call(world.client))
    # A minute later there is still no second one.
    await world.clock.advance(timedelta(minutes=1))
    assert type(error_in(told)) is kind
    assert told.took_s <= 10
    assert world.asked().count(method) == 1


@pytest.mark.parametrize(("table", "row", "method"), SENDS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [(RpcFault(-32603, "internal error"), RpcInternal), (RpcFault(-32029, "too many requests"), RpcRateLimited)],
)
async def test_an_error_object_does_not_send_it_again(
    table: Table, row: Row, method: str, error: RpcFault, kind: type[ProbekitError]
) -> None:
    world = world_of(table)
    world.answer({method: error})
    told = await run(world.clock, row.call(world.client))
    await world.clock.advance(timedelta(minutes=1))
    assert type(error_in(told)) is kind
    assert world.asked().count(method) == 1


@pytest.mark.parametrize(("table", "row", "method"), SENDS)
async def test_a_send_that_is_cancelled_is_not_repeated_and_leaves_nothing(table: Table, row: Row, method: str) -> None:
    world = world_of(table)
    break_sends(world, method, world.wire.hangs())
    task = asyncio.ensure_future(row.call(world.client))
    await world.clock.settle()
    assert world.wire.under_way == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.clock.advance(timedelta(minutes=1))
    assert (world.asked().count(method), world.wire.under_way, world.clock.sleeping) == (1, 0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("table", "row", "method"), SENDS)
@pytest.mark.parametrize("silent", [False, True])
async def test_nothing_is_sent_where_the_chain_is_another_or_not_told(
    table: Table, row: Row, method: str, silent: bool
) -> None:
    world = world_of(table)
    if silent:
        world.answer({world.identity: RpcFault(-32601, "method not found")})
    else:
        world.other_chain()
    told = await run(world.clock, row.call(world.client))
    assert isinstance(told.error, SendRefused)
    assert world.asked().count(method) == 0


# -- to several endpoints ------------------------------------------------------------------------------------------------------


def sent_to(world: RpcWorld, method: str) -> list[str]:
    """The endpoint of each request that had the effect."""
    return sorted(
        next(one for one in (FIRST, SPARE) if request.url.startswith(one))
        for request in world.wire.requests
        if method in methods_of(request)
    )


async def test_a_rebroadcast_without_a_fault_asks_each_endpoint_once() -> None:
    for one in REBROADCASTS:
        table, row, method = one.values
        world = world_of(table, spare=True)
        told = await run(world.clock, row.call(world.client))
        await world.close()
        assert [(part.endpoint, part.outcome) for part in told.value.endpoints] == [(FIRST, "accepted"), (SPARE, "accepted")]
        assert (told.value.taken, told.value.errors) == (True, {})
        assert sent_to(world, method) == sorted((FIRST, SPARE))


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
@pytest.mark.parametrize(("fault", "kind"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
async def test_whatever_one_endpoint_does_with_it_each_is_sent_it_once(
    table: Table, row: Row, method: str, fault: Callable[[Wire], Fault], kind: type[ProbekitError]
) -> None:
    world = world_of(table, spare=True)
    broken = fault(world.wire)
    break_sends(world, method, lambda request: broken(request) if request.url.startswith(FIRST) else None)
    told = await run(world.clock, row.call(world.client))
    await world.clock.advance(timedelta(minutes=1))
    await world.close()
    first, spare = told.value.endpoints
    assert (first.outcome, type(first.error), spare.outcome) == ("failed", kind, "accepted")
    assert told.value.taken
    assert set(told.value.errors) == {FIRST}
    assert told.took_s <= 10
    assert sent_to(world, method) == sorted((FIRST, SPARE))
    assert (world.wire.under_way, world.clock.sleeping) == (0, 0)


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
async def test_an_endpoint_of_another_chain_is_told_and_sent_nothing(table: Table, row: Row, method: str) -> None:
    world = world_of(table, spare=True)
    world.first_of_other_chain()
    for _ in range(2):
        told = await run(world.clock, row.call(world.client))
        first, spare = told.value.endpoints
        assert (first.outcome, type(first.error), spare.outcome) == ("unsent", WrongChain, "accepted")
    await world.close()
    assert sent_to(world, method) == [SPARE, SPARE]


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
async def test_an_endpoint_that_does_not_tell_its_chain_is_sent_nothing(table: Table, row: Row, method: str) -> None:
    world = world_of(table, spare=True)
    broken = world.wire.hangs()

    def fault(request: Request) -> Any:
        return broken(request) if request.url.startswith(FIRST) and world.identity in methods_of(request) else None

    world.wire.fault = fault
    told = await run(world.clock, row.call(world.client))
    await world.close()
    first, spare = told.value.endpoints
    assert (first.outcome, type(first.error), spare.outcome) == ("unsent", SendRefused, "accepted")
    assert told.took_s <= 10
    assert sent_to(world, method) == [SPARE]


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
@pytest.mark.parametrize(
    "error",
    [
        RpcFault(-32000, "already known"),
        RpcFault(-32000, "ALREADY_EXISTS: already known"),
        RpcFault(-32010, "AlreadyKnown, "),
        RpcFault(-32000, "Known transaction"),
        RpcFault(-32003, "transaction already imported"),
        RpcFault(-32010, "Transaction with the same hash was already imported."),
        RpcFault(-32603, "submit transaction to pool failed: Pool(AlreadyImported(Any { .. }))"),
        RpcFault(-32000, "already in mempool"),
        RpcFault(-32000, "tx already in mempool"),
        RpcFault(-32000, "Transaction 0x12 is already in the pool"),
        RpcFault(-32603, "submission failed: already in pool"),
        RpcFault(-32000, "tx already exists in cache"),
        RpcFault(-32000, "known transaction. transaction with hash 0x12 is already in the system"),
        RpcFault(
            -32002, "Transaction simulation failed: This transaction has already been processed", {"err": "AlreadyProcessed"}
        ),
        RpcFault(-32002, "Transaction simulation failed", {"err": "AlreadyProcessed", "logs": []}),
    ],
    ids=lambda fault: fault.error["message"][:40],
)
async def test_an_endpoint_that_has_it_already_counts_as_one_that_took_it(
    table: Table, row: Row, method: str, error: RpcFault
) -> None:
    world = world_of(table, spare=True)
    world.answer({method: error})
    told = await run(world.clock, row.call(world.client))
    await world.close()
    assert [part.outcome for part in told.value.endpoints] == ["known", "known"]
    assert (told.value.taken, told.value.errors) == (True, {})
    assert sent_to(world, method) == sorted((FIRST, SPARE))


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
@pytest.mark.parametrize(
    "error",
    [
        RpcFault(-32000, "nonce too low"),
        RpcFault(-32000, "unknown transaction type"),
        RpcFault(-32000, "replacement transaction underpriced"),
        RpcFault(-32002, "Transaction simulation failed: Blockhash not found", {"err": "BlockhashNotFound"}),
        RpcFault(-32000, "an account that already has code"),
        RpcFault(-32000, "a transaction with this nonce already exists"),
        RpcFault(3, "execution reverted: VAA already processed", "0x08c379a0"),
        RpcFault(3, "VAA already processed", "0x08c379a0"),
        RpcFault(-32000, "execution reverted: already known"),
        RpcFault(-32000, "CONTRACT_REVERT_EXECUTED: already processed"),
        RpcFault(-32000, "VM Exception while processing transaction: already imported"),
        RpcFault(-32000, "sender already in mempool with different transaction"),
        RpcFault(-32000, "same nonce already in pool"),
        RpcFault(-32000, "transaction with the same nonce already in the pool"),
        RpcFault(-32000, "another transaction is already in the pool"),
        RpcFault(-32000, "the key is already in the system"),
    ],
    ids=lambda fault: fault.error["message"][:40],
)
async def test_another_refusal_is_no_acceptance(table: Table, row: Row, method: str, error: RpcFault) -> None:
    world = world_of(table, spare=True)
    world.answer({method: error})
    told = await run(world.clock, row.call(world.client))
    await world.close()
    assert [part.outcome for part in told.value.endpoints] == ["failed", "failed"]
    assert not told.value.taken
    assert set(told.value.errors) == {FIRST, SPARE}
    assert sent_to(world, method) == sorted((FIRST, SPARE))


@pytest.mark.parametrize(("table", "row", "method"), REBROADCASTS)
async def test_a_rebroadcast_that_is_cancelled_ends_at_every_endpoint(table: Table, row: Row, method: str) -> None:
    world = world_of(table, spare=True)
    break_sends(world, method, world.wire.hangs())
    task = asyncio.ensure_future(row.call(world.client))
    await world.clock.settle()
    assert world.wire.under_way == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.clock.advance(timedelta(minutes=1))
    await world.close()
    assert sent_to(world, method) == sorted((FIRST, SPARE))
    assert (world.wire.under_way, world.clock.sleeping) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_every_send_is_asked() -> None:
    """A method by that name anywhere is in this file's list."""
    sending = {
        (table.client, row.method) for table in TABLES for row in table.rows if re.search("send|broadcast|submit", row.method)
    }
    assert sending == {(one.values[0].client, one.values[1].method) for one in SENDS}
