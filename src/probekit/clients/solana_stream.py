"""Slots, accounts and logs of a Solana cluster as they happen, over subscriptions that are watched and made whole again.

After every reconnect, and when a slow reader made the queue drop something, what may have been missed is fetched: an account by
a read, transactions by their signatures. Slots that were missed are told as a gap. Methods and messages: Solana RPC reference,
WebSocket methods.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from probekit.clients.solana import SolanaClient
from probekit.clients.solana_recheck import Recheck
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.solana import subscriptions as codec
from probekit.codecs.solana.addresses import SYSTEM_PROGRAM
from probekit.errors import DecodeError, NotServed, ProbekitError
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account, Commitment, LogsEvent, SignatureInfo, SlotInfo
from probekit.transports.rpc import SVM, Call
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.subscription import (
    Connected,
    FeedCounters,
    FeedTally,
    Lost,
    Notice,
    Subscription,
    SubscriptionFeed,
    SubscriptionPolicy,
)
from probekit.transports.socket import Connector
from probekit.units import Instant

__all__ = ["Gap", "Seen", "SolanaStreams", "StreamItem", "Unreadable"]

T = TypeVar("T")

_REMEMBERED: Final = 4_096
_BACKFILL_PAGES: Final = 10
_TOO_SLOW: Final = "dropped: whoever reads the stream is slower than it"


class Seen(msgspec.Struct, Generic[T], frozen=True):
    """One value. ``backfilled``: fetched after a reconnect, not told when it happened."""

    value: T
    endpoint: str
    at: Instant
    backfilled: bool = False


class Gap(msgspec.Struct, frozen=True):
    """Something was missed and cannot be fetched: slots from ``first`` to ``last``, or more transactions than are kept. The
    numbers are slots; ``reason`` says what happened.
    """

    first: int
    last: int
    reason: str


class Unreadable(msgspec.Struct, frozen=True):
    """One message that does not decode, or a backfill that failed. The stream goes on."""

    error: ProbekitError
    endpoint: str
    at: Instant


class _Start(NamedTuple):
    """The newest transaction there was when a stream of them began, if there was any: what comes after it is told."""

    signature: str | None
    slot: int

    @classmethod
    def of(cls, newest: SignatureInfo | None) -> _Start:
        return cls(None, 0) if newest is None else cls(newest.signature, newest.slot)


StreamItem = Seen[T] | Gap | Unreadable | Connected | Lost
"""What a stream gives: values, and what happens to the stream itself."""


class SolanaStreams:
    """Streams of one cluster, over the sockets of ``client``'s endpoints; ``client`` also fetches what was missed.

    A node's socket serves subscriptions and nothing else, so that its chain is proven over HTTP before it is connected to: an
    endpoint's ``url`` and ``ws_url`` must be of one node or one provider. ``silence`` is how long slots may not come before the
    subscription is taken for dead.

    An account may rest for days, and nothing in its silence tells rest from a subscription that alone is dead. With ``recheck``
    what is subscribed to is read again so often, as of a slot that the socket told: one request each time. A subscription that
    does not tell within some slots more what the read showed is dead; its socket is left for the next endpoint's, and
    ``counters.silences`` counts it. Without ``recheck`` such a death is not noticed.

    Needs the extra ``ws`` unless ``connector`` is given.
    """

    def __init__(
        self,
        client: SolanaClient,
        *,
        connector: Connector | None = None,
        policy: SubscriptionPolicy | None = None,
        silence: timedelta = timedelta(seconds=10),
        recheck: timedelta | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if recheck is not None and recheck <= timedelta(0):
            raise ValueError(f"recheck must be above 0, not {recheck}")
        if connector is None:
            from probekit.transports.websocket import WebsocketsConnector

            connector = WebsocketsConnector()
        self._client = client
        self._connector = connector
        self._policy = policy
        self._silence = silence
        self._recheck = recheck
        self._clock = clock
        self._tally = FeedTally()

    @property
    def counters(self) -> FeedCounters:
        """Connections, silences, malformed messages and dropped items of all streams of this object so far."""
        return self._tally.counters

    def _feed(self, *subscriptions: Subscription) -> SubscriptionFeed:
        pool = self._client.pool
        return SubscriptionFeed(
            pool.endpoints,
            subscriptions,
            family=SVM,
            identity=pool.identity,
            connector=self._connector,
            clock=self._clock,
            policy=self._policy,
            prove=pool.prove,
            unfit=pool.unfit,
        )

    async def slots(self) -> AsyncGenerator[StreamItem[SlotInfo], None]:
        """Every slot that a node processes, as told: forks go back. Those missed by a reconnect come as :class:`Gap`."""
        newest: int | None = None
        missed, dropped = "", 0
        feed = self._feed(Subscription("slots", Call("slotSubscribe"), self._silence))
        async with self._tally.items(feed) as items:
            async for item in items:
                if feed.dropped > dropped:
                    missed, dropped = _TOO_SLOW, feed.dropped
                if isinstance(item, Notice):
                    try:
                        slot = codec.decode_slot(result_of(item.result))
                    except DecodeError as error:
                        yield Unreadable(error, item.endpoint, item.at)
                        continue
                    # Within one connection a jump is skipped slots, which the parent tells; after a loss it is ours.
                    if missed and newest is not None and slot.slot > newest + 1:
                        yield Gap(newest + 1, slot.slot - 1, missed)
                    missed = ""
                    newest = slot.slot if newest is None else max(newest, slot.slot)
                    yield Seen(slot, item.endpoint, item.at)
                else:
                    missed = missed or ("not told while the stream was away" if isinstance(item, Lost) else "")
                    yield item

    async def account(
        self, address: Pubkey | str, *, commitment: Commitment = Commitment.CONFIRMED
    ) -> AsyncGenerator[StreamItem[Account], None]:
        """An account, now and at every change. It is read after each (re)connect, and once more as of a slot that the socket
        told after its subscriptions stood, so that no change is missed for longer than the stream was away: the endpoint that
        answered first may have been behind. States older than the newest one told are left out. An account that never was
        tells nothing; one that is gone is told as without lamports and data, owned by the system program.

        A subscription that dies alone, on a socket where slots come, is noticed with ``recheck`` (see the class).
        """
        key = Pubkey(address)
        config = {"encoding": "base64", "commitment": str(commitment)}
        # Silence is normal here; the slots beside it prove that the connection is alive.
        feed = self._feed(
            Subscription("account", Call("accountSubscribe", [str(key), config]), None),
            Subscription("slots", Call("slotSubscribe"), self._silence),
        )
        newest, dropped = -1, 0
        last: Account | None = None
        again = Recheck(self._recheck, commitment, self._clock)
        async with self._tally.items(feed) as items:
            async for item in items:
                too_slow, dropped = feed.dropped > dropped, feed.dropped
                if isinstance(item, Connected):
                    again.connected()
                    yield item
                if isinstance(item, Connected) or too_slow:
                    try:
                        # Not of an endpoint that is behind what was told: the change that was missed would stay so.
                        found = await self._client.account(key, commitment=commitment, min_slot=newest if newest >= 0 else None)
                    except ProbekitError as error:
                        found = None
                        yield Unreadable(error, item.endpoint, self._clock.now())
                    else:
                        found = found or _gone(last, newest + 1)
                    if found is not None and found.slot > newest:
                        newest, last = found.slot, found
                        yield Seen(found, item.endpoint, self._clock.now(), backfilled=True)
                if isinstance(item, Notice):
                    if item.name == "slots":
                        slot = _slot_of(item)
                        if slot is not None and (missed := again.untold(slot)) is not None:
                            feed.abandon(item.connection, "account", f"has not told the state of slot {missed}")
                        if slot is None or (floor := again.due(slot)) is None:
                            continue
                        try:
                            found = await self._client.account(key, commitment=commitment, min_slot=max(floor, newest))
                        except NotServed:
                            continue  # No endpoint is there yet.
                        except ProbekitError as error:
                            yield Unreadable(error, item.endpoint, self._clock.now())
                            continue
                        found = found or _gone(last, max(floor, newest + 1))
                        changed = found is not None and found.slot > newest and not _same(found, last)
                        again.read(found.slot if found is not None and changed else None)
                        if found is not None and changed:
                            newest, last = found.slot, found
                            yield Seen(found, item.endpoint, self._clock.now(), backfilled=True)
                        continue
                    again.told()
                    try:
                        state = codec.decode_account(result_of(item.result), key)
                    except DecodeError as error:
                        yield Unreadable(error, item.endpoint, item.at)
                        continue
                    if state.slot >= newest:
                        newest, last = state.slot, state
                        yield Seen(state, item.endpoint, item.at)
                elif isinstance(item, Lost):
                    yield item

    async def logs(
        self, mentions: Pubkey | str, *, commitment: Commitment = Commitment.CONFIRMED
    ) -> AsyncGenerator[StreamItem[LogsEvent], None]:
        """Transactions that mention an address, each once. Those of the time that the stream was away come after the reconnect,
        oldest first and without their log lines, which signatures do not carry; more than 10,000 of them leave a :class:`Gap`.

        A subscription that dies alone, on a socket where slots come, is noticed with ``recheck`` (see the class): what it has
        not told comes after the reconnect.
        """
        key = Pubkey(mentions)
        params = [{"mentions": [str(key)]}, {"commitment": str(commitment)}]
        feed = self._feed(
            Subscription("logs", Call("logsSubscribe", params), None),
            Subscription("slots", Call("slotSubscribe"), self._silence),
        )
        told: OrderedDict[str, int] = OrderedDict()
        start: _Start | None = None
        dropped = 0
        again = Recheck(self._recheck, commitment, self._clock, as_of_connection=False)
        async with self._tally.items(feed) as items:
            async for item in items:
                too_slow, dropped = feed.dropped > dropped, feed.dropped
                if isinstance(item, Connected):
                    again.connected()
                    yield item
                if (isinstance(item, Connected) or too_slow) and (start or told):
                    async for one in self._missed(key, commitment, told, start, item.endpoint):
                        yield one
                elif isinstance(item, Connected):
                    try:
                        start = _Start.of(await self._newest(key, commitment))
                    except ProbekitError as error:
                        yield Unreadable(error, item.endpoint, self._clock.now())
                if isinstance(item, Notice):
                    if item.name == "slots":
                        slot = _slot_of(item)
                        if slot is not None and (missed := again.untold(slot)) is not None:
                            feed.abandon(item.connection, "logs", f"has not told a transaction of slot {missed}")
                        if slot is None or (floor := again.due(slot)) is None:
                            continue
                        try:
                            newest = await self._newest(key, commitment, floor)
                        except NotServed:
                            continue  # No endpoint is there yet.
                        except ProbekitError as error:
                            yield Unreadable(error, item.endpoint, self._clock.now())
                            continue
                        if start is None and not told:
                            start = _Start.of(newest)  # It could not be read when the stream began.
                        known = newest is None or newest.signature in told or (start and newest.signature == start.signature)
                        again.read(None if newest is None or known else newest.slot)
                        continue
                    again.told()
                    try:
                        event = codec.decode_logs(result_of(item.result))
                    except DecodeError as error:
                        yield Unreadable(error, item.endpoint, item.at)
                        continue
                    if _first_time(told, event.signature, event.slot):
                        yield Seen(event, item.endpoint, item.at)
                elif isinstance(item, Lost):
                    yield item

    async def _newest(self, key: Pubkey, commitment: Commitment, floor: int | None = None) -> SignatureInfo | None:
        least = _confirmed(commitment)
        for row in await self._client.signatures_for(key, limit=1, commitment=least, min_slot=floor):
            if isinstance(row, DecodeError):
                raise row
            return row
        return None

    async def _missed(
        self, key: Pubkey, commitment: Commitment, told: OrderedDict[str, int], start: _Start | None, endpoint: str
    ) -> AsyncGenerator[StreamItem[LogsEvent], None]:
        """The transactions since the last one told, oldest first; all there are where there was none when the stream began."""
        until, last_slot = next(reversed(told.items()), start or _Start(None, 0))
        rows: list[SignatureInfo] = []
        before: str | None = None
        for _ in range(_BACKFILL_PAGES):
            try:
                page = await self._client.signatures_for(key, before=before, until=until, commitment=_confirmed(commitment))
            except ProbekitError as error:
                yield Unreadable(error, endpoint, self._clock.now())
                return
            readable: list[SignatureInfo] = []
            for row in page:
                if isinstance(row, DecodeError):
                    yield Unreadable(row, endpoint, self._clock.now())
                else:
                    readable.append(row)
            rows += readable
            if len(page) < 1000 or not readable:
                break
            before = readable[-1].signature
        else:
            yield Gap(last_slot, rows[-1].slot, f"more than {len(rows)} transactions while the stream was away")
        for row in reversed(rows):
            if _first_time(told, row.signature, row.slot):
                event = LogsEvent(row.signature, row.slot, (), row.error)
                yield Seen(event, endpoint, self._clock.now(), backfilled=True)


def _slot_of(notice: Notice) -> int | None:
    try:
        return codec.decode_slot(result_of(notice.result)).slot
    except DecodeError:
        return None


def _confirmed(commitment: Commitment) -> Commitment:
    """Signatures of an address are told of confirmed blocks at the earliest."""
    return Commitment.CONFIRMED if commitment is Commitment.PROCESSED else commitment


def _gone(told: Account | None, slot: int) -> Account | None:
    """An account that was told and is there no more, as a subscription tells it; ``None`` where that is nothing new."""
    if told is None or not (told.lamports or told.data):
        return None
    return Account(told.key, SYSTEM_PROGRAM, 0, b"", False, slot)


def _same(found: Account, told: Account | None) -> bool:
    """Whether it is the state that was told, whenever it was read."""
    return told is not None and (found.owner, found.lamports, found.data) == (told.owner, told.lamports, told.data)


def _first_time(told: OrderedDict[str, int], signature: str, slot: int) -> bool:
    if signature in told:
        return False
    told[signature] = slot
    if len(told) > _REMEMBERED:
        told.popitem(last=False)
    return True
