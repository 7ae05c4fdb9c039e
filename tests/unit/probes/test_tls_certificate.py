"""tls_certificate on a fake clock, over connections that are made up and certificates that are real."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.clock import within
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, ResolveError, TlsError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.runner import RunSettings, run_once, watch
from probekit.runner.replay import lines_of, replay
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock
from probekit.transports.dial import Call
from probekit.transports.tls import Agreed
from probekit.units import Instant
from tests.support.pki import Issued, issue, leaf
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.support.wires import MS, Answers, FakeDialer, FakeWire

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("tls_certificate")
MODULE = module_of(PROBE)
DAY = timedelta(days=1)

ROOT = issue("root", days=3650)
BETWEEN = issue("between", ROOT, days=700)
ENDING = issue("ending", ROOT, days=3)
STRANGER = issue("stranger")
OLD_ROOT = issue("old root", days=2)
CROSSED = issue("root", OLD_ROOT, key=ROOT.key, days=3000)
PRESENT = Instant.now()


def clock_now() -> FakeClock:
    """A fake clock at the time for which the certificates were made."""
    return FakeClock(PRESENT)


def showing(*sent: Issued, protocol: str = "TLSv1.3", alpn: str | None = None) -> FakeWire:
    return FakeWire(Agreed(protocol, "TLS_AES_256_GCM_SHA384", alpn, tuple(one.der for one in sent)))


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(ROOT.pem + OLD_ROOT.pem)
    return str(path)


class Lab:
    """Runs the probe over a dialer of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bundle: str) -> None:
        self.clock = clock_now()
        self.bundle = bundle
        self.dialers: list[FakeDialer] = []
        self.answers: Answers = lambda call: ConnectError("nobody")

        def make(*, clock: Any, observer: Any) -> FakeDialer:
            self.dialers.append(FakeDialer(clock, lambda call: self.answers(call), observer))
            return self.dialers[-1]

        monkeypatch.setattr("probekit.transports.dial.SocketDialer", make)

    def options(self, *servers: Any, **options: Any) -> Any:
        return PROBE.options(servers=servers, **{"ca_file": self.bundle, **options})

    async def once(self, *servers: Any, **options: Any) -> ProbeRun:
        task = asyncio.ensure_future(run_once(PROBE, self.options(*servers, **options), clock=self.clock))
        for _ in range(60):
            if task.done():
                break
            await self.clock.advance(S / 4)
        assert task.done(), "the run took longer than its deadline"
        return task.result()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, bundle: str) -> Lab:
    return Lab(monkeypatch, bundle)


def server(name: str, **more: Any) -> Any:
    return MODULE.Server(address=f"{name}.example:443", name=name, server_name=more.pop("server_name", "a.example"), **more)


SHOWN: dict[str, tuple[Any, tuple[Status, str]]] = {
    "good": (lambda: showing(leaf(BETWEEN), BETWEEN), (OK, "valid")),
    "crossed": (lambda: showing(leaf(BETWEEN), BETWEEN, CROSSED), (OK, "valid")),
    "soon": (lambda: showing(leaf(BETWEEN, days=20), BETWEEN), (WARNING, "expiring")),
    "ending": (lambda: showing(leaf(ENDING, days=80), ENDING), (CRITICAL, "expires_soon")),
    "expired": (lambda: showing(leaf(BETWEEN, days=-1), BETWEEN), (CRITICAL, "expired")),
    "early": (lambda: showing(leaf(BETWEEN, start=(PRESENT.plus(DAY)).to_datetime()), BETWEEN), (CRITICAL, "not_yet_valid")),
    "other": (lambda: showing(leaf(BETWEEN, "b.example"), BETWEEN), (CRITICAL, "name_mismatch")),
    "missing": (lambda: showing(leaf(BETWEEN)), (CRITICAL, "incomplete_chain")),
    "stranger": (lambda: showing(leaf(STRANGER), STRANGER), (CRITICAL, "unknown_authority")),
    "self": (lambda: showing(issue("self", ca=False, names=("a.example",))), (CRITICAL, "self_signed")),
    "old": (lambda: showing(leaf(BETWEEN), BETWEEN, protocol="TLSv1.1"), (WARNING, "weak_protocol")),
    "down": (lambda: ConnectError("refused"), (CRITICAL, "connect")),
    "name": (lambda: ResolveError("no such name"), (CRITICAL, "resolve")),
    "refused": (lambda: TlsError("the peer refused the TLS handshake"), (CRITICAL, "tls")),
    "junk": (lambda: FakeWire(Agreed("TLSv1.3", "c", None, (b"junk",))), (CRITICAL, "decode")),
}


@pytest.mark.shows("tls_certificate", "CRITICAL expired", "CRITICAL name_mismatch", "CRITICAL unknown_authority")
async def test_each_state_of_a_server_is_told_by_itself(lab: Lab) -> None:
    lab.answers = lambda call: SHOWN[call.host.removesuffix(".example")][0]()
    run = await lab.once(*map(server, SHOWN))
    assert {name: verdict(run, f"{name} ipv4") for name in SHOWN} == {name: told for name, (_, told) in SHOWN.items()}
    assert {record.target for record in run.requests} == {f"{name} ipv4" for name in SHOWN}
    # What is wrong with one thing says nothing of another.
    wrong = {one.check for one in result(run, "other ipv4").verdicts if one.status is not OK}
    assert (wrong, len(result(run, "other ipv4").verdicts)) == ({"certificate_name"}, 5)
    assert {one.check for one in result(run, "expired ipv4").verdicts if one.status is not OK} == {"certificate_expiry"}
    evidence = result(run, "missing ipv4").evidence
    assert evidence is not None
    assert evidence.request == "CONNECT tls://missing.example:443"
    assert "CN=between" in evidence.decoded
    # A cross-signature of a root that is about to end changes nothing for those who have the new one.
    assert "2 chains hold" in next(
        one.message for one in result(run, "crossed ipv4").verdicts if one.check == "certificate_trust"
    )


async def test_ends_are_unix_times_whatever_is_wrong_with_the_chain(lab: Lab) -> None:
    lab.answers = lambda call: SHOWN[call.host.removesuffix(".example")][0]()
    meter = RunMeter(Slots(clock_ns=lambda: 0))
    meter.record(await lab.once(*map(server, SHOWN)))
    ends = {spec: _values(meter, spec) for spec in ("leaf", "chain")}
    days = {name: round((value - PRESENT.seconds) / 86_400) for name, value in ends["leaf"].items()}
    assert days == {
        "good": 90, "crossed": 90, "soon": 20, "ending": 80, "expired": -1, "early": 90, "other": 90, "missing": 90,
        "stranger": 90, "self": 90, "old": 90,
    }  # fmt: skip
    assert {name: round((value - PRESENT.seconds) / 86_400) for name, value in ends["chain"].items()} == {
        "good": 90, "crossed": 90, "soon": 20, "ending": 3, "expired": -1, "early": 90, "other": 90, "old": 90,
    }  # fmt: skip
    # The time of every connection, one that failed too, by what became of it; and none of it as HTTP.
    durations = meter.slots.histogram(names.CONNECTION_DURATION)
    assert durations.bind(("good.example", 443, "tls", "")).total == 0.02
    assert sum(durations.bind(("down.example", 443, "tls", "connect")).snapshot(fresh_range=True).counts) == 1
    phases = meter.slots.histogram(names.CONNECTION_PHASE_DURATION)
    assert phases.bind(("tls", "good.example", "tls")).total == 0.013
    assert not meter.slots.histogram(names.HTTP_DURATION).series


def _values(meter: RunMeter, which: str) -> dict[str, float]:
    spec = names.MEASURES[f"certificate.expiry.{which}"]  # type: ignore[index]
    series = meter.slots.gauge(spec).series
    return {str(key[1]).split()[0]: slot.value for key, slot in series.items() if slot.value is not None}


@pytest.mark.shows("tls_certificate", "OK")
async def test_what_is_asked_for(lab: Lab) -> None:
    lab.answers = lambda call: showing(
        leaf(BETWEEN, "192.0.2.1", "2001:db8::1", "plain.example", "sni.example"), BETWEEN, alpn="h2"
    )
    servers = [
        MODULE.Server(address="plain.example:8443"),
        MODULE.Server(address="192.0.2.1:443", alpn=("h2",)),
        MODULE.Server(address="[2001:db8::1]:443"),
        MODULE.Server(address="plain.example:443", server_name="sni.example", family="ipv6"),
    ]
    run = await lab.once(*servers)
    assert run.status is OK, run.results
    assert {one.target.id for one in run.results} == {
        "plain.example:8443 ipv4", "192.0.2.1:443 ipv4", "[2001:db8::1]:443 ipv6", "plain.example:443 ipv6",
    }  # fmt: skip
    asked = [(one.host, one.port, one.family, one.tls.server_name, one.tls.alpn) for one in lab.dialers[0].calls if one.tls]
    assert asked == [
        ("plain.example", 8443, "ipv4", "plain.example", ()),
        ("192.0.2.1", 443, "ipv4", "192.0.2.1", ("h2",)),
        ("2001:db8::1", 443, "ipv6", "2001:db8::1", ()),
        ("plain.example", 443, "ipv6", "sni.example", ()),
    ]
    assert "ALPN h2" in next(one.message for one in run.results[0].verdicts if one.check == "tls_strength")


@pytest.mark.shows("tls_certificate", "WARNING expiring", "WARNING weak_protocol")
async def test_limits_and_authorities_of_a_server_of_its_own(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "stranger.pem").write_bytes(STRANGER.pem)
    lab.answers = lambda call: showing(leaf(STRANGER if call.host == "own.example" else ROOT, days=40), protocol="TLSv1.2")
    run = await lab.once(
        server("own", ca_file=str(tmp_path / "stranger.pem")),
        server("early", warn_before=60 * DAY),
        server("strict", min_version="1.3"),
        server("default"),
    )
    assert {name: verdict(run, f"{name} ipv4") for name in ("own", "early", "strict", "default")} == {
        "own": (OK, "valid"),
        "early": (WARNING, "expiring"),
        "strict": (WARNING, "weak_protocol"),
        "default": (OK, "valid"),
    }


async def test_a_server_that_hangs_holds_up_no_other(lab: Lab) -> None:
    async def answer(call: Call) -> FakeWire | DeadlineExceeded:
        if call.host != "hangs.example":
            return showing(leaf(ROOT))
        assert call.deadline_ns is not None
        try:
            await within(lab.clock, call.deadline_ns, asyncio.Event().wait())
        except TimeoutError:
            pass
        return DeadlineExceeded("late", phase="tls")

    lab.answers = answer
    run = await lab.once(*map(server, ("hangs", "one", "two")), timeout=2 * S)
    assert verdict(run, "hangs ipv4") == (CRITICAL, "deadline_tls")
    assert others_ok(run, "hangs ipv4")
    late = next(record for record in run.requests if record.error_type)
    assert late.elapsed_ns >= 2_000 * MS
    hanging = next(one for one in run.results if one.target.id == "hangs ipv4")
    assert hanging.observed_at is not None
    quick = next(one for one in run.results if one.target.id == "one ipv4")
    assert quick.observed_at is not None
    assert hanging.observed_at.since(quick.observed_at) >= 1_900 * MS


@pytest.mark.shows("tls_certificate", "OK", "CRITICAL expires_soon")
async def test_a_certificate_that_is_renewed_while_the_probe_runs(lab: Lab) -> None:
    ending, renewed = leaf(ROOT, days=5), leaf(ROOT, days=95)
    lab.answers = lambda call: showing(ending)
    runs: list[ProbeRun] = []

    async def follow() -> None:
        settings = RunSettings(interval=S)
        async for run in watch(PROBE, lab.options(server("a")), settings=settings, clock=lab.clock):
            runs.append(run)

    task = asyncio.ensure_future(follow())
    try:
        await lab.clock.advance(2 * S)
        assert verdict(runs[-1], "a ipv4") == (CRITICAL, "expires_soon")
        lab.answers = lambda call: showing(renewed)
        await lab.clock.advance(2 * S)
        assert verdict(runs[-1], "a ipv4") == (OK, "valid")
        assert len(lab.dialers) == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_slow_handshake_is_over_its_budget(lab: Lab) -> None:
    lab.answers = lambda call: showing(leaf(ROOT))
    run = await lab.once(server("a"), budget=S / 100)
    assert verdict(run, "a ipv4") == (CRITICAL, "over_budget")


async def test_recorded_observations_are_judged_again_with_other_limits(lab: Lab, recordings: list[Any]) -> None:
    lab.answers = lambda call: showing(leaf(BETWEEN, days=40), BETWEEN)
    assert (await lab.once(server("a"))).status is OK
    recordings[0].tape.close()
    with recordings[0].path.open("rb") as file:
        again = replay(lines_of(file), PROBE, lab.options(server("a"), warn_before=60 * DAY), module=MODULE)
    assert (again.unreadable, again.replayed["a ipv4"].counts) == (0, {WARNING: 1})
    assert again.recorded["a ipv4"].counts == {OK: 1}


async def test_authorities_that_go_missing_are_wrong_here_not_there(lab: Lab) -> None:
    options = lab.options(server("a"))
    lab.answers = lambda call: showing(leaf(ROOT))
    Path(lab.bundle).write_text("nothing in it")
    run = await run_once(PROBE, options, clock=lab.clock)
    assert verdict(run, "a ipv4") == (UNKNOWN, "config")
    assert "no certificate authority" in result(run, "a ipv4").verdicts[0].message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"address": "a.example"}, "no host:port"),
        ({"address": "a.example:0"}, "no host:port"),
        ({"address": "a.example:65536"}, "no host:port"),
        ({"address": "2001:db8::1:443"}, "stands in brackets"),
        ({"address": "[a.example]:443"}, "no host:port"),
        ({"address": "https://a.example:443"}, "no host:port"),
        ({"address": "a..example:443"}, "no host:port"),
        ({"address": "192.0.2.1:443", "family": "ipv6"}, "family ipv6 does not reach the ipv4 address"),
        ({"address": "a.example:443", "server_name": ""}, "no host name"),
        ({"address": "a.example:443", "server_name": "a b"}, "no host name"),
        ({"address": "a.example:443", "alpn": [""]}, "1 to 255 bytes"),
        ({"address": "a.example:443", "warn_before": "21"}, "write it with its unit"),
        ({"address": "a.example:443", "min_version": "1.4"}, "min_version"),
        ({"address": "a.example:443", "adress": "x"}, "did you mean 'address'"),
    ],
)
def test_a_server_that_cannot_be_meant_is_told_in_its_place(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: tls_certificate\noptions: {json.dumps({'servers': [{'address': 'good.example:443'}, wrong]})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    [problem] = caught.value.problems
    assert words in problem
    assert "servers[1]" in problem


def test_options_that_cannot_be_meant(tmp_path: Path) -> None:
    one = MODULE.Server(address="a.example:443")
    with pytest.raises(ValueError, match="servers must not be empty"):
        PROBE.options(servers=())
    with pytest.raises(ValueError, match=r"servers has a\.example:443 ipv4 twice"):
        PROBE.options(servers=(one, one))
    with pytest.raises(ValueError, match="ca_file: .* no file that can be read"):
        PROBE.options(servers=(one,), ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="critical_before .* is above warn_before"):
        PROBE.options(servers=(one,), warn_before=DAY)
    with pytest.raises(ValueError, match="critical_before .* is above warn_before"):
        PROBE.options(servers=(MODULE.Server(address="a.example:443", warn_before=DAY),))
    for wrong in ({"budget": 0 * S}, {"timeout": 0 * S}, {"percentile": 101}, {"samples": 0}, {"min_rsa_bits": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PROBE.options(servers=(one,), **wrong)
