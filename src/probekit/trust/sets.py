"""Trusted sets: who may sign, under which root, and from when until when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.errors import BadSignature, DecodeError, UnknownSet, VerificationError, WrongEmitter
from probekit.model import TrustRoot
from probekit.trust.signatures import check_signatures
from probekit.units import Instant

SUPERSEDED_FOR: Final = timedelta(hours=24)
"""How long a set goes on after the next one was installed (the contracts' ``guardian_set_ttl`` of 86,400 s)."""

GOVERNANCE_CHAIN: Final = 1
GOVERNANCE_EMITTER: Final = bytes(31) + b"\x04"
_MODULE_CORE: Final = b"Core".rjust(32, b"\x00")
_ACTION_UPGRADE: Final = 2


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
        if not self.signers or any(len(signer) != 20 for signer in self.signers):
            raise ValueError(f"set {self.index} of the {self.root} root needs signers of 20 bytes each")

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

    ``emitters`` may name a root of which no set is trusted: its updates are then ``WrongRoot``, not ``WrongEmitter``. A value;
    the methods return changed copies.
    """

    sets: tuple[SignerSet, ...]
    emitters: tuple[Emitter, ...]
    _by_key: dict[tuple[TrustRoot, int], SignerSet] = field(init=False, repr=False, compare=False)
    _by_emitter: dict[tuple[int, bytes], TrustRoot] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {(one.root, one.index): one for one in self.sets}
        if len(by_key) != len(self.sets):
            raise ValueError("two sets share a root and an index")
        object.__setattr__(self, "_by_key", by_key)
        object.__setattr__(self, "_by_emitter", {(one.chain, one.address): one.root for one in self.emitters})

    def get(self, root: TrustRoot, index: int) -> SignerSet | None:
        """The set of that root and index, if it is trusted."""
        return self._by_key.get((root, index))

    def root_of(self, chain: int, address: bytes) -> TrustRoot | None:
        """Which root emits from there."""
        return self._by_emitter.get((chain, address))

    def roots(self) -> frozenset[TrustRoot]:
        """Roots of which at least one set is trusted."""
        return frozenset(one.root for one in self.sets)

    def newest(self, root: TrustRoot) -> SignerSet | None:
        """The set of the highest index of a root."""
        return max((one for one in self.sets if one.root is root), key=lambda one: one.index, default=None)

    def only(self, root: TrustRoot) -> Trust:
        """The same trust in one root alone; the other's updates become ``WrongRoot``."""
        return replace(self, sets=tuple(one for one in self.sets if one.root is root))

    def with_set(self, added: SignerSet) -> Trust:
        """With one more set, or another in place of the one of its root and index."""
        kept = tuple(one for one in self.sets if (one.root, one.index) != (added.root, added.index))
        return replace(self, sets=(*kept, added))

    def upgraded(self, vaa: bytes | Vaa, *, installed_at: Instant, root: TrustRoot | None = None) -> Trust:
        """Take over a set-upgrade VAA after verifying it against the set before.

        The VAA does not name its root: without ``root`` it is the one whose set signed. ``installed_at`` is the caller's
        knowledge of when the new set took effect (the pro rotation's VAA carries time 0): from then it is valid, and the old
        set expires 24 hours later. Raises ``DecodeError`` when it is no set upgrade, ``WrongEmitter``, ``UnknownSet``, or what
        is wrong with the signatures.
        """
        message = vaa if isinstance(vaa, Vaa) else vaa_codec.decode(vaa)
        if (message.emitter_chain, message.emitter_address) != (GOVERNANCE_CHAIN, GOVERNANCE_EMITTER):
            raise WrongEmitter(
                f"a set upgrade comes from chain 1, address 0x..04, not from chain {message.emitter_chain}, "
                f"{message.emitter_address.hex()}"
            )
        index, signers = decode_set_upgrade(message.payload)
        failure: VerificationError | None = None
        for candidate in (root,) if root is not None else tuple(TrustRoot):
            before = self.get(candidate, message.set_index)
            if before is None:
                continue
            try:
                check_signatures(message, before.signers, before.quorum)
            except BadSignature as error:
                failure = error
                continue
            if index != message.set_index + 1:
                raise DecodeError(f"set {message.set_index} may install set {message.set_index + 1}, not {index}", raw=b"")
            old = replace(before, expires_at=installed_at.plus(SUPERSEDED_FOR))
            new = SignerSet(candidate, index, signers, valid_from=installed_at)
            return self.with_set(old).with_set(new)
        raise failure or UnknownSet(f"no trusted set has index {message.set_index}, which signed this upgrade")


def decode_set_upgrade(payload: bytes) -> tuple[int, tuple[bytes, ...]]:
    """New index and signers of a ``Core`` action 2 payload.

    Layout: module 32 (``Core``, left-padded) · action u8 (2) · chain u16 · index u32 · count u8 · 20 bytes each. Raises
    ``DecodeError``. Source: Wormhole whitepaper 0002.
    """
    if len(payload) < 40 or payload[:32] != _MODULE_CORE or payload[32] != _ACTION_UPGRADE:
        raise DecodeError("not a set upgrade (module Core, action 2)", raw=payload, offset=0)
    count = payload[39]
    if len(payload) != 40 + 20 * count or not count:
        raise DecodeError(f"a set upgrade of {count} signers has {40 + 20 * count} bytes, not {len(payload)}", raw=payload)
    signers = tuple(payload[40 + 20 * i : 60 + 20 * i] for i in range(count))
    return int.from_bytes(payload[35:39], "big"), signers


def encode_set_upgrade(index: int, signers: tuple[bytes, ...]) -> bytes:
    """The payload that installs a set, for every chain."""
    head = _MODULE_CORE + bytes((_ACTION_UPGRADE, 0, 0)) + index.to_bytes(4, "big") + bytes((len(signers),))
    return head + b"".join(signers)
