"""``wallet_balance`` on the real runtime over a real socket: SOL, SPL and Token-2022."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey as Key

from probekit.clients.solana import GENESIS, SolanaClient
from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.model import Status
from probekit.model.pubkey import Pubkey
from probekit.model.solana import TokenAccount, TokenMint
from probekit.runner import run_once
from probekit.units import Amount
from tests.support.sandbox import load, module_of, verdict

pytestmark = [pytest.mark.system, pytest.mark.svm]

SLOT = timedelta(milliseconds=50)
SOL = 10**9
MINT, MINT_2022 = Pubkey(bytes([41]) * 32), Pubkey(bytes([42]) * 32)


@dataclass
class Bank:
    """A node with one wallet on it."""

    ledger: Ledger
    url: str
    owner: Pubkey

    def give(self, mint: Pubkey, program: Pubkey, amount: int) -> None:
        """So much of a token of six decimals, in the account that the wallet has for it."""
        program_key = Key.from_bytes(bytes(program))
        self.ledger.set_account(Key.from_bytes(bytes(mint)), encode_mint(TokenMint(10**12, 6)), owner=program_key)
        held = encode_token_account(TokenAccount(mint, self.owner, amount))
        key = Key.from_bytes(bytes(associated_token(self.owner, mint, token_program=program)))
        self.ledger.set_account(key, held, owner=program_key)


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    ledger = Ledger(slot_time=SLOT)
    owner = Keypair().pubkey()
    async with ticking(ledger, every=SLOT), serve(Node(ledger)) as node:
        ledger.airdrop(owner, 5 * SOL)
        yield Bank(ledger, node.http, Pubkey(bytes(owner)))


@pytest.mark.shows("wallet_balance", "WARNING low", "CRITICAL below_floor")
async def test_coins_and_tokens_of_both_programs(bank: Bank) -> None:
    bank.give(MINT, TOKEN_PROGRAM, 10_000_000)
    bank.give(MINT_2022, TOKEN_2022_PROGRAM, 9_999_999)
    bank.ledger.settle()
    probe = load("wallet_balance")
    module = module_of(probe)
    async with SolanaClient(bank.url) as client:
        genesis_hash = await client.genesis_hash()
    address = str(bank.owner)
    ten = Amount.parse("10 USDC")
    wallets = (
        module.WalletOption(chain="local", address=address, critical=Amount.parse("1 SOL"), warn=Amount.parse("6 SOL")),
        module.WalletOption(chain="local", address=address, token=str(MINT), unit="USDC", critical=ten),
        module.WalletOption(chain="local", address=address, token=str(MINT_2022), unit="USDC", critical=ten),
        module.WalletOption(chain="local", address=address, token=address, unit="X", critical=Amount.parse("1 X")),
    )
    chains = {"local": module.ChainOption(endpoints=(bank.url,), genesis_hash=genesis_hash, native="SOL")}
    run = await run_once(probe, probe.options(chains=chains, wallets=wallets))
    assert verdict(run, "local") == (Status.OK, "within_budget")
    assert verdict(run, f"local/{address}") == (Status.WARNING, "low")
    assert verdict(run, f"local/{address}/{MINT}") == (Status.OK, "funded")
    assert verdict(run, f"local/{address}/{MINT_2022}") == (Status.CRITICAL, "below_floor")
    assert verdict(run, f"local/{address}/{address}") == (Status.CRITICAL, "decode")
    wrong = {"local": module.ChainOption(endpoints=(bank.url,), genesis_hash=GENESIS["testnet"], native="SOL")}
    run = await run_once(probe, probe.options(chains=wrong, wallets=wallets))
    assert verdict(run, "local") == (Status.CRITICAL, "wrong_chain")
