"""tcp_service on a fake clock, over connections that are made up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.clock import within
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, ResolveError, StreamClosed, TlsError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.runner import run_once
from probekit.testing import FakeClock
from probekit.transports.dial import Call
from probekit.transports.tls import Agreed
from tests.support.sandbox import S, load, module_of, others_ok, result, verdict
from tests.support.wires import MS, Answers, FakeDialer, FakeWire

OK, CRITICAL = Status.OK, Status.CRITICAL
PROBE = load("tcp_service")
MODULE = module_of(PROBE)
AGREED = Agreed("TLSv1.3", "TLS_AES", "imap", ())


class Lab:
    """Runs the probe over a dialer of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.dialers: list[FakeDialer] = []
        self.answers: Answers = lambda call: FakeWire()

        def make(*, clock: Any, observer: Any) -> FakeDialer:
            self.dialers.append(FakeDialer(clock, lambda call: self.answers(call), observer))
            return self.dialers[-1]

        monkeypatch.setattr("probekit.transports.dial.SocketDialer", make)

    async def once(self, *services: Any, **options: Any) -> ProbeRun:
        task = asyncio.ensure_future(run_once(PROBE, PROBE.options(services=services, **options), clock=self.clock))
        for _ in range(60):
            if task.done():
                break
            await self.clock.advance(S / 4)
        assert task.done(), "the run took longer than its deadline"
        return task.result()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(monkeypatch)


def service(name: str, *dialogue: Any, **more: Any) -> Any:
    return MODULE.Service(address=f"{name}.example:25", name=name, dialogue=dialogue, **more)


def say(expect: str | None = None, **more: Any) -> Any:
    return MODULE.Say(expect=expect, **more)


@pytest.mark.shows("tcp_service", "CRITICAL unexpected_answer", "CRITICAL closed_early", "CRITICAL tls")
async def test_each_state_of_a_service_is_told_by_itself(lab: Lab) -> None:
    answers: dict[str, Any] = {
        "open": FakeWire(),
        "hello": FakeWire(says=[b"220 ma", b"il\r\n"]),
        "other": FakeWire(says=[b"SSH-2.0-x\r\n"]),
        "mute": FakeWire(),
        "breaks": FakeWire(says=[StreamClosed("reset", planned=False)]),
        "floods": FakeWire(says=[b"a" * 16_384] * 9),
        "down": ConnectError("refused"),
        "name": ResolveError("no such name"),
        "tls": TlsError("the certificate does not hold"),
    }
    lab.answers = lambda call: answers[call.host.removesuffix(".example")]
    run = await lab.once(service("open"), *(service(name, say("^220 ")) for name in answers if name != "open"))
    assert {name: verdict(run, f"{name} ipv4") for name in answers} == {
        "open": (OK, "as_expected"),
        "hello": (OK, "as_expected"),
        "other": (CRITICAL, "closed_early"),
        "mute": (CRITICAL, "closed_early"),
        "breaks": (CRITICAL, "stream_closed"),
        "floods": (CRITICAL, "unexpected_answer"),
        "down": (CRITICAL, "connect"),
        "name": (CRITICAL, "resolve"),
        "tls": (CRITICAL, "tls"),
    }
    assert "'SSH-2.0-x'" in result(run, "other ipv4").verdicts[0].message
    assert "'220 mail'" in result(run, "hello ipv4").verdicts[0].message
    assert all(wire.closed for wire in answers.values() if isinstance(wire, FakeWire))
    # Bounded: it stops reading once the limit is passed.
    assert len(answers["floods"].says) == 5
    assert {record.target for record in run.requests} == {f"{name} ipv4" for name in answers}
    evidence = result(run, "other ipv4").evidence
    assert evidence is not None
    assert evidence.request == "CONNECT tcp://other.example:25"
    assert "SSH-2.0-x" in evidence.decoded


@pytest.mark.shows("tcp_service", "OK")
async def test_a_dialogue_of_several_turns_and_what_came_too_early_belongs_to_the_next(lab: Lab) -> None:
    wire = FakeWire(says=[b"220 mail\r\n250-one\r\n", b"250 two\r\n\xff", b"\x00bye"])
    lab.answers = lambda call: wire
    turns = (
        say("^220 "),
        say(r"^250-one$", send="EHLO probe\r\n"),
        say(r"^250 two$"),
        say(send_hex="ff00"),
        say(expect_bytes="^\\xff\\x00b"),
        say(expect_bytes="^y"),
        say("^e$"),
    )
    run = await lab.once(service("a", *turns))
    assert run.status is OK, run.results
    assert wire.sent == [b"EHLO probe\r\n", b"\xff\x00"]


SMTP = (say("^220 "), say("^250 ", send="EHLO probe\r\n"), say("^221 ", send="QUIT\r\n"))


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
@pytest.mark.parametrize("greeting", [b"220 mail ESMTP\r\n", b"220-mail ESMTP\r\n220-no 220 spam\r\n220 ready\r\n"])
async def test_replies_of_several_lines_are_one_however_they_are_cut(greeting: bytes, size: int, lab: Lab) -> None:
    said = greeting + b"250-mail\r\n250-SIZE 250 0\r\n250 HELP\r\n221 Bye\r\n"
    wire = FakeWire(says=[said[at : at + size] for at in range(0, len(said), size)])
    lab.answers = lambda call: wire
    run = await lab.once(service("mail", *SMTP), budget=20 * S, timeout=20 * S)
    assert run.status is OK, run.results
    assert wire.sent == [b"EHLO probe\r\n", b"QUIT\r\n"]
    assert "said '221 Bye'" in run.results[0].verdicts[0].message


async def test_a_line_counts_once_its_end_has_come(lab: Lab) -> None:
    async def hangs() -> bytes:
        await asyncio.Event().wait()
        return b""

    class Prompt(FakeWire):
        async def receive(self) -> bytes:
            return await (super().receive() if self.says else hangs())

    lab.answers = lambda call: {
        "prompt": Prompt(says=[b"login: "]),
        "bytes": Prompt(says=[b"login: "]),
        "last": FakeWire(says=[b"login: "]),
        "blank": FakeWire(says=[b"head\r\n", b"\r\nbody"]),
        "silent": FakeWire(),
        "any": FakeWire(),
    }[call.host.removesuffix(".example")]
    run = await lab.once(
        service("prompt", say("^login:")),
        service("bytes", say(expect_bytes="^login:")),
        service("last", say("^login:")),
        service("blank", say("^$"), say("^body$")),
        service("silent", say("^$")),
        service("any", say("x*")),
    )
    assert {one.target.id.removesuffix(" ipv4"): verdict(run, one.target.id) for one in run.results} == {
        "prompt": (CRITICAL, "unexpected_answer"),
        "bytes": (OK, "as_expected"),
        "last": (OK, "as_expected"),
        "blank": (OK, "as_expected"),
        "silent": (CRITICAL, "closed_early"),
        "any": (CRITICAL, "closed_early"),
    }
    assert "did not come in a line that ended in time (expect_bytes" in result(run, "prompt ipv4").verdicts[0].message


async def test_words_before_a_connection_breaks_are_told(lab: Lab) -> None:
    broken = StreamClosed("reset", planned=False)
    lab.answers = lambda call: FakeWire(says=[b"554 5.7.1 you are listed\r\n220 ", broken])
    run = await lab.once(service("a", say("^220 ")))
    # What would do at an orderly end does not where it broke.
    assert verdict(run, "a ipv4") == (CRITICAL, "closed_early")
    assert "554 5.7.1 you are listed" in run.results[0].verdicts[0].message


async def test_what_was_awaited_is_told_with_what_came_before_it_and_not_after(lab: Lab) -> None:
    lab.answers = lambda call: FakeWire(says=[b"one\r\ntwo\r\nthree"])
    run = await lab.once(service("a", say("two")))
    evidence = run.results[0].verdicts[0].message
    assert "said 'one two'" in evidence


async def test_a_service_that_hangs_holds_up_no_other(lab: Lab) -> None:
    class Silent(FakeWire):
        async def receive(self) -> bytes:
            if self.says:
                return await super().receive()
            await asyncio.Event().wait()
            return b""

    class Deaf(FakeWire):
        async def send(self, data: bytes) -> None:
            await asyncio.Event().wait()

    async def answer(call: Call) -> Any:
        match call.host.removesuffix(".example"):
            case "silent":
                return Silent()
            case "partial":
                return Silent(says=[b"22"])
            case "deaf":
                return Deaf()
            case "unopened":
                assert call.deadline_ns is not None
                try:
                    await within(lab.clock, call.deadline_ns, asyncio.Event().wait())
                except TimeoutError:
                    pass
                return DeadlineExceeded("late", phase="connect")
            case _:
                return FakeWire(says=[b"220 "])

    lab.answers = answer
    hanging = ("silent", "partial", "deaf", "unopened")
    run = await lab.once(*(service(name, say("^220 ", send="x")) for name in (*hanging, "ok")), timeout=2 * S)
    assert {name: verdict(run, f"{name} ipv4") for name in hanging} == {
        "silent": (CRITICAL, "deadline_first_byte"),
        "partial": (CRITICAL, "unexpected_answer"),
        "deaf": (CRITICAL, "deadline_transfer"),
        "unopened": (CRITICAL, "deadline_connect"),
    }
    assert others_ok(run, *(f"{name} ipv4" for name in hanging))
    slow = result(run, "silent ipv4")
    quick = result(run, "ok ipv4")
    assert slow.observed_at is not None
    assert quick.observed_at is not None
    assert slow.observed_at.since(quick.observed_at) >= 1_900 * MS


@pytest.mark.shows("tcp_service", "CRITICAL over_budget")
async def test_the_time_is_that_of_the_whole_dialogue_without_the_queue(lab: Lab) -> None:
    class Slow(FakeWire):
        async def receive(self) -> bytes:
            await lab.clock.sleep_until_ns(lab.clock.monotonic_ns() + 500 * MS)
            return b"220 \r\n"

    lab.answers = lambda call: Slow()
    run = await lab.once(service("a", say("^220 "), budget=S / 4))
    assert verdict(run, "a ipv4") == (CRITICAL, "over_budget")
    latency = next(one for one in run.results[0].verdicts if one.check == "latency_budget")
    assert latency.value == 520 * MS
    evidence = result(run, "a ipv4").evidence
    assert evidence is not None
    assert json.loads(evidence.decoded)["phases"]["first_byte_ns"] == 500 * MS


async def test_tls_is_asked_for_and_always_verified(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    lab.answers = lambda call: FakeWire(AGREED if call.tls is not None else None)
    more = {"server_name": "mail.example", "alpn": ("imap",), "ca_file": str(tmp_path / "ca.pem")}
    run = await lab.once(service("a", tls=True, **more), service("b", tls=True), service("c", family="ipv6"))
    assert run.status is OK
    asked = {call.host: call for call in lab.dialers[0].calls}
    tls = asked["a.example"].tls
    assert tls is not None
    assert (tls.server_name, tls.alpn, tls.verified, tls.ca_file) == ("mail.example", ("imap",), True, more["ca_file"])
    other = asked["b.example"].tls
    assert other is not None
    assert (other.server_name, other.verified) == ("b.example", True)
    assert (asked["c.example"].tls, asked["c.example"].family) == (None, "ipv6")
    assert "in TLSv1.3 with TLS_AES, ALPN imap" in result(run, "a ipv4").verdicts[0].message


async def test_a_secret_goes_out_and_nowhere_else(lab: Lab) -> None:
    key = pk.Secret("c4nary-9876543210")
    wire = FakeWire(AGREED, says=[b"-ERR you sent AUTH c4nary-9876543210\r\n"])
    lab.answers = lambda call: wire
    run = await lab.once(service("a", say(r"^\+OK", send="AUTH {secret}\r\n", secret=key), tls=True))
    assert wire.sent == [b"AUTH c4nary-9876543210\r\n"]
    assert verdict(run, "a ipv4") == (CRITICAL, "closed_early")
    assert "c4nary" not in repr(run)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"address": "a.example"}, "no host:port"),
        ({"address": "192.0.2.1:25", "family": "ipv6"}, "family ipv6 does not reach"),
        ({"address": "a.example:25", "server_name": "b.example"}, "go with tls: true"),
        ({"address": "a.example:25", "tls": True, "server_name": ""}, "no host name"),
        ({"address": "a.example:25", "tls": True, "alpn": [""]}, "1 to 255 bytes"),
        ({"address": "a.example:25", "tls": True, "ca_file": "/nowhere.pem"}, "ca_file: "),
        ({"address": "a.example:25", "dialogue": [{}]}, "a turn sends something"),
        ({"address": "a.example:25", "dialogue": [{"send": "a", "send_hex": "00"}]}, "send or send_hex, not both"),
        ({"address": "a.example:25", "dialogue": [{"send_hex": "0g"}]}, "is not hexadecimal"),
        ({"address": "a.example:25", "dialogue": [{"expect": "("}]}, "expect '(' is no regular expression"),
        ({"address": "a.example:25", "dialogue": [{"expect_bytes": "("}]}, "expect_bytes '(' is no regular expression"),
        ({"address": "a.example:25", "dialogue": [{"expect_bytes": "x*"}]}, "found where nothing has come"),
        ({"address": "a.example:25", "dialogue": [{"expect_bytes": ""}]}, "found where nothing has come"),
        ({"address": "a.example:25", "dialogue": [{"expect": "a", "expect_bytes": "b"}]}, "expect or expect_bytes, not both"),
        ({"address": "a.example:25", "dialogue": [{"send": "{secret}", "secret": "env:PK_TEST_KEY"}]}, "with tls: true"),
        ({"address": "a.example:25", "dialogue": [{"send": "a", "secret": "env:PK_TEST_KEY"}]}, "stands in send as {secret}"),
        ({"address": "a.example:25", "dialogue": [{"send": "{secret}"}]}, "stands in send as {secret}"),
        ({"address": "a.example:25", "dialog": []}, "did you mean 'dialogue'"),
    ],
)
def test_a_service_that_cannot_be_meant_is_told_in_its_place(
    wrong: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PK_TEST_KEY", "k3y")
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: tcp_service\noptions: {json.dumps({'services': [{'address': 'good.example:25'}, wrong]})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    [problem] = caught.value.problems
    assert words in problem
    assert "services[1]" in problem


def test_options_that_cannot_be_meant() -> None:
    one = MODULE.Service(address="a.example:25")
    with pytest.raises(ValueError, match="services must not be empty"):
        PROBE.options(services=())
    with pytest.raises(ValueError, match="services has .* twice"):
        PROBE.options(services=(one, one))
    with pytest.raises(ValueError, match="max_read must be positive"):
        PROBE.options(services=(one,), max_read=pk.ByteSize(0))
    with pytest.raises(ValueError, match="16MiB at most"):
        PROBE.options(services=(one,), max_read=pk.ByteSize.parse("17MiB"))
    for wrong in ({"budget": 0 * S}, {"timeout": 0 * S}, {"percentile": 101}, {"samples": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PROBE.options(services=(one,), **wrong)
