"""A probe: one question, asked of a set of targets. It observes; everything else is the runner's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from probekit.checks import Check
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConfigError
from probekit.model import Failure, Observation, Target, Vantage, VantageHealth
from probekit.units import Bps

if TYPE_CHECKING:
    # What puts something on the wire is loaded by a run that does; defining a probe, and its --help, need none of it.
    from probekit.model.journey import Journey
    from probekit.transports.base import Engine, Observer
    from probekit.transports.rpc.record import CallObserver, ChangeObserver

EngineKind = Literal["client", "measuring"]
EngineFactory = Callable[[EngineKind], "Engine"]
JourneyObserver = Callable[["Journey"], None]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a probe's options: a typed, frozen value whose fields carry their units.

    Annotate a field with :func:`doc` to describe it; the YAML schema, ``explain`` and the reference page are made from
    the class. Raise ``ValueError`` in ``__post_init__`` for invariants of fields and between them: it is told when the
    configuration is read, with its place, where a threshold that a check refuses would only be a defect at the first tick.
    """

    def require(self, *names: str) -> None:
        """Raise ``ValueError`` naming the first of these options that is nothing: a duration, ratio or number not above zero,
        or an empty list. One left out (``None``) is none of them.
        """
        for name in names:
            value = getattr(self, name)
            if isinstance(value, tuple | list | dict | str):
                if not value:
                    raise ValueError(f"{name} must not be empty")
            elif value is not None:
                number = value.value if isinstance(value, Bps) else value
                if number <= type(number)():
                    raise ValueError(f"{name} must be positive, not {value}")


def doc(text: str) -> msgspec.Meta:
    """Describe an option: ``max_age: Annotated[timedelta, pk.doc("age at which ...")]``."""
    return msgspec.Meta(description=text)


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
        self._stack = AsyncExitStack()

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
            self._stack.push_async_callback(engine.aclose)
        return cast("Engine", self._held[key])

    async def hold(self, key: str, make: Callable[[], AbstractAsyncContextManager[R]]) -> R:
        """The resource of that key: entered on first use, kept across ticks, exited with the context."""
        if key not in self._held:
            self._held[key] = await self._stack.enter_async_context(make())
        return cast(R, self._held[key])

    def state(self, key: str, make: Callable[[], R]) -> R:
        """A plain value of that key, made on first use: what a probe remembers between ticks."""
        if key not in self._held:
            self._held[key] = make()
        return cast(R, self._held[key])

    async def aclose(self) -> None:
        """Exit everything held, newest first."""
        self._held.clear()
        await self._stack.aclose()


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
