"""transfer_canary on the real runtime in process: landed, expired, dropped and failed told apart; nothing is paid twice."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair

from probekit.clients.solana import GENESIS
from probekit.errors import ConfigError, ConnectError
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status, Verdict
from probekit.secret import Secret
from probekit.telemetry.identity import Sampler
from probekit.telemetry.spans import journeys_of, resource_of, spans_of
from probekit.testing import reply
from probekit.transports.base import Request, Response
from probekit.units import Amount
from tests.support.pushes import Hosts
from tests.support.sandbox import Lab, load, module_of, result, verdict
from tests.support.svm_in_process import SvmHost

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
MINUTE = timedelta(minutes=1)
NODE, TARGET = "http://node", "transfer on mine"
PAIR = Keypair.from_seed(bytes([7]) * 32)
CAPS = {"cap_per_transaction": Amount.parse("10000 lamports"), "cap_per_day": Amount.parse("30000 lamports")}
PRICE = 250_000
PAID = 5_000 + 250
SEND = "sendTransaction"


@dataclass
class TransferLab(Lab):
    path: Path = Path()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.host = SvmHost(self.clock)
        self.transport: Any = Hosts(self.transport, {NODE: self.host}, self.clock)
        self.host.ledger.airdrop(PAIR.pubkey(), 10**9)
        self.host.ledger.settle()
        self.ledger = self.path / "ledger.json"
        self.ledger.touch()

    async def run(self, **more: Any) -> ProbeRun:
        options = {
            "cluster": "mine", "genesis_hash": str(self.host.ledger.genesis_hash), "endpoints": (NODE,), "send": True,
            "key": Secret(str(PAIR), origin="test"), "ledger": str(self.ledger), "allow_mainnet": True, "unit_price": PRICE,
            **CAPS, **more,
        }  # fmt: skip
        return await self.once(load("transfer_canary"), patience=10 * MINUTE, **options)

    async def said(self, **more: Any) -> tuple[Status, str]:
        return verdict(await self.run(**more), TARGET)

    @property
    def sends(self) -> int:
        return self.host.asked.count(SEND)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return json.loads(self.ledger.read_text())["spends"]  # type: ignore[no-any-return]


@pytest.fixture
def lab(tmp_path: Path) -> TransferLab:
    return TransferLab(path=tmp_path)


def found(run: ProbeRun) -> Verdict:
    (one,) = result(run, TARGET).verdicts
    return one


def stages(run: ProbeRun) -> dict[str, str]:
    (journey,) = run.journeys
    return {one.name: one.reason or ("ok" if one.at is not None else "?") for one in journey.stages}


@pytest.mark.shows("transfer_canary", "OK")
async def test_it_lands_and_each_level_is_timed_from_the_sending(lab: TransferLab) -> None:
    run = await lab.run()
    assert run.status is OK
    assert found(run).reason == "landed"
    assert set(stages(run).values()) == {"ok"}
    journey = run.journeys[0]
    times = [journey.stage(name, "mine") for name in ("processed", "confirmed", "finalized")]
    assert [one.since for one in times] == ["sent"] * 3
    elapsed = [one.elapsed_ns or 0 for one in times]
    assert elapsed == sorted(elapsed)
    assert elapsed[1] < 3 * 10**9 < 11 * 10**9 < elapsed[2] < 16 * 10**9
    assert (times[1].paid, times[1].gas_used) == (PAID, 450)
    assert 10**9 - lab.host.ledger.account(PAIR.pubkey()).lamports == PAID  # type: ignore[union-attr]
    measured = {one.name: one.value for one in found(run).measures}
    assert measured["canary.paid"] * 10**9 == measured["canary.spent"] * 10**9 == PAID
    assert 0 <= measured["canary.slots"] <= 2
    assert [(one["ended"], one["paid"]) for one in lab.rows] == [("landed", PAID)]


async def test_a_dry_run_needs_an_address_alone(lab: TransferLab) -> None:
    run = await lab.run(send=False, key=None, ledger=None, wallet=str(PAIR.pubkey()))
    assert verdict(run, TARGET) == (OK, "simulated")
    assert stages(run)["sent"] == "dry_run"
    assert lab.sends == 0


@pytest.mark.shows("transfer_canary", "CRITICAL expired")
async def test_it_expires_when_nobody_takes_it(lab: TransferLab) -> None:
    lab.host.loses = True
    run = await lab.run()
    assert verdict(run, TARGET) == (CRITICAL, "expired")
    assert "is past its last" in found(run).message
    assert stages(run)["sent"] == "ok"
    assert stages(run)["processed"] == "not_reached"
    assert [(one["ended"], one["paid"]) for one in lab.rows] == [("expired", 0)]
    lab.host.loses = False
    assert await lab.said() == (OK, "landed")


async def test_what_may_still_land_is_followed_up_and_never_doubled(lab: TransferLab) -> None:
    lab.host.loses = True
    assert await lab.said(wait=timedelta(seconds=10)) == (CRITICAL, "not_landed")
    assert await lab.said() == (CRITICAL, "not_landed")
    assert lab.sends == 1
    await lab.clock.advance(2 * MINUTE)
    assert await lab.said() == (CRITICAL, "expired")
    assert lab.sends == 1


async def test_what_was_not_final_in_time_is_late(lab: TransferLab) -> None:
    run = await lab.run(wait=timedelta(seconds=3))
    assert verdict(run, TARGET) == (CRITICAL, "not_finalized")
    assert stages(run)["confirmed"] == "ok"
    await lab.clock.advance(MINUTE)
    run = await lab.run()
    assert verdict(run, TARGET) == (WARNING, "late")
    assert run.journeys[0].stage("finalized", "mine").paid == PAID
    assert lab.sends == 1


@pytest.mark.shows("transfer_canary", "WARNING late")
async def test_it_is_confirmed_late(lab: TransferLab) -> None:
    assert await lab.said(max_landing=timedelta(milliseconds=100)) == (WARNING, "late")


@pytest.mark.shows("transfer_canary", "CRITICAL dropped")
async def test_a_block_that_did_not_stay_drops_it(lab: TransferLab) -> None:
    lab.host.loses = True
    seen = 0

    def fork(method: str, _: list[Any], answered: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal seen
        if method != "getSignatureStatuses" or seen >= 2:
            return None
        seen += 1
        slot = answered["result"]["context"]["slot"]
        status = {"slot": slot, "confirmations": 0, "err": None, "status": {"Ok": None}, "confirmationStatus": "processed"}
        return {"result": {"context": answered["result"]["context"], "value": [status]}}

    lab.host.fault = fork
    run = await lab.run()
    assert verdict(run, TARGET) == (CRITICAL, "dropped")
    assert stages(run)["processed"] == "ok"
    assert stages(run)["confirmed"] == "not_reached"
    assert [(one["ended"], one["paid"]) for one in lab.rows] == [("dropped", 0)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"InstructionError": [2, "ComputationalBudgetExceeded"]}, (CRITICAL, "failed")),
        ({"InstructionError": [2, {"Custom": 7}]}, (CRITICAL, "failed")),
        ({"InstructionError": [2, {"Custom": 1}]}, (UNKNOWN, "underfunded")),
        ({"InsufficientFundsForRent": {"account_index": 0}}, (UNKNOWN, "underfunded")),
    ],
)
async def test_it_fails_in_its_block_by_the_program_or_for_want_of_money(
    lab: TransferLab, error: Any, expected: tuple[Status, str]
) -> None:
    def fail(method: str, _: list[Any], answered: dict[str, Any]) -> dict[str, Any] | None:
        if method != "getSignatureStatuses" or answered["result"]["value"][0] is None:
            return None
        answered["result"]["value"][0] |= {"err": error, "status": {"Err": error}}
        return {"result": answered["result"]}

    lab.host.fault = fail
    run = await lab.run()
    assert verdict(run, TARGET) == expected
    # The fee is gone all the same.
    assert [(one["ended"], one["paid"]) for one in lab.rows] == [("failed", PAID)]
    assert stages(run)["processed"] == "failed"


async def test_a_wallet_without_money(lab: TransferLab) -> None:
    stranger = Keypair.from_seed(bytes([8]) * 32)
    assert await lab.said(key=Secret(str(stranger), origin="test")) == (UNKNOWN, "underfunded")
    assert await lab.said(amount=Amount.parse("2 SOL")) == (UNKNOWN, "underfunded")
    assert lab.sends == 0


async def test_the_caps_hold_to_the_lamport(lab: TransferLab) -> None:
    tight = {"cap_per_transaction": Amount.parse(f"{PAID - 1} lamports")}
    assert await lab.said(**tight) == (UNKNOWN, "over_cap")
    day = dict.fromkeys(("cap_per_transaction", "cap_per_day"), Amount.parse(f"{2 * PAID - 1} lamports"))
    assert await lab.said(**day) == (OK, "landed")
    assert await lab.said(**day) == (UNKNOWN, "daily_cap")
    assert lab.sends == 1
    day = dict.fromkeys(("cap_per_transaction", "cap_per_day"), Amount.parse(f"{2 * PAID} lamports"))
    assert await lab.said(**day) == (OK, "landed")


async def test_the_priority_fee_of_recent_blocks_is_bounded_by_the_cap(lab: TransferLab) -> None:
    def dear(method: str, *_: Any) -> dict[str, Any] | None:
        fees = [{"slot": slot, "prioritizationFee": 9_000_000} for slot in range(1, 9)]
        return {"result": fees} if method == "getRecentPrioritizationFees" else None

    lab.host.fault = dear
    run = await lab.run(unit_price=None)
    assert verdict(run, TARGET) == (UNKNOWN, "over_cap")
    assert "0.000014 SOL" in found(run).message


async def test_without_its_ledger_nothing_is_sent(lab: TransferLab) -> None:
    lab.ledger.unlink()
    assert await lab.said() == (UNKNOWN, "no_ledger")
    assert lab.sends == 0


async def test_it_is_on_the_disk_before_it_is_sent(lab: TransferLab) -> None:
    seen: list[Any] = []
    lab.host.on_send = lambda: seen.append([(one["ended"], one["paid"], one["reserved"]) for one in lab.rows])
    await lab.run()
    assert seen == [[(None, None, PAID)]]


@pytest.mark.shows("transfer_canary", "CRITICAL refused")
async def test_a_node_that_refuses(lab: TransferLab) -> None:
    def refuse(method: str, *_: Any) -> dict[str, Any] | None:
        return {"error": {"code": -32602, "message": "invalid transaction"}} if method == SEND else None

    lab.host.fault = refuse
    assert await lab.said() == (CRITICAL, "refused")


@pytest.mark.parametrize("status", [401, 403, 429, -32005])
async def test_a_provider_that_refuses_us_is_ours(lab: TransferLab, status: int) -> None:
    answer = lab.host.answer

    def refuse(request: Request) -> Response:
        if SEND.encode() in (request.body or b""):
            return reply(status, "no", clock=lab.clock)
        return answer(request)

    def limit(method: str, *_: Any) -> dict[str, Any] | None:
        return {"error": {"code": status, "message": "rate limit exceeded"}} if method == SEND else None

    if status > 0:
        lab.host.answer = refuse  # type: ignore[method-assign]
    else:
        lab.host.fault = limit
    run = await lab.run()
    assert verdict(run, TARGET) == (UNKNOWN, "provider_refused")
    assert "the provider refused us, nothing was sent: " in found(run).message
    assert (stages(run)["sent"], stages(run)["processed"]) == ("provider_refused", "not_reached")
    assert [(one["ended"], one["paid"]) for one in lab.rows] == [("refused", None)]


async def test_another_cluster_is_never_sent_to(lab: TransferLab) -> None:
    lab.host.fault = lambda method, *_: {"result": GENESIS["mainnet-beta"]} if method == "getGenesisHash" else None
    run = await lab.run()
    assert verdict(run, "mine") == (CRITICAL, "wrong_chain")
    assert verdict(run, TARGET) == (UNKNOWN, "behind_endpoint")
    assert lab.sends == 0


async def test_a_node_that_is_down_before_and_after_the_send(lab: TransferLab) -> None:
    lab.host.down = ConnectError("refused", url=NODE)
    run = await lab.run()
    assert verdict(run, "mine") == (CRITICAL, "connect")
    assert verdict(run, TARGET) == (UNKNOWN, "behind_endpoint")
    lab.host.down = None

    def down() -> None:
        lab.host.down = ConnectError("refused", url=NODE)

    lab.host.on_send = down
    assert await lab.said(wait=timedelta(seconds=20)) == (UNKNOWN, "unresolved")
    lab.host.down = None
    await lab.clock.advance(MINUTE)
    assert await lab.said() == (WARNING, "late")
    assert lab.sends == 1


LISTED = json.dumps(list(bytes(PAIR)))


@pytest.mark.parametrize("spelling", [str(PAIR), LISTED], ids=["base58", "keygen"])
async def test_nothing_tells_the_key(lab: TransferLab, spelling: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def echo(method: str, *_: Any) -> dict[str, Any] | None:
        words = f"no {PAIR} {bytes(PAIR).hex()} {LISTED}"
        return {"error": {"code": -32602, "message": words}} if method == SEND else None

    for fault in (lambda *_: None, echo):
        lab.host.fault = fault
        run = await lab.run(key=Secret(spelling, origin="test"))
        resource = resource_of({})
        spans = [*spans_of(run, resource), *journeys_of(run, resource, Sampler())]
        texts += [msgspec.json.encode(run).decode(), *(one.to_json() for one in spans)]
    texts += [caplog.text, lab.ledger.read_text()]
    assert lab.sends == 2
    for text in texts:
        assert str(PAIR) not in text
        assert bytes(PAIR).hex() not in text
        assert LISTED not in text or spelling != LISTED


@pytest.mark.parametrize("key", ["4c" * 32, "[1,2,3]", "[" + "300," * 63 + "300]", "1" * 88, "[[[[]]]]", "{{{{}}}}"])
async def test_a_key_that_is_none(lab: TransferLab, key: str) -> None:
    run = await lab.run(key=Secret(key, origin="file /etc/canary.json"))
    assert verdict(run, TARGET) == (UNKNOWN, "no_key")
    assert "file /etc/canary.json" in found(run).message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("  cluster: nowhere\n", "nowhere is not known; give it genesis_hash"),
        ("  cluster: solana\n", "allow_mainnet"),
        ("  cluster: solana\n  allow_mainnet: true\n", "cap_per_transaction and cap_per_day: needed"),
        ("  cluster: mine\n  genesis_hash: abc\n", "not known as a testnet"),
        ("  genesis_hash: abc\n", "solana_devnet is EtWTR"),
        ("  cap_per_day: 1 lamports\n", "must hold"),
        ("  cap_per_day: 1 ETH\n", "unknown unit"),
        ("  amount: 0.5 lamports\n", "less than one part"),
        ("  wallet: xyz\n", "wallet: "),
        ("  unit_price: -1\n", "unit_price is not below zero"),
        ("  key: abc\n", "never literally"),
    ],
)
def test_spending_is_refused_when_the_configuration_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: str
) -> None:
    monkeypatch.setenv("CANARY_KEY", str(PAIR))
    path = tmp_path / "canary.yaml"
    key = "" if "key:" in more else "  key: env:CANARY_KEY\n"
    head = f"probe: transfer_canary\noptions:\n  endpoints: ['http://x']\n  send: true\n  ledger: /x\n{key}"
    path.write_text(head + more)
    with pytest.raises(ConfigError) as raised:
        read_manifest(load("transfer_canary"), path)
    assert words in "\n".join(raised.value.problems)


def test_a_testnet_is_what_is_known_as_one() -> None:
    module = module_of(load("transfer_canary"))
    wallet = str(PAIR.pubkey())
    for more, expected in (
        ({"cluster": "solana"}, False),
        ({}, True),
        ({"cluster": "solana_testnet"}, True),
        ({"cluster": "other", "genesis_hash": "x"}, False),
        ({"cluster": "other", "genesis_hash": GENESIS["devnet"]}, True),
    ):
        assert module.is_testnet(module.Options(endpoints=(NODE,), wallet=wallet, **more)) is expected
