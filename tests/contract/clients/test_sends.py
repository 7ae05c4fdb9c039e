"""What has an effect goes out once, whatever comes back; the error is told; nothing ever goes to another chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

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
)
from probekit.testing import reply
from probekit.transports.base import Request
from tests.contract.clients.rows import TABLES
from tests.contract.clients.rows.evm import TABLE as EVM
from tests.contract.clients.rows.solana import TABLE as SOLANA
from tests.contract.clients.table import Row, Table
from tests.contract.clients.wire import Fault, RpcFault, RpcWorld, Wire, methods_of, refuses, run

SENDS = [
    pytest.param(table, next(row for row in table.rows if row.method == "send"), method, id=table.client.__name__)
    for table, method in ((EVM, "eth_sendRawTransaction"), (SOLANA, "sendTransaction"))
]


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


def world_of(table: Table) -> RpcWorld:
    world = table.world(False)
    assert isinstance(world, RpcWorld)
    return world


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
    assert type(told.error) is kind
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
    assert type(told.error) is kind
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


def test_every_send_is_asked() -> None:
    """A method by that name anywhere is in this file's list."""
    sending = {table.client for table in TABLES for row in table.rows if row.method.startswith(("send", "broadcast"))}
    assert sending == {table.client for table in (EVM, SOLANA)}
