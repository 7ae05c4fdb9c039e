"""Real receiver accounts and the published addresses of push feeds."""

from __future__ import annotations

from typing import Any

import pytest

from probekit.codecs.solana import receiver
from probekit.codecs.solana.addresses import CORE, PRO, push_feed
from probekit.errors import DecodeError
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import FULL, VerificationLevel
from probekit.model.solana import Account
from tests.support.mutation import decodes_or_refuses, mutations
from tests.support.vectors import of_kind

PROGRAMS = {programs.push_oracle: programs for programs in (CORE, PRO)}


@pytest.mark.parametrize("vector", of_kind("solana_price_update_v2"))
def test_price_update(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    account = receiver.decode_price_update(data)
    message = account.message
    level = expected["verification_level"]
    assert account.level == (FULL if level["variant"] == "full" else VerificationLevel(level["num_signatures"]))
    assert account.write_authority == Pubkey(expected["write_authority"])
    assert account.posted_slot == expected["posted_slot"]
    for name in ("feed_id", "price", "conf", "expo", "publish_time", "prev_publish_time", "ema_price", "ema_conf"):
        assert getattr(message, name) == expected[name], name
    assert data[:8].hex() == expected["discriminator"]
    assert data[(at := expected["feed_id_offset"]) : at + 32].hex() == message.feed_id
    used = len(data) - len(expected["trailing"]) // 2
    encoded = receiver.encode_price_update(account)
    assert (len(encoded), len(data), encoded[:used]) == (expected["account_length"], expected["account_length"], data[:used])


@pytest.mark.parametrize("vector", of_kind("solana_price_update_v2"))
def test_damaged_price_updates_decode_or_are_refused(vector: dict[str, Any]) -> None:
    outcomes = [decodes_or_refuses(receiver.decode_price_update, one) for one in mutations(bytes.fromhex(vector["data"]))]
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize("vector", of_kind("solana_price_update_v2"))
def test_push_feed_address(vector: dict[str, Any]) -> None:
    expected, data = vector["expected"], bytes.fromhex(vector["data"])
    feed_id, address = FeedId(expected["feed_id"]), expected.get("address")
    if address is None:
        assert "pda" not in expected
        return
    owners = [Pubkey(expected["owner"])] if "owner" in expected else [CORE.receiver, PRO.receiver]
    pda = expected.get("pda")
    if pda is None:
        # Drift's own deployment, or an account the vector does not call a push feed.
        with pytest.raises(DecodeError):
            receiver.read_push_feed(Account(Pubkey(address), owners[0], 1, data, False, 1), feed_id)
        return
    oracle = Pubkey(pda["program"])
    assert push_feed(oracle, feed_id, pda["shard_id"]) == (Pubkey(address), pda["bump"])
    owner = PROGRAMS[oracle].receiver
    assert owner in owners
    read = receiver.read_push_feed(Account(Pubkey(address), owner, 1, data, False, 1), feed_id, shard_id=pda["shard_id"])
    assert (read.generation, read.update) == (PROGRAMS[oracle].generation, receiver.decode_price_update(data))
    assert str(read.generation) == expected.get("trust_root", str(read.generation))


@pytest.mark.parametrize("vector", of_kind("solana_push_feed_pda"))
def test_push_feed_addresses_of_both_generations(vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["data"]), vector["expected"]
    oracles = {"core": Pubkey(expected["core_program"]), "pro": Pubkey(expected["pro_program"])}
    assert oracles == {"core": CORE.push_oracle, "pro": PRO.push_oracle}
    assert len(data) == 32 * len(expected["feeds"])
    for index, feed in enumerate(expected["feeds"]):
        feed_id = FeedId(data[32 * index : 32 * (index + 1)])
        assert feed_id == feed["feed_id"]
        for name, oracle in oracles.items():
            found = push_feed(oracle, feed_id, feed["shard_id"])
            assert found == (Pubkey(feed[name]["address"]), feed[name]["bump"]), (feed["symbol"], name)
