"""Every account of the oracle program but the price account, and the messages that validators leave for Hermes.

Source: pyth-client ``program/rust/src/accounts`` (``mapping.rs``, ``product.rs``, ``permission.rs``); pyth-crosschain Hermes
``network/pythnet.rs`` for the messages.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from probekit.model.pubkey import Pubkey


class AccountType(IntEnum):
    """The third word of every account of the program."""

    MAPPING = 1
    PRODUCT = 2
    PRICE = 3
    TEST = 4
    PERMISSIONS = 5


class AccountHeader(msgspec.Struct, frozen=True, gc=False):
    """The first 16 bytes. ``size`` is how many bytes are populated, which may be fewer than the account has."""

    version: int
    type: AccountType
    size: int


class MappingAccount(msgspec.Struct, frozen=True):
    """One page of the list of products. ``next_mapping`` is the page after it."""

    products: tuple[Pubkey, ...] = ()
    next_mapping: Pubkey | None = None
    skipped: int = 0
    """Null keys found in the list; they name no product."""
    version: int = 2

    @property
    def num_products(self) -> int:
        """Entries in the list, null keys included."""
        return len(self.products) + self.skipped


class ProductAccount(msgspec.Struct, frozen=True):
    """What is priced: open attributes (``symbol``, ``asset_type``, ``schedule``, ...) and the first of its price accounts.

    Without a ``first_price`` there is no feed, and Hermes lists none.
    """

    attributes: dict[str, str] = {}
    first_price: Pubkey | None = None
    version: int = 2

    @property
    def symbol(self) -> str:
        """The ``symbol`` attribute; empty where there is none."""
        return self.attributes.get("symbol", "")


class PermissionsAccount(msgspec.Struct, frozen=True, gc=False):
    """Who may administer the program. ``last_feed_index`` is ``None`` in accounts made before feeds had an index."""

    master_authority: Pubkey
    data_curation_authority: Pubkey
    security_authority: Pubkey
    last_feed_index: int | None = None
    version: int = 2


class AccumulatorMessages(msgspec.Struct, frozen=True):
    """Every message of one slot, as a Pythnet validator leaves them for Hermes to prove; raw, in the tree's order."""

    slot: int
    ring_size: int
    messages: tuple[bytes, ...]

    @property
    def ring_index(self) -> int:
        """Which of the ring's accounts holds this slot."""
        return self.slot % self.ring_size
