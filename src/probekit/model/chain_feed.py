"""A feed on the chain where it is read, beside the source it is pushed from: what probes of chains observe and checks judge."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from probekit.model.price import Price, PriceUpdate
from probekit.model.receiver import FeedMigration, ProgramGeneration, VerificationLevel
from probekit.units import Instant, to_ns


class ChainHead(msgspec.Struct, frozen=True, gc=False):
    """The newest block or slot that was read, and what the chain's own clock said there (whole seconds)."""

    number: int
    time: Instant

    def doubt(self, max_age: timedelta, clock_error_ns: int | None, *, now: Instant) -> Literal["", "clock", "old"]:
        """Why it may be that newer is stored than is shown at this head: it is older than ``max_age``, or the error of this
        clock is above a third of that, or not known.
        """
        limit_ns = to_ns(max_age)
        if clock_error_ns is None or clock_error_ns * 3 > limit_ns:
            return "clock"
        return "old" if now.since(self.time) > limit_ns else ""


class EndpointStanding(msgspec.Struct, frozen=True, gc=False):
    """What a pool thinks of one endpoint: ``alive``, or another state with its reason; ``unseen`` before it told its head."""

    label: str
    state: str
    reason: str = ""


class ChainState(msgspec.Struct, frozen=True):
    """A chain as seen through its endpoints in one tick."""

    head: ChainHead
    endpoints: tuple[EndpointStanding, ...] = ()


class PublishedPrice(msgspec.Struct, frozen=True, gc=False):
    """A price with its publish time in whole Unix seconds: a source's newest, or what a chain keeps for its consumers."""

    price: Price
    conf: Price
    publish_time_s: int

    @property
    def publish_time(self) -> Instant:
        return Instant.from_seconds(self.publish_time_s)

    @classmethod
    def of(cls, update: PriceUpdate) -> PublishedPrice:
        """From an update of Hermes."""
        return cls(update.price, update.conf, update.point.publish_time)


class ChainFeed(msgspec.Struct, frozen=True, kw_only=True):
    """One feed on one chain at ``head``, beside its source.

    ``stored`` is ``None`` where nobody has ever pushed it, ``absent`` the chain's own words for that. ``valid_period_s`` is the
    age up to which the contract itself calls a price valid; ``None`` where it names none. ``source`` is ``None`` without one;
    ``source_problem`` then says why, and is empty where none was asked.
    """

    head: ChainHead
    stored: PublishedPrice | None
    absent: str = ""
    valid_period_s: int | None = None
    source: PublishedPrice | None = None
    source_problem: str = ""


class PusherState(msgspec.Struct, frozen=True):
    """A pusher's wallet on one chain, over the blocks (slots on Solana) from ``first_block`` to the head, as far as one feed is
    concerned. ``balance`` is in base units, which ``unit`` names.

    ``sent`` transactions of the wallet are in those blocks; ``landed`` of them stored a price of any watched feed,
    ``landed_here`` of this one; ``unlanded`` came after the last that did and stored nothing. ``others`` transactions of other
    wallets stored this feed. ``waiting`` are in no block yet. ``last`` is what became of the newest unlanded one, ``failed``
    that it did not succeed, or that nobody can tell. ``unreadable`` events of these blocks do not decode: whose they are, and
    whether they stored this feed, is not counted.
    """

    wallet: str
    balance: int
    first_block: int
    sent: int
    waiting: int
    landed: int
    landed_here: int
    others: int
    unlanded: int = 0
    failed: bool = False
    last: str = ""
    unreadable: int = 0
    unit: Literal["wei", "lamports"] = "wei"


class PushedFeed(ChainFeed, frozen=True, kw_only=True):
    """One feed on one chain with who pushes it. ``pusher`` is ``None`` where none was named, or ``pusher_problem`` says why."""

    pusher: PusherState | None = None
    pusher_problem: str = ""


class ReceiverFeed(ChainFeed, frozen=True, kw_only=True):
    """A push feed of Pyth's receiver on Solana at the slot of ``head``.

    ``stored``, ``level`` and ``posted_slot`` are those of the account under the programs of ``generation``; ``migration`` is
    what both generations hold, and which of them to read.
    """

    generation: ProgramGeneration
    migration: FeedMigration
    level: VerificationLevel | None = None
    posted_slot: int | None = None
