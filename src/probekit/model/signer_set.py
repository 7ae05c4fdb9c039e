"""Sets of signers as places hold them: what is in force there, beside what is known."""

from __future__ import annotations

import msgspec

from probekit.model.verified import TrustRoot
from probekit.units import Instant


class KnownSet(msgspec.Struct, frozen=True):
    """A set of a root: its index, and the signers' 20-byte addresses in order."""

    root: TrustRoot
    index: int
    signers: tuple[bytes, ...]


class SetSighting(msgspec.Struct, frozen=True, kw_only=True):
    """The set that one place (a receiver, a program, the guardians' own API) has in force.

    ``index`` and ``signers`` are ``None`` where the place did not tell them; ``unanswered`` says why. ``quorum`` is how many
    signatures it was seen to ask for, ``None`` where that does not show. ``emitter_roots`` are the roots of the known data
    sources, ``other_emitters`` the number of others; ``None`` where a place has none. ``newer`` are sets seen elsewhere in the
    same run that no registry has yet.
    """

    index: int | None
    signers: tuple[bytes, ...] | None
    expires_at: Instant | None = None
    quorum: int | None = None
    emitter_roots: tuple[TrustRoot, ...] | None = None
    other_emitters: int = 0
    newer: tuple[KnownSet, ...] = ()
    unanswered: tuple[str, ...] = ()

    def known(self, sets: tuple[KnownSet, ...]) -> KnownSet | None:
        """The set of these members; the one of the same index before another."""
        same = [one for one in sets if one.signers == self.signers]
        return next((one for one in same if one.index == self.index), same[0] if same else None)
