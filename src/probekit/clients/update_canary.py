"""A price update of our own on an EVM chain, stage by stage: built, simulated, signed, sent once, included, readable.

Nothing is sent twice: what was sent and is not known to have ended is followed up by the next run in place of another. What may
be spent is on the disk before it can be (:mod:`~probekit.clients.spend_ledger`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from probekit.clients.canary_stages import TURNED_AWAY, Stages, Stopped, settle, turned_away
from probekit.clients.evm_landing import refuse_other
from probekit.clients.evm_signer import EvmSigner
from probekit.clients.pyth_evm import PythEvmClient
from probekit.clients.spend_ledger import CapReached, SpendLedger
from probekit.clients.update_landing import FOLLOWED, UpdateLanding
from probekit.clock import Clock
from probekit.codecs import evm_rpc as codec
from probekit.codecs.evm.contract import PreparedCall
from probekit.codecs.evm.reverts import decode_revert
from probekit.errors import ProbekitError, Reverted, RpcError, SendRefused
from probekit.model import FeedId
from probekit.model.canary import CanaryOutcome, CanaryReport, Caps, Coin, Fetched, NotFetched, Spend
from probekit.model.evm import Address, Block
from probekit.model.journey import Journey, StageName
from probekit.transports.rpc.family import result_of
from probekit.units import Instant

__all__ = ["UpdateCanary"]

STAGES: Final[tuple[StageName, ...]] = ("fetched", "built", "simulated", "signed", "sent", "included", "readable")
GAS_HEADROOM: Final = 4
"""A part of this many is added to the gas that the node estimates: another's update may come between."""

# Nodes' words for a transaction that they do not take: geth, reth, anvil, Nethermind, Erigon, and rollups made of them.
_POOR: Final = re.compile(r"(?i)insufficient (?:funds|balance)|doesn't have enough funds|upfront cost")
_CHEAP: Final = re.compile(
    r"(?i)underpriced|fee too low|gas price too low|fee cap|(?:max ?fee ?per ?gas|max fee).{0,40}(?:less|lower|below)|"
    r"feetoolow|tip .{0,30}(?:less|below|minimum)"
)
_TAKEN: Final = re.compile(r"(?i)already (?:known|imported|in)|known transaction")
_NONCE: Final = re.compile(r"(?i)nonce.{0,10}too (?:low|high)|invalid nonce|nonce .{0,40}(?:already|used)|old ?nonce")
_REFUSALS: Final[tuple[tuple[re.Pattern[str], CanaryOutcome], ...]] = (
    (_POOR, "underfunded"), (_CHEAP, "fee_too_low"), (_NONCE, "wallet_shared"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Plan:
    """A transaction but for its gas and signature."""

    fetched: Fetched
    prepared: PreparedCall[None]
    block: Block
    fees: dict[str, int]
    nonce: int | None
    balance: int | None

    @property
    def max_fee(self) -> int:
        return self.fees.get("maxFeePerGas") or self.fees["gasPrice"]


@dataclass(slots=True)
class UpdateCanary:
    """One wallet's canary on one contract. ``signer`` and ``ledger`` are ``None`` for one that only simulates.

    ``wait`` is how long a run waits for its transaction to be included. :meth:`run` raises what reading the chain ends in,
    before anything was sent; after that every end is a report.
    """

    contract: PythEvmClient
    feed: FeedId
    target: str
    coin: Coin
    clock: Clock
    signer: EvmSigner | None = None
    ledger: SpendLedger | None = None
    caps: Caps | None = None
    wait: timedelta = timedelta(minutes=2)
    poll: timedelta = timedelta(seconds=1)
    clock_error_ns: int | None = None
    on_journey: Callable[[Journey], None] = lambda _: None

    async def run(self, fetched: Fetched | NotFetched) -> CanaryReport:
        """One run: the transaction of an earlier one followed up, or one of its own; never both."""
        under_way = None if self.ledger is None else self.ledger.open_spend
        if under_way is not None:
            return await self._follow(under_way)
        stages = Stages(self.clock, STAGES, chain=self._chain, clock_error_ns=self.clock_error_ns)
        stages.reached(
            "fetched",
            began_ns=self.clock.monotonic_ns() - fetched.elapsed_ns,
            began_at=Instant(self.clock.now().ns - fetched.elapsed_ns),
            failed=isinstance(fetched, NotFetched),
            reason=fetched.error.error_type if isinstance(fetched, NotFetched) else "",
        )
        rest = "not_reached"
        try:
            if isinstance(fetched, NotFetched):
                return self._report(Stopped("not_fetched", f"there is no update to push: {fetched.error.message}"))
            report = await self._attempt(stages, fetched)
            if report.outcome == "simulated":
                rest = "dry_run"
            return report
        except Stopped as stopped:
            return self._report(stopped)
        finally:
            update = None if isinstance(fetched, NotFetched) else fetched.update
            self.on_journey(
                stages.journey(
                    self.target,
                    publish_time=None if update is None else update.publish_time,
                    slot=None if update is None else update.slot,
                    rest=rest,
                )
            )

    @property
    def _chain(self) -> str:
        return self.contract.evm.pool.chain

    # -- before anything is sent ---------------------------------------------------------------------------------------------

    async def _attempt(self, stages: Stages, fetched: Fetched) -> CanaryReport:
        with stages.stage("built"):
            plan = await self._built(fetched)
        with stages.stage("simulated"):
            gas = await self._simulated(plan)
            if self.ledger is not None:
                await self._newer(self.ledger, plan)
        if self.signer is None or self.ledger is None or self.caps is None or plan.nonce is None:
            cost = f", for {gas} gas" if gas else ""
            return self._report(Stopped("simulated", f"the contract would take it{cost}; nothing was sent"))
        with stages.stage("signed"):
            raw, told, spend = self._signed(self.signer, self.caps, plan, gas)
        with stages.stage("sent") as facts:
            facts["transaction"] = told
            self._reserved(self.ledger, self.caps, spend, plan.block)
            doubt = await self._sent(self.ledger, raw, told)
        if doubt is not None:
            stages.doubt(doubt.error_type)
        return await self._landed(stages, spend, doubt=doubt)

    async def _landed(
        self, stages: Stages, spend: Spend, *, followed: bool = False, doubt: ProbekitError | None = None
    ) -> CanaryReport:
        landed = await self._landing_of(spend).run(stages, spend, followed=followed, doubt=doubt)
        return self._report(landed.end, spend, followed=followed, elapsed_ns=landed.elapsed_ns, paid=landed.paid)

    async def _follow(self, spend: Spend) -> CanaryReport:
        """What became of the transaction of an earlier run."""
        stages = Stages(self.clock, FOLLOWED, chain=self._chain, clock_error_ns=self.clock_error_ns)
        try:
            return await self._landed(stages, spend, followed=True)
        finally:
            told = Instant.from_seconds(spend.note[0]) if spend.note else None
            self.on_journey(stages.journey(self.target, publish_time=told, rest="not_reached"))

    def _landing_of(self, spend: Spend) -> UpdateLanding:
        assert self.signer is not None
        assert self.ledger is not None
        # By the transaction's own contract and feed: it may have been sent when the canary was set to others.
        contract, feed = self.contract, FeedId(spend.feed) if spend.feed else self.feed
        if spend.contract and Address(spend.contract) != contract.address:
            contract = PythEvmClient(contract.evm, spend.contract)
        return UpdateLanding(contract, feed, self.signer.address, self.ledger, self.coin, self.clock, self.wait, self.poll)

    async def _built(self, fetched: Fetched) -> _Plan:
        evm = self.contract.evm
        block = await evm.block()
        try:
            prepared = await self.contract.build_update(fetched.signed)
        except Reverted as error:
            raise Stopped("would_revert", f"the fee of the update is refused: {error.message}") from None
        if self.caps is not None and prepared.value_wei > self.caps.per_transaction:
            raise Stopped("over_cap", f"the contract asks {self.coin.text(prepared.value_wei)} for the update, above the cap")
        fees = await self._fees(block)
        if self.signer is None:
            return _Plan(fetched, prepared, block, fees, None, None)
        wallet = self.signer.address
        balance = await evm.balance(wallet, min_block=block.number)
        nonce = await self._nonce(wallet, block)
        if balance < prepared.value_wei:
            raise Stopped("underfunded", self._poor(wallet, balance, prepared.value_wei))
        return _Plan(fetched, prepared, block, fees, nonce, balance)

    async def _fees(self, block: Block) -> dict[str, int]:
        evm = self.contract.evm
        if block.base_fee_per_gas is None:
            return {"gasPrice": codec.quantity(result_of(await evm.pool.call("eth_gasPrice")))}
        known = await evm.gas_fees()
        tip = known.tip(50) or await self._suggested_tip()
        # Twice the base fee is six full blocks in a row.
        return {"maxFeePerGas": 2 * known.next_base_fee + tip, "maxPriorityFeePerGas": tip}

    async def _suggested_tip(self) -> int:
        """Where recent blocks were empty, or took nothing beside the base fee: what the node thinks is enough."""
        try:
            return codec.quantity(result_of(await self.contract.evm.pool.call("eth_maxPriorityFeePerGas"))) or 1
        except RpcError:  # Not every node has the method.
            return 1

    async def _nonce(self, wallet: Address, block: Block) -> int:
        """The wallet's next nonce, when all its transactions are those of the ledger."""
        evm, last = self.contract.evm, None if self.ledger is None else self.ledger.last
        latest = await evm.nonce(wallet, "latest", min_block=block.number)
        pending = await evm.nonce(wallet, "pending", min_block=block.number)
        may_land = last is not None and last.nonce == latest and last.ended in ("dropped", "refused")
        undone = last is not None and last.nonce == latest and last.ended in ("landed", "failed")
        if pending > latest and not undone:
            if last is not None and may_land:
                raise Stopped(
                    "not_included", f"{last.transaction} waits again, after it was {last.ended}: nothing else is sent"
                )
            raise Stopped("wallet_shared", f"{pending - latest} transactions of {wallet} wait that are not in the ledger")
        if last is None or last.nonce is None or latest == last.nonce + 1 or may_land:
            return latest
        if undone:
            raise await self._landing_of(last).undone(last, block.number)
        if latest > last.nonce:
            raise Stopped(
                "wallet_shared",
                f"{wallet} sent {latest - last.nonce - 1} transactions that are not in the ledger: the key is used elsewhere",
            )
        raise Stopped("node_behind", f"the node knows {latest} transactions of {wallet}, the ledger {last.nonce + 1}")

    async def _simulated(self, plan: _Plan) -> int:
        """The gas limit, where the contract would take the update."""
        evm, prepared = self.contract.evm, plan.prepared
        sender = None if self.signer is None else self.signer.address
        try:
            await evm.simulate(prepared, sender=sender)
            if sender is None:
                return await self._estimate(prepared, None)
            gas = await self._estimate(prepared, sender)
        except Reverted as error:
            raise Stopped("would_revert", error.message) from None
        except RpcError as error:
            if sender is not None and _POOR.search(error.message):
                raise Stopped("underfunded", error.message) from None
            raise
        most = gas * plan.max_fee + prepared.value_wei
        if self.caps is not None and most > self.caps.per_transaction:
            raise Stopped("over_cap", self._over(most, self.caps))
        if plan.balance is not None and plan.balance < most:
            raise Stopped("underfunded", self._poor(sender, plan.balance, most))
        return gas

    async def _newer(self, ledger: SpendLedger, plan: _Plan) -> None:
        """Return where the update would be stored. The contract takes an old one, too, without a word, and is paid for it."""
        ours, last = plan.fetched.note[0], ledger.last
        ours_last = last is not None and (last.contract, last.feed) in ((self.contract.address, self.feed), ("", ""))
        if ours_last and last is not None and last.ended in ("landed", "failed") and last.note and last.note[0] >= ours:
            raise Stopped(
                "source_not_newer",
                f"Hermes stands still: its update is of {ours}, {last.transaction} brought that of {last.note[0]}; "
                "nothing was sent",
            )
        try:
            stored = await self.contract.price(self.feed, min_block=plan.block.number)
        except Reverted:  # Nobody has pushed this feed yet.
            return
        if stored.publish_time_s >= ours:
            raise Stopped(
                "source_not_newer",
                f"Hermes has nothing newer: its update is of {ours}, the contract's price of {stored.publish_time_s}: "
                "Hermes stands still, or somebody else was first; nothing was sent",
            )

    async def _estimate(self, prepared: PreparedCall[None], sender: Address | None) -> int:
        asked: dict[str, Any] = prepared.transaction() | {"value": hex(prepared.value_wei)}
        if sender is not None:
            asked["from"] = sender
        elif prepared.value_wei:
            return 0  # Nobody pays in a dry run without a wallet, and not every node takes an override here.
        try:
            estimate = codec.quantity(result_of(await self.contract.evm.pool.call("eth_estimateGas", [asked])))
        except Reverted as error:
            said = decode_revert(error.revert_data)
            raise Stopped("would_revert", f"{prepared.call.name} on {prepared.to}: {said}") from None
        return estimate + estimate // GAS_HEADROOM

    def _signed(self, signer: EvmSigner, caps: Caps, plan: _Plan, gas: int) -> tuple[bytes, str, Spend]:
        evm = self.contract.evm
        transaction = {**plan.prepared.transaction(), "chainId": evm.chain_id, "nonce": plan.nonce, "gas": gas, **plan.fees}
        raw, told = signer.sign(transaction)
        # Read back from what was signed, and so what will be held against the cap by the client once more.
        refuse_other(raw, chain_id=evm.chain_id, chain=self._chain, cap_wei=caps.per_transaction)
        spend = Spend(
            transaction=told,
            sent_at_ns=max(self.clock.now().ns, plan.block.time.ns),
            reserved=codec.decode_signed_transaction(raw).most,
            nonce=plan.nonce,
            note=(*plan.fetched.note, plan.prepared.value_wei),
            max_fee=plan.max_fee,
            contract=str.__str__(self.contract.address),
            feed=str.__str__(self.feed),
        )
        return raw, told, spend

    def _reserved(self, ledger: SpendLedger, caps: Caps, spend: Spend, block: Block) -> None:
        # The chain's clock where it is behind ours: a host whose clock jumps ahead must not forget what it spent.
        now = min(self.clock.now(), block.time)
        try:
            ledger.reserve(spend, caps=caps, coin=self.coin, now=now)
        except CapReached as refused:
            raise Stopped("daily_cap", refused.message) from None
        except SendRefused as refused:
            raise Stopped("no_ledger", refused.message) from None

    async def _sent(self, ledger: SpendLedger, raw: bytes, told: str) -> ProbekitError | None:
        """Send it once; ``None`` where the node took it, else what leaves open whether it did."""
        cap = codec.decode_signed_transaction(raw).most
        try:
            await self.contract.evm.send(raw, cap_wei=cap)
        except SendRefused as refused:
            settle(ledger, told, "refused", paid=0)  # It never left.
            raise Stopped("not_proven", refused.message) from None
        except TURNED_AWAY as error:
            raise turned_away(ledger, told, error) from None
        except RpcError as error:
            if _TAKEN.search(error.message):
                return None
            # By its words whatever the code: some nodes say all of this as an internal error.
            outcome: CanaryOutcome | None = next((one for words, one in _REFUSALS if words.search(error.message)), None)
            if outcome is None and type(error) is not RpcError:
                return error
            settle(ledger, told, "refused")
            raise Stopped("refused" if outcome is None else outcome, error.message) from None
        except ProbekitError as error:
            return error  # Nobody knows whether it was taken.
        return None

    # -- telling -------------------------------------------------------------------------------------------------------------

    def _report(
        self,
        stopped: Stopped,
        spend: Spend | None = None,
        *,
        followed: bool = False,
        elapsed_ns: int | None = None,
        paid: int | None = None,
    ) -> CanaryReport:
        ledger, caps = self.ledger, self.caps
        return CanaryReport(
            outcome=stopped.outcome,
            text=stopped.text,
            coin=self.coin,
            transaction="" if spend is None else spend.transaction,
            elapsed_ns=elapsed_ns,
            followed=followed,
            paid=paid,
            spent=None if ledger is None else ledger.spent(self.clock.now()),
            cap_per_day=None if caps is None else caps.per_day,
            cap_per_transaction=None if caps is None else caps.per_transaction,
        )

    def _poor(self, wallet: Address | None, balance: int, most: int) -> str:
        return f"{wallet} has {self.coin.text(balance)}, the transaction may take {self.coin.text(most)}"

    def _over(self, most: int, caps: Caps) -> str:
        return f"it may take {self.coin.text(most)}, the cap is {self.coin.text(caps.per_transaction)}"
