"""Real answers of Hermes: their JSON, their signed bytes, and whether the two agree."""

from __future__ import annotations

from typing import Any

import pytest

from probekit import trust
from probekit.clients.batch import Batch
from probekit.codecs.hermes import decode_prices
from probekit.errors import BadProof, ParsedMismatch
from probekit.model import FeedId, PriceMessage
from probekit.units import Instant
from tests.support.vectors import of_kind


@pytest.mark.parametrize("vector", of_kind("hermes_latest_json"))
def test_a_real_answer(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    answer = decode_prices(bytes.fromhex(vector["data"]))
    assert answer.binary.encoding == expected["encoding"]
    raw = answer.binary.decoded()
    assert len(raw) == expected["binary_count"]
    parsed = answer.parsed or ()
    for update, wanted in zip(parsed, expected["parsed"], strict=True):
        metadata = update.metadata
        found = {
            "feed_id": str(update.feed_id),
            "price": update.price.mantissa,
            "conf": update.conf.mantissa,
            "expo": update.price.expo,
            "publish_time": update.publish_time.seconds,
            "ema_price": update.ema_price.mantissa,
            "ema_conf": update.ema_conf.mantissa,
            "slot": None if metadata is None else metadata.slot,
            "proof_available_time": None if metadata is None else metadata.proof_available_time,
            "prev_publish_time": None if metadata is None else metadata.prev_publish_time,
        }
        assert {name: found[name] for name in wanted} == wanted

    # As of the update's own time, superseded sets accepted: who signed, not whether it is acceptable today.
    proven: dict[str, tuple[PriceMessage, int]] = {}
    for one in raw:
        at = trust.claim_of(one, trust.MAINNET).time
        if not expected["merkle_proofs_valid"]:
            with pytest.raises(BadProof):
                trust.verify(one, trust.MAINNET, at=at, accept_superseded=True)
            return
        verified = trust.verify(one, trust.MAINNET, at=at, accept_superseded=True)
        assert (verified.set_index, verified.slot) == (expected["guardian_set_index"], expected["slot"])
        for message in verified.messages:
            if isinstance(message, PriceMessage):
                proven[message.feed_id] = (message, verified.slot)
    disagreeing = []
    for update in parsed:
        try:
            trust.check_parsed(update, *proven[update.id])
        except ParsedMismatch:
            disagreeing.append(update.id)
    assert disagreeing == expected["disagreements"]
    assert (not disagreeing) == expected["parsed_agrees_with_binary"]

    batch = Batch([FeedId(update.id) for update in parsed], (answer,), {}, received_at=Instant(0))
    assert len(batch.updates) == len(parsed)
