"""Governance in words: each action tells what it would do, to which chain, and what speaks against it."""

from __future__ import annotations

import pytest
from hypothesis import given

from probekit import trust
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.evm import registry
from probekit.codecs.evm.contract import Function
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.codecs.governance.core import encode_set_upgrade
from probekit.codecs.governance.description import EVM_FUNCTIONS, PRICE_EMITTERS, PROGRAMS, caveats, describe
from probekit.codecs.governance.envelope import EMITTERS, decode_payload, decode_vaa
from probekit.codecs.governance.message import encode
from probekit.codecs.solana import addresses
from probekit.codecs.vaa import Vaa
from probekit.model import governance as model
from probekit.model.evm import Address
from probekit.model.governance import GovernanceAction, GovernanceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import DataSource
from tests.unit.codecs.governance.actions import ONE_OF_EACH, STRKEY, messages

PYTH = next(source for source, name in EMITTERS.items() if name == "Pyth governance")


@given(messages)
def test_one_line_of_printable_ascii_that_names_the_chain(message: GovernanceMessage) -> None:
    told = describe(message)
    assert told.isascii()
    assert told.isprintable()
    assert message.action.name in told
    assert str(message.target_chain) in told
    assert len(told) < 6_000


def test_no_two_say_the_same() -> None:
    assert len({describe(message) for message in ONE_OF_EACH}) == len(ONE_OF_EACH)


WORDS: dict[str, GovernanceMessage] = {
    "pythnet (26): ExecutePostedVaa: 1 instruction, of oracle program FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH": (
        GovernanceMessage(
            26, model.ExecutePostedVaa((model.ProgramCall(Pubkey("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH"), (), b""),))
        )
    ),
    "osmosis (60014): UpgradeContract: code becomes that with id 77": ONE_OF_EACH[1],
    "base (30): UpgradeContract: implementation becomes 0x1111111111111111111111111111111111111111": ONE_OF_EACH[2],
    "ethereum (2): SetFee: each message of an update costs 4200000000 (42 * 10^8) of the smallest unit": ONE_OF_EACH[6],
    "ethereum (2): SetValidPeriod: prices are valid for 60 s where no age is named": ONE_OF_EACH[7],
    "cardano_mainnet (60097): UpdateTrustedSigner: signatures by " + "99" * 32 + " no longer count": ONE_OF_EACH[17],
    "stacks_testnet (50039): Stacks.SetStalePriceThreshold: prices older than 7200 s are refused": ONE_OF_EACH[-1],
    "chain 999: unknown action 10: module 1, 2 bytes abcd [not known to this release]": (
        GovernanceMessage(999, model.UnknownAction(1, 10, b"\xab\xcd"))
    ),
}


@pytest.mark.parametrize("told", WORDS)
def test_what_is_told(told: str) -> None:
    assert describe(WORDS[told]) == told


def test_lists_are_cut_and_counted() -> None:
    sources = tuple(DataSource(26, bytes((number,)) * 32) for number in range(6))
    told = describe(GovernanceMessage(2, model.SetDataSources(sources)))
    assert "6 sources alone" in told
    assert told.endswith("on pythnet (26) and 2 more")


def test_a_transfer_names_who_governs_next() -> None:
    claim = encode(GovernanceMessage(2, model.RequestGovernanceDataSourceTransfer(3)))
    vaa = vaa_codec.encode(Vaa(0, (), 0, 0, 1, b"\xab" * 32, 41, 1, claim))
    told = describe(GovernanceMessage(2, model.AuthorizeGovernanceDataSourceTransfer(vaa)))
    assert told.endswith(f"governance passes to {'ab' * 32} on solana (1), index 3, sequences above 41")
    other = vaa_codec.encode(Vaa(0, (), 0, 0, 1, b"\xab" * 32, 41, 1, b"no message"))
    assert "a claim that is none" in describe(GovernanceMessage(2, model.AuthorizeGovernanceDataSourceTransfer(other)))
    assert "no VAA" in describe(GovernanceMessage(2, model.AuthorizeGovernanceDataSourceTransfer(b"")))


def executed(calldata: bytes, target: str = "0x" + "77" * 20) -> str:
    return describe(GovernanceMessage(30, model.EvmExecute(Address(b"\x66" * 20), Address(target), 0, calldata)))


def test_calls_of_executors_are_read() -> None:
    lazer = registry.contracts(8453, ContractKind.LAZER)[0]
    call = Function("updateTrustedSigner(address,uint256)")
    assert call.selector.hex() == "9feb088c"
    told = executed(call.calldata(Address(b"\x99" * 20), 1_799_422_709), str(lazer.address))
    assert f"calls {lazer.address} (lazer, stable): updateTrustedSigner(0x" in told
    assert told.endswith(", 1799422709)")
    assert executed(Function("upgradeToAndCall(address,bytes)").calldata(Address(bytes(20)), b"\xab")).endswith("1 bytes ab)")
    assert executed(call.selector + b"junk").endswith(
        "updateTrustedSigner with arguments that do not read, 8 bytes 9feb088c6a756e6b"
    )
    assert executed(b"\x00\x00\x00\x01").endswith("4 bytes 00000001")
    assert len({function.selector for function in EVM_FUNCTIONS}) == len(EVM_FUNCTIONS)


def test_a_wormhole_address_that_is_known_is_named() -> None:
    pro = registry.contracts(8453, ContractKind.WORMHOLE, Deployment.PRO)[0]
    told = describe(GovernanceMessage(30, model.SetWormholeAddress(bytes(pro.address))))
    assert told.endswith(f"signatures are verified by {pro.address} (wormhole, pro-compatible-production)")
    # The same address on another chain is another contract.
    assert describe(GovernanceMessage(999, model.SetWormholeAddress(bytes(pro.address)))).endswith(str(pro.address))


def test_price_emitters_are_those_of_the_trust_roots() -> None:
    for emitter in trust.EMITTERS:
        assert PRICE_EMITTERS[DataSource(emitter.chain, emitter.address)] == f"{emitter.root} root"
    pro = DataSource(trust.PRO_EMITTER.chain, trust.PRO_EMITTER.address)
    assert describe(GovernanceMessage(30, model.SetDataSources((pro,)))).endswith("on pythnet (26) (pro root)")


def test_programs_are_those_of_the_address_book() -> None:
    for generation in addresses.GENERATIONS.values():
        assert {generation.wormhole, generation.receiver, generation.push_oracle} <= set(PROGRAMS)
    assert PROGRAMS[addresses.LAZER_PROGRAM] == "Lazer program"


@pytest.mark.parametrize(
    ("chain", "action", "why"),
    [
        (0, model.UpgradeContract(bytes(20)), "for every chain at once"),
        (0, model.SetWormholeAddress(bytes(20)), "for every chain at once"),
        (0, model.CallStellarContract(STRKEY, STRKEY, "f", b""), "Stellar's executor"),
        (2, model.RequestGovernanceDataSourceTransfer(1), "refused on its own"),
        (2, model.SetFee(1, 78), "overflows"),
        (2, model.SetFeeInToken(1, 78, b""), "overflows"),
        (2, model.SetTransactionFee(1, 78), "overflows"),
        (2, model.WithdrawFee(1, 78, Address(bytes(20))), "overflows"),
        (60_038, model.StacksSetFee(1, 78), "overflows"),
        (2, model.SetDataSources(()), "no price update is accepted"),
        (60_100, model.UpgradeStellarExecutor(STRKEY, STRKEY[:-1], bytes(32)), "none but itself"),
        (2, model.UnknownAction(9, 9, b""), "not known"),
    ],
)
def test_what_speaks_against_it(chain: int, action: GovernanceAction, why: str) -> None:
    message = GovernanceMessage(chain, action)
    (told,) = caveats(message)
    assert why in told
    assert describe(message).endswith(f"[{told}]")


def test_nothing_speaks_against_what_is_usual() -> None:
    usual = [message for message in ONE_OF_EACH if not isinstance(message.action, model.RequestGovernanceDataSourceTransfer)]
    assert [caveats(message) for message in usual] == [()] * len(usual)


def test_a_vaa_says_who_and_what() -> None:
    payload = encode(GovernanceMessage(2, model.SetFee(1, 0)))
    known = decode_vaa(vaa_codec.encode(Vaa(4, (), 0, 0, PYTH.chain_id, PYTH.emitter, 77, 1, payload)))
    assert describe(known) == (
        "Pyth governance, sequence 77, 0 signatures of set 4: ethereum (2): SetFee: each message of an update costs 1 * 10^0 "
        "of the smallest unit"
    )
    unknown = decode_vaa(vaa_codec.encode(Vaa(4, (), 0, 0, 2, b"\x01" * 32, 77, 1, b"PTGM\x00\x01")))
    told = describe(unknown)
    assert told.startswith(f"unknown emitter {'01' * 32} of ethereum (2), sequence 77")
    assert "unreadable, 6 bytes 5054474d0001" in told
    upgrade = describe(decode_payload(encode_set_upgrade(8, (bytes(20),) * 5)))
    assert upgrade.startswith("every chain (0): Guardian set 8 replaces the one before: 5 signers, 0x0000")
    assert upgrade.endswith("and 1 more")
