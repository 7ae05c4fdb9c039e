"""Full verification of an accumulator update: who signed the root, and that every message leads to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.codecs.merkle import check_proofs
from probekit.codecs.vaa import Vaa
from probekit.errors import (
    BadSignature,
    DecodeError,
    ParsedMismatch,
    ProbekitError,
    SupersededSet,
    UnknownSet,
    VerificationError,
    WrongEmitter,
    WrongRoot,
)
from probekit.model import PriceMessage, PricePoint, PriceUpdate, TrustRoot, UpdateMetadata, Verified
from probekit.model.price import Attestation
from probekit.trust.sets import SignerSet, Trust
from probekit.trust.signatures import check_signatures, recover
from probekit.units import Instant


def verify(update: bytes | AccumulatorUpdate, trust: Trust, *, at: Instant, accept_superseded: bool = False) -> Verified:
    """Verify one accumulator update against ``trust`` as of ``at``.

    ``at`` is now in live use. Replay and vectors pass the update's own VAA time with ``accept_superseded=True``, and say so:
    that proves who signed, not that it is acceptable today. The root is read from the update's own emitter, never from where
    it came.

    Raises ``DecodeError``; ``WrongEmitter`` (no known root emits there); ``WrongRoot`` (its root is not trusted here, or the
    signatures are another root's); ``UnknownSet``; ``SupersededSet``; ``SignatureOrder``; ``NoQuorum``; ``BadSignature``;
    ``BadProof``.
    """
    decoded = update if isinstance(update, AccumulatorUpdate) else accumulator.decode(update)
    if decoded.major != accumulator.MAJOR:
        raise DecodeError(f"major version {decoded.major}; the contracts take {accumulator.MAJOR} only", raw=decoded.vaa)
    vaa = vaa_codec.decode(decoded.vaa)
    root = trust.root_of(vaa.emitter_chain, vaa.emitter_address)
    if root is None:
        raise WrongEmitter(f"no trusted root emits from chain {vaa.emitter_chain}, address {vaa.emitter_address.hex()}")
    if root not in trust.roots():
        trusted = ", ".join(sorted(trust.roots())) or "none"
        raise WrongRoot(f"an update of the {root} root; trusted here: {trusted}")
    signer_set = trust.get(root, vaa.set_index)
    if signer_set is None:
        _raise_if_other_root(vaa, trust, root)
        raise UnknownSet(f"no trusted set of the {root} root has index {vaa.set_index}")
    _check_validity(signer_set, trust, at, accept_superseded=accept_superseded)
    try:
        signers = check_signatures(vaa, signer_set.signers, signer_set.quorum)
    except VerificationError:
        _raise_if_other_root(vaa, trust, root)
        raise
    payload = accumulator.decode_payload(vaa.payload)
    check_proofs(payload.root, decoded.proven)
    return Verified(
        root,
        vaa.set_index,
        signers,
        signer_set.quorum,
        payload.slot,
        vaa.sequence,
        vaa.time,
        vaa.digest(),
        tuple(messages.decode(message) for message, _ in decoded.proven),
    )


def _check_validity(signer_set: SignerSet, trust: Trust, at: Instant, *, accept_superseded: bool) -> None:
    name = f"set {signer_set.index} of the {signer_set.root} root"
    if signer_set.valid_from is not None and at < signer_set.valid_from:
        raise UnknownSet(f"{name} is valid from {signer_set.valid_from}, not yet at {at}")
    if accept_superseded:
        return
    if signer_set.expires_at is not None:
        if at > signer_set.expires_at:
            raise SupersededSet(f"{name} expired at {signer_set.expires_at}, before {at}")
        return
    newest = trust.newest(signer_set.root)
    if newest is not None and newest.index > signer_set.index:
        raise SupersededSet(f"{name} was superseded by set {newest.index}, at a time that is not known")


def _raise_if_other_root(vaa: Vaa, trust: Trust, root: TrustRoot) -> None:
    """``WrongRoot`` when most signatures are valid ones of another root's set of any index: the migration's mistake."""
    if not vaa.signatures:
        return
    digest = vaa.digest()
    recovered = []
    for signature in vaa.signatures:
        try:
            recovered.append((signature.index, recover(signature, digest)))
        except BadSignature:
            continue
    for other in trust.sets:
        if other.root is root:
            continue
        hits = sum(1 for index, address in recovered if other.signers[index : index + 1] == (address,))
        if hits >= other.quorum:
            raise WrongRoot(
                f"the update claims the {root} root, set {vaa.set_index}, but {hits} valid signatures are of "
                f"set {other.index} of the {other.root} root"
            )


def check_parsed(update: PriceUpdate, message: PriceMessage, slot: int) -> None:
    """Compare a parsed JSON price with its signed message. Raises ``ParsedMismatch`` naming every field that differs."""
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
    """Says that an update is what its signed bytes state."""

    __slots__ = ("_verified",)

    def __init__(self, verified: Verified) -> None:
        self._verified = verified

    @property
    def verified_by(self) -> Verified:
        return self._verified

    def verified(self, update: PriceUpdate, trust: object, *, at: Instant) -> PriceUpdate:
        return update

    def __repr__(self) -> str:
        return f"<proof of slot {self._verified.slot}, {self._verified.root} set {self._verified.set_index}>"


def signed_update(message: PriceMessage, verified: Verified, served: UpdateMetadata | None = None) -> PriceUpdate:
    """The update as its signed message states it; of what was merely served it keeps ``proof_available_time`` alone."""
    return PriceUpdate(
        message.feed_id,
        PricePoint(message.price, message.conf, message.expo, message.publish_time),
        PricePoint(message.ema_price, message.ema_conf, message.expo, message.publish_time),
        UpdateMetadata(verified.slot, None if served is None else served.proof_available_time, message.prev_publish_time),
        _Proof(verified),
    )


class AttestedBytes(Attestation):
    """The accumulator updates of one answer, verified once for all feeds in it, when first asked.

    ``load`` yields the raw updates; it is called once. One failing update fails its own feeds only.
    """

    __slots__ = ("_cache", "_load")

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load
        self._cache: tuple[Trust, Instant, dict[str, tuple[PriceMessage, Verified] | ProbekitError]] | None = None

    @property
    def verified_by(self) -> None:
        return None

    def proofs(self, trust: Trust, *, at: Instant) -> dict[str, tuple[PriceMessage, Verified] | ProbekitError]:
        """Feed id -> its signed message and proof, or why its update does not verify."""
        cache = self._cache
        if cache is not None and cache[0] is trust and cache[1] == at:
            return cache[2]
        found: dict[str, tuple[PriceMessage, Verified] | ProbekitError] = {}
        for raw in self._load():
            try:
                decoded = accumulator.decode(raw)
            except DecodeError as error:
                found.setdefault("", error)
                continue
            try:
                verified = verify(decoded, trust, at=at)
                for message in verified.messages:
                    if isinstance(message, PriceMessage):
                        found[message.feed_id] = (message, verified)
            except (VerificationError, DecodeError) as error:
                for feed_id in _claimed_feeds(decoded):
                    found.setdefault(feed_id, error)
        self._cache = (trust, at, found)
        return found

    def verified(self, update: PriceUpdate, trust: object, *, at: Instant) -> PriceUpdate:
        if not isinstance(trust, Trust):
            raise TypeError(f"trust is a probekit.trust.Trust, not {type(trust).__name__}")
        proofs = self.proofs(trust, at=at)
        proof = proofs.get(update.id) or proofs.get("")
        if proof is None:
            raise VerificationError(f"no signed message of this answer is about {update.id}")
        if isinstance(proof, ProbekitError):
            raise proof
        message, verified = proof
        check_parsed(update, message, verified.slot)
        return signed_update(message, verified, update.metadata)

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


class Claim(msgspec.Struct, frozen=True):
    """What an update's bytes say of themselves, before anything is verified."""

    root: TrustRoot | None
    set_index: int
    time: Instant
    slot: int


def claim_of(update: bytes | AccumulatorUpdate, trust: Trust) -> Claim:
    """Root, set index, time and slot as the bytes claim them. Raises ``DecodeError``."""
    decoded = update if isinstance(update, AccumulatorUpdate) else accumulator.decode(update)
    vaa = vaa_codec.decode(decoded.vaa)
    root = trust.root_of(vaa.emitter_chain, vaa.emitter_address)
    return Claim(root, vaa.set_index, vaa.time, accumulator.decode_payload(vaa.payload).slot)
