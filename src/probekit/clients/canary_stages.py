"""The stages of a canary, timed one after another by the monotonic clock; what fails ends them, and its stage says why."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from probekit.clients.spend_ledger import SpendLedger
from probekit.clock import Clock
from probekit.errors import NotEntitled, ProbekitError, RateLimited, RpcRateLimited, SendRefused, Unauthorized
from probekit.model.canary import CanaryOutcome, Ended
from probekit.model.journey import Journey, Stage, StageName
from probekit.units import Instant

__all__ = ["TURNED_AWAY", "Stages", "Stopped", "settle", "turned_away"]

TURNED_AWAY: Final = (Unauthorized, NotEntitled, RateLimited, RpcRateLimited)
"""What a provider says to us and not to the transaction: no key, no grant, too much asked. It gave nothing on."""


class Stopped(Exception):
    """The canary ends here: with what outcome, and a sentence."""

    def __init__(self, outcome: CanaryOutcome, text: str) -> None:
        super().__init__(text)
        self.outcome: CanaryOutcome = outcome
        self.text = text


class Stages:
    """Collects the stages of one run. ``all_of`` are those that a run has, in order; those not reached say so."""

    def __init__(self, clock: Clock, all_of: Sequence[StageName], *, chain: str, clock_error_ns: int | None) -> None:
        self._clock = clock
        self._all_of = tuple(all_of)
        self._chain = chain
        self._error_ns = clock_error_ns
        self._done: list[Stage] = []

    @contextlib.contextmanager
    def stage(
        self, name: StageName, *, since: StageName | None = None, began: Instant | None = None
    ) -> Iterator[dict[str, Any]]:
        """One stage, from here to the end of the block; facts of it go into what this gives. With ``began`` it is timed by the
        wall clock from there, as one is that an earlier run began.
        """
        facts: dict[str, Any] = {}
        began_ns, began_at = self._clock.monotonic_ns(), began or self._clock.now()
        reason, failed = "", False
        try:
            yield facts
        except Stopped as stopped:
            reason, failed = stopped.outcome, True
            raise
        except ProbekitError as error:
            reason, failed = error.error_type, True
            raise
        finally:
            elapsed_ns = self._clock.monotonic_ns() - began_ns if began is None else self._clock.now().since(began)
            error_ns = 0 if began is None else self._error_ns
            self._add(name, began_at, elapsed_ns, since, error_ns, reason=reason, failed=failed, **facts)

    def reached(
        self, name: StageName, *, since: StageName | None = None, began_ns: int, began_at: Instant, **facts: Any
    ) -> None:
        """A stage that ended now and began at ``began_ns`` (monotonic)."""
        self._add(name, began_at, self._clock.monotonic_ns() - began_ns, since, 0, **facts)

    def _add(
        self, name: StageName, began: Instant, elapsed_ns: int, since: StageName | None, error_ns: int | None, **facts: Any
    ) -> None:
        before = self._done[-1].name if self._done else None
        self._done.append(
            Stage(
                name=name,
                clock="local",
                chain=self._chain,
                at=Instant(began.ns + elapsed_ns),
                error_ns=self._error_ns,
                since=since or before,
                elapsed_ns=elapsed_ns,
                elapsed_error_ns=error_ns,
                **facts,
            )
        )

    def doubt(self, reason: str) -> None:
        """Say of the last stage that it is not known how it ended."""
        self._done[-1] = replace(self._done[-1], reason=reason, failed=True)

    def journey(self, target: str, *, publish_time: Instant | None = None, slot: int | None = None, rest: str) -> Journey:
        """All stages as a journey; ``rest`` is the reason of those that were not reached."""
        reached = {one.name for one in self._done}
        left: list[StageName] = [one for one in self._all_of if one not in reached]
        missing = [Stage(name=name, clock="local", chain=self._chain, reason=rest) for name in left]
        return Journey(
            id=secrets.token_hex(16),
            feed_id=target,
            publish_time=publish_time,
            slot=slot,
            root=None,
            stages=(*self._done, *missing),
            told_at=self._clock.now(),
            overdue=bool(missing),
        )


def settle(
    ledger: SpendLedger, transaction: str, ended: Ended | None, *, paid: int | None = None, block: int | None = None
) -> None:
    """Write down how a transaction ended. Raises ``Stopped`` where the disk does not take it."""
    try:
        ledger.settle(transaction, ended, paid=paid, block=block)
    except SendRefused as refused:
        raise Stopped("no_ledger", f"{transaction} is {ended or 'under way again'}; {refused.message}") from None


def turned_away(ledger: SpendLedger, transaction: str, error: ProbekitError) -> Stopped:
    """The end of one that a provider did not take from us. Its word frees nothing: what was reserved counts on."""
    settle(ledger, transaction, "refused")
    return Stopped("provider_refused", f"the provider refused us, nothing was sent: {error.message}")
