"""``cross_chain_lag`` with accounts on a Solana cluster beside contracts on EVM chains: the stage at fault on each."""

from __future__ import annotations

import base64
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from probekit.clients.posting_wallet import PostingWallet
from probekit.clients.push_feeds import PushFeed
from probekit.clients.solana import SolanaClient
from probekit.codecs.solana.addresses import PRO
from probekit.dev import faults
from probekit.errors import ConnectError, RpcError
from probekit.model import FeedId, ProbeRun, Status
from probekit.model.chain_feed import ChainHead, PusherState
from probekit.model.pubkey import Pubkey, base58
from probekit.model.receiver import ProgramGeneration
from probekit.units import Bps
from tests.support.pushes import ChainLab, ClusterLab, Hosts, PostedCluster
from tests.support.sandbox import FIRST, S, load, module_of, others_ok, result, verdict
from tests.unit.clients.contracts import PYTH

OK, WARNING, CRITICAL, UNKNOWN = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN
PROBE = load("cross_chain_lag")
Route, ClusterRoute = module_of(PROBE).Route, module_of(PROBE).ClusterRoute
MINUTE = 60 * S
EVM = "evm:5001"


class Lab(ChainLab):
    """An EVM chain at ``http://one`` and a cluster at ``http://solana`` on one clock."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cluster = PostedCluster(self.clock)
        self.transport = Hosts(self.transport, {"http://solana": self.cluster}, self.clock)

    post: Any = ClusterLab.post

    async def look(self, *, evm: bool = True, **more: Any) -> ProbeRun:
        given = {
            "hermes": FIRST,
            "chains": (Route(chain="5001", endpoints=("http://one",), contracts=(PYTH,)),) if evm else (),
            "clusters": (ClusterRoute(cluster="devnet", endpoints=("http://solana",)),),
            "feeds": tuple(PushFeed(feed=one) for one in self.ids),
            "heartbeat": 2 * MINUTE,
            "lands_within": 30 * S,
            "max_deviation": Bps.parse("50bps"),
        }
        return await self.once(PROBE, **given | more)


def pushed() -> Lab:
    lab = Lab(feeds=3)
    lab.push()
    lab.post()
    return lab


def posted(feed: str) -> str:
    return f"devnet/0/{feed}"


def stage(run: ProbeRun, target: str) -> tuple[Status, str]:
    return next((one.status, one.reason) for one in result(run, target).verdicts if one.check == "push_stage")


async def test_a_feed_is_level_on_both_kinds_of_chain() -> None:
    lab = pushed()
    run = await lab.look()
    assert run.status is OK
    assert len(run.results) == 1 + (1 + 3) + (1 + 3)
    for one in lab.ids:
        assert stage(run, posted(one)) == (OK, "keeping_up")
        assert {each.check for each in result(run, posted(one)).verdicts} == {
            "push_stage", "cross_chain_lag", "cross_chain_deviation",
        }  # fmt: skip
    (asked,) = lab.cluster.asked("getMultipleAccounts")
    assert len(asked[0]) == 1 + 2 * 3


async def test_a_cluster_alone_is_enough() -> None:
    lab = pushed()
    run = await lab.look(evm=False)
    assert run.status is OK
    assert not lab.one.asked("eth_call")
    with pytest.raises(ValueError, match="chains must not be empty"):
        await lab.look(evm=False, clusters=())


async def test_the_source_is_idle_for_both() -> None:
    lab = pushed()
    await lab.clock.advance(S)
    lab.first.inject(faults.StaleFeed(lab.ids[0]))
    await lab.clock.advance(90 * S)
    lab.push(*lab.ids[1:])
    lab.post(*lab.ids[1:])
    run = await lab.look()
    idle = posted(lab.ids[0]), f"{EVM}/{PYTH}/{lab.ids[0]}"
    assert {stage(run, one) for one in idle} == {(CRITICAL, "source_idle")}
    assert others_ok(run, *idle)


async def test_nobody_posts_on_the_cluster_while_the_chain_is_pushed() -> None:
    lab = pushed()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    lab.post(*lab.ids[1:])
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert others_ok(run, posted(lab.ids[0]))
    told = next(one.message for one in result(run, posted(lab.ids[0])).verdicts if one.check == "push_stage")
    assert "heartbeat 2m00s and 30.0s to land" in told


async def test_a_feed_that_nobody_ever_posted_there() -> None:
    lab = Lab(feeds=3)
    lab.push()
    lab.post(*lab.ids[1:])
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "never_pushed")
    assert others_ok(run, posted(lab.ids[0]))


async def test_only_the_generation_that_consumers_read_counts() -> None:
    lab = Lab(feeds=1)
    lab.push()
    lab.post(generation=ProgramGeneration.CORE)
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (OK, "keeping_up")
    cluster = ClusterRoute(cluster="devnet", endpoints=("http://solana",), reads="pro")
    run = await lab.look(clusters=(cluster,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "never_pushed")


async def test_a_cluster_that_shows_an_old_head_is_no_pushers_fault() -> None:
    lab = pushed()
    lab.cluster.stop()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    run = await lab.look()
    assert verdict(run, "devnet") == (CRITICAL, "head_stale")
    assert {stage(run, posted(one)) for one in lab.ids} == {(UNKNOWN, "rpc_lagging")}
    assert verdict(run, EVM)[0] is OK


async def test_a_cluster_that_shows_an_old_head_is_judged_by_no_check_of_its_feeds() -> None:
    lab = pushed()
    lab.cluster.stop()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    lab.post(lab.ids[1], off=200, ago_s=170)
    del lab.cluster.accounts[str(PRO.push_feed(FeedId(lab.ids[2])))]
    run = await lab.look()
    assert verdict(run, "devnet") == (CRITICAL, "head_stale")
    for one in lab.ids:
        found = {each.check: (each.status, each.reason) for each in result(run, posted(one)).verdicts}
        assert found["push_stage"] == found["cross_chain_lag"] == (UNKNOWN, "rpc_lagging"), one
    found = {each.check: (each.status, each.reason) for each in result(run, posted(lab.ids[1])).verdicts}
    assert found["cross_chain_deviation"] == (UNKNOWN, "rpc_lagging")


async def test_a_price_far_off_is_landing_and_then_behind() -> None:
    lab = pushed()
    lab.post(lab.ids[0], off=200)
    run = await lab.look()
    assert stage(run, posted(lab.ids[0])) == (OK, "landing")
    reasons = {one.check: one.reason for one in result(run, posted(lab.ids[0])).verdicts}
    assert reasons["cross_chain_deviation"] == "moving"


async def test_a_cluster_out_of_reach_is_told_once_and_costs_the_chain_nothing() -> None:
    lab = pushed()
    lab.cluster.down = ConnectError("connection refused")
    run = await lab.look()
    assert verdict(run, "devnet") == (CRITICAL, "connect")
    assert {verdict(run, posted(one)) for one in lab.ids} == {(UNKNOWN, "behind_endpoint")}
    assert others_ok(run, "devnet", *(posted(one) for one in lab.ids))


# -- who posts ---------------------------------------------------------------------------------------------------------

WALLET = Pubkey(bytes([77]) * 32)
NOBODY = Pubkey(bytes([66]) * 32)
MINE = ClusterRoute(cluster="devnet", endpoints=("http://solana",), pusher=str(WALLET))
REFUSED = {"InstructionError": [1, {"Custom": 6000}]}
LOGS = [
    f"Program {PRO.receiver} invoke [1]",
    "Program log: AnchorError occurred. Error Code: InvalidWormholeMessage. Error Number: 6000.",
    f"Program {PRO.receiver} failed: custom program error: 0x1770",
]


NOTHING: Any = SimpleNamespace(posted_slot=None)


def signature(number: int) -> str:
    return base58(bytes([number]) * 64)


def wallet(
    lab: Lab, *rows: tuple[int, int, Any], lamports: int = 10**9, logs: list[str] | None = None, others: tuple[int, ...] = ()
) -> None:
    """The pusher's wallet, with transactions as (seconds ago, number, error), the newest first; ``others`` are paid for by
    somebody else.
    """
    listed: list[Any] = [
        {"signature": signature(number), "slot": lab.cluster.slot - ago * 5 // 2, "err": error} for ago, number, error in rows
    ]
    lab.cluster.methods |= {
        "getBalance": lambda _: lab.cluster.contextual(lamports),
        "getSignaturesForAddress": lambda _: listed,
        "getTransaction": lambda params: {
            "slot": 1,
            "meta": {"err": REFUSED, "logMessages": logs or LOGS},
            "transaction": paid_by(NOBODY if params[0] in [signature(one) for one in others] else WALLET),
        },
    }


def paid_by(payer: Pubkey) -> list[str]:
    """A transaction of one signature, in base64."""
    return [base64.b64encode(b"\x01" + bytes(64) + b"\x01\x00\x00\x01" + bytes(payer)).decode(), "base64"]


async def overdue() -> Lab:
    """The first feed was posted three minutes ago, the others are posted now."""
    lab = pushed()
    await lab.clock.advance(3 * MINUTE)
    lab.push()
    lab.post(*lab.ids[1:])
    return lab


def words(run: ProbeRun, target: str) -> str:
    return next(one.message for one in result(run, target).verdicts if one.check == "push_stage")


async def test_the_posters_wallet_is_empty() -> None:
    lab = await overdue()
    wallet(lab, lamports=9_999_999)
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "wallet_empty")
    assert f"wallet {WALLET} has 9999999 lamports, needs 10000000; since slot" in words(run, posted(lab.ids[0]))
    assert others_ok(run, posted(lab.ids[0])), "money matters only once something is overdue"
    wallet(lab, lamports=10_000_000)
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert words(run, posted(lab.ids[0])).startswith("the pusher sends nothing")


async def test_the_posters_transactions_fail() -> None:
    lab = await overdue()
    wallet(lab, (10, 3, REFUSED), (20, 2, REFUSED), (4_000, 1, None))
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "transaction_failing")
    told = words(run, posted(lab.ids[0]))
    assert told.startswith(f"the pusher's transactions fail: {signature(3)} failed in a call of Pyth's programs, ")
    assert "InvalidWormholeMessage" in told
    assert "it sent 2, of which at least 0 stored prices and 0 this one, 2 since then stored nothing; 0 wait" in told
    assert others_ok(run, posted(lab.ids[0]))
    wallet(lab, (10, 3, REFUSED), logs=["Program log: Error: not of Pyth"])
    assert "failed elsewhere, Program log: Error" in words(await lab.look(clusters=(MINE,)), posted(lab.ids[0]))


async def test_what_others_pay_for_is_not_the_posters_though_it_mentions_the_wallet() -> None:
    lab = await overdue()
    wallet(lab, (5, 4, REFUSED), (10, 3, None), others=(4,))
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "it sent 1, of which" in words(run, posted(lab.ids[0]))
    # In the slot that the other feeds were posted in somebody sent the wallet something.
    wallet(lab, (0, 4, None), others=(4,))
    run = await lab.look(clusters=(MINE,))
    assert words(run, posted(lab.ids[0])).startswith("the pusher sends nothing")
    assert stage(run, posted(lab.ids[1])) == (OK, "pushed_by_others")


async def test_a_transaction_is_read_once_and_one_that_could_not_be_is_read_again() -> None:
    lab = await overdue()
    wallet(lab, *((200 - number, number, REFUSED) for number in range(99, 50, -1)))
    solana = SolanaClient("http://solana", transport=lab.transport, clock=lab.clock)
    poster = PostingWallet(solana, WALLET)
    head = ChainHead(lab.cluster.slot, lab.clock.now())
    answer = lab.cluster.methods["getTransaction"]
    asked = []

    async def looked() -> PusherState:
        asked.append(len(lab.cluster.asked("getTransaction")))
        feed = FeedId(lab.ids[0])
        return (await poster.look(head, {feed: NOTHING}))[feed]

    lab.cluster.methods["getTransaction"] = lambda params: None if params[0] == signature(99) else answer(params)
    state = await looked()
    assert (state.sent, state.unlanded, state.failed) == (49, 49, True)
    assert "(it could not be read: " in state.last
    lab.cluster.methods["getTransaction"] = answer
    assert "in a call of Pyth's programs" in (await looked()).last
    await looked()
    await looked()
    await solana.aclose()
    read = [len({one[0] for one in lab.cluster.asked("getTransaction")[:count]}) for count in asked]
    assert read == [0, 32, 49, 49], "the newest first, so many at a look"
    assert len(lab.cluster.asked("getTransaction")) == asked[-1]


async def test_a_failure_whose_logs_cannot_be_read_is_one_all_the_same() -> None:
    lab = await overdue()
    wallet(lab, (10, 3, REFUSED))
    lab.cluster.methods["getTransaction"] = lambda _: None
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "transaction_failing")
    assert "failed (it could not be read: unknown there)" in words(run, posted(lab.ids[0]))


async def test_the_poster_posts_other_feeds_or_nothing_since() -> None:
    lab = await overdue()
    # A transaction in the slot that the others were posted in, and one after it that stored nothing.
    wallet(lab, (0, 2, None))
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert words(run, posted(lab.ids[0])).startswith("the pusher updates other feeds and not this one")
    assert stage(run, posted(lab.ids[1])) == (OK, "keeping_up")
    wallet(lab, (0, 2, None), (180, 1, None))
    told = words(await lab.look(clusters=(MINE,)), posted(lab.ids[0]))
    assert told.startswith("the pusher has sent nothing since it last updated this feed")
    wallet(lab, (180, 1, None))
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[1])) == (OK, "pushed_by_others")
    wallet(lab, (60, 2, None), (180, 1, None))
    told = words(await lab.look(clusters=(MINE,)), posted(lab.ids[0]))
    assert told.startswith("the pusher sends what stores nothing: ")


async def test_slots_that_are_searched_are_bounded_and_rows_that_do_not_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = await overdue()
    wallet(lab, (10, 3, REFUSED), (100, 2, REFUSED))
    head = lab.cluster.slot
    run = await lab.look(clusters=(MINE,), pusher_slots=100)
    assert f"since slot {head - 99} it sent 1, " in words(run, posted(lab.ids[0]))
    listed = [*lab.cluster.methods["getSignaturesForAddress"]([]), 7]
    lab.cluster.methods["getSignaturesForAddress"] = lambda _: listed
    assert "1 events of these blocks do not read" in words(await lab.look(clusters=(MINE,)), posted(lab.ids[0]))
    monkeypatch.setattr("probekit.clients.posting_wallet.MAX_TRANSACTIONS", 3)
    told = words(await lab.look(clusters=(MINE,)), posted(lab.ids[0]))
    assert f"since slot {head - 249} it sent 1, " in told, "of the oldest slot some may be left out"


async def test_a_wallet_that_cannot_be_looked_at_is_told_and_costs_the_cluster_nothing() -> None:
    lab = await overdue()
    wallet(lab)

    def refused(_: Any) -> Any:
        raise RpcError("method is switched off", code=-32601)

    lab.cluster.methods["getSignaturesForAddress"] = refused
    run = await lab.look(clusters=(MINE,))
    assert stage(run, posted(lab.ids[0])) == (CRITICAL, "pusher_behind")
    assert "its pusher could not be looked at: " in words(run, posted(lab.ids[0]))
    assert verdict(run, "devnet")[0] is OK
    assert others_ok(run, posted(lab.ids[0]))


async def test_nobody_is_looked_at_who_is_not_named() -> None:
    lab = await overdue()
    run = await lab.look()
    assert "no pusher was named" in words(run, posted(lab.ids[0]))
    assert lab.cluster.asked("getSignaturesForAddress") == lab.cluster.asked("getBalance") == []


def test_clusters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="pusher: "):
        ClusterRoute(cluster="devnet", endpoints=("http://a",), pusher="0x12")
    with pytest.raises(ValueError, match="min_balance must not be negative"):
        ClusterRoute(cluster="devnet", endpoints=("http://a",), min_balance=Decimal(-1))
    with pytest.raises(ValueError, match="endpoints must not be empty"):
        ClusterRoute(cluster="devnet", endpoints=())
    with pytest.raises(ValueError, match="max_head_age must be positive"):
        ClusterRoute(cluster="devnet", endpoints=("http://a",), max_head_age=0 * S)
    one = ClusterRoute(cluster="devnet", endpoints=("http://a",))
    feeds = (PushFeed(feed="Crypto.BTC/USD"),)
    with pytest.raises(ValueError, match="names one chain twice"):
        PROBE.options(clusters=(one, one), feeds=feeds)
    with pytest.raises(ValueError, match="devnet has none"):
        PROBE.options(clusters=(one,))
