"""VAAs that are no price updates, against trusted sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probekit import errors
from probekit.codecs import vaa as codec
from probekit.codecs.vaa import Vaa
from probekit.model import TrustRoot
from probekit.trust import verify_vaa
from probekit.trust.signing import SigningSet, replace_vaa, trust_of
from probekit.units import Instant

NOW = Instant.parse("2026-09-12T10:00:00Z")
GUARDIANS = SigningSet.generate(TrustRoot.CORE, 7, b"guardians")
TRUST = trust_of(GUARDIANS)
MESSAGE = Vaa(7, (), 1_700_000_000, 0, 1, bytes(31) + b"\x04", 77, 32, b"hello")


def test_a_message_signed_by_a_quorum() -> None:
    signed = GUARDIANS.sign(MESSAGE)
    found = verify_vaa(codec.encode(signed), TRUST, at=NOW)
    assert found == verify_vaa(signed, TRUST, at=NOW)
    assert (found.vaa.payload, found.root, found.set_index) == (b"hello", TrustRoot.CORE, 7)
    assert len(found.signers) == found.quorum == GUARDIANS.quorum
    assert found.digest == signed.digest()


def test_what_does_not_hold() -> None:
    signed = GUARDIANS.sign(MESSAGE)
    too_few = GUARDIANS.sign(MESSAGE, signers=range(GUARDIANS.quorum - 1))
    for changed, kind in (
        (replace_vaa(signed, payload=b"other"), errors.BadSignature),
        (replace_vaa(signed, set_index=8), errors.UnknownSet),
        (replace_vaa(signed, signatures=signed.signatures[::-1]), errors.SignatureOrder),
        (too_few, errors.NoQuorum),
    ):
        with pytest.raises(kind):
            verify_vaa(changed, TRUST, at=NOW)
    with pytest.raises(errors.WrongRoot):
        verify_vaa(signed, TRUST, at=NOW, root=TrustRoot.PRO)
    with pytest.raises(errors.DecodeError):
        verify_vaa(b"no VAA", TRUST, at=NOW)


def test_a_set_that_has_expired() -> None:
    expired = TRUST.with_set(replace(GUARDIANS.signer_set(), expires_at=NOW))
    signed = GUARDIANS.sign(MESSAGE)
    assert verify_vaa(signed, expired, at=NOW).set_index == 7
    later = Instant(NOW.ns + 1)
    with pytest.raises(errors.SupersededSet):
        verify_vaa(signed, expired, at=later)
    assert verify_vaa(signed, expired, at=later, accept_superseded=True).set_index == 7
