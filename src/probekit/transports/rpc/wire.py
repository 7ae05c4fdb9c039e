"""JSON-RPC 2.0 on the wire: calls to bytes, bytes to one outcome per call.

Specification: jsonrpc.org/specification. Answers of a batch may come in any order, and a server may leave items out; each call
has its own outcome, so that one bad item never loses its neighbours. Numbers above 2**53 and of any size stay exact integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from probekit.errors import DecodeError, Missing, ProbekitError
from probekit.model.pubkey import Pubkey
from probekit.transports.rpc.faults import error_of

JSON_HEADERS: Final = (("content-type", "application/json"), ("accept", "application/json"))


class Call(msgspec.Struct, frozen=True):
    """One method with its parameters, positional or by name; plain JSON values."""

    method: str
    params: Sequence[Any] | dict[str, Any] = ()


class ErrorObject(msgspec.Struct):
    """The error member of an answer, as the server gave it. Some servers leave out the code, or the words."""

    code: int = 0
    message: str | None = None
    data: Any = None


class Answer(msgspec.Struct):
    """One answer of a server. ``result`` is still text (empty where there is none): it is decoded once, into what the caller
    wants. ``code`` and ``message`` stand here where a gateway sends an error object without the answer round it.
    """

    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorObject | str | None = None
    code: int | None = None
    message: str | None = None

    def fault(self) -> ErrorObject | None:
        """The error, wherever it stands."""
        if isinstance(self.error, str):
            return ErrorObject(message=self.error)
        if self.error is None and self.code is not None and self.message is not None and not bytes(self.result):
            return ErrorObject(self.code, self.message)
        return self.error


class _Single(msgspec.Struct):
    method: str
    params: Any
    id: int
    jsonrpc: str = "2.0"


def _plain(value: Any) -> Any:
    """A text or key of our own, as it prints."""
    if isinstance(value, str | Pubkey):
        return str.__str__(value) if isinstance(value, str) else str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
_answer: Final = msgspec.json.Decoder(Answer)
_answers: Final = msgspec.json.Decoder(list[Answer])
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])

Outcome = msgspec.Raw | ProbekitError
"""A call's result as JSON text, or why there is none."""


def raised(outcome: Outcome) -> msgspec.Raw:
    """The result; its error is raised."""
    if isinstance(outcome, ProbekitError):
        raise outcome
    return outcome


def encode(calls: Sequence[Call], *, first_id: int = 1) -> bytes:
    """One call as a request object, several as a batch; ids count up from ``first_id``."""
    items = [_Single(call.method, call.params, first_id + index) for index, call in enumerate(calls)]
    return _encoder.encode(items[0] if len(items) == 1 else items)


def decode(body: bytes, calls: Sequence[Call], *, first_id: int = 1) -> list[Outcome]:
    """One outcome per call, in the order of ``calls``.

    Raises ``DecodeError`` when nothing of ``body`` is an answer to these calls. A lone error object in answer to a batch is
    every call's error: servers refuse a whole batch that way.
    """
    text = body.lstrip(b" \t\r\n")
    if text[:1] == b"[":
        try:
            answers = _answers.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            answers = []
        if answers and all(map(_says_something, answers)):
            return _placed([(answer, b"") for answer in answers], calls, first_id)
        # One that is none takes no other with it: one by one, so that each has its own text and no other's.
        try:
            items = _items.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise DecodeError(f"not a JSON-RPC batch answer: {error}", raw=body) from None
        return _placed(_apart(items, len(calls), first_id), calls, first_id)
    answer = _read(text, body)
    refusal = answer.fault() is not None
    # A server that could not read the id answers its error with null; some proxies lose an id's type.
    ours = answer.id is None if refusal else False
    if not ours and answer.id != first_id and not any(_same_id(answer.id, first_id + index) for index in range(len(calls))):
        raise DecodeError(f"a JSON-RPC answer to id {answer.id!r}, asked with id {first_id}", raw=body)
    if len(calls) > 1 and not refusal:
        raise DecodeError("one JSON-RPC result in answer to a batch", raw=body)
    return [_outcome(answer, call, body) for call in calls]


def _says_something(answer: Answer) -> bool:
    return bool(bytes(answer.result)) or answer.fault() is not None


def _read(text: bytes | msgspec.Raw, body: bytes) -> Answer:
    try:
        return _answer.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError(f"not a JSON-RPC answer: {error}", raw=body) from None


def _same_id(found: int | str | None, wanted: int) -> bool:
    return found == wanted or found == str(wanted)


def _apart(items: list[msgspec.Raw], count: int, first_id: int) -> Iterator[tuple[Answer | _Unread, bytes]]:
    """Each item of a batch as an answer, or as the error that it is none, with its text."""
    for item in items:
        raw = bytes(item)
        try:
            yield _read(raw, raw), raw
        except DecodeError as error:
            # Whose answer it was shows in its id, where that much of it is readable.
            index = _index_of(raw, first_id)
            if index is not None and 0 <= index < count:
                yield _Unread(index, error), raw


class _Unread(msgspec.Struct):
    index: int
    error: DecodeError


def _placed(items: Iterable[tuple[Answer | _Unread, bytes]], calls: Sequence[Call], first_id: int) -> list[Outcome]:
    outcomes: list[Outcome | None] = [None] * len(calls)
    refused: Answer | None = None
    for answer, raw in items:
        if isinstance(answer, _Unread):
            if outcomes[answer.index] is None:
                outcomes[answer.index] = answer.error
            continue
        try:
            index = int(answer.id) - first_id if answer.id is not None else -1
        except ValueError:
            index = -1
        if 0 <= index < len(calls) and outcomes[index] is None:
            outcomes[index] = _outcome(answer, calls[index], raw)
        elif answer.id is None and answer.fault() is not None:
            refused = answer
    return [
        outcome
        if outcome is not None
        else _outcome(refused, call, b"")
        if refused is not None
        else Missing(f"the batch answer leaves out {call.method}", subject=call.method)
        for outcome, call in zip(outcomes, calls, strict=True)
    ]


class _IdOnly(msgspec.Struct):
    id: int


def _index_of(raw: bytes, first_id: int) -> int | None:
    try:
        return msgspec.json.decode(raw, type=_IdOnly).id - first_id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _outcome(answer: Answer, call: Call, raw: bytes) -> Outcome:
    fault = answer.fault()
    if fault is not None:
        return error_of(fault.code, fault.message or "", fault.data, method=call.method)
    if not bytes(answer.result):
        return DecodeError(f"the answer to {call.method} has neither result nor error", raw=raw)
    return answer.result
