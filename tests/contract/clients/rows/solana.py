"""SolanaClient: one cluster, with a wallet, its tokens and a transaction on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probekit.clients.solana import GENESIS, SolanaClient
from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from probekit.codecs.solana.rpc import encode_account
from probekit.codecs.solana.token import encode_mint, encode_token_account
from probekit.errors import DeadlineExceeded, DecodeError, NotFound, SendRefused
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Account, NodeHealth, TokenAccount, TokenExtension, TokenMint
from probekit.transports.rpc import Endpoint, EndpointState
from tests.contract.clients.table import Case, Row, Table, collect, errors_in, one_bad
from tests.contract.clients.wire import FIRST, SPARE, RpcWorld, Wire
from tests.unit.clients.cluster import KEYS, RAW, SIGNATURE, Cluster, account

ABOUT_THE_NODE = frozenset(("getGenesisHash", "getSlot", "getHealth"))
WALLET, PROGRAM = KEYS[0], KEYS[9]
MINT, MINT_2022 = KEYS[1], KEYS[2]
HELD, HELD_2022 = KEYS[3], KEYS[4]
BLOCKHASH = base58(bytes([8]) * 32)
STATUS = {"slot": 90, "confirmations": None, "err": None, "confirmationStatus": "finalized", "status": {"Ok": None}}
ROW = {"signature": SIGNATURE, "slot": 90, "err": None, "memo": None, "blockTime": 5, "confirmationStatus": "finalized"}
OLDER = ROW | {"signature": base58(bytes([6]) * 64)}


class TokenCluster(Cluster):
    """A wallet that holds one token of each program."""

    def __init__(self) -> None:
        super().__init__()
        mint = encode_mint(TokenMint(1_000, 2))
        mint_2022 = encode_mint(TokenMint(1_000, 6, extensions=(TokenExtension(3, bytes(32)),)))
        held = encode_token_account(TokenAccount(MINT, WALLET, 150))
        held_2022 = encode_token_account(TokenAccount(MINT_2022, WALLET, 7, extensions=(TokenExtension(7, b""),)))
        self.add(
            account(WALLET, b"", lamports=1_000_000),
            Account(MINT, TOKEN_PROGRAM, 1, mint, False, 100),
            Account(MINT_2022, TOKEN_2022_PROGRAM, 1, mint_2022, False, 100),
            Account(HELD, TOKEN_PROGRAM, 1, held, False, 100),
            Account(HELD_2022, TOKEN_2022_PROGRAM, 1, held_2022, False, 100),
        )
        self.methods |= {
            "getEpochInfo": lambda _: {"epoch": 1, "slotIndex": 2, "slotsInEpoch": 432, "absoluteSlot": 100, "blockHeight": 90},
            "getRecentPrioritizationFees": lambda _: [
                {"slot": 98, "prioritizationFee": 0},
                {"slot": 99, "prioritizationFee": 7},
            ],
            "getFirstAvailableBlock": lambda _: 12,
            "getVersion": lambda _: {"solana-core": "3.0.1", "feature-set": 7},
            "getProgramAccounts": lambda _: self.contextual(self.listed(HELD, MINT)),
            "getTokenAccountsByOwner": self.tokens,
            "getLatestBlockhash": lambda _: self.contextual({"blockhash": BLOCKHASH, "lastValidBlockHeight": 150}),
            "simulateTransaction": self.simulated,
            "sendTransaction": lambda _: SIGNATURE,
            "getSignatureStatuses": lambda params: self.contextual([STATUS] * len(params[0])),
            "getTransaction": lambda _: {"slot": 90, "meta": {"err": None, "logMessages": ["Program log: fine"]}},
            "getSignaturesForAddress": lambda params: [ROW, ROW] if "before" not in params[1] else [OLDER],
        }

    def listed(self, *keys: Pubkey) -> list[Any]:
        return [{"pubkey": str(key), "account": encode_account(self.accounts[str(key)])} for key in keys]

    def tokens(self, params: list[Any]) -> Any:
        held = {str(TOKEN_PROGRAM): HELD, str(TOKEN_2022_PROGRAM): HELD_2022, None: HELD}[params[1].get("programId")]
        return self.contextual(self.listed(held))

    def simulated(self, params: list[Any]) -> Any:
        wanted = params[1].get("accounts", {}).get("addresses", [])
        value = {
            "err": None,
            "logs": ["Program log: fine"],
            "accounts": [self.shown(key) for key in wanted],
            "unitsConsumed": 5,
        }
        return self.contextual(value)


def svm_world(cluster: Cluster, spare: bool, make: Callable[[SolanaClient], Any] = lambda client: client) -> RpcWorld:
    """A world of a Solana node; ``make`` gives the client under test out of the cluster's."""

    def made(wire: Wire) -> Any:
        endpoints = [Endpoint(url, name=url) for url in ((FIRST, SPARE) if spare else (FIRST,))]
        return make(SolanaClient(endpoints, genesis_hash=GENESIS["devnet"], transport=wire, clock=cluster.clock))

    def pool(client: Any) -> Any:
        return client.pool if isinstance(client, SolanaClient) else client.solana.pool

    return RpcWorld(
        cluster.answer, cluster.clock, made, pool=pool, identity="getGenesisHash", elsewhere=GENESIS["testnet"],
        about_the_node=ABOUT_THE_NODE,
    )  # fmt: skip


def world(spare: bool) -> RpcWorld:
    return svm_world(TokenCluster(), spare)


async def thrice(solana: SolanaClient) -> EndpointState:
    """The breaker takes three failures."""
    for _ in range(3):
        standings = await solana.standings()
    return standings[FIRST].state


def nothing(method: str) -> dict[str, Any]:
    """An answer of the right shape about something that does not exist."""
    return {method: lambda right, _: right | {"value": None}}


def without_items(method: str) -> dict[str, Any]:
    return {method: lambda right, _: right | {"value": []}}


def with_a_bad_item(method: str) -> dict[str, Any]:
    """The last item of a list replaced by what is none."""
    return {method: lambda right, _: right | {"value": [*right["value"][:-1], {"pubkey": "?"}]}}


def _bad_account(right: Any, _: Any) -> Any:
    value = right["value"]
    return right | {"value": value | {"accounts": [value["accounts"][0], 7]}}


with_a_bad_account = {"simulateTransaction": _bad_account}


TABLE = Table(
    SolanaClient,
    world,
    [
        Row("slot", lambda sol: sol.slot(), 100),
        Row("block_height", lambda sol: sol.block_height(), 90),
        Row("oldest_slot", lambda sol: sol.oldest_slot(), 12),
        Row("genesis_hash", lambda sol: sol.genesis_hash(), GENESIS["devnet"]),
        Row("epoch", lambda sol: sol.epoch(), lambda epoch: (epoch.epoch, epoch.slots_left) == (1, 430)),
        Row(
            "priority_fees",
            lambda sol: sol.priority_fees(),
            lambda fees: ([one.micro_lamports for one in fees.slots], fees.errors) == ([0, 7], ()),
            empty=Case({"getRecentPrioritizationFees": []}, lambda fees: fees.slots == ()),
            malformed=Case(
                {"getRecentPrioritizationFees": lambda right, _: [*right, {"slot": "?"}]},
                lambda fees: (len(fees.slots), len(fees.errors)) == (2, 1),
            ),
        ),
        Row("version", lambda sol: sol.version(), lambda version: version.core == "3.0.1"),
        Row("health", lambda sol: sol.health(), NodeHealth(True)),
        Row(
            "standings",
            thrice,
            EndpointState.ALIVE,
            empty=Case({"*": None}, EndpointState.UNREACHABLE),
            malformed=Case({"getSlot": {"head": "none"}}, EndpointState.UNREACHABLE),
            within_s=30,
            excused={
                "rpc_error": "a state is about reaching a node; one that answers with an error object was reached",
                "spare": "it tells of each endpoint, whatever the others do",
            },
            instead={
                "http_429": EndpointState.LIMITED,
                "http_5xx": EndpointState.UNREACHABLE,
                "hang": EndpointState.UNREACHABLE,
                "wrong_chain": EndpointState.WRONG_CHAIN,
            },
        ),
        Row(
            "account",
            lambda sol: sol.account(WALLET),
            lambda found: (found.key, found.lamports, found.slot) == (WALLET, 1_000_000, 100),
            empty=Case(nothing("getAccountInfo"), None),
        ),
        Row(
            "accounts",
            lambda sol: sol.accounts([WALLET, MINT, HELD]),
            lambda found: [one.key for one in found] == [WALLET, MINT, HELD],
            empty=Case({"getMultipleAccounts": lambda right, _: right | {"value": [None] * 3}}, [None] * 3),
            malformed=Case(with_a_bad_item("getMultipleAccounts"), one_bad),
            tells=errors_in,
        ),
        Row(
            "accounts_at",
            lambda sol: sol.accounts_at([WALLET, MINT, HELD]),
            lambda found: [(slot, one.key) for slot, one in found] == [(100, WALLET), (100, MINT), (100, HELD)],
            empty=Case({"getMultipleAccounts": lambda right, _: right | {"value": [None] * 3}}, [(100, None)] * 3),
            malformed=Case(with_a_bad_item("getMultipleAccounts"), lambda found: one_bad([one for _, one in found])),
            tells=lambda found: errors_in([one for _, one in found]),
        ),
        Row(
            "program_accounts",
            lambda sol: sol.program_accounts(PROGRAM, data_size=165, memcmp=[(32, bytes(WALLET))], data_slice=(0, 8)),
            lambda found: ([one.key for one in found.items], found.slot) == ([HELD, MINT], 100),
            empty=Case(without_items("getProgramAccounts"), lambda found: found.items == ()),
            malformed=Case(with_a_bad_item("getProgramAccounts"), lambda found: one_bad(found.items)),
        ),
        Row("balance", lambda sol: sol.balance(WALLET), lambda found: (found.lamports, found.slot) == (1_000_000, 100)),
        Row(
            "token_account",
            lambda sol: sol.token_account(HELD_2022),
            lambda found: (found.mint, found.amount, len(found.extensions)) == (MINT_2022, 7, 1),
            empty=Case(nothing("getAccountInfo"), NotFound),
        ),
        Row(
            "token_balance",
            lambda sol: sol.token_balance(HELD),
            lambda found: str(found) == "1.50",
            empty=Case(nothing("getAccountInfo"), NotFound),
        ),
        Row(
            "token_holdings",
            lambda sol: sol.token_holdings(WALLET),
            lambda found: [(one.key, str(one.amount)) for one in found] == [(HELD, "1.50"), (HELD_2022, "0.000007")],
            empty=Case(without_items("getTokenAccountsByOwner"), []),
            malformed=Case(with_a_bad_item("getMultipleAccounts"), one_bad),
            tells=errors_in,
        ),
        Row("blockhash", lambda sol: sol.blockhash(), lambda found: found.last_valid_block_height == 150),
        Row(
            "simulate",
            lambda sol: sol.simulate(RAW, accounts=[WALLET, MINT]),
            lambda found: (found.succeeded, [one.key for one in found.accounts]) == (True, [WALLET, MINT]),
            malformed=Case(with_a_bad_account, lambda found: found.succeeded and one_bad(found.accounts)),
        ),
        Row(
            "send",
            lambda sol: sol.send(RAW, payer=WALLET, cap_lamports=10_000),
            SIGNATURE,
            # It fails at what is asked before it goes out; test_sends breaks the sending itself.
            empty=Case({"*": None}, SendRefused),
            malformed=Case({"*": 7}, SendRefused),
            instead=dict.fromkeys(("rpc_error", "http_429", "http_5xx", "hang", "wrong_chain"), SendRefused),
        ),
        Row(
            "rebroadcast",
            lambda sol: sol.rebroadcast(RAW, payer=WALLET, cap_lamports=10_000),
            lambda made: (made.transaction, made.taken) == (SIGNATURE, True),
            empty=Case({"*": None}, SendRefused),
            malformed=Case({"*": 7}, SendRefused),
            instead=dict.fromkeys(("rpc_error", "http_429", "http_5xx", "hang", "wrong_chain"), SendRefused),
        ),
        Row(
            "statuses",
            lambda sol: sol.statuses([SIGNATURE] * 3),
            lambda found: [one.slot for one in found] == [90] * 3,
            empty=Case({"getSignatureStatuses": lambda right, _: right | {"value": [None] * 3}}, [None] * 3),
            malformed=Case(with_a_bad_item("getSignatureStatuses"), one_bad),
            tells=errors_in,
        ),
        Row(
            "transaction_logs",
            lambda sol: sol.transaction_logs([SIGNATURE] * 2),
            lambda found: [one.logs for one in found] == [("Program log: fine",)] * 2,
            empty=Case({"getTransaction": None}, [None] * 2),
            malformed=Case({"getTransaction": {"slot": 9, "meta": {"err": None, "logMessages": None}}}, DecodeError),
            tells=errors_in,
        ),
        Row(
            "confirm",
            lambda sol: sol.confirm(SIGNATURE, last_valid_block_height=80),
            lambda found: found.outcome == "landed",
            empty=Case(
                {"getSignatureStatuses": lambda right, _: right | {"value": [None]}},
                lambda found: (found.outcome, found.block_height) == ("expired", 90),
            ),
            within_s=180,
            # It waits on while nobody answers.
            instead=dict.fromkeys(("http_429", "http_5xx", "hang"), DeadlineExceeded),
        ),
        Row(
            "signatures_for",
            lambda sol: sol.signatures_for(WALLET),
            lambda found: [one.signature for one in found] == [SIGNATURE] * 2,
            empty=Case({"getSignaturesForAddress": []}, ()),
            malformed=Case({"getSignaturesForAddress": [ROW, 7]}, one_bad),
            tells=errors_in,
        ),
        Row(
            "signature_pages",
            lambda sol: collect(sol.signature_pages(WALLET, page=2)),
            lambda pages: [len(page) for page in pages] == [2, 1],
            empty=Case({"getSignaturesForAddress": []}, []),
            malformed=Case(
                {"getSignaturesForAddress": lambda right, params: right if "before" in params[1] else [7, ROW]},
                lambda pages: one_bad(pages[0]) and len(pages) == 2,
            ),
            within_s=20,
        ),
    ],
)
