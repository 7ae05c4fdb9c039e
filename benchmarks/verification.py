"""What verification costs, against 13 bare coincurve recoveries: the part of a core update that no verifier can do without.

Updates are self-signed on the core root in their real shapes: 13 signatures, hex text as Hermes serves it, at most 255 messages
to an update. The 500 feeds asked for lie scattered in the tree: neighbours would share more of their paths, and be cheaper.
Trees of the main network had 1,024 leaves in 2024 and 8,192 in 2026 (proofs of 10 to 13 nodes).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from coincurve import PublicKey

from benchmarks.row import Row
from probekit.codecs import accumulator
from probekit.model import PriceMessage, TrustRoot
from probekit.trust import Trust, Verifier
from probekit.trust.signing import SignedSlot, SigningSet, sign_slot, trust_of
from probekit.units import Instant

FEEDS: Final = 500
TREE: Final = 2_000
SMALL_TREE: Final = 600
LARGE_TREE: Final = 5_000
_TIME_S: Final = 1_790_000_000
_AT: Final = Instant.from_seconds(_TIME_S + 1)


def rows() -> list[Row]:
    """The rows of verification; each call signs its own fixtures, in well under a second."""
    signing = SigningSet.generate(TrustRoot.CORE, 1, b"benchmark")
    trust = trust_of(signing)
    slot = _slot(signing, TREE)
    floor = recoveries(slot)

    def row(name: str, answer: list[str], messages: int, times: float | None) -> Row:
        return {
            "name": name,
            "ours": lambda: verify_answer(answer, trust, messages),
            "peer": floor,
            "peer_name": "13 bare coincurve recoveries",
            "target": None if times is None else 1 / times,
            "unit": "s",
        }

    feeds = _scattered(TREE)
    large = _hex(_slot(signing, LARGE_TREE).updates(_scattered(LARGE_TREE)))
    return [
        row("verify 500 feeds of one slot", _hex(slot.updates(feeds)), FEEDS, 8),
        row("verify 500 feeds of two slots, small tree", _two_slots(signing, SMALL_TREE), FEEDS, 8),
        row("verify 500 feeds of two slots", _two_slots(signing, TREE), FEEDS, None),
        row("verify 500 feeds of one slot, large tree", large, FEEDS, None),
        row("verify one update of one message", _hex([slot.update(feeds[:1])]), 1, 1.15),
    ]


def verify_answer(answer: list[str], trust: Trust, messages: int) -> int:
    """Hex to bytes, decode, verify with every proof, decode every message. Raises when any of it fails."""
    verifier = Verifier(trust)
    found = 0
    for text in answer:
        found += len(verifier.verify(bytes.fromhex(text), at=_AT).messages)
    if found != messages:
        raise AssertionError(f"{found} messages proven, not {messages}")
    return found


def recoveries(slot: SignedSlot) -> Callable[[], None]:
    """The floor: the public key behind each signature of a VAA, and nothing done with it."""
    digest = slot.vaa.digest()
    signatures = [signature.rs + bytes((signature.recovery_id,)) for signature in slot.vaa.signatures]
    assert len(signatures) == 13

    def run() -> None:
        for signature in signatures:
            PublicKey.from_signature_and_message(signature, digest, hasher=None)

    return run


def _scattered(tree: int) -> list[int]:
    return random.Random(7).sample(range(tree), FEEDS)  # the same feeds in every run


def _two_slots(signing: SigningSet, tree: int) -> list[str]:
    feeds, half = _scattered(tree), FEEDS // 2
    return _hex([_slot(signing, tree).update(feeds[:half]), _slot(signing, tree, 1).update(feeds[half:])])


def _slot(signing: SigningSet, tree: int, number: int = 0) -> SignedSlot:
    content = [
        PriceMessage(
            f"{(feed + 1) * 0x9E3779B97F4A7C15 << 128:064x}",
            10**10 + feed * 7919,
            10**6 + feed,
            -8,
            _TIME_S + number,
            _TIME_S + number - 1,
            10**10 + feed,
            10**6,
        )
        for feed in range(tree)
    ]
    return sign_slot(content, signing, slot=1_000_000 + number, time_s=_TIME_S)


def _hex(updates: list[bytes]) -> list[str]:
    assert all(len(accumulator.decode(update).proven) <= accumulator.MAX_MESSAGES for update in updates)
    return [update.hex() for update in updates]
