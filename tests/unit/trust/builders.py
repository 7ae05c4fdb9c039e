"""Self-signed updates of either root."""

from __future__ import annotations

from probekit.model import PriceMessage, TrustRoot
from probekit.trust.signing import SignedSlot, SigningSet, sign_slot
from probekit.units import Instant

CORE_SET = SigningSet.generate(TrustRoot.CORE, 1, b"tests")
PRO_SET = SigningSet.generate(TrustRoot.PRO, 1, b"tests")
TIME_S = 1_790_000_000
AT = Instant.from_seconds(TIME_S + 1)
SLOT = 20 * TIME_S


def price(number: int) -> PriceMessage:
    return PriceMessage(f"{number + 1:064x}", 1000 + number, 10 + number, -8, TIME_S, TIME_S - 1, 999 + number, 11 + number)


def slot_of(signing: SigningSet, *, count: int = 8, signers: tuple[int, ...] | None = None) -> SignedSlot:
    return sign_slot([price(number) for number in range(count)], signing, slot=SLOT, time_s=TIME_S, signers=signers)
