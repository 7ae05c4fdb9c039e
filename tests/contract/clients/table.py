"""What every read of every client is asked, as rows of one table.

To add a client, add ``rows/<client>.py`` with a ``TABLE``: the class, how to make its world (a server that answers rightly,
:class:`~tests.contract.clients.wire.RpcWorld` or ``HttpWorld``), and a :class:`Row` for each public asynchronous method.
Nothing registers it: the folder is walked, the methods are found by introspection, and one without a row fails the suite.

A row says how to call the method and what comes of it. Most questions are answered alike by all, so that a row names only:

* ``happy``: the value, or a function that looks at it;
* ``empty``, ``malformed``: a :class:`Case`, where the answer has an empty form, or items. Without one, an answer that is
  ``null``, or another thing altogether, is a ``DecodeError``;
* ``tells``: where errors stand in the value, for methods that answer each item for itself and do not raise for one;
* ``within_s``: the deadline that the method promises, all its requests together;
* ``excused``: a question that means nothing for this method, with the reason in words.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec

from probekit.errors import DecodeError, ProbekitError
from tests.contract.clients.wire import Told, World

Question = Literal[
    "happy", "empty", "unknown", "malformed", "rpc_error", "http_429", "http_5xx", "hang", "cancel", "wrong_chain", "spare"
]
QUESTIONS: tuple[Question, ...] = get_args(Question)

Expected = Any
"""A value to be equal to; a class of errors to be raised or told in place; a function of the value, of a true result."""


@dataclass(frozen=True)
class Case:
    """What the server answers instead (see :meth:`World.answer`), and what the caller gets."""

    answers: Mapping[str, Any]
    expected: Expected


@dataclass(frozen=True)
class Row:
    """One method; see the module."""

    method: str
    call: Callable[[Any], Awaitable[Any]]
    happy: Expected
    empty: Case | None = None
    malformed: Case | None = None
    tells: Callable[[Any], Sequence[object]] | None = None
    within_s: float = 10.0
    excused: Mapping[Question, str] = field(default_factory=dict)
    instead: Mapping[Question, Expected] = field(default_factory=dict)
    """What comes of a fault where it is not the usual error."""


@dataclass(frozen=True)
class Table:
    """The rows of one client. ``excused`` holds for all of them."""

    client: type
    world: Callable[[bool], World]
    """Made anew for each question; with another endpoint beside the first, or alone."""
    rows: Sequence[Row]
    excused: Mapping[Question, str] = field(default_factory=dict)

    def excuse(self, row: Row, question: Question) -> str | None:
        """Why ``question`` is not asked of ``row``; ``None`` where it is."""
        return row.excused.get(question) or self.excused.get(question)


def reads_of(client: type) -> set[str]:
    """The public asynchronous methods of a class, streams included; not those that end it."""
    return {
        name
        for name, member in inspect.getmembers(client)
        if not name.startswith("_")
        and name != "aclose"
        and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
    }


def met(told: Told, expected: Expected, row: Row) -> bool:
    """Whether a call ended as expected. A class of errors is met when it was raised, or stands in the value."""
    if isinstance(expected, type) and issubclass(expected, ProbekitError):
        found = [told.error] if told.error is not None else list(row.tells(told.value)) if row.tells is not None else []
        return bool(found) and all(isinstance(one, expected) for one in found)
    if told.error is not None:
        raise told.error
    return bool(expected(told.value)) if callable(expected) else bool(told.value == expected)


_NOT_COMPARED = frozenset(("extra", "attestation"))
"""What was kept of unknown members; the signed bytes of an answer, which are the same for each of its updates."""


def plain(value: Any) -> Any:
    """A value as plain data, without what was kept of unknown members."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__ if name not in _NOT_COMPARED}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value) if one.compare}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, ProbekitError):
        return type(value), value.message
    return value


def errors_in(values: Sequence[Any] | Mapping[Any, Any]) -> list[object]:
    """The errors among some values."""
    items = values.values() if isinstance(values, Mapping) else values
    return [item for item in items if isinstance(item, ProbekitError)]


def one_bad(values: Sequence[Any] | Mapping[Any, Any]) -> bool:
    """Whether exactly one of several values is a ``DecodeError`` and every other one is there."""
    items = list(values.values() if isinstance(values, Mapping) else values)
    bad = [item for item in items if isinstance(item, DecodeError)]
    return len(items) > 1 and len(bad) == 1 and errors_in(items) == bad and None not in items


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    """All that an asynchronous generator gives."""
    return [item async for item in items]
