"""Any governance message, and one of each action."""

from __future__ import annotations

from typing import Final, get_args

from hypothesis import strategies as st

from probekit.model import governance as model
from probekit.model.evm import Address
from probekit.model.governance import STACKS_CHAINS, GovernanceAction, GovernanceMessage, StacksAction
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import DataSource
from tests.unit.codecs.strategies import exactly, unsigned

STRKEY: Final = "CA542YLVDLBQXTTS2FOERQAED2WE5DQRKLRZUUEG75DQ2TEX2525QNBG"
STACKS: Final = get_args(StacksAction)
KINDS: Final = tuple(kind for kind in get_args(GovernanceAction) if kind is not model.UnknownAction)

keys = exactly(32).map(Pubkey)
addresses = exactly(20).map(Address)
sources = st.lists(st.builds(DataSource, unsigned(16), exactly(32)), max_size=5).map(tuple)
strkeys = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=1, max_size=255)
names = st.from_regex(r"\A[A-Za-z0-9_]{1,32}\Z")
blobs = st.binary(max_size=100)
calls = st.builds(
    model.ProgramCall,
    keys,
    st.lists(st.builds(model.AccountMeta, keys, st.booleans(), st.booleans()), max_size=4).map(tuple),
    blobs,
)
principals = st.builds(
    model.StacksPrincipal, unsigned(8), exactly(20), st.none() | st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,127}\Z")
)

BY_KIND: Final[dict[type, st.SearchStrategy[GovernanceAction]]] = {
    model.ExecutePostedVaa: st.builds(model.ExecutePostedVaa, st.lists(calls, max_size=3).map(tuple)),
    model.UpgradeContract: st.builds(model.UpgradeContract, exactly(8) | exactly(20) | exactly(32)),
    model.AuthorizeGovernanceDataSourceTransfer: st.builds(model.AuthorizeGovernanceDataSourceTransfer, blobs),
    model.SetDataSources: st.builds(model.SetDataSources, sources),
    model.SetFee: st.builds(model.SetFee, unsigned(64), unsigned(64)),
    model.SetValidPeriod: st.builds(model.SetValidPeriod, unsigned(64)),
    model.RequestGovernanceDataSourceTransfer: st.builds(model.RequestGovernanceDataSourceTransfer, unsigned(32)),
    model.SetWormholeAddress: st.builds(model.SetWormholeAddress, exactly(20) | exactly(32)),
    model.SetFeeInToken: st.builds(model.SetFeeInToken, unsigned(64), unsigned(64), st.binary(max_size=255)),
    model.SetTransactionFee: st.builds(model.SetTransactionFee, unsigned(64), unsigned(64)),
    model.WithdrawFee: st.builds(model.WithdrawFee, unsigned(64), unsigned(64), addresses),
    model.EvmExecute: st.builds(model.EvmExecute, addresses, addresses, unsigned(256), blobs),
    model.UpgradeSuiLazerContract: st.builds(model.UpgradeSuiLazerContract, unsigned(64), exactly(32)),
    model.UpdateTrustedSigner: st.builds(model.UpdateTrustedSigner, exactly(32) | exactly(33), unsigned(64)),
    model.UpgradeCardanoSpendScript: st.builds(model.UpgradeCardanoSpendScript, exactly(28)),
    model.UpgradeCardanoWithdrawScript: st.builds(model.UpgradeCardanoWithdrawScript, exactly(28), unsigned(64)),
    model.UpgradeStellarExecutor: st.builds(model.UpgradeStellarExecutor, strkeys, strkeys, exactly(32)),
    model.CallStellarContract: st.builds(model.CallStellarContract, strkeys, strkeys, names, blobs),
    model.StacksSetAddress: st.builds(model.StacksSetAddress, st.sampled_from(model.StacksRole), principals),
    model.StacksSetGovernance: st.builds(
        model.StacksSetGovernance, st.builds(DataSource, unsigned(16), exactly(32)), unsigned(64)
    ),
    model.StacksSetDataSources: st.builds(model.StacksSetDataSources, sources),
    model.StacksSetFee: st.builds(model.StacksSetFee, unsigned(64), unsigned(64)),
    model.StacksSetStalePriceThreshold: st.builds(model.StacksSetStalePriceThreshold, unsigned(64)),
}

elsewhere = unsigned(16).filter(lambda chain: chain not in STACKS_CHAINS)


def messages_of(kind: type) -> st.SearchStrategy[GovernanceMessage]:
    """Messages of one action, for chains that have it."""
    return st.builds(GovernanceMessage, st.sampled_from(STACKS_CHAINS) if kind in STACKS else elsewhere, BY_KIND[kind])


messages = st.sampled_from(KINDS).flatmap(messages_of)

ONE_OF_EACH: Final = (
    GovernanceMessage(
        26,
        model.ExecutePostedVaa(
            (
                model.ProgramCall(
                    Pubkey(bytes(32)),
                    (
                        model.AccountMeta(Pubkey(b"a" * 32), is_signer=True, is_writable=True),
                        model.AccountMeta(Pubkey(b"b" * 32), is_signer=False, is_writable=True),
                    ),
                    b"\x02\x00\x00\x00",
                ),
            )
        ),
    ),
    GovernanceMessage(60_014, model.UpgradeContract((77).to_bytes(8, "big"))),
    GovernanceMessage(30, model.UpgradeContract(b"\x11" * 20)),
    GovernanceMessage(22, model.UpgradeContract(b"\x22" * 32)),
    GovernanceMessage(2, model.AuthorizeGovernanceDataSourceTransfer(b"no VAA")),
    GovernanceMessage(2, model.SetDataSources((DataSource(26, b"\xe1" * 32), DataSource(1, b"\x6b" * 32)))),
    GovernanceMessage(2, model.SetFee(42, 8)),
    GovernanceMessage(2, model.SetValidPeriod(60)),
    GovernanceMessage(2, model.RequestGovernanceDataSourceTransfer(1)),
    GovernanceMessage(2, model.SetWormholeAddress(b"\x33" * 20)),
    GovernanceMessage(60_051, model.SetWormholeAddress(b"\x05" * 32)),
    GovernanceMessage(60_051, model.SetFeeInToken(1, 9, b"\x44" * 32)),
    GovernanceMessage(2, model.SetTransactionFee(100, 3)),
    GovernanceMessage(2, model.WithdrawFee(7, 18, Address(b"\x55" * 20))),
    GovernanceMessage(30, model.EvmExecute(Address(b"\x66" * 20), Address(b"\x77" * 20), 5, b"\x12\x34\x56\x78" + bytes(32))),
    GovernanceMessage(21, model.UpgradeSuiLazerContract(2, b"\x88" * 32)),
    GovernanceMessage(21, model.UpdateTrustedSigner(b"\x03" + b"\x99" * 32, 1_799_422_709)),
    GovernanceMessage(60_097, model.UpdateTrustedSigner(b"\x99" * 32, 0)),
    GovernanceMessage(60_097, model.UpgradeCardanoSpendScript(b"\xaa" * 28)),
    GovernanceMessage(60_097, model.UpgradeCardanoWithdrawScript(b"\xbb" * 28, 1_799_422_709)),
    GovernanceMessage(60_100, model.UpgradeStellarExecutor(STRKEY, STRKEY, b"\xcc" * 32)),
    GovernanceMessage(60_100, model.CallStellarContract(STRKEY, STRKEY[:-1] + "A", "update_trusted_signer", b"\x09\x09")),
    GovernanceMessage(
        60_038, model.StacksSetAddress(model.StacksRole.WORMHOLE, model.StacksPrincipal(22, b"\xdd" * 20, "wormhole-core-v4"))
    ),
    GovernanceMessage(60_038, model.StacksSetAddress(model.StacksRole.FEE_RECIPIENT, model.StacksPrincipal(22, b"\xee" * 20))),
    GovernanceMessage(60_038, model.StacksSetGovernance(DataSource(1, b"\x56" * 32), 9)),
    GovernanceMessage(60_038, model.StacksSetDataSources((DataSource(26, b"\xe1" * 32),))),
    GovernanceMessage(50_039, model.StacksSetFee(1, 0)),
    GovernanceMessage(50_039, model.StacksSetStalePriceThreshold(7_200)),
)
