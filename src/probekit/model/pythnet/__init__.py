"""What Pyth's oracle program keeps in its accounts on Pythnet: mappings, products, and prices with every publisher's quote."""

from probekit.model.pythnet.accounts import (
    AccountHeader,
    AccountType,
    AccumulatorMessages,
    MappingAccount,
    PermissionsAccount,
    ProductAccount,
)
from probekit.model.pythnet.feed import COMING_SOON_MIN_PUBLISHERS, OracleFeed, QuoteSheet
from probekit.model.pythnet.price import (
    DEFAULT_MAX_LATENCY,
    NULL_KEY,
    QUOTE_SIZE,
    Cumulative,
    PriceAccount,
    PriceColumns,
    PriceFlags,
    PriceHead,
    PriceInfo,
    Quote,
    TradingStatus,
    feed_id,
)

__all__ = [
    "COMING_SOON_MIN_PUBLISHERS",
    "DEFAULT_MAX_LATENCY",
    "NULL_KEY",
    "QUOTE_SIZE",
    "AccountHeader",
    "AccountType",
    "AccumulatorMessages",
    "Cumulative",
    "MappingAccount",
    "OracleFeed",
    "PermissionsAccount",
    "PriceAccount",
    "PriceColumns",
    "PriceFlags",
    "PriceHead",
    "PriceInfo",
    "ProductAccount",
    "Quote",
    "QuoteSheet",
    "TradingStatus",
    "feed_id",
]
