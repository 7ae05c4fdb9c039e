"""solana-py, its HTTP and its WebSocket client, against a node whose blocks come by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import pytest
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import DataSliceOpts, MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.errors import (
    InvalidParamsMessage,
    NodeUnhealthyMessage,
    RpcCustomErrorFieldless,
    SendTransactionPreflightFailureMessage,
)
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    RootNotification,
    SignatureNotification,
    SlotNotification,
)
from solders.system_program import TransferParams, transfer
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction
from solders.transaction_status import InstructionErrorCustom, TransactionErrorFieldless, TransactionErrorInstructionError
from websockets.exceptions import ConnectionClosedError

from probekit.dev.svm import tokens
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import Served
from tests.system.svm import clients

pytestmark = [pytest.mark.system, pytest.mark.svm, pytest.mark.timeout(120)]

SOL = 10**9
PROGRAM, KEY, MINT = Pubkey([5] * 32), Pubkey([6] * 32), Pubkey([9] * 32)


@dataclass
class Bench:
    ledger: Ledger
    node: Node
    served: Served
    client: AsyncClient
    payer: Keypair

    async def transfer(self, lamports: int = SOL, *, versioned: bool = False) -> VersionedTransaction:
        blockhash = (await self.client.get_latest_blockhash(Confirmed)).value.blockhash
        pay = transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=KEY, lamports=lamports))
        message = (
            MessageV0.try_compile(self.payer.pubkey(), [pay], [], blockhash)
            if versioned
            else Message.new_with_blockhash([pay], self.payer.pubkey(), blockhash)
        )
        return VersionedTransaction(message, [self.payer])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    ledger, payer = Ledger(slot_time=clients.SLOT_TIME), Keypair()
    ledger.set_account(payer.pubkey(), lamports=100 * SOL, since_genesis=True)
    async with clients.living(ledger) as (node, served), AsyncClient(served.http, Confirmed) as client:
        yield Bench(ledger, node, served, client, payer)


async def test_cluster_and_blockhashes(bench: Bench) -> None:
    client = bench.client
    assert await client.is_connected()
    slots = [(await client.get_slot(level)).value for level in (Finalized, Confirmed, Processed)]
    assert slots == sorted(slots)
    epoch = (await client.get_epoch_info(Confirmed)).value
    assert (epoch.epoch, epoch.slots_in_epoch) == (1009, 432_000)
    assert epoch.block_height < epoch.absolute_slot
    assert (await client.get_genesis_hash()).value == bench.ledger.genesis_hash
    assert (await client.get_minimum_balance_for_rent_exemption(165)).value == 2_039_280
    assert (await client.get_cluster_nodes()).value[0].pubkey == bench.node.identity
    assert (await client.get_block_time(slots[0])).value is not None
    assert (await client.get_epoch_schedule()).value.warmup is False
    latest = (await client.get_latest_blockhash(Confirmed)).value
    height = (await client.get_block_height(Confirmed)).value
    assert 140 < latest.last_valid_block_height - height <= 150


async def test_send_confirm_and_history(bench: Bench) -> None:
    client = bench.client
    signatures = []
    for versioned in (False, True):
        transaction = await bench.transfer(SOL + versioned, versioned=versioned)
        message: Any = transaction.message
        assert (await client.get_fee_for_message(message, Confirmed)).value == 5000
        simulated = (await client.simulate_transaction(transaction, sig_verify=True, commitment=Confirmed)).value
        assert (simulated.err, simulated.units_consumed) == (None, 150)
        options = TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
        sent = await client.send_raw_transaction(bytes(transaction), options)
        signatures.append(sent.value)
        confirmed = await client.confirm_transaction(sent.value, Confirmed, sleep_seconds=0.05)
        assert confirmed.value[0] is not None
        assert confirmed.value[0].err is None
    assert (await client.get_balance(KEY, Confirmed)).value == 2 * SOL + 1
    record = (await client.get_transaction(signatures[1], commitment=Confirmed, max_supported_transaction_version=0)).value
    assert record is not None
    meta = record.transaction.meta
    assert meta is not None
    assert (meta.fee, meta.err, meta.post_balances[1]) == (5000, None, 2 * SOL + 1)
    history = (await client.get_signatures_for_address(KEY, commitment=Confirmed)).value
    assert [one.signature for one in history] == signatures[::-1]
    assert (await client.get_transaction_count(Confirmed)).value == 2
    fees = (await client.get_recent_prioritization_fees([KEY])).value
    assert {one.prioritization_fee for one in fees} == {0}


async def refusal(asked: Awaitable[Any]) -> Any:
    """The typed error that the client makes of a JSON-RPC error."""
    with pytest.raises(RPCException) as refused:
        await asked
    return refused.value.args[0]


async def test_errors_as_the_client_types_them(bench: Bench) -> None:
    client = bench.client
    options = TxOpts(preflight_commitment=Confirmed, skip_confirmation=True)
    poor = await bench.transfer(10**6 * SOL)
    failure = await refusal(client.send_raw_transaction(bytes(poor), options))
    assert isinstance(failure, SendTransactionPreflightFailureMessage)
    assert failure.message.endswith("Error processing Instruction 0: custom program error: 0x1")
    assert failure.data.err == TransactionErrorInstructionError(0, InstructionErrorCustom(1))
    assert failure.data.logs is not None
    assert "insufficient lamports" in failure.data.logs[1]
    simulated = (await client.simulate_transaction(poor, commitment=Confirmed)).value
    assert simulated.err == failure.data.err
    too_many = await refusal(client.get_multiple_accounts([KEY] * 101))
    assert isinstance(too_many, InvalidParamsMessage)
    assert too_many.message == "Too many inputs provided; max 100"
    old = await bench.transfer(2 * SOL)
    bench.ledger.expire_blockhash()
    expired = await refusal(client.send_raw_transaction(bytes(old), options))
    assert isinstance(expired, SendTransactionPreflightFailureMessage)
    assert expired.data.err == TransactionErrorFieldless.BlockhashNotFound
    with bench.node.faults.behind_by(9):
        behind = await refusal(client.send_raw_transaction(bytes(await bench.transfer()), options))
    assert isinstance(behind, NodeUnhealthyMessage)
    assert behind.data.num_slots_behind == 9
    forged = VersionedTransaction.populate(poor.message, [Keypair().sign_message(b"")])
    unsigned = await refusal(client.send_raw_transaction(bytes(forged), options))
    assert unsigned == RpcCustomErrorFieldless.TransactionSignatureVerificationFailure
    with bench.node.faults.answering(503), pytest.raises(SolanaRpcException, match="HTTPStatusError"):
        await client.is_connected()


async def test_accounts(bench: Bench) -> None:
    client, ledger = bench.client, bench.ledger
    for number in range(3):
        ledger.set_account(Pubkey([20 + number] * 32), bytes((number, 1)) * 100, owner=PROGRAM, since_genesis=True)
    info = (await client.get_account_info(Pubkey([21] * 32))).value
    assert info is not None
    assert (info.data, info.owner) == (b"\1\1" * 100, PROGRAM)
    assert (await client.get_account_info(KEY)).value is None
    cut = (
        await client.get_account_info(Pubkey([22] * 32), encoding="base58", data_slice=DataSliceOpts(offset=1, length=2))
    ).value
    assert cut is not None
    assert cut.data == b"\1\2"
    several = (await client.get_multiple_accounts([Pubkey([20] * 32), KEY])).value
    assert [one is None for one in several] == [False, True]
    found = await client.get_program_accounts(
        PROGRAM,
        encoding="base64",
        filters=[200, MemcmpOpts(offset=0, bytes="3")],  # base58 of the byte 2
    )
    assert [one.pubkey for one in found.value] == [Pubkey([22] * 32)]
    ledger.set_account(MINT, bytes(Mint(None, 10**9, 6, True)), owner=tokens.TOKEN, since_genesis=True)
    held = TokenAccount(MINT, KEY, 2_500_000, None, TokenAccountState.Initialized, None, 0)
    ledger.set_account(PROGRAM, bytes(held), owner=tokens.TOKEN, since_genesis=True)
    assert (await client.get_token_account_balance(PROGRAM)).value.ui_amount_string == "2.5"
    owned = (await client.get_token_accounts_by_owner(KEY, TokenAccountOpts(mint=MINT))).value
    assert owned[0].account.data == bytes(held)
    parsed = (await client.get_token_accounts_by_owner_json_parsed(KEY, TokenAccountOpts(mint=MINT))).value
    info_of: Any = parsed[0].account.data.parsed
    assert info_of["info"]["tokenAmount"]["amount"] == "2500000"
    fallback = (await client.get_account_info_json_parsed(Pubkey([20] * 32))).value
    assert fallback is not None
    assert fallback.data == b"\0\1" * 100


async def test_subscriptions(bench: Bench) -> None:
    async with SolanaWsClient(bench.served.ws) as socket:
        slots, roots = await socket.slot_subscribe(), await socket.root_subscribe()
        first, seen = await socket.recv(), set[type[Any]]()
        assert isinstance(first, SlotNotification | RootNotification)
        while seen != {SlotNotification, RootNotification}:
            seen.add(type(await socket.recv()))
        await socket.unsubscribe(slots)
        await socket.unsubscribe(roots)

    async with SolanaWsClient(bench.served.http.replace("http", "ws")) as socket:
        await socket.account_subscribe(pubkey=KEY, commitment=Finalized, encoding="base64")
        await socket.logs_subscribe(filter_=RpcTransactionLogsFilterMentions(KEY), commitment=Confirmed)
        transaction = await bench.transfer()
        await bench.client.send_raw_transaction(bytes(transaction), TxOpts(skip_preflight=True, skip_confirmation=True))
        await socket.signature_subscribe(signature=transaction.signatures[0], commitment=Finalized)
        told: dict[type[Any], Any] = {}
        while len(told) < 3:
            notification: Any = await socket.recv()
            told[type(notification)] = notification.result.value
    assert told[AccountNotification].lamports == SOL
    assert told[LogsNotification].signature == transaction.signatures[0]
    assert told[SignatureNotification].err is None


async def test_silent_and_dropped(bench: Bench) -> None:
    """The two ways a stream dies: the client sees one of them."""
    async with SolanaWsClient(bench.served.ws) as socket:
        with bench.node.faults.silence("slot"):
            await socket.slot_subscribe()
            before = bench.ledger.tip.slot
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.3)
            assert bench.ledger.tip.slot > before
        assert isinstance(await socket.recv(), SlotNotification)
        bench.served.drop_connections()
        with pytest.raises(ConnectionClosedError):
            while True:
                await socket.recv()


async def test_a_node_in_a_process_of_its_own() -> None:
    """The command: it serves, its blocks come, its faucet pays, and SIGTERM ends it."""
    command = [sys.executable, "-m", "probekit.dev.svm", "--port", "0", "--slot-time", "20ms"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env={**os.environ})
    try:
        assert process.stdout is not None
        words = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        http, ws = words[3].rstrip(","), words[6]
        async with AsyncClient(http, Confirmed) as client, SolanaWsClient(ws) as socket:
            drop = (await client.request_airdrop(KEY, SOL)).value
            await socket.signature_subscribe(signature=drop, commitment=Finalized)
            assert isinstance(await asyncio.wait_for(socket.recv(), 30), SignatureNotification)
            assert (await client.get_balance(KEY, Finalized)).value == SOL
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
