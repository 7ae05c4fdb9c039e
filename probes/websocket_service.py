"""Does each WebSocket open, bring the message it should and answer a ping, in time?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

import probekit as pk
from probekit.checks import Check, LatencyBudget, WebSocketAnswer, WebSocketMessage, WebSocketPing
from probekit.clock import as_they_come, within
from probekit.errors import BodyTooLarge, DeadlineExceeded, ProbekitError, ProtocolError, StreamClosed, TransportError
from probekit.model.pattern import PatternSlow, Searched
from probekit.model.place import is_host, reachable_over
from probekit.secret import redact_url
from probekit.transports.authorities import authorities, ssl_context
from probekit.transports.base import HeaderValue
from probekit.transports.sendable import refuse_headers
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.transports.websocket import TimedConnector, WebsocketsSocket

PLACEHOLDER = "{secret}"
MOST = 64 * 1024 * 1024
"""Bytes of messages that are kept of one WebSocket."""


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One WebSocket, what is said to it first, and the message that should come."""

    url: str
    name: str = ""
    headers: Mapping[str, str] = {}
    secret_headers: Mapping[str, pk.Secret] = {}
    subprotocols: tuple[str, ...] = ()
    family: Literal["ipv4", "ipv6"] | None = None
    ca_file: str | None = None
    send: str | None = None
    secret: pk.Secret | None = None
    expect: str | None = None
    expect_json: Mapping[str, str] = {}
    max_messages: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    ping: bool = True
    budget: timedelta | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not self.url.startswith(("ws://", "wss://")) or not is_host(host) or port == 0 or not sendable(self.url):
            raise ValueError(f"{redact_url(self.url)[:80]!r} is no ws or wss URL")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("the url has no place for a user, and none for a fragment; a key goes into secret_headers")
        reachable_over(host, self.family)
        try:
            refuse_headers(self.sent_headers(), "url")
        except ProtocolError as error:
            raise ValueError(f"headers: {error.message}") from None
        if (self.secret is not None) != (PLACEHOLDER in (self.send or "")):
            raise ValueError(f"secret stands in send as {PLACEHOLDER}, and goes with it")
        if not self.secure and (self.secret is not None or self.ca_file is not None):
            raise ValueError("a secret and ca_file go with a wss url")
        if self.ca_file is not None:
            try:
                authorities(self.ca_file)
            except ProbekitError as error:
                raise ValueError(f"ca_file: {error.message}") from None
        if any(
            not one.isascii() or not one.isprintable() or set(one) & set(' ,;"()/:<=>?@[]{}\\') for one in self.subprotocols
        ):
            raise ValueError("subprotocols are names without blanks or separators")
        self.message()

    @property
    def secure(self) -> bool:
        return self.url.startswith("wss://")

    @property
    def over(self) -> Literal["ipv4", "ipv6"]:
        """The one address family it is reached over."""
        return reachable_over(urlsplit(self.url).hostname or "", self.family)

    @property
    def id(self) -> str:
        return f"{self.name or redact_url(self.url)} {self.over}"

    def sent_headers(self) -> tuple[tuple[str, HeaderValue], ...]:
        return (*self.headers.items(), *self.secret_headers.items())

    def first(self) -> str | None:
        """What is said first."""
        return self.send if self.secret is None or self.send is None else self.send.replace(PLACEHOLDER, self.secret.reveal())

    def message(self) -> WebSocketMessage:
        return WebSocketMessage(self.expect, tuple(self.expect_json.items()))


class Options(pk.Options, frozen=True, kw_only=True):
    services: Annotated[
        tuple[Service, ...],
        pk.doc("WebSockets that are opened, all at once, each on a fresh connection over one address family"),
    ]
    budget: Annotated[timedelta, pk.doc("budget from name look-up to the awaited message, else to the open WebSocket")] = (
        timedelta(seconds=1)
    )
    percentile: Annotated[int, pk.doc("which percentile the budgets hold, 1 to 100")] = 95
    samples: Annotated[int, pk.doc("how many times the percentile is over")] = 60
    max_ping: Annotated[timedelta, pk.doc("how long a pong may take before it is a warning")] = timedelta(milliseconds=500)
    timeout: Annotated[timedelta, pk.doc("when a WebSocket is given up, its messages and its ping included")] = timedelta(
        seconds=5
    )
    max_message: Annotated[pk.ByteSize, pk.doc("the largest message that is taken")] = pk.ByteSize.parse("64KiB")

    def __post_init__(self) -> None:
        self.require("services", "budget", "timeout", "max_ping")
        if self.max_ping > self.timeout:
            raise ValueError(f"max_ping {self.max_ping} is above timeout {self.timeout}: no pong could be as slow")
        if not 0 < self.max_message.bytes <= 16 * 1024 * 1024:
            raise ValueError(f"max_message must be positive, and 16MiB at most, not {self.max_message}")
        seen = set[str]()
        for one in self.services:
            LatencyBudget(self.budget if one.budget is None else one.budget, self.percentile, self.samples)
            if one.max_messages * self.max_message.bytes > MOST:
                raise ValueError(f"max_messages of {one.id}, each of max_message, are above 64MiB")
            if one.id in seen:
                raise ValueError(f"services has {one.id} twice: give each a name of its own")
            seen.add(one.id)


def sendable(url: str) -> bool:
    """Whether a URL can stand in a request line."""
    return url.isascii() and url.isprintable() and " " not in url


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one.id, "service") for one in ctx.options.services]


async def ask(ctx: pk.Context[Options], connector: TimedConnector, service: Service) -> WebSocketAnswer:
    """One WebSocket: opened, spoken to, listened to, pinged and closed."""
    from probekit.transports.websocket import SocketRequest

    options, clock = ctx.options, ctx.clock
    due_ns = clock.monotonic_ns() + to_ns(options.timeout)
    opened = await connector.open(
        SocketRequest(
            service.url,
            service.sent_headers(),
            service.subprotocols,
            service.over,
            due_ns,
            options.max_message.bytes,
            service.ca_file,
            service.id,
        )
    )
    open_ns, socket = clock.monotonic_ns(), opened.socket
    messages: list[bytes] = []
    searched: list[Searched] = []
    pong = Pong(pinged=False)
    dropped = 0
    try:
        end, ours_ns = await listen(ctx, service, socket, messages, searched, due_ns)
        elapsed_ns = opened.elapsed_ns + clock.monotonic_ns() - open_ns - ours_ns
        if service.ping and end not in ("closed", "late"):
            pong, dropped = await ponged(ctx, socket, due_ns), socket.dropped
    except TransportError as error:
        error.elapsed_ns = opened.elapsed_ns + clock.monotonic_ns() - open_ns
        raise
    finally:
        await socket.aclose(drop=True)
    return WebSocketAnswer(
        tuple(messages),
        end,
        socket.ended,
        pong.ping_ns,
        pong.pinged,
        opened.subprotocol,
        opened.peer_address,
        service.over,
        opened.phases,
        elapsed_ns,
        pong.waited_ns,
        pong.too_large,
        dropped,
        pong.left,
        tuple(searched),
    )


async def listen(
    ctx: pk.Context[Options],
    service: Service,
    socket: WebsocketsSocket,
    messages: list[bytes],
    searched: list[Searched],
    due_ns: int,
) -> tuple[Literal["awaited", "closed", "limit", "late"], int]:
    """Say what is to be said first, then gather messages until one is as awaited, or that cannot be told. How it ended, and for
    how long messages were looked at, which is none of the service's time.
    """
    first, message = service.first(), service.message()
    ours_ns = 0
    try:
        if first is not None:
            await within(ctx.clock, due_ns, socket.send(first))
        while message.awaits:
            if len(messages) >= service.max_messages:
                return "limit", ours_ns
            messages.append(await within(ctx.clock, due_ns, socket.receive()))
            came_ns = ctx.clock.monotonic_ns()
            found = await ctx.searched(message.searches(messages[-1]))
            searched += found
            ours_ns += ctx.clock.monotonic_ns() - came_ns
            with suppress(PatternSlow):
                if message.problem(messages[-1], found) is not None:
                    continue
            break
    except StreamClosed:
        return "closed", ours_ns
    except TimeoutError:
        if not messages:
            shown = redact_url(service.url)
            raise DeadlineExceeded(f"{shown}: it opened, and no message came", phase="first_byte", url=shown) from None
        return "late", ours_ns
    return "awaited", ours_ns


class Pong(NamedTuple):
    """What came of a ping, as a :class:`WebSocketAnswer` has it."""

    pinged: bool = True
    ping_ns: int | None = None
    waited_ns: int | None = None
    too_large: bool = False
    left: bool = False


async def ponged(ctx: pk.Context[Options], socket: WebsocketsSocket, due_ns: int) -> Pong:
    """A ping, and how long its pong took."""
    began_ns = ctx.clock.monotonic_ns()
    try:
        if not await within(ctx.clock, due_ns, socket.ping()):
            return Pong()
    except TimeoutError:
        return Pong(waited_ns=ctx.clock.monotonic_ns() - began_ns)
    except BodyTooLarge:
        return Pong(too_large=True)
    except StreamClosed:
        return Pong(pinged=False, left=True)
    return Pong(ping_ns=ctx.clock.monotonic_ns() - began_ns)


async def see(ctx: pk.Context[Options], connector: TimedConnector, service: Service) -> pk.Observation[Any] | pk.Failure:
    try:
        found = await ask(ctx, connector, service)
    except ProbekitError as error:
        return pk.Failure.of(error, service.id, ctx.clock.now())
    return pk.Observation(found, service.id, ctx.clock.now(), service.id, found.elapsed_ns, ctx.clock_error_ns)


def connector_of(ctx: pk.Context[Options]) -> TimedConnector:
    from probekit.transports.websocket import TimedConnector

    return TimedConnector(clock=ctx.clock, observer=ctx.observer)


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    connector = ctx.state("connector", lambda: connector_of(ctx))
    services = {one.id: one for one in ctx.options.services}
    for one in services.values():
        if one.secure:
            with suppress(ProbekitError):  # told by each that needs it
                ssl_context(one.ca_file)  # before anything is timed: reading a bundle takes longer than a handshake
    async with aclosing(as_they_come(see(ctx, connector, services[one.id]) for one in watched)) as found:
        async for seen in found:
            yield seen


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    service = next(one for one in options.services if one.id == target.id)
    budget = options.budget if service.budget is None else service.budget
    pings = [WebSocketPing(options.max_ping)] if service.ping else []
    return [
        WebSocketMessage(service.expect, tuple(service.expect_json.items())),
        *pings,
        LatencyBudget(budget, options.percentile, options.samples),
    ]


probe = pk.Probe.poll(
    name="websocket_service",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(seconds=10),
    metrics=("websocket.ping", "latency"),
    needs=("ws",),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
