"""What Wormhole's guardians tell of themselves."""

from __future__ import annotations

import msgspec

from probekit.errors import DecodeError
from probekit.units import Instant


class ChainHeartbeat(msgspec.Struct, frozen=True):
    """One chain as a guardian sees it. ``chain`` is Wormhole's number; heights are blocks or slots, zero where it sees none."""

    chain: int
    height: int
    safe_height: int = 0
    finalized_height: int = 0
    error_count: int = 0
    contract_address: str = ""


class Heartbeat(msgspec.Struct, frozen=True):
    """The last heartbeat of one guardian. ``guardian`` is the 20-byte address whose signature over it was verified by the node
    that answers. ``counter`` grows by one with each heartbeat since ``booted_at``.
    """

    guardian: bytes
    node_name: str
    counter: int
    sent_at: Instant
    booted_at: Instant
    version: str
    networks: tuple[ChainHeartbeat | DecodeError, ...]
    """One that does not decode is its own error."""
    features: tuple[str, ...] = ()

    def network(self, chain: int) -> ChainHeartbeat | None:
        """What it says of a chain, ``None`` where it says nothing."""
        readable = (network for network in self.networks if isinstance(network, ChainHeartbeat))
        return next((network for network in readable if network.chain == chain), None)


class GuardianSet(msgspec.Struct, frozen=True):
    """A numbered set of 20-byte guardian addresses, in the order of their signature index."""

    index: int
    guardians: tuple[bytes, ...]


class GuardianSetUpgrade(msgspec.Struct, frozen=True):
    """Governance of Wormhole's own: a set of 20-byte signer addresses replaces the one before it. ``target_chain`` is
    Wormhole's number; 0 is every chain.
    """

    target_chain: int
    index: int
    guardians: tuple[bytes, ...]
