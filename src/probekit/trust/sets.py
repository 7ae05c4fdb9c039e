"""Trusted sets: who may sign, under which root, and from when until when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.governance import core
from probekit.codecs.governance.core import encode_set_upgrade as encode_set_upgrade
from probekit.codecs.vaa import Vaa
from probekit.errors import DecodeError, SupersededSet, UnknownSet, VerificationError, WrongEmitter
from probekit.model import TrustRoot
from probekit.trust.signatures import check_signatures
from probekit.units import Instant

SUPERSEDED_FOR: Final = timedelta(hours=24)
"""How long a set goes on after the next one was installed (the contracts' ``guardian_set_ttl`` of 86,400 s)."""

GOVERNANCE: Final = (1, bytes(31) + b"\x04")
"""(chain, address) that emits set upgrades on either root: Wormhole's own governance emitter."""


@dataclass(frozen=True, slots=True)
class SignerSet:
    """One set of a root's ladder: its index and the signers' 20-byte addresses, index 0 first.

    ``valid_from`` and ``expires_at`` are ``None`` where they are not known.
    """

    root: TrustRoot
    index: int
    signers: tuple[bytes, ...]
    valid_from: Instant | None = None
    expires_at: Instant | None = None

    def __post_init__(self) -> None:
        # A VAA counts its signatures in one byte.
        if not 0 < len(self.signers) <= 255 or any(len(signer) != 20 for signer in self.signers):
            raise ValueError(f"set {self.index} of the {self.root} root needs 1 to 255 signers of 20 bytes each")
        # One who stands there twice would count twice; nobody has the key of address zero.
        if len(set(self.signers)) != len(self.signers) or not all(any(signer) for signer in self.signers):
            raise ValueError(f"set {self.index} of the {self.root} root has a signer twice, or one of address zero")

    @classmethod
    def of(cls, root: TrustRoot, index: int, *addresses: str) -> SignerSet:
        """From hex addresses, with or without ``0x``. Raises ``ValueError``."""
        return cls(root, index, tuple(bytes.fromhex(address.removeprefix("0x")) for address in addresses))

    @property
    def quorum(self) -> int:
        """Signatures needed, by the root's own formula."""
        return self.root.quorum(len(self.signers))


@dataclass(frozen=True, slots=True)
class Emitter:
    """The (Wormhole chain, 32-byte address) that emits a root's price roots."""

    root: TrustRoot
    chain: int
    address: bytes


@dataclass(frozen=True)
class Trust:
    """What verification rests on: sets keyed by (root, index), and the emitter of each root.

    ``emitters`` may name a root of which no set is trusted: its updates are then ``WrongRoot``, not ``WrongEmitter``.
    ``governance`` is the (chain, 32-byte address) that set upgrades come from. ``recognised`` are sets that are *not* trusted:
    known only to say ``WrongRoot`` where their signatures turn up. A value; the methods return changed copies. Raises
    ``ValueError`` when two sets share a root and an index, or two emitters a place.
    """

    sets: tuple[SignerSet, ...]
    emitters: tuple[Emitter, ...]
    governance: tuple[int, bytes] = GOVERNANCE
    recognised: tuple[SignerSet, ...] = ()
    _by_key: dict[tuple[TrustRoot, int], SignerSet] = field(init=False, repr=False, compare=False)
    _by_emitter: dict[tuple[int, bytes], TrustRoot] = field(init=False, repr=False, compare=False)
    _roots: frozenset[TrustRoot] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {(one.root, one.index): one for one in self.sets}
        if len(by_key) != len(self.sets):
            raise ValueError("two sets share a root and an index")
        by_emitter = {(one.chain, one.address): one.root for one in self.emitters}
        if len(by_emitter) != len(self.emitters):
            raise ValueError("two emitters share a chain and an address")
        object.__setattr__(self, "_by_key", by_key)
        object.__setattr__(self, "_by_emitter", by_emitter)
        object.__setattr__(self, "_roots", frozenset(one.root for one in self.sets))

    def get(self, root: TrustRoot, index: int) -> SignerSet | None:
        """The set of that root and index, if it is trusted."""
        return self._by_key.get((root, index))

    def root_of(self, chain: int, address: bytes) -> TrustRoot | None:
        """Which root emits from there."""
        return self._by_emitter.get((chain, address))

    def roots(self) -> frozenset[TrustRoot]:
        """Roots of which at least one set is trusted."""
        return self._roots

    def newest(self, root: TrustRoot) -> SignerSet | None:
        """The set of the highest index of a root."""
        return max((one for one in self.sets if one.root is root), key=lambda one: one.index, default=None)

    def superseding(self, signer_set: SignerSet, at: Instant) -> SignerSet | None:
        """The newest later set of the same root that may be in force at ``at``: not one known to begin after it."""
        later = (
            one
            for one in self.sets
            if one.root is signer_set.root and one.index > signer_set.index and (one.valid_from is None or one.valid_from <= at)
        )
        return max(later, key=lambda one: one.index, default=None)

    def only(self, root: TrustRoot) -> Trust:
        """The same trust in one root alone; the other's updates become ``WrongRoot``."""
        kept = tuple(one for one in self.sets if one.root is root)
        dropped = tuple(one for one in self.sets if one.root is not root)
        return replace(self, sets=kept, recognised=self.recognised + dropped)

    def with_set(self, added: SignerSet) -> Trust:
        """With one more set, or another in place of the one of its root and index."""
        kept = tuple(one for one in self.sets if (one.root, one.index) != (added.root, added.index))
        return replace(self, sets=(*kept, added))

    def upgraded(self, vaa: bytes | Vaa, *, installed_at: Instant, root: TrustRoot | None = None) -> Trust:
        """Take over a set-upgrade VAA after verifying it against the set before.

        The VAA does not name its root: without ``root`` it is the one whose set signed. ``installed_at`` is the caller's
        knowledge of when the new set took effect (the pro rotation's VAA carries time 0): from then it is valid, and the old
        set expires 24 hours later. A set that is already trusted under that index gets these times when it has the same
        signers.

        Raises ``DecodeError`` when it is no set upgrade, or one for a single chain, or skips an index; ``WrongEmitter``;
        ``UnknownSet`` when the set before is not trusted, or not yet valid; ``SupersededSet`` when that set had expired, or has
        installed another set already; or what is wrong with the signatures.
        """
        message = vaa if isinstance(vaa, Vaa) else vaa_codec.decode(vaa)
        if (message.emitter_chain, message.emitter_address) != self.governance:
            chain, address = self.governance
            raise WrongEmitter(
                f"a set upgrade comes from chain {chain}, address {address.hex()}, not from chain {message.emitter_chain}, "
                f"{message.emitter_address.hex()}"
            )
        index, signers = decode_set_upgrade(message.payload)
        if index != message.set_index + 1:
            raise DecodeError(
                f"set {message.set_index} may install set {message.set_index + 1}, not {index}", raw=message.payload, offset=35
            )
        before = self.signer_of(message, tuple(TrustRoot) if root is None else (root,))
        name = f"set {before.index} of the {before.root} root"
        if before.expires_at is not None and installed_at > before.expires_at:
            raise SupersededSet(f"{name} expired at {before.expires_at}; it installs nothing at {installed_at}")
        if before.valid_from is not None and installed_at < before.valid_from:
            raise UnknownSet(f"{name} is valid from {before.valid_from}; it installs nothing at {installed_at}")
        known = self.get(before.root, index)
        # Whoever holds an old set's keys must not be able to put another set in place of its true successor.
        if known is not None and known.signers != signers:
            raise SupersededSet(f"{name} has installed another set {index} than this upgrade's")
        new = SignerSet(before.root, index, signers, installed_at, None if known is None else known.expires_at)
        return self.with_set(replace(before, expires_at=installed_at.plus(SUPERSEDED_FOR))).with_set(new)

    def signer_of(self, message: Vaa, roots: tuple[TrustRoot, ...]) -> SignerSet:
        """The trusted set, of one of these roots, that signed, whenever it counts. Raises ``UnknownSet``, or what is wrong with
        the signatures, by the first.
        """
        failure: VerificationError | None = None
        digest = message.digest()
        for root in roots:
            candidate = self.get(root, message.set_index)
            if candidate is None:
                continue
            try:
                check_signatures(message, digest, candidate.signers, candidate.quorum)
            except VerificationError as error:
                failure = failure or error
            else:
                return candidate
        raise failure or UnknownSet(f"no trusted set has index {message.set_index}, which signed this upgrade")


def decode_set_upgrade(payload: bytes) -> tuple[int, tuple[bytes, ...]]:
    """New index and signers of a set upgrade for every chain: :mod:`probekit.codecs.governance.core`.

    Raises ``DecodeError``, also for one that is for a single chain.
    """
    upgrade = core.decode_set_upgrade(payload)
    if upgrade.target_chain != core.EVERY_CHAIN:
        raise DecodeError(
            f"a set upgrade for chain {upgrade.target_chain} alone says nothing of the root's sets", raw=payload, offset=33
        )
    signers = upgrade.guardians
    if len(set(signers)) != len(signers) or not all(any(signer) for signer in signers):
        raise DecodeError("a set upgrade names a signer twice, or address zero", raw=payload, offset=40)
    return upgrade.index, signers
