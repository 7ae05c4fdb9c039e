"""A canary: a transaction of our own, paid for and followed, to know that one can be landed.

Amounts are integers in wei or lamports.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

from probekit.errors import ProbekitError
from probekit.model.price import PriceUpdate
from probekit.units import NS_PER_S, Amount, Instant, format_decimal

UpdateOutcome = Literal[
    "landed",
    "superseded",
    "simulated",
    "not_included",
    "would_revert",
    "reverted",
    "dropped",
    "replaced",
    "not_readable",
    "refused",
    "fee_too_low",
    "underfunded",
    "over_cap",
    "daily_cap",
    "wallet_shared",
    "node_behind",
    "no_ledger",
    "no_key",
    "not_proven",
    "provider_refused",
    "not_fetched",
    "source_not_newer",
    "unresolved",
]
"""How a price update went, in one word; :class:`~probekit.checks.update_landed.UpdateLanded` says what each means."""

TransferOutcome = Literal[
    "landed",
    "simulated",
    "expired",
    "dropped",
    "failed",
    "would_fail",
    "not_landed",
    "not_finalized",
    "refused",
    "underfunded",
    "over_cap",
    "daily_cap",
    "no_ledger",
    "no_key",
    "not_proven",
    "provider_refused",
    "unresolved",
]
"""The same of a transfer; see :class:`~probekit.checks.transfer_landed.TransferLanded`."""

CanaryOutcome = UpdateOutcome | TransferOutcome

Ended = Literal["landed", "failed", "dropped", "refused", "replaced", "expired"]

DAY_NS: Final = 86_400 * NS_PER_S
"""The window of the cap per day: any 24 hours."""


class Coin(msgspec.Struct, frozen=True, gc=False):
    """What amounts are told in. ``parts`` are smaller units by name, each with how many places it lies below the coin."""

    unit: str
    decimals: int
    parts: dict[str, int] = {}

    def base_units(self, amount: Amount) -> int:
        """So much in the smallest unit. Raises ``ValueError`` for another unit, and for more digits than there are."""
        places = self.decimals
        if amount.unit in self.parts:
            places -= self.parts[amount.unit]
        elif amount.unit != self.unit:
            raise ValueError(f"{amount} is in an unknown unit; amounts here are in {', '.join((self.unit, *self.parts))}")
        # Not scaleb: it rounds to the context's digits.
        sign, digits, exponent = amount.value.as_tuple()
        exact = Decimal((sign, digits, int(exponent) + places))
        if exact != int(exact):
            raise ValueError(f"{amount} is less than one part of the coin can be")
        return int(exact)

    def coins(self, amount: int) -> Decimal:
        """So many of the smallest unit in whole coins, exact."""
        return Decimal((int(amount < 0), tuple(int(digit) for digit in str(abs(amount))), -self.decimals))

    def text(self, amount: int) -> str:
        """So many of the smallest unit, for people."""
        return f"{format_decimal(self.coins(amount))} {self.unit}"


class Caps(msgspec.Struct, frozen=True, gc=False):
    """The most that may be spent: by one transaction, and in any 24 hours. Raises ``ValueError`` where they do not fit."""

    per_transaction: int
    per_day: int

    def __post_init__(self) -> None:
        if not 0 < self.per_transaction <= self.per_day:
            raise ValueError("0 < cap_per_transaction <= cap_per_day must hold")


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction as the ledger keeps it, from before it was sent.

    ``reserved`` is the most that it may take; ``paid`` what it took, ``None`` until that is known. Of several with one
    ``nonce`` a chain takes one at most. ``valid_until`` is the last block height at which Solana takes it.
    """

    transaction: str
    sent_at_ns: int
    reserved: int
    nonce: int | None = None
    valid_until: int | None = None
    paid: int | None = None
    ended: Ended | None = None
    note: tuple[int, ...] = ()
    """What it brings, for whoever follows it up: of a price update publish time, price, confidence, and the fee in wei."""
    max_fee: int | None = None
    """Wei for each gas that it offers at most."""
    contract: str = ""
    """What it was sent to, and the feed that it updates: whoever follows it up may be set to others meanwhile."""
    feed: str = ""
    block: int | None = None
    """Number of the block that it was in when it landed or failed; a reorganisation may undo that."""

    @property
    def key(self) -> str:
        """Equal for those of which one at most can land."""
        return self.transaction if self.nonce is None else str(self.nonce)


def spent_in(spends: tuple[Spend, ...], now: Instant, window_ns: int = DAY_NS) -> int:
    """The most that these took, or may still take, of what was sent in the window that ends ``now``.

    What landed counts as paid; what may still land, also what seems dropped, as reserved; of one nonce the most. What is dated
    later than ``now`` counts: a clock that was set back frees nothing.
    """
    counted: dict[str, int] = {}
    landed: set[str] = set()
    for one in spends:
        if now.ns - one.sent_at_ns >= window_ns:
            continue
        if one.ended in ("landed", "failed") and one.paid is not None:
            counted[one.key] = one.paid
            landed.add(one.key)
        elif one.key not in landed:
            counted[one.key] = max(counted.get(one.key, 0), one.reserved if one.paid is None else one.paid)
    return sum(counted.values())


class Fetched(msgspec.Struct, frozen=True):
    """What is pushed: the price as Hermes tells it, the signed bytes that hold it, and how long it took to get them."""

    update: PriceUpdate
    signed: tuple[bytes, ...]
    elapsed_ns: int

    @property
    def note(self) -> tuple[int, int, int]:
        """Publish time, price and confidence."""
        point = self.update.point
        return point.publish_time, point.price, point.conf


class NotFetched(msgspec.Struct, frozen=True):
    """Why there is nothing to push."""

    error: ProbekitError
    elapsed_ns: int


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one run of a canary ended. ``elapsed_ns`` is from sent to included, where it was; ``spent`` is of 24 hours."""

    outcome: CanaryOutcome
    text: str
    coin: Coin
    transaction: str = ""
    elapsed_ns: int | None = None
    followed: bool = False
    """Whether the transaction is one of an earlier run."""
    paid: int | None = None
    slots: int | None = None
    """On Solana, from the slot it was sent in to the one it landed in."""
    spent: int | None = None
    cap_per_day: int | None = None
    cap_per_transaction: int | None = None
