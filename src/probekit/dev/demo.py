"""``make demo``: four probes against a sandbox, eight faults, each seen to turn a verdict in time and to recover.

Exit 0 only if every fault was seen within its bound and nothing else was reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from probekit.dev import faults
from probekit.dev.board import Board, Display, Key
from probekit.dev.faults import Fault
from probekit.dev.network import SandboxNetwork
from probekit.dev.otlp_sink import OtlpSink
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.dev.watcher import STEP_S, Stalls, Watcher
from probekit.errors import ConfigError
from probekit.manifest import find_probe, load_probe
from probekit.manifest.discovery import search_path
from probekit.model import Status, Vantage
from probekit.probe import Options, Probe
from probekit.runner import Recorder, RunSettings, watch
from probekit.telemetry import recorder_from_env

OTLP_FILE = Path("build/demo/otlp.jsonl")
SHORTEST_S = 62.0
MARGIN_S = 1.0
WARM_UP_S = 15.0
RECOVERY_S = 8.0
HELD_S = 1.5
"""How long a verdict is left to be looked at before its fault is taken away."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A probe under a name, with its options and interval."""

    name: str
    probe: Probe[Any]
    options: Options
    interval_s: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """A fault, where it goes, and the verdict it must turn: on ``target`` of ``unit`` within limit + one tick + 1 s.

    ``touches`` are the targets that may change with it.
    """

    what: str
    endpoint: Sandbox
    fault: Fault
    unit: str
    target: str
    status: Status
    reason: str
    limit_s: float
    tick_s: float
    touches: frozenset[Key]

    @property
    def bound_s(self) -> float:
        return self.limit_s + self.tick_s + MARGIN_S


async def demo() -> int:
    """Run it all; returns the exit code."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        network = SandboxNetwork(feeds=12)
        boxes = [Sandbox(network) for _ in range(4)]
        main_url, second_url, limited_url, hanging_url = [await stack.enter_async_context(serve(box)) for box in boxes]
        ids = [str(market.feed.id) for market in network.markets]
        units = make_units(network, ids, main_url, second_url, limited_url, hanging_url)
        expectations = make_expectations(boxes, ids, units, second_url, limited_url, hanging_url)

        sink = stack.enter_context(OtlpSink(OTLP_FILE))
        watcher = Watcher(Stalls())
        board = Board(watcher)
        display = stack.enter_context(Display(board, "probekit demo: a sandbox Hermes, four probes, eight faults"))
        display.note(f"sandbox Hermes on the {network.root} root: {main_url} and three more endpoints")
        probing = await stack.enter_async_context(running(units, board, sink.url))
        outcomes = await script(expectations, board, watcher, display, probing)
        left_s = SHORTEST_S - (time.monotonic() - started)
        if left_s > 0:
            display.note(f"all quiet again; watching {left_s:.0f} s more that nothing else is reported")
            await watcher.stalls.sleep(left_s)
        watcher.conclude()
    return summarise(outcomes, watcher, board, sink, time.monotonic() - started)


def make_units(
    network: SandboxNetwork, ids: Sequence[str], main_url: str, second_url: str, limited_url: str, hanging_url: str
) -> dict[str, Unit]:
    """The four probes; latency twice, over the two endpoints that will refuse and hang."""

    def unit(name: str, probe: str, interval_s: float, **options: Any) -> Unit:
        loaded = load_probe(find_probe(probe, search_path()))
        return Unit(name, loaded, loaded.options(**options), interval_s)

    proof_module = sys.modules[load_probe(find_probe("hermes_proof", search_path())).observe.__module__]
    signer_sets = tuple(
        proof_module.SignerSetOption(root=str(one.root), index=one.index, signers=tuple(key.hex() for key in one.signers))
        for one in (network.signing.signer_set(), network.other_root.signer_set())
    )
    one_s = timedelta(seconds=1)
    made = [
        unit(
            "freshness",
            "hermes_freshness",
            1,
            endpoint=main_url,
            feeds=tuple(ids[:3]),
            max_age=5 * one_s,
            max_silence=8 * one_s,
        ),
        unit(
            "proof",
            "hermes_proof",
            2,
            endpoint=main_url,
            feeds=tuple(ids[3:8]),
            signer_sets=signer_sets,
            refused_for=2 * one_s,
        ),
        unit(
            "agreement",
            "hermes_agreement",
            1,
            endpoints=(main_url, second_url),
            feeds=tuple(ids[8:10]),
            max_silence=4 * one_s,
            max_delay=30 * one_s,
        ),
        unit("latency a", "hermes_latency", 2, endpoint=limited_url, feeds=(ids[10],), samples=5, timeout=one_s),
        unit("latency b", "hermes_latency", 2, endpoint=hanging_url, feeds=(ids[11],), samples=5, timeout=one_s / 2),
    ]
    return {one.name: one for one in made}


def make_expectations(
    boxes: Sequence[Sandbox], ids: Sequence[str], units: dict[str, Unit], second_url: str, limited_url: str, hanging_url: str
) -> list[Expectation]:
    """The eight faults, one per class, on separate feeds or endpoints."""
    main, second, limited, hanging = boxes
    proof_tick, latency_tick = units["proof"].interval_s, units["latency a"].interval_s

    def on_proof(what: str, number: int, make: Callable[[str], Fault], status: Status, reason: str) -> Expectation:
        feed = ids[number]
        touches = frozenset({("proof", feed)})
        return Expectation(what, main, make(feed), "proof", feed, status, reason, 0, proof_tick, touches)

    agreeing = frozenset({("agreement", second_url), ("agreement", ids[8]), ("agreement", ids[9])})

    def latency(unit: str, url: str) -> frozenset[Key]:
        return frozenset({(unit, f"rest {url}"), (unit, f"stream {url}")})

    critical, unknown = Status.CRITICAL, Status.UNKNOWN
    return [
        Expectation(
            "a feed goes stale",
            main,
            faults.StaleFeed(ids[1]),
            "freshness",
            ids[1],
            critical,
            "stale",
            5,
            1,
            frozenset({("freshness", ids[1])}),
        ),
        Expectation(
            "a stream falls silent",
            second,
            faults.SilentStream(),
            "agreement",
            second_url,
            critical,
            "silent_stream",
            4,
            1,
            agreeing,
        ),
        on_proof("a signature is broken", 3, faults.BadSignature, critical, "bad_signature"),
        on_proof("the other trust root signs", 4, faults.WrongRoot, critical, "wrong_root"),
        on_proof("a parsed price contradicts its proof", 5, faults.ParsedMismatch, critical, "parsed_mismatch"),
        on_proof("one feed is not entitled (403)", 6, faults.Unentitled, unknown, "not_entitled"),
        Expectation(
            "an endpoint limits the rate (429)",
            limited,
            faults.RateLimited(1),
            "latency a",
            f"rest {limited_url}",
            unknown,
            "rate_limited",
            0,
            latency_tick,
            latency("latency a", limited_url),
        ),
        Expectation(
            "an endpoint hangs",
            hanging,
            faults.Hang(),
            "latency b",
            f"rest {hanging_url}",
            critical,
            "deadline_first_byte",
            # The run gives up on the request, then on the stream, and closes.
            1,
            latency_tick,
            latency("latency b", hanging_url),
        ),
    ]


@contextlib.asynccontextmanager
async def running(units: dict[str, Unit], board: Board, otlp_url: str) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Every unit being watched, with the board and OTLP as recorders."""
    # Nothing of the environment: what the reader exports elsewhere is not to go there from here, nor its headers to the sink.
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url, "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
    tasks = []

    async def follow(unit: Unit) -> None:
        vantage = Vantage(host="demo", region="local", unit=unit.name)
        telemetry = recorder_from_env(vantage, environ)
        recorders: list[Recorder] = [board, *([] if telemetry is None else [telemetry])]
        settings = RunSettings(vantage=vantage, interval=timedelta(seconds=unit.interval_s))
        async with aclosing(watch(unit.probe, unit.options, settings=settings, recorders=recorders)) as runs:
            async for _ in runs:
                pass

    try:
        tasks = [asyncio.create_task(follow(unit), name=unit.name) for unit in units.values()]
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(
    condition: Callable[[], bool], timeout_s: float, probing: Sequence[asyncio.Task[None]], stalls: Stalls
) -> float | None:
    """Seconds until ``condition`` held; ``None`` when it did not in time; stalls of the machine do not count. A probe that died
    is raised at once.
    """
    began, stalled_s = time.monotonic(), stalls.total_s
    while not condition():
        for task in probing:
            if task.done():
                task.result()
                raise ConfigError(f"the probe {task.get_name()} ended by itself")
        if time.monotonic() - began - (stalls.total_s - stalled_s) > timeout_s:
            return None
        await stalls.sleep(STEP_S)
    return time.monotonic() - began - (stalls.total_s - stalled_s)


async def script(
    expectations: Sequence[Expectation], board: Board, watcher: Watcher, display: Display, probing: list[asyncio.Task[None]]
) -> list[tuple[Expectation, float | None, float | None]]:
    """Break, watch the verdict turn, mend, watch it recover; one fault after the other."""

    def calm() -> bool:
        return bool(board.now) and all(seen.status is Status.OK for seen in board.now.values())

    units = {expectation.unit for expectation in expectations}
    warmed_s = await until(lambda: units <= {key[0] for key in board.now} and calm(), WARM_UP_S, probing, watcher.stalls)
    watcher.warming = False
    display.note("every target is OK" if warmed_s is not None else "not every target became OK at the start")
    outcomes = []
    for number, expectation in enumerate(expectations, 1):
        key = (expectation.unit, expectation.target)
        watcher.excused |= expectation.touches
        injected = expectation.endpoint.inject(expectation.fault)
        display.note(
            f"{number}. {expectation.what}: {expectation.unit} must say {expectation.status.upper()} {expectation.reason} "
            f"within {expectation.limit_s:g} + {expectation.tick_s:g} + {MARGIN_S:g} = {expectation.bound_s:g} s"
        )

        def turned(key: Key = key, expectation: Expectation = expectation) -> bool:
            seen = board.now.get(key)
            return seen is not None and (seen.status, seen.verdict.reason) == (expectation.status, expectation.reason)

        seen_s = await until(turned, expectation.bound_s, probing, watcher.stalls)
        message = board.now[key].verdict.message if seen_s is not None and key in board.now else "the verdict did not turn"
        display.note(f"   {'not seen' if seen_s is None else f'seen after {seen_s:.1f} s'}: {message[:100]}")
        await watcher.stalls.sleep(HELD_S)
        injected.clear()

        def recovered(expectation: Expectation = expectation) -> bool:
            return all(board.now[one].status is Status.OK for one in expectation.touches if one in board.now)

        recovered_s = await until(recovered, RECOVERY_S, probing, watcher.stalls)
        display.note(f"   {'not recovered' if recovered_s is None else f'recovered after {recovered_s:.1f} s'}")
        watcher.excused -= expectation.touches
        outcomes.append((expectation, seen_s, recovered_s))
    return outcomes


def summarise(
    outcomes: Sequence[tuple[Expectation, float | None, float | None]],
    watcher: Watcher,
    board: Board,
    sink: OtlpSink,
    elapsed_s: float,
) -> int:
    """Print what was seen; the exit code."""
    print(f"\n{'fault':40} {'bound':>6} {'seen':>6} {'recovered':>9}")
    for expectation, seen_s, recovered_s in outcomes:
        seen = "no" if seen_s is None else f"{seen_s:.1f}s"
        recovered = "no" if recovered_s is None else f"{recovered_s:.1f}s"
        print(f"{expectation.what:40} {expectation.bound_s:5.1f}s {seen:>6} {recovered:>9}")
    for title, lines in (("reported beside the faults", watcher.unexpected), ("this machine stalled", watcher.vantage)):
        for line in lines:
            print(f"{title}: {line}")
    if watcher.stalls.total_s:
        print(f"this machine stalled for {watcher.stalls.total_s:.1f} s in all; times above leave that out")
    sent = ", ".join(f"{count} {signal}" for signal, count in sorted(sink.received.items()))
    print(f"{board.runs} runs in {elapsed_s:.0f} s; OTLP requests received: {sent}; look at them in {OTLP_FILE}")
    good = len(outcomes) == 8 and all(seen is not None and back is not None for _, seen, back in outcomes)
    good = good and not watcher.unexpected
    print("every fault was seen, and nothing else" if good else "NOT as it should be")
    print(
        "\nThe same probe against the public Hermes (its key goes into HERMES_API_KEY):\n"
        "  HERMES_API_KEY=... .venv/bin/probekit run hermes_freshness --loop --set api_key=env:HERMES_API_KEY"
    )
    return 0 if good else 1


def main() -> int:
    """Run the demo on uvloop where it is installed."""
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ModuleNotFoundError:
        factory = None
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(demo())
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
