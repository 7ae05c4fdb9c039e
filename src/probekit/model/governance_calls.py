"""Governance by calls: modules 0, 2 and 4, in which an executor on the target chain runs what it is told.

A part of :mod:`probekit.model.governance`, which is where they are taken from.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from probekit.model.evm import Address
from probekit.model.pubkey import Pubkey

# -- module 0: the remote executor on Pythnet and its kin ----------------------------------------------------------------------


class AccountMeta(msgspec.Struct, frozen=True, gc=False):
    """An account that a program is called with."""

    key: Pubkey
    is_signer: bool
    is_writable: bool


class ProgramCall(msgspec.Struct, frozen=True):
    """One instruction for a Solana program."""

    program: Pubkey
    accounts: tuple[AccountMeta, ...]
    data: bytes


class ExecutePostedVaa(msgspec.Struct, frozen=True):
    """The remote executor runs these instructions, in order, as the governance's own signer."""

    module: ClassVar[int] = 0
    number: ClassVar[int] = 0
    name: ClassVar[str] = "ExecutePostedVaa"
    calls: tuple[ProgramCall, ...]


# -- module 2: the executor contract on EVM chains, owner of Entropy and of Lazer's verifier -----------------------------------


class EvmExecute(msgspec.Struct, frozen=True):
    """The executor at ``executor`` calls ``target`` with ``calldata`` and ``value_wei``."""

    module: ClassVar[int] = 2
    number: ClassVar[int] = 0
    name: ClassVar[str] = "Execute"
    executor: Address
    target: Address
    value_wei: int
    calldata: bytes


# -- module 4: the executor contract on Stellar --------------------------------------------------------------------------------


class UpgradeStellarExecutor(msgspec.Struct, frozen=True):
    """New code for the executor itself: ``target`` must be ``executor``. Both are strkeys."""

    module: ClassVar[int] = 4
    number: ClassVar[int] = 0
    name: ClassVar[str] = "UpgradeExecutor"
    executor: str
    target: str
    wasm_digest: bytes


class CallStellarContract(msgspec.Struct, frozen=True):
    """The executor calls a contract's function; ``args_xdr`` is an XDR ``ScVec``."""

    module: ClassVar[int] = 4
    number: ClassVar[int] = 1
    name: ClassVar[str] = "Call"
    executor: str
    target: str
    function: str
    args_xdr: bytes
