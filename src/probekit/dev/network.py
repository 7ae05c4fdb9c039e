"""What every endpoint of a sandbox shares: feeds, prices, signers, and each slot's signed tree."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.keccak import keccak256
from probekit.dev.faults import ContentFault, Fault, FeedFault, Injected, StaleFeed, WideConfidence
from probekit.dev.prices import Market, markets, message_at
from probekit.model import FeedId, Message, PriceMessage, StakeCap, StakeCapsMessage, TrustRoot
from probekit.trust import CORE_EMITTER, PRO_EMITTER, Emitter, Trust
from probekit.trust.signing import SignedSlot, SigningSet, sign_slot
from probekit.units import NS_PER_S, Instant, to_ns

HISTORY_NS: Final = 640 * NS_PER_S
"""What Hermes keeps: 1600 slots."""
_KEPT_MESSAGES: Final = 65_536
_CAPS_EVERY_NS: Final = 3600 * NS_PER_S
_PUBLISHERS: Final = 12


@dataclass(slots=True)
class _Window:
    """A fault of content, from the slot it came until the slot it went."""

    fault: ContentFault
    from_ns: int
    until_ns: int | None = None

    def covers(self, published_ns: int) -> bool:
        return self.from_ns <= published_ns and (self.until_ns is None or published_ns < self.until_ns)


@dataclass(frozen=True, slots=True)
class Slot:
    """One published slot: its messages in the order of the network's markets, and the tree over them (stake caps last)."""

    published_ns: int
    messages: tuple[PriceMessage, ...]
    signed: SignedSlot


class SandboxNetwork:
    """A price network on its own signer sets of either root, and on nothing but (seed, clock): two of the same are equal.

    Slots follow the root's own count: 400 ms on the core root, 50 ms ticks of Unix time on the pro root, of which every eighth
    is published unless ``publish_every`` says otherwise. Set 1 of the root signs, set 0 has expired; the other root's exists
    for the fault that confuses the two. ``attested_after`` and ``proven_after`` may be set at any time: how much later
    than a slot its VAA is dated, and than that the proof; of slots that are not signed yet. ``feeds`` are made
    (:func:`~probekit.dev.prices.markets`), ``extra`` are the caller's.
    """

    def __init__(
        self,
        *,
        root: TrustRoot = TrustRoot.PRO,
        feeds: int = 16,
        extra: tuple[Market, ...] = (),
        seed: int = 1,
        clock: Clock = SYSTEM_CLOCK,
        publish_every: timedelta = timedelta(milliseconds=400),
    ) -> None:
        self.root = root
        self.seed = seed
        self.clock = clock
        self.markets = (*markets(feeds), *extra)
        self.index = {str(market.feed.id): number for number, market in enumerate(self.markets)}
        if len(self.index) != len(self.markets):
            raise ValueError("two of the sandbox's feeds have the same id")
        self.every_ns = to_ns(publish_every)
        if self.every_ns <= 0 or self.every_ns % root.slot_ns:
            raise ValueError(f"publish_every must be a multiple of the {root} root's slot, {root.slot_ns // 1_000_000} ms")
        material = f"probekit sandbox {seed}".encode()
        other = TrustRoot.CORE if root is TrustRoot.PRO else TrustRoot.PRO
        self.signing = SigningSet.generate(root, 1, material)
        self.expired = SigningSet.generate(root, 0, material)
        self.other_root = SigningSet.generate(other, 1, material)
        gone = replace(self.expired.signer_set(), expires_at=clock.now().plus(-timedelta(hours=1)))
        self._trust = Trust((self.signing.signer_set(), gone, self.other_root.signer_set()), (CORE_EMITTER, PRO_EMITTER))
        self._publishers = tuple(sorted(keccak256(material + f"/publisher/{n}".encode()).hex() for n in range(_PUBLISHERS)))
        self.attested_after = timedelta(0)
        self.proven_after = timedelta(0)
        self._windows: dict[str, list[_Window]] = {}
        self._injected: list[Injected] = []
        self._numbers = itertools.count(1)
        self._slots: OrderedDict[int, Slot] = OrderedDict()
        self._kept = max(8, min(128, _KEPT_MESSAGES // len(self.markets)))
        self._newest_ns = 0

    @property
    def trust(self) -> Trust:
        """The trust that verifies all that is in order here, always the same object.

        It holds the other root's set too, so that signatures of the one under the emitter of the other are ``WrongRoot``; its
        own expired set ended an hour before the network began. ``trust.only(network.root)`` is the trust in this root alone.
        """
        return self._trust

    # -- feeds ---------------------------------------------------------------------------------------------------------------

    def market(self, feed: str) -> Market:
        """A feed by its id or symbol. Raises ``LookupError``."""
        return self.markets[self._number(feed)]

    def _number(self, feed: str) -> int:
        try:
            number = self.index.get(FeedId(feed))
        except ValueError:
            number = next((n for n, one in enumerate(self.markets) if one.feed.symbol == feed), None)
        if number is None:
            raise LookupError(f"the sandbox has no feed {feed[:80]!r}")
        return number

    # -- slots ---------------------------------------------------------------------------------------------------------------

    def published_ns(self, at: Instant) -> int:
        """When the newest slot at ``at`` was published, in ns since the epoch."""
        return at.ns // self.every_ns * self.every_ns

    def slot_of(self, published_ns: int) -> int:
        """The slot number of a publication."""
        return published_ns // self.root.slot_ns

    def slot(self, published_ns: int) -> Slot:
        """The slot published then: signed once, and the same bytes whenever it is built again."""
        known = self._slots.get(published_ns)
        if known is not None:
            self._slots.move_to_end(published_ns)
            return known
        content = tuple([self.message(market, published_ns) for market in self.markets])
        made = Slot(published_ns, content, self.sign((*content, self.stake_caps(published_ns)), published_ns))
        self._newest_ns = max(self._newest_ns, published_ns)
        self._slots[published_ns] = made
        while len(self._slots) > self._kept:
            self._slots.popitem(last=False)
        return made

    def sign(
        self,
        content: Sequence[Message],
        published_ns: int,
        signing: SigningSet | None = None,
        *,
        signers: tuple[int, ...] | None = None,
        emitter: Emitter | None = None,
    ) -> SignedSlot:
        """A tree over ``content`` signed by ``signing`` under ``emitter``; both are this network's own unless given. The slot
        is counted as the emitter's root counts.
        """
        origin = emitter or self.signing.emitter
        return sign_slot(
            content,
            signing or self.signing,
            slot=published_ns // origin.root.slot_ns,
            time_s=(published_ns + to_ns(self.attested_after)) // NS_PER_S,
            signers=signers,
            emitter=origin,
        )

    def message(self, market: Market, published_ns: int) -> PriceMessage:
        """What a market says in a slot, with the faults of content that are on it."""
        message = message_at(market, self.seed, published_ns, self.every_ns)
        for window in self._windows.get(message.feed_id, ()):
            if not window.covers(published_ns):
                continue
            if isinstance(window.fault, StaleFeed):
                message = message_at(market, self.seed, window.from_ns - self.every_ns, self.every_ns)
            else:
                message = msgspec.structs.replace(message, conf=message.conf * window.fault.factor)
        return message

    def stake_caps(self, published_ns: int) -> StakeCapsMessage:
        """The publishers' stake caps in a slot; they change by the hour."""
        hour = published_ns // _CAPS_EVERY_NS
        caps = tuple(StakeCap(key, 10**9 * (1 + (int(key[:4], 16) + hour) % 5_000)) for key in self._publishers)
        return StakeCapsMessage(hour * _CAPS_EVERY_NS // NS_PER_S, caps)

    def first_after(self, market: Market, seconds: int) -> int | None:
        """When the first slot was published whose message of ``market`` has ``publish_time >= seconds``; ``None`` if none was.

        Looks no further back than the history that Hermes keeps.
        """
        now_ns = self.published_ns(self.clock.now())
        if seconds * NS_PER_S < now_ns - HISTORY_NS:
            return None
        published_ns = -(-seconds * NS_PER_S // self.every_ns) * self.every_ns
        while published_ns <= now_ns:
            if self.message(market, published_ns).publish_time >= seconds:
                return published_ns
            published_ns += self.every_ns
        return None

    # -- faults --------------------------------------------------------------------------------------------------------------

    @property
    def injected(self) -> tuple[Injected, ...]:
        """The faults that are on for the whole network."""
        return tuple(self._injected)

    def inject(self, fault: Fault) -> Injected:
        """Put a fault on every endpoint. Raises ``LookupError`` for a feed that is not here.

        A fault of content begins, and ends, with the first slot that is not signed yet: a slot that was served never changes.
        """
        fault = self.resolved(fault)
        if isinstance(fault, StaleFeed | WideConfidence):
            window = _Window(fault, self._next_unsigned())
            known = self._windows.get(fault.feed, [])
            horizon_ns = window.from_ns - 2 * HISTORY_NS
            kept = [one for one in known if one.until_ns is None or one.until_ns > horizon_ns]
            self._windows[fault.feed] = [*kept, window]
            made = self.numbered(fault, lambda done: self._end(done, window))
        else:
            made = self.numbered(fault, self._injected.remove)
        self._injected.append(made)
        return made

    def numbered(self, fault: Fault, on_clear: Callable[[Injected], None]) -> Injected:
        """A handle with the next number of this network."""
        return Injected(next(self._numbers), fault, on_clear)

    def resolved(self, fault: Fault) -> Fault:
        """The fault with its feed named by id. Raises ``LookupError``."""
        if not isinstance(fault, FeedFault):
            return fault
        return msgspec.structs.replace(fault, feed=str(self.market(fault.feed).feed.id))

    def _end(self, done: Injected, window: _Window) -> None:
        window.until_ns = self._next_unsigned()
        self._injected.remove(done)

    def _next_unsigned(self) -> int:
        return max(self.published_ns(self.clock.now()), self._newest_ns + self.every_ns)
