"""A provider of random numbers, looked at again and again: its last requests, those that still wait from before, and why.

Nothing is sent. What a request waits for is found out by trying its reveal with ``eth_call``, for which the service gives the
number. No logs are searched for requests: the contract is asked for them by their numbers, each at least once from where the
first look began.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any, Final

import msgspec

from probekit.clients.entropy import EntropyClient
from probekit.clients.fortuna import FortunaClient
from probekit.clock import SYSTEM_CLOCK, Clock, within
from probekit.codecs.evm import entropy as codec
from probekit.errors import DeadlineExceeded, DecodeError, NotFound, ProbekitError, Reverted
from probekit.model.canary import Coin
from probekit.model.entropy import CauseKind, Contributions, ProviderInfo, RequestState, RequestStatus, StuckLimit
from probekit.model.entropy_watch import EntropyLook, RevelationSeen, UnreadRequest, Waiting
from probekit.model.fortuna import Revelation, RevelationRefusal
from probekit.units import format_ns, to_ns

__all__ = ["EntropyWatcher", "in_chain"]

MAX_REMEMBERED: Final = 500
"""Requests that still wait and have left the window: the oldest are kept."""
MAX_FAILED: Final = 100
"""Requests whose callback failed lately and that have left the window: the newest are kept."""
MAX_TOLD: Final = 5
"""Requests of either kind that are told one by one, and explained."""
MAX_AT_ONCE: Final = 2_000
"""Requests that are new to one look at most; what is left is the next one's."""
_EXCERPT: Final = 200
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
    requests are looked at; older ones are, as long as they wait, or have failed within ``failed_within``. The first look goes
    ``lookback`` further back: what was stuck before that is not known. ``gas`` is what the keeper gives a reveal. ``patience``
    bounds finding out why requests wait, and the service's answer: neither is the chain's.
    """

    def __init__(
        self,
        entropy: EntropyClient,
        coin: Coin,
        *,
        limit: StuckLimit,
        provider: str | None = None,
        window: int = 200,
        lookback: int = 1_000,
        failed_within: timedelta = timedelta(hours=1),
        fortuna: FortunaClient | None = None,
        fortuna_chain: str = "",
        gas: int = 500_000,
        patience: timedelta = timedelta(seconds=5),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._entropy, self._coin = entropy, coin
        self._limit, self._provider, self._window, self._lookback = limit, provider, window, lookback
        self._failed_within_s = failed_within // timedelta(seconds=1)
        self._fortuna, self._fortuna_chain, self._gas = fortuna, fortuna_chain, gas
        self._patience_ns, self._clock = to_ns(patience), clock
        self._last: EntropyLook | None = None
        self._since = self._next = 0
        """From where on requests were looked at, and the first that was not; of the last look's provider."""
        self._waiting: list[int] = []
        self._lately: list[int] = []
        self._causes: dict[int, tuple[CauseKind, str]] = {}
        self._statuses: list[RequestStatus] = []
        self._stuck: list[RequestStatus] = []
        self._failed: list[RequestStatus] = []

    async def look(self) -> EntropyLook:
        """The provider now, with the causes that earlier looks found. Raises what the client does, but not for single requests:
        those that do not read are told with what they are.
        """
        entropy = self._entropy
        block = await entropy.evm.block()
        provider = self._provider or await entropy.default_provider(block.number)
        info = await entropy.provider(provider, block.number)
        if self._last is None or self._last.provider != provider:
            self._waiting, self._lately, self._causes = [], [], {}
            self._since = self._next = max(1, info.sequence - self._window - self._lookback)
        first = min(self._next, max(1, info.sequence - self._window))
        end = min(info.sequence, first + MAX_AT_ONCE)
        wanted = sorted({one for one in (*self._waiting, *self._lately) if one < first}) + list(range(first, end))
        found = await entropy.statuses(wanted, limit=self._limit, provider=provider, at=block) if wanted else ()
        read = [one for one in found if isinstance(one, RequestStatus)]
        lost = {sequence: one for sequence, one in zip(wanted, found, strict=True) if isinstance(one, ProbekitError)}
        if not read:
            for error in lost.values():
                # Bytes that are no request, and a refusal of the contract, are of this one; another error is of them all.
                if not isinstance(error, DecodeError | Reverted):
                    raise error
        waits = [one for one in read if one.state in (RequestState.PENDING, RequestState.STUCK)]
        failed = [one for one in read if one.state is RequestState.CALLBACK_FAILED and self._is_recent(one)]
        stuck = [one for one in waits if one.state is RequestState.STUCK]
        self._waiting = sorted({one.sequence for one in waits} | set(lost))[:MAX_REMEMBERED]
        # What failed is told for as long as it is recent, not until the next look alone; where no age is told, in the window.
        self._lately = [one.sequence for one in failed if one.age_s is not None][-MAX_FAILED:]
        self._statuses, self._stuck, self._failed = waits, stuck[:MAX_TOLD], failed[-MAX_TOLD:]
        self._next = end
        kept = {one.sequence for one in (*self._stuck, *self._failed)}
        self._causes = {sequence: cause for sequence, cause in self._causes.items() if sequence in kept}
        self._last = EntropyLook(
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
            stuck_count=len(stuck),
            failed_count=len(failed),
            watched=len(read),
            unread=len(lost),
            unreadable=tuple(_unread(sequence, lost[sequence]) for sequence in sorted(lost)[:MAX_TOLD]),
            since=self._since,
            unlooked=info.sequence - end,
        )
        return self._told(self._last)

    async def explained(self) -> EntropyLook:
        """The last look with why its requests wait or failed, as far as that is found out within the patience given; what is
        not is asked again after the next look.
        """
        assert self._last is not None
        with contextlib.suppress(TimeoutError):
            await within(self._clock, self._clock.monotonic_ns() + self._patience_ns, self._explain_all())
        return self._told(self._last)

    def _told(self, look: EntropyLook) -> EntropyLook:
        stuck, failed = (tuple(map(self._waiting_of, some)) for some in (self._stuck, self._failed))
        return msgspec.structs.replace(look, stuck=stuck, failed=failed)

    async def revelation(self) -> RevelationSeen:
        """What the service says of the request that waits longest, as of the last look. Raises what its client does, and
        ``DeadlineExceeded`` once the patience given is over.
        """
        try:
            return await within(self._clock, self._clock.monotonic_ns() + self._patience_ns, self._revelation())
        except TimeoutError:
            raise DeadlineExceeded(f"no answer of the service within {format_ns(self._patience_ns)}") from None

    async def _revelation(self) -> RevelationSeen:
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

    async def _explain_all(self) -> None:
        for one in (*self._stuck, *self._failed):
            if one.sequence not in self._causes:
                await self._explain(one)

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


def _unread(sequence: int, error: ProbekitError) -> UnreadRequest:
    raw = error.raw if isinstance(error, DecodeError) else getattr(error, "revert_data", None)
    shown = raw[:_EXCERPT].hex() if isinstance(raw, bytes) else str(raw or "")[:_EXCERPT]
    return UnreadRequest(sequence, error.message[:_EXCERPT], shown)
