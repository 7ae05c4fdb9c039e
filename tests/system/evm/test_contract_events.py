"""``contract_event`` on a real node: a token's transfers, in blocks that are reorganised away, and a range replayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from probekit.codecs.evm.contract import Function
from probekit.model import ProbeRun, Status
from probekit.model.evm import Address
from probekit.runner import RunSettings, run_once, watch
from tests.support.sandbox import load, module_of, result, verdict
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]

SOMEBODY = Address("0x" + "77" * 20)
ETH = 10**18
FAST = RunSettings(interval=timedelta(milliseconds=300))
ONCE = RunSettings(interval=timedelta(seconds=30))
TRANSFER = Function("transfer(address,uint256)", "bool")
DECLARED = "Transfer(address indexed from, address indexed to, uint256 value)"
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED


def options(chain: Chain, token: str, *more_rules: dict[str, Any], confirmations: int = 1, **more: Any) -> Any:
    probe = load("contract_event")
    module = module_of(probe)
    where = (f"from == {chain.payer.address}", "value > 2 TEST")
    rules = [{"name": "paid", "event": DECLARED, "addresses": (token,), "where": where, "units": {"TEST": 18}}, *more_rules]
    option = module.ChainOption(endpoints=(chain.node.url,), chain_id=chain.node.chain_id, confirmations=confirmations)
    return probe.options(
        chains={"anvil": option}, rules=tuple(module.RuleOption(chain="anvil", **one) for one in rules), **more
    )


async def pay(chain: Chain, token: str, coins: int) -> None:
    await chain.node.transact(sender=chain.payer.address, to=token, data=TRANSFER.call(SOMEBODY, coins * ETH).data)


class Runs:
    """A probe running on a node; the newest run that meets a condition."""

    def __init__(self, runs: AsyncIterator[ProbeRun]) -> None:
        self._runs = runs

    async def until(self, condition: Callable[[ProbeRun], bool]) -> ProbeRun:
        last: ProbeRun | None = None
        try:
            async with asyncio.timeout(30):
                async for run in self._runs:
                    last = run
                    if condition(run):
                        return run
        except TimeoutError:
            pass
        raise AssertionError(last and [(one.target.id, one.verdicts) for one in last.results])


def told(run: ProbeRun, target: str = "paid") -> str:
    return result(run, target).verdicts[0].message


@pytest.mark.shows("contract_event", "OK", "CRITICAL matched", "WARNING withdrawn")
async def test_a_transfer_that_is_reorganised_away_is_withdrawn_and_one_that_comes_back_counts_anew(chain: Chain) -> None:
    token = await chain.token()
    async with aclosing(watch(load("contract_event"), options(chain, token), settings=FAST)) as found:
        runs = Runs(found)
        await runs.until(lambda run: verdict(run, "paid") == (SKIPPED, "watching"))
        await chain.node.mine()
        await runs.until(lambda run: verdict(run, "paid") == (OK, "no_match"))
        await pay(chain, token, 2)
        await pay(chain, token, 3)
        run = await runs.until(lambda run: verdict(run, "paid") == (CRITICAL, "matched"))
        assert "1 seen in the last 10m00s, 1 in blocks" in told(run)
        assert f"from {chain.payer.address}, to {SOMEBODY}, value 3000000000000000000" in told(run)
        await chain.node.reorg(1)
        await chain.node.mine()
        run = await runs.until(lambda run: verdict(run, "paid") == (WARNING, "withdrawn"))
        assert "1 left the chain again: Transfer on anvil" in told(run)
        assert "1 times blocks left the chain" in told(run, "anvil")
        await pay(chain, token, 5)
        run = await runs.until(lambda run: verdict(run, "paid") == (CRITICAL, "matched"))
        assert "value 5000000000000000000" in told(run)
        assert "1 seen in the last 10m00s, 1 in blocks" in told(run)
        # Back to before all of it, and on another way: shorter for a while, which says nothing.
        snapshot = await chain.node.snapshot()
        await pay(chain, token, 7)
        await runs.until(lambda run: "2 seen in the last 10m00s" in told(run))
        await chain.node.revert(snapshot)
        await chain.node.mine(2)
        await runs.until(lambda run: "1 seen in the last 10m00s, 1 in blocks" in told(run))


async def test_a_range_is_replayed_and_confirmations_hold_back(chain: Chain) -> None:
    token = await chain.token()
    first = await chain.client.block_number() + 1
    for coins in (1, 3, 2, 4):
        await pay(chain, token, coins)
    await chain.node.mine(300)
    await pay(chain, token, 9)
    run = await run_once(load("contract_event"), options(chain, token, from_block=first, to_block=first + 300), settings=ONCE)
    assert verdict(run, "paid") == (CRITICAL, "matched")
    assert f"2 in blocks {first} to {first + 300}" in told(run)
    assert verdict(run, "anvil") == (OK, "abreast")
    last = await chain.client.block_number()
    run = await run_once(load("contract_event"), options(chain, token, from_block=last, max_blocks=50), settings=ONCE)
    assert "1 in blocks" in told(run)
    held = await run_once(load("contract_event"), options(chain, token, from_block=last, confirmations=2), settings=ONCE)
    assert verdict(held, "paid") == verdict(held, "anvil") == (SKIPPED, "watching"), "the only block is held back"


@pytest.mark.shows("contract_event", "OK", "CRITICAL absent", "CRITICAL connect")
async def test_absence_an_upgrade_and_a_node_that_died(chain: Chain) -> None:
    token = await chain.token()
    absent = {"name": "due", "event": DECLARED, "addresses": (token,), "max_absence": timedelta(minutes=5)}
    upgraded = {"name": "upgraded", "event": "Upgraded(address indexed implementation)"}
    begin = await chain.client.block_number()
    wanted = options(chain, token, absent, upgraded, from_block=begin)
    run = await run_once(load("contract_event"), wanted, settings=ONCE)
    assert verdict(run, "due") == (OK, "present")
    assert verdict(run, "upgraded") == (OK, "no_match")
    await chain.node.increase_time(timedelta(minutes=6))
    await chain.node.mine()
    await chain.deploy("Proxy", "address,bytes", token, b"")
    run = await run_once(load("contract_event"), wanted, settings=ONCE)
    assert verdict(run, "due") == (CRITICAL, "absent")
    assert verdict(run, "upgraded") == (CRITICAL, "matched")
    assert f"implementation {token}" in told(run, "upgraded")
    chain.node.kill()
    run = await run_once(load("contract_event"), wanted, settings=ONCE)
    assert verdict(run, "anvil") == (CRITICAL, "connect")
    assert verdict(run, "due") == (UNKNOWN, "behind_endpoint")
