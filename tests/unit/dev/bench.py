"""What the sandbox's tests share: a sandbox under a clock to turn, and short ways to ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from probekit.codecs import accumulator, messages
from probekit.codecs import hermes as codec
from probekit.codecs.hermes import PriceAnswer
from probekit.dev.network import SandboxNetwork
from probekit.dev.reply import Reply
from probekit.dev.sandbox import Sandbox
from probekit.errors import VerificationError
from probekit.model import PriceMessage, TrustRoot
from probekit.testing import FakeClock
from probekit.trust import verify

BTC = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
ETH = "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
SOL = "ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d"
THREE = (BTC, ETH, SOL)


@dataclass
class Bench:
    """One endpoint, and its clock."""

    clock: FakeClock
    sandbox: Sandbox

    @classmethod
    def make(cls, *, root: TrustRoot = TrustRoot.PRO, feeds: int = 4, **options: Any) -> Bench:
        clock = FakeClock()
        return cls(clock, Sandbox(SandboxNetwork(root=root, feeds=feeds, clock=clock), **options))

    @property
    def network(self) -> SandboxNetwork:
        return self.sandbox.network

    def get(self, target: str, **headers: str) -> Reply:
        return self.sandbox.handle("GET", target, headers)

    def ask(self, *ids: str, more: str = "", route: str = "latest") -> Reply:
        return self.get(f"/v2/updates/price/{route}?{query(ids)}{more}")

    def latest(self, *ids: str) -> PriceAnswer:
        reply = self.ask(*(ids or THREE))
        assert reply.status == 200, reply.body
        return codec.decode_prices(reply.body)

    async def advance(self, ms: int) -> None:
        await self.clock.advance(timedelta(milliseconds=ms))

    def faults_of(self, answer: PriceAnswer) -> dict[str, str]:
        """Feed id -> why its update does not verify; nothing for those that do."""
        found: dict[str, str] = {}
        for raw in answer.binary.decoded():
            update = accumulator.decode(raw)
            try:
                verify(update, self.sandbox.trust, at=self.clock.now())
            except VerificationError as error:
                for message, _ in update.proven:
                    decoded = messages.decode(message)
                    assert isinstance(decoded, PriceMessage)
                    found[decoded.feed_id] = error.error_type
        return found

    def signed(self, answer: PriceAnswer) -> dict[str, PriceMessage]:
        """Feed id -> its signed message, verified."""
        found = {}
        for raw in answer.binary.decoded():
            for message in verify(raw, self.sandbox.trust, at=self.clock.now()).messages:
                assert isinstance(message, PriceMessage)
                found[message.feed_id] = message
        return found


def query(ids: Sequence[str]) -> str:
    return "&".join(f"ids[]={one}" for one in ids)


def json(reply: Reply) -> Any:
    return msgspec.json.decode(reply.body)
