"""What the oracle program makes of a price account: the messages it emits, and the aggregate of its publishers' quotes.

Source: pyth-client ``program/rust/src/accounts/price.rs`` (messages), ``program/c/src/oracle/upd_aggregate.h`` and
``program/c/src/oracle/model/price_model.c`` (aggregation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from probekit.model.pythnet import DEFAULT_MAX_LATENCY, Cumulative, PriceHead, PriceInfo, TradingStatus
from probekit.model.verified import PriceMessage, TwapMessage

_I64_MIN: Final = -(2**63)
_I64_MAX: Final = 2**63 - 1
_U64_MASK: Final = 2**64 - 1


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """A recomputed aggregate: mantissas under the account's exponent, and how many quotes counted.

    ``price`` and ``conf`` are ``None`` where the program would set the status to unknown and keep the price it had.
    """

    price: int | None
    conf: int | None
    num_quoters: int

    @property
    def status(self) -> TradingStatus:
        return TradingStatus.UNKNOWN if self.price is None else TradingStatus.TRADING


def price_message(account: PriceHead, key: bytes) -> PriceMessage:
    """The message that the account at ``key`` gives to the accumulator.

    While the status is not trading it repeats the previous price, so that ``publish_time == prev_publish_time``; the averages
    are always the current ones. Raises ``ValueError`` for version 1, which sent none.
    """
    _require_messages(account)
    if account.status is TradingStatus.TRADING:
        price, conf = account.agg_price, account.agg_conf
    else:
        price, conf = account.prev_price, account.prev_conf
    return PriceMessage(
        bytes(key).hex(),
        price,
        conf,
        account.expo,
        _publish_time(account),
        account.prev_timestamp,
        account.ema_price_value,
        # The program casts the signed value; a negative one wraps there too.
        account.ema_conf_value & _U64_MASK,
    )


def twap_message(account: PriceHead, key: bytes) -> TwapMessage:
    """The message of cumulative sums. Raises ``ValueError`` where the account has none, or where only its head was read."""
    _require_messages(account)
    sums = account.cumulative
    if sums is None:
        raise ValueError("this price account has no cumulative sums")
    return TwapMessage(
        bytes(key).hex(),
        sums.price,
        sums.conf,
        sums.num_down_slots,
        account.expo,
        _publish_time(account),
        account.prev_timestamp,
        account.last_slot,
    )


def aggregate(quotes: Iterable[PriceInfo], *, slot: int, max_latency: int = 0, min_publishers: int = 0) -> Aggregate:
    """What the program would aggregate at ``slot`` from ``quotes``, to the unit.

    Each quote that :func:`counts` votes three times: price - conf, price, price + conf. The price is the median of the votes
    (the mean of the middle two, rounded down), the confidence its larger distance to their first or third quartile.
    """
    votes: list[int] = []
    for quote in quotes:
        if counts(quote, slot=slot, max_latency=max_latency):
            votes += (quote.price - quote.conf, quote.price, quote.price + quote.conf)
    number = len(votes) // 3
    if not number or number < min_publishers:
        return Aggregate(None, None, number)
    votes.sort()
    middle, quarter = len(votes) // 2, len(votes) // 4
    price = votes[middle] if len(votes) % 2 else (votes[middle - 1] + votes[middle]) // 2
    conf = max(price - votes[quarter], votes[-1 - quarter] - price)
    return Aggregate(price, conf, number) if conf > 0 else Aggregate(None, None, number)


def counts(quote: PriceInfo, *, slot: int, max_latency: int = 0) -> bool:
    """Whether the program takes a quote into an aggregate at ``slot``: it trades, has a confidence above zero and no vote
    outside i64, and is at most ``max_latency`` slots old (zero: 25).
    """
    return (
        quote.status_code == TradingStatus.TRADING
        and 0 < quote.conf <= _I64_MAX
        and _I64_MIN + quote.conf <= quote.price <= _I64_MAX - quote.conf
        and slot - quote.pub_slot <= (max_latency or DEFAULT_MAX_LATENCY)
    )


def accumulate(sums: Cumulative, price: int, conf: int, *, slots: int, max_latency: int = 0) -> Cumulative:
    """The sums after an aggregate of ``price`` and ``conf`` that came ``slots`` after the one before."""
    return Cumulative(
        sums.price + price * slots,
        sums.conf + conf * slots,
        sums.num_down_slots + max(0, slots - (max_latency or DEFAULT_MAX_LATENCY)),
        sums.unused,
    )


def _require_messages(account: PriceHead) -> None:
    if account.version == 1:
        raise ValueError("a version 1 price account sends no messages")


def _publish_time(account: PriceHead) -> int:
    # As it stands in the account: the program puts it into the message without asking whether it is a time.
    return account.aggregated_at if account.status is TradingStatus.TRADING else account.prev_timestamp
