"""Any VAA, checked against a trusted set: for messages that are no price updates, such as those of governance."""

from __future__ import annotations

import msgspec

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.errors import UnknownSet, WrongRoot
from probekit.model import TrustRoot
from probekit.trust.sets import Trust
from probekit.trust.signatures import check_signatures
from probekit.trust.verification import check_validity
from probekit.units import Instant


class VerifiedVaa(msgspec.Struct, frozen=True):
    """A VAA that a quorum of a trusted set signed; ``signers`` are their places in it. Who emitted it, and what it means, is
    not looked at.
    """

    vaa: Vaa
    root: TrustRoot
    set_index: int
    signers: tuple[int, ...]
    quorum: int
    digest: bytes


def verify_vaa(
    vaa: bytes | Vaa, trust: Trust, *, at: Instant, root: TrustRoot = TrustRoot.CORE, accept_superseded: bool = False
) -> VerifiedVaa:
    """Verify the signatures of a VAA as of ``at``. A VAA does not name its root: Wormhole's is ``core``, and set 0 and 1 exist
    under either.

    Raises ``DecodeError``, ``WrongRoot`` (not trusted here), ``UnknownSet``, ``SignatureOrder``, ``NoQuorum``,
    ``BadSignature``, ``SupersededSet``, as :func:`~probekit.trust.verify` does.
    """
    message = vaa if isinstance(vaa, Vaa) else vaa_codec.decode(vaa)
    if root not in trust.roots():
        raise WrongRoot(f"the {root} root is not trusted here")
    signer_set = trust.get(root, message.set_index)
    if signer_set is None:
        raise UnknownSet(f"no trusted set of the {root} root has index {message.set_index}")
    digest = message.digest()
    signers = check_signatures(message, digest, signer_set.signers, signer_set.quorum)
    check_validity(signer_set, trust, at, accept_superseded=accept_superseded)
    return VerifiedVaa(message, root, signer_set.index, signers, signer_set.quorum, digest)
