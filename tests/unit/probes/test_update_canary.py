"""update_canary on a chain in process: every end of a transaction, what must never be sent, and a key that nothing tells."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_abi import abi as eth_abi

import probekit as pk
from probekit.dev import faults
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status, Verdict
from probekit.model.evm import Address
from probekit.secret import Secret
from probekit.telemetry.identity import Sampler
from probekit.telemetry.spans import journeys_of, resource_of, spans_of
from probekit.testing import reply
from probekit.transports.base import Request, Response
from probekit.units import Amount
from tests.support.canaries import GAS_PRICE, GAS_USED, KEY, WALLET, PayingChain
from tests.support.pushes import Hosts
from tests.support.sandbox import FIRST, Lab, load, module_of, result, verdict
from tests.unit.clients.contracts import PYTH, Refused

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
S, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NODE = "http://node"
PAID = GAS_USED * GAS_PRICE + 7
SENT = "eth_sendRawTransaction"


@dataclass
class CanaryLab(Lab):
    """The lab with a chain, a wallet and its ledger."""

    path: Path = Path()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chain = PayingChain(self.clock)
        self.transport: Any = Hosts(self.transport, {NODE: self.chain}, self.clock)
        self.ledger = self.path / "ledger.json"
        self.ledger.touch()

    @property
    def target(self) -> str:
        return f"mine/{Address(PYTH)}/{self.ids[0]}"

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "endpoint": FIRST, "feed": pk.FeedId(self.ids[0]), "chain": "mine", "chain_id": 31_337, "endpoints": (NODE,),
            "contract": PYTH, "send": True, "key": Secret(KEY, origin="test"), "ledger": str(self.ledger), **more,
        }  # fmt: skip

    async def run(self, **more: Any) -> ProbeRun:
        return await self.once(load("update_canary"), patience=10 * MINUTE, **self.options(**more))

    async def said(self, **more: Any) -> tuple[Status, str]:
        return verdict(await self.run(**more), self.target)

    def verdict(self, run: ProbeRun) -> Verdict:
        (found,) = result(run, self.target).verdicts
        return found

    @property
    def sends(self) -> int:
        return len(self.chain.asked(SENT))


@pytest.fixture
def lab(tmp_path: Path) -> CanaryLab:
    return CanaryLab(path=tmp_path)


def stages(run: ProbeRun) -> dict[str, str]:
    (journey,) = run.journeys
    return {one.name: one.reason or ("ok" if one.at is not None else "?") for one in journey.stages}


# -- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.shows("update_canary", "OK")
async def test_it_lands(lab: CanaryLab) -> None:
    run = await lab.run()
    assert run.status is OK
    found = lab.verdict(run)
    assert (found.reason, found.limit) == ("landed", 30 * 10**9)
    assert set(stages(run).values()) == {"ok"}
    included = run.journeys[0].stage("included", "mine")
    assert (included.paid, included.gas_used, included.gas_price) == (PAID, GAS_USED, GAS_PRICE)
    assert included.elapsed_ns is not None
    assert 3 * 10**9 <= included.elapsed_ns <= 6 * 10**9
    assert {one.name: one.value * 10**18 for one in found.measures} == {"canary.paid": PAID, "canary.spent": PAID}
    (sent,) = lab.chain.sent
    # Gas with headroom, twice the base fee, and no wei more than the contract asks.
    assert (sent.fields["gas"], sent.fields["maxFeePerGas"], sent.fields["value"]) == (100_000, 5 * 10**9, 7)
    assert sent.sender == WALLET


async def test_a_chain_without_a_base_fee_is_paid_by_gas_price(lab: CanaryLab) -> None:
    lab.chain.base_fee = None
    assert await lab.said() == (OK, "landed")


@pytest.mark.shows("update_canary", "WARNING late")
async def test_it_lands_late(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = 31
    assert await lab.said() == (WARNING, "late")
    assert lab.sends == 1


async def test_it_waits_is_followed_up_and_never_doubled(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = None
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "not_included")
    assert stages(run) | {} == dict.fromkeys(("fetched", "built", "simulated", "signed", "sent"), "ok") | {
        "included": "not_included", "readable": "not_reached",
    }  # fmt: skip
    assert await lab.said() == (CRITICAL, "not_included")
    lab.chain.lands_after_s = 0
    run = await lab.run()
    assert verdict(run, lab.target) == (WARNING, "late")
    assert run.journeys[0].stage("included", "mine").paid == PAID
    # Hermes is asked and judged in each run, whether its update was wanted or not.
    assert verdict(run, FIRST) == (OK, "within_budget")
    assert lab.sends == 1
    assert await lab.said() == (OK, "landed")
    assert lab.sends == 2


@pytest.mark.shows("update_canary", "CRITICAL dropped")
async def test_it_is_dropped_and_its_nonce_used_again(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = None
    await lab.run()
    lab.chain.drop()
    assert await lab.said() == (CRITICAL, "dropped")
    lab.chain.lands_after_s = 2
    assert await lab.said() == (OK, "landed")
    rows = json.loads(lab.ledger.read_text())["spends"]
    assert [(one["nonce"], one["ended"]) for one in rows] == [(0, "dropped"), (0, "landed")]


async def test_what_was_dropped_comes_back(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = None
    await lab.run()
    (waiting,) = lab.chain.sent
    lab.chain.drop()
    assert await lab.said() == (CRITICAL, "dropped")
    lab.chain.sent.append(waiting)
    assert await lab.said() == (CRITICAL, "not_included")
    assert lab.sends == 1


async def test_what_was_dropped_lands_in_the_place_of_the_next(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = None
    await lab.run()
    (first,) = lab.chain.sent
    lab.chain.drop()
    assert await lab.said() == (CRITICAL, "dropped")
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "not_included")
    lab.chain.drop()
    lab.chain.sent.append(first)
    lab.chain.lands_after_s = 0
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "dropped")
    assert "which had seemed dropped, has its nonce" in lab.verdict(run).message
    rows = json.loads(lab.ledger.read_text())["spends"]
    assert [(one["nonce"], one["ended"], one["paid"]) for one in rows] == [(0, "landed", PAID), (0, "replaced", None)]
    # Of one nonce one is paid.
    spent = {one.name: one.value * 10**18 for one in lab.verdict(run).measures}
    assert spent == {"canary.spent": PAID}
    await lab.clock.advance(MINUTE)
    assert await lab.said() == (OK, "landed")
    assert len(lab.chain.landed) == 2


@pytest.mark.parametrize("suggested", [2 * 10**9, None])
async def test_where_blocks_are_empty_the_node_suggests_a_tip(lab: CanaryLab, suggested: int | None) -> None:
    lab.chain.tip, lab.chain.suggested = 0, suggested
    assert await lab.said() == (OK, "landed")
    assert lab.chain.sent[0].fields["maxPriorityFeePerGas"] == (suggested or 1)


async def test_it_would_revert_and_is_not_sent(lab: CanaryLab) -> None:
    lab.chain.served.refuses = "InvalidWormholeVaa"
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "would_revert")
    assert "InvalidWormholeVaa" in lab.verdict(run).message
    assert stages(run)["simulated"] == "would_revert"
    assert (lab.sends, lab.ledger.read_bytes()) == (0, b"")


@pytest.mark.shows("update_canary", "CRITICAL reverted")
async def test_it_reverts_in_its_block(lab: CanaryLab) -> None:
    def refuse() -> None:
        lab.chain.served.refuses = "InvalidUpdateDataSource"

    lab.chain.on_land = refuse
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "reverted")
    assert "InvalidUpdateDataSource" in lab.verdict(run).message
    # The gas is gone; the value came back.
    assert run.journeys[0].stage("included", "mine").paid == GAS_USED * GAS_PRICE


@pytest.mark.shows("update_canary", "CRITICAL not_readable")
async def test_it_is_included_and_not_readable(lab: CanaryLab) -> None:
    await lab.run()
    await lab.clock.advance(MINUTE)
    lab.chain.served.deaf = True
    assert await lab.said() == (CRITICAL, "not_readable")


async def test_a_feed_that_is_never_stored_is_not_readable(lab: CanaryLab) -> None:
    lab.chain.served.deaf = True
    for _ in range(2):
        run = await lab.run()
        assert verdict(run, lab.target) == (CRITICAL, "not_readable")
        assert "the contract tells no price: PriceFeedNotFound" in lab.verdict(run).message
        await lab.clock.advance(MINUTE)


async def test_somebody_else_was_first(lab: CanaryLab) -> None:
    def push() -> None:
        key = bytes.fromhex(lab.ids[0])
        point = (1, 1, -8, lab.clock.now().seconds + 5)
        lab.chain.served.feeds[key] = (point, point)

    lab.chain.on_land = push
    assert await lab.said() == (OK, "superseded")


async def test_hermes_that_stands_still_is_not_paid_for_twice(lab: CanaryLab) -> None:
    fixed_ns = lab.first._published_ns()
    lab.first._published_ns = lambda: fixed_ns  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")
    kept = lab.ledger.read_bytes()
    for _ in range(2):
        await lab.clock.advance(10 * MINUTE)
        run = await lab.run()
        assert verdict(run, lab.target) == (UNKNOWN, "source_not_newer")
        assert "Hermes stands still" in lab.verdict(run).message
        assert (stages(run)["simulated"], stages(run)["signed"]) == ("source_not_newer", "not_reached")
    assert (lab.sends, lab.ledger.read_bytes()) == (1, kept)


async def test_what_the_contract_has_already_is_not_paid_for(lab: CanaryLab) -> None:
    fixed_ns = lab.first._published_ns()
    lab.first._published_ns = lambda: fixed_ns  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")
    # As after a day, or with another wallet.
    lab.ledger.write_bytes(b"")
    lab.chain.sent.clear()
    run = await lab.run()
    assert verdict(run, lab.target) == (UNKNOWN, "source_not_newer")
    assert "or somebody else was first" in lab.verdict(run).message
    assert (lab.sends, lab.ledger.read_bytes()) == (1, b"")
    # A dry run is about the contract alone.
    assert await lab.said(send=False) == (OK, "simulated")


async def test_the_same_price_stored_by_another_is_not_ours(lab: CanaryLab) -> None:
    def push() -> None:
        (waiting,) = lab.chain.sent
        data = bytes(waiting.fields["data"])
        lab.chain.served.store(*eth_abi.decode(lab.chain.served.functions[data[:4]][0], data[4:]))

    lab.chain.on_land = push
    run = await lab.run()
    assert verdict(run, lab.target) == (OK, "superseded")
    assert lab.chain.sent[0].logs == []


async def test_somebody_else_used_the_nonce(lab: CanaryLab) -> None:
    lab.chain.lands_after_s = None
    await lab.run()
    lab.chain.drop()
    lab.chain.foreign = 1
    assert await lab.said() == (UNKNOWN, "replaced")
    # A node that is wrong about it frees nothing: all that was reserved counts on.
    assert [(one["ended"], one["paid"]) for one in json.loads(lab.ledger.read_text())["spends"]] == [("replaced", None)]


async def test_a_key_that_is_used_elsewhere(lab: CanaryLab) -> None:
    await lab.run()
    lab.chain.foreign = 1
    assert await lab.said() == (UNKNOWN, "wallet_shared")
    assert lab.sends == 1


async def test_a_node_that_does_not_know_our_last_transaction(lab: CanaryLab) -> None:
    await lab.run()
    (landed,) = lab.chain.sent
    lab.chain.sent.clear()
    assert landed.block is not None
    lab.chain.stopped_at = landed.block - 1
    assert await lab.said() == (UNKNOWN, "node_behind")
    assert lab.sends == 1
    lab.chain.stopped_at = None
    lab.chain.sent.append(landed)
    assert await lab.said() == (OK, "landed")


async def test_a_reorganisation_that_loses_it_is_the_chains_doing(lab: CanaryLab) -> None:
    """Once it was in a block that does not stay, and no node has it: its nonce is used again, and paid for once."""
    await lab.run()
    lab.chain.sent.clear()
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "dropped")
    assert "which did not stay, and is known no more" in lab.verdict(run).message
    assert lab.sends == 1
    await lab.clock.advance(MINUTE)
    assert await lab.said() == (OK, "landed")
    rows = json.loads(lab.ledger.read_text())["spends"]
    assert [(one["nonce"], one["ended"], one["paid"]) for one in rows] == [(0, "dropped", None), (0, "landed", PAID)]


async def test_a_reorganisation_after_which_it_waits_again_accuses_nobody(lab: CanaryLab) -> None:
    await lab.run()
    (sent,) = lab.chain.sent
    sent.block, lab.chain.lands_after_s = None, None
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "not_included")
    assert "which did not stay: it waits again" in lab.verdict(run).message
    assert lab.chain.sent == [sent]
    # It is under way again: the next run follows it up in place of another.
    assert await lab.said() == (CRITICAL, "not_included")
    lab.chain.lands_after_s = 0
    assert (await lab.said())[1] in ("late", "not_readable")
    assert lab.sends == 1


async def test_one_of_another_feed_is_followed_up_as_what_it_was(lab: CanaryLab) -> None:
    """The canary was set to another feed while its transaction waited."""
    lab.chain.lands_after_s = None
    await lab.run()
    lab.chain.lands_after_s = 0
    run = await lab.run(feed=pk.FeedId(lab.ids[1]))
    other = lab.target.replace(lab.ids[0], lab.ids[1])
    assert verdict(run, other) == (WARNING, "late")
    (row,) = json.loads(lab.ledger.read_text())["spends"]
    assert (row["feed"], row["contract"].lower(), row["ended"]) == (lab.ids[0], PYTH.lower(), "landed")
    # And what the one feed was given says nothing of the other.
    run = await lab.run(feed=pk.FeedId(lab.ids[1]))
    assert verdict(run, other) == (OK, "landed")


async def test_a_node_that_fails_inside_is_no_drop_of_the_chain(lab: CanaryLab) -> None:
    """Nobody knows whether it took the transaction, until it is known nowhere: then the node's own words are told."""
    take = lab.chain.eth_sendRawTransaction

    def fail(raw: str) -> str:
        raise Refused(-32603, "db is locked")

    lab.chain.eth_sendRawTransaction = fail  # type: ignore[method-assign]
    run = await lab.run()
    assert verdict(run, lab.target) == (CRITICAL, "refused")
    assert "known nowhere" in lab.verdict(run).message
    assert "db is locked" in lab.verdict(run).message
    (row,) = json.loads(lab.ledger.read_text())["spends"]
    assert (row["ended"], row["paid"]) == ("dropped", None)
    lab.chain.eth_sendRawTransaction = take  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")


async def test_what_a_node_took_and_called_an_internal_error_lands(lab: CanaryLab) -> None:
    take = lab.chain.eth_sendRawTransaction

    def lie(raw: str) -> str:
        take(raw)
        raise Refused(-32603, "internal error")

    lab.chain.eth_sendRawTransaction = lie  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")
    assert len(lab.chain.sent) == 1


async def test_a_refusal_in_the_words_of_an_internal_error_is_the_refusal(lab: CanaryLab) -> None:
    def refuse(raw: str) -> str:
        raise Refused(-32603, "Nonce too low")

    lab.chain.eth_sendRawTransaction = refuse  # type: ignore[method-assign]
    assert await lab.said() == (UNKNOWN, "wallet_shared")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1", (UNKNOWN, "underfunded")),
        ("transaction underpriced", (UNKNOWN, "fee_too_low")),
        ("replacement transaction underpriced", (UNKNOWN, "fee_too_low")),
        ("max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 2", (UNKNOWN, "fee_too_low")),
        ("nonce too low: next nonce 5, tx nonce 4", (UNKNOWN, "wallet_shared")),
        ("exceeds block gas limit", (CRITICAL, "refused")),
        ("transaction type not supported", (CRITICAL, "refused")),
    ],
)
async def test_a_node_that_refuses_says_why(lab: CanaryLab, words: str, expected: tuple[Status, str]) -> None:
    lab.chain.refuses = words
    run = await lab.run()
    assert verdict(run, lab.target) == expected
    assert words.partition(":")[0] in lab.verdict(run).message
    assert stages(run)["sent"] == expected[1]
    assert lab.sends == 1
    lab.chain.refuses = ""
    assert await lab.said() == (OK, "landed")


@pytest.mark.parametrize("status", [401, 403, 429, -32005, -32029])
async def test_a_provider_that_refuses_us_is_ours(lab: CanaryLab, status: int) -> None:
    answer, take = lab.chain.answer, lab.chain.eth_sendRawTransaction

    def refuse(request: Request) -> Response:
        if SENT.encode() in (request.body or b""):
            return reply(status, "no", clock=lab.clock)
        return answer(request)

    def limit(raw: str) -> str:
        raise Refused(status, "rate limit exceeded")

    if status > 0:
        lab.chain.answer = refuse  # type: ignore[method-assign]
    else:
        lab.chain.eth_sendRawTransaction = limit  # type: ignore[method-assign]
    run = await lab.run()
    assert verdict(run, lab.target) == (UNKNOWN, "provider_refused")
    assert "the provider refused us, nothing was sent: " in lab.verdict(run).message
    assert (stages(run)["sent"], stages(run)["included"]) == ("provider_refused", "not_reached")
    (row,) = json.loads(lab.ledger.read_text())["spends"]
    assert (row["ended"], row["paid"], lab.chain.sent) == ("refused", None, [])
    lab.chain.answer, lab.chain.eth_sendRawTransaction = answer, take  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")
    assert len(lab.chain.sent) == 1


async def test_a_transaction_that_the_node_has_already_is_sent(lab: CanaryLab) -> None:
    original = lab.chain.eth_sendRawTransaction

    def twice(raw: str) -> str:
        original(raw)
        lab.chain.refuses = "already known"
        return original(raw)

    lab.chain.eth_sendRawTransaction = twice  # type: ignore[method-assign]
    assert await lab.said() == (OK, "landed")


# -- money -----------------------------------------------------------------------------------------------------------


async def test_an_empty_wallet_is_ours(lab: CanaryLab) -> None:
    for wei in (6, 100_000 * 5 * 10**9 + 6):
        lab.chain.balances[WALLET.lower()] = wei
        assert await lab.said() == (UNKNOWN, "underfunded")
    lab.chain.balances[WALLET.lower()] = 100_000 * 5 * 10**9 + 7
    assert await lab.said() == (OK, "landed")


async def test_the_caps_hold_to_the_wei(lab: CanaryLab) -> None:
    most = 100_000 * 5 * 10**9 + 7
    one = {"cap_per_transaction": Amount.parse(f"{most - 1} wei"), "cap_per_day": Amount.parse("1 ETH")}
    assert await lab.said(**one) == (UNKNOWN, "over_cap")
    one["cap_per_transaction"] = Amount.parse(f"{most} wei")
    assert await lab.said(**one) == (OK, "landed")
    # What was paid counts, not what was reserved.
    day = {**one, "cap_per_day": Amount.parse(f"{PAID + most - 1} wei")}
    assert await lab.said(**day) == (UNKNOWN, "daily_cap")
    assert lab.sends == 1
    day["cap_per_day"] = Amount.parse(f"{PAID + most} wei")
    assert await lab.said(**day) == (OK, "landed")
    # A day later it is free again; not if only this host's clock says so.
    assert await lab.said(**day) == (UNKNOWN, "daily_cap")
    lab.clock.step_wall(timedelta(hours=25))
    lab.chain.late_s = 25 * 3600
    assert await lab.said(**day) == (UNKNOWN, "daily_cap")
    lab.chain.late_s = 0
    assert await lab.said(**day) == (OK, "landed")


async def test_a_data_fee_that_goes_above_the_cap_is_told(lab: CanaryLab) -> None:
    receipt, most, over = lab.chain.eth_getTransactionReceipt, 100_000 * 5 * 10**9 + 7, [0]

    def rollup(told: str) -> Any:
        found = receipt(told)
        return found and found | {"l1Fee": hex(most - PAID + over[0])}

    lab.chain.eth_getTransactionReceipt = rollup  # type: ignore[method-assign]
    caps = {"cap_per_transaction": Amount.parse(f"{most} wei"), "cap_per_day": Amount.parse("1 ETH")}
    assert await lab.said(**caps) == (OK, "landed")
    over[0] = 1
    run = await lab.run(**caps)
    assert verdict(run, lab.target) == (WARNING, "above_cap")
    assert "that is above the cap, 0.000500000000000007 ETH" in lab.verdict(run).message
    # The day's cap counts it.
    assert {one.name: one.value * 10**18 for one in lab.verdict(run).measures}["canary.spent"] == 2 * most + 1


async def test_it_is_on_the_disk_before_it_is_sent(lab: CanaryLab) -> None:
    seen: list[Any] = []

    def look(transaction: str) -> None:
        (row,) = json.loads(lab.ledger.read_text())["spends"]
        seen.append((row["transaction"] == transaction, row["ended"], row["paid"], row["reserved"]))

    lab.chain.on_send = look
    await lab.run()
    assert seen == [(True, None, None, 100_000 * 5 * 10**9 + 7)]


def _lose(path: Path) -> None:
    path.unlink()


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _foreign(path: Path) -> None:
    path.write_text(path.read_text().replace(WALLET, "0x" + "11" * 20))


def _newer(path: Path) -> None:
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


def _lie(path: Path) -> None:
    path.write_text(path.read_text().replace('"reserved"', '"preserved"'))


@pytest.mark.parametrize("harm", [_lose, _tear, _foreign, _newer, _lie])
async def test_without_its_ledger_nothing_is_sent(lab: CanaryLab, harm: Callable[[Path], None]) -> None:
    assert await lab.said() == (OK, "landed")
    harm(lab.ledger)
    run = await lab.run()
    assert verdict(run, lab.target) == (UNKNOWN, "no_ledger")
    assert verdict(run, FIRST) == verdict(run, "mine") == (OK, "within_budget")
    assert lab.sends == 1


async def test_a_disk_that_takes_nothing(lab: CanaryLab) -> None:
    beside = lab.ledger.with_name("ledger.json.new")
    beside.mkdir()
    assert await lab.said() == (UNKNOWN, "no_ledger")
    assert lab.sends == 0


async def test_a_dry_run_sends_nothing_with_or_without_a_wallet(lab: CanaryLab) -> None:
    for more in ({"key": None, "ledger": None}, {}):
        run = await lab.run(send=False, **more)
        assert verdict(run, lab.target) == (OK, "simulated")
        assert stages(run)["sent"] == "dry_run"
    assert (lab.sends, lab.ledger.read_bytes()) == (0, b"")


# -- what is seen through --------------------------------------------------------------------------------------------


async def test_an_endpoint_that_is_down_is_one_verdict_of_its_own(lab: CanaryLab) -> None:
    lab.chain.down = ConnectError("refused", url=NODE)
    run = await lab.run()
    assert verdict(run, "mine") == (CRITICAL, "connect")
    assert verdict(run, lab.target) == (UNKNOWN, "behind_endpoint")
    assert verdict(run, FIRST) == (OK, "within_budget")


async def test_another_chain_is_never_sent_to(lab: CanaryLab) -> None:
    lab.chain.chain_id = 1
    run = await lab.run()
    assert verdict(run, "mine") == (CRITICAL, "wrong_chain")
    assert verdict(run, lab.target) == (UNKNOWN, "behind_endpoint")
    assert lab.sends == 0


async def test_an_endpoint_that_turns_into_another_chain_before_the_send(lab: CanaryLab) -> None:
    def turn(method: str, params: list[Any]) -> Any:
        if method == "eth_estimateGas":
            lab.chain.chain_id = 1
            lab.clock._now_ns += 11 * 10**9  # What was proven of the endpoint is old by now.
        return None

    lab.chain.fault = turn
    assert await lab.said() == (UNKNOWN, "not_proven")
    assert lab.sends == 0
    assert json.loads(lab.ledger.read_text())["spends"][0]["paid"] == 0


async def test_hermes_that_fails_is_not_the_chains_fault(lab: CanaryLab) -> None:
    lab.first.inject(faults.Unauthorized())
    run = await lab.run()
    assert verdict(run, FIRST) == (UNKNOWN, "not_authorized")
    assert verdict(run, lab.target) == (UNKNOWN, "not_fetched")
    assert (stages(run)["fetched"], stages(run)["built"]) == ("not_authorized", "not_reached")
    assert verdict(run, "mine") == (OK, "within_budget")


async def test_the_node_goes_away_after_the_send(lab: CanaryLab) -> None:
    def down(_: str) -> None:
        lab.chain.down = ConnectError("refused", url=NODE)

    lab.chain.on_send = down
    run = await lab.run()
    assert verdict(run, lab.target) == (UNKNOWN, "unresolved")
    lab.chain.down = None
    lab.chain.on_send = lambda _: None
    assert await lab.said() == (WARNING, "late")
    assert lab.sends == 1


# -- secrets, telemetry, options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [KEY, KEY[2:], KEY[2:].upper()])
async def test_nothing_tells_the_key(lab: CanaryLab, spelling: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = Secret(spelling, origin="test")
    texts: list[str] = []
    for words in ("", f"rejected: {KEY} and {KEY[2:]}", f"nonce too low {KEY[2:]}"):
        lab.chain.refuses = words
        run = await lab.run(key=key)
        resource = resource_of({})
        spans = [*spans_of(run, resource), *journeys_of(run, resource, Sampler())]
        texts += [msgspec.json.encode(run).decode(), *(one.to_json() for one in spans)]
    texts += [caplog.text, lab.ledger.read_text(), repr(key), lab.transport.asked.__repr__()]
    assert lab.sends == 3
    for text in texts:
        assert KEY[2:] not in text.lower()


@pytest.mark.parametrize("key", ["0x" + "4c" * 31, "4c" * 33, "0x" + "zz" * 32, "f" * 64, "abandon " * 12])
async def test_a_key_that_is_none(lab: CanaryLab, key: str) -> None:
    run = await lab.run(key=Secret(key, origin="file /etc/canary.key"))
    found = lab.verdict(run)
    assert (found.status, found.reason) == (UNKNOWN, "no_key")
    assert "file /etc/canary.key" in found.message
    assert key.strip() not in msgspec.json.encode(run).decode()


async def test_each_stage_is_a_span_and_a_failed_one_says_so(lab: CanaryLab) -> None:
    lab.chain.refuses = "transaction underpriced"
    run = await lab.run()
    spans = {one.name: one for one in journeys_of(run, resource_of({}), Sampler())}
    assert list(spans) == [
        "probekit.journey update_canary", "fetched", "built", "simulated", "signed", "sent", "included", "readable",
    ]  # fmt: skip
    assert {name for name, one in spans.items() if not one.status.is_unset} == {"sent"}
    assert spans["sent"].status.description == "fee_too_low"
    assert (spans["sent"].attributes or {})["probekit.journey.reason"] == "fee_too_low"
    assert (spans["included"].attributes or {})["probekit.journey.reason"] == "not_reached"


def test_wrong_options_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "canary.yaml"
    head = f"probe: update_canary\noptions:\n  feed: {'ab' * 32}\n  endpoints: ['http://x']\n  send: true\n"
    path.write_text(head + "  chain: base\n  chain_id: 5\n  contract: '0x12'\n")
    with pytest.raises(ConfigError) as raised:
        read_manifest(load("update_canary"), path)
    told = "\n".join(raised.value.problems)
    for words in ("base is 8453, not 5", "contract: ", "key: needed", "ledger: needed", "allow_mainnet", "cap_per_day: needed"):
        assert words in told, words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("  chain: nowhere\n", "nowhere is not known; give it chain_id"),
        ("  chain: nowhere\n  chain_id: 9999999\n  contract: '0x" + "11" * 20 + "'\n", "not known as a testnet"),
        ("  chain: base\n  cap_per_transaction: 1 ETH\n  cap_per_day: 2 ETH\n", "allow_mainnet"),
        ("  chain: base\n  allow_mainnet: true\n  cap_per_day: 2 ETH\n", "cap_per_transaction and cap_per_day: needed"),
        (
            "  chain: base_sepolia\n  cap_per_transaction: 3 ETH\n  cap_per_day: 2 ETH\n",
            "<= cap_per_day must hold",
        ),
        ("  chain: base_sepolia\n  cap_per_transaction: 3 SOL\n", "unknown unit"),
        ("  chain: base_sepolia\n  cap_per_transaction: 0.5 wei\n", "less than one part"),
        ("  chain: base_sepolia\n  wait: 1s\n  poll: 2s\n", "wait must not be shorter than poll"),
        ("  chain: base_sepolia\n  key: 4c4c\n", "never literally"),
    ],
)
def test_spending_is_refused_when_the_configuration_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: str
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    path = tmp_path / "canary.yaml"
    key = "" if "key:" in more else "  key: env:CANARY_KEY\n"
    head = f"probe: update_canary\noptions:\n  feed: {'ab' * 32}\n  endpoints: ['http://x']\n  send: true\n  ledger: /x\n{key}"
    path.write_text(head + more)
    with pytest.raises(ConfigError) as raised:
        read_manifest(load("update_canary"), path)
    assert words in "\n".join(raised.value.problems)
    assert KEY not in "\n".join(raised.value.problems)


@pytest.mark.parametrize(
    ("chain", "testnet"),
    [("base", False), ("base_sepolia", True), ("bsc_testnet", True), ("ethereum", False), ("31337", True), ("424242", False)],
)
def test_a_testnet_is_what_is_known_as_one(chain: str, testnet: bool) -> None:
    module = module_of(load("update_canary"))
    more = {"chain": "x", "chain_id": int(chain), "contract": PYTH} if chain.isdigit() else {"chain": chain}
    options = module.Options(feed=pk.FeedId("ab" * 32), endpoints=(NODE,), **more)
    assert module.is_testnet(options) is testnet
