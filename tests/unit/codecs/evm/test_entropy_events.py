"""Entropy's events: each to its value and back, damaged, of other contracts; two versions of one thing counted once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm import entropy_events as events
from probekit.codecs.evm.contract import Event
from probekit.errors import DecodeError
from probekit.model.entropy import CallbackStatus
from probekit.model.entropy_events import (
    Counted,
    DefaultProviderSet,
    EntropyEvent,
    EntropyRequested,
    EntropyRevealed,
    FeeManagerSet,
    MaxNumHashesSet,
    ProviderFeeSet,
    ProviderGasLimitSet,
    ProviderRegistered,
    ProviderUriSet,
    ProviderWithdrew,
    PythFeeSet,
)
from probekit.model.evm import Log
from probekit.model.pyth_evm_events import Logged
from tests.support.mutation import mutations
from tests.unit.codecs.evm.test_entropy import PROVIDER, REQUESTER, SECRET, USER, info, request

NUMBER = codec.random_number(USER, SECRET)
OLD_INFO = info(default_gas_limit=None)
OLD_REQUEST = request(gas_limit=None)
ALONE = request(gas_limit=None, callback_status=CallbackStatus.NOT_NEEDED)
RAW_INFO, RAW_REQUEST, RAW_ALONE = codec.raw_provider(OLD_INFO), codec.raw_request(OLD_REQUEST), codec.raw_request(ALONE)
HEAD = (PROVIDER, REQUESTER, 7)
TRANSACTION = "0x" + "ab" * 32

CASES: list[tuple[Event, tuple[object, ...], EntropyEvent]] = [
    (events.REGISTERED_V1, (RAW_INFO,), ProviderRegistered(None, OLD_INFO)),
    (
        events.REQUESTED_V1,
        (RAW_ALONE,),
        EntropyRequested(*HEAD, None, with_callback=False, request=ALONE),
    ),
    (events.REQUESTED_WITH_CALLBACK_V1, (*HEAD, USER, RAW_REQUEST), EntropyRequested(*HEAD, USER, request=OLD_REQUEST)),
    (
        events.REVEALED_V1,
        (RAW_ALONE, USER, SECRET, bytes(32), NUMBER),
        EntropyRevealed(*HEAD, NUMBER, USER, SECRET, request=ALONE),
    ),
    (
        events.REVEALED_WITH_CALLBACK_V1,
        (RAW_REQUEST, USER, SECRET, NUMBER),
        EntropyRevealed(*HEAD, NUMBER, USER, SECRET, request=OLD_REQUEST),
    ),
    (
        events.CALLBACK_FAILED_V1,
        (*HEAD, USER, SECRET, NUMBER, b"why"),
        EntropyRevealed(*HEAD, NUMBER, USER, SECRET, callback_failed=True, return_value=b"why"),
    ),
    (events.FEE_UPDATED_V1, (PROVIDER, 1, 2), ProviderFeeSet(PROVIDER, 1, 2)),
    (events.GAS_LIMIT_UPDATED_V1, (PROVIDER, 1, 2), ProviderGasLimitSet(PROVIDER, 1, 2)),
    (events.URI_UPDATED_V1, (PROVIDER, b"a", b"b"), ProviderUriSet(PROVIDER, b"a", b"b")),
    (events.FEE_MANAGER_UPDATED_V1, (PROVIDER, PROVIDER, REQUESTER), FeeManagerSet(PROVIDER, PROVIDER, REQUESTER)),
    (events.MAX_NUM_HASHES_V1, (PROVIDER, 1, 2), MaxNumHashesSet(PROVIDER, 1, 2)),
    (events.WITHDRAWAL_V1, (PROVIDER, REQUESTER, 3), ProviderWithdrew(PROVIDER, REQUESTER, 3)),
    (events.REGISTERED_V2, (PROVIDER, b""), ProviderRegistered(PROVIDER)),
    (events.REQUESTED_V2, (*HEAD, USER, 100_000, b""), EntropyRequested(*HEAD, USER, gas_limit=100_000)),
    (
        events.REVEALED_V2,
        (*HEAD, NUMBER, USER, SECRET, False, b"ok", 54_321, b""),
        EntropyRevealed(*HEAD, NUMBER, USER, SECRET, return_value=b"ok", gas_used=54_321),
    ),
    (events.FEE_UPDATED_V2, (PROVIDER, 1, 2, b""), ProviderFeeSet(PROVIDER, 1, 2)),
    (events.GAS_LIMIT_UPDATED_V2, (PROVIDER, 1, 2, b"x"), ProviderGasLimitSet(PROVIDER, 1, 2)),
    (events.URI_UPDATED_V2, (PROVIDER, b"a", b"b", b""), ProviderUriSet(PROVIDER, b"a", b"b")),
    (events.FEE_MANAGER_UPDATED_V2, (PROVIDER, PROVIDER, REQUESTER, b""), FeeManagerSet(PROVIDER, PROVIDER, REQUESTER)),
    (events.MAX_NUM_HASHES_V2, (PROVIDER, 1, 2, b""), MaxNumHashesSet(PROVIDER, 1, 2)),
    (events.WITHDRAWAL_V2, (PROVIDER, REQUESTER, 3, b""), ProviderWithdrew(PROVIDER, REQUESTER, 3)),
    (events.PYTH_FEE_SET, (1, 2), PythFeeSet(1, 2)),
    (events.DEFAULT_PROVIDER_SET, (PROVIDER, REQUESTER), DefaultProviderSet(PROVIDER, REQUESTER)),
]
NAMES = [event.signature.partition("(")[0] + str(at) for at, (event, _, _) in enumerate(CASES)]
FAILED_V1 = (events.CALLBACK_FAILED_V1, (*HEAD, USER, SECRET, NUMBER, b""))
FAILED_V2 = (events.REVEALED_V2, (*HEAD, NUMBER, USER, SECRET, True, b"", 101_000, b""))
REVEALED_V1 = (events.REVEALED_WITH_CALLBACK_V1, (RAW_REQUEST, USER, SECRET, NUMBER))
REVEALED_V2 = (events.REVEALED_V2, (*HEAD, NUMBER, USER, SECRET, False, b"", 60_000, b""))


def log_of(event: Event, values: tuple[object, ...], *, at: int = 0, transaction: str = TRANSACTION) -> Log:
    topics, data = event.encode(*values)
    return Log(PROVIDER, topics, data, 5, "0x" + "00" * 32, transaction, at)


def logged(*rows: Any, transaction: str = TRANSACTION) -> list[Logged[EntropyEvent] | DecodeError]:
    made: list[Logged[EntropyEvent] | DecodeError] = []
    for at, (event, values) in enumerate(rows):
        log = log_of(event, values, at=at, transaction=transaction)
        made.append(Logged(events.decode_known_event(log), log))
    return made


def test_no_event_is_left_out() -> None:
    assert {event.topic for event, _, _ in CASES} == {event.topic for event in events.EVENTS}


@pytest.mark.parametrize(("event", "values", "expected"), CASES, ids=NAMES)
def test_there_and_back(event: Event, values: tuple[object, ...], expected: EntropyEvent) -> None:
    assert events.decode_event(log_of(event, values)) == expected


@pytest.mark.parametrize(("event", "values", "expected"), CASES, ids=NAMES)
def test_damaged_logs(event: Event, values: tuple[object, ...], expected: EntropyEvent) -> None:
    topics, data = event.encode(*values)
    refused = 0
    for damaged in mutations(data):
        try:
            events.decode_event(Log(PROVIDER, topics, damaged, 5, "0x", "0x", 0))
        except DecodeError as error:
            assert error.raw == damaged
            refused += 1
    assert refused


def test_logs_of_other_events() -> None:
    foreign = Log(PROVIDER, (b"t" * 32,), b"", 5, "0x", "0x", 0)
    assert events.decode_event(foreign) is None
    assert events.decode_event(Log(PROVIDER, (), b"", 5, "0x", "0x", 0)) is None
    with pytest.raises(DecodeError, match="no event that this release knows"):
        events.decode_known_event(foreign)


# -- once ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_both_versions_of_a_request_are_one_that_has_what_either_tells(order: int) -> None:
    rows = [
        (events.REQUESTED_WITH_CALLBACK_V1, (*HEAD, USER, RAW_REQUEST)),
        (events.REQUESTED_V2, (*HEAD, USER, 100_000, b"")),
    ][::order]
    (found,) = events.count(logged(*rows))
    assert isinstance(found, Counted)
    assert found.event == EntropyRequested(*HEAD, USER, gas_limit=100_000, request=OLD_REQUEST)
    assert [log.log_index for log in found.logs] == [0, 1]
    assert found.log.log_index == 0


def test_either_version_alone_counts() -> None:
    for event, values, expected in CASES:
        assert events.count(logged((event, values))) == [Counted(expected, (log_of(event, values),))]


def test_a_failed_callback_and_its_recovery_in_one_transaction_are_two() -> None:
    failed, recovered = events.count(logged(FAILED_V1, FAILED_V2, REVEALED_V1, REVEALED_V2))
    assert isinstance(failed, Counted)
    assert isinstance(recovered, Counted)
    assert failed.event == EntropyRevealed(*HEAD, NUMBER, USER, SECRET, True, b"", 101_000)
    assert recovered.event == EntropyRevealed(*HEAD, NUMBER, USER, SECRET, False, b"", 60_000, OLD_REQUEST)
    assert (len(failed.logs), len(recovered.logs)) == (2, 2)


def test_one_request_asked_in_two_transactions_is_two_after_a_reorganisation() -> None:
    rows = [(events.REQUESTED_V2, (*HEAD, USER, 100_000, b""))]
    assert len(events.count([*logged(*rows), *logged(*rows, transaction="0x" + "cd" * 32)])) == 2


def test_logs_of_two_transactions_are_never_one_thing() -> None:
    v1, v2 = (events.FEE_UPDATED_V1, (PROVIDER, 1, 2)), (events.FEE_UPDATED_V2, (PROVIDER, 1, 2, b""))
    # Of the first transaction only one version reads.
    alone, whole = events.count([*logged(v1), *logged(v1, v2, transaction="0x" + "cd" * 32)])
    assert isinstance(alone, Counted)
    assert isinstance(whole, Counted)
    assert [log.transaction_hash for log in whole.logs] == ["0x" + "cd" * 32] * 2
    assert len(events.count([*logged(v1), *logged(v2, transaction="0x" + "cd" * 32)])) == 2


def test_the_same_change_made_twice_in_one_transaction_is_two() -> None:
    twice = [(events.FEE_UPDATED_V1, (PROVIDER, 1, 2)), (events.FEE_UPDATED_V2, (PROVIDER, 1, 2, b""))] * 2
    assert [len(one.logs) for one in events.count(logged(*twice)) if isinstance(one, Counted)] == [2, 2]


def test_a_registration_has_its_provider_from_one_and_the_rest_from_the_other() -> None:
    (found,) = events.count(logged((events.REGISTERED_V1, (RAW_INFO,)), (events.REGISTERED_V2, (PROVIDER, b""))))
    assert isinstance(found, Counted)
    assert found.event == ProviderRegistered(PROVIDER, OLD_INFO)


def test_versions_that_contradict_each_other() -> None:
    other = (events.REVEALED_V2, (*HEAD, b"x" * 32, USER, SECRET, False, b"", 60_000, b""))
    kept, refused = events.count(logged(REVEALED_V1, other))
    assert isinstance(kept, Counted)
    assert kept.event == EntropyRevealed(*HEAD, NUMBER, USER, SECRET, request=OLD_REQUEST)
    assert isinstance(refused, DecodeError)
    assert "contradict" in refused.message


def test_one_that_does_not_read_costs_no_other() -> None:
    broken = DecodeError("broken", raw=b"x")
    first, *rest = logged(REVEALED_V1, REVEALED_V2)
    found = events.count([first, broken, *rest])
    assert [type(one) for one in found] == [Counted, DecodeError]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 2]), st.booleans()), max_size=12))
def test_nothing_is_lost_and_nothing_counted_twice(rows: list[tuple[int, int, bool]]) -> None:
    given_logs: list[Logged[EntropyEvent] | DecodeError] = []
    for at, (sequence, version, failed) in enumerate(rows):
        head = (PROVIDER, REQUESTER, sequence)
        values: tuple[object, ...]
        if version == 2:
            event, values = events.REVEALED_V2, (*head, NUMBER, USER, SECRET, failed, b"", 1, b"")
        elif failed:
            event, values = events.CALLBACK_FAILED_V1, (*head, USER, SECRET, NUMBER, b"")
        else:
            raw = codec.raw_request(request(gas_limit=None, sequence=sequence))
            event, values = events.REVEALED_WITH_CALLBACK_V1, (raw, USER, SECRET, NUMBER)
        log = log_of(event, values, at=at)
        given_logs.append(Logged(events.decode_known_event(log), log))
    found = [one for one in events.count(given_logs) if isinstance(one, Counted)]
    assert sorted(log.log_index for one in found for log in one.logs) == list(range(len(rows)))
    for sequence in (1, 2, 3):
        for failed in (False, True):
            told = [sum(row == (sequence, version, failed) for row in rows) for version in (1, 2)]
            counted = [
                one
                for one in found
                if isinstance(one.event, EntropyRevealed)
                and (one.event.sequence, one.event.callback_failed) == (sequence, failed)
            ]
            assert len(counted) == max(told)


def test_topics_to_ask_for() -> None:
    assert events.topics_of(*events.REQUESTS) == [[one.topic for one in events.REQUESTS]]
