"""The real Solana runtime without a socket, on a clock that the test turns: slots come with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from solders.transaction import VersionedTransaction

from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.rpc import respond
from probekit.testing import FakeClock, reply
from probekit.transports.base import Request, Response

SLOT = timedelta(milliseconds=400)
_SLOT_NS = 400_000_000


class SvmHost:
    """A node that answers a :class:`tests.support.pushes.Hosts`. ``fault`` may answer a method in its place, with a result or
    an error object; the answer that it would have given comes along. ``loses``: what is sent is taken, and lost.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ledger = Ledger(start=clock.now(), slot_time=SLOT)
        self.node = Node(self.ledger)
        self._began_ns = clock.monotonic_ns()
        self._slots = 0
        self.hangs = False
        self.down: Exception | None = None
        self.loses = False
        self.fault: Callable[[str, list[Any], dict[str, Any]], dict[str, Any] | None] = lambda *_: None
        self.on_send: Callable[[], None] = lambda: None
        self.asked: list[str] = []

    def _tick(self) -> None:
        due = (self.clock.monotonic_ns() - self._began_ns) // _SLOT_NS
        if due > self._slots:
            self.ledger.advance_slot(due - self._slots)
            self._slots = due

    def answer(self, request: Request) -> Response:
        self._tick()
        asked = json.loads(request.body or b"")
        items = asked if isinstance(asked, list) else [asked]
        answers = [self._item(item) for item in items]
        return reply(200, json.dumps(answers if isinstance(asked, list) else answers[0]), clock=self.clock)

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        method = item["method"]
        self.asked.append(method)
        if method == "sendTransaction":
            self.on_send()
            if self.loses:
                told = VersionedTransaction.from_bytes(base64.b64decode(item["params"][0]))
                return {"jsonrpc": "2.0", "id": item["id"], "result": str(told.signatures[0])}
        answered: dict[str, Any] = json.loads(respond(self.node, json.dumps(item).encode()))
        other = self.fault(method, item["params"], answered)
        return answered if other is None else {"jsonrpc": "2.0", "id": item["id"], **other}
