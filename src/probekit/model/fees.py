"""What it takes to be included soon: priority fees of recent slots and blocks, by percentiles. Integers throughout.

A percentile is by nearest rank: the least value that so many per cent of all values do not exceed, so always one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from probekit.errors import DecodeError
from probekit.model.evm import FeeHistory

MICRO_PER_LAMPORT: Final = 1_000_000


def nearest_rank(values: Sequence[int], percentile: int) -> int | None:
    """The value at a percentile of 0 (the least) to 100 (the greatest); ``None`` of no values. Raises ``ValueError``."""
    if not 0 <= percentile <= 100:
        raise ValueError(f"a percentile lies between 0 and 100, not at {percentile}")
    if not values:
        return None
    return sorted(values)[max(-(-len(values) * percentile // 100), 1) - 1]


class SlotFee(msgspec.Struct, frozen=True, gc=False):
    """The least price that got a transaction into a slot's block: micro-lamports for each compute unit."""

    slot: int
    micro_lamports: int


class PriorityFees(msgspec.Struct, frozen=True):
    """Least priority fees of recent slots, oldest first; ``errors`` holds items of the answer that do not read.

    Asked for accounts, a slot's fee is the greatest of the block's least price and, for each account that was locked for
    writing in it, the least price of those who did.
    """

    slots: tuple[SlotFee, ...]
    errors: tuple[DecodeError, ...] = ()

    @property
    def window(self) -> tuple[int, int] | None:
        """First and last slot; nodes keep up to 150 blocks, those with more than votes in them."""
        return (self.slots[0].slot, self.slots[-1].slot) if self.slots else None

    def percentile(self, percentile: int, *, paid: bool = False) -> int | None:
        """Micro-lamports for each compute unit, by nearest rank over all slots, or over those where something was ``paid``.
        ``None`` where there are none. Raises ``ValueError`` outside 0 to 100.
        """
        return nearest_rank([one.micro_lamports for one in self.slots if one.micro_lamports or not paid], percentile)

    @property
    def zero_share(self) -> Decimal | None:
        """How many of the slots were free of charge: 0 to 1; ``None`` of no slots."""
        if not self.slots:
            return None
        return Decimal(sum(1 for one in self.slots if not one.micro_lamports)) / len(self.slots)


def priority_fee_lamports(micro_lamports: int, compute_units: int) -> int:
    """Lamports beside the base fee, for a price and a limit of compute units: rounded up, as the runtime does."""
    return -(-micro_lamports * compute_units // MICRO_PER_LAMPORT)


class GasFees(msgspec.Struct, frozen=True):
    """Fees of consecutive blocks from ``oldest_block``, in wei for each gas.

    ``tips`` has, for each percentile asked for, the priority fee there in each block (weighted by gas; zero for an empty
    block). ``next_base_fee`` is due in the block after the last.
    """

    oldest_block: int
    base_fees: tuple[int, ...]
    next_base_fee: int
    tips: dict[int, tuple[int, ...]]

    @classmethod
    def of(cls, history: FeeHistory, percentiles: Sequence[int]) -> GasFees:
        """From a fee history that was asked for these percentiles. Raises ``ValueError`` where it is not theirs."""
        *base_fees, following = history.base_fees or (0,)
        if len(history.rewards) != len(base_fees) or any(len(row) != len(percentiles) for row in history.rewards):
            due = f"{len(base_fees)} blocks and {len(percentiles)} percentiles"
            raise ValueError(f"rewards in {len(history.rewards)} rows are not those of {due}")
        tips = {percentile: tuple(row[at] for row in history.rewards) for at, percentile in enumerate(percentiles)}
        return cls(history.oldest_block, tuple(base_fees), following, tips)

    @property
    def window(self) -> tuple[int, int] | None:
        """First and last block."""
        return (self.oldest_block, self.oldest_block + len(self.base_fees) - 1) if self.base_fees else None

    def base_fee(self, percentile: int) -> int | None:
        """The base fee by nearest rank over the blocks; ``None`` of no blocks. Raises ``ValueError`` outside 0 to 100."""
        return nearest_rank(self.base_fees, percentile)

    def tip(self, within: int, across: int = 50) -> int | None:
        """The priority fee at percentile ``within`` of each block, by nearest rank ``across`` the blocks; ``None`` of none.

        Raises ``KeyError`` for a percentile that was not asked for, ``ValueError`` outside 0 to 100.
        """
        return nearest_rank(self.tips[within], across)
