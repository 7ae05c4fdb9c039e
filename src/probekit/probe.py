"""A probe: one question, asked of a set of targets. It observes; everything else is the runner's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, AnyStr, Final, Generic, Literal, TypeVar, cast

from probekit.checks import Check
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConfigError
from probekit.model import Failure, Observation, Target, Vantage, VantageHealth
from probekit.model.options import Options, doc
from probekit.model.pattern import Searched, compiled, may_be_slow

if TYPE_CHECKING:
    # What puts something on the wire is loaded by a run that does; defining a probe, and its --help, need none of it.
    from probekit.clients.evm import EvmClient
    from probekit.clients.hermes import HermesClient
    from probekit.clients.solana import SolanaClient
    from probekit.model.journey import Journey
    from probekit.secret import Secret
    from probekit.transports.base import Engine, Observer
    from probekit.transports.matching import Matcher
    from probekit.transports.retry import RetryPolicy
    from probekit.transports.rpc import Endpoint
    from probekit.transports.rpc.record import CallObserver, ChangeObserver

__all__ = [
    "AnyObservation",
    "Checks",
    "Context",
    "EngineFactory",
    "EngineKind",
    "JourneyObserver",
    "O",
    "Observe",
    "Options",
    "Probe",
    "Targets",
    "default_engine",
    "doc",
]

EngineKind = Literal["client", "measuring"]
EngineFactory = Callable[[EngineKind], "Engine"]
JourneyObserver = Callable[["Journey"], None]


O = TypeVar("O", bound=Options)  # noqa: E741 - O for options, as everywhere here
P = TypeVar("P", bound=Options)
R = TypeVar("R")

AnyObservation = Observation[Any] | Failure


def default_engine(kind: EngineKind, *, clock: Clock = SYSTEM_CLOCK) -> Engine:
    """httpx for clients; libcurl where the timing is the product. Raises ``ConfigError`` when its extra is missing."""
    if kind == "measuring":
        from probekit.transports.curl import CurlTransport

        return CurlTransport(clock=clock)
    from probekit.transports.httpx import HttpxTransport

    return HttpxTransport(clock=clock)


def _ignore_record(_: object) -> None:
    return None


class Context(Generic[O]):
    """What a probe is given: its options, the clock, the vantage, engines, and a place for long-lived clients.

    ``observer`` is told of every attempt on the wire, ``on_call`` of every JSON-RPC call of a pool, ``on_change`` of its
    endpoints' states; hand them to the clients, under these names. ``on_journey`` takes journeys that ended. ``options`` never
    change during a context's life.
    """

    def __init__(
        self,
        options: O,
        *,
        clock: Clock = SYSTEM_CLOCK,
        vantage: Vantage | None = None,
        observer: Observer = _ignore_record,
        on_call: CallObserver = _ignore_record,
        on_change: ChangeObserver = _ignore_record,
        on_journey: JourneyObserver = _ignore_record,
        engines: EngineFactory | None = None,
        health: Callable[[], VantageHealth] = VantageHealth,
    ) -> None:
        self.options = options
        self.clock = clock
        self.vantage = vantage or Vantage(host="localhost")
        self.observer = observer
        self.on_call = on_call
        self.on_change = on_change
        self.on_journey = on_journey
        self._engines = engines or (lambda kind: default_engine(kind, clock=clock))
        self._health = health
        self._held: dict[str, object] = {}
        self._closing: dict[str, Callable[[], Awaitable[None]]] = {}

    @property
    def clock_error_ns(self) -> int | None:
        """Bound of the local clock's error right now, for the observations made now."""
        return self._health().clock_error_ns

    def engine(self, kind: EngineKind = "client") -> Engine:
        """The engine of that kind; one of each for the context's life, closed with it."""
        key = f"engine:{kind}"
        if key not in self._held:
            engine = self._engines(kind)
            self._held[key] = engine
            self._closing[key] = engine.aclose
        return cast("Engine", self._held[key])

    async def hold(self, key: str, make: Callable[[], AbstractAsyncContextManager[R]]) -> R:
        """The resource of that key: entered on first use, kept across ticks, exited with the context."""
        if key not in self._held:
            entered = AsyncExitStack()
            self._held[key] = await entered.enter_async_context(make())
            self._closing[key] = entered.aclose
        return cast(R, self._held[key])

    async def release(self, resource: object) -> None:
        """Exit one resource now: the next :meth:`hold` of its key makes another. Nothing happens for one that is not held."""
        key = next((key for key, one in self._held.items() if one is resource and key in self._closing), None)
        if key is not None:
            del self._held[key]
            await self._closing.pop(key)()

    def state(self, key: str, make: Callable[[], R]) -> R:
        """A plain value of that key, made on first use: what a probe remembers between ticks."""
        if key not in self._held:
            self._held[key] = make()
        return cast(R, self._held[key])

    async def searched(self, pairs: Iterable[tuple[str, str]]) -> tuple[Searched, ...]:
        """What a pattern finds in a text, for those pairs of which that may take long: by a process that can be ended, while
        everything else goes on. Checks search the others themselves.
        """
        hard = dict.fromkeys(pair for pair in pairs if may_be_slow(pair[0], len(pair[1])))
        return tuple([await (await self._matcher()).search(*pair) for pair in hard])

    async def span(self, pattern: AnyStr, text: AnyStr) -> tuple[int, int] | None:
        """Where ``pattern`` is found in ``text``, likewise; ``None`` where it is not. Raises ``PatternSlow``."""
        if may_be_slow(pattern, len(text)):
            return await (await self._matcher()).span(pattern, text)
        match = compiled(pattern).search(text)
        return None if match is None else match.span()

    async def _matcher(self) -> Matcher:
        from probekit.transports.matching import Matcher

        return await self.hold("matcher", Matcher)

    # -- clients: over the engine, told to the observers, by the clock; entered on first use and kept across ticks ------------

    async def hermes(
        self,
        endpoint: str,
        *,
        api_key: Secret | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        refused_for: timedelta = timedelta(minutes=10),
    ) -> HermesClient:
        """A client of that Hermes service; one for each ``endpoint``."""
        from probekit.clients.hermes import HermesClient

        return await self.hold(
            f"hermes {endpoint}",
            lambda: HermesClient(
                endpoint,
                api_key=api_key,
                transport=self.engine(),
                timeout=timeout,
                observer=self.observer,
                clock=self.clock,
                retry=retry,
                refused_for=refused_for,
            ),
        )

    async def evm(
        self,
        chain: str,
        endpoints: Sequence[str | Endpoint],
        *,
        chain_id: int,
        timeout: timedelta = timedelta(seconds=10),
        observer: Observer | None = None,
    ) -> EvmClient:
        """A client of that EVM chain over a pool of its endpoints; one for each ``chain`` and set of endpoints.

        ``observer`` stands in place of the context's own, and hands on to it. Raises ``ValueError`` for a URL that is none.
        """
        from probekit.clients.evm import EvmClient
        from probekit.transports.rpc import PoolPolicy

        return await self.hold(
            _pool_key("evm", chain, endpoints),
            lambda: EvmClient(
                endpoints,
                chain_id=chain_id,
                chain=chain,
                transport=self.engine(),
                policy=PoolPolicy(timeout=timeout),
                observer=observer or self.observer,
                on_call=self.on_call,
                on_change=self.on_change,
                clock=self.clock,
            ),
        )

    async def solana(
        self,
        chain: str,
        endpoints: Sequence[str | Endpoint],
        *,
        genesis_hash: str | None = None,
        timeout: timedelta = timedelta(seconds=10),
        observer: Observer | None = None,
    ) -> SolanaClient:
        """A client of that cluster of Solana's kind over a pool of its nodes; one for each ``chain`` and set of endpoints.

        Without ``genesis_hash`` the first answer binds the others. ``observer`` as in :meth:`evm`.
        """
        from probekit.clients.solana import SolanaClient
        from probekit.transports.rpc import PoolPolicy

        return await self.hold(
            _pool_key("svm", chain, endpoints),
            lambda: SolanaClient(
                endpoints,
                genesis_hash=genesis_hash,
                chain=chain,
                transport=self.engine(),
                policy=PoolPolicy(timeout=timeout),
                observer=observer or self.observer,
                on_call=self.on_call,
                on_change=self.on_change,
                clock=self.clock,
            ),
        )

    async def aclose(self) -> None:
        """Exit everything held, newest first."""
        self._held.clear()
        stack = AsyncExitStack()
        for close in self._closing.values():
            stack.push_async_callback(close)
        self._closing = {}
        await stack.aclose()


def _pool_key(family: str, chain: str, endpoints: Sequence[str | Endpoint]) -> str:
    return " ".join((family, chain, *(one if isinstance(one, str) else one.label for one in endpoints)))


Observe = Callable[[Context[O], Sequence[Target]], AsyncIterator[AnyObservation]]
Targets = Callable[[Context[O]], Awaitable[Sequence[Target]]]
Checks = Callable[[O, Target], Sequence[Check]]

DEFAULT_INTERVAL: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Probe(Generic[O]):
    """A question with its targets, its way to observe and its checks. Make one with :meth:`poll` or :meth:`watch`.

    ``interval`` and ``deadline`` are defaults a manifest may override. ``first_within`` says, for a watch, how long a
    target may stay unseen after the start before that is CRITICAL ``missing``.
    """

    name: str
    question: str
    options: type[O]
    mode: Literal["poll", "watch"]
    targets: Targets[O]
    observe: Observe[O]
    checks: Checks[O]
    interval: timedelta = DEFAULT_INTERVAL
    deadline: timedelta | None = None
    first_within: Callable[[O], timedelta] | None = None
    metrics: tuple[str, ...] = ()
    """Measure names its checks record, for ``explain``."""
    needs: tuple[str, ...] = field(default=())
    """Extras it needs beside the base install."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ConfigError(f"{self.name!r} is not a probe's name: letters, digits and underscores")
        if self.interval <= timedelta(0):
            raise ConfigError(f"the interval of {self.name} must be positive")
        if self.deadline is not None and not timedelta(0) < self.deadline <= self.interval:
            raise ConfigError(f"the deadline of {self.name} must be positive and not above its interval")

    @classmethod
    def poll(
        cls,
        *,
        name: str,
        question: str,
        options: type[P],
        targets: Targets[P],
        observe: Observe[P],
        checks: Checks[P],
        interval: timedelta = DEFAULT_INTERVAL,
        deadline: timedelta | None = None,
        metrics: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
    ) -> Probe[P]:
        """A probe that yields one observation or failure per target per tick, from its whole target set at once."""
        return Probe(name, question, options, "poll", targets, observe, checks, interval, deadline, None, metrics, needs)

    @classmethod
    def watch(
        cls,
        *,
        name: str,
        question: str,
        options: type[P],
        targets: Targets[P],
        observe: Observe[P],
        checks: Checks[P],
        interval: timedelta = timedelta(seconds=1),
        first_within: Callable[[P], timedelta] | None = None,
        metrics: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
    ) -> Probe[P]:
        """A probe whose ``observe`` runs on, over a stream; silence is judged at every tick of ``interval``."""
        return Probe(name, question, options, "watch", targets, observe, checks, interval, None, first_within, metrics, needs)
