"""dns_record on a fake clock, over an exchange that answers from a function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.clock import Clock
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, TlsError
from probekit.manifest import read_manifest
from probekit.model import Phases, ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter, protocol_of
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock
from probekit.transports.dns import DnsReply, DnsServer
from tests.support.sandbox import S, load, module_of, result, verdict
from tests.support.zones import answer

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("dns_record")
MODULE = module_of(PROBE)
MS = 1_000_000
A = "www.pyth.test. 300 A 192.0.2.1"
Handler = Callable[[DnsServer, bytes], "bytes | Exception | Awaitable[bytes]"]


class Wire:
    """Answers every exchange, 20 ms later, and keeps where it went."""

    def __init__(self, handler: Handler, clock: FakeClock) -> None:
        self._handler, self._clock = handler, clock
        self.asked: list[DnsServer] = []

    async def exchange(
        self, server: DnsServer, query: bytes, *, due_ns: int, clock: Clock, ours: Callable[[bytes], bool]
    ) -> Any:
        assert clock is self._clock
        assert due_ns > clock.monotonic_ns()
        self.asked.append(server)
        found = self._handler(server, query)
        if not isinstance(found, bytes | Exception):
            found = await found
        if isinstance(found, Exception):
            raise found
        assert ours(found)
        return DnsReply(found, 20 * MS, Phases(first_byte_ns=20 * MS))


@pytest.fixture
def on_wire(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Wire, FakeClock]]:
    def make(handler: Handler) -> tuple[Wire, FakeClock]:
        clock = FakeClock()
        wire = Wire(handler, clock)
        monkeypatch.setattr("probekit.clients.dns.exchange", wire.exchange)
        return wire, clock

    return make


def record(name: str = "www.pyth.test", **more: Any) -> Any:
    return MODULE.Record(name=name, **more)


def resolvers(*addresses: str, **more: Any) -> tuple[Any, ...]:
    return tuple(MODULE.Resolver(address=one, name=one.rpartition(".")[2], **more) for one in addresses)


TWO = resolvers("192.0.2.53", "192.0.2.54")
THREE = (*TWO, *resolvers("192.0.2.55"))


async def once(clock: FakeClock, *records: Any, **options: Any) -> ProbeRun:
    given = {"resolvers": resolvers("192.0.2.53"), **options}
    task = asyncio.ensure_future(run_once(PROBE, PROBE.options(records=records, **given), clock=clock))
    for _ in range(130):
        if task.done():
            break
        await clock.advance(S / 4)
    assert task.done(), "the run took longer than its deadline"
    return task.result()


@pytest.mark.shows("dns_record", "OK")
async def test_every_resolver_for_itself_and_all_together(on_wire: Any) -> None:
    _, clock = on_wire(lambda server, query: answer(query, A))
    run = await once(clock, record(equals=("192.0.2.1",)), resolvers=TWO)
    assert run.status is OK
    assert [one.target.id for one in run.results] == ["www.pyth.test A @53", "www.pyth.test A @54", "www.pyth.test A"]
    assert verdict(run, "www.pyth.test A") == (OK, "agreeing")
    latency = next(one for one in result(run, "www.pyth.test A @53").verdicts if one.check == "latency_budget")
    assert [(one.name, one.value) for one in latency.measures] == [("latency", 20 * MS)]


@pytest.mark.shows("dns_record", "CRITICAL unexpected_rcode", "CRITICAL tls")
async def test_each_failure_has_its_own_reason_and_its_time(on_wire: Any) -> None:
    said: dict[str, Any] = {
        "192.0.2.53": ConnectError("refused", elapsed_ns=3),
        "192.0.2.54": TlsError("mismatch", elapsed_ns=4),
        "192.0.2.55": DeadlineExceeded("late", phase="first_byte", elapsed_ns=5),
        "192.0.2.56": None,
        "192.0.2.57": "damaged",
    }

    def handler(server: DnsServer, query: bytes) -> bytes | Exception:
        outcome = said[server.address]
        if outcome is None:
            return answer(query, rcode="SERVFAIL")
        return answer(query, A)[:-3] if outcome == "damaged" else outcome

    _, clock = on_wire(handler)
    run = await once(clock, record(), resolvers=resolvers(*said))
    reasons = {one.target.id.partition("@")[2]: verdict(run, one.target.id) for one in run.results}
    assert reasons == {
        "53": (CRITICAL, "connect"),
        "54": (CRITICAL, "tls"),
        "55": (CRITICAL, "deadline_first_byte"),
        "56": (CRITICAL, "unexpected_rcode"),
        "57": (CRITICAL, "decode"),
        "": (UNKNOWN, "too_few_sources"),
    }
    # No failure has no time: they are counted by error.type, beside those that answered.
    meter = RunMeter(Slots(clock_ns=lambda: 0))
    meter.record(run)
    durations = meter.slots.histogram(names.CONNECTION_DURATION)
    for address, kind in (("192.0.2.53", "connect"), ("192.0.2.54", "tls"), ("192.0.2.56", "")):
        assert durations.bind((address, 53, "dns", kind)).snapshot(fresh_range=False).count == 1
    evidence = result(run, "www.pyth.test A @53").evidence
    assert evidence is not None
    assert evidence.request == "QUERY dns://192.0.2.53:53/www.pyth.test?type=A"


async def test_a_resolver_that_hangs_delays_no_other(on_wire: Any) -> None:
    seen_at: dict[str, int] = {}

    async def hang() -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    _, clock = on_wire(lambda server, query: hang() if server.address.endswith("53") else answer(query, A))
    began = clock.monotonic_ns()
    module = module_of(PROBE)
    context = _context(clock, records=(record(),), resolvers=THREE)
    targets = await module.targets(context)
    stream = module.observe(context, targets)
    for _ in range(2):
        seen = await anext(stream)
        seen_at[seen.target.partition("@")[2]] = clock.monotonic_ns() - began
    assert seen_at == {"54": 0, "55": 0}
    await stream.aclose()
    assert [one for one in asyncio.all_tasks() if one.get_name().startswith("www")] == []
    # The run's own deadline ends it, and keeps what came.
    run = await once(clock, record(), resolvers=THREE, timeout=600 * S)
    assert verdict(run, "www.pyth.test A @53")[0] is CRITICAL
    assert verdict(run, "www.pyth.test A @54") == (OK, "as_expected")


def _context(clock: FakeClock, **options: Any) -> Any:
    from probekit.probe import Context

    return Context(PROBE.options(**options), clock=clock)


async def test_a_truncated_answer_is_asked_for_again_over_tcp_and_said_so(on_wire: Any) -> None:
    def handler(server: DnsServer, query: bytes) -> bytes:
        return answer(query, A) if server.over == "tcp" else answer(query, truncated=True)

    wire, clock = on_wire(handler)
    run = await once(clock, record())
    [only] = run.results
    assert only.status is OK
    # Each exchange is a span, and a time by its protocol.
    assert [(one.url, one.attempt, one.target) for one in run.requests] == [
        ("dns://192.0.2.53:53/www.pyth.test?type=A", 0, only.target.id),
        ("dnstcp://192.0.2.53:53/www.pyth.test?type=A", 1, only.target.id),
    ]
    assert [protocol_of(one) for one in run.requests] == ["dns", "dnstcp"]
    assert "(over tcp, after a truncated answer over udp)" in only.verdicts[0].message
    assert [(one.over, one.port) for one in wire.asked] == [("udp", 53), ("tcp", 53)]
    latency = next(one for one in only.verdicts if one.check == "latency_budget")
    assert latency.value == 40 * MS


async def test_an_answer_truncated_over_tcp_is_none(on_wire: Any) -> None:
    _, clock = on_wire(lambda server, query: answer(query, truncated=True))
    assert verdict(await once(clock, record()), "www.pyth.test A @53") == (CRITICAL, "decode")


async def test_the_answer_to_another_question_is_none(on_wire: Any) -> None:
    other = answer(b"\0\0\1\0\0\1" + bytes(6) + b"\5other\4test\0\0\1\0\1")
    _, clock = on_wire(lambda server, query: query[:2] + other[2:])
    assert verdict(await once(clock, record()), "www.pyth.test A @53") == (CRITICAL, "decode")


@pytest.mark.shows("dns_record", "OK", "WARNING differing", "CRITICAL dissent")
async def test_dissent_is_named_and_may_take_its_time(on_wire: Any) -> None:
    serials = {"192.0.2.53": 5, "192.0.2.54": 4, "192.0.2.55": 5}
    _, clock = on_wire(
        lambda server, query: answer(query, f"pyth.test. 60 SOA ns.test. admin.test. {serials[server.address]} 1 2 3 4")
    )
    run = await once(clock, record("pyth.test", type="SOA"), resolvers=THREE)
    assert verdict(run, "pyth.test SOA") == (CRITICAL, "dissent")
    assert "54 says serial 4, not serial 5 as 53, 55" in result(run, "pyth.test SOA").verdicts[0].message
    # The values differ as well, and nobody was asked to hold them against each other.
    assert verdict(run, "pyth.test SOA @54") == (OK, "as_expected")

    runs: list[ProbeRun] = []
    options = PROBE.options(records=(record("pyth.test", type="SOA", grace=10 * S),), resolvers=THREE)

    async def follow() -> None:
        async for one in watch(PROBE, options, settings=RunSettings(interval=5 * S), clock=clock):
            runs.append(one)

    task = asyncio.ensure_future(follow())
    try:
        await clock.advance(5 * S)
        assert verdict(runs[-1], "pyth.test SOA") == (WARNING, "differing")
        for _ in range(3):
            await clock.advance(5 * S)
        assert verdict(runs[-1], "pyth.test SOA") == (CRITICAL, "dissent")
        serials["192.0.2.54"] = 5
        await clock.advance(5 * S)
        assert verdict(runs[-1], "pyth.test SOA") == (OK, "agreeing")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_resolvers_that_need_not_agree_are_not_compared(on_wire: Any) -> None:
    _, clock = on_wire(lambda server, query: answer(query, f"www.pyth.test. 9 A {server.address}"))
    run = await once(clock, record(agree="no"), resolvers=TWO)
    assert run.status is OK
    assert len(run.results) == 2


@pytest.mark.shows("dns_record", "CRITICAL not_authenticated")
async def test_authenticity_and_absence_as_asked(on_wire: Any) -> None:
    def handler(server: DnsServer, query: bytes) -> bytes:
        return answer(query, rcode="NXDOMAIN") if b"\x04gone" in query else answer(query, A, authentic=server.port == 5353)

    _, clock = on_wire(handler)
    gone, www = record("gone.pyth.test", rcode="NXDOMAIN"), record(authenticated=True)
    run = await once(clock, gone, www, resolvers=(*resolvers("192.0.2.53"), *resolvers("192.0.2.54", port=5353)))
    assert verdict(run, "gone.pyth.test A @53") == (OK, "as_expected")
    assert verdict(run, "www.pyth.test A @53") == (CRITICAL, "not_authenticated")
    assert verdict(run, "www.pyth.test A @54") == (OK, "as_expected")


async def test_the_systems_resolvers_where_none_is_named(on_wire: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dns.resolver

    found = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\nnameserver 192.0.2.1\n"
    conf = tmp_path / "resolv.conf"
    conf.write_text(found)
    real = dns.resolver.Resolver
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: real(str(conf)))
    wire, clock = on_wire(lambda server, query: answer(query, A))
    run = await once(clock, record(), resolvers=())
    assert run.status is OK
    assert [str(one) for one in wire.asked] == [f"udp://192.0.2.{n}:53" for n in (1, 2, 3)]
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: real(str(tmp_path / "none")))
    run = await once(clock, record(), resolvers=())
    assert verdict(run, "dns_record") == (UNKNOWN, "config")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"records": [{"name": "a..b"}]}, "is no domain name"),
        ({"records": [{"name": "a.test", "type": "PTR"}]}, "records"),
        ({"records": [{"name": "a.test", "rcode": "NXDOMIAN"}]}, "records"),
        ({"records": [{"name": "a.test", "matches": "("}]}, "is no regular expression"),
        ({"records": [{"name": "a.test", "agree": "serial"}]}, "agree: serial goes with type SOA"),
        ({"records": [{"name": "a.test", "rcode": "NXDOMAIN", "contains": ["x"]}]}, "has no values to want"),
        ({"records": [{"name": "a.test", "grace": "-1s"}]}, "grace"),
        ({"records": [{"name": "a.test"}, {"name": "A.test"}]}, "twice"),
        ({"records": [{"name": "a.test"}], "resolvers": [{"address": "dns.test"}]}, "must be an IPv4 or IPv6 address"),
        ({"records": [{"name": "a.test"}], "resolvers": [{"address": "192.0.2.1", "tls_name": "x"}]}, "tls_name goes with"),
        ({"records": [{"name": "a.test"}], "resolvers": [{"address": "192.0.2.1"}] * 2}, "twice: give each a name"),
        ({"records": [{"name": "a.test"}], "resolvers": [{"address": "192.0.2.1", "port": 0}]}, "must be >= 1"),
        ({"records": [{"name": f"a{n}.test"} for n in range(300)]}, "questions at once, 256 at most"),
        ({"records": [{"name": "a.test", "nam": "x"}]}, "did you mean 'name'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_are_told_in_their_place(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: dns_record\noptions: {json.dumps(options)}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert words in " ".join(caught.value.problems)


def test_the_interval_allows_for_its_timeout() -> None:
    assert PROBE.interval > PROBE.options(records=(record(),)).timeout
    assert PROBE.interval == timedelta(seconds=30)
