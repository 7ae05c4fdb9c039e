"""A transfer of our own from a Solana wallet to itself: built, simulated, signed, sent once, processed, confirmed, finalized.

Nothing is sent twice: what was sent and is not known to have ended is followed up by the next run in place of another. What may
be spent is on the disk before it can be (:mod:`~probekit.clients.spend_ledger`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from probekit.clients.canary_stages import TURNED_AWAY, Stages, Stopped, settle, turned_away
from probekit.clients.solana import SolanaClient
from probekit.clients.solana_signer import SolanaSigner, self_transfer
from probekit.clients.spend_ledger import CapReached, SpendLedger
from probekit.clock import Clock
from probekit.codecs.solana.sysvar import CLOCK, decode_clock
from probekit.errors import DeadlineExceeded, DecodeError, Missing, NotServed, ProbekitError, RpcError, SendRefused
from probekit.model.canary import CanaryReport, Caps, Coin, Spend
from probekit.model.fees import priority_fee_lamports
from probekit.model.journey import Journey, StageName
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Blockhash, Commitment, SignatureStatus, Simulation, custom_error
from probekit.transports.rpc.family import result_of
from probekit.units import NS_PER_S, Instant, to_ns

__all__ = ["TransferCanary"]

STAGES: Final[tuple[StageName, ...]] = ("built", "simulated", "signed", "sent", "processed", "confirmed", "finalized")
FOLLOWED: Final[tuple[StageName, ...]] = ("finalized",)
LEVELS: Final[tuple[tuple[StageName, Commitment], ...]] = (
    ("processed", Commitment.PROCESSED),
    ("confirmed", Commitment.CONFIRMED),
    ("finalized", Commitment.FINALIZED),
)
SIGNATURE_LAMPORTS: Final = 5_000
UNITS: Final = 1_000
"""Compute units asked for; a transfer with its two budget instructions uses 450."""
_LOOK_NS: Final = 5 * NS_PER_S

# What the runtime calls a payer that cannot pay, and the system program's error for a transfer of more than there is.
_POOR: Final = ("AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent")
_NEGATIVE_LAMPORTS: Final = 1


@dataclass(slots=True)
class TransferCanary:
    """One wallet's canary on one cluster. ``signer`` and ``ledger`` are ``None`` for one that only simulates, for ``wallet``.

    ``unit_price`` is in micro-lamports, ``None`` for the median of what recent blocks were paid. ``wait`` is how long a run
    waits for finality. :meth:`run` raises what reading the chain ends in, before anything was sent; after that every end is a
    report.
    """

    client: SolanaClient
    wallet: Pubkey
    target: str
    coin: Coin
    clock: Clock
    caps: Caps
    signer: SolanaSigner | None = None
    ledger: SpendLedger | None = None
    lamports: int = 1
    unit_price: int | None = None
    wait: timedelta = timedelta(minutes=2)
    poll: timedelta = timedelta(milliseconds=500)
    clock_error_ns: int | None = None
    on_journey: Callable[[Journey], None] = lambda _: None

    async def run(self) -> CanaryReport:
        """One run: the transaction of an earlier one followed up, or one of its own; never both."""
        under_way = None if self.ledger is None else self.ledger.open_spend
        names = STAGES if under_way is None else FOLLOWED
        stages = Stages(self.clock, names, chain=self.client.pool.chain, clock_error_ns=self.clock_error_ns)
        rest = "not_reached"
        try:
            report = await (self._attempt(stages) if under_way is None else self._follow(stages, under_way))
            if report.outcome == "simulated":
                rest = "dry_run"
            return report
        except Stopped as stopped:
            return self._report(stopped, under_way, followed=under_way is not None)
        finally:
            self.on_journey(stages.journey(self.target, rest=rest))

    # -- before anything is sent ---------------------------------------------------------------------------------------------

    async def _attempt(self, stages: Stages) -> CanaryReport:
        client = self.client
        with stages.stage("built"):
            latest = await client.blockhash()
            slot, clock = await self._now()
            price = await self._price()
            most = SIGNATURE_LAMPORTS + priority_fee_lamports(price, UNITS)
            message = self_transfer(
                self.wallet, lamports=self.lamports, blockhash=latest.blockhash, units=UNITS, unit_price=price
            )
            if most > self.caps.per_transaction:
                sums = f"{self.coin.text(most)}, the cap is {self.coin.text(self.caps.per_transaction)}"
                raise Stopped("over_cap", f"it takes {sums}")
        with stages.stage("simulated") as facts:
            simulated = await client.simulate(b"\x01" + bytes(64) + message, verify=False)
            facts["gas_used"] = simulated.units_consumed
            if not simulated.succeeded:
                raise self._failed("would_fail", simulated.error, simulated)
        if self.signer is None or self.ledger is None:
            return self._report(Stopped("simulated", f"it would land, for {self.coin.text(most)}; nothing was sent"))
        with stages.stage("signed"):
            raw, signature = self.signer.sign(message)
            spend = self._spend(signature, most, latest, clock)
        began_ns, began_at = self.clock.monotonic_ns(), self.clock.now()
        with stages.stage("sent") as facts:
            facts |= {"transaction": signature, "slot": slot}
            try:
                self.ledger.reserve(spend, caps=self.caps, coin=self.coin, now=min(self.clock.now(), clock))
            except CapReached as refused:
                raise Stopped("daily_cap", refused.message) from None
            except SendRefused as refused:
                raise Stopped("no_ledger", refused.message) from None
            doubt = await self._sent(self.ledger, raw, signature, most)
        if doubt is not None:
            stages.doubt(doubt.error_type)
        report = await self._landed(stages, self.ledger, spend, slot, began_ns, began_at)
        if doubt is None or report.outcome != "expired":
            return report
        # Whoever reads this must know that it may never have reached the cluster.
        return replace(report, text=f"{report.text}; what the node said when it was sent was {doubt.message}")

    async def _now(self) -> tuple[int, Instant]:
        """The slot, and the cluster's own time."""
        account = await self.client.account(CLOCK, commitment=Commitment.PROCESSED)
        if account is None:
            raise Missing("the cluster has no clock", subject=str(CLOCK))
        return account.slot, decode_clock(account.data).time

    async def _price(self) -> int:
        if self.unit_price is not None:
            return self.unit_price
        return (await self.client.priority_fees([self.wallet])).percentile(50, paid=True) or 0

    def _spend(self, signature: str, most: int, latest: Blockhash, clock: Instant) -> Spend:
        return Spend(
            transaction=signature,
            sent_at_ns=max(self.clock.now().ns, clock.ns),
            reserved=most,
            valid_until=latest.last_valid_block_height,
        )

    async def _sent(self, ledger: SpendLedger, raw: bytes, signature: str, most: int) -> ProbekitError | None:
        """Send it once; ``None`` where the node took it, else what leaves open whether it did."""
        try:
            # Simulated a moment ago, and once more by the client for its cap: the node need not do it a third time.
            await self.client.send(raw, payer=self.wallet, cap_lamports=most, preflight=False)
        except SendRefused as refused:
            settle(ledger, signature, "refused", paid=0)  # It never left.
            raise Stopped("not_proven", refused.message) from None
        except TURNED_AWAY as error:
            raise turned_away(ledger, signature, error) from None
        except RpcError as error:
            if type(error) is not RpcError:
                return error
            settle(ledger, signature, "refused")
            raise Stopped("refused", error.message) from None
        except ProbekitError as error:
            return error  # Nobody knows whether it was taken.
        return None

    def _failed(self, outcome: Any, error: object, simulated: Simulation | None = None) -> Stopped:
        """Of a transaction error: the wallet is too poor, or else the program's or the cluster's refusal."""
        last = f": {simulated.logs[-1][:200]}" if simulated is not None and simulated.logs else ""
        custom = custom_error(error)
        named = error if isinstance(error, str) else next(iter(error), "") if isinstance(error, dict) else ""
        if named in _POOR or (custom is not None and custom[1] == _NEGATIVE_LAMPORTS):
            return Stopped("underfunded", f"{self.wallet} cannot pay: {error}{last}")
        return Stopped(outcome, f"{error}{last}")

    # -- after it was sent ---------------------------------------------------------------------------------------------------

    async def _follow(self, stages: Stages, spend: Spend) -> CanaryReport:
        """What became of the transaction of an earlier run: one look."""
        assert self.ledger is not None
        began = Instant(spend.sent_at_ns)
        elapsed_ns: int | None = None
        try:
            with stages.stage("finalized", since="sent", began=began) as facts:
                facts["transaction"] = spend.transaction
                status = await self._look(spend, history=True)
                if status is None:
                    raise await self._ended(self.ledger, spend, seen=False) or Stopped(
                        "not_landed", f"{spend.transaction} is in no block, and may still land"
                    )
                facts["slot"] = status.slot
                paid, facts["gas_used"] = await self._cost(spend)
                facts["paid"] = paid
                if not status.succeeded:
                    settle(self.ledger, spend.transaction, "failed", paid=paid)
                    raise self._failed("failed", status.error)
                if not status.reached(Commitment.FINALIZED):
                    raise Stopped("not_finalized", f"{spend.transaction} is in slot {status.slot}, which is not finalized")
                settle(self.ledger, spend.transaction, "landed", paid=paid)
                elapsed_ns = max(0, self.clock.now().since(began))
        except Stopped as stopped:
            return self._report(stopped, spend, followed=True)
        except ProbekitError as error:
            return self._report(self._unresolved(spend, error), spend, followed=True)
        landed = Stopped("landed", f"{spend.transaction} is finalized in slot {status.slot}, for {self.coin.text(paid)}")
        return self._report(landed, spend, followed=True, elapsed_ns=elapsed_ns, paid=paid)

    async def _landed(
        self, stages: Stages, ledger: SpendLedger, spend: Spend, slot: int, began_ns: int, began_at: Instant
    ) -> CanaryReport:
        """Wait until it is finalized, has failed or never can land. Each level is timed from the sending."""
        due_ns = began_ns + to_ns(self.wait)
        left = list(LEVELS)
        status: SignatureStatus | None = None
        confirmed_ns: int | None = None
        paid = spend.reserved
        trouble: ProbekitError | None = None
        asked_ns = began_ns
        try:
            while True:
                try:
                    found, trouble = await self._look(spend), None
                    status = found or status
                    if found is None and self.clock.monotonic_ns() >= asked_ns + _LOOK_NS:
                        asked_ns = self.clock.monotonic_ns()
                        if (ended := await self._ended(ledger, spend, seen=status is not None)) is not None:
                            raise ended
                except ProbekitError as error:
                    if not (error.retry_same or isinstance(error, NotServed | Missing)):
                        raise
                    trouble = error
                if status is not None and not status.succeeded and status.reached(Commitment.CONFIRMED):
                    paid, used = await self._cost(spend)
                    settle(ledger, spend.transaction, "failed", paid=paid)
                    stages.reached(
                        "processed", since="sent", began_ns=began_ns, began_at=began_at, failed=True, reason="failed",
                        slot=status.slot, transaction=spend.transaction, paid=paid, gas_used=used,
                    )  # fmt: skip
                    raise self._failed("failed", status.error)
                while status is not None and status.succeeded and left and status.reached(left[0][1]):
                    name, level = left.pop(0)
                    facts: dict[str, Any] = {"slot": status.slot, "transaction": spend.transaction}
                    if level is Commitment.CONFIRMED:
                        confirmed_ns = self.clock.monotonic_ns() - began_ns
                        paid, facts["gas_used"] = await self._cost(spend)
                        facts["paid"] = paid
                    stages.reached(name, since="sent", began_ns=began_ns, began_at=began_at, **facts)
                if not left and status is not None:
                    settle(ledger, spend.transaction, "landed", paid=paid)
                    text = f"{spend.transaction} is finalized in slot {status.slot}, for {self.coin.text(paid)}"
                    end = Stopped("landed", text)
                    return self._report(end, spend, elapsed_ns=confirmed_ns, paid=paid, slots=status.slot - slot)
                wake_ns = self.clock.monotonic_ns() + to_ns(self.poll)
                if wake_ns >= due_ns:
                    raise self._waits(spend, status, trouble)
                await self.clock.sleep_until_ns(wake_ns)
        except Stopped as stopped:
            return self._report(stopped, spend)
        except ProbekitError as error:
            return self._report(self._unresolved(spend, error), spend)

    def _waits(self, spend: Spend, status: SignatureStatus | None, trouble: ProbekitError | None) -> Stopped:
        if trouble is not None:
            return self._unresolved(spend, trouble)
        if status is None:
            return Stopped("not_landed", f"{spend.transaction} is in no block, and may still land")
        return Stopped("not_finalized", f"{spend.transaction} is in slot {status.slot}, which is not finalized")

    def _unresolved(self, spend: Spend, error: ProbekitError) -> Stopped:
        return Stopped("unresolved", f"{spend.transaction} was sent; then: {error.message}")

    async def _look(self, spend: Spend, *, history: bool = False) -> SignatureStatus | None:
        (status,) = await self.client.statuses([spend.transaction], history=history)
        if isinstance(status, ProbekitError):
            raise status
        return status

    async def _ended(self, ledger: SpendLedger, spend: Spend, *, seen: bool) -> Stopped | None:
        """The end of one that is in no block, once the chain is past its last valid block height; ``None`` before."""
        assert spend.valid_until is not None
        look = timedelta(microseconds=_LOOK_NS // 1_000)
        try:
            # Once: as long as it is not certain, this waits no further.
            done = await self.client.confirm(
                spend.transaction,
                last_valid_block_height=spend.valid_until,
                commitment=Commitment.FINALIZED,
                poll=look,
                timeout=look,
            )
        except DeadlineExceeded:
            return None
        if done.outcome != "expired":
            return None
        if seen:
            settle(ledger, spend.transaction, "dropped", paid=0)
            return Stopped("dropped", f"{spend.transaction} was in a block that did not stay, and never can land any more")
        settle(ledger, spend.transaction, "expired", paid=0)
        height = f"block height {done.block_height} is past its last, {spend.valid_until}"
        return Stopped("expired", f"{spend.transaction} is in no block, and {height}")

    async def _cost(self, spend: Spend) -> tuple[int, int | None]:
        """Lamports and compute units that it took, as its block says; the fee that it was sent with where that is not told."""
        config = {"encoding": "base64", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}
        try:
            told = result_of(await self.client.pool.call("getTransaction", [spend.transaction, config]))
            match told:
                case {"meta": {"fee": int(fee), **rest}} if 0 <= fee < 2**63:
                    units = rest.get("computeUnitsConsumed")
                    return fee, units if isinstance(units, int) and 0 <= units < 2**31 else None
        except (RpcError, DecodeError):
            pass
        return spend.reserved, None

    # -- telling -------------------------------------------------------------------------------------------------------------

    def _report(
        self,
        stopped: Stopped,
        spend: Spend | None = None,
        *,
        followed: bool = False,
        elapsed_ns: int | None = None,
        paid: int | None = None,
        slots: int | None = None,
    ) -> CanaryReport:
        ledger = self.ledger
        return CanaryReport(
            outcome=stopped.outcome,
            text=stopped.text,
            coin=self.coin,
            transaction="" if spend is None else spend.transaction,
            elapsed_ns=elapsed_ns,
            followed=followed,
            paid=paid,
            slots=slots,
            spent=None if ledger is None else ledger.spent(self.clock.now()),
            cap_per_day=self.caps.per_day,
        )
