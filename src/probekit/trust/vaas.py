"""Who signed a VAA of any content, governance for one. Prices have :func:`~probekit.trust.verification.verify`."""

from __future__ import annotations

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.model import TrustRoot
from probekit.trust.sets import SignerSet, Trust
from probekit.trust.verification import check_validity
from probekit.units import Instant


def signed_by(vaa: bytes | Vaa, trust: Trust, *, at: Instant, accept_superseded: bool = False) -> SignerSet:
    """The trusted set whose quorum signed, of either root; the VAA does not name it. Who emitted it is the caller's to compare.

    ``at`` and ``accept_superseded`` as in :func:`~probekit.trust.verification.verify`. Raises ``DecodeError``, ``UnknownSet``,
    ``SupersededSet``, or what is wrong with the signatures.
    """
    message = vaa if isinstance(vaa, Vaa) else vaa_codec.decode(vaa)
    signer_set = trust.signer_of(message, tuple(TrustRoot))
    check_validity(signer_set, trust, at, accept_superseded=accept_superseded)
    return signer_set
