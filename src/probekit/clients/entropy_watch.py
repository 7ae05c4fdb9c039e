"""A provider of random numbers, looked at again and again: its last requests, those that still wait from before, and why.

Nothing is sent. What a request waits for is found out by trying its reveal with ``eth_call``, for which the service gives the
number. No logs are searched for requests: the contract is asked for the last ones by their numbers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from probekit.clients.entropy import EntropyClient
from probekit.clients.fortuna import FortunaClient
from probekit.codecs.evm import entropy as codec
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model.canary import Coin
from probekit.model.entropy import CauseKind, Contributions, ProviderInfo, RequestState, RequestStatus, StuckLimit
from probekit.model.entropy_watch import EntropyLook, RevelationSeen, Waiting
from probekit.model.fortuna import Revelation, RevelationRefusal

__all__ = ["EntropyWatcher", "in_chain"]

MAX_REMEMBERED: Final = 500
"""Requests that still wait and have left the window: the oldest are kept."""
MAX_TOLD: Final = 5
"""Requests of either kind that are told one by one, and explained."""
MAX_LOG_BLOCKS: Final = 5_000
"""Blocks that are searched for the event of a callback that failed."""


def in_chain(info: ProviderInfo, sequence: int, value: bytes) -> bool:
    """Whether ``value`` is the provider's number for ``sequence``, by the newest one that it revealed on chain.

    Raises ``ValueError`` for numbers further apart than is hashed.
    """
    if sequence >= info.current_commitment_sequence:
        return codec.revelation_continues(info, sequence, value)
    # What comes before the newest revelation follows from it.
    return codec.provider_commitment(info.current_commitment, info.current_commitment_sequence - sequence) == value


class EntropyWatcher:
    """Watches one provider; the contract's default one where ``provider`` is ``None``. ``window`` is how many of the last
    requests are looked at; older ones are, as long as they wait. ``gas`` is what the keeper gives a reveal.
    """

    def __init__(
        self,
        entropy: EntropyClient,
        coin: Coin,
        *,
        limit: StuckLimit,
        provider: str | None = None,
        window: int = 200,
        failed_within: timedelta = timedelta(hours=1),
        fortuna: FortunaClient | None = None,
        fortuna_chain: str = "",
        gas: int = 500_000,
    ) -> None:
        self._entropy, self._coin = entropy, coin
        self._limit, self._provider, self._window = limit, provider, window
        self._failed_within_s = failed_within // timedelta(seconds=1)
        self._fortuna, self._fortuna_chain, self._gas = fortuna, fortuna_chain, gas
        self._waiting: list[int] = []
        self._causes: dict[int, tuple[CauseKind, str]] = {}
        self._statuses: list[RequestStatus] = []

    async def look(self) -> EntropyLook:
        """The provider now. Raises what the client does; of requests that do not read only their number is told."""
        entropy = self._entropy
        block = await entropy.evm.block()
        provider = self._provider or await entropy.default_provider(block.number)
        info = await entropy.provider(provider, block.number)
        first = max(1, info.sequence - self._window)
        wanted = [one for one in self._waiting if one < first] + list(range(first, info.sequence))
        found = await entropy.statuses(wanted, limit=self._limit, provider=provider, at=block) if wanted else ()
        read = [one for one in found if isinstance(one, RequestStatus)]
        lost = [one for one in found if isinstance(one, ProbekitError)]
        if lost and not read:
            raise lost[0]
        waits = [one for one in read if one.state in (RequestState.PENDING, RequestState.STUCK)]
        failed = [one for one in read if one.state is RequestState.CALLBACK_FAILED and self._is_recent(one)]
        stuck = [one for one in waits if one.state is RequestState.STUCK]
        unread = [sequence for sequence, one in zip(wanted, found, strict=True) if isinstance(one, ProbekitError)]
        self._waiting = sorted({one.sequence for one in waits} | {one for one in unread if one < first})[:MAX_REMEMBERED]
        self._statuses = waits
        told = [*stuck[:MAX_TOLD], *failed[-MAX_TOLD:]]
        for one in told:
            if one.sequence not in self._causes:
                await self._explain(one)
        kept = {one.sequence for one in told}
        self._causes = {sequence: cause for sequence, cause in self._causes.items() if sequence in kept}
        return EntropyLook(
            provider=str.__str__(provider),
            block=block.number,
            registered=info.registered,
            sequence=info.sequence,
            remaining=info.remaining,
            hash_margin=info.hash_margin,
            fee_wei=info.fee_wei,
            coin=self._coin,
            pending=len(waits),
            oldest=None if not waits else self._waiting_of(max(waits, key=lambda one: one.age_blocks or 0)),
            stuck=tuple(self._waiting_of(one) for one in stuck[:MAX_TOLD]),
            stuck_count=len(stuck),
            failed=tuple(self._waiting_of(one) for one in failed[-MAX_TOLD:]),
            failed_count=len(failed),
            watched=len(read),
            unread=len(lost),
        )

    async def revelation(self) -> RevelationSeen:
        """What the service says of the request that waits longest, as of the last look. Raises what its client does."""
        assert self._fortuna is not None
        chain = self._fortuna_chain
        if chain not in await self._fortuna.chains():
            return RevelationSeen(outcome="unknown_chain", chain=chain, text=f"the service does not work on {chain}")
        if not self._statuses:
            return RevelationSeen(
                outcome="nothing_pending", chain=chain, text="nothing waits, so that nothing is to be revealed"
            )
        asked = max(self._statuses, key=lambda one: one.age_blocks or 0)
        told = await self._fortuna.revelation(chain, asked.sequence)
        if told.value is not None:
            return self._proven(asked, told.value)
        return RevelationSeen(chain=chain, sequence=asked.sequence, **await self._refused(asked, told))

    async def _refused(self, asked: RequestStatus, told: Revelation) -> dict[str, Any]:
        """Why no number is given, by the service and by the chain."""
        number = asked.sequence
        if told.refusal is RevelationRefusal.NEEDS_CONFIRMATIONS and asked.state is RequestState.PENDING:
            return {"outcome": "needs_confirmations", "text": f"request {number} waits for confirmations: {told.text}"}
        text = f"the service gives no number for request {number}: {told.text}"
        try:
            # It may have been revealed since the look.
            held = await self._entropy.request(number, provider=asked.provider)
        except ProbekitError as error:
            return {"outcome": "unchecked", "text": f"{text}; and whether it still waits: {error.message}"}
        if held is None:
            return {"outcome": "revealed", "text": f"request {number} was revealed meanwhile"}
        return {"outcome": "withheld", "text": f"{text}; and it waits on chain, {self._waiting_of(asked).age}"}

    def _proven(self, asked: RequestStatus, value: bytes) -> RevelationSeen:
        number, info, chain = asked.sequence, asked.info, self._fortuna_chain
        try:
            right = in_chain(info, number, value)
        except ValueError as error:
            raise DecodeError(f"the number of request {number} cannot be checked: {error}", raw=value) from None
        newest = info.current_commitment_sequence
        text = f"its number for request {number} {'leads' if right else 'does not lead'} to the one of {newest} on chain"
        return RevelationSeen(outcome="proven" if right else "wrong", chain=chain, sequence=number, text=text)

    # -- why -----------------------------------------------------------------------------------------------------------------

    async def _explain(self, status: RequestStatus) -> None:
        """Find out why one waits or failed, as far as that can be had; what cannot is asked again at the next look."""
        try:
            if status.state is RequestState.CALLBACK_FAILED:
                if status.made_in_block is None or status.block.number - status.made_in_block > MAX_LOG_BLOCKS:
                    return
                cause = await self._entropy.cause(status)
            else:
                both = await self._contributions(status)
                if both is None:
                    return
                cause = await self._entropy.cause(status, contributions=both, gas=self._gas)
        except ProbekitError:
            return  # It is told without a cause; what is wrong with the service or the node is told by their own targets.
        if cause.kind is not CauseKind.UNTOLD:
            self._causes[status.sequence] = (cause.kind, cause.text)

    async def _contributions(self, status: RequestStatus) -> Contributions | None:
        block = status.made_in_block
        if self._fortuna is None or block is None:
            return None
        told = await self._fortuna.revelation(self._fortuna_chain, status.sequence)
        if told.value is None:
            return None
        for one in await self._entropy.requests(from_block=block, to_block=block, provider=status.provider):
            if not isinstance(one, DecodeError) and one.event.sequence == status.sequence:
                user = one.event.user_contribution
                return None if user is None else Contributions(user, told.value)
        raise NotFound(f"no event of request {status.sequence} in block {block}", subject=str(status.sequence))

    def _is_recent(self, status: RequestStatus) -> bool:
        return status.age_s is None or status.age_s <= self._failed_within_s

    def _waiting_of(self, status: RequestStatus) -> Waiting:
        cause, text = self._causes.get(status.sequence, (None, ""))
        return Waiting(status.sequence, status.age_blocks or 0, status.age_s, cause, text)
