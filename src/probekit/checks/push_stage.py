"""At which stage on its way from the source to a chain does a feed stand still?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from probekit.model import Measure, Observation, Status, Verdict
from probekit.model.chain_feed import PushedFeed, PusherState
from probekit.model.spell import began
from probekit.units import Bps, Instant, format_ns, to_ns


class PushMemory(msgspec.Struct, frozen=True):
    """Since when the price has been far enough off to be pushed, and since when nobody could judge that; ``None`` while neither
    is so.
    """

    off_since: Instant | None = None
    blind: Instant | None = None


class _Sums(msgspec.Struct, frozen=True):
    """What the conclusion rests on: spans in ns against their limits, and the words for all of it."""

    source_age_ns: int
    gap_ns: int | None
    head_age_ns: int
    words: str


@dataclass(frozen=True, slots=True)
class PushStage:
    """Fold over a feed on a chain with its source and its pusher: names the stage at fault, with the sums.

    An update is due when the source is ``heartbeat`` newer than the chain's price, or ``max_deviation`` away, and overdue once
    ``lands_within`` has passed on top. The first that holds is told:

    - UNKNOWN ``source_behind``: the chain's price is newer than the source's by more than ``lands_within``;
    - CRITICAL ``source_idle``: the source's newest price is older than ``max_source_age``: nobody can push;
    - nothing is overdue: OK ``keeping_up``, ``landing`` (due, not overdue), or ``pushed_by_others``: lately only
      transactions of other wallets stored this feed;
    - UNKNOWN ``rpc_lagging``: the newest block is older than ``max_head_age``, so that what is stored may be newer;
    - CRITICAL ``wallet_empty``: the pusher has less than ``min_balance``, in the base units of its chain (wei, lamports);
    - CRITICAL ``transaction_failing``: what it sent since it last stored a price failed, or gets into no block;
    - CRITICAL ``never_pushed``, or ``pusher_behind``: it sends nothing, other feeds, or what is no newer; or nobody said who
      pushes.

    Market hours are those of the other checks of feeds. How long the price has been off begins anew where that could not be
    judged, was not seen, or was seen at an old head alone, for longer than ``lands_within``. The state is two instants. Where
    nothing bounds this clock's error, or by more than a third of a limit of age: UNKNOWN ``clock``.
    """

    heartbeat: timedelta
    max_deviation: Bps | None = None
    lands_within: timedelta = timedelta(seconds=60)
    max_source_age: timedelta = timedelta(seconds=60)
    max_head_age: timedelta = timedelta(seconds=60)
    min_balance: int = 10**16
    open_grace: timedelta = timedelta(minutes=5)
    name: ClassVar[str] = "push_stage"

    def __post_init__(self) -> None:
        if min(self.heartbeat, self.max_source_age, self.max_head_age) <= timedelta(0):
            raise ValueError("heartbeat, max_source_age and max_head_age must be positive")
        if min(self.lands_within, self.open_grace) < timedelta(0) or self.min_balance < 0:
            raise ValueError("lands_within, open_grace and min_balance must not be negative")
        if self.max_deviation is not None and self.max_deviation.value <= 0:
            raise ValueError(f"max_deviation must be positive, not {self.max_deviation}")

    def init(self) -> PushMemory:
        return PushMemory()

    def step(
        self, state: PushMemory, observation: Observation[PushedFeed] | None, *, now: Instant
    ) -> tuple[PushMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "nothing new was seen")
        return (state := self._after(state, observation.value, now)), self._judge(observation, state, now)

    def unseen(self, state: PushMemory, *, now: Instant) -> PushMemory:
        """The state after a tick that could not be judged."""
        return PushMemory(state.off_since, state.blind or now)

    def _after(self, state: PushMemory, seen: PushedFeed, now: Instant) -> PushMemory:
        off = self._deviates(seen)
        # Not knowing the price neither ends a deviation nor begins one.
        if off is None:
            return self.unseen(state, now=now)
        if not off:
            return PushMemory()
        if now.since(seen.head.time) > to_ns(self.max_head_age):
            return self.unseen(PushMemory(state.off_since or now, state.blind), now=now)
        return PushMemory(began(state.off_since, state.blind, now=now, forget_ns=to_ns(self.lands_within)))

    def _judge(self, observation: Observation[PushedFeed], state: PushMemory, now: Instant) -> Verdict:
        seen, feed, error_ns = observation.value, observation.feed, observation.clock_error_ns
        limit_ns, lands_ns = to_ns(self.heartbeat + self.lands_within), to_ns(self.lands_within)
        if seen.source is None:
            why = seen.source_problem or "none was asked"
            return Verdict(self.name, Status.UNKNOWN, "no_source", f"no price of the source: {why}")
        sums = self._sums(seen, state, now)
        gap_ns = sums.gap_ns

        def verdict(status: Status, reason: str, message: str) -> Verdict:
            measures = () if gap_ns is None else (Measure("feed.source_lag", gap_ns, "ns"),)
            words = f"{message}. {sums.words}"
            return Verdict(self.name, status, reason, words, gap_ns, limit_ns, "ns", measures=measures)

        if feed is not None and feed.hours_error is not None:
            return verdict(Status.UNKNOWN, "schedule_unreadable", f"the market schedule does not parse: {feed.hours_error}")
        session = None if feed is None or feed.hours is None else feed.hours.session(now)
        if session is not None and not session.open:
            return verdict(Status.SKIPPED, "market_closed", "the market is closed")
        source_ns, head_ns = to_ns(self.max_source_age), to_ns(self.max_head_age)
        if error_ns is None or error_ns * 3 > min(source_ns, head_ns):
            bound = (
                "nothing bounds this clock's error" if error_ns is None else f"this clock may be off by {format_ns(error_ns)}"
            )
            return verdict(Status.UNKNOWN, "clock", f"{bound}: too much for the ages here")
        if gap_ns is not None and -gap_ns > lands_ns:
            return verdict(Status.UNKNOWN, "source_behind", "the chain's price is newer than the source's")
        idle = sums.source_age_ns > source_ns
        overdue = gap_ns is None or gap_ns > limit_ns or self._off_for_ns(state, now) > lands_ns
        opened_ns = None if session is None or session.since is None else now.since(session.since)
        if (idle or overdue) and opened_ns is not None and opened_ns <= to_ns(self.open_grace):
            return verdict(Status.SKIPPED, "market_opening", f"the market opened {format_ns(opened_ns)} ago")
        if idle and feed is not None and not feed.described:
            return verdict(Status.UNKNOWN, "schedule_unknown", "the source is old, and its market may be closed")
        if idle:
            return verdict(Status.CRITICAL, "source_idle", "the source publishes nothing new, so nobody can push it")
        pusher = seen.pusher
        if not overdue:
            if gap_ns is not None and (gap_ns >= to_ns(self.heartbeat) or state.off_since is not None):
                return verdict(Status.OK, "landing", "an update is due, and has time to land")
            if pusher is not None and pusher.others and not pusher.landed_here:
                return verdict(Status.OK, "pushed_by_others", "somebody else pushes it, which is as good")
            return verdict(Status.OK, "keeping_up", "the chain follows its source")
        if sums.head_age_ns > head_ns:
            return verdict(Status.UNKNOWN, "rpc_lagging", "the chain stands still, or its endpoints lag: newer may be stored")
        if pusher is not None:
            if pusher.balance < self.min_balance:
                return verdict(Status.CRITICAL, "wallet_empty", "the pusher cannot pay")
            if pusher.unlanded and pusher.failed:
                return verdict(Status.CRITICAL, "transaction_failing", f"the pusher's transactions fail: {pusher.last}")
            if pusher.waiting and not pusher.sent:
                return verdict(Status.CRITICAL, "transaction_failing", "the pusher's transactions wait and get into no block")
        behind = self._behind(pusher, seen.pusher_problem)
        if seen.stored is None:
            return verdict(Status.CRITICAL, "never_pushed", f"nobody has pushed it to this chain; {behind}")
        return verdict(Status.CRITICAL, "pusher_behind", behind)

    @staticmethod
    def _behind(pusher: PusherState | None, problem: str) -> str:
        if pusher is None:
            return f"its pusher could not be looked at: {problem}" if problem else "no pusher was named, so no more can be told"
        if pusher.unlanded:
            return f"the pusher sends what stores nothing: {pusher.last}"
        if pusher.landed_here:
            return "the pusher has sent nothing since it last updated this feed"
        if pusher.landed:
            return "the pusher updates other feeds and not this one"
        return "the pusher sends nothing"

    def _deviates(self, seen: PushedFeed) -> bool | None:
        """Whether it is far enough off to be pushed; ``None`` where that cannot be told."""
        if self.max_deviation is None or seen.stored is None or seen.source is None:
            return None
        try:
            return seen.stored.price.deviation(seen.source.price) >= self.max_deviation
        except (ValueError, ZeroDivisionError):
            return None

    @staticmethod
    def _off_for_ns(state: PushMemory, now: Instant) -> int:
        return 0 if state.off_since is None else now.since(state.off_since)

    def _sums(self, seen: PushedFeed, state: PushMemory, now: Instant) -> _Sums:
        assert seen.source is not None
        age_ns, head_age_ns = now.since(seen.source.publish_time), now.since(seen.head.time)
        lands = format_ns(to_ns(self.lands_within))
        told = [f"source {format_ns(age_ns)} old, limit {format_ns(to_ns(self.max_source_age))}"]
        gap_ns = None
        if seen.stored is None:
            told.append("nothing stored")
        else:
            gap_ns = seen.source.publish_time.since(seen.stored.publish_time)
            told.append(
                f"stored {format_ns(gap_ns)} behind it, heartbeat {format_ns(to_ns(self.heartbeat))} and {lands} to land"
            )
            if self.max_deviation is not None and seen.source.price.mantissa:
                off = f", so for {format_ns(self._off_for_ns(state, now))}" if state.off_since is not None else ""
                told.append(f"{self._distance(seen)} off, pushed at {self.max_deviation}{off}")
        told.append(f"head {seen.head.number} {format_ns(head_age_ns)} old, limit {format_ns(to_ns(self.max_head_age))}")
        if (pusher := seen.pusher) is not None:
            told.append(f"wallet {pusher.wallet} has {pusher.balance} {pusher.unit}, needs {self.min_balance}")
            # On Solana an account shows its last posting alone.
            of, least = ("block", "") if pusher.unit == "wei" else ("slot", "at least ")
            told.append(
                f"since {of} {pusher.first_block} it sent {pusher.sent}, of which {least}{pusher.landed} stored prices and "
                f"{pusher.landed_here} this one, {pusher.unlanded} since then stored nothing; {pusher.waiting} wait; "
                f"others stored this one {pusher.others} times"
            )
            if pusher.unreadable:
                told.append(f"{pusher.unreadable} events of these blocks do not read and are not counted")
        return _Sums(age_ns, gap_ns, head_age_ns, "; ".join(told))

    @staticmethod
    def _distance(seen: PushedFeed) -> str:
        assert seen.stored is not None
        assert seen.source is not None
        try:
            return f"{seen.stored.price.deviation(seen.source.price).value:.2f}bps"
        except ValueError as error:
            return str(error)
