"""Per-feed accounting of a stream: gaps, duplicates, reordering."""

from __future__ import annotations

from dataclasses import dataclass

from probekit.model import PriceUpdate


@dataclass(slots=True)
class _Seen:
    slot: int | None
    publish_time: int


class Accounting:
    """Counts, over all feeds of a stream.

    A *gap*: an update whose ``prev_publish_time`` is later than the last publish_time seen, so at least one was missed. A
    *duplicate*: a slot (or, unslotted, the same publish_time) seen again. *Out of order*: an older slot than the last.
    publish_time is whole seconds: what is lost within one second cannot be counted.
    """

    __slots__ = ("_seen", "duplicates", "gaps", "out_of_order")

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self.gaps = 0
        self.duplicates = 0
        self.out_of_order = 0

    def take(self, update: PriceUpdate) -> None:
        """Account for one update."""
        metadata = update.metadata
        slot = None if metadata is None else metadata.slot
        published = update.point.publish_time
        last = self._seen.get(update.id)
        if last is None:
            self._seen[update.id] = _Seen(slot, published)
            return
        if slot is not None and last.slot is not None:
            if slot == last.slot:
                self.duplicates += 1
                return
            if slot < last.slot:
                self.out_of_order += 1
                return
        elif published <= last.publish_time:
            if published == last.publish_time:
                self.duplicates += 1
            else:
                self.out_of_order += 1
            return
        if metadata is not None and metadata.prev_publish_time is not None and metadata.prev_publish_time > last.publish_time:
            self.gaps += 1
        last.slot, last.publish_time = slot, published
