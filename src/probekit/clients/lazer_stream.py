"""Pyth Pro streams: several WebSockets at once, subscribed alike, told as one.

A router that goes on answering pings and tells nothing is the worst failure of such a stream, so that silence of any one
subscription ends its connection. Source: Pyth's developer documentation, "WebSocket API".
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta

import msgspec

from probekit.clients.lazer_batch import payload_of
from probekit.clients.lazer_events import (
    LazerConnected,
    LazerEvent,
    LazerLost,
    LazerRejected,
    LazerSubscribed,
    LazerTick,
)
from probekit.clients.lazer_merge import EndpointStats, Merge
from probekit.clients.over_http import bearer
from probekit.clock import SYSTEM_CLOCK, Clock, first_of, reap, within
from probekit.codecs.lazer import messages
from probekit.codecs.lazer.messages import IgnoredFeeds, PriceRequest, ServiceError, Subscribed, SubscriptionRefused
from probekit.errors import (
    DeadlineExceeded,
    DecodeError,
    NotEntitled,
    NotFound,
    ProbekitError,
    RateLimited,
    StatusError,
    StreamClosed,
    Unauthorized,
)
from probekit.model.lazer import Channel, LazerUpdate, UpdateFormat, VerifiedPayload
from probekit.secret import Secret, redact_url
from probekit.transports.queue import BoundedQueue
from probekit.transports.socket import Connector, Socket
from probekit.trust.lazer import LazerSigners, require_ed25519, verify_update
from probekit.units import Instant, format_ns, to_ns


class LazerStreamPolicy(msgspec.Struct, frozen=True):
    """``open_timeout`` covers the connection and its subscriptions. ``silence``: how long any subscription may tell nothing;
    ``None`` where that is normal. Waits double from ``first_wait`` to ``max_wait``, each shortened by up to half at random.

    ``queue`` events wait for a slow consumer; then the oldest are dropped, counted. ``remember`` time stamps are kept for each
    subscription to know what was told; of ``compare`` the content.
    """

    open_timeout: timedelta = timedelta(seconds=10)
    silence: timedelta | None = timedelta(seconds=5)
    first_wait: timedelta = timedelta(milliseconds=500)
    max_wait: timedelta = timedelta(seconds=30)
    queue: int = 4096
    remember: int = 4096
    compare: int = 32
    max_message_bytes: int = 16 * 1024 * 1024


class LazerStream:
    """An open-ended stream over all ``endpoints`` at once, each time stamp of each subscription told once.

    ``async for tick in stream`` yields :class:`LazerTick`; :meth:`events` what happens to connections and subscriptions beside
    them. ``api_key`` is a key or an access token. With ``signers`` every update is verified before it counts as told, so that a
    forged one takes nobody's place; the requests must then ask for a signed form. Raises ``ValueError`` for what cannot be
    asked, ``ConfigError`` when an extra is missing.

    ``merge`` counts duplicates, gaps, conflicts, and each endpoint's part (:attr:`stats`).
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        requests: PriceRequest | Sequence[PriceRequest],
        *,
        api_key: Secret | None = None,
        signers: LazerSigners | None = None,
        connector: Connector | None = None,
        policy: LazerStreamPolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        urls = (endpoints,) if isinstance(endpoints, str) else tuple(endpoints)
        self._requests = (requests,) if isinstance(requests, PriceRequest) else tuple(requests)
        if not urls or not self._requests:
            raise ValueError("a stream needs an endpoint and a request")
        if len(set(urls)) != len(urls):
            raise ValueError("an endpoint is named twice")
        if signers is not None and not all(any(form.is_signed for form in one.formats) for one in self._requests):
            raise ValueError("to verify updates, each request asks for a signed form")
        if signers is not None and any(UpdateFormat.SOLANA in one.formats for one in self._requests):
            require_ed25519()
        if connector is None:
            from probekit.transports.websocket import WebsocketsConnector

            connector = WebsocketsConnector()
        self._urls = {redact_url(url): url for url in urls}
        if len(self._urls) != len(urls):
            raise ValueError("two endpoints cannot be told apart once their keys are hidden")
        self._headers = bearer(api_key)
        self._signers, self._connector, self._clock, self._jitter = signers, connector, clock, jitter
        self._policy = policy or LazerStreamPolicy()
        self._queue: BoundedQueue[LazerEvent] = BoundedQueue(self._policy.queue)
        channels: list[Channel] = [one.channel for one in self._requests]
        self.merge = Merge(channels, remember=self._policy.remember, compare=self._policy.compare)
        self._left_out: dict[int, dict[str, dict[int | str, ProbekitError]]] = {number: {} for number in range(len(channels))}

    @property
    def stats(self) -> dict[str, EndpointStats]:
        """Each endpoint's account, by its redacted URL."""
        return {endpoint: self.merge.of(endpoint) for endpoint in self._urls}

    @property
    def errors(self) -> dict[tuple[int, int | str], ProbekitError]:
        """Feeds that every endpoint which has answered leaves out, by (subscription, feed as it was named)."""
        found: dict[tuple[int, int | str], ProbekitError] = {}
        for number, answered in self._left_out.items():
            first, *others = answered.values() or ({},)
            for feed, error in first.items():
                if all(feed in other for other in others):
                    found[number, feed] = error
        return found

    @property
    def dropped(self) -> int:
        """Events that a slow consumer never saw."""
        return self._queue.dropped

    async def __aiter__(self) -> AsyncGenerator[LazerTick, None]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, LazerTick):
                    yield event

    async def events(self) -> AsyncGenerator[LazerEvent, None]:
        """Everything that happens, for ever. Close the generator to end it; no socket or task is left."""
        keepers = [asyncio.create_task(self._keep_open(endpoint), name=f"lazer {endpoint}") for endpoint in self._urls]
        for keeper in keepers:
            self._queue.watch(keeper)
        try:
            while True:
                yield await self._queue.get()
        finally:
            await reap(*keepers)

    # -- one endpoint ----------------------------------------------------------------------------------------------------------

    async def _keep_open(self, endpoint: str) -> None:
        stats, failures = self.merge.of(endpoint), 0
        while True:
            told = stats.updates
            try:
                await _Connection(self, endpoint).run()
                error: ProbekitError = StreamClosed(f"{endpoint} ended", planned=False)
            except ProbekitError as failed:
                error = failed
            self._queue.put(LazerLost(endpoint, self._clock.now(), error))
            failures = 0 if stats.updates > told else failures + 1
            await self._clock.sleep_until_ns(self._clock.monotonic_ns() + self._wait_ns(error, failures))

    def _wait_ns(self, error: ProbekitError, failures: int) -> int:
        longest_ns = to_ns(self._policy.max_wait)
        wait_ns = min(to_ns(self._policy.first_wait) << min(max(failures - 1, 0), 20), longest_ns)
        if isinstance(error, Unauthorized | NotEntitled):
            wait_ns = longest_ns  # Another key takes an operator, not another try.
        wait_ns -= int(wait_ns * self._jitter() / 2)
        if isinstance(error, RateLimited) and error.retry_after_ns is not None:
            return max(wait_ns, error.retry_after_ns)
        return wait_ns


class _Connection:
    """One connection from its opening to its end."""

    def __init__(self, stream: LazerStream, endpoint: str) -> None:
        self._stream, self._endpoint = stream, endpoint
        self._clock, self._policy = stream._clock, stream._policy
        self._stats = stream.merge.of(endpoint)
        self._told_ns: dict[int, int] = {}
        """When each subscription that was not refused told something."""

    async def run(self) -> None:
        """Raises what ended it."""
        stream, timeout_ns = self._stream, to_ns(self._policy.open_timeout)
        deadline_ns = self._clock.monotonic_ns() + timeout_ns
        socket = await stream._connector.connect(
            stream._urls[self._endpoint],
            headers=stream._headers,
            timeout_ns=timeout_ns,
            max_message_bytes=self._policy.max_message_bytes,
        )
        try:
            try:
                await within(self._clock, deadline_ns, self._subscribe(socket))
            except TimeoutError:
                raise DeadlineExceeded(f"{self._endpoint} takes no subscription in time", phase="first_byte") from None
            self._stats.connections += 1
            stream._queue.put(LazerConnected(self._endpoint, self._clock.now()))
            self._told_ns = dict.fromkeys(range(len(stream._requests)), self._clock.monotonic_ns())
            await first_of(self._read(socket), self._watch())
        finally:
            with contextlib.suppress(ProbekitError, OSError):
                await socket.aclose()

    async def _subscribe(self, socket: Socket) -> None:
        for number, request in enumerate(self._stream._requests):
            # The service's numbers are ours to choose; 0 is left to those who forget to.
            await socket.send(messages.subscribe(number + 1, request))

    async def _watch(self) -> None:
        """Ends with an error once a subscription has told nothing for too long."""
        silence = self._policy.silence
        if silence is None:
            await asyncio.get_running_loop().create_future()
            return
        silence_ns = to_ns(silence)
        while True:
            now_ns = self._clock.monotonic_ns()
            for number, told_ns in self._told_ns.items():
                if now_ns - told_ns >= silence_ns:
                    self._stats.silences += 1
                    text = f"{self._endpoint}: subscription {number} has told nothing for {format_ns(silence_ns)}"
                    raise DeadlineExceeded(text, phase="transfer")
            await self._clock.sleep_until_ns(min(self._told_ns.values(), default=now_ns) + silence_ns)

    async def _read(self, socket: Socket) -> None:
        while True:
            data = await socket.receive()
            at = self._clock.now()
            try:
                message = messages.decode(data)
            except DecodeError as error:
                self._reject(error, at)
                continue
            match message:
                case LazerUpdate():
                    self._update(message, at)
                case Subscribed():
                    self._subscribed(message, at)
                case SubscriptionRefused():
                    self._refused(message, at)
                case ServiceError():
                    text = f"{self._endpoint} says: {message.reason}"
                    self._stream._queue.put(LazerRejected(self._endpoint, at, StatusError(text, status=400)))
                case _:
                    self._stats.unknown += 1

    def _reject(self, error: ProbekitError, at: Instant, number: int | None = None) -> None:
        self._stats.rejected += 1
        self._stream._queue.put(LazerRejected(self._endpoint, at, error, number))

    def _number(self, subscription_id: int | None) -> int | None:
        """Which of the requests; ``None``, counted, for a subscription that is not ours."""
        if subscription_id is not None and 0 < subscription_id <= len(self._stream._requests):
            return subscription_id - 1
        self._stats.unknown += 1
        return None

    def _update(self, update: LazerUpdate, at: Instant) -> None:
        stream = self._stream
        number = self._number(update.subscription_id)
        if number is None:
            return
        proof: VerifiedPayload | None = None
        try:
            if stream._signers is not None:
                proof = verify_update(update, stream._signers, at=at)
            payload = payload_of(update) if proof is None else proof.payload
        except ProbekitError as error:
            self._reject(error, at, number)
            return
        now_ns = self._clock.monotonic_ns()
        self._told_ns[number] = now_ns
        feeds = stream.merge.take(number, payload, self._endpoint, now_ns=now_ns, at=at)
        if feeds is not None:
            stream._queue.put(LazerTick(number, self._endpoint, at, update, payload, feeds, proof))

    def _subscribed(self, message: Subscribed, at: Instant) -> None:
        number = self._number(message.subscription_id)
        if number is None:
            return
        errors = _feed_errors(message.ignored, self._stream._requests[number])
        self._stream._left_out[number][self._endpoint] = errors
        self._stream._queue.put(LazerSubscribed(number, self._endpoint, at, errors))

    def _refused(self, message: SubscriptionRefused, at: Instant) -> None:
        number = self._number(message.subscription_id)
        if number is None:
            return
        error = _refusal(f"{self._endpoint} refuses subscription {number}: {message.reason}")
        self._told_ns.pop(number, None)
        if not self._told_ns:
            raise error
        self._stream._queue.put(LazerRejected(self._endpoint, at, error, number))


def _refusal(text: str) -> ProbekitError:
    """The service gives words alone; those of a key that may not read are told from all others."""
    if "entitled" in text.lower():
        return NotEntitled(text)
    return StatusError(text, status=400)


def _feed_errors(ignored: IgnoredFeeds, request: PriceRequest) -> dict[int | str, ProbekitError]:
    found: dict[int | str, ProbekitError] = {}
    unknown: list[int | str] = [*ignored.unknown_ids, *ignored.unknown_symbols]
    for feed in unknown:
        found[feed] = NotFound(f"no feed {feed} is known", subject=str(feed))
    for feed in ignored.unstable:
        found[feed] = NotFound(f"feed {feed} is not stable, and so not served", subject=str(feed))
    for feed in ignored.unsupported_channels:
        found[feed] = StatusError(f"feed {feed} is not served on {request.channel}", status=400)
    for feed in ignored.not_entitled:
        found[feed] = NotEntitled(f"the key may not read feed {feed}", subject=str(feed))
    return found
