"""JSON-RPC subscriptions over a WebSocket that stay alive: proven chain, resubscription, and a watchdog for silence.

A TCP connection that is alive, answers pings and sends nothing is the worst failure of this kind of stream: a subscription
that has told nothing for its ``silence`` is taken for dead, and the next endpoint is asked. What happened meanwhile is for the
client to fetch: :class:`Connected` says since when nothing was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from probekit.clock import Clock, first_of, reap, within
from probekit.errors import DeadlineExceeded, DecodeError, ProbekitError, StreamClosed, WrongChain
from probekit.secret import cut
from probekit.transports.queue import BoundedQueue
from probekit.transports.rpc.endpoint import Endpoint
from probekit.transports.rpc.family import ChainFamily, result_of
from probekit.transports.rpc.faults import error_of
from probekit.transports.rpc.wire import Call, ErrorObject
from probekit.transports.socket import Connector, Socket
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

_LONGEST_ALONE_NS: Final = 600 * NS_PER_S
"""An endpoint that asks to be left alone for longer is tried again all the same."""
_LOOK_NS: Final = 5 * NS_PER_S
"""How often an open connection's endpoint is looked at, whether it is still fit."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription by ``name``, opened by ``call``. ``silence``: how long it may tell nothing; ``None`` where silence is
    normal (an account that rarely changes).
    """

    name: str
    call: Call
    silence: timedelta | None = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Connected:
    """Every subscription is open on ``endpoint``. ``since`` is when the last notice came, ``None`` before the first connection:
    what changed in between was not told.
    """

    endpoint: str
    at: Instant
    since: Instant | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification: its ``result``, still JSON text. ``connection`` counts those of the feed, from 1."""

    name: str
    result: msgspec.Raw
    endpoint: str
    at: Instant
    connection: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to ``endpoint`` is gone, or could not be made; another is tried."""

    endpoint: str
    at: Instant
    error: ProbekitError


SubscriptionItem = Connected | Notice | Lost


@dataclass(frozen=True, slots=True)
class SubscriptionPolicy:
    """``open_timeout`` covers the connection, the proof of its chain and every subscription. ``queue`` notices wait for a slow
    consumer; then the oldest are dropped, counted.
    """

    open_timeout: timedelta = timedelta(seconds=10)
    first_wait: timedelta = timedelta(milliseconds=500)
    max_wait: timedelta = timedelta(seconds=30)
    queue: int = 1024
    max_message_bytes: int = 16 * 1024 * 1024


class _Message(msgspec.Struct):
    """An answer or a notification, whichever it is."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorObject | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw()


class _Params(msgspec.Struct):
    subscription: int | str
    result: msgspec.Raw = msgspec.Raw()


_message: Final = msgspec.json.Decoder(_Message)
_params: Final = msgspec.json.Decoder(_Params)


class FeedCounters(msgspec.Struct, frozen=True):
    """What happened to feeds: connections on which every subscription was open, subscriptions that the watchdog found dead,
    messages that are none, and items that a slow consumer never saw.
    """

    connections: int = 0
    silences: int = 0
    malformed: int = 0
    dropped: int = 0


class SubscriptionFeed:
    """Iterate :meth:`items`; it connects, reconnects and resubscribes until closed.

    Which chain a socket serves is asked over it, by the family's identity call. Where sockets do not answer that (Solana's
    serve subscriptions alone), ``prove`` is asked before each connection: it returns, or raises why the endpoint is not used.
    ``unfit`` says why an endpoint should not be listened to (it lags), or nothing: such a one is left while another is fit.

    Counters: ``connections``, ``silences`` (watchdog), ``malformed`` (messages that are none) and :attr:`dropped`.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        subscriptions: Sequence[Subscription],
        *,
        family: ChainFamily,
        identity: str | None,
        connector: Connector,
        clock: Clock,
        policy: SubscriptionPolicy | None = None,
        prove: Callable[[Endpoint], Awaitable[None]] | None = None,
        unfit: Callable[[Endpoint], str] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if identity is None and prove is None:
            raise ValueError("a feed needs to know its chain: an identity to ask for, or a proof of its own")
        if not endpoints or not subscriptions:
            raise ValueError("a feed needs an endpoint and a subscription")
        if len({subscription.name for subscription in subscriptions}) != len(subscriptions):
            raise ValueError("each subscription has a name of its own")
        self._endpoints = list(endpoints)
        self._subscriptions = tuple(subscriptions)
        self._family, self._identity = family, identity
        self._connector = connector
        self._prove = prove
        self._unfit = unfit or (lambda _: "")
        self._clock = clock
        self._policy = policy or SubscriptionPolicy()
        self._jitter = jitter
        self._queue: BoundedQueue[SubscriptionItem] = BoundedQueue(self._policy.queue)
        self._last_notice: Instant | None = None
        self._told_ns: dict[str, int] = {}
        self._alone_until_ns: dict[str, int] = {}
        self._abandoned = asyncio.Event()
        self._why = ""
        self._stands = False
        """Every subscription of the newest connection is open, and it has not ended."""
        self.connections = 0
        self.silences = 0
        self.malformed = 0

    @property
    def dropped(self) -> int:
        """Items a slow consumer never saw."""
        return self._queue.dropped

    @property
    def counters(self) -> FeedCounters:
        """All of them, as they are now."""
        return FeedCounters(self.connections, self.silences, self.malformed, self.dropped)

    def abandon(self, connection: int, name: str, why: str) -> None:
        """End that connection, if it still stands, for one to the next endpoint: ``name`` is dead on it alone, which only who
        knows what it should have told can tell.
        """
        if self._stands and connection == self.connections and not self._abandoned.is_set():
            self.silences += 1
            self._why = f"the subscription {name} {why}"
            self._abandoned.set()

    async def items(self) -> AsyncGenerator[SubscriptionItem, None]:
        """Everything that happens, in order, for ever. Close the generator to end it; no socket or task is left."""
        keeper = asyncio.create_task(self._keep_open(), name="subscription feed")
        self._queue.watch(keeper)
        try:
            while True:
                yield await self._queue.get()
        finally:
            await reap(keeper)

    async def _keep_open(self) -> None:
        turn = failures = 0
        while True:
            if failures < len(self._endpoints):
                # Once all that are fit have failed, one that lags is better than none.
                turn = next((at for at in range(turn, turn + len(self._endpoints)) if not self._why_left(at)), turn)
            # The next that did not ask to be left alone; where all did, the one whose time is up first.
            turn = min(range(turn, turn + len(self._endpoints)), key=self._free_at_ns)
            if (free_at_ns := self._free_at_ns(turn)) > self._clock.monotonic_ns():
                await self._clock.sleep_until_ns(free_at_ns)
            endpoint = self._endpoints[turn % len(self._endpoints)]
            before = self._last_notice
            try:
                await self._connection(endpoint)
                error: ProbekitError = StreamClosed(f"{endpoint.label} ended", planned=False)
            except ProbekitError as failed:
                error = failed
            self._queue.put(Lost(endpoint.label, self._clock.now(), error))
            asked_ns: int | None = getattr(error, "retry_after_ns", None)
            if asked_ns is not None:
                self._alone_until_ns[endpoint.label] = self._clock.monotonic_ns() + min(asked_ns, _LONGEST_ALONE_NS)
            if isinstance(error, WrongChain) and len(self._endpoints) > 1:
                # Not asked again. The last one is, slowly: an operator may mend it.
                self._endpoints.remove(endpoint)
            else:
                turn += 1
            failures = 0 if self._last_notice is not before else failures + 1
            # The first change of endpoint is at once; only a full turn without any notice is waited for.
            rounds = failures // len(self._endpoints)
            if rounds:
                wait_ns = min(to_ns(self._policy.first_wait) << min(rounds - 1, 10), to_ns(self._policy.max_wait))
                wait_ns -= int(wait_ns * self._jitter() / 4)
            else:
                wait_ns = NS_PER_S // 20
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + wait_ns)

    def _free_at_ns(self, turn: int) -> int:
        """Until when that turn's endpoint asked to be left alone; now, where it did not."""
        return max(self._clock.monotonic_ns(), self._alone_until_ns.get(self._endpoints[turn % len(self._endpoints)].label, 0))

    def _why_left(self, turn: int) -> str:
        """Why the endpoint of that turn is not to be listened to; empty where no other is any better."""
        endpoint = self._endpoints[turn % len(self._endpoints)]
        why = self._unfit(endpoint)
        return why if why and any(not self._unfit(other) for other in self._endpoints if other is not endpoint) else ""

    async def _connection(self, endpoint: Endpoint) -> None:
        """One connection until it ends. Raises what ended it."""
        if self._prove is not None:
            await self._prove(endpoint)
        timeout_ns = to_ns(self._policy.open_timeout)
        due_ns = self._clock.monotonic_ns() + timeout_ns
        socket = await self._connector.connect(
            endpoint.reveal_ws_url(),
            headers=endpoint.headers,
            timeout_ns=timeout_ns,
            max_message_bytes=self._policy.max_message_bytes,
        )
        try:
            held: list[_Message] = []
            try:
                names = await within(self._clock, due_ns, self._open(socket, endpoint, held))
            except TimeoutError:
                raise DeadlineExceeded(f"{endpoint.label}: subscriptions not open in time", phase="first_byte") from None
            self.connections += 1
            self._abandoned.clear()
            self._queue.put(Connected(endpoint.label, self._clock.now(), self._last_notice))
            now_ns = self._clock.monotonic_ns()
            self._told_ns = {subscription.name: now_ns for subscription in self._subscriptions}
            for message in held:
                self._notice(message, names, endpoint)
            self._stands = True
            await first_of(self._read(socket, names, endpoint), self._watch(endpoint), self._until_abandoned(endpoint))
        finally:
            self._stands = False
            with contextlib.suppress(ProbekitError, OSError):
                await socket.aclose()

    async def _open(self, socket: Socket, endpoint: Endpoint, held: list[_Message]) -> dict[int | str, str]:
        """Prove the chain, open every subscription; server's subscription id -> name. Notices that come early are held."""
        first = [self._family.identity_call] if self._prove is None else []
        calls = [*first, *(subscription.call for subscription in self._subscriptions)]
        for number, call in enumerate(calls):
            body = {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
            await socket.send(msgspec.json.encode(body).decode())
        answers: dict[int, Any] = {}
        while len(answers) < len(calls):
            message = self._decoded(await socket.receive())
            if message is None:
                continue
            if message.id is None or not 0 <= message.id < len(calls):
                held.append(message)
                continue
            if message.error is not None:
                fault = message.error
                raise error_of(fault.code, fault.message or "", fault.data, method=calls[message.id].method)
            answers[message.id] = result_of(message.result)
            if first and message.id == 0 and (found := self._family.identity(answers[0])) != self._identity:
                text = f"{endpoint.label} serves chain {cut(found, 80)}, expected {self._identity}"
                raise WrongChain(text, expected=str(self._identity), found=found)
        names: dict[int | str, str] = {}
        for number, subscription in enumerate(self._subscriptions, start=len(first)):
            key = answers[number]
            if not isinstance(key, int | str) or isinstance(key, bool):
                raise DecodeError(f"{subscription.call.method} answered no subscription id", raw=str(key))
            names[key] = subscription.name
        return names

    def _decoded(self, text: bytes) -> _Message | None:
        try:
            return _message.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.malformed += 1
            return None

    async def _read(self, socket: Socket, names: dict[int | str, str], endpoint: Endpoint) -> None:
        while True:
            message = self._decoded(await socket.receive())
            if message is not None:
                self._notice(message, names, endpoint)

    def _notice(self, message: _Message, names: dict[int | str, str], endpoint: Endpoint) -> None:
        if not message.method:
            return
        try:
            params = _params.decode(message.params)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self.malformed += 1
            return
        name = names.get(params.subscription)
        if name is None:
            return  # Of a subscription that is not ours (any more).
        self._last_notice = self._clock.now()
        self._told_ns[name] = self._clock.monotonic_ns()
        self._queue.put(Notice(name, params.result, endpoint.label, self._last_notice, self.connections))

    async def _until_abandoned(self, endpoint: Endpoint) -> None:
        await self._abandoned.wait()
        raise DeadlineExceeded(f"{endpoint.label}: {self._why}", phase="transfer")

    async def _watch(self, endpoint: Endpoint) -> None:
        limits = [
            (subscription.name, to_ns(subscription.silence))
            for subscription in self._subscriptions
            if subscription.silence is not None
        ]
        while True:
            now_ns = self._clock.monotonic_ns()
            if why := self._why_left(self._endpoints.index(endpoint)):
                raise StreamClosed(f"{endpoint.label} is left for another: {why}", planned=False)
            for name, silence_ns in limits:
                if now_ns - self._told_ns[name] >= silence_ns:
                    self.silences += 1
                    text = f"{endpoint.label}: the subscription {name} has told nothing for {format_ns(silence_ns)}"
                    raise DeadlineExceeded(text, phase="transfer")
            silent_ns = [self._told_ns[name] + silence_ns for name, silence_ns in limits]
            await self._clock.sleep_until_ns(min([now_ns + _LOOK_NS, *silent_ns]))


class FeedTally:
    """The counters of the feeds of one client, those that have ended too."""

    def __init__(self) -> None:
        self._open: list[SubscriptionFeed] = []
        self._ended = FeedCounters()

    @contextlib.asynccontextmanager
    async def items(self, feed: SubscriptionFeed) -> AsyncGenerator[AsyncGenerator[SubscriptionItem, None], None]:
        """A feed's items; it is counted from here on, and ended when this is left."""
        self._open.append(feed)
        items = feed.items()
        try:
            yield items
        finally:
            try:
                await items.aclose()
            finally:
                self._open.remove(feed)
                self._ended = _sum(self._ended, feed.counters)

    @property
    def counters(self) -> FeedCounters:
        """The sums."""
        return _sum(self._ended, *(feed.counters for feed in self._open))


def _sum(*counters: FeedCounters) -> FeedCounters:
    return FeedCounters(*map(sum, zip(*map(msgspec.structs.astuple, counters), strict=True)))
