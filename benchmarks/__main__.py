"""``python -m benchmarks``: every comparison, ours and the peer's in turn, as a table and as ``build/bench.json``.

A row that does not measure itself is computing in one thread, and is timed by the processor's clock: what else the machine
does is not in it. Both sides' turns are alike. Garbage of the turn before is collected first. One pass goes unmeasured, since
the other side has left the caches full of its own; then come passes until ``TURN_S`` have gone, so that a side that is eighty
times as fast is not judged by a fifth of a millisecond, most of it cold. What lives before the rows run is out of the
collector's sight: the side that allocates more does not pay for the size of this program.

Exit 1 when a target is missed; with ``--smoke`` each is run once, for its shape and result only.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.row import Row

MODULES = (
    "hermes_decode",
    "verification",
    "pythnet_decode",
    "telemetry",
    "transports",
    "http_service",
    "rpc",
    "multicall",
    "pythnet_refresh",
    "pythnet_publishers",
    "startup",
    "artifacts",
    "idle",
)
RUNS = 41
TURN_S = 0.02


@dataclass(frozen=True)
class Result:
    """A row of ``bench.json``. ``ratio`` is peer / ours: larger is better for us."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    target: float | None
    met: bool | None


def once(row: Row, side: str, turn_s: float = TURN_S) -> float:
    """One turn of a side: what it measured, or the processor's seconds that a pass took."""
    work = row["ours"] if side == "ours" else row["peer"]
    gc.collect()
    value = work()
    if not row.get("measured"):
        passes, began = 0, time.process_time()
        while True:
            work()
            passes += 1
            spent = time.process_time() - began
            if spent >= turn_s:
                return spent / passes
    if not isinstance(value, int | float):
        raise TypeError(f"{row['name']}: a measured row returns a number, not {type(value).__name__}")
    return float(value)


def measure(row: Row, smoke: bool) -> tuple[Result, str]:
    """The medians of interleaved turns, and the spread of the pairwise ratio as text."""
    runs = 1 if smoke else row.get("runs", RUNS)
    turn_s = 0.0 if smoke else TURN_S
    pairs = [(once(row, "ours", turn_s), once(row, "peer", turn_s)) for _ in range(runs)]
    ratios = sorted(peer / ours for ours, peer in pairs)
    ratio = statistics.median(ratios)
    target = row["target"]
    result = Result(
        row["name"],
        statistics.median(ours for ours, _ in pairs),
        statistics.median(peer for _, peer in pairs),
        row["peer_name"],
        row["unit"],
        ratio,
        target,
        None if target is None else ratio >= target,
    )
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    return result, f"{low:.2f}..{high:.2f}"


def main() -> int:
    """Run, print, write; returns the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--smoke", action="store_true", help="each comparison once, no target held")
    parser.add_argument("--only", metavar="TEXT", default="", help="only rows whose module or name contains TEXT")
    parser.add_argument("--json", metavar="FILE", default="build/bench.json", help="default: %(default)s")
    arguments = parser.parse_args()
    results = []
    print(f"{'what':52} {'ours':>10} {'peer':>10} {'unit':7} {'ratio':>6} {'10..90 %':>13} {'target':>6}  peer")
    for name in MODULES:
        module = importlib.import_module(f"benchmarks.{name}")
        rows: list[Row] = module.rows()
        gc.collect()
        gc.freeze()
        for row in rows:
            if arguments.only not in name and arguments.only not in row["name"]:
                continue
            result, spread = measure(row, arguments.smoke)
            results.append(result)
            target = "" if result.target is None else f"{result.target:.2f}"
            missed = "  MISSED" if result.met is False and not arguments.smoke else ""
            print(
                f"{result.name:52} {result.ours:10.4g} {result.peer:10.4g} {result.unit:7} {result.ratio:6.2f} {spread:>13} "
                f"{target:>6}  {result.peer_name}{missed}",
                flush=True,
            )
    path = Path(arguments.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")
    if arguments.smoke:
        return 0 if results else 1
    return 0 if results and all(result.met is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
