"""Facts of an endpoint, and the state that follows; the token bucket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit import errors
from probekit.secret import Secret
from probekit.testing import FakeClock
from probekit.transports.rpc import Endpoint, EndpointState, HealthPolicy
from probekit.transports.rpc.health import Health
from probekit.transports.rpc.limiter import TokenBucket
from probekit.units import NS_PER_S

S = NS_PER_S


def health(**policy: Any) -> Health:
    return Health(Endpoint("http://a.test/", name="a"), HealthPolicy(**policy))


def state(subject: Health, now_ns: int, **heads: int) -> EndpointState:
    return subject.standing(heads, now_ns).state


def test_new_is_alive() -> None:
    assert state(health(), 0) is EndpointState.ALIVE


def test_another_chain_is_for_good() -> None:
    subject = health()
    subject.identity_seen("5", "1", 0)
    subject.answered(1, 0)
    subject.identity_seen("1", "1", 0)
    standing = subject.standing({}, 10**18)
    assert standing.state is EndpointState.WRONG_CHAIN
    assert "serves chain 5, expected 1" in standing.reason


def test_failures_in_a_row_open_the_breaker_and_each_failed_trial_doubles_it() -> None:
    subject = health()
    for _ in range(2):
        subject.failed(errors.ConnectError("refused"), 0)
    assert state(subject, 0) is EndpointState.ALIVE
    subject.failed(errors.ConnectError("refused"), 0)
    assert subject.track().rests(5 * S - 1)
    assert "next trial in 1.0 s" in subject.standing({}, 4 * S).reason
    assert not subject.track().rests(5 * S)
    assert subject.standing({}, 5 * S).reason == "connect: refused; on trial"
    assert subject.track().on_trial
    subject.failed(errors.ConnectError("refused"), 5 * S)
    assert subject.track().rests(15 * S - 1)
    assert not subject.track().rests(15 * S)
    assert state(subject, 15 * S) is EndpointState.UNREACHABLE
    subject.answered(1, 0)
    trial_over = not subject.track().on_trial
    assert trial_over
    assert "refused" in health_reason(subject)


def health_reason(subject: Health) -> str:
    for _ in range(3):
        subject.failed(errors.ConnectError("refused"), 0)
    return subject.standing({}, 0).reason


def test_many_that_fail_together_open_the_breaker_once() -> None:
    """A second in which nothing answered is no reason to leave an endpoint alone for five minutes."""
    subject = health()
    for _ in range(100):
        subject.failed(errors.ConnectError("refused"), 1 * S, elapsed_ns=S)
    assert subject.track().open_until_ns == 6 * S
    # They were under way before it opened, and end after its time: no trial either.
    for _ in range(100):
        subject.failed(errors.DeadlineExceeded("late", phase="connect"), 7 * S, elapsed_ns=7 * S)
    assert subject.track().open_until_ns == 6 * S
    subject.failed(errors.ConnectError("refused"), 8 * S, elapsed_ns=S)
    assert subject.track().open_until_ns == 18 * S


def test_a_named_limit_is_not_shortened_by_one_without_a_time() -> None:
    subject = health()
    subject.failed(errors.RateLimited("x", retry_after_ns=60 * S), 0)
    subject.failed(errors.RateLimited("x"), 1 * S)
    assert (subject.limited_until_ns, subject.limit_named) == (60 * S, True)
    subject.failed(errors.RateLimited("x", retry_after_ns=5 * S), 2 * S)
    assert subject.limited_until_ns == 7 * S
    subject.failed(errors.RateLimited("x"), 8 * S)
    assert (subject.limited_until_ns, subject.limit_named) == (18 * S, False)


def test_the_breaker_is_bounded() -> None:
    subject = health()
    for _ in range(100):
        subject.failed(errors.ConnectError("x"), 0)
    assert subject.track().open_until_ns <= 300 * S


def test_an_error_rate_opens_the_breaker() -> None:
    subject = health()
    for index in range(10):
        if index % 2:
            subject.failed(errors.ServerError("x", status=502), 0)
        else:
            subject.answered(1, 0)
    assert state(subject, 0) is EndpointState.UNREACHABLE


def test_a_trial_that_fails_opens_it_again_whatever_is_remembered() -> None:
    subject = health()
    for index in range(10):
        if index % 2:
            subject.failed(errors.ServerError("x", status=502), 0)
        else:
            subject.answered(1, 0)
    assert subject.track().rests(0)
    subject.failed(errors.ServerError("x", status=502), 90 * S)
    assert subject.track().rests(99 * S)
    assert not subject.track().rests(100 * S)


@pytest.mark.parametrize(
    ("error", "resting"),
    [
        (errors.ConnectError("refused"), ""),
        (errors.ResolveError("no address"), ""),
        (errors.TlsError("expired"), ""),
        (errors.DeadlineExceeded("late", phase="connect"), ""),
        (errors.DeadlineExceeded("late", phase="first_byte"), "logs"),
        (errors.ServerError("x", status=502), "logs"),
        (errors.DecodeError("html", raw=b"<"), "logs"),
    ],
)
def test_who_cannot_be_reached_cannot_be_reached_for_anything(error: errors.ProbekitError, resting: str) -> None:
    subject = health()
    for _ in range(3):
        subject.failed(error, 0, "logs")
    standing = subject.standing({}, 0)
    assert standing.state is (EndpointState.ALIVE if resting else EndpointState.UNREACHABLE)
    assert [kind for kind, _ in standing.resting] == ([resting] if resting else [])


def test_failures_of_long_ago_are_forgotten() -> None:
    subject = health(consecutive=100)
    for _ in range(4):
        subject.failed(errors.ServerError("x", status=502), 0)
    assert subject.track().error_percent(60 * S) == 100
    assert subject.track().error_percent(61 * S) == 0
    subject.track().overtaken(0)
    assert not subject.track().slow(0)


@pytest.mark.parametrize(
    "answer",
    [errors.RpcError("x", code=-32602), errors.Reverted("x", code=3), errors.NotServed("x", code=-32601), errors.NotFound("x")],
)
def test_an_answer_is_not_a_failure(answer: errors.ProbekitError) -> None:
    subject = health()
    for _ in range(50):
        subject.failed(answer, 0)
    assert state(subject, 0) is EndpointState.ALIVE


@pytest.mark.parametrize(
    ("limit", "until_s"),
    [
        (errors.RateLimited("x", retry_after_ns=7 * S), 7),
        (errors.RpcRateLimited("x", code=429, retry_after_ns=7 * S), 7),
        (errors.RateLimited("x"), 10),
        (errors.RateLimited("x", retry_after_ns=10**6 * S), 600),
    ],
)
def test_a_limit_holds_until_the_time_it_names(limit: errors.ProbekitError, until_s: int) -> None:
    subject = health()
    subject.failed(limit, 0)
    assert state(subject, until_s * S - 1) is EndpointState.LIMITED
    assert state(subject, until_s * S) is EndpointState.ALIVE


def test_heads() -> None:
    subject = health(max_lag=8, max_lead=1000)
    subject.head_seen(100, S)
    assert state(subject, S, a=100, b=108) is EndpointState.ALIVE
    assert state(subject, S, a=100, b=109) is EndpointState.LAGGING
    # One node alone far ahead of two others is the liar, and makes nobody else lag.
    assert state(subject, S, a=100, b=101, c=5000) is EndpointState.ALIVE
    subject.head_seen(5000, S)
    assert state(subject, S, a=5000, b=101, c=100) is EndpointState.OUT_OF_SYNC
    # Between two, nobody can say who is wrong.
    assert state(subject, S, a=5000, b=101) is EndpointState.ALIVE


def test_a_head_that_stands_still_while_others_move() -> None:
    subject = health(stall=timedelta(seconds=60))
    subject.head_seen(100, S)
    subject.head_seen(100, 61 * S)
    assert state(subject, 61 * S, a=100, b=100) is EndpointState.ALIVE
    assert state(subject, 61 * S, a=100, b=101) is EndpointState.OUT_OF_SYNC


def test_a_node_that_says_it_syncs() -> None:
    subject = health()
    subject.syncing = "at 5 of 9"
    standing = subject.standing({}, 0)
    assert standing.state is EndpointState.OUT_OF_SYNC
    assert "at 5 of 9" in standing.reason


def test_percentiles() -> None:
    subject = health()
    assert subject.track().latency_ns() is None
    for number in range(1, 21):
        subject.answered(number, 0)
    assert subject.track().latency_ns(50) == 11
    assert subject.track().latency_ns(95, least=20) == 20
    assert subject.track().latency_ns(95, least=21) is None


def test_an_endpoint_shows_no_key() -> None:
    key = Secret("f81d4fae7dec11d0a76500a0c91e6bf6")
    endpoint = Endpoint("https://rpc.test/v2/{key}", key=key, ws_url="wss://rpc.test/ws?apikey={key}")
    assert endpoint.reveal_url() == "https://rpc.test/v2/f81d4fae7dec11d0a76500a0c91e6bf6"
    assert endpoint.reveal_ws_url().endswith("apikey=f81d4fae7dec11d0a76500a0c91e6bf6")
    for text in (endpoint.label, repr(endpoint), str(endpoint), f"{endpoint}"):
        assert "f81d4fae" not in text
    literal = Endpoint("https://rpc.test/v2/f81d4fae7dec11d0a76500a0c91e6bf6")
    assert "f81d4fae" not in repr(literal) + literal.label
    assert Endpoint("https://rpc.test/").reveal_ws_url() == "wss://rpc.test/"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "rpc.test"},
        {"url": "http://rpc.test", "ws_url": "http://rpc.test"},
        {"url": "http://rpc.test/{key}"},
        {"url": "http://rpc.test", "max_batch": 0},
        {"url": "http://rpc.test", "requests_per_second": 0},
    ],
)
def test_a_wrong_endpoint_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"http|ws|key|at least|above"):
        Endpoint(**options)


@given(st.lists(st.tuples(st.integers(0, 500_000_000), st.integers(1, 7)), max_size=60))
async def test_a_bucket_never_gives_more_than_its_rate(steps: list[tuple[int, int]]) -> None:
    clock = FakeClock()
    bucket, taken, start_ns = TokenBucket(10, 5, clock), 0, clock.monotonic_ns()
    largest = 0
    for wait_ns, cost in steps:
        await clock.advance(timedelta(microseconds=wait_ns // 1000))
        if bucket.take(cost) == 0:
            taken += cost
            largest = max(largest, cost)
        elapsed_ns = clock.monotonic_ns() - start_ns
        # A call above the burst passes when the bucket is full, and leaves it in debt.
        assert taken <= max(5, largest) + elapsed_ns * 10 / S


async def test_a_bucket_tells_the_wait() -> None:
    clock = FakeClock()
    bucket = TokenBucket(10, 2, clock)
    assert [bucket.take(), bucket.take()] == [0, 0]
    wait_ns = bucket.take()
    assert wait_ns == S // 10
    await clock.advance(timedelta(microseconds=wait_ns // 1000))
    assert bucket.take() == 0
