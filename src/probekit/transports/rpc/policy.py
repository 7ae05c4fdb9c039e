"""How a pool asks: its thresholds, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """How a pool asks.

    ``rounds`` walks over all endpoints, with waits that double from ``round_wait`` between them, all within the call's
    ``timeout``; ``floor_rounds`` where all that is open is behind the call's floor, which a block or two mends (none beside the
    first with ``rounds=1``). A second endpoint is asked after the p95 of the first one's last latencies, ``hedge_least`` at
    least, and not before ``hedge_samples`` of them are known; ``hedge=False`` never. Hedges and further rounds are at most
    ``extra_percent`` of the calls, with ``extra_burst`` saved up and one each ``extra_refill`` beside that.

    Heads and identities are read again every ``refresh`` where there are several endpoints. An endpoint's word about its chain
    is believed for ``proof`` by reads, for ``refresh`` by sends; then it is asked again before its next answer is used.
    """

    timeout: timedelta = timedelta(seconds=10)
    rounds: int = 2
    floor_rounds: int = 4
    round_wait: timedelta = timedelta(milliseconds=250)
    hedge: bool = True
    hedge_least: timedelta = timedelta(milliseconds=100)
    hedge_samples: int = 20
    extra_percent: int = 20
    extra_burst: int = 20
    extra_refill: timedelta = timedelta(seconds=5)
    refresh: timedelta = timedelta(seconds=10)
    proof: timedelta = timedelta(minutes=5)
    quorum_grace: timedelta = timedelta(milliseconds=250)
