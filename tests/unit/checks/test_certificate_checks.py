"""Certificates by their end, trust, names and strength: each reason, and the edges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from probekit.checks import CertificateExpiry, CertificateName, CertificateTrust, TlsStrength
from probekit.model import Observation, Phases, Status, Verdict
from probekit.model.certificate import Certificate, Chain, TlsSighting, Trust
from probekit.units import NS_PER_S, Instant
from tests.unit.checks.builders import NOW

DAY = timedelta(days=1)
OK, WARNING, CRITICAL = Status.OK, Status.WARNING, Status.CRITICAL


def certificate(
    subject: str = "CN=server", *, left: timedelta = 90 * DAY, since: timedelta = 10 * DAY, **more: Any
) -> Certificate:
    fields = {"issuer": "CN=up", "key": "EC", "key_bits": 256, "signature": "sha256", "names": ("a.example",), **more}
    return Certificate(
        subject=subject, serial="1", sha256="00", not_before=NOW.plus(-since), not_after=NOW.plus(left), **fields
    )  # fmt: skip


def sighting(*chain: Certificate, sent: tuple[Certificate, ...] = (), **more: Any) -> TlsSighting:
    trust = Trust(sent or chain or (certificate(),), Chain(chain) if chain else None, 1 if chain else 0)
    return msgspec.structs.replace(
        TlsSighting("a.example", True, trust, "TLSv1.3", "TLS_AES", None, "192.0.2.1", "ipv4", Phases(), 7), **more
    )


def judge(check: Any, seen: TlsSighting, now: Instant = NOW) -> Verdict:
    observation = Observation(seen, "server", now, "server")
    verdict: Verdict = check(observation, now=now)
    assert check(observation, now=now) == verdict
    return verdict


EXPIRY = CertificateExpiry(warn_before=21 * DAY, critical_before=7 * DAY)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (22 * DAY, (OK, "valid")),
        (21 * DAY + INSTANT, (OK, "valid")),
        (21 * DAY, (WARNING, "expiring")),
        (7 * DAY + INSTANT, (WARNING, "expiring")),
        (7 * DAY, (CRITICAL, "expires_soon")),
        (timedelta(0), (CRITICAL, "expires_soon")),
        # Valid in the whole of its last second.
        (-timedelta(microseconds=999_999), (CRITICAL, "expires_soon")),
        (-timedelta(seconds=1), (CRITICAL, "expired")),
        (-900 * DAY, (CRITICAL, "expired")),
    ],
)
def test_the_edges_of_an_end(left: timedelta, expected: tuple[Status, str]) -> None:
    verdict = judge(EXPIRY, sighting(certificate(left=left), certificate("CN=root", left=4000 * DAY)))
    assert (verdict.status, verdict.reason) == expected
    assert "the server's certificate CN=server" in verdict.message


def test_the_first_of_a_chain_to_end_is_its_end_and_told_in_unix_time() -> None:
    server, between, root = certificate(), certificate("CN=between", left=5 * DAY), certificate("CN=root", left=900 * DAY)
    verdict = judge(EXPIRY, sighting(server, between, root))
    assert (verdict.status, verdict.reason) == (CRITICAL, "expires_soon")
    assert "5d00h: the intermediate CN=between" in verdict.message
    measured = {one.name: int(one.value) // NS_PER_S for one in verdict.measures}
    assert measured == {
        "certificate.expiry.leaf": server.not_after.seconds,
        "certificate.expiry.chain": between.not_after.seconds,
    }
    # An absolute time: the same however much later it is judged, and also once it is over.
    assert judge(EXPIRY, sighting(server, between, root), NOW.plus(9 * DAY)).measures == verdict.measures
    # What was sent and is in no chain does not count.
    stale = certificate("CN=stale", left=-DAY)
    assert judge(EXPIRY, sighting(server, root, sent=(server, stale))).status is OK
    ended = judge(EXPIRY, sighting(server, certificate("CN=root", left=-DAY)))
    assert (ended.reason, "the authority CN=root" in ended.message) == ("expired", True)


def test_without_a_chain_the_servers_own_certificate_still_has_an_end() -> None:
    verdict = judge(EXPIRY, sighting(sent=(certificate(left=3 * DAY), certificate("CN=between", left=DAY))))
    assert (verdict.status, verdict.reason) == (CRITICAL, "expires_soon")
    assert [one.name for one in verdict.measures] == ["certificate.expiry.leaf"]


def test_what_is_not_valid_yet() -> None:
    early = certificate(since=-3 * DAY)
    verdict = judge(EXPIRY, sighting(early, certificate("CN=root")))
    assert (verdict.status, verdict.reason) == (CRITICAL, "not_yet_valid")
    assert "valid in 3d00h" in verdict.message
    assert judge(EXPIRY, sighting(certificate(), certificate("CN=up", since=-DAY))).reason == "not_yet_valid"
    assert judge(EXPIRY, sighting(early), NOW.plus(4 * DAY)).status is OK


@pytest.mark.parametrize("wrong", [{"critical_before": -DAY}, {"warn_before": DAY, "critical_before": 2 * DAY}])
def test_thresholds_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="critical_before"):
        CertificateExpiry(**wrong)


@pytest.mark.parametrize("reason", ["self_signed", "unknown_authority", "incomplete_chain", "chain_refused"])
def test_why_nothing_is_trusted(reason: Any) -> None:
    seen = sighting(trust=Trust((certificate(),), None, 0, reason, "so it is"))
    verdict = judge(CertificateTrust(), seen)
    assert (verdict.status, verdict.reason, verdict.message) == (CRITICAL, reason, "so it is")


def test_a_chain_is_trust_whatever_its_time() -> None:
    verdict = judge(CertificateTrust(), sighting(certificate(left=-DAY), certificate("CN=root")))
    assert (verdict.status, verdict.reason, verdict.message) == (OK, "trusted", "by CN=root")
    several = sighting(trust=Trust((certificate(),), Chain((certificate(),)), 3))
    assert "3 chains hold" in judge(CertificateTrust(), several).message


def test_a_name_is_told_apart_from_trust() -> None:
    seen = sighting(certificate(names=tuple(f"n{number}.example" for number in range(9))), named=False)
    verdict = judge(CertificateName(), seen)
    assert (verdict.status, verdict.reason) == (CRITICAL, "name_mismatch")
    assert verdict.message.endswith("n4.example and 4 more, not for a.example")
    assert judge(CertificateTrust(), seen).status is OK
    assert judge(CertificateName(), sighting(certificate(names=()), named=False)).message.startswith(
        "the certificate is for no"
    )
    assert judge(CertificateName(), sighting(certificate())).status is OK
    host = sighting(certificate(names=("192.0.2.1",), addresses=("192.0.2.2",)), named=False, server_name="192.0.2.1")
    assert "needs an entry of its own" in judge(CertificateName(), host).message
    other = sighting(certificate(names=(), addresses=("192.0.2.2",)), named=False, server_name="192.0.2.1")
    assert "for 192.0.2.2, not for 192.0.2.1" in judge(CertificateName(), other).message


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (sighting(certificate()), (OK, "strong")),
        (sighting(certificate(), protocol="TLSv1.2"), (OK, "strong")),
        (sighting(certificate(), protocol="TLSv1.1"), (WARNING, "weak_protocol")),
        (sighting(certificate(), protocol="SSLv3"), (WARNING, "weak_protocol")),
        (sighting(certificate(key="RSA", key_bits=2048)), (OK, "strong")),
        (sighting(certificate(key="RSA", key_bits=1024)), (WARNING, "weak_key")),
        (sighting(certificate(), certificate("CN=up", key="RSA", key_bits=1024)), (WARNING, "weak_key")),
        (sighting(certificate(key_bits=192)), (WARNING, "weak_key")),
        (sighting(certificate(key="Ed25519")), (OK, "strong")),
        (sighting(certificate(signature="sha1")), (WARNING, "weak_signature")),
        (sighting(sent=(certificate(signature="md5"),)), (WARNING, "weak_signature")),
        # A root's signature is its own.
        (sighting(certificate(), certificate("CN=up", signature="sha1")), (OK, "strong")),
    ],
)
def test_strength(seen: TlsSighting, expected: tuple[Status, str]) -> None:
    verdict = judge(TlsStrength(), seen)
    assert (verdict.status, verdict.reason) == expected


def test_strength_is_as_configured() -> None:
    old = sighting(certificate(), protocol="TLSv1")
    assert judge(TlsStrength(min_version="1.0"), old).status is OK
    assert judge(TlsStrength(min_version="1.3"), sighting(certificate(), protocol="TLSv1.2")).reason == "weak_protocol"
    assert "ALPN h2" in judge(TlsStrength(), sighting(certificate(), alpn="h2")).message
    with pytest.raises(ValueError, match="min_version"):
        TlsStrength(min_version="1.4")  # type: ignore[arg-type]


def test_evidence_is_short_and_in_words() -> None:
    many = certificate(names=tuple(f"n{number}.example" for number in range(500)))
    shown = sighting(many, certificate("CN=root")).shown()
    [server, root] = shown["trust"]["chain"]
    assert "and 490 more" in server
    assert root.startswith("CN=root by CN=up")
    assert len(msgspec.json.encode(shown)) < 4_000
