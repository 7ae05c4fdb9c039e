"""dns_record in real time: against two NSD servers with a zone each, and against servers that are silent or gone."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import trustme

from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from tests.support.debian import Unavailable
from tests.support.nsd import nsd
from tests.support.sandbox import S, load, module_of, result, verdict

pytestmark = pytest.mark.system

OK, CRITICAL = Status.OK, Status.CRITICAL
PROBE = load("dns_record")
MODULE = module_of(PROBE)

_ZONE = """
$ORIGIN pyth.test.
$TTL 300
@       IN SOA ns1 admin {serial} 3600 600 86400 60
@       IN NS ns1
@       IN NS ns2
@       IN MX 10 mail
@       IN CAA 0 issue "ca.test"
@       IN TXT "v=spf1 " "-all"
ns1     IN A 127.0.0.1
ns2     IN A 127.0.0.1
mail    IN A 192.0.2.25
www 60  IN CNAME edge
edge    IN A {edge}
edge    IN AAAA 2001:db8::1
_hermes._tcp IN SRV 1 2 443 edge
{long}
"""
_LONG = "\n".join(f'long IN TXT "{number:03} {"x" * 200}"' for number in range(20))


class Servers(NamedTuple):
    primary: int
    tls: int
    secondary: int


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("nsd")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("ns1.pyth.test").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    new = _ZONE.format(serial=2026112602, edge="192.0.2.80", long=_LONG)
    old = _ZONE.format(serial=2026112601, edge="203.0.113.66", long=_LONG)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        try:
            first = stack.enter_context(nsd(folder / "one", "pyth.test", new, certificate=folder / "server.pem"))
            second = stack.enter_context(nsd(folder / "two", "pyth.test", old))
        except Unavailable as problem:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(problem))
        yield Servers(*first, second[0])


def record(name: str = "pyth.test", **more: Any) -> Any:
    return MODULE.Record(name=name, **more)


def resolver(name: str, port: int, **more: Any) -> Any:
    return MODULE.Resolver(address="127.0.0.1", name=name, port=port, **more)


async def ask(resolvers: list[Any], *records: Any, **options: Any) -> ProbeRun:
    return await run_once(PROBE, PROBE.options(records=records, resolvers=tuple(resolvers), **{"budget": 2 * S, **options}))


RECORDS = [
    record("WWW.pyth.test", equals=("192.0.2.80",), max_ttl=60 * S),
    record("www.pyth.test", type="CNAME", equals=("edge.pyth.test",)),
    record("edge.pyth.test", type="AAAA", equals=("2001:0db8::0001",)),
    record(type="NS", min_count=2, matches=r"^ns\d\."),
    record(type="MX", contains=("10 Mail.pyth.test",)),
    record(type="CAA", equals=('0 issue "ca.test"',)),
    record(type="TXT", equals=("v=spf1 -all",)),
    record(type="SOA", matches=" 2026112602 "),
    record("_hermes._tcp.pyth.test", type="SRV", equals=("1 2 443 edge.pyth.test",)),
    record("gone.pyth.test", rcode="NXDOMAIN"),
    record("mail.pyth.test", type="AAAA", min_count=0),
    record("long.pyth.test", type="TXT", min_count=20),
]


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
@pytest.mark.shows("dns_record", "OK")
async def test_every_type_over_every_way(servers: Servers, over: str) -> None:
    port = servers.tls if over == "tls" else servers.primary
    more = {"tls_name": "ns1.pyth.test"} if over == "tls" else {}
    run = await ask([resolver("ns1", port, over=over, **more)], *RECORDS)
    assert run.status is OK, [one for one in run.results if one.status is not OK]
    assert len(run.results) == len(RECORDS)
    long = result(run, "long.pyth.test TXT @ns1").verdicts[0].message
    assert ("(over tcp, after a truncated answer over udp)" if over == "udp" else f"(over {over})") in long


@pytest.mark.shows("dns_record", "CRITICAL dissent", "CRITICAL unexpected_value", "CRITICAL unexpected_rcode")
async def test_what_is_not_as_asked_and_who_dissents(servers: Servers) -> None:
    two = [resolver("ns1", servers.primary), resolver("ns2", servers.secondary)]
    run = await ask(
        two,
        record("edge.pyth.test", equals=("192.0.2.80",)),
        record(type="SOA"),
        record("gone.pyth.test"),
        record("mail.pyth.test", type="AAAA"),
        record("ns1.pyth.test", min_ttl=301 * S),
        record("ns2.pyth.test", authenticated=True),
        record("elsewhere.test", agree="no"),
    )
    assert {one.target.id: verdict(run, one.target.id)[1] for one in run.results} == {
        "edge.pyth.test A @ns1": "as_expected",
        "edge.pyth.test A @ns2": "unexpected_value",
        "edge.pyth.test A": "dissent",
        "pyth.test SOA @ns1": "as_expected",
        "pyth.test SOA @ns2": "as_expected",
        "pyth.test SOA": "dissent",
        "gone.pyth.test A @ns1": "unexpected_rcode",
        "gone.pyth.test A @ns2": "unexpected_rcode",
        "gone.pyth.test A": "agreeing",
        "mail.pyth.test AAAA @ns1": "unexpected_count",
        "mail.pyth.test AAAA @ns2": "unexpected_count",
        "mail.pyth.test AAAA": "agreeing",
        "ns1.pyth.test A @ns1": "unexpected_ttl",
        "ns1.pyth.test A @ns2": "unexpected_ttl",
        "ns1.pyth.test A": "agreeing",
        "ns2.pyth.test A @ns1": "not_authenticated",
        "ns2.pyth.test A @ns2": "not_authenticated",
        "ns2.pyth.test A": "agreeing",
        "elsewhere.test A @ns1": "unexpected_rcode",
        "elsewhere.test A @ns2": "unexpected_rcode",
    }
    soa = result(run, "pyth.test SOA").verdicts[0]
    assert soa.message == "ns2 says serial 2026112601, not serial 2026112602 as ns1"
    assert "REFUSED" in result(run, "elsewhere.test A @ns1").verdicts[0].message


async def test_silent_and_gone_resolvers_delay_no_other(servers: Servers) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        silent.bind(("127.0.0.1", 0))
        gone.bind(("127.0.0.1", 0))
        closed = gone.getsockname()[1]
        gone.close()
        asked = [
            resolver("silent", silent.getsockname()[1]),
            resolver("gone", closed),
            resolver("ns1", servers.primary),
            resolver("unnamed", servers.tls, over="tls"),
        ]
        began = time.monotonic()
        run = await ask(asked, record("edge.pyth.test"), timeout=S)
    assert time.monotonic() - began < 5
    assert {one.target.id.partition("@")[2]: verdict(run, one.target.id) for one in run.results} == {
        "silent": (CRITICAL, "deadline_first_byte"),
        "gone": (CRITICAL, "connect"),
        "ns1": (OK, "as_expected"),
        "unnamed": (CRITICAL, "tls"),
        "": (Status.UNKNOWN, "too_few_sources"),
    }
    good = result(run, "edge.pyth.test A @ns1").verdicts
    latency = next(one for one in good if one.check == "latency_budget")
    assert isinstance(latency.value, int)
    assert latency.value < 900_000_000
