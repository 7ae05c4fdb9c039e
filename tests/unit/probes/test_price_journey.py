"""price_journey on a fake clock: Hermes's sandbox, an EVM node and a Solana node in process; a delay in each stage in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

import probekit as pk
from probekit.clients.solana import GENESIS
from probekit.codecs.evm import pyth_events
from probekit.codecs.solana.addresses import PRO
from probekit.codecs.solana.receiver import encode_price_update
from probekit.dev import faults
from probekit.errors import ConnectError
from probekit.model import PriceMessage, ProbeRun, Status, TrustRoot
from probekit.model.journey import Journey
from probekit.model.receiver import FULL, PriceUpdateAccount
from probekit.model.solana import Account
from probekit.runner import RunSettings
from probekit.testing import ReplyTransport, reply
from probekit.transports.base import Capabilities, Request, Response
from probekit.units import NS_PER_S
from tests.support.sandbox import FIRST, Lab, S, load, module_of, result, verdict
from tests.unit.clients.cluster import Cluster

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
EVM, SOLANA = "http://evm.test", "http://solana.test"
CONTRACT = "0x" + "0a" * 20
CHAIN_ID = 31337


@dataclass
class Block:
    number: int
    time_s: int
    fork: int = 0
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def hash(self) -> str:
        return f"0x{self.fork:02x}{self.number:062x}"


class EvmChain:
    """A block for every second; what is pushed stands in the block of now."""

    def __init__(self, lab: Lab) -> None:
        self.clock = lab.clock
        self.began_s = self.clock.now().ns // NS_PER_S
        self.blocks: dict[int, Block] = {}
        self.fault: Callable[[str], Any] | None = None
        self.asked: list[tuple[str, Any]] = []

    @property
    def head(self) -> int:
        return 100 + self.clock.now().ns // NS_PER_S - self.began_s

    def block(self, number: int) -> Block:
        return self.blocks.setdefault(number, Block(number, self.began_s + number - 100))

    def push(self, message: PriceMessage, *, at: int | None = None) -> Block:
        block = self.block(self.head if at is None else at)
        words = (message.publish_time, message.price, message.conf)
        block.logs.append(
            {
                "address": CONTRACT, "topics": ["0x" + pyth_events.PRICE_FEED_UPDATE.topic.hex(), f"0x{message.feed_id}"],
                "data": "0x" + b"".join(word.to_bytes(32, "big", signed=True) for word in words).hex(),
                "blockNumber": hex(block.number), "blockHash": block.hash, "transactionHash": f"0x{block.number:064x}",
                "transactionIndex": "0x0", "logIndex": hex(len(block.logs)), "removed": False,
            }
        )  # fmt: skip
        return block

    def fork(self, number: int) -> None:
        self.blocks[number] = Block(number, self.began_s + number - 100, fork=1)

    def answer(self, request: Request) -> Response | Exception:
        asked = json.loads(request.body or b"")
        items = asked if isinstance(asked, list) else [asked]
        answers = []
        for item in items:
            self.asked.append((item["method"], item["params"]))
            told = None if self.fault is None else self.fault(item["method"])
            if isinstance(told, Exception):
                return told
            answers.append({"jsonrpc": "2.0", "id": item["id"], "result": told or self.result(item["method"], item["params"])})
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def result(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_chainId":
                return hex(CHAIN_ID)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_syncing":
                return False
            case "eth_getBlockByNumber":
                block = self.block(self.head if params[0] == "latest" else int(params[0], 16))
                return {
                    "number": hex(block.number), "hash": block.hash, "parentHash": "0x" + "00" * 32,
                    "timestamp": hex(block.time_s), "gasLimit": "0x1", "gasUsed": "0x0",
                }  # fmt: skip
            case "eth_getLogs":
                first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
                return [log for number in range(first, last + 1) for log in self.block(number).logs]
        raise AssertionError(method)


class Road:
    """The lab with chains, one engine to all."""

    capabilities = Capabilities("road", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=False)

    def __init__(self, root: TrustRoot = TrustRoot.PRO, **options: Any) -> None:
        self.lab = Lab(root=root, feeds=2)
        self.evm = EvmChain(self.lab)
        self.cluster = Cluster()
        self._evm, self._solana = ReplyTransport(self.evm.answer), ReplyTransport(self._of_solana)
        self.lab.transport, self._hermes = self, self.lab.transport  # type: ignore[assignment]
        self.feed = self.lab.ids[0]
        self.probe = load("price_journey")
        module = module_of(self.probe)
        option = module.SignerSetOption
        chain = module.EvmChainOption(
            name="base", chain_id=CHAIN_ID, endpoints=(EVM,), contract=CONTRACT, heartbeat=timedelta(seconds=20)
        )
        self.solana_option = module.SolanaOption(
            name="solana", endpoints=(SOLANA,), genesis_hash=GENESIS["devnet"], heartbeat=timedelta(seconds=20)
        )
        self.options: dict[str, Any] = {
            "endpoint": FIRST, "feeds": (self.feed,), "evm": (chain,), "every": timedelta(seconds=4),
            "patience": timedelta(seconds=12), "samples": 8, "look_every": S,
            "aggregated": 3 * S, "attested": 3 * S, "proven": 3 * S, "arrived": 3 * S, "landed": 6 * S,
            "signer_sets": tuple(
                option(root=str(one.root), index=one.index, signers=tuple(key.hex() for key in one.signers))
                for one in self.lab.network.trust.sets
            ),
            **options,
        }  # fmt: skip
        self.pusher_delay_s: int | None = 2
        self.on_solana = False
        self._waiting: list[tuple[int, PriceMessage]] = []

    async def send(self, request: Request) -> Response:
        engine: Any = self._hermes
        if request.url.startswith(EVM):
            engine = self._evm
        elif request.url.startswith(SOLANA):
            engine = self._solana
        response = await engine.send(request)
        assert isinstance(response, Response)
        return response

    def _of_solana(self, request: Request) -> Response:
        return self.cluster.answer(request)

    async def aclose(self) -> None:
        return None

    def post(self, message: PriceMessage, slot: int) -> None:
        address = PRO.push_feed(pk.FeedId(message.feed_id))
        content = encode_price_update(PriceUpdateAccount(address, FULL, message, slot))
        self.cluster.accounts[str(address)] = Account(address, PRO.receiver, 1_000_000, content, False, 100)

    async def drive(self, seconds: int) -> ProbeRun:
        """Seconds pass; a pusher takes each third second's update and lands it after its delay."""
        network, clock = self.lab.network, self.lab.clock
        for _ in range(seconds):
            await clock.advance(S)
            now_ns = clock.now().ns
            if self.pusher_delay_s is not None and now_ns // NS_PER_S % 3 == 0:
                message = network.message(network.market(self.feed), network.published_ns(clock.now()))
                self._waiting.append((now_ns + self.pusher_delay_s * NS_PER_S, message))
            for due_ns, message in [one for one in self._waiting if one[0] <= now_ns]:
                self._waiting.remove((due_ns, message))
                if self.on_solana:
                    self.post(message, due_ns // 400_000_000)
                else:
                    self.evm.push(message)
        return self.lab.runs[-1]

    @property
    def journeys(self) -> list[Journey]:
        return [journey for run in self.lab.runs for journey in run.journeys]

    @property
    def landed(self) -> str:
        return f"{self.feed} on base"

    def watching(self) -> Any:
        return self.lab.watching(self.probe, settings=RunSettings(interval=S), **self.options)


def elapsed_s(journey: Journey, name: Any, chain: str = "") -> float | None:
    ns = journey.stage(name, chain).elapsed_ns
    return None if ns is None else ns / NS_PER_S


@pytest.mark.shows("price_journey", "OK")
async def test_an_update_is_followed_from_its_publishers_to_a_block() -> None:
    road = Road()
    async with road.watching():
        run = await road.drive(30)
    assert {str(one.status) for one in run.results} == {"ok"}
    assert len(run.results) == 4
    done = [one for one in road.journeys if not one.overdue]
    assert done
    for journey in done:
        landed = journey.stage("landed", "base")
        assert elapsed_s(journey, "landed", "base") in (2.0, 3.0)
        assert (landed.clock, landed.since, landed.log_index) == ("chain_block", "proven", 0)
        assert int(landed.transaction, 16) == landed.block
        attested = journey.stage("attested")
        assert (attested.clock, attested.sequence, attested.slot) == ("signers", attested.slot, journey.slot)
        assert journey.root is TrustRoot.PRO
    absent = {stage.reason for one in road.journeys for stage in one.stages if stage.name == "landed" and stage.at is None}
    # What the pusher passed over can land no more: a newer price is there, or another of the same second.
    assert absent == {"superseded", "other_update"}
    assert len({one.id for one in road.journeys}) == len(road.journeys)
    assert not any(run.journeys_dropped for run in road.lab.runs)


DELAYS: dict[str, Callable[[Road], object]] = {
    "aggregated": lambda road: road.lab.network.inject(faults.StaleFeed(road.feed)),
    "attested": lambda road: setattr(road.lab.network, "attested_after", 8 * S),
    "proven": lambda road: setattr(road.lab.network, "proven_after", 8 * S),
    "arrived": lambda road: road.lab.first.inject(faults.Lag(delay_ms=8_000)),
    "landed": lambda road: setattr(road, "pusher_delay_s", 10),
}


@pytest.mark.parametrize("stage", DELAYS)
async def test_a_delay_is_shown_at_the_stage_it_was_given_to(stage: str) -> None:
    road = Road()
    async with road.watching():
        await road.drive(12)
        began = road.lab.clock.now()
        DELAYS[stage](road)
        run = await road.drive(32)
    target = road.landed if stage == "landed" else road.feed
    assert verdict(run, target) == (CRITICAL, f"slow_{stage}")
    (message,) = [one.message for one in result(run, target).verdicts if one.reason == f"slow_{stage}"]
    assert message.startswith(f"{stage}: p95 of 8 is ")
    seen = [one for one in road.journeys if one.stage("arrived").at > began.plus(12 * S)]  # type: ignore[operator]
    slow = {
        one.name
        for journey in seen
        for one in journey.stages
        if one.elapsed_ns is not None and one.elapsed_ns > 6 * NS_PER_S and (one.name != "landed" or stage == "landed")
    }
    assert slow == {stage}


async def test_the_core_roots_slots_have_no_time() -> None:
    road = Road(root=TrustRoot.CORE)
    async with road.watching():
        await road.drive(20)
    (reason,) = {one.stage("aggregated").reason for one in road.journeys}
    assert reason == "slot_without_time"
    assert {one.stage("attested").since for one in road.journeys} == {"published"}
    assert {one.stage("attested").clock for one in road.journeys} == {"guardians"}


@pytest.mark.shows("price_journey", "CRITICAL bad_signature")
async def test_what_does_not_verify_is_a_verdict_and_its_stages_say_so() -> None:
    road = Road()
    road.lab.first.inject(faults.BadSignature(road.feed))
    async with road.watching():
        run = await road.drive(20)
    assert verdict(run, road.feed) == (CRITICAL, "bad_signature")
    assert {one.stage("attested").reason for one in road.journeys} == {"bad_signature"}
    assert all(one.stage("arrived").at is not None for one in road.journeys)
    # Nothing that was signed came, so there is nothing that the chain should have taken.
    assert {one.reason for one in result(run, road.landed).verdicts if one.check == "landed_within"} == {"pending"}


@pytest.mark.shows("price_journey", "OK", "CRITICAL not_landed")
async def test_a_pusher_that_is_gone_is_found_within_the_heartbeat() -> None:
    road = Road()
    async with road.watching():
        await road.drive(10)
        road.pusher_delay_s = None
        run = await road.drive(35)
    assert verdict(run, road.landed) == (CRITICAL, "not_landed")
    assert verdict(run, road.feed)[0] is OK
    assert {one.stage("landed", "base").reason for one in run.journeys} <= {"not_yet"}


async def test_a_source_that_stands_still_is_nothing_its_chains_miss() -> None:
    road = Road(aggregated=timedelta(hours=1))
    async with road.watching():
        await road.drive(10)
        road.lab.network.inject(faults.StaleFeed(road.feed))
        run = await road.drive(40)
    assert [one.reason for one in result(run, road.landed).verdicts] == ["within_budget", "landing"]


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (lambda _: ConnectError("refused"), CRITICAL, "connect"),
        (lambda method: "0x7a69" if method != "eth_getBlockByNumber" else {"number": "x"}, CRITICAL, "decode"),
        (lambda method: "0x1" if method == "eth_chainId" else None, CRITICAL, "wrong_chain"),
    ],
)
async def test_a_chain_that_cannot_be_looked_at_is_not_a_price_that_did_not_land(
    fault: Callable[[str], Any], status: Status, reason: str
) -> None:
    road = Road()
    road.evm.fault = fault
    async with road.watching():
        run = await road.drive(25)
        assert verdict(run, "base")[0] is status
        assert reason in verdict(run, "base")[1]
        assert verdict(run, road.feed)[0] is OK
        assert {one.stage("landed", "base").reason for one in road.journeys} == {"not_watched"}
        assert verdict(run, road.landed)[1] != "slow_landed"


@pytest.mark.shows("price_journey", "OK", "CRITICAL connect")
async def test_looks_that_failed_for_a_while_are_made_up_for() -> None:
    road = Road()
    async with road.watching():
        await road.drive(6)
        road.evm.fault = lambda _: ConnectError("refused")
        await road.drive(4)
        road.evm.fault = None
        await road.drive(20)
    reasons = {one.stage("landed", "base").reason for one in road.journeys}
    assert "" in reasons
    assert reasons <= {"", "superseded", "other_update"}


async def test_a_block_that_left_the_chain_takes_its_landing_along() -> None:
    road = Road(every=timedelta(seconds=300), patience=timedelta(seconds=20), look_every=S / 4)
    road.pusher_delay_s = None
    network = road.lab.network
    async with road.watching():
        await road.drive(2)
        message = network.message(network.market(road.feed), network.published_ns(road.lab.clock.now()))
        block = road.evm.push(message)
        await road.drive(1)
        road.evm.fork(block.number)
        await road.drive(40)
    sought = message.publish_time
    followed = [one for one in road.journeys if one.publish_time and one.publish_time.ns // NS_PER_S == sought]
    assert [one.stage("landed", "base").reason for one in followed] == ["not_yet"]


async def test_on_solana_a_landing_is_between_two_looks() -> None:
    road = Road(evm=())
    road.options["solana"] = (road.solana_option,)
    road.on_solana = True
    async with road.watching():
        run = await road.drive(40)
    target = f"{road.feed} on solana"
    assert verdict(run, target)[0] is OK
    done = [one for one in road.journeys if not one.overdue]
    assert done
    for journey in done:
        stage = journey.stage("landed", "solana")
        assert (stage.clock, stage.transaction) == ("local", "")
        assert stage.block is not None
        assert stage.error_ns is None or stage.error_ns >= NS_PER_S
    assert {one.stage("landed", "solana").reason for one in road.journeys} <= {"", "not_seen", "not_yet"}


async def test_all_feeds_are_asked_for_at_once() -> None:
    road = Road()
    road.options["feeds"] = road.lab.ids
    async with road.watching():
        await road.drive(10)
    logs = [params[0] for method, params in road.evm.asked if method == "eth_getLogs"]
    assert len(logs) <= 11
    assert all(len(one["topics"][1]) == 2 for one in logs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"feeds": ()}, "feeds must not be empty"),
        ({"every": timedelta(0)}, "every must be positive"),
        ({"patience": timedelta(0)}, "patience must be positive"),
        ({"attested": timedelta(0)}, "attested must be positive"),
        ({"percentile": 101}, "percentile must lie between"),
    ],
)
def test_options_that_cannot_be_meant(changes: dict[str, Any], words: str) -> None:
    road = Road()
    with pytest.raises(ValueError, match=words):
        road.probe.options(**{**road.options, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "a name and at least one endpoint"),
        ({"endpoints": ()}, "a name and at least one endpoint"),
        ({"endpoints": ("ftp://x",)}, "starts with http"),
        ({"heartbeat": timedelta(0)}, "heartbeat must be positive"),
        ({"contract": None}, "no Pyth contract is known on chain"),
        ({"contract": "0x12"}, "is not an address"),
    ],
)
def test_chains_that_cannot_be_meant(changes: dict[str, Any], words: str) -> None:
    option = module_of(load("price_journey")).EvmChainOption
    given = {"name": "x", "chain_id": CHAIN_ID, "endpoints": (EVM,), "contract": CONTRACT, "heartbeat": S}
    with pytest.raises(ValueError, match=words):
        option(**{**given, **changes})
    with pytest.raises(ValueError, match="two chains have the same name"):
        load("price_journey").options(feeds=("a",), evm=(option(**given), option(**given)))
