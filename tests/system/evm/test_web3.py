"""``client.w3``: contracts, events and transactions as web3's users write them, on our pool and a real chain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError, TransactionNotFound, Web3RPCError

from probekit.clients.evm import EvmClient
from probekit.errors import DeadlineExceeded, SendRefused
from probekit.transports.rpc import PoolPolicy
from tests.system.evm.chain import GWEI, POLL, Chain
from tests.system.evm.solidity import contracts

pytestmark = [pytest.mark.system, pytest.mark.evm]

NOBODY = "0x" + "51" * 20


def web3(chain: Chain) -> Any:
    """Untyped: web3 takes plain text where its types ask for types of its own."""
    return chain.client.w3


async def contract(chain: Chain, name: str, address: str) -> Any:
    return web3(chain).eth.contract(address=address, abi=contracts()[name].abi)


async def ready(chain: Chain) -> None:
    """The chain is proven once; what follows is counted."""
    await chain.client.block_number()
    chain.transport.taken()


async def test_a_contract_call_is_one_request(chain: Chain) -> None:
    token = await contract(chain, "Token", await chain.token(supply=1_000))
    await ready(chain)
    assert await token.functions.symbol().call() == "TEST"
    assert await token.functions.balanceOf(chain.payer.address).call() == 1_000
    assert chain.transport.taken() == ["eth_call", "eth_call"]


async def test_the_chains_own_values(chain: Chain) -> None:
    w3 = web3(chain)
    await chain.node.mine(3)
    await ready(chain)
    assert await w3.is_connected()
    assert await w3.eth.chain_id == 31337
    assert await w3.eth.block_number == 3
    block = await w3.eth.get_block("latest")
    assert (block["number"], block["hash"].to_0x_hex()) == (3, (await chain.client.block(3)).hash)
    assert await w3.eth.get_balance(chain.payer.address) == 10_000 * 10**18
    with pytest.raises(TransactionNotFound):
        await w3.eth.get_transaction("0x" + "ab" * 32)
    assert chain.transport.taken() == [
        "eth_chainId",
        "eth_chainId",
        "eth_blockNumber",
        "eth_getBlockByNumber",
        "eth_getBlockByNumber",
        "eth_getBalance",
        "eth_getTransactionByHash",
    ]


async def test_refusals_are_web3s_own_exceptions(chain: Chain) -> None:
    refuser = await contract(chain, "Refuser", await chain.deploy("Refuser"))
    await ready(chain)
    functions = refuser.functions
    with pytest.raises(ContractLogicError, match="no, thanks"):
        await functions.withText("no, thanks").call()
    with pytest.raises(ContractPanicError, match="(?i)assert"):
        await functions.byAssertion().call()
    with pytest.raises(ContractCustomError, match="0x19abf40e|StalePrice"):
        await functions.asPyth().call()
    with pytest.raises(ContractLogicError):
        await functions.withoutAWord().call()
    with pytest.raises((ContractLogicError, Web3RPCError)):
        await functions.burning().call()
    assert chain.transport.taken() == ["eth_call"] * 5


async def test_a_transaction_is_signed_here_sent_once_and_its_event_is_read(chain: Chain) -> None:
    w3 = web3(chain)
    token = await contract(chain, "Token", await chain.token(supply=1_000))
    await ready(chain)
    fields = {
        "from": chain.payer.address,
        "nonce": await chain.client.nonce(chain.payer.address),
        "gas": 100_000,
        "maxFeePerGas": 3 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        "chainId": chain.client.chain_id,
    }
    built = await token.functions.transfer(w3.to_checksum_address(NOBODY), 40).build_transaction(fields)
    signed = w3.eth.account.sign_transaction(built, chain.payer.key.reveal())
    sent = await chain.client.send(bytes(signed.raw_transaction), cap_wei=100_000 * 3 * GWEI)
    # Nothing was asked for to build it: all was given.
    assert chain.transport.taken() == ["eth_getTransactionCount", "eth_sendRawTransaction"]
    await chain.client.wait(sent, poll=POLL)
    chain.transport.taken()
    receipt = await w3.eth.get_transaction_receipt(sent)
    (moved,) = token.events.Transfer().process_receipt(receipt)
    assert (moved["args"]["to"].lower(), moved["args"]["value"]) == (NOBODY, 40)
    events = await token.events.Transfer.get_logs(from_block=0, argument_filters={"to": w3.to_checksum_address(NOBODY)})
    assert [event["args"]["value"] for event in events] == [40]
    assert chain.transport.taken() == ["eth_getTransactionReceipt", "eth_getLogs"]


async def test_what_is_not_given_is_asked_for_once_each(chain: Chain) -> None:
    w3 = web3(chain)
    token = await contract(chain, "Token", await chain.token(supply=1_000))
    await ready(chain)
    built = await token.functions.transfer(w3.to_checksum_address(NOBODY), 1).build_transaction({"from": chain.payer.address})
    asked = chain.transport.taken()
    assert built["chainId"] == 31337
    assert built["gas"] > 21_000
    assert sorted(set(map(str, asked))) == sorted(map(str, asked)), asked


async def test_a_raw_transaction_through_web3_goes_out_once(chain: Chain) -> None:
    await ready(chain)
    raw = chain.signed(0)
    with pytest.raises(SendRefused, match="w3 has no cap"):
        await web3(chain).eth.send_raw_transaction(raw)
    assert chain.transport.taken() == []
    capped = EvmClient(chain_id=chain.client.chain_id, pool=chain.client.pool, w3_cap_wei=10**18)
    sent = await capped.w3.eth.send_raw_transaction(raw)
    assert chain.transport.taken() == ["eth_sendRawTransaction"]
    receipt = await web3(chain).eth.wait_for_transaction_receipt(sent, poll_latency=0.02, timeout=20)
    assert receipt["status"] == 1
    chain.transport.taken()
    with pytest.raises(Web3RPCError, match="nonce too low"):
        await capped.w3.eth.send_raw_transaction(raw)
    assert chain.transport.taken() == ["eth_sendRawTransaction"]


async def test_reads_in_a_batch_are_one_request(chain: Chain) -> None:
    w3 = web3(chain)
    token = await contract(chain, "Token", await chain.token(supply=1_000))
    await ready(chain)
    async with w3.batch_requests() as batch:
        for holder in (chain.payer.address, w3.to_checksum_address(NOBODY)):
            batch.add(token.functions.balanceOf(holder))
        batch.add(w3.eth.get_balance(w3.to_checksum_address(NOBODY)))
        assert await batch.async_execute() == [1_000, 0, 0]
    assert chain.transport.taken() == [("eth_call", "eth_call", "eth_getBalance")]


async def test_a_node_that_hangs_is_left_at_the_pools_deadline(chain: Chain) -> None:
    async with EvmClient(chain.endpoint, chain_id=31337, policy=PoolPolicy(timeout=timedelta(seconds=2))) as client:
        await client.block_number()
        holder: Any = chain.payer.address
        with chain.node.paused(), pytest.raises(DeadlineExceeded):
            await client.w3.eth.get_balance(holder)
        assert await client.w3.eth.get_balance(holder) == 10_000 * 10**18
