"""``EvmClient`` on a real node: the chain, accounts, calls and their refusals, logs, fees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.codecs.evm import abi
from probekit.codecs.evm.contract import Function
from probekit.codecs.evm.reverts import revert_of
from probekit.codecs.keccak import keccak256
from probekit.dev.anvil import anvil
from probekit.errors import NotFound, RangeTooLarge, Reverted, RpcError
from probekit.model.evm import Address, Log
from probekit.model.pyth_evm import PythError
from probekit.transports.base import Limits
from probekit.transports.rpc import EVM, EndpointPool, EndpointState
from tests.system.evm.chain import GWEI, Chain, until

pytestmark = [pytest.mark.system, pytest.mark.evm]

NOBODY = Address("0x" + "51" * 20)
ECHO = Function("echo(uint256)", "uint256")
COUNT = Function("count(uint256,uint256)")
COUNTED = keccak256(b"Counted(uint256,bytes32)")


# -- the chain -----------------------------------------------------------------------------------------------------------------


async def test_heads_at_every_tag(chain: Chain) -> None:
    client = chain.client
    await chain.node.mine(100, spacing=timedelta(seconds=1))
    assert await client.block_number() == 100
    latest, safe, finalized = [await client.block(tag) for tag in ("latest", "safe", "finalized")]
    assert (latest.number, safe.number, finalized.number) == (100, 68, 36)
    assert (await client.block("earliest")).number == 0
    with pytest.raises(ValueError, match="no hash"):
        await client.block("pending")
    before = await client.block(99)
    assert latest.parent_hash == before.hash
    assert (latest.timestamp - before.timestamp, latest.gas_limit, latest.gas_used) == (1, 30_000_000, 0)
    assert latest.base_fee_per_gas is not None
    assert 0 < latest.base_fee_per_gas < GWEI
    with pytest.raises(NotFound, match="no block 101"):
        await client.block(101)


async def test_the_endpoint_is_alive_and_one_of_another_chain_is_never_used(chain: Chain) -> None:
    assert {one.state for one in (await chain.client.standings()).values()} == {EndpointState.ALIVE}
    async with EvmClient(chain.endpoint, chain_id=1) as other:
        with pytest.raises(errors.WrongChain, match="serves chain 31337"):
            await other.balance(NOBODY)
        with pytest.raises(errors.SendRefused, match="no endpoint proves"):
            await other.send(chain.signed(0, chainId=1), cap_wei=10**18)
    assert await chain.client.nonce(chain.payer.address) == 0


async def test_fees_of_blocks_with_transactions(chain: Chain) -> None:
    for nonce in range(3):
        await chain.client.send(chain.signed(nonce, maxPriorityFeePerGas=nonce + 1), cap_wei=10**18)
        await chain.node.mine()
    head = await chain.client.block_number()
    history = await chain.client.fee_history(head, percentiles=(0, 100))
    assert (history.oldest_block, len(history.base_fees), len(history.gas_used_ppm)) == (1, head + 1, head)
    assert {row[1] for row in history.rewards} >= {1, 2, 3}
    assert 700 in history.gas_used_ppm  # 21,000 of 30,000,000


async def test_a_node_that_comes_back_is_used_again(chain: Chain) -> None:
    port = urlsplit(chain.node.url).port
    assert port is not None
    await chain.client.balance(NOBODY)
    chain.node.kill()
    for _ in range(5):
        with pytest.raises(errors.TransportError):
            await chain.client.block_number()
    async with anvil(port=port) as second:
        assert second.url == chain.node.url
        await second.mine(3)
        assert await until(lambda: _number(chain), "the node answers again") == 3
        assert await chain.client.send(chain.signed(0), cap_wei=10**18)


async def _number(chain: Chain) -> int | None:
    try:
        return await chain.client.block_number()
    except errors.TransportError:
        return None


# -- accounts ------------------------------------------------------------------------------------------------------------------


async def test_balance_nonce_code_and_storage(chain: Chain) -> None:
    client, payer = chain.client, chain.payer.address
    assert await client.balance(payer) == 10_000 * 10**18
    assert await client.balance(NOBODY) == 0
    await chain.node.automine(False)
    await client.send(chain.signed(0, value=5), cap_wei=10**18)
    assert [await client.nonce(payer), await client.nonce(payer, "latest")] == [1, 0]
    await chain.node.mine()
    assert [await client.balance(NOBODY), await client.balance(NOBODY, 0)] == [5, 0]
    assert await client.code(NOBODY) == b""
    await chain.node.automine(True)
    token = await chain.token(supply=77)
    assert len(await client.code(token)) > 1000
    assert await client.code(token, 0) == b""
    assert int.from_bytes(await client.storage(token, 2), "big") == 77
    assert await client.storage(token, 1 << 255) == bytes(32)


async def test_tokens_new_and_old(chain: Chain) -> None:
    client, payer = chain.client, chain.payer.address
    token, old = await chain.token(supply=12_345 * 10**17), await chain.deploy("OldToken")
    described = await client.token(token)
    assert (described.symbol, described.name, described.decimals) == ("TEST", "Test Coin", 18)
    assert str(described.amount(await client.token_balance(token, payer))) == "1234.500000000000000000"
    ancient = await client.token(old)
    assert (ancient.symbol, ancient.name, ancient.decimals, ancient.total_supply) == ("OLD", "Old Coin", None, 1_000_000)
    with pytest.raises(NotFound, match="no token"):
        await client.token(NOBODY)
    with pytest.raises(NotFound, match="no contract"):
        await client.token_balance(NOBODY, payer)
    balances = await client.token_balances([(token, payer), (old, payer), (NOBODY, payer), (token, NOBODY)])
    assert [balances.results[index] for index in (0, 1, 3)] == [12_345 * 10**17, 17, 0]
    assert isinstance(balances.results[2], errors.DecodeError)


# -- calls ---------------------------------------------------------------------------------------------------------------------


async def test_a_read_is_one_request(chain: Chain) -> None:
    refuser = await chain.deploy("Refuser")
    await chain.client.block_number()
    chain.transport.taken()
    assert await chain.client.read(refuser, ECHO.one(7)) == 7
    assert chain.transport.taken() == ["eth_call"]


async def test_calls_with_value_sender_and_made_up_balances(chain: Chain) -> None:
    client, refuser = chain.client, await chain.deploy("Refuser")
    paid, caller = Function("paid()", "uint256", payable=True), Function("caller()", "address")
    assert await client.read(refuser, paid.one(), value=9, sender=chain.payer.address) == 9
    assert await client.read(refuser, caller.one(), sender=NOBODY) == NOBODY
    assert await client.read(refuser, paid.one(), value=9, sender=NOBODY, balances={NOBODY: 10**18}) == 9
    with pytest.raises(RpcError) as poor:
        await client.read(refuser, paid.one(), value=9, sender=NOBODY)
    assert not isinstance(poor.value, Reverted)
    await client.read(refuser, Function("silent()").nothing())
    with pytest.raises(NotFound, match="no contract"):
        await client.call(NOBODY, b"\x01\x02\x03\x04")
    with pytest.raises(errors.DecodeError, match="echo"):
        await client.read(refuser, _as_echo("short(uint256)"))


def _as_echo(signature: str) -> Any:
    call = ECHO.one(7)
    return type(call)(call.name, Function(signature, "uint256").calldata(7), call.read)


REFUSALS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "text": ("withText(string)", ("no, thanks",), "Error: no, thanks"),
    "an empty text": ("withText(string)", ("",), "Error: "),
    "letters of all kinds": ("withText(string)", ("naïve ☃" * 40,), "Error: " + "naïve ☃" * 40),
    "assertion": ("byAssertion()", (), "Panic: an assertion failed (0x01)"),
    "overflow": ("byOverflow(uint8)", (255,), "Panic: arithmetic overflow (0x11)"),
    "division": ("byDivision(uint256)", (0,), "Panic: division by zero (0x12)"),
    "index": ("byIndex(uint256)", (3,), "Panic: an index outside an array (0x32)"),
    "Pyth's error": ("asPyth()", (), "StalePrice: the stored price is older"),
    "an unknown error": ("asNobody()", (), "an error this release does not know"),
    "without a word": ("withoutAWord()", (), "reverted without a reason"),
    "no function": ("nothingOfTheKind()", (), "reverted without a reason"),
    "three bytes": ("withBytes(bytes)", (b"\x01\x02\x03",), "0x010203: an error this release does not know"),
    "half an Error": ("withBytes(bytes)", (bytes.fromhex("08c379a0ff"),), "a message that does not decode"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_typed(chain: Chain, name: str) -> None:
    refuser = await chain.deploy("Refuser")
    signature, arguments, words = REFUSALS[name]
    function = Function(signature, "uint256")
    with pytest.raises(Reverted) as caught:
        await chain.client.read(refuser, function.one(*arguments))
    assert words in caught.value.message
    told = revert_of(caught.value)
    assert told is not None
    assert (told.error is PythError.STALE_PRICE) == (name == "Pyth's error")
    with pytest.raises(Reverted) as bare:
        await chain.client.call(refuser, function.calldata(*arguments))
    assert bare.value.revert_data == caught.value.revert_data
    if name == "an unknown error":
        assert abi.decode("uint256,string", told.data[4:]) == (7, "seven")


@pytest.mark.parametrize("signature", ["burning()", "working()"])
async def test_a_call_that_takes_all_gas_is_a_refusal_without_a_word(chain: Chain, signature: str) -> None:
    refuser = await chain.deploy("Refuser")
    with pytest.raises(Reverted) as caught:
        await chain.client.read(refuser, Function(signature, "uint256").one())
    assert caught.value.revert_data == b""


# -- logs ----------------------------------------------------------------------------------------------------------------------


async def counted(chain: Chain, blocks: int) -> Address:
    """A contract with one event in each of ``blocks`` blocks."""
    refuser = await chain.deploy("Refuser")
    for number in range(blocks):
        await chain.node.transact(sender=chain.payer.address, to=refuser, data=COUNT.calldata(number, 1))
    return refuser


async def test_logs_by_address_topic_and_range(chain: Chain) -> None:
    refuser = await counted(chain, 6)
    head = await chain.client.block_number()
    first = head - 5
    found = await chain.client.logs(from_block=0, to_block=head, address=refuser)
    assert [(log.block_number, log.topics[1][-1]) for log in found if isinstance(log, Log)] == [
        (first + number, number) for number in range(6)
    ]
    one = found[2]
    assert isinstance(one, Log)
    assert (one.address, one.topics[0], one.data, one.removed) == (refuser, COUNTED, keccak256((2).to_bytes(32, "big")), False)
    assert one.block_hash == (await chain.client.block(first + 2)).hash
    wanted = [(number).to_bytes(32, "big") for number in (1, 4)]
    some = await chain.client.logs(from_block=0, to_block=head, topics=[COUNTED, wanted])
    assert [log.topics[1] for log in some if isinstance(log, Log)] == wanted
    assert await chain.client.logs(from_block=0, to_block=first - 1, address=[refuser, NOBODY]) == []


async def test_a_range_that_is_too_large_is_halved(chain: Chain) -> None:
    refuser = await counted(chain, 10)
    head = await chain.client.block_number()
    whole = await chain.client.logs(from_block=0, to_block=head, address=refuser)

    def strict(body: dict[str, Any]) -> dict[str, Any] | None:
        if body["method"] != "eth_getLogs":
            return None
        asked = body["params"][0]
        if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) < 3:
            return None
        return {"code": -32005, "message": "query returned more than 3 results"}

    chain.transport.refuse = strict
    chain.transport.taken()
    assert await chain.client.logs(from_block=0, to_block=head, address=refuser) == whole
    assert len(chain.transport.taken()) <= 12
    never = {"code": -32005, "message": "query returned more than 0 results"}
    chain.transport.refuse = lambda body: never if body["method"] == "eth_getLogs" else None
    with pytest.raises(RangeTooLarge):
        await chain.client.logs(from_block=0, to_block=head)


async def test_a_range_whose_answer_is_above_our_limit_is_halved(chain: Chain) -> None:
    refuser = await chain.deploy("Refuser")
    for number in range(8):
        data = COUNT.calldata(number * 100, 100)
        await chain.node.transact(sender=chain.payer.address, to=refuser, data=data, gas=hex(3_000_000))
    limits = Limits(max_body_bytes=200_000)
    async with (
        EndpointPool(chain.endpoint, family=EVM, identity="31337", limits=limits) as pool,
        EvmClient(chain_id=31337, pool=pool) as client,
    ):
        found = await client.logs(from_block=0, to_block=await client.block_number(), address=refuser)
    assert [int.from_bytes(log.topics[1], "big") for log in found if isinstance(log, Log)] == list(range(800))
