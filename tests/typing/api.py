"""The public surface as users type it; checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, assert_type

import probekit as pk
from probekit import sync
from probekit.checks import Check, Freshness
from probekit.testing import FakeClock, ReplyTransport, reply


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
