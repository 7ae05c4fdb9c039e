"""A Solana node that answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from probekit import errors
from probekit.clients.solana import GENESIS, SolanaClient
from probekit.codecs.solana.rpc import encode_account
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Account
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import PoolPolicy

KEYS = [Pubkey(bytes([number // 256, number % 256]) + bytes(30)) for number in range(1, 400)]
OWNER = Pubkey(bytes([9]) * 32)
SIGNATURE = base58(bytes([7]) * 64)
RAW = bytes([1]) + bytes([7]) * 64 + bytes([1, 0, 1, 2]) + bytes(KEYS[0]) + bytes(32) + bytes(32) + bytes([1, 1, 0, 0])
"""Signed by the first key, with one instruction of the system program that says nothing; its signature is ``SIGNATURE``."""


def account(key: Pubkey, data: bytes = b"data", lamports: int = 5) -> Account:
    return Account(key, OWNER, lamports, data, False, 100)


class Cluster:
    """One node: accounts, and methods that answer from functions of their parameters."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.accounts: dict[str, Account] = {}
        self.methods: dict[str, Callable[[list[Any]], Any]] = {
            "getGenesisHash": lambda _: GENESIS["devnet"],
            "getSlot": lambda _: 100,
            "getBlockHeight": lambda _: 90,
            "getHealth": lambda _: "ok",
            "getAccountInfo": lambda params: self.contextual(self.shown(params[0])),
            "getMultipleAccounts": self.multiple,
            "getBalance": lambda params: self.contextual(self.lamports(params[0])),
        }
        self.requests: list[list[dict[str, Any]]] = []
        self.transport = ReplyTransport(self.answer)
        self.client = SolanaClient(
            "http://node.test/",
            genesis_hash=GENESIS["devnet"],
            transport=self.transport,
            clock=self.clock,
            policy=PoolPolicy(rounds=1),
        )

    def lamports(self, key: str) -> int:
        return self.accounts[key].lamports if key in self.accounts else 0

    def shown(self, key: str) -> Any:
        found = self.accounts.get(key)
        return None if found is None else encode_account(found)

    def contextual(self, value: Any) -> Any:
        return {"context": {"slot": 100, "apiVersion": "3.0.1"}, "value": value}

    def multiple(self, params: list[Any]) -> Any:
        if len(params[0]) > 100:
            return errors.RpcError("Too many inputs provided; max 100", code=-32602)
        return self.contextual([self.shown(key) for key in params[0]])

    def add(self, *accounts: Account) -> None:
        self.accounts |= {str(one.key): one for one in accounts}

    def answer(self, request: Request) -> Response:
        asked = json.loads(request.body or b"")
        items = asked if isinstance(asked, list) else [asked]
        self.requests.append(items)
        answers = []
        for item in items:
            head = {"jsonrpc": "2.0", "id": item["id"]}
            try:
                value = self.methods[item["method"]](item["params"])
            except errors.RpcError as error:
                value = error
            if isinstance(value, errors.RpcError):
                answers.append(head | {"error": {"code": value.code, "message": value.message, "data": value.data}})
            else:
                answers.append(head | {"result": value})
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def asked(self, method: str) -> list[list[Any]]:
        return [item["params"] for items in self.requests for item in items if item["method"] == method]
