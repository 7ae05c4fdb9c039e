"""Chains of certificates: every way up, the one that lives longest, and why there is none."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError
from probekit.model.certificate import Certificate, Trust
from probekit.trust.certificates import Anchors, anchors_of, is_for, read_certificate, trust_of
from probekit.units import Instant
from tests.support.pki import Issued, issue, leaf

ROOT = issue("root", days=3650)


def now() -> Instant:
    return Instant.now()


def judge(*sent: Issued, trusted: tuple[Issued, ...] = (ROOT,)) -> Trust:
    return trust_of([one.der for one in sent], Anchors(one.certificate for one in trusted), at=now())


def subjects(trust: Trust) -> list[str]:
    assert trust.chain is not None, trust.words
    return [one.subject.removeprefix("CN=") for one in trust.chain.certificates]


def test_a_chain_is_found_in_whatever_order_it_was_sent() -> None:
    lower = issue("lower", upper := issue("upper", ROOT))
    server = leaf(lower, days=30)
    for order in ((lower, upper), (upper, lower), (upper, ROOT, lower, server, lower)):
        trust = judge(server, *order)
        assert subjects(trust) == ["server", "lower", "upper", "root"]
        assert trust.chains == 1
        assert [one.subject for one in trust.sent] == ["CN=server", *(f"CN={name}" for name in map(_subject, order))]


def _subject(one: Issued) -> str:
    return one.certificate.subject.rfc4514_string().removeprefix("CN=")


def test_an_intermediate_that_ends_first_is_the_end_of_the_chain() -> None:
    between = issue("between", ROOT, days=5)
    trust = judge(leaf(between, days=80), between)
    assert trust.chain is not None
    assert trust.chain.first_to_expire.subject == "CN=between"
    assert trust.chain.expires_at < trust.sent[0].not_after


def test_of_two_chains_the_one_that_lives_longest_counts() -> None:
    """A cross-signature whose old root ends soon, or has ended, beside a new root that lives: clients take the new one."""
    new = issue("new root", days=3650, key_number=1)
    for days in (3, -3):
        old = issue("old root", days=days, key_number=2)
        cross = issue("new root", old, days=2000, key_number=1)
        between = issue("between", new, days=400)
        server = leaf(between, days=60)
        both = judge(server, between, cross, trusted=(old, new))
        assert subjects(both) == ["server", "between", "new root"]
        assert both.chains == 2
        assert both.chain is not None
        assert both.chain.first_to_expire.subject == "CN=server"
        # Whoever has not got the new root depends on the old one, and is told so.
        behind = judge(server, between, cross, trusted=(old,))
        assert subjects(behind) == ["server", "between", "new root", "old root"]
        assert behind.chain is not None
        assert behind.chain.first_to_expire.subject == "CN=old root"
        assert (behind.chain.expires_at < now()) == (days < 0)


def test_of_two_intermediates_with_one_key_the_stale_one_does_not_count() -> None:
    stale, fresh = issue("between", ROOT, days=-2, key_number=3), issue("between", ROOT, days=300, key_number=3)
    server = leaf(fresh, days=90)
    for order in ((stale, fresh), (fresh, stale)):
        trust = judge(server, *order)
        assert trust.chains == 2
        assert trust.chain is not None
        assert trust.chain.first_to_expire.subject == "CN=server"


def test_a_chain_that_is_alive_counts_before_one_that_is_not_yet() -> None:
    early = issue("between", ROOT, days=900, key_number=4, start=now().to_datetime() + timedelta(days=10))
    present = issue("between", ROOT, days=30, key_number=4)
    server = leaf(present, days=600)
    trust = judge(server, early, present)
    assert trust.chain is not None
    assert trust.chain.valid_from <= now()
    assert trust.chain.first_to_expire.subject == "CN=between"


def test_a_chain_that_has_ended_is_still_a_chain() -> None:
    """So its end is told, where a verifier that looks at the clock would have nothing to say of it."""
    trust = judge(leaf(ROOT, days=-4))
    assert trust.untrusted is None
    assert trust.chain is not None
    assert trust.chain.expires_at < now()


def test_why_nothing_is_trusted() -> None:
    stranger = issue("stranger")
    between = issue("between", stranger)
    alone = issue("alone", ca=False, names=("a.example",))
    told = {
        "self_signed": judge(alone),
        "unknown_authority": judge(leaf(between), between, stranger),
        "incomplete_chain": judge(leaf(between), between),
    }
    assert {word: trust.untrusted for word, trust in told.items()} == {word: word for word in told}
    assert all(trust.chain is None and trust.sent for trust in told.values())
    assert "CN=stranger, which was neither sent nor" in told["incomplete_chain"].words
    assert "ends in CN=stranger" in told["unknown_authority"].words
    missing = judge(leaf(issue("between", ROOT)))
    assert (missing.untrusted, "CN=between" in missing.words) == ("incomplete_chain", True)
    # Of the same name as a trusted root, and not signed by it.
    assert judge(leaf(issue("root"))).untrusted == "incomplete_chain"
    assert judge(leaf(other := issue("root")), other).untrusted == "unknown_authority"


def test_a_certificate_that_is_trusted_by_itself() -> None:
    alone = issue("alone", ca=False, names=("a.example",), days=8)
    trust = judge(alone, trusted=(alone,))
    assert subjects(trust) == ["alone"]
    assert trust.untrusted is None


def eku(*uses: ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(uses), False


def usage(*, cert_sign: bool) -> tuple[x509.ExtensionType, bool]:
    off = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=cert_sign, crl_sign=cert_sign, **off), True


def only(name: str) -> tuple[x509.ExtensionType, bool]:
    return x509.NameConstraints(permitted_subtrees=[x509.DNSName(name)], excluded_subtrees=None), True


STRANGE = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True)


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (lambda: (leaf(b := issue("between", ROOT, ca=False)), b), "basicConstraints"),
        (
            lambda: (
                leaf(b := issue("between", ROOT, ca=False, extensions=[(x509.BasicConstraints(False, None), True)])),
                b,
            ),
            "",
        ),
        (lambda: (leaf(c := issue("lower", b := issue("upper", ROOT, path_length=0))), c, b), "path length"),
        (lambda: (leaf(b := issue("between", ROOT, extensions=[usage(cert_sign=False)])), b), "may not sign certificates"),
        (lambda: (leaf(b := issue("between", ROOT, extensions=[only("b.example")])), b), "constraint"),
        (lambda: (leaf(b := issue("between", ROOT, extensions=[eku(ExtendedKeyUsageOID.CLIENT_AUTH)])), b), "not for servers"),
        (lambda: (leaf(ROOT, extensions=[eku(ExtendedKeyUsageOID.CLIENT_AUTH)]),), "not for servers"),
        (lambda: (leaf(ROOT, extensions=[STRANGE]),), "a critical extension that is not known: 1.2.3.4.5"),
        (lambda: (issue("server", ROOT, ca=False),), "names no host"),
        (lambda: (leaf(b := issue("between", ROOT, days=-20), days=30, start=now().to_datetime()), b), "no time at which all"),
        (lambda: (leaf(b := issue("between", ROOT, key=rsa.generate_private_key(65537, 1024))), b), "RSA"),
        (lambda: (leaf(b := issue("between", ROOT, key=ed25519.Ed25519PrivateKey.generate())), b), "lgorithm"),
    ],
)
def test_a_chain_that_a_verifier_does_not_take(chain, words: str) -> None:  # type: ignore[no-untyped-def]
    trust = judge(*chain())
    assert (trust.untrusted, trust.chain) == ("chain_refused", None)
    assert words in trust.words, trust.words


@pytest.mark.parametrize(
    "chain",
    [
        lambda: (leaf(b := issue("between", ROOT, extensions=[usage(cert_sign=True), only("a.example")], path_length=0)), b),
        lambda: (leaf(b := issue("between", ROOT, extensions=[eku(ExtendedKeyUsageOID.SERVER_AUTH)])), b),
        lambda: (leaf(ROOT, "*.b.example", extensions=[eku(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)]),),
        lambda: (leaf(ROOT, "192.0.2.1"),),
        lambda: (leaf(ROOT, key=ed25519.Ed25519PrivateKey.generate()),),
    ],
)
def test_a_chain_of_a_private_authority_is_as_good(chain) -> None:  # type: ignore[no-untyped-def]
    """Without the key identifiers and policies that public authorities promise each other."""
    assert judge(*chain()).untrusted is None


def test_what_a_server_sends_costs_no_more_than_a_bound() -> None:
    """A web of authorities of one name and key that all sign each other has millions of ways and no end."""
    web = [issue("web", issue("web", key_number=5), key_number=5) for _ in range(40)]
    began = time.process_time()
    trust = judge(leaf(web[0]), *web)
    assert time.process_time() - began < 10
    assert trust.untrusted == "chain_refused"
    assert "256 signatures" in trust.words
    assert len(trust.sent) == 32


def test_ways_to_an_authority_are_bounded_too() -> None:
    top = issue("web", ROOT, key_number=5)
    web = [issue("web", top, key_number=5) for _ in range(30)]
    trust = judge(leaf(top), top, *web)
    assert trust.untrusted is None
    assert trust.chains <= 64


@pytest.mark.parametrize(
    ("names", "server_name", "named"),
    [
        (("a.example",), "a.example", True),
        (("A.Example",), "a.eXample.", True),
        (("*.b.example",), "a.b.example", True),
        (("*.b.example",), "c.a.b.example", False),
        (("*.b.example",), "b.example", False),
        (("*.example",), "a.example", False),
        (("a*.example",), "ab.example", False),
        (("b.example",), "a.example", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("2001:db8::1",), "2001:DB8:0::1", True),
        (("192.0.2.1",), "192.0.2.2", False),
        (("dns:192.0.2.1",), "192.0.2.1", False),
        (("dns:192.0.2.1", "192.0.2.1"), "192.0.2.1", True),
        (("dns:2001:db8::1",), "2001:db8::1", False),
        (("fe80::1",), "fe80::1%eth0", True),
        (("*.0.2.1",), "192.0.2.1", False),
        (tuple(f"n{number}.example" for number in range(300)), "n299.example", True),
    ],
)
def test_names(names: tuple[str, ...], server_name: str, named: bool) -> None:
    assert is_for(read_certificate(leaf(ROOT, *names).der), server_name) is named


@pytest.mark.parametrize("name", ["a_b.example", "-a.example", "a..b", "a b", "*.*.x", "*", ".", "dns:192.0.2.1", "x" * 70])
def test_a_name_that_no_host_may_have_is_no_fault_of_the_chain(name: str) -> None:
    """Underscores are usual; a verifier that looks for names objects to them."""
    between = issue("between", ROOT)
    for names in ((name,), (name, "a.example")):
        trust = judge(leaf(between, *names), between)
        assert (trust.untrusted, trust.words) == (None, "")
        assert is_for(trust.sent[0], "a.example") is (len(names) == 2)


def test_a_certificate_that_is_for_servers_alone_is_taken() -> None:
    between = issue("between", ROOT, extensions=[eku(ExtendedKeyUsageOID.SERVER_AUTH)])
    assert subjects(judge(leaf(between, extensions=[eku(ExtendedKeyUsageOID.SERVER_AUTH)]), between))[-1] == "root"


def test_fields() -> None:
    found = read_certificate(leaf(ROOT, "a.example", "192.0.2.1", days=10).der)
    assert (found.subject, found.issuer, found.key, found.key_bits) == ("CN=server", "CN=root", "EC", 256)
    assert (found.signature, found.names, found.addresses) == ("sha256", ("a.example",), ("192.0.2.1",))
    assert found.named == ("a.example", "192.0.2.1")
    assert 9.9 < found.not_after.since(now()) / 86_400e9 < 10
    odd = read_certificate(issue("a\nb\x00c", days=1).der)
    assert "\n" not in odd.subject
    assert isinstance(odd, Certificate)
    assert read_certificate(leaf(ROOT, key=ed25519.Ed25519PrivateKey.generate()).der).key == "Ed25519"


def test_what_does_not_decode() -> None:
    server = leaf(ROOT)
    with pytest.raises(DecodeError, match="sent no certificate"):
        trust_of([], Anchors([]), at=now())
    with pytest.raises(DecodeError, match="no certificate"):
        trust_of([b"\x30\x00"], Anchors([]), at=now())
    # One that is broken takes no other with it.
    trust = trust_of([server.der, b"junk", ROOT.der], Anchors([ROOT.certificate]), at=now())
    assert [one.subject for one in trust.sent] == ["CN=server", "CN=root"]
    assert trust.untrusted is None


DER = leaf(issue("between", ROOT, key_number=6)).der


def test_few_authorities_that_sign_each_other_are_soon_given_up() -> None:
    """Nine of one name and key need eighty-one signatures, and make a hundred thousand ways."""
    web = [issue("web", issue("web", key_number=5), key_number=5) for _ in range(9)]
    trust = judge(leaf(web[0]), *web)
    assert (trust.chain, trust.untrusted) == (None, "chain_refused")
    assert "512 steps" in trust.words


@given(st.data())
def test_mutated_certificates_decode_or_are_refused(data: st.DataObject) -> None:
    raw = bytearray(DER)
    kind = data.draw(st.sampled_from(("flip", "cut", "longer")))
    if kind == "flip":
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw += data.draw(st.binary(min_size=1, max_size=50))
    try:
        trust = trust_of([bytes(raw), ROOT.der], Anchors([ROOT.certificate]), at=now())
    except DecodeError as error:
        assert error.raw == bytes(raw)
    else:
        assert trust.chain is None
        assert trust.words


def test_a_bundle_with_other_things_in_it() -> None:
    text = b"# the root\n" + ROOT.pem + b"\nnoise\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + ROOT.pem
    assert len(anchors_of(text)) == 2
    assert len(Anchors(anchors_of(text))) == 1
    assert anchors_of(b"nothing") == []
