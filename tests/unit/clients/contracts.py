"""An EVM node with contracts on it, written with eth_abi: Multicall3, Pyth's contract and its Wormhole receiver."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from eth_abi import abi as eth_abi
from eth_utils.crypto import keccak

from probekit.clients.evm import EvmClient
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.rpc import Endpoint, PoolPolicy

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
PYTH = "0x" + "01" * 20
RECEIVER = "0x" + "02" * 20
TOKEN = "0x" + "03" * 20
IMPLEMENTATION = "0x" + "0a" * 20
IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
HEAD, TIME_S = 100, 1_700_000_000

PRICE = "(int64,uint64,int32,uint256)"
FEED = f"(bytes32,{PRICE},{PRICE})"
SOURCE = "(uint16,bytes32)"
VM = "(uint8,uint32,uint32,uint16,bytes32,uint64,uint8,bytes,uint32,(bytes32,bytes32,uint8,uint8)[],bytes32)"

Body = Callable[..., Sequence[Any]]


class Revert(Exception):
    """With revert data: a custom error's name, or bytes."""

    def __init__(self, what: str | bytes = b"") -> None:
        self.data = keccak(text=f"{what}()")[:4] if isinstance(what, str) else what


class Burn(Exception):
    """All gas is used up: whatever comes after it in the same call fails without a word."""


class Refused(Exception):
    """The node's own error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.error = {"code": code, "message": message} | ({"data": data} if data is not None else {})


class Contract:
    """Functions by signature: ``body(tx, *arguments)`` gives the return values."""

    def __init__(self) -> None:
        self.functions: dict[bytes, tuple[list[str], list[str], Body]] = {}

    def has(self, signature: str, returns: Sequence[str], body: Body) -> None:
        inside = signature[signature.index("(") + 1 : -1]
        self.functions[keccak(text=signature)[:4]] = (_split(inside), list(returns), body)

    def lacks(self, signature: str) -> None:
        del self.functions[keccak(text=signature)[:4]]

    def run(self, data: bytes, tx: dict[str, Any]) -> bytes:
        if data[:4] not in self.functions:
            raise Revert
        takes, returns, body = self.functions[data[:4]]
        return bytes(eth_abi.encode(returns, body(tx, *eth_abi.decode(takes, data[4:]))))


def _split(types: str) -> list[str]:
    found, depth = [""], 0
    for letter in types:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [one for one in found if one]


class EvmNode:
    """One node at block 100. ``takes_hash``: EIP-1898; ``takes_overrides``: state overrides; ``max_call``: items in a
    Multicall3 call before it runs out of gas. ``rich``: anybody can pay. ``max_body``: bytes that its server takes.
    """

    def __init__(self, *, chain_id: int = 5, max_batch: int = 100, **options: Any) -> None:
        self.clock = FakeClock()
        self.chain_id = chain_id
        self.takes_hash = self.takes_overrides = True
        self.rich = True
        self.max_call = 10_000
        self.max_body = 5_000_000
        self.fault: Callable[[str, list[Any]], Any] | None = None
        self.contracts: dict[str, Contract] = {MULTICALL3: Contract()}
        self.contracts[MULTICALL3].has("aggregate3((address,bool,bytes)[])", ["(bool,bytes)[]"], self._aggregate3)
        self.storage: dict[tuple[str, str], str] = {}
        self.logs: list[dict[str, Any]] = []
        self.seen: list[tuple[str, list[Any]]] = []
        self.requests = 0
        self.client = EvmClient(
            Endpoint("http://node.test/", max_batch=max_batch),
            chain_id=chain_id,
            transport=ReplyTransport(self._reply),
            clock=self.clock,
            policy=PoolPolicy(rounds=1),
            **options,
        )

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.seen if name == method]

    @staticmethod
    def block_hash(number: int) -> str:
        return "0x" + number.to_bytes(32, "big").hex()

    def _reply(self, request: Request) -> Response:
        self.requests += 1
        if len(request.body or b"") > self.max_body:
            return reply(413, "too large", clock=self.clock)
        asked = json.loads(request.body or b"")
        items = asked if isinstance(asked, list) else [asked]
        answers = [self._item(item) for item in items]
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": item["id"]}
        self.seen.append((item["method"], item["params"]))
        try:
            if self.fault is not None and (found := self.fault(item["method"], item["params"])) is not None:
                return head | {"result": found}
            return head | {"result": getattr(self, item["method"])(*item["params"])}
        except Refused as refused:
            return head | {"error": refused.error}
        except Revert as revert:
            return head | {"error": {"code": 3, "message": "execution reverted", "data": "0x" + revert.data.hex()}}
        except Burn:
            return head | {"error": {"code": -32000, "message": "out of gas"}}

    # -- methods ---------------------------------------------------------------------------------------------------------------

    def eth_chainId(self) -> str:
        return hex(self.chain_id)

    def eth_blockNumber(self) -> str:
        return hex(HEAD)

    def eth_getBlockByNumber(self, at: str, _: bool) -> Any:
        number = self._number(at)
        return {
            "number": hex(number), "hash": self.block_hash(number), "parentHash": self.block_hash(number - 1),
            "timestamp": hex(TIME_S + number - HEAD), "gasLimit": "0x1", "gasUsed": "0x0",
        }  # fmt: skip

    def eth_getCode(self, address: str, _: Any) -> str:
        return "0x60" if address.lower() in self.contracts else "0x"

    def eth_getStorageAt(self, address: str, slot: str, _: Any) -> str:
        return self.storage.get((address.lower(), slot), "0x" + "00" * 32)

    def eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)

        def fits(log: dict[str, Any]) -> bool:
            for wanted, topic in zip(query["topics"], log["topics"], strict=False):
                if wanted is not None and topic not in ([wanted] if isinstance(wanted, str) else wanted):
                    return False
            return first <= int(log["blockNumber"], 16) <= last and log["address"] == query["address"].lower()

        return [log for log in self.logs if fits(log)]

    def eth_call(self, tx: dict[str, Any], at: Any, overrides: Any = None) -> str:
        if isinstance(at, dict) and not self.takes_hash:
            raise Refused(-32602, "invalid argument 1: cannot unmarshal object into Go value of type string")
        if overrides is not None and not self.takes_overrides:
            raise Refused(-32602, "too many arguments, want at most 2")
        tx = tx | {"value": int(tx.get("value", "0x0"), 16), "number": self._number(at)}
        if tx["value"] and not self.rich and tx.get("from") not in (overrides or {}):
            raise Refused(-32000, "insufficient funds for transfer")
        return "0x" + self.run(tx["to"].lower(), bytes.fromhex(tx["data"][2:]), tx).hex()

    def run(self, to: str, data: bytes, tx: dict[str, Any]) -> bytes:
        return self.contracts[to].run(data, tx) if to in self.contracts else b""

    def _number(self, at: Any) -> int:
        if isinstance(at, dict):
            return int(at["blockHash"], 16)
        return HEAD if at in ("latest", "safe", "finalized") else int(at, 16)

    def _aggregate3(self, tx: dict[str, Any], rows: Sequence[Any]) -> Sequence[Any]:
        if len(rows) > self.max_call:
            raise Burn
        results: list[tuple[bool, bytes]] = []
        burnt = False
        for target, may_fail, data in rows:
            assert may_fail
            try:
                if burnt:
                    raise Revert
                results.append((True, self.run(target, data, tx | {"value": 0})))
            except Revert as revert:
                results.append((False, revert.data))
            except Burn:
                burnt = True
                results.append((False, b""))
        return [results]


class Receiver(Contract):
    """A Wormhole receiver with one set in force."""

    def __init__(self, index: int, guardians: Sequence[bytes], quorum: int) -> None:
        super().__init__()
        held = {index: (["0x" + one.hex() for one in guardians], 0)}
        self.has("getCurrentGuardianSetIndex()", ["uint32"], lambda _: [index])
        self.has("getGuardianSet(uint32)", ["(address[],uint32)"], lambda _, number: [held.get(number, ([], 0))])
        self.has("getGuardianSetExpiry()", ["uint32"], lambda _: [86_400])
        self.has("chainId()", ["uint16"], lambda _: [10_002])
        self.has("governanceChainId()", ["uint16"], lambda _: [1])
        self.has("governanceContract()", ["bytes32"], lambda _: [bytes(31) + b"\x04"])

        def verify(_: Any, vm: Sequence[Any]) -> Sequence[Any]:
            if vm[8] not in held:
                return [False, "invalid guardian set"]
            return [False, "no quorum" if len(vm[9]) < quorum else "VM signature invalid"]

        self.has(f"verifyVM({VM})", ["bool", "string"], verify)
        vm: tuple[Any, ...] = (1, 5, 6, 26, b"e" * 32, 7, 1, b"AUWV", index, [], b"h" * 32)

        def judge(_: Any, vaa: bytes) -> Sequence[Any]:
            return [vm, vaa == b"good", "" if vaa == b"good" else "no quorum"]

        self.has("parseAndVerifyVM(bytes)", [VM, "bool", "string"], judge)


class Pyth(Contract):
    """Pyth's contract of the newest implementation, with some feeds; it takes the updates ``b"good"``, a wei each."""

    def __init__(self, sources: Sequence[tuple[int, bytes]]) -> None:
        super().__init__()
        self.feeds: dict[bytes, tuple[Any, Any]] = {}
        for signature, ema in (("getPriceUnsafe", 0), ("getEmaPriceUnsafe", 1)):
            self.has(f"{signature}(bytes32)", [PRICE], lambda _, feed, ema=ema: [self._stored(feed)[ema]])
        for signature, ema in (("getPriceNoOlderThan", 0), ("getEmaPriceNoOlderThan", 1)):
            self.has(f"{signature}(bytes32,uint256)", [PRICE], lambda tx, feed, age, ema=ema: [self._young(tx, feed, age)[ema]])
        self.has("queryPriceFeed(bytes32)", [FEED], lambda _, feed: [(feed, *self._stored(feed))])
        self.has("latestPriceInfoPublishTime(bytes32)", ["uint64"], lambda _, feed: [self.feeds.get(feed, ((0,) * 4,))[0][3]])
        for signature, returns, value in (
            ("getValidTimePeriod()", "uint256", 60),
            ("validTimePeriodSeconds()", "uint256", 60),
            ("version()", "string", "1.4.5"),
            ("chainId()", "uint16", 10_002),
            ("wormhole()", "address", RECEIVER),
            ("validDataSources()", f"{SOURCE}[]", list(sources)),
            ("governanceDataSource()", SOURCE, (1, b"g" * 32)),
            ("governanceDataSourceIndex()", "uint32", 0),
            ("lastExecutedGovernanceSequence()", "uint64", 77),
            ("singleUpdateFeeInWei()", "uint256", 1),
            ("transactionFeeInWei()", "uint256", 0),
            ("owner()", "address", "0x" + "00" * 20),
            ("pythUpgradableMagic()", "uint32", 0x97A6F304),
        ):
            self.has(signature, [returns], lambda _, value=value: [value])
        self.has("getUpdateFee(bytes[])", ["uint256"], lambda _, updates: [self._fee(updates)])
        self.has("getTwapUpdateFee(bytes[])", ["uint256"], lambda _, updates: [len(updates)])
        self.has("updatePriceFeeds(bytes[])", [], self._paid)
        self.has("updatePriceFeedsIfNecessary(bytes[],bytes32[],uint64[])", [], self._if_necessary)
        window = "bytes[],bytes32[],uint64,uint64"
        for name in ("parsePriceFeedUpdates", "parsePriceFeedUpdatesUnique"):
            self.has(f"{name}({window})", [f"{FEED}[]"], lambda *given: [self._parse(*given)])
        self.has(
            f"parsePriceFeedUpdatesWithConfig({window},bool,bool,bool)",
            [f"{FEED}[]", "uint64[]"],
            lambda *given: [self._parse(*given[:5]), [9] * len(given[2])],
        )
        self.has(
            "parseTwapPriceFeedUpdates(bytes[],bytes32[])",
            [f"(bytes32,uint64,uint64,{PRICE},uint32)[]"],
            lambda tx, updates, ids: [*self._paid(tx, updates), [(feed, 1, 2, (5, 6, -8, 2), 0) for feed in ids]],
        )

    def _stored(self, feed: bytes) -> tuple[Any, Any]:
        if feed not in self.feeds:
            raise Revert("PriceFeedNotFound")
        return self.feeds[feed]

    def _young(self, tx: dict[str, Any], feed: bytes, age_s: int) -> tuple[Any, Any]:
        stored = self._stored(feed)
        if abs(TIME_S + tx["number"] - HEAD - stored[0][3]) > age_s:
            raise Revert("StalePrice")
        return stored

    def _fee(self, updates: Sequence[bytes]) -> int:
        if b"garbage" in updates:
            raise Revert("InvalidUpdateData")
        return len(updates)

    def _paid(self, tx: dict[str, Any], updates: Sequence[bytes]) -> Sequence[Any]:
        if tx["value"] < self._fee(updates):
            raise Revert("InsufficientFee")
        if any(update != b"good" for update in updates):
            raise Revert("InvalidWormholeVaa")
        return []

    def _if_necessary(self, tx: dict[str, Any], updates: Sequence[bytes], ids: Sequence[bytes], times: Sequence[int]) -> Any:
        if all(self._stored(feed)[0][3] >= time_s for feed, time_s in zip(ids, times, strict=True)):
            raise Revert("NoFreshUpdate")
        return self._paid(tx, updates)

    def _parse(self, tx: dict[str, Any], updates: Sequence[bytes], ids: Sequence[bytes], first: int, last: int) -> Any:
        self._paid(tx, updates)
        for feed in ids:
            if feed not in self.feeds or not first <= self.feeds[feed][0][3] <= last:
                raise Revert("PriceFeedNotFoundWithinRange")
        return [(feed, *self.feeds[feed]) for feed in ids]
