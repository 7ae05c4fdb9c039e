"""From slots to an answer: parsed prices, accumulator updates, and the faults that are in the signed part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from probekit.codecs import accumulator
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.dev import faults
from probekit.dev.faults import Fault, SignedFault
from probekit.dev.network import SandboxNetwork, Slot
from probekit.model import FeedId, PriceMessage, PricePoint, PriceUpdate, StakeCapsMessage, UpdateMetadata
from probekit.trust.signing import SignedSlot, SigningSet
from probekit.units import NS_PER_S, to_ns


class Serving:
    """Builds answers over one network."""

    def __init__(self, network: SandboxNetwork) -> None:
        self._network = network

    def answer(self, picks: Sequence[tuple[FeedId, int]], active: Iterable[Fault]) -> tuple[list[PriceUpdate], list[bytes]]:
        """Parsed updates in the order of ``picks`` (feed, when its slot was published), and the PNAU bytes ordered by slot,
        under the faults in ``active``.
        """
        network = self._network
        missing: set[str] = set()
        lying: set[str] = set()
        odd: dict[str, SignedFault] = {}
        for fault in active:
            if isinstance(fault, faults.MissingFeed):
                missing.add(fault.feed)
            elif isinstance(fault, faults.ParsedMismatch):
                lying.add(fault.feed)
            elif isinstance(fault, SignedFault):
                odd.setdefault(fault.feed, fault)

        updates: list[PriceUpdate] = []
        sound: dict[int, list[int]] = defaultdict(list)
        broken: dict[int, list[bytes]] = defaultdict(list)
        for feed, published_ns in picks:
            if feed in missing:
                continue
            number = network.index[feed]
            slot = network.slot(published_ns)
            message, counted = slot.messages[number], network.slot_of(published_ns)
            flaw = odd.get(feed)
            if flaw is None:
                sound[published_ns].append(number)
            else:
                message, counted, raw = self._faulty(flaw, number, slot)
                broken[published_ns].append(raw)
            proven_ns = published_ns + to_ns(network.attested_after + network.proven_after)
            update = _parsed(message, counted, proven_ns)
            updates.append(_lie(update) if feed in lying else update)
        binary = []
        for published_ns in sorted(sound.keys() | broken.keys()):
            binary += network.slot(published_ns).signed.updates(sound[published_ns]) if published_ns in sound else []
            binary += broken.get(published_ns, [])
        return updates, binary

    def stake_caps(self, published_ns: int) -> tuple[StakeCapsMessage, bytes]:
        """The stake caps, and the update that proves them: they are the last message of the slot's tree."""
        network = self._network
        raw = network.slot(published_ns).signed.update([len(network.markets)])
        return network.stake_caps(published_ns), raw

    def _faulty(self, fault: SignedFault, number: int, slot: Slot) -> tuple[PriceMessage, int, bytes]:
        """The message, the slot's number and the update that a fault makes of one feed."""
        network, signed, message = self._network, slot.signed, slot.messages[number]
        counted = network.slot_of(slot.published_ns)
        match fault:
            case faults.ConflictingData():
                message = msgspec.structs.replace(message, price=message.price + 1)
                content = (message, network.stake_caps(slot.published_ns))
                raw = network.sign(content, slot.published_ns).update([0])
            case faults.WrongRoot(confused="both"):
                # The other root counts its slots by its own length.
                counted = slot.published_ns // network.other_root.root.slot_ns
                emitter = network.other_root.emitter
                other = network.sign(slot.messages, slot.published_ns, network.other_root, emitter=emitter)
                raw = other.update([number])
            case faults.WrongRoot(confused="emitter"):
                emitter = network.other_root.emitter
                vaa = msgspec.structs.replace(signed.vaa, emitter_chain=emitter.chain, emitter_address=emitter.address)
                raw = SignedSlot(network.signing.sign(vaa), signed.encoded, signed.tree).update([number])
            case faults.WrongRoot():
                raw = _signed_again(signed, network.other_root).update([number])
            case faults.ExpiredSet():
                raw = _signed_again(signed, network.expired).update([number])
            case faults.WrongQuorum():
                few = tuple(range(network.signing.quorum - 1))
                raw = _signed_again(signed, network.signing, few).update([number])
            case faults.BadProof():
                raw = _with_bad_proof(accumulator.decode(signed.update([number])))
            case faults.BadSignature():
                raw = _with_bad_signature(accumulator.decode(signed.update([number])))
        return message, counted, raw


def _signed_again(signed: SignedSlot, signing: SigningSet, signers: Sequence[int] | None = None) -> SignedSlot:
    """The same tree, its root signed by others."""
    return SignedSlot(signing.sign(signed.vaa, signers=signers), signed.encoded, signed.tree)


def _with_bad_proof(update: AccumulatorUpdate) -> bytes:
    ((message, proof),) = update.proven
    wrong = proof[:-1] + bytes((proof[-1] ^ 1,))
    return accumulator.encode(msgspec.structs.replace(update, proven=((message, wrong),)))


def _with_bad_signature(update: AccumulatorUpdate) -> bytes:
    vaa = vaa_codec.decode(update.vaa)
    first, *others = vaa.signatures
    # Still a signature by its form: r stays a point and s a scalar, so that it recovers to a stranger, or to none.
    wrong = msgspec.structs.replace(first, rs=first.rs[:-1] + bytes((first.rs[-1] ^ 1,)))
    broken = msgspec.structs.replace(vaa, signatures=(wrong, *others))
    return accumulator.encode(msgspec.structs.replace(update, vaa=vaa_codec.encode(broken)))


def _parsed(message: PriceMessage, slot: int, proven_ns: int) -> PriceUpdate:
    return PriceUpdate(
        message.feed_id,
        PricePoint(message.price, message.conf, message.expo, message.publish_time),
        PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time),
        UpdateMetadata(slot, proven_ns // NS_PER_S, message.prev_publish_time),
    )


def _lie(update: PriceUpdate) -> PriceUpdate:
    point = msgspec.structs.replace(update.point, price=update.point.price + max(update.point.price // 100, 1))
    return msgspec.structs.replace(update, point=point)


_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(key: bytes) -> str:
    """A key as Solana, and so the stake caps' JSON, writes it."""
    number, digits = int.from_bytes(key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * (len(key) - len(key.lstrip(b"\0"))) + digits
