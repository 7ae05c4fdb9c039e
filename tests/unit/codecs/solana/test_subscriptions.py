"""Messages of subscriptions, as the validators' own types write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from solders.account import Account as SoldersAccount
from solders.pubkey import Pubkey as SoldersPubkey
from solders.rpc import responses as wire
from solders.signature import Signature

from probekit.codecs.solana import subscriptions
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Commitment, SlotInfo
from tests.unit.codecs.solana.test_rpc import json_values

KEY, OWNER = Pubkey(b"k" * 32), Pubkey(b"o" * 32)
CONTEXT = wire.RpcResponseContext(5)


def received(method: str, notification: Any) -> subscriptions.Notification:
    message = {"jsonrpc": "2.0", "method": method, "params": json.loads(notification.to_json())}
    assert list(map(str, wire.parse_websocket_message(json.dumps(message)))) == [str(notification)]
    return subscriptions.decode_notification(message)


def test_slots() -> None:
    message = received("slotNotification", wire.SlotNotification(wire.SlotInfo(slot=44, parent=41, root=12), 3))
    assert (message.method, message.subscription) == ("slotNotification", 3)
    slot = subscriptions.decode_slot(message.result)
    assert slot == SlotInfo(44, 41, 12)
    assert (slot.depth, slot.skipped) == (32, 2)


def test_an_account() -> None:
    theirs = wire.AccountNotificationResult(SoldersAccount(7, b"abc", SoldersPubkey(OWNER)), CONTEXT)
    message = received("accountNotification", wire.AccountNotification(theirs, 4))
    assert message.method == "accountNotification"
    account = subscriptions.decode_account(message.result, KEY)
    assert (account.key, account.owner, account.lamports, account.data, account.slot) == (KEY, OWNER, 7, b"abc", 5)


def test_logs() -> None:
    theirs = wire.LogsNotificationResult(wire.RpcLogsResponse(Signature(b"s" * 64), None, ["one", "two"]), CONTEXT)
    message = received("logsNotification", wire.LogsNotification(theirs, 5))
    assert message.method == "logsNotification"
    logs = subscriptions.decode_logs(message.result)
    assert (logs.signature, logs.slot, logs.logs, logs.error) == (base58(b"s" * 64), 5, ("one", "two"), None)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "result": 3, "id": 1},
        {"method": "slotNotification"},
        {"method": "slotNotification", "params": {"result": {}}},
        {"method": "slotNotification", "params": {"result": {}, "subscription": -1}},
        [],
        None,
    ],
)
def test_what_is_no_notification(message: object) -> None:
    with pytest.raises(DecodeError, match="a notification"):
        subscriptions.decode_notification(message)


@given(json_values)
def test_any_json_decodes_or_is_a_decode_error(value: object) -> None:
    contextual = {"context": {"slot": 5}, "value": value}
    for read in (
        lambda: subscriptions.decode_notification(value),
        lambda: subscriptions.decode_slot(value),
        lambda: subscriptions.decode_account(contextual, KEY),
        lambda: subscriptions.decode_logs(contextual),
    ):
        try:
            read()
        except DecodeError as error:
            assert isinstance(error.raw, str)


def test_commitments_order() -> None:
    assert Commitment.FINALIZED.at_least(Commitment.CONFIRMED)
    assert Commitment.CONFIRMED.at_least(Commitment.CONFIRMED)
    assert not Commitment.PROCESSED.at_least(Commitment.CONFIRMED)
