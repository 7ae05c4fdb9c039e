"""Events: each to its value and back, damaged, and of other contracts."""

from __future__ import annotations

import pytest
from eth_abi import abi as eth_abi
from hypothesis import given

from probekit.codecs.evm import pyth_events
from probekit.codecs.evm.contract import Event
from probekit.errors import DecodeError
from probekit.model import FeedId
from probekit.model.evm import Address, Log
from probekit.model.pyth_evm import DataSource
from probekit.model.pyth_evm_events import (
    BatchUpdated,
    ContractUpgraded,
    DataSourcesSet,
    FeeWithdrawn,
    GovernanceSourceSet,
    OwnershipTransferred,
    PriceFeedUpdated,
    ProxyUpgraded,
    PythEvent,
    TransactionFeeSet,
    TwapUpdated,
    UpdateFeeSet,
    ValidPeriodSet,
    WormholeSet,
)
from tests.support.mutation import mutations
from tests.unit.codecs.strategies import signed, unsigned

ID = FeedId("ff" * 32)
ONE, TWO = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
OLD, NEW = DataSource(1, b"o" * 32), DataSource(26, b"n" * 32)
RAW_OLD, RAW_NEW = (1, b"o" * 32), (26, b"n" * 32)


def log_of(topics: tuple[bytes, ...], data: bytes) -> Log:
    return Log(ONE, topics, data, 5, "0x" + "00" * 32, "0x" + "00" * 32, 0)


CASES: list[tuple[Event, tuple[object, ...], PythEvent]] = [
    (pyth_events.PRICE_FEED_UPDATE, (bytes(ID), 5, -6, 7), PriceFeedUpdated(ID, 5, -6, 7)),
    (pyth_events.BATCH_PRICE_FEED_UPDATE, (26, 9), BatchUpdated(26, 9)),
    (pyth_events.TWAP_PRICE_FEED_UPDATE, (bytes(ID), 5, 6, -7, 8, 9), TwapUpdated(ID, 5, 6, -7, 8, 9)),
    (pyth_events.CONTRACT_UPGRADED, (ONE, TWO), ContractUpgraded(ONE, TWO)),
    (pyth_events.UPGRADED, (TWO,), ProxyUpgraded(TWO)),
    (pyth_events.GOVERNANCE_DATA_SOURCE_SET, (RAW_OLD, RAW_NEW, 4), GovernanceSourceSet(OLD, NEW, 4)),
    (pyth_events.DATA_SOURCES_SET, ((RAW_OLD, RAW_NEW), (RAW_NEW,)), DataSourcesSet((OLD, NEW), (NEW,))),
    (pyth_events.FEE_SET, (1, 0), UpdateFeeSet(1, 0)),
    (pyth_events.VALID_PERIOD_SET, (60, 120), ValidPeriodSet(60, 120)),
    (pyth_events.WORMHOLE_ADDRESS_SET, (ONE, TWO), WormholeSet(ONE, TWO)),
    (pyth_events.TRANSACTION_FEE_SET, (0, 10**15), TransactionFeeSet(0, 10**15)),
    (pyth_events.FEE_WITHDRAWN, (TWO, 3), FeeWithdrawn(TWO, 3)),
    (pyth_events.OWNERSHIP_TRANSFERRED, (ONE, TWO), OwnershipTransferred(ONE, TWO)),
]
NAMES = [event.name for event, _, _ in CASES]


def test_no_event_is_left_out() -> None:
    assert {event.topic for event, _, _ in CASES} == {event.topic for event in pyth_events.EVENTS}


@pytest.mark.parametrize(("event", "values", "expected"), CASES, ids=NAMES)
def test_there_and_back(event: Event, values: tuple[object, ...], expected: PythEvent) -> None:
    topics, data = event.encode(*values)
    assert len(topics) == 1 + len(event.indexed)
    assert pyth_events.decode_event(log_of(topics, data)) == expected


@pytest.mark.parametrize(("event", "values", "expected"), CASES, ids=NAMES)
def test_damaged_logs(event: Event, values: tuple[object, ...], expected: PythEvent) -> None:
    topics, data = event.encode(*values)
    for changed in (topics[:-1], (*topics, bytes(32))):
        if changed:
            with pytest.raises(DecodeError, match=f"{event.name}: . topics"):
                pyth_events.decode_event(log_of(changed, data))
    refused = 0
    for damaged in mutations(data):
        try:
            pyth_events.decode_event(log_of(topics, damaged))
        except DecodeError as error:
            assert error.raw == damaged
            refused += 1
    assert refused
    for at in range(1, len(topics)):
        for topic in mutations(topics[at]):
            try:
                pyth_events.decode_event(log_of((*topics[:at], topic, *topics[at + 1 :]), data))
            except DecodeError as error:
                assert error.raw == topic


@given(unsigned(64), signed(64), unsigned(64))
def test_price_updates_as_eth_abi_writes_them(publish_time: int, price: int, conf: int) -> None:
    data = eth_abi.encode(["uint64", "int64", "uint64"], [publish_time, price, conf])
    found = pyth_events.decode_price_update(log_of((pyth_events.PRICE_FEED_UPDATE.topic, bytes(ID)), data))
    assert found == PriceFeedUpdated(ID, publish_time, price, conf)
    assert found.publish_time.seconds == publish_time


def test_logs_of_other_events() -> None:
    assert pyth_events.decode_event(log_of((), b"")) is None
    assert pyth_events.decode_event(log_of((b"t" * 32,), b"")) is None
    with pytest.raises(DecodeError, match="no event that this release knows"):
        pyth_events.decode_known_event(log_of((b"t" * 32,), b"\x01"))
    with pytest.raises(DecodeError, match="no PriceFeedUpdate"):
        pyth_events.decode_price_update(log_of(*pyth_events.FEE_SET.encode(1, 2)))
    with pytest.raises(DecodeError, match="first topic none"):
        pyth_events.FEE_SET.decode((), b"")


def test_topics_to_ask_for() -> None:
    topic = pyth_events.PRICE_FEED_UPDATE.topic
    assert pyth_events.price_update_topics() == [topic]
    assert pyth_events.price_update_topics(ID, "0x" + "aa" * 32) == [topic, [bytes(ID), b"\xaa" * 32]]


def test_what_an_event_cannot_be() -> None:
    with pytest.raises(ValueError, match="only a hash"):
        Event("Named(string)", indexed=(0,)).encode("x")
    with pytest.raises(ValueError, match="3 values"):
        pyth_events.FEE_SET.encode(1, 2, 3)
