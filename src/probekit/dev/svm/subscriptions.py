"""The WebSocket side: subscriptions of one connection, and the notifications that a ledger's events make.

Methods, arguments and shapes follow Agave's ``rpc_pubsub`` and ``rpc_subscriptions``, also in that ``dataSlice`` and
``minContextSlot`` are taken and ignored. Two things differ: ``processed`` work is told as it happens and not when its block is
frozen, and so more than once for a slot in which an account changes more than once; and each subscription has an id of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM

from probekit.dev.svm import params, reads
from probekit.dev.svm.chain import Commitment, Event, Reached, Rooted, SlotBegan
from probekit.dev.svm.encoding import ENCODINGS, Filter, filters, ui_account
from probekit.dev.svm.execution import Landed
from probekit.dev.svm.faults import Topic
from probekit.dev.svm.node import Node
from probekit.dev.svm.params import Config
from probekit.dev.svm.rpc import Method, answer
from probekit.dev.svm.words import invalid_params

MAX_MESSAGE: Final = 4096
"""Bytes of a WebSocket message that a node reads."""

_ids = itertools.count(1)


@dataclass(slots=True)
class _Subscription:
    topic: Topic
    commitment: Commitment = "finalized"
    key: Pubkey | None = None
    """Account, program or mentioned address; None is any."""
    signature: Signature | None = None
    received: bool = False
    encoding: str = "binary"
    filters: list[Filter] = field(default_factory=list)


class Connection:
    """A client's subscriptions. ``send`` is given each notification, a line of JSON, in order and at once."""

    def __init__(self, node: Node, send: Callable[[str], None]) -> None:
        self._node = node
        self._send = send
        self._subscriptions: dict[int, _Subscription] = {}
        self._stop = node.ledger.listen(self._hear)

    def close(self) -> None:
        """Forget every subscription."""
        self._subscriptions.clear()
        self._stop()

    def answer(self, message: str | bytes) -> str:
        """The answer to a message from the client; empty for one that gets none."""
        body = message.encode() if isinstance(message, str) else message
        return answer(body, METHODS, self).decode().rstrip("\n")

    @property
    def subscribed(self) -> int:
        """How many subscriptions it has."""
        return len(self._subscriptions)

    # -- methods

    def account_subscribe(self, key: Any, config: Any) -> int:
        options = Config(config, "RpcAccountInfoConfig")
        wanted = _key(key, "pubkey")
        encoding = options.one_of("encoding", ENCODINGS, "binary")
        return self._add(_Subscription("account", options.commitment(), wanted, encoding=encoding))

    def program_subscribe(self, key: Any, config: Any) -> int:
        options = Config(config, "RpcProgramAccountsConfig")
        wanted, kept = _key(key, "pubkey"), filters(options.get("filters"))
        encoding = options.one_of("encoding", ENCODINGS, "binary")
        return self._add(_Subscription("program", options.commitment(), wanted, encoding=encoding, filters=kept))

    def logs_subscribe(self, which: Any, config: Any) -> int:
        commitment = Config(config, "RpcTransactionLogsConfig").commitment()
        match which:
            case {"mentions": list(mentions)}:
                if len(mentions) != 1:
                    raise invalid_params("Invalid Request: Only 1 address supported")
                return self._add(_Subscription("logs", commitment, _key(mentions[0], "mentions")))
            case str():
                params.variant(which, ("all", "allWithVotes", "mentions"))
                return self._add(_Subscription("logs", commitment))
            case _:
                raise params.mistyped(which, "enum RpcTransactionLogsFilter")

    def signature_subscribe(self, signature: Any, config: Any) -> int:
        options = Config(config, "RpcSignatureSubscribeConfig")
        try:
            wanted = Signature.from_string(params.text(signature))
        except ValueError:
            raise invalid_params("Invalid Request: Invalid signature provided") from None
        received = options.flag("enableReceivedNotification")
        return self._add(_Subscription("signature", options.commitment(), signature=wanted, received=received))

    def slot_subscribe(self) -> int:
        return self._add(_Subscription("slot"))

    def root_subscribe(self) -> int:
        return self._add(_Subscription("root"))

    def unsubscribe(self, subscription: Any) -> bool:
        """For every topic: a node looks at the id alone."""
        if self._subscriptions.pop(params.unsigned(subscription), None) is None:
            raise invalid_params("Invalid subscription id.")
        return True

    def _add(self, subscription: _Subscription) -> int:
        number = next(_ids)
        self._subscriptions[number] = subscription
        return number

    # -- notifications

    def _hear(self, event: Event) -> None:
        for number, one in list(self._subscriptions.items()):
            if one.topic in self._node.faults.silent:
                continue
            match event:
                case SlotBegan() if one.topic == "slot":
                    self._notify(number, one, {"slot": event.slot, "parent": event.parent, "root": event.root})
                case Rooted() if one.topic == "root":
                    self._notify(number, one, event.slot)
                case SlotBegan() if one.topic == "signature":
                    # One that had landed before it was asked about.
                    self._settle_signature(number, one)
                case Reached():
                    self._reached(number, one, event)

    def _reached(self, number: int, one: _Subscription, event: Reached) -> None:
        if one.topic == "signature":
            if one.received and any(landed.signature == one.signature for landed in event.landed):
                one.received = False
                self._notify(number, one, _at(event.slot, "receivedSignature"))
            self._settle_signature(number, one)
        if one.commitment != event.level:
            return
        if one.topic == "logs":
            for landed in event.landed:
                if one.key is None or one.key in landed.keys.all:
                    self._notify(number, one, _at(event.slot, _logs(landed)))
        elif one.topic in ("account", "program"):
            for key in event.accounts:
                self._account(number, one, key, event.slot)

    def _account(self, number: int, one: _Subscription, key: Pubkey, slot: int) -> None:
        def lookup(wanted: Pubkey) -> Account | None:
            return self._node.ledger.account(wanted, slot)

        account = lookup(key)
        if one.topic == "account":
            if key == one.key:
                # A closed account is told as an empty one.
                shown = account or Account(0, b"", SYSTEM_PROGRAM)
                self._notify(number, one, _at(slot, ui_account(shown, one.encoding, None, lookup, strict=False)))
        elif account is not None and account.owner == one.key and all(kept(account) for kept in one.filters):
            value = {"pubkey": str(key), "account": ui_account(account, one.encoding, None, lookup, strict=False)}
            self._notify(number, one, _at(slot, value))

    def _settle_signature(self, number: int, one: _Subscription) -> None:
        assert one.signature is not None
        landed = self._node.ledger.landed(one.signature)
        reached = self._node.ledger.block_at(one.commitment).slot
        if landed is not None and landed.slot <= reached:
            # A node forgets this subscription by itself.
            del self._subscriptions[number]
            self._notify(number, one, _at(reached, {"err": landed.outcome.err}))

    def _notify(self, number: int, one: _Subscription, result: Any) -> None:
        notification = {
            "jsonrpc": "2.0",
            "method": f"{one.topic}Notification",
            "params": {"result": result, "subscription": number},
        }
        self._send(msgspec.json.encode(notification).decode())


def _key(value: Any, what: str) -> Pubkey:
    try:
        return Pubkey.from_string(params.text(value))
    except ValueError:
        raise invalid_params(f"Invalid Request: Invalid {what} provided") from None


def _at(slot: int, value: Any) -> dict[str, Any]:
    # Notifications carry no apiVersion.
    return {"context": {"slot": slot}, "value": value}


def _logs(landed: Landed) -> dict[str, Any]:
    return {"signature": str(landed.signature), "err": landed.outcome.err, "logs": list(landed.outcome.logs)}


def _version(connection: Connection) -> Any:
    return reads.get_version(connection._node)


METHODS: Final[dict[str, Method]] = {
    "accountSubscribe": Method(Connection.account_subscribe, 1, 2),
    "logsSubscribe": Method(Connection.logs_subscribe, 1, 2),
    "programSubscribe": Method(Connection.program_subscribe, 1, 2),
    "rootSubscribe": Method(Connection.root_subscribe, 0, 0),
    "signatureSubscribe": Method(Connection.signature_subscribe, 1, 2),
    "slotSubscribe": Method(Connection.slot_subscribe, 0, 0),
    "getVersion": Method(_version, 0, 0),
    **{
        f"{topic}Unsubscribe": Method(Connection.unsubscribe, 1, 1)
        for topic in ("account", "logs", "program", "root", "signature", "slot")
    },
}
"""Everything the WebSocket side answers. Block and vote subscriptions are off by default on a node too."""
