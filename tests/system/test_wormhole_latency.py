"""wormhole_latency in real time: a sandbox Hermes and two sandbox guardians on sockets, over one network of the core root."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from probekit.clock import SYSTEM_CLOCK, Clock, SystemClock
from probekit.dev.guardians import SandboxGuardian
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.model import ProbeRun, Status, TrustRoot
from probekit.runner import RunSettings, watch
from probekit.units import Instant
from tests.support.sandbox import S, load, module_of, result, verdict

pytestmark = pytest.mark.system

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("wormhole_latency")
GOVERNANCE = bytes(31) + b"\x09"


class Places(NamedTuple):
    hermes: str
    one: str
    two: str
    first: SandboxGuardian
    second: SandboxGuardian
    feed: str

    def prices(self, url: str) -> str:
        return f"prices @{url.removeprefix('http://')}"


@asynccontextmanager
async def places(clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[Places]:
    network = SandboxNetwork(root=TrustRoot.CORE, feeds=3, clock=clock)
    first, second = SandboxGuardian(network), SandboxGuardian(network)
    async with serve(Sandbox(network)) as hermes, serve(first) as one, serve(second) as two:
        yield Places(hermes, one, two, first, second, str(network.markets[0].feed.id))


async def until(made: Places, condition: Any, **options: Any) -> ProbeRun:
    """The first run for which it holds."""
    given = {"guardians": (made.one, made.two), "hermes": made.hermes, "feed": made.feed, **options}
    runs = watch(PROBE, PROBE.options(**given), settings=RunSettings(interval=timedelta(seconds=1)))
    async with asyncio.timeout(40):
        async for run in runs:
            if condition(run):
                await runs.aclose()
                return run
    raise AssertionError("it ended")


@pytest.mark.shows("wormhole_latency", "OK")
async def test_all_is_well() -> None:
    async with places() as made:

        def well(run: ProbeRun) -> bool:
            seen = {one.reason for url in (made.one, made.two) for one in result(run, made.prices(url)).verdicts}
            return run.status is OK and "in_time" in seen and "pending" not in seen

        run = await until(made, well, min_margin=6)
    assert {one.target.id for one in run.results} == {
        made.hermes, made.one, made.two, made.prices(made.one), made.prices(made.two),
    }  # fmt: skip
    reasons = {one.reason for one in result(run, made.prices(made.one)).verdicts}
    assert reasons <= {"in_time", "nothing_new", "newest", "signed"}


@pytest.mark.shows("wormhole_latency", "WARNING thin_quorum", "CRITICAL vaa_missing", "CRITICAL too_few_guardians")
async def test_messages_that_do_not_come_and_guardians_that_are_silent() -> None:
    async with places() as made:
        made.second.appears_after = 600 * S
        for state in made.second.guardians[:8]:
            state.heard = False
        made.first.signers = range(13)
        made.first.guardians[0].version = "v1.0.0"

        def broken(run: ProbeRun) -> bool:
            return verdict(run, made.prices(made.two)) == (CRITICAL, "vaa_missing")

        run = await until(made, broken, max_delay=3 * S, min_margin=1, version="v2.99.0")
    assert verdict(run, made.two) == (CRITICAL, "too_few_guardians")
    assert verdict(run, made.one) == (WARNING, "guardians_unwell")
    assert result(run, made.hermes).status is OK
    assert "thin_quorum" in {one.reason for one in result(run, made.prices(made.one)).verdicts}


@pytest.mark.shows("wormhole_latency", "CRITICAL not_verified")
async def test_a_guardian_that_is_down_and_one_that_signs_too_little() -> None:
    async with places() as made:
        made.second.down = True
        made.first.signers = range(5)

        def broken(run: ProbeRun) -> bool:
            return verdict(run, made.prices(made.one)) == (CRITICAL, "not_verified")

        run = await until(made, broken)
    assert verdict(run, made.two) == (CRITICAL, "server_error")
    assert verdict(run, made.prices(made.two)) == (Status.UNKNOWN, "behind_endpoint")


@pytest.mark.shows("wormhole_latency", "CRITICAL not_verified")
async def test_a_gap_and_a_message_that_does_not_verify_hold_up_none_after_them() -> None:
    async with places() as made:
        for _ in range(12):
            made.first.publish(1, GOVERNANCE, first=5)
        made.first.unproven.add((1, GOVERNANCE, 6))
        made.first.withheld = {(1, GOVERNANCE, 9), (1, GOVERNANCE, 10), (1, GOVERNANCE, 11)}
        target = f"governance @{made.one.removeprefix('http://')}"

        def read(run: ProbeRun) -> bool:
            lag = next((one for one in result(run, target).verdicts if one.check == "emitter_lag"), None)
            return lag is not None and "sequence 16" in lag.message

        emitter = module_of(PROBE).Emitter(name="governance", chain=1, emitter=GOVERNANCE.hex(), from_sequence=5)
        run = await until(made, read, emitters=(emitter,))
        broken = next(one for one in result(run, target).verdicts if one.check == "vaa_delay")
    assert (broken.status, broken.reason, broken.error_type) == (CRITICAL, "not_verified", "no_quorum")
    assert "sequence 6 " in broken.message


class Earlier(SystemClock):
    """What time it is elsewhere, where this host's clock is a minute and a half ahead."""

    def now(self) -> Instant:
        return super().now().plus(-90 * S)


@pytest.mark.shows("wormhole_latency", "UNKNOWN clock")
async def test_a_clock_that_others_prove_wrong_is_no_latency_of_theirs() -> None:
    async with places(Earlier()) as made:
        all_ = (made.hermes, made.one, made.two, made.prices(made.one), made.prices(made.two))
        run = await until(made, lambda run: all(verdict(run, one) == (UNKNOWN, "clock") for one in all_))
    assert run.status is UNKNOWN
