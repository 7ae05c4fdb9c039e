"""Sends that are capped and happen once, and receipts that outlast reorganisations, on a real chain."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_account import Account as Signer

from probekit import errors
from probekit.clients.evm import EvmClient
from probekit.clock import SYSTEM_CLOCK
from probekit.codecs.evm.contract import Function
from probekit.codecs.keccak import keccak256
from probekit.dev.anvil import anvil
from probekit.errors import DeadlineExceeded, RpcError, SendRefused
from probekit.model.evm import Address
from probekit.transports.rpc import PoolPolicy
from tests.system.evm.chain import GWEI, POLL, Chain, counting, until
from tests.system.evm.relay import relay

pytestmark = [pytest.mark.system, pytest.mark.evm]

NOBODY = Address("0x" + "51" * 20)
CAP = 10**16
SOON = timedelta(seconds=20)


async def test_a_capped_send_lands_once_and_moves_the_money(chain: Chain) -> None:
    client, payer = chain.client, chain.payer.address
    raw = chain.signed(await client.nonce(payer), value=10**15)
    most = 21_000 * 10 * GWEI + 10**15
    chain.transport.taken()
    for cap in (0, most - 1):
        with pytest.raises(SendRefused, match="the cap is"):
            await client.send(raw, cap_wei=cap)
    assert chain.transport.taken() == []
    sent = await client.send(raw, cap_wei=most)
    assert chain.transport.taken() == ["eth_sendRawTransaction"]
    landed = await client.wait(sent, poll=POLL, timeout=SOON)
    receipt = landed.receipt
    assert (receipt.succeeded, receipt.gas_used, receipt.sender, receipt.to) == (True, 21_000, payer, NOBODY)
    assert (landed.confirmations, landed.reorganised) == (1, 0)
    assert await client.balance(NOBODY) == 10**15
    assert await client.balance(payer) == 10_000 * 10**18 - 10**15 - receipt.fee
    with pytest.raises(RpcError, match="nonce too low"):
        await client.send(raw, cap_wei=most)


async def test_every_kind_of_transaction_is_understood(chain: Chain) -> None:
    client, key = chain.client, chain.payer.key.reveal()
    common = {"to": NOBODY, "value": 1, "gas": 30_000}
    listed = [{"address": NOBODY, "storageKeys": ["0x" + "01" * 32]}]
    kinds: list[dict[str, Any]] = [
        {"gasPrice": 3 * GWEI, "chainId": 31337},
        {"gasPrice": 3 * GWEI, "chainId": 31337, "type": 1, "accessList": listed},
        {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI, "chainId": 31337, "type": 2},
    ]
    for nonce, kind in enumerate(kinds):
        raw = bytes(Signer.from_key(key).sign_transaction({**common, **kind, "nonce": nonce}).raw_transaction)
        with pytest.raises(SendRefused, match="the cap is"):
            await client.send(raw, cap_wei=30_000 * 3 * GWEI)
        sent = await client.send(raw, cap_wei=30_000 * 3 * GWEI + 1)
        assert (await client.wait(sent, poll=POLL, timeout=SOON)).receipt.succeeded
    assert await client.balance(NOBODY) == 3


async def test_what_is_of_another_chain_or_of_all_never_leaves(chain: Chain) -> None:
    client, key = chain.client, chain.payer.key.reveal()
    await client.block_number()
    chain.transport.taken()
    with pytest.raises(SendRefused, match="of chain 1,"):
        await client.send(chain.signed(0, chainId=1), cap_wei=CAP)
    everywhere = {"to": NOBODY, "value": 1, "gas": 21_000, "gasPrice": GWEI, "nonce": 0}
    raw = bytes(Signer.from_key(key).sign_transaction(everywhere).raw_transaction)
    with pytest.raises(SendRefused, match="of every chain"):
        await client.send(raw, cap_wei=CAP)
    with pytest.raises(errors.DecodeError):
        await client.send(chain.signed(0)[:-1], cap_wei=CAP)
    assert chain.transport.taken() == []


async def test_the_chains_own_refusals_come_through(chain: Chain) -> None:
    await chain.node.set_balance(chain.payer.address, 10**15)
    for raw, words in (
        (chain.signed(0, value=10**15), "(?i)insufficient funds"),
        (chain.signed(0, gas=20_000, maxFeePerGas=2 * GWEI, maxPriorityFeePerGas=1), "(?i)intrinsic gas"),
        (chain.signed(0, gas=31_000_000, maxFeePerGas=GWEI // 100, maxPriorityFeePerGas=1), "(?i)gas.?limit"),
    ):
        with pytest.raises(RpcError, match=words):
            await chain.client.send(raw, cap_wei=10**18)
    assert await chain.client.nonce(chain.payer.address) == 0


async def test_a_transaction_that_reverts_has_landed_and_failed(chain: Chain) -> None:
    refuser = await chain.deploy("Refuser")
    data = Function("asPyth()").calldata()
    nonce = await chain.client.nonce(chain.payer.address)
    sent = await chain.client.send(chain.signed(nonce, to=refuser, data=data, value=0, gas=60_000), cap_wei=CAP)
    receipt = (await chain.client.wait(sent, poll=POLL, timeout=SOON)).receipt
    assert (receipt.succeeded, receipt.logs) == (False, ())
    assert 21_000 < receipt.gas_used < 60_000


async def test_a_contract_is_made_and_its_event_is_in_the_receipt(chain: Chain) -> None:
    from tests.system.evm.solidity import contracts

    code = contracts()["Token"].made_with("string,string,uint8,uint256", "Coin", "C", 6, 7)
    raw = chain.signed(0, to=None, data=code, value=0, gas=2_000_000)
    sent = await chain.client.send(raw, cap_wei=10**17)
    receipt = (await chain.client.wait(sent, poll=POLL, timeout=SOON)).receipt
    assert receipt.to is None
    assert receipt.contract_address is not None
    (log,) = receipt.logs
    assert not isinstance(log, errors.DecodeError)
    assert (log.address, int.from_bytes(log.data, "big")) == (receipt.contract_address, 7)
    assert (await chain.client.token(receipt.contract_address)).decimals == 6


async def test_confirmations_are_waited_for(chain: Chain) -> None:
    sent = await chain.client.send(chain.signed(0), cap_wei=CAP)
    waiting = asyncio.ensure_future(chain.client.wait(sent, confirmations=4, poll=POLL, timeout=SOON))
    for _ in range(2):
        await chain.node.mine()
        await asyncio.sleep(0.1)
        assert not waiting.done()
    await chain.node.mine(2)
    landed = await waiting
    assert landed.confirmations >= 4
    assert landed.reorganised == 0


async def test_a_reorganisation_takes_a_transaction_away_and_the_wait_goes_on(chain: Chain) -> None:
    client = chain.client
    await chain.node.mine(5)
    raw = chain.signed(0)
    sent = await client.send(raw, cap_wei=CAP)
    first = await until(lambda: client.receipt(sent), "a first receipt")
    chain.transport.taken()
    waiting = asyncio.ensure_future(client.wait(sent, confirmations=3, poll=POLL, timeout=SOON))
    await until(lambda: _seen(chain, "eth_getTransactionReceipt"), "the wait has seen the first block")
    await chain.node.reorg(1)
    assert await client.receipt(sent) is None
    chain.transport.taken()
    await until(lambda: _seen(chain, "eth_getTransactionReceipt", 2), "the wait has seen that it is gone")
    assert not waiting.done()
    assert await client.send(raw, cap_wei=CAP) == sent
    second = await until(lambda: client.receipt(sent), "a second receipt")
    await chain.node.mine(4)
    landed = await waiting
    assert landed.reorganised == 1
    assert landed.receipt.block_hash == second.block_hash != first.block_hash
    assert landed.receipt.block_hash == (await client.block(landed.receipt.block_number)).hash


async def _seen(chain: Chain, method: str, times: int = 1) -> bool:
    return chain.transport.asked.count(method) >= times


async def test_a_transaction_that_a_reorganisation_moves_is_told_by_its_new_block(chain: Chain) -> None:
    client = chain.client
    await chain.node.mine(5)
    raw = chain.signed(0)
    sent = await client.send(raw, cap_wei=CAP)
    first = await until(lambda: client.receipt(sent), "a first receipt")
    chain.transport.taken()
    waiting = asyncio.ensure_future(client.wait(sent, confirmations=4, poll=POLL, timeout=SOON))
    await until(lambda: _seen(chain, "eth_getTransactionReceipt"), "the wait has seen the first block")
    await chain.node.reorg(2, [(raw, 0)])
    second = await until(lambda: client.receipt(sent), "a second receipt")
    assert second.block_hash != first.block_hash
    chain.transport.taken()
    await until(lambda: _seen(chain, "eth_getTransactionReceipt", 2), "the wait has seen the second block")
    await chain.node.mine(4)
    landed = await waiting
    assert (landed.receipt.block_hash, landed.reorganised) == (second.block_hash, 1)


async def test_a_replaced_transaction_never_lands_and_the_wait_ends_in_time(chain: Chain) -> None:
    client, payer = chain.client, chain.payer.address
    await chain.node.automine(False)
    cheap = await client.send(chain.signed(0, value=1), cap_wei=CAP)
    with pytest.raises(RpcError, match="(?i)underpriced"):
        await client.send(chain.signed(0, value=2), cap_wei=CAP)
    dear = chain.signed(0, value=2, maxFeePerGas=40 * GWEI, maxPriorityFeePerGas=4 * GWEI)
    replacement = await client.send(dear, cap_wei=CAP)
    assert await client.nonce(payer) == 1
    await chain.node.mine()
    assert (await client.wait(replacement, poll=POLL, timeout=SOON)).receipt.succeeded
    with pytest.raises(DeadlineExceeded, match="has not 1 confirmations in time"):
        await client.wait(cheap, poll=POLL, timeout=timedelta(milliseconds=200))
    assert await client.balance(NOBODY) == 2
    # What tells it from one that waits: its nonce is used up.
    assert await client.nonce(payer, "latest") == 1


async def test_a_dropped_transaction_can_be_sent_again(chain: Chain) -> None:
    client, payer = chain.client, chain.payer.address
    await chain.node.automine(False)
    raw = chain.signed(0)
    sent = await client.send(raw, cap_wei=CAP)
    with pytest.raises(RpcError, match="(?i)already (?:known|imported)"):
        await client.send(raw, cap_wei=CAP)
    await chain.node.rpc("anvil_dropTransaction", sent)
    await chain.node.mine()
    with pytest.raises(DeadlineExceeded):
        await client.wait(sent, poll=POLL, timeout=timedelta(milliseconds=200))
    assert await client.nonce(payer) == 0
    assert await client.send(raw, cap_wei=CAP) == sent
    await chain.node.mine()
    assert (await client.wait(sent, poll=POLL, timeout=SOON)).receipt.succeeded


async def test_a_wait_outlasts_a_node_that_restarts_and_ends_in_time_when_it_hangs(chain: Chain) -> None:
    client = chain.client
    sent = await client.send(chain.signed(0), cap_wei=CAP)
    await client.wait(sent, poll=POLL, timeout=SOON)
    state = await chain.node.rpc("anvil_dumpState")
    port = urlsplit(chain.node.url).port
    assert port is not None
    chain.node.kill()
    waiting = asyncio.ensure_future(client.wait(sent, confirmations=3, poll=POLL, timeout=SOON))
    await until(lambda: _seen(chain, "eth_getTransactionReceipt", 3), "the wait goes on without a node")
    async with anvil(port=port) as second:
        await second.rpc("anvil_loadState", state)
        await second.mine(3)
        assert (await waiting).receipt.transaction_hash == sent
        began_ns = SYSTEM_CLOCK.monotonic_ns()
        with second.paused(), pytest.raises(DeadlineExceeded):
            await client.wait(sent, poll=POLL, timeout=timedelta(seconds=1))
        assert SYSTEM_CLOCK.monotonic_ns() - began_ns < 8 * 10**9


async def test_a_send_whose_answer_is_lost_went_out_once_and_the_wait_finds_it(chain: Chain) -> None:
    port = urlsplit(chain.node.url).port
    assert port is not None
    policy = PoolPolicy(timeout=timedelta(seconds=1))
    async with counting() as transport, relay(port) as wire:
        endpoint = f"http://127.0.0.1:{wire.port}"
        async with EvmClient(endpoint, chain_id=31337, transport=transport, policy=policy) as client:
            await client.block_number()
            raw = chain.signed(0)
            with wire.muted(), pytest.raises(DeadlineExceeded):
                await client.send(raw, cap_wei=CAP)
            assert transport.taken().count("eth_sendRawTransaction") == 1
            sent = "0x" + keccak256(raw).hex()
            assert (await client.wait(sent, poll=POLL, timeout=SOON)).receipt.succeeded
    assert await chain.client.balance(NOBODY) == 1


async def test_a_node_that_dies_at_the_send_is_asked_once_and_its_error_is_told(chain: Chain) -> None:
    await chain.client.balance(NOBODY)
    chain.node.kill()
    await until(lambda: _gone(chain), "the node is gone")
    chain.transport.taken()
    with pytest.raises(errors.TransportError):
        await chain.client.send(chain.signed(0), cap_wei=CAP)
    assert chain.transport.taken().count("eth_sendRawTransaction") <= 1


async def _gone(chain: Chain) -> bool:
    return chain.node.process.returncode is not None
