"""What an Entropy contract told in a range of blocks: each event once, whichever versions of it there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from probekit.clients.evm import EvmClient
from probekit.codecs.evm import entropy_events
from probekit.codecs.evm.contract import Event
from probekit.errors import DecodeError
from probekit.model.entropy_events import Counted, EntropyEvent
from probekit.model.evm import Address
from probekit.model.pyth_evm_events import Logged

T = TypeVar("T")


async def told_events(
    evm: EvmClient, address: Address, events: Sequence[Event], from_block: int, to_block: int
) -> list[Counted[EntropyEvent] | DecodeError]:
    """Both ends of the range included; an event that does not read is its own error."""
    topics = entropy_events.topics_of(*events)
    logs = await evm.logs(from_block=from_block, to_block=to_block, address=address, topics=topics)
    read: list[Logged[EntropyEvent] | DecodeError] = []
    for log in logs:
        try:
            read.append(log if isinstance(log, DecodeError) else Logged(entropy_events.decode_known_event(log), log))
        except DecodeError as error:
            read.append(error)
    return entropy_events.count(read)


def of_kind(
    found: list[Counted[EntropyEvent] | DecodeError], kind: type[T], provider: str | None
) -> list[Counted[T] | DecodeError]:
    """Those of one kind, and of one provider where that is asked for; errors stay."""
    # Only some of the events have their provider in a topic, so that nodes cannot choose by it.
    wanted = None if provider is None else Address(provider)
    kept: list[Counted[T] | DecodeError] = []
    for one in found:
        if isinstance(one, DecodeError):
            kept.append(one)
        elif isinstance(one.event, kind) and wanted in (None, getattr(one.event, "provider", None)):
            kept.append(cast("Counted[T]", one))
    return kept
