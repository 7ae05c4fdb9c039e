"""One pass of ``pythnet_publishers`` over 1,000 feeds with 30 publishers each, against its budget of CPU and memory.

A pass is all of it: every product and price account read from a node and decoded (the probe itself reads products every ten
minutes), eight checks of each feed, six of them of each publisher, metrics, log records of what is not OK. It runs in a process
of its own; the node is another. One publisher in thirty is offline; one more of each feed stalls or is off the aggregate.

Beside its checks alone, pyth-observer's formulas (its eight checks, as its reference describes them) in a plain loop over the
same states, one object for each publisher made beforehand: a count of failures, where ours are verdicts with a movement's
history and a score. Its package cannot be run here without its services; its own loop adds reading, decoding and dispatch to
this.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import json_node
from benchmarks.pythnet_decode import QUOTES, SLOT, _account
from benchmarks.row import Row
from probekit.clients.pythnet import DEPLOYMENTS
from probekit.codecs.pythnet import encode_mapping, encode_price, encode_product
from probekit.model.pubkey import Pubkey
from probekit.model.pythnet import MappingAccount, PriceAccount, PriceInfo, ProductAccount, Quote, QuoteSheet

FEEDS = 1_000
PASSES = 6
VERSIONS = 3
"""States of the network, one a pass: prices move."""
DEPLOYMENT = DEPLOYMENTS["pythnet"]
GENESIS = "EkCkB7RWVrgkcpariRpd3pjf7GwiCMZaMHKUpB5Na1Ve"
ROOT = Path(__file__).parents[1]
SCHEDULE = "America/New_York;O,O,O,O,O,O,O;"


def _key(kind: int, number: int) -> Pubkey:
    return Pubkey(bytes((kind,)) + number.to_bytes(2, "big") + bytes(29))


def _price(number: int, version: int) -> PriceAccount:
    """One feed's account: publishers about the aggregate, but for three of them."""
    account = _account(number % 250)
    slot, price = SLOT + 25 * version, account.agg_price + 50_000 * version
    quotes = []
    for index in range(QUOTES):
        quoted, at = price + 61 * index - 900, slot - 1 - index % 9
        if index == 3:
            at = SLOT - 400
        elif index == 7 and number % 2:
            quoted = account.agg_price
        elif index == 11 and not number % 2:
            quoted = price * 6 // 5
        key = bytes((8 * index + 1, number % 251)) + bytes(range(30))
        quotes.append(Quote.of(key, PriceInfo(quoted, 14_454 + 7 * index, 1, 0, at)))
    return msgspec.structs.replace(
        account,
        product_key=_key(1, number),
        last_slot=slot,
        agg_price=price,
        agg_pub_slot=slot,
        quotes=tuple(quotes),
    )


def _shown(data: bytes) -> str:
    head = '{"lamports":1,"owner":"%s","executable":false,"rentEpoch":0,"space":%d,"data":["%s","base64"]}'
    return head % (DEPLOYMENT.program, len(data), base64.b64encode(data).decode())


@lru_cache(maxsize=1)
def node() -> str:
    """URL of the node. Each reading of the list of products turns it to the next version."""
    products = tuple(_key(1, number) for number in range(FEEDS))
    same = {str(DEPLOYMENT.mapping): _shown(encode_mapping(MappingAccount(products)))}
    for number, key in enumerate(products):
        attributes = {"symbol": f"Crypto.C{number}/USD", "asset_type": "Crypto", "schedule": SCHEDULE}
        same[str(key)] = _shown(encode_product(ProductAccount(attributes, _key(2, number))))
    versions = [
        same | {str(_key(2, number)): _shown(encode_price(_price(number, version))) for number in range(FEEDS)}
        for version in range(VERSIONS)
    ]
    turns = 0

    def answer(item: dict[str, Any]) -> str:
        nonlocal turns
        method, params = item["method"], item.get("params") or []
        if method == "getAccountInfo":
            turns += 1
        accounts, slot = versions[turns % VERSIONS], SLOT + 25 * (turns % VERSIONS)
        if method == "getMultipleAccounts":
            value = "[" + ",".join(accounts[key] for key in params[0]) + "]"
        elif method == "getAccountInfo":
            value = accounts[params[0]]
        else:
            result = f'"{GENESIS}"' if method == "getGenesisHash" else '"ok"' if method == "getHealth" else str(slot)
            return f'{{"jsonrpc":"2.0","id":{item["id"]},"result":{result}}}'
        return f'{{"jsonrpc":"2.0","result":{{"context":{{"slot":{slot}}},"value":{value}}},"id":{item["id"]}}}'

    return json_node.start(answer)


# -- the process that is measured ------------------------------------------------------------------------------------------


class Telemetry:
    """What the recorder of telemetry does of a run on the event loop and in its thread, up to the wire."""

    def __init__(self) -> None:
        from probekit.telemetry.measure import RunMeter
        from probekit.telemetry.slots import Slots
        from probekit.telemetry.spans import VerdictLog, resource_of

        self.slots = Slots(limit=100_000, clock_ns=time.time_ns)
        self.meter = RunMeter(self.slots)
        self.log = VerdictLog(resource_of({}))
        self.told = 0
        self.run: Any = None

    def start(self, info: Any) -> None:
        self.meter.start(info)

    def record(self, run: Any) -> None:
        self.run = run
        self.meter.record(run)
        self.told = len(list(self.log.records(run, sampled=False)))

    async def aclose(self) -> None:
        return None


async def passes(url: str, count: int) -> dict[str, Any]:
    """Run the probe ``count`` times; CPU of each pass, and what the last one said."""
    from probekit.clock import SYSTEM_CLOCK
    from probekit.manifest import find_probe, load_probe
    from probekit.manifest.discovery import search_path
    from probekit.runner.core import Runner, RunSettings

    probe = load_probe(find_probe("pythnet_publishers", search_path()))
    # Windows so short that a few passes fill them: what a pass costs does not depend on their length.
    options = probe.options(
        endpoints=(url,), listing_every=timedelta(microseconds=1), stall=timedelta(seconds=1), score_window=timedelta(seconds=2)
    )
    telemetry = Telemetry()
    runner = Runner(probe, options, RunSettings(), (telemetry,), SYSTEM_CLOCK, None)
    spent = []
    try:
        for _ in range(count):
            began = time.process_time()
            started_at, started_ns = SYSTEM_CLOCK.now(), SYSTEM_CLOCK.monotonic_ns()
            await runner.poll()
            await runner.close_run(scheduled_at=started_at, started_at=started_at, started_ns=started_ns, closed_by="tick")
            spent.append((time.process_time() - began) * 1000)
        run = telemetry.run
        seen: list[Any] = [state.seen for state in runner.evaluator._states.values() if state.target.feed is not None]
        sheets = [one.value for one in seen]
        began = time.process_time()
        for one in seen:
            runner.evaluator.feed(one, SYSTEM_CLOCK.now())
        checks_ms = (time.process_time() - began) * 1000
        tallies = [verdict.tally for result in run.results for verdict in result.verdicts if verdict.tally is not None]
        parts = [part for result in run.results for verdict in result.verdicts for part in verdict.parts]
        assert len(sheets) == FEEDS
        with open("/proc/self/status", encoding="utf-8") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        series = sum(len(instrument.series) for instrument in telemetry.slots)
        return {
            "cpu_ms": spent,
            "checks_ms": checks_ms,
            "peak_mb": peak / 1024,
            "judged": sum(tally.total for tally in tallies),
            "reasons": sorted({part.reason for part in parts}),
            "records": telemetry.told,
            "parts": len(parts),
            "series": series,
            "observer_ms": observer_ms(sheets),
        }
    finally:
        await runner.aclose()


# -- pyth-observer's formulas ----------------------------------------------------------------------------------------------


@dataclass
class PublisherState:
    """What pyth-observer knows of one publisher of one feed."""

    publisher_name: str
    symbol: str
    status: int
    aggregate_status: int
    slot: int
    aggregate_slot: int
    latest_block_slot: int
    price: float
    price_aggregate: float
    confidence_interval: float
    confidence_interval_aggregate: float


@dataclass
class Ring:
    prices: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=30))


def observer_ms(sheets: list[QuoteSheet]) -> float:
    """CPU ms of its eight formulas over every state, objects made beforehand."""
    feeds, states = [], []
    for sheet in sheets:
        scale = 10.0**sheet.price.expo
        feeds.append((sheet, sheet.price.agg_price * scale, sheet.price.agg_conf * scale))
        states += [
            PublisherState(
                sheet.labels[place], sheet.symbol, sheet.status_codes[place], sheet.price.agg_status_code,
                sheet.pub_slots[place], sheet.price.agg_pub_slot, sheet.slot, sheet.prices[place] * scale,
                sheet.price.agg_price * scale, sheet.confs[place] * scale, sheet.price.agg_conf * scale,
            )
            for place in range(len(sheet))
        ]  # fmt: skip
    rings: dict[tuple[str, str], Ring] = {(state.publisher_name, state.symbol): Ring() for state in states}
    began = time.process_time()
    failed = 0
    for sheet, price, conf in feeds:
        failed += 120 <= abs(sheet.slot - sheet.price.last_slot) <= 100_000
        failed += abs(price - price * 1.0001) / (price * 1.0001) >= 5
        failed += conf <= 0
    now = time.time()
    for state in states:
        trading = state.status == 1 and state.aggregate_status == 1
        near = abs(state.slot - state.aggregate_slot) <= 25
        distance = abs(state.price - state.price_aggregate)
        if trading and near and state.confidence_interval and state.confidence_interval_aggregate:
            failed += distance / state.confidence_interval_aggregate >= 20
        if state.status == 1 and near:
            failed += state.confidence_interval <= 0
        behind = state.latest_block_slot - state.slot
        failed += 25 <= behind <= 10_000
        if trading and near and state.price:
            failed += 100 * max(distance - state.confidence_interval, 0) / state.price_aggregate > 5
        if behind < 25:
            ring = rings[state.publisher_name, state.symbol].prices
            if not ring or ring[-1][1] != state.price:
                ring.append((now, state.price))
            if 120 < now - ring[-1][0] <= 300:
                base = statistics.median(one for _, one in ring)
                failed += max(abs(one - base) for _, one in ring) / abs(base) <= 1e-4
    assert failed
    return (time.process_time() - began) * 1000


# -- rows --------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def measured() -> dict[str, Any]:
    """The numbers of one process, its result checked."""
    command = [sys.executable, "-m", "benchmarks.pythnet_publishers", node(), str(PASSES)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["judged"] == 6 * FEEDS * QUOTES, found
    assert {"offline", "off_price", "stalled"} <= set(found["reasons"]), found
    return found


def rows() -> list[Row]:
    """CPU and memory of a pass against their budgets, and the formulas alone beside it."""
    named = f"pythnet_publishers {FEEDS:,} x {QUOTES}"

    def row(
        name: str, ours: Callable[[], float], peer: Callable[[], float], peer_name: str, target: float | None, unit: str
    ) -> Row:
        return {
            "name": f"{named}{name}",
            "ours": ours,
            "peer": peer,
            "peer_name": peer_name,
            "target": target,
            "unit": unit,
            "measured": True,
            "runs": 1,
        }

    def cpu_ms() -> float:
        # The first pass loads and fills; each later one is what a pass costs.
        return float(statistics.median(measured()["cpu_ms"][2:]))

    formulas = "pyth-observer's formulas in a plain loop: bare passes and failures"
    return [
        row(": a pass", cpu_ms, lambda: 2_000, "budget", 1.0, "ms CPU"),
        row(": peak memory", lambda: float(measured()["peak_mb"]), lambda: 250, "budget", 1.0, "MB"),
        row(
            ": its checks alone",
            lambda: float(measured()["checks_ms"]),
            lambda: float(measured()["observer_ms"]),
            formulas,
            None,
            "ms CPU",
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(passes(sys.argv[1], int(sys.argv[2])))))
