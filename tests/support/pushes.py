"""Chains beside the sandbox Hermes, in process, on a clock that the test turns: for probes of pushed feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from probekit.codecs.solana.addresses import GENERATIONS
from probekit.codecs.solana.receiver import encode_price_update
from probekit.codecs.solana.sysvar import CLOCK, ClusterClock, encode_clock
from probekit.model import FeedId, Price, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import FULL, PriceUpdateAccount, ProgramGeneration, VerificationLevel
from probekit.model.solana import Account
from probekit.testing import FakeClock
from probekit.transports.base import Capabilities, Engine, Request, Response
from tests.support.sandbox import Lab
from tests.unit.clients.cluster import Cluster
from tests.unit.clients.contracts import HEAD, PYTH, EvmNode, Pyth

OTHER_PYTH = "0x" + "05" * 20
BLOCK_S = 2
PRICE_FEED_UPDATE = "0xd06a6b7f4918494b3719217d1802786c1f5112a6c1d88fe2cfec00b4584f6aec"


class PushedChain(EvmNode):
    """A chain with a block every two seconds, and two Pyth contracts that the test pushes to."""

    def __init__(self, clock: FakeClock, *, chain_id: int = 5) -> None:
        super().__init__(chain_id=chain_id)
        self.clock = clock
        self._first_s = clock.now().seconds
        self.stopped_at: int | None = None
        self.down: Exception | None = None
        self.hangs = False
        self.balances: dict[str, int] = {}
        self.waiting: dict[str, int] = {}
        self.transactions: list[dict[str, Any]] = []
        self.pyth = {PYTH: Pyth([]), OTHER_PYTH: Pyth([])}
        self.contracts |= self.pyth

    @property
    def head(self) -> int:
        return self.stopped_at or HEAD + (self.clock.now().seconds - self._first_s) // BLOCK_S

    def stop(self) -> None:
        """Make no more blocks."""
        self.stopped_at = self.head

    def time_s(self, number: int) -> int:
        return self._first_s + (number - HEAD) * BLOCK_S

    def push(self, feed: str, price: Price, conf: int, publish_time_s: int, *, contract: str = PYTH) -> None:
        """Store a price."""
        point = (price.mantissa, conf, price.expo, publish_time_s)
        self.pyth[contract].feeds[bytes(FeedId(feed))] = (point, point)

    def transact(self, sender: str, *stores: str, contract: str = PYTH, succeeded: bool = True, data: str = "0x") -> str:
        """A transaction in the newest block that stores feeds (by event only); its hash."""
        block, told = self.head, "0x" + (len(self.transactions) + 1).to_bytes(32, "big").hex()
        self.transactions.append({
            "hash": told, "from": sender.lower(), "to": contract, "nonce": hex(self._nonce(sender, block)), "value": "0x0",
            "gas": "0x5208", "input": data, "block": block, "status": hex(succeeded),
        })  # fmt: skip
        for feed in stores:
            self.logs.append({
                "address": contract.lower(), "topics": [PRICE_FEED_UPDATE, "0x" + feed], "data": "0x" + "00" * 96,
                "blockNumber": hex(block), "blockHash": self.block_hash(block), "transactionHash": told,
                "logIndex": hex(len(self.logs)), "removed": False,
            })  # fmt: skip
        return told

    def _nonce(self, sender: str, block: int) -> int:
        return sum(one["from"] == sender.lower() and one["block"] <= block for one in self.transactions)

    def answer(self, request: Request) -> Response:
        return self._reply(request)

    def eth_getBalance(self, address: str, at: Any) -> str:
        return hex(self.balances.get(address.lower(), 0))

    def eth_getTransactionCount(self, address: str, at: Any) -> str:
        waiting = self.waiting.get(address.lower(), 0) if at == "pending" else 0
        return hex(self._nonce(address, self._number(at)) + waiting)

    def eth_getTransactionReceipt(self, told: str) -> Any:
        found = next((one for one in self.transactions if one["hash"] == told), None)
        if found is None:
            return None
        return {
            "transactionHash": told, "blockNumber": hex(found["block"]), "blockHash": self.block_hash(found["block"]),
            "status": found["status"], "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "from": found["from"],
            "to": found["to"], "contractAddress": None, "logs": [],
        }  # fmt: skip

    def eth_syncing(self) -> bool:
        return False

    def eth_blockNumber(self) -> str:
        return hex(self.head)

    def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
        number = self._number(at)
        held = [one for one in self.transactions if one["block"] == number] if full else []
        return super().eth_getBlockByNumber(hex(number), full) | {"timestamp": hex(self.time_s(number)), "transactions": held}

    def _number(self, at: Any) -> int:
        return self.head if at in ("latest", "pending") else super()._number(at)


class Node(Protocol):
    """What answers at an origin: not at all while it ``hangs``, with an error while ``down``."""

    hangs: bool
    down: Exception | None

    def answer(self, request: Request) -> Response: ...


class Hosts:
    """An engine that hands each request to whoever has its origin."""

    def __init__(self, others: Engine, chains: Mapping[str, Node], clock: FakeClock) -> None:
        self._others, self._chains, self._clock = others, chains, clock
        self.asked: list[str] = []

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("hosts", frozenset(), frozenset(("1.1",)), fresh_connections=True, redirects=False)

    async def send(self, request: Request) -> Response:
        parts = urlsplit(request.shown_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        self.asked.append(origin)
        chain = self._chains.get(origin)
        if chain is None:
            return await self._others.send(request)
        if chain.hangs:
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + 3600 * 10**9)
        if chain.down is not None:
            raise chain.down
        return chain.answer(request)

    async def aclose(self) -> None:
        return None


@dataclass
class ChainLab(Lab):
    """The lab with two chains, whose nodes are ``http://one`` and ``http://two``; every feed is pushed once by :meth:`push`."""

    chains: dict[str, PushedChain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.one, self.two = PushedChain(self.clock, chain_id=5001), PushedChain(self.clock, chain_id=5002)
        self.chains = {"http://one": self.one, "http://two": self.two}
        self.transport: Any = Hosts(self.transport, self.chains, self.clock)

    def message(self, feed: str) -> Any:
        """What the source says of a feed now."""
        network = self.network
        return network.message(network.market(feed), network.published_ns(self.clock.now()))

    def push(self, *feeds: str, chain: PushedChain | None = None, contract: str = PYTH, off: int = 0, ago_s: int = 0) -> None:
        """Push the source's present price of feeds, ``off`` parts in ten thousand away, as of ``ago_s`` ago."""
        for feed in feeds or self.ids:
            said = self.message(feed)
            price = Price(said.price * (10_000 + off) // 10_000, said.expo)
            for one in [chain] if chain is not None else list(self.chains.values()):
                one.push(feed, price, said.conf, said.publish_time - ago_s, contract=contract)


SLOT_NS = 400_000_000
FIRST_SLOT = 435_000_000


class PostedCluster(Cluster):
    """A Solana cluster with a slot every 400 ms, whose clock is the test's, and accounts that the test posts."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self._first_ns = clock.now().ns
        self.hangs = False
        self.down: Exception | None = None
        self.stopped_ns: int | None = None
        self.methods["getSlot"] = lambda _: self.slot

    @property
    def _ns(self) -> int:
        return self.stopped_ns or self.clock.now().ns

    @property
    def slot(self) -> int:
        return FIRST_SLOT + (self._ns - self._first_ns) // SLOT_NS

    def stop(self) -> None:
        """Make no more blocks."""
        self.stopped_ns = self.clock.now().ns

    def post(
        self,
        message: PriceMessage,
        *,
        generation: ProgramGeneration = ProgramGeneration.PRO,
        shard: int = 0,
        level: VerificationLevel = FULL,
    ) -> None:
        """Put a feed's price into its account at this slot."""
        programs = GENERATIONS[generation]
        key = programs.push_feed(FeedId(message.feed_id), shard)
        self.put(key, encode_price_update(PriceUpdateAccount(key, level, message, self.slot)), programs.receiver)

    def put(self, key: Pubkey, data: bytes, owner: Pubkey) -> None:
        """Put any bytes into an account."""
        self.add(Account(key, owner, 5, data, False, self.slot))

    def contextual(self, value: Any) -> Any:
        return {"context": {"slot": self.slot, "apiVersion": "3.0.1"}, "value": value}

    def shown(self, key: str) -> Any:
        if key == str(CLOCK):
            self.put(CLOCK, encode_clock(ClusterClock(self.slot, 1_000, self._ns // 10**9)), Pubkey(bytes(32)))
        return super().shown(key)


@dataclass
class ClusterLab(Lab):
    """The lab with a Solana cluster at ``http://solana``; :meth:`post` posts feeds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cluster = PostedCluster(self.clock)
        self.transport: Any = Hosts(self.transport, {"http://solana": self.cluster}, self.clock)

    def post(self, *feeds: str, off: int = 0, ago_s: int = 0, **more: Any) -> None:
        """Post the source's present price of feeds, ``off`` parts in ten thousand away, as of ``ago_s`` ago."""
        network = self.network
        for feed in feeds or self.ids:
            said = network.message(network.market(feed), network.published_ns(self.clock.now()))
            price, published_s = said.price * (10_000 + off) // 10_000, said.publish_time - ago_s
            self.cluster.post(msgspec.structs.replace(said, price=price, publish_time=published_s), **more)
