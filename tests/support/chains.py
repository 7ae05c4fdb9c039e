"""Probes against chains that answer from a table, on a clock that the test turns: no socket, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from probekit.codecs.solana.sysvar import CLOCK, ClusterClock, encode_clock
from probekit.model import ProbeRun
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account
from probekit.testing import FakeClock, ReplyTransport
from probekit.transports.base import Request, Response
from tests.support.sandbox import Lab
from tests.unit.clients.cluster import Cluster
from tests.unit.clients.contracts import Contract, EvmNode, Refused

EVM, SVM = "http://evm.test/", "http://svm.test/"


class LivingNode(EvmNode):
    """An EVM node whose blocks come with the clock, one every two seconds, and that holds balances."""

    def __init__(self, clock: FakeClock, **options: Any) -> None:
        super().__init__(**options)
        self.clock = clock
        self.balances: dict[str, int] = {}
        self.behind = 0
        """Blocks that its head lags."""
        self.standing: int | None = None
        """The block at which it stands still."""
        self.jump = 0
        """What it adds to the number of its newest block alone: a wild one."""
        self.settled: dict[str, int | None] = {"safe": 8, "finalized": 16}
        """Blocks that each level is below the head; ``None``: the node knows none."""
        self.syncing: Any = False
        self.born_ns = clock.now().ns - 20_000 * 10**9

    @property
    def head(self) -> int:
        return self.standing or (self.clock.now().ns - self.born_ns) // (2 * 10**9) - self.behind

    def eth_blockNumber(self) -> str:
        return hex(self.head)

    def eth_getBlockByNumber(self, at: str, full: bool) -> Any:
        if at in self.settled:
            depth = self.settled[at]
            if depth is None:
                raise Refused(-39001, f"{at} block not found")
            number = self.head - depth
        else:
            number = self.head if at == "latest" else int(at, 16)
        made = self.born_ns // 10**9 + 2 * number
        told = super().eth_getBlockByNumber(hex(number), full) | {"timestamp": hex(made)}
        return told | {"number": hex(number + self.jump)} if at == "latest" and self.jump else told

    def eth_syncing(self) -> Any:
        return self.syncing

    def eth_getBalance(self, address: str, at: str) -> str:
        return hex(self.balances.get(address.lower(), 0))

    def eth_getTransactionCount(self, address: str, at: str) -> str:
        return "0x0"

    def holds(self, token: str, symbol: str, decimals: int, balances: dict[str, int]) -> None:
        """Put an ERC-20 on the chain."""
        made = Contract()
        made.has("symbol()", ["string"], lambda _: [symbol])
        made.has("decimals()", ["uint8"], lambda _: [decimals])
        made.has("balanceOf(address)", ["uint256"], lambda _, owner: [balances.get(owner.lower(), 0)])
        self.contracts[token.lower()] = made


class LivingCluster(Cluster):
    """A Solana node whose slots come with the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.standing: int | None = None
        """The slot at which it stands still."""
        self.behind = 0
        """Slots that it lags."""
        self.settled = {"processed": 0, "confirmed": 2, "finalized": 32}
        """Slots that each commitment is below the newest."""
        self.skipping = False
        """No slot brings a block from now on."""
        self._height: int | None = None
        self.methods["getSlot"] = lambda params: self.slot - self.settled[params[0]["commitment"]]
        self.methods["getBlockHeight"] = lambda _: self.height

    @property
    def slot(self) -> int:
        return self.standing or (self.clock.now().ns // (400 * 10**6)) % 10**8 - self.behind

    @property
    def height(self) -> int:
        if not self.skipping:
            self._height = None
            return self.slot - 1_000
        self._height = self._height or self.slot - 1_000
        return self._height

    def shown(self, key: str) -> Any:
        if key == str(CLOCK):
            slots_ago = (self.clock.now().ns // (400 * 10**6)) % 10**8 - self.slot
            time_s = (self.clock.now().ns - slots_ago * 400 * 10**6) // 10**9
            self.put(Account(CLOCK, Pubkey(bytes(32)), 1, encode_clock(ClusterClock(self.slot, 1, time_s)), False, self.slot))
        return super().shown(key)

    def contextual(self, value: Any) -> Any:
        return {"context": {"slot": self.slot}, "value": value}

    def put(self, account: Account) -> None:
        self.accounts[str(account.key)] = account


class ChainLab(Lab):
    """An EVM node and a Solana node at ``EVM`` and ``SVM`` on one fake clock; ``also`` answers for other hosts."""

    def __init__(self, *, chain_id: int = 8453) -> None:
        self.clock = FakeClock()
        self.evm = LivingNode(self.clock, chain_id=chain_id)
        self.svm = LivingCluster(self.clock)
        self.also: dict[str, Callable[[Request], Response | Exception]] = {}
        self.down: dict[str, Exception] = {}
        """Hosts that cannot be reached, and what is raised for each."""
        self.transport: Any = ReplyTransport(self._answer)
        self.runs: list[ProbeRun] = []

    def _answer(self, request: Request) -> Response | Exception:
        answer = self._of_host(request)
        if isinstance(answer, Response):
            # What bounds the error of this clock.
            answer.headers = (*answer.headers, ("date", format_datetime(self.clock.now().to_datetime(), usegmt=True)))
        return answer

    def _of_host(self, request: Request) -> Response | Exception:
        host = urlsplit(request.url).netloc
        if host in self.down:
            return self.down[host]
        if host == "evm.test":
            return self.evm._reply(request)
        return self.svm.answer(request) if host == "svm.test" else self.also[host](request)
