"""The JavaScript clients that most Solana programs use, unaware of whose node they talk to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState

from probekit.dev.svm import tokens
from probekit.dev.svm.chain import Event, SlotBegan
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve
from tests.system.svm import clients

pytestmark = [pytest.mark.system, pytest.mark.svm, pytest.mark.timeout(120)]

SOL = 10**9
PYTH = Pubkey.from_string("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH")
PRICE, MINT = Pubkey([71] * 32), Pubkey([72] * 32)
MAGIC = bytes.fromhex("d4c3b2a1")


@pytest.fixture(scope="session")
def program() -> str:
    return clients.require()


@contextlib.asynccontextmanager
async def publishing(ledger: Ledger) -> AsyncIterator[None]:
    """An account that counts the slots, as a price that is published in each."""
    ledger.set_account(PRICE, MAGIC + bytes(300), owner=PYTH, since_genesis=True)

    def publish(event: Event) -> None:
        if isinstance(event, SlotBegan):
            ledger.set_account(PRICE, MAGIC + (event.slot % 2**32).to_bytes(4, "little") + bytes(300), owner=PYTH)

    stop = ledger.listen(publish)
    try:
        yield
    finally:
        stop()


async def test_solana_kit(program: str) -> None:
    ledger = Ledger(slot_time=clients.SLOT_TIME)
    ledger.set_account(Pubkey([73] * 32), b"something else", owner=PYTH, since_genesis=True)
    ledger.set_account(MINT, bytes(Mint(None, 10**9, 6, True)), owner=tokens.TOKEN, since_genesis=True)
    held = TokenAccount(MINT, PYTH, 1_500_000, None, TokenAccountState.Initialized, None, 0)
    ledger.set_account(Pubkey([74] * 32), bytes(held), owner=tokens.TOKEN, since_genesis=True)
    behind = Node(ledger)
    async with clients.living(ledger) as (_, served), serve(behind) as late, publishing(ledger):
        with behind.faults.behind_by(42):
            saw = await clients.run(program, "kit.mjs", served.http, served.ws, late.http)

    assert int(saw["slot"]["parent"]) == int(saw["slot"]["slot"]) - 1
    assert int(saw["slot"]["slot"]) - int(saw["slot"]["root"]) == ledger.finalized_after
    assert int(saw["root"]) >= int(saw["slot"]["root"])
    assert saw["health"] == "ok"
    assert (saw["epoch"]["epoch"], saw["rent"]) == ("1009", "2039280")
    assert saw["genesis"] == str(ledger.genesis_hash)
    assert (saw["funded"], saw["moved"]) == (str(5 * SOL), str(SOL))
    assert saw["logs"] == {
        "signature": saw["signature"],
        "err": None,
        "logs": [f"Program {'1' * 32} invoke [1]", f"Program {'1' * 32} success"],
    }
    assert saw["statuses"][0]["confirmationStatus"] in ("confirmed", "finalized")
    assert saw["record"]["version"] == 0
    assert saw["record"]["meta"]["fee"] == "5000"
    assert saw["record"]["meta"]["postBalances"][1] == str(SOL)
    assert saw["record"]["transaction"]["message"]["instructions"][0]["programIdIndex"] == 2
    assert saw["parsed"]["transaction"]["message"]["instructions"][0]["programId"] == "1" * 32
    assert [one["signature"] for one in saw["history"]] == [saw["signature"]]
    assert saw["fees"] > 0
    assert (saw["simulated"]["err"], saw["simulated"]["unitsConsumed"]) == (None, "150")
    assert (saw["preflight"]["known"], saw["preflight"]["custom"]) == (True, 1)
    assert any("insufficient lamports" in line for line in saw["preflight"]["logs"])
    assert saw["unhealthy"] == {"known": True, "numSlotsBehind": "42"}
    assert saw["tooMany"] == {"known": True, "message": "Too many inputs provided; max 100"}
    assert [one["pubkey"] for one in saw["accounts"]["value"]] == [str(PRICE)]
    assert saw["accounts"]["value"][0]["account"]["data"] == ["1MOyoQ==", "base64"]
    amount = saw["tokens"][0]["account"]["data"]["parsed"]["info"]["tokenAmount"]
    assert (amount["amount"], amount["uiAmountString"]) == ("1500000", "1.5")
    heard = [(int(one["slot"]), one["counter"]) for one in saw["changes"]]
    assert all(slot == counter for slot, counter in heard)
    assert [slot - heard[0][0] for slot, _ in heard] == [0, 1, 2]


async def test_solana_web3_js(program: str) -> None:
    ledger = Ledger(slot_time=clients.SLOT_TIME)
    async with clients.living(ledger) as (_, served), publishing(ledger):
        saw = await clients.run(program, "web3.mjs", served.http)
        assert saw["ws"] == served.ws, "the port after, found by the client"

    assert saw["slot"]["slot"] - saw["slot"]["root"] == ledger.finalized_after
    assert saw["airdrop"]["err"] is None
    assert (saw["funded"], saw["moved"], saw["fee"]) == (5 * SOL, SOL, 5000)
    assert saw["logs"]["signature"] == saw["signature"]
    assert saw["record"]["fee"] == 5000
    assert saw["record"]["signer"] is True
    assert saw["failure"]["name"] == "SendTransactionError"
    assert "custom program error: 0x1" in saw["failure"]["message"]
    assert any("insufficient lamports" in line for line in saw["failure"]["logs"])
    assert saw["fallback"] is True
    heard = [(one["slot"], one["counter"]) for one in saw["changes"]]
    assert all(slot == counter for slot, counter in heard)
    assert [slot - heard[0][0] for slot, _ in heard] == [0, 1, 2]


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("node", "no node on PATH"), ("modules", "not installed in build/node-svm"), ("lock", "are not the locked ones")],
)
@pytest.mark.parametrize("ci", ["", "true"])
def test_missing_clients_skip_here_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str, reason: str, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(clients, "MODULES", tmp_path)
    fake = tmp_path / "node"
    fake.write_text("#!/bin/sh\necho v20.18.1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere" if missing == "node" else tmp_path))
    if missing == "lock":
        (tmp_path / "node_modules").mkdir()
        (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(pytest.fail.Exception if ci else pytest.skip.Exception, match=reason):
        clients.require()


def test_old_node_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "node"
    fake.write_text("#!/bin/sh\necho v18.20.0\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(clients.Unavailable, match=r"node v18\.20\.0 is older than 20\.18"):
        clients.find()


def test_the_lock_names_no_registry_and_proves_every_package() -> None:
    lock = json.loads((clients.HERE / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 50
    assert [name for name, one in packages.items() if "resolved" in one] == []
    assert [name for name, one in packages.items() if not one["integrity"].startswith("sha512-")] == []
    asked = json.loads((clients.HERE / "package.json").read_text())["dependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked, "pinned"
