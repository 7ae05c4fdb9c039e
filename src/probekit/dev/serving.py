"""From a slot to an answer: parsed prices, accumulator updates, and the faults that are in the signed part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from probekit.codecs import accumulator
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.dev import faults
from probekit.dev.faults import Fault, FeedFault
from probekit.dev.network import SandboxNetwork
from probekit.model import FeedId, PriceMessage, PricePoint, PriceUpdate, UpdateMetadata
from probekit.units import NS_PER_S

# Feeds with one of these are served in an update of their own: what breaks one update must not break its neighbours.
_SIGNED_FAULTS: Final = (
    faults.BadSignature,
    faults.WrongQuorum,
    faults.WrongRoot,
    faults.ExpiredSet,
    faults.BadProof,
    faults.ConflictingData,
)


class Serving:
    """Builds answers over one network."""

    def __init__(self, network: SandboxNetwork) -> None:
        self._network = network

    def answer(
        self, ids: Sequence[FeedId], published_ns: int, active: Sequence[Fault]
    ) -> tuple[list[PriceUpdate], list[bytes]]:
        """Parsed updates and PNAU bytes of ``ids`` at one slot, under the faults in ``active``."""
        network = self._network
        by_feed = {fault.feed: fault for fault in active if isinstance(fault, FeedFault)}
        kept = [one for one in ids if not isinstance(by_feed.get(one), faults.MissingFeed)]
        odd = [one for one in kept if isinstance(by_feed.get(one), _SIGNED_FAULTS)]
        sound = [one for one in kept if one not in odd]
        signed = network.slot(published_ns)
        binary = signed.updates([network.index[one] for one in sound])
        messages: dict[FeedId, PriceMessage] = {
            one: network.message(network.markets[network.index[one]], published_ns) for one in kept
        }
        for one in odd:
            messages[one], raw = self._faulty(by_feed[one], one, messages[one], published_ns)
            binary.append(raw)
        slot = network.slot_of(published_ns)
        updates = [_parsed(messages[one], slot, published_ns) for one in kept]
        for number, one in enumerate(kept):
            if isinstance(by_feed.get(one), faults.ParsedMismatch):
                updates[number] = _lie(updates[number])
        return updates, binary

    def _faulty(self, fault: FeedFault, one: FeedId, message: PriceMessage, published_ns: int) -> tuple[PriceMessage, bytes]:
        network = self._network
        number = network.index[one]
        signed = network.slot(published_ns)
        if isinstance(fault, faults.ConflictingData):
            message = msgspec.structs.replace(message, price=message.price + 1)
            return message, network.sign([message], published_ns, network.signing).update([0])
        if isinstance(fault, faults.WrongRoot):
            return message, network.sign([message], published_ns, network.other_root).update([0])
        if isinstance(fault, faults.ExpiredSet):
            return message, network.sign([message], published_ns, network.expired).update([0])
        if isinstance(fault, faults.WrongQuorum):
            few = tuple(range(network.signing.quorum - 1))
            return message, network.sign([message], published_ns, network.signing, signers=few).update([0])
        update = accumulator.decode(signed.update([number]))
        if isinstance(fault, faults.BadProof):
            ((raw, proof),) = update.proven
            wrong = proof[:-1] + bytes((proof[-1] ^ 1,))
            return message, accumulator.encode(msgspec.structs.replace(update, proven=((raw, wrong),)))
        return message, _with_bad_signature(update)


def _with_bad_signature(update: AccumulatorUpdate) -> bytes:
    vaa = vaa_codec.decode(update.vaa)
    first, *others = vaa.signatures
    # Another valid-looking signature: r stays a point, s is another scalar, so it recovers to a stranger.
    wrong = msgspec.structs.replace(first, rs=first.rs[:-1] + bytes((first.rs[-1] ^ 1,)))
    broken = msgspec.structs.replace(vaa, signatures=(wrong, *others))
    return accumulator.encode(msgspec.structs.replace(update, vaa=vaa_codec.encode(broken)))


def _parsed(message: PriceMessage, slot: int, published_ns: int) -> PriceUpdate:
    return PriceUpdate(
        message.feed_id,
        PricePoint(message.price, message.conf, message.expo, message.publish_time),
        PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time),
        UpdateMetadata(slot, published_ns // NS_PER_S, message.prev_publish_time),
    )


def _lie(update: PriceUpdate) -> PriceUpdate:
    point = msgspec.structs.replace(update.point, price=update.point.price + update.point.price // 100)
    return msgspec.structs.replace(update, point=point)
