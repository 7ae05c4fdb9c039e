"""Who signed a VAA of any content."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from probekit import errors
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.model import TrustRoot
from probekit.trust import Trust, signed_by
from probekit.trust.registry import EMITTERS
from probekit.trust.signing import SigningSet
from probekit.units import Instant

AT = Instant.parse("2026-09-12T10:00:00Z")
SIGNING = {root: SigningSet.generate(root, 1, b"vaas") for root in TrustRoot}
TRUST = Trust(tuple(signing.signer_set() for signing in SIGNING.values()), EMITTERS)
UNSIGNED = Vaa(1, (), 0, 0, 1, b"\x56" * 32, 9, 1, b"anything")


@pytest.mark.parametrize("root", TrustRoot)
def test_the_set_is_found_by_who_signed(root: TrustRoot) -> None:
    vaa = SIGNING[root].sign(UNSIGNED)
    assert signed_by(vaa, TRUST, at=AT) == signed_by(vaa_codec.encode(vaa), TRUST, at=AT) == SIGNING[root].signer_set()


def test_what_is_wrong_is_raised() -> None:
    vaa = SIGNING[TrustRoot.PRO].sign(UNSIGNED)
    with pytest.raises(errors.NoQuorum):
        signed_by(msgspec.structs.replace(vaa, signatures=vaa.signatures[:1]), TRUST, at=AT)
    with pytest.raises(errors.BadSignature):
        signed_by(msgspec.structs.replace(vaa, payload=b"something else"), TRUST.only(TrustRoot.PRO), at=AT)
    with pytest.raises(errors.UnknownSet):
        signed_by(msgspec.structs.replace(vaa, set_index=2), TRUST, at=AT)
    with pytest.raises(errors.DecodeError):
        signed_by(b"\x01", TRUST, at=AT)


def test_a_set_that_was_superseded() -> None:
    vaa = SIGNING[TrustRoot.PRO].sign(UNSIGNED)
    gone = replace(SIGNING[TrustRoot.PRO].signer_set(), expires_at=AT)
    trust = TRUST.with_set(gone)
    later = AT.plus(timedelta(seconds=1))
    assert signed_by(vaa, trust, at=AT) == gone
    with pytest.raises(errors.SupersededSet):
        signed_by(vaa, trust, at=later)
    assert signed_by(vaa, trust, at=later, accept_superseded=True) == gone
