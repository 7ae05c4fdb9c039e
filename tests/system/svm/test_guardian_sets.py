"""``guardian_set`` on the real runtime over a real socket: accounts of both generations of Pyth's programs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from solders.pubkey import Pubkey as Key

from probekit import trust
from probekit.clients.solana import SolanaClient
from probekit.codecs.solana.addresses import GENERATIONS
from probekit.codecs.solana.receiver import encode_config
from probekit.codecs.solana.wormhole import encode_bridge_config, encode_guardian_set
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import Status, TrustRoot
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import BridgeConfig, DataSource, GuardianSetAccount, ProgramGeneration, ReceiverConfig
from probekit.runner import run_once
from probekit.trust.registry import PRO_EMITTER
from tests.support.sandbox import load, module_of, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

SLOT = timedelta(milliseconds=50)


def put(ledger: Ledger, generation: ProgramGeneration, index: int, signers: tuple[bytes, ...]) -> None:
    """One generation's programs with a set of the pro root in force."""
    programs = GENERATIONS[generation]
    source = DataSource(PRO_EMITTER.chain, Pubkey(PRO_EMITTER.address))
    config = ReceiverConfig(Pubkey(bytes([1]) * 32), None, programs.wormhole, (source,), 1, 3)
    guardians = GuardianSetAccount(index, signers, 1_700_000_000, 0)
    for key, owner, data in (
        (programs.receiver_config(), programs.receiver, encode_config(config)),
        (programs.bridge_config(), programs.wormhole, encode_bridge_config(BridgeConfig(index, 0, 86_400, 0))),
        (programs.guardian_set(index), programs.wormhole, encode_guardian_set(guardians)),
    ):
        ledger.set_account(Key.from_bytes(bytes(key)), data, owner=Key.from_bytes(bytes(owner)))


@pytest.mark.shows("guardian_set", "CRITICAL set_behind", "CRITICAL connect")
async def test_one_generation_was_rotated_and_the_other_forgotten() -> None:
    old, new = (trust.MAINNET.get(TrustRoot.PRO, index) for index in (0, 1))
    assert old is not None
    assert new is not None
    ledger = Ledger(slot_time=SLOT)
    put(ledger, ProgramGeneration.PRO, new.index, new.signers)
    put(ledger, ProgramGeneration.CORE, old.index, old.signers)
    ledger.settle()
    probe = load("guardian_set")
    option = module_of(probe).ChainOption
    async with ticking(ledger, every=SLOT), serve(Node(ledger)) as node:
        async with SolanaClient(node.http) as client:
            genesis_hash = await client.genesis_hash()
        chains = {"local": option(endpoints=(node.http,), genesis_hash=genesis_hash)}
        run = await run_once(probe, probe.options(chains=chains, guardians=()))
        assert verdict(run, "local/pro") == (Status.OK, "current")
        assert verdict(run, "local/core") == (Status.CRITICAL, "set_behind")
        assert verdict(run, "local") == (Status.OK, "within_budget")
    run = await run_once(probe, probe.options(chains=chains, guardians=()))
    assert verdict(run, "local") == (Status.CRITICAL, "connect")
    assert verdict(run, "local/pro") == (Status.UNKNOWN, "behind_endpoint")
