"""Priority fees on Solana and EVM chains: exact percentiles, and what each call does when the node does not."""

from __future__ import annotations

import ast
import asyncio
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probekit as pk
from probekit import errors
from probekit.codecs.solana.fees import decode_priority_fees
from probekit.model.evm import FeeHistory
from probekit.model.fees import GasFees, nearest_rank, priority_fee_lamports
from probekit.testing import reply
from tests.unit.clients.cluster import KEYS, Cluster
from tests.unit.clients.test_evm import Chain

METHOD = "getRecentPrioritizationFees"


def rows(*fees: int, first: int = 348_125) -> list[dict[str, Any]]:
    return [{"slot": first + number, "prioritizationFee": fee} for number, fee in enumerate(fees)]


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.methods[METHOD] = lambda _: rows(0, 1000, 500, 0, 1234)
    return made


# -- percentiles -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**64), min_size=1, max_size=200), st.integers(0, 100))
def test_nearest_rank_is_the_least_value_that_covers_the_share(values: list[int], percentile: int) -> None:
    found = nearest_rank(values, percentile)
    assert found in values
    assert sum(1 for value in values if value <= found) * 100 >= percentile * len(values)
    below = [value for value in values if value < found]
    assert not below or len(below) * 100 < percentile * len(values)


def test_nearest_rank_by_hand() -> None:
    assert [nearest_rank([15, 20, 35, 40, 50], p) for p in (0, 5, 30, 40, 50, 100)] == [15, 15, 20, 20, 35, 50]
    assert nearest_rank([], 50) is None
    for percentile in (-1, 101):
        with pytest.raises(ValueError):
            nearest_rank([1], percentile)


def test_what_a_price_comes_to() -> None:
    assert priority_fee_lamports(1, 1) == 1
    assert priority_fee_lamports(1_234, 200_000) == 247
    assert priority_fee_lamports(0, 200_000) == 0


# -- Solana ----------------------------------------------------------------------------------------------------------------


async def test_fees_of_the_last_slots(cluster: Cluster) -> None:
    fees = await cluster.client.priority_fees()
    assert fees.window == (348_125, 348_129)
    assert [fees.percentile(p) for p in (0, 50, 75, 90, 100)] == [0, 500, 1000, 1234, 1234]
    assert [fees.percentile(p, paid=True) for p in (0, 50, 100)] == [500, 1000, 1234]
    assert fees.zero_share == Decimal("0.4")
    assert cluster.asked(METHOD) == [[]]


async def test_fees_for_writing_to_accounts(cluster: Cluster) -> None:
    await cluster.client.priority_fees(accounts=[KEYS[0], str(KEYS[1])])
    assert cluster.asked(METHOD) == [[[str(KEYS[0]), str(KEYS[1])]]]
    await cluster.client.priority_fees(KEYS[:128])
    with pytest.raises(ValueError, match="129 accounts"):
        await cluster.client.priority_fees(KEYS[:129])
    with pytest.raises(ValueError, match="base58"):
        await cluster.client.priority_fees(["0OIl"])
    assert len(cluster.asked(METHOD)) == 2


async def test_none(cluster: Cluster) -> None:
    cluster.methods[METHOD] = lambda _: []
    fees = await cluster.client.priority_fees()
    assert (fees.window, fees.percentile(50), fees.zero_share) == (None, None, None)
    cluster.methods[METHOD] = lambda _: rows(0, 0)
    free = await cluster.client.priority_fees()
    assert (free.percentile(50), free.percentile(50, paid=True), free.zero_share) == (0, None, Decimal(1))


async def test_unknown_members_and_any_order(cluster: Cluster) -> None:
    cluster.methods[METHOD] = lambda _: [one | {"new": 1} for one in reversed(rows(3, 1, 2))]
    fees = await cluster.client.priority_fees()
    assert [one.micro_lamports for one in fees.slots] == [3, 1, 2]


NO_FEE = [None, 7, {}, {"slot": 1}] + [
    {"slot": slot, "prioritizationFee": fee} for slot, fee in ((-1, 1), (1, -1), (1, 2**64), (1, 1.5), ("1", 1))
]


@pytest.mark.parametrize("bad", NO_FEE)
async def test_one_malformed_slot_costs_no_other_its_own(cluster: Cluster, bad: Any) -> None:
    cluster.methods[METHOD] = lambda _: [*rows(1, 2), bad, *rows(3, first=9)]
    fees = await cluster.client.priority_fees()
    assert [one.micro_lamports for one in fees.slots] == [3, 1, 2]
    (error,) = fees.errors
    assert error.raw


@pytest.mark.parametrize("junk", [None, 7, "x", {}, {"value": []}])
async def test_what_is_no_list(cluster: Cluster, junk: Any) -> None:
    cluster.methods[METHOD] = lambda _: junk
    with pytest.raises(errors.DecodeError):
        await cluster.client.priority_fees()


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**64 - 1)), max_size=30))
def test_what_a_node_says_is_read(pairs: list[tuple[int, int]]) -> None:
    found = decode_priority_fees([{"slot": slot, "prioritizationFee": fee} for slot, fee in pairs])
    assert sorted((one.slot, one.micro_lamports) for one in found.slots) == sorted(pairs)
    assert found.errors == ()


# -- EVM -------------------------------------------------------------------------------------------------------------------

HISTORY = {
    "oldestBlock": "0x5",
    "baseFeePerGas": ["0x64", "0x78", "0x6e", "0x82"],
    "gasUsedRatio": [0.5, 0.6, 0.4],
    "reward": [["0x1", "0xa"], ["0x3", "0x1e"], ["0x2", "0x14"]],
}


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    made.methods["eth_feeHistory"] = lambda _: HISTORY
    return made


async def test_gas_fees_across_blocks(chain: Chain) -> None:
    fees = await chain.client.gas_fees(3, percentiles=(10, 90))
    assert chain.asked("eth_feeHistory") == [["0x3", "latest", [10, 90]]]
    assert fees.window == (5, 7)
    assert [fees.base_fee(p) for p in (0, 50, 100)] == [100, 110, 120]
    assert (fees.next_base_fee, fees.tips) == (130, {10: (1, 3, 2), 90: (10, 30, 20)})
    assert [fees.tip(10), fees.tip(90), fees.tip(90, across=100)] == [2, 20, 30]
    with pytest.raises(KeyError):
        fees.tip(50)
    with pytest.raises(ValueError):
        fees.base_fee(101)


@pytest.mark.parametrize(
    "change",
    [
        {"reward": None},
        {"reward": [["0x1", "0xa"]]},
        {"reward": [["0x1"], ["0x3"], ["0x2"]]},
        {"reward": [["0x1", "x"]] * 3},
        {"baseFeePerGas": ["0x64"]},
    ],
)
async def test_a_fee_history_that_does_not_fit_together(chain: Chain, change: Any) -> None:
    chain.methods["eth_feeHistory"] = lambda _: HISTORY | change
    with pytest.raises(errors.DecodeError):
        await chain.client.gas_fees(3, percentiles=(10, 90))


async def test_unknown_members_and_no_blocks(chain: Chain) -> None:
    chain.methods["eth_feeHistory"] = lambda _: HISTORY | {"baseFeePerBlobGas": ["0x1"], "blobGasUsedRatio": [0]}
    assert (await chain.client.gas_fees(3, percentiles=(10, 90))).next_base_fee == 130
    chain.methods["eth_feeHistory"] = lambda _: {"oldestBlock": "0x5", "baseFeePerGas": [], "gasUsedRatio": [], "reward": []}
    fees = await chain.client.gas_fees(1)
    assert (fees.window, fees.base_fee(50), fees.tip(50)) == (None, None, None)


def test_rows_belong_to_their_percentiles() -> None:
    fees = GasFees.of(FeeHistory(1, (7, 8), (0,), ((1, 2, 3),)), (10, 50, 90))
    assert fees.tips == {10: (1,), 50: (2,), 90: (3,)}


# -- every call, and every way to fail ---------------------------------------------------------------------------------------


def worlds() -> list[Any]:
    return [
        pytest.param(Cluster, lambda world: world.client.priority_fees(), METHOD, id="solana"),
        pytest.param(Chain, lambda world: world.client.gas_fees(), "eth_feeHistory", id="evm"),
    ]


each = pytest.mark.parametrize(("world", "call", "method"), worlds())


@each
async def test_a_json_rpc_error(world: Any, call: Any, method: str) -> None:
    made = world()

    def refuse(_: Any) -> Any:
        raise errors.RpcError("Invalid params", code=-32602)

    made.methods[method] = refuse
    with pytest.raises(errors.RpcError, match="Invalid params"):
        await call(made)


@each
async def test_a_method_that_is_switched_off(world: Any, call: Any, method: str) -> None:
    made = world()

    def refuse(_: Any) -> Any:
        raise errors.RpcError("Method not found", code=-32601)

    made.methods[method] = refuse
    with pytest.raises(errors.NotServed):
        await call(made)


@each
@pytest.mark.parametrize(
    ("status", "error"), [(401, errors.Unauthorized), (429, errors.RateLimited), (503, errors.ServerError)]
)
async def test_http_refusals(world: Any, call: Any, method: str, status: int, error: type[errors.ProbekitError]) -> None:
    made = world()
    usual = made.transport._handler
    # The chain's identity is proven first, by calls of its own.
    made.transport._handler = lambda request: (
        reply(status, "", clock=made.clock) if method.encode() in (request.body or b"") else usual(request)
    )
    with pytest.raises(error):
        task = asyncio.ensure_future(call(made))
        await made.clock.advance(timedelta(minutes=2))
        await task


@each
async def test_a_node_that_hangs_is_left_at_the_deadline(world: Any, call: Any, method: str) -> None:
    made = world()
    usual = made.transport._handler

    async def hang(request: Any) -> Any:
        if method.encode() not in (request.body or b""):
            return usual(request)
        await made.clock.sleep_until_ns(request.deadline_ns)
        return errors.DeadlineExceeded("no answer", phase="first_byte")

    made.transport._handler = hang
    task = asyncio.ensure_future(call(made))
    await made.clock.advance(timedelta(seconds=30))
    assert task.done()
    with pytest.raises(errors.DeadlineExceeded):
        await task


@each
async def test_cancelled_it_leaves_nothing_behind(world: Any, call: Any, method: str) -> None:
    made = world()

    async def hang(request: Any) -> Any:
        await made.clock.sleep_until_ns(request.deadline_ns)
        raise AssertionError("cancelled before that")

    made.transport._handler = hang
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(call(made))
    await made.clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await made.client.aclose()
    await made.clock.settle()
    assert asyncio.all_tasks() == before


# -- the page ----------------------------------------------------------------------------------------------------------------


async def test_the_example_of_the_page(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "read-solana.md"
    (code,) = re.findall(r"test_priority_fees\.py [^\n]*\n```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(pk, "SolanaClient", lambda url, *, genesis_hash: cluster.client)
    names = {"url": "http://node.test/", "genesis_hash": "x", "price_account": KEYS[0]}
    await eval(compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert capsys.readouterr().out.splitlines() == [
        "(348125, 348129) 1000 micro-lamports for each compute unit 0.4",
        "200 lamports",
    ]
