"""Signer sets on chains that answer from a table: behind, other members, another root's rule or sources, near their end."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.codecs.solana.addresses import GENERATIONS
from probekit.codecs.solana.receiver import encode_config
from probekit.codecs.solana.wormhole import encode_bridge_config, encode_guardian_set
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status, TrustRoot
from probekit.model.evm import Address
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import BridgeConfig, DataSource, GuardianSetAccount, ProgramGeneration, ReceiverConfig
from probekit.model.solana import Account
from probekit.testing import reply
from probekit.transports.base import Request, Response
from probekit.trust import MAINNET
from probekit.trust.registry import CORE_EMITTER, PRO_EMITTER
from tests.support.chains import EVM, SVM, ChainLab
from tests.support.sandbox import load, module_of, result, verdict
from tests.unit.clients.contracts import PYTH, RECEIVER, Pyth, Receiver

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PRO_SETS = tuple(one for one in MAINNET.sets if one.root is TrustRoot.PRO)
CORE_SETS = tuple(one for one in MAINNET.sets if one.root is TrustRoot.CORE)
OLD, NEW, GUARDIANS = PRO_SETS[0], PRO_SETS[1], CORE_SETS[-1]
PRO_SOURCES = ((26, PRO_EMITTER.address),)
TARGET, PROGRAMS = f"mine/{Address(PYTH)}", "solana_devnet/pro"
API = "http://guardians.test"
STRANGERS = tuple(bytes([number]) * 20 for number in range(100, 105))


class GuardianLab(ChainLab):
    """Pyth's contract on EVM, its programs on Solana, and the guardians' API: all in order at first."""

    def __init__(self) -> None:
        super().__init__(chain_id=5)
        self.also["guardians.test"] = self._api
        self.api_set = (GUARDIANS.index, GUARDIANS.signers)
        self.contract()
        self.program()

    def contract(
        self, index: int = NEW.index, signers: Any = NEW.signers, *, quorum: int = 3, sources: Any = PRO_SOURCES
    ) -> None:
        self.evm.contracts[PYTH] = Pyth(sources)
        self.evm.contracts[RECEIVER] = Receiver(index, signers, quorum)

    def program(
        self,
        index: int = NEW.index,
        signers: Any = NEW.signers,
        *,
        expires_s: int = 0,
        emitter: bytes = PRO_EMITTER.address,
        generation: ProgramGeneration = ProgramGeneration.PRO,
    ) -> None:
        programs = GENERATIONS[generation]
        config = ReceiverConfig(Pubkey(bytes([1]) * 32), None, programs.wormhole, (DataSource(26, Pubkey(emitter)),), 1, 3)
        for key, owner, data in (
            (programs.receiver_config(), programs.receiver, encode_config(config)),
            (programs.bridge_config(), programs.wormhole, encode_bridge_config(BridgeConfig(index, 0, 86_400, 0))),
            (
                programs.guardian_set(index),
                programs.wormhole,
                encode_guardian_set(GuardianSetAccount(index, tuple(signers), 1_700_000_000, expires_s)),
            ),
        ):
            self.svm.put(Account(key, owner, 1, data, False, 1))

    def _api(self, request: Request) -> Response:
        assert request.url.endswith("/v1/guardianset/current")
        index, signers = self.api_set
        body = {"guardianSet": {"index": index, "addresses": ["0x" + one.hex() for one in signers]}}
        return reply(200, json.dumps(body), {"content-type": "application/json"}, clock=self.clock)

    async def look(self, *, root: str | None = None, also: tuple[str, ...] = (), **more: Any) -> ProbeRun:
        probe = load("guardian_set")
        option = module_of(probe).ChainOption
        chains = {
            "mine": option(endpoints=(EVM,), chain_id=5, contracts=(PYTH, *also), root=root),
            "solana_devnet": option(endpoints=(SVM,), generations=(ProgramGeneration.PRO,), root=root),
        }
        return await self.once(probe, **{"chains": chains, "guardians": (API,), **more})


@pytest.mark.shows("guardian_set", "OK")
async def test_all_is_in_order() -> None:
    lab = GuardianLab()
    run = await lab.look(root="pro")
    assert run.status is OK
    assert {one.target.id for one in run.results} == {"mine", TARGET, "solana_devnet", PROGRAMS, API}
    assert "set 1 of the pro root, 5 signers" in result(run, TARGET).verdicts[0].message
    # Two requests to Solana beside the cluster's identity.
    assert len(lab.svm.asked("getMultipleAccounts")) == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"index": 0, "signers": OLD.signers}, (CRITICAL, "set_behind")),
        ({"signers": (*NEW.signers[:4], STRANGERS[0])}, (CRITICAL, "members_differ")),
        ({"signers": OLD.signers}, (CRITICAL, "members_differ")),
        ({"index": 9, "signers": STRANGERS}, (CRITICAL, "unknown_set")),
    ],
)
async def test_what_is_wrong_with_a_set_on_either_family(given: dict[str, Any], expected: tuple[Status, str]) -> None:
    lab = GuardianLab()
    lab.contract(**given)
    run = await lab.look()
    assert verdict(run, TARGET) == expected
    assert verdict(run, PROGRAMS) == (OK, "current")
    lab = GuardianLab()
    lab.program(**given)
    run = await lab.look()
    assert verdict(run, PROGRAMS) == expected
    assert verdict(run, TARGET) == (OK, "current")


@pytest.mark.shows("guardian_set", "CRITICAL wrong_quorum")
async def test_the_other_roots_quorum_rule() -> None:
    lab = GuardianLab()
    lab.contract(quorum=4)
    run = await lab.look()
    assert verdict(run, TARGET) == (CRITICAL, "wrong_quorum")
    assert "4 of 5 signatures are enough, set 1 of the pro root wants 3" in result(run, TARGET).verdicts[0].message


@pytest.mark.shows("guardian_set", "CRITICAL wrong_emitter")
async def test_the_migration_that_was_done_by_half() -> None:
    """The receiver is the pro root's, the data sources are still the core root's: no update passes both."""
    lab = GuardianLab()
    lab.contract(sources=((26, CORE_EMITTER.address),))
    lab.program(emitter=CORE_EMITTER.address)
    run = await lab.look()
    assert verdict(run, TARGET) == (CRITICAL, "wrong_emitter")
    assert verdict(run, PROGRAMS) == (CRITICAL, "wrong_emitter")


async def test_a_chain_that_was_missed() -> None:
    lab = GuardianLab()
    lab.contract(GUARDIANS.index, GUARDIANS.signers, quorum=13, sources=((26, CORE_EMITTER.address),))
    run = await lab.look(root="pro")
    assert verdict(run, TARGET) == (CRITICAL, "wrong_root")
    assert verdict(await lab.look(), TARGET) == (OK, "current")


@pytest.mark.shows("guardian_set", "OK", "CRITICAL set_behind", "CRITICAL unknown_set")
async def test_the_guardians_know_of_a_set_that_the_registry_has_not() -> None:
    lab = GuardianLab()
    lab.contract(GUARDIANS.index, GUARDIANS.signers, quorum=13, sources=((26, CORE_EMITTER.address),))
    lab.api_set = (GUARDIANS.index + 1, (*GUARDIANS.signers[:18], STRANGERS[0]))
    run = await lab.look()
    assert verdict(run, API) == (CRITICAL, "unknown_set")
    assert verdict(run, TARGET) == (CRITICAL, "set_behind")
    assert verdict(run, PROGRAMS) == (OK, "current")
    assert verdict(await lab.look(guardians=()), TARGET) == (OK, "current")


async def test_two_places_make_a_set_the_newest_and_one_does_not() -> None:
    lab = GuardianLab()
    other = "0x" + "0b" * 20
    lab.program(2, STRANGERS)
    run = await lab.look()
    assert verdict(run, PROGRAMS) == (CRITICAL, "unknown_set")
    assert verdict(run, TARGET) == (OK, "current")
    lab.contract(2, STRANGERS)
    lab.evm.contracts[other] = Pyth(PRO_SOURCES)
    lab.evm.contracts[other].has("wormhole()", ["address"], lambda _: ["0x" + "0c" * 20])
    lab.evm.contracts["0x" + "0c" * 20] = Receiver(NEW.index, NEW.signers, 3)
    run = await lab.look(also=(other,))
    assert verdict(run, TARGET) == (CRITICAL, "unknown_set")
    assert verdict(run, f"mine/{Address(other)}") == (CRITICAL, "set_behind")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(days=8), (OK, "current")),
        (timedelta(days=7), (WARNING, "expiring")),
        (timedelta(0), (CRITICAL, "expired")),
        (timedelta(days=-1), (CRITICAL, "expired")),
    ],
)
async def test_the_end_of_a_set(left: timedelta, expected: tuple[Status, str]) -> None:
    lab = GuardianLab()
    lab.program(expires_s=lab.clock.now().plus(left).seconds)
    assert verdict(await lab.look(), PROGRAMS) == expected


async def test_sets_of_ones_own() -> None:
    lab = GuardianLab()
    option = module_of(load("guardian_set")).SignerSetOption
    lab.contract(3, STRANGERS)
    lab.program(3, STRANGERS)
    mine = option(root="pro", index=3, signers=tuple(one.hex() for one in STRANGERS))
    run = await lab.look(signer_sets=(mine,), guardians=())
    assert run.status is OK


# -- what cannot be read -------------------------------------------------------------------------------------------------------


async def test_a_place_fails_for_itself_and_a_chain_for_its_places() -> None:
    lab = GuardianLab()
    nobody = "0x" + "0d" * 20
    del lab.svm.accounts[str(GENERATIONS[ProgramGeneration.PRO].guardian_set(NEW.index))]
    run = await lab.look(also=(nobody,))
    assert verdict(run, TARGET) == (OK, "current")
    assert verdict(run, f"mine/{Address(nobody)}") == (CRITICAL, "no_such_feed")
    assert verdict(run, PROGRAMS) == (CRITICAL, "no_such_feed")
    assert verdict(run, "solana_devnet") == (OK, "within_budget")
    lab.down |= {"evm.test": ConnectError("refused", url=EVM), "guardians.test": ConnectError("refused", url=API)}
    run = await lab.look()
    assert verdict(run, "mine") == (CRITICAL, "connect")
    assert verdict(run, TARGET) == (UNKNOWN, "behind_endpoint")
    assert verdict(run, API) == (CRITICAL, "connect")


async def test_a_contract_that_does_not_tell_its_set() -> None:
    lab = GuardianLab()
    lab.evm.contracts[RECEIVER].lacks("getCurrentGuardianSetIndex()")
    run = await lab.look()
    assert verdict(run, TARGET) == (UNKNOWN, "no_set")
    assert "set_index" in result(run, TARGET).verdicts[0].message


async def test_an_account_under_another_sets_address() -> None:
    lab = GuardianLab()
    programs = GENERATIONS[ProgramGeneration.PRO]
    held = encode_guardian_set(GuardianSetAccount(5, NEW.signers, 1, 0))
    lab.svm.put(Account(programs.guardian_set(NEW.index), programs.wormhole, 1, held, False, 1))
    assert verdict(await lab.look(), PROGRAMS) == (CRITICAL, "decode")
    lab.svm.put(Account(programs.guardian_set(NEW.index), Pubkey(bytes([8]) * 32), 1, held, False, 1))
    assert verdict(await lab.look(), PROGRAMS) == (CRITICAL, "decode")


# -- configuration -------------------------------------------------------------------------------------------------------------


def test_wrong_chains_are_told_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(
        "probe: guardian_set\noptions:\n  chains:\n"
        "    nowhere: {endpoints: ['http://evm.test/']}\n"
        "    mine: {endpoints: ['http://evm.test/'], chain_id: 31337}\n"
        "    solana: {endpoints: ['http://svm.test/'], generations: []}\n"
        "  signer_sets: [{root: pro, index: 1, signers: ['00']}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_manifest(load("guardian_set"), path)
    told = "\n".join(caught.value.problems)
    for sentence in (
        "nowhere is not known; give it chain_id or genesis_hash",
        "no contract of Pyth is known on mine; give its contracts",
        "solana has no generations to look at",
        "needs 1 to 255 signers of 20 bytes each",
    ):
        assert sentence in told


def test_guardians_are_asked_where_their_set_is_the_known_one() -> None:
    module = module_of(load("guardian_set"))
    chains = {"base": module.ChainOption(endpoints=(EVM,))}
    mine = (module.SignerSetOption(root="pro", index=3, signers=tuple(one.hex() for one in STRANGERS)),)
    assert module.guardians_of(module.Options(chains=chains)) == module.GUARDIANS
    for other in ({"network": "beta"}, {"signer_sets": mine}, {"guardians": ()}):
        assert module.guardians_of(module.Options(chains=chains, **other)) == ()
        assert module.guardians_id(module.Options(chains=chains, **other)) == ""
    assert module.guardians_of(module.Options(chains=chains, network="beta", guardians=(API,))) == (API,)


def test_both_deployments_of_a_known_chain_are_looked_at() -> None:
    module = module_of(load("guardian_set"))
    made = module.Options(chains={"base": module.ChainOption(endpoints=(EVM,))})
    assert {one.label for one in module.places(made, "base").values()} == {"base stable", "base pro-compatible-production"}
