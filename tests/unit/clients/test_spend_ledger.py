"""The ledger: the cap per day holds whatever happens, and nothing is guessed from a file that does not read."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit.clients.spend_ledger import CapReached, SpendLedger, ledger_at
from probekit.errors import SendRefused
from probekit.model.canary import DAY_NS, Caps, Coin, Spend, spent_in
from probekit.units import Amount, Instant

COIN = Coin("ETH", 18, {"wei": 18, "gwei": 9})
CAPS = Caps(100, 250)
HOUR_NS = DAY_NS // 24
T0 = 1_800_000_000 * 10**9


def spend(number: int, at_ns: int = T0, **more: Any) -> Spend:
    return Spend(**{"transaction": f"t{number}", "sent_at_ns": at_ns, "reserved": 100, "nonce": number, **more})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "ledger.json"
    made.touch()
    return made


async def test_it_is_read_again_as_it_was_written(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert (ledger.spends, ledger.last, ledger.open_spend, ledger.spent(Instant(T0))) == ((), None, None, 0)
        ledger.reserve(spend(1, note=(1, -2, 3)), caps=CAPS, coin=COIN, now=Instant(T0))
        assert ledger.open_spend == ledger.last
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.open_spend == spend(1, note=(1, -2, 3))
        ledger.settle("t1", "landed", paid=40)
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.open_spend is None
        assert ledger.spent(Instant(T0)) == 40
    assert not path.with_name("ledger.json.new").exists()
    assert path.stat().st_mode & 0o077 == 0


async def test_a_ledger_that_is_full_reads_again(path: Path) -> None:
    full = spend(
        10**6, reserved=1, paid=10**18, ended="landed", note=(T0, 10**15, 10**15, 10**18), max_fee=10**15,
        transaction="0x" + "a" * 64, contract="0x" + "b" * 40, feed="c" * 64, block=10**9,
    )  # fmt: skip
    kept = SpendLedger(path, chain="5", wallet="w", spends=(full,) * 9_999)
    kept.reserve(spend(1), caps=Caps(100, 10**20), coin=COIN, now=Instant(T0))
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert len(ledger.spends) == 10_000
        ledger.settle("t1", "landed", paid=1)
        with pytest.raises(CapReached, match="more than the ledger keeps"):
            ledger.reserve(spend(2), caps=Caps(100, 10**20), coin=COIN, now=Instant(T0))


async def test_one_at_a_time_and_under_its_caps(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        with pytest.raises(SendRefused, match=r"it may take 0\.000000000000000101 ETH, the cap is"):
            ledger.reserve(spend(1, reserved=101), caps=CAPS, coin=COIN, now=Instant(T0))
        assert path.read_bytes() == b""
        ledger.reserve(spend(1), caps=CAPS, coin=COIN, now=Instant(T0))
        with pytest.raises(SendRefused, match="t1 is under way"):
            ledger.reserve(spend(2), caps=CAPS, coin=COIN, now=Instant(T0))
        ledger.settle("t1", "dropped")
        ledger.reserve(spend(2), caps=CAPS, coin=COIN, now=Instant(T0))
        ledger.settle("t2", "landed", paid=60)
        # 100 that may still land, and 60.
        with pytest.raises(CapReached, match="are above the cap"):
            ledger.reserve(spend(3), caps=CAPS, coin=COIN, now=Instant(T0 + DAY_NS - 1))
        ledger.reserve(spend(3, T0 + DAY_NS), caps=CAPS, coin=COIN, now=Instant(T0 + DAY_NS))


async def test_of_one_nonce_one_is_paid(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        for number in range(4):
            ledger.reserve(spend(number, nonce=7), caps=CAPS, coin=COIN, now=Instant(T0))
            ledger.settle(f"t{number}", "dropped")
        assert ledger.spent(Instant(T0)) == 100
        ledger.reserve(spend(9, nonce=7), caps=CAPS, coin=COIN, now=Instant(T0))
        ledger.settle("t9", "landed", paid=30)
        assert ledger.spent(Instant(T0)) == 30


async def test_a_lock_keeps_others_out_and_ends_with_its_process(path: Path) -> None:
    code = textwrap.dedent("""
        import asyncio, os, sys
        from probekit.clients.spend_ledger import ledger_at
        async def main():
            async with ledger_at(sys.argv[1], chain="5", wallet="w"):
                print("held", flush=True)
                sys.stdin.readline()
                os._exit(1)  # As a crash would end it.
        asyncio.run(main())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SendRefused, match="in use"):
            async with ledger_at(path, chain="5", wallet="w"):
                pass
        other.communicate("\n")
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.spends == ()


async def test_a_link_to_it_is_the_same_ledger_with_the_same_lock(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to(path)
    async with ledger_at(link, chain="5", wallet="w") as ledger:
        with pytest.raises(SendRefused, match="in use"):
            async with ledger_at(path, chain="5", wallet="w"):
                pass
        ledger.reserve(spend(1), caps=CAPS, coin=COIN, now=Instant(T0))
    assert link.is_symlink()
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert [one.transaction for one in ledger.spends] == ["t1"]


async def test_one_with_two_names_is_refused(path: Path, tmp_path: Path) -> None:
    os.link(path, tmp_path / "other.json")
    with pytest.raises(SendRefused, match="has 2 names"):
        async with ledger_at(path, chain="5", wallet="w"):
            pass


async def test_an_end_that_a_reorganisation_undid_counts_as_reserved_again(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        ledger.reserve(spend(1), caps=CAPS, coin=COIN, now=Instant(T0))
        ledger.settle("t1", "landed", paid=30, block=7)
        assert (ledger.spent(Instant(T0)), ledger.open_spend) == (30, None)
        ledger.settle("t1", None)
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.spent(Instant(T0)) == 100
        assert ledger.open_spend is not None
        assert (ledger.open_spend.block, ledger.open_spend.paid) == (None, None)


@pytest.mark.parametrize("content", [b" ", b"{}", b"[]", b"null", b"\xff", b"[" * 5000, b'{"format": 1}', b"\0" * 100])
async def test_what_is_no_ledger_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SendRefused, match="nobody knows what was spent"):
        async with ledger_at(path, chain="5", wallet="w"):
            pass


async def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    cases = ((tmp_path / "none", "there is no ledger"), (tmp_path, "cannot be read"), (tmp_path / "a" / "b", "locked"))
    for wrong, words in cases:
        with pytest.raises(SendRefused, match=words):
            async with ledger_at(wrong, chain="5", wallet="w"):
                pass


async def test_what_a_crash_left_beside_it_changes_nothing(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        ledger.reserve(spend(1), caps=CAPS, coin=COIN, now=Instant(T0))
    path.with_name("ledger.json.new").write_bytes(b'{"format": 1, "cha')
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.open_spend == spend(1)
        ledger.settle("t1", "failed", paid=1)
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        assert ledger.spent(Instant(T0)) == 1


async def test_the_file_stays_small(path: Path) -> None:
    async with ledger_at(path, chain="5", wallet="w") as ledger:
        for day in range(6):
            at_ns = T0 + day * DAY_NS
            ledger.reserve(spend(day, at_ns), caps=CAPS, coin=COIN, now=Instant(at_ns))
            ledger.settle(f"t{day}", "landed", paid=1)
        assert [one.transaction for one in ledger.spends] == ["t4", "t5"]


Step = tuple[int, int, int, int]
STEPS = st.lists(
    # Hours passed, what is reserved, how it ends, which part of it is paid.
    st.tuples(st.integers(0, 9), st.integers(1, 120), st.integers(0, 3), st.integers(0, 100)),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
async def test_no_day_costs_more_than_the_cap(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """Each may land at once, be lost and land later (of one nonce only one), or be refused; the process restarts each time."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.json"
    path.touch()
    now_ns, nonce = T0, 0
    paid: list[tuple[int, int]] = []
    lost: tuple[int, int] | None = None
    for number, (hours, reserved, end, part) in enumerate(steps):
        now_ns += hours * HOUR_NS
        async with ledger_at(path, chain="5", wallet="w") as ledger:
            try:
                one = spend(number, now_ns, nonce=nonce, reserved=reserved)
                ledger.reserve(one, caps=CAPS, coin=COIN, now=Instant(now_ns))
            except SendRefused:
                continue
        async with ledger_at(path, chain="5", wallet="w") as ledger:
            if end == 0:
                ledger.settle(f"t{number}", "dropped")
                lost = max(lost or (0, 0), (reserved, now_ns))  # It lands in the end, unless another of its nonce does.
                continue
            cost = reserved * part // 100
            ledger.settle(f"t{number}", "landed" if end == 1 else "failed", paid=cost)
            paid.append((now_ns, cost))
            nonce, lost = nonce + 1, None
    if lost is not None:
        paid.append((lost[1], lost[0]))
    for at_ns, _ in paid:
        assert sum(cost for when_ns, cost in paid if at_ns - DAY_NS < when_ns <= at_ns) <= CAPS.per_day


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    later = (spend(1, T0 + 30 * DAY_NS),)
    assert spent_in(later, Instant(T0)) == 100


HUGE = 123456789012345678901


@pytest.mark.parametrize(
    ("text", "units"),
    [("1 ETH", 10**18), ("0.000000000000000001 ETH", 1), ("1.5 gwei", 1_500_000_000), (f"{HUGE} wei", HUGE)],
)
def test_amounts_are_exact(text: str, units: int) -> None:
    found = COIN.base_units(Amount.parse(text))
    assert found == units
    assert COIN.base_units(Amount(COIN.coins(found), "ETH")) == found


@pytest.mark.parametrize("text", ["1 SOL", "0.5 wei", "0.0000000000000000001 ETH"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="unit|part"):
        COIN.base_units(Amount.parse(text))


@pytest.mark.parametrize(("one", "day"), [(0, 1), (2, 1), (-1, 1), (0, 0)])
def test_caps_that_do_not_fit(one: int, day: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Caps(one, day)


def test_it_says_nothing_of_a_ledger_that_was_never_open(path: Path) -> None:
    ledger = SpendLedger(path.parent / "gone" / "l", chain="5", wallet="w", spends=())
    with pytest.raises(SendRefused, match="cannot be written"):
        ledger.reserve(spend(1), caps=CAPS, coin=COIN, now=Instant(T0))
    assert ledger.spends == ()
