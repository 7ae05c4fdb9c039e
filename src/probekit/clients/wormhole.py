"""Wormhole: its guardians over their public HTTP API (heartbeats, the set in force, signed VAAs by sequence), and guardian sets
as contracts on EVM chains keep them.

On Solana they are read by :class:`~probekit.clients.receiver.ReceiverClient`. Only the core root is Wormhole's: VAAs of the pro
root are in no public index, but its receivers are contracts of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from probekit.clients.over_http import OverHttp, several
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.evm import wormhole as receiver_codec
from probekit.codecs.evm.contract import ContractCall
from probekit.codecs.evm.pyth import refuse_unanswered, sorted_out
from probekit.codecs.guardian_api import decode_guardian_set, decode_heartbeats, decode_signed_vaa
from probekit.codecs.vaa import Vaa, decode
from probekit.errors import DecodeError, NotFound, ParsedMismatch, ProbekitError, StatusError, TransportError
from probekit.model import TrustRoot
from probekit.model.evm import Address, Block
from probekit.model.pyth_evm import GuardianSetInfo, QuorumRule, ReceiverState, Unanswered, VaaJudgement
from probekit.model.wormhole import GuardianSet, Heartbeat
from probekit.transports.base import Engine, Limits, Observer, Request
from probekit.transports.fallback import ask
from probekit.transports.retry import RetryPolicy
from probekit.transports.stack import build
from probekit.trust import MAINNET, Trust

if TYPE_CHECKING:
    from probekit.clients.evm import BlockTag, EvmClient

__all__ = ["EvmReceiverClient", "WormholeClient"]

T = TypeVar("T")

_HTTP_NOT_FOUND: Final = 404
_MOST_SIGNATURES: Final = 19
"""What Wormhole's set has; with either rule, less is enough."""


class WormholeClient(OverHttp):
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
        self.endpoints = several(endpoints)
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._base = self.endpoints[0].rstrip("/")
        policy = retry or RetryPolicy()
        self._transport = build(self._engine, clock=clock, observer=observer, retry=policy, endpoints=self.endpoints)
        self._direct = build(self._engine, clock=clock, observer=observer, retry=policy)

    async def heartbeats(self) -> tuple[Heartbeat | DecodeError, ...]:
        """The last heartbeat of each guardian that this node has heard; an unreadable one is its own error."""
        return await self._read("/v1/heartbeats", decode_heartbeats)

    async def guardian_set(self) -> GuardianSet:
        """The set that this node takes for the one in force."""
        return await self._read("/v1/guardianset/current", decode_guardian_set)

    async def signed_vaa(self, chain: int, emitter: bytes, sequence: int) -> Vaa:
        """The VAA of one message, with enough signatures; :mod:`probekit.trust` checks them, which this does not.

        Raises ``NotFound`` while it has no quorum yet (or is too old for these nodes): one that does not have it says nothing
        for the others, which are asked too. ``ParsedMismatch`` for the VAA of another message, ``ValueError`` for an emitter
        that is not 32 bytes.
        """
        if len(emitter) != 32:
            raise ValueError(f"an emitter has 32 bytes, not {len(emitter)}")
        subject = f"{chain}/{emitter.hex()}/{sequence}"

        def read(body: bytes) -> Vaa:
            vaa = decode(decode_signed_vaa(body))
            found = (vaa.emitter_chain, vaa.emitter_address, vaa.sequence)
            if found != (chain, emitter, sequence):
                raise ParsedMismatch(f"asked for {subject}, got {found[0]}/{found[1].hex()}/{found[2]}")
            return vaa

        return await self._read_of_any(f"/v1/signed_vaa/{subject}", subject, read)

    async def _read(self, path: str, read: Callable[[bytes], T]) -> T:
        """An answer, read: of the next node where one gives none that reads."""
        request = self._request(self._base + path, self._due_ns())
        return await ask(self._transport, request, lambda response: read(response.body))

    async def _read_of_any(self, path: str, subject: str, read: Callable[[bytes], T]) -> T:
        """From the first node that has it, and not something else in its place. Raises ``NotFound`` when one that answered has
        not, else the last error.
        """
        due_ns = self._due_ns()
        failure: ProbekitError | None = None
        missing: list[str] = []
        for number, endpoint in enumerate(self.endpoints):
            now_ns = self._clock.monotonic_ns()
            part_ns = now_ns + max(0, due_ns - now_ns) // (len(self.endpoints) - number)
            try:
                return read((await self._direct.send(self._request(endpoint.rstrip("/") + path, part_ns))).body)
            except (TransportError, DecodeError, ParsedMismatch) as error:
                if isinstance(error, StatusError) and error.status == _HTTP_NOT_FOUND:
                    missing.append(endpoint)
                else:
                    failure = error
        if missing or failure is None:
            raise NotFound(f"no signed VAA of {subject} at {', '.join(missing)}: not yet, or no longer", subject=subject)
        raise failure

    def _request(self, url: str, deadline_ns: int) -> Request:
        headers = (("accept", "application/json"),)
        return Request("GET", url, headers=headers, deadline_ns=deadline_ns, limits=self._limits)


class EvmReceiverClient:
    """The Wormhole receiver (or Wormhole's own core contract) at ``address`` of the chain of ``evm``, which stays the caller's
    to close. ``trust`` names the known guardian sets.

    Raises what :class:`~probekit.clients.evm.EvmClient` raises.
    """

    def __init__(self, evm: EvmClient, address: str, *, trust: Trust = MAINNET) -> None:
        self.evm = evm
        self.address = Address(address)
        self._trust = trust

    async def set_index(self, at: BlockTag = "latest") -> int:
        """The index of the set in force."""
        return await self.evm.read(self.address, receiver_codec.get_current_guardian_set_index(), at)

    async def guardian_set(self, index: int | None = None, at: BlockTag = "latest") -> GuardianSetInfo:
        """A set by index; without one, the set in force. Raises ``NotFound`` for a set that the receiver does not hold."""
        with self.evm.pool.one_deadline():
            if index is None:
                index = await self.set_index(at)
            found = await self.evm.read(self.address, receiver_codec.get_guardian_set(index), at)
        if not found.exists:
            raise NotFound(f"{self.address} on {self.evm.pool.chain} has no guardian set {index}", subject=str(index))
        return found

    async def judge(self, vaa: bytes, at: BlockTag = "latest") -> VaaJudgement:
        """The receiver's own word on a VAA: free, and final for updates on that chain. Raises ``Reverted`` for one of another
        version, with signatures out of order, or by an index outside the set.
        """
        return await self.evm.read(self.address, receiver_codec.parse_and_verify_vm(vaa), at)

    async def state(self, at: BlockTag | Block = "latest") -> ReceiverState:
        """Configuration, the set in force, and the quorum that the receiver is seen to ask for, at one block.

        Two requests after the block's. No variable of the contract holds the quorum: it shows in how the receiver judges
        messages under ever more signatures, since their number is looked at before they are. What is not answered is in
        ``unanswered``. Raises ``NotFound`` where nothing is answered, so that it is no receiver, or the error of the endpoint.
        """
        calls = receiver_codec.RECEIVER_CALLS
        with self.evm.pool.one_deadline():
            reads = await self.evm.multicall([(self.address, call) for call in calls.values()], at)
            values, unanswered = sorted_out(dict(zip(calls, reads.results, strict=True)))
            if not values:
                refuse_unanswered(reads.results, unanswered, f"Wormhole receiver at {self.address} on {self.evm.pool.chain}")
            if "set_index" in values:
                more, left_out = await self._set_and_quorum(values["set_index"], reads.block)
            else:
                more, left_out = sorted_out({"guardian_set": None, "quorum": None})
        return ReceiverState(self.address, **values, **more, unanswered=unanswered + left_out)

    async def _set_and_quorum(self, index: int, block: Block) -> tuple[dict[str, Any], tuple[Unanswered, ...]]:
        numbers = range(1, _MOST_SIGNATURES + 1)
        asked: list[ContractCall[Any]] = [receiver_codec.get_guardian_set(index)]
        asked += [receiver_codec.verify_vm(index, range(number)).then(receiver_codec.quorum_reached) for number in numbers]
        found, *reached = (await self.evm.multicall([(self.address, call) for call in asked], block)).results
        outcomes = {"guardian_set": found, "quorum": _least(dict(zip(numbers, reached, strict=True)))}
        values, unanswered = sorted_out(outcomes)
        if isinstance(found, GuardianSetInfo):
            rules = [rule for rule in QuorumRule if rule.of(len(found.guardians)) == values.get("quorum")]
            values |= {"quorum_rule": rules[0] if len(rules) == 1 else None, "root": self._root_of(found)}
        return values, unanswered

    def _root_of(self, found: GuardianSetInfo) -> TrustRoot | None:
        """Whose set it is; the index counts from 0 in either root, so only the members tell."""
        signers = tuple(bytes(guardian) for guardian in found.guardians)
        return next((one.root for one in self._trust.sets if one.signers == signers), None)


def _least(reached: Mapping[int, bool | ProbekitError]) -> int | ProbekitError:
    """The least number of signatures that was enough; the first error on the way there."""
    for number, outcome in reached.items():
        if isinstance(outcome, ProbekitError):
            return outcome
        if outcome:
            return number
    return DecodeError(f"{max(reached)} signatures are not enough", raw=receiver_codec.NO_QUORUM)
