"""EvmClient: one chain, over a node with a token and Multicall3 on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth_account import Account

from probekit.clients.evm import EvmClient, Heads
from probekit.codecs.evm import erc20
from probekit.codecs.evm.contract import PreparedCall
from probekit.codecs.evm_rpc import transaction_hash
from probekit.errors import DeadlineExceeded, DecodeError, NotFound, SendRefused
from probekit.model.evm import Address
from probekit.transports.base import Request, Response
from probekit.transports.rpc import Endpoint, EndpointState
from tests.contract.clients.table import Case, Row, Table, errors_in, one_bad
from tests.contract.clients.wire import FIRST, SPARE, RpcWorld, Wire
from tests.unit.clients.contracts import HEAD, TIME_S, TOKEN, Contract, EvmNode
from tests.unit.codecs.test_evm_rpc import KEY, LOG, RECEIPT

CHAIN_ID = 5
ABOUT_THE_NODE = frozenset(("eth_chainId", "eth_blockNumber", "eth_syncing"))
WALLET = "0x" + "77" * 20
BROKEN = "0x" + "04" * 20
NOBODY = "0x" + "05" * 20
HASH = "0x" + "ab" * 32
RAW = bytes(
    Account.sign_transaction(
        {"nonce": 0, "gas": 21_000, "to": Address(TOKEN), "value": 7, "maxFeePerGas": 30, "maxPriorityFeePerGas": 2,
         "type": 2, "chainId": CHAIN_ID}, KEY,
    ).raw_transaction
)  # fmt: skip
SENT = transaction_hash(RAW)
CAP_WEI = 10**9


class Node(EvmNode):
    """With accounts, fees, a transaction and a token."""

    def __init__(self) -> None:
        super().__init__(chain_id=CHAIN_ID)
        token = self.contracts[TOKEN] = Contract()
        token.has("balanceOf(address)", ["uint256"], lambda _, owner: [41 if owner == WALLET else 0])
        for signature, returns, value in (
            ("name()", "string", "Coin"), ("symbol()", "string", "CN"), ("decimals()", "uint8", 6),
            ("totalSupply()", "uint256", 99),
        ):  # fmt: skip
            token.has(signature, [returns], lambda _, value=value: [value])
        self.contracts[BROKEN] = Contract()
        self.contracts[BROKEN].has("balanceOf(address)", ["bool"], lambda _, __: [True])
        self.contracts[BROKEN].run = lambda *_: b"\x01"  # type: ignore[method-assign]
        self.logs = [
            {**LOG, "address": TOKEN, "blockNumber": hex(number), "topics": [HASH], "logIndex": hex(number)}
            for number in (90, 91, 92)
        ]

    def answer(self, request: Request) -> Response:
        return self._reply(request)

    def eth_getBalance(self, _: str, __: str) -> str:
        return "0x7"

    def eth_getTransactionCount(self, _: str, __: str) -> str:
        return "0x9"

    def eth_syncing(self) -> bool:
        return False

    def eth_feeHistory(self, *_: Any) -> Any:
        return {
            "oldestBlock": hex(HEAD - 1), "baseFeePerGas": ["0x7", "0x8", "0x9"], "gasUsedRatio": [0.5, 1],
            "reward": [["0x1"], ["0x2"]],
        }  # fmt: skip

    def eth_getTransactionReceipt(self, _: str) -> Any:
        return {**RECEIPT, "transactionHash": HASH, "blockNumber": hex(HEAD), "blockHash": self.block_hash(HEAD)}

    def eth_sendRawTransaction(self, _: str) -> str:
        return SENT


def evm_world(
    node: EvmNode,
    answer: Callable[[Request], Response],
    spare: bool,
    make: Callable[[EvmClient], Any] = lambda client: client,
) -> RpcWorld:
    """A world of an EVM node; ``make`` gives the client under test out of the chain's."""

    def made(wire: Wire) -> Any:
        endpoints = [Endpoint(url, name=url) for url in ((FIRST, SPARE) if spare else (FIRST,))]
        return make(EvmClient(endpoints, chain_id=CHAIN_ID, transport=wire, clock=node.clock))

    def pool(client: Any) -> Any:
        return client.pool if isinstance(client, EvmClient) else client.evm.pool

    return RpcWorld(
        answer, node.clock, made, pool=pool, identity="eth_chainId", elsewhere="0x63", about_the_node=ABOUT_THE_NODE
    )


def world(spare: bool) -> RpcWorld:
    node = Node()
    return evm_world(node, node.answer, spare)


async def thrice(client: EvmClient) -> EndpointState:
    """The breaker takes three failures."""
    for _ in range(3):
        standings = await client.standings()
    return standings[FIRST].state


def holds(heads: Heads) -> bool:
    return (heads.latest.number, heads.finality_lag) == (HEAD, 0)


def instead_of(method: str, tag: str, value: Any) -> Any:
    return {method: lambda right, params: value if params[0] == tag else right}


TABLE = Table(
    EvmClient,
    world,
    [
        Row(
            "standings",
            thrice,
            EndpointState.ALIVE,
            empty=Case({"*": None}, EndpointState.UNREACHABLE),
            malformed=Case({"eth_blockNumber": {"head": "none"}}, EndpointState.UNREACHABLE),
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
        Row("block_number", lambda evm: evm.block_number(), HEAD),
        Row(
            "block",
            lambda evm: evm.block("safe"),
            lambda block: (block.number, block.timestamp) == (HEAD, TIME_S),
            empty=Case({"eth_getBlockByNumber": None}, NotFound),
        ),
        Row(
            "heads",
            lambda evm: evm.heads(),
            holds,
            empty=Case(instead_of("eth_getBlockByNumber", "finalized", None), lambda heads: heads.finality_lag is None),
            malformed=Case(
                instead_of("eth_getBlockByNumber", "safe", {"number": 7}),
                lambda heads: holds(heads) and isinstance(heads.safe, DecodeError),
            ),
            tells=lambda heads: errors_in([heads.safe, heads.finalized]),
        ),
        Row(
            "blocks",
            lambda evm: evm.blocks([90, 91, 92]),
            lambda blocks: [block.number for block in blocks] == [90, 91, 92],
            empty=Case({"eth_getBlockByNumber": None}, NotFound),
            malformed=Case(instead_of("eth_getBlockByNumber", hex(91), {"number": 7}), one_bad),
            tells=errors_in,
        ),
        Row("gas_fees", lambda evm: evm.gas_fees(2, percentiles=[50]), lambda fees: fees.next_base_fee == 9),
        Row("fee_history", lambda evm: evm.fee_history(2), lambda fees: fees.base_fees == (7, 8, 9)),
        Row("balance", lambda evm: evm.balance(WALLET), 7),
        Row(
            "balances",
            lambda evm: evm.balances([(WALLET, None), (WALLET, TOKEN), (NOBODY, TOKEN)]),
            lambda reads: (reads.values(), reads.block.number) == ((7, 41, 0), HEAD),
            empty=Case({"eth_getBlockByNumber": None}, NotFound),
            malformed=Case({"eth_getBalance": "0xno"}, lambda reads: one_bad(reads.results) and reads.results[1:] == (41, 0)),
            tells=lambda reads: errors_in(reads.results),
        ),
        Row("nonce", lambda evm: evm.nonce(WALLET), 9),
        Row("code", lambda evm: evm.code(TOKEN), b"\x60", empty=Case({"eth_getCode": "0x"}, b"")),
        Row("storage", lambda evm: evm.storage(TOKEN, 3), bytes(32), empty=Case({"eth_getStorageAt": "0x"}, bytes(32))),
        Row(
            "call",
            lambda evm: evm.call(TOKEN, erc20.balance_of(Address(WALLET)).data),
            (41).to_bytes(32, "big"),
            empty=Case({"eth_call": "0x", "eth_getCode": "0x"}, NotFound),
        ),
        Row(
            "read",
            lambda evm: evm.read(TOKEN, erc20.balance_of(Address(WALLET))),
            41,
            empty=Case({"eth_call": "0x"}, DecodeError),
            malformed=Case({"eth_call": "0x01"}, DecodeError),
        ),
        Row(
            "simulate",
            lambda evm: evm.simulate(PreparedCall(Address(TOKEN), erc20.balance_of(Address(WALLET)), 0)),
            41,
            empty=Case({"eth_call": "0x", "eth_getCode": "0x"}, NotFound),
            malformed=Case({"eth_call": "0x01"}, DecodeError),
        ),
        Row(
            "multicall",
            lambda evm: evm.multicall([(TOKEN, erc20.balance_of(Address(one))) for one in (WALLET, NOBODY)]),
            lambda reads: (reads.values(), reads.route) == ((41, 0), "multicall3"),
            # Nothing stands where Multicall3 does elsewhere: each read is a call of its own.
            empty=Case(
                {"eth_call": lambda right, params: right if params[0]["to"].lower() == TOKEN else "0x"},
                lambda reads: (reads.values(), reads.route) == ((41, 0), "batch"),
            ),
            malformed=Case({"eth_call": "0x01"}, DecodeError),
            tells=lambda reads: errors_in(reads.results),
        ),
        Row(
            "token_balance",
            lambda evm: evm.token_balance(TOKEN, WALLET),
            41,
            malformed=Case({"eth_call": "0x01"}, DecodeError),
        ),
        Row(
            "token_balances",
            lambda evm: evm.token_balances([(TOKEN, WALLET), (BROKEN, WALLET), (TOKEN, NOBODY)]),
            lambda reads: one_bad(reads.results) and reads.results[::2] == (41, 0),
            empty=Case({"eth_getBlockByNumber": None}, NotFound),
            malformed=Case({}, lambda reads: one_bad(reads.results)),
            tells=lambda reads: errors_in(reads.results),
        ),
        Row(
            "token",
            lambda evm: evm.token(TOKEN),
            lambda token: (token.name, token.symbol, token.decimals) == ("Coin", "CN", 6),
            empty=Case({"eth_call": "0x", "eth_getCode": "0x"}, NotFound),
            malformed=Case({"eth_call": "0x01"}, NotFound),
        ),
        Row(
            "logs",
            lambda evm: evm.logs(from_block=90, to_block=92, address=TOKEN),
            lambda logs: [log.block_number for log in logs] == [90, 91, 92],
            empty=Case({"eth_getLogs": []}, []),
            malformed=Case({"eth_getLogs": lambda right, _: [{"topics": 7}, *right]}, one_bad),
            tells=errors_in,
        ),
        Row(
            "send",
            lambda evm: evm.send(RAW, cap_wei=CAP_WEI),
            SENT,
            instead={"wrong_chain": SendRefused},
        ),
        Row(
            "rebroadcast",
            lambda evm: evm.rebroadcast(RAW, cap_wei=CAP_WEI),
            lambda made: (made.transaction, made.taken) == (SENT, True),
            tells=lambda made: list(made.errors.values()),
            instead={"wrong_chain": SendRefused},
        ),
        Row(
            "receipt",
            lambda evm: evm.receipt(HASH),
            lambda receipt: receipt.succeeded and not errors_in(receipt.logs),
            empty=Case({"eth_getTransactionReceipt": None}, None),
            malformed=Case(
                {"eth_getTransactionReceipt": lambda right, _: {**right, "logs": [*right["logs"], 7]}},
                lambda receipt: receipt.succeeded and one_bad(receipt.logs),
            ),
        ),
        Row(
            "wait",
            lambda evm: evm.wait(HASH),
            lambda landing: (landing.confirmations, landing.receipt.succeeded) == (1, True),
            empty=Case({"eth_getTransactionReceipt": None}, DeadlineExceeded),
            within_s=180,
            # It waits on while nobody answers.
            instead=dict.fromkeys(("http_429", "http_5xx", "hang"), DeadlineExceeded),
        ),
    ],
)
