"""contract_event over an EVM node whose blocks the test makes and takes, and a Solana node, on a fake clock."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from probekit.clients.event_watch import EvmEventWatch
from probekit.codecs.evm.conditions import NamedEvent
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.model.contract_events import ScanState
from probekit.model.evm import Address
from probekit.model.pubkey import base58
from probekit.runner import RunSettings
from probekit.testing import reply
from probekit.units import Instant
from tests.support.chains import EVM, SVM, ChainLab
from tests.support.pushes import Hosts
from tests.support.sandbox import S, load, module_of, result, verdict
from tests.unit.clients.contracts import TIME_S, Refused

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PROBE = load("contract_event")
MODULE = module_of(PROBE)
TREASURY, TOKEN, PYTH = (Address("0x" + one * 20) for one in ("aa", "bb", "cc"))
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
PUSHED = "PriceFeedUpdate(bytes32 indexed id, uint64 publishTime, int64 price, uint64 conf)"
PROGRAM = "rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ"
MINUTE = timedelta(minutes=1)
SIGNATURES = [base58(bytes([number + 1]) * 64) for number in range(4)]


class Chains(ChainLab):
    """Blocks come when the test makes them; one in two seconds by their own time."""

    def __init__(self) -> None:
        super().__init__(chain_id=8453)
        lab = self
        self.blocks: list[tuple[str, list[dict[str, Any]]]] = []
        self.made = 0
        self.widest: int | None = None
        self.spans: list[int] = []
        evm: Any = self.evm

        class Node(type(evm)):  # type: ignore[misc]
            head = property(lambda _: len(lab.blocks) - 1)

            def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
                if at in ("safe", "finalized"):
                    return None
                number = self.head if at == "latest" else int(at, 16)
                if number > self.head:
                    return None
                return {
                    "number": hex(number), "hash": lab.blocks[number][0], "parentHash": "0x" + "00" * 32,
                    "timestamp": hex(TIME_S + 2 * number), "gasLimit": "0x1", "gasUsed": "0x0",
                }  # fmt: skip

            def eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
                first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
                if lab.widest is not None and last - first >= lab.widest:
                    raise Refused(-32005, f"query exceeds max block range {lab.widest}")
                lab.spans.append(last - first + 1)
                wanted = query.get("address")
                return [
                    log for _, logs in lab.blocks[first : last + 1] for log in logs
                    if wanted is None or log["address"] in [one.lower() for one in wanted]
                ]  # fmt: skip

        evm.__class__ = Node
        self.mine(blocks=5)
        self.transactions: list[tuple[int, str, list[str], Any]] = []
        self.svm.methods |= {
            "getSignaturesForAddress": self._signatures,
            "getTransaction": self._transaction,
            "getSignatureStatuses": lambda params: self.svm.contextual(
                [{"slot": 1, "err": None, "confirmations": 1, "confirmationStatus": "confirmed"} for _ in params[0]]
            ),
            "getSlot": lambda _: self.svm.slot,
            "getFirstAvailableBlock": lambda _: 0,
        }

    def mine(self, *events: tuple[Address, str, tuple[Any, ...]], blocks: int = 1) -> None:
        for number in range(blocks):
            self.made += 1
            hash_ = f"0x{self.made:064x}"
            logs = []
            for index, (address, declared, values) in enumerate(events if number == blocks - 1 else ()):
                topics, data = NamedEvent.parse(declared).event.encode(*values)
                logs.append(
                    {
                        "address": address.lower(), "topics": ["0x" + one.hex() for one in topics], "data": "0x" + data.hex(),
                        "blockNumber": hex(len(self.blocks)), "blockHash": hash_, "logIndex": hex(index), "removed": False,
                        "transactionHash": f"0x{self.made + 2**200:064x}",
                    }
                )  # fmt: skip
            self.blocks.append((hash_, logs))

    def transfer(self, value: int, sender: Address = TREASURY) -> tuple[Address, str, tuple[Any, ...]]:
        return TOKEN, TRANSFER, (sender, PYTH, value)

    def fork(self, depth: int, blocks: int) -> None:
        del self.blocks[-depth:]
        self.mine(blocks=blocks)

    def _signatures(self, params: list[Any]) -> list[dict[str, Any]]:
        rows = sorted(self.transactions, key=lambda row: -row[0])
        return [{"signature": name, "slot": slot, "err": error} for slot, name, _, error in rows if not params[1].get("before")]

    def _transaction(self, params: list[Any]) -> Any:
        slot, _, logs, error = next(row for row in self.transactions if row[1] == params[0])
        return {"slot": slot, "meta": {"err": error, "logMessages": logs}, "blockTime": 1_800_000_000, "transaction": []}


def rule(**more: Any) -> Any:
    given = {
        "name": "paid",
        "chain": "base",
        "event": TRANSFER,
        "addresses": (str(TOKEN),),
        "where": (f"from == {TREASURY}", "value > 1000 USDC"),
        "units": {"USDC": 6},
    }
    return MODULE.RuleOption(**(given | more))


def absence(**more: Any) -> Any:
    return rule(name="pushed", event=PUSHED, addresses=(str(PYTH),), where=(), units={}, max_absence=MINUTE, **more)


def program(**more: Any) -> Any:
    given = {"name": "refused", "chain": "solana_devnet", "program": PROGRAM, "logs": ("AnchorError",), "outcome": "failed"}
    return MODULE.RuleOption(**(given | more))


def options(*rules: Any, **more: Any) -> dict[str, Any]:
    confirmations = more.pop("confirmations", 1)
    chains = {
        "base": MODULE.ChainOption(endpoints=(EVM,), confirmations=confirmations),
        "solana_devnet": MODULE.ChainOption(endpoints=(SVM,)),
    }
    used = {one.chain for one in rules}
    return {"chains": {name: one for name, one in chains.items() if name in used}, "rules": rules} | more


def sentence(run: ProbeRun, target: str) -> str:
    return max(result(run, target).verdicts, key=lambda one: one.status.severity).message


EVERY = RunSettings(interval=10 * S)


@pytest.mark.shows("contract_event", "OK", "CRITICAL matched")
async def test_a_payment_out_of_the_treasury_is_critical_with_its_place_and_arguments() -> None:
    lab = Chains()
    async with lab.watching(PROBE, settings=EVERY, **options(rule())):
        run = await lab.pass_seconds(2)
        nothing = (SKIPPED, "watching")
        assert (verdict(run, "paid"), verdict(run, "base")) == (nothing, nothing), "no block was looked at yet"
        lab.mine(lab.transfer(10**9), lab.transfer(10**9 + 1, PYTH), lab.transfer(10**9 + 1))
        run = await lab.pass_seconds(10)
        assert verdict(run, "paid") == (CRITICAL, "matched")
        words = sentence(run, "paid")
        assert "1 seen in the last 10m00s, 1 in blocks 5 to 5: Transfer on base in block 5, 0x" in words
        assert f"log 2: from {TREASURY}, to {PYTH}, value 1000000001" in words
        evidence = result(run, "paid").evidence
        assert evidence is not None
        assert "block_hash" in str(evidence.decoded)
        # It holds for ten minutes and is not counted again.
        assert verdict(await lab.pass_seconds(300), "paid") == (CRITICAL, "matched")
        run = await lab.pass_seconds(310)
        assert verdict(run, "paid") == (OK, "no_match")
        assert "1 before the last 10m00s" in sentence(run, "paid")


@pytest.mark.shows("contract_event", "WARNING withdrawn")
async def test_a_match_in_a_block_that_is_reorganised_away_is_withdrawn_and_said_so() -> None:
    lab = Chains()
    async with lab.watching(PROBE, settings=EVERY, **options(rule())):
        await lab.pass_seconds(2)
        lab.mine(lab.transfer(10**10))
        assert verdict(await lab.pass_seconds(10), "paid") == (CRITICAL, "matched")
        lab.fork(1, 2)
        run = await lab.pass_seconds(10)
        assert verdict(run, "paid") == (WARNING, "withdrawn")
        assert "1 left the chain again: Transfer on base in block 5" in sentence(run, "paid")
        assert "1 times blocks left the chain" in sentence(run, "base")
        lab.mine(lab.transfer(10**10))
        run = await lab.pass_seconds(10)
        assert verdict(run, "paid") == (CRITICAL, "matched")
        assert "1 seen in the last 10m00s, 1 in blocks" in sentence(run, "paid")


async def test_confirmations_wait_for_blocks_on_top() -> None:
    lab = Chains()
    async with lab.watching(PROBE, settings=EVERY, **options(rule(), confirmations=3)):
        await lab.pass_seconds(2)
        lab.mine(lab.transfer(10**10))
        assert verdict(await lab.pass_seconds(10), "paid") == (OK, "no_match")
        lab.mine(blocks=2)
        assert verdict(await lab.pass_seconds(10), "paid") == (CRITICAL, "matched")


@pytest.mark.shows("contract_event", "OK", "CRITICAL absent")
async def test_what_is_absent_for_too_long_by_the_chains_time() -> None:
    lab = Chains()
    pushed = (PYTH, PUSHED, (bytes(32), 1, 2, 3))
    async with lab.watching(PROBE, settings=EVERY, **options(absence())):
        assert verdict(await lab.pass_seconds(2), "pushed") == (SKIPPED, "watching")
        lab.mine(blocks=30)
        assert verdict(await lab.pass_seconds(10), "pushed") == (SKIPPED, "watching")
        lab.mine(blocks=1)
        assert verdict(await lab.pass_seconds(10), "pushed") == (CRITICAL, "absent")
        lab.mine(pushed)
        assert verdict(await lab.pass_seconds(10), "pushed") == (OK, "present")
        lab.mine(blocks=30)
        assert verdict(await lab.pass_seconds(10), "pushed") == (OK, "present")
        lab.mine(blocks=1)
        assert verdict(await lab.pass_seconds(10), "pushed") == (CRITICAL, "absent")


async def test_a_range_is_replayed_once_in_steps_that_the_provider_takes() -> None:
    lab = Chains()
    for number in range(100):
        lab.mine(lab.transfer(10**9 + number % 2))
    lab.widest = 10
    run = await lab.once(PROBE, **options(rule(), from_block=10, to_block=59))
    assert verdict(run, "paid") == (CRITICAL, "matched")
    assert "25 in blocks 10 to 59" in sentence(run, "paid")
    assert verdict(run, "base") == (OK, "abreast")
    assert max(lab.spans) <= 10, "ranges that are refused are halved"
    run = await lab.once(PROBE, **options(rule(where=("value > 1 ether",)), from_block=10, to_block=59))
    assert verdict(run, "paid") == (OK, "no_match")
    run = await lab.once(PROBE, **options(rule(), from_block=10, to_block=500))
    assert verdict(run, "base") == (WARNING, "catching_up"), "the rest of the range is not made yet"
    assert "up to 104 of 500" in sentence(run, "base")


async def test_a_gap_while_the_chain_could_not_be_read_is_caught_up_with() -> None:
    lab = Chains()
    async with lab.watching(PROBE, settings=EVERY, **options(rule(), max_blocks=10)):
        await lab.pass_seconds(2)
        lab.down = {"evm.test": ConnectError("refused")}
        for _ in range(50):
            lab.mine(lab.transfer(10**10))
        run = await lab.pass_seconds(10)
        assert verdict(run, "base") == (CRITICAL, "connect")
        assert verdict(run, "paid") == (UNKNOWN, "behind_endpoint")
        lab.down = {}
        run = await lab.pass_seconds(60)
        assert verdict(run, "base") == (OK, "abreast")
        assert "50 in blocks 5 to 54" in sentence(run, "paid")


async def test_an_event_that_is_declared_wrongly_is_told() -> None:
    lab = Chains()
    lab.mine(lab.transfer(10**10))
    wrong = rule(event="Transfer(address from, address to, uint256 value)")
    run = await lab.once(PROBE, **options(wrong, from_block=0))
    assert verdict(run, "paid") == (UNKNOWN, "unreadable")


async def test_what_did_not_read_ages_out_with_the_rules_own_time_and_stays_counted() -> None:
    lab = Chains()
    wrong = rule(event="Transfer(address from, address to, uint256 value)", hold=MINUTE)
    async with lab.watching(PROBE, settings=EVERY, **options(wrong)):
        await lab.pass_seconds(2)
        lab.mine(lab.transfer(10**10))
        run = await lab.pass_seconds(10)
        assert verdict(run, "paid") == (UNKNOWN, "unreadable")
        assert "1 logs or transactions in blocks 5 to 5 do not read, the last: block 5 log 0: " in sentence(run, "paid")
        lab.mine()
        run = await lab.pass_seconds(70)
        assert verdict(run, "paid") == (OK, "no_match")
        assert "1 that did not read before the last 1m00s" in sentence(run, "paid")
        measured = {one.name: one.value for one in result(run, "paid").verdicts[0].measures}
        assert measured == {"event.matches": 0, "event.unreadable": 1}


async def test_once_without_blocks_to_look_at_is_no_pass() -> None:
    lab = Chains()
    run = await lab.once(PROBE, **options(rule(), program()))
    assert {verdict(run, one) for one in ("paid", "base", "refused", "solana_devnet")} == {(SKIPPED, "watching")}
    assert run.status is SKIPPED
    assert "no block was looked at yet" in sentence(run, "paid")


async def test_transactions_that_were_left_out_are_told_of_the_chain_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.clients.program_watch.MAX_SIGNATURES", 2)
    lab = Chains()
    lab.transactions = [(lab.svm.slot - one, SIGNATURES[one], ["Program log: ok"], "x") for one in (1, 2, 3)]
    run = await lab.once(PROBE, **options(program(), lookback=100))
    assert verdict(run, "solana_devnet") == (UNKNOWN, "gap")
    assert verdict(run, "refused") == (UNKNOWN, "gap")
    assert "more than 2 transactions" in sentence(run, "solana_devnet")


async def test_programs_by_their_logs_and_outcome() -> None:
    lab = Chains()
    slot = lab.svm.slot
    lab.transactions = [
        (
            slot - 9,
            SIGNATURES[1],
            ["Program log: AnchorError caused by account: vaa"],
            {"InstructionError": [0, {"Custom": 6000}]},
        ),
        (slot - 8, SIGNATURES[2], ["Program log: ok"], {"InstructionError": [0, "Other"]}),
        (slot - 7, SIGNATURES[3], ["Program log: AnchorError that was caught"], None),
    ]
    run = await lab.once(PROBE, **options(program(), lookback=100))
    assert verdict(run, "refused") == (CRITICAL, "matched")
    words = sentence(run, "refused")
    assert "1 seen in the last 10m00s" in words
    assert f"slot {slot - 9}, {SIGNATURES[1]}: log 0 Program log: AnchorError caused by account: vaa, error" in words
    run = await lab.once(PROBE, **options(program(severity="warning", logs=(), outcome="any"), lookback=100))
    assert verdict(run, "refused") == (WARNING, "matched")
    assert "3 seen in the last 10m00s" in sentence(run, "refused")
    assert (await lab.once(PROBE, **options(program(logs=("no such",)), lookback=100))).status is OK


async def test_an_answer_that_is_none_costs_no_transaction() -> None:
    """A gateway's page in place of a node's answer says nothing of what was asked for."""
    lab = Chains()
    slot, answer = lab.svm.slot, lab.svm.answer
    pages: list[Any] = []
    failed = {"InstructionError": [0, {"Custom": 6000}]}
    lab.transactions = [(slot - at, SIGNATURES[at], ["Program log: AnchorError"], failed) for at in (1, 2)]

    def gateway(request: Any) -> Any:
        if b"getTransaction" in request.body and not pages:
            pages.append(request)
            return reply(200, b"<html>Just a moment...</html>", clock=lab.clock)
        return answer(request)

    lab.svm.answer = gateway  # type: ignore[method-assign]
    async with lab.watching(PROBE, settings=EVERY, **options(program(), lookback=100)):
        await lab.pass_seconds(5)
        assert pages
        run = await lab.pass_seconds(60)
        assert verdict(run, "refused") == (CRITICAL, "matched")
        assert "2 seen in the last" in sentence(run, "refused")


async def test_both_kinds_of_chains_in_one_run_each_for_itself() -> None:
    lab = Chains()
    lab.down = {"svm.test": ConnectError("refused")}
    run = await lab.once(PROBE, **options(rule(), program(), lookback=3))
    assert verdict(run, "paid") == (OK, "no_match")
    assert verdict(run, "solana_devnet") == (CRITICAL, "connect")
    assert verdict(run, "refused") == (UNKNOWN, "behind_endpoint")


class Silent:
    """A host that never answers."""

    hangs, down = True, None

    def answer(self, request: Any) -> Any:
        raise AssertionError("it hangs")


async def test_a_chain_that_hangs_is_told_as_itself_and_holds_up_no_other() -> None:
    lab = Chains()
    silent: Any = Silent()
    lab.transport = Hosts(lab.transport, {SVM.rstrip("/"): silent}, lab.clock)
    run = await lab.once(PROBE, **options(rule(), program(), lookback=3))
    assert verdict(run, "paid") == (OK, "no_match")
    assert verdict(run, "solana_devnet")[0] is CRITICAL
    assert result(run, "solana_devnet").verdicts[0].error_type == "deadline"
    assert verdict(run, "refused") == (UNKNOWN, "behind_endpoint")
    assert run.elapsed_ns <= 9 * 10**9


async def test_what_was_looked_at_in_time_counts_where_the_rest_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Chains()
    for _ in range(100):
        lab.mine(lab.transfer(10**10))
    looked: list[int] = []
    original = EvmEventWatch.look

    async def slow(self: EvmEventWatch, at: Instant) -> ScanState:
        looked.append(1)
        if len(looked) > 1:
            await lab.clock.sleep_until_ns(lab.clock.monotonic_ns() + 3600 * 10**9)
        return await original(self, at)

    monkeypatch.setattr(EvmEventWatch, "look", slow)
    run = await lab.once(PROBE, **options(rule(), from_block=0, max_blocks=50, max_behind=10))
    assert verdict(run, "base") == (WARNING, "catching_up")
    assert "looked at up to 49 of 104" in sentence(run, "base")
    assert "45 in blocks 0 to 49" in sentence(run, "paid")
    assert len(looked) == 2


# -- options -----------------------------------------------------------------------------------------------------------------


def test_rules_that_cannot_be_meant() -> None:
    for wrong, words in (
        ({"event": "", "addresses": (), "where": (), "units": {}}, "give event, for an EVM chain, or program"),
        ({"program": PROGRAM}, "give event, for an EVM chain, or program"),
        ({"logs": ("x",)}, "logs and outcome go with program"),
        ({"where": ("value > 5 DAI",)}, "paid: '5 DAI': no unit is called DAI; there are wei, gwei, ether, USDC"),
        ({"event": "Transfer"}, "paid: 'Transfer' is no event"),
        ({"addresses": ("0x12",)}, "is not an address"),
        ({"hold": 0 * S}, "hold must be positive"),
        ({"max_absence": 0 * S}, "max_absence must be positive"),
        ({"name": ""}, "name must not be empty"),
    ):
        with pytest.raises(ValueError, match=words):
            rule(**wrong)
    for wrong, words in (
        ({"logs": ("(",)}, "refused: "),
        ({"program": "0x12"}, "refused: "),
        ({"where": ("a > 1",)}, "addresses, where and units go with event"),
    ):
        with pytest.raises(ValueError, match=words):
            program(**wrong)


def test_options_that_do_not_fit_together_are_all_told() -> None:
    with pytest.raises(ValueError, match="given twice") as caught:
        PROBE.options(
            chains={"base": MODULE.ChainOption(endpoints=(EVM,)), "nowhere": MODULE.ChainOption(endpoints=(EVM,))},
            rules=(rule(), rule(), rule(name="b", chain="elsewhere"), program(name="c", chain="base")),
            from_block=5,
            to_block=4,
            lookback=-1,
        )
    for words in (
        "nowhere is not known", "elsewhere, which is not under chains", "c: base is of the other kind; give event",
        "are of one chain", "lookback must not be negative", "to_block goes with a from_block",
    ):  # fmt: skip
        assert words in str(caught.value), words


def test_wrong_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "events.yaml"
    path.write_text(
        "probe: contract_event\noptions:\n  chains:\n    base: {endpoints: [http://x]}\n  rules:\n"
        f"    - {{name: a, chain: base, event: '{TRANSFER}', where: ['value >> 5']}}\n"
        "    - {name: b, chain: base, evnt: 'T()'}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert "is no" in str(caught.value)
    assert "event" in str(caught.value)
