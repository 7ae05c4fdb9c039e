"""A price update's way from its publishers to the chains, stage by stage; and the events of which it is put together.

What is joined is joined by feed id, publish time, slot and content. Every stage says whose clock its time is of. A bound of
error is of what can be known here: the stamp's resolution, and for the local clock its own error. How far a foreign clock is
off from true time cannot be seen from here, so that a difference of two clocks may be negative: it is kept as it is.

A canary's transaction has a journey too, from the update that was fetched, or the transaction that was built, to the block. Its
stages are timed here, by one monotonic clock, and each may fail.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from probekit.model.verified import TrustRoot
from probekit.units import NS_PER_S, Instant

StageName = Literal[
    "published",
    "aggregated",
    "attested",
    "proven",
    "served",
    "arrived",
    "landed",
    "fetched",
    "built",
    "simulated",
    "signed",
    "sent",
    "included",
    "readable",
    "processed",
    "confirmed",
    "finalized",
]
"""In the order of the pipeline. ``landed`` is once per chain, beside ``arrived``: a pusher does not wait for us.

From ``fetched`` on they are a canary's.
"""

StageClock = Literal["publisher", "pythnet_slot", "pro_slot", "guardians", "signers", "hermes", "local", "chain_block"]

_SECOND: Final = NS_PER_S
"""Resolution of a stamp in whole seconds, which are rounded down."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a journey. ``at`` is ``None`` where nothing tells its time; ``reason`` then says why.

    ``elapsed_ns`` is from the stage ``since``, the nearest one before it that has a time: signed, across two clocks.
    """

    name: StageName
    clock: StageClock
    chain: str = ""
    """Where it landed; empty for every other stage."""
    at: Instant | None = None
    error_ns: int | None = None
    """Bound of the error of ``at`` as far as it can be known; ``None`` where nothing bounds it."""
    since: StageName | None = None
    elapsed_ns: int | None = None
    elapsed_error_ns: int | None = None
    """Sum of the two errors."""
    reason: str = ""
    slot: int | None = None
    sequence: int | None = None
    block: int | None = None
    """Number of the block on an EVM chain; on Solana the slot of the transaction."""
    block_hash: str = ""
    transaction: str = ""
    log_index: int | None = None
    failed: bool = False
    """Of a canary: it ended at ``at``, badly, with ``reason``."""
    gas_used: int | None = None
    """Of a transaction; on Solana compute units."""
    gas_price: int | None = None
    """Wei for each gas, as it was charged in the block."""
    paid: int | None = None
    """What the transaction took in all, in the chain's smallest unit."""

    @property
    def backwards(self) -> bool:
        """Whether its clock read less than that of the stage before."""
        return self.elapsed_ns is not None and self.elapsed_ns < 0

    @property
    def explained(self) -> bool:
        """Whether a backward step is within what the two clocks are known to be off."""
        error_ns = self.elapsed_error_ns
        return not self.backwards or (error_ns is not None and self.elapsed_ns is not None and -self.elapsed_ns <= error_ns)


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One update's stages, told once. ``id`` has 32 hex digits: also the trace's id. ``feed_id`` is the target's id where it is
    a canary's; one that brings no price has no ``publish_time``.
    """

    id: str
    feed_id: str
    publish_time: Instant | None
    slot: int | None
    root: TrustRoot | None
    stages: tuple[Stage, ...]
    told_at: Instant
    overdue: bool
    """Told because its time was up, or its place was needed, before it had landed everywhere."""

    @property
    def missing(self) -> tuple[Stage, ...]:
        """The stages that did not come about: without a time, or failed."""
        return tuple(stage for stage in self.stages if stage.at is None or stage.failed)

    def stage(self, name: StageName, chain: str = "") -> Stage:
        """One of the stages. Raises ``LookupError``."""
        for stage in self.stages:
            if stage.name == name and stage.chain == chain:
                return stage
        raise LookupError(f"no stage {name} {chain}".rstrip())


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """An update that came over the stream, with all it says of the stages before. ``price`` and ``conf`` are mantissas.

    ``root``, ``sequence`` and ``vaa_time`` are of signed bytes that verified; where they did not, ``unproven`` names the error.
    """

    feed_id: str
    publish_time_s: int
    price: int
    conf: int
    slot: int | None = None
    root: TrustRoot | None = None
    sequence: int | None = None
    vaa_time: Instant | None = None
    unproven: str = ""
    proven_at: Instant | None = None
    received_at: Instant
    clock_error_ns: int | None = 0

    def __post_init__(self) -> None:
        if type(self.feed_id) is not str:
            # A FeedId is text of a class of its own, which no encoder knows.
            msgspec.structs.force_setattr(self, "feed_id", str(self.feed_id))

    @property
    def content(self) -> tuple[int, int, int]:
        """What a chain tells of it: neither slot nor sequence."""
        return (self.publish_time_s, self.price, self.conf)

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What it is told apart by."""
        return (self.publish_time_s, -1 if self.slot is None else self.slot, self.price, self.conf)


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A price that a chain took. ``block`` is the block's number, or Solana's slot."""

    publish_time_s: int
    price: int
    conf: int
    block: int
    at: Instant
    clock: StageClock = "chain_block"
    error_ns: int | None = _SECOND
    block_hash: str = ""
    transaction: str = ""
    log_index: int | None = None

    @property
    def content(self) -> tuple[int, int, int]:
        return (self.publish_time_s, self.price, self.conf)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain holds of one feed in blocks ``first`` to ``last``, in place of all that was told of these blocks before: a
    reorganisation is a look that no longer shows what an earlier one did. ``first`` above ``last`` shows no block.

    ``whole`` tells that nothing was overwritten between two looks: true of logs, not of an account.
    """

    chain: str
    first: int
    last: int
    at: Instant
    landings: tuple[Landing, ...] = ()
    whole: bool = True


class Blind(msgspec.Struct, frozen=True):
    """A chain could not be looked at; ``reason`` is a word. The next look without a gap makes up for it."""

    chain: str
    at: Instant
    reason: str


JourneyEvent = Arrival | Look | Blind


class StageTime(msgspec.Struct, frozen=True, gc=False):
    """How long one stage took, in ns: signed, with the bound of its error (``None``: nothing bounds it)."""

    stage: StageName
    elapsed_ns: int
    error_ns: int | None


class JourneyProgress(msgspec.Struct, frozen=True):
    """What is new of a feed, or of a feed on one chain, as checks judge it.

    The publish times are of one clock: ``first`` and ``newest`` of what the source brought since it is watched, ``landed`` the
    newest that the chain took in that time.
    """

    times: tuple[StageTime, ...] = ()
    first_publish_time: Instant | None = None
    newest_publish_time: Instant | None = None
    landed_publish_time: Instant | None = None
    chain: str = ""


def stages_of(arrival: Arrival) -> tuple[Stage, ...]:
    """The stages from the publishers to here."""
    slot, root = arrival.slot, arrival.root
    pro = root is TrustRoot.PRO
    aggregated = Stage(name="aggregated", clock="pro_slot" if pro else "pythnet_slot", slot=slot)
    if slot is None:
        aggregated = msgspec.structs.replace(aggregated, reason="no_slot")
    elif root is None:
        aggregated = msgspec.structs.replace(aggregated, reason=arrival.unproven or "unproven")
    elif pro:
        # The pro root counts slots in ticks of Unix time; Pythnet's have no time of their own.
        tick_ns = root.slot_ns
        aggregated = msgspec.structs.replace(aggregated, at=Instant(slot * tick_ns), error_ns=tick_ns)
    else:
        aggregated = msgspec.structs.replace(aggregated, reason="slot_without_time")
    proven = arrival.proven_at
    return _timed(
        (
            Stage(
                name="published",
                clock="publisher",
                at=Instant.from_seconds(arrival.publish_time_s),
                error_ns=_SECOND,
            ),
            aggregated,
            Stage(
                name="attested",
                clock="signers" if pro else "guardians",
                at=arrival.vaa_time,
                error_ns=None if arrival.vaa_time is None else _SECOND,
                reason="" if arrival.vaa_time is not None else arrival.unproven or "unproven",
                slot=slot,
                sequence=arrival.sequence,
            ),
            Stage(
                name="proven",
                clock="hermes",
                at=proven,
                error_ns=None if proven is None else _SECOND,
                reason="" if proven is not None else "not_told",
            ),
            Stage(name="served", clock="hermes", reason="not_stamped"),
            Stage(name="arrived", clock="local", at=arrival.received_at, error_ns=arrival.clock_error_ns),
        )
    )


def landed_after(stages: tuple[Stage, ...], landing: Landing, chain: str) -> Stage:
    """The stage of a landing, counted from what Hermes proved: a pusher reads there, not here."""
    stage = Stage(
        name="landed",
        clock=landing.clock,
        chain=chain,
        at=landing.at,
        error_ns=landing.error_ns,
        block=landing.block,
        block_hash=landing.block_hash,
        transaction=landing.transaction,
        log_index=landing.log_index,
    )
    return _timed((*(one for one in stages if one.name != "arrived"), stage))[-1]


def times_of(stages: tuple[Stage, ...]) -> tuple[StageTime, ...]:
    """The durations that are known."""
    return tuple(
        StageTime(stage.name, stage.elapsed_ns, stage.elapsed_error_ns) for stage in stages if stage.elapsed_ns is not None
    )


def _timed(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Each stage with its duration since the nearest one before it that has a time."""
    before: Stage | None = None
    timed: list[Stage] = []
    for stage in stages:
        if stage.at is not None and before is not None and before.at is not None:
            known = stage.error_ns is not None and before.error_ns is not None
            stage = msgspec.structs.replace(
                stage,
                since=before.name,
                elapsed_ns=stage.at.since(before.at),
                elapsed_error_ns=(stage.error_ns or 0) + (before.error_ns or 0) if known else None,
            )
        if stage.at is not None:
            before = stage
        timed.append(stage)
    return tuple(timed)
