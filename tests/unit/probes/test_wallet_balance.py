"""Wallets on chains that answer from a table: floors, runway, outflows, and reads that must not be believed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from probekit.clients.solana import GENESIS
from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.errors import ConfigError, ConnectError, Unauthorized
from probekit.manifest import read_manifest
from probekit.model import ProbeRun, Status
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account, TokenAccount, TokenMint
from probekit.units import Amount
from tests.support.chains import EVM, SVM, ChainLab
from tests.support.sandbox import load, module_of, result, verdict
from tests.unit.clients.contracts import MULTICALL3, Burn

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
PUSHER = "0x" + "52" * 20
USDC = "0x" + "53" * 20
OWNER, MINT = Pubkey(bytes([3]) * 32), Pubkey(bytes([4]) * 32)
ETH = 10**18
MINUTE = timedelta(minutes=1)


def of(check: str, run: ProbeRun, target: str) -> tuple[Status, str]:
    found = next(one for one in result(run, target).verdicts if one.check == check)
    return found.status, found.reason


def options(*wallets: dict[str, Any], **more: Any) -> dict[str, Any]:
    module = module_of(load("wallet_balance"))

    def wallet(given: dict[str, Any]) -> Any:
        amounts = ("critical", "warn", "max_outflow")
        return module.WalletOption(**{key: Amount.parse(one) if key in amounts else one for key, one in given.items()})

    chains = {
        "base": module.ChainOption(endpoints=(EVM,)),
        "solana_devnet": module.ChainOption(endpoints=(SVM,)),
    }
    return {"chains": chains, "wallets": tuple(wallet(one) for one in wallets), **more}


def native(**more: Any) -> dict[str, Any]:
    return {"chain": "base", "address": PUSHER, "critical": "0.01 ETH", "warn": "0.1 ETH", **more}


def spl(**more: Any) -> dict[str, Any]:
    given = {"chain": "solana_devnet", "address": str(OWNER), "token": str(MINT), "unit": "USDC", "critical": "10 USDC"}
    return given | more


def put_token(lab: ChainLab, program: Pubkey, amount: int, *, at: Pubkey | None = None) -> None:
    lab.svm.put(Account(MINT, program, 1, encode_mint(TokenMint(10**12, 6)), False, 1))
    key = at or associated_token(OWNER, MINT, token_program=program)
    lab.svm.put(Account(key, program, 2, encode_token_account(TokenAccount(MINT, OWNER, amount)), False, 1))


# -- what is held ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wei", "expected"),
    [
        (ETH, (OK, "funded")),
        (ETH // 10, (OK, "funded")),
        (ETH // 10 - 1, (WARNING, "low")),
        (ETH // 100, (WARNING, "low")),
        (ETH // 100 - 1, (CRITICAL, "below_floor")),
        (0, (CRITICAL, "below_floor")),
        (2**200 + 1, (OK, "funded")),
    ],
)
async def test_the_floor_of_a_native_coin_is_exact(wei: int, expected: tuple[Status, str]) -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = wei
    run = await lab.once(load("wallet_balance"), **options(native(name="pusher")))
    assert verdict(run, f"base/{PUSHER}") == expected
    assert result(run, f"base/{PUSHER}").target.name == "pusher"
    (floor,) = (one for one in result(run, f"base/{PUSHER}").verdicts if one.check == "balance_floor")
    assert floor.value == Decimal((0, tuple(map(int, str(wei))), -18))
    assert floor.measures[0].value == floor.value


async def test_many_wallets_of_a_chain_take_one_batch() -> None:
    lab = ChainLab()
    owners = [f"0x{number:040x}" for number in range(1, 60)]
    lab.evm.balances |= dict.fromkeys(owners, ETH)
    lab.evm.holds(USDC, "USDC", 6, dict.fromkeys(owners, 5000000))
    coins = [native(address=owner) for owner in owners]
    tokens = [native(address=owner, token=USDC, unit="USDC", critical="5 USDC", warn="6 USDC") for owner in owners]
    run = await lab.once(load("wallet_balance"), **options(*coins, *tokens))
    assert {verdict(run, f"base/{owner}") for owner in owners} == {(OK, "funded")}
    assert {verdict(run, f"base/{owner}/{USDC}") for owner in owners} == {(WARNING, "low")}
    # The chain's id, the block, the balances, the tokens', and once their decimals.
    assert len(lab.transport.requests) == 5
    assert verdict(run, "base") == (OK, "within_budget")


@pytest.mark.parametrize("program", [TOKEN_PROGRAM, TOKEN_2022_PROGRAM])
@pytest.mark.parametrize(("amount", "expected"), [(10_000_000, OK), (9_999_999, CRITICAL)])
async def test_tokens_of_both_programs(program: Pubkey, amount: int, expected: Status) -> None:
    lab = ChainLab()
    put_token(lab, program, amount)
    lab.svm.put(Account(OWNER, Pubkey(bytes(32)), 7_000_000_000, b"", False, 1))
    coin = {"chain": "solana_devnet", "address": str(OWNER), "critical": "5000000000 lamports", "warn": "8 SOL"}
    run = await lab.once(load("wallet_balance"), **options(spl(), coin))
    assert of("balance_floor", run, f"solana_devnet/{OWNER}/{MINT}")[0] is expected
    assert verdict(run, f"solana_devnet/{OWNER}") == (WARNING, "low")
    assert [len(one) for one in (lab.svm.asked("getMultipleAccounts"),)] == [1]


@pytest.mark.shows("wallet_balance", "CRITICAL below_floor")
async def test_a_token_account_given_by_its_own_address_and_one_that_is_not_there() -> None:
    lab = ChainLab()
    put_token(lab, TOKEN_PROGRAM, 11_000_000, at=OWNER)
    run = await lab.once(load("wallet_balance"), **options(spl()))
    assert verdict(run, f"solana_devnet/{OWNER}/{MINT}") == (OK, "funded")
    del lab.svm.accounts[str(OWNER)]
    run = await lab.once(load("wallet_balance"), **options(spl()))
    assert verdict(run, f"solana_devnet/{OWNER}/{MINT}") == (CRITICAL, "below_floor")


# -- what cannot be read ---------------------------------------------------------------------------------------------


async def test_one_chain_down_says_nothing_of_another() -> None:
    lab = ChainLab()
    lab.down["evm.test"] = ConnectError("refused", url=EVM)
    put_token(lab, TOKEN_PROGRAM, 11_000_000)
    run = await lab.once(load("wallet_balance"), **options(native(), spl()))
    assert verdict(run, "base") == (CRITICAL, "connect")
    assert verdict(run, f"base/{PUSHER}") == (UNKNOWN, "behind_endpoint")
    assert verdict(run, f"solana_devnet/{OWNER}/{MINT}") == (OK, "funded")
    lab.down["evm.test"] = Unauthorized("no", url=EVM, status=401)
    run = await lab.once(load("wallet_balance"), **options(native()))
    assert verdict(run, "base") == (UNKNOWN, "not_authorized")


async def test_a_token_fails_for_itself() -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = ETH
    lab.evm.holds(USDC, "WETH", 18, {})
    other = "0x" + "54" * 20
    lab.svm.put(Account(MINT, OWNER, 1, b"no mint", False, 1))
    run = await lab.once(
        load("wallet_balance"),
        **options(
            native(),
            native(token=USDC, unit="USDC", critical="5 USDC", warn="6 USDC"),
            native(token=other, unit="USDT", critical="5 USDT", warn="6 USDT"),
            spl(),
        ),
    )
    assert verdict(run, f"base/{PUSHER}") == (OK, "funded")
    assert verdict(run, f"base/{PUSHER}/{USDC}") == (UNKNOWN, "config")
    assert verdict(run, f"base/{PUSHER}/{other}")[0] is CRITICAL
    assert verdict(run, f"solana_devnet/{OWNER}/{MINT}") == (CRITICAL, "decode")
    assert verdict(run, "base") == (OK, "within_budget")


async def test_an_unknown_mint_is_named() -> None:
    lab = ChainLab()
    run = await lab.once(load("wallet_balance"), **options(spl()))
    assert verdict(run, f"solana_devnet/{OWNER}/{MINT}") == (CRITICAL, "no_such_feed")
    assert str(MINT) in result(run, f"solana_devnet/{OWNER}/{MINT}").verdicts[0].message


async def test_without_multicall3() -> None:
    lab = ChainLab()
    del lab.evm.contracts[MULTICALL3]
    lab.evm.balances[PUSHER] = ETH
    lab.evm.holds(USDC, "USDC", 6, {PUSHER: 7_000_000})
    wallets = (native(), native(token=USDC, unit="USDC", critical="5 USDC", warn="6 USDC"))
    run = await lab.once(load("wallet_balance"), **options(*wallets))
    assert run.status is OK


async def test_a_token_that_burns_all_gas_is_told_of_itself() -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = ETH
    lab.evm.holds(USDC, "USDC", 6, {})

    def burn(*_: Any) -> Any:
        raise Burn

    lab.evm.contracts[USDC].has("balanceOf(address)", ["uint256"], burn)
    wallets = (native(), native(token=USDC, unit="USDC", critical="5 USDC", warn="6 USDC"))
    run = await lab.once(load("wallet_balance"), **options(*wallets))
    assert verdict(run, f"base/{PUSHER}") == (OK, "funded")
    assert verdict(run, f"base/{PUSHER}/{USDC}")[0] is CRITICAL


# -- over time -------------------------------------------------------------------------------------------------------


async def minutes(lab: ChainLab, count: int, spend: int = 0) -> ProbeRun:
    for _ in range(count):
        lab.evm.balances[PUSHER] -= spend
        await lab.clock.advance(MINUTE)
    return lab.runs[-1]


@pytest.mark.shows("wallet_balance", "OK", "WARNING shortening_runway", "CRITICAL outflow")
async def test_runway_top_up_and_outflow() -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = 10 * ETH
    target = f"base/{PUSHER}"
    spend = ETH // 1000
    async with lab.watching(load("wallet_balance"), **options(native(), min_history=30 * MINUTE)):
        run = await minutes(lab, 20, spend)
        assert of("runway", run, target) == (SKIPPED, "pending")
        run = await minutes(lab, 40, spend)
        # 9.94 ETH at 1.44 ETH a day: 165 hours.
        assert of("runway", run, target) == (OK, "lasting")
        assert of("outflow", run, target) == (OK, "usual")
        lab.evm.balances[PUSHER] += 5 * ETH
        run = await minutes(lab, 2, spend)
        assert of("outflow", run, target) == (OK, "usual")
        (runway,) = (one for one in result(run, target).verdicts if one.check == "runway")
        assert "1.41836 ETH a day" in runway.message
        run = await minutes(lab, 1, 12 * ETH)
        assert of("outflow", run, target) == (CRITICAL, "outflow")
        (outflow,) = (one for one in result(run, target).verdicts if one.check == "outflow")
        assert outflow.value == 12
        assert "12 ETH left" in outflow.message
        # What was taken is not the rate: 2.9 ETH still last two days.
        assert of("runway", run, target) == (WARNING, "shortening_runway")
        run = await minutes(lab, 30, spend)
        assert of("outflow", run, target) == (CRITICAL, "outflow")
        run = await minutes(lab, 31, spend)
        assert of("outflow", run, target) == (OK, "usual")


async def test_a_configured_limit_needs_no_history() -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = 10 * ETH
    async with lab.watching(load("wallet_balance"), **options(native(max_outflow="500000000 gwei"))):
        run = await minutes(lab, 1, ETH // 2)
        assert of("outflow", run, f"base/{PUSHER}") == (OK, "usual")
        run = await minutes(lab, 1, ETH // 2 + 1)
        assert of("outflow", run, f"base/{PUSHER}") == (CRITICAL, "outflow")


async def test_a_lagging_endpoint_makes_neither_top_up_nor_outflow() -> None:
    lab = ChainLab()
    lab.evm.balances[PUSHER] = 2 * ETH
    target = f"base/{PUSHER}"
    async with lab.watching(load("wallet_balance"), **options(native(max_outflow="1 ETH"))):
        await minutes(lab, 3)
        # A balance of the past: what the wallet had before it was filled.
        lab.evm.behind, lab.evm.balances[PUSHER] = 400, 0
        run = await minutes(lab, 1)
        assert verdict(run, target) == (OK, "funded")
        run = await minutes(lab, 5)
        assert verdict(run, target) == (UNKNOWN, "old_state")
        lab.evm.behind, lab.evm.balances[PUSHER] = 0, 2 * ETH
        run = await minutes(lab, 1)
        assert verdict(run, target) == (OK, "funded")
        assert of("outflow", run, target) == (OK, "usual")


async def test_a_solana_node_that_stands_still_is_found_without_a_time_of_its_own() -> None:
    lab = ChainLab()
    put_token(lab, TOKEN_PROGRAM, 11_000_000)
    target = f"solana_devnet/{OWNER}/{MINT}"
    async with lab.watching(load("wallet_balance"), **options(spl())):
        await lab.clock.advance(2 * MINUTE)
        lab.svm.standing = lab.svm.slot
        for _ in range(7):
            await lab.clock.advance(MINUTE)
    assert verdict(lab.runs[-1], target) == (UNKNOWN, "old_state")


# -- configuration ---------------------------------------------------------------------------------------------------

WRONG = """
probe: wallet_balance
options:
  chains:
    base: {endpoints: ["http://evm.test/"]}
    nowhere: {endpoints: ["http://evm.test/"]}
    mine: {endpoints: ["http://evm.test/"], chain_id: 31337}
  wallets:
    - {chain: base, address: "0x5252525252525252525252525252525252525252", critical: 0.1 BTC}
    - {chain: base, address: "0x5252525252525252525252525252525252525253", critical: 0.1 ETH, warn: 10 gwei}
    - {chain: solana, address: "0x5252525252525252525252525252525252525252", critical: 1 SOL}
    - {chain: base, address: "0x52", critical: 1 ETH}
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "wallets.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_manifest(load("wallet_balance"), path)
    return "\n".join(caught.value.problems)


def test_wrong_wallets_are_told_in_one_pass(tmp_path: Path) -> None:
    told = refused(tmp_path, WRONG)
    for sentence in (
        "0.1 BTC is in an unknown unit; this balance is in ETH, wei, gwei",
        "warn must be above critical",
        "is on solana, which is not under chains",
        "'0x52' is not an address",
        "nowhere is not known; give it chain_id or genesis_hash",
        "mine is not known; say what its coin is called",
    ):
        assert sentence in told


def test_an_amount_needs_its_unit_and_a_token_its_name(tmp_path: Path) -> None:
    told = refused(tmp_path, WRONG.replace("0.1 BTC", "0.1").replace("critical: 1 ETH", 'critical: 1 ETH, token: "0x53"'))
    assert "0.1 has no unit; write a coin amount as 0.1 ETH or 250 USDC" in told
    assert "token and unit go together" in told


def test_a_chain_of_ones_own() -> None:
    module = module_of(load("wallet_balance"))
    mine = module.ChainOption(endpoints=(EVM,), chain_id=31337, native="TEST")
    cluster = module.ChainOption(endpoints=(SVM,), genesis_hash=GENESIS["testnet"], native="XSOL")
    wallets = (
        module.WalletOption(chain="mine", address=PUSHER, critical=Amount.parse("1 TEST")),
        module.WalletOption(chain="other", address=str(OWNER), critical=Amount.parse("1 XSOL")),
    )
    made = module.Options(chains={"mine": mine, "other": cluster}, wallets=wallets)
    assert module.native_of("mine", made.chains["mine"]) == ("TEST", 18)
    assert module.native_of("other", made.chains["other"]) == ("XSOL", 9)
    with pytest.raises(ValueError, match="given twice"):
        module.Options(chains={"mine": mine}, wallets=wallets[:1] * 2)
