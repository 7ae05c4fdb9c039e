"""``guardian_set`` on a real node: contracts with real sets of both roots, one of them rotated, and mistakes of a migration."""

from __future__ import annotations

from typing import Any

import pytest

from probekit import trust
from probekit.model import ProbeRun, Status, TrustRoot
from probekit.model.evm import Address
from probekit.runner import run_once
from probekit.trust import SignerSet
from probekit.trust.registry import CORE_EMITTER, PRO_EMITTER
from tests.support.sandbox import load, module_of, verdict
from tests.system.evm.chain import Chain

pytestmark = [pytest.mark.system, pytest.mark.evm]

CORE, PRO = (trust.MAINNET.newest(root) for root in (TrustRoot.CORE, TrustRoot.PRO))


async def contract(
    chain: Chain, held: SignerSet | None, emitter: trust.Emitter, *, half: bool, index: int | None = None
) -> Address:
    assert held is not None
    guardians = [Address(one) for one in held.signers]
    at = held.index if index is None else index
    receiver = await chain.deploy("Receiver", "uint32,address[],bool,uint16", at, guardians, half, 10003)
    source = (emitter.chain, emitter.address)
    return await chain.deploy("Pyth", "uint256,uint256,address,(uint16,bytes32)", 60, 1, receiver, source)


async def look(chain: Chain, *contracts: str, **more: Any) -> ProbeRun:
    probe = load("guardian_set")
    option = module_of(probe).ChainOption
    given = option(endpoints=(chain.node.url,), chain_id=chain.node.chain_id, contracts=contracts)
    return await run_once(probe, probe.options(chains={"anvil": given}, guardians=(), **more))


@pytest.mark.shows("guardian_set", "CRITICAL set_behind", "CRITICAL wrong_emitter", "CRITICAL wrong_quorum")
async def test_sets_of_both_roots_and_the_ways_to_be_wrong(chain: Chain) -> None:
    await chain.with_multicall()
    before = trust.MAINNET.get(TrustRoot.PRO, 0)
    places = {
        await contract(chain, CORE, CORE_EMITTER, half=False): (Status.OK, "current"),
        await contract(chain, PRO, PRO_EMITTER, half=True): (Status.OK, "current"),
        await contract(chain, before, PRO_EMITTER, half=True): (Status.CRITICAL, "set_behind"),
        await contract(chain, PRO, CORE_EMITTER, half=True): (Status.CRITICAL, "wrong_emitter"),
        await contract(chain, PRO, PRO_EMITTER, half=False): (Status.CRITICAL, "wrong_quorum"),
        await contract(chain, PRO, PRO_EMITTER, half=True, index=0): (Status.CRITICAL, "members_differ"),
    }
    nobody = Address("0x" + "99" * 20)
    run = await look(chain, *places, nobody)
    assert {one: verdict(run, f"anvil/{one}") for one in places} == places
    assert verdict(run, f"anvil/{nobody}") == (Status.CRITICAL, "no_such_feed")
    assert verdict(run, "anvil") == (Status.OK, "within_budget")


@pytest.mark.shows("guardian_set", "OK")
async def test_contracts_of_both_roots_in_order(chain: Chain) -> None:
    await chain.with_multicall()
    places = [
        await contract(chain, CORE, CORE_EMITTER, half=False),
        await contract(chain, PRO, PRO_EMITTER, half=True),
    ]
    run = await look(chain, *places)
    assert run.status is Status.OK, [one.verdicts for one in run.results]
    assert {verdict(run, f"anvil/{one}") for one in places} == {(Status.OK, "current")}


@pytest.mark.shows("guardian_set", "CRITICAL unknown_set", "CRITICAL connect")
async def test_a_network_whose_sets_are_not_known_and_a_node_that_died(chain: Chain) -> None:
    place = await contract(chain, PRO, PRO_EMITTER, half=True)
    run = await look(chain, place, network="beta")
    assert verdict(run, f"anvil/{place}") == (Status.CRITICAL, "unknown_set")
    chain.node.kill()
    run = await look(chain, place)
    assert verdict(run, "anvil") == (Status.CRITICAL, "connect")
    assert verdict(run, f"anvil/{place}") == (Status.UNKNOWN, "behind_endpoint")
