"""The binding of the real node: it starts, does what its methods say, and never outlives its block."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.codecs.evm_rpc import decode_block, quantity
from probekit.dev.anvil import AnvilNode, anvil
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, RpcError, TransportError
from probekit.model.evm import Block
from probekit.secret import Secret
from tests.system.evm.installed import require_anvil

pytestmark = [pytest.mark.system, pytest.mark.evm]

STRANGER = "0x" + "52" * 20


@pytest.fixture
async def node() -> AsyncIterator[AnvilNode]:
    require_anvil()
    async with anvil() as made:
        yield made


async def head(node: AnvilNode) -> Block:
    return decode_block(await node.rpc("eth_getBlockByNumber", "latest", False))


async def balance(node: AnvilNode, address: str) -> int:
    return quantity(await node.rpc("eth_getBalance", address, "latest"))


async def test_two_nodes_of_two_chains_stand_side_by_side() -> None:
    require_anvil()
    async with anvil(chain_id=8453, accounts=2) as one, anvil(chain_id=10) as two:
        assert [await node.rpc("eth_chainId") for node in (one, two)] == ["0x2105", "0xa"]
        assert one.url != two.url
        assert len(one.accounts) == 2
        assert [account.address for account in one.accounts] == [account.address for account in two.accounts[:2]]
        assert one.accounts[0].key.reveal() not in repr(one.accounts)
        assert await balance(one, one.accounts[0].address) == 10_000 * 10**18
    assert one.process.returncode == two.process.returncode == 0
    with pytest.raises(ConnectError):
        await asyncio.wait_for(anvil_is_gone(one.url), 10)


async def anvil_is_gone(url: str) -> None:
    from probekit.clock import SYSTEM_CLOCK
    from probekit.transports.base import Request
    from probekit.transports.httpx import HttpxTransport

    engine = HttpxTransport(clock=SYSTEM_CLOCK)
    try:
        await engine.send(Request("POST", url, body=b"{}"))
    finally:
        await engine.aclose()


async def test_accounts_of_a_mnemonic_and_blocks_by_time() -> None:
    require_anvil()
    words = Secret("legal winner thank year wave sausage worth useful legal winner thank yellow")
    async with anvil(block_time=timedelta(milliseconds=100), mnemonic=words, accounts=1) as node:
        assert node.accounts[0].address == "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25"
        assert "legal" not in node.output()
        assert node.accounts[0].key.reveal() not in node.output()
        async with asyncio.timeout(20):
            while (await head(node)).number < 3:
                await asyncio.sleep(0.02)


async def test_blocks_are_made_and_replaced(node: AnvilNode) -> None:
    assert await node.mine(5, spacing=timedelta(seconds=12)) == 5
    before = await head(node)
    parent = decode_block(await node.rpc("eth_getBlockByNumber", "0x4", False))
    assert before.timestamp - parent.timestamp == 12
    await node.reorg(2)
    after = await head(node)
    assert (after.number, after.hash != before.hash) == (5, True)
    third = decode_block(await node.rpc("eth_getBlockByNumber", "0x3", False))
    assert decode_block(await node.rpc("eth_getBlockByNumber", "0x4", False)).parent_hash == third.hash
    paid = {"from": node.accounts[0].address, "to": STRANGER, "value": "0x7"}
    await node.reorg(1, [(paid, 0)])
    assert ((await head(node)).number, await balance(node, STRANGER)) == (5, 7)
    await node.increase_time(timedelta(hours=1))
    await node.mine()
    assert (await head(node)).timestamp - after.timestamp >= 3600


async def test_money_snapshots_and_transactions_that_wait(node: AnvilNode) -> None:
    payer = node.accounts[0].address
    await node.set_balance(STRANGER, 7)
    remembered = await node.snapshot()
    assert (await node.transact(sender=payer, to=STRANGER, value=5)).succeeded
    assert await balance(node, STRANGER) == 12
    await node.revert(remembered)
    assert await balance(node, STRANGER) == 7
    with pytest.raises(ValueError, match="no snapshot"):
        await node.revert(remembered)
    await node.automine(False)
    sent = await node.send(sender=payer, to=STRANGER, value=1)
    assert await node.rpc("eth_getTransactionReceipt", sent) is None
    with pytest.raises(DeadlineExceeded, match="no block holds"):
        await node.transact(sender=payer, to=STRANGER, value=1, timeout=timedelta(milliseconds=50))
    await node.mine()
    assert await balance(node, STRANGER) == 9
    await node.automine(True)
    await node.block_time(timedelta(seconds=1))
    async with asyncio.timeout(20):
        while await node.rpc("eth_blockNumber") == "0x1":
            await asyncio.sleep(0.05)
    await node.block_time(None)


async def test_an_account_is_impersonated_for_a_while(node: AnvilNode) -> None:
    await node.set_balance(STRANGER, 10**18)
    with pytest.raises(RpcError):
        await node.send(sender=STRANGER, to=node.accounts[1].address, value=1)
    async with node.impersonating(STRANGER) as stranger:
        assert (await node.transact(sender=stranger, to=node.accounts[1].address, value=1)).sender == stranger
    with pytest.raises(RpcError):
        await node.send(sender=STRANGER, to=node.accounts[1].address, value=1)


async def test_a_contract_that_refuses_to_be_made_is_told(node: AnvilNode) -> None:
    made = await node.deploy(bytes.fromhex("600160005360016000f3"))  # one byte of code, 01
    assert await node.rpc("eth_getCode", made, "latest") == "0x01"
    await node.set_code(made, b"\x02\x03")
    assert await node.rpc("eth_getCode", made, "latest") == "0x0203"
    with pytest.raises((ValueError, RpcError)):
        await node.deploy(bytes.fromhex("60006000fd"))


async def test_a_paused_node_hangs_and_goes_on(node: AnvilNode) -> None:
    with node.paused(), pytest.raises(TimeoutError):
        await asyncio.wait_for(node.rpc("eth_chainId"), 0.3)
    assert await node.rpc("eth_chainId") == "0x7a69"


async def test_a_killed_node_is_gone_and_leaving_the_block_is_no_error() -> None:
    require_anvil()
    async with anvil() as node:
        node.kill()
        async with asyncio.timeout(20):
            while node.process.returncode is None:
                await asyncio.sleep(0.01)
        with pytest.raises(TransportError):
            await node.rpc("eth_chainId")
    assert node.process.returncode == -9


async def test_cancelling_ends_the_process() -> None:
    require_anvil()
    nodes: list[AnvilNode] = []

    async def hold() -> None:
        async with anvil() as node:
            nodes.append(node)
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    async with asyncio.timeout(30):
        while not nodes:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nodes[0].process.returncode == 0


def script(folder: Path, body: str) -> Path:
    path = folder / "anvil"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def started(program: Path, **more: Any) -> None:
    async with anvil(program=program, **more):
        raise AssertionError("it started")


async def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    require_anvil()
    with pytest.raises(ConfigError, match=r"ended with 2: .*--nope"):
        async with anvil(arguments=["--nope"]):
            raise AssertionError("it started")
    with pytest.raises(ConfigError, match="ended with 3: out of luck"):
        await started(script(tmp_path, "echo out of luck >&2; exit 3"))
    with pytest.raises(ConfigError, match="No such file"):
        await started(tmp_path / "none")


async def test_a_node_that_hangs_at_the_start_is_given_up_and_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    # It ignores SIGTERM, as a program that is stuck may.
    program = script(
        tmp_path, f"trap '' TERM; echo $$ > {told}; echo '(0) 0x{'ab' * 32}'; echo warming up; while :; do :; done"
    )
    with pytest.raises(ConfigError, match="does not listen in time: warming up"):
        await started(program, timeout=timedelta(seconds=1))
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


async def test_what_listens_and_is_no_node_is_given_up(tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = '{"available_accounts": [], "private_keys": []}'
        say = f'while [ "$1" != --config-out ]; do shift; done; echo \'{config}\' > "$2"; echo Listening on 127.0.0.1:{port}'
        async with server:
            with pytest.raises(ConfigError, match="does not answer"):
                await started(script(tmp_path, f"{say}; exec sleep 60"), timeout=timedelta(seconds=1))
