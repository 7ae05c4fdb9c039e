"""Messages of Solana's WebSocket subscriptions, from the plain Python values that a JSON decoder gives.

A message is ``{"jsonrpc", "method": "slotNotification", "params": {"subscription", "result"}}``; the answer to a subscribe call
is an ordinary JSON-RPC answer with the subscription's number. Source: Solana RPC reference, WebSocket methods.
"""

from __future__ import annotations

from typing import Any

import msgspec

from probekit.codecs.solana.values import U63, Contextual, account, base58_text, convert
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account, LogsEvent, SlotInfo


class Notification(msgspec.Struct, frozen=True):
    """One message of a subscription; ``result`` is read by the function for its ``method``."""

    method: str
    subscription: int
    result: Any


class _Params(msgspec.Struct):
    subscription: U63
    result: Any


class _Message(msgspec.Struct):
    method: str
    params: _Params


class _SlotFields(msgspec.Struct):
    slot: U63
    parent: U63
    root: U63


class _LogsFields(msgspec.Struct):
    signature: str
    err: Any
    logs: tuple[str, ...] | None = None


def decode_notification(message: object) -> Notification:
    """The envelope. Raises ``DecodeError``, also for an answer to a call."""
    fields = convert(message, _Message, "a notification")
    return Notification(fields.method, fields.params.subscription, fields.params.result)


def decode_slot(result: object) -> SlotInfo:
    """The result of a ``slotNotification``. Raises ``DecodeError``."""
    fields = convert(result, _SlotFields, "a slot notification")
    return SlotInfo(fields.slot, fields.parent, fields.root)


def decode_account(result: object, address: Pubkey) -> Account:
    """The result of an ``accountNotification`` for the address subscribed to. Raises ``DecodeError``.

    An account that was closed comes as one without lamports and data, owned by the system program.
    """
    answer = convert(result, Contextual, "an account notification")
    return account(answer.value, address, answer.context.slot)


def decode_logs(result: object) -> LogsEvent:
    """The result of a ``logsNotification``. Raises ``DecodeError``."""
    answer = convert(result, Contextual, "a logs notification")
    fields = convert(answer.value, _LogsFields, "a logs notification")
    signature = base58_text(fields.signature, "signature")
    return LogsEvent(signature, answer.context.slot, fields.logs or (), fields.err)
