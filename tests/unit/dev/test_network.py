"""Slots: counted as their root counts, signed once, reproducible, and unchanged once served."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from probekit.codecs import accumulator
from probekit.dev.faults import Slow, StaleFeed, WideConfidence
from probekit.dev.network import SandboxNetwork
from probekit.dev.prices import market, markets
from probekit.dev.sandbox import Sandbox
from probekit.errors import SupersededSet, WrongRoot
from probekit.model import TrustRoot
from probekit.testing import FakeClock
from probekit.trust import CORE_EMITTER, PRO_EMITTER, verify
from probekit.trust.signing import SignedSlot
from probekit.units import NS_PER_MS, NS_PER_S
from tests.unit.dev.bench import BTC, ETH, THREE, Bench


@pytest.mark.parametrize("root", list(TrustRoot))
def test_slots_follow_the_conventions_of_their_root(root: TrustRoot) -> None:
    bench = Bench.make(root=root)
    answer = bench.latest()
    (raw,) = answer.binary.decoded()
    proof = verify(raw, bench.sandbox.trust, at=bench.clock.now())
    now = bench.clock.now()
    pro = root is TrustRoot.PRO
    assert proof.root is root
    assert proof.slot == now.ns // root.slot_ns
    assert (len(proof.signers), proof.quorum, proof.set_index) == ((3, 3, 1) if pro else (13, 13, 1))
    vaa = bench.network.slot(bench.network.published_ns(now)).signed.vaa
    assert vaa.emitter_address == (PRO_EMITTER if pro else CORE_EMITTER).address
    assert (vaa.nonce, vaa.consistency_level, vaa.sequence) == (0, 0 if pro else 1, proof.slot)
    assert accumulator.decode_payload(vaa.payload).ring_size == (0 if pro else 10_000)
    if pro:
        assert proof.slot // 20 == vaa.timestamp
    assert answer.parsed is not None
    assert [one.id for one in answer.parsed] == list(THREE)
    assert [one.slot for one in answer.parsed] == [proof.slot] * 3


@pytest.mark.parametrize("every_ms", [50, 400])
async def test_slots_come_as_often_as_they_are_published(every_ms: int) -> None:
    clock = FakeClock()
    network = SandboxNetwork(feeds=2, clock=clock, publish_every=timedelta(milliseconds=every_ms))
    seen = set()
    for _ in range(2_000 // 25):
        seen.add(network.slot_of(network.published_ns(clock.now())))
        await clock.advance(timedelta(milliseconds=25))
    assert len(seen) == 2_000 // every_ms
    assert min(second - first for first, second in pairwise(sorted(seen))) == every_ms // 50


@pytest.mark.parametrize(("root", "every_ms"), [(TrustRoot.CORE, 50), (TrustRoot.PRO, 75), (TrustRoot.PRO, 0)])
def test_other_intervals_are_refused(root: TrustRoot, every_ms: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        SandboxNetwork(root=root, publish_every=timedelta(milliseconds=every_ms))


def test_same_seed_same_bytes_another_seed_others() -> None:
    def bytes_of(seed: int) -> list[bytes]:
        clock = FakeClock()
        network = SandboxNetwork(feeds=4, seed=seed, clock=clock)
        return network.slot(network.published_ns(clock.now())).signed.updates([0, 1, 2, 3])

    assert bytes_of(1) == bytes_of(1)
    assert bytes_of(1) != bytes_of(2)
    assert SandboxNetwork(seed=1).signing.signer_set() != SandboxNetwork(seed=2).signing.signer_set()


async def test_slot_is_signed_once_for_all_endpoints_and_comes_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench.make()
    other = Sandbox(bench.network)
    signed: list[int] = []
    sign = SandboxNetwork.sign

    def counting(self: SandboxNetwork, content: object, published_ns: int, *rest: object, **more: object) -> SignedSlot:
        signed.append(published_ns)
        return sign(self, content, published_ns, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SandboxNetwork, "sign", counting)
    first = bench.ask(BTC)
    assert other.handle("GET", f"/v2/updates/price/latest?ids[]={BTC}", {}).body == first.body
    bench.ask(ETH)
    assert len(signed) == 1
    at = bench.clock.now().seconds
    for _ in range(200):
        await bench.advance(400)
        bench.ask(BTC)
    assert len(signed) == 201
    assert bench.ask(BTC, route=str(at)).body == first.body
    assert len(signed) == 202


def test_expired_and_foreign_sets_are_known_but_do_not_count() -> None:
    bench = Bench.make()
    network, now = bench.network, bench.clock.now()
    published_ns = network.published_ns(now)
    content = network.slot(published_ns).messages
    with pytest.raises(SupersededSet):
        verify(network.sign(content, published_ns, network.expired).update([0]), network.trust, at=now)
    with pytest.raises(WrongRoot):
        verify(network.sign(content, published_ns, network.other_root).update([0]), network.trust, at=now)
    assert network.trust is network.trust
    assert bench.sandbox.trust is network.trust


def test_feeds_are_found_by_id_and_symbol() -> None:
    own = market("Equity.US.TEST/USD", "22" * 32, 10**9, "Equity")
    network = SandboxNetwork(feeds=3, extra=(own,))
    assert network.market("Equity.US.TEST/USD") is own
    assert network.market("0x" + "22" * 32) is own
    for wrong in ("Crypto.NONE/USD", "33" * 32, ""):
        with pytest.raises(LookupError):
            network.market(wrong)
    with pytest.raises(ValueError, match="same id"):
        SandboxNetwork(feeds=3, extra=(markets(1)[0],))


async def test_fault_of_content_begins_and_ends_between_slots() -> None:
    bench = Bench.make()
    other = Sandbox(bench.network)

    def of_other() -> bytes:
        return other.handle("GET", f"/v2/updates/price/latest?ids[]={BTC}", {}).body

    before = bench.ask(BTC).body
    injected = bench.network.inject(WideConfidence(BTC, factor=10))
    assert bench.ask(BTC).body == before == of_other()
    await bench.advance(400)
    wide = bench.latest(BTC).parsed
    narrow = bench.latest(ETH).parsed
    assert wide
    assert narrow
    assert wide[0].point.conf > 20 * wide[0].point.price // 10_000
    assert narrow[0].point.conf < 3 * narrow[0].point.price // 10_000
    injected.clear()
    injected.clear()
    served = bench.ask(BTC).body
    assert served == of_other()
    await bench.advance(400)
    again = bench.latest(BTC).parsed
    assert again
    assert again[0].point.conf < 3 * again[0].point.price // 10_000
    assert bench.network.injected == ()


async def test_stale_feed_stands_still_in_its_signed_bytes_and_catches_up() -> None:
    bench = Bench.make()
    bench.latest()
    injected = bench.sandbox.inject(StaleFeed("Crypto.ETH/USD"))
    await bench.advance(60_000)
    first = bench.signed(bench.latest())
    await bench.advance(60_000)
    second = bench.signed(bench.latest())
    now = bench.clock.now().seconds
    assert second[ETH] == first[ETH]
    assert now - second[ETH].publish_time in (120, 121)
    assert second[BTC] != first[BTC]
    assert second[BTC].publish_time == now
    injected()
    await bench.advance(400)
    assert bench.signed(bench.latest())[ETH].publish_time == bench.clock.now().seconds


async def test_faults_of_content_lie_over_each_other_and_old_ones_are_forgotten() -> None:
    bench = Bench.make()
    network = bench.network
    for _ in range(5):
        injected = network.inject(StaleFeed(BTC))
        await bench.advance(1_000)
        injected.clear()
        await bench.advance(1_000_000)
    network.inject(WideConfidence(BTC, 2))
    network.inject(WideConfidence(BTC, 3))
    assert len(network._windows[BTC]) <= 4
    published_ns = network.published_ns(bench.clock.now())
    plain = SandboxNetwork(feeds=4, clock=bench.clock)
    expected = plain.message(plain.markets[0], published_ns).conf * 6
    assert network.message(network.markets[0], published_ns).conf == expected


def test_network_wide_fault_is_on_every_endpoint() -> None:
    bench = Bench.make()
    other = Sandbox(bench.network)
    injected = bench.network.inject(Slow(delay_ms=5))
    assert list(bench.sandbox.faults) == list(other.faults) == [Slow(delay_ms=5)]
    assert repr(injected).startswith("<on")
    injected.clear()
    assert not other.faults
    assert repr(injected).startswith("<cleared")


async def test_first_update_at_or_after_a_second() -> None:
    bench = Bench.make()
    network, btc = bench.network, bench.network.markets[0]
    await bench.advance(30_000)
    now = bench.clock.now().seconds
    published_ns = network.first_after(btc, now - 10)
    assert published_ns is not None
    assert network.message(btc, published_ns).publish_time == now - 10
    assert network.message(btc, published_ns).prev_publish_time < now - 10
    assert published_ns - (now - 10) * NS_PER_S < 400 * NS_PER_MS
    assert network.first_after(btc, now + 1) is None
    assert network.first_after(btc, now - 641) is None
    assert network.first_after(btc, -5) is None
    network.slot(network.published_ns(bench.clock.now()))
    stale = network.inject(StaleFeed(BTC))
    await bench.advance(20_000)
    assert network.first_after(btc, now + 10) is None
    stale.clear()
    await bench.advance(20_000)
    found = network.first_after(btc, now + 10)
    assert found is not None
    assert network.message(btc, found).publish_time in (now + 20, now + 21)
