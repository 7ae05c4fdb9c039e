"""The public surface as users type it; checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, assert_type

import probekit as pk
from probekit import sync
from probekit.checks import Check, Freshness
from probekit.clients.evm_stream import Head
from probekit.clients.lazer_batch import LazerBatch
from probekit.clients.lazer_events import LazerTick
from probekit.clients.solana_stream import Seen
from probekit.codecs.lazer.messages import PriceRequest
from probekit.codecs.vaa import Vaa
from probekit.model.entropy import EntropyCause, RequestStatus, StuckLimit
from probekit.model.evm import Block
from probekit.model.fortuna import Revelation
from probekit.model.pythnet.price import PriceAccount
from probekit.model.receiver import ReceiverConfig
from probekit.model.reference_price import ReferencePrice
from probekit.model.solana import Account, SlotInfo
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.trust import SignerSet


async def read() -> None:
    async with pk.HermesClient(api_key=pk.Secret.env("HERMES_API_KEY"), verify=pk.trust.PRO) as hermes:
        batch = await hermes.latest(["ab" * 32])
        assert_type(batch, pk.Batch)
        update = await hermes.price("Crypto.BTC/USD")
        assert_type(update, pk.PriceUpdate)
        assert_type(update.price, pk.Price)
        assert_type(update.price.decimal, Decimal)
        assert_type(update.slot, int | None)
        assert_type(update.publish_time, pk.Instant)
        async for one in hermes.stream([update.feed_id]):
            assert_type(one, pk.Batch)
    proven = update.verified(pk.trust.MAINNET, at=pk.Instant.now())
    assert_type(proven.verified_by, pk.Verified | None)


def read_blocking() -> None:
    with sync.HermesClient() as hermes:
        assert_type(hermes.latest(["ab" * 32]), pk.Batch)


async def read_benchmarks() -> None:
    async with pk.BenchmarksClient(api_key=pk.Secret.env("PYTH_API_KEY"), verify=pk.trust.MAINNET) as benchmarks:
        assert_type(await benchmarks.at(pk.Instant.now(), ["ab" * 32]), pk.Batch)
        window = await benchmarks.window(pk.Instant.now(), timedelta(seconds=60), ["ab" * 32])
        assert_type(window.of("ab" * 32), tuple[pk.PriceUpdate, ...])


async def read_lazer() -> None:
    async with pk.LazerClient(api_key=pk.Secret.env("PYTH_API_KEY")) as pro:
        batch = await pro.latest([1, "Crypto.ETH/USD"])
        assert_type(batch, LazerBatch)
        assert_type(batch[1].price, pk.Price | None)
        async for tick in pro.stream(PriceRequest((1,))):
            assert_type(tick, LazerTick)


async def read_exchanges() -> None:
    async with pk.ExchangesClient(["kraken"]) as exchanges:
        reads = await exchanges.prices(["Crypto.BTC/USD"])
        assert_type(reads.prices("Crypto.BTC/USD"), tuple[ReferencePrice, ...])
        assert_type(reads.failures, dict[str, pk.errors.ProbekitError])


async def read_wormhole() -> None:
    async with pk.WormholeClient(["https://a", "https://b"]) as wormhole:
        vaa = await wormhole.signed_vaa(1, bytes(32), 7)
        assert_type(vaa, Vaa)
    assert_type(pk.trust.signed_by(vaa, pk.trust.MAINNET, at=pk.Instant.now()), SignerSet)


async def read_fortuna() -> None:
    async with pk.FortunaClient() as fortuna:
        assert_type(await fortuna.revelation("base", 7), Revelation)


async def read_evm(evm: pk.EvmClient) -> None:
    assert_type(await evm.block(), Block)
    assert_type(await evm.balance("0x" + "70" * 20), int)
    landing = await evm.wait(await evm.send(b"", cap_wei=10**15), confirmations=2)
    assert_type(landing.confirmations, int)
    made = await evm.rebroadcast(b"", cap_wei=10**15)
    assert_type(made, pk.Rebroadcast)
    assert_type(made.taken, bool)
    assert_type(made.endpoints[0].outcome, Literal["accepted", "known", "failed", "unsent"])
    assert_type(pk.EvmStreams(evm).counters, pk.FeedCounters)
    assert_type((await evm.block()).number, int)
    assert_type(evm.pool, pk.EndpointPool)
    async for item in pk.EvmStreams(evm).heads():
        if isinstance(item, Head):
            assert_type(item.block, Block)


async def read_pyth_on_evm() -> None:
    async with pk.EvmClient([pk.Endpoint("https://a"), "https://b"], chain_id=8453) as evm:
        pyth = pk.PythEvmClient.known(evm)
        assert_type(pyth, pk.PythEvmClient)
        assert_type((await pyth.price("ab" * 32)).price, pk.Price)
        receiver = await pyth.receiver()
        assert_type(receiver, pk.EvmReceiverClient)


async def read_receiver_on_evm(evm: pk.EvmClient) -> None:
    judged = await pk.EvmReceiverClient(evm, "0x" + "70" * 20).judge(b"")
    assert_type(judged.valid, bool)


async def read_entropy(evm: pk.EvmClient) -> None:
    entropy = pk.EntropyClient.known(evm)
    status = await entropy.status(7, limit=StuckLimit(blocks=30))
    assert_type(status, RequestStatus)
    assert_type(await entropy.cause(status), EntropyCause)


async def read_solana(solana: pk.SolanaClient) -> None:
    assert_type(await solana.rebroadcast(b"", payer="", cap_lamports=7), pk.Rebroadcast)
    assert_type(await solana.token_holdings(""), list[pk.TokenHolding | pk.errors.ProbekitError])
    assert_type(await solana.accounts([pk.Pubkey(bytes(32))]), list[Account | pk.errors.ProbekitError | None])
    landed = await solana.confirm("", last_valid_block_height=7)
    assert_type(landed.outcome, Literal["landed", "failed", "expired"])
    async for item in pk.SolanaStreams(solana).slots():
        if isinstance(item, Seen):
            assert_type(item.value, SlotInfo)


async def read_receiver(solana: pk.SolanaClient) -> None:
    assert_type(await pk.ReceiverClient(solana).config(), ReceiverConfig)


async def read_pythnet(solana: pk.SolanaClient) -> None:
    account, slot = await pk.PythnetClient(solana).price("ab" * 32)
    assert_type(account, PriceAccount)
    assert_type(slot, int)


def judge(update: pk.PriceUpdate) -> None:
    check = Freshness(timedelta(seconds=10))
    now = pk.Instant.now()
    verdict = check(pk.Observation(update, source="hermes", observed_at=now), now=now)
    assert_type(verdict, pk.Verdict)
    assert_type(verdict.status, pk.Status)


class Options(pk.Options, frozen=True, kw_only=True):
    feeds: Annotated[tuple[str, ...], pk.doc("feeds to watch")]
    max_age: timedelta = timedelta(seconds=10)


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    return [pk.Target(one, "feed") for one in ctx.options.feeds]


async def observe(
    ctx: pk.Context[Options], watched: Sequence[pk.Target]
) -> AsyncIterator[pk.Observation[pk.PriceUpdate] | pk.Failure]:
    for target in watched:
        yield pk.Failure(pk.errors.NotFound("none"), "here", ctx.clock.now(), target.id)


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    return [Freshness(options.max_age)]


probe = pk.Probe.poll(name="typed", question="?", options=Options, targets=targets, observe=observe, checks=checks)
assert_type(probe, pk.Probe[Options])


async def run() -> None:
    once = await pk.run_once(probe, Options(feeds=("a",)), clock=FakeClock(), engines=lambda kind: ReplyTransport(_answer))
    assert_type(once, pk.ProbeRun)
    async for each in pk.watch(probe, Options(feeds=("a",)), settings=pk.RunSettings()):
        assert_type(each, pk.ProbeRun)


def _answer(request: object) -> Exception:
    return pk.errors.ConnectError(str(reply(200).status))


code: int = pk.main(probe, ["--once"])
