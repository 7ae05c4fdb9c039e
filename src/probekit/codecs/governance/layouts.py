"""What stands behind the header, for each action of modules 0 to 4.

A payload has exactly the stated length. Sources: those of :mod:`probekit.model.governance`; module 0 is Borsh, from
pyth-crosschain ``governance/remote_executor/programs/remote-executor/src/state/governance_payload.rs``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from probekit.codecs.governance.cursor import Cursor, big, prefixed, sources
from probekit.codecs.solana.borsh import exactly, unsigned
from probekit.model import governance as model
from probekit.model.evm import Address

_STRKEY: Final = re.compile(rb"[A-Z2-7]+")
_SYMBOL: Final = re.compile(rb"[A-Za-z0-9_]{1,32}")
_META_SIZE: Final = 34
_CALL_SIZE: Final = 32 + 4 + 4
"""The least that an instruction takes."""


@dataclass(frozen=True)
class Layout:
    """How one action reads and writes. ``read`` raises ``DecodeError``, ``write`` ``ValueError``."""

    action: type[Any]
    read: Callable[[Cursor], Any]
    write: Callable[[Any], bytes]


def _one_of(value: bytes, sizes: tuple[int, ...], what: str) -> bytes:
    if len(value) not in sizes:
        raise ValueError(f"{what} has {' or '.join(map(str, sizes))} bytes, not {len(value)}")
    return value


def _take_one_of(cursor: Cursor, sizes: tuple[int, ...], behind: int = 0) -> bytes:
    size = cursor.left - behind
    if size not in sizes:
        raise cursor.error(f"{' or '.join(str(one + behind) for one in sizes)} bytes are due, not {cursor.left}")
    return cursor.take(size)


# -- module 0 ------------------------------------------------------------------------------------------------------------------


def _read_calls(cursor: Cursor) -> model.ExecutePostedVaa:
    return model.ExecutePostedVaa(tuple(_read_call(cursor) for _ in range(cursor.count(_CALL_SIZE))))


def _read_call(cursor: Cursor) -> model.ProgramCall:
    program = cursor.key()
    accounts = tuple(
        model.AccountMeta(cursor.key(), bool(cursor.tag(1, 2)), bool(cursor.tag(1, 2))) for _ in range(cursor.count(_META_SIZE))
    )
    return model.ProgramCall(program, accounts, cursor.take(cursor.unsigned(4)))


def _write_calls(action: model.ExecutePostedVaa) -> bytes:
    return unsigned(len(action.calls), 4) + b"".join(_write_call(call) for call in action.calls)


def _write_call(call: model.ProgramCall) -> bytes:
    metas = b"".join(meta.key + bytes((meta.is_signer, meta.is_writable)) for meta in call.accounts)
    return call.program + unsigned(len(call.accounts), 4) + metas + unsigned(len(call.data), 4) + call.data


# -- module 1 ------------------------------------------------------------------------------------------------------------------

CODE_SIZES: Final = (8, 20, 32)
ADDRESS_SIZES: Final = (20, 32)


def _read_fee_in_token(cursor: Cursor) -> model.SetFeeInToken:
    value, expo = cursor.big(8), cursor.big(8)
    return model.SetFeeInToken(value, expo, cursor.take(cursor.big(1)))


def _read_withdrawal(cursor: Cursor) -> model.WithdrawFee:
    to = Address(cursor.take(20))
    return model.WithdrawFee(cursor.big(8), cursor.big(8), to)


def scaled(action: Any) -> bytes:
    """``value`` and ``expo`` of a fee."""
    return big(action.value, 8) + big(action.expo, 8)


# -- module 2 ------------------------------------------------------------------------------------------------------------------


def _read_execute(cursor: Cursor) -> model.EvmExecute:
    executor, target = Address(cursor.take(20)), Address(cursor.take(20))
    return model.EvmExecute(executor, target, cursor.big(32), cursor.rest())


def _write_execute(action: model.EvmExecute) -> bytes:
    return bytes(action.executor) + bytes(action.target) + big(action.value_wei, 32) + action.calldata


# -- module 3 ------------------------------------------------------------------------------------------------------------------

KEY_SIZES: Final = (32, 33)


def _read_signer(cursor: Cursor) -> model.UpdateTrustedSigner:
    key = _take_one_of(cursor, KEY_SIZES, behind=8)
    return model.UpdateTrustedSigner(key, cursor.big(8))


# -- module 4 ------------------------------------------------------------------------------------------------------------------


def _strkey(cursor: Cursor) -> str:
    text = cursor.prefixed()
    if _STRKEY.fullmatch(text) is None:
        raise cursor.error("an address that is no strkey", back=len(text))
    return text.decode("ascii")


def _write_strkey(text: str) -> bytes:
    raw = text.encode()
    if _STRKEY.fullmatch(raw) is None:
        raise ValueError(f"{text[:80]!r} is no strkey")
    return prefixed(raw)


def _read_upgrade(cursor: Cursor) -> model.UpgradeStellarExecutor:
    return model.UpgradeStellarExecutor(_strkey(cursor), _strkey(cursor), cursor.take(32))


def _read_stellar_call(cursor: Cursor) -> model.CallStellarContract:
    executor, target, function = _strkey(cursor), _strkey(cursor), cursor.prefixed()
    if _SYMBOL.fullmatch(function) is None:
        raise cursor.error("a function whose name is no symbol of 1 to 32 letters", back=len(function))
    return model.CallStellarContract(executor, target, function.decode("ascii"), cursor.rest())


def _write_stellar_call(action: model.CallStellarContract) -> bytes:
    function = action.function.encode()
    if _SYMBOL.fullmatch(function) is None:
        raise ValueError(f"{action.function[:80]!r} is no symbol of 1 to 32 letters")
    return _write_strkey(action.executor) + _write_strkey(action.target) + prefixed(function) + action.args_xdr


LAYOUTS: Final = tuple(
    Layout(*parts)
    for parts in (
        (model.ExecutePostedVaa, _read_calls, _write_calls),
        (
            model.UpgradeContract,
            lambda c: model.UpgradeContract(_take_one_of(c, CODE_SIZES)),
            lambda a: _one_of(a.code, CODE_SIZES, "code"),
        ),
        (
            model.AuthorizeGovernanceDataSourceTransfer,
            lambda c: model.AuthorizeGovernanceDataSourceTransfer(c.rest()),
            lambda a: a.claim_vaa,
        ),
        (model.SetDataSources, lambda c: model.SetDataSources(c.sources()), lambda a: sources(a.sources)),
        (model.SetFee, lambda c: model.SetFee(c.big(8), c.big(8)), scaled),
        (model.SetValidPeriod, lambda c: model.SetValidPeriod(c.big(8)), lambda a: big(a.seconds, 8)),
        (
            model.RequestGovernanceDataSourceTransfer,
            lambda c: model.RequestGovernanceDataSourceTransfer(c.big(4)),
            lambda a: big(a.index, 4),
        ),
        (
            model.SetWormholeAddress,
            lambda c: model.SetWormholeAddress(_take_one_of(c, ADDRESS_SIZES)),
            lambda a: _one_of(a.address, ADDRESS_SIZES, "an address"),
        ),
        (model.SetFeeInToken, _read_fee_in_token, lambda a: scaled(a) + big(len(a.token), 1) + a.token),
        (model.SetTransactionFee, lambda c: model.SetTransactionFee(c.big(8), c.big(8)), scaled),
        (model.WithdrawFee, _read_withdrawal, lambda a: bytes(a.to) + scaled(a)),
        (model.EvmExecute, _read_execute, _write_execute),
        (
            model.UpgradeSuiLazerContract,
            lambda c: model.UpgradeSuiLazerContract(c.big(8), c.take(32)),
            lambda a: big(a.version, 8) + exactly(a.digest, 32, "a digest"),
        ),
        (
            model.UpdateTrustedSigner,
            _read_signer,
            lambda a: _one_of(a.public_key, KEY_SIZES, "a key") + big(a.expires_at_s, 8),
        ),
        (
            model.UpgradeCardanoSpendScript,
            lambda c: model.UpgradeCardanoSpendScript(c.take(28)),
            lambda a: exactly(a.script_hash, 28, "a script hash"),
        ),
        (
            model.UpgradeCardanoWithdrawScript,
            lambda c: model.UpgradeCardanoWithdrawScript(c.take(28), c.big(8)),
            lambda a: exactly(a.script_hash, 28, "a script hash") + big(a.previous_expires_at_s, 8),
        ),
        (
            model.UpgradeStellarExecutor,
            _read_upgrade,
            lambda a: _write_strkey(a.executor) + _write_strkey(a.target) + exactly(a.wasm_digest, 32, "a digest"),
        ),
        (model.CallStellarContract, _read_stellar_call, _write_stellar_call),
    )
)
