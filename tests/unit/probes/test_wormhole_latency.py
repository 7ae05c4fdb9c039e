"""wormhole_latency on a fake clock: a sandbox Hermes and two guardians over one network of the core root."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probekit.clock import Clock
from probekit.dev import faults
from probekit.dev.guardians import SandboxGuardian
from probekit.dev.network import SandboxNetwork
from probekit.dev.transport import SandboxTransport
from probekit.errors import ConfigError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status, TrustRoot
from probekit.runner import RunSettings
from probekit.trust import CORE_EMITTER
from probekit.units import Instant
from tests.support.sandbox import FIRST, Lab, S, load, module_of, result, verdict

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("wormhole_latency")
ONE, TWO = "http://one", "http://two"
GOVERNANCE = bytes(31) + b"\x09"


@dataclass
class Guarded(Lab):
    root: TrustRoot = TrustRoot.CORE
    one: SandboxGuardian = field(init=False)
    two: SandboxGuardian = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is TrustRoot.CORE:
            self.one, self.two = SandboxGuardian(self.network), SandboxGuardian(self.network)
        else:
            other = Guarded(clock=self.clock)
            self.one, self.two = other.one, other.two
        self.transport = SandboxTransport({FIRST: self.first, ONE: self.one, TWO: self.two}, clock=self.clock)

    def options(self, **more: Any) -> dict[str, Any]:
        return {"guardians": (ONE, TWO), "hermes": FIRST, "feed": self.ids[0], "timeout": 2 * S, **more}


def emitter(**more: Any) -> Any:
    given = {"name": "governance", "chain": 1, "emitter": GOVERNANCE.hex(), "from_sequence": 5, **more}
    return module_of(PROBE).Emitter(**given)


def check_of(run: ProbeRun, target: str, name: str) -> Any:
    return next(one for one in result(run, target).verdicts if one.check == name)


EVERY = RunSettings(interval=timedelta(seconds=2))


@pytest.mark.shows("wormhole_latency", "OK")
async def test_prices_arrive_and_guardians_are_well() -> None:
    lab = Guarded()
    async with lab.watching(PROBE, settings=EVERY, **lab.options(min_margin=6, version="v2.99.0")):
        run = await lab.pass_seconds(9)
    assert run.status is OK, [one.verdicts for one in run.results if one.status is not OK]
    assert [one.target.id for one in run.results] == [FIRST, ONE, "prices @one", TWO, "prices @two"]
    margin = check_of(run, "prices @one", "signature_margin")
    assert (margin.value, margin.reason) == (6, "signed")
    delay = check_of(run, "prices @one", "vaa_delay")
    assert delay.reason == "in_time"
    assert all(0 < one.value < 5_000_000_000 for one in delay.measures)
    assert {one.name for one in check_of(run, "prices @one", "emitter_lag").measures} == {
        "vaa.age", "vaa.sequences_behind", "vaa.slots_behind",
    }  # fmt: skip
    assert "versions 19 of v2.99.0" in check_of(run, ONE, "guardian_heartbeats").message


async def test_messages_that_do_not_arrive_at_one_guardian() -> None:
    lab = Guarded()
    lab.two.appears_after = 600 * S
    async with lab.watching(PROBE, settings=EVERY, **lab.options(max_delay=6 * S, max_lag=6 * S)):
        run = await lab.pass_seconds(12)
        assert verdict(run, "prices @two") == (CRITICAL, "vaa_missing")
        assert result(run, "prices @one").status is OK
        # What is pending is asked for again, and a bounded number of it.
        assert len(lab.runs[-1].requests) < 40
        lab.two.appears_after = timedelta(0)
        run = await lab.pass_seconds(2)
        late = check_of(run, "prices @two", "vaa_delay")
        assert (late.status, late.reason) == (WARNING, "vaa_late")
        run = await lab.pass_seconds(4)
        assert result(run, "prices @two").status is OK


@pytest.mark.shows("wormhole_latency", "CRITICAL not_verified", "CRITICAL too_few_guardians")
async def test_signatures_and_guardians_that_are_lacking() -> None:
    lab = Guarded()
    lab.one.signers = range(14)
    lab.two.signers = range(12)
    lab.one.guardians[3].silent_for = 120 * S
    lab.one.guardians[4].heard = False
    for state in lab.two.guardians[:7]:
        state.heard = False
    async with lab.watching(PROBE, settings=EVERY, **lab.options(min_margin=2)):
        run = await lab.pass_seconds(8)
    assert check_of(run, "prices @one", "signature_margin").reason == "thin_quorum"
    broken = check_of(run, "prices @two", "vaa_delay")
    assert (broken.status, broken.reason, broken.error_type) == (CRITICAL, "not_verified", "no_quorum")
    assert verdict(run, ONE) == (WARNING, "guardians_unwell")
    assert [one.reason for one in check_of(run, ONE, "guardian_heartbeats").parts] == ["late_heartbeat", "no_heartbeat"]
    assert verdict(run, TWO) == (CRITICAL, "too_few_guardians")


@pytest.mark.shows("wormhole_latency", "OK", "CRITICAL emitter_silent", "CRITICAL vaa_missing", "WARNING vaa_late")
async def test_an_emitter_by_its_numbers_and_a_gap() -> None:
    lab = Guarded()
    for _ in range(40):
        lab.one.publish(1, GOVERNANCE, first=5)
    await lab.clock.advance(5 * S)
    options: dict[str, Any] = {"guardians": (ONE,), "emitters": (emitter(max_silence=60 * S),), "max_delay": 4 * S}
    async with lab.watching(PROBE, settings=EVERY, **options):
        # History comes by sixteens, and is no arrival.
        run = await lab.pass_seconds(9)
        assert check_of(run, "governance @one", "vaa_delay").reason == "nothing_new"
        assert "sequence 44" in check_of(run, "governance @one", "emitter_lag").message
        lab.one.publish(1, GOVERNANCE)
        await lab.pass_seconds(4)
        told = [check_of(one, "governance @one", "vaa_delay") for one in lab.runs]
        assert [len(one.measures) for one in told if one.reason == "in_time"] == [1]
        gone = lab.one.publish(1, GOVERNANCE)
        lab.one.withheld.add((1, GOVERNANCE, gone))
        lab.one.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(8)
        missing = check_of(run, "governance @one", "vaa_delay")
        assert (missing.status, missing.reason) == (CRITICAL, "vaa_missing")
        assert f"sequence {gone} is not here" in missing.message
        # It does not mend itself by growing old.
        run = await lab.pass_seconds(400)
        assert check_of(run, "governance @one", "vaa_delay").reason == "vaa_missing"
        assert check_of(run, "governance @one", "emitter_lag").reason == "emitter_silent"
        lab.one.withheld.clear()
        run = await lab.pass_seconds(2)
        assert check_of(run, "governance @one", "vaa_delay").reason == "vaa_late"


async def test_what_was_missing_before_the_probe_came_is_not_waited_for() -> None:
    lab = Guarded()
    for _ in range(6):
        lab.one.publish(1, GOVERNANCE, first=5)
    lab.one.withheld.add((1, GOVERNANCE, 7))
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE,), emitters=(emitter(),), max_delay=4 * S):
        run = await lab.pass_seconds(9)
    found = check_of(run, "governance @one", "vaa_delay")
    assert (found.status, found.reason) == (OK, "nothing_new")
    assert "1 before were given up" in found.message


@pytest.mark.shows("wormhole_latency", "CRITICAL vaa_missing")
async def test_a_gap_of_two_is_a_gap_and_what_comes_after_it_is_read() -> None:
    lab = Guarded()
    lab.one.publish(1, GOVERNANCE, first=5)
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE,), emitters=(emitter(),), max_delay=4 * S):
        await lab.pass_seconds(4)
        lab.one.withheld = {(1, GOVERNANCE, lab.one.publish(1, GOVERNANCE)) for _ in range(2)}
        for _ in range(5):
            lab.one.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(12)
        missing = check_of(run, "governance @one", "vaa_delay")
        assert (missing.status, missing.reason) == (CRITICAL, "vaa_missing")
        assert "sequence 6 is not here" in missing.message
        assert ", and 1 more," in missing.message
        assert "sequence 12" in check_of(run, "governance @one", "emitter_lag").message


async def test_a_place_that_stands_still_lacks_what_another_has() -> None:
    lab = Guarded()
    for guardian in (lab.one, lab.two):
        guardian.publish(1, GOVERNANCE, first=5)
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE, TWO), emitters=(emitter(),), max_delay=4 * S):
        run = await lab.pass_seconds(4)
        assert run.status is OK
        lab.one.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(10)
        assert result(run, "governance @one").status is OK
        missing = check_of(run, "governance @two", "vaa_delay")
        assert (missing.status, missing.reason) == (CRITICAL, "vaa_missing")
        assert "sequence 6 is not here" in missing.message
        lab.two.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(6)
        assert result(run, "governance @two").status is OK


async def test_a_place_of_other_guardians_says_nothing_of_what_exists_elsewhere() -> None:
    """One of a test network, or one that lies: under a set of its own it can sign any number."""
    lab = Guarded()
    strange = SandboxGuardian(SandboxNetwork(root=TrustRoot.CORE, seed=2, clock=lab.clock))
    lab.transport = SandboxTransport({FIRST: lab.first, ONE: lab.one, TWO: strange}, clock=lab.clock)
    lab.one.publish(1, GOVERNANCE, first=5)
    for _ in range(40):
        strange.publish(1, GOVERNANCE, first=5)
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE, TWO), emitters=(emitter(),), max_delay=4 * S):
        run = await lab.pass_seconds(20)
        assert result(run, "governance @one").status is OK
        # Nor once it shows the set of the others: that has not signed what it has.
        strange.network.signing = lab.network.signing
        run = await lab.pass_seconds(10)
        assert result(run, "governance @one").status is OK
        lab.one.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(4)
        assert "sequence 6" in check_of(run, "governance @one", "emitter_lag").message


async def test_a_place_that_keeps_less_does_not_lack_what_was_sent_before_the_watch() -> None:
    """It had nothing near the first number, and what another place has shows only later how much there was."""
    lab = Guarded()
    for guardian in (lab.one, lab.two):
        for _ in range(60):
            guardian.publish(1, GOVERNANCE, first=5)
    lab.two.withheld |= {(1, GOVERNANCE, sequence) for sequence in range(5, 63)}
    lab.one.down = True
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE, TWO), emitters=(emitter(),), max_delay=4 * S):
        run = await lab.pass_seconds(2)
        assert result(run, "governance @two").status is SKIPPED
        lab.one.down = False
        run = await lab.pass_seconds(20)
        assert run.status is OK
        assert "58 before were given up" in check_of(run, "governance @two", "vaa_delay").message
        # What it lacks of what is sent from then on is missing all the same.
        lab.two.withheld.add((1, GOVERNANCE, lab.one.publish(1, GOVERNANCE)))
        lab.two.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(10)
        assert check_of(run, "governance @two", "vaa_delay").reason == "vaa_missing"


async def test_a_message_that_does_not_verify_holds_up_none_after_it() -> None:
    lab = Guarded()
    for _ in range(10):
        lab.one.publish(1, GOVERNANCE, first=5)
    lab.one.unproven.add((1, GOVERNANCE, 7))
    await lab.clock.advance(5 * S)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE,), emitters=(emitter(),), max_delay=4 * S):
        run = await lab.pass_seconds(8)
        broken = check_of(run, "governance @one", "vaa_delay")
        assert (broken.status, broken.reason, broken.error_type) == (CRITICAL, "not_verified", "no_quorum")
        assert "sequence 7 is not what is here: no_quorum: 1 signatures of a set of 19" in broken.message
        assert "sequence 14" in check_of(run, "governance @one", "emitter_lag").message
        lab.one.unproven.clear()
        run = await lab.pass_seconds(4)
        assert result(run, "governance @one").status is OK


async def test_a_slow_api_is_read_a_part_at_a_time_and_holds_its_heartbeats_back_from_nobody() -> None:
    lab = Guarded()
    for _ in range(40):
        lab.one.publish(1, GOVERNANCE, first=5)
    lab.one.takes = 600 * timedelta(milliseconds=1)
    await lab.clock.advance(5 * S)
    options: dict[str, Any] = {"guardians": (ONE,), "emitters": (emitter(),), "max_delay": 4 * S}
    async with lab.watching(PROBE, settings=RunSettings(interval=10 * S), **options):
        for _ in range(20 * 4):
            await lab.clock.advance(S / 4)
        assert [verdict(one, ONE) for one in lab.runs] == [(OK, "guardians_well")] * len(lab.runs)
        for _ in range(90 * 4):
            await lab.clock.advance(S / 4)
    assert {result(one, "governance @one").status for one in lab.runs} == {OK}
    assert "sequence 44" in check_of(lab.runs[-1], "governance @one", "emitter_lag").message


class Behind:
    """A clock of others, by which this host's is so much ahead."""

    def __init__(self, clock: Clock, by: timedelta) -> None:
        self._clock, self._by = clock, by

    def now(self) -> Instant:
        return self._clock.now().plus(-self._by)

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        await self._clock.sleep_until_ns(deadline_ns)


@pytest.mark.parametrize("ahead", [90, -90])
@pytest.mark.shows("wormhole_latency", "UNKNOWN clock")
async def test_a_clock_of_this_host_that_is_wrong_is_no_latency_of_the_guardians(ahead: int) -> None:
    lab = Guarded()
    lab.network.clock = Behind(lab.clock, ahead * S)
    run = await lab.once(PROBE, **lab.options())
    for target in (FIRST, ONE, "prices @one", "prices @two"):
        assert verdict(run, target) == (UNKNOWN, "clock"), target


@pytest.mark.shows("wormhole_latency", "WARNING other_set")
async def test_an_emitter_that_is_quiet_since_the_set_changed_is_right_with_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Guarded()
    lab.one.publish(1, GOVERNANCE, first=5)
    await lab.clock.advance(5 * S)
    answer = lab.one.handle

    def changed(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Any:
        reply = answer(method, target, headers, body)
        if target == "/v1/guardianset/current":
            held = json.loads(reply.body)
            held["guardianSet"]["index"] += 1
            reply.body = json.dumps(held).encode()
        return reply

    monkeypatch.setattr(lab.one, "handle", changed)
    async with lab.watching(PROBE, settings=EVERY, guardians=(ONE,), emitters=(emitter(),)):
        run = await lab.pass_seconds(4)
        margin = check_of(run, "governance @one", "signature_margin")
        assert (margin.status, margin.reason) == (SKIPPED, "older_set")
        assert result(run, "governance @one").status is OK
        # One that is sent now must be of the set in force.
        lab.one.publish(1, GOVERNANCE)
        run = await lab.pass_seconds(6)
        assert verdict(run, "governance @one") == (WARNING, "other_set")


async def test_places_that_fail_are_told_each_once() -> None:
    lab = Guarded()
    lab.two.down = True
    lab.first.inject(faults.Unauthorized())
    run = await lab.once(PROBE, **lab.options(emitters=(emitter(),)))
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    assert verdict(run, ONE) == (OK, "guardians_well")
    assert result(run, "prices @one").status is SKIPPED
    assert verdict(run, TWO) == (CRITICAL, "server_error")
    assert verdict(run, "prices @two") == verdict(run, "governance @two") == (UNKNOWN, "behind_endpoint")


async def test_a_hermes_that_hangs_keeps_no_heartbeats_back() -> None:
    lab = Guarded()
    lab.first.inject(faults.Hang())
    run = await lab.once(PROBE, **lab.options())
    assert verdict(run, FIRST) == (CRITICAL, "deadline_first_byte")
    assert verdict(run, ONE) == (OK, "guardians_well")


async def test_an_absurd_number_of_hermes_is_not_the_newest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Guarded()
    whole, wild = module_of(PROBE).signed_message, [True]

    def once(raw: bytes) -> Any:
        return msgspec.structs.replace(whole(raw), sequence=2**60) if wild else whole(raw)

    monkeypatch.setattr(module_of(PROBE), "signed_message", once)
    async with lab.watching(PROBE, settings=EVERY, **lab.options()):
        await lab.pass_seconds(2)
        wild.clear()
        await lab.pass_seconds(6)
    told = [check_of(run, FIRST, "vaa_delay").reason for run in lab.runs]
    assert told == ["in_time"] * len(told)


async def test_prices_of_the_pro_root_are_at_no_guardian() -> None:
    lab = Guarded(root=TrustRoot.PRO)
    run = await lab.once(PROBE, **lab.options())
    assert result(run, FIRST).status is OK
    assert verdict(run, "prices @one") == (SKIPPED, "not_indexed")


async def test_a_guardians_node_keeps_no_prices() -> None:
    lab = Guarded()
    lab.one.serves_prices = False
    run = await lab.once(PROBE, **lab.options())
    assert verdict(run, "prices @one") == (SKIPPED, "not_indexed")
    assert verdict(run, ONE) == (OK, "guardians_well")


async def test_a_source_that_stands_still_is_silent() -> None:
    lab = Guarded()
    lab.first.inject(faults.Lag(delay_ms=45_000))
    run = await lab.once(PROBE, **lab.options())
    assert check_of(run, FIRST, "emitter_lag").reason == "emitter_silent"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"guardians": []}, "guardians must not be empty"),
        ({"guardians": ["ftp://x"]}, "not an http or https URL"),
        ({"guardians": [ONE, ONE]}, "is there twice"),
        ({"guardians": [ONE, ONE + "/"]}, "prices @one is there twice"),
        ({"guardians": ["http://u:s3cret@one"]}, "no place for a user"),
        ({"hermes": "http://u:s3cret@first", "feed": "00" * 32}, "no place for a user"),
        ({"hermes": FIRST}, "hermes and feed go together"),
        ({"max_delay": "0s"}, "max_delay must be positive"),
        ({"min_margin": -1}, "min_margin must lie"),
        ({"emitters": [{"name": "a", "chain": 1, "emitter": "00", "from_sequence": 0}]}, "64 hex digits"),
        ({"emitters": [{"name": "prices", "chain": 1, "emitter": "00" * 32, "from_sequence": 0}]}, "other than 'prices'"),
        ({"emitters": [{"name": "a", "chain": 0, "emitter": "00" * 32, "from_sequence": 0}]}, "must be >= 1"),
        ({"emitters": [{"name": "a", "chain": 1, "emitter": "00" * 32}]}, "from_sequence"),
    ],
)
def test_options_that_cannot_be_meant_are_told_in_their_place(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "probekit.yaml"
    path.write_text(f"probe: wormhole_latency\noptions: {json.dumps({'guardians': [ONE], **options})}\n")
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert words in " ".join(caught.value.problems)
    assert "s3cret" not in str(caught.value)


def test_guardians_of_one_host_are_told_apart_and_no_key_is_in_their_names() -> None:
    at, key = module_of(PROBE).at, "a1b2c3d4e5f6a7b8c9d0"
    ids = [
        at("prices", url) for url in (ONE, f"{ONE}:80/a/", f"{ONE}/a", f"{ONE}/b", f"{ONE}/{key}/c?token=x", "http://u:p@one/d")
    ]
    assert ids[:4] == ["prices @one", "prices @one:80/a", "prices @one/a", "prices @one/b"]
    assert ids[4:] == ["prices @one/[redacted]/c?token=[redacted]", "prices @[redacted]@one/d"]


def test_the_sandbox_guardian_answers_as_the_gateway_does() -> None:
    lab = Guarded()
    answers = {
        path: lab.one.handle("GET", path, {}).status
        for path in ("/v1/heartbeats", "/v1/guardianset/current", "/v1/nothing", f"/v1/signed_vaa/1/{'00' * 32}/1")
    }
    assert list(answers.values()) == [200, 200, 404, 404]
    assert lab.one.handle("POST", "/v1/heartbeats", {}).status == 501
    slot = lab.network.slot_of(lab.network.published_ns(lab.clock.now()))
    path = f"/v1/signed_vaa/{CORE_EMITTER.chain}/{CORE_EMITTER.address.hex()}/"
    assert lab.one.handle("GET", f"{path}{slot}", {}).status == 404
    assert lab.one.handle("GET", f"{path}{slot - 5}", {}).status == 200
    assert lab.one.handle("GET", f"{path}{slot - 5_000}", {}).status == 404
    with pytest.raises(ValueError, match="pro root"):
        SandboxGuardian(Lab().network)
