"""The signed bytes that travel with a price: what was served, compared with what was signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial

from probekit.codecs import accumulator, messages
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.errors import DecodeError, ParsedMismatch, ProbekitError, VerificationError
from probekit.model import PriceMessage, PricePoint, PriceUpdate, UpdateMetadata, Verified
from probekit.model.price import Attestation
from probekit.trust.sets import Trust
from probekit.trust.verification import Verifier, check_validity
from probekit.units import Instant


def check_parsed(update: PriceUpdate, message: PriceMessage, slot: int) -> None:
    """Compare a parsed JSON price with its signed message; ``slot`` is the signed payload's.

    What the service left out of its metadata is not compared. Raises ``ParsedMismatch`` naming every field that differs.
    """
    point, ema, metadata = update.point, update.ema_point, update.metadata
    pairs: list[tuple[str, object, object]] = [
        ("id", update.id, message.feed_id),
        ("price", point.price, message.price),
        ("conf", point.conf, message.conf),
        ("expo", point.expo, message.expo),
        ("publish_time", point.publish_time, message.publish_time),
        ("ema_price", ema.price, message.ema_price),
        ("ema_conf", ema.conf, message.ema_conf),
        ("ema_expo", ema.expo, message.expo),
        # A message has one publish time for both.
        ("ema_publish_time", ema.publish_time, message.publish_time),
    ]
    if metadata is not None:
        if metadata.prev_publish_time is not None:
            pairs.append(("prev_publish_time", metadata.prev_publish_time, message.prev_publish_time))
        if metadata.slot is not None:
            pairs.append(("slot", metadata.slot, slot))
    wrong = [f"{name} {parsed}, signed {signed}" for name, parsed, signed in pairs if parsed != signed]
    if wrong:
        raise ParsedMismatch(f"the parsed price of {update.id} contradicts its signed bytes: {'; '.join(wrong)}")


class _Proof(Attestation):
    """Says that an update is what its signed bytes state, and can have them verified anew."""

    __slots__ = ("_source", "_verified")

    def __init__(self, verified: Verified, source: AttestedBytes | None) -> None:
        self._verified = verified
        self._source = source

    @property
    def verified_by(self) -> Verified:
        return self._verified

    def verified(self, update: PriceUpdate, trust: object, *, at: Instant) -> PriceUpdate:
        # Another trust, or a later time, may well refuse what this proof was made under.
        if self._source is None:
            raise ValueError(f"the update of {update.id} was verified before, and its signed bytes were not kept")
        return self._source.verified(update, trust, at=at)

    def __repr__(self) -> str:
        return f"<proof of slot {self._verified.slot}, {self._verified.root} set {self._verified.set_index}>"


def signed_update(
    message: PriceMessage,
    verified: Verified,
    served: UpdateMetadata | None = None,
    *,
    source: AttestedBytes | None = None,
) -> PriceUpdate:
    """The update as its signed message states it; of what was merely served it keeps ``proof_available_time`` alone.

    ``source`` holds the signed bytes, for who verifies the result once more under another trust.
    """
    return PriceUpdate(
        message.feed_id,
        PricePoint(message.price, message.conf, message.expo, message.publish_time),
        PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time),
        UpdateMetadata(verified.slot, None if served is None else served.proof_available_time, message.prev_publish_time),
        _Proof(verified, source),
    )


_Outcome = tuple[PriceMessage, Verified] | ProbekitError


class AttestedBytes(Attestation):
    """The accumulator updates of one answer, verified once for all feeds in it, when first asked.

    ``load`` yields the raw updates. One failing update fails its own feeds only. What the last trust asked about made of
    them is kept, except for the sets' validity in time: that is asked of each ``at`` anew. ``accept_superseded`` is for updates
    of the past: whose set has been replaced since was rightly signed all the same.
    """

    __slots__ = ("_accept_superseded", "_cache", "_load")

    def __init__(self, load: Callable[[], Sequence[bytes]], *, accept_superseded: bool = False) -> None:
        self._load = load
        self._accept_superseded = accept_superseded
        self._cache: tuple[Trust, dict[str, _Outcome]] | None = None

    @property
    def verified_by(self) -> None:
        return None

    def _outcomes(self, trust: Trust) -> dict[str, _Outcome]:
        """Feed id -> its signed message and proof, or why its update does not verify; "" -> why one does not decode."""
        cache = self._cache
        if cache is not None and cache[0] is trust:
            return cache[1]
        found: dict[str, _Outcome] = {}
        verifier = Verifier(trust)
        for raw in self._load():
            try:
                decoded = accumulator.decode(raw)
            except DecodeError as error:
                found.setdefault("", error)
                continue
            try:
                verified = verifier.prove(decoded)
            except (VerificationError, DecodeError) as error:
                for feed_id in _claimed_feeds(decoded):
                    found.setdefault(feed_id, error)
                continue
            for message in verified.messages:
                if isinstance(message, PriceMessage):
                    found[message.feed_id] = (message, verified)
        self._cache = (trust, found)
        return found

    def verified(self, update: PriceUpdate, trust: object, *, at: Instant) -> PriceUpdate:
        """``update`` as its signed bytes state it. Raises ``TypeError`` for a trust that is none, ``VerificationError`` (also
        when no signed message is about the feed) or ``DecodeError``.
        """
        if not isinstance(trust, Trust):
            raise TypeError(f"trust is a probekit.trust.Trust, not {type(trust).__name__}")
        outcomes = self._outcomes(trust)
        outcome = outcomes.get(update.id) or outcomes.get("")
        if outcome is None:
            raise VerificationError(f"no signed message of this answer is about {update.id}")
        if isinstance(outcome, ProbekitError):
            # Not the kept one: a raise adds its frames to the error, and many feeds share it.
            raise copy(outcome)
        message, verified = outcome
        signer_set = trust.get(verified.root, verified.set_index)
        assert signer_set is not None  # the trust that verified it has it
        check_validity(signer_set, trust, at, accept_superseded=self._accept_superseded)
        check_parsed(update, message, verified.slot)
        return signed_update(message, verified, update.metadata, source=self)

    def __repr__(self) -> str:
        return "<signed bytes, not verified>"


def _claimed_feeds(decoded: AccumulatorUpdate) -> list[str]:
    claimed = []
    for raw, _ in decoded.proven:
        try:
            message = messages.decode(raw)
        except DecodeError:
            continue
        if isinstance(message, PriceMessage):
            claimed.append(message.feed_id)
    return claimed


def attest(raw: bytes) -> AttestedBytes:
    """The attestation of one raw update."""
    return AttestedBytes(partial(tuple, (raw,)))
