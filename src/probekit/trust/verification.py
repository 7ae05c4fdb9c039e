"""Full verification of an accumulator update: who signed the root, and that every message leads to it."""

from __future__ import annotations

import msgspec

from probekit.codecs import accumulator, messages
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.accumulator import AccumulatorUpdate
from probekit.codecs.merkle import ProofChecker
from probekit.codecs.vaa import Vaa
from probekit.errors import (
    BadSignature,
    DecodeError,
    SupersededSet,
    UnknownSet,
    VerificationError,
    WrongEmitter,
    WrongRoot,
)
from probekit.model import TrustRoot, Verified
from probekit.trust.sets import SignerSet, Trust
from probekit.trust.signatures import Recovery, check_signatures
from probekit.units import Instant


def verify(update: bytes | AccumulatorUpdate, trust: Trust, *, at: Instant, accept_superseded: bool = False) -> Verified:
    """Verify one accumulator update against ``trust`` as of ``at``.

    ``at`` is now in live use. Replay and vectors pass the update's own VAA time with ``accept_superseded=True``, and say so:
    that proves who signed, not that it is acceptable today. The root is read from the update's own emitter, never from where
    it came.

    Raises ``DecodeError``; ``WrongEmitter`` (no known root emits there); ``WrongRoot`` (its root is not trusted here, or the
    signatures are another root's); ``UnknownSet`` (no such set, or not yet valid); ``SignatureOrder``; ``NoQuorum``;
    ``BadSignature``; ``SupersededSet`` (rightly signed, by a set that no longer counts); ``BadProof``. Several updates of one
    answer are cheaper by :class:`Verifier`.
    """
    return Verifier(trust).verify(update, at=at, accept_superseded=accept_superseded)


class _SignedRoot:
    """A Merkle root with its signatures checked; when it counts, and which messages it proves, is asked later."""

    __slots__ = ("digest", "payload", "proofs", "sequence", "signer_set", "signers", "time")

    def __init__(self, data: bytes, trust: Trust) -> None:
        vaa = vaa_codec.decode(data)
        root = trust.root_of(vaa.emitter_chain, vaa.emitter_address)
        if root is None:
            raise WrongEmitter(f"no trusted root emits from chain {vaa.emitter_chain}, address {vaa.emitter_address.hex()}")
        if root not in trust.roots():
            trusted = ", ".join(sorted(trust.roots())) or "none"
            raise WrongRoot(f"an update of the {root} root; trusted here: {trusted}")
        digest = vaa.digest()
        signer_set = trust.get(root, vaa.set_index)
        if signer_set is None:
            _raise_if_other_root(vaa, digest, trust, root)
            raise UnknownSet(f"no trusted set of the {root} root has index {vaa.set_index}")
        try:
            self.signers = check_signatures(vaa, digest, signer_set.signers, signer_set.quorum)
        except VerificationError:
            _raise_if_other_root(vaa, digest, trust, root)
            raise
        self.signer_set = signer_set
        self.digest = digest
        self.sequence = vaa.sequence
        self.time = vaa.time
        self.payload = accumulator.decode_payload(vaa.payload)
        self.proofs = ProofChecker(self.payload.root)


class Verifier:
    """Verifies the updates of one answer: a VAA they share is recovered once, and so are their common Merkle paths.

    Hermes cuts a slot of more than 255 messages into several updates with the same VAA. What was checked is kept, so that an
    instance is for one answer; it holds a few times the bytes it was given. Not for several threads at once.
    """

    __slots__ = ("_signed", "trust")

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self._signed: dict[bytes, _SignedRoot] = {}

    def verify(self, update: bytes | AccumulatorUpdate, *, at: Instant, accept_superseded: bool = False) -> Verified:
        """As :func:`verify`."""
        decoded = update if isinstance(update, AccumulatorUpdate) else accumulator.decode(update)
        signed = self._root_of(decoded)
        check_validity(signed.signer_set, self.trust, at, accept_superseded=accept_superseded)
        return self._prove(decoded, signed)

    def prove(self, decoded: AccumulatorUpdate) -> Verified:
        """All of :meth:`verify` but the set's validity in time, which is left to :func:`check_validity`."""
        return self._prove(decoded, self._root_of(decoded))

    def _root_of(self, decoded: AccumulatorUpdate) -> _SignedRoot:
        if decoded.major != accumulator.MAJOR:
            raise DecodeError(
                f"major version {decoded.major}; the contracts take {accumulator.MAJOR} only", raw=decoded.vaa, offset=0
            )
        if decoded.trailing:
            raise DecodeError(
                f"{len(decoded.trailing)} bytes behind the last message; the EVM contract takes none", raw=decoded.trailing
            )
        signed = self._signed.get(decoded.vaa)
        if signed is None:
            signed = self._signed[decoded.vaa] = _SignedRoot(decoded.vaa, self.trust)
        return signed

    def _prove(self, decoded: AccumulatorUpdate, signed: _SignedRoot) -> Verified:
        signed.proofs.check(decoded.proven)
        decode = messages.decode
        signer_set = signed.signer_set
        return Verified(
            signer_set.root,
            signer_set.index,
            signed.signers,
            signer_set.quorum,
            signed.payload.slot,
            signed.sequence,
            signed.time,
            signed.digest,
            tuple([decode(message) for message, _ in decoded.proven]),
        )


def check_validity(signer_set: SignerSet, trust: Trust, at: Instant, *, accept_superseded: bool = False) -> None:
    """Check that a set of ``trust`` counts at ``at``.

    Raises ``UnknownSet`` when it is not valid yet; ``SupersededSet`` when it has expired, or a newer one has replaced it and
    its expiry is not known. ``accept_superseded`` lets a superseded set pass.
    """
    if signer_set.valid_from is not None and at < signer_set.valid_from:
        raise UnknownSet(f"{_name(signer_set)} is valid from {signer_set.valid_from}, not yet at {at}")
    if accept_superseded:
        return
    if signer_set.expires_at is not None:
        if at > signer_set.expires_at:
            raise SupersededSet(f"{_name(signer_set)} expired at {signer_set.expires_at}, before {at}")
        return
    newer = trust.superseding(signer_set, at)
    if newer is not None:
        raise SupersededSet(f"{_name(signer_set)} was superseded by set {newer.index}; when it expires is not known")


def _name(signer_set: SignerSet) -> str:
    return f"set {signer_set.index} of the {signer_set.root} root"


def _raise_if_other_root(vaa: Vaa, digest: bytes, trust: Trust, root: TrustRoot) -> None:
    """``WrongRoot`` when a quorum of another root's set of any index did sign: the migration's mistake.

    Bounded by the 255 signatures a VAA can carry.
    """
    recovery = Recovery(digest)
    recovered: set[tuple[int, bytes]] = set()
    for signature in vaa.signatures:
        try:
            recovered.add((signature.index, recovery.address(signature)))
        except BadSignature:
            continue
    for other in (*trust.sets, *trust.recognised):
        if other.root is root:
            continue
        hits = sum(1 for index, address in recovered if other.signers[index : index + 1] == (address,))
        if hits >= other.quorum:
            raise WrongRoot(
                f"the update claims the {root} root, set {vaa.set_index}, but {hits} valid signatures are of "
                f"set {other.index} of the {other.root} root"
            )


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
