"""A sandbox guardian: the public HTTP API of one Wormhole node, over a network of ours. Nothing gossips: what it says of the
other guardians is set here.

Routes and answers follow wormhole's ``proto/publicrpc/v1/publicrpc.proto`` behind its gateway: 64-bit integers are strings.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import format_datetime
from typing import Any, Final

import msgspec

from probekit.clock import Clock
from probekit.codecs import vaa as vaa_codec
from probekit.codecs.vaa import Vaa
from probekit.dev.network import HISTORY_NS, SandboxNetwork
from probekit.dev.reply import Reply
from probekit.model import TrustRoot
from probekit.units import NS_PER_S, Instant, to_ns

_SIGNED: Final = re.compile(r"/v1/signed_vaa/(\d{1,5})/([0-9a-fA-F]{64})/(\d{1,20})")
_HEARTBEAT_NS: Final = 15 * NS_PER_S


@dataclass(slots=True)
class GuardianState:
    """What the node has heard of one guardian: ``silent_for`` what its last heartbeat is late by; ``heard`` none at all."""

    name: str
    version: str = "v2.99.0"
    silent_for: timedelta = timedelta(0)
    heard: bool = True
    heights: dict[int, int] = field(default_factory=dict)


class SandboxGuardian:
    """One node of the guardians that sign ``network``, which must be of the core root: prices by slot, and what is published.

    ``appears_after`` is how long after a message's own time it has a quorum here; ``signers`` who signs (all, unless given).
    ``withheld`` are (chain, emitter, sequence) that are never there, ``unproven`` those with a single signature. Every answer
    ``takes`` so long. ``down`` answers 503.

    With ``serves_prices`` it is an index of messages, such as Wormholescan's; a guardian's node refuses those of Pythnet.
    """

    def __init__(self, network: SandboxNetwork, *, serves_prices: bool = True) -> None:
        if network.root is not TrustRoot.CORE:
            raise ValueError("messages of the pro root are at no guardian's API")
        self.network = network
        self.appears_after = timedelta(milliseconds=800)
        self.signers: Sequence[int] = range(len(network.signing.keys))
        self.withheld: set[tuple[int, bytes, int]] = set()
        self.unproven: set[tuple[int, bytes, int]] = set()
        self.takes = timedelta(0)
        self.down = False
        self.serves_prices = serves_prices
        self.guardians = [GuardianState(f"sandbox {number}") for number in range(len(network.signing.keys))]
        self._published: dict[tuple[int, bytes], list[Vaa]] = {}
        self._first: dict[tuple[int, bytes], int] = {}

    @property
    def clock(self) -> Clock:
        return self.network.clock

    def publish(self, chain: int, emitter: bytes, payload: bytes = b"", *, first: int = 0) -> int:
        """The next message of another emitter, now; ``first`` is the number of its first. Returns its sequence."""
        known = self._published.setdefault((chain, emitter), [])
        sequence = self._first.setdefault((chain, emitter), first) + len(known)
        index = self.network.signing.index
        known.append(Vaa(index, (), self.clock.now().seconds, 0, chain, emitter, sequence, 32, payload))
        return sequence

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        """Answer one request; ``target`` is the path with its query, header names are lower case."""
        reply = self._answer(method, target)
        reply.headers.append(("date", format_datetime(self.clock.now().to_datetime().astimezone(UTC), usegmt=True)))
        if self.takes:
            due_ns = self.clock.monotonic_ns() + to_ns(self.takes)
            reply.wait = lambda: self.clock.sleep_until_ns(due_ns)
        return reply

    def _answer(self, method: str, target: str) -> Reply:
        path = target.partition("?")[0]
        if self.down:
            return _error(503, 14, "injected")
        if method != "GET":
            return _error(501, 12, "Method Not Allowed")
        if path == "/v1/heartbeats":
            return _json({"entries": [self._heartbeat(number) for number, one in enumerate(self.guardians) if one.heard]})
        if path == "/v1/guardianset/current":
            held = self.network.signing.signer_set()
            return _json({"guardianSet": {"index": held.index, "addresses": ["0x" + one.hex() for one in held.signers]}})
        found = _SIGNED.fullmatch(path)
        if found is None:
            return _error(404, 5, "Not Found")
        if int(found[1]) == self.network.signing.emitter.chain and not self.serves_prices:
            return _error(400, 3, "not supported for PythNet")
        vaa = self._vaa(int(found[1]), bytes.fromhex(found[2]), int(found[3]))
        if vaa is None:
            return _error(404, 5, "requested VAA not found in store")
        return _json({"vaaBytes": base64.b64encode(vaa_codec.encode(vaa)).decode()})

    def _vaa(self, chain: int, emitter: bytes, sequence: int) -> Vaa | None:
        if (chain, emitter, sequence) in self.withheld:
            return None
        network, now = self.network, self.clock.now()
        origin = network.signing.emitter
        if (chain, emitter) == (origin.chain, origin.address):
            published_ns = sequence * network.root.slot_ns
            there_ns = published_ns + to_ns(network.attested_after + self.appears_after)
            if published_ns % network.every_ns or not there_ns <= now.ns < there_ns + HISTORY_NS:
                return None
            unsigned = network.slot(published_ns).signed.vaa
        else:
            known = self._published.get((chain, emitter), [])
            at = sequence - self._first.get((chain, emitter), 0)
            if not 0 <= at < len(known) or now.since(known[at].time) < to_ns(self.appears_after):
                return None
            unsigned = known[at]
        signers = tuple(self.signers)
        return network.signing.sign(unsigned, signers=signers[:1] if (chain, emitter, sequence) in self.unproven else signers)

    def _heartbeat(self, number: int) -> dict[str, Any]:
        state, address = self.guardians[number], self.network.signing.signer_set().signers[number]
        now = Instant(self.clock.now().ns // _HEARTBEAT_NS * _HEARTBEAT_NS).plus(-state.silent_for)
        networks = [{"id": chain, "height": str(height), "errorCount": "0"} for chain, height in state.heights.items()]
        return {
            "verifiedGuardianAddr": f"0x{address.hex()}",
            "rawHeartbeat": {
                "nodeName": state.name,
                "counter": str(now.ns // _HEARTBEAT_NS),
                "timestamp": str(now.ns),
                "bootTimestamp": "0",
                "version": state.version,
                "guardianAddr": f"0x{address.hex()}",
                "networks": networks,
            },
        }


def _json(value: object) -> Reply:
    return Reply(body=msgspec.json.encode(value))


def _error(status: int, code: int, words: str) -> Reply:
    return Reply(status, msgspec.json.encode({"code": code, "message": words, "details": []}))
