"""Entropy, Pyth's random numbers on EVM chains: providers, requests, and what became of one.

A provider commits to a chain of hashes and reveals it backwards, one number for each request. Fees are integers in wei, gas in
units of gas, ages in blocks and in whole seconds. Source: pyth-crosschain
``target_chains/ethereum/contracts/contracts/entropy/Entropy.sol`` and ``target_chains/ethereum/entropy_sdk/solidity``.
"""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from probekit.model.evm import Address, Block, Log
from probekit.model.pyth_evm import PythRevert, Unanswered

GAS_STEP: Final = 10_000
"""Gas limits are stored in steps of this, rounded up."""
MAX_GAS_LIMIT: Final = 65_535 * GAS_STEP
BLOCKHASH_WINDOW: Final = 256
"""Blocks for which a contract can read the hash of a block."""


def rounded_gas(gas_limit: int) -> int:
    """A gas limit as a request stores it. Raises ``ValueError`` beyond what the contract takes (MaxGasLimitExceeded)."""
    if not 0 <= gas_limit <= MAX_GAS_LIMIT:
        raise ValueError(f"a gas limit of {gas_limit}; the contract takes 0 to {MAX_GAS_LIMIT}")
    return -(-gas_limit // GAS_STEP) * GAS_STEP


class ProviderInfo(msgspec.Struct, frozen=True):
    """A provider as the contract keeps it. ``default_gas_limit`` is ``None`` on contracts before V2, 0 where failed callbacks
    are not kept. ``max_num_hashes`` of 0 is no limit.

    ``uri`` is UTF-8 by custom, ``{base}/v1/chains/{chain}`` of a service that reveals (:mod:`probekit.clients.fortuna`).
    """

    fee_wei: int
    accrued_fees_wei: int
    original_commitment: bytes
    original_commitment_sequence: int
    commitment_metadata: bytes
    uri: bytes
    end_sequence: int
    sequence: int
    """The next request's number; 0 for a provider that never registered."""
    current_commitment: bytes
    current_commitment_sequence: int
    fee_manager: Address
    max_num_hashes: int
    default_gas_limit: int | None = None

    @property
    def registered(self) -> bool:
        return self.sequence != 0

    @property
    def remaining(self) -> int:
        """Requests that the hash chain is still good for. At 0 the next one is refused: OutOfRandomness."""
        return max(0, self.end_sequence - self.sequence)

    @property
    def next_num_hashes(self) -> int:
        """Hashes between the next request and the last number revealed; the next reveal pays for so many."""
        return self.sequence - self.current_commitment_sequence

    @property
    def hash_margin(self) -> int | None:
        """Requests that may still be made before one is revealed. At 0 the next one is refused: LastRevealedTooOld. ``None``
        where nothing limits them.
        """
        if self.max_num_hashes == 0:
            return None
        return max(0, self.max_num_hashes - self.next_num_hashes + 1)

    def fee_of(self, gas_limit: int = 0) -> int:
        """The provider's part of a request's fee, in wei, as the contract computes it: above the default gas limit it grows in
        proportion. Raises ``ValueError`` for a limit that the contract refuses.
        """
        rounded, default = rounded_gas(gas_limit), self.default_gas_limit
        if not default or rounded <= default:
            return self.fee_wei
        return self.fee_wei + (rounded - default) * self.fee_wei // default


class CallbackStatus(IntEnum):
    """Where a request stands, as the contract stores it."""

    NOT_NEEDED = 0
    """The requester reveals by itself."""
    NOT_STARTED = 1
    IN_PROGRESS = 2
    FAILED = 3


class EntropyRequest(msgspec.Struct, frozen=True):
    """A request that the contract holds, which it does until the number is revealed.

    ``block_number`` is the contract's own ``block.number``, on Arbitrum the parent chain's. ``gas_limit`` of the callback is
    ``None`` on contracts before V2, 0 where a callback that fails takes the whole reveal with it.
    """

    provider: Address
    sequence: int
    num_hashes: int
    commitment: bytes
    block_number: int
    requester: Address
    use_blockhash: bool
    callback_status: CallbackStatus
    gas_limit: int | None = None


class RequestState(StrEnum):
    """What became of a request."""

    NEVER_MADE = "never_made"
    """The provider has not assigned this number to a request."""
    FULFILLED = "fulfilled"
    """Assigned, and no longer held: revealed. (A number that a provider skipped looks the same.)"""
    PENDING = "pending"
    """Waits for the provider, not yet for too long."""
    STUCK = "stuck"
    """Waits for the provider beyond the limit: nobody reveals, or the reveal itself reverts."""
    CALLBACK_IN_PROGRESS = "callback_in_progress"
    """Within the callback; at the end of a block never seen."""
    CALLBACK_FAILED = "callback_failed"
    """Revealed, and the requester's callback failed; anybody may repeat it."""
    AWAITS_REQUESTER = "awaits_requester"
    """Without callback: the requester's own to reveal."""
    EXPIRED = "expired"
    """Without callback, and mixed with a block hash that the chain no longer knows: can never be revealed."""


class StuckLimit(msgspec.Struct, frozen=True):
    """How long a request may wait for the provider. Beyond either limit it is stuck. Raises ``ValueError`` without any."""

    age: timedelta | None = None
    blocks: int | None = None

    def __post_init__(self) -> None:
        if self.age is None and self.blocks is None:
            raise ValueError("a limit in time, in blocks, or in both")
        if (self.age is not None and self.age < timedelta(0)) or (self.blocks is not None and self.blocks < 0):
            raise ValueError("a limit is not negative")

    def passed(self, age_blocks: int, age_s: int | None) -> bool:
        """Whether such ages are beyond it; an age that is not known passes no limit."""
        if self.blocks is not None and age_blocks > self.blocks:
            return True
        return self.age is not None and age_s is not None and timedelta(seconds=age_s) > self.age


def state_of(
    sequence: int, request: EntropyRequest | None, info: ProviderInfo, *, age_blocks: int, age_s: int | None, limit: StuckLimit
) -> RequestState:
    """What became of request ``sequence``, from what the contract holds of it (``None``: nothing) and of its provider.

    The ages are the request's; of a request that is not held they mean nothing.
    """
    if request is None:
        # A registration takes a number as well.
        assigned = 0 < sequence < info.sequence and sequence != info.original_commitment_sequence
        return RequestState.FULFILLED if assigned else RequestState.NEVER_MADE
    match request.callback_status:
        case CallbackStatus.NOT_NEEDED:
            # A transaction comes with the next block at the earliest.
            expired = request.use_blockhash and age_blocks + 1 > BLOCKHASH_WINDOW
            return RequestState.EXPIRED if expired else RequestState.AWAITS_REQUESTER
        case CallbackStatus.NOT_STARTED:
            return RequestState.STUCK if limit.passed(age_blocks, age_s) else RequestState.PENDING
        case CallbackStatus.IN_PROGRESS:
            return RequestState.CALLBACK_IN_PROGRESS
        case CallbackStatus.FAILED:
            return RequestState.CALLBACK_FAILED


class RequestStatus(msgspec.Struct, frozen=True):
    """A request at one block. ``request`` is ``None`` where the contract holds none, and so are the ages.

    ``age_blocks`` counts in the contract's own block numbers. ``made_in_block`` is the chain's number of the request's block,
    ``None``, and ``age_s`` with it, where the contract counts other blocks (Arbitrum) and nobody said it.
    """

    provider: Address
    sequence: int
    state: RequestState
    block: Block
    info: ProviderInfo
    request: EntropyRequest | None = None
    age_blocks: int | None = None
    age_s: int | None = None
    made_in_block: int | None = None


class Contributions(msgspec.Struct, frozen=True, gc=False):
    """What a random number is made of, 32 bytes each: the user's, told when it was asked for, and the provider's revelation."""

    user: bytes
    provider: bytes


class CauseKind(StrEnum):
    """Why a request is stuck, or its callback failed."""

    OUT_OF_GAS = "out_of_gas"
    """The callback used up all the gas that the request gives it. (In an event an invalid instruction shows the same.)"""
    REVERTED = "reverted"
    """The callback reverted and said why."""
    SILENT = "silent"
    """The callback failed without a word, and how much gas it used is not known or was not all: ``revert()``, or out of gas."""
    INSUFFICIENT_GAS = "insufficient_gas"
    """The reveal reverts with InsufficientGas: the transaction carries less gas than the callback was promised."""
    WRONG_REVELATION = "wrong_revelation"
    """The number does not fit the commitment: another hash chain than the one registered."""
    REFUSED = "refused"
    """The reveal reverts with another error."""
    NOT_SENT = "not_sent"
    """The reveal would be taken now: nobody has sent it."""
    CALLBACK_RECOVERED = "callback_recovered"
    """The callback failed then, and would succeed now."""
    UNTOLD = "untold"
    """Nothing at hand tells."""


class EntropyCause(msgspec.Struct, frozen=True):
    """Why, as far as it can be told; ``text`` is for people. ``revert`` is what was given back, where it was anything.

    ``gas_used`` and ``gas_limit`` are the callback's, where they are known; ``log`` is the event that told.
    """

    kind: CauseKind
    text: str
    revert: PythRevert | None = None
    gas_used: int | None = None
    gas_limit: int | None = None
    log: Log | None = None


class EntropyState(msgspec.Struct, frozen=True):
    """An Entropy contract's own configuration at one block. A value is ``None`` where the contract does not answer for it, and
    then in ``unanswered``.
    """

    address: Address
    block: Block
    version: str | None = None
    default_provider: Address | None = None
    pyth_fee_wei: int | None = None
    accrued_pyth_fees_wei: int | None = None
    admin: Address | None = None
    proposed_admin: Address | None = None
    owner: Address | None = None
    unanswered: tuple[Unanswered, ...] = ()
