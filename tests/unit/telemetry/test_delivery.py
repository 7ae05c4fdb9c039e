"""The buffer between runs and the receiver: nothing is lost without being counted, nothing waits for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from probekit.secret import Secret
from probekit.telemetry.delivery import Backoff, Counters, Delivery, Outcome
from probekit.telemetry.environment import SignalSettings
from tests.unit.telemetry.receiver import until

OK = Outcome(delivered=True)
DOWN = Outcome(delivered=False, message="down", retryable=True)
REFUSED = Outcome(delivered=False, message="no")
FAST = Backoff(first_s=0.001, longest_s=0.002)


class FakeSender:
    """Answers as told, then accepts; ``gate`` holds it until it is opened."""

    def __init__(self, *outcomes: Outcome, otherwise: Outcome = OK) -> None:
        self.outcomes = deque(outcomes)
        self.otherwise = otherwise
        self.sent: list[bytes] = []
        self.timeouts: list[float] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def send(self, payload: bytes, timeout_s: float) -> Outcome:
        self.sent.append(payload)
        self.timeouts.append(timeout_s)
        self.gate.wait(20)
        return self.outcomes.popleft() if self.outcomes else self.otherwise

    def close(self) -> None:
        self.closed = True


Make = Callable[..., Delivery]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Delivery] = []

    def make(sender: FakeSender, *, backoff: Backoff = FAST, max_bytes: int = 1_000_000, **changes: object) -> Delivery:
        settings = SignalSettings(**{"signal": "traces", "endpoint": "x", "delay_s": 0.0, **changes})  # type: ignore[arg-type]
        made.append(Delivery(settings, sender, backoff=backoff, max_bytes=max_bytes))
        return made[-1]

    yield make
    for delivery in made:
        delivery.begin_close(time.monotonic())
        delivery.finish_close()


def settled(delivery: Delivery) -> Counters:
    """The counters once everything handed over is accounted for."""

    def all_known() -> Counters | None:
        known = delivery.counters
        return known if known.handed == known.exported + known.rejected + known.dropped else None

    found = until(all_known, "every item accounted for")
    assert isinstance(found, Counters)
    return found


def test_what_is_accepted_is_exported(make: Make) -> None:
    sender = FakeSender()
    delivery = make(sender)
    delivery.put(b"a", 3)
    assert settled(delivery) == Counters(handed=3, exported=3)


def test_a_partial_success_is_split_and_never_sent_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    sender = FakeSender(Outcome(delivered=True, rejected=2, message="too old"))
    delivery = make(sender)
    delivery.put(b"a", 5)
    assert settled(delivery) == Counters(handed=5, exported=3, rejected=2)
    assert sender.sent == [b"a"]
    assert "2 of 5 items rejected: too old" in caplog.text


def test_a_receiver_cannot_reject_more_than_it_was_sent(make: Make) -> None:
    delivery = make(FakeSender(Outcome(delivered=True, rejected=99), Outcome(delivered=True, rejected=-4)))
    delivery.put(b"a", 5)
    assert settled(delivery) == Counters(handed=5, rejected=5)
    delivery.put(b"b", 5)
    assert settled(delivery) == Counters(handed=10, exported=5, rejected=5)


def test_a_retryable_failure_is_sent_again_until_it_is_accepted(make: Make) -> None:
    sender = FakeSender(DOWN, DOWN, DOWN)
    delivery = make(sender)
    delivery.put(b"a", 1)
    assert settled(delivery) == Counters(handed=1, exported=1, retried=3)
    assert sender.sent == [b"a"] * 4


def test_a_refusal_is_dropped_at_once(make: Make) -> None:
    sender = FakeSender(REFUSED)
    delivery = make(sender)
    delivery.put(b"a", 4)
    assert settled(delivery) == Counters(handed=4, dropped=4, reasons={"refused": 4})
    assert len(sender.sent) == 1


def test_retries_end_and_the_next_request_has_its_turn(make: Make) -> None:
    sender = FakeSender(otherwise=DOWN)
    delivery = make(sender, backoff=Backoff(first_s=0.01, longest_s=0.01, give_up_s=0.05))
    delivery.put(b"a", 2)
    counters = settled(delivery)
    assert counters.reasons == {"gave_up": 2}
    assert counters.retried >= 1
    sender.otherwise = OK
    delivery.put(b"b", 1)
    assert settled(delivery).exported == 1


def test_the_receivers_own_waiting_time_is_kept(make: Make) -> None:
    sender = FakeSender(Outcome(delivered=False, retryable=True, wait_s=0.3))
    delivery = make(sender)
    began = time.monotonic()
    delivery.put(b"a", 1)
    settled(delivery)
    assert time.monotonic() - began >= 0.3


def test_a_wait_beyond_the_last_moment_is_not_begun(make: Make) -> None:
    sender = FakeSender(Outcome(delivered=False, retryable=True, wait_s=3600.0))
    delivery = make(sender)
    delivery.put(b"a", 1)
    assert settled(delivery).reasons == {"gave_up": 1}


def test_a_full_buffer_drops_the_oldest_and_counts_it(make: Make) -> None:
    sender = FakeSender()
    sender.gate.clear()
    delivery = make(sender, queue=10, batch=1)
    delivery.put(b"first", 1)
    until(lambda: sender.sent, "the first request under way")
    for number in range(8):
        delivery.put(b"%d" % number, 4)
    assert delivery.counters.dropped == 24
    sender.gate.set()
    assert settled(delivery) == Counters(handed=33, exported=9, dropped=24, reasons={"queue_full": 24})
    assert sender.sent == [b"first", b"6", b"7"]


def test_the_buffer_is_bounded_in_bytes_too(make: Make) -> None:
    sender = FakeSender()
    sender.gate.clear()
    delivery = make(sender, max_bytes=1_000, queue=1_000)
    delivery.put(b"first", 1)
    until(lambda: sender.sent, "the first request under way")
    for _ in range(5):
        delivery.put(b"x" * 400, 1)
    assert delivery.counters.reasons == {"queue_full": 3}
    sender.gate.set()


def test_items_wait_for_company_and_travel_together(make: Make) -> None:
    sender = FakeSender()
    delivery = make(sender, delay_s=3600.0, batch=6)
    delivery.put(b"a", 2)
    delivery.put(b"b", 2)
    assert delivery.counters.exported == 0
    delivery.put(b"c", 2)
    assert settled(delivery).exported == 6
    assert sender.sent == [b"abc"]


def test_a_lone_item_leaves_after_the_delay(make: Make) -> None:
    delivery = make(FakeSender(), delay_s=0.05, batch=100)
    delivery.put(b"a", 1)
    assert settled(delivery).exported == 1


def test_closing_flushes_what_waits(make: Make) -> None:
    sender = FakeSender()
    delivery = make(sender, delay_s=3600.0, batch=2)
    for _ in range(5):
        delivery.put(b"a", 1)
    delivery.begin_close(time.monotonic() + 5)
    delivery.finish_close()
    assert delivery.counters == Counters(handed=5, exported=5)
    assert sender.closed


def test_closing_is_bounded_and_what_is_unanswered_counts_once(make: Make) -> None:
    sender = FakeSender()
    sender.gate.clear()
    delivery = make(sender, batch=1)
    delivery.put(b"a", 2)
    delivery.put(b"b", 3)
    until(lambda: sender.sent, "the first request under way")
    began = time.monotonic()
    delivery.begin_close(began + 0.2)
    delivery.finish_close()
    assert 0.15 < time.monotonic() - began < 2
    expected = Counters(handed=5, dropped=5, reasons={"closing": 5})
    assert delivery.counters == expected
    # The answer comes after all: it changes nothing.
    sender.gate.set()
    until(lambda: not delivery._thread.is_alive(), "the end of the thread")
    assert delivery.counters == expected
    delivery.finish_close()
    delivery.put(b"c", 1)
    assert delivery.counters.dropped == 6


def test_closing_cuts_a_long_wait_short_for_a_last_attempt(make: Make) -> None:
    sender = FakeSender(DOWN)
    delivery = make(sender, backoff=Backoff(first_s=60, longest_s=60))
    delivery.put(b"a", 1)
    until(lambda: sender.sent, "the first attempt")
    began = time.monotonic()
    delivery.begin_close(began + 5)
    delivery.finish_close()
    assert time.monotonic() - began < 3
    assert delivery.counters == Counters(handed=1, exported=1, retried=1)
    assert sender.timeouts[1] <= 5


def test_closing_while_the_receiver_stays_away_drops_and_ends(make: Make) -> None:
    delivery = make(FakeSender(otherwise=DOWN), backoff=Backoff(first_s=0.02, longest_s=0.02))
    delivery.put(b"a", 1)
    began = time.monotonic()
    delivery.begin_close(began + 0.2)
    delivery.finish_close()
    assert time.monotonic() - began < 2
    assert delivery.counters.reasons == {"closing": 1}


def test_what_is_lost_between_two_attempts_at_the_end_counts_once(make: Make) -> None:
    """The one who closes and the thread that pauses may both see the same request as lost."""
    for _ in range(30):
        sender = FakeSender(otherwise=DOWN)
        delivery = make(sender, backoff=Backoff(first_s=60, longest_s=60))
        delivery.put(b"a", 7)
        until(partial(list, sender.sent), "a first attempt")
        delivery.begin_close(time.monotonic())
        delivery.finish_close()
        delivery._thread.join(5)
        assert delivery.counters.reasons == {"closing": 7}


def test_a_defect_of_the_sender_drops_and_the_thread_lives(make: Make) -> None:
    class Broken(FakeSender):
        def send(self, payload: bytes, timeout_s: float) -> Outcome:
            if payload == b"a":
                raise RuntimeError("bug")
            return super().send(payload, timeout_s)

    delivery = make(Broken())
    delivery.put(b"a", 1)
    assert settled(delivery).reasons == {"refused": 1}
    delivery.put(b"b", 1)
    assert settled(delivery).exported == 1


def test_a_lasting_failure_is_logged_once_and_without_secrets(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    canary = Secret("canary-5417-tail")
    caplog.set_level(logging.WARNING, "probekit.telemetry")
    sender = FakeSender(otherwise=Outcome(delivered=False, message=f"no {canary.reveal()}", retryable=True))
    delivery = make(sender)
    delivery.put(b"a", 1)
    until(lambda: delivery.counters.retried > 3, "retries")
    assert len(caplog.records) == 1
    assert "canary" not in caplog.text


def test_backoff_doubles_to_its_bound() -> None:
    backoff = Backoff(first_s=1.0, longest_s=8.0)
    for attempt, expected in enumerate((1, 2, 4, 8, 8, 8)):
        assert expected * 0.8 <= backoff.wait_s(attempt) <= expected * 1.2
    assert backoff.wait_s(10_000) <= 9.6
