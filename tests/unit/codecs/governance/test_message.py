"""Governance messages: there and back, damaged, and what is kept of the unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import registry
from probekit.codecs.governance.chains import CHAIN_IDS, chain_label, chain_name
from probekit.codecs.governance.message import decode, encode
from probekit.errors import DecodeError
from probekit.model import governance as model
from probekit.model.evm import Address
from probekit.model.governance import GovernanceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import DataSource
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.unit.codecs.governance.actions import BY_KIND, KINDS, ONE_OF_EACH, STRKEY, messages, messages_of
from tests.unit.codecs.strategies import unsigned


def test_every_action_is_tested() -> None:
    assert {type(message.action) for message in ONE_OF_EACH} == set(KINDS) == set(BY_KIND)


@given(messages)
def test_round_trip(message: GovernanceMessage) -> None:
    data = encode(message)
    assert decode(data) == message
    assert data[:4] == b"PTGM"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_round_trip_of_each_action(kind: type) -> None:
    @given(messages_of(kind))
    def there_and_back(message: GovernanceMessage) -> None:
        assert decode(encode(message)) == message
        assert message.module_name in ("executor", "target", "evm_executor", "lazer", "stellar_executor", "stacks_target")

    there_and_back()


@given(unsigned(8), unsigned(8), unsigned(16), st.binary(max_size=200))
def test_any_payload_decodes_and_comes_back_or_is_refused(module: int, action: int, chain: int, payload: bytes) -> None:
    data = b"PTGM" + bytes((module, action)) + chain.to_bytes(2, "big") + payload
    if decodes_or_refuses(decode, data):
        assert encode(decode(data)) == data


@given(st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    decodes_or_refuses(decode, data)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda one: one.action.name)
def test_every_mutation_decodes_to_itself_or_is_a_decode_error(message: GovernanceMessage) -> None:
    data = encode(message)
    assert decode(data) == message
    for mutated in mutations(data):
        if decodes_or_refuses(decode, mutated):
            assert encode(decode(mutated)) == mutated


OPEN_ENDED = (
    model.AuthorizeGovernanceDataSourceTransfer,
    model.EvmExecute,
    model.CallStellarContract,
)
"""Whose last field is all that is left."""


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda one: one.action.name)
def test_no_other_length_decodes(message: GovernanceMessage) -> None:
    data = encode(message)
    # Code, addresses and keys have several lengths; none is two bytes from another.
    for other in (data + b"\x00\x00", data[:-2]):
        if isinstance(message.action, OPEN_ENDED):
            assert decodes_or_refuses(decode, other)
        else:
            with pytest.raises(DecodeError):
                decode(other)
    for size in range(8):
        with pytest.raises(DecodeError, match="cut short"):
            decode(data[:size])


ONE_CALL = model.ProgramCall(Pubkey(b"\x11" * 32), (model.AccountMeta(Pubkey(b"\x22" * 32), True, False),), b"\xff")


def test_layouts_are_what_the_formats_say() -> None:
    header = "5054474d {module:02x}{action:02x} {chain:04x} "
    for message, written in {
        GovernanceMessage(2, model.SetFee(42, 8)): "5054474d 0103 0002 000000000000002a 0000000000000008",
        GovernanceMessage(2, model.RequestGovernanceDataSourceTransfer(7)): "5054474d 0105 0002 00000007",
        GovernanceMessage(2, model.SetFeeInToken(1, 2, b"\xab\xcd")): (
            header.format(module=1, action=7, chain=2) + "0000000000000001 0000000000000002 02 abcd"
        ),
        GovernanceMessage(2, model.WithdrawFee(1, 2, Address(b"\x11" * 20))): (
            header.format(module=1, action=9, chain=2) + "11" * 20 + "0000000000000001 0000000000000002"
        ),
        GovernanceMessage(30, model.EvmExecute(Address(b"\x11" * 20), Address(b"\x22" * 20), 3, b"\xff")): (
            header.format(module=2, action=0, chain=30) + "11" * 20 + "22" * 20 + "00" * 31 + "03 ff"
        ),
        GovernanceMessage(26, model.ExecutePostedVaa((ONE_CALL,))): (
            header.format(module=0, action=0, chain=26) + "01000000" + "11" * 32 + "01000000" + "22" * 32 + "0100 01000000 ff"
        ),
        GovernanceMessage(60_038, model.StacksSetGovernance(DataSource(1, b"\x56" * 32), 9)): (
            header.format(module=3, action=1, chain=60_038) + "0001 0000000000000009" + "56" * 32
        ),
        GovernanceMessage(
            60_038, model.StacksSetAddress(model.StacksRole.DECODER, model.StacksPrincipal(22, b"\xdd" * 20, "ab"))
        ): header.format(module=3, action=0xA2, chain=60_038) + "19 06 16" + "dd" * 20 + "02 6162",
    }.items():  # fmt: skip
        assert encode(message) == bytes.fromhex(written), message


def test_module_three_is_lazer_but_on_stacks() -> None:
    payload = bytes(8)
    assert isinstance(
        decode(b"PTGM\x03\x04" + (60_038).to_bytes(2, "big") + payload).action, model.StacksSetStalePriceThreshold
    )
    assert decode(b"PTGM\x03\x04\x00\x15" + payload).action == model.UnknownAction(3, 4, payload)
    signer = model.UpdateTrustedSigner(bytes(32), 0)
    with pytest.raises(ValueError, match="not UpdateTrustedSigner"):
        encode(GovernanceMessage(60_038, signer))
    with pytest.raises(ValueError, match="on chain 2 is UpdateTrustedSigner"):
        encode(GovernanceMessage(2, model.StacksSetGovernance(DataSource(1, bytes(32)), 1)))
    assert GovernanceMessage(60_038, model.StacksSetFee(1, 0)).module_name == "stacks_target"
    assert GovernanceMessage(21, signer).module_name == "lazer"


def test_what_is_not_known_is_kept_as_it_came() -> None:
    data = b"PTGM\x01\x0a\x00\x02" + b"payload"
    message = decode(data)
    assert message == GovernanceMessage(2, model.UnknownAction(1, 10, b"payload"))
    assert encode(message) == data
    assert decode(b"PTGM\xfe\x00\x00\x00").module_name == ""
    with pytest.raises(ValueError, match="is SetFee, not unknown action 3"):
        encode(GovernanceMessage(2, model.UnknownAction(1, 3, b"")))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PTGM\x01\x03\x00", "cut short"),
        (b"MGTP\x01\x03\x00\x02" + bytes(16), "4d475450"),
        (b"PTGM\x01\x00\x00\x02" + bytes(21), "8 or 20 or 32"),
        (b"PTGM\x01\x06\x00\x02" + bytes(8), "20 or 32"),
        (b"PTGM\x01\x02\x00\x02" + b"\x02" + bytes(34), "2 data sources are 68 bytes"),
        (b"PTGM\x00\x00\x00\x1a" + b"\xff\xff\xff\xff" + bytes(40), "4294967295 items"),
        (b"PTGM\x03\x01\x00\x15" + bytes(42), "40 or 41"),
        (b"PTGM\x04\x01\xea\xc4" + b"\x00", "an empty field"),
        (b"PTGM\x04\x01\xea\xc4" + b"\x02a\x1b\x01A\x01f", "no strkey"),
        (b"PTGM\x04\x01\xea\xc4" + b"\x01A\x01A\x02\xff\xff", "no symbol"),
        (b"PTGM\x03\x00\xea\x86" + b"\x16\x07" + bytes(21), "kind 7"),
        (b"PTGM\x03\x00\xea\x86" + b"\x17\x05" + bytes(21), "23 bytes"),
        (b"PTGM\x03\x00\xea\x86" + b"\x19\x06" + bytes(21) + b"\x02a\n", "name that is none"),
    ],
)  # fmt: skip
def test_what_is_none_says_why(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as caught:
        decode(data)
    assert caught.value.raw == data
    assert caught.value.offset is not None


def test_flags_are_borsh_booleans() -> None:
    data = bytearray(encode(ONE_OF_EACH[0]))
    data[8 + 4 + 32 + 4 + 32] = 2
    with pytest.raises(DecodeError, match="variant 2"):
        decode(bytes(data))


ORACLE = model.StacksRole.ORACLE


def test_claimed_counts_allocate_nothing() -> None:
    for payload in (b"\xff\xff\xff\x7f", b"\x01\x00\x00\x00" + bytes(32) + b"\xff\xff\xff\x7f"):
        assert peak_bytes(lambda data=b"PTGM\x00\x00\x00\x1a" + payload: decode(data)) < 20_000  # type: ignore[misc]


@pytest.mark.parametrize(
    "message",
    [
        GovernanceMessage(2**16, model.SetFee(1, 0)),
        GovernanceMessage(-1, model.SetFee(1, 0)),
        GovernanceMessage(2, model.SetFee(2**64, 0)),
        GovernanceMessage(2, model.SetFee(1, -1)),
        GovernanceMessage(2, model.SetDataSources((DataSource(1, b"short"),))),
        GovernanceMessage(2, model.SetDataSources((DataSource(1, bytes(32)),) * 256)),
        GovernanceMessage(2, model.UpgradeContract(b"odd")),
        GovernanceMessage(2, model.SetWormholeAddress(bytes(8))),
        GovernanceMessage(2, model.SetFeeInToken(1, 0, bytes(256))),
        GovernanceMessage(2, model.EvmExecute(Address(bytes(20)), Address(bytes(20)), 2**256, b"")),
        GovernanceMessage(21, model.UpgradeSuiLazerContract(1, b"short")),
        GovernanceMessage(21, model.UpdateTrustedSigner(bytes(31), 0)),
        GovernanceMessage(60_097, model.UpgradeCardanoSpendScript(bytes(32))),
        GovernanceMessage(60_100, model.UpgradeStellarExecutor("no strkey", STRKEY, bytes(32))),
        GovernanceMessage(60_100, model.UpgradeStellarExecutor("A" * 256, STRKEY, bytes(32))),
        GovernanceMessage(60_100, model.CallStellarContract(STRKEY, STRKEY, "no symbol", b"")),
        GovernanceMessage(60_100, model.CallStellarContract(STRKEY, STRKEY, "", b"")),
        GovernanceMessage(60_038, model.StacksSetAddress(ORACLE, model.StacksPrincipal(1, b"short"))),
        GovernanceMessage(60_038, model.StacksSetAddress(ORACLE, model.StacksPrincipal(1, bytes(20), "no name!"))),
        GovernanceMessage(2, model.UnknownAction(256, 0, b"")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_encoded(message: GovernanceMessage) -> None:
    with pytest.raises(ValueError):
        encode(message)


def test_amounts_are_exact_or_none() -> None:
    assert model.SetFee(42, 8).amount == 4_200_000_000
    assert model.WithdrawFee(7, 18, Address(bytes(20))).amount == 7 * 10**18
    assert model.SetFee(1, 77).amount == 10**77
    assert model.SetFee(2, 77).amount is None
    # The contract raises ten to the exponent before it multiplies.
    assert model.SetFee(0, 78).amount is None
    assert model.SetFee(1, 2**64 - 1).amount is None


def test_code_is_told_apart_by_its_length() -> None:
    seen = [
        (one.code_id, one.address, one.digest) for one in (model.UpgradeContract(bytes(n - 1) + b"\x07") for n in (8, 20, 32))
    ]
    assert seen == [(7, None, None), (None, Address(bytes(19) + b"\x07"), None), (None, None, bytes(31) + b"\x07")]


def test_times() -> None:
    assert model.UpdateTrustedSigner(bytes(32), 0).expires_at is None
    expires_at = model.UpdateTrustedSigner(bytes(32), 5).expires_at
    assert expires_at is not None
    assert expires_at.seconds == 5
    assert model.UpgradeCardanoWithdrawScript(bytes(28), 6).previous_expires_at.seconds == 6


# -- chains ------------------------------------------------------------------------------------------------------------------


def test_chains_have_names() -> None:
    assert len(set(CHAIN_IDS.values())) == len(CHAIN_IDS) > 290
    assert (chain_name(0), chain_name(30), chain_name(17), chain_name(65535)) == ("unset", "base", None, None)
    assert [chain_label(number) for number in (0, 2, 65535)] == ["every chain (0)", "ethereum (2)", "chain 65535"]
    assert {CHAIN_IDS["stacks"], CHAIN_IDS["stacks_testnet"]} == set(model.STACKS_CHAINS)


@pytest.mark.parametrize("chain", registry.chains(), ids=lambda chain: chain.name)
def test_the_registry_and_governance_agree_on_numbers(chain: registry.EvmChain) -> None:
    assert chain_name(chain.wormhole_id) == chain.name
