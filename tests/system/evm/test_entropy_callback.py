"""entropy_callback on a real chain: a lottery whose keeper does and does not do its work, and a service over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from probekit.clock import SYSTEM_CLOCK
from probekit.codecs.evm import entropy as codec
from probekit.model import ProbeRun, Status, Verdict
from probekit.runner import RunSettings, run_once
from tests.support.entropies import NOT_PENDING, Service, serve_fortuna
from tests.support.sandbox import load, module_of, result, verdict
from tests.system.evm.chain import Chain
from tests.system.evm.test_entropy import ENDLESS, LENGTH, MOST, REFUSE, USER, Lottery

pytestmark = [pytest.mark.system, pytest.mark.evm]

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN


@dataclass
class Watched:
    lottery: Lottery
    service: Service
    url: str

    @property
    def target(self) -> str:
        return f"anvil/{self.lottery.entropy.address}"

    async def run(self, **more: Any) -> ProbeRun:
        probe = load("entropy_callback")
        node = self.lottery.chain.node
        chain = module_of(probe).EntropyChain(
            endpoints=(node.url,), chain_id=node.chain_id, contract=str(self.lottery.entropy.address), fortuna=self.url,
            stuck_after=30 * S, stuck_blocks=30,
        )  # fmt: skip
        limits = {"critical_remaining": 2, "warn_remaining": 5, **more}
        settings = RunSettings(interval=20 * S, deadline=15 * S)
        return await run_once(probe, probe.options(chains={"anvil": chain}, **limits), settings=settings)

    def of(self, run: ProbeRun, check: str) -> Verdict:
        return next(one for one in result(run, self.target).verdicts if one.check == check)

    def seen(self, run: ProbeRun) -> str:
        return verdict(run, f"{self.url} on anvil")[1]


@asynccontextmanager
async def watched(chain: Chain, **more: Any) -> AsyncIterator[Watched]:
    lottery = await Lottery.open(chain, **more)
    links = [lottery.revelation(number) for number in range(LENGTH)]
    service = Service(SYSTEM_CLOCK, links, chain="anvil")
    async with serve_fortuna(service) as url:
        yield Watched(lottery, service, url)


@pytest.mark.shows("entropy_callback", "OK")
async def test_a_keeper_that_does_its_work(chain: Chain) -> None:
    async with watched(chain) as made:
        run = await made.run()
        assert run.status is OK
        assert made.seen(run) == "nothing_pending"
        for _ in range(3):
            await made.lottery.asked()
        await made.lottery.revealed(1)
        run = await made.run()
        assert run.status is OK
        assert made.of(run, "entropy_pending").message.startswith("2 of the last 3 requests wait, the oldest 2 for")
        assert made.seen(run) == "proven"
        assert {one.name: one.value for one in made.of(run, "entropy_provider").measures}["entropy.remaining"] == LENGTH - 4


@pytest.mark.shows("entropy_callback", "CRITICAL stuck", "CRITICAL withheld", "CRITICAL wrong_revelation")
async def test_a_keeper_that_does_not(chain: Chain) -> None:
    async with watched(chain) as made:
        await made.lottery.asked()
        await chain.node.mine(31, spacing=timedelta(seconds=1))
        run = await made.run()
        found = made.of(run, "entropy_pending")
        assert (found.status, found.reason) == (CRITICAL, "stuck")
        assert "1 for 31 blocks, 31 s (the reveal would be taken now; nobody has sent it)" in found.message
        assert made.seen(run) == "proven"
        made.service.lies = True
        assert made.seen(await made.run()) == "wrong_revelation"
        made.service.says[1] = NOT_PENDING
        assert made.seen(await made.run()) == "withheld"
        await made.lottery.revealed(1)
        assert (await made.run()).status is OK


@pytest.mark.parametrize(("mood", "words"), [(REFUSE, "the callback reverted"), (ENDLESS, "ran out of gas")])
@pytest.mark.shows("entropy_callback", "WARNING callback_failed")
async def test_callbacks_that_fail(chain: Chain, mood: int, words: str) -> None:
    async with watched(chain) as made:
        await made.lottery.asked()
        await made.lottery.become(mood)
        await made.lottery.revealed(1)
        run = await made.run()
        found = made.of(run, "entropy_callbacks")
        assert (found.status, found.reason) == (WARNING, "callback_failed")
        assert words in found.message
        assert made.of(run, "entropy_pending").status is OK


async def test_a_requester_that_refuses_its_number_for_ever(chain: Chain) -> None:
    """Without a default gas limit a callback that fails takes the whole reveal with it."""
    async with watched(chain, gas=0) as made:
        await made.lottery.asked()
        await made.lottery.become(REFUSE)
        await chain.node.mine(40, spacing=timedelta(seconds=1))
        found = made.of(await made.run(), "entropy_pending")
        assert (found.status, found.reason) == (WARNING, "reveal_refused")
        assert "the callback reverted" in found.message


@pytest.mark.shows("entropy_callback", "WARNING running_out", "CRITICAL used_up")
async def test_a_hash_chain_that_comes_to_its_end(chain: Chain) -> None:
    async with watched(chain) as made:
        for _ in range(MOST):
            await made.lottery.asked()
        found = made.of(await made.run(), "entropy_provider")
        assert (found.status, found.reason) == (CRITICAL, "must_advance")
        await made.lottery.revealed(MOST)
        run = await made.run(critical_remaining=20, warn_remaining=LENGTH)
        found = made.of(run, "entropy_provider")
        assert (found.status, found.reason, found.value) == (WARNING, "running_out", LENGTH - MOST - 1)
        # Numbers before the newest revelation are proven as well: the first still waits.
        assert made.seen(run) == "proven"
        assert "request 1 leads to the one of 10" in result(run, f"{made.url} on anvil").verdicts[0].message
        found = made.of(await made.run(critical_remaining=30, warn_remaining=LENGTH), "entropy_provider")
        assert (found.status, found.reason) == (CRITICAL, "used_up")


async def test_what_was_stuck_before_the_probe_started_and_a_service_that_hangs(chain: Chain) -> None:
    async with watched(chain) as made:
        for _ in range(6):
            await made.lottery.asked()
        await made.lottery.revealed(6)
        await chain.node.mine(31, spacing=timedelta(seconds=1))
        found = made.of(await made.run(window=2), "entropy_pending")
        assert (found.status, found.reason) == (CRITICAL, "stuck")
        assert found.message.startswith("5 requests are stuck: 1 for")
        narrow = made.of(await made.run(window=2, lookback=1), "entropy_pending")
        assert narrow.message.startswith("2 requests are stuck: 4 for"), "of 4 to 6"

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            run = await made.run(explain_within=1 * S)
        assert verdict(run, "anvil")[0] is OK
        assert made.of(run, "entropy_pending").status is CRITICAL
        assert verdict(run, f"{made.url} on anvil")[0] is CRITICAL
        assert run.elapsed_ns < 6 * 10**9


async def test_a_contract_before_v2_and_a_node_that_hangs(chain: Chain) -> None:
    async with watched(chain, contract="EntropyBefore", gas=0) as made:
        await made.lottery.ask(codec.request_with_callback(made.lottery.provider, USER))
        run = await made.run()
        assert made.of(run, "entropy_pending").message.startswith("1 of the last 1")
        with chain.node.paused():
            run = await made.run()
        assert verdict(run, "anvil")[0] is CRITICAL
        assert verdict(run, made.target) == (UNKNOWN, "behind_endpoint")
