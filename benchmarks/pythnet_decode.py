"""Pythnet price accounts of 12,576 bytes with 30 quotes each, from the account's bytes to typed values.

The peer is pythclient, doing what its ``update_with_rpc_response`` does once the base64 is off: its header check, then
``update_from`` of the populated bytes on an object that exists already. Both sides decode the same accounts, all of them in
every call.
"""

from __future__ import annotations

from functools import lru_cache

from pythclient.pythaccounts import PythPriceAccount, PythPriceInfo, _parse_header
from pythclient.solana import SolanaPublicKey

from benchmarks.row import Row
from probekit.codecs.pythnet import decode_columns, decode_price, encode_price
from probekit.codecs.pythnet.price import PYTHNET_PRICE_SIZE
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import NULL_KEY, Cumulative, PriceAccount, PriceInfo, Quote

ACCOUNTS = 64
QUOTES = 30
SLOT = 197_635_583
Columns = tuple[tuple[int, ...], ...]


def _account(number: int) -> PriceAccount:
    """An account such as Pythnet holds: publishers sorted by key, quotes of the last slots, averages of nine digits."""
    price = 23_623_373 * (number + 1)
    quotes = []
    for index in range(QUOTES):
        quoted = PriceInfo(price + 61 * index, 14_454 + 7 * index, 1, 0, SLOT - index % 9)
        before = PriceInfo(price + 59 * index, 14_454 + 5 * index, 1, 0, SLOT - 1 - index % 9)
        quotes.append(Quote.of(bytes((8 * index + 1, number)) + bytes(range(30)), quoted, before))
    return PriceAccount(
        expo=-5,
        num_components=QUOTES,
        num_quoters=QUOTES,
        last_slot=SLOT,
        valid_slot=SLOT - 1,
        ema_price_value=price - 53_633,
        ema_price_numerator=4_513_535_391,
        ema_price_denominator=1_914_970_365,
        ema_conf_value=14_195,
        ema_conf_numerator=2_718_436_924,
        ema_conf_denominator=1_914_970_365,
        aggregated_at=1_739_388_661,
        min_publishers=3,
        max_latency=50,
        flags=3,
        feed_index=number + 1,
        product_key=Pubkey(bytes((number + 1,)) * 32),
        prev_slot=SLOT - 1,
        prev_price=price + 125,
        prev_conf=14_329,
        prev_timestamp=1_739_388_660,
        agg_price=price,
        agg_conf=14_454,
        agg_status_code=1,
        agg_pub_slot=SLOT,
        sums=Cumulative(2_138_265_303_126_511, 6_997_129_521_043, 84_965_761).pack(),
        quotes=tuple(quotes),
    )


@lru_cache(maxsize=1)
def accounts() -> tuple[bytes, ...]:
    """The accounts' bytes."""
    made = tuple(encode_price(_account(number)) for number in range(ACCOUNTS))
    assert {len(one) for one in made} == {PYTHNET_PRICE_SIZE}
    return made


@lru_cache(maxsize=1)
def peers() -> tuple[PythPriceAccount, ...]:
    """The peer's object of each account; it keeps one and updates it."""
    return tuple(PythPriceAccount(SolanaPublicKey(NULL_KEY), None) for _ in range(ACCOUNTS))


def typed() -> list[PriceAccount]:
    """Every account with a value for each quote."""
    return [decode_price(data) for data in accounts()]


def pythclient() -> tuple[PythPriceAccount, ...]:
    """The same by pythclient."""
    for account, data in zip(peers(), accounts(), strict=True):
        _, size, version = _parse_header(data, 0, key=account.key)
        account.update_from(data[:size], version=version, offset=16)
    return peers()


def prices_and_confs() -> list[Columns]:
    """Two columns of every account."""
    return [(one.prices, one.confs) for one in map(decode_columns, accounts())]


def five_columns() -> list[tuple[tuple[object, ...], ...]]:
    """Everything that the newest submissions say."""
    columns = map(decode_columns, accounts())
    return [(one.publishers, one.prices, one.confs, one.status_codes, one.pub_slots) for one in columns]


def _latest(account: PythPriceAccount) -> list[PythPriceInfo]:
    return [component.latest_price_info for component in account.price_components]


def pythclient_prices_and_confs() -> list[Columns]:
    """The same two columns by pythclient."""
    made: list[Columns] = []
    for account in pythclient():
        latest = _latest(account)
        made.append((tuple([one.raw_price for one in latest]), tuple([one.raw_confidence_interval for one in latest])))
    return made


def pythclient_five_columns() -> list[tuple[tuple[object, ...], ...]]:
    """The same five columns by pythclient, its keys and statuses as it gives them."""
    made: list[tuple[tuple[object, ...], ...]] = []
    for account in pythclient():
        latest = _latest(account)
        made.append(
            (
                tuple([component.publisher_key for component in account.price_components]),
                tuple([one.raw_price for one in latest]),
                tuple([one.raw_confidence_interval for one in latest]),
                tuple([one.price_status for one in latest]),
                tuple([one.pub_slot for one in latest]),
            )
        )
    return made


def _same_content() -> bool:
    """Whether both sides read the same from every quote, and from what of the head the peer keeps."""
    for ours, theirs in zip(typed(), pythclient(), strict=True):
        head = (ours.expo, ours.last_slot, ours.valid_slot, ours.aggregated_at, ours.min_publishers, ours.latency_limit)
        if head != (
            theirs.exponent,
            theirs.last_slot,
            theirs.valid_slot,
            theirs.timestamp,
            theirs.min_publishers,
            theirs.max_latency,
        ):
            return False
        for quote, component in zip(ours.quotes, theirs.price_components, strict=True):
            for mine, other in (
                (quote.latest, component.latest_price_info),
                (quote.aggregate, component.last_aggregate_price_info),
            ):
                if (str(quote.publisher), mine.price, mine.conf, int(mine.status), mine.pub_slot) != (
                    str(component.publisher_key),
                    other.raw_price,
                    other.raw_confidence_interval,
                    other.price_status.value,
                    other.pub_slot,
                ):
                    return False
    return True


def _as_plain(columns: tuple[tuple[object, ...], ...]) -> tuple[tuple[object, ...], ...]:
    """The peer's five columns with keys as base58 and statuses as numbers."""
    keys, prices, confs, statuses, slots = columns
    return tuple(str(key) for key in keys), prices, confs, tuple(getattr(one, "value", one) for one in statuses), slots


def rows() -> list[Row]:
    """The rows; what both sides made is compared once."""
    assert _same_content()
    assert prices_and_confs() == pythclient_prices_and_confs()
    for mine, theirs in zip(five_columns(), pythclient_five_columns(), strict=True):
        assert (tuple(str(Pubkey(bytes(key))) for key in mine[0]), *mine[1:]) == _as_plain(theirs)  # type: ignore[call-overload]
    named = f"{ACCOUNTS} price accounts, {QUOTES} quotes each"
    return [
        {
            "name": f"{named}: typed",
            "ours": typed,
            "peer": pythclient,
            "peer_name": "pythclient",
            "target": 40.0,
            "unit": "s",
        },
        {
            "name": f"{named}: prices, confs",
            "ours": prices_and_confs,
            "peer": pythclient_prices_and_confs,
            "peer_name": "pythclient",
            "target": 80.0,
            "unit": "s",
        },
        {
            "name": f"{named}: five columns",
            "ours": five_columns,
            "peer": pythclient_five_columns,
            "peer_name": "pythclient",
            "target": None,
            "unit": "s",
        },
    ]
