"""Prices as Pyth means them: integers with an exponent, never a float.

:class:`PriceUpdate` is what the Hermes decoder produces directly; no second object graph is built from it. Its time and
price values are made when they are read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Annotated, Final, Self

import msgspec

from probekit.model.feed import FeedId
from probekit.model.verified import Verified
from probekit.units import NS_PER_S, Bps, Instant

_MAX_SHIFT: Final = 128
"""No price has an exponent of this size; a signed message may claim one all the same."""


# Bounds that a decoder enforces; values made from signed bytes carry whatever was signed.
I64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
U64 = Annotated[int, msgspec.Meta(ge=0)]
UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]


class Price(msgspec.Struct, frozen=True, gc=False):
    """``mantissa * 10**expo``, exactly. Equality is of the pair; compare :attr:`decimal` across exponents."""

    mantissa: int
    expo: int

    @property
    def decimal(self) -> Decimal:
        """The exact value, for display and for arithmetic outside a hot path."""
        # Made from text, the constructor is exact and takes any exponent a message may carry; scaleb is bound by the context.
        return Decimal(f"{self.mantissa}e{self.expo}")

    def rescaled(self, expo: int) -> Self:
        """The same value under another exponent. Raises ``ValueError`` where digits would be lost, or hundreds appear."""
        if abs(expo - self.expo) > _MAX_SHIFT:
            raise ValueError(f"exponents {self.expo} and {expo} are too far apart to be a price's")
        if expo > self.expo:
            factor = 10 ** (expo - self.expo)
            if self.mantissa % factor:
                raise ValueError(f"{self} cannot be written with exponent {expo} without losing digits")
            return type(self)(self.mantissa // factor, expo)
        return type(self)(self.mantissa * 10 ** (self.expo - expo), expo)

    def deviation(self, reference: Price) -> Bps:
        """``|self - reference| / |reference|`` in basis points. Raises ``ZeroDivisionError`` at a zero reference."""
        expo = min(self.expo, reference.expo)
        mine, other = self.rescaled(expo).mantissa, reference.rescaled(expo).mantissa
        return Bps.of(mine - other, other)

    def __str__(self) -> str:
        return f"{self.decimal:f}" if abs(self.expo) <= _MAX_SHIFT else str(self.decimal)


class PricePoint(msgspec.Struct, frozen=True, gc=False):
    """A price with its confidence at a publish time: the JSON object ``{price, conf, expo, publish_time}`` of Hermes
    v2.

    ``price`` and ``conf`` are mantissas under ``expo``; ``publish_time`` is in whole Unix seconds.
    """

    price: I64
    conf: U64
    expo: Annotated[int, msgspec.Meta(ge=-128, le=128)]
    publish_time: UnixSeconds


class UpdateMetadata(msgspec.Struct, frozen=True, gc=False):
    """Hermes's own notes: Pythnet ``slot``, ``proof_available_time`` and ``prev_publish_time`` (Unix seconds)."""

    slot: U64 | None = None
    proof_available_time: UnixSeconds | None = None
    prev_publish_time: UnixSeconds | None = None


class Attestation(ABC):
    """The signed bytes an update came with, and the way to check them; a client attaches it."""

    @property
    @abstractmethod
    def verified_by(self) -> Verified | None:
        """The proof, once verified; ``None`` for an update as merely served."""

    @abstractmethod
    def verified(self, update: PriceUpdate, trust: object, *, at: Instant) -> PriceUpdate:
        """``update`` as its signed bytes state it; raises as :meth:`PriceUpdate.verified` does."""


class PriceUpdate(msgspec.Struct, frozen=True, gc=False):
    """One feed's price as served (``verified_by`` is ``None``) or as signed (``verified_by`` says by whom).

    Fields follow the wire (Hermes v2 ``parsed[]``); read the values through the properties.
    """

    id: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    point: PricePoint = msgspec.field(name="price")
    ema_point: PricePoint = msgspec.field(name="ema_price")
    metadata: UpdateMetadata | None = None
    # Cannot come from JSON: no decoder is given a hook for this class, so a hostile key is a DecodeError.
    attestation: Attestation | None = None

    @property
    def feed_id(self) -> FeedId:
        return FeedId(self.id)

    @property
    def price(self) -> Price:
        point = self.point
        return Price(point.price, point.expo)

    @property
    def conf(self) -> Price:
        """The confidence interval, same exponent as the price."""
        point = self.point
        return Price(point.conf, point.expo)

    @property
    def ema_price(self) -> Price:
        return Price(self.ema_point.price, self.ema_point.expo)

    @property
    def ema_conf(self) -> Price:
        return Price(self.ema_point.conf, self.ema_point.expo)

    @property
    def publish_time(self) -> Instant:
        """When the aggregate was published; whole seconds."""
        return Instant(self.point.publish_time * NS_PER_S)

    @property
    def prev_publish_time(self) -> Instant | None:
        metadata = self.metadata
        if metadata is None or metadata.prev_publish_time is None:
            return None
        return Instant(metadata.prev_publish_time * NS_PER_S)

    @property
    def proof_available_time(self) -> Instant | None:
        """When Hermes had the proof; whole seconds. Splits an age into pipeline and delivery."""
        metadata = self.metadata
        if metadata is None or metadata.proof_available_time is None:
            return None
        return Instant(metadata.proof_available_time * NS_PER_S)

    @property
    def slot(self) -> int | None:
        """400 ms Pythnet slot (core root) or 50 ms tick of Unix time (pro root); ``None`` where it was not served."""
        try:
            return self.metadata.slot  # type: ignore[union-attr]
        except AttributeError:
            # Reading is the hot path, and metadata is nearly always there.
            return None

    @property
    def verified_by(self) -> Verified | None:
        """Who signed it, once :meth:`verified`; ``None`` for an update as merely served."""
        return None if self.attestation is None else self.attestation.verified_by

    def verified(self, trust: object, *, at: Instant) -> PriceUpdate:
        """This update as its signed bytes state it, after full verification against ``trust`` at ``at``.

        Raises a :class:`~probekit.errors.VerificationError` leaf, or ``ValueError`` when the update carries no signed
        bytes.
        """
        if self.attestation is None:
            raise ValueError(f"the update of {self.id} carries no signed bytes to verify")
        return self.attestation.verified(self, trust, at=at)
