"""``wallet_balance`` on a real node: coins and a token, spent, topped up and taken by real transactions."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from probekit.codecs.evm.contract import Function
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from probekit.units import Amount
from tests.support.sandbox import load, module_of, result, verdict
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]

WALLET = "0x" + "77" * 20
ETH = 10**18
FAST = RunSettings(interval=timedelta(milliseconds=200))
TRANSFER = Function("transfer(address,uint256)", "bool")


def options(chain: Chain, *wallets: dict[str, Any], **more: Any) -> Any:
    probe = load("wallet_balance")
    module = module_of(probe)
    given = module.ChainOption(endpoints=(chain.node.url,), chain_id=chain.node.chain_id, native="ETH")
    made = tuple(module.WalletOption(chain="anvil", address=WALLET, **one) for one in wallets)
    return probe.options(chains={"anvil": given}, wallets=made, **more)


def eth(text: str) -> Amount:
    return Amount.parse(f"{text} ETH")


@pytest.mark.shows("wallet_balance", "WARNING low", "CRITICAL below_floor")
async def test_coins_and_a_token_with_and_without_multicall3(chain: Chain) -> None:
    token = await chain.token()
    transfer = TRANSFER.call(WALLET, 5 * ETH)
    await chain.node.transact(sender=chain.payer.address, to=token, data=transfer.data)
    await chain.node.set_balance(WALLET, ETH // 10 - 1)
    wanted = options(
        chain,
        {"critical": eth("0.01"), "warn": eth("0.1")},
        {"token": token, "unit": "TEST", "critical": Amount.parse("5 TEST")},
        {"token": "0x" + "88" * 20, "unit": "NONE", "critical": Amount.parse("5 NONE")},
    )
    for step in range(2):
        run = await run_once(load("wallet_balance"), wanted)
        assert verdict(run, f"anvil/{WALLET}") == (Status.WARNING, "low")
        assert verdict(run, f"anvil/{WALLET}/{token}") == (Status.OK, "funded")
        assert verdict(run, f"anvil/{WALLET}/0x" + "88" * 20)[0] is Status.CRITICAL
        assert verdict(run, "anvil") == (Status.OK, "within_budget")
        if not step:
            await chain.with_multicall()
    await chain.node.set_balance(WALLET, 0)
    run = await run_once(load("wallet_balance"), wanted)
    assert verdict(run, f"anvil/{WALLET}") == (Status.CRITICAL, "below_floor")


async def test_a_node_of_another_chain_and_one_that_died(chain: Chain) -> None:
    probe = load("wallet_balance")
    module = module_of(probe)
    wallet = module.WalletOption(chain="base", address=WALLET, critical=eth("1"))
    wrong = probe.options(chains={"base": module.ChainOption(endpoints=(chain.node.url,))}, wallets=(wallet,))
    run = await run_once(probe, wrong)
    assert verdict(run, "base") == (Status.CRITICAL, "wrong_chain")
    assert verdict(run, f"base/{WALLET}") == (Status.UNKNOWN, "behind_endpoint")
    chain.node.kill()
    run = await run_once(probe, options(chain, {"critical": eth("1")}))
    assert verdict(run, "anvil") == (Status.CRITICAL, "connect")


@pytest.mark.shows("wallet_balance", "OK", "CRITICAL outflow")
async def test_a_top_up_is_none_and_a_theft_is_an_outflow(chain: Chain) -> None:
    """Each change is awaited in the runs: the probe reads on while blocks come."""
    probe = load("wallet_balance")
    await chain.node.set_balance(WALLET, 2 * ETH)
    wanted = options(chain, {"critical": eth("1"), "max_outflow": eth("0.5")}, max_age=timedelta(hours=1))

    def outflow(run: ProbeRun) -> str:
        return next(one.reason for one in result(run, f"anvil/{WALLET}").verdicts if one.check == "outflow")

    def holds(run: ProbeRun, coins: int) -> bool:
        return any(one.check == "balance_floor" and one.value == coins for one in result(run, f"anvil/{WALLET}").verdicts)

    async with aclosing(watch(probe, wanted, settings=FAST)) as runs:
        assert holds(await anext(runs), 2)
        await chain.node.set_balance(WALLET, 9 * ETH)
        await chain.node.mine()
        run = await anext(runs)
        while not holds(run, 9):
            run = await anext(runs)
        assert outflow(run) == "usual"
        async with chain.node.impersonating(WALLET) as thief:
            await chain.node.transact(sender=thief, to=chain.payer.address, value=7 * ETH)
        async for run in runs:
            if outflow(run) == "outflow":
                break
    (told,) = (one for one in result(run, f"anvil/{WALLET}").verdicts if one.check == "outflow")
    assert told.message.startswith("7.00")
