"""Real logs of Pyth's contracts."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.codecs.evm import pyth_events, registry
from probekit.codecs.evm.registry import ContractKind
from probekit.codecs.evm_rpc import decode_log
from probekit.errors import DecodeError
from probekit.model import FeedId
from probekit.model.pyth_evm_events import PriceFeedUpdated
from tests.support.mutation import mutations
from tests.support.vectors import of_kind


def as_a_node_gives_it(vector: dict[str, Any]) -> dict[str, Any]:
    expected = vector["expected"]
    return {
        "address": expected["address"],
        "topics": vector["topics"],
        "data": "0x" + vector["data"],
        "blockNumber": hex(expected["block_number"]),
        "blockHash": "0x" + "00" * 32,
        "transactionHash": expected["transaction_hash"],
        "logIndex": hex(expected["log_index"]),
        "removed": False,
    }


@pytest.mark.parametrize("vector", of_kind("evm_log_price_feed_update"))
def test_a_real_price_update(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    log = decode_log(as_a_node_gives_it(vector))
    assert (str(log.address).lower(), log.block_number, log.log_index) == (
        expected["address"],
        expected["block_number"],
        expected["log_index"],
    )
    if not expected["decodes"]:
        with pytest.raises(DecodeError):
            pyth_events.decode_price_update(log)
        return
    assert pyth_events.PRICE_FEED_UPDATE.name == expected["event"]
    found = pyth_events.decode_price_update(log)
    assert found == PriceFeedUpdated(FeedId(expected["feed_id"]), expected["publish_time"], expected["price"], expected["conf"])
    assert pyth_events.PRICE_FEED_UPDATE.encode(
        bytes(found.feed_id), found.publish_time_s, found.price_mantissa, found.conf_mantissa
    ) == (log.topics, log.data)


@pytest.mark.parametrize("vector", of_kind("evm_log_price_feed_update"))
def test_it_came_from_a_contract_that_is_known(vector: dict[str, Any]) -> None:
    chain = registry.chain(vector["network"])
    assert chain is not None
    found = registry.contract_at(chain.chain_id, vector["expected"]["address"])
    assert found is not None
    assert found.kind is ContractKind.PYTH


@pytest.mark.parametrize("vector", of_kind("evm_log_price_feed_update"))
def test_the_damaged_log_decodes_or_refuses(vector: dict[str, Any]) -> None:
    topics = [bytes.fromhex(topic[2:]) for topic in vector["topics"]]
    outcomes = set()
    for data in mutations(bytes.fromhex(vector["data"])):
        try:
            pyth_events.PRICE_FEED_UPDATE.decode(topics, data)
        except DecodeError as error:
            assert error.raw == data
            outcomes.add(False)
        else:
            outcomes.add(True)
    assert outcomes == {True, False}
