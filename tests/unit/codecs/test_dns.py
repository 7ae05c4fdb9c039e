"""Messages of DNS: what is asked, what is read of an answer, and what is refused."""

from __future__ import annotations

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.dns import decode_answer, encode_query
from probekit.errors import DecodeError
from probekit.model.dns import RECORD_TYPES, DnsAnswer, DnsQuestion, normal
from tests.support.mutation import decodes_or_refuses, mutations, peak_bytes
from tests.support.zones import answer

WEB = DnsQuestion("WWW.pyth.test", "A")
QUERY = encode_query(WEB, 7)


def read(question: DnsQuestion, *records: str, **more: object) -> DnsAnswer:
    found = decode_answer(answer(encode_query(question, 7), *records, **more), question, 7)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_query_wants_recursion_and_authenticity_and_small_datagrams() -> None:
    made = dns.message.from_wire(QUERY)
    assert made.id == 7
    assert made.flags & dns.flags.RD
    assert made.flags & dns.flags.AD
    assert (made.edns, made.payload) == (0, 1232)
    assert [str(one) for one in made.question] == ["WWW.pyth.test. IN A"]


def test_values_at_the_end_of_their_names_and_the_lowest_ttl_on_the_way() -> None:
    found = read(
        WEB,
        "www.pyth.test. 300 CNAME Edge.test.",
        "edge.test. 20 A 192.0.2.2",
        "edge.test. 20 A 192.0.2.1",
        "stranger.test. 1 A 192.0.2.9",
        authentic=True,
    )
    assert (found.rcode, found.values, found.chain) == ("NOERROR", ("192.0.2.1", "192.0.2.2"), ("edge.test.",))
    assert (found.ttl_s, found.authentic, found.truncated) == (20, True, False)


@pytest.mark.parametrize(
    ("kind", "given_as", "value"),
    [
        ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
        ("CNAME", "Edge.Pyth.Test.", "edge.pyth.test."),
        ("TXT", '"v=spf1 " "-all"', "v=spf1 -all"),
        ("MX", "10 Mail.pyth.test.", "10 mail.pyth.test."),
        ("NS", "NS1.pyth.test.", "ns1.pyth.test."),
        ("SRV", "1 2 443 Hermes.pyth.test.", "1 2 443 hermes.pyth.test."),
        ("CAA", '0 issue "ca.test"', '0 issue "ca.test"'),
        ("SOA", "NS1.pyth.test. admin.pyth.test. 2026112601 3600 600 86400 60", None),
    ],
)
def test_each_type_in_one_form(kind: str, given_as: str, value: str | None) -> None:
    found = read(DnsQuestion("pyth.test", kind), f"pyth.test. 60 {kind} {given_as}")  # type: ignore[arg-type]
    if value is None:
        assert found.serial == 2026112601
    else:
        assert found.values == (value,)
        assert found.serial is None
    assert [normal(kind, one) for one in found.values] == list(found.values)


def test_what_people_write_is_brought_into_the_same_form() -> None:
    assert normal("MX", "10  MAIL.test") == "10 mail.test."
    assert normal("AAAA", "2001:0DB8::0001") == "2001:db8::1"
    assert normal("A", "not an address ") == "not an address"
    assert normal("TXT", "two  spaces") == "two  spaces"


def test_no_name_and_no_such_records() -> None:
    for code in ("NXDOMAIN", "SERVFAIL", "REFUSED"):
        found = read(WEB, rcode=code)
        assert (found.rcode, found.values, found.ttl_s) == (code, (), None)
    assert read(WEB).values == ()


def test_an_answer_to_something_else_is_none() -> None:
    assert decode_answer(answer(QUERY, number=8), WEB, 7) is None
    assert decode_answer(answer(encode_query(DnsQuestion("other.test", "A"), 7)), WEB, 7) is None
    assert decode_answer(QUERY, WEB, 7) is None


def test_mutated_answers_decode_or_refuse() -> None:
    soa = "pyth.test. 60 SOA ns1.pyth.test. admin.pyth.test. 7 3600 600 86400 60"
    for kind, record in (("SOA", soa), ("TXT", 'pyth.test. 60 TXT "a" "b"'), ("A", "pyth.test. 60 A 192.0.2.1")):
        question = DnsQuestion("pyth.test", kind)  # type: ignore[arg-type]
        good = answer(encode_query(question, 7), record)
        for changed in mutations(good):
            decodes_or_refuses(lambda data, asked=question: decode_answer(data, asked, 7), changed)  # type: ignore[misc]


@given(st.binary(max_size=300), st.sampled_from(RECORD_TYPES))
def test_anything_else_is_refused_or_none_of_ours(data: bytes, kind: str) -> None:
    decodes_or_refuses(lambda given: decode_answer(given, DnsQuestion("pyth.test", kind), 7), data)  # type: ignore[arg-type]


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
def test_the_largest_message_is_bounded_in_memory() -> None:
    one = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04"
    count = 4000
    body = QUERY[12 : len(QUERY) - 11] + b"".join(one + number.to_bytes(4, "big") for number in range(count))
    data = QUERY[:2] + b"\x81\x80\x00\x01" + count.to_bytes(2, "big") + bytes(4) + body
    assert len(data) < 65_536
    found = decode_answer(data, WEB, 7)
    assert found is not None
    assert len(found.values) == count
    assert peak_bytes(lambda: decode_answer(data, WEB, 7)) < 20_000_000


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, "münchen.test", "a b", ".".join(["abcdefgh"] * 30), "a\\.b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no domain name"):
        DnsQuestion(name, "A")


def test_a_refusal_keeps_the_message() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_answer(QUERY[:20], WEB, 7)
    assert caught.value.raw == QUERY[:20]
