"""Pyth's governance messages: what a voted message would change, on which chain. Nothing in them is proven by itself.

Chains are Pyth's own numbers (Wormhole's where Wormhole has one), not the EVM's; 0 is every chain. Amounts are
``value * 10**expo`` in the target chain's smallest unit, times whole Unix seconds. Sources: pyth-crosschain
``governance/xc_admin/packages/xc_admin_common/src/governance_payload``, ``target_chains/ethereum/contracts/contracts/pyth/
PythGovernanceInstructions.sol``; for module 3 on Stacks, stacks-pyth-bridge ``contracts/pyth-governance-v3.clar``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from probekit.model.evm import Address
from probekit.model.governance_calls import (
    AccountMeta as AccountMeta,
)
from probekit.model.governance_calls import (
    CallStellarContract as CallStellarContract,
)
from probekit.model.governance_calls import (
    EvmExecute as EvmExecute,
)
from probekit.model.governance_calls import (
    ExecutePostedVaa as ExecutePostedVaa,
)
from probekit.model.governance_calls import (
    ProgramCall as ProgramCall,
)
from probekit.model.governance_calls import (
    UpgradeStellarExecutor as UpgradeStellarExecutor,
)
from probekit.model.pyth_evm import DataSource
from probekit.units import Instant

EVERY_CHAIN: Final = 0
STACKS_CHAINS: Final = (60038, 50039)
"""Stacks mainnet and testnet: there module 3 is a contract of its own, everywhere else it is Lazer."""

MODULE_NAMES: Final = {0: "executor", 1: "target", 2: "evm_executor", 3: "lazer", 4: "stellar_executor"}
"""By number; see :data:`STACKS_CHAINS`."""

_MAX_U256: Final = 2**256 - 1
_MAX_EXPO: Final = 77
"""10**78 is beyond 256 bits."""


class _Scaled(msgspec.Struct, frozen=True):
    value: int
    expo: int

    @property
    def amount(self) -> int | None:
        """``value * 10**expo``; ``None`` where that is beyond 256 bits, which contracts refuse."""
        if self.expo > _MAX_EXPO:
            return None
        amount = int(self.value * 10**self.expo)
        return amount if amount <= _MAX_U256 else None


# -- module 1: price contracts -------------------------------------------------------------------------------------------------


class UpgradeContract(msgspec.Struct, frozen=True):
    """New code. What ``code`` is shows in its length alone: 8 a CosmWasm code id, 20 an EVM address, 32 a hash."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 0
    name: ClassVar[str] = "UpgradeContract"
    code: bytes

    @property
    def code_id(self) -> int | None:
        """The number of code uploaded to a CosmWasm chain."""
        return int.from_bytes(self.code, "big") if len(self.code) == 8 else None

    @property
    def address(self) -> Address | None:
        """The new implementation on an EVM chain."""
        return Address(self.code) if len(self.code) == 20 else None

    @property
    def digest(self) -> bytes | None:
        """The hash of the new code, on Move chains, Starknet and NEAR."""
        return self.code if len(self.code) == 32 else None


class AuthorizeGovernanceDataSourceTransfer(msgspec.Struct, frozen=True):
    """Governance passes to the emitter of ``claim_vaa``: a whole VAA around a :class:`RequestGovernanceDataSourceTransfer`."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 1
    name: ClassVar[str] = "AuthorizeGovernanceDataSourceTransfer"
    claim_vaa: bytes


class SetDataSources(msgspec.Struct, frozen=True):
    """Who may emit price updates from now on; all others no longer."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 2
    name: ClassVar[str] = "SetDataSources"
    sources: tuple[DataSource, ...]


class SetFee(_Scaled, frozen=True):
    """The fee for each message of an update."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 3
    name: ClassVar[str] = "SetFee"


class SetValidPeriod(msgspec.Struct, frozen=True):
    """How old a price may be where a reader names no age."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 4
    name: ClassVar[str] = "SetValidPeriod"
    seconds: int


class RequestGovernanceDataSourceTransfer(msgspec.Struct, frozen=True):
    """The new governance's half of a transfer; ``index`` must be above the contract's. Contracts refuse it on its own."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 5
    name: ClassVar[str] = "RequestGovernanceDataSourceTransfer"
    index: int


class SetWormholeAddress(msgspec.Struct, frozen=True):
    """Which contract verifies signatures: 20 bytes on EVM chains, 32 on Starknet."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 6
    name: ClassVar[str] = "SetWormholeAddress"
    address: bytes


class SetFeeInToken(_Scaled, frozen=True):
    """The fee for each message when it is paid in ``token``, whose form is the chain's own. Nothing on EVM chains."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 7
    name: ClassVar[str] = "SetFeeInToken"
    token: bytes


class SetTransactionFee(_Scaled, frozen=True):
    """The fee for each transaction, beside that for its messages."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 8
    name: ClassVar[str] = "SetTransactionFee"


class WithdrawFee(_Scaled, frozen=True):
    """Fees collected so far go to an address."""

    module: ClassVar[int] = 1
    number: ClassVar[int] = 9
    name: ClassVar[str] = "WithdrawFee"
    to: Address


# -- module 3: Lazer -----------------------------------------------------------------------------------------------------------


class UpgradeSuiLazerContract(msgspec.Struct, frozen=True):
    """New code on Sui or IOTA; ``version`` is what the contract's state takes."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 0
    name: ClassVar[str] = "UpgradeSuiLazerContract"
    version: int
    digest: bytes


class UpdateTrustedSigner(msgspec.Struct, frozen=True):
    """Whose signatures count, until ``expires_at_s``; zero removes the key.

    ``public_key``: 33 bytes are a compressed secp256k1 point (Sui, IOTA), 32 an ed25519 key (Cardano).
    """

    module: ClassVar[int] = 3
    number: ClassVar[int] = 1
    name: ClassVar[str] = "UpdateTrustedSigner"
    public_key: bytes
    expires_at_s: int

    @property
    def expires_at(self) -> Instant | None:
        """``None`` for a key that is removed."""
        return Instant.from_seconds(self.expires_at_s) if self.expires_at_s else None


class UpgradeCardanoSpendScript(msgspec.Struct, frozen=True):
    """New script on Cardano, by its 28-byte hash."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 2
    name: ClassVar[str] = "UpgradeCardanoSpendScript"
    script_hash: bytes


class UpgradeCardanoWithdrawScript(msgspec.Struct, frozen=True):
    """New script on Cardano, by its 28-byte hash; the one before goes on until ``previous_expires_at_s``."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 3
    name: ClassVar[str] = "UpgradeCardanoWithdrawScript"
    script_hash: bytes
    previous_expires_at_s: int

    @property
    def previous_expires_at(self) -> Instant:
        return Instant.from_seconds(self.previous_expires_at_s)


# -- module 3 on Stacks --------------------------------------------------------------------------------------------------------


class StacksPrincipal(msgspec.Struct, frozen=True):
    """An account, or with ``contract`` a contract of it: the address's ``version`` and 20-byte ``hash160``."""

    version: int
    hash160: bytes
    contract: str | None = None


class StacksRole(StrEnum):
    """What an address is set as, by the contract's own words."""

    ORACLE = "pyth-oracle-contract"
    WORMHOLE = "wormhole-core-contract"
    FEE_RECIPIENT = "fee-recipient-address"
    STORAGE = "pyth-storage-contract"
    DECODER = "pyth-decoder-contract"


STACKS_ROLE_NUMBERS: Final = {
    StacksRole.ORACLE: 0x00,
    StacksRole.WORMHOLE: 0x06,
    StacksRole.FEE_RECIPIENT: 0xA0,
    StacksRole.STORAGE: 0xA1,
    StacksRole.DECODER: 0xA2,
}
"""The action that sets each."""


class StacksSetAddress(msgspec.Struct, frozen=True):
    """One of the contracts that make up Pyth on Stacks, or who gets the fees."""

    module: ClassVar[int] = 3
    role: StacksRole
    principal: StacksPrincipal

    @property
    def number(self) -> int:
        return STACKS_ROLE_NUMBERS[self.role]

    @property
    def name(self) -> str:
        return f"Stacks.Set({self.role})"


class StacksSetGovernance(msgspec.Struct, frozen=True):
    """Governance passes to ``source``; messages up to ``sequence`` count as processed."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 1
    name: ClassVar[str] = "Stacks.SetGovernanceDataSource"
    source: DataSource
    sequence: int


class StacksSetDataSources(msgspec.Struct, frozen=True):
    """As :class:`SetDataSources`."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 2
    name: ClassVar[str] = "Stacks.SetDataSources"
    sources: tuple[DataSource, ...]


class StacksSetFee(_Scaled, frozen=True):
    """As :class:`SetFee`, in micro-STX."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 3
    name: ClassVar[str] = "Stacks.SetFee"


class StacksSetStalePriceThreshold(msgspec.Struct, frozen=True):
    """From which age on a price is refused."""

    module: ClassVar[int] = 3
    number: ClassVar[int] = 4
    name: ClassVar[str] = "Stacks.SetStalePriceThreshold"
    seconds: int


# -- whatever else -------------------------------------------------------------------------------------------------------------


class UnknownAction(msgspec.Struct, frozen=True):
    """An action that this release does not know; ``payload`` is all that stood behind the header."""

    module: int
    number: int
    payload: bytes

    @property
    def name(self) -> str:
        return f"unknown action {self.number}"


StacksAction = StacksSetAddress | StacksSetGovernance | StacksSetDataSources | StacksSetFee | StacksSetStalePriceThreshold
GovernanceAction = (
    ExecutePostedVaa
    | UpgradeContract
    | AuthorizeGovernanceDataSourceTransfer
    | SetDataSources
    | SetFee
    | SetValidPeriod
    | RequestGovernanceDataSourceTransfer
    | SetWormholeAddress
    | SetFeeInToken
    | SetTransactionFee
    | WithdrawFee
    | EvmExecute
    | UpgradeSuiLazerContract
    | UpdateTrustedSigner
    | UpgradeCardanoSpendScript
    | UpgradeCardanoWithdrawScript
    | UpgradeStellarExecutor
    | CallStellarContract
    | StacksAction
    | UnknownAction
)


class GovernanceMessage(msgspec.Struct, frozen=True):
    """One action for one chain, or with :data:`EVERY_CHAIN` for all of them."""

    target_chain: int
    action: GovernanceAction

    @property
    def module_name(self) -> str:
        """Who on the target chain takes it; empty for a module that this release does not know."""
        if self.action.module == 3 and self.target_chain in STACKS_CHAINS:
            return "stacks_target"
        return MODULE_NAMES.get(self.action.module, "")
