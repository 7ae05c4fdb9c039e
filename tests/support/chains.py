"""EVM chains beside the sandbox Hermes, in process, on a clock that the test turns: for probes of pushed feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from probekit.model import FeedId, Price
from probekit.testing import FakeClock
from probekit.transports.base import Capabilities, Engine, Request, Response
from tests.support.sandbox import Lab
from tests.unit.clients.contracts import HEAD, PYTH, EvmNode, Pyth

OTHER_PYTH = "0x" + "05" * 20
BLOCK_S = 2


class PushedChain(EvmNode):
    """A chain with a block every two seconds, and two Pyth contracts that the test pushes to."""

    def __init__(self, clock: FakeClock, *, chain_id: int = 5) -> None:
        super().__init__(chain_id=chain_id)
        self.clock = clock
        self._first_s = clock.now().seconds
        self.stopped_at: int | None = None
        self.down: Exception | None = None
        self.hangs = False
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

    def eth_blockNumber(self) -> str:
        return hex(self.head)

    def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
        number = self._number(at)
        return super().eth_getBlockByNumber(hex(number), full) | {"timestamp": hex(self.time_s(number))}

    def _number(self, at: Any) -> int:
        return self.head if at in ("latest", "pending") else super()._number(at)


class Hosts:
    """An engine that hands each request to whoever has its origin."""

    def __init__(self, others: Engine, chains: Mapping[str, PushedChain], clock: FakeClock) -> None:
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
        return chain._reply(request)

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
