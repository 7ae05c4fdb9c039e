"""Parts that the catalogue's probes share: clients wired to the context, chains by name, trust by options."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import probekit as pk
from probekit.clients.chain_options import ChainOption, endpoints_of, shared_failure
from probekit.clients.feedbook import FeedBook
from probekit.clients.solana import GENESIS
from probekit.errors import ConnectError, DecodeError, NotFound
from probekit.model import RequestRecord, TrustRoot
from probekit.probe import Context, Options
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.testing import FakeClock
from tests.support.chains import EVM, SVM, ChainLab, LivingCluster, LivingNode
from tests.support.sandbox import load, module_of


class Nothing(Options, frozen=True, kw_only=True):
    pass


class Seen:
    """A context on the lab's engine and clock, with everything that it is told."""

    def __init__(self, lab: ChainLab) -> None:
        self.requests: list[RequestRecord] = []
        self.calls: list[Any] = []
        self.context = Context(
            Nothing(),
            clock=lab.clock,
            observer=self.requests.append,
            on_call=self.calls.append,
            engines=lambda _: lab.transport,
        )


async def test_clients_of_the_context_are_one_for_each_place_and_told_to_its_observers() -> None:
    lab = ChainLab(chain_id=5)
    seen = Seen(lab)
    ctx = seen.context
    evm = await ctx.evm("mine", [EVM], chain_id=5)
    assert evm is await ctx.evm("mine", [EVM], chain_id=5)
    assert evm is not await ctx.evm("other", [EVM], chain_id=5)
    assert evm.pool.chain == "mine"
    solana = await ctx.solana("svm", [SVM])
    assert solana is await ctx.solana("svm", [SVM])
    hermes = await ctx.hermes("http://hermes.test")
    assert hermes is await ctx.hermes("http://hermes.test")
    assert hermes is not await ctx.hermes("http://other.test")
    block = await evm.block()
    await solana.slot()
    assert block.number == lab.evm.head
    assert {record.url for record in seen.requests} == {EVM, SVM}
    assert {record.chain for record in seen.calls} >= {"mine", "svm"}
    await ctx.aclose()


async def test_an_observer_of_ones_own_stands_in_front() -> None:
    lab = ChainLab(chain_id=5)
    seen, mine = Seen(lab), list[RequestRecord]()
    evm = await seen.context.evm("mine", [EVM], chain_id=5, timeout=timedelta(seconds=1), observer=mine.append)
    await evm.block()
    assert mine
    assert not seen.requests
    await seen.context.aclose()


def test_a_chain_is_known_by_its_name_or_by_what_is_said() -> None:
    bare = ChainOption(endpoints=("http://a",))
    assert (bare.family("ethereum"), bare.evm_id("ethereum")) == ("evm", 1)
    assert (bare.family("solana"), bare.genesis("solana")) == ("svm", GENESIS["mainnet-beta"])
    assert bare.family("nowhere") is None
    assert ChainOption(endpoints=("http://a",), chain_id=31337).family("solana") == "evm"
    other = ChainOption(endpoints=("http://a",), genesis_hash="x")
    assert (other.family("mine"), other.genesis("mine")) == ("svm", "x")
    with pytest.raises(ValueError, match="give one"):
        ChainOption(endpoints=("http://a",), chain_id=1, genesis_hash="x")


def test_a_key_goes_only_where_the_url_wants_it() -> None:
    key = pk.Secret("hidden-word", origin="env:KEY")
    nodes = ChainOption(endpoints=("http://a/{key}", "http://b"), key=key).nodes
    assert [one.key for one in nodes] == [key, None]
    with pytest.raises(ValueError, match="endpoints: "):
        endpoints_of(["ftp://a"], None)
    with pytest.raises(ValueError, match="names one twice"):
        endpoints_of(["http://a", "http://a"], None)


def test_what_all_failed_with_is_the_chains_unless_it_is_their_own() -> None:
    lost, own = ConnectError("refused", url="http://a"), NotFound("no such account")
    assert shared_failure([lost, lost], own=(NotFound,)) is lost
    assert shared_failure([lost, own], own=(NotFound,)) is None
    assert shared_failure([own, own], own=(NotFound,)) is None
    assert shared_failure([lost, 5], own=()) is None
    assert shared_failure([], own=()) is None


def test_trust_by_network_or_by_sets_that_are_written_out() -> None:
    assert pk.trust.chosen("beta") is pk.trust.BETA
    mine = pk.trust.SignerSetOption("pro", 3, ("0x" + "ab" * 20,))
    (held,) = pk.trust.chosen("mainnet", (mine,)).sets
    assert (held.root, held.index) == (TrustRoot.PRO, 3)
    for wrong in ((mine, mine), (pk.trust.SignerSetOption("pro", 1, ("zz",)),)):
        with pytest.raises(ValueError, match="^signer_sets: "):
            pk.trust.chosen("mainnet", wrong)


async def test_a_book_refuses_what_is_no_feed_and_raises_where_nothing_is_left() -> None:
    clock = FakeClock()
    async with pk.HermesClient("http://hermes.test", clock=clock) as client:
        book = FeedBook(client, (), clock=clock)
        with pytest.raises(NotFound, match="none of the feeds is known"):
            book.refusals((), source="hermes")
        book.error = DecodeError("no table", raw=b"")
        with pytest.raises(DecodeError, match="no table"):
            book.refusals((), source="hermes")
        book.unresolved = {"Crypto.X/USD": NotFound("no feed")}
        (told,) = book.refusals(("feed",), source="hermes")
        assert (told.target, told.source) == ("Crypto.X/USD", "hermes")


@pytest.mark.parametrize(
    ("name", "group", "more"),
    [
        ("evm_head_lag", "chains", {"chain_id": 7}),
        ("rpc_agreement", "chains", {"chain_id": 7}),
        ("solana_slot_lag", "clusters", {}),
    ],
)
async def test_latency_and_error_rate_of_every_rpc_endpoint_are_measured(name: str, group: str, more: dict[str, Any]) -> None:
    """One histogram of attempts by endpoint and outcome: both are a query of it."""
    lab, probe, hosts = ChainLab(), load(name), ("a.test", "b.test", "c.test")
    for host in hosts:
        node = LivingCluster(lab.clock).answer if group == "clusters" else LivingNode(lab.clock, chain_id=7)._reply
        lab.also[host] = node
    option = module_of(probe).ClusterOption if group == "clusters" else module_of(probe).ChainOption
    endpoints = tuple(f"http://{host}" for host in hosts)
    chain = "solana_devnet" if group == "clusters" else "mine"
    lab.down["c.test"] = ConnectError("connection refused")
    given: dict[str, Any] = {group: {chain: option(endpoints=endpoints, **more)}}
    run = await lab.once(probe, **given)
    meter = RunMeter(Slots(clock_ns=lambda: 0))
    meter.record(run)
    attempts = meter.slots.histogram(names.RPC_ATTEMPT_DURATION)

    def counted(endpoint: str, error_type: str) -> int:
        return attempts.bind((chain, endpoint, error_type)).snapshot(fresh_range=False).count

    for endpoint in endpoints[:2]:
        assert counted(endpoint, "") > 0
        assert counted(endpoint, "connect") == 0
    assert counted(endpoints[2], "") == 0
    assert counted(endpoints[2], "connect") > 0
