"""``getRecentPrioritizationFees``. Source: Solana RPC reference; agave ``runtime/src/prioritization_fee_cache.rs``.

Some providers take a ``percentile`` beside the accounts. It is no part of the interface, and what comes back is then another
number under the same name, so it is left out.
"""

from __future__ import annotations

import msgspec

from probekit.codecs.solana.values import U63, convert
from probekit.errors import DecodeError
from probekit.model.fees import PriorityFees, SlotFee

MAX_ACCOUNTS = 128
"""More are refused by the node."""


class _Fields(msgspec.Struct, rename="camel"):
    slot: U63
    prioritization_fee: int


def decode_priority_fees(result: object) -> PriorityFees:
    """An item that does not read is its own error. Raises ``DecodeError`` when the whole is no list."""
    fees: list[SlotFee] = []
    errors: list[DecodeError] = []
    for item in convert(result, list[object], "getRecentPrioritizationFees"):
        try:
            fees.append(_fee(item))
        except DecodeError as error:
            errors.append(error)
    # Nodes give them as their cache has them.
    return PriorityFees(tuple(sorted(fees, key=lambda one: one.slot)), tuple(errors))


def _fee(item: object) -> SlotFee:
    fields = convert(item, _Fields, "a priority fee")
    if not 0 <= fields.prioritization_fee < 2**64:
        raise DecodeError(f"a priority fee of {fields.prioritization_fee} micro-lamports", raw=str(item))
    return SlotFee(fields.slot, fields.prioritization_fee)
