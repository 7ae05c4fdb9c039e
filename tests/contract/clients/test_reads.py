"""Ten questions to every read of every client, and an eleventh: whether another endpoint saves it.

:mod:`tests.contract.clients.table` says how to add a client.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import probekit.clients
from probekit.errors import DeadlineExceeded, DecodeError, RateLimited, RpcError, ServerError, WrongChain
from probekit.testing import reply
from tests.contract.clients.rows import TABLES
from tests.contract.clients.table import QUESTIONS, Case, Question, Row, Table, met, plain, reads_of
from tests.contract.clients.wire import RpcFault, RpcWorld, Told, World, refuses, run


def asked(question: Question) -> list[Any]:
    """Every row that this question is asked of."""
    return [
        pytest.param(table, row, id=f"{table.client.__name__}.{row.method}")
        for table in TABLES
        for row in table.rows
        if table.excuse(row, question) is None
    ]


async def outcome(world: World, row: Row) -> Told:
    """How one call ends; within the method's deadline, and with nothing left behind."""
    told = await run(world.clock, row.call(world.client))
    assert told.took_s <= row.within_s, f"{told.took_s} s"
    assert_nothing_is_left(world)
    return told


def assert_nothing_is_left(world: World) -> None:
    assert world.wire.under_way == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert world.clock.sleeping == 0


def assert_met(told: Told, expected: Any, row: Row) -> None:
    assert met(told, expected, row), f"{told.error!r} {told.value!r}"


# -- nothing is left out -------------------------------------------------------------------------------------------------------


def clients() -> set[type]:
    """Every class of the package that reads something: those named so."""
    found: set[type] = set()
    for module in pkgutil.iter_modules(probekit.clients.__path__):
        made = importlib.import_module(f"probekit.clients.{module.name}")
        found |= {
            one
            for name, one in vars(made).items()
            if inspect.isclass(one) and one.__module__ == made.__name__ and name.endswith("Client")
        }
    return found


def test_every_client_has_a_table_and_every_method_a_row() -> None:
    assert {table.client for table in TABLES} == clients()
    for table in TABLES:
        assert sorted(row.method for row in table.rows) == sorted(reads_of(table.client)), table.client


def test_what_is_not_asked_has_its_reason_and_the_reasons_are_few() -> None:
    reasons: list[str] = []
    for table in TABLES:
        for row in table.rows:
            for question, reason in {**table.excused, **row.excused}.items():
                assert question in QUESTIONS
                assert len(reason.split()) >= 5, f"{table.client.__name__}.{row.method}: {question}"
                reasons.append(reason)
            assert set(row.instead) <= {"rpc_error", "http_429", "http_5xx", "hang", "wrong_chain"}
    assert len(set(reasons)) <= 12
    assert len(reasons) < len(QUESTIONS) * sum(len(table.rows) for table in TABLES) / 10


def test_the_walk_sees_what_has_no_row() -> None:
    class MadeUpClient:
        async def read(self) -> None: ...

        async def _inner(self) -> None: ...

        async def aclose(self) -> None: ...

        def plain(self) -> None: ...

    assert reads_of(MadeUpClient) == {"read"}


# -- what is right -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "row"), asked("happy"))
async def test_happy(table: Table, row: Row) -> None:
    world = table.world(False)
    assert_met(await outcome(world, row), row.happy, row)


@pytest.mark.parametrize(("table", "row"), asked("empty"))
async def test_empty(table: Table, row: Row) -> None:
    world = table.world(False)
    await world.prove()
    case = row.empty or Case({"*" if world.speaks_json_rpc else "/": None}, DecodeError)
    world.answer(case.answers)
    assert_met(await outcome(world, row), case.expected, row)


@pytest.mark.parametrize(("table", "row"), asked("unknown"))
async def test_members_that_nobody_knows_change_nothing(table: Table, row: Row) -> None:
    world, newer = table.world(False), table.world(False)
    today = await outcome(world, row)
    assert today.error is None
    newer.add_unknown_members()
    tomorrow = await outcome(newer, row)
    assert (tomorrow.error, plain(tomorrow.value)) == (today.error, plain(today.value))


# -- what is broken ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "row"), asked("malformed"))
async def test_one_malformed_item_loses_no_neighbour(table: Table, row: Row) -> None:
    world = table.world(False)
    await world.prove()
    case = row.malformed or Case({"*" if world.speaks_json_rpc else "/": {"garbage": [1]}}, DecodeError)
    world.answer(case.answers)
    assert_met(await outcome(world, row), case.expected, row)


@pytest.mark.parametrize(("table", "row"), asked("rpc_error"))
async def test_a_json_rpc_error_is_told_as_one(table: Table, row: Row) -> None:
    world = table.world(False)
    await world.prove()
    world.answer({"*": RpcFault(-32099, "the node's own trouble", {"why": "nobody knows"})})
    told = await outcome(world, row)
    assert_met(told, row.instead.get("rpc_error", RpcError), row)
    if "rpc_error" not in row.instead:
        found = told.error or row.tells(told.value)[0] if row.tells else told.error
        assert isinstance(found, RpcError)
        assert (found.code, found.data) == (-32099, {"why": "nobody knows"})


@pytest.mark.parametrize(("table", "row"), asked("http_429"))
async def test_http_429(table: Table, row: Row) -> None:
    world = table.world(False)
    await world.prove()
    world.wire.fault = world.wire.answers_with(429)
    assert_met(await outcome(world, row), row.instead.get("http_429", RateLimited), row)


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize(("table", "row"), asked("http_5xx"))
async def test_http_5xx(table: Table, row: Row, status: int) -> None:
    world = table.world(False)
    await world.prove()
    world.wire.fault = world.wire.answers_with(status)
    assert_met(await outcome(world, row), row.instead.get("http_5xx", ServerError), row)


async def requests_of(table: Table, row: Row) -> int:
    """How many requests the method makes when all is well."""
    world = table.world(False)
    await world.prove()
    await outcome(world, row)
    return len(world.wire.requests)


@pytest.mark.parametrize(("table", "row"), asked("hang"))
async def test_a_hang_at_any_request_keeps_the_deadline(table: Table, row: Row) -> None:
    for first in range(await requests_of(table, row)):
        world = table.world(False)
        await world.prove()
        world.wire.fault = world.wire.hangs(first=first)
        told = await outcome(world, row)
        expected = row.instead.get("hang", DeadlineExceeded)
        # A later request may be one that the method can do without; what it raises then is the same.
        if first == 0 or (told.error is not None and not isinstance(told.error, DeadlineExceeded)):
            assert_met(told, expected, row)


@pytest.mark.parametrize(("table", "row"), asked("hang"))
async def test_slow_answers_do_not_add_up_beyond_the_deadline(table: Table, row: Row) -> None:
    world = table.world(False)
    await world.prove()
    world.wire.fault = world.wire.crawls(6)
    await outcome(world, row)


@pytest.mark.parametrize(("table", "row"), asked("cancel"))
async def test_cancelled_at_any_request_it_leaves_no_task_and_no_request(table: Table, row: Row) -> None:
    for first in range(await requests_of(table, row)):
        world = table.world(False)
        await world.prove()
        world.wire.fault = world.wire.hangs(first=first)
        task = asyncio.ensure_future(row.call(world.client))
        await world.clock.settle()
        assert world.wire.under_way >= 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await world.clock.settle()
        assert_nothing_is_left(world)


@pytest.mark.parametrize(("table", "row"), asked("wrong_chain"))
async def test_an_endpoint_of_another_chain_is_asked_nothing(table: Table, row: Row) -> None:
    world = table.world(False)
    assert isinstance(world, RpcWorld)
    world.other_chain()
    assert_met(await outcome(world, row), row.instead.get("wrong_chain", WrongChain), row)
    assert set(world.asked()) <= {world.identity} | world.about_the_node


# -- with another endpoint beside it -------------------------------------------------------------------------------------------

FIRST_IS: dict[str, Callable[[World], None]] = {
    "closed": lambda world: world.break_first(refuses),
    "limited": lambda world: world.break_first(world.wire.answers_with(429)),
    "failing": lambda world: world.break_first(world.wire.answers_with(500)),
    "hanging": lambda world: world.break_first(world.wire.hangs()),
    # A 200 that is no answer.
    "a gateway's page": lambda world: world.break_first(lambda _: reply(200, "<html>", clock=world.clock)),
    "cut off": lambda world: world.break_first(lambda _: reply(200, '{"jsonrpc":"2.0","id":1,"res', clock=world.clock)),
    "empty": lambda world: world.break_first(lambda _: reply(200, "", clock=world.clock)),
}
FIRST_NODE_IS: dict[str, Callable[[RpcWorld], None]] = {
    "of another chain": lambda world: world.first_of_other_chain(),
}


async def assert_the_other_answers(world: World, row: Row) -> None:
    told = await run(world.clock, row.call(world.client))
    await world.close()
    assert_met(told, row.happy, row)
    assert told.took_s <= row.within_s
    assert_nothing_is_left(world)


@pytest.mark.parametrize("wrong", FIRST_IS)
@pytest.mark.parametrize(("table", "row"), asked("spare"))
async def test_whatever_is_wrong_with_the_first_endpoint_the_other_answers(table: Table, row: Row, wrong: str) -> None:
    world = table.world(True)
    FIRST_IS[wrong](world)
    await assert_the_other_answers(world, row)


@pytest.mark.parametrize("wrong", FIRST_NODE_IS)
@pytest.mark.parametrize(("table", "row"), [one for one in asked("spare") if one.values[0].world(True).speaks_json_rpc])
async def test_whatever_is_wrong_with_the_first_node_the_other_answers(table: Table, row: Row, wrong: str) -> None:
    world = table.world(True)
    assert isinstance(world, RpcWorld)
    FIRST_NODE_IS[wrong](world)
    await assert_the_other_answers(world, row)
