"""``python -m probekit.dev.svm``: a local Solana node in a process of its own, with an open faucet."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.node import Node
from probekit.dev.svm.server import serve, ticking
from probekit.errors import ConfigError
from probekit.units import parse_duration


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        "python -m probekit.dev.svm", description="A local Solana node: the real runtime, simulated slots and commitment."
    )
    add = made.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8899, help="port of HTTP, WebSocket on the next; 0 takes free ones (default: %(default)s)")
    add("--slot-time", default="400ms", help="time between blocks (default: %(default)s)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run until interrupted or terminated; prints the URLs once they answer. 3 when it cannot run."""
    arguments = parser().parse_args(argv)
    try:
        asyncio.run(_serve(arguments.host, arguments.port, arguments.slot_time))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 3
    except ValueError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


async def _serve(host: str, port: int, slot_time: str) -> None:
    every = parse_duration(slot_time)
    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # no signal handlers on this platform's loop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    ledger = Ledger(slot_time=every)
    async with ticking(ledger, every=every), serve(Node(ledger), host=host, port=port) as served:
        print(f"Solana RPC at {served.http}, WebSocket at {served.ws}", flush=True)
        print(
            "real: transactions and programs (LiteSVM); simulated: slots, commitment; none: votes, leaders, forks", flush=True
        )
        await ended.wait()


if __name__ == "__main__":
    raise SystemExit(main())
