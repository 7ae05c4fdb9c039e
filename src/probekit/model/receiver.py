"""What Pyth's programs on Solana keep in their accounts: posted prices, the receiver's configuration, guardian sets, VAAs.

Source: pyth-crosschain ``target_chains/solana`` (``pyth_solana_receiver_sdk``, ``programs/core-bridge``).
"""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from probekit.errors import DecodeError
from probekit.model.feed import FeedId
from probekit.model.price import Price
from probekit.model.pubkey import Pubkey
from probekit.model.verified import PriceMessage
from probekit.units import Instant, format_ns

_NEVER_VALID: Final = (0, 1_628_099_186)
"""Index and creation time of Wormhole's first guardian set, which never got an expiry; the program refuses it by name."""


class ProgramGeneration(StrEnum):
    """Two sets of programs run side by side since the upgrade of 2026, each with its own addresses.

    This is not the trust root: the core programs were upgraded in place and verify the pro root as well, so only the signed
    bytes of an update tell who signed it. Source: Pyth documentation, ``price-feeds/pro/pyth-core-upgrade`` ("Both work").
    """

    CORE = "core"
    """The original programs; integrations kept their addresses."""
    PRO = "pro"
    """The compatible programs, deployed before the upgrade."""


class VerificationLevel(msgspec.Struct, frozen=True, gc=False):
    """How much of an update's VAA the program checked: everything up to its quorum, or only some signatures.

    ``num_signatures`` is ``None`` for full verification.
    """

    num_signatures: int | None = None

    @property
    def is_full(self) -> bool:
        return self.num_signatures is None

    def at_least(self, other: VerificationLevel) -> bool:
        """Full is above every partial level; among those, more signatures are above fewer."""
        if self.num_signatures is None:
            return True
        return other.num_signatures is not None and self.num_signatures >= other.num_signatures

    def __str__(self) -> str:
        return "full" if self.num_signatures is None else f"partial({self.num_signatures})"


FULL: Final = VerificationLevel()


class PriceUpdateAccount(msgspec.Struct, frozen=True, gc=False):
    """The content of a ``PriceUpdateV2`` account: one feed's price as the receiver program took it from a signed update.

    ``posted_slot`` is the Solana slot of the transaction that wrote it.
    """

    write_authority: Pubkey
    level: VerificationLevel
    message: PriceMessage
    posted_slot: int

    @property
    def feed_id(self) -> FeedId:
        return FeedId(self.message.feed_id)

    @property
    def price(self) -> Price:
        return Price(self.message.price, self.message.expo)

    @property
    def conf(self) -> Price:
        return Price(self.message.conf, self.message.expo)

    @property
    def ema_price(self) -> Price:
        return Price(self.message.ema_price, self.message.expo)

    @property
    def ema_conf(self) -> Price:
        return Price(self.message.ema_conf, self.message.expo)

    @property
    def publish_time(self) -> Instant:
        """When the aggregate was published; whole seconds."""
        return Instant.from_seconds(self.message.publish_time)

    @property
    def prev_publish_time(self) -> Instant:
        return Instant.from_seconds(self.message.prev_publish_time)


class PushFeedAccount(msgspec.Struct, frozen=True, gc=False):
    """A price update at a push feed's derived address, read at ``slot`` (the slot of the answer's context)."""

    key: Pubkey
    generation: ProgramGeneration
    shard_id: int
    slot: int
    update: PriceUpdateAccount


class PostedFeeds(msgspec.Struct, frozen=True):
    """The push feeds found in one shard at ``slot``. ``errors`` are accounts of the program that do not decode; updates of
    other shards, and those that live for a transaction only, are left out.
    """

    generation: ProgramGeneration
    shard_id: int
    slot: int
    feeds: dict[FeedId, PushFeedAccount]
    errors: tuple[DecodeError, ...] = ()


class TwapUpdateAccount(msgspec.Struct, frozen=True, gc=False):
    """The content of a ``TwapUpdate`` account: a time-weighted average over ``start_time`` to ``end_time`` (Unix seconds)."""

    write_authority: Pubkey
    feed_id: FeedId
    start_time: int
    end_time: int
    mean_price: int
    mean_conf: int
    expo: int
    down_slots_ppm: int
    """Slots without a price, in parts per million."""

    @property
    def price(self) -> Price:
        return Price(self.mean_price, self.expo)

    @property
    def conf(self) -> Price:
        return Price(self.mean_conf, self.expo)

    @property
    def window(self) -> timedelta:
        """The span averaged over. Raises ``OverflowError`` for one of more than 2.7 million years."""
        return timedelta(seconds=self.end_time - self.start_time)


class DataSource(msgspec.Struct, frozen=True, gc=False):
    """A (Wormhole chain, emitter address) that the receiver takes updates from."""

    chain: int
    emitter: Pubkey


class ReceiverConfig(msgspec.Struct, frozen=True):
    """The receiver program's configuration. ``fee_lamports`` is due for each update posted."""

    governance_authority: Pubkey
    target_governance_authority: Pubkey | None
    """Proposed new authority, until it accepts."""
    wormhole: Pubkey
    """The program whose guardian sets verify."""
    data_sources: tuple[DataSource, ...]
    fee_lamports: int
    minimum_signatures: int
    """The floor for partial verification; full verification needs the set's quorum whatever this says."""


class GuardianSetAccount(msgspec.Struct, frozen=True):
    """A guardian set as the Wormhole program keeps it: 20-byte addresses, times in Unix seconds.

    ``has_discriminator`` tells the account's form: sets installed by the first program version have none.
    """

    index: int
    guardians: tuple[bytes, ...]
    creation_time: int
    expiration_time: int
    """Zero: no end is set."""
    has_discriminator: bool = True

    def is_active(self, at: Instant) -> bool:
        """Whether the program takes signatures of this set at ``at``; the second of the expiry still counts."""
        if (self.index, self.creation_time) == _NEVER_VALID:
            return False
        return self.expiration_time == 0 or self.expiration_time >= at.seconds


class SetInForce(msgspec.Struct, frozen=True):
    """What one generation of programs verifies by, as read at ``slot``: its guardian set, and who may emit updates."""

    guardian_set: GuardianSetAccount
    config: ReceiverConfig
    slot: int


class BridgeConfig(msgspec.Struct, frozen=True, gc=False):
    """The Wormhole program's configuration: which set is in force, and how long the one before stays valid."""

    guardian_set_index: int
    last_lamports: int
    """Fees seen by earlier program versions; unused since."""
    guardian_set_ttl: int
    """Seconds."""
    fee_lamports: int


class VaaStatus(IntEnum):
    """How far an ``EncodedVaa`` account has come; only a verified one means anything."""

    UNSET = 0
    WRITING = 1
    VERIFIED = 2


class EncodedVaaAccount(msgspec.Struct, frozen=True, gc=False):
    """A VAA while it is being written and checked on chain; ``vaa`` is not complete before it is verified."""

    status: VaaStatus
    write_authority: Pubkey
    version: int
    """Zero until verified."""
    vaa: bytes


PushFeedRead = PushFeedAccount | DecodeError | None
"""What reading a push feed's address gave: the account, bytes that are none, or nothing there."""


class FeedMigration(msgspec.Struct, frozen=True):
    """One feed under both generations of programs: which account is fresher, which one a consumer should read, and why."""

    feed_id: FeedId
    core: PushFeedRead
    pro: PushFeedRead
    fresher: ProgramGeneration | None
    """``None`` when neither is ahead of the other."""
    fresher_reason: str
    read: ProgramGeneration | None
    """``None`` when neither is fit to be read."""
    read_reason: str
    fit: tuple[ProgramGeneration, ...] = ()
    """Those whose account the receiver SDK would accept."""

    @property
    def contradicts(self) -> bool:
        """Whether the two give different prices for the same publish time: then one of them is wrong."""
        if not (isinstance(self.core, PushFeedAccount) and isinstance(self.pro, PushFeedAccount)):
            return False
        core, pro = self.core.update, self.pro.update
        if core.message.publish_time != pro.message.publish_time:
            return False
        return (core.price.decimal, core.conf.decimal) != (pro.price.decimal, pro.conf.decimal)

    @classmethod
    def judge(
        cls,
        feed_id: FeedId,
        core: PushFeedRead,
        pro: PushFeedRead,
        *,
        at: Instant,
        max_age: timedelta,
        level: VerificationLevel = FULL,
    ) -> FeedMigration:
        """Compare what both addresses of a feed hold.

        Fit to be read is what the receiver SDK would accept at ``at``: the right feed, verified to ``level``, no older than
        ``max_age``. Where both are fit the answer is the pro account, however the ages differ within ``max_age``: an answer
        that flips with every update would be of no use to anyone.
        """
        problems = {
            ProgramGeneration.CORE: _problem(core, feed_id, at, max_age, level),
            ProgramGeneration.PRO: _problem(pro, feed_id, at, max_age, level),
        }
        fit = [generation for generation, problem in problems.items() if not problem]
        fresher, fresher_reason = _fresher(core, pro)
        told = "; ".join(f"{generation}: {problem}" for generation, problem in problems.items() if problem)
        if len(fit) == 2:
            read, reason = ProgramGeneration.PRO, "both are fit: new readers take pro, those on the core account may stay"
        elif fit:
            read, reason = fit[0], f"the only one fit; {told}"
        else:
            return cls(feed_id, core, pro, fresher, fresher_reason, None, f"neither is fit; {told}")
        return cls(feed_id, core, pro, fresher, fresher_reason, read, reason, tuple(fit))


def _problem(account: PushFeedRead, feed_id: FeedId, at: Instant, max_age: timedelta, level: VerificationLevel) -> str:
    """Why the receiver SDK would not take it; empty when it would."""
    if account is None:
        return "no account"
    if isinstance(account, DecodeError):
        return f"undecodable ({account.message})"
    update = account.update
    if update.message.feed_id != feed_id:
        return f"holds feed {update.feed_id.short}"
    if not update.level.at_least(level):
        return f"verified only {update.level}, {level} wanted"
    # The clock of the chain counts whole seconds, and so does the SDK's comparison.
    if update.message.publish_time + max_age // timedelta(seconds=1) < at.seconds:
        return f"{format_ns(at.since(update.publish_time))} old"
    return ""


def _fresher(core: PushFeedRead, pro: PushFeedRead) -> tuple[ProgramGeneration | None, str]:
    if isinstance(core, PushFeedAccount) and isinstance(pro, PushFeedAccount):
        # A later posting of the same publish time brings nothing new.
        lead = pro.update.message.publish_time - core.update.message.publish_time
        if not lead:
            return None, "the same publish time"
        return ProgramGeneration.PRO if lead > 0 else ProgramGeneration.CORE, f"published {abs(lead)} s later"
    if isinstance(core, PushFeedAccount):
        return ProgramGeneration.CORE, "the pro address has no price"
    if isinstance(pro, PushFeedAccount):
        return ProgramGeneration.PRO, "the core address has no price"
    return None, "neither address has a price"
