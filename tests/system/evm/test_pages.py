"""Every example about EVM chains runs as it stands, on a real node that says it is Base."""

from __future__ import annotations

import ast
import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from probekit import trust
from probekit.clients.evm import EvmClient
from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs import vaa
from probekit.codecs.evm import registry
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.codecs.evm_rpc import data
from probekit.dev.anvil import AnvilNode, anvil
from probekit.model import FeedId, TrustRoot
from probekit.model.evm import Address
from probekit.trust.signing import SigningSet
from tests.docs.blocks import ROOT, Block, of_kind, printed_as_said
from tests.system.evm.chain import Chain, counting
from tests.system.evm.installed import require_anvil
from tests.system.evm.solidity import contracts
from tests.system.evm.test_pyth import FEE, PERIOD_S, UNKNOWN, update
from tests.system.evm.test_receiver import message

pytestmark = [pytest.mark.system, pytest.mark.evm]

BASE = 8453
BTC = FeedId("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43")
NOBODY = Address("0x" + "51" * 20)
PYTH_PAGE = ROOT / "docs" / "how-to" / "read-pyth-on-evm.md"
SAID: list[list[str]] = [
    ["65000.00000000", "True"],
    ["True", "PriceFeedNotFound: the feed was never pushed"],
    ["multicall3", f"{BTC} 65000.00000000 64999.99999999 ", f"{UNKNOWN} queryPriceFeed: PriceFeedNotFound"],
    ["1.4.5-test None", "pro ", " 3 half", "transaction_fee_wei missing"],
    [f" {FEE} wei", "65001.00000000"],
    ["1 5 guardians", "False VM signature invalid"],
    ["0x"],
]
"""What the examples about Pyth print, in the page's order."""


@contextlib.asynccontextmanager
async def ticking(node: AnvilNode) -> AsyncIterator[None]:
    """A block each twentieth of a second."""

    async def tick() -> None:
        while True:
            await node.mine()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def chain(nothing_is_left: None) -> AsyncIterator[Chain]:
    """Base as it is where the pages are read: finality behind the head, Multicall3, Pyth with a price, a token."""
    require_anvil()
    contracts()
    async with (
        counting() as transport,
        anvil(chain_id=BASE) as node,
        EvmClient(node.url, chain_id=BASE, transport=transport) as client,
    ):
        made = Chain(node, client, transport)
        await node.mine(70, spacing=timedelta(seconds=1))
        await made.with_multicall()
        yield made


async def deployed_pyth(chain: Chain) -> PythEvmClient:
    """Pyth's contract where the registry has it, behind a receiver with the real guardians of the pro root."""
    node = chain.node
    real = trust.MAINNET.newest(TrustRoot.PRO)
    assert real is not None
    guardians = [Address(signer) for signer in real.signers]
    wormhole = await chain.deploy("Receiver", "uint32,address[],bool,uint16", real.index, guardians, True, 10003)
    source = (trust.PRO_EMITTER.chain, trust.PRO_EMITTER.address)
    made = await chain.deploy("Pyth", "uint256,uint256,address,(uint16,bytes32)", PERIOD_S, FEE, wormhole, source)
    (known,) = registry.contracts(BASE, ContractKind.PYTH, Deployment.STABLE)
    await node.set_code(known.address, data(await node.rpc("eth_getCode", made, "latest")))
    for slot in range(1, 5):
        word = await node.rpc("eth_getStorageAt", made, hex(slot), "latest")
        await node.rpc("anvil_setStorageAt", known.address, f"0x{slot:064x}", word)
    return PythEvmClient.known(chain.client)


async def push(chain: Chain, pyth: PythEvmClient, price: int, published_s: int) -> None:
    prepared = await pyth.build_update([await update(pyth, BTC, price, published_s)])
    sender = chain.payer.address
    receipt = await chain.node.transact(sender=sender, to=pyth.address, data=prepared.call.data, value=prepared.value_wei)
    assert receipt.succeeded


async def run(block: Block, names: dict[str, Any]) -> None:
    work = eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert asyncio.iscoroutine(work)
    async with asyncio.timeout(40):
        await work


@pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in of_kind("evm") if block.page != PYTH_PAGE])
async def test_an_example_about_evm_chains(chain: Chain, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    wallet = chain.node.accounts[1]
    supply = 1_234_500_000
    code = contracts()["Token"].made_with("string,string,uint8,uint256", "Test Coin", "TEST", 6, supply)
    token = await chain.node.deploy(code, sender=wallet.address)
    await chain.node.set_balance(wallet.address, 10**18)
    names = {
        "url": chain.node.url,
        "wallet": wallet.address,
        "nobody": NOBODY,
        "token": token,
        "token_abi": contracts()["Token"].abi,
        "key": wallet.key,
    }
    async with contextlib.AsyncExitStack() as stack:
        if "confirmations" in block.code or "heads()" in block.code:
            await stack.enter_async_context(ticking(chain.node))
        if "second_url" in block.code:
            # A node of its own: the first, asked again, may have mined the transaction already.
            names["second_url"] = (await stack.enter_async_context(anvil(chain_id=BASE))).url
        await run(block, names)
    printed = capsys.readouterr().out
    assert printed
    assert block.output is not None
    printed_as_said(block, printed)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        pytest.param(block, said, id=str(block))
        for block, said in zip([block for block in of_kind("evm") if block.page == PYTH_PAGE], SAID, strict=True)
    ],
)
async def test_an_example_about_pyth(chain: Chain, block: Block, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pyth = await deployed_pyth(chain)
    now_s = (await chain.client.block()).timestamp
    await push(chain, pyth, 6_500_000_000_000, now_s)
    names = {
        "url": chain.node.url,
        "feed_id": BTC,
        "feed_ids": [BTC, UNKNOWN],
        "updates": [await update(pyth, BTC, 6_500_100_000_000, now_s + 1)],
        "vaa": vaa.encode(SigningSet.generate(TrustRoot.PRO, 1, b"no guardians").sign(message())),
        "since": now_s,
        "until": now_s + 60,
    }
    await run(block, names)
    printed = capsys.readouterr().out
    for words in said:
        assert words in printed
