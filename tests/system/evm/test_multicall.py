"""Many reads at one block of a real chain: through Multicall3, without it, and whatever goes wrong among them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from probekit.clients.evm import EvmClient
from probekit.codecs.evm import multicall
from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.evm.reverts import revert_of
from probekit.errors import DecodeError, NotServed, Reverted, RpcError
from probekit.model.evm import Address
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]

NOBODY = Address("0x" + "51" * 20)
ECHO = Function("echo(uint256)", "uint256")
SPEND = Function("spending(uint256)", "uint256")


def echoes(contract: Address, count: int) -> list[tuple[str, ContractCall[int]]]:
    return [(contract, ECHO.one(number)) for number in range(count)]


async def test_a_thousand_reads_are_three_requests_at_one_block(chain: Chain) -> None:
    await chain.with_multicall()
    refuser = await chain.deploy("Refuser")
    await chain.client.block_number()
    chain.transport.taken()
    reads = await chain.client.multicall(echoes(refuser, 1_000))
    assert chain.transport.taken() == ["eth_getBlockByNumber", "eth_call", "eth_call"]
    assert reads.values() == tuple(range(1_000))
    assert (reads.route, reads.pinned, reads.block.number) == ("multicall3", "hash", await chain.client.block_number())
    chain.transport.taken()
    again = await chain.client.multicall(echoes(refuser, 500), reads.block)
    assert chain.transport.taken() == ["eth_call"]
    assert again.values() == tuple(range(500))


async def test_without_multicall3_the_reads_go_in_batches_and_that_is_remembered(chain: Chain) -> None:
    refuser = await chain.deploy("Refuser")
    await chain.client.block_number()
    chain.transport.taken()
    reads = await chain.client.multicall(echoes(refuser, 250))
    assert reads.values() == tuple(range(250))
    assert (reads.route, reads.pinned) == ("batch", "hash")
    assert [len(one) for one in chain.transport.taken() if isinstance(one, tuple)] == [100, 100, 50]
    await chain.client.multicall(echoes(refuser, 50))
    # No second look whether one has come to stand there.
    assert chain.transport.taken() == ["eth_getBlockByNumber", ("eth_call",) * 50]


async def test_each_failure_stands_in_its_own_place(chain: Chain) -> None:
    await chain.with_multicall()
    refuser = await chain.deploy("Refuser")
    calls: list[tuple[str, ContractCall[Any]]] = [
        (refuser, ECHO.one(1)),
        (refuser, Function("asPyth()", "uint256").one()),
        (refuser, Function("withText(string)", "uint256").one("no")),
        (refuser, Function("withoutAWord()", "uint256").one()),
        (NOBODY, ECHO.one(2)),
        (refuser, ContractCall("echo", Function("short(uint256)").calldata(3), ECHO.one(3).read)),
        (refuser, Function("silent()").nothing()),
        (refuser, ECHO.one(4)),
    ]
    for route in ("multicall3", "batch"):
        client = chain.client if route == "multicall3" else EvmClient(chain.endpoint, chain_id=31337, multicall3=None)
        reads = await client.multicall(calls)
        assert reads.route == route
        first, stale, text, mute, empty, short, silent, last = reads.results
        assert (first, silent, last) == (1, None, 4)
        assert isinstance(stale, Reverted)
        assert isinstance(text, Reverted)
        assert isinstance(mute, Reverted)
        assert "StalePrice" in stale.message
        assert "Error: no" in text.message
        assert revert_of(mute) is not None
        assert mute.revert_data == b""
        assert isinstance(empty, DecodeError)
        assert isinstance(short, DecodeError)
        if route == "batch":
            await client.aclose()


async def test_reads_that_burn_their_gas_cost_no_neighbour_its_value(chain: Chain) -> None:
    await chain.with_multicall()
    refuser = await chain.deploy("Refuser")
    burning, working = Function("burning()", "uint256").one(), Function("working()", "uint256").one()
    calls: list[tuple[str, ContractCall[Any]]] = list(echoes(refuser, 40))
    calls[7], calls[20], calls[33] = (refuser, burning), (refuser, working), (refuser, burning)
    reads = await chain.client.multicall(calls)
    assert reads.route == "multicall3"
    for index, result in enumerate(reads.results):
        if index in (7, 20, 33):
            assert isinstance(result, Reverted), (index, result)
            assert result.revert_data == b""
        else:
            assert result == index


async def test_reads_that_are_dear_together_are_halved_until_they_fit(chain: Chain) -> None:
    """A call has the block's gas here, 30,000,000: forty reads of a million each are above it."""
    await chain.with_multicall()
    refuser = await chain.deploy("Refuser")
    await chain.client.block_number()
    chain.transport.taken()
    reads = await chain.client.multicall([(refuser, SPEND.one(1_000_000)) for _ in range(40)])
    assert reads.route == "multicall3"
    assert Counter(type(result) for result in reads.results) == {int: 40}, reads.results
    assert chain.transport.taken().count("eth_call") == 3


async def test_a_read_above_what_the_server_takes_costs_no_neighbour_its_value(chain: Chain) -> None:
    """anvil takes bodies of 2 MB, and calls any other an invalid request; a read's bytes are twice as many as hex."""
    await chain.with_multicall()
    refuser = await chain.deploy("Refuser")
    big = Function("withText(string)", "uint256")
    calls: list[tuple[str, ContractCall[Any]]] = list(echoes(refuser, 6))
    calls[2], calls[4] = (refuser, big.one("x" * 1_100_000)), (refuser, big.one("y" * 100_000))
    reads = await chain.client.multicall(calls)
    assert [reads.results[index] for index in (0, 1, 3, 5)] == [0, 1, 3, 5]
    refused, answered = reads.results[2], reads.results[4]
    assert isinstance(refused, RpcError)
    assert not isinstance(refused, Reverted)
    # The size was refused, not the block's hash.
    assert reads.pinned == "hash"
    assert (await chain.client.multicall(echoes(refuser, 2))).pinned == "hash"
    assert isinstance(answered, Reverted)
    assert len(answered.revert_data) > 100_000


async def test_reads_at_a_past_block_and_at_one_before_multicall3(chain: Chain) -> None:
    token = await chain.token(supply=100)
    payer = chain.payer.address
    old = await chain.client.block()
    await chain.with_multicall()
    transfer = Function("transfer(address,uint256)", "bool").calldata(NOBODY, 40)
    await chain.node.transact(sender=payer, to=token, data=transfer)
    pairs = [(str(token), str(payer)), (str(token), str(NOBODY))]
    assert (await chain.client.token_balances(pairs)).values() == (60, 40)
    before = await chain.client.token_balances(pairs, old)
    assert (before.values(), before.block) == ((100, 0), old)
    # A past block without Multicall3 says nothing of the newest.
    assert (await chain.client.token_balances(pairs)).route == "multicall3"


async def test_a_block_that_left_the_chain_is_not_mixed_with_its_successor(chain: Chain) -> None:
    await chain.with_multicall()
    token = await chain.token(supply=100)
    payer = chain.payer.address
    transfer = Function("transfer(address,uint256)", "bool").calldata(NOBODY, 40)
    await chain.node.transact(sender=payer, to=token, data=transfer)
    await chain.node.mine()
    gone = await chain.client.block()
    await chain.node.reorg(2)
    pairs = [(str(token), str(payer)), (str(token), str(NOBODY))]
    reads = await chain.client.token_balances(pairs, gone)
    # Named by its hash it is not there; by its number it would be the block that took its place.
    assert reads.pinned == "hash"
    assert [type(result) for result in reads.results] == [NotServed, NotServed]
    assert (await chain.client.token_balances(pairs)).values() == (100, 0)


async def test_the_block_is_what_multicall3_sees(chain: Chain) -> None:
    await chain.with_multicall()
    await chain.node.mine(3, spacing=timedelta(seconds=12))
    calls: list[tuple[str, ContractCall[int]]] = [
        (multicall.ADDRESS, multicall.block_number()),
        (multicall.ADDRESS, multicall.block_timestamp_s()),
        (multicall.ADDRESS, multicall.evm_chain_id()),
        (multicall.ADDRESS, multicall.native_balance_wei(chain.payer.address)),
    ]
    for at in (await chain.client.block(1), await chain.client.block(3)):
        reads = await chain.client.multicall(calls, at)
        assert reads.values() == (at.number, at.timestamp, 31337, 10_000 * 10**18)
    both = await chain.client.read(multicall.ADDRESS, multicall.try_block_and_aggregate(calls))
    assert both.block_number == 3
    assert [result.success for result in both.results] == [True] * 4
