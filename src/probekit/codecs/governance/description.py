"""Governance in one line, for whoever has to decide in the night whether to worry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from functools import singledispatch
from typing import Any, Final

from probekit.codecs.evm import registry
from probekit.codecs.evm.contract import Function
from probekit.codecs.governance.chains import chain_label, chain_name
from probekit.codecs.governance.envelope import EMITTERS, GovernanceVaa, decode_vaa
from probekit.errors import DecodeError
from probekit.model import governance as model
from probekit.model.evm import Address
from probekit.model.governance import EVERY_CHAIN, GovernanceAction, GovernanceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.pyth_evm import DataSource
from probekit.model.wormhole import GuardianSetUpgrade
from probekit.units import Instant

_SHOWN: Final = 4
"""Items of a list, before the rest is only counted."""
_SHOWN_BYTES: Final = 32

EVM_FUNCTIONS: Final = tuple(
    Function(signature)
    for signature in (
        "updateTrustedSigner(address,uint256)",
        "upgradeTo(address)",
        "upgradeToAndCall(address,bytes)",
        "transferOwnership(address)",
        "acceptOwnership()",
        "proposeAdmin(address)",
        "acceptAdmin()",
        "setPythFee(uint128)",
        "setDefaultProvider(address)",
        "withdrawFee(address,uint128)",
    )
)
"""What executors are known to call on Lazer's verifier, Entropy and themselves. Source: pyth-crosschain ``lazer/contracts/evm``
and ``target_chains/ethereum/contracts/contracts/{entropy,executor}``.
"""
_BY_SELECTOR: Final = {function.selector: function for function in EVM_FUNCTIONS}

PROGRAMS: Final = {
    Pubkey("11111111111111111111111111111111"): "system program",
    Pubkey("BPFLoaderUpgradeab1e11111111111111111111111"): "program loader",
    Pubkey("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH"): "oracle program",
    Pubkey("gSbePebfvPy7tRqimPoVecS2UsBvYv46ynrzWocc92s"): "oracle program of pythtest-crosschain",
    Pubkey("exe6S3AxPVNmy46L4Nj6HrnnAVQUhwyYzMSNcnRn3qq"): "remote executor",
    Pubkey("rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ"): "price receiver",
    Pubkey("rec2HHDDnjLfj4kE7VyEtFA1HPGQLK33259532cRyHp"): "price receiver (pro)",
    Pubkey("pythWSnswVUd12oZpeFP8e9CVaEqJg25g1Vtc2biRsT"): "push oracle",
    Pubkey("pyt2F414BA6dPttK6RddPZUdHfapoBN24GL5wbrPCou"): "push oracle (pro)",
    Pubkey("pytd2yyk641x7ak7mkaasSJVXh6YYZnC7wTmtgAyxPt"): "Lazer program",
    Pubkey("HDwcJBJXjL9FpJ7UBsYBtaDjsBUhuLCUYoz3zr8SWWaQ"): "Wormhole bridge",
    Pubkey("HDw2E7P8X1SkCyjvoGsfBGAVUutKcj874bXjHrpVYrVL"): "Wormhole bridge (pro)",
}
"""Programs that governance is known to call."""

_CORE: Final = "e101faedac5851e32b9b23b5f9411a8c2bac4aae3ed4dd7b811dd1a72ea4aa71"
PRICE_EMITTERS: Final = {
    DataSource(chain, bytes.fromhex(emitter)): name
    for chain, emitter, name in (
        (26, _CORE, "core root"),
        (26, b"PythnetPythnetPythnetPythnetPyth".hex(), "pro root"),
        (26, "f8cd23c2ab91237730770bbea08d61005cdda0984348f3f6eecb559638c0bba0", "older core root"),
        (1, "6bb14509a612f01fbbc4cffeebd4bbfb492a86df717ebe92eb6df432a3f00a25", "older core root"),
        (26, "a27839d641b07743c0cb5f68c51f8cd31d2c0762bec00dc6fcd25433ef1ab5b6", "beta"),
        (1, "f346195ac02f37d60d4db8ffa6ef74cb1be3550047543a4a9ee9acf4d78697b0", "beta"),
    )
}
"""Who emits prices, as far as it is known (pyth-crosschain ``contract_manager/src/core/base.ts``)."""


def describe(content: GovernanceMessage | GuardianSetUpgrade | GovernanceVaa) -> str:
    """What it would do and to which chain, in one line of printable ASCII; what speaks against that follows in brackets."""
    match content:
        case GovernanceVaa():
            return _of_vaa(content)
        case GuardianSetUpgrade():
            guardians = _list(content.guardians, lambda one: str(Address(one)))
            what = f"Guardian set {content.index} replaces the one before: {_count(content.guardians, 'signer')}, {guardians}"
            return f"{chain_label(content.target_chain)}: {what}"
    told = f"{chain_label(content.target_chain)}: {content.action.name}: {_words(content.action, content.target_chain)}"
    notes = caveats(content)
    return told + (f" [{'; '.join(notes)}]" if notes else "")


def caveats(message: GovernanceMessage) -> tuple[str, ...]:
    """Why the message would not do what it says, as far as it shows in its bytes.

    Not whether it is signed, addressed to whom it reaches, or late: contracts refuse a sequence at or below the last executed.
    """
    action, notes = message.action, []
    if message.target_chain == EVERY_CHAIN:
        if isinstance(action, model.UpgradeContract | model.SetWormholeAddress):
            notes.append("EVM contracts refuse this for every chain at once")
        if action.module == model.CallStellarContract.module:
            notes.append("Stellar's executor refuses what is for every chain")
    match action:
        case model.RequestGovernanceDataSourceTransfer():
            notes.append("refused on its own: it belongs into the claim of an AuthorizeGovernanceDataSourceTransfer")
        case (
            model.SetFee(amount=None)
            | model.SetFeeInToken(amount=None)
            | model.SetTransactionFee(amount=None)
            | model.WithdrawFee(amount=None)
            | model.StacksSetFee(amount=None)
        ):
            notes.append("the amount overflows 256 bits: EVM contracts revert")
        case model.SetDataSources(sources=()) | model.StacksSetDataSources(sources=()):
            notes.append("afterwards no price update is accepted")
        case model.UpgradeStellarExecutor() if action.target != action.executor:
            notes.append("refused: the executor upgrades none but itself")
        case model.UnknownAction():
            notes.append("not known to this release")
    return tuple(notes)


def _of_vaa(found: GovernanceVaa) -> str:
    vaa, source = found.vaa, found.source
    who = EMITTERS.get(source) or f"unknown emitter {source.emitter.hex()} of {chain_label(source.chain_id)}"
    head = f"{who}, sequence {vaa.sequence}, {_count(vaa.signatures, 'signature')} of set {vaa.set_index}"
    if isinstance(found.content, DecodeError):
        return f"{head}: unreadable, {_bytes(vaa.payload)}: {found.content.message}"
    return f"{head}: {describe(found.content)}"


def _count(items: Sized, what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"


def _list(items: Iterable[Any], words: Callable[[Any], str]) -> str:
    told = list(items)
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(words(one) for one in told[:_SHOWN]) + more


def _bytes(raw: bytes) -> str:
    return f"{len(raw)} bytes {raw[:_SHOWN_BYTES].hex()}" + ("..." if len(raw) > _SHOWN_BYTES else "")


def _source(one: DataSource) -> str:
    name = PRICE_EMITTERS.get(one) or EMITTERS.get(one)
    return f"{one.emitter.hex()} on {chain_label(one.chain_id)}" + (f" ({name})" if name else "")


def _address(raw: bytes, chain: int) -> str:
    """With what is known to stand there: an address means nothing without its chain."""
    if len(raw) != 20:
        return f"0x{raw.hex()}"
    on = registry.chain(chain_name(chain) or "")
    found = None if on is None else registry.contract_at(on.chain_id, raw)
    return str(Address(raw)) + ("" if found is None else f" ({found.kind}, {found.deployment})")


def _amount(action: Any) -> str:
    power = f"{action.value} * 10^{action.expo}"
    return power if action.amount is None or not action.expo else f"{action.amount} ({power})"


def _until(seconds: int) -> str:
    return str(Instant.from_seconds(seconds)) if seconds < 253_402_300_800 else f"second {seconds}"


@singledispatch
def _words(action: GovernanceAction, chain: int) -> str:
    raise TypeError(f"{type(action).__name__} has no words")


@_words.register
def _(action: model.ExecutePostedVaa, chain: int) -> str:
    def words(call: model.ProgramCall) -> str:
        name = PROGRAMS.get(call.program)
        return f"{name} {call.program}" if name else str(call.program)

    return _count(action.calls, "instruction") + (f", of {_list(action.calls, words)}" if action.calls else "")


@_words.register
def _(action: model.UpgradeContract, chain: int) -> str:
    match len(action.code):
        case 8:
            return f"code becomes that with id {action.code_id}"
        case 20:
            return f"implementation becomes {action.address}"
    return f"code becomes that with hash {action.code.hex()}"


@_words.register
def _(action: model.AuthorizeGovernanceDataSourceTransfer, chain: int) -> str:
    try:
        claim = decode_vaa(action.claim_vaa)
    except DecodeError:
        return f"governance passes to whoever made a claim that is no VAA, {_bytes(action.claim_vaa)}"
    inner = claim.content.action if isinstance(claim.content, GovernanceMessage) else None
    index = f"index {inner.index}" if isinstance(inner, model.RequestGovernanceDataSourceTransfer) else "a claim that is none"
    return f"governance passes to {_source(claim.source)}, {index}, sequences above {claim.vaa.sequence}"


@_words.register(model.SetDataSources)
@_words.register(model.StacksSetDataSources)
def _(action: model.SetDataSources | model.StacksSetDataSources, chain: int) -> str:
    if not action.sources:
        return "nobody emits price updates"
    return f"price updates come from {_count(action.sources, 'source')} alone: {_list(action.sources, _source)}"


@_words.register(model.SetFee)
@_words.register(model.StacksSetFee)
def _(action: model.SetFee | model.StacksSetFee, chain: int) -> str:
    return f"each message of an update costs {_amount(action)} of the smallest unit"


@_words.register
def _(action: model.SetValidPeriod, chain: int) -> str:
    return f"prices are valid for {action.seconds} s where no age is named"


@_words.register
def _(action: model.RequestGovernanceDataSourceTransfer, chain: int) -> str:
    return f"its emitter asks for governance with index {action.index}"


@_words.register
def _(action: model.SetWormholeAddress, chain: int) -> str:
    return f"signatures are verified by {_address(action.address, chain)}"


@_words.register
def _(action: model.SetFeeInToken, chain: int) -> str:
    return f"each message of an update costs {_amount(action)} of token {_bytes(action.token)}"


@_words.register
def _(action: model.SetTransactionFee, chain: int) -> str:
    return f"each transaction costs {_amount(action)} of the smallest unit"


@_words.register
def _(action: model.WithdrawFee, chain: int) -> str:
    return f"{_amount(action)} of the smallest unit go to {action.to}"


@_words.register
def _(action: model.EvmExecute, chain: int) -> str:
    paid = f" with {action.value_wei} wei" if action.value_wei else ""
    return f"{action.executor} calls {_address(bytes(action.target), chain)}{paid}: {_call(action.calldata)}"


def _call(calldata: bytes) -> str:
    function = _BY_SELECTOR.get(calldata[:4])
    if function is not None:
        try:
            arguments = function.arguments(calldata)
        except DecodeError:
            return f"{function.name} with arguments that do not read, {_bytes(calldata)}"
        return f"{function.name}({', '.join(_bytes(one) if isinstance(one, bytes) else str(one) for one in arguments)})"
    return _bytes(calldata)


@_words.register
def _(action: model.UpgradeSuiLazerContract, chain: int) -> str:
    return f"version {action.version}, code becomes that with digest {action.digest.hex()}"


@_words.register
def _(action: model.UpdateTrustedSigner, chain: int) -> str:
    key = action.public_key.hex()
    if not action.expires_at_s:
        return f"signatures by {key} no longer count"
    return f"signatures by {key} count until {_until(action.expires_at_s)}"


@_words.register
def _(action: model.UpgradeCardanoSpendScript, chain: int) -> str:
    return f"script becomes that with hash {action.script_hash.hex()}"


@_words.register
def _(action: model.UpgradeCardanoWithdrawScript, chain: int) -> str:
    return (
        f"script becomes that with hash {action.script_hash.hex()}, the one before until {_until(action.previous_expires_at_s)}"
    )


@_words.register
def _(action: model.UpgradeStellarExecutor, chain: int) -> str:
    return f"executor {action.executor} upgrades {action.target} to code with digest {action.wasm_digest.hex()}"


@_words.register
def _(action: model.CallStellarContract, chain: int) -> str:
    return f"executor {action.executor} calls {action.target}: {action.function} with {_bytes(action.args_xdr)}"


@_words.register
def _(action: model.StacksSetAddress, chain: int) -> str:
    one = action.principal
    name = "" if one.contract is None else f".{one.contract}"
    return f"it becomes version {one.version} hash160 {one.hash160.hex()}{name}"


@_words.register
def _(action: model.StacksSetGovernance, chain: int) -> str:
    return f"governance passes to {_source(action.source)}, sequences above {action.sequence}"


@_words.register
def _(action: model.StacksSetStalePriceThreshold, chain: int) -> str:
    return f"prices older than {action.seconds} s are refused"


@_words.register
def _(action: model.UnknownAction, chain: int) -> str:
    return f"module {action.module}, {_bytes(action.payload)}"
