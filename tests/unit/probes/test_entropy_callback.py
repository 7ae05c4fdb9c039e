"""entropy_callback on a contract in process: what waits, what is stuck and why, failed callbacks, numbers that are proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probekit.clients.entropy_watch import in_chain
from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm import entropy_events as events
from probekit.errors import ConfigError, ConnectError, Unauthorized
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status, Verdict
from probekit.model.entropy import CallbackStatus
from probekit.model.evm import Address
from probekit.units import Amount
from tests.support.entropies import NOT_PENDING, UNCONFIRMED, Service, hash_chain
from tests.support.pushes import Hosts
from tests.support.sandbox import Lab, load, module_of, result, verdict
from tests.unit.clients.contracts import HEAD, Burn, Revert
from tests.unit.clients.test_entropy import ENTROPY, PROVIDER, Chain
from tests.unit.codecs.evm.test_entropy import USER, info

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
NODE, FORTUNA = "http://node", "http://fortuna"
LINKS = hash_chain()
TARGET, SERVICE = f"mine/{Address(ENTROPY)}", f"{FORTUNA} on mine"
REVEALED, NEXT = 90, 100


class NodeHost:
    """The chain's node as a host."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.hangs = False
        self.down: Exception | None = None

    def answer(self, request: Any) -> Any:
        return self.chain.node._reply(request)


@dataclass
class EntropyLab(Lab):
    """The lab with one chain at block 100, a block a second, whose last revealed number is 90 and whose next is 100."""

    version: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chain = Chain(self.version)
        self.chain.node.clock = self.clock
        self.contract = self.chain.contract
        self.contract.provider = self.provider()
        self.host, self.service = NodeHost(self.chain), Service(self.clock, LINKS)
        self.transport: Any = Hosts(self.transport, {NODE: self.host, FORTUNA: self.service}, self.clock)

    def provider(self, **changes: Any) -> Any:
        known = {
            "sequence": NEXT, "current_commitment_sequence": REVEALED, "current_commitment": LINKS[REVEALED],
            "end_sequence": 900, "fee_wei": 15 * 10**12,
        }  # fmt: skip
        return info(**(known | changes))

    def hold(self, sequence: int, *, age: int = 1, failed: bool = False, **changes: Any) -> None:
        """A request made ``age`` blocks ago, and its event."""
        number = HEAD - age
        status = CallbackStatus.FAILED if failed else CallbackStatus.NOT_STARTED
        commitment = codec.commitment_of(USER, LINKS[sequence], 1)
        fields = {"num_hashes": 1, "commitment": commitment, "callback_status": status, **changes}
        held = self.chain.hold(sequence=sequence, block_number=number, **fields)
        values = (held.provider, held.requester, sequence, USER, 100_000, b"")
        self.chain.log(events.REQUESTED_V2, values, number=number)

    async def run(self, **more: Any) -> ProbeRun:
        probe = load("entropy_callback")
        chain = more.pop("chain", {})
        fields = {
            "endpoints": (NODE,), "chain_id": 5, "contract": ENTROPY, "fortuna": FORTUNA, "stuck_after": timedelta(seconds=30),
            "stuck_blocks": 60, **chain,
        }  # fmt: skip
        limits = {"critical_remaining": 100, "warn_remaining": 200}
        return await self.once(probe, chains={"mine": module_of(probe).EntropyChain(**fields)}, **{**limits, **more})


@pytest.fixture
def lab() -> EntropyLab:
    return EntropyLab()


def of(run: ProbeRun, check: str, target: str = TARGET) -> Verdict:
    return next(one for one in result(run, target).verdicts if one.check == check)


def said(run: ProbeRun, check: str, target: str = TARGET) -> tuple[Status, str]:
    found = of(run, check, target)
    return found.status, found.reason


# -- what waits ------------------------------------------------------------------------------------------------------


@pytest.mark.shows("entropy_callback", "OK")
async def test_nothing_waits(lab: EntropyLab) -> None:
    run = await lab.run()
    assert run.status is OK
    assert [one.reason for one in result(run, TARGET).verdicts] == ["revealing", "calling_back", "taking"]
    assert verdict(run, SERVICE) == (OK, "nothing_pending")
    assert {one.name: one.value for check in result(run, TARGET).verdicts for one in check.measures} == {
        "entropy.pending": 0, "entropy.oldest_age": 0, "entropy.failed": 0, "entropy.remaining": 800,
        "entropy.fee": module_of(load("entropy_callback")).Coin("ETH", 18).coins(15 * 10**12),
    }  # fmt: skip
    # The block, default provider, provider, and all requests in one.
    assert lab.chain.methods() == ["eth_getBlockByNumber", "eth_call", "eth_call", "eth_call"]


async def test_what_waits_is_counted_and_its_number_is_proven(lab: EntropyLab) -> None:
    for sequence, age in ((97, 20), (98, 4), (99, 1)):
        lab.hold(sequence, age=age)
    run = await lab.run()
    assert run.status is OK
    pending = of(run, "entropy_pending")
    assert pending.message == "3 of the last 99 requests wait, the oldest 97 for 20 blocks, 20 s"
    assert {one.name: one.value for one in pending.measures} == {"entropy.pending": 3, "entropy.oldest_age": 20 * 10**9}
    assert said(run, "entropy_revelation", SERVICE) == (OK, "proven")
    assert lab.service.asked == ["v1/chains", "v1/chains/mine/revelations/97"]


@pytest.mark.parametrize(
    ("age", "limits", "expected"),
    [
        (30, {}, OK), (31, {}, CRITICAL), (31, {"stuck_after": timedelta(hours=1)}, OK),
        (60, {"stuck_after": timedelta(hours=1)}, OK), (61, {"stuck_after": timedelta(hours=1)}, CRITICAL),
    ],
)  # fmt: skip
async def test_a_request_is_stuck_beyond_either_limit(
    lab: EntropyLab, age: int, limits: dict[str, Any], expected: Status
) -> None:
    lab.hold(95, age=age)
    found = of(await lab.run(chain=limits), "entropy_pending")
    assert found.status is expected
    assert found.reason == ("stuck" if expected is CRITICAL else "revealing")


@pytest.mark.shows("entropy_callback", "CRITICAL stuck")
async def test_a_stuck_request_that_nobody_reveals(lab: EntropyLab) -> None:
    lab.hold(95, age=50)
    run = await lab.run()
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert "95 for 50 blocks, 50 s (the reveal would be taken now; nobody has sent it)" in of(run, "entropy_pending").message
    assert said(run, "entropy_revelation", SERVICE) == (OK, "proven")


async def test_stuck_requests_whose_own_contract_refuses_them(lab: EntropyLab) -> None:
    def refuse(tx: dict[str, Any], *_: Any) -> Any:
        raise Revert(b"\x12\x34\x56\x78")

    lab.contract.has("revealWithCallback(address,uint64,bytes32,bytes32)", [], refuse)
    lab.hold(95, age=50, gas_limit=0)
    run = await lab.run()
    assert said(run, "entropy_pending") == (WARNING, "reveal_refused")
    assert "the callback reverted" in of(run, "entropy_pending").message
    # One that nobody can explain is the provider's until it is.
    lab.hold(96, age=50)
    lab.service.says[96] = NOT_PENDING
    run = await lab.run()
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")


async def test_a_keeper_that_gives_too_little_gas(lab: EntropyLab) -> None:
    lab.contract.needs_gas = 600_000
    lab.hold(95, age=50)
    run = await lab.run()
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert "InsufficientGas" in of(run, "entropy_pending").message


async def test_what_waits_is_remembered_beyond_the_window(lab: EntropyLab) -> None:
    lab.hold(50, age=20)
    probe = load("entropy_callback")
    chain = module_of(probe).EntropyChain(endpoints=(NODE,), chain_id=5, contract=ENTROPY)
    options: dict[str, Any] = {"chains": {"mine": chain}, "window": 60, "critical_remaining": 100, "warn_remaining": 200}
    async with lab.watching(probe, **options):
        await lab.pass_seconds(1)
        assert "1 of the last" in of(lab.runs[-1], "entropy_pending").message
        lab.contract.provider = lab.provider(sequence=300, current_commitment_sequence=290, current_commitment=LINKS[290])
        run = await lab.pass_seconds(40)
        assert "1 of the last" in of(run, "entropy_pending").message
        assert "the oldest 50" in of(run, "entropy_pending").message
        del lab.contract.held[50]
        run = await lab.pass_seconds(40)
        assert of(run, "entropy_pending").message.startswith("0 of the last 60")


async def test_a_chain_whose_contracts_count_other_blocks(lab: EntropyLab) -> None:
    lab.chain.counted = lambda number: number // 12
    lab.hold(95, age=HEAD)
    lab.hold(96, age=HEAD - 1)
    run = await lab.run(chain={"stuck_blocks": 7})
    found = of(run, "entropy_pending")
    assert (found.status, found.reason) == (CRITICAL, "stuck")
    assert "95 for 8 blocks" in found.message
    assert "s (" not in found.message


# -- callbacks -------------------------------------------------------------------------------------------------------


@pytest.mark.shows("entropy_callback", "OK", "WARNING callback_failed")
async def test_a_failed_callback_is_told_with_its_cause(lab: EntropyLab) -> None:
    lab.hold(95, age=20, failed=True)
    values = (PROVIDER, "0x" + "22" * 20, 95, b"n" * 32, USER, LINKS[95], True, b"", 100_000, b"")
    lab.chain.log(events.REVEALED_V2, values, number=HEAD - 10)
    run = await lab.run()
    assert said(run, "entropy_callbacks") == (WARNING, "callback_failed")
    assert "95 (the callback ran out of gas" in of(run, "entropy_callbacks").message
    assert said(run, "entropy_pending") == (OK, "revealing")
    assert said(await lab.run(max_failed=1), "entropy_callbacks") == (OK, "calling_back")
    assert said(await lab.run(failed_within=timedelta(seconds=19)), "entropy_callbacks") == (OK, "calling_back")


async def test_a_failed_callback_is_told_for_as_long_as_it_is_recent_also_before_the_window(lab: EntropyLab) -> None:
    lab.hold(40, age=60, failed=True)
    probe = load("entropy_callback")
    chain = module_of(probe).EntropyChain(
        endpoints=(NODE,), chain_id=5, contract=ENTROPY, stuck_after=timedelta(seconds=30), stuck_blocks=60
    )
    options: dict[str, Any] = {"chains": {"mine": chain}, "window": 10, "critical_remaining": 100, "warn_remaining": 200}
    async with lab.watching(probe, **options):
        await lab.pass_seconds(200)
    told = [said(run, "entropy_callbacks") for run in lab.runs]
    assert len(told) > 3
    assert set(told) == {(WARNING, "callback_failed")}


async def test_more_failures_than_are_told_one_by_one(lab: EntropyLab) -> None:
    for sequence in range(60, 90):
        lab.hold(sequence, age=100 - sequence, failed=True)
    found = of(await lab.run(), "entropy_callbacks")
    assert (found.value, found.limit) == (30, 0)
    assert found.message.endswith("the newest: 85; 86; 87; 88; 89")


# -- the provider ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"end_sequence": NEXT + 200}, (OK, "taking")),
        ({"end_sequence": NEXT + 199}, (WARNING, "running_out")),
        ({"end_sequence": NEXT + 100}, (WARNING, "running_out")),
        ({"end_sequence": NEXT + 99}, (CRITICAL, "used_up")),
        ({"end_sequence": NEXT}, (CRITICAL, "used_up")),
        ({"max_num_hashes": 9}, (CRITICAL, "must_advance")),
        ({"max_num_hashes": 10}, (OK, "taking")),
        ({"max_num_hashes": 0}, (OK, "taking")),
        ({"fee_wei": 10**15 + 1}, (WARNING, "dear")),
        ({"fee_wei": 10**15}, (OK, "taking")),
    ],
)
async def test_how_long_a_provider_lasts(lab: EntropyLab, changes: dict[str, Any], expected: tuple[Status, str]) -> None:
    lab.contract.provider = lab.provider(**changes)
    run = await lab.run(chain={"max_fee": Amount.parse("1000000 gwei")})
    assert said(run, "entropy_provider") == expected


async def test_a_provider_that_never_registered(lab: EntropyLab) -> None:
    stranger = Address("0x" + "99" * 20)
    run = await lab.run(chain={"provider": str(stranger)})
    assert verdict(run, f"{TARGET}/{stranger}") == (CRITICAL, "not_registered")


async def test_a_contract_before_v2() -> None:
    lab = EntropyLab(version=1)
    lab.hold(95, age=50)
    run = await lab.run(chain={"fortuna": None})
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert said(run, "entropy_provider") == (OK, "taking")


# -- the service -----------------------------------------------------------------------------------------------------


@pytest.mark.shows("entropy_callback", "CRITICAL wrong_revelation")
async def test_a_number_of_another_hash_chain(lab: EntropyLab) -> None:
    lab.hold(95)
    lab.service.lies = True
    run = await lab.run()
    assert verdict(run, SERVICE) == (CRITICAL, "wrong_revelation")
    assert "does not lead to the one of 90 on chain" in result(run, SERVICE).verdicts[0].message
    assert said(run, "entropy_pending") == (OK, "revealing")


async def test_a_service_that_holds_back(lab: EntropyLab) -> None:
    lab.hold(95, age=20)
    lab.service.says[95] = UNCONFIRMED
    assert verdict(await lab.run(), SERVICE) == (OK, "needs_confirmations")
    lab.hold(95, age=50)
    run = await lab.run()
    assert verdict(run, SERVICE) == (CRITICAL, "withheld")
    lab.hold(95, age=20)
    lab.service.says[95] = NOT_PENDING
    assert verdict(await lab.run(), SERVICE) == (CRITICAL, "withheld")


async def test_a_request_that_is_revealed_between_two_looks(lab: EntropyLab) -> None:
    lab.hold(95, age=20)
    lab.service.says[95] = NOT_PENDING
    original = lab.service.answer

    def reveal(request: Any) -> Any:
        if "revelations" in request.shown_url:
            lab.contract.held.clear()
        return original(request)

    lab.service.answer = reveal  # type: ignore[method-assign]
    assert verdict(await lab.run(), SERVICE) == (OK, "nothing_pending")


async def test_a_node_that_goes_away_is_not_the_services_fault(lab: EntropyLab) -> None:
    lab.hold(95, age=20)
    lab.service.says[95] = NOT_PENDING
    original = lab.service.answer

    def down(request: Any) -> Any:
        lab.host.down = ConnectError("refused", url=NODE)
        return original(request)

    lab.service.answer = down  # type: ignore[method-assign]
    assert verdict(await lab.run(), SERVICE) == (UNKNOWN, "unchecked")


async def test_a_service_that_is_down_or_does_not_know_the_chain(lab: EntropyLab) -> None:
    lab.service.down = ConnectError("refused", url=FORTUNA)
    lab.hold(95, age=50)
    run = await lab.run()
    assert verdict(run, SERVICE) == (CRITICAL, "connect")
    # The chain is judged all the same, without a cause.
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    lab.service.down = Unauthorized("no", status=401, url=FORTUNA)
    assert verdict(await lab.run(), SERVICE) == (UNKNOWN, "not_authorized")
    lab.service.down, lab.service.chain = None, "another"
    assert verdict(await lab.run(), SERVICE) == (CRITICAL, "unknown_chain")
    assert verdict(await lab.run(chain={"fortuna_chain": "another"}), SERVICE)[1] == "proven"


# -- what is seen through --------------------------------------------------------------------------------------------


async def test_a_chain_that_is_down_is_one_verdict_and_another_is_judged(lab: EntropyLab) -> None:
    lab.host.down = ConnectError("refused", url=NODE)
    run = await lab.run()
    assert verdict(run, "mine") == (CRITICAL, "connect")
    assert verdict(run, TARGET) == verdict(run, SERVICE) == (UNKNOWN, "behind_endpoint")


async def test_an_address_without_the_contract(lab: EntropyLab) -> None:
    nobody = "0x" + "77" * 20
    run = await lab.run(chain={"contract": nobody})
    assert verdict(run, f"mine/{Address(nobody)}") == (CRITICAL, "no_such_feed")
    assert verdict(run, "mine") == (OK, "within_budget")


def unreadable(lab: EntropyLab, *sequences: int, words: Any = None) -> None:
    """Requests in whose place something else stands: words that are no request, else a refusal."""

    def odd(tx: dict[str, Any], provider: str, sequence: int) -> Any:
        if sequence in sequences:
            if words is None:
                raise Revert("AssertionFailure")
            return words
        return [lab.contract._request(sequence, 2)]

    lab.contract.has("getRequestV2(address,uint64)", [codec.REQUEST_V2], odd)


async def test_requests_that_do_not_read_are_no_pass_and_what_stands_there_is_evidence(lab: EntropyLab) -> None:
    lab.hold(95, age=5)
    unreadable(lab, 96)
    run = await lab.run()
    found = of(run, "entropy_pending")
    assert (found.status, found.reason) == (UNKNOWN, "unreadable")
    assert found.message.startswith("1 of the last 98 requests wait, the oldest 95 for 5 blocks, 5 s; 1 did not read: 96 (")
    assert said(run, "entropy_callbacks") == (UNKNOWN, "unreadable")
    assert "1 requests did not read: 96 (" in of(run, "entropy_callbacks").message
    assert said(run, "entropy_provider") == (OK, "taking")
    evidence = result(run, TARGET).evidence
    assert evidence is not None
    assert "UnreadRequest" in str(evidence.decoded) or "unreadable" in str(evidence.decoded)
    # What is known to be wrong is told before what is not known.
    lab.hold(94, age=50)
    assert said(await lab.run(), "entropy_pending") == (CRITICAL, "stuck")


async def test_where_no_request_reads_it_is_not_the_chain_that_is_wrong(lab: EntropyLab) -> None:
    unreadable(lab, *range(1, NEXT))
    run = await lab.run()
    assert said(run, "entropy_pending") == (UNKNOWN, "unreadable")
    assert "0 of the last 0 requests wait; 99 did not read: 1 (" in of(run, "entropy_pending").message
    assert verdict(run, "mine") == (OK, "within_budget")
    assert len(msgspec.json.encode(run)) < 100_000


async def test_a_service_that_hangs_is_told_alone(lab: EntropyLab) -> None:
    """Five requests wait to be explained, each by a service that never answers: two chains, their time and theirs alone."""
    for sequence in range(90, 95):
        lab.hold(sequence, age=50)
    lab.service.hangs = True
    probe = load("entropy_callback")
    mine = {"endpoints": (NODE,), "chain_id": 5, "contract": ENTROPY, "stuck_after": timedelta(seconds=30)}
    chain = module_of(probe).EntropyChain
    chains = {"mine": chain(fortuna=FORTUNA, **mine), "other": chain(**mine)}
    run = await lab.once(probe, chains=chains, critical_remaining=100, warn_remaining=200)
    assert verdict(run, SERVICE)[0] is CRITICAL
    assert "no answer of the service within 5.0s" in result(run, SERVICE).verdicts[0].message
    for name in ("mine", "other"):
        assert verdict(run, name) == (OK, "within_budget")
        assert said(run, "entropy_pending", f"{name}/{Address(ENTROPY)}") == (CRITICAL, "stuck")
    assert run.elapsed_ns <= 12 * 10**9


async def test_what_was_stuck_before_the_start_is_seen_as_far_as_is_looked_back(lab: EntropyLab) -> None:
    lab.hold(30, age=90)
    narrow: dict[str, Any] = {"window": 20}
    run = await lab.run(**narrow)
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert "30 for 90 blocks" in of(run, "entropy_pending").message
    found = of(await lab.run(lookback=50, **narrow), "entropy_pending")
    assert found.status is CRITICAL, "100 - 20 - 50 is the oldest"
    found = of(await lab.run(lookback=49, **narrow), "entropy_pending")
    assert (found.status, found.message) == (OK, "0 of the last 69 requests wait; none before 31 was looked at")


async def test_more_requests_between_two_looks_than_the_window_holds_are_all_looked_at(
    lab: EntropyLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probekit.clients.entropy_watch.MAX_AT_ONCE", 100)
    probe = load("entropy_callback")
    chain = module_of(probe).EntropyChain(endpoints=(NODE,), chain_id=5, contract=ENTROPY, stuck_blocks=30)
    options: dict[str, Any] = {"chains": {"mine": chain}, "window": 20, "critical_remaining": 100, "warn_remaining": 200}
    async with lab.watching(probe, **options):
        run = await lab.pass_seconds(1)
        assert said(run, "entropy_pending") == (OK, "revealing")
        lab.hold(110, age=50)
        lab.hold(250, age=50)
        lab.contract.provider = lab.provider(sequence=320, current_commitment_sequence=290, current_commitment=LINKS[290])
        run = await lab.pass_seconds(30)
        assert of(run, "entropy_pending").message.startswith("1 requests are stuck: 110 for")
        run = await lab.pass_seconds(30)
        assert of(run, "entropy_pending").message.startswith("2 requests are stuck: 110 for")
        lab.contract.held.clear()
        run = await lab.pass_seconds(30)
        assert said(run, "entropy_pending") == (OK, "revealing")


async def test_requests_that_there_was_no_room_to_look_at_are_no_pass(lab: EntropyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.clients.entropy_watch.MAX_AT_ONCE", 60)
    found = of(await lab.run(), "entropy_pending")
    assert (found.status, found.reason) == (UNKNOWN, "catching_up")
    assert found.message == "0 of the last 60 requests wait; the newest 39 are not looked at yet"


async def test_a_provider_that_takes_the_place_of_another_is_looked_at_anew(
    lab: EntropyLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.hold(50, age=5)
    probe = load("entropy_callback")
    chain = module_of(probe).EntropyChain(endpoints=(NODE,), chain_id=5, contract=ENTROPY)
    options: dict[str, Any] = {"chains": {"mine": chain}, "window": 60, "critical_remaining": 100, "warn_remaining": 200}
    async with lab.watching(probe, lookback=0, **options):
        assert "1 of the last 60" in of(await lab.pass_seconds(1), "entropy_pending").message
        other = Address("0x" + "98" * 20)
        lab.contract.has("getDefaultProvider()", ["address"], lambda *_: [str(other)])
        raw = codec.raw_provider(lab.provider(sequence=300, current_commitment_sequence=290, current_commitment=LINKS[290]))
        monkeypatch.setattr(lab.contract, "_info", lambda _: raw)
        run = await lab.pass_seconds(30)
        # 50 is a number of the one before, and says nothing of this one.
        assert of(run, "entropy_pending").message == "0 of the last 60 requests wait; none before 240 was looked at"


async def test_nothing_is_sent_and_a_run_is_bounded(lab: EntropyLab) -> None:
    for sequence in range(1, NEXT):
        lab.hold(sequence, age=50)
    run = await lab.run()
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert of(run, "entropy_pending").message.startswith("99 requests are stuck: 1 for")
    assert of(run, "entropy_pending").message.count("would be taken") == 5
    assert not [method for method in lab.chain.methods() if "send" in method.lower()]
    # Five are explained, and one is proven.
    assert len([path for path in lab.service.asked if "revelations" in path]) == 6
    assert len(msgspec.json.encode(run)) < 100_000


@pytest.mark.parametrize("sequence", [1, 89, 90, 91, 500])
def test_a_number_is_proven_from_either_side_of_the_newest(sequence: int) -> None:
    known = info(current_commitment_sequence=REVEALED, current_commitment=LINKS[REVEALED])
    assert in_chain(known, sequence, LINKS[sequence])
    assert not in_chain(known, sequence, LINKS[sequence + 1])


def test_wrong_options_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "entropy.yaml"
    path.write_text(
        "probe: entropy_callback\noptions:\n  chains:\n    nowhere:\n      endpoints: ['http://x']\n"
        "    base:\n      endpoints: ['http://x']\n      fortuna_chain: base\n      max_fee: 1 SOL\n      stuck_blocks: 0\n"
        "  window: 5000\n  max_failed: -1\n  warn_remaining: 5\n"
    )
    with pytest.raises(ConfigError) as raised:
        read_manifest(load("entropy_callback"), path)
    told = "\n".join(raised.value.problems)
    for words in (
        "nowhere: it is not known", "base: 1 SOL is in an unknown unit", "base: stuck_blocks must be positive",
        "fortuna_chain says nothing", "window is at most", "max_failed", "critical_remaining < warn_remaining",
    ):  # fmt: skip
        assert words in told, words


async def test_a_reveal_that_burns_all_gas(lab: EntropyLab) -> None:
    def burn(*_: Any) -> Any:
        raise Burn

    lab.contract.has("revealWithCallback(address,uint64,bytes32,bytes32)", [], burn)
    lab.hold(95, age=50)
    run = await lab.run()
    assert said(run, "entropy_pending") == (CRITICAL, "stuck")
    assert "the reveal itself runs out of gas" in of(run, "entropy_pending").message
