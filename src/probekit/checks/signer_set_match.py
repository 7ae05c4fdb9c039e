"""Does a place verify by the set that signs?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Measure, Observation, Status, TrustRoot, Verdict
from probekit.model.signer_set import KnownSet, SetSighting
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class SignerSetMatch:
    """Rule over the set that a place has in force, against the ``known`` ones.

    CRITICAL: ``members_differ`` (another set under a known index, or known members under another), ``unknown_set``,
    ``wrong_root`` (not ``expected_root``), ``wrong_quorum`` (the other root's rule, or none), ``wrong_emitter`` (the data
    sources are of another root than the set: nothing that is signed is taken), ``set_behind`` (the root has a newer set, known
    or seen elsewhere: nothing that is signed today verifies). UNKNOWN ``no_set`` where the place did not tell.
    """

    known: tuple[KnownSet, ...]
    expected_root: TrustRoot | None = None
    name: ClassVar[str] = "signer_set_match"

    def __call__(self, observation: Observation[SetSighting], *, now: Instant) -> Verdict:
        seen = observation.value
        if seen.index is None or seen.signers is None:
            told = "; ".join(seen.unanswered) or "no reason given"
            return Verdict(self.name, Status.UNKNOWN, "no_set", f"the set in force was not told: {told}")
        measures = (Measure("signer_set.index", seen.index, "count"),)

        def wrong(reason: str, message: str) -> Verdict:
            return Verdict(self.name, Status.CRITICAL, reason, message, measures=measures)

        found = seen.known(self.known)
        size = len(seen.signers)
        if found is None:
            return self._unknown(seen, seen.index, seen.signers, measures)
        root, what = found.root, f"set {seen.index} of the {found.root} root"
        if found.index != seen.index:
            return wrong("members_differ", f"set {seen.index} has the members of set {found.index} of the {root} root")
        if self.expected_root is not None and root is not self.expected_root:
            return wrong("wrong_root", f"{what} is in force; expected the {self.expected_root} root")
        if seen.quorum is not None and seen.quorum != root.quorum(size):
            return wrong("wrong_quorum", f"{seen.quorum} of {size} signatures are enough, {what} wants {root.quorum(size)}")
        if seen.emitter_roots is not None and root not in seen.emitter_roots:
            roots = ", ".join(seen.emitter_roots) or "no known"
            return wrong(
                "wrong_emitter", f"{what} verifies, and the data sources are of the {roots} root: no update passes both"
            )
        newest = max(one.index for one in (*self.known, *seen.newer) if one.root is root)
        if seen.index < newest:
            return wrong("set_behind", f"{what} is in force, and the root signs with set {newest}")
        message = f"{what}, {size} signers"
        return Verdict(self.name, Status.OK, "current", message, seen.index, newest, "count", measures=measures)

    def _unknown(self, seen: SetSighting, index: int, signers: tuple[bytes, ...], measures: tuple[Measure, ...]) -> Verdict:
        """Members that no known set has: told by how they differ where the index names one."""
        roots = seen.emitter_roots or tuple(TrustRoot)
        like = [one for one in self.known if one.index == index and one.root in roots and len(one.signers) == len(signers)]
        if like:
            pairs = enumerate(zip(signers, like[0].signers, strict=True))
            others = [f"{number} is 0x{one.hex()}, not 0x{known.hex()}" for number, (one, known) in pairs if one != known]
            shown = "; ".join(others[:3]) + (f"; and {len(others) - 3} more" if len(others) > 3 else "")
            reason, message = "members_differ", f"set {index} is not that of the {like[0].root} root: signer {shown}"
        else:
            first = f", the first 0x{signers[0].hex()}" if signers else ""
            reason, message = "unknown_set", f"set {index} with {len(signers)} signers{first}, is none that is known"
        return Verdict(self.name, Status.CRITICAL, reason, message, measures=measures)
