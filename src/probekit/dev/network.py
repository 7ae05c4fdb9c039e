"""What every endpoint of a sandbox shares: feeds, prices, signers, and each slot's signed tree."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from typing import Final

import msgspec

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.dev.faults import StaleFeed, WideConfidence
from probekit.dev.prices import Market, markets, message_at
from probekit.model import PriceMessage, TrustRoot
from probekit.trust import CORE_EMITTER, PRO_EMITTER, Trust
from probekit.trust.signing import SignedSlot, SigningSet, sign_slot
from probekit.units import NS_PER_MS, NS_PER_S, Instant

_KEPT_SLOTS: Final = 64


class SandboxNetwork:
    """A price network on its own signer sets of either root.

    Slots follow the root's own count: 400 ms on the core root, 50 ms ticks of Unix time on the pro root, of which every eighth
    is published (``publish_every``). Set 1 of the root signs; set 0 has expired; the other root's set exists, for the fault
    that confuses the two. ``trust`` verifies all that is in order.
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
        self.every_ns = round(publish_every.total_seconds() * 1000) * NS_PER_MS
        if self.every_ns % root.slot_ns:
            raise ValueError(f"publish_every must be a multiple of the {root} root's slot, {root.slot_ns // NS_PER_MS} ms")
        material = f"probekit sandbox {seed}".encode()
        other = TrustRoot.CORE if root is TrustRoot.PRO else TrustRoot.PRO
        self.signing = SigningSet.generate(root, 1, material)
        self.expired = SigningSet.generate(root, 0, material)
        self.other_root = SigningSet.generate(other, 1, material)
        self.content_faults: list[StaleFeed | WideConfidence] = []
        self._frozen: dict[str, PriceMessage] = {}
        self._slots: OrderedDict[int, SignedSlot] = OrderedDict()
        self._born = clock.now()

    @property
    def trust(self) -> Trust:
        """The trust that verifies this network's updates; its expired set expired an hour before the network began."""
        from dataclasses import replace

        gone = replace(self.expired.signer_set(), expires_at=self._born.plus(-timedelta(hours=1)))
        sets = (self.signing.signer_set(), gone, self.other_root.signer_set())
        return Trust(sets, (CORE_EMITTER, PRO_EMITTER))

    def published_ns(self, at: Instant) -> int:
        """When the newest slot at ``at`` was published, in ns since the epoch."""
        return at.ns // self.every_ns * self.every_ns

    def slot_of(self, published_ns: int) -> int:
        """The slot number of a publication."""
        return published_ns // self.root.slot_ns

    def slot(self, published_ns: int) -> SignedSlot:
        """The signed tree over all messages of a slot, built once."""
        known = self._slots.get(published_ns)
        if known is not None:
            return known
        content = [self.message(market, published_ns) for market in self.markets]
        made = self.sign(content, published_ns, self.signing)
        self._slots[published_ns] = made
        if len(self._slots) > _KEPT_SLOTS:
            self._slots.popitem(last=False)
        return made

    def sign(
        self,
        content: list[PriceMessage],
        published_ns: int,
        signing: SigningSet,
        *,
        signers: tuple[int, ...] | None = None,
    ) -> SignedSlot:
        """A tree over ``content`` signed by ``signing``, under this network's own emitter."""
        return sign_slot(
            content,
            signing,
            slot=self.slot_of(published_ns),
            time_s=published_ns // NS_PER_S,
            signers=signers,
            emitter=self.signing.emitter,
        )

    def message(self, market: Market, published_ns: int) -> PriceMessage:
        """What a market says in a slot, with the faults of content that are on it."""
        message = message_at(market, self.seed, published_ns, self.every_ns)
        for fault in self.content_faults:
            if fault.feed != message.feed_id:
                continue
            if isinstance(fault, StaleFeed):
                message = self._frozen.setdefault(fault.feed, message)
            else:
                message = msgspec.structs.replace(message, conf=message.conf * fault.factor)
        return message

    def inject(self, fault: StaleFeed | WideConfidence) -> None:
        """Content faults are the network's: every endpoint serves the same signed bytes."""
        self.content_faults.append(fault)
        self._slots.clear()

    def clear(self, fault: StaleFeed | WideConfidence) -> None:
        if fault in self.content_faults:
            self.content_faults.remove(fault)
        self._frozen.pop(fault.feed, None)
        self._slots.clear()
