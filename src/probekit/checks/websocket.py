"""Does a WebSocket bring the message it should, and answer a ping?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal

import msgspec

from probekit.model import Measure, Observation, Phases, Status, Verdict
from probekit.model.json_path import NO_JSON, JsonPath, text_at
from probekit.model.observation import AddressFamily
from probekit.model.pattern import PatternSlow, Searched, compiled, search
from probekit.model.verdict import MeasureName
from probekit.secret import redact
from probekit.units import Instant, format_ns, to_ns

_SHOWN: Final = 200
_IN_ORDER: Final = frozenset((1000, 1001, 1005))
"""Codes of a peer that has said what it had to say, or goes away; 1005 stands for a close frame without a code."""


class WebSocketAnswer(msgspec.Struct, frozen=True):
    """What came over one WebSocket. ``elapsed_ns`` is from name look-up to the message that was awaited, else to the open
    connection, without the wait for a slot.

    ``end`` says why no more was read: what was awaited came, or nothing was; the peer closed; as many messages came as may; or
    there was no time left.
    """

    messages: tuple[bytes, ...]
    end: Literal["awaited", "closed", "limit", "late"]
    closed: tuple[int, str] | None
    """Code and reason of the peer's close frame, to ours or by itself; ``None`` where none came."""
    ping_ns: int | None
    """``None`` where no pong came, or where nothing was pinged."""
    pinged: bool
    """False where it was not pinged, or closed before a pong came."""
    subprotocol: str | None
    peer_address: str
    family: AddressFamily
    phases: Phases
    elapsed_ns: int
    waited_ns: int | None = None
    """How long a pong was waited for that did not come until there was no time left."""
    too_large: bool = False
    """A message above the limit, which ends a connection, came in place of the pong."""
    dropped: int = 0
    """Messages that came before the pong, or while one was waited for."""
    left: bool = False
    """The peer ended it while a pong was waited for."""
    searched: tuple[Searched, ...] = ()
    """What was searched for beforehand, because it may take long."""

    def shown(self) -> dict[str, Any]:
        """As evidence has it: the beginning of each message."""
        return {**msgspec.structs.asdict(self), "messages": [_shown(one) for one in self.messages]}


@dataclass(frozen=True, slots=True)
class WebSocketPing:
    """Rule over a :class:`WebSocketAnswer`: CRITICAL ``no_pong`` where a ping was not answered, or the connection broken in its
    place; WARNING ``slow_pong`` above ``max_ping``. SKIPPED ``not_pinged`` where it was closed in order before, a message that
    was too large came first, or less than ``max_ping`` was left to wait.

    Raises ``ValueError`` where ``max_ping`` is not positive.
    """

    max_ping: timedelta
    name: ClassVar[str] = "websocket_ping"

    def __post_init__(self) -> None:
        if self.max_ping <= timedelta(0):
            raise ValueError(f"max_ping must be positive, not {self.max_ping}")

    @property
    def records(self) -> tuple[tuple[MeasureName, int | None], ...]:
        """The histogram of round trips, with the limit among its edges."""
        return (("websocket.ping", to_ns(self.max_ping)),)

    def __call__(self, observation: Observation[WebSocketAnswer], *, now: Instant) -> Verdict:
        answer, limit_ns = observation.value, to_ns(self.max_ping)
        ping_ns, waited_ns = answer.ping_ns, answer.waited_ns
        unknown = None
        if answer.left and (answer.closed is None or answer.closed[0] not in _IN_ORDER):
            words = f"it closed {_how(answer)} in place of a pong"
            return Verdict(self.name, Status.CRITICAL, "no_pong", words, None, limit_ns, "ns")
        if not answer.pinged:
            late = answer.end == "late"
            unknown = "no time was left to ping it" if late else "it was closed before a ping of it was answered"
        elif answer.too_large:
            unknown = "a message above the limit came before its pong, and ended the connection"
        elif waited_ns is not None and waited_ns < limit_ns:
            unknown = f"only {format_ns(waited_ns)} were left to wait for its pong, which may take {format_ns(limit_ns)}"
        if unknown is not None:
            return Verdict(self.name, Status.SKIPPED, "not_pinged", unknown)
        if ping_ns is None:
            words = "a ping was not answered"
            if answer.dropped:
                words += f", and {answer.dropped} messages came meanwhile"
            return Verdict(self.name, Status.CRITICAL, "no_pong", words, None, limit_ns, "ns")
        measures = (Measure("websocket.ping", ping_ns, "ns"),)
        words = f"the pong took {format_ns(ping_ns)}, limit {format_ns(limit_ns)}"
        if ping_ns > limit_ns:
            return Verdict(self.name, Status.WARNING, "slow_pong", words, ping_ns, limit_ns, "ns", measures=measures)
        return Verdict(self.name, Status.OK, "pong", words, ping_ns, limit_ns, "ns", measures=measures)


@dataclass(frozen=True, slots=True)
class WebSocketMessage:
    """Rule over a :class:`WebSocketAnswer`: one of its messages matches ``expect`` and has what ``json`` wants, (path, regular
    expression) pairs; a value that is no text is compared as JSON writes it. With neither, it is enough that it opened.

    CRITICAL ``unexpected_message`` where others came instead, ``closed_by_peer`` where it was closed before, or by itself where
    nothing is wanted of it but to be open. UNKNOWN ``pattern_slow`` where an expression could not be told in time. Raises
    ``ValueError`` for what is no expression, or no path.
    """

    expect: str | None = None
    json: tuple[tuple[str, str], ...] = ()
    name: ClassVar[str] = "websocket_message"

    def __post_init__(self) -> None:
        for pattern in (*filter(None, (self.expect,)), *(one for _, one in self.json)):
            compiled(pattern)
        for path, _ in self.json:
            JsonPath.parse(path)

    @property
    def awaits(self) -> bool:
        """Whether any message is wanted at all."""
        return self.expect is not None or bool(self.json)

    def searches(self, message: bytes) -> Iterator[tuple[str, str]]:
        """Every pattern with the text that it is to be sought in."""
        if self.expect is not None:
            yield self.expect, message.decode("utf-8", "replace")
        if self.json:
            try:
                document = msgspec.json.decode(message)
            except NO_JSON:
                return
            for path, pattern in self.json:
                with contextlib.suppress(LookupError):
                    yield pattern, text_at(path, document)

    def problem(self, message: bytes, searched: tuple[Searched, ...] = ()) -> str | None:
        """What a message lacks of what is wanted; ``None`` when nothing. Raises ``PatternSlow``."""
        text = message.decode("utf-8", "replace")
        if self.expect is not None and search(self.expect, text, searched) is None:
            return f"does not match {self.expect!r}"
        if not self.json:
            return None
        try:
            document = msgspec.json.decode(message)
        except NO_JSON:
            return "is no JSON"
        for path, pattern in self.json:
            try:
                found = text_at(path, document)
            except LookupError as error:
                return f"lacks something: {error.args[0]}"
            if search(pattern, found, searched) is None:
                return f"has {_shown(found.encode())!r} at {path}, which does not match {pattern!r}"
        return None

    def __call__(self, observation: Observation[WebSocketAnswer], *, now: Instant) -> Verdict:
        answer = observation.value
        closing = "" if answer.closed is None else f"; closed with {answer.closed[0]} {answer.closed[1]}".rstrip()
        spoken = "" if answer.subprotocol is None else f", speaking {answer.subprotocol}"
        if not self.awaits and answer.left:
            return Verdict(
                self.name, Status.CRITICAL, "closed_by_peer", f"it opened{spoken}, and the peer closed {_how(answer)}"
            )
        if not self.awaits:
            return Verdict(self.name, Status.OK, "open", f"it opened{spoken}{closing}")
        problem = "nothing came"
        for message in answer.messages:
            try:
                found = self.problem(message, answer.searched)
            except PatternSlow as slow:
                return Verdict(self.name, Status.UNKNOWN, "pattern_slow", str(slow))
            if found is None:
                return Verdict(self.name, Status.OK, "as_expected", f"{_shown(message)!r} came{spoken}{closing}")
            problem = f"the last message {found}: {_shown(message)!r}"
        if answer.end == "closed":
            return Verdict(self.name, Status.CRITICAL, "closed_by_peer", f"the peer closed {_how(answer)}, and {problem}")
        count = len(answer.messages)
        late = " until there was no time left" if answer.end == "late" else ""
        words = f"{count} messages came{late}, and none as expected; {problem}"
        return Verdict(self.name, Status.CRITICAL, "unexpected_message", words)


def _how(answer: WebSocketAnswer) -> str:
    return "without a close frame" if answer.closed is None else f"with {answer.closed[0]} {answer.closed[1]}".rstrip()


def _shown(message: bytes) -> str:
    text = redact(message[: _SHOWN + 4_096].decode("utf-8", "replace"))
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}..."
