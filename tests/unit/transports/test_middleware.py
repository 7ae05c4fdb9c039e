"""Retry, fallback, status, recording, and the event stream, on a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from probekit.clock import within
from probekit.errors import (
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    NotEntitled,
    ProbekitError,
    RateLimited,
    ServerError,
    StatusError,
    StreamClosed,
    TlsError,
    Unauthorized,
)
from probekit.model import Phases, RequestRecord
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Limits, Request, Response
from probekit.transports.fallback import Fallback, ask, origin
from probekit.transports.queue import BoundedQueue
from probekit.transports.retry import NO_RETRY, Retry, RetryPolicy
from probekit.transports.sse import Arrived, Closed, EventStream, Opened, StreamPolicy
from probekit.transports.stack import build
from probekit.transports.status import RaiseForStatus, raise_for_status, retry_after_ns
from probekit.units import NS_PER_S, Instant

S = timedelta(seconds=1)
NOW = Instant.parse("2026-09-12T10:00:00Z")


async def drive(clock: FakeClock, work: Any, seconds: float = 60) -> Any:
    """The result of ``work`` while the clock is turned."""
    task = asyncio.ensure_future(work)
    for _ in range(int(seconds * 10)):
        if task.done():
            break
        await clock.advance(S / 10)
    assert task.done()
    return task.result()


def get(deadline_s: float | None = None, clock: FakeClock | None = None, url: str = "http://one/x") -> Request:
    deadline_ns = None if deadline_s is None or clock is None else clock.monotonic_ns() + int(deadline_s * NS_PER_S)
    return Request("GET", url, deadline_ns=deadline_ns)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, NotEntitled), (429, RateLimited), (500, ServerError), (503, ServerError), (404, StatusError)],
)
def test_statuses_become_errors(status: int, kind: type[StatusError]) -> None:
    secret = Secret("very-secret-body")
    with pytest.raises(kind) as caught:
        raise_for_status(reply(status, f"no {secret.reveal()} here", {"retry-after": "7"}))
    assert caught.value.status == status
    assert "very-secret-body" not in caught.value.body + str(caught.value)
    if isinstance(caught.value, RateLimited | ServerError):
        assert caught.value.retry_after_ns == 7 * NS_PER_S


def test_a_deadline_changes_nothing_else_of_a_request() -> None:
    request = Request("POST", "http://h/", (("a", "b"),), b"{}", 7, True, Limits(1, 2), 3, 4, True, "2", "ipv6")
    assert all(getattr(request, one.name) != one.default for one in fields(request)), "a field that this test does not know"
    assert request.with_deadline(8) is request
    assert request.with_deadline(6) == replace(request, deadline_ns=6)


def test_success_is_none() -> None:
    raise_for_status(reply(204))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("5", 5),
        ("Sat, 12 Sep 2026 10:00:30 GMT", 30),
        ("Sat, 12 Sep 2026 09:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    found = retry_after_ns(value, NOW)
    assert found == (None if seconds is None else seconds * NS_PER_S)


async def test_the_words_of_a_refused_stream_are_read_and_its_connection_closed() -> None:
    closed: list[bool] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(100):
            yield b"n" * 100

    async def close() -> None:
        closed.append(True)

    def answer(request: Request) -> Response:
        response = reply(403)
        response.chunks, response.close = chunks(), close
        return response

    with pytest.raises(NotEntitled) as caught:
        await RaiseForStatus(ReplyTransport(answer), clock=FakeClock()).send(get())
    assert caught.value.body.startswith("nnn")
    assert closed == [True]


def test_a_secret_that_an_excerpt_would_cut_is_not_begun() -> None:
    secret = Secret("c4nary-0123456789-abcdefghij")
    for limit in (1_024, 8_192):
        body = "x" * (limit - 10) + secret.reveal() + "y" * 100
        with pytest.raises(StatusError) as caught:
            raise_for_status(reply(500, body))
        assert "c4nary" not in caught.value.body


async def test_a_refusal_whose_words_never_end_is_told_in_time() -> None:
    """Of a stream: its deadline is for the headers, and the words come after them."""
    clock = FakeClock()
    closed: list[bool] = []

    async def chunks(last: Exception | None) -> AsyncGenerator[bytes, None]:
        yield b"no such"
        if last is not None:
            raise last
        await asyncio.Event().wait()

    async def close() -> None:
        closed.append(True)

    for last in (None, StreamClosed("broke", planned=False)):

        def answer(request: Request, last: Exception | None = last) -> Response:
            response = reply(503, clock=clock)
            response.chunks, response.close = chunks(last), close
            return response

        work = RaiseForStatus(ReplyTransport(answer), clock=clock).send(replace(get(5, clock), stream=True))
        with pytest.raises(ServerError) as caught:
            await drive(clock, work, 10)
        assert caught.value.body == "no such"
    assert closed == [True, True]


def failing(*answers: Response | Exception) -> tuple[ReplyTransport, list[int]]:
    """A transport that gives its answers in turn, the last for ever; and the attempt numbers it saw."""
    attempts: list[int] = []
    left = list(answers)

    def handler(request: Request) -> Response | Exception:
        attempts.append(request.attempt)
        return left.pop(0) if len(left) > 1 else left[0]

    return ReplyTransport(handler), attempts


def retrying(inner: ReplyTransport, clock: FakeClock, **policy: Any) -> Retry:
    return Retry(inner, policy=RetryPolicy(**policy), clock=clock, jitter=lambda: 0.0)


async def test_retry_waits_longer_each_time_and_numbers_the_attempts() -> None:
    clock = FakeClock()
    inner, attempts = failing(ConnectError("1"), ConnectError("2"), reply(200))
    began = clock.monotonic_ns()
    response = await drive(clock, retrying(inner, clock).send(get()))
    assert response.status == 200
    assert attempts == [0, 1, 2]
    assert clock.monotonic_ns() - began >= 600_000_000


async def test_retry_after_is_obeyed() -> None:
    clock = FakeClock()
    inner, _ = failing(RateLimited("slow down", retry_after_ns=4 * NS_PER_S), reply(200))
    began = clock.monotonic_ns()
    await drive(clock, retrying(inner, clock).send(get()))
    assert clock.monotonic_ns() - began >= 4 * NS_PER_S


async def test_retry_never_waits_past_the_deadline() -> None:
    clock = FakeClock()
    inner, attempts = failing(RateLimited("slow down", retry_after_ns=60 * NS_PER_S), reply(200))
    began = clock.monotonic_ns()
    with pytest.raises(RateLimited):
        await drive(clock, retrying(inner, clock).send(get(10, clock)))
    assert clock.monotonic_ns() - began < NS_PER_S
    assert attempts == [0]


async def test_the_wait_that_was_found_to_fit_is_the_wait() -> None:
    """The jitter is drawn once: a second, longer draw would run past the deadline."""
    clock = FakeClock()
    inner, attempts = failing(ConnectError("1"), reply(200, clock=clock))
    draws = iter((1.0, 0.0, 0.0))
    retry = Retry(inner, policy=RetryPolicy(first_wait=4 * S), clock=clock, jitter=lambda: next(draws))
    began = clock.monotonic_ns()
    await drive(clock, retry.send(get(3, clock)))
    assert clock.monotonic_ns() - began <= int(2.2 * NS_PER_S)
    assert attempts == [0, 1]


async def test_a_server_that_asks_for_years_is_not_waited_for() -> None:
    clock = FakeClock()
    inner, attempts = failing(RateLimited("wait", retry_after_ns=999_999_999 * NS_PER_S), reply(200))
    with pytest.raises(RateLimited):
        await drive(clock, retrying(inner, clock).send(get()))
    assert attempts == [0]


async def test_a_cancelled_attempt_is_the_last() -> None:
    clock = FakeClock()
    attempts: list[int] = []

    async def handler(request: Request) -> Response:
        attempts.append(request.attempt)
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.ensure_future(retrying(ReplyTransport(handler), clock).send(get()))
    await clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempts == [0]


async def test_what_will_not_change_is_not_tried_again() -> None:
    for error in (TlsError("t"), StatusError("s", status=404), Unauthorized("u", status=401)):
        clock = FakeClock()
        inner, attempts = failing(error)
        with pytest.raises(type(error)):
            await drive(clock, retrying(inner, clock).send(get()))
        assert attempts == [0]


async def test_a_post_goes_out_exactly_once() -> None:
    clock = FakeClock()
    inner, attempts = failing(ConnectError("1"), reply(200))
    with pytest.raises(ConnectError):
        await drive(clock, retrying(inner, clock).send(Request("POST", "http://one/x", body=b"{}")))
    assert attempts == [0]


async def test_a_post_that_only_asks_is_asked_again_here_and_elsewhere() -> None:
    clock = FakeClock()
    inner, attempts = failing(ConnectError("1"), reply(200))
    asking = Request("POST", "http://one/x", body=b"{}", repeatable=True)
    assert (await drive(clock, retrying(inner, clock).send(asking))).status == 200
    assert attempts == [0, 1]
    asked: list[str] = []

    def handler(request: Request) -> Response | Exception:
        asked.append(request.url)
        return ConnectError("refused") if len(asked) == 1 else reply(200)

    fallback = Fallback(ReplyTransport(handler), ["http://one", "http://two"], clock=clock)
    assert (await fallback.send(asking)).status == 200
    assert asked == ["http://one/x", "http://two/x"]


async def test_the_budget_ends_a_storm_and_refills() -> None:
    clock = FakeClock()
    inner, attempts = failing(ConnectError("down"))
    retry = retrying(inner, clock, attempts=3, budget=3, budget_per_second=0.1, max_wait=S / 10, first_wait=S / 10)
    for _ in range(5):
        with pytest.raises(ConnectError):
            await drive(clock, retry.send(get()))
    assert len(attempts) == 5 + 3
    await clock.advance(20 * S)
    with pytest.raises(ConnectError):
        await drive(clock, retry.send(get()))
    assert len(attempts) == 5 + 3 + 1 + 2
    with pytest.raises(ConnectError):
        await drive(clock, Retry(inner, policy=NO_RETRY, clock=clock).send(get()))
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=0)


async def test_fallback_asks_the_next_and_comes_back_after_a_while() -> None:
    clock = FakeClock()
    down = {"http://one"}

    def handler(request: Request) -> Response | Exception:
        return ConnectError("down") if origin(request.url) in down else reply(200, request.url)

    inner = ReplyTransport(handler)
    fallback = Fallback(inner, ["http://one", "http://two/base"], clock=clock)
    assert (await fallback.send(get())).body == b"http://two/base/x"
    inner.requests.clear()
    assert (await fallback.send(get())).body == b"http://two/base/x"
    assert len(inner.requests) == 1, "an endpoint that just failed is asked last"
    down.clear()
    await clock.advance(31 * S)
    assert (await fallback.send(get())).body == b"http://one/x"
    await fallback.aclose()
    assert inner.closed
    with pytest.raises(ValueError, match="endpoint"):
        Fallback(inner, [], clock=clock)


async def test_the_error_that_is_raised_tells_of_those_before() -> None:
    left = iter((ConnectError("one is down"), TlsError("two has expired"), ServerError("three is busy", status=503)))
    inner = ReplyTransport(lambda request: next(left))
    with pytest.raises(ServerError) as caught:
        await Fallback(inner, ["http://one", "http://two", "http://three"], clock=FakeClock()).send(get())
    assert caught.value.attempts == ("one is down", "two has expired")


def strict(response: Response) -> str:
    """Reads ``yes``, and nothing else."""
    if response.body != b"yes":
        raise DecodeError(f"{response.url} answers no word", raw=response.body)
    return "read"


async def test_an_answer_that_does_not_read_is_none_and_the_next_endpoint_is_asked() -> None:
    clock = FakeClock()
    bodies = {"http://one": "<html>", "http://two": "yes"}
    inner = ReplyTransport(lambda request: reply(200, bodies[origin(request.url)], clock=clock))
    fallback = Fallback(inner, list(bodies), clock=clock)
    assert await ask(fallback, get(), strict) == "read"
    assert await ask(fallback, get(), strict) == "read"
    asked = [origin(request.url) for request in inner.requests]
    assert asked == ["http://one", "http://two", "http://two"], "one that gave no answer is asked last"
    bodies["http://two"] = '{"cut'
    with pytest.raises(DecodeError) as caught:
        await ask(fallback, get(), strict)
    assert len(caught.value.attempts) == 1
    assert len(inner.requests) == 5, "each once: the same endpoint would say the same"


async def test_what_has_an_effect_is_asked_once_however_its_answer_reads() -> None:
    inner = ReplyTransport(lambda _: reply(200, "<html>"))
    fallback = Fallback(inner, ["http://one", "http://two"], clock=FakeClock())
    with pytest.raises(DecodeError):
        await ask(fallback, replace(get(), method="POST", repeatable=False), strict)
    assert len(inner.requests) == 1


async def test_one_endpoint_alone_raises_what_does_not_read() -> None:
    inner = ReplyTransport(lambda _: reply(200, "<html>"))
    with pytest.raises(DecodeError):
        await ask(inner, get(), strict)
    assert len(inner.requests) == 1


async def test_fallback_raises_what_another_endpoint_would_not_mend() -> None:
    clock = FakeClock()
    inner, _ = failing(StatusError("gone", status=404))
    with pytest.raises(StatusError):
        await Fallback(inner, ["http://one", "http://two"], clock=clock).send(get())
    assert len(inner.requests) == 1


async def test_an_endpoint_that_answers_is_not_set_back_for_its_answer() -> None:
    """A 404 for an unknown id, a 403 for one id: every endpoint would say the same, and this one is well."""
    for answer in (StatusError("gone", status=404), NotEntitled("no", subject="x")):
        inner, _ = failing(answer, reply(200))
        fallback = Fallback(inner, ["http://one", "http://two"], clock=FakeClock())
        with pytest.raises(StatusError):
            await fallback.send(get())
        await fallback.send(get())
        assert [origin(request.url) for request in inner.requests] == ["http://one", "http://one"]


async def test_an_endpoint_that_hangs_leaves_time_for_the_others() -> None:
    clock = FakeClock()

    async def handler(request: Request) -> Response:
        if origin(request.url) == "http://one":
            assert request.deadline_ns is not None
            try:
                await within(clock, request.deadline_ns, asyncio.Event().wait())
            except TimeoutError:
                raise DeadlineExceeded("late", phase="first_byte") from None
        return reply(200, clock=clock)

    fallback = Fallback(ReplyTransport(handler), ["http://one", "http://two"], clock=clock)
    began = clock.monotonic_ns()
    await drive(clock, fallback.send(get(10, clock)))
    assert clock.monotonic_ns() - began == 5 * NS_PER_S


async def test_every_attempt_is_on_the_record() -> None:
    clock = FakeClock()
    records: list[RequestRecord] = []
    inner, _ = failing(ConnectError("1"), reply(503, "busy", {"date": "x", "x-other": "y"}, clock=clock), reply(200))
    stack = build(inner, clock=clock, observer=records.append, retry=RetryPolicy(), endpoints=("http://one", "http://two"))
    await drive(clock, stack.send(get(url="http://one/v2/abcdef0123456789abcdef")))
    assert [(record.status, record.error_type, record.attempt) for record in records] == [
        (None, "connect", 0),
        (503, "status", 1),
        (200, None, 2),
    ]
    assert records[1].headers == (("date", "x"),)
    assert records[1].excerpt == "busy"
    assert "abcdef0123456789abcdef" not in records[0].url
    await stack.aclose()


async def test_an_attempt_that_ends_in_a_defect_is_on_the_record_as_ours() -> None:
    """Neither lost nor the endpoint's: ``internal``."""
    clock, records = FakeClock(), list[RequestRecord]()
    engine = build(ReplyTransport(lambda _: ZeroDivisionError("a defect")), clock=clock, observer=records.append)
    with pytest.raises(ZeroDivisionError):
        await engine.send(get())
    assert [record.error_type for record in records] == ["internal"]


@pytest.mark.parametrize("endpoints", [(), ("http://one", "http://two")])
async def test_an_answer_that_does_not_read_has_taken_its_time(endpoints: tuple[str, ...]) -> None:
    clock = FakeClock()

    def read(_: Response) -> None:
        raise DecodeError("no answer", raw=b"<html>")

    answered = replace(reply(200, "<html>", clock=clock), elapsed_ns=40)
    stack = build(ReplyTransport(lambda _: answered), clock=clock, endpoints=endpoints)
    with pytest.raises(DecodeError) as caught:
        await ask(stack, get(url="http://one/"), read)
    assert caught.value.elapsed_ns == 40


async def test_an_attempt_that_was_given_up_is_on_the_record_too() -> None:
    clock = FakeClock()
    records: list[RequestRecord] = []

    async def hang(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.ensure_future(build(ReplyTransport(hang), clock=clock, observer=records.append).send(get()))
    await clock.settle()
    await clock.advance(S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = records
    assert (record.error_type, record.status, record.elapsed_ns) == ("cancelled", None, NS_PER_S)


async def test_the_queue_drops_the_oldest_and_counts() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    for number in range(5):
        queue.put(number)
    assert (len(queue), queue.dropped) == (2, 3)
    assert [await queue.get(), await queue.get()] == [3, 4]
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put(9)
    assert await waiting == 9
    with pytest.raises(ValueError, match="at least one"):
        BoundedQueue(0)


# -- event streams -----------------------------------------------------------------------------------------------------------


class Script:
    """A server of streams: each connection plays the next list of (seconds to wait, bytes or exception)."""

    def __init__(self, clock: FakeClock, *connections: list[tuple[float, bytes | Exception]] | Exception) -> None:
        self.clock = clock
        self.connections = list(connections)
        self.opened = 0
        self.closed = 0

    async def __call__(self, request: Request) -> Response:
        step = self.connections.pop(0) if len(self.connections) > 1 else self.connections[0]
        self.opened += 1
        if isinstance(step, Exception):
            raise step
        now = self.clock.now()
        return Response(
            200,
            (("content-type", "text/event-stream"),),
            b"",
            Phases(),
            0,
            now,
            now,
            url="http://one/s",
            chunks=self._play(list(step)),
            close=self._close,
        )

    async def _play(self, steps: list[tuple[float, bytes | Exception]]) -> AsyncGenerator[bytes, None]:
        for seconds, step in steps:
            await self.clock.sleep_until_ns(self.clock.monotonic_ns() + int(seconds * NS_PER_S))
            if isinstance(step, Exception):
                raise step
            yield step

    async def _close(self) -> None:
        self.closed += 1


def stream_of(script: Callable[[Request], Any], clock: FakeClock, **policy: Any) -> EventStream:
    async def request() -> Request:
        return get()

    return EventStream(ReplyTransport(script), request, clock=clock, policy=StreamPolicy(**policy), jitter=lambda: 0.0)


async def gather(stream: EventStream, clock: FakeClock, seconds: float) -> list[str]:
    """What the stream says in so many seconds, in short."""
    said: list[str] = []

    async def consume() -> None:
        async for item in stream.items():
            match item:
                case Opened():
                    said.append("open")
                case Arrived():
                    said.append(item.event.data.decode())
                case Closed():
                    said.append(f"closed:{item.error.error_type}{'!' if item.planned else ''}")

    task = asyncio.ensure_future(consume())
    for _ in range(int(seconds * 4)):
        await clock.advance(S / 4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return said


async def test_a_stream_reopens_after_a_break_with_back_off() -> None:
    clock = FakeClock()
    script = Script(
        clock,
        [(0.5, b"data:1\n\n"), (0.5, StreamClosed("broke", planned=False))],
        ConnectError("refused"),
        [(0.5, b"data:2\n\n"), (3600, b"")],
    )
    stream = stream_of(script, clock)
    said = await gather(stream, clock, 6)
    assert said == ["open", "1", "closed:stream_closed", "closed:connect", "open", "2"]
    assert (stream.reconnects, stream.unplanned_closes, stream.planned_closes) == (2, 2, 0)
    assert script.closed == 2


async def test_the_services_own_close_after_a_day_is_routine() -> None:
    clock = FakeClock()
    goodbye = b"event:error\ndata:Connection timeout reached (24h)\n\n"
    script = Script(clock, [(1, b"data:1\n\n"), (1, goodbye)], [(1, b"data:2\n\n"), (3600, b"")])
    stream = stream_of(script, clock)
    assert await gather(stream, clock, 5) == ["open", "1", "closed:stream_closed!", "open", "2"]
    assert (stream.planned_closes, stream.unplanned_closes) == (1, 0)


async def test_other_errors_of_the_service_are_faults() -> None:
    clock = FakeClock()
    script = Script(clock, [(1, b"event:error\ndata:Slow consumer: disconnected\n\n")], [(3600, b"")])
    assert await gather(stream_of(script, clock), clock, 4) == ["open", "closed:stream_closed", "open"]


async def test_not_one_byte_is_a_dead_connection_and_keep_alives_are_life() -> None:
    clock = FakeClock()
    script = Script(clock, [(3, b":\n\n"), (3, b":\n\n"), (3600, b"")], [(3600, b"")])
    stream = stream_of(script, clock, silence=5 * S)
    said = await gather(stream, clock, 14)
    assert said == ["open", "closed:deadline_transfer", "open"]


async def test_an_answer_that_is_no_stream_is_a_fault() -> None:
    clock = FakeClock()
    stream = stream_of(lambda request: reply(200, "<html>", {"content-type": "text/html"}, clock=clock), clock)
    said = await gather(stream, clock, 2)
    assert set(said) == {"closed:protocol"}


async def test_an_event_without_end_is_a_fault() -> None:
    clock = FakeClock()
    script = Script(clock, [(0.1, b"data:" + b"x" * 5000)])
    said = await gather(stream_of(script, clock, max_event_bytes=1000), clock, 1)
    assert said[:2] == ["open", "closed:decode"]


async def test_a_refusal_is_not_hammered() -> None:
    clock = FakeClock()
    script = Script(clock, Unauthorized("no", status=401))
    await gather(stream_of(script, clock), clock, 20)
    assert script.opened <= 5
    clock = FakeClock()
    script = Script(clock, RateLimited("wait", retry_after_ns=15 * NS_PER_S))
    await gather(stream_of(script, clock), clock, 20)
    assert script.opened == 2


async def test_a_goodbye_at_once_is_no_invitation_to_come_back_at_once() -> None:
    clock = FakeClock()
    goodbye = b"event:error\ndata:Connection timeout reached (24h)\n\n"
    script = Script(clock, [(0, goodbye)])
    stream = stream_of(script, clock)
    await gather(stream, clock, 10)
    assert script.opened < 12
    assert stream.planned_closes >= 2


@pytest.mark.parametrize("error", [RateLimited, ServerError])
async def test_what_asks_to_wait_is_obeyed_within_reason(error: type[RateLimited | ServerError]) -> None:
    for asked, opened in ((15, 2), (999_999_999, 1)):
        clock = FakeClock()
        script = Script(clock, error("wait", status=503, retry_after_ns=asked * NS_PER_S))
        await gather(stream_of(script, clock), clock, 20)
        assert script.opened == opened
    clock = FakeClock()
    script = Script(clock, error("wait", status=503, retry_after_ns=999_999_999 * NS_PER_S))
    stream = stream_of(script, clock)
    task = asyncio.ensure_future(anext(stream.items()))
    await task
    await clock.advance(timedelta(minutes=6))
    assert script.opened == 2, "a stream is never given up for good"


async def test_events_that_wait_are_bounded_by_their_size_too() -> None:
    clock = FakeClock()
    event = b"data:" + b"x" * 1_000 + b"\n\n"
    script = Script(clock, [(0, event * 50), (3600, b"")])
    stream = stream_of(script, clock, queue_bytes=5_000)
    items = stream.items()
    await anext(items)
    await clock.settle()
    seen = stream._queue
    assert len(seen) <= 6
    assert stream.dropped >= 40
    await items.aclose()


async def test_the_kind_of_a_stream_is_read_in_any_case() -> None:
    clock = FakeClock()

    def answer(request: Request) -> Response:
        response = reply(200, headers={"content-type": "Text/Event-Stream;charset=utf-8"}, clock=clock)
        response.chunks = Script(clock)._play([(0, b"data:1\n\n"), (3600, b"")])
        return response

    assert await gather(stream_of(answer, clock), clock, 2) == ["open", "1"]


async def test_a_stream_that_is_left_at_any_turn_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    for count in range(40):
        clock = FakeClock()
        script = Script(clock, [(0, b"data:1\n\n"), (0, b"data:2\n\n"), (0, StreamClosed("broke", planned=False))])
        stream = stream_of(script, clock)

        async def consume(stream: EventStream = stream) -> None:
            async with aclosing(stream.items()) as items:
                async for _ in items:
                    pass

        task = asyncio.ensure_future(consume())
        for _ in range(count):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
        assert script.closed == script.opened


async def test_a_slow_consumer_loses_the_oldest_counted() -> None:
    clock = FakeClock()
    script = Script(clock, [(0, b"".join(f"data:{n}\n\n".encode() for n in range(50))), (3600, b"")])
    stream = stream_of(script, clock, queue=10)
    items = stream.items()
    first = await anext(items)
    assert isinstance(first, Opened | Arrived)
    await clock.settle()
    await items.aclose()
    assert stream.dropped > 0


async def test_errors_of_ours_stay_ours() -> None:
    clock = FakeClock()
    stream = stream_of(Script(clock, ProbekitError("odd")), clock)
    assert (await gather(stream, clock, 1))[0] == "closed:internal"


async def test_a_post_that_fails_is_not_sent_to_another_endpoint() -> None:
    asked: list[str] = []

    def handler(request: Request) -> Response | Exception:
        asked.append(request.url)
        return ConnectError("refused")

    fallback = Fallback(ReplyTransport(handler), ["http://one", "http://two"], clock=FakeClock())
    with pytest.raises(ConnectError):
        await fallback.send(replace(get(), method="POST", body=b"{}"))
    assert asked == ["http://one/x"]


def test_what_may_be_sent_again() -> None:
    assert get().may_repeat
    assert not replace(get(), method="POST").may_repeat
    assert replace(get(), method="POST", repeatable=True).may_repeat
