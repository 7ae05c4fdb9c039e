"""What Wormhole's guardians tell of themselves."""

from __future__ import annotations

import msgspec

from probekit.errors import DecodeError, ErrorType
from probekit.units import NS_PER_S, Instant


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


class GuardianReport(msgspec.Struct, frozen=True):
    """What one node says of all guardians: the set in force, and the last heartbeat it has heard of each."""

    set: GuardianSet
    heartbeats: tuple[Heartbeat | DecodeError, ...]


class AnnouncedVaa(msgspec.Struct, frozen=True):
    """A message that exists, as another source has it. ``slot`` is that of its payload, where it is one of prices."""

    sequence: int
    vaa_time: Instant
    slot: int | None = None


class SeenVaa(msgspec.Struct, frozen=True):
    """A message with its signatures, as a place has it. ``seen_at`` is when it was first found there, ``absent_at`` when it was
    last asked for and was not; ``vaa_time`` has whole seconds, cut off.

    ``measured`` says that ``seen_at`` is its arrival, but for the time between two looks: it was absent before, or had
    just been announced. Else it may have been there for long. ``quorum`` is that of the set in force, ``None`` for a message
    of another set; ``set_since`` when the place was first seen with ``set_in_force``: it may be older.
    """

    sequence: int
    vaa_time: Instant
    seen_at: Instant
    absent_at: Instant | None = None
    slot: int | None = None
    signatures: int = 0
    quorum: int | None = None
    set_index: int = 0
    set_in_force: int | None = None
    measured: bool = False
    set_since: Instant | None = None

    @property
    def delay_ns(self) -> int:
        """From its own time to its arrival, at most."""
        return self.seen_at.since(self.vaa_time)

    @property
    def delay_at_least_ns(self) -> int:
        """The same at least: it was not there when it was last asked for, and its own time was cut off by up to a second."""
        return 0 if self.absent_at is None else max(0, self.absent_at.since(self.vaa_time) - NS_PER_S)


class PendingVaa(msgspec.Struct, frozen=True):
    """A message that exists and that a place does not have. ``since`` is its own time, or that of a later one;
    ``absent_at`` when it was last asked for. With ``problem`` something is there in its place: why that is not it, in words.
    """

    sequence: int
    since: Instant
    absent_at: Instant | None = None
    error_type: ErrorType | None = None
    problem: str = ""


class EmitterView(msgspec.Struct, frozen=True):
    """One emitter's messages at one place, after a look: the newest, those that arrived with this look, and those it lacks.

    ``announced`` is the newest that exists, as another source says. ``indexed`` is false for messages that this place
    never has: guardians' nodes refuse those of Pythnet, and no place has those of the pro root. ``lost`` counts what was
    given up.
    """

    place: str
    newest: SeenVaa | None = None
    arrived: tuple[SeenVaa, ...] = ()
    pending: tuple[PendingVaa, ...] = ()
    announced: AnnouncedVaa | None = None
    indexed: bool = True
    lost: int = 0
