"""Wormhole's guardians over their public HTTP API: heartbeats, the set in force, signed VAAs by sequence.

Guardian sets as contracts keep them are read by :class:`~probekit.clients.receiver.ReceiverClient` on Solana. Only the core
root is Wormhole's: VAAs of the pro root are in no public index.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.guardian_api import decode_guardian_set, decode_heartbeats, decode_signed_vaa
from probekit.codecs.vaa import Vaa, decode
from probekit.errors import DecodeError, NotFound, ParsedMismatch, StatusError
from probekit.model.wormhole import GuardianSet, Heartbeat
from probekit.transports.base import Engine, Limits, Observer, Request
from probekit.transports.retry import RetryPolicy
from probekit.transports.stack import build
from probekit.units import to_ns

__all__ = ["WormholeClient"]


class WormholeClient:
    """A client of one or several guardians' APIs, asked in order when one fails. ``timeout`` bounds each call with its retries.

    ``transport`` is an engine of the caller's, not closed here. Raises :class:`~probekit.errors.TransportError` leaves and
    ``DecodeError``.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        transport: Engine | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
    ) -> None:
        self.endpoints = (endpoints,) if isinstance(endpoints, str) else tuple(endpoints)
        if not self.endpoints:
            raise ValueError("at least one endpoint is needed")
        self._base = self.endpoints[0].rstrip("/")
        self._clock = clock
        self._timeout_ns = to_ns(timeout)
        self._limits = limits or Limits()
        self._owned: Engine | None = None
        if transport is None:
            from probekit.transports.httpx import HttpxTransport

            transport = self._owned = HttpxTransport(clock=clock)
        self._transport = build(
            transport, clock=clock, observer=observer, retry=retry or RetryPolicy(), endpoints=self.endpoints
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections made by this client; a caller's transport is left open."""
        if self._owned is not None:
            await self._owned.aclose()

    async def heartbeats(self) -> tuple[Heartbeat | DecodeError, ...]:
        """The last heartbeat of each guardian that this node has heard; an unreadable one is its own error."""
        return decode_heartbeats(await self._get("/v1/heartbeats"))

    async def guardian_set(self) -> GuardianSet:
        """The set that this node takes for the one in force."""
        return decode_guardian_set(await self._get("/v1/guardianset/current"))

    async def signed_vaa(self, chain: int, emitter: bytes, sequence: int) -> Vaa:
        """The VAA of one message, with enough signatures; verify it with :mod:`probekit.trust`.

        Raises ``NotFound`` while it has no quorum yet (or is too old for this node), ``ParsedMismatch`` for the VAA of another
        message, ``ValueError`` for an emitter that is not 32 bytes.
        """
        if len(emitter) != 32:
            raise ValueError(f"an emitter has 32 bytes, not {len(emitter)}")
        try:
            body = await self._get(f"/v1/signed_vaa/{chain}/{emitter.hex()}/{sequence}")
        except StatusError as error:
            if error.status == 404:
                subject = f"{chain}/{emitter.hex()}/{sequence}"
                raise NotFound(f"no signed VAA of {subject} at {self._base}: not yet, or no longer", subject=subject) from None
            raise
        vaa = decode(decode_signed_vaa(body))
        found = (vaa.emitter_chain, vaa.emitter_address, vaa.sequence)
        if found != (chain, emitter, sequence):
            text = f"asked for {chain}/{emitter.hex()}/{sequence}, got {found[0]}/{found[1].hex()}/{found[2]}"
            raise ParsedMismatch(text)
        return vaa

    async def _get(self, path: str) -> bytes:
        deadline_ns = self._clock.monotonic_ns() + self._timeout_ns
        headers = (("accept", "application/json"),)
        request = Request("GET", self._base + path, headers=headers, deadline_ns=deadline_ns, limits=self._limits)
        return (await self._transport.send(request)).body
